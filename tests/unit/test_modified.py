"""What counts as a change, when it is told, and in which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from emperor.supervision import modified
from emperor.supervision.modified import (
    LONGEST,
    LOOK_AGAIN,
    SETTLE,
    Change,
    Known,
    Place,
    Signature,
    Words,
    look,
    outermost,
)

A, B, C = "v1", "v2", "v3"


def told(
    looks: Sequence[tuple[float, Signature]], absence: bool = False, before: Mapping[str, Signature] | None = None
) -> list[tuple[float, Signature]]:
    """When what was told of one file that was A, looked at at these moments."""
    state = modified.learn(Known(absence), {"f": A} if before is None else before)
    found = []
    for now, signature in looks:
        state, changes = look(state, {"f": signature}, now)
        found += [(now, one.after) for one in changes]
    return found


@pytest.mark.parametrize(
    ("what", "looks", "words"),
    [
        ("nothing", [(0.0, A), (1.0, A)], []),
        ("a change, seen twice", [(0.0, B), (0.2, B), (1.0, B)], [(0.2, B)]),
        ("a change, seen twice in no time", [(0.0, B), (0.01, B)], []),
        ("a change of a change", [(0.0, B), (0.2, C), (0.4, C)], [(0.4, C)]),
        ("a change that was taken back", [(0.0, B), (0.2, A), (0.4, A)], []),
        ("gone", [(0.0, None), (0.2, None), (9.0, None)], []),
        ("gone, and back as it was", [(0.0, None), (0.2, A), (0.4, A)], []),
        ("gone, and another in its place", [(0.0, None), (0.2, B), (0.4, B)], [(0.4, B)]),
        ("two changes", [(0.0, B), (0.2, B), (1.0, C), (1.2, C)], [(0.2, B), (1.2, C)]),
        ("truncated, gone for a moment, written", [(0.0, B), (0.1, None), (0.2, C), (0.4, C)], [(0.4, C)]),
    ],
)
def test_a_module_has_changed_when_two_looks_see_the_same(
    what: str, looks: list[tuple[float, Signature]], words: list[tuple[float, Signature]]
) -> None:
    assert told(looks) == words


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        ([(0.0, None), (0.2, None), (9.0, None)], [(0.2, None)]),
        ([(0.0, None), (0.05, B), (0.2, B)], [(0.2, B)]),
        ([(0.0, None), (0.2, None), (1.0, A), (1.2, A)], [(0.2, None), (1.2, A)]),
    ],
)
def test_where_absence_counts_a_removal_is_told(
    looks: list[tuple[float, Signature]], words: list[tuple[float, Signature]]
) -> None:
    assert told(looks, absence=True) == words


def test_a_missing_file_that_is_made_is_told() -> None:
    assert told([(0.0, None), (1.0, B), (1.2, B)], absence=True, before={"f": None}) == [(1.2, B)]


def test_a_file_that_nobody_has_learnt_of_is_new() -> None:
    assert told([(0.0, B), (0.2, B)], before={}) == [(0.2, B)]


def test_what_never_comes_to_rest_is_told_at_length() -> None:
    looks: list[tuple[float, Signature]] = [(number * LOOK_AGAIN, number) for number in range(100)]
    words = told(looks)
    assert LONGEST <= words[0][0] < LONGEST + 2 * LOOK_AGAIN
    assert len(words) == 2


def test_a_look_at_what_has_not_changed_costs_nothing_new() -> None:
    state = modified.learn(Known(False), {"a": A, "b": B})
    assert look(state, {"b": B, "a": A}, 1.0)[0] is state


def test_the_older_signature_counts_for_what_is_known_already() -> None:
    """What changed between two workers' imports of it has changed."""
    state = modified.learn(modified.learn(Known(False), {"a": A}), {"a": B, "b": C})
    assert state.files == {"a": A, "b": C}


def test_all_changes_are_told_in_the_order_of_what_is_watched() -> None:
    state = modified.learn(Known(False), {"b": A, "a": A, "c": A})
    state, _ = look(state, {"b": B, "a": B, "c": A}, 0.0)
    _, changes = look(state, {"b": B, "a": B, "c": A}, 1.0)
    assert [one.path for one in changes] == ["b", "a"]


@pytest.mark.parametrize("promised", [0.5, 1.0, 2.0, 30.0])
def test_a_change_right_after_a_look_is_told_within_the_promise(promised: float) -> None:
    assert modified.pace(promised) + LOOK_AGAIN < promised
    assert LOOK_AGAIN > SETTLE


def test_there_is_a_pause_between_looks_whatever_is_promised() -> None:
    assert modified.pace(0.01) == modified.QUICKEST


HERE, THERE = Place("/r/41", 1, 1, 0, 0), Place("/r/42", 1, 2, 0, 0)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, HERE, "touch-reload: /f was made"),
        (HERE, None, "touch-reload: /f was removed"),
        (HERE, HERE._replace(mtime=7), "touch-reload: /f was touched"),
        (HERE, HERE._replace(inode=7), "touch-reload: /f was touched"),
        (HERE, THERE, "touch-reload: /f leads to /r/42 now"),
    ],
)
def test_what_was_done_to_a_file_of_touch_reload_is_said(before: Signature, after: Signature, words: str) -> None:
    assert modified.touched(Change("/f", before, after)) == words


def test_the_words_of_py_autoreload() -> None:
    assert modified.written(Change("/a.py", A, B)) == "py-autoreload: /a.py has changed"
    assert modified.written(Change("/a.py", None, B)) == "py-autoreload: /a.py is new"
    assert modified.led_elsewhere(Change("/c", "/r/41", "/r/42")) == "py-autoreload: /c leads to /r/42 now"


def test_the_reason_names_the_first_and_counts_the_rest() -> None:
    words = modified.note(Words(), ["x", "y", "x"])
    assert modified.say(words, 0.0) == (Words((), 0.0), "x, and 1 more")
    assert modified.say(modified.note(Words(), ["x"]), 0.0)[1] == "x"
    assert modified.say(Words(), 0.0) == (Words(), "")


def test_what_comes_within_a_second_is_said_when_it_is_over() -> None:
    words, reason = modified.say(modified.note(Words(), ["a"]), 10.0)
    assert reason == "a"
    words = modified.note(words, ["b"])
    assert modified.say(words, 10.9) == (words, "")
    assert words.wait(10.75) == 0.25
    assert modified.say(words, 11.0)[1] == "b"


def test_of_more_than_anybody_reads_the_rest_is_forgotten() -> None:
    words = modified.note(Words(), map(str, range(1000)))
    assert len(words.unsaid) == modified.MOST_WORDS


@pytest.mark.parametrize(
    ("folders", "kept"),
    [
        ({"/a", "/a/b", "/ab"}, ("/a", "/ab")),
        ({"/", "/a"}, ("/a",)),
        ({"/"}, ()),
        ({"/a/", "/a"}, ("/a",)),
        ({"/a", "/a-b", "/a/c"}, ("/a", "/a-b")),
    ],
)
def test_of_folders_within_folders_the_outermost_are_walked_but_never_all(
    folders: set[str], kept: tuple[str, ...]
) -> None:
    assert outermost(folders) == kept
