"""How much of a vassal's talk is heard in a second, and that what is not heard is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emperor.supervision.ration import BATCHES, BYTES, DATAGRAMS, LINES, Ration, admit, refresh, spend

NOON = 1000.0


def test_a_seconds_lines_are_heard_and_no_more() -> None:
    ration, heard, told = admit(Ration(), LINES - 1)
    assert (heard, told) == (LINES - 1, 0)
    ration, heard, told = admit(ration, 3)
    assert (heard, told, ration.lost) == (1, 0, 2)
    assert admit(ration, 5)[1] == 0


def test_lost_lines_are_told_of_once_with_the_next_one_that_is_heard() -> None:
    ration, _, _ = admit(Ration(since=NOON), LINES + 7)
    ration, heard, told = admit(ration, 3)
    assert (heard, told, ration.lost) == (0, 0, 10)
    ration, heard, told = admit(refresh(ration, NOON + 1), 1)
    assert (heard, told, ration.lost) == (1, 10, 0)
    assert admit(ration, 1)[1:] == (1, 0)


def test_lines_that_were_lost_before_are_told_while_the_same_batch_loses_more() -> None:
    ration, heard, told = admit(Ration(lost=4), LINES + 2)
    assert (heard, told, ration.lost) == (LINES, 4, 2)


def test_no_line_at_all_changes_nothing() -> None:
    assert admit(Ration(lost=4), 0) == (Ration(lost=4), 0, 0)


def test_within_its_second_a_ration_stays_what_is_left_of_it() -> None:
    left = Ration(NOON, 1, 2, 3, 4, 5)
    assert refresh(left, NOON + 0.999) == left


def test_the_next_second_has_a_whole_ration_and_remembers_what_was_lost() -> None:
    assert refresh(Ration(NOON, 0, -1, -5, 4, 0), NOON + 1.0) == Ration(since=NOON + 1.0, lost=4)


def test_an_idle_time_is_not_saved_up() -> None:
    assert refresh(Ration(NOON), NOON + 3600) == Ration(NOON + 3600, LINES, DATAGRAMS, BYTES, 0, BATCHES)


@pytest.mark.parametrize("spent", [{"datagrams": 0}, {"size": 0}, {"batches": 0}, {"datagrams": -1}, {"size": -8191}])
def test_without_datagrams_or_bytes_nothing_more_is_read(spent: dict[str, int]) -> None:
    assert replace(Ration(), **spent).exhausted


@pytest.mark.parametrize("left", [{}, {"lines": 0}, {"datagrams": 1, "size": 1}])
def test_lines_alone_are_read_and_counted(left: dict[str, int]) -> None:
    assert not replace(Ration(), **left).exhausted


def test_lines_and_other_messages_are_counted_apart_and_their_bytes_together() -> None:
    spent = spend(spend(Ration(NOON), datagrams=1, size=100), batches=1, size=50)
    assert spent == Ration(NOON, datagrams=DATAGRAMS - 1, batches=BATCHES - 1, size=BYTES - 150)
