"""Logs that are rotated by their size: nothing is lost, nothing of others is moved."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from emperor.system import logs
from emperor.system.logs import LogFile, open_for_append
from emperor.system.rotation import Rotation
from tests.integration.kernel_world import fds_of


def rotated(path: Path, most: int = 20, keep: int = 3, **more: object) -> LogFile:
    """Ten bytes a line."""
    rotation = Rotation(str(path), most, keep, **more)  # type: ignore[arg-type]  # as the test says
    return LogFile(lambda: open_for_append(str(path)), lambda lost: f"{lost} lost", rotation)


def written(path: Path) -> dict[str, list[str]]:
    return {one.name: one.read_text().split() for one in sorted(path.parent.iterdir()) if one.is_file()}


def line(number: int) -> str:
    return f"line-{number:04}"


def test_the_youngest_of_the_older_ones_is_1_and_so_many_are_kept(tmp_path: Path) -> None:
    log = rotated(tmp_path / "log", keep=2)
    assert all(log.write(line(number)) for number in range(9))
    assert written(tmp_path / "log") == {
        "log": [line(8)],
        "log.1": [line(6), line(7)],
        "log.2": [line(4), line(5)],
    }
    log.close()


def test_a_line_longer_than_a_whole_log_is_written(tmp_path: Path) -> None:
    log = rotated(tmp_path / "log")
    for text in ("x" * 100, "y" * 100):
        assert log.write(text)
    assert written(tmp_path / "log") == {"log": ["y" * 100], "log.1": ["x" * 100]}
    log.close()


def test_two_writers_of_one_file_move_it_once(tmp_path: Path) -> None:
    one, two = (rotated(tmp_path / "log", keep=100, shared=True) for _ in range(2))
    for number in range(0, 40, 2):
        assert one.write(line(number)) and two.write(line(number + 1))
    found = written(tmp_path / "log")
    assert sorted(text for texts in found.values() for text in texts) == [line(number) for number in range(40)]
    assert all(len(texts) <= 2 for texts in found.values()) and len(found) == 20
    one.close()
    two.close()


def test_while_another_moves_it_the_file_is_written_to_on(tmp_path: Path) -> None:
    log = rotated(tmp_path / "log", shared=True)
    with open(tmp_path / "log") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert all(log.write(line(number)) for number in range(3))
        assert written(tmp_path / "log") == {"log": [line(0), line(1), line(2)]}
    assert log.write(line(3)) and log.trouble == ""
    assert written(tmp_path / "log")["log"] == [line(3)]
    log.close()


def test_who_only_reads_it_cannot_keep_it_from_being_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = rotated(tmp_path / "log", shared=True)
    with open(tmp_path / "log") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert all(log.write(line(number)) for number in range(3))
        monkeypatch.setattr(logs, "BARRED", 0.0)
        assert log.write(line(3)) and log.trouble == ""
    assert written(tmp_path / "log")["log"] == [line(3)]
    log.close()


def test_what_logrotate_has_moved_is_not_moved_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = rotated(path)
    log.write(line(0)), log.write(line(1))
    path.rename(tmp_path / "log.1")
    path.write_text("of-somebody-else\n")
    assert log.write(line(2))
    assert written(path) == {"log": ["of-somebody-else", line(2)], "log.1": [line(0), line(1)]}
    log.close()


def test_a_link_in_its_place_is_not_followed_and_its_end_not_touched(tmp_path: Path) -> None:
    path, victim = tmp_path / "log", tmp_path / "victim"
    victim.write_text("whole")
    (tmp_path / "log.1").symlink_to(victim)
    log = rotated(path)
    assert all(log.write(line(number)) for number in range(3))
    assert (tmp_path / "log.2").is_symlink() and not (tmp_path / "log.1").is_symlink()
    path.rename(tmp_path / "moved")
    path.symlink_to(victim)
    assert all(log.write(line(number)) for number in range(3, 9)), "the file that it has is written to"
    assert log.error and path.is_symlink() and victim.read_text() == "whole"
    log.close()


def test_where_it_cannot_be_moved_it_grows_and_that_is_said_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log.1").mkdir()
    log = rotated(tmp_path / "log", keep=1)
    assert all(log.write(line(number)) for number in range(5))
    assert log.trouble == "cannot be rotated: Is a directory -- it grows"
    assert written(tmp_path / "log") == {"log": [line(number) for number in range(5)]}
    (tmp_path / "log.1").rmdir()
    monkeypatch.setattr(log, "_turn_at", 0.0)
    assert log.write(line(5)) and log.trouble == ""
    assert written(tmp_path / "log")["log"] == [line(5)]
    log.close()


def test_in_a_folder_that_is_not_ours_any_more_nothing_is_renamed(tmp_path: Path) -> None:
    log = rotated(tmp_path / "log", permitted=lambda: False)
    assert all(log.write(line(number)) for number in range(5))
    assert "not root's alone" in log.trouble and list(written(tmp_path / "log")) == ["log"]
    log.close()


def test_the_new_log_has_the_mode_of_the_old_one_without_more(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = rotated(path)
    path.chmod(0o4664)
    before = len(fds_of())
    assert all(log.write(line(number)) for number in range(3))
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    assert len(fds_of()) == before
    log.close()


def test_what_is_no_file_is_never_moved(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    log = rotated(tmp_path / "log")
    assert all(log.write(line(number)) for number in range(5))
    assert list(tmp_path.iterdir()) == [tmp_path / "log"] and len(os.read(reader, 999)) == 50
    os.close(reader)
    log.close()


def test_a_log_whose_folder_was_removed_counts_what_it_loses_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "logs" / "log"
    path.parent.mkdir()
    monkeypatch.setattr(logs, "LOOK_EVERY", 0.0)
    log = LogFile(lambda: open_for_append(str(path)), lambda lost: f"{lost} lost")
    assert log.write("one")
    path.unlink()
    path.parent.rmdir()
    assert [log.write("two"), log.write("three")] == [False, False]
    assert log.trouble == "No such file or directory"
    path.parent.mkdir()
    assert log.write("four") and log.trouble == ""
    assert path.read_text() == "2 lost\nfour\n"
    log.close()


def test_a_log_without_a_reader_heals_when_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOOK_EVERY", 0.0)
    path = tmp_path / "log"
    os.mkfifo(path)
    log = LogFile(lambda: open_for_append(str(path)))
    assert not log.write("lost") and log.trouble
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert log.write("heard")
    assert os.read(reader, 99).endswith(b"heard\n")
    log.close()
    os.close(reader)
