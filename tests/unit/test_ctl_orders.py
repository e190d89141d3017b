"""Orders, logs and version of emperorctl, with answers made up and no kernel."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from emperor import __version__
from emperor.control.client import NoDaemon, NotPermitted
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
    bench = Bench({"data": {"name": "blog", "lines": ["a"]}}, {"ok": True, "exit": 0, "end": True}, json=True)
    bench.logs("blog", follow=True)
    assert bench.said[0] == '{"name": "blog", "lines": ["a"]}\n'


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
