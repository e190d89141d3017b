"""How much of a vassal's talk is heard in a second, and that what is not heard is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emperor.supervision.ration import (
    BATCHES,
    BURST,
    BYTES,
    DATAGRAMS,
    LINES,
    OF_A_LINE,
    RATE,
    Purse,
    Ration,
    admit,
    is_over,
    pay,
    refresh,
    spend,
)

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


def printed(purse: Purse, lines: int, size: int, seconds: float) -> tuple[Purse, int, int]:
    """So many lines, evenly over so long: the bytes that are written, and how many lines were told to be lost."""
    written = told = 0
    begun = purse.since
    for number in range(lines):
        purse, well, lost = pay(purse, size, begun + seconds * (number + 1) / lines)
        written += (size + OF_A_LINE) * well
        told += lost
    return purse, written, told


def test_what_one_user_s_vassals_put_into_the_emperor_s_log_is_bounded_however_long() -> None:
    purse, written, told = printed(Purse(since=NOON), 60_000, 4000, 30.0)
    assert BURST + 28 * RATE <= written <= BURST + 30 * RATE
    assert told + purse.lost == 60_000 - written // (4000 + OF_A_LINE)


def test_who_is_over_is_silent_for_a_second_so_that_words_on_what_is_lost_stay_few() -> None:
    purse, _, _ = printed(Purse(since=NOON), 5_000, 4000, 1.0)
    assert purse.lost
    words = 0
    for number in range(20_000):
        purse, _, lost = pay(purse, 4000, NOON + 1 + number / 2000)
        words += bool(lost)
    assert 1 <= words <= 11


def test_an_app_that_means_well_never_loses_a_line() -> None:
    purse, written, told = printed(Purse(since=NOON), 60_000, 100, 60.0)
    assert (purse.lost, told, written) == (0, 0, 60_000 * (100 + OF_A_LINE))


def test_when_the_flood_is_over_what_was_lost_is_told_without_another_line() -> None:
    purse, _, _ = printed(Purse(since=NOON), 5_000, 4000, 1.0)
    assert purse.lost
    assert not is_over(purse, purse.since)
    assert is_over(purse, purse.since + 1.0)


def test_a_clock_that_steps_back_gives_nothing() -> None:
    empty = Purse(left=0.0, since=NOON)
    assert pay(empty, 10, NOON - 100)[1] is False
