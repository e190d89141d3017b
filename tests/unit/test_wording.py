"""The line that tells what has become of a vassal."""

from __future__ import annotations

from dataclasses import replace

from emperor.supervision import generation as gen
from emperor.supervision.generation import Patience
from emperor.supervision.record import Vassal, Wanted
from emperor.supervision.wording import change, summary

BEGUN = gen.born(2, Patience(60.0, 30.0), 0.0)
READY = gen.step(BEGUN, gen.Event.READY, 1.0)[0]
RUNNING = Vassal("blog", serving=READY, last_number=2)


def test_a_first_start_comes_from_nowhere() -> None:
    assert change(Vassal("blog"), Vassal("blog", incoming=BEGUN)) == "new -> STARTING (generation 2)"


def test_nothing_is_told_when_the_state_is_the_same() -> None:
    assert change(RUNNING, replace(RUNNING, restarts=1)) == ""


def test_a_pause_tells_its_reason() -> None:
    after = Vassal("blog", retry_at=9.0, error="killed by SIGKILL", last_number=2)
    assert change(RUNNING, after) == "RUNNING -> BACKOFF: killed by SIGKILL"


def test_a_restart_at_once_tells_why_too() -> None:
    after = Vassal("blog", incoming=BEGUN, error="killed by SIGSEGV")
    assert change(RUNNING, after) == "RUNNING -> STARTING (generation 2): killed by SIGSEGV"


def test_a_failed_reload_does_not_look_like_a_good_one() -> None:
    before = replace(RUNNING, incoming=gen.born(3, Patience(60.0, 30.0), 2.0))
    after = replace(RUNNING, error="ImportError: no", rejected="ImportError: no")
    assert change(before, after) == "RELOADING -> RUNNING (generation 2): the new generation failed: ImportError: no"
    assert change(before, RUNNING) == "RELOADING -> RUNNING (generation 2)"


def test_the_summary_counts_by_state() -> None:
    stopped = Vassal("shop", wanted=Wanted.DOWN)
    assert summary([]) == "0 vassals"
    assert summary([RUNNING]) == "1 vassal: 1 running"
    assert summary([RUNNING, stopped, RUNNING]) == "3 vassals: 2 running, 1 stopped"
