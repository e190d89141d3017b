"""`make bench` measures: one short row, our server on both sides."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import campaign, measure
from benchmarks.exercises import Extent
from benchmarks.rows import Claim, Contender, Row
from benchmarks.servers import Places
from tests.requirements import needs

pytestmark = [pytest.mark.e2e, needs("nginx", "wrk")]

OURS = Contender("ours", "fastcgi-kept", "bare")
CLAIMS = (Claim("cpu", 1000, 1000), Claim("rate", 0.001, 0.001))


@pytest.fixture
def places() -> Iterator[Places]:
    """In a short path that nginx's worker may enter, which pytest's own folders are not."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield Places(folder, Path(sys.prefix), folder / "no-pypy", folder / "payloads")


def test_a_row_has_figures_of_both_sides_and_leaves_no_process(places: Places) -> None:
    row = Row("smoke", "bare WSGI", OURS, Contender("ours", "uwsgi", "bare"), CLAIMS)
    said: list[str] = []
    played = campaign.play(row, Extent(rounds=1, seconds=1), places, lambda text, left: said.append(text))
    assert played.outcome.fault == ""
    cpu, rate = played.outcome.comparisons
    assert 0 < cpu.ours < 10_000 and 0 < cpu.peer < 10_000
    assert rate.ours > 0 and rate.peer > 0
    assert said[-1] == "round 1 of 1, mini-emperor"
    assert not [pid for pid in measure.parents() if str(places.folder) in _command(pid)]


def test_a_server_that_is_not_installed_is_told_and_not_measured(places: Places) -> None:
    row = Row("smoke", "bare WSGI", OURS, Contender("ours-pypy", "uwsgi", "bare"), CLAIMS)
    outcome = campaign.play(row, Extent(rounds=1, seconds=1), places, lambda text, left: None).outcome
    assert not outcome.measured
    assert "no-pypy" in outcome.fault and "pypy3 -m venv" in outcome.fault


def test_a_row_whose_app_answers_with_an_error_is_invalid(places: Places) -> None:
    row = Row("smoke", "bare WSGI", Contender("ours", "uwsgi", "download"), OURS, CLAIMS)
    outcome = campaign.play(row, Extent(rounds=1, seconds=1), places, lambda text, left: None).outcome
    assert outcome.measured
    assert "mini-emperor" in outcome.fault and "status 500" in outcome.fault


def test_a_command_is_measured_beside_itself_without_nginx_and_leaves_no_process(places: Places) -> None:
    ours = Contender("ours-many", "uwsgi", "bare", processes=2)
    row = Row("smoke", "status", ours, ours, (Claim("command", 1, 1), Claim("command-cpu")), "status")
    played = campaign.play(row, Extent(rounds=1), places, lambda text, left: None)
    assert played.outcome.fault == "" and played.nginx == ""
    assert len(played.outcome.rounds) == 4
    wall, cpu = played.outcome.comparisons
    assert cpu.ours > 0 and wall.ours > 0
    assert not [pid for pid in measure.parents() if str(places.folder) in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""
