"""May the installed program take over? Its own check decides."""

from __future__ import annotations

import pytest

from emperor.succession import handover
from emperor.succession.upgrade import verdict
from emperor.system.reexec import Program

BLOG, SHOP = "/etc/emperor/vassals.d/blog.ini", "/etc/emperor/vassals.d/shop.ini"


@pytest.mark.parametrize(
    ("code", "output", "sound"),
    [
        (0, f"{BLOG}: OK\n{SHOP}: OK\n", [BLOG, SHOP]),
        (0, "", []),
        # What we cannot read either is no reason.
        (1, f"{BLOG}: OK\n{SHOP}:3: processes: 'many' is no number\n", [BLOG]),
        (0, f"warning: {BLOG}:2: colour: unknown option\n{BLOG}: OK\n", [BLOG]),
        # It reads more than we do.
        (0, f"{BLOG}: OK\n{SHOP}: OK\n", [BLOG]),
    ],
)
def test_who_reads_all_that_we_can_may(code: int, output: str, sound: list[str]) -> None:
    assert verdict(code, output + handover.READ + "\n", sound) == ""


@pytest.mark.parametrize(
    ("code", "output", "sound", "reason"),
    [
        (1, f"{BLOG}: OK\n{SHOP}:3: mount: no\n", [BLOG, SHOP], f"cannot read what this one can: {SHOP}:3: mount: no"),
        (1, "Traceback …\nImportError: no h11\n", [BLOG], "cannot read what this one can: ImportError: no h11"),
        (1, "emperor: handover: cannot be read: format 2\n", [], "check failed: emperor: handover: cannot be read"),
        (1, "", [], "check failed: exit code 1"),
        # Nobody's inis are lost, and still it could not start.
        (1, "Traceback …\nTimeoutExpired: 30 s\n", [], "check failed: TimeoutExpired: 30 s"),
        (0, f"{BLOG}: OK\n", [BLOG], "check failed: exit code 0"),
        (2, "usage: emperor\n", [], "check failed: usage: emperor"),
        (-9, f"{BLOG}: OK\n", [BLOG], "killed by SIGKILL"),
        (0, "", [BLOG], "cannot read what this one can: exit code 0"),
    ],
)
def test_who_cannot_does_not_and_the_reason_is_told(code: int, output: str, sound: list[str], reason: str) -> None:
    assert reason in verdict(code, output, sound)


def test_an_option_is_put_before_the_programs_own_arguments() -> None:
    program = Program(("/venv/bin/python3", "-P", "/venv/bin/emperor", "--tyrant", "vassals.d"), "/srv", 2)
    assert program.asked_to("--check") == [
        "/venv/bin/python3",
        "-P",
        "/venv/bin/emperor",
        "--check",
        "--tyrant",
        "vassals.d",
    ]
    assert Program(("python3", "/venv/bin/emperor"), "/", 0).asked_to("--check")[-1] == "--check"
