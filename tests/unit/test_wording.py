"""The line that tells what has become of a vassal."""

from __future__ import annotations

from dataclasses import replace

from emperor.model import HTTP, TCP, UNIX, UWSGI, Address, SocketSpec
from emperor.supervision import generation as gen
from emperor.supervision.events import Called, Configured, Order, Outdated, Tired
from emperor.supervision.generation import Patience
from emperor.supervision.record import Vassal, Wanted
from emperor.supervision.wording import change, summary
from tests.unit.vassal_world import ONE, app

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


def test_what_begins_to_serve_tells_where() -> None:
    sockets = (SocketSpec(UWSGI, Address(UNIX, "/tmp/x.sock")), SocketSpec(HTTP, Address(TCP, host="::1", port=8000)))
    after = replace(RUNNING, proven=replace(ONE, sockets=sockets))
    line = "RUNNING (generation 2): serves on /tmp/x.sock (uwsgi), [::1]:8000 (http)"
    assert change(Vassal("blog", incoming=BEGUN), after) == f"STARTING -> {line}"
    assert change(replace(after, incoming=gen.born(3, Patience(60.0, 30.0), 2.0)), after) == f"RELOADING -> {line}"
    failed = replace(after, error="ImportError: no", rejected="ImportError: no")
    assert "serves on" not in change(replace(after, incoming=gen.born(3, Patience(60.0, 30.0), 2.0)), failed)


def test_the_summary_counts_by_state() -> None:
    stopped = Vassal("shop", wanted=Wanted.DOWN)
    assert summary([]) == "0 vassals"
    assert summary([RUNNING]) == "1 vassal: 1 running"
    assert summary([stopped, RUNNING, RUNNING]) == "3 vassals: 2 running, 1 stopped"


def test_the_summary_names_those_in_trouble_last() -> None:
    paused, invalid = Vassal("shop", retry_at=9.0), Vassal("cart")
    assert summary([paused, RUNNING]) == "2 vassals: 1 running, 1 backoff: shop"
    assert summary([invalid, paused, RUNNING]).startswith("3 vassals: 1 running, ")
    many = [Vassal(f"v{number}", retry_at=9.0) for number in range(7)]
    assert summary(many) == "7 vassals: 7 backoff: v0 v1 v2 v3 v4 …"


LAZY = app("lazy", on_demand=True, idle=60.0)
ASLEEP = Vassal("blog", spec=LAZY, proven=LAZY, asleep=True, heeds=LAZY)


def test_who_falls_asleep_and_wakes_tells_why() -> None:
    awake = replace(RUNNING, spec=LAZY, proven=LAZY)
    where = "listens on /run/emperor/lazy.sock (uwsgi)"
    assert change(awake, ASLEEP, Tired(2)) == f"RUNNING -> IDLE: {where}, after 60 s without a request"
    starting = replace(ASLEEP, asleep=False, heeds=None, incoming=BEGUN)
    assert change(ASLEEP, starting, Called()) == "IDLE -> STARTING (generation 2): somebody has connected"
    assert change(ASLEEP, starting, Order("restart")) == "IDLE -> STARTING (generation 2): restart was ordered"


def test_a_reload_and_an_end_tell_why() -> None:
    reloading = replace(RUNNING, incoming=gen.born(3, Patience(60.0, 30.0), 2.0))
    line = "RUNNING -> RELOADING (generation 2): "
    assert change(RUNNING, reloading, Configured(LAZY)) == line + "its ini was read anew"
    assert change(RUNNING, reloading, Outdated(2)) == line + "its app has changed"
    ending = replace(RUNNING, wanted=Wanted.DOWN)
    line = "RUNNING -> STOPPING (generation 2): "
    assert change(RUNNING, ending, Order("stop")) == line + "stop was ordered"
    assert change(RUNNING, ending, Order("remove")) == line + "its ini is gone"
    assert change(RUNNING, ending, Order("remove", why="the emperor ends")) == line + "the emperor ends"


def test_to_open_sockets_is_not_worth_a_line() -> None:
    assert change(Vassal("blog"), Vassal("blog", incoming=BEGUN, binds=True, asleep=True), Configured(LAZY)) == ""


def test_a_reload_for_a_lost_socket_does_not_blame_the_ini() -> None:
    after = replace(RUNNING, incoming=gen.born(3, Patience(60.0, 30.0), 2.0))
    assert change(RUNNING, after, Configured(ONE)).endswith(": its ini was read anew")
    assert change(RUNNING, after, Configured(ONE, why="its socket file is gone")).endswith(": its socket file is gone")
