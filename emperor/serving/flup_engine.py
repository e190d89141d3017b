"""FastCGI through flup 1.0.3, for those who ask for it by name (``fastcgi-engine = flup``).

It promises: our listening sockets, our drain, our tally, and no more requests in the app at once than
``threads``. Mended here, because it lets a visitor inject variables: parameters split over two records. All
else is flup's: a kept connection pins a thread, wsgi.errors goes to stderr and to the web server, a failure
behind the head looks like a whole response.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import socket
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any, Callable, Optional

from emperor.errors import EmperorError
from emperor.serving.settings import Settings, Tally, report
from emperor.wsgi.gateway import WSGIApplication

__all__ = ["Server"]

_SPARE = 16
"""Threads beyond ``threads``: each may be pinned by an idle connection that the web server keeps."""

_STEP_SECONDS = 0.5


class Server:
    """The same face as ``emperor.serving.native.Server``; FastCGI only."""

    def __init__(
        self,
        listeners: Sequence[tuple[socket.socket, str]],
        application: WSGIApplication,
        settings: Settings,
        tally: Tally,
    ) -> None:
        """Raises ``EmperorError`` for another protocol, and where flup cannot be imported."""
        for _, protocol in listeners:
            if protocol != "fastcgi":
                raise EmperorError(f"server: protocol {protocol}: fastcgi-engine = flup speaks FastCGI alone")
        self._listeners = [listener for listener, _ in listeners]
        self._settings = settings
        self._turns = _Turns(settings.threads, tally)
        self._flup = _flup_server(application, settings, self._turns, self)
        self._accepting = threading.Lock()
        self._drain_began: Optional[float] = None
        self._keep_idle = True
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    @property
    def draining(self) -> bool:
        return self._drain_began is not None

    @property
    def patience_is_over(self) -> bool:
        """Is it time to close connections that are kept and idle?"""
        began = self._drain_began
        patience = self._settings.patience_with_kept if self._keep_idle else 0.0
        return began is not None and time.monotonic() >= began + patience

    def run(self) -> None:
        """Serve until drained. Only the main thread may call it, once."""
        threads = [
            threading.Thread(target=self._work, name=f"flup-{number}", daemon=True)
            for number in range(self._settings.threads + _SPARE)
        ]
        for thread in threads:
            thread.start()
        while not self.draining:
            select.select([self._wake_read], [], [])
        end = (self._drain_began or 0.0) + self._settings.drain_seconds
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        if not any(thread.is_alive() for thread in threads):
            # A signal may call drain between any two of these lines.
            ends = self._wake_read, self._wake_write
            self._wake_write = -1
            for fd in ends:
                os.close(fd)

    def drain(self, keep_idle: bool = True) -> None:
        """As the native server's."""
        if self._drain_began is None:
            self._drain_began = time.monotonic()
        self._keep_idle = self._keep_idle and keep_idle
        wake = self._wake_write
        if wake >= 0:
            # BrokenPipeError: run() is just closing it, so nobody sleeps any more.
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(wake, b"\0")

    def _work(self) -> None:
        while not self.draining:
            accepted = self._accept()
            if accepted is None:
                continue
            with accepted:
                try:
                    self._flup.connection(accepted).run()
                except Exception as error:
                    report(f"flup: {type(error).__name__}: {error} -- connection closed")

    def _accept(self) -> Optional[socket.socket]:
        """One thread waits at a time. The byte in the pipe stays there: it is news for each of them."""
        with self._accepting:
            known = {listener.fileno(): listener for listener in self._listeners}
            ready, _, _ = select.select([self._wake_read, *known], [], [])
            if self.draining:
                return None
            with contextlib.suppress(OSError):
                # Another process may have been faster: the socket is not blocking.
                return known[ready[-1]].accept()[0]
            return None


class _Turns:
    """Lets so many requests into the app at once; each holds a number for the tally meanwhile."""

    def __init__(self, threads: int, tally: Tally) -> None:
        self._gate = threading.BoundedSemaphore(threads)
        self._free = list(range(threads))
        self._tally = tally

    def enter(self) -> int:
        self._gate.acquire()
        number = self._free.pop()
        self._tally.begin(number)
        return number

    def leave(self, number: int, failed: bool) -> None:
        self._tally.end(number, failed)
        self._free.append(number)
        self._gate.release()


def _import_flup() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("flup.server.fcgi_base")
    except ImportError as error:
        raise EmperorError(
            f"fastcgi-engine = flup: flup cannot be imported: {error} -- install flup==1.0.3 into the app's"
            " environment, or use fastcgi-engine = native"
        ) from None


def _flup_server(application: WSGIApplication, settings: Settings, turns: _Turns, server: Server) -> Any:
    """flup's classes are known only now, so its subclasses are made here."""
    flup = _import_flup()
    engine = _engine_class(flup, turns)(
        application,
        bindAddress="inherited",  # anything but None, which would mean descriptor 0
        multithreaded=settings.threads > 1,
        multiprocess=settings.multiprocess,
    )
    engine.environ["wsgi.input_terminated"] = True
    engine.connection_class = _connection_class(flup, server, settings.buffer_size)
    return engine


def _connection_class(flup: Any, server: Server, limit: int) -> Any:
    class Connection(flup.Connection):  # type: ignore[misc]
        def process_input(self) -> None:
            _await_record(self._sock, lambda: server.patience_is_over and not self._requests)
            super().process_input()

        def _cleanupSocket(self) -> None:
            _hang_up(self._sock)

        def _do_params(self, record: Any) -> None:
            request = self._requests.get(record.requestId)
            if request is not None and record.contentLength:
                request.block = _joined(request.block, record.contentData, limit)
            elif request is not None:
                if server.draining:
                    request.flags &= ~flup.FCGI_KEEP_CONN
                whole = flup.Record(flup.FCGI_PARAMS, record.requestId)
                whole.contentData, whole.contentLength = request.block, len(request.block)
                if request.block:
                    super()._do_params(whole)
                super()._do_params(record)

    return Connection


def _await_record(connection: socket.socket, is_over: Callable[[], bool]) -> None:
    while not select.select([connection], [], [], _STEP_SECONDS)[0]:
        if is_over():
            raise EOFError


def _hang_up(connection: socket.socket) -> None:
    """flup's own waits for ever on a peer that stays."""
    with contextlib.suppress(OSError, ValueError):
        connection.shutdown(socket.SHUT_WR)
        while select.select([connection], [], [], _STEP_SECONDS)[0] and connection.recv(65536):
            pass
    connection.close()


def _mend_path(params: dict[str, str]) -> None:
    """nginx's stock fastcgi_params send the whole path as SCRIPT_NAME; flup would leave it there (its fault 8)."""
    if "PATH_INFO" not in params and params.get("SERVER_SOFTWARE", "").startswith("nginx"):
        params["PATH_INFO"], params["SCRIPT_NAME"] = params.get("SCRIPT_NAME", ""), ""


def _joined(block: bytes, more: bytes, limit: int) -> bytes:
    """flup reads each record by itself, and takes the rest of a pair for new ones."""
    if len(block) + len(more) > limit:
        raise EOFError
    return block + more


def _engine_class(flup: Any, turns: _Turns) -> Any:
    class Request(flup.Request):  # type: ignore[misc]
        block = b""

    class Engine(flup.BaseFCGIServer):  # type: ignore[misc]
        request_class = Request
        connection_class: Any = None

        def connection(self, accepted: socket.socket) -> Any:
            return self.connection_class(accepted, "", self, None)

        def handler(self, request: Any) -> Any:
            number = turns.enter()
            failed = True
            try:
                request.params.pop("HTTP_PROXY", None)
                _mend_path(request.params)
                result = super().handler(request)
                failed = False
                return result
            finally:
                turns.leave(number, failed)

        def error(self, request: Any) -> None:
            page = b"500 Internal Server Error\n"
            request.stdout.write(b"Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\n" + page)

    return Engine
