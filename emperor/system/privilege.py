"""The only code that changes uid, gid or groups. Read it in one sitting; distrust every line.

It promises: a process becomes exactly an Identity, for good, or it does not go on; and that this worked is
read back from the kernel, not assumed. It never decides who may become whom: ``system.trust`` and
``config.spec`` do.

Two traps of numbers. The id 4294967295 is -1, which set*id(2) read as "leave it": root would stay root.
And an empty list of groups: CPython 3.12.0's subprocess skipped setgroups for it (CVE-2023-6507), which
leaves root's groups; so an identity without groups gets its own gid as its one group.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from emperor.errors import SpawnError
from emperor.model import Identity

UNCHANGED = 0xFFFFFFFF
EXIT_SYSTEM = 71
"""EX_OSERR of sysexits(3)."""

_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def groups_of(identity: Identity) -> list[int]:
    """The supplementary groups, as the kernel will list them."""
    return sorted(set(identity.groups)) or [identity.gid]


def spawn_arguments(identity: Identity, euid: int) -> dict[str, Any]:
    """What ``subprocess.Popen`` needs to start a program as ``identity``. Raises SpawnError.

    Root names all three always, for root itself too: nothing is inherited by omission. Anybody else can start
    programs as itself only, and says nothing.
    """
    _check_numbers(identity)
    if euid == 0:
        return {"user": identity.uid, "group": identity.gid, "extra_groups": groups_of(identity)}
    if identity.uid != euid:
        raise SpawnError(f"{identity.user}: spawn: only root can start programs as somebody else")
    return {}


def become(identity: Identity) -> None:
    """Be ``identity`` from here on, without a way back; if that fails the process ends, status 71.

    The order matters: groups and gid can only be changed while the uid is still root's. The set*resid calls
    change the saved ids too, which seteuid and its like would leave behind as a way back (credentials(7)).
    Call it before any thread is started.
    """
    try:
        _check_numbers(identity)
        os.setgroups(groups_of(identity))
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
        flaw = _flaw(os.getpid(), _exactly(identity)) or _way_back(identity)
    except (OSError, SpawnError) as error:
        flaw = str(error)
    if flaw:
        # No exception: somebody above might catch it and go on as root.
        print(f"{identity.user}: become: {flaw} -- ending", file=sys.stderr, flush=True)
        os._exit(EXIT_SYSTEM)


def verify(pid: int, identity: Identity) -> None:
    """Read from outside that the process ``pid``, an unreaped child, is ``identity`` and no more. Raises
    SpawnError.
    """
    flaw = _flaw(pid, {**_exactly(identity), "NoNewPrivs": ["1"]})
    if flaw:
        raise SpawnError(f"process {pid}: verify: {flaw} -- not to be trusted with anything")


def _check_numbers(identity: Identity) -> None:
    for number in (identity.uid, identity.gid, *identity.groups):
        if not 0 <= number < UNCHANGED:
            raise SpawnError(f"{identity.user}: spawn: {number} is no id that a process can have")


def _exactly(identity: Identity) -> dict[str, list[str]]:
    """Lines of /proc/PID/status. Ids stand there four times: real, effective, saved, filesystem
    (proc_pid_status(5)).
    """
    lines = {
        "Uid": [str(identity.uid)] * 4,
        "Gid": [str(identity.gid)] * 4,
        "Groups": [str(gid) for gid in groups_of(identity)],
    }
    if identity.uid != 0:
        lines.update({name: ["0" * 16] for name in _CAPABILITIES})
    return lines


def _flaw(pid: int, wanted: dict[str, list[str]]) -> str:
    """The first line of the process's status that is not as wanted; "" if all are. Raises SpawnError."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SpawnError(f"process {pid}: verify: {error.strerror} -- not to be trusted with anything")
    # Name, the only line that a process words itself, comes with its newlines escaped by the kernel.
    found = {name: words.split() for name, _, words in (line.partition(":") for line in text.split("\n"))}
    for name, words in wanted.items():
        if found.get(name) != words:
            return f"{name} is {' '.join(found.get(name, ['missing']))}, should be {' '.join(words)}"
    return ""


def _way_back(identity: Identity) -> str:
    """Try to be root again: what the kernel's lines say is believed only if it fails."""
    if identity.uid == 0:
        return ""
    for attempt in (os.setuid, os.seteuid, os.setgid)[: 3 if identity.gid else 2]:
        try:
            attempt(0)
        except PermissionError:
            continue
        return f"{attempt.__name__}(0) was allowed"
    return ""
