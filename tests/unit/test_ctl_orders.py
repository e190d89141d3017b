"""Orders, logs and version of emperorctl, with answers made up and no kernel."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from emperor import __version__
from emperor.control.client import NoDaemon, NotPermitted, Unanswered
from emperor.control.messages import Request
from emperor.ctl import logs, orders, version
from emperor.ctl.console import Console


class Bench:
    def __init__(self, *replies: Any, **more: Any) -> None:
        self.replies = replies
        self.asked: list[tuple[Request, Optional[float]]] = []
        self.out: list[str] = []
        self.err: list[str] = []
        self.console = Console(self.out.append, self.err.append, self._ask, lambda seconds: None, **more)

    def _ask(self, request: Request, timeout: Optional[float]) -> Iterator[dict[str, Any]]:
        self.asked.append((request, timeout))
        for reply in self.replies:
            if isinstance(reply, Exception):
                raise reply
            yield reply

    @property
    def said(self) -> tuple[str, str]:
        return "".join(self.out), "".join(self.err)

    def order(self, verb: str, *names: str, wait: bool = True) -> int:
        args: Any = SimpleNamespace(verb=verb, names=list(names), wait=wait)
        return orders.run(args, self.console)

    def logs(self, *names: str, lines: int = 10, follow: bool = False) -> int:
        args: Any = SimpleNamespace(names=list(names), lines=lines, follow=follow)
        return logs.run(args, self.console)


def result(name: str, ok: bool = True, message: str = "started", seconds: float = 0.42) -> dict[str, Any]:
    return {"name": name, "ok": ok, "message": message, "seconds": seconds}


def test_an_order_tells_each_result_with_its_seconds() -> None:
    bench = Bench({"ok": True, "exit": 0, "data": [result("blog"), result("shop", True, "already running", 0.0)]})
    assert bench.order("start", "blog", "shop") == 0
    assert bench.said == ("blog: started (0.4 s)\nshop: already running\n", "")
    assert bench.asked == [(Request("start", ("blog", "shop"), {"wait": True}), None)]


def test_a_failed_order_is_said_on_stderr_with_all_its_lines() -> None:
    bench = Bench(
        {
            "ok": False,
            "exit": 1,
            "data": [result("blog"), result("shop", False, "rolled back\nImportError: \x1bx")],
        }
    )
    assert bench.order("reload", "all") == 1
    assert bench.said == (
        "blog: started (0.4 s)\n",
        "shop: ERROR: rolled back (0.4 s)\n    ImportError: \\x1bx\n",
    )


@pytest.mark.parametrize("code", [1, 4, 6])
def test_the_emperor_decides_the_exit(code: int) -> None:
    bench = Bench({"ok": False, "exit": code, "error": "no"})
    assert bench.order("stop", "blog") == code
    assert bench.said == ("", "emperorctl: no\n")


def test_a_failure_never_exits_zero_whatever_the_emperor_says() -> None:
    assert Bench({"ok": True, "exit": 0, "data": [result("blog", False)]}).order("stop", "blog") == 1
    assert Bench({"ok": False}).order("stop", "blog") == 1


def test_not_waiting_is_told_to_the_emperor_and_a_timeout_is_the_persons() -> None:
    bench = Bench({"ok": True, "exit": 0, "data": []}, timeout=3.0)
    bench.order("stop", "blog", wait=False)
    assert bench.asked == [(Request("stop", ("blog",), {"wait": False}), 3.0)]


def test_all_stands_alone() -> None:
    bench = Bench()
    assert bench.order("stop", "all", "blog") == 2
    assert not bench.asked


def test_a_name_that_no_vassal_can_have_exits_six() -> None:
    bench = Bench()
    assert bench.order("stop", "no/such") == 6
    assert bench.logs("no such") == 6
    assert not bench.asked


def test_results_as_json() -> None:
    bench = Bench({"ok": True, "exit": 0, "data": [result("blog")]}, json=True)
    bench.order("start", "blog")
    assert json.loads(bench.said[0]) == [result("blog")]


def test_log_lines_are_plain_for_one_vassal_and_named_for_several() -> None:
    blog = {"data": {"name": "blog", "lines": ["a", "b\x1b[2J"]}}
    shop = {"ok": True, "exit": 0, "data": {"name": "shop", "lines": ["c"]}, "end": True}
    one, two = Bench({**blog, "end": True}), Bench(blog, shop)
    assert one.logs("blog") == 0 and two.logs("blog", "shop", "blog") == 0
    assert one.said == ("a\nb\\x1b[2J\n", "")
    assert two.said == ("blog | a\nblog | b\\x1b[2J\nshop | c\n", "")
    assert two.asked == [(Request("logs", ("blog", "shop"), {"lines": 10, "follow": False}), 10.0)]


def test_logs_of_nobody_exit_six() -> None:
    bench = Bench({"ok": False, "exit": 6, "error": "blog: no such vassal", "end": True})
    assert bench.logs("blog") == 6
    assert bench.said == ("", "emperorctl: blog: no such vassal\n")


def test_logs_as_json_are_an_object_a_line() -> None:
    lines = ["2026-11-22T04:00:00.000+0000 [2] [3] a", "2026-11-22T04:00:00.001+0000 worker 2: died"]
    bench = Bench({"data": {"name": "blog", "lines": lines}}, {"ok": True, "exit": 0, "end": True}, json=True)
    bench.logs("blog", follow=True)
    assert [json.loads(line) for line in bench.said[0].splitlines()] == [
        {"name": "blog", "time": "2026-11-22T04:00:00.000+0000", "worker": 2, "line": "[3] a"},
        {"name": "blog", "time": "2026-11-22T04:00:00.001+0000", "worker": None, "line": "worker 2: died"},
    ]


class Reign:
    """Emperors one after another: what each answers until it is gone."""

    def __init__(self, *emperors: tuple[Any, ...]) -> None:
        self._emperors = list(emperors)
        self.asked: list[Request] = []
        self.out: list[str] = []
        self.err: list[str] = []

    def follow(self, *names: str) -> int:
        console = Console(self.out.append, self.err.append, self._ask, lambda seconds: None)
        args: Any = SimpleNamespace(names=list(names), lines=2, follow=True)
        return logs.run(args, console)

    def _ask(self, request: Request, timeout: Optional[float]) -> Iterator[dict[str, Any]]:
        self.asked.append(request)
        for reply in self._emperors.pop(0):
            if isinstance(reply, Exception):
                raise reply
            yield reply

    @property
    def said(self) -> tuple[str, str]:
        return "".join(self.out), "".join(self.err)


def told(name: str, ring: str, count: int, *lines: str) -> dict[str, Any]:
    return {"ok": True, "data": {"name": name, "lines": list(lines), "ring": ring, "count": count}}


GONE = Unanswered("the emperor hung up")
END = {"ok": True, "exit": 0, "data": None, "end": True}
REFUSED = {"ok": False, "exit": 6, "error": "blog: no such vassal", "end": True}


def test_who_follows_meets_the_next_emperor_and_sees_no_line_twice() -> None:
    first = (told("blog", "one", 7, "6", "7"), told("blog", "one", 8, "8"), GONE)
    again = (told("blog", "one", 10, *map(str, range(1, 11))), GONE)
    other = (told("blog", "two", 2, "a", "b"), END)
    reign = Reign(first, again, (NoDaemon("no"),), other)
    assert reign.follow("blog") == 0
    assert reign.said == ("6\n7\n8\n9\n10\na\nb\n", "")
    assert [one.options["lines"] for one in reign.asked] == [2, 10_000, 10_000, 10_000]


def test_lines_that_came_too_fast_are_counted() -> None:
    reign = Reign((told("blog", "one", 7, "7"), told("blog", "one", 20, "19", "20"), END))
    assert reign.follow("blog") == 0
    assert reign.said == ("7\n19\n20\n", "emperorctl: blog: 11 lines came too fast, and are not shown\n")


def test_an_emperor_that_was_never_there_is_an_error() -> None:
    with pytest.raises(NoDaemon):
        Reign((NoDaemon("no"),)).follow("blog")


def test_that_no_emperor_comes_is_said_once() -> None:
    reign = Reign((told("blog", "one", 1, "1"), GONE), *[(NoDaemon("no"),)] * 40, (END,))
    assert reign.follow("blog") == 0
    assert reign.said == ("1\n", "emperorctl: no emperor answers -- waiting for one\n")


def test_a_vassal_that_is_removed_is_told_and_the_others_are_followed_on() -> None:
    gone = {"ok": True, "data": {"name": "blog", "lines": [], "gone": True}}
    reign = Reign((told("blog", "one", 1, "b"), told("shop", "one", 1, "s"), gone, told("shop", "one", 2, "t"), END))
    assert reign.follow("blog", "shop") == 0
    assert reign.said == ("blog | b\nshop | s\nshop | t\n", "emperorctl: blog: is gone\n")


def test_a_vassal_that_the_next_emperor_does_not_have_is_waited_for_and_then_told() -> None:
    first = (told("blog", "one", 1, "b"), told("shop", "one", 1, "s"), GONE)
    late = (told("shop", "two", 1, "t"), END)
    reign = Reign(first, *[(REFUSED,)] * 12, (REFUSED,), (END,), late)
    assert reign.follow("blog", "shop") == 0
    assert reign.said == ("blog | b\nshop | s\nshop | t\n", "emperorctl: blog: is gone\n")
    assert reign.asked[-1].names == ("shop",)


def run_version(bench: Bench) -> int:
    return version.run(Namespace(), bench.console)


def test_version_names_both_programs() -> None:
    bench = Bench({"ok": True, "exit": 0, "data": __version__})
    assert run_version(bench) == 0
    out, err = bench.said
    assert f"emperorctl {__version__}" in out and f"emperor    {__version__}\n" in out and err == ""


def test_version_warns_of_an_emperor_that_is_older_than_its_installation() -> None:
    bench = Bench({"ok": True, "exit": 0, "data": "0.0.1"})
    assert run_version(bench) == 0
    assert "another version" in bench.said[1]


@pytest.mark.parametrize("error", [NoDaemon("nobody"), NotPermitted("no")])
def test_version_needs_no_emperor(error: Exception) -> None:
    bench = Bench(error)
    assert run_version(bench) == 0
    assert "not reached" in bench.said[0]


def test_version_as_json_says_null_without_an_emperor() -> None:
    bench = Bench({"ok": False, "exit": 4, "error": "version: not permitted"}, json=True)
    run_version(bench)
    assert json.loads(bench.said[0])["emperor"] is None
