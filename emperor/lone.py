"""A lone server: one process that answers FastCGI on the listening socket which a web server handed it.

It promises: TERM, INT, HUP and USR1 mean finish what is in flight and go; what cannot be imported stands with its
traceback on standard error, which is the web server's error log. It never forks, binds, or reads an ini.

Source: FastCGI specification 1.0, sections 2.2 (descriptor 0 listens) and 3.2 (FCGI_WEB_SERVER_ADDRS).
This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import errno
import gc
import importlib.util
import ipaddress
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec
from typing import Any, Callable, Optional

from emperor.errors import EmperorError, LoadError
from emperor.model import FASTCGI, VassalSpec
from emperor.supervision.paper import Paper
from emperor.system import rlimits
from emperor.system.handed import LISTENER, listener_at
from emperor.system.logs import open_for_append, stamp
from emperor.system.scoreboard import Scoreboard
from emperor.worker import finish, keep_to_one_process, load, server_of, settle_in

_DRAINING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

WEB_SERVERS = "FCGI_WEB_SERVER_ADDRS"

FAILED = 1

LAST_CALL = 5.0
"""Seconds for those who still wait when the work in hand is done; under full load they would never end."""


class Lent:
    """A finder (``sys.meta_path``) of a few packages by name, wherever they lie; to be asked last."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Optional[Sequence[str]], target: Any = None) -> Optional[ModuleSpec]:
        folder = self._folders.get(name)
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )


class Guarded:
    """A listening socket that lets only some addresses in: the others are accepted and closed at once.

    It has what servers ask of a listener and nothing else: another way to accept must not get past it unseen.
    """

    def __init__(self, listener: socket.socket, allowed: frozenset[str]) -> None:
        self._listener = listener
        self._allowed = allowed
        self.family = listener.family
        self.fileno = listener.fileno
        self.setsockopt = listener.setsockopt

    def accept(self) -> tuple[socket.socket, Any]:
        """As ``socket.accept``; a stranger is ECONNABORTED, which every server takes as nobody."""
        fd, address = self._accept()
        return socket.socket(fileno=fd), address

    def _accept(self) -> tuple[int, Any]:
        """The same for a bare descriptor, as the native engine asks for it."""
        fd, address = self._listener._accept()  # type: ignore[attr-defined]  # typeshed has only what is public
        if _plain(address[0]) in self._allowed:
            return fd, address
        os.close(fd)
        raise ConnectionAbortedError(errno.ECONNABORTED, f"{address[0]} is not in {WEB_SERVERS}")


def web_servers(value: str) -> frozenset[str]:
    """The addresses of FCGI_WEB_SERVER_ADDRS in their one spelling. EmperorError: one of them is none."""
    try:
        return frozenset(_plain(one.strip()) for one in value.split(","))
    except ValueError as error:
        raise EmperorError(f"{WEB_SERVERS}: {error} -- not started, since nobody could connect") from None


def _plain(address: str) -> str:
    found = ipaddress.ip_address(address.partition("%")[0])
    # On a socket for both families an IPv4 peer has an IPv6 address.
    return str(getattr(found, "ipv4_mapped", None) or found)


def guarded(listener: socket.socket, environ: Mapping[str, str]) -> Any:
    """The listener as FCGI_WEB_SERVER_ADDRS wants it. It names TCP peers; who may connect to a Unix socket, its file
    says.
    """
    value = environ.get(WEB_SERVERS, "")
    if not value or listener.family == socket.AF_UNIX:
        return listener
    return Guarded(listener, web_servers(value))


def main(argv: Sequence[str]) -> None:
    """``launch_lone.py NAME PAPER``: descriptor 0 listens, PAPER is an inherited descriptor."""
    with os.fdopen(int(argv[2]), "rb") as file:
        paper = Paper.from_bytes(file.read())
    spec = paper.spec
    sys.argv = [spec.name]
    sys.meta_path.append(Lent(paper.lent))
    try:
        _keep_log(spec)
        listener = _take()
        settle_in(spec)
        _serve(spec, listener)
    except EmperorError as error:
        _explain(spec, error)
        # Not what the app wants done at its end: it has not begun, and a thread that it left would keep us.
        os._exit(FAILED)
    finish(0)


def _keep_log(spec: VassalSpec) -> None:
    """Standard error, or the file of ``logto``, takes what the app prints, too: web servers give no such place."""
    if spec.logto:
        try:
            log = open_for_append(spec.logto)
        except OSError as error:
            who = spec.identity.user
            raise EmperorError(f"logto {spec.logto}: cannot be opened as {who}: {error.strerror}") from None
        os.dup2(log, 2)
        os.close(log)
    os.dup2(2, 1)
    # What an app prints would be kept back until 8 KiB are full.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # nothing has replaced it yet


def _take() -> socket.socket:
    """Descriptor 0 becomes a socket of ours alone: no program that the app starts shall hold it open, or read it."""
    listener = listener_at(LISTENER)
    if listener is None:
        raise EmperorError("descriptor 0: is no listening socket any more -- not started")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, LISTENER)
    os.close(nothing)
    # The flag is the open file's, so whoever shares the socket has it from here on. Those are processes of the same
    # command (spawn-fcgi -F, or one that takes over while another drains), and web servers never accept on it. Without
    # it the one that lost the race for a connection would wait in accept, deaf to TERM.
    listener.setblocking(False)
    return listener


def _serve(spec: VassalSpec, listener: socket.socket) -> None:
    guard = guarded(listener, os.environ)
    rlimits.hold(spec)
    application = load(spec)
    # The web server may run any number of us, and tells nobody.
    spec = replace(spec, processes=max(2, spec.processes))
    tally = Scoreboard(1, spec.threads).tally(0)

    def fresh() -> Any:
        return server_of(spec, [(guard, FASTCGI)], application, tally)

    server = fresh()

    def drain(signum: int, frame: Any) -> None:
        # The kernel's own alarm: it also ends an app that never comes back to Python.
        if not signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, spec.reload_mercy + 0.5)
        server.drain(keep_idle=signum in (signal.SIGHUP, signal.SIGUSR1))

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for signum in _DRAINING:
        signal.signal(signum, drain)
    keep_to_one_process(server, tally, _DRAINING)
    if hasattr(gc, "freeze"):
        # What was imported is garbage to nobody.
        gc.collect()
        gc.freeze()
    server.run()
    _last_call(listener, fresh)


def _last_call(listener: socket.socket, fresh: Callable[[], Any]) -> None:
    """Answer who waits in the backlog: it goes with the socket, and there may be nobody else to accept from it.

    A server that drains before it runs serves one connection.
    """
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    mercy, _ = signal.getitimer(signal.ITIMER_REAL)
    end = time.monotonic() + min(LAST_CALL, mercy / 2)
    while waiting.poll(0) and time.monotonic() < end:
        server = fresh()
        server.drain(keep_idle=False)
        server.run()


def _explain(spec: VassalSpec, error: EmperorError) -> None:
    """All that a web server says of it is "premature end of script headers"; here is the rest."""
    lines = [f"{stamp()} emperor run: {spec.name}: {error}"]
    if isinstance(error, LoadError):
        lines[0] = f"{stamp()} emperor run: {spec.name}: the app cannot be imported: {error}"
        lines += error.traceback.splitlines()
        if os.path.isabs(spec.config):
            lines.append(f"emperor run: to see it by hand: emperorctl check --import {spec.config}")
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
