"""Many inis that take long to read, or hold many mistakes: who waits for whom, and what is kept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.intake.inis import Inis
from emperor.intake.intake import MOST_TOLD, bounded
from emperor.intake.namebook import NameBook
from emperor.intake.readinglist import ReadingList
from emperor.model import Problem
from emperor.system.eventloop import Loop
from emperor.system.folderlock import FolderLocks
from emperor.system.scout import Scouts
from tests.integration.kernel_world import Notes, drive, raise_it
from tests.requirements import needs


class Clocked(Loop):
    """Its time passes only while something is read."""

    time = 1000.0

    def now(self) -> float:  # type: ignore[override]
        return self.time


@pytest.fixture
def loop() -> Iterator[Clocked]:
    one = Clocked(raise_it)
    yield one
    one.close()


def test_a_slice_is_read_and_the_rest_later_by_itself() -> None:
    loop = Loop(raise_it)
    read: list[str] = []

    def slow(name: str, written: bool) -> None:
        time.sleep(0.02)
        read.append(name)

    waiting = ReadingList(loop, slow)
    for number in range(12):
        waiting.add(str(number), "/a", True)
    waiting.go()
    assert 1 <= len(read) < 12
    drive(loop, lambda: len(read) == 12, 20)
    assert read == [str(number) for number in range(12)]
    assert waiting.names() == frozenset()
    loop.close()


def test_a_folder_of_costly_ones_has_no_more_time_than_another(loop: Clocked) -> None:
    read: list[str] = []

    def costly(name: str, written: bool) -> None:
        loop.time += 0.04 if name.startswith("hers") else 0.001
        read.append(name)

    waiting = ReadingList(loop, costly)
    for number in range(50):
        waiting.add(f"hers{number}", "/alice", True)
    for number in range(10):
        waiting.add(f"his{number}", "/bob", True)
    waiting.go()
    assert [name for name in read if name.startswith("his")] == [f"his{number}" for number in range(10)]
    assert sum(name.startswith("hers") for name in read) == 2


@needs("root")
def test_an_owner_of_many_folders_has_no_more_time_than_another(loop: Clocked, tmp_path: Path) -> None:
    for number in range(8):
        written(tmp_path / f"a{number}" / f"hers{number}.ini", 12345)
    written(tmp_path / "b" / "his.ini", 12346)
    for number in range(2):
        written(tmp_path / f"root{number}" / f"roots{number}.ini", 0)
    read: list[str] = []

    def costly(name: str, path: str, written: bool) -> None:
        loop.time += 0.01
        read.append(name)

    locks = FolderLocks()
    inis = Inis([f"{tmp_path}/*/*.ini"], loop, Notes(), costly, read.append, locks, Scouts(loop, raise_it), NameBook())
    inis.first_look()
    inis.close()
    locks.close()
    assert len(read) == 11
    assert set(read[:4]) == {"hers0", "his", "roots0", "roots1"}


def written(path: Path, uid: int) -> None:
    path.parent.mkdir()
    path.write_text("[uwsgi]\n")
    os.chown(path, uid, uid)
    os.chown(path.parent, uid, uid)


def test_one_that_changes_again_is_read_once_and_what_was_written_stays_written(loop: Clocked) -> None:
    read: list[tuple[str, bool]] = []
    waiting = ReadingList(loop, lambda name, written: read.append((name, written)))
    waiting.add("a", "/a", True)
    waiting.add("a", "/b", False)
    waiting.add("b", "/a", False)
    waiting.add("gone", "/a", True)
    assert waiting.drop("gone") is True
    assert waiting.names() == {"a", "b"}
    waiting.go()
    assert sorted(read) == [("a", True), ("b", False)]


def test_of_very_many_problems_those_that_matter_are_kept_and_the_others_counted() -> None:
    minor = tuple(Problem("/v/a.ini", line, "x", "is odd", fatal=False) for line in range(1, 901))
    fatal = Problem("/v/a.ini", 901, "", "names no app")
    kept = bounded((*minor, fatal), "/v/a.ini")
    assert len(kept) == MOST_TOLD + 1
    assert fatal in kept
    assert str(kept[-1]).endswith(f"and {901 - MOST_TOLD} more problems -- emperorctl check /v/a.ini")
    assert not kept[-1].fatal
    assert bounded(minor[:MOST_TOLD], "/v/a.ini") == minor[:MOST_TOLD]
