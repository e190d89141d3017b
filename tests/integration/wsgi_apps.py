"""WSGI applications, good and bad, for the table of ``wsgi_cases``: each shows one rule of PEP 3333.

Each finds the notes of its request in ``environ["test.notes"]``.
"""

from __future__ import annotations

import hashlib
import io
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

Start = Callable[..., Callable[[bytes], None]]
App = Callable[[dict[str, Any], Start], Any]
Headers = tuple[tuple[str, str], ...]

OK = "200 OK"


class Notes:
    """What an app tells its test: how often close() was called, and whose file to open."""

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.file: Any = None
        self.closed = 0
        self.close_called = threading.Event()

    def close(self) -> None:
        self.closed += 1
        self.close_called.set()


class Closing:
    """An iterable with a close() that counts."""

    def __init__(self, blocks: Iterable[Any], notes: Notes, error: Optional[BaseException] = None) -> None:
        self._blocks = blocks
        self._notes = notes
        self._error = error

    def __iter__(self) -> Iterator[Any]:
        return iter(self._blocks)

    def close(self) -> None:
        self._notes.close()
        if self._error is not None:
            raise self._error


class Sized(list[bytes]):
    """An object with a length that is no list."""


class Indexed:
    """The iteration of old: __getitem__ until IndexError."""

    def __getitem__(self, index: int) -> bytes:
        return (b"a", b"b")[index]


class Bytes(bytes):
    """Bytes all the same."""


def giving(body: Any = (b"x",), status: Any = OK, headers: Any = ()) -> App:
    """Starts, and returns ``body``, or what it makes when it is called."""

    def app(environ: dict[str, Any], start_response: Start) -> Any:
        start_response(status, list(headers) if type(headers) is tuple else headers)
        return body() if callable(body) else body

    return app


def closing(blocks: Iterable[Any], status: Any = OK, headers: Headers = (), error: Any = None) -> App:
    """As ``giving``, with a close() that counts, and then raises ``error``."""

    def app(environ: dict[str, Any], start_response: Start) -> Any:
        if status is not None:
            start_response(status, list(headers))
        return Closing(blocks, environ["test.notes"], error)

    return app


def raising(error: Any, before: Optional[bytes] = None, headers: Headers = ()) -> App:
    """Raises ``error`` from the iteration, behind the block ``before``; without one before anything was sent."""

    def blocks() -> Iterator[bytes]:
        if before is not None:
            yield before
        raise error

    def app(environ: dict[str, Any], start_response: Start) -> Any:
        start_response(OK, list(headers))
        return Closing(blocks(), environ["test.notes"])

    return app


def raising_at_once(error: BaseException) -> App:
    def app(environ: dict[str, Any], start_response: Start) -> Any:
        raise error

    return app


def endless_recursion(environ: dict[str, Any], start_response: Start) -> Any:
    return endless_recursion(environ, start_response)


def generator_with_finally(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
    """Its own finally is its close(), also where the server stops asking before the end."""
    try:
        start_response(OK, [("Content-Length", "1")])
        yield b"x"
        yield b"more"
    finally:
        environ["test.notes"].close()


def writing(*written: Any, then: Iterable[Any] = (), headers: Headers = ()) -> App:
    def app(environ: dict[str, Any], start_response: Start) -> Any:
        write = start_response(OK, list(headers))
        for data in written:
            write(data)
        return Closing(then, environ["test.notes"])

    return app


def late(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
    yield b""
    start_response(OK, [("A", "late")])
    yield b"x"


def block_before_start(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
    yield b"x"
    start_response(OK, [])


def twice(environ: dict[str, Any], start_response: Start) -> Any:
    start_response(OK, [])
    start_response("201 Created", [])
    return [b"x"]


def twice_behind_the_head(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
    start_response(OK, [])
    yield b"half"
    start_response("201 Created", [])


def sorry(environ: dict[str, Any], start_response: Start) -> Any:
    start_response(OK, [("Content-Length", "1"), ("A", "first")])
    try:
        raise ValueError("mended")
    except ValueError:
        start_response("503 Busy", [("B", "second")], sys.exc_info())
    return [b"sorry"]


def too_late_to_be_sorry(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
    start_response(OK, [])
    yield b"half"
    try:
        b"\xff".decode("ascii")
    except UnicodeDecodeError:
        start_response("500 Oops", [], sys.exc_info())


def echo(environ: dict[str, Any], start_response: Start) -> Any:
    body = environ["wsgi.input"].read()
    start_response(OK, [("Content-Length", str(len(body)))])
    return [body]


def calling(*calls: tuple[Any, ...]) -> App:
    """Answers with what ``wsgi.input`` gave to each call: (method, arguments ...)."""

    def app(environ: dict[str, Any], start_response: Start) -> Any:
        stream = environ["wsgi.input"]
        answers = [repr(getattr(stream, method)(*arguments)) for method, *arguments in calls]
        start_response(OK, [])
        return ["\n".join(answers).encode()]

    return app


def called(body: bytes, *calls: tuple[Any, ...]) -> bytes:
    """What ``calling`` answers if ``wsgi.input`` behaves as a file of the standard library."""
    model = io.BytesIO(body)
    return "\n".join(repr(getattr(model, method)(*arguments)) for method, *arguments in calls).encode()


def iterating(environ: dict[str, Any], start_response: Start) -> Any:
    start_response(OK, [])
    return [repr([*environ["wsgi.input"], *environ["wsgi.input"]]).encode()]


def reading_late(environ: dict[str, Any], start_response: Start) -> Any:
    start_response(OK, [])(b"begun ")
    return [environ["wsgi.input"].read()]


def hashing(environ: dict[str, Any], start_response: Start) -> Any:
    digest = hashlib.sha256()
    for piece in iter(lambda: environ["wsgi.input"].read(65536), b""):
        digest.update(piece)
    start_response(OK, [])
    return [digest.hexdigest().encode()]


def saying(name: str) -> App:
    """Answers with one value of the environ."""

    def app(environ: dict[str, Any], start_response: Start) -> Any:
        start_response(OK, [])
        return [repr(environ.get(name)).encode()]

    return app


def logging(*texts: str) -> App:
    def app(environ: dict[str, Any], start_response: Start) -> Any:
        for text in texts:
            environ["wsgi.errors"].write(text)
        start_response(OK, [])
        return [b"x"]

    return app


def logging_from_a_thread(environ: dict[str, Any], start_response: Start) -> Any:
    errors = environ["wsgi.errors"]
    thread = threading.Thread(target=lambda: errors.writelines(["from a thread\n", "without its end"]))
    thread.start()
    thread.join()
    start_response(OK, [])
    return [b"x"]
