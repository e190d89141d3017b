"""What ``emperorctl doctor`` prints, for people and for programs, and how it exits."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import pytest

from emperor.control.messages import Request
from emperor.ctl import doctor
from emperor.ctl.console import Console
from emperor.doctor.examination import Report, Wish
from emperor.doctor.facts import Well
from emperor.doctor.finding import MAY_FAIL, Finding

SHUT = Finding("socket-mode", "blog", "socket /x: mode 0755", "502\nand so on", ("chmod g+w /x", "# or so"))
SLOW = Finding("app-slow", "blog", "blog: takes \x1b[2J long", "they wait", ("emperorctl status blog",), MAY_FAIL)
WELL = Well("shop", "answered 200 in 4 ms as www-data through unix:/y")


class Screen:
    def __init__(self, **more: Any) -> None:
        self.out: list[str] = []
        self.err: list[str] = []
        self.console = Console(self.out.append, self.err.append, _nobody, lambda seconds: None, **more)


def _nobody(request: Request, timeout: float | None) -> Iterator[dict[str, Any]]:
    raise AssertionError("the examination asks, and it is replaced here")


def shown(monkeypatch: pytest.MonkeyPatch, report: Report, *words: str, **more: Any) -> tuple[int, str, str]:
    wishes: list[Wish] = []

    def examine(wish: Wish, ask: object, tell: object) -> Report:
        wishes.append(wish)
        return report

    monkeypatch.setattr(doctor, "examine", examine)
    parser = argparse.ArgumentParser(prog="emperorctl doctor")
    parser.add_argument("--control-socket", default="/run/x/control.sock")
    doctor.add_arguments(parser)
    screen = Screen(**more)
    code = doctor.run(parser.parse_args(words), screen.console)
    return code, "".join(screen.out), "".join(screen.err)


def test_what_fails_comes_first_each_with_what_why_and_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = shown(monkeypatch, Report((SLOW, SHUT), (WELL,)))
    assert code == 1
    assert out == (
        "blog: socket /x: mode 0755\n"
        "    502\n"
        "    and so on\n"
        "  mend: chmod g+w /x\n"
        "  mend: # or so\n"
        "\n"
        "blog: takes \\x1b[2J long\n"
        "    they wait\n"
        "  mend: emperorctl status blog\n"
        "\n"
        "shop: OK: answered 200 in 4 ms as www-data through unix:/y\n"
        "1 problem: requests fail, 1 warning: requests may fail\n"
    )


def test_colour_is_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = shown(monkeypatch, Report((SHUT,), ()), colour=True)
    assert "\x1b[31msocket /x: mode 0755\x1b[0m" in out


def test_programs_get_every_field(monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = shown(monkeypatch, Report((SHUT,), (WELL,)), json=True)
    assert json.loads(out) == [{**SHUT._asdict(), "mend": list(SHUT.mend)}]


@pytest.mark.parametrize(
    ("report", "codes"),
    [
        (Report((), (WELL,)), (0,)),
        (Report((SLOW,), ()), (1,)),
        (Report((), (), strangers=("nobody",)), (4, 6)),
        (Report((SHUT,), (), denied=True), (4,)),
    ],
)
def test_exit_codes(monkeypatch: pytest.MonkeyPatch, report: Report, codes: tuple[int, ...]) -> None:
    assert shown(monkeypatch, report)[0] in codes


def test_what_was_not_looked_at_is_said_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = shown(monkeypatch, Report((), (), unseen=("blog: its files -- ask as root",)))
    assert (code, out) == (0, "nothing found\n")
    assert err == "emperorctl: not looked at: blog: its files -- ask as root\n"


def test_a_name_that_no_vassal_can_have_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, Report((), ()), "../x")[0] == 6
