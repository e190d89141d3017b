"""The server of a worker: listening sockets, connections, threads, and the way out.

It promises: a connection leaves the backlog only when a thread is free to serve it; one that waits (for a
request, or between two) pins no thread; the thread that accepts is the thread that serves. ``drain`` stops
accepting at once and lets ``run`` return when the work is done or the time is over. The listening sockets
stay the caller's.

One thread at a time, the leader, waits in epoll. It takes one piece of work, hands the lead on and serves.
With one thread that is a plain loop, and no lock is ever contended.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from emperor.errors import EmperorError
from emperor.serving import fastcgi_peer, uwsgi_peer
from emperor.serving.connection import Connection
from emperor.serving.fastcgi_peer import FastcgiPeer
from emperor.serving.lingering import Lingering
from emperor.serving.settings import Settings, Tally, report
from emperor.serving.uwsgi_peer import UwsgiPeer
from emperor.wsgi.gateway import Gateway, WSGIApplication

__all__ = ["Server", "Settings", "Tally"]

if TYPE_CHECKING:
    from emperor.serving.http_peer import HttpPeer

Peer = Union[UwsgiPeer, FastcgiPeer, "HttpPeer", Lingering]
Kind = Callable[[Connection, Gateway, Settings, Tally], Peer]
_KINDS: dict[str, tuple[Kind, str]] = {
    "uwsgi": (UwsgiPeer, uwsgi_peer.LINE),
    "fastcgi": (FastcgiPeer, fastcgi_peer.LINE),
}

_SWEEP_SECONDS = 1.0
_GRACE_SECONDS = 0.1
_AT_ONCE = 64
# One of the waiting processes wakes for a connection, not all; PyPy does not know the flag.
_LISTEN = select.EPOLLIN | getattr(select, "EPOLLEXCLUSIVE", 0)
_COMMON = (errno.EAGAIN, errno.ECONNABORTED, errno.EINTR, errno.EPERM, errno.EPROTO)


def _kind(protocol: str) -> tuple[Kind, str]:
    if protocol == "http":
        # h11 is imported only where a socket speaks HTTP.
        from emperor.serving import http_peer

        http_peer.require()
        return http_peer.HttpPeer, http_peer.LINE
    if protocol not in _KINDS:
        raise EmperorError(f"server: protocol {protocol}: the native engine does not speak it")
    return _KINDS[protocol]


@contextlib.contextmanager
def _signals_wake(fd: int) -> Iterator[None]:
    """A signal between Python's last look and the wait for events is heard at once: its handler runs only when that
    wait is over (signal(7); ``signal.set_wakeup_fd``).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)


class Server:
    """``listeners``: non-blocking, perhaps shared with other processes; each with its protocol."""

    def __init__(
        self,
        listeners: Sequence[tuple[socket.socket, str]],
        application: WSGIApplication,
        settings: Settings,
        tally: Tally,
    ) -> None:
        """Raises ``EmperorError`` for a protocol that is not ours."""
        self._settings = settings
        self._tally = tally
        self._listeners: dict[int, tuple[Callable[[], tuple[int, Any]], Kind, Gateway]] = {}
        for listener, protocol in listeners:
            kind, line = _kind(protocol)
            gateway = Gateway(application, line, sys.stderr, settings.threads > 1, settings.multiprocess)
            if listener.family != socket.AF_UNIX:
                # Inherited by what is accepted; several small sends must not wait for each other's ACK.
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The public accept() makes an object with two more system calls for a descriptor that is all we want.
            accept: Callable[[], tuple[int, Any]] = listener._accept  # type: ignore[attr-defined]
            self._listeners[listener.fileno()] = (accept, kind, gateway)
        self._peers: dict[int, Peer] = {}
        self._pending: list[tuple[int, int]] = []
        self._lead = threading.Lock()
        self._listening = False
        self._full = False
        self._hurried = False
        self._sweep_at = 0.0
        self._drain_began: Optional[float] = None
        self._keep_idle = True
        self._abandoned = False
        self._wake_read = self._wake_write = -1
        self._epoll: Any = None
        # While a thread serves a connection, no other may hear of it; a lone thread cannot be in two places.
        self._watch_mask = select.EPOLLIN | (select.EPOLLONESHOT if settings.threads > 1 else 0)

    def run(self) -> None:
        """Serve until drained. Only the main thread may call it, once."""
        self._epoll = select.epoll()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._epoll.register(self._wake_read, select.EPOLLIN)
        self._listen(True)
        with _signals_wake(self._wake_write):
            if self._settings.threads == 1:
                self._alone()
            else:
                self._together()
        self._close()

    def drain(self, keep_idle: bool = True) -> None:
        """Stop accepting and let ``run`` return. A signal handler of the main thread may call it, repeatedly.

        ``keep_idle``: idle kept connections stay open for one more request each, as ``Settings`` says. Closing one as
        a request arrives makes nginx repeat a GET and fail a POST; without it they are closed now.
        """
        if self._drain_began is None:
            self._drain_began = time.monotonic()
        if not keep_idle:
            self._keep_idle = False
            self._sweep_at = 0.0
        self._wake_leader()

    # --- what each thread does ---

    def _alone(self) -> None:
        """A lone thread hands no lead on, and hides no connection from others while it serves it."""
        peers = self._peers
        while not self._is_done():
            self._wait()
            while self._pending:
                fd, _ = self._pending.pop()
                peer = self._take(fd)
                if peer is None:
                    continue
                watched = self._serve(peer, 0)
                if watched is None:
                    peers.pop(fd, None)
                elif watched is not peer or not peer.connection.watched:
                    self._watch(watched)
                elif watched.deadline is not None:
                    self._hurried = True

    def _together(self) -> None:
        others = [
            threading.Thread(target=self._work, args=(number,), name=f"wsgi-{number}", daemon=True)
            for number in range(1, self._settings.threads)
        ]
        for thread in others:
            thread.start()
        self._work(0)
        # A thread that is only about to find that all is done gets the time for it.
        end = time.monotonic() + max(_GRACE_SECONDS, self._time_left())
        for thread in others:
            thread.join(max(0.0, end - time.monotonic()))
        self._abandoned = any(thread.is_alive() for thread in others)

    def _work(self, thread: int) -> None:
        while True:
            peer: Optional[Peer] = None
            with self._lead:
                if self._is_done():
                    break
                if not self._pending:
                    self._wait()
                if self._pending:
                    fd, _ = self._pending.pop()
                    peer = self._take(fd)
                    # While it is served it may be closed, and its number given to another connection.
                    self._peers.pop(fd, None)
            if peer is not None:
                watched = self._serve(peer, thread)
                if watched is not None:
                    self._watch(watched)
        # The next leader may be asleep, and it is its turn to find that all is done.
        self._wake_leader()

    def _serve(self, peer: Peer, thread: int) -> Optional[Peer]:
        try:
            return peer.advance(thread, self._drain_began is not None)
        except Exception as error:
            # A bug of ours: it costs this connection, not the worker.
            report(f"connection: {type(error).__name__}: {error} -- connection closed")
            with contextlib.suppress(OSError):
                peer.connection.close()
            return None

    def _watch(self, peer: Peer) -> None:
        connection = peer.connection
        # Known first, watched second: the leader may hear of it before this line's successor runs.
        self._peers[connection.fd] = peer
        if peer.deadline is not None:
            self._hurried = True
        if not connection.watched:
            connection.watched = True
            self._epoll.register(connection.fd, self._watch_mask)
        elif self._settings.threads > 1:
            self._epoll.modify(connection.fd, self._watch_mask)
        if self._settings.threads > 1 and peer.deadline is not None:
            # The leader may be waiting without a deadline.
            self._wake_leader()

    # --- what only the leader does ---

    def _wait(self) -> None:
        """Until somebody has something to say, or a deadline is due: ``_pending`` is what was heard."""
        if self._drain_began is not None and self._listening:
            # EPOLLEXCLUSIVE may have woken us alone: what we were woken for is ours, or nobody hears of it.
            self._pending += self._epoll.poll(0, _AT_ONCE)
            self._listen(False)
            # Perhaps that was all: waiting for what cannot come any more would cost every stop a second.
            return
        if self._full and len(self._peers) < self._settings.connections and self._drain_began is None:
            self._full = False
            self._listen(True)
        self._pending = self._epoll.poll(self._patience(), _AT_ONCE)
        if self._hurried or self._drain_began is not None:
            self._sweep_if_due()

    def _take(self, fd: int) -> Optional[Peer]:
        """Whom it concerns; None: nobody."""
        if fd in self._listeners:
            return self._accept(fd)
        if fd == self._wake_read:
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 4096)
            return None
        return self._peers.get(fd)

    def _accept(self, fd: int) -> Optional[Peer]:
        accept, kind, gateway = self._listeners[fd]
        try:
            accepted, _ = accept()
            os.set_blocking(accepted, False)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _COMMON:
                report(f"accept: {error.strerror} -- no new connections for {_SWEEP_SECONDS:g} s")
                self._listen(False)
            return None
        if len(self._peers) + 1 >= self._settings.connections:
            self._full = True
            self._listen(False)
        return kind(Connection(accepted, self._settings.patience), gateway, self._settings, self._tally)

    def _listen(self, on: bool) -> None:
        if on == self._listening:
            return
        self._listening = on
        self._hurried = self._hurried or not on
        for fd in self._listeners:
            if on:
                self._epoll.register(fd, _LISTEN)
            else:
                self._epoll.unregister(fd)

    def _patience(self) -> float:
        """How long epoll may wait: for ever (negative) when no deadline is open."""
        if self._drain_began is not None:
            return max(0.0, min(_SWEEP_SECONDS, self._time_left()))
        return _SWEEP_SECONDS if self._hurried else -1.0

    def _sweep_if_due(self) -> None:
        """Close what is overdue. Once a second is often enough for deadlines of ten."""
        now = time.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_SECONDS
        draining = self._drain_began is not None
        if not draining and not self._full:
            self._listen(True)
        patience = self._settings.patience_with_kept if self._keep_idle else 0.0
        kept_too = draining and now >= (self._drain_began or 0.0) + patience
        self._hurried = False
        speaking = {fd for fd, _ in self._pending}
        for fd, peer in list(self._peers.items()):
            if peer.deadline is None or (kept_too and getattr(peer, "idle", False)):
                # A request that is here already is answered.
                overdue = kept_too and fd not in speaking
            else:
                self._hurried = True
                overdue = now >= peer.deadline
            if overdue and self._peers.pop(fd, None) is not None:
                peer.connection.close()

    # --- the way out ---

    def _is_done(self) -> bool:
        if self._drain_began is None:
            return False
        if self._time_left() <= 0:
            return True
        return not (self._peers or self._pending or self._listening)

    def _time_left(self) -> float:
        began = self._drain_began
        return 0.0 if began is None else began + self._settings.drain_seconds - time.monotonic()

    def _wake_leader(self) -> None:
        # Once: another thread may be closing it.
        fd = self._wake_write
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.write(fd, b"\0")

    def _close(self) -> None:
        if self._abandoned:
            return
        ends = self._wake_read, self._wake_write
        self._wake_read = self._wake_write = -1
        for peer in self._peers.values():
            peer.connection.close()
        self._peers.clear()
        self._epoll.close()
        for fd in ends:
            os.close(fd)
