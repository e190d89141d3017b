"""Whose ini is it? Who can write a file, or the way to it, decides what it may ask.

It promises: every folder that the kernel passes through on the way counts, those that hold symbolic links
included; what was judged is what is read, since both happen on one held descriptor; nothing but a regular
file of a bounded size is ever opened, and nothing at all of an ini that several can write. No message quotes
content. Messages name paths that only root may be able to see: they are for whoever runs the emperor.
It does not see a descriptor that a former owner still holds open for writing.
Errors: EmperorError for what cannot be read; what can be, but belongs to several, is an Authority with its
reason.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emperor.errors import EmperorError
from emperor.model import NOBODY, OWNER, Authority
from emperor.system import accounts, acl
from emperor.system.mounts import Elsewhere, Mounts
from emperor.system.writers import Step, shown, verdict, writers_of
from emperor.text import printable

SIZE_LIMIT = 64 * 1024
LINK_LIMIT = 40
"""The kernel's own (path_resolution(7))."""
STEP_LIMIT = 512
"""A link's text may hold 2000 folders: a hostile one shall not keep the emperor busy."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


@dataclass(frozen=True)
class Reading:
    """``text``: b"" if the authority is NOBODY's. ``real``: the path without links. ``folders``: the real
    folders that hold the ini, and each link to it, for a watch. ``signature`` changes when the file, or what
    it leads to, does; a folder's permissions do not touch it, so compare the authority as well. ``linked``: the name
    itself is a symbolic link; its inode is the last of ``signature``."""

    text: bytes
    authority: Authority
    signature: tuple[int, ...]
    real: str
    folders: tuple[str, ...]
    linked: bool = False


@dataclass(frozen=True)
class Standing:
    """True if only we can write a folder. ``missing``: it is not there; its deepest ancestor was judged."""

    ours: bool
    missing: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ours


def read_ini(path: str, euid: int, near: bool = False) -> Reading:
    """Judge an ini, and read it if it is one person's. Raises EmperorError.

    ``near``: nobody must be waited for; Elsewhere, if the way leads to a filesystem that may not answer.
    """
    try:
        with contextlib.closing(_Walk(path, near)) as walk:
            walk.go()
            return _judged(walk, euid)
    except (OSError, ValueError) as error:
        raise EmperorError(f"{printable(path)}: cannot be read: {_reason(error)}")


def only_ours(folder: str, euid: int, near: bool = False, roots: bool = False) -> Standing:
    """Can nobody but root (and ``euid``) write this folder, or any folder on the way to it?

    The way is not gone beyond the first that somebody else can write. Of a folder that is missing, the deepest
    ancestor that exists is judged. It never raises: what cannot be told is not ours. ``near``: nobody must be waited
    for, and what lies on a filesystem that may not answer is not ours. ``roots``: but for what root has mounted, as a
    share of another machine's, which root answers for.
    """
    missing = False
    try:
        with contextlib.closing(_Walk(folder, near, roots)) as walk:
            try:
                reason = walk.go(lambda step: _others(step, euid, near))
            except FileNotFoundError:
                missing, reason = True, ""
            return Standing(False, False, reason) if reason else _standing(walk, euid, missing, near)
    except Elsewhere as error:
        return Standing(False, missing, f"{printable(error.path)}: a program, or another machine, answers for it")
    except (OSError, ValueError) as error:
        return Standing(False, missing, f"{printable(folder)}: {_reason(error)}")


@dataclass(frozen=True)
class Held:
    """``descriptor``: O_PATH, of what a path led to; ``real``: the path without links."""

    descriptor: int
    real: str


@contextlib.contextmanager
def hold(path: str) -> Iterator[Held]:
    """What a path leads to, without a wait for anybody. Whoever goes on goes on from its descriptor: the path may lead
    elsewhere by then. Raises OSError, Elsewhere."""
    with contextlib.closing(_Walk(path, near=True, judging=False)) as walk:
        try:
            walk.go()
        except ValueError as error:
            raise OSError(errno.ELOOP, str(error)) from None
        yield Held(walk.descriptor, walk.here())


def end_of(path: str) -> os.stat_result:
    """stat(2) without a wait for anybody. Raises OSError, Elsewhere."""
    with hold(path) as held:
        return os.fstat(held.descriptor)


def entry_of(path: str) -> os.stat_result:
    """lstat(2) without a wait for anybody. Raises OSError, Elsewhere."""
    folder, name = os.path.split(path)
    with hold(folder) as held:
        entry = os.open(name or ".", acl.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held.descriptor)
        try:
            Mounts().require(entry, path)
            return os.fstat(entry)
        finally:
            os.close(entry)


def folder_of(path: str) -> str | None:
    """The real folder in which lies what a path leads to, or would, if it were there; None: none can be told.

    Nobody is waited for. It is a name, which may be another folder's by now.
    """
    try:
        with contextlib.closing(_Walk(path, near=True, judging=False)) as walk:
            try:
                walk.go()
            except FileNotFoundError:
                return walk.missing
            return os.path.dirname(walk.here())
    except (OSError, ValueError, Elsewhere):
        return None


def _judged(walk: _Walk, euid: int) -> Reading:
    there = os.fstat(walk.descriptor)
    _check_file(there)
    end = walk.step(None)
    authority = verdict((*walk.steps, end), euid, accounts.private_member, accounts.name_of)
    # Files of /proc say that they are empty: those of a user's processes show memory that may lie on a filesystem of
    # the user's, which does not answer (proc_pid_environ(5)).
    unread = authority.kind == NOBODY or (authority.kind == OWNER and there.st_size == 0)
    text = b"" if unread else _content(walk.descriptor)
    linked = walk.named is not None and stat.S_ISLNK(walk.named.st_mode)
    return Reading(text, authority, _signature(there, walk.named), walk.here(), tuple(walk.folders), linked)


def _standing(walk: _Walk, euid: int, missing: bool, near: bool) -> Standing:
    end = walk.step(None)
    if not stat.S_ISDIR(end.mode):
        return Standing(False, missing, f"{shown(end)}: not a folder")
    reason = _others(end, euid, near)
    return Standing(not reason, missing, reason)


def _others(step: Step, euid: int, near: bool) -> str:
    """Who else can write it, in words; "": nobody."""
    known = accounts.near() if near else accounts.EVERYBODY
    writers, reason = writers_of((step,), euid, known.private_member, known.name_of)
    for uid, way in writers.items():
        reason = f"{shown(way.step)}: {known.name_of(uid)} can write it"
    return reason


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


class _Walk:
    """The way from / to a path, taken as the kernel would; it holds one descriptor: of where it stands.

    ``near``: not beyond filesystems that answer at once; ``roots``: and those that root has mounted. Not ``judging``:
    nobody is asked whose the steps are.
    """

    def __init__(self, path: str, near: bool = False, roots: bool = False, judging: bool = True) -> None:
        self._mounts, self._near, self._judging = Mounts(roots), near, judging
        self._waits = roots or not near
        self._taken = 0
        self.steps: list[Step] = []
        self.folders: dict[str, None] = {}
        self.links = 0
        self.named: os.stat_result | None = None
        self.descriptor = -1
        self._names: list[str] = []
        self._pending: list[str] = []
        self._follow(path if path.startswith("/") else f"{os.getcwd()}/{path}")

    @property
    def missing(self) -> str | None:
        """After FileNotFoundError: the folder in which the last name is not there; None: that folder is not, either."""
        return None if self._pending else self.here()

    def here(self) -> str:
        return "/" + "/".join(self._names)

    def close(self) -> None:
        os.close(self.descriptor)

    def go(self, flaw: Callable[[Step], str] = lambda step: "") -> str:
        """To the end, or to the first step with a flaw, which it returns. Raises OSError, Elsewhere; the walk then
        stands where it came to."""
        while self._pending:
            self._taken += 1
            if self._taken > STEP_LIMIT:
                raise ValueError("too many folders on the way")
            name = self._pending.pop()
            entry = self._open(name)
            try:
                entry = self._take(name, entry)
            finally:
                os.close(entry)
            if self._judging and (words := flaw(self.steps[-1])):
                return words
        return ""

    def step(self, entry_uid: int | None) -> Step:
        """Where it stands. A program that answers for a filesystem may say of each file that it is root's: it is the
        mounter's, whatever it says."""
        there, mounter = os.fstat(self.descriptor), self._mounts.mounter(self.descriptor)
        entries = acl.read(self.descriptor)
        uid, kept = (mounter, None) if mounter else (there.st_uid, entry_uid)
        return Step(self.here(), uid, there.st_gid, there.st_mode, entries, kept, there.st_nlink)

    def _take(self, name: str, entry: int) -> int:
        """Step into ``entry``, or follow it; returns the descriptor that is to be closed."""
        if self._near:
            self._mounts.require(entry, f"{self.here().rstrip('/')}/{name}")
        there = os.fstat(entry)
        linked = there.st_nlink > 1 and not stat.S_ISDIR(there.st_mode)
        if self._judging:
            self.steps.append(self.step(None if linked else there.st_uid))
        if not self._pending:
            self.folders[self.here()] = None
            self.named = self.named or there
        if stat.S_ISLNK(there.st_mode):
            self.folders[self.here()] = None
            self.links += 1
            if self.links > LINK_LIMIT:
                raise ValueError("a loop of symbolic links, or too many of them")
            self._follow(os.readlink("", dir_fd=entry))
            return entry
        self._names = self._names[:-1] if name == ".." else [*self._names, name]
        self.descriptor, left = entry, self.descriptor
        return left

    def _follow(self, text: str) -> None:
        self._pending += [part for part in reversed(text.split("/")) if part not in ("", ".")]
        if text.startswith("/"):
            root = os.open("/", acl.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            if self.descriptor >= 0:
                os.close(self.descriptor)
            self.descriptor, self._names = root, []

    def _open(self, name: str) -> int:
        """Hold what ``name`` is, without opening it. O_DIRECTORY first: it mounts what autofs holds ready, which may
        take a while."""
        flags = acl.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with contextlib.suppress(NotADirectoryError):
                if self._waits:
                    return os.open(name, flags | os.O_DIRECTORY, dir_fd=self.descriptor)
            return os.open(name, flags, dir_fd=self.descriptor)
        except FileNotFoundError as error:
            reason = "a symbolic link on the way leads to nothing" if self.links else error.strerror
            raise FileNotFoundError(error.errno, reason)


def _check_file(there: os.stat_result) -> None:
    if not stat.S_ISREG(there.st_mode):
        kind = next((words for test, words in _KINDS if test(there.st_mode)), "something else")
        raise ValueError(f"it is {kind}, not a regular file")
    if there.st_size > SIZE_LIMIT:
        raise ValueError(f"it is larger than {SIZE_LIMIT} bytes")


def _content(held: int) -> bytes:
    # O_NONBLOCK: its owner may hold a lease, which would keep us waiting for 45 s (fcntl(2), "Leases").
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(acl.by_descriptor(held), flags)
    try:
        data = b""
        while chunk := os.read(descriptor, SIZE_LIMIT + 1 - len(data)):
            data += chunk
    finally:
        os.close(descriptor)
    if len(data) > SIZE_LIMIT:
        raise ValueError(f"it is larger than {SIZE_LIMIT} bytes")
    return data


def _signature(end: os.stat_result, named: os.stat_result | None) -> tuple[int, ...]:
    named = named or end
    return (
        *(end.st_dev, end.st_ino, end.st_size, end.st_mtime_ns, end.st_ctime_ns, end.st_uid, end.st_gid),
        *(end.st_mode, named.st_mtime_ns, named.st_ino),
    )
