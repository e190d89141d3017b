"""A service manager's fd store for a daemon that is started without one: what systemd does with FDSTORE=1."""

from __future__ import annotations

import array
import os
import shutil
import socket
import threading
from pathlib import Path

from tests.e2e.harness.waiting import DEADLINE

WRAPPER = """#!/usr/bin/python3
import fcntl, os, socket
with socket.socket(socket.AF_UNIX) as birth:
    birth.connect(os.environ.pop("BIRTH"))
    names, fds, _, _ = socket.recv_fds(birth, 65536, 250)
high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 500) for fd in fds]
for fd in fds:
    os.close(fd)
for number, fd in enumerate(high, 3):
    os.dup2(fd, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=names.decode().strip())
import sys
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""


class FdStore:
    """``programs``: an ``emperor`` that begins with what is kept, and the ``emperorctl`` beside it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        folder.mkdir()
        self.programs = folder / "bin"
        self.programs.mkdir()
        wrapper = self.programs / "emperor"
        wrapper.write_text(WRAPPER.format(program=str(programs / "emperor")))
        wrapper.chmod(0o755)
        (self.programs / "emperorctl").symlink_to(programs / "emperorctl")
        self._notify, self._birth = folder / "notify", folder / "birth"
        self._words = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._words.bind(str(self._notify))
        self._births = socket.socket(socket.AF_UNIX)
        self._births.bind(str(self._birth))
        self._births.listen()
        self._kept: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._hear, self._bear)]
        for thread in self._threads:
            thread.start()

    @property
    def environ(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self._notify), "BIRTH": str(self._birth)}

    @property
    def names(self) -> list[str]:
        with self._lock:
            return [name for name, _ in self._kept]

    def add(self, name: str, sock: socket.socket) -> None:
        """As a ``.socket`` unit does."""
        with self._lock:
            self._kept.append((name, os.dup(sock.fileno())))

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"END", str(self._notify))
        self._births.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()
        for fd in [self._words.detach(), self._births.detach(), *(fd for _, fd in self._kept)]:
            os.close(fd)
        shutil.rmtree(self._notify.parent)

    def _bear(self) -> None:
        while True:
            try:
                newborn, _ = self._births.accept()
            except OSError:
                return
            with newborn, self._lock:
                names = ":".join(name for name, _ in self._kept) or " "
                socket.send_fds(newborn, [names.encode()], [fd for _, fd in self._kept])

    def _hear(self) -> None:
        while True:
            data, ancillary, _, _ = self._words.recvmsg(4096, socket.CMSG_SPACE(4))
            lines = data.decode().split("\n")
            if lines == ["END"]:
                return
            name = next((line[7:] for line in lines if line.startswith("FDNAME=")), "stored")
            with self._lock:
                self._kept += [(name, fd) for one in ancillary for fd in array.array("i", one[2])]
                if "FDSTOREREMOVE=1" in lines:
                    for _, fd in [row for row in self._kept if row[0] == name]:
                        os.close(fd)
                    self._kept = [row for row in self._kept if row[0] != name]
