"""The web servers that run here, as /proc shows them to whoever asks.

A process may call itself what it likes, and say what it likes of its files: one is believed only if its master is
root's or our own, and, where that can be read, if its program is one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Optional

from emperor.webservers.route import APACHE, LIGHTTPD, NGINX

PROGRAMS = {"nginx": NGINX, "apache2": APACHE, "httpd": APACHE, "lighttpd": LIGHTTPD}
TMP = ("/tmp", "/var/tmp")
"""What PrivateTmp= of systemd.exec(5) hides."""
_TITLE = re.compile(r"nginx: master process (.*)", re.DOTALL)
_MOST = 4096
_LONGEST = 64 * 1024


class Process(NamedTuple):
    """``born``: in seconds of the epoch."""

    pid: int
    parent: int
    kind: str
    uid: int
    gid: int
    words: tuple[str, ...]
    born: float


class Running(NamedTuple):
    """One web server: its master and its workers (lighttpd is both)."""

    kind: str
    master: Process
    workers: tuple[Process, ...]

    @property
    def pids(self) -> tuple[int, ...]:
        others = [one.pid for one in self.workers if one.pid != self.master.pid]
        return (*others[:200], self.master.pid)


def running() -> tuple[list[Running], list[Running]]:
    """Those whose masters are root's or ours; and others', whose every word is only what they say.

    A lighttpd that root has started is among these: its one process gives up root's rights.
    """
    boot = _boot()
    found = {one.pid: one for one in (_process(pid, boot) for pid in _numbers()) if one is not None}
    masters = [one for one in found.values() if one.parent not in found or found[one.parent].kind != one.kind]
    ours, others = list[Running](), list[Running]()
    for master in masters:
        children = tuple(one for one in found.values() if one.parent == master.pid and one.kind == master.kind)
        believed = is_believed(master) and _is_its_program(master.pid)
        (ours if believed else others).append(Running(master.kind, master, children or (master,)))
    return ours, others


def is_believed(master: Process) -> bool:
    return master.uid in (0, os.geteuid())


def everybody_is_seen() -> bool:
    """hidepid of /proc hides others' processes, the first one's among them."""
    return os.path.exists("/proc/1/stat")


def option(words: Iterable[str], letter: str) -> list[str]:
    """``-c FILE`` and ``-cFILE``, each time it is said."""
    found, waits = [], False
    for word in words:
        if waits:
            found.append(word)
            waits = False
        elif word == letter:
            waits = True
        elif word.startswith(letter):
            found.append(word[len(letter) :])
    return found


def environ(pid: int) -> Mapping[str, str] | None:
    """None: it is not shown to us."""
    data = _read(f"/proc/{pid}/environ")
    if not data:
        return None
    pairs = (one.partition("=") for one in data.decode("utf-8", "replace").split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def other_root(pid: int) -> bool:
    """Does it see another file system than we do (a container, a chroot)?"""
    there, here = _place(f"/proc/{pid}/root/"), _place("/")
    return there is not None and there != here


def own_tmp(pid: int) -> tuple[str, ...] | None:
    """Which of /tmp and /var/tmp are others than ours. None: it is not shown to us."""
    answers = [(path, _place(f"/proc/{pid}/root{path}"), _place(path)) for path in TMP]
    if any(there is None for _, there, _ in answers):
        return None
    return tuple(path for path, there, here in answers if there != here)


def unit(pid: int) -> str:
    """The service that systemd keeps it in; "": none."""
    text = _read(f"/proc/{pid}/cgroup").decode("ascii", "replace")
    match = re.search(r"/([\w@.:-]+\.service)\s*$", text, re.MULTILINE | re.ASCII)
    return match[1] if match else ""


def folder(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return "/"


def _numbers() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isascii() and name.isdigit()]
    except OSError:
        return []


def _process(pid: int, boot: float) -> Process | None:
    line = _read(f"/proc/{pid}/stat")
    head, bracket, tail = line.rpartition(b")")
    kind = PROGRAMS.get(head.partition(b"(")[2].decode("utf-8", "replace"))
    fields = tail.split()
    if kind is None or not bracket or len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    owner = _owner(_read(f"/proc/{pid}/status"))
    if owner is None:
        return None
    born = boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return Process(pid, int(fields[1]), kind, *owner, _words(_read(f"/proc/{pid}/cmdline")), born)


def _owner(status: bytes) -> tuple[int, int] | None:
    """The real ones: a worker's, and whoever started the master."""
    found: list[Optional[int]] = []
    for name in (b"Uid", b"Gid"):
        match = re.search(rb"^" + name + rb":\s+(\d+)", status, re.MULTILINE)
        found.append(int(match[1]) if match else None)
    uid, gid = found
    return None if uid is None or gid is None else (uid, gid)


def _words(cmdline: bytes) -> tuple[str, ...]:
    text = cmdline.decode("utf-8", "surrogateescape").rstrip("\0")
    if match := _TITLE.fullmatch(text.replace("\0", " ")):
        return tuple(match[1].split()[:_MOST])
    return tuple(text.split("\0")[:_MOST])


def _is_its_program(pid: int) -> bool:
    try:
        target = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return True
    return os.path.basename(target.removesuffix(" (deleted)")) in PROGRAMS


def _boot() -> float:
    match = re.search(rb"^btime (\d+)", _read("/proc/stat", 4 * 1024 * 1024), re.MULTILINE)
    return float(match[1]) if match else 0.0


def _place(path: str) -> tuple[int, int] | None:
    try:
        there = os.stat(path)
    except OSError:
        return None
    return there.st_dev, there.st_ino


def _read(path: str, most: int = _LONGEST) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(most)
    except OSError:
        return b""
