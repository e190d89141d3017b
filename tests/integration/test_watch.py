"""Hints from inotify, through watchdog's threads into the loop."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.events import FileClosedNoWriteEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from emperor.system import watch
from emperor.system.eventloop import Loop
from emperor.system.watch import PAUSE, Watch
from tests.integration.kernel_world import drive, fds_of, raise_it, until


class World:
    """A loop, a watch, and what was heard of it."""

    def __init__(self) -> None:
        self.loop = Loop(raise_it)
        self.hints: list[int] = []
        self.complaints: list[str] = []
        self.on_hint: Callable[[], object] = lambda: None
        self.watch = Watch(self.loop, self._hint, self.complaints.append)

    def _hint(self) -> None:
        self.hints.append(threading.get_ident())
        self.on_hint()

    def hinted(self) -> None:
        """Wait for one hint more than so far."""
        before = len(self.hints)
        drive(self.loop, lambda: len(self.hints) > before)

    def settle(self) -> None:
        """Take what is still under way, so that the next hint is about something new."""
        self.quiet(PAUSE + 0.05)
        self.quiet(PAUSE + 0.05)

    def quiet(self, seconds: float) -> int:
        """How many hints come within this time; the loop sleeps through it."""
        before = len(self.hints)
        self.loop.call_at(self.loop.now() + seconds, self.loop.stop)
        self.loop.run()
        return len(self.hints) - before

    def close(self) -> None:
        self.watch.close()
        self.loop.close()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.fixture(params=["/tmp", "/dev/shm"], ids=["ext4 or so", "tmpfs"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Filesystems differ: ext4 gives a new folder the inode of the one that was just removed."""
    path = Path(tempfile.mkdtemp(prefix="emperor-watch-", dir=request.param))
    (path / "inis").mkdir()
    yield path / "inis"
    shutil.rmtree(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda folder: (folder / "new.ini").touch(),
    "written in place": lambda folder: (folder / "old.ini").write_text("x"),
    "touched": lambda folder: os.utime(folder / "old.ini"),
    "another mode": lambda folder: (folder / "old.ini").chmod(0o600),
    "renamed": lambda folder: (folder / "old.ini").rename(folder / "older.ini"),
    "moved in": lambda folder: (folder.parent / "outside.ini").rename(folder / "in.ini"),
    "moved out": lambda folder: (folder / "old.ini").rename(folder.parent / "out.ini"),
    "replaced": lambda folder: (folder.parent / "outside.ini").rename(folder / "old.ini"),
    "removed": lambda folder: (folder / "old.ini").unlink(),
    "a link": lambda folder: (folder / "link.ini").symlink_to("/nowhere"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_hinted_at_in_the_loops_thread(world: World, folder: Path, name: str) -> None:
    (folder / "old.ini").touch()
    (folder.parent / "outside.ini").touch()
    world.watch.follow([str(folder)])
    CHANGES[name](folder)
    world.hinted()
    assert set(world.hints) == {threading.get_ident()}


RAGE = """
import os, sys
while True:
    for number in range(100):
        path = f"{sys.argv[1]}/{number}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.unlink(path)
"""


def test_a_storm_of_events_does_not_keep_us_busy_and_what_comes_after_it_is_heard(world: World, folder: Path) -> None:
    heard: list[float] = []

    def look() -> None:
        heard.append(world.loop.now())
        world.watch.follow([str(folder)])

    world.on_hint = look
    world.watch.follow([str(folder)])
    world.settle()
    with subprocess.Popen([sys.executable, "-c", RAGE, folder]) as storm:
        try:
            drive(world.loop, lambda: heard)
            before = time.process_time()
            hints = world.quiet(3.0)
            busy = (time.process_time() - before) / 3.0
        finally:
            storm.kill()
    assert 2 <= hints <= 31
    assert busy < 0.5
    assert all(later - earlier > PAUSE * 0.9 for earlier, later in itertools.pairwise(heard))
    until(lambda: world.quiet(1.5) == 0, 30)
    (folder / "last").touch()
    began = world.loop.now()
    world.hinted()
    assert world.loop.now() - began < 1


def test_a_change_while_a_storm_is_calmed_is_heard(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "STORM", 10)
    world.on_hint = lambda: world.watch.follow([str(folder)])
    world.watch.follow([str(folder)])
    world.settle()
    for number in range(20):
        (folder / f"{number}").touch()
    until(lambda: world.quiet(0.05) == 0 and world.watch._calm)
    (folder / "new.ini").touch()
    world.hinted()
    assert not world.watch._calm


def test_a_change_during_the_pause_after_a_hint_is_not_lost(world: World, folder: Path) -> None:
    world.watch.follow([str(folder)])
    world.settle()
    (folder / "first").touch()
    world.hinted()
    began = world.loop.now()
    (folder / "second").touch()
    world.hinted()
    assert world.loop.now() - began < 1


def test_reading_is_no_change(world: World, folder: Path) -> None:
    """Who looks at a hint reads the folder and its files: that must not be the next hint."""
    (folder / "old.ini").write_text("x")
    world.watch.follow([str(folder)])
    world.settle()
    seen = threading.Event()

    class Witness(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            if isinstance(event, FileClosedNoWriteEvent):
                seen.set()

    witness: BaseObserver = Observer()
    witness.schedule(Witness(), str(folder))
    witness.start()
    (folder / "old.ini").read_text()
    os.listdir(folder)
    assert seen.wait(10)
    witness.stop()
    witness.join()
    assert world.quiet(0.1) == 0


def test_the_kernel_is_not_asked_for_what_is_only_read(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emperor that has nothing to do looks at its folders all the same: that shall wake no thread of watchdog's."""
    heard: list[str] = []
    monkeypatch.setattr(watch._Waker, "on_any_event", lambda waker, event: heard.append(event.event_type))
    (folder / "old.ini").write_text("x")
    world.watch.follow([str(folder)], parents=[str(folder.parent)])
    os.listdir(folder)
    os.listdir(folder.parent)
    (folder / "old.ini").read_text()
    (folder / "old.ini").chmod(0o600)
    # Events come in the order in which they happened.
    drive(world.loop, lambda: bool(heard))
    assert not watch.READING.intersection(heard)


def test_of_a_parent_only_what_is_made_removed_and_renamed_there_is_heard(world: World, folder: Path) -> None:
    log = folder.parent / "log"
    log.write_text("a line\n")
    world.watch.follow([str(folder)], parents=[str(folder.parent)])
    world.settle()
    with log.open("a") as file:
        file.write("another\n")
    log.chmod(0o600)
    assert world.quiet(0.1) == 0
    folder.rename(folder.parent / "elsewhere")
    world.hinted()


def test_a_folder_that_is_also_anothers_parent_is_heard_in_full(world: World, folder: Path) -> None:
    """One mask for each inode: what is asked last would take the place of what was asked before."""
    (folder / "old.ini").write_text("x")
    other = folder.parent / "link"
    other.symlink_to(folder)
    world.watch.follow([str(folder)], parents=[str(folder), str(other)])
    world.settle()
    os.utime(folder / "old.ini")
    world.hinted()


def test_a_folder_that_is_not_followed_any_more_is_silent(world: World, folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    world.watch.follow([str(folder), str(other)])
    world.watch.follow([str(other)])
    world.settle()
    (folder / "new.ini").touch()
    assert world.quiet(0.1) == 0
    (other / "new.ini").touch()
    world.hinted()


def test_a_missing_folder_is_left_out_until_it_is_there(world: World, folder: Path) -> None:
    late = folder.parent / "late"
    world.watch.follow([str(folder), str(late)])
    assert world.complaints == []
    late.mkdir()
    world.watch.follow([str(folder), str(late)])
    world.settle()
    (late / "new.ini").touch()
    world.hinted()


def test_a_folder_that_was_removed_and_made_again_is_watched_anew(world: World, folder: Path) -> None:
    """As the daemon does it: every hint is a reason to follow again."""
    world.on_hint = lambda: world.watch.follow([str(folder), str(folder.parent)])
    world.on_hint()
    for _ in range(5):
        folder.rmdir()
        folder.mkdir()
        world.hinted()
        world.settle()
        (folder / "new.ini").touch()
        world.hinted()
        world.settle()
        (folder / "new.ini").unlink()
        world.hinted()
        world.settle()
    assert world.complaints == []


def test_a_folder_that_another_one_took_the_place_of_is_watched_anew(world: World, folder: Path) -> None:
    world.watch.follow([str(folder)])
    other = folder.parent / "other"
    other.mkdir()
    folder.rename(folder.parent / "aside")
    other.rename(folder)
    world.watch.follow([str(folder)])
    world.settle()
    (folder / "new.ini").touch()
    world.hinted()


def test_what_cannot_be_watched_is_said_once(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = folder.parent / "other"
    other.mkdir()
    world.watch.follow([str(other)])

    def full(*given: object, **named: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    with monkeypatch.context() as patch:
        patch.setattr(BaseObserver, "schedule", full)
        world.watch.follow([str(folder), str(other)])
        world.watch.follow([str(folder), str(other)])
    assert world.complaints == [f"watch {folder}: inotify watch limit reached -- changes there are seen by the rescan"]
    world.watch.follow([str(folder), str(other)])
    world.settle()
    (folder / "new.ini").touch()
    world.hinted()
    assert len(world.complaints) == 1


def test_of_many_folders_that_links_lead_to_some_are_watched_and_that_is_said_once(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST_LINKED", 3)
    linked = [folder.parent / f"linked{number}" for number in range(9)]
    for one in linked:
        one.mkdir()
    names = {str(one) for one in linked}
    world.watch.follow([str(folder)], names)
    threads = threading.active_count()
    first = set(world.watch._watches)
    assert str(folder) in first and len(first) == 1 + 3
    # The choice stays; what one of them leaves is another's.
    world.watch.follow([str(folder)], {*names, str(folder.parent)})
    assert set(world.watch._watches) == first
    gone = (first - {str(folder)}).pop()
    world.watch.follow([str(folder)], names - {gone})
    assert gone not in world.watch._watches and len(world.watch._watches) == 1 + 3
    until(lambda: threading.active_count() <= threads)
    assert world.complaints == [
        "watch: links lead to 9 folders -- 3 of them are watched, changes in the others are seen by the rescan"
    ]
    # A place is watched, whatever links there are.
    world.watch.follow([str(folder), gone], names)
    assert gone in world.watch._watches and len(world.watch._watches) == 2 + 3


def test_closing_ends_the_threads_and_leaves_nothing_open(folder: Path) -> None:
    first = World()
    first.watch.follow([str(folder)])
    first.close()
    threads, before = threading.active_count(), fds_of()
    world = World()
    world.watch.follow([str(folder), str(folder.parent)])
    assert threading.active_count() > threads
    (folder / "new.ini").touch()
    world.hinted()
    world.close()
    until(lambda: threading.active_count() <= threads)
    assert len(fds_of()) <= len(before)
