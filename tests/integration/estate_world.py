"""An emperor's estate without the emperor, and a service manager's fd store without the manager."""

from __future__ import annotations

import array
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from emperor.holding.errands import Errands
from emperor.holding.estate import Estate
from emperor.holding.holdings import Holdings
from emperor.model import ADMIN, OWNER, Address, Authority, SocketSpec, VassalSpec
from emperor.supervision.channel import Listening
from emperor.system import fdstore
from emperor.system.closer import Closer
from emperor.system.eventloop import Loop
from emperor.system.fdstore import Received
from emperor.system.notify import Notifier
from emperor.system.placebook import PlaceBook
from tests.integration.kernel_world import ME, Notes, drive, raise_it, vassal_spec

HIGH = 600
"""Where the descriptors of a manager begin: systemd gives them from 3 on, which are the tests' own here."""


class Manager:
    """What systemd does with FDSTORE=1: it keeps descriptors by name, and gives them back at the next start."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self._kept: list[tuple[str, int]] = []
        self.refused: list[tuple[str, str]] = []

    def notifier(self) -> Notifier:
        return Notifier({"NOTIFY_SOCKET": str(self.path)})

    @property
    def names(self) -> list[str]:
        self._hear()
        return [name for name, _ in self._kept]

    def add(self, name: str, sock: socket.socket) -> None:
        """As a .socket unit does, or somebody who can write to our fd store."""
        self._kept.append((name, os.dup(sock.fileno())))

    def start(self) -> list[Received]:
        """Give copies of all to a new main process, as systemd does, and let it read them."""
        self._hear()
        for number, (_, fd) in enumerate(self._kept, HIGH):
            os.dup2(fd, number)
        environ = {
            "LISTEN_PID": str(os.getpid()),
            "LISTEN_FDS": str(len(self._kept)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in self._kept),
        }
        found = fdstore.received(environ, lambda name, reason: self.refused.append((name, reason)), HIGH)
        assert environ == {}
        return found

    def close(self) -> None:
        for _, fd in self._kept:
            os.close(fd)
        self._socket.close()

    def _hear(self) -> None:
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(4))
            except BlockingIOError:
                return
            lines = data.decode("ascii").split("\n")
            name = next(line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME="))
            fds = array.array("i", b"".join(one[2] for one in ancillary))
            if "FDSTORE=1" in lines:
                assert "FDPOLL=0" in lines
                self._kept += [(name, fd) for fd in fds]
            if "FDSTOREREMOVE=1" in lines:
                for _, fd in [row for row in self._kept if row[0] == name]:
                    os.close(fd)
                self._kept = [row for row in self._kept if row[0] != name]


BY_ADMIN = Authority(ADMIN)
BY_OWNER = Authority(OWNER, ME.uid)


class World:
    """An emperor's estate, and a user's folder beside its runtime folder."""

    def __init__(self, folder: Path, manager: Manager | None = None, lock: int = -1) -> None:
        self.runtime, self.home = folder / "run", folder / "home"
        for path in (self.runtime, self.home):
            path.mkdir(exist_ok=True)
        self.loop, self.journal, self.closer = Loop(raise_it), Notes(), Closer()
        self.book = PlaceBook(str(self.runtime), lock=lock)
        self.estate = Estate(
            str(self.runtime),
            self.book,
            Errands(self.loop, self.journal, self.book),
            self.journal,
            self.closer,
            {},
            manager.notifier() if manager is not None else None,
            manager.start() if manager is not None else (),
        )
        self.all: list[Holdings] = []
        self.ended = False

    def holdings(self, name: str = "blog") -> Holdings:
        self.all.append(Holdings(name, self.estate))
        return self.all[-1]

    def spec(
        self, *sockets: SocketSpec, authority: Authority = BY_ADMIN, name: str = "blog", **more: Any
    ) -> VassalSpec:
        return vassal_spec(self.home, *sockets, name=name, authority=authority, **more)

    def errands_done(self) -> None:
        drive(self.loop, lambda: self.estate.errands.idle)

    def crash(self) -> None:
        """The process is gone: what it had open is closed, and nothing else happens."""
        for one in self.all:
            for held in one._held.values():
                held.sock.close()
            for fresh in one._fresh.values():
                fresh.held.sock.close()
            one._held.clear()
            one._fresh.clear()
        self.all.clear()
        self._end()

    def forget(self) -> None:
        """The program is gone; its descriptors and its lock are not."""
        for one in self.all:
            for held in (*one._held.values(), *(fresh.held for fresh in one._fresh.values())):
                held.sock.detach()
        for received in self._received():
            received.sock.detach()
        self.all.clear()
        self._end(lock=False)

    def _received(self) -> list[Received]:
        heirlooms = self.estate.heirlooms
        return [*heirlooms._lent, *(one for one, _ in heirlooms._stored)]

    def _end(self, lock: bool = True) -> None:
        self.ended = True
        for received in self._received():
            received.sock.close()
        if self.estate.notifier is not None:
            self.estate.notifier.close()
        if lock:
            self.book.release()
        self.loop.close()

    def close(self) -> None:
        if self.ended:
            return
        for one in self.all:
            one.release()
        self.errands_done()
        self._end()


def path_of(spec: VassalSpec, index: int = 0) -> Path:
    return Path(spec.sockets[index].address.path)


def connects(address: Address) -> bool:
    with socket.socket(socket.AF_UNIX) as peer:
        try:
            peer.connect(address.path)
        except OSError:
            return False
    return True


def bound_by_vassal(path: Path) -> tuple[socket.socket, Listening]:
    """What a vassal does, and what it says of it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    there = path.lstat()
    return sock, Listening(0, there.st_dev, there.st_ino, stat.S_IMODE(there.st_mode), there.st_uid, there.st_gid)


def hand_up(holdings: Holdings, spec: VassalSpec, index: int = 0) -> socket.socket:
    """Let a vassal bind its socket, and the emperor take it; the vassal's own end."""
    sock, message = bound_by_vassal(path_of(spec, index))
    holdings.take(spec, replace(message, index=index), os.dup(sock.fileno()))
    return sock
