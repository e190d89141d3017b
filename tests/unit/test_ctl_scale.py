"""``emperorctl scale``: what it asks, what it says, what it refuses itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

import pytest

from emperor.control.messages import Request, decode, encode
from emperor.ctl import cli, scale
from emperor.ctl.console import Console


class Desk:
    """Somebody who types, and an emperor who answers as told."""

    def __init__(self, *replies: dict[str, Any], **more: Any) -> None:
        self.replies = replies
        self.asked: list[tuple[Request, Optional[float]]] = []
        self.out: list[str] = []
        self.err: list[str] = []
        self.console = Console(self.out.append, self.err.append, self._ask, lambda seconds: None, **more)

    def _ask(self, request: Request, timeout: Optional[float]) -> Iterator[dict[str, Any]]:
        self.asked.append((request, timeout))
        yield from self.replies

    def types(self, *argv: str) -> int:
        return scale.run(cli.parser(["scale", *argv]).parse_args(["scale", *argv]), self.console)


def reply(name: str, message: str, ok: bool = True, seconds: float = 0.21) -> dict[str, Any]:
    results = [{"name": name, "ok": ok, "message": message, "seconds": seconds}]
    return {"ok": ok, "exit": 0 if ok else 1, "data": results}


def test_the_result_is_told_as_of_every_order() -> None:
    desk = Desk(reply("blog", "4 workers"))
    assert desk.types("blog", "4") == 0
    assert (desk.out, desk.err) == (["blog: 4 workers (0.2 s)\n"], [])
    assert desk.asked == [(Request("scale", ("blog",), {"workers": 4, "wait": True}), None)]


def test_not_waiting_is_told_to_the_emperor() -> None:
    desk = Desk(reply("blog", "4 workers wanted", seconds=0.0))
    assert desk.types("blog", "4", "--no-wait") == 0
    assert desk.asked[0][0].options == {"workers": 4, "wait": False}


def test_what_is_asked_is_what_the_emperor_understands() -> None:
    desk = Desk(reply("blog", "1024 workers"))
    desk.types("blog", "1024")
    assert decode(encode(desk.asked[0][0])) == desk.asked[0][0]


def test_a_failure_is_said_on_stderr_and_exits_one() -> None:
    desk = Desk(reply("blog", "not running", ok=False, seconds=0.0))
    assert desk.types("blog", "4") == 1
    assert (desk.out, desk.err) == ([], ["blog: ERROR: not running\n"])


@pytest.mark.parametrize("code", [4, 6])
def test_the_emperor_decides_the_exit(code: int) -> None:
    assert Desk({"ok": False, "exit": code, "error": "no"}).types("blog", "4") == code


def test_it_is_for_one_vassal_and_not_for_all() -> None:
    desk = Desk()
    assert desk.types("all", "4") == 2
    assert not desk.asked and "one vassal at a time" in desk.err[0]


def test_a_name_that_no_vassal_can_have_exits_six() -> None:
    desk = Desk()
    assert desk.types("no/such", "4") == 6
    assert not desk.asked


@pytest.mark.parametrize("count", ["0", "1025", "-1", "+4", "4.0", "1_0", "٤", "many", "", " 4", "9" * 30])
def test_what_is_no_number_of_workers_is_a_usage_error(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk()
    with pytest.raises(SystemExit) as caught:
        desk.types("blog", "--", count)
    assert caught.value.code == 2 and "from 1 to 1024" in capsys.readouterr().err
    assert not desk.asked


def test_none_at_all_is_told_what_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Desk().types("blog", "0")
    assert "emperorctl stop" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [(), ("blog",), ("4",), ("blog", "4", "5")])
def test_one_name_and_one_number_are_needed(argv: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        Desk().types(*argv)
    assert caught.value.code == 2


def test_help_teaches_how_long_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        Desk().types("--help")
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(word in text for word in ("emperorctl scale shop 8", "processes = N", "cheaper", "exit:"))
