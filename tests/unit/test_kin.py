"""What /proc says about a process, and who of our children is nobody's."""

from __future__ import annotations

import pytest

from emperor.system import kin
from emperor.system.kin import Kin

OURS = 100
"""The session of the emperor in these tests."""


def stat(pid: int, name: bytes, state: str, parent: int, group: int, session: int) -> bytes:
    return b"%d (%s) %s %d %d %d 0 -1 4194560 117 0" % (pid, name, state.encode(), parent, group, session)


@pytest.mark.parametrize("name", [b"python3", b"a b", b") S 1 1 1 (", b"", b"\xff\n)"])
def test_a_process_may_call_itself_what_it_likes(name: bytes) -> None:
    assert kin.parsed(stat(7, name, "S", 6, 5, 4)) == Kin(7, 6, 5, 4, dead=False)


@pytest.mark.parametrize(("state", "dead"), [("R", False), ("D", False), ("T", False), ("Z", True), ("X", True)])
def test_the_dead_are_told_from_the_living(state: str, dead: bool) -> None:
    found = kin.parsed(stat(7, b"x", state, 6, 5, 4))
    assert found is not None and found.dead is dead


@pytest.mark.parametrize("text", [b"", b"7 (x)", b"7 (x) S", b"7 (x) S 1 2", b"x (x) S 1 2 3 4", b"7 (x) S a b c d"])
def test_what_cannot_be_read_is_nobody(text: bytes) -> None:
    assert kin.parsed(text) is None


def child(pid: int, session: int, dead: bool = False) -> Kin:
    return Kin(pid, OURS, session, session, dead)


def test_a_child_that_left_every_known_session_is_a_stray() -> None:
    one = child(7, 6)
    assert kin.strangers([one], OURS, {5}) == ([one], [])


def test_a_dead_stray_is_still_a_stray() -> None:
    one = child(7, 6, dead=True)
    assert kin.strangers([one], OURS, {5}) == ([one], [])


def test_whom_we_look_after_is_no_stray_dead_or_alive() -> None:
    assert kin.strangers([child(5, 5), child(6, 6, dead=True)], OURS, {5, 6}) == ([], [])


def test_a_killed_vassals_worker_is_spared_and_mourned_when_it_is_dead() -> None:
    worker, other = child(7, 5), child(8, 5, dead=True)
    assert kin.strangers([worker, other], OURS, {5}) == ([], [other])


def test_whoever_is_of_our_own_session_is_somebody_elses_to_reap() -> None:
    assert kin.strangers([child(7, OURS), child(8, OURS, dead=True)], OURS, {5}) == ([], [])


def test_without_vassals_everybody_who_has_left_is_a_stray() -> None:
    one, two = child(7, 7), child(8, 7, dead=True)
    assert kin.strangers([one, two], OURS, ()) == ([one, two], [])
