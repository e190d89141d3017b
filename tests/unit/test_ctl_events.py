"""``emperorctl events``: lines, exit codes, and that a follower comes back."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any, Optional

import pytest

from emperor.control.client import NoDaemon, Unanswered
from emperor.control.messages import MOST_EVENTS, Request
from emperor.ctl import events
from emperor.ctl.console import Console


def event(number: int, time: float, name: Optional[str] = "blog") -> dict[str, Any]:
    return {"number": number, "time": time, "name": name, "event": "state"}


def told(*those: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "data": {"events": list(those)}}


END = {"ok": True, "exit": 0, "data": None, "end": True}
HUNG_UP = Unanswered("control socket /x: the emperor hung up")


class Bench:
    """``calls``: of each the replies; an error is raised after those before it."""

    def __init__(self, *calls: list[Any]) -> None:
        self.calls, self.asked = list(calls), list[Request]()
        self.out, self.err, self.pauses = "", "", 0
        self.console = Console(self._write, self._complain, self._ask, self._pause)

    def _write(self, text: str) -> None:
        self.out += text

    def _complain(self, text: str) -> None:
        self.err += text

    def _pause(self, seconds: float) -> None:
        self.pauses += 1

    def _ask(self, request: Request, timeout: Optional[float]) -> Iterator[dict[str, Any]]:
        self.asked.append(request)
        for reply in self.calls.pop(0):
            if isinstance(reply, BaseException):
                raise reply
            yield reply

    def run(self, *words: str) -> int:
        parser = argparse.ArgumentParser()
        events.add_arguments(parser)
        return events.run(parser.parse_args(list(words)), self.console)

    @property
    def numbers(self) -> list[int]:
        return [json.loads(line)["number"] for line in self.out.splitlines()]


def test_each_event_is_a_line_of_json() -> None:
    bench = Bench([told(event(1, 5.0), event(2, 5.0, "evil\x1b[2J")), END])
    assert bench.run() == 0
    assert bench.numbers == [1, 2] and "\x1b" not in bench.out
    assert bench.asked == [Request("events", (), {"last": MOST_EVENTS, "follow": False})]


def test_names_and_a_number_are_handed_on() -> None:
    bench = Bench([END])
    assert bench.run("-n", "3", "blog", "shop", "blog") == 0
    assert bench.asked == [Request("events", ("blog", "shop"), {"last": 3, "follow": False})]
    assert Bench().run("no/name") == 6


@pytest.mark.parametrize("code", [4, 6])
def test_a_refusal_is_said_and_is_the_exit_code(code: int) -> None:
    bench = Bench([{"ok": False, "exit": code, "error": "x: no such vassal", "end": True}])
    assert bench.run("x") == code
    assert bench.err == "emperorctl: x: no such vassal\n"


def test_without_an_emperor_nobody_waits() -> None:
    for words in ([], ["-f"]):
        with pytest.raises(NoDaemon):
            Bench([NoDaemon("nobody listens")]).run(*words)


def test_who_follows_comes_back_and_hears_nothing_twice() -> None:
    bench = Bench(
        [told(event(1, 5.0)), told(event(2, 6.0)), HUNG_UP],
        [NoDaemon("nobody listens")],
        [{"ok": False, "exit": 6, "error": "blog: no such vassal", "end": True}],
        [told(event(1, 5.0), event(2, 6.0), event(3, 7.0)), HUNG_UP],
        [told(event(1, 8.0)), KeyboardInterrupt()],
    )
    with pytest.raises(KeyboardInterrupt):
        bench.run("-f", "blog")
    assert bench.numbers == [1, 2, 3, 1], "another emperor counts anew"
    assert bench.pauses == 4 and bench.err.count("waiting for it") == 2
    assert [request.options["last"] for request in bench.asked] == [10, *[MOST_EVENTS] * 4]
