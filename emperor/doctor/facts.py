"""What was seen of the chain from the web server to the app. Plain values, and how those of a deputy are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from emperor.model import Address, Identity, VassalSpec
from emperor.supervision.interpreter import FOLDER, MISSING, Step
from emperor.system.sockdiag import Listener

SOCKET, REGULAR, DIRECTORY, LINK, ELSE = "socket", "file", "folder", "link", "something else"
"""What lies at the end of a way."""

AclEntry = tuple[int, int, int]
"""Tag, permissions and id, as ``system.acl`` names them."""


class Subject(NamedTuple):
    """A vassal: what ``status`` says of it, and what it was told. ``silence``: why that is not known, if it is not."""

    name: str
    snapshot: Mapping[str, Any]
    spec: VassalSpec | None = None
    silence: str = ""

    @property
    def state(self) -> str:
        return str(self.snapshot.get("state") or "")

    @property
    def config(self) -> str:
        return str(self.snapshot.get("config") or (self.spec.config if self.spec is not None else ""))


class Place(NamedTuple):
    """The way to a socket file as somebody goes it. ``kind``: what is at its end; "": they do not get there, or nothing
    is there (``end`` says which). ``acl``: of the end, or of the folder that is closed. ``writable``: the kernel's own
    word. ``listener``: the kernel's number of the socket that listens at this very file, 0: none, None: not known.
    """

    way: tuple[Step, ...]
    kind: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    acl: tuple[AclEntry, ...] = ()
    writable: bool = False
    listener: int | None = None

    @property
    def end(self) -> Step:
        return self.way[-1]

    @property
    def closed(self) -> bool:
        return self.end.kind == FOLDER and not self.end.usable

    @property
    def missing(self) -> bool:
        return self.end.kind == MISSING


class Reply(NamedTuple):
    """What came of a request. ``status`` 0: no answer; ``stage``, ``errno``, ``reason``, ``speaks``: of the failure."""

    status: int = 0
    seconds: float = 0.0
    stage: str = ""
    errno: int = 0
    reason: str = ""
    speaks: str = ""
    flaw: str = ""


class Knock(NamedTuple):
    """One socket of a vassal, looked at and asked as ``who``. ``place`` None: it is no file, or nobody could look.

    ``late``: no answer came to the look, in time. ``reply`` None: nobody was asked. ``inode``: the kernel's number of
    the socket that the emperor holds there, None: it did not say. ``asker``: who asked instead of ``who``, whom only
    root can be; "": nobody else did. ``own``: it is in the emperor's own folder, where no ini has named it.
    """

    subject: Subject
    protocol: str
    address: Address
    who: Identity
    place: Place | None = None
    reply: Reply | None = None
    inode: int | None = None
    late: bool = False
    target: str = "/"
    asker: str = ""
    own: bool = False


class Aftermath(NamedTuple):
    """Of a request that failed: the vassal's lines since then, how a worker has died meanwhile ("": none has), and what
    ``status`` says of the vassal by then."""

    lines: tuple[str, ...] = ()
    death: str = ""
    snapshot: Mapping[str, Any] = MappingProxyType({})


class Well(NamedTuple):
    """What was looked at and is well, in one line."""

    subject: str
    text: str


class Mount(NamedTuple):
    """A folder that a process sees otherwise than we. ``who``: the process, in words."""

    who: str
    folder: str
    unit: str = ""


class Disk(NamedTuple):
    """A folder in which there is no room. ``blocks``, ``inodes``: which of the two are used up."""

    folder: str
    use: str
    blocks: bool
    inodes: bool


class Machine(NamedTuple):
    """``daemon``: "" if it answers, else why not; ``denied``: it listens, and we may not ask.

    ``control``: where. ``unit``: can systemd start it? ``pid``: the emperor's. ``emperors``: pids of all emperors that
    serve whole folders. ``web``: the web server's user, None: there is none; ``web_name``: as it was asked for.
    ``watches``, ``instances``: of inotify, used and allowed, by the emperor's user. ``files``: the emperor's open
    files and how many it may have. ``others``: control sockets of other emperors.
    ``trouble``: what the emperor says is wrong with itself.
    """

    control: str = ""
    daemon: str = ""
    denied: bool = False
    unit: str = ""
    pid: int = 0
    emperors: tuple[int, ...] = ()
    web: Identity | None = None
    web_name: str = ""
    somaxconn: int | None = None
    watches: tuple[int, int] | None = None
    instances: tuple[int, int] | None = None
    files: tuple[int, int] | None = None
    mounts: tuple[Mount, ...] = ()
    disks: tuple[Disk, ...] = ()
    others: tuple[str, ...] = ()
    trouble: str = ""


def files_of(listeners: Iterable[Listener]) -> dict[tuple[int, int], int] | None:
    """As ``place_of`` has them. The kernel that tells of any tells of all."""
    there = {one.file: one.inode for one in listeners if one.file is not None}
    return there or None


def place_of(raw: Any, listeners: Mapping[tuple[int, int], int] | None) -> Place | None:
    """From what ``looks.place`` told. ``listeners``: file (device, the inode's lower half) → the socket that
    listens there; None: the kernel does not tell."""
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        return None
    way, kind, mode, uid, gid, entries, writable, device, inode = raw
    listener = None if listeners is None else listeners.get((device, inode & 0xFFFFFFFF), 0)
    steps = tuple(Step(*step) for step in way)
    return Place(steps, kind, mode, uid, gid, tuple((a, b, c) for a, b, c in entries), writable, listener)


def reply_of(raw: Any) -> Reply | None:
    return None if raw is None else Reply(*raw)
