"""Forks that look where nobody may answer, and what they are sent to look at."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.intake import apart as apart_module
from emperor.intake.apart import Apart
from emperor.intake.listing import listing, prefix
from emperor.intake.reading import DIRECTORY_SERVICE, Reader, Settings, Study
from emperor.system import accounts
from emperor.system.eventloop import Loop
from emperor.system.mounts import Mounts
from emperor.system.scout import MOST, Scouts
from tests.integration.kernel_world import drive


class World:
    def __init__(self) -> None:
        self.bugs: list[BaseException] = []
        self.heard: list[object] = []
        self.loop = Loop(self.bugs.append)
        self.scouts = Scouts(self.loop, self.bugs.append)

    def ask(self, key: object, question: object) -> bool:
        return self.scouts.ask(key, question, self.heard.append)  # type: ignore[arg-type]  # a lambda


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    drive(made.loop, made.scouts.dismiss)
    assert made.scouts.pids == set()
    made.loop.close()


def test_who_hangs_stands_in_the_way_of_its_own_key_alone(world: World) -> None:
    read, write = os.pipe()
    assert world.ask("hangs", lambda: signal.pause())
    assert not world.ask("hangs", lambda: "again")
    assert world.ask("other", lambda: {"seen": "x" * 300_000})
    drive(world.loop, lambda: world.heard)
    assert world.heard == [{"seen": "x" * 300_000}]
    assert world.scouts.waits("hangs") > 0.0 == world.scouts.waits("other")
    os.close(read)
    os.close(write)


def test_a_scout_holds_nothing_of_ours_open(world: World) -> None:
    read, write = os.pipe()
    assert world.ask("looks", lambda: sorted(map(int, os.listdir("/proc/self/fd"))))
    drive(world.loop, lambda: world.heard)
    (seen,) = world.heard
    assert isinstance(seen, list)
    assert len(seen) == 5, "standard ones, the answer's, and the folder's own"
    os.close(read)
    os.close(write)


def test_a_look_that_fails_is_told_and_one_that_is_killed_can_be_asked_again(world: World) -> None:
    assert world.ask("fails", lambda: 1 // 0)
    drive(world.loop, lambda: world.bugs)
    assert "ZeroDivisionError" in str(world.bugs.pop())
    assert world.ask("fails", lambda: os.kill(os.getpid(), signal.SIGKILL))
    drive(world.loop, lambda: world.ask("fails", lambda: "better"))
    drive(world.loop, lambda: world.heard)
    assert world.heard == ["better"]


def test_there_are_not_more_than_so_many(world: World) -> None:
    assert all(world.ask(number, lambda: signal.pause()) for number in range(MOST))
    assert not world.ask("one more", lambda: 1)
    drive(world.loop, world.scouts.dismiss)
    assert world.ask("one more", lambda: 1)


def test_an_ini_comes_later_while_users_come_from_elsewhere(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ini, arrived = tmp_path / "blog.ini", dict[str, tuple[str, Study, bool]]()
    ini.write_text("[uwsgi]\nno-such-option = 1\n")
    apart = Apart(Reader(Settings(runtime=str(tmp_path))), world.scouts, arrived.update, world.heard.append)
    assert apart.read("blog", str(ini), True) is not None
    monkeypatch.setattr(accounts, "are_near", lambda: False)
    assert apart.read("blog", str(ini), True) is None
    assert apart.awaited("blog")
    drive(world.loop, lambda: arrived)
    path, study, written = arrived["blog"]
    assert (path, written) == (str(ini), True)
    assert "no-such-option" in str(study.reading.checked.problems)
    assert apart.studies["blog"] is study and not apart.awaited("blog")


def test_that_nobody_answers_is_told_once_and_asked_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart_module, "PATIENCE", 0.02)
    monkeypatch.setattr(accounts, "are_near", lambda: False)
    arrived = dict[str, tuple[str, Study, bool]]()
    apart = Apart(Reader(Settings(runtime=str(tmp_path))), world.scouts, arrived.update, world.heard.append)
    assert world.ask(("read", DIRECTORY_SERVICE), lambda: signal.pause())
    assert apart.read("blog", str(tmp_path / "blog.ini"), True) is None
    drive(world.loop, lambda: world.heard)
    drive(world.loop, world.scouts.dismiss)
    drive(world.loop, lambda: arrived)
    assert world.heard == ["blog"]


def test_what_was_asked_for_again_meanwhile_is_read_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ini, arrived = tmp_path / "blog.ini", list[tuple[str, Study, bool]]()
    ini.write_text("[uwsgi]\nold = 1\n")
    monkeypatch.setattr(accounts, "are_near", lambda: False)
    apart = Apart(
        Reader(Settings(runtime=str(tmp_path))), world.scouts, lambda found: arrived.extend(found.values()), print
    )
    apart.read("blog", str(ini), True)
    drive(world.loop, lambda: world.scouts.waits(("read", DIRECTORY_SERVICE)))
    ini.write_text("[uwsgi]\nnew = 1\n")
    apart.read("blog", str(ini), False)
    drive(world.loop, lambda: not apart.awaited("blog"))
    ((_, study, written),) = arrived
    assert written, "that it was written is not forgotten"
    assert "new" in str(study.reading.checked.problems)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("passwd: files systemd\ngroup: files [!UNAVAIL=return] systemd\n", True),
        ("passwd: files # ldap\nhosts: files dns\n", True),
        ("passwd: files sss\n", False),
        ("passwd: files\ngroup: files ldap\n", False),
        ("initgroups: files winbind\n", False),
        ("", True),
    ],
)
def test_who_has_to_be_asked_for_users(tmp_path: Path, text: str, near: bool) -> None:
    path = tmp_path / "nsswitch.conf"
    path.write_text(text)
    assert accounts.are_near(str(path)) is near


def test_a_machine_without_nsswitch_has_files_alone(tmp_path: Path) -> None:
    assert accounts.are_near(str(tmp_path / "none"))


def test_what_the_kernel_remembers_is_what_it_tells_otherwise(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_text("text")
    mounts = Mounts()
    for name in ("link", "file"):
        seen, told = mounts.seen(str(tmp_path / name)), os.lstat(tmp_path / name)
        assert (seen.device, seen.inode, seen.mode, seen.size) == (told.st_dev, told.st_ino, told.st_mode, told.st_size)
        assert (seen.mtime, seen.ctime) == (told.st_mtime_ns, told.st_ctime_ns)
        assert mounts.is_near(seen.mount)
    with pytest.raises(FileNotFoundError):
        mounts.seen(str(tmp_path / "none"))


def test_a_glob_finds_the_same_with_and_without_a_wait(tmp_path: Path) -> None:
    for home in ("alice", "bob", ".hidden", "a[b]"):
        (tmp_path / home / "vassals").mkdir(parents=True)
        (tmp_path / home / "vassals" / f"{home.strip('.')[0]}1.ini").write_text("")
    (tmp_path / "linked").symlink_to("bob")
    (tmp_path / "file").write_text("")
    for place in ("*/vassals/*.ini", "*/vassals", "a*/vassals/a1.ini", "none/*.ini", "alice/vassals", "[ab]*/*/*.ini"):
        assert listing(f"{tmp_path}/{place}", near=True) == listing(f"{tmp_path}/{place}"), place


@pytest.mark.parametrize(
    ("place", "fixed"),
    [("/h/alice/*.ini", "/h/alice"), ("/h/a[[]b]/v/*.ini", "/h/a[b]/v"), ("/h/alice/v", "/h/alice/v")],
)
def test_the_fixed_part_of_a_place(place: str, fixed: str) -> None:
    assert prefix(place) == fixed
