"""Files that change, and when they have come to rest: each row is a history, told look by look."""

from __future__ import annotations

import itertools
import math
import random
from typing import Optional

import pytest

from emperor.supervision import quiet
from emperor.supervision.quiet import AT_ONCE, BRIEF, LONGEST, QUIET, Kind, Look, Mark, Rest, kind, look, next_look

A = "blog"

Step = tuple[float, Optional[str], bool]
"""When, the file's signature then (None: it is not there), and whether the name has come to rest with a change."""

HISTORIES: dict[str, tuple[Optional[str], list[Step]]] = {
    "a new file is told once it is quiet": (None, [(0, "v1", False), (0.25, "v1", True), (0.5, "v1", False)]),
    "a file that is known is not told": ("v1", [(0, "v1", False), (9, "v1", False)]),
    "a changed file is told once it is quiet": ("v1", [(0, "v2", False), (0.2, "v2", False), (0.25, "v2", True)]),
    "three writes are one change": (
        "v1",
        [(0, "v2", False), (0.2, "v3", False), (0.4, "v4", False), (0.64, "v4", False), (0.65, "v4", True)],
    ),
    "a change between two late looks is waited for": ("v1", [(0, "v2", False), (5, "v3", False), (5.25, "v3", True)]),
    "a removed file is told once it stays away": ("v1", [(0, None, False), (0.1, None, False), (0.25, None, True)]),
    "a file that is deleted and made again is a change": (
        "v1",
        [(0, None, False), (0.2, "v2", False), (0.3, "v2", False), (0.45, "v2", True)],
    ),
    "a file that is as it was is no change": ("v1", [(0, "v2", False), (0.2, "v1", False), (9, "v1", False)]),
    "what went back and changes again is waited for anew": (
        "v1",
        [(0, "v2", False), (0.2, "v1", False), (0.3, "v2", False), (0.5, "v2", False), (0.55, "v2", True)],
    ),
    "a file that came and went is never told": (None, [(0, "v1", False), (0.2, None, False), (9, None, False)]),
    "a file that comes back later is new": (
        "v1",
        [(0, None, False), (0.25, None, True), (5, "v1", False), (5.25, "v1", True)],
    ),
    "a file that does not rest is told now and then": ("v1", [(n / 5, f"w{n}", n == 50) for n in range(100)]),
    "a file that comes and goes without end is told while it is there": (
        "v1",
        [(n / 5, None if n % 2 == 0 else f"w{n}", n == 51) for n in range(90)],
    ),
    "that it is gone is told only at rest": (
        "v1",
        [*[(n / 5, f"w{n}", False) for n in range(49)], (9.9, None, False), (10, None, False), (10.15, None, True)],
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_file_is_told_once_it_has_come_to_rest(name: str) -> None:
    known, history = HISTORIES[name]
    at = Look({A: known} if known else {})
    for when, signature, expected in history:
        at, ripe = look(at, {A: signature} if signature else {}, when)
        assert ripe == ((A,) if expected else ()), when


def test_each_file_has_its_own_rest() -> None:
    at, ripe = look(Look(), {"a": 1, "b": 1}, 0.0)
    at, ripe = look(at, {"a": 1, "b": 2}, 0.2)
    at, ripe = look(at, {"a": 1, "b": 2}, 0.25)
    assert ripe == ("a",)
    at, ripe = look(at, {"a": 1, "b": 2}, 0.45)
    assert ripe == ("b",)


def test_removed_files_are_told_first_and_names_in_order() -> None:
    seen = {"a": 2, "c": 1, "e": 1}
    at, _ = look(Look({"a": 1, "b": 1, "d": 1, "e": 1}), seen, 0.0)
    assert look(at, seen, QUIET)[1] == ("b", "d", "a", "c")


def test_at_the_start_everything_counts_as_quiet() -> None:
    at, ripe = look(Look(), {"a": 1, "b": 1}, 0.0, AT_ONCE)
    assert (ripe, at.known, next_look(at)) == (("a", "b"), {"a": 1, "b": 1}, None)


def test_nobody_need_look_again_while_nothing_moves() -> None:
    assert next_look(Look({"a": 1})) is None


def test_the_next_look_is_due_when_the_first_of_them_may_have_come_to_rest() -> None:
    at, _ = look(Look(), {"a": 1}, 1.0)
    at, _ = look(at, {"a": 1, "b": 1}, 1.125)
    assert next_look(at) == 1.25


def test_the_announced_look_is_never_too_early_by_a_rounding() -> None:
    dice = random.Random(1)
    for _ in range(1000):
        seconds = dice.choice([QUIET, 0.1, 0.3])
        rests = dict.fromkeys(Kind, Rest(seconds, seconds, math.inf))
        at, _ = look(Look(), {"a": 1}, dice.uniform(0, 1e6), rests)
        when = next_look(at)
        assert when is not None
        assert look(at, {"a": 1}, when, rests)[1] == ("a",), when


def test_a_look_leaves_the_one_before_as_it_was() -> None:
    before = Look({"a": 1})
    look(before, {"b": 1}, 0.0, AT_ONCE)
    assert before == Look({"a": 1})


def test_a_second_is_enough_for_a_quiet_file_to_be_told() -> None:
    assert quiet.QUIET <= 0.5


# What kind of change it is ---------------------------------------------------------------------------------------

FILE = Mark(link=5, link_mtime=10, device=1, inode=5, size=100, mtime=10, ctime=10)
TOUCHED = FILE._replace(link_mtime=20, mtime=20, ctime=20)
OTHER = FILE._replace(link=6, link_mtime=20, inode=6, mtime=20, ctime=20)

KINDS: dict[str, tuple[Optional[Mark], Optional[Mark], bool, Kind]] = {
    "its times": (FILE, TOUCHED, False, Kind.TOUCHED),
    "its owner or mode": (FILE, FILE._replace(ctime=20), False, Kind.TOUCHED),
    "the times of its link": (FILE, FILE._replace(link_mtime=20), False, Kind.TOUCHED),
    "its size": (FILE, TOUCHED._replace(size=101), False, Kind.WRITTEN),
    "its size, to nothing": (FILE, TOUCHED._replace(size=0), False, Kind.WRITTEN),
    "its size, of a file that was renamed": (FILE, TOUCHED._replace(size=101), True, Kind.WRITTEN),
    "another file, just made": (FILE, OTHER, False, Kind.WRITTEN),
    "another file, renamed": (FILE, OTHER, True, Kind.REPLACED),
    "another file, whose inode was last changed after its content": (
        FILE,
        OTHER._replace(ctime=21),
        False,
        Kind.REPLACED,
    ),
    "another file, with nothing in it yet": (FILE, OTHER._replace(ctime=21, size=0), False, Kind.WRITTEN),
    "another link, renamed": (FILE, FILE._replace(link=7, link_mtime=20), True, Kind.REPLACED),
    "it is there": (None, FILE, False, Kind.WRITTEN),
    "it was moved there": (None, FILE, True, Kind.REPLACED),
    "it is gone": (FILE, None, False, Kind.WRITTEN),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_was_done_to_a_file_shows_in_its_mark(name: str) -> None:
    before, after, arrived, expected = KINDS[name]
    assert kind(before, after, arrived) is expected


def at_rest_after(at: Look, history: list[tuple[float, Mark, bool]]) -> tuple[float, Look]:
    """When it is told: as the daemon does, which looks when something happens, and when a look is due."""
    for (when, mark, arrived), following in zip(history, [*history[1:], (math.inf, None, False)], strict=True):
        names = frozenset({A} if arrived else ())
        at, ripe = look(at, {A: mark}, when, arrived=names)
        while not ripe and (due := next_look(at)) is not None and due < following[0]:
            when = due
            at, ripe = look(at, {A: mark}, due)
        if ripe:
            return when, at
    raise AssertionError("never told")


def test_a_touch_and_a_whole_file_in_its_place_are_told_soon() -> None:
    assert at_rest_after(Look({A: FILE}), [(1.0, TOUCHED, False)])[0] == 1.0 + BRIEF
    assert at_rest_after(Look({A: FILE}), [(1.0, OTHER, True)])[0] == 1.0 + BRIEF


def test_a_copy_that_is_then_touched_is_one_change() -> None:
    again = TOUCHED._replace(mtime=21, ctime=21)
    assert at_rest_after(Look({A: FILE}), [(1.0, TOUCHED, False), (1.02, again, False)])[0] == 1.02 + BRIEF


def test_that_a_file_was_renamed_may_be_heard_after_it_was_seen() -> None:
    assert at_rest_after(Look({A: FILE}), [(1.0, OTHER, False), (1.125, OTHER, True)])[0] == 1.125


def test_what_was_half_written_is_not_made_whole_by_a_touch_but_by_a_whole_file() -> None:
    half = TOUCHED._replace(size=50)
    full = TOUCHED._replace(mtime=21, ctime=21)
    assert at_rest_after(Look({A: FILE}), [(1.0, half, False), (1.2, full, False)])[0] == 1.2 + QUIET
    same = half._replace(mtime=21, ctime=21)
    assert at_rest_after(Look({A: FILE}), [(1.0, half, False), (1.2, same, False)])[0] == 1.2 + QUIET
    assert at_rest_after(Look({A: FILE}), [(1.0, half, False), (1.2, OTHER, True)])[0] == 1.2 + BRIEF


def test_three_pieces_a_fifth_of_a_second_apart_are_one_change_however_they_are_written() -> None:
    """In place, cut to nothing first, and in a new file of that name."""
    for place in (FILE, OTHER):
        pieces = [place._replace(size=size, mtime=size, ctime=size) for size in (0, 40, 100, 140)]
        history = [(1.0 + 0.2 * number, piece, False) for number, piece in enumerate(pieces)]
        when, at = at_rest_after(Look({A: FILE}), history)
        assert (when, at.known[A]) == (history[-1][0] + QUIET, pieces[-1])


def times_told(step: float, seconds: float) -> list[float]:
    """One who touches a file again and again, and looks that are made at each of it."""
    at, told = Look({A: FILE}), []
    for number in range(round(seconds / step)):
        now = 1.0 + number * step
        while (due := next_look(at)) is not None and due < now:
            at, ripe = look(at, {A: at.moving[A].signature}, due)
            told += [due] * len(ripe)
        at, ripe = look(at, {A: TOUCHED._replace(mtime=30 + number, ctime=30 + number)}, now)
        told += [now] * len(ripe)
    return told


@pytest.mark.parametrize("step", [0.01, 0.04, 0.1, 0.2, 0.24])
def test_a_file_that_is_touched_on_and_on_is_told_of_now_and_then(step: float) -> None:
    told = times_told(step, 20.0)
    assert 20.0 / (LONGEST + 1.0) - 1 <= len(told) <= 20.0 / 1.0
    assert all(later - earlier > QUIET for earlier, later in itertools.pairwise(told))


def test_ten_thousand_touches_of_a_hundred_files_in_five_seconds_are_few_reloads_each() -> None:
    dice = random.Random(4)
    names = [f"site{number}" for number in range(100)]
    marks = dict.fromkeys(names, FILE)
    at, told = Look(dict(marks)), dict.fromkeys(names, 0)
    for number in range(10_000):
        name = dice.choice(names)
        marks[name] = FILE._replace(mtime=number + 20, ctime=number + 20)
        if number % 100 == 99:
            at, ripe = look(at, marks, number * 0.0005)
            for one in ripe:
                told[one] += 1
    at, ripe = look(at, marks, 10.0)
    assert at.known == marks
    assert max(told.values()) <= 4
    assert sum(told.values()) <= 100 * 4


def test_who_was_told_of_is_forgotten() -> None:
    _, at = at_rest_after(Look({A: FILE}), [(1.0, TOUCHED, False)])
    assert set(at.told) == {A}
    assert look(at, {A: TOUCHED}, 9.0)[0].told == {}


def test_a_file_that_gets_another_vassals_name_is_told_of_together_with_the_old_ones_end() -> None:
    """The socket of the one is handed over to the other only while both are known."""
    moved = FILE._replace(ctime=50)
    at, ripe = look(Look({"a": FILE}), {"b": moved}, 1.0, arrived={"b"})
    assert ripe == ()
    assert next_look(at) == 1.0 + QUIET
    assert look(at, {"b": moved}, 1.0 + QUIET)[1] == ("a", "b")
