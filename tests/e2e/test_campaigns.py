"""The short form of every campaign: what is counted holds. Timings are told by the long form, and decide nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaigns.scene import Places
from campaigns.table import CAMPAIGNS, Campaign
from tests.e2e.harness.people import Users
from tests.requirements import needs

pytestmark = needs("root", "nginx", "www-data")

OURS = [one for one in CAMPAIGNS if not one.key.endswith("-peer")]


@pytest.mark.parametrize("campaign", OURS, ids=lambda one: one.key)
def test_a_campaign_keeps_its_counts(campaign: Campaign, folder: Path, emperor_venv: Path, users: Users) -> None:
    said: list[str] = []
    result = campaign.play(campaign.key, campaign.short, Places(folder, emperor_venv, users.alice.name), said.append)
    if result.skipped:
        pytest.skip(result.skipped)
    told = "\n".join((*result.notes, *(f"{one.title}: {one.value:.10g} {one.unit}" for one in result.figures)))
    assert not [one for one in result.figures if one.counted and not one.met], told
    assert result.tally.gets > result.times / 2, told
    assert said
