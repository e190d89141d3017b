"""Damaged inputs into a running daemon of root's and the workers of its users (``python -m fuzzing``, live)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fuzzing import live
from fuzzing.page import report
from fuzzing.trial import Keeping
from tests.e2e.harness.people import Users
from tests.requirements import needs

pytestmark = needs("root", "useradd")

SEED = int(os.environ.get("EMPEROR_FUZZ_SEED") or "1")
INPUTS = {"ini": 400, "control": 1000, "channel": 1000, "uwsgi": 1500, "fastcgi": 1500, "http": 1500}
REACHED = {
    "ini": {"invalid", "idle"},
    "control": {"stranger: 2", "stranger: 4", "root: 0", "root: 2", "closed"},
    "channel": {"refused", "serving", "failed", "lines", "workers"},
    "uwsgi": {"200", "400", "500", "left", "closed"},
    "fastcgi": {"answered", "management", "left", "closed"},
    "http": {"200", "400", "left", "closed"},
}
"""What must have come of some, or nothing is shown."""


@pytest.mark.parametrize("key", INPUTS)
def test_nobody_dies_or_grows_or_stops_to_answer(key: str, emperor_venv: Path, users: Users, folder: Path) -> None:
    places = live.Places(emperor_venv, users.alice.name, Keeping(folder / "failures"))
    result = live.play(key, INPUTS[key], SEED, places, lambda text: None)
    assert result.failures == [], report([result])
    assert REACHED[key] <= set(result.outcomes), report([result])
