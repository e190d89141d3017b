"""Calls a WSGI application for one request after another.

It promises: ``close()`` exactly once whatever happens; whatever the app raises, SystemExit and
KeyboardInterrupt included, costs that request alone: a constant 500 page if nothing has left, else
``Outcome.cut``. The traceback goes to the log, never to the peer. Source: PEP 3333.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable, Iterator
from typing import Any, Callable, NamedTuple, TextIO

from emperor.wsgi import environ as environs
from emperor.wsgi.body import EMPTY, BodyTooLong, Disconnected
from emperor.wsgi.response import Response, Send

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


class Gateway:
    """One application behind one protocol. ``line``: what stands in front of the status (see ``Response``)."""

    def __init__(
        self, application: WSGIApplication, line: str, errors: TextIO, multithread: bool, multiprocess: bool
    ) -> None:
        self._application = application
        self._line = line
        self._errors = errors
        self._template: dict[str, Any] = {
            **environs.DEFAULTS,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": EMPTY,
            "wsgi.input_terminated": True,
            "wsgi.errors": errors,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
        }

    def environ(self, names: list[str], values: list[str]) -> dict[str, Any]:
        """Raises ``ProtocolError`` 400 for parameters that no app should see."""
        return environs.build(names, values, self._template)

    def respond(self, environ: dict[str, Any], send: Send) -> Outcome:
        """Run the app for one request. Never raises."""
        response = Response(send, self._line)
        result: Any = None
        try:
            result = self._application(environ, response.start)
            # To iterate over bytes gives numbers; what is meant is plain, and uWSGI took it.
            for block in (result,) if isinstance(result, bytes) else result:
                if block:
                    response.write(block)
            response.finish()
            outcome = _FINE
        except BaseException as error:
            outcome = self._failed(environ, response, error)
        close = getattr(result, "close", None)
        if close is not None:
            self._close(close, environ)
        if response.surplus:
            self._report(environ, "the app gave more than its Content-Length -- the rest was not sent")
        try:
            # Only whole lines leave a stderr by themselves; the next request may be an hour away.
            self._errors.flush()
        except Exception:
            return outcome
        return outcome

    def _close(self, close: Callable[[], object], environ: dict[str, Any]) -> None:
        try:
            close()
        except BaseException as error:
            self._trace(environ, "close() failed", error)

    def _failed(self, environ: dict[str, Any], response: Response, error: BaseException) -> Outcome:
        left = isinstance(error, Disconnected)
        if isinstance(error, BodyTooLong):
            self._report(environ, f"{error} -- answered with 413")
        elif not left:
            self._trace(environ, "the app failed", error)
        elif str(error):
            self._report(environ, f"{error} -- the request was given up")
        if response.sent:
            return Outcome(not left, not response.ended, response.counted)
        try:
            response.replace(413 if isinstance(error, BodyTooLong) else 500)
        except Disconnected:
            return Outcome(not left, True, True)
        return Outcome(not left, False, True)

    def _trace(self, environ: dict[str, Any], what: str, error: BaseException) -> None:
        # The first frame is ours and tells nobody anything.
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        lines = traceback.format_exception(type(error), error, frames)
        self._report(environ, what, "".join(lines))

    def _report(self, environ: dict[str, Any], what: str, more: str = "") -> None:
        method, path = environ.get("REQUEST_METHOD"), _path(environ)
        # A log that cannot be written (a full disk, a stream that the app closed) is no reason to lose the
        # request.
        with contextlib.suppress(Exception):
            self._errors.write(f"request: {method} {path}: {what}\n{more}")
            self._errors.flush()


def _path(environ: dict[str, Any]) -> str:
    text = str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))
    return ascii(text[:200])[1:-1]
