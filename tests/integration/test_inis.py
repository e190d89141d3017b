"""Folders of inis on real filesystems: what is told of a change, and when."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emperor.intake import inis
from emperor.intake import listing as listing_module
from emperor.intake.inis import Inis
from emperor.intake.listing import OVERFULL, Listing, listing
from emperor.intake.namebook import NameBook
from emperor.supervision import quiet
from emperor.supervision.quiet import Rest
from emperor.system.eventloop import Loop
from emperor.system.folderlock import FolderLocks
from emperor.system.ground import Ground
from emperor.system.scout import Scouts
from emperor.system.watch import Watch
from tests.integration.kernel_world import Notes, drive, raise_it

SOON = 3.0
"""A second after the last change at rest, and a busy machine; less than a rescan, so that it was an event."""


QUIET, RESTS = quiet.QUIET, quiet.RESTS


class World:
    """Inis of some places, and what they told: ``("changed", name, written)`` or ``("removed", name)``."""

    def __init__(self, *places: object, names: NameBook | None = None) -> None:
        self.loop = Loop(raise_it)
        self.journal = Notes()
        self.told: list[tuple[object, ...]] = []
        self.paths: dict[str, str] = {}
        self.on_told: Callable[[], object] = lambda: None
        self.locks = FolderLocks()
        self.names = names or NameBook()
        self.inis = Inis(
            [str(place) for place in places],
            self.loop,
            self.journal,
            self._changed,
            self._removed,
            self.locks,
            Scouts(self.loop, self.loop.report),
            self.names,
        )
        self.inis.first_look()

    def _changed(self, name: str, path: str, written: bool) -> None:
        self.told.append(("changed", name, written))
        self.paths[name] = path
        self.on_told()

    def _removed(self, name: str) -> None:
        self.told.append(("removed", name))

    def news(self, count: int = 1) -> list[tuple[object, ...]]:
        """The next so many, and whatever else came with them."""
        drive(self.loop, lambda: len(self.told) >= count, SOON)
        told, self.told = self.told, []
        return told

    def nothing_more(self, seconds: float = 0.2) -> list[tuple[object, ...]]:
        """What comes in a time in which every file comes to rest."""
        self.loop.call_at(self.loop.now() + seconds, self.loop.stop)
        self.loop.run()
        return self.told

    def close(self) -> None:
        self.inis.close()
        self.loop.close()
        self.locks.close()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told here was heard of by events, and a file comes to rest sooner than it does for people."""
    monkeypatch.setattr(inis, "RESCAN", 3600.0)
    monkeypatch.setattr(quiet, "RESTS", {kind: Rest(0.06, 0.06, rest.longest) for kind, rest in RESTS.items()})


@pytest.fixture
def no_hurry(hurry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "RESTS", RESTS)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="emperor-inis-"))
    (path / "vassals.d").mkdir()
    (path / "vassals.d" / "blog.ini").write_text("[uwsgi]\n")
    yield path / "vassals.d"
    shutil.rmtree(path)


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    world = World(folder)
    assert world.told == [("changed", "blog", True)]
    world.told.clear()
    yield world
    world.close()


def replace(path: Path, text: str) -> None:
    """As editors and deployments write: another file takes the name."""
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text)
    draft.rename(path)


@pytest.fixture(params=[True, False], ids=["near", "far"])
def near(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_of_a_folder_on_the_way_that_holds_too_much_nothing_is_known(
    tmp_path: Path, near: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_module, "MOST_ENTRIES", 3)
    for name in ("a", "b", "c", "d"):
        (tmp_path / "full" / name).mkdir(parents=True)
        (tmp_path / "full" / name / "blog.ini").touch()
    (tmp_path / "few" / "a").mkdir(parents=True)
    (tmp_path / "few" / "a" / "shop.ini").touch()
    found = listing(f"{tmp_path}/*/*/*.ini", near)
    assert found.overfull == (str(tmp_path / "full"),)
    assert set(found.names) == {"shop"}


def test_ten_thousand_files_are_the_most_of_a_folder(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"{number}.txt").touch()
    assert listing(f"{tmp_path}/*.ini").overfull == ()
    (tmp_path / "one-more.txt").touch()
    assert listing(f"{tmp_path}/*.ini").overfull == (str(tmp_path),)


def test_a_listing_says_whose_its_folders_are(tmp_path: Path, near: bool) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.ini").touch()
    me = os.getuid()
    folders = {str(tmp_path / name): me for name in ("a", "b")}
    assert folders.items() <= listing(f"{tmp_path}/*/*.ini", near).owners.items()
    assert listing(f"{tmp_path}/a/", near).owners == {str(tmp_path / "a"): me}
    assert listing(f"{tmp_path}/*/a.ini", near).owners.items() >= {str(tmp_path / "a"): me}.items()


def test_a_folder_that_goes_while_others_are_listed_is_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.ini").touch()

    class Going(Ground):
        def allows(self, folder: str, mode: int) -> bool:
            shutil.rmtree(tmp_path / "a", ignore_errors=True)
            return True

    monkeypatch.setattr(listing_module, "Ground", Going)
    found = listing(f"{tmp_path}/*/*.ini", near=True)
    assert (set(found.names), found.missing) == ({"b"}, "")


# What is listed ---------------------------------------------------------------------------------------------------


def test_a_folder_is_listed_by_its_inis(tmp_path: Path) -> None:
    for name in ("blog.ini", "a.b@c-d_1.ini", "shop.ini"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    found = listing(str(tmp_path))
    assert found.names == {name: str(tmp_path / f"{name}.ini") for name in ("a.b@c-d_1", "blog", "shop")}
    assert (found.missing, found.odd) == ("", ())


@pytest.mark.parametrize("name", [".blog.ini.swp", ".hidden.ini", "blog.ini~", "blog.ini.swp", "blog.ini.bak"])
def test_what_editors_leave_behind_is_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert listing(str(tmp_path)) == Listing({}, owners={str(tmp_path): os.getuid()})


@pytest.mark.parametrize(
    "name", ["blog.ini.dpkg-old", "blog.ini.dpkg-dist", "blog.ini.rpmnew", "blog.ini.rpmsave", "#blog.ini#"]
)
def test_what_package_managers_leave_behind_is_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert listing(str(tmp_path)) == Listing({}, owners={str(tmp_path): os.getuid()})


@pytest.mark.parametrize(
    "name", ["README", "blog.conf", "two words.ini", "-dash.ini", "ä.ini", "x" * 65 + ".ini", ".ini.ini "]
)
def test_what_is_no_vassals_name_is_odd(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    found = listing(str(tmp_path))
    silent = name.startswith(".")
    odd = () if silent else (str(tmp_path / name),)
    assert found == Listing({}, odd=odd, owners={str(tmp_path): os.getuid()})


def test_sockets_and_folders_are_passed_over_unless_they_are_called_like_an_ini(tmp_path: Path) -> None:
    for name in ("blog.sock", "blog.ini"):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / name))
    (tmp_path / "static").mkdir()
    found = listing(str(tmp_path))
    assert found.names == {"blog": str(tmp_path / "blog.ini")}
    assert found.odd == ()


def test_a_glob_is_listed_across_folders(tmp_path: Path) -> None:
    for app in ("blog", "shop"):
        (tmp_path / app).mkdir()
        (tmp_path / app / f"{app}.ini").touch()
        (tmp_path / app / "notes.txt").touch()
    found = listing(f"{tmp_path}/*/*.ini")
    assert set(found.names) == {"blog", "shop"}
    assert found.odd == ()


def test_of_one_name_in_two_folders_of_a_glob_both_are_told(tmp_path: Path) -> None:
    for user in ("alice", "bob"):
        (tmp_path / user).mkdir()
        (tmp_path / user / "shop.ini").touch()
    found = listing(f"{tmp_path}/*/*.ini")
    assert found.names == {"shop": str(tmp_path / "alice/shop.ini")}
    assert found.more == (("shop", str(tmp_path / "bob/shop.ini")),)


@pytest.mark.parametrize("pattern", ["alice", "*/*.ini"])
def test_a_folder_with_very_many_files_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setattr(listing_module, "MOST_ENTRIES", 3)
    for user, count in (("alice", 4), ("bob", 3)):
        (tmp_path / user).mkdir()
        for number in range(count):
            (tmp_path / user / f"{user}{number}.ini").touch()
    found = listing(str(tmp_path / pattern))
    assert found.overfull == (str(tmp_path / "alice"),)
    assert list(found.names) == ([] if pattern == "alice" else ["bob0", "bob1", "bob2"])


def test_in_a_folder_that_fills_up_the_vassals_stay_as_they_are(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_module, "MOST_ENTRIES", 3)
    for number in range(4):
        (folder / f"x{number}.ini").touch()
    (folder / "blog.ini").unlink()
    assert world.nothing_more() == []
    assert world.journal.lines == [f"warning: {folder}: {OVERFULL}"]
    for number in range(4):
        (folder / f"x{number}.ini").unlink()
    assert world.news() == [("removed", "blog")]


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a[b]*").mkdir()
    (tmp_path / "a[b]*" / "blog.ini").touch()
    assert set(listing(str(tmp_path / "a[b]*")).names) == {"blog"}


@pytest.mark.parametrize("place", ["gone", "gone/*.ini", "blog.ini", "blog.ini/*.ini"])
def test_a_place_that_cannot_be_read_is_missing_and_not_empty(tmp_path: Path, place: str) -> None:
    (tmp_path / "blog.ini").touch()
    found = listing(str(tmp_path / place))
    assert found.names == {}
    assert found.missing in ("No such file or directory", "Not a directory")


# What is told -----------------------------------------------------------------------------------------------------


def test_at_the_start_everything_is_told_at_once(folder: Path) -> None:
    (folder / "shop.ini").touch()
    world = World(folder)
    assert world.told == [("changed", "blog", True), ("changed", "shop", True)]
    assert world.paths["shop"] == str(folder / "shop.ini")
    assert world.inis.path("shop") == str(folder / "shop.ini")
    assert world.inis.path("none") is None
    world.close()


def test_an_added_ini_is_told(world: World, folder: Path) -> None:
    (folder / "shop.ini").write_text("[uwsgi]\n")
    assert world.news() == [("changed", "shop", True)]


def test_a_touch_is_a_change(world: World, folder: Path) -> None:
    os.utime(folder / "blog.ini")
    assert world.news() == [("changed", "blog", True)]


def test_several_writes_in_place_are_one_change(no_hurry: None, world: World, folder: Path) -> None:
    """Each of them comes before the file was at rest."""
    written = 0

    def write() -> None:
        nonlocal written
        written += 1
        with (folder / "blog.ini").open("w") as file:
            file.write("[uwsgi]\n")
            file.flush()
            file.write(f"processes = {written}\n")
        if written < 6:
            world.loop.call_at(world.loop.now() + 0.1, write)

    write()
    assert world.news() == [("changed", "blog", True)]
    assert world.nothing_more(2 * QUIET) == []
    assert written == 6


@pytest.mark.parametrize("way", ["cut first", "a new file"])
def test_pieces_a_fifth_of_a_second_apart_are_one_change(no_hurry: None, world: World, folder: Path, way: str) -> None:
    """One piece is exactly as long as what was there before."""
    path, pieces = folder / "blog.ini", ["[uw", "sgi]\n", "processes = 2\n"]
    if way == "a new file":
        path.unlink()
    path.write_text("")
    read: list[str] = []
    world.on_told = lambda: read.append(path.read_text())

    def write() -> None:
        with path.open("a") as file:
            file.write(pieces.pop(0))
        if pieces:
            world.loop.call_at(world.loop.now() + 0.2, write)

    world.loop.call_at(world.loop.now() + 0.2, write)
    assert world.news() == [("changed", "blog", True)]
    assert read == ["[uwsgi]\nprocesses = 2\n"]
    assert world.nothing_more(2 * QUIET) == []


def test_an_atomic_replacement_is_one_change(world: World, folder: Path) -> None:
    replace(folder / "blog.ini", "[uwsgi]\nprocesses = 2\n")
    assert world.news() == [("changed", "blog", True)]
    assert world.nothing_more() == []


def test_a_replacement_with_the_same_size_and_date_is_a_change(world: World, folder: Path) -> None:
    before = (folder / "blog.ini").stat()
    (folder / ".new").write_text("[uwsgi]\n")
    os.utime(folder / ".new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (folder / ".new").rename(folder / "blog.ini")
    assert world.news() == [("changed", "blog", True)]


def test_deleted_and_made_again_at_once_is_a_change_and_no_removal(world: World, folder: Path) -> None:
    (folder / "blog.ini").unlink()
    (folder / "blog.ini").write_text("[uwsgi]\nprocesses = 2\n")
    assert world.news() == [("changed", "blog", True)]


def test_a_removed_ini_is_told(world: World, folder: Path) -> None:
    (folder / "blog.ini").unlink()
    assert world.news() == [("removed", "blog")]
    assert world.inis.path("blog") is None


def test_a_renamed_ini_is_one_that_goes_and_one_that_comes(world: World, folder: Path) -> None:
    """The old one first: it lets go of what the new one takes over."""
    (folder / "blog.ini").rename(folder / "site.ini")
    assert world.news(2) == [("removed", "blog"), ("changed", "site", True)]


def test_a_rename_to_what_is_no_ini_is_a_removal(world: World, folder: Path) -> None:
    (folder / "blog.ini").rename(folder / "blog.ini.bak")
    assert world.news() == [("removed", "blog")]


def test_another_mode_alone_is_told_as_not_written(world: World, folder: Path) -> None:
    (folder / "blog.ini").chmod(0o666)
    assert world.news() == [("changed", "blog", False)]
    (folder / "blog.ini").chmod(0o600)
    (folder / "blog.ini").write_text("[uwsgi]\n")
    assert world.news() == [("changed", "blog", True)]


def test_a_hard_link_elsewhere_is_told_as_not_written(world: World, folder: Path) -> None:
    os.link(folder / "blog.ini", folder.parent / "elsewhere")
    assert world.news() == [("changed", "blog", False)]


def test_an_edit_of_what_a_link_leads_to_is_a_change(folder: Path) -> None:
    (folder.parent / "app").mkdir()
    target = folder.parent / "app" / "uwsgi.ini"
    target.write_text("[uwsgi]\n")
    (folder / "shop.ini").symlink_to(target)
    world = World(folder)
    world.told.clear()
    target.write_text("[uwsgi]\nprocesses = 2\n")
    assert world.news() == [("changed", "shop", True)]
    replace(target, "[uwsgi]\nprocesses = 3\n")
    assert world.news() == [("changed", "shop", True)]
    world.close()


def test_a_link_that_is_led_elsewhere_is_a_change(folder: Path) -> None:
    """A deployment: current -> releases/2, with inis that lead through it."""
    for release in ("1", "2"):
        (folder.parent / release).mkdir()
        (folder.parent / release / "app.ini").write_text("[uwsgi]\n")
    (folder.parent / "current").symlink_to("1")
    (folder / "shop.ini").symlink_to("../current/app.ini")
    world = World(folder)
    world.told.clear()
    (folder.parent / ".next").symlink_to("2")
    (folder.parent / ".next").rename(folder.parent / "current")
    assert world.news() == [("changed", "shop", True)]
    world.close()


def test_a_dangling_link_is_an_ini_and_its_target_a_change(folder: Path) -> None:
    target = folder.parent / "app.ini"
    (folder / "shop.ini").symlink_to(target)
    world = World(folder)
    assert ("changed", "shop", True) in world.told
    world.told.clear()
    target.write_text("[uwsgi]\n")
    assert world.news() == [("changed", "shop", True)]
    world.close()


def test_a_file_that_is_still_written_is_not_told(no_hurry: None, world: World, folder: Path) -> None:
    def more() -> None:
        with (folder / "shop.ini").open("a") as file:
            file.write("#\n")
        if len(writes) < 8:
            writes.append(len(world.told))
            world.loop.call_at(world.loop.now() + 0.1, more)

    writes: list[int] = []
    more()
    assert world.news() == [("changed", "shop", True)]
    assert writes == [0] * 8


# Places that come and go ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_folder_that_is_removed_takes_nobody_down_and_is_heard_when_it_is_back(folder: Path, slash: str) -> None:
    world = World(f"{folder}{slash}")
    world.told.clear()
    shutil.rmtree(folder)
    drive(world.loop, lambda: world.journal.lines, SOON)
    assert world.nothing_more() == []
    assert "cannot be read: No such file or directory -- its vassals stay as they are" in world.journal.lines[0]
    assert len(world.journal.lines) == 1
    folder.mkdir()
    (folder / "blog.ini").write_text("[uwsgi]\nprocesses = 2\n")
    assert world.news() == [("changed", "blog", True)]
    assert world.journal.lines[1].endswith("can be read again")
    (folder / "shop.ini").write_text("[uwsgi]\n")
    assert world.news() == [("changed", "shop", True)]
    world.close()


def test_a_folder_that_is_back_without_an_ini_has_lost_it(world: World, folder: Path) -> None:
    folder.rename(folder.parent / "aside")
    drive(world.loop, lambda: world.journal.lines, SOON)
    assert world.nothing_more() == []
    folder.mkdir()
    assert world.news() == [("removed", "blog")]


def test_a_folder_that_is_removed_and_made_again_at_once_is_followed(world: World, folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    assert world.news() == [("removed", "blog")]
    (folder / "shop.ini").write_text("[uwsgi]\n")
    assert world.news() == [("changed", "shop", True)]


def test_a_folder_that_comes_later_is_heard(folder: Path) -> None:
    late = folder.parent / "late"
    world = World(late)
    assert world.told == []
    late.mkdir()
    (late / "shop.ini").write_text("[uwsgi]\n")
    assert world.news() == [("changed", "shop", True)]
    world.close()


def test_a_folder_behind_a_link_is_followed_to_where_it_leads(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / "shop.ini").touch()
    link = folder.parent / "current"
    link.symlink_to(folder)
    world = World(link)
    assert world.told == [("changed", "blog", True)]
    world.told.clear()
    (folder.parent / ".next").symlink_to(other)
    (folder.parent / ".next").rename(link)
    assert world.news(2) == [("removed", "blog"), ("changed", "shop", True)]
    (other / "more.ini").touch()
    assert world.news() == [("changed", "more", True)]
    world.close()


def test_a_glob_of_inis_is_followed(folder: Path) -> None:
    (folder / "web-1.ini").touch()
    world = World(f"{folder}/web-*.ini")
    assert world.told == [("changed", "web-1", True)]
    world.told.clear()
    (folder / "web-2.ini").touch()
    (folder / "mail.ini").touch()
    assert world.news() == [("changed", "web-2", True)]
    (folder / "web-1.ini").unlink()
    assert world.news() == [("removed", "web-1")]
    assert world.journal.lines == []
    world.close()


def test_the_folder_of_a_glob_that_is_removed_takes_nobody_down(folder: Path) -> None:
    world = World(f"{folder}/*.ini")
    world.told.clear()
    folder.rename(folder.parent / "aside")
    drive(world.loop, lambda: world.journal.lines, SOON)
    assert world.nothing_more() == []
    (folder.parent / "aside").rename(folder)
    assert world.nothing_more() == []
    world.close()


def test_of_one_name_in_two_folders_the_first_serves_and_the_second_is_told_once(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / "blog.ini").touch()
    world = World(folder, other)
    assert world.told == [("changed", "blog", True)]
    assert world.inis.path("blog") == str(folder / "blog.ini")
    world.told.clear()
    os.utime(other / "blog.ini")
    assert world.nothing_more() == []
    world.inis.look()
    assert world.journal.lines == [f"warning: {other}/blog.ini: blog is already {folder}/blog.ini -- ignored"]
    (folder / "blog.ini").unlink()
    assert world.news() == [("changed", "blog", True)]
    assert world.inis.path("blog") == str(other / "blog.ini")
    world.close()


def test_one_folder_that_is_missing_says_nothing_of_the_others(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / "shop.ini").touch()
    world = World(folder, other)
    world.told.clear()
    shutil.rmtree(other)
    drive(world.loop, lambda: world.journal.lines, SOON)
    (folder / "blog.ini").unlink()
    assert world.news() == [("removed", "blog")]
    assert world.inis.path("shop") == str(other / "shop.ini")
    world.close()


# What is said -----------------------------------------------------------------------------------------------------


def test_an_odd_name_is_told_once(world: World, folder: Path) -> None:
    (folder / "two words.ini").touch()
    drive(world.loop, lambda: world.journal.lines, SOON)
    for _ in range(3):
        world.inis.look()
    os.utime(folder / "two words.ini")
    assert world.nothing_more() == []
    assert len(world.journal.lines) == 1
    assert world.journal.lines[0].startswith(f"warning: {folder}/two words.ini: is not a vassal's name -- ignored")


def test_a_glob_of_folders_is_told_once_for_nothing_of_it_can_run(folder: Path) -> None:
    world = World(folder.parent / "v*")
    assert world.told == []
    for _ in range(3):
        world.inis.look()
    said = "finds no ini: a glob is one of inis, not of folders (…/*.ini) -- nothing of it runs"
    assert world.journal.lines == [f"warning: {folder.parent}/v*: {said}"]
    world.close()


def test_a_glob_of_inis_that_finds_none_yet_is_not_spoken_of(folder: Path) -> None:
    world = World(folder / "none*.ini")
    assert (world.told, world.journal.lines) == ([], [])
    world.close()


def test_what_an_editor_leaves_behind_is_not_spoken_of(world: World, folder: Path) -> None:
    for name in (".blog.ini.swp", "blog.ini~", "#blog.ini#", "4913~", "blog.ini.dpkg-new"):
        (folder / name).write_text("x")
    assert world.nothing_more() == []
    assert world.journal.lines == []


def test_vim_with_a_backup_is_one_change(no_hurry: None, world: World, folder: Path) -> None:
    """backupcopy=no: a probe file, the old file becomes the backup, the new one is written in place."""
    (folder / "4913").touch()
    (folder / "4913").unlink()
    (folder / "blog.ini").rename(folder / "blog.ini~")
    (folder / "blog.ini").write_text("[uwsgi]\nprocesses = 2\n")
    (folder / "blog.ini~").unlink()
    assert world.news() == [("changed", "blog", True)]
    assert world.nothing_more() == []
    assert world.journal.lines == []


def test_without_hints_the_rescan_sees_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network folder has no events."""
    monkeypatch.setattr(inis, "RESCAN", 0.2)
    monkeypatch.setattr(Watch, "follow", lambda self, *folders: None)
    world = World(folder)
    world.told.clear()
    (folder / "shop.ini").touch()
    assert world.news() == [("changed", "shop", True)]
    world.close()


def test_without_hints_the_rescan_sees_the_first_file_of_an_empty_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inis, "RESCAN", 0.2)
    monkeypatch.setattr(Watch, "follow", lambda self, *folders: None)
    for path in folder.iterdir():
        path.unlink()
    world = World(folder)
    (folder / "shop.ini").touch()
    assert world.news() == [("changed", "shop", True)]
    world.close()


def test_what_could_not_be_read_is_news_again_at_the_next_rescan(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inis, "RESCAN", 0.2)
    world = World(folder)
    assert world.told == [("changed", "blog", True)]
    world.told.clear()
    world.inis.doubt("blog")
    world.inis.doubt("never")
    assert world.news() == [("changed", "blog", True)]
    assert world.nothing_more(0.6) == []
    world.close()


def test_a_rescan_of_what_has_not_changed_tells_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inis, "RESCAN", 0.02)
    world = World(folder)
    world.told.clear()
    assert world.nothing_more(0.2) == []
    world.close()


# What else must not go wrong --------------------------------------------------------------------------------------


def test_a_bug_at_one_ini_costs_the_others_nothing(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = world._changed

    def buggy(name: str, path: str, written: bool) -> None:
        if name == "blog":
            raise KeyError("a bug")
        told(name, path, written)

    monkeypatch.setattr(world.inis, "_changed", buggy)
    (folder / "blog.ini").write_text("[uwsgi]\n#\n")
    (folder / "shop.ini").write_text("[uwsgi]\n")
    assert world.news() == [("changed", "shop", True)]
    assert [line for line in world.journal.lines if line == "bug: emperor: KeyError: 'a bug'"] != []
    (folder / "blog.ini").unlink()
    assert world.news() == [("removed", "blog")]


def test_an_edit_that_an_order_has_read_is_not_told_again(world: World, folder: Path) -> None:
    (folder / "blog.ini").write_text("[uwsgi]\nprocesses = 2\n")
    world.inis.acknowledge("blog")
    assert world.nothing_more(1.0) == []
    (folder / "blog.ini").write_text("[uwsgi]\nprocesses = 30\n")
    assert world.news() == [("changed", "blog", True)]


def test_an_edit_after_the_acknowledgement_is_told(world: World, folder: Path) -> None:
    """Also one that comes while its predecessor was about to come to rest."""
    (folder / "blog.ini").write_text("[uwsgi]\nprocesses = 2\n")
    world.inis.look()
    world.inis.acknowledge("blog")
    (folder / "blog.ini").write_text("[uwsgi]\nprocesses = 30\n")
    assert world.news() == [("changed", "blog", True)]


def test_only_what_was_told_can_be_acknowledged(world: World, folder: Path) -> None:
    (folder / "shop.ini").write_text("[uwsgi]\n")
    world.inis.look()
    world.inis.acknowledge("shop")
    world.inis.acknowledge("never")
    assert world.news() == [("changed", "shop", True)]
    (folder / "shop.ini").unlink()
    world.inis.acknowledge("shop")
    assert world.news() == [("removed", "shop")]


def test_what_is_no_vassal_is_told_once_and_forgotten_when_it_is_gone(world: World, folder: Path) -> None:
    odd = folder / "README"
    for _ in range(2):
        odd.touch()
        world.inis.look()
        world.inis.look()
        assert world.inis._told == {str(odd)}
        odd.unlink()
        world.inis.look()
        assert world.inis._told == set()
    assert len(world.journal.lines) == 2


def test_of_very_many_that_are_no_vassals_not_all_are_told(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inis, "MOST_TOLD", 10)
    for number in range(30):
        (folder / f"{number}.txt").touch()
    world.inis.look()
    world.inis.look()
    assert len(world.journal.lines) == len(world.inis._told) == 10
