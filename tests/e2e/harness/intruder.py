"""alice tries to get more than she may: her inis, and how to see that she got nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.harness.daemon import Emperor, Row, Vassal, chown
from tests.e2e.harness.people import Users

SECRET = "hunter2-of-roots"


def place(daemon: Emperor, users: Users, folder: Path, name: str = "hers", **options: Any) -> Vassal:
    """An ini of alice's in a folder, naming no uid."""
    vassal = daemon.place(name, users.alice, **{"uid": None, "gid": None, **options})
    vassal.ini = folder / f"{name}.ini"
    vassal.write()
    chown(vassal.ini, users.alice)
    return vassal


def refused(vassal: Vassal) -> Row:
    """Wait until it is known that this one does not run; what status says of it."""
    row = vassal.state("INVALID", "BACKOFF", "FATAL")
    assert not row.get("pid")
    assert row["error"]
    return row


def canary(daemon: Emperor) -> None:
    """The emperor still does its work."""
    daemon.add("canary").running()


def nothing_said(daemon: Emperor) -> None:
    """No error message quotes a file's content."""
    status = daemon.ctl("status", "--json").stdout + daemon.ctl("status").stdout
    assert SECRET not in daemon.log_text + status
