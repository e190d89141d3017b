"""``emperorctl status``: its two layouts, its exit codes, and that nobody steers the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from emperor.control.client import NoDaemon
from emperor.control.messages import Request
from emperor.ctl import block, overview, status
from emperor.ctl.console import Console


def snapshot(name: str = "blog", state: str = "RUNNING", **more: Any) -> dict[str, Any]:
    one: dict[str, Any] = {
        "name": name,
        "state": state,
        "wanted": "up",
        "pid": 7412,
        "generation": 3,
        "restarts": 2,
        "uptime": 485.9,
        "error": None,
        "config": f"/etc/emperor/vassals.d/{name}.ini",
        "uid": 0,
        "gid": 0,
        "sockets": [
            {
                "protocol": "uwsgi",
                "address": f"/run/emperor/{name}.sock",
                "mode": "0660",
                "owner": "kai",
                "group": "www-data",
            }
        ],
        "workers": [
            {
                "id": 1,
                "pid": 7413,
                "state": "idle",
                "requests": 120,
                "exceptions": 1,
                "rss": 25_270_682,
            },
            {"id": 2, "pid": 7414, "state": "busy", "requests": 1, "exceptions": 0, "rss": 25_270_682},
        ],
        "last_exit": None,
        "next_retry_in": None,
        "requests": 121,
    }
    return {**one, **more}


DEAD = {"code": None, "signal": 9, "reason": "the kernel ran out of memory", "at": 1_700_000_000.0}

LINES = [
    (snapshot(), "pid 7412, uptime 0:08:05, 2 workers, 121 requests, 48.2 MiB, unix:/run/emperor/blog.sock"),
    (snapshot(workers=[{"id": 1}], uptime=90061),
     "pid 7412, uptime 1 day, 1:01:01, 1 worker, 121 requests, unix:/run/emperor/blog.sock"),
    (snapshot(sockets=[], workers=[{"id": 1, "state": "idle"}, {"id": 1, "state": "retiring"}, {"id": 2}]),
     "pid 7412, uptime 0:08:05, 2 workers, 121 requests"),
    (snapshot(sockets=[{"address": "127.0.0.1:3031"}, {"address": "@blog"}], workers=[]),
     "pid 7412, uptime 0:08:05, 127.0.0.1:3031, unix:@blog"),
    (snapshot(error="/etc/blog.ini:4: processes: no number", sockets=[], workers=[]),
     "pid 7412, uptime 0:08:05, error: /etc/blog.ini:4: processes: no number"),
    (snapshot(state="RELOADING", sockets=[], workers=[]),
     "pid 7412, uptime 0:08:05, the next generation starts"),
    (snapshot(state="RELOADING", sockets=[], workers=[{"id": 1}, {"id": 1}], rolling=True),
     "pid 7412, uptime 0:08:05, 2 workers, 121 requests, worker by worker"),
    (snapshot(state="STARTING"), "pid 7412"),
    (snapshot(state="BACKOFF", error="ImportError: no module named blog", next_retry_in=2.2),
     "ImportError: no module named blog, retry in 3 s"),
    (snapshot(state="BACKOFF", last_exit=DEAD, next_retry_in=0.0),
     "the kernel ran out of memory (SIGKILL), retry in 1 s"),
    (snapshot(state="BACKOFF", last_exit={"code": 3}), "exited with code 3"),
    (snapshot(state="BACKOFF", last_exit={"signal": 11}), "killed by SIGSEGV"),
    (snapshot(state="BACKOFF", last_exit={"signal": 9, "reason": "killed by SIGKILL"}), "killed by SIGKILL"),
    (snapshot(state="FATAL", error="ImportError: x"),
     "ImportError: x, given up after max-restarts -- mend it, then emperorctl start blog"),
    (snapshot(state="INVALID", error="/etc/blog.ini:2: uid: no such user"),
     "/etc/blog.ini:2: uid: no such user"),
    (snapshot(state="IDLE"), "asleep until a request comes, unix:/run/emperor/blog.sock"),
    (snapshot(state="STOPPED", wanted="down"), "stopped on purpose"),
    (snapshot(state="STOPPED"), "not started"),
    (snapshot(state="NEW STATE", error="of a later emperor"), "of a later emperor"),
    (snapshot(sockets=[], warnings=["worker 1: killed by SIGSEGV, 5 deaths, next start in 4 s"]),
     "pid 7412, uptime 0:08:05, 2 workers, 121 requests, 48.2 MiB, "
     "warning: worker 1: killed by SIGSEGV, 5 deaths, next start in 4 s"),
    (snapshot(state="STARTING", warnings=["logto /l: Is a directory", "b.ini:3: socet: unknown option", "x"]),
     "pid 7412, warning: logto /l: Is a directory (and 2 more)"),
    (snapshot(state="INVALID", error="/etc/blog.ini:2: uid: no such user", warnings=["/etc/blog.ini:3: x: y"]),
     "/etc/blog.ini:2: uid: no such user"),
    (snapshot(state="BACKOFF", error="ImportError: x", next_retry_in=4.0, warnings=["logto /l: full", "/b.ini: x: y"]),
     "ImportError: x, retry in 4 s, warning: logto /l: full"),
    (snapshot(state="BACKOFF", last_exit=DEAD, warnings=["/e/my: blog.ini:12: x: y", "/b.ini: x: y"]),
     "the kernel ran out of memory (SIGKILL)"),
    (snapshot(sockets=[], workers=[], warnings=["/etc/blog.ini:3: x: y"]),
     "pid 7412, uptime 0:08:05, warning: /etc/blog.ini:3: x: y"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("last_exit", "shown"),
    [
        ({"code": 0, "reason": ""}, False),
        ({"code": 0, "reason": "x"}, True),
        ({"code": 3}, True),
        ({"code": None, "signal": 15}, True),
    ],
)
def test_of_an_end_that_was_asked_for_a_block_says_nothing(last_exit: dict[str, Any], shown: bool) -> None:
    assert ("Last exit" in block.render(snapshot(last_exit=last_exit), lambda text, colour: text)) is shown


@pytest.mark.parametrize(("one", "text"), LINES, ids=[text for _, text in LINES])
def test_a_line_says_what_its_state_is_about(one: dict[str, Any], text: str) -> None:
    assert overview.describe(one) == text


class Bench:
    """emperorctl without the kernel: what was asked, what was said."""

    def __init__(self, *replies: Any, **more: Any) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[Request, Optional[float]]] = []
        self.out = ""
        self.err = ""
        self.pauses: list[float] = []
        self.console = Console(self._write, self._complain, self._ask, self._pause, **more)

    def _write(self, text: str) -> None:
        self.out += text

    def _complain(self, text: str) -> None:
        self.err += text

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if not self.replies:
            raise KeyboardInterrupt

    def _ask(self, request: Request, timeout: Optional[float]) -> Iterator[dict[str, Any]]:
        self.asked.append((request, timeout))
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        yield {**reply, "end": True}

    def run(self, *names: str, watch: bool = False) -> int:
        args: Any = SimpleNamespace(names=list(names), watch=watch)
        return status.run(args, self.console)


def reply(*snapshots: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "exit": 0, "data": list(snapshots)}


def test_the_columns_are_supervisorctls() -> None:
    bench = Bench(reply(snapshot(workers=[], sockets=[]), snapshot("shop", "STOPPED", wanted="down")))
    assert bench.run() == 0
    assert bench.out == (
        "blog                             RUNNING   pid 7412, uptime 0:08:05\n"
        "shop                             STOPPED   stopped on purpose\n"
    )


def test_those_who_are_up_stand_in_columns_whatever_stands_between_them() -> None:
    bench = Bench(
        reply(
            snapshot(pid=9, requests=4711),
            snapshot("bad", "INVALID", error="b.ini:1: uid: no such user"),
            snapshot("new", workers=[], sockets=[], warnings=["logto /l: full"]),
            snapshot("shop", uptime=90061, workers=[{"id": 1, "rss": 1048576}], requests=1),
        )
    )
    bench.run()
    assert [line[43:] for line in bench.out.splitlines()] == [
        "pid 9,    uptime 0:08:05,        2 workers, 4711 requests, 48.2 MiB, unix:/run/emperor/blog.sock",
        "b.ini:1: uid: no such user",
        "pid 7412, uptime 0:08:05, warning: logto /l: full",
        "pid 7412, uptime 1 day, 1:01:01, 1 worker,  1 request,     1.0 MiB,  unix:/run/emperor/shop.sock",
    ]


def test_a_long_name_widens_the_column_for_all() -> None:
    bench = Bench(reply(snapshot("x" * 40, "STARTING"), snapshot("y", "STARTING")))
    bench.run()
    assert [line.index("STARTING") for line in bench.out.splitlines()] == [43, 43]


EXITS = [
    ([], 0),
    ([snapshot()], 0),
    ([snapshot(state="IDLE")], 0),
    ([snapshot(state="RELOADING")], 0),
    ([snapshot(state="STOPPED", wanted="down")], 0),
    ([snapshot(state="STOPPED", wanted="down", error="its last words")], 0),
    ([snapshot(state="STOPPING", wanted="gone")], 0),
    ([snapshot(error="the new ini is bad")], 3),
    ([snapshot(warnings=["logto /l: Is a directory"], serves=True)], 0),
    ([snapshot(serves=False)], 3),
    ([snapshot(state="RELOADING", serves=False)], 3),
    ([snapshot(state="IDLE", serves=False)], 0),
    ([snapshot(state="STOPPED", wanted="down", serves=False)], 0),
    ([snapshot(state="STARTING")], 3),
    ([snapshot(state="STOPPED")], 3),
    ([snapshot(), snapshot("shop", "BACKOFF")], 3),
    ([snapshot(state="FATAL")], 3),
    ([snapshot(state="INVALID")], 3),
]


@pytest.mark.parametrize(("snapshots", "code"), EXITS)
def test_the_exit_is_zero_if_all_are_up_or_down_by_intent(snapshots: list[Any], code: int) -> None:
    assert Bench(reply(*snapshots)).run() == code


def test_an_unknown_name_exits_four_and_the_known_ones_are_shown() -> None:
    bench = Bench({"ok": False, "exit": 6, "data": [snapshot()], "error": "nosuch: no such vassal"})
    assert bench.run("blog", "nosuch") == 4
    assert bench.out.startswith("blog - RUNNING")
    assert bench.err == "emperorctl: nosuch: no such vassal\n"


def test_a_name_that_no_vassal_can_have_is_not_even_asked_for() -> None:
    bench = Bench()
    assert bench.run("../blog") == 4
    assert not bench.asked and "no such vassal" in bench.err


def test_json_is_exactly_the_list_of_objects() -> None:
    bench = Bench(reply(snapshot(), snapshot("shop", error="\x1b[2J")), json=True)
    assert bench.run() == 3
    assert json.loads(bench.out) == [snapshot(), snapshot("shop", error="\x1b[2J")]
    assert "\x1b" not in bench.out


def test_log_lines_are_asked_for_only_with_names() -> None:
    bench = Bench(reply(), reply(snapshot()))
    bench.run()
    bench.run("blog")
    assert bench.asked == [
        (Request("status"), 10.0),
        (Request("status", ("blog",), {"lines": 20}), 10.0),
    ]


def test_nothing_to_see_is_said_on_stderr() -> None:
    bench = Bench(reply())
    bench.run()
    assert bench.out == "" and "no vassals" in bench.err


def test_control_characters_of_others_are_shown_not_obeyed() -> None:
    evil = "\x1b]0;owned\x07\r\nroot\x9b2J\u202e"
    for names in ((), ("blog",)):
        bench = Bench(
            reply(
                snapshot(
                    error=evil,
                    config=evil,
                    lines=[evil],
                    traceback=evil,
                    problems=[{"path": evil, "line": 1, "option": evil, "message": evil}],
                    sockets=[{"address": evil, "protocol": evil, "mode": evil, "owner": evil, "group": evil}],
                    workers=[{"id": 1, "state": evil, "last_exit": evil}],
                    warnings=[evil, evil],
                    last_exit={"signal": evil, "reason": evil, "at": evil},
                )
            )
        )
        bench.run(*names)
        shown = bench.out + bench.err
        assert not set(shown) & set("\x1b\x07\r\x9b\u202e")
        assert "\\x1b]0;owned" in shown


def test_colour_is_for_terminals_and_pads_as_if_it_were_not_there() -> None:
    plain, coloured = Bench(reply(snapshot())), Bench(reply(snapshot()), colour=True)
    plain.run()
    coloured.run()
    assert coloured.out == plain.out.replace("RUNNING   ", "\x1b[32mRUNNING   \x1b[0m")


@pytest.mark.parametrize(
    ("one", "colour"),
    [
        (snapshot(), "green"),
        (snapshot(warnings=["a logto"]), "yellow"),
        (snapshot(warnings=["no worker serves"], serves=False), "red"),
        (snapshot(error="the new ini is bad"), "red"),
        (snapshot(state="BACKOFF", warnings=["a logto"]), "yellow"),
        (snapshot(state="STOPPED", wanted="down"), ""),
    ],
)
def test_only_what_is_well_is_green(one: dict[str, Any], colour: str) -> None:
    assert overview.colour(one) == colour


def test_watch_looks_every_two_seconds_and_outlives_an_emperor_that_restarts() -> None:
    bench = Bench(reply(snapshot()), NoDaemon("gone"), reply(snapshot()))
    with pytest.raises(KeyboardInterrupt):
        bench.run(watch=True)
    assert bench.pauses == [2.0, 2.0, 2.0]
    assert bench.out.count("RUNNING") == 2 and "gone" in bench.err and "\x1b" not in bench.out


def test_watch_clears_a_terminal() -> None:
    bench = Bench(reply(snapshot()), terminal=True)
    with pytest.raises(KeyboardInterrupt):
        bench.run(watch=True)
    assert bench.out.startswith("\x1b[H\x1b[2J")


def test_a_block_holds_everything_that_answers_why() -> None:
    text = block.render(
        snapshot(
            state="BACKOFF",
            error="ImportError: x",
            next_retry_in=4,
            last_exit={"code": 22, "signal": None, "reason": "the app did not import", "at": None},
            problems=[
                {"path": "/e/blog.ini", "line": 4, "option": "uid", "message": "no such user", "fatal": True},
                {"path": "/e/blog.ini", "line": 0, "option": "", "message": "old", "fatal": False},
            ],
            traceback='Traceback (most recent call last):\n  File "a.py", line 1\nImportError: x\n',
            lines=["one", "two"],
        ),
        lambda text, colour: text,
    )
    assert text == (
        "blog - BACKOFF: ImportError: x, retry in 4 s\n"
        "     Config: /etc/emperor/vassals.d/blog.ini\n"
        "       User: root (0), group root (0)\n"
        "     Wanted: up\n"
        " Generation: 3\n"
        "    Sockets: unix:/run/emperor/blog.sock  uwsgi  0660  kai:www-data\n"
        "    Workers: 1: pid 7413, idle, 120 requests, 1 exception,  24.1 MiB\n"
        "             2: pid 7414, busy, 1 request,    0 exceptions, 24.1 MiB\n"
        "   Requests: 121\n"
        "   Restarts: 2\n"
        "  Last exit: the app did not import\n"
        "\n"
        "Problems:\n"
        "    /e/blog.ini:4: uid: no such user\n"
        "    warning: /e/blog.ini: old\n"
        "\n"
        "Traceback:\n"
        "    Traceback (most recent call last):\n"
        '      File "a.py", line 1\n'
        "    ImportError: x\n"
        "\n"
        "Last lines:\n"
        "    one\n"
        "    two"
    )


def test_a_block_shows_each_worker_that_died_and_the_warnings_that_are_no_problems_of_the_ini() -> None:
    died = {"exits": 3, "last_exit": "killed by SIGSEGV", "last_exit_ago": 65.2}
    text = block.render(
        snapshot(
            workers=[
                {"id": 1, "pid": 0, "state": "backoff", **died, "retry_in": 2.1},
                {"id": 2, "pid": 9, "state": "idle", **died, "exits": 1, "retry_in": None},
                {"id": 3, "pid": 0, "state": "backoff", "exits": 0, "last_exit": "fork: No memory", "retry_in": 0},
                {"id": 4, "pid": 8, "state": "idle", "exits": 0, "last_exit": None, "last_exit_ago": None},
            ],
            warnings=["worker 1: killed by SIGSEGV", "/e/blog.ini:3: socet: unknown option"],
            problems=[
                {"path": "/e/blog.ini", "line": 3, "option": "socet", "message": "unknown option", "fatal": False}
            ],
        ),
        lambda text, colour: text,
    )
    assert (
        "    Workers: 1: no process, backoff, 3 exits: killed by SIGSEGV 0:01:05 ago, starts again in 3 s\n"
        "             2: pid 9,      idle,    1 exit: killed by SIGSEGV 0:01:05 ago\n"
        "             3: no process, backoff, fork: No memory, starts again in 1 s\n"
        "             4: pid 8,      idle\n"
    ) in text
    assert "   Warnings: worker 1: killed by SIGSEGV\n" in text
    assert text.count("socet") == 1
    assert "    warning: /e/blog.ini:3: socet: unknown option" in text


def test_an_almost_empty_snapshot_is_shown_as_well() -> None:
    assert block.render({"name": "blog", "state": "INVALID"}, lambda text, colour: text) == "blog - INVALID"


@pytest.mark.parametrize(("renewals", "words"), [(1, "24.1 MiB, 1 renewal\n"), (3, "24.1 MiB, 3 renewals\n")])
def test_a_block_counts_the_workers_that_were_replaced_because_they_were_worn(renewals: int, words: str) -> None:
    worker = {**snapshot()["workers"][0], "renewals": renewals}
    assert words in block.render(snapshot(workers=[worker]), lambda text, colour: text)


@pytest.mark.parametrize("renewals", [0, None, "many", True])
def test_a_block_says_nothing_of_renewals_that_were_none(renewals: object) -> None:
    worker = {**snapshot()["workers"][0], "renewals": renewals}
    assert "renewal" not in block.render(snapshot(workers=[worker]), lambda text, colour: text)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"doing": "GET /slow", "doing_for": 40.2}, "1: pid 7413, busy for 40 s in GET /slow, "),
        ({"doing": "GET /\x1b", "doing_for": 2, "state": "draining"}, ", draining, busy for 2 s in GET /\\x1b,"),
        ({"doing": None, "doing_for": None}, "1: pid 7413, busy, "),
        ({"doing": "GET /", "doing_for": "x"}, "1: pid 7413, busy, "),
    ],
)
def test_a_block_shows_what_takes_long(more: dict[str, object], words: str) -> None:
    worker = {**snapshot()["workers"][0], "pid": 7413, "state": "busy", **more}
    assert words in block.render(snapshot(workers=[worker]), lambda text, colour: text)


@pytest.mark.parametrize(("scaled", "words"), [(1, "to 1 worker by"), (4, "to 4 workers by")])
def test_a_block_says_that_the_number_of_workers_was_ordered(scaled: int, words: str) -> None:
    assert words in block.render(snapshot(scaled=scaled), lambda text, colour: text)


@pytest.mark.parametrize("scaled", [None, "4", True, {}])
def test_a_block_says_nothing_of_an_order_that_was_not_given(scaled: object) -> None:
    assert "Scaled" not in block.render(snapshot(scaled=scaled), lambda text, colour: text)


def test_a_mode_may_be_a_number_and_a_signal_unknown() -> None:
    text = block.render(
        snapshot(
            sockets=[{"address": "/a", "mode": 0o666, "owner": 0, "group": 0}],
            last_exit={"signal": 250, "at": 0},
        ),
        lambda text, colour: text,
    )
    assert "unix:/a  0666  root:root" in text
    assert "Last exit: killed by signal 250, 1970-01-01" in text or "1969-12-31" in text
