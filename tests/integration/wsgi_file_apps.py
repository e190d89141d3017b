"""WSGI applications that answer with ``wsgi.file_wrapper`` and files of every kind, for the table of ``wsgi_cases``."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Callable, Optional

from tests.integration.wsgi_apps import OK, App, Headers, Notes, Start

FILE = bytes(range(256)) * 600
"""What is in the file: longer than two blocks of 64 KiB."""


class Bare:
    """A file that can do nothing but read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


class Watched(io.FileIO):
    """A real file, with a descriptor, whose close() is counted."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(notes.path)
        self._notes: Optional[Notes] = notes

    def close(self) -> None:
        if not self.closed and self._notes is not None:
            self._notes.close()
        super().close()


def wrapping(make: Callable[[Notes], Any], headers: Headers = (), block: tuple[int, ...] = ()) -> App:
    def app(environ: dict[str, Any], start_response: Start) -> Any:
        notes = environ["test.notes"]
        notes.file = make(notes)
        start_response(OK, list(headers))
        return environ["wsgi.file_wrapper"](notes.file, *block)

    return app


def opened(offset: int = 0, mode: str = "rb", buffering: int = -1, read: int = 0) -> Callable[[Notes], Any]:
    """Opens the file as an app does, puts it at ``offset`` and reads ``read`` bytes of it."""

    def make(notes: Notes) -> Any:
        file = open(notes.path, mode, buffering)  # noqa: SIM115  the server is to close it
        file.seek(offset)
        file.read(read)
        return file

    return make


def in_a_temporary_file(notes: Notes) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115  the server is to close it
    file.write(FILE)
    file.seek(5)
    return file


def spooled(notes: Notes) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=10)  # noqa: SIM115  the server is to close it
    file.write(FILE)
    file.seek(5)
    return file


def compressed(notes: Notes) -> Any:
    """It has a descriptor, with other bytes behind it."""
    with gzip.open(notes.path + ".gz", "wb") as file:
        file.write(FILE)
    return gzip.open(notes.path + ".gz", "rb")


def piped(notes: Notes) -> Any:
    """It has a descriptor, and no length."""
    read, write = os.pipe()
    os.write(write, b"through a pipe")
    os.close(write)
    return os.fdopen(read, "rb")


def writing_before_a_file(environ: dict[str, Any], start_response: Start) -> Any:
    notes = environ["test.notes"]
    start_response(OK, [])(b"first ")
    notes.file = opened()(notes)
    return environ["wsgi.file_wrapper"](notes.file)


def wrapped_and_iterated(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
    """A middleware takes the wrapper's blocks itself."""
    start_response(OK, [])
    for block in environ["wsgi.file_wrapper"](io.BytesIO(b"abc")):
        yield block.upper()
