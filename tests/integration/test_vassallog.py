"""Where a vassal's lines go when its file is there, is not, and is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.config import placement
from emperor.model import ADMIN, Authority, VassalSpec
from emperor.system import logs
from emperor.tending.vassallog import VassalLog
from tests.integration.kernel_world import Notes, vassal_spec


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def log(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> Iterator[VassalLog]:
    """One whose files the emperor opens, wherever the tests keep theirs."""
    monkeypatch.setattr("emperor.tending.vassallog.opener", lambda authority, ours: placement.EMPEROR)
    log = VassalLog("blog", notes)
    yield log
    log.close()


def keeps(folder: Path, path: object) -> VassalSpec:
    return replace(vassal_spec(folder), logto=str(path), authority=Authority(ADMIN))


def test_lines_go_to_the_file_and_nothing_is_wrong(log: VassalLog, notes: Notes, tmp_path: Path) -> None:
    log.follow(keeps(tmp_path, tmp_path / "log"))
    log.say("one")
    assert (tmp_path / "log").read_text().endswith(" one\n")
    assert (log.warning, notes.lines) == ("", [])


def test_a_file_that_cannot_be_opened_is_a_warning_as_long_as_it_is_so(
    log: VassalLog, notes: Notes, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.mkdir()
    log.follow(keeps(tmp_path, path))
    log.say("one")
    assert log.warning == f"logto {path}: Is a directory -- its lines are in the emperor's log"
    assert notes.lines == [f"warning: blog: logto {path}: Is a directory -- its lines stay here", "app: blog: one"]
    path.rmdir()
    log.follow(keeps(tmp_path, path))
    log.say("two")
    assert log.warning == "" and path.read_text().endswith(" two\n")


def test_a_file_that_cannot_be_opened_anew_is_said(log: VassalLog, notes: Notes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    log.follow(keeps(tmp_path, path))
    path.rename(tmp_path / "log.1")
    path.mkdir()
    log.reopen()
    assert "Is a directory" in log.warning and len(notes.lines) == 1
    path.rmdir()
    log.reopen()
    assert log.warning == ""


def test_a_full_disk_is_a_warning_until_a_line_can_be_written(
    log: VassalLog, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.tending.vassallog.open_for_append", lambda path: os.open("/dev/full", os.O_WRONLY))
    log.follow(keeps(tmp_path, tmp_path / "log"))
    log.say("one")
    log.say("two")
    assert log.warning == f"logto {tmp_path}/log: 2 lines could not be written -- is the disk full?"
    assert len(log.ring.last(9)) == 2
    monkeypatch.setattr("emperor.tending.vassallog.open_for_append", logs.open_for_append)
    log.reopen()
    log.say("three")
    assert log.warning == ""


def test_another_file_or_none_begins_without_a_warning(log: VassalLog, notes: Notes, tmp_path: Path) -> None:
    log.follow(keeps(tmp_path, tmp_path))
    assert log.warning
    log.follow(keeps(tmp_path, ""))
    assert log.warning == ""
    log.follow(keeps(tmp_path, tmp_path))
    log.close()
    assert log.warning == ""
