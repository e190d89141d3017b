"""Names that stay with the user whose vassal has had them: over removals, and over a restart of the emperor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.intake import namebook
from emperor.intake.inis import Inis
from emperor.intake.namebook import NameBook
from emperor.system.eventloop import Loop
from emperor.system.folderlock import FolderLocks
from emperor.system.scout import Scouts
from tests.integration.kernel_world import Notes, drive, raise_it
from tests.requirements import needs

ALICE, BOB = 60_001, 60_002


class Homes:
    """Two homes below one glob, and emperors that look at them one after another."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runtime = folder / "homes", folder / "run"
        self.locks = FolderLocks()
        self.runtime.mkdir()
        for name, uid in (("alice", ALICE), ("bob", BOB)):
            (self.folder / name).mkdir(parents=True)
            os.chown(self.folder / name, uid, uid)

    def ini(self, home: str) -> Path:
        return self.folder / home / "shop.ini"

    def emperor(self) -> Emperor:
        return Emperor(f"{self.folder}/*/*.ini", str(self.runtime), self.locks)


class Emperor:
    def __init__(self, place: str, runtime: str, locks: FolderLocks) -> None:
        self.loop, self.notes, self.gone = Loop(raise_it), Notes(), list[str]()
        self.inis = Inis([place], self.loop, self.notes, lambda *words: None, self.gone.append, locks,
                         Scouts(self.loop, raise_it), NameBook(runtime))  # fmt: skip
        self.inis.first_look()

    def whose(self) -> str:
        path = self.inis.path("shop")
        return "" if path is None else Path(path).parent.name

    def end(self) -> None:
        self.inis.close()
        self.loop.close()


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Homes]:
    yield Homes(tmp_path)


@needs("root")
def test_a_restart_gives_nobody_another_users_name(homes: Homes) -> None:
    homes.ini("bob").touch()
    first = homes.emperor()
    assert first.whose() == "bob"
    first.end()
    # Before bob's in every order there is.
    homes.ini("alice").touch()
    second = homes.emperor()
    assert second.whose() == "bob"
    second.end()


@needs("root")
def test_a_name_whose_ini_is_away_for_a_while_is_still_its_users(homes: Homes) -> None:
    homes.ini("bob").touch()
    emperor = homes.emperor()
    homes.ini("alice").touch()
    homes.ini("bob").unlink()
    emperor.inis.look()
    drive(emperor.loop, lambda: emperor.gone)
    emperor.inis.look()
    assert emperor.whose() == ""
    assert any("another user's" in line for line in emperor.notes.lines)
    homes.ini("bob").touch()
    emperor.inis.look()
    assert emperor.whose() == "bob"
    emperor.end()


@needs("root")
def test_a_book_that_cannot_be_read_is_an_empty_one(homes: Homes) -> None:
    for rubbish in ("", "[", "[1]", '{"shop": "x"}', "nul\0"):
        (homes.runtime / "names.json").write_text(rubbish)
        homes.ini("bob").touch()
        emperor = homes.emperor()
        assert emperor.whose() == "bob"
        emperor.end()
        assert NameBook(str(homes.runtime)).kept == {"shop": BOB}


def test_of_very_many_names_the_oldest_that_nobody_uses_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namebook, "MOST", 3)
    book = NameBook(str(tmp_path))
    for number in range(6):
        book.note(f"n{number}", ALICE)
    book.save({"n0"})
    assert list(NameBook(str(tmp_path)).kept) == ["n0", "n4", "n5"]
    book.note("n4", None)
    book.save({"n0"})
    assert NameBook(str(tmp_path)).kept == {"n0": ALICE, "n5": ALICE}
