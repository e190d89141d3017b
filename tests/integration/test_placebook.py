"""The book of what we bound, over restarts and accidents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emperor.errors import EmperorError
from emperor.system import placebook
from emperor.system.drafts import draft_of
from emperor.system.listeners import Place

SOCK, OTHER = "/run/emperor/blog.sock", "/run/emperor/shop.sock"

PlaceBook = Callable[..., placebook.PlaceBook]


@pytest.fixture(name="open_book")
def _open_book() -> Iterator[PlaceBook]:
    """The next emperor opens it after the end of the one before."""
    opened: dict[tuple[str, ...], placebook.PlaceBook] = {}

    def one(*which: str) -> placebook.PlaceBook:
        if which in opened:
            opened[which].release()
        opened[which] = placebook.PlaceBook(*which)
        return opened[which]

    yield one
    for book in opened.values():
        book.release()


def test_it_survives_a_restart(open_book: PlaceBook, tmp_path: Path) -> None:
    book = open_book(str(tmp_path))
    book.note(SOCK, Place(5, 123), 0)
    book.note(OTHER, Place(5, 124), 61001)
    again = open_book(str(tmp_path))
    assert again.find(SOCK, 0) == Place(5, 123)
    assert again.find(OTHER, 61001) == Place(5, 124)


def test_of_much_at_once_not_everything_is_a_writing_and_nothing_is_missing_in_the_end(
    open_book: PlaceBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placebook, "BRIEFLY", 3600.0)
    book = open_book(str(tmp_path))
    book.note(SOCK, Place(5, 1), 0)
    with book.gathering():
        for number in range(100):
            book.note(f"{OTHER}{number}", Place(5, number), 0)
        book.strike(SOCK)
        assert list(json.loads((tmp_path / "sockets.json").read_text())) == [SOCK]
    assert len(json.loads((tmp_path / "sockets.json").read_text())) == 100
    book.strike(f"{OTHER}0")
    again = open_book(str(tmp_path))
    assert again.find(f"{OTHER}99", 0) == Place(5, 99)
    assert again.find(SOCK, 0) is again.find(f"{OTHER}0", 0) is None


def test_while_much_is_noted_the_file_lags_only_briefly_behind(
    open_book: PlaceBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placebook, "BRIEFLY", 0.0)
    book = open_book(str(tmp_path))
    with book.gathering():
        book.note(SOCK, Place(5, 1), 0)
        assert list(json.loads((tmp_path / "sockets.json").read_text())) == [SOCK]


def test_what_one_user_bound_is_nothing_of_anothers(open_book: PlaceBook, tmp_path: Path) -> None:
    book = open_book(str(tmp_path))
    book.note(SOCK, Place(5, 123), 61001)
    assert book.find(SOCK, 0) is None
    assert book.find(OTHER, 61001) is None


def test_the_latest_note_counts(open_book: PlaceBook, tmp_path: Path) -> None:
    book = open_book(str(tmp_path))
    book.note(SOCK, Place(5, 123), 0)
    book.note(SOCK, Place(6, 7), 0)
    assert open_book(str(tmp_path)).find(SOCK, 0) == Place(6, 7)


def test_what_was_struck_stays_struck(open_book: PlaceBook, tmp_path: Path) -> None:
    book = open_book(str(tmp_path))
    book.note(SOCK, Place(5, 123), 0)
    book.strike(SOCK)
    book.strike("/never/noted")
    assert open_book(str(tmp_path)).find(SOCK, 0) is None


def test_a_vassal_without_a_daemon_has_a_book_of_its_own(open_book: PlaceBook, tmp_path: Path) -> None:
    open_book(str(tmp_path)).note(SOCK, Place(5, 123), 0)
    single = open_book(str(tmp_path), "blog")
    assert single.find(SOCK, 0) is None
    single.note(SOCK, Place(1, 2), 0)
    assert open_book(str(tmp_path)).find(SOCK, 0) == Place(5, 123)
    assert open_book(str(tmp_path), "blog").find(SOCK, 0) == Place(1, 2)


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
def test_a_broken_book_is_an_empty_one_and_is_written_anew(
    open_book: PlaceBook, tmp_path: Path, content: bytes
) -> None:
    open_book(str(tmp_path)).note(SOCK, Place(5, 123), 0)
    file = tmp_path / "sockets.json"
    file.write_bytes(content)
    book = open_book(str(tmp_path))
    assert book.find(SOCK, 0) is None
    book.note(OTHER, Place(5, 124), 0)
    assert open_book(str(tmp_path)).find(OTHER, 0) == Place(5, 124)
    json.loads(file.read_bytes())


def test_a_crash_while_writing_leaves_the_old_book(
    open_book: PlaceBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = open_book(str(tmp_path))
    book.note(SOCK, Place(5, 123), 0)

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    book.note(OTHER, Place(5, 124), 0)
    assert book.find(OTHER, 0) == Place(5, 124)
    assert open_book(str(tmp_path)).find(SOCK, 0) == Place(5, 123)


def test_a_folder_that_is_gone_costs_the_book_and_nothing_else(open_book: PlaceBook, tmp_path: Path) -> None:
    book = open_book(str(tmp_path / "missing"))
    book.note(SOCK, Place(5, 123), 0)
    assert book.find(SOCK, 0) == Place(5, 123)


def test_of_two_emperors_with_one_runtime_folder_the_second_does_not_start(tmp_path: Path) -> None:
    first = placebook.PlaceBook(str(tmp_path))
    with pytest.raises(EmperorError, match=rf"another emperor \(pid {os.getpid()}\) keeps its sockets in {tmp_path}"):
        placebook.PlaceBook(str(tmp_path))
    first.release()
    placebook.PlaceBook(str(tmp_path)).release()


def test_the_end_of_a_process_lets_go_of_its_book(tmp_path: Path) -> None:
    code = "import os, sys; from emperor.system.placebook import PlaceBook; PlaceBook(sys.argv[1]); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path]).returncode == 9
    placebook.PlaceBook(str(tmp_path)).release()


def test_a_vassal_that_outlives_its_emperor_does_not_hold_the_book(tmp_path: Path) -> None:
    book = placebook.PlaceBook(str(tmp_path))
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        try:
            book.release()
            placebook.PlaceBook(str(tmp_path)).release()
        finally:
            child.kill()


@pytest.mark.parametrize("name", ["sockets.json.lock", "sockets.json.new"])
def test_a_link_in_its_place_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / name).symlink_to(tmp_path / "victim")
    try:
        book = placebook.PlaceBook(str(tmp_path))
        book.note(SOCK, Place(5, 123), 0)
        book.release()
    except EmperorError as error:
        assert name in str(error)
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_program_that_replaces_us_goes_on_with_our_lock(tmp_path: Path) -> None:
    before = placebook.PlaceBook(str(tmp_path))
    before.note(SOCK, Place(5, 123), 0)
    os.set_inheritable(before.lock, True)
    after = placebook.PlaceBook(str(tmp_path), lock=before.lock)
    assert after.find(SOCK, 0) == Place(5, 123)
    assert after.lock == before.lock and not os.get_inheritable(after.lock)
    with pytest.raises(EmperorError, match="another emperor"):
        placebook.PlaceBook(str(tmp_path))
    after.release()
    placebook.PlaceBook(str(tmp_path)).release()


def test_a_file_is_found_under_the_path_it_has_now(open_book: PlaceBook, tmp_path: Path) -> None:
    book = open_book(str(tmp_path))
    draft = draft_of(SOCK)
    book.note(draft, Place(5, 123), 0)
    assert (book.where(Place(5, 123)), book.drafts()) == (draft, {draft: Place(5, 123)})
    book.note(SOCK, Place(5, 123), 0)
    book.strike(draft)
    assert (book.where(Place(5, 123)), book.drafts()) == (SOCK, {})
    assert book.where(Place(5, 124)) == ""
