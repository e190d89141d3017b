"""What is known of a vassal's child, also of one that an older program has started."""

from __future__ import annotations

import socket
from pathlib import Path

from emperor.supervision.reports import WorkerReport
from emperor.supervision.totals import EMPTY, Totals
from emperor.system.processes import Child
from emperor.tending.crib import Crib
from tests.integration.kernel_world import vassal_spec


def test_what_an_older_vassal_does_not_add_up_is_what_its_rows_say(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        crib = Crib(1, vassal_spec(tmp_path), Child(0, -1, ours, -1, 0.0), "launch.py")
        assert crib.done == EMPTY
        crib.workers = (
            WorkerReport(1, 102, "idle", 7, 1, 4096, earlier=200),
            WorkerReport(2, 103, "busy", 30, 2, 4096),
        )
        assert crib.done == Totals(requests=237, exceptions=3)
        crib.totals = Totals(requests=240, exceptions=5, sent=9)
        assert crib.done == crib.totals
