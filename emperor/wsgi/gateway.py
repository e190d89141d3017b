"""Calls a WSGI application for one request after another.

It promises: ``close()`` exactly once whatever happens; whatever the app raises, SystemExit and
KeyboardInterrupt included, costs that request alone: a constant 500 page if nothing has left, else
``Outcome.cut``. The traceback goes to the log, never to the peer. Source: PEP 3333.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import traceback
from collections.abc import Iterable, Iterator
from typing import Any, Callable, NamedTuple, NoReturn, Optional, TextIO

from emperor.wsgi import environ as environs
from emperor.wsgi.body import EMPTY, BodyTooLong, Disconnected
from emperor.wsgi.errors import ErrorStream
from emperor.wsgi.response import Response, Send, SendFile

__all__ = ["FileWrapper", "Gateway", "Outcome", "WSGIApplication"]

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Outcome(NamedTuple):
    """How a request went. ``cut``: the head has left, the body is not whole. ``counted``: the head told a
    length.
    """

    failed: bool
    cut: bool
    counted: bool


_FINE = Outcome(False, False, False)


class FileWrapper:
    """``wsgi.file_wrapper``: a file in blocks (PEP 3333 "Optional Platform-Specific File Handling")."""

    __slots__ = ("block", "close", "file")

    def __init__(self, file: Any, block: int = 65536) -> None:
        self.file = file
        self.block = block
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(self.block), b"")

    def extent(self) -> Optional[tuple[int, int, int]]:
        """Descriptor, position and bytes left of a plain file; None for anything else.

        Only of Python's own file objects: a GzipFile has a descriptor as well, with other bytes behind it.
        """
        file = getattr(self.file, "file", self.file)  # tempfile's wrapper
        raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file
        if type(raw) is not io.FileIO:
            return None
        try:
            found = os.fstat(raw.fileno())
            position = file.tell()
        except (OSError, ValueError):
            return None
        # Of a file that stands on no disk (proc(5), sysfs(5)) only its end tells the size.
        if not (stat.S_ISREG(found.st_mode) and found.st_blocks):
            return None
        return raw.fileno(), position, max(0, found.st_size - position)


class Gateway:
    """One application behind one protocol. ``line``: what stands in front of the status (see ``Response``).
    ``own``: the ``wsgi.*`` of every environ, to be copied.
    """

    def __init__(
        self, application: WSGIApplication, line: str, errors: TextIO, multithread: bool, multiprocess: bool
    ) -> None:
        self._application = application
        self._line = line
        self._pid = os.getpid()
        self.errors = errors
        self._error_stream = ErrorStream(errors)
        self.own: dict[str, Any] = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": EMPTY,
            "wsgi.input_terminated": True,
            "wsgi.errors": self._error_stream,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
        }

    def environ(self, names: list[str], values: list[str]) -> dict[str, Any]:
        """Raises ``ProtocolError`` 400 for parameters that no app should see."""
        return environs.build(names, values, self.own)

    def respond(self, environ: dict[str, Any], send: Send, send_file: Optional[SendFile] = None) -> Outcome:
        """Run the app for one request. Never raises. ``send_file``: the wire can take a file from the kernel."""
        response = Response(send, self._line)
        # Kept, because the app may put something else there.
        errors: ErrorStream = environ["wsgi.errors"]
        result: Any = None
        try:
            result = self._application(environ, response.start)
            if type(result) is list and len(result) == 1 and not errors.pending:
                # What nearly every app gives: its only block is also the last.
                response.write(result[0], True)
            else:
                _give(response, result, errors, send_file)
            if not response.ended:
                response.finish()
            outcome = _FINE
        except BaseException as error:
            if os.getpid() != self._pid:
                _leave(errors, environ, error)
            outcome = _failed(errors, environ, response, error)
        if type(result) is not list:
            _close(result, errors, environ)
        if response.surplus:
            _report_surplus(response, errors, environ)
        if errors.pending:
            errors.settle()
        return outcome


def _give(response: Response, result: Any, errors: ErrorStream, send_file: Optional[SendFile]) -> None:
    blocks: Iterable[bytes] = _blocks(result) if isinstance(result, (bytes, str)) else result
    if send_file is not None and type(result) is FileWrapper:
        extent = result.extent()
        if extent is not None:
            response.write_file(*extent, send_file)
            return
    for block in blocks:
        # Whoever has the response finds in the log what the app wrote before it.
        if errors.pending:
            errors.settle()
        if block:
            response.write(block)
    if errors.pending:
        errors.settle()


def _blocks(result: Any) -> Iterable[bytes]:
    # To iterate over bytes gives numbers; what is meant is plain, and uWSGI took it.
    if isinstance(result, bytes):
        return (result,)
    raise TypeError("response body: the app returned str, not an iterable of bytes")


def _close(result: Any, errors: ErrorStream, environ: dict[str, Any]) -> None:
    try:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    except BaseException as error:
        _trace(errors, environ, "close() failed", error)


def _failed(errors: ErrorStream, environ: dict[str, Any], response: Response, error: BaseException) -> Outcome:
    left = isinstance(error, Disconnected)
    if isinstance(error, BodyTooLong):
        _report(errors, environ, f"{error} -- answered with 413")
    elif not left:
        _trace(errors, environ, "the app failed", error)
    elif str(error):
        _report(errors, environ, f"{error} -- the request was given up")
    if response.sent:
        return Outcome(not left, not response.ended, response.counted)
    try:
        response.replace(413 if isinstance(error, BodyTooLong) else 500)
    except Disconnected:
        return Outcome(not left, True, True)
    return Outcome(not left, False, True)


def _leave(errors: ErrorStream, environ: dict[str, Any], error: BaseException) -> NoReturn:
    """A process that the app forked ends here, as Python would end it: the request is its parent's to answer."""
    code = error.code or 0 if isinstance(error, SystemExit) else 1
    if not isinstance(error, SystemExit):
        _trace(errors, environ, "a process that the app forked failed", error)
    elif not isinstance(code, int):
        _report(errors, environ, f"a process that the app forked ends: {code}")
    errors.settle()
    os._exit(code & 0xFF if isinstance(code, int) else 1)


def _trace(errors: ErrorStream, environ: dict[str, Any], what: str, error: BaseException) -> None:
    # The first frames are ours and tell nobody anything.
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    try:
        lines = traceback.format_exception(type(error), error, frames)
    except Exception:
        # An exception may have fields that Python's own formatting stumbles over.
        lines = [f"{type(error).__name__}\n"]
    _report(errors, environ, what, "".join(lines))


def _report_surplus(response: Response, errors: ErrorStream, environ: dict[str, Any]) -> None:
    # Apps answer HEAD as they answer GET, and nobody sends the body on.
    if environ.get("REQUEST_METHOD") != "HEAD":
        _report(errors, environ, response.too_much)


def _report(errors: ErrorStream, environ: dict[str, Any], what: str, more: str = "") -> None:
    # A log that cannot be written (a full disk, a stream that the app closed), or what the app put into its environ,
    # is no reason to lose the request.
    with contextlib.suppress(BaseException):
        errors.write(f"request: {environ.get('REQUEST_METHOD')} {_path(environ)}: {what}\n{more}")
        errors.flush()


def _path(environ: dict[str, Any]) -> str:
    text = str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))
    return ascii(text[:200])[1:-1]
