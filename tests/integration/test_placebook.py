"""The book of what we bound, over restarts and accidents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emperor.system.listeners import Place
from emperor.system.placebook import PlaceBook

SOCK, OTHER = "/run/emperor/blog.sock", "/run/emperor/shop.sock"


def test_it_survives_a_restart(tmp_path: Path) -> None:
    book = PlaceBook(str(tmp_path))
    book.note(SOCK, Place(5, 123), 0)
    book.note(OTHER, Place(5, 124), 61001)
    again = PlaceBook(str(tmp_path))
    assert again.find(SOCK, 0) == Place(5, 123)
    assert again.find(OTHER, 61001) == Place(5, 124)


def test_what_one_user_bound_is_nothing_of_anothers(tmp_path: Path) -> None:
    book = PlaceBook(str(tmp_path))
    book.note(SOCK, Place(5, 123), 61001)
    assert book.find(SOCK, 0) is None
    assert book.find(OTHER, 61001) is None


def test_the_latest_note_counts(tmp_path: Path) -> None:
    book = PlaceBook(str(tmp_path))
    book.note(SOCK, Place(5, 123), 0)
    book.note(SOCK, Place(6, 7), 0)
    assert PlaceBook(str(tmp_path)).find(SOCK, 0) == Place(6, 7)


def test_what_was_struck_stays_struck(tmp_path: Path) -> None:
    book = PlaceBook(str(tmp_path))
    book.note(SOCK, Place(5, 123), 0)
    book.strike(SOCK)
    book.strike("/never/noted")
    assert PlaceBook(str(tmp_path)).find(SOCK, 0) is None


def test_a_vassal_without_a_daemon_has_a_book_of_its_own(tmp_path: Path) -> None:
    PlaceBook(str(tmp_path)).note(SOCK, Place(5, 123), 0)
    single = PlaceBook(str(tmp_path), "blog")
    assert single.find(SOCK, 0) is None
    single.note(SOCK, Place(1, 2), 0)
    assert PlaceBook(str(tmp_path)).find(SOCK, 0) == Place(5, 123)
    assert PlaceBook(str(tmp_path), "blog").find(SOCK, 0) == Place(1, 2)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"/run/emp',
        b"\xff\xfe\x00",
        b"[]",
        b"[[1, 2, 3]]",
        b"7",
        b"null",
        b'{"/run/emperor/blog.sock": 5}',
        b'{"/run/emperor/blog.sock": [1, 2]}',
        b'{"/run/emperor/blog.sock": null}',
    ],
)
def test_a_broken_book_is_an_empty_one_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    PlaceBook(str(tmp_path)).note(SOCK, Place(5, 123), 0)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    book = PlaceBook(str(tmp_path))
    assert book.find(SOCK, 0) is None
    book.note(OTHER, Place(5, 124), 0)
    assert PlaceBook(str(tmp_path)).find(OTHER, 0) == Place(5, 124)
    json.loads(file.read_bytes())


def test_a_crash_while_writing_leaves_the_old_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = PlaceBook(str(tmp_path))
    book.note(SOCK, Place(5, 123), 0)

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    book.note(OTHER, Place(5, 124), 0)
    assert book.find(OTHER, 0) == Place(5, 124)
    assert PlaceBook(str(tmp_path)).find(SOCK, 0) == Place(5, 123)


def test_a_folder_that_is_gone_costs_the_book_and_nothing_else(tmp_path: Path) -> None:
    book = PlaceBook(str(tmp_path / "missing"))
    book.note(SOCK, Place(5, 123), 0)
    assert book.find(SOCK, 0) == Place(5, 123)
