"""What follows from an ini tells no more of it than its lines do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from emperor.config.effective import Sight, Sources, effective
from emperor.config.language.unfolding import Source, unfold
from emperor.config.spec import build
from emperor.intake.reading import Settings
from emperor.intake.telling import derived
from tests.unit.config_world import CONTEXT, world

TEXT = """[uwsgi]
pw = hunter2
module = blog
chdir = /srv/%(pw)
logto = /var/log/%(pw).log
python = /opt/%(pw)/bin/python
socket = /srv/%(pw).sock
socket = /srv/plain.sock
"""


@pytest.mark.parametrize("whole", [True, False])
def test_a_placeholder_is_masked_in_what_follows_as_well(whole: bool) -> None:
    rows = unfold([Source(CONTEXT.config, TEXT)], world()).rows
    checked, values = build(rows, CONTEXT), effective(rows, Sources(CONTEXT.config), Sight(placeholders=whole))
    assert checked.spec is not None
    settings = cast(Settings, SimpleNamespace(tyrant=False))
    found = [(one.what, one.value) for one in derived(checked.spec, values, settings, (), checked.rows)]
    hidden = "hunter2" if whole else "***"
    assert found[1:] == [
        ("python", f"/opt/{hidden}/bin/python" if whole else hidden),
        ("folder", f"/srv/{hidden}" if whole else hidden),
        ("log", f"/var/log/{hidden}.log" if whole else hidden),
        ("socket", f"/srv/{hidden}.sock  uwsgi  not open" if whole else f"{hidden}  uwsgi  not open"),
        ("socket", "/srv/plain.sock  uwsgi  not open"),
    ]
