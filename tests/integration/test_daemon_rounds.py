"""Several vassals in one round of the daemon: what goes wrong with one costs the others nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.config.spec import Checked
from emperor.control.messages import Policy
from emperor.daemon import Emperor
from emperor.intake.reading import Reader, Reading, Settings
from emperor.model import ADMIN, Authority
from emperor.supervision.events import Spawn
from emperor.supervision.record import state
from emperor.system.eventloop import Loop
from emperor.system.notify import Notifier
from emperor.tending import performer as hands
from emperor.tending.performer import Performer
from tests.integration.kernel_world import Notes, drive, raise_it, unix, vassal_spec


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The starts that were tried: nothing comes of them, and one of them raises what nobody foresaw."""
    tried: list[str] = []

    def spawn(performer: Performer, order: Spawn) -> None:
        tried.append(performer.name)
        if performer.name == "m":
            raise ZeroDivisionError("a bug")

    monkeypatch.setitem(hands._DO, Spawn, spawn)
    return tried


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[Emperor]:
    loop, notifier = Loop(raise_it), Notifier({})
    one = Emperor(
        Reader(Settings(runtime=str(tmp_path))), loop, Notes(), notifier, str(tmp_path / "c.sock"), Policy(0, None)
    )
    yield one
    one.control.close()
    notifier.close()
    loop.close()


def test_a_start_that_raises_is_a_failure_of_its_own_vassal_alone(
    emperor: Emperor, spawned: list[str], tmp_path: Path
) -> None:
    for name in ("a", "m", "z"):
        spec = vassal_spec(tmp_path, unix(tmp_path / f"{name}.sock"), name=name)
        emperor.intake.take(name, Reading(Checked(spec, ()), Authority(ADMIN)), reload=True)
    assert spawned == ["a", "m", "z"]
    assert {name: state(one) for name, one in emperor.vassals.items()} == {
        "a": "STARTING",
        "m": "BACKOFF",
        "z": "STARTING",
    }
    assert emperor.vassals["m"].error == "not started: a bug"
    assert any("ZeroDivisionError" in line for line in emperor.journal.lines)  # type: ignore[attr-defined]  # it is Notes
    drive(emperor.loop, lambda: spawned.count("m") == 2)
