"""Forks that look where nobody may answer, and what they are sent to look at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from emperor.config.language.inifile import Row
from emperor.intake import apart as apart_module
from emperor.intake import horizon as horizon_module
from emperor.intake import settling
from emperor.intake.apart import Apart
from emperor.intake.horizon import Horizon
from emperor.intake.listing import Listing, listing, prefix
from emperor.intake.marks import signature
from emperor.intake.reading import DIRECTORY_SERVICE, Reader, Settings, Study
from emperor.supervision.quiet import QUIET, Signature
from emperor.system import accounts, scout
from emperor.system.eventloop import Loop
from emperor.system.mounts import Elsewhere, Mounts
from emperor.system.scout import Question, Scouts
from tests.integration.kernel_world import drive, until
from tests.requirements import needs


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


LEFT_ALONE = """
import os, signal
from emperor.system.eventloop import Loop
from emperor.system.scout import Scouts

loop = Loop(print)
scouts = Scouts(loop, print)
assert scouts.ask("hangs", signal.pause, print)
os.write(1, b"%d\\n" % next(iter(scouts.pids)))
signal.pause()
"""


def test_a_scout_dies_with_who_sent_it() -> None:
    with subprocess.Popen([sys.executable, "-c", LEFT_ALONE], stdout=subprocess.PIPE, text=True) as emperor:
        assert emperor.stdout is not None
        pid = int(emperor.stdout.readline())
        # Its own pipe tells when it has let go of what it inherited, and so come past that line.
        until(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 4)
        emperor.kill()
    until(lambda: is_dead(pid))


def is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_there_are_not_more_than_so_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "MOST", 8)
    assert all(world.ask(number, lambda: signal.pause()) for number in range(8))
    assert not world.ask("one more", lambda: 1)
    drive(world.loop, world.scouts.dismiss)
    assert world.ask("one more", lambda: 1)


def test_whoever_makes_many_looks_hang_leaves_places_to_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scout, "CROWDED", 6)
    sent = [world.scouts.ask(n, lambda: signal.pause(), world.heard.append, "alice") for n in range(70)]
    assert sum(sent) == scout.EACH
    assert world.scouts.ask("b1", lambda: signal.pause(), world.heard.append, "bob")
    assert world.scouts.ask("b2", lambda: signal.pause(), world.heard.append, "bob")
    assert not world.scouts.ask("b3", lambda: 3, world.heard.append, "bob"), "it is crowded: one place for each"
    assert world.scouts.ask("c", lambda: "seen", world.heard.append, "carol")
    drive(world.loop, lambda: world.heard)
    assert world.heard == ["seen"]


def test_each_answer_is_heard_as_soon_as_it_is_there_and_one_that_fails_takes_no_other_with_it(world: World) -> None:
    heard, over = dict[str, object](), list[int]()
    questions = {"a": lambda: "first", "b": lambda: 1 // 0, "c": lambda: "third", "d": lambda: signal.pause()}
    assert world.scouts.ask_each("key", questions, heard.update, lambda: over.append(1))
    drive(world.loop, lambda: len(heard) == 3)
    assert heard == {"a": "first", "b": None, "c": "third"}
    assert "ZeroDivisionError" in str(world.bugs.pop())
    assert not over
    (pid,) = world.scouts.pids
    os.kill(pid, signal.SIGKILL)
    drive(world.loop, lambda: over)
    assert world.scouts.ask_each("key", {"e": lambda: "fifth"}, heard.update, lambda: over.append(2))
    drive(world.loop, lambda: len(over) == 2)
    assert heard["e"] == "fifth"


def test_who_is_silent_for_too_long_is_ended_and_can_be_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scout, "DEADLINE", 0.05)
    assert world.ask("key", lambda: signal.pause())
    drive(world.loop, lambda: not world.scouts.pids)
    monkeypatch.setattr(scout, "DEADLINE", 60.0)
    assert world.ask("key", lambda: "seen")
    drive(world.loop, lambda: world.heard)
    assert not world.bugs


def test_who_grows_without_end_is_ended_without_a_word(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "MOST_MEMORY", 32 << 20)
    assert world.ask("key", lambda: len(bytearray(512 << 20)))
    assert world.ask("modest", lambda: len(bytearray(1 << 20)))
    drive(world.loop, lambda: not world.scouts.pids)
    assert world.heard == [1 << 20]
    assert not world.bugs


def test_who_tells_too_much_is_not_listened_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "MOST_HEARD", 1 << 20)
    assert world.ask("key", lambda: bytes(4 << 20))
    assert world.ask("other", lambda: bytes(1 << 19))
    drive(world.loop, lambda: not world.scouts.pids)
    assert world.heard == [bytes(1 << 19)]
    assert not world.bugs


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


class Inis:
    """Inis that are read as where users come from a directory service."""

    def __init__(self, world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(accounts, "are_near", lambda: False)
        monkeypatch.setattr(apart_module, "PATIENCE", 0.05)
        self.folder, self.arrived, self.silent = folder, list[tuple[str, Study, bool]](), list[str]()
        self.names: list[str] = []
        self.reader = Reader(Settings(runtime=str(folder)))
        self.apart = Apart(self.reader, world.scouts, self.hear, self.silent.append)

    def hear(self, found: Mapping[str, tuple[str, Study, bool]]) -> None:
        self.names += found
        self.arrived += found.values()

    def write(self, name: str, text: str = "[uwsgi]\nold = 1\n") -> str:
        path = self.folder / f"{name}.ini"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)


@pytest.fixture
def inis(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inis:
    return Inis(world, tmp_path, monkeypatch)


class Hanging(Reader):
    """Of some, the reading never ends; of some, it raises."""

    def study(
        self, name: str, path: str, more: Sequence[Row] = (), before: Sequence[Row] = (), near: bool = False
    ) -> Study:
        if not near and name.startswith("hangs"):
            signal.pause()
        if not near and name.startswith("raises"):
            raise LookupError(name)
        return super().study(name, path, more, before, near)


def test_an_ini_whose_reading_never_ends_keeps_no_other_from_being_read(world: World, inis: Inis) -> None:
    inis.apart = Apart(Hanging(inis.reader.settings), world.scouts, inis.hear, inis.silent.append)
    for name in ("first", "hangs", "raises", "alice/hangs1", "alice/other", "bob/blog"):
        inis.apart.read(os.path.basename(name), inis.write(name), True)
    inis.apart.read("last", inis.write("last"), True)
    drive(world.loop, lambda: len(inis.names) == 4)
    assert sorted(inis.names) == ["blog", "first", "last", "other"]
    drive(world.loop, lambda: {"hangs", "hangs1"} <= set(inis.silent))
    assert [str(bug) for bug in world.bugs] == ["LookupError: raises"], "told once, and not tried again and again"
    world.bugs.clear()
    assert inis.apart.awaited("hangs") and not inis.apart.awaited("raises")


def test_one_that_ends_its_scout_is_read_behind_the_others(
    world: World, inis: Inis, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deadly(Reader):
        def study(
            self, name: str, path: str, more: Sequence[Row] = (), before: Sequence[Row] = (), near: bool = False
        ) -> Study:
            if not near and name == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            return super().study(name, path, more, before, near)

    inis.apart = Apart(Deadly(inis.reader.settings), world.scouts, inis.hear, inis.silent.append)
    monkeypatch.setattr(apart_module, "PATIENCE", 0.5)
    monkeypatch.setattr(scout, "MOST", 0)
    for name in ("deadly", "one", "two"):
        inis.apart.read(name, inis.write(name), True)
    monkeypatch.setattr(scout, "MOST", 8)
    drive(world.loop, lambda: len(inis.names) == 2)
    assert inis.names == ["one", "two"]
    assert inis.apart.awaited("deadly")


def test_that_nobody_answers_is_told_once_and_asked_again(
    world: World, inis: Inis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scout, "MOST", 1)
    assert world.ask("another", lambda: signal.pause())
    assert inis.apart.read("blog", inis.write("blog"), True) is None
    drive(world.loop, lambda: inis.silent)
    drive(world.loop, world.scouts.dismiss)
    drive(world.loop, lambda: inis.names)
    assert inis.silent == ["blog"]


def test_what_was_asked_for_again_meanwhile_is_read_again(world: World, inis: Inis) -> None:
    path = inis.write("blog")
    inis.apart.read("blog", path, True)
    inis.write("blog", "[uwsgi]\nnew = 1\n")
    inis.apart.read("blog", path, False)
    drive(world.loop, lambda: not inis.apart.awaited("blog"))
    ((_, study, written),) = inis.arrived
    assert written, "that it was written is not forgotten"
    assert "new" in str(study.reading.checked.problems)


def test_of_one_that_is_forgotten_nothing_is_kept(world: World, inis: Inis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout, "MOST", 0)
    inis.apart.read("blog", inis.write("blog"), True)
    inis.apart.forget("blog")
    assert not inis.apart._waiting


class Writing(Scouts):
    """Before each look somebody writes a little more, as long as ``goes_on``."""

    path: Path
    goes_on = True
    asked = 0

    def ask(self, key: Hashable, question: Question, then: Callable[[Any], None], whose: Hashable = None) -> bool:
        self.asked += 1
        if self.goes_on:
            with self.path.open("a") as file:
                file.write("one = more\n")
        return super().ask(key, question, then, whose)


def test_beyond_a_mount_nothing_is_told_while_it_is_being_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(horizon_module, "listed", lambda place, ground: Listing({}, far=((place, 7),)))
    monkeypatch.setattr(settling, "LONGEST_PAUSE", QUIET)
    writing, path = Writing(world.loop, world.bugs.append), tmp_path / "blog.ini"
    writing.path, writing.goes_on = path, False
    path.write_text("[uwsgi]\n")

    def look() -> None:
        horizon.begin()
        names = horizon.listing(str(tmp_path)).names
        seen.update({name: horizon.signature(path) for name, path in names.items()})
        horizon.end()

    seen, horizon = dict[str, tuple[Signature, bool]](), Horizon(writing, world.loop, look)
    look()
    drive(world.loop, lambda: seen)
    assert seen == {"blog": (signature(str(path)), True)}
    whole, writing.goes_on = dict(seen), True
    asked = writing.asked
    drive(world.loop, lambda: look() or writing.asked > asked)  # type: ignore[func-returns-value]  # it is None
    drive(world.loop, lambda: writing.asked > asked + 4, 30)
    assert seen == whole
    writing.goes_on = False
    drive(world.loop, lambda: seen["blog"] == (signature(str(path)), True), 30)
    drive(world.loop, writing.dismiss)


@needs("root")
def test_who_takes_a_place_is_whoever_answers_for_a_mount_or_has_the_folder(
    world: World, inis: Inis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that answers for a filesystem may say of its folders whatever it likes: they are its owner's."""
    asked: list[Hashable] = []

    class Noting(Scouts):
        def _has_place(self, whose: Hashable) -> bool:
            asked.append(whose)
            return super()._has_place(whose)

    noting, folder = Noting(world.loop, world.bugs.append), tmp_path / "hers"
    apart = Apart(inis.reader, noting, inis.hear, inis.silent.append)
    path = inis.write("hers/own")
    os.chown(folder, 12345, 12345)
    apart.read("own", path, True)
    drive(world.loop, lambda: inis.names)
    monkeypatch.setattr(horizon_module, "listed", lambda place, ground: Listing({}, far=((place, 7),)))
    monkeypatch.setattr(Mounts, "answers_for", lambda self, mount: {7: 12346}[mount])
    owners = dict[str, int]()

    def look() -> None:
        horizon.begin()
        owners.update(horizon.listing(str(folder)).owners)
        horizon.end()

    horizon = Horizon(noting, world.loop, look)
    look()
    drive(world.loop, lambda: owners)
    assert owners == {str(folder): 12346}
    assert set(asked) == {12345, 12346}
    drive(world.loop, noting.dismiss)


def test_where_an_ini_lies_comes_before_who_its_user_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blog.ini").write_text("[uwsgi]\n")
    reader = Reader(Settings(runtime=str(tmp_path)))
    monkeypatch.setattr(accounts, "are_near", lambda: False)
    for near in (True, False):
        monkeypatch.setattr(Mounts, "is_near", lambda self, number, near=near: near)
        with pytest.raises(Elsewhere) as caught:
            reader.study("blog", str(tmp_path / "blog.ini"), near=True)
        assert (caught.value.mount == DIRECTORY_SERVICE) is near


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
    mounts, folder = Mounts(), os.open(tmp_path, os.O_PATH)
    for name in ("link", "file"):
        seen, told = mounts.seen(folder, name), os.lstat(tmp_path / name)
        assert (seen.device, seen.inode, seen.mode, seen.size) == (told.st_dev, told.st_ino, told.st_mode, told.st_size)
        assert (seen.mtime, seen.ctime) == (told.st_mtime_ns, told.st_ctime_ns)
        assert mounts.is_near(seen.mount)
    with pytest.raises(FileNotFoundError):
        mounts.seen(folder, "none")
    os.close(folder)


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
