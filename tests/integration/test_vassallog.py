"""Where a vassal's lines go when its file is there, is not, and is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.config import placement
from emperor.model import ADMIN, UNIX, Address, Authority, VassalSpec
from emperor.supervision.stats_word import ANSWERS, stats_word
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


def test_its_file_is_rotated_by_size_and_a_rename_that_fails_is_told_once(
    log: VassalLog, notes: Notes, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    log.follow(replace(keeps(tmp_path, path), log_maxsize=100, log_keep=2))
    for number in range(12):
        log.say(f"[1] line {number}")
    names = ["log", "log.1", "log.2"]
    assert sorted(one.name for one in tmp_path.iterdir()) == names
    assert all((tmp_path / name).stat().st_size <= 100 for name in names)
    assert (log.warning, notes.lines) == ("", [])
    (tmp_path / "log.2").unlink()
    (tmp_path / "log.2").mkdir()
    for number in range(12):
        log.say(f"[1] more {number}")
    told = f"logto {path}: cannot be rotated: Is a directory -- it grows"
    assert (log.warning, notes.lines) == (told, [f"warning: blog: {told}"])
    assert "more 0" in path.read_text() + (tmp_path / "log.1").read_text() and "more 11" in path.read_text()


def test_a_file_in_a_folder_that_became_somebody_elses_is_not_renamed(
    log: VassalLog, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.follow(replace(keeps(tmp_path, tmp_path / "log"), log_maxsize=50))
    monkeypatch.setattr("emperor.tending.vassallog.opener", lambda authority, ours: placement.VASSAL)
    for number in range(9):
        log.say(f"line {number}")
    assert [one.name for one in tmp_path.iterdir()] == ["log"] and "not root's alone" in log.warning


def test_what_a_vassal_says_of_the_log_that_it_keeps_is_a_warning_until_it_can_write(
    log: VassalLog, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emperor.tending.vassallog.opener", lambda authority, ours: placement.VASSAL)
    path = tmp_path / "log"
    log.follow(keeps(tmp_path, path))
    log.hear([f"[1] logto {path}: printed by the app", "[1] one"], 0)
    assert (log.warning, notes.lines) == ("", [])
    word = logs.word_on(str(path), "No space left on device -- lines are lost")
    log.hear([word, "[1] two"], 0)
    assert log.warning == word and notes.lines == [f"app: blog: {word}", "app: blog: [1] two"]
    heir = VassalLog("blog", notes)
    heir.follow(keeps(tmp_path, path))
    heir.recall(log.vassals_word)
    assert heir.warning == word
    log.hear([logs.written_again(str(path)), "[1] three"], 0)
    assert log.warning == "" and len(notes.lines) == 2
    assert not path.exists()


def test_a_vassal_that_cannot_tell_its_numbers_is_a_warning_until_it_can(
    log: VassalLog, notes: Notes, tmp_path: Path
) -> None:
    spec = replace(vassal_spec(tmp_path), stats=Address(UNIX, "/x/numbers"))
    log.follow(spec)
    word = stats_word("/x/numbers", "bind: Permission denied; the app serves, and this is tried again")
    log.hear([f"[1] {word}", "[1] one"], 0)
    assert log.stats_warning == ""
    log.hear([word, "[1] two"], 0)
    assert (log.stats_warning, log.warning) == (word, "")
    heir = VassalLog("blog", notes)
    heir.follow(spec)
    heir.recall(log.vassals_word, log.stats_warning)
    assert heir.stats_warning == word
    log.hear([stats_word("/x/numbers", ANSWERS)], 0)
    assert log.stats_warning == ""
    heir.follow(replace(spec, stats=None))
    heir.hear([word], 0)
    assert heir.stats_warning == ""


def test_a_file_that_could_not_be_opened_is_opened_as_soon_as_it_can_be(
    log: VassalLog, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOOK_EVERY", 0.0)
    path = tmp_path / "none" / "log"
    log.follow(keeps(tmp_path, path))
    log.say("one")
    assert notes.lines[-1] == "app: blog: one"
    path.parent.mkdir()
    log.say("two")
    assert log.warning == "" and path.read_text().endswith(" two\n")
