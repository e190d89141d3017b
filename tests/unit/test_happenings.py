"""Which steps of a vassal's record are events, of which kind, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from emperor.supervision import happenings as h
from emperor.supervision.events import (
    Begun,
    Called,
    Configured,
    Exit,
    Exited,
    Misconfigured,
    Order,
    Ready,
    Tick,
    Tired,
    VassalEvent,
)
from emperor.supervision.record import Vassal
from emperor.supervision.reports import WorkerReport
from emperor.supervision.vassal import step
from tests.unit.vassal_world import BAD_LINE, ONE, app

DEAD = Exit(None, 9, "killed by SIGKILL", 1.0)
WELL = Exit(0, None, "exited with code 0", 1.0)


class Life:
    """Steps of one record, and what is told of them."""

    def __init__(self) -> None:
        self.vassal, self.now = Vassal("blog"), 1000.0
        self.told: list[h.Happening] = []

    def goes(self, *events: VassalEvent) -> list[str]:
        """The kinds of what is told of these events."""
        before = len(self.told)
        for event in events:
            self.now += 5.0
            after, _ = step(self.vassal, event, self.now)
            self.told += h.happenings(self.vassal, after, event)
            self.vassal = after
        return [one.kind for one in self.told[before:]]

    @property
    def last(self) -> h.Happening:
        return self.told[-1]

    def runs(self, **options: Any) -> Life:
        self.goes(Configured(app("one", **options)), Begun(1), Ready(1))
        assert self.last == h.Happening(h.STATE, "STARTING", "RUNNING", 1, "serves on /run/emperor/one.sock (uwsgi)")
        return self


def test_a_start_is_two_changes_of_state() -> None:
    life = Life()
    assert life.goes(Configured(ONE), Begun(1), Ready(1)) == [h.STATE, h.STATE]
    assert [(one.before, one.after) for one in life.told] == [(None, "STARTING"), ("STARTING", "RUNNING")]


def test_a_crash_tells_how_it_ended_and_of_which_generation() -> None:
    life = Life().runs()
    assert life.goes(Exited(1, DEAD, 0.5)) == [h.CRASH]
    assert (life.last.number, life.last.exit, life.last.before) == (1, DEAD, "RUNNING")
    assert "killed by SIGKILL" in life.last.reason


def test_a_stop_is_no_crash() -> None:
    life = Life().runs()
    assert life.goes(Order("stop"), Exited(1, WELL, 0.5)) == [h.STATE, h.STATE]
    assert [one.reason for one in life.told[-2:]] == ["stop was ordered", "exited with code 0"]
    assert life.last.after == "STOPPED"


def test_a_start_that_fails_is_told_and_the_last_one_gives_up() -> None:
    life = Life()
    life.goes(Configured(app("one", max_restarts=1)), Begun(1))
    assert life.goes(Exited(1, DEAD, 0.5)) == [h.START_FAILED]
    life.now += 100.0
    life.goes(Tick())
    assert life.goes(Exited(2, DEAD, 0.5)) == [h.START_FAILED]
    assert life.last.after == "FATAL"


def test_a_reload_is_begun_and_done() -> None:
    life = Life().runs()
    assert life.goes(Configured(app("two"), reload=True)) == [h.RELOAD_BEGUN]
    assert (life.last.number, life.last.reason) == (2, "its ini was read anew")
    assert life.goes(Begun(2), Ready(2)) == [h.RELOAD_DONE]
    assert life.last.number == 2
    assert life.goes(Exited(1, WELL, 0.5)) == [], "the older one only leaves"


def test_a_reload_that_fails_is_rolled_back() -> None:
    life = Life().runs()
    life.goes(Configured(app("two"), reload=True), Begun(2))
    assert life.goes(Exited(2, DEAD, 0.5)) == [h.RELOAD_FAILED]
    assert (life.last.before, life.last.after, life.last.number) == ("RELOADING", "RUNNING", 2)


def test_an_invalid_ini_is_told_once_and_when_it_is_mended() -> None:
    life = Life().runs()
    assert life.goes(Misconfigured((BAD_LINE,))) == [h.INVALID]
    assert life.last.reason == str(BAD_LINE)
    assert life.goes(Misconfigured((BAD_LINE,))) == []
    assert life.goes(Configured(app("two"), reload=True)) == [h.MENDED, h.RELOAD_BEGUN]


def test_an_invalid_first_ini_is_one_event() -> None:
    life = Life()
    assert life.goes(Misconfigured((BAD_LINE,))) == [h.INVALID]
    assert (life.last.before, life.last.after) == (None, "INVALID")


def test_an_order_to_scale_tells_how_many() -> None:
    life = Life().runs()
    assert life.goes(Order("scale", 3)) == [h.SCALED]
    assert life.last.workers == 3


def test_sleep_and_waking_are_told() -> None:
    life = Life().runs(idle=1.0)
    assert life.goes(Tired(1)) == [h.ASLEEP]
    assert life.last.reason == "after 1 s without a request"
    life.goes(Exited(1, WELL, 0.5))
    assert life.goes(Called()) == [h.WOKEN]
    assert life.last.reason == "somebody has connected"


def test_that_sockets_are_only_opened_is_no_event() -> None:
    life = Life()
    assert life.goes(Configured(app("one", on_demand=True)), Begun(1)) == []
    assert life.goes(Exited(1, WELL, 0.5)) == [h.ASLEEP]
    assert life.last.exit is not None


@pytest.mark.parametrize(("exits", "died"), [((1, 0), []), ((1, 1), [2]), ((3, 5), [1, 2])])
def test_a_worker_has_died_if_its_seat_counts_one_more(exits: tuple[int, int], died: list[int]) -> None:
    rows = [WorkerReport(number, 10, "idle", 0, 0, 0) for number in (1, 2)]
    before = [replace(rows[0], exits=1), rows[1]]
    after = [replace(row, exits=count) for row, count in zip(rows, exits)]
    assert [one.id for one in h.deaths(before, after)] == died


def test_who_makes_up_deaths_is_told_of_a_few() -> None:
    rows = [WorkerReport(number, 10, "idle", 0, 0, 0, exits=1) for number in range(1000)]
    assert len(h.deaths((), rows)) == h.MOST_DEATHS
