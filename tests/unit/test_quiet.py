"""Files that change, and when they have come to rest: each row is a history, told look by look."""

from __future__ import annotations

import random
from typing import Optional

import pytest

from emperor.supervision import quiet
from emperor.supervision.quiet import QUIET, Look, look, next_look

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
    "a file that never rests is never told": ("v1", [(n / 10, f"w{n}", False) for n in range(50)]),
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
    at, ripe = look(Look(), {"a": 1, "b": 1}, 0.0, quiet=0.0)
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
        rest = dice.choice([QUIET, 0.1, 0.3])
        at, _ = look(Look(), {"a": 1}, dice.uniform(0, 1e6), rest)
        when = next_look(at, rest)
        assert when is not None
        assert look(at, {"a": 1}, when, rest)[1] == ("a",), when


def test_a_look_leaves_the_one_before_as_it_was() -> None:
    before = Look({"a": 1})
    look(before, {"b": 1}, 0.0, quiet=0.0)
    assert before == Look({"a": 1})


def test_a_second_is_enough_for_a_quiet_file_to_be_told() -> None:
    assert quiet.QUIET <= 0.5
