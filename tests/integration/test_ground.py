"""Folders that are held while somebody looks around in them, and whoever makes a path lead elsewhere meanwhile."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.config.placement import EMPEROR, VASSAL
from emperor.holding.entitled import who_binds
from emperor.model import ADMIN, UNIX, Address, Authority
from emperor.system import ground as ground_module
from emperor.system import trust
from emperor.system.eventloop import Loop
from emperor.system.folderlock import FolderLocks
from emperor.system.ground import Ground
from emperor.system.mounts import Elsewhere
from emperor.system.watch import Watch
from emperor.tending import vassallog
from tests.integration.kernel_world import Notes, drive, fds_of, raise_it, vassal_spec
from tests.requirements import needs

APPS = Path(__file__).parents[1] / "apps"
ALICE = 61001


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    (tmp_path / "link").symlink_to("a")
    return tmp_path


@pytest.fixture
def ground() -> Iterator[Ground]:
    with contextlib.closing(Ground()) as one:
        yield one


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside), other.rename(one), aside.rename(other)


def test_what_was_judged_is_what_is_looked_at_wherever_its_path_leads_by_then(place: Path, ground: Ground) -> None:
    ground.require(str(place / "a"))
    swap(place / "a", place / "b")
    assert ground.seen(str(place / "a" / "a")).mode == (place / "b" / "a").stat().st_mode
    descriptor = ground.open(str(place / "a"))
    assert os.listdir(descriptor) == ["a"]
    os.close(descriptor)
    with contextlib.closing(Ground()) as another, pytest.raises(FileNotFoundError):
        another.seen(str(place / "a" / "a"))


def test_what_is_held_leads_nobody_elsewhere(place: Path) -> None:
    with trust.hold(str(place / "link")) as held:
        swap(place / "a", place / "b")
        assert os.listdir(f"/proc/self/fd/{held.descriptor}") == ["a"]
        assert held.real == os.path.realpath(place / "a")


def test_only_some_are_held_and_none_once_it_is_closed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground_module, "MOST_HELD", 4)
    before = fds_of(os.getpid())
    ground = Ground()
    for number in range(10):
        (place / str(number)).mkdir()
        ground.require(str(place / str(number)))
    assert len(fds_of(os.getpid())) <= len(before) + 4
    ground.close()
    assert fds_of(os.getpid()) == before
    assert stat.S_ISREG(ground.seen(str(place / "a" / "a")).mode)
    for path in (place / "a" / "a" / "x", place / "none" / "x"):
        with pytest.raises(OSError):
            ground.seen(str(path))
    assert fds_of(os.getpid()) == before


@pytest.mark.parametrize("near", [True, False])
def test_near_and_far_say_the_same_of_what_answers(place: Path, near: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    with contextlib.closing(Ground(near)) as ground:
        for path in ("a", str(place / "a"), "link", f"{place}/b/../link", f"{place}//a", "", "/"):
            assert stat.S_ISDIR(ground.mode_of(path)), path
            assert ground.owner(path) == os.stat(path or ".").st_uid
            assert ground.allows(path, os.R_OK)
        assert stat.S_ISREG(ground.mode_of(str(place / "link" / "a")))
        assert stat.S_ISLNK(ground.seen(str(place / "link")).mode)


def test_the_real_folder_of_what_a_link_leads_to_or_would(place: Path) -> None:
    real = os.path.realpath(place)
    (place / "there").symlink_to("link/a")
    (place / "dangling").symlink_to("link/none")
    (place / "nowhere").symlink_to("none/none")
    (place / "loop").symlink_to("loop")
    found = [trust.folder_of(str(place / name)) for name in ("there", "dangling", "nowhere", "loop", "link")]
    assert found == [f"{real}/a", f"{real}/a", None, None, real]
    assert trust.entry_of(str(place / "there")).st_ino == (place / "there").lstat().st_ino


# Where somebody answers -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def answered_by(uid: int, folder: Path) -> Iterator[Path]:
    """A filesystem that a program answers for; nobody is answered about its one file."""
    folder.mkdir()
    command = [sys.executable, str(APPS / "fuse_hanging.py"), str(folder), str(uid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        try:
            told = server.stdout.readline()
            if told != "mounted\n":
                pytest.skip(f"FUSE: {told or 'no /dev/fuse'}")
            yield folder
        finally:
            server.stdin.close()


@needs("root")
def test_only_what_root_has_mounted_is_roots_to_bind_in_and_to_write_to(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of another machine's, whose folders only root can write: it is bound and opened there as ever."""
    os.chmod(place, 0o755)
    opened: list[str] = []

    def open_nothing(path: str) -> int:
        opened.append(path)
        return os.open(os.devnull, os.O_WRONLY)

    monkeypatch.setattr(vassallog, "open_for_append", open_nothing)
    for uid, binder in ((0, EMPEROR), (ALICE, VASSAL)):
        with answered_by(uid, place / f"mounted-by-{uid}") as folder:
            assert not trust.only_ours(str(folder), 0, near=True)
            standing = trust.only_ours(str(folder), 0, near=True, roots=True)
            assert bool(standing) is (uid == 0)
            # It was not asked, but told from its mount.
            assert ("answers for it" in standing.reason) is (uid != 0)
            spec = vassal_spec(place, authority=Authority(ADMIN), logto=str(folder / "log"))
            assert who_binds(Address(UNIX, str(folder / "socket")), spec, "/run/default") == binder
            log = vassallog.VassalLog("blog", Notes())
            log.follow(spec)
            assert log.kept_by_vassal is (uid != 0)
            log.close()
    assert opened == [str(place / "mounted-by-0" / "log")]


@needs("root")
def test_where_somebody_answers_nothing_is_held_locked_or_watched(place: Path, ground: Ground) -> None:
    loop, said = Loop(raise_it), list[str]()
    watch = Watch(loop, lambda: None, said.append)
    with answered_by(0, place / "far") as far:
        (place / "led").symlink_to(far)
        for path in (far, place / "led", far / "f"):
            for look in (ground.require, ground.mode_of, ground.open, FolderLocks().take, trust.end_of):
                with pytest.raises(Elsewhere):
                    look(str(path))
            assert trust.folder_of(str(path)) is None
        watch.follow([str(far), str(place / "led"), str(place / "a")])
        assert set(watch._watches) == {str(place / "a")}
    watch.close()
    loop.close()


def test_each_watch_is_of_its_own_folder_though_descriptors_have_the_same_numbers(place: Path) -> None:
    loop, hints = Loop(raise_it), list[int]()
    watch = Watch(loop, lambda: hints.append(1), lambda said: None)
    watch.follow([str(place / "a"), str(place / "b"), str(place)])
    assert len({observed.path for observed, _, _ in watch._watches.values()}) == 3
    for folder in (place / "a", place / "b", place):
        hints.clear()
        (folder / "new").touch()
        drive(loop, lambda: len(hints) > 0)
    watch.close()
    loop.close()
