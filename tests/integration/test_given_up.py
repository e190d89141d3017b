"""Killed, and not dead: whose filesystem hangs in its own exit is not waited for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from emperor.supervision.events import Signal
from emperor.supervision.generation import Action
from emperor.system.eventloop import Loop
from emperor.tending import performer as hands
from emperor.tending.performer import Performer
from tests.integration.kernel_world import Notes, drive, raise_it


@pytest.mark.parametrize("dies", [False, True])
def test_what_does_not_die_of_a_kill_counts_as_ended_soon(monkeypatch: pytest.MonkeyPatch, dies: bool) -> None:
    monkeypatch.setattr(hands, "OVER", 0.01)
    loop, ended, killed, past = Loop(raise_it), list[Any](), list[Any](), list[int]()
    nobody: Any = SimpleNamespace()
    performer = Performer(
        "blog", loop, Notes(), "", nobody, nobody, nobody, nobody, nobody, lambda event: None, lambda: None
    )
    crib = SimpleNamespace(number=1, child="child", told=False)
    performer._cribs[1] = cast(Any, crib)
    monkeypatch.setattr(hands.processes, "kill_group", killed.append)
    monkeypatch.setattr(performer, "_ended", ended.append)
    performer.do(Signal(1, Action.KILL))
    assert (killed, ended, crib.told) == (["child"], [], True)
    if dies:
        del performer._cribs[1]
    loop.call_at(loop.now() + 0.05, lambda: past.append(1))
    drive(loop, lambda: past if dies else ended)
    assert ended == ([] if dies else [crib])
    loop.close()
