"""How much an app's processes may take: address space, descriptors, processes, and their niceness.

It promises: what cannot be set is an ``EmperorError`` before the app is imported. The vassal itself, which has to fork
replacements and to hear all workers, is held to its own ``limit-nofile`` and ``limit-nproc`` only while it imports the
app; each worker is held to them for good. Rights are the app's user's own: only who may do so by setrlimit(2) and
setpriority(2) gets above a hard limit, or below niceness 0.

``limit-nproc`` counts, as the kernel does, all processes and threads of the app's user, those of other apps too, and
holds nobody who is root (CAP_SYS_RESOURCE, CAP_SYS_ADMIN). Where autogroups are on (sched(7)), niceness means something
only among the processes of one session.
This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emperor.errors import EmperorError
from emperor.model import VassalSpec

MEGABYTE = 2**20

SPARE_NOFILE = 16
"""Descriptors beyond those that are open already: less, and not even the modules of an app could be read."""

SPARE_AS = 16 * MEGABYTE
"""The same for its address space."""

NOT_STARTED = "the app is not started"


@dataclass(frozen=True)
class Limit:
    """One option, as setrlimit(2) has it. ``wanted`` 0: as inherited."""

    option: str
    number: int
    wanted: int
    given: str


def limit_memory(spec: VassalSpec) -> None:
    """``limit-as`` and ``nice``: of this process and of all that it forks, for good. Raises ``EmperorError``."""
    limit = _address_space(spec)
    if limit.wanted:
        taken = _taken_memory()
        if limit.wanted < taken + SPARE_AS:
            raise EmperorError(
                f"limit-as = {limit.given}: too little: {-(-taken // MEGABYTE)} MB are taken before the app is imported"
                f" -- {NOT_STARTED}"
            )
        _set(limit, limit.wanted)
    if spec.nice:
        try:
            os.nice(spec.nice)
        except OSError as error:
            user = spec.identity.user
            why = f"{error.strerror} (the app's user {user} may not: it needs RLIMIT_NICE, LimitNICE= of the unit)"
            raise EmperorError(f"nice = {spec.nice}: cannot be set: {why} -- {NOT_STARTED}") from None


@contextmanager
def held_while_importing(spec: VassalSpec) -> Iterator[None]:
    """``limit-nofile`` and ``limit-nproc`` of a vassal that imports the app; then they are as they were, so that it can
    always fork. Raises ``EmperorError``.
    """
    before = [(limit, resource.getrlimit(limit.number)) for limit in _counted(spec) if limit.wanted]
    for limit, (_, hard) in before:
        _require_room(limit)
        # The hard one only rises, if it may: who lowers it can never go back.
        _set(limit, hard if hard == resource.RLIM_INFINITY else max(hard, limit.wanted))
    try:
        yield
    finally:
        for limit, (soft, _) in before:
            # The app may have lowered the hard one meanwhile.
            _, hard = resource.getrlimit(limit.number)
            inside = hard == resource.RLIM_INFINITY or 0 <= soft <= hard
            resource.setrlimit(limit.number, (soft if inside else hard, hard))


def hold(spec: VassalSpec) -> None:
    """``limit-nofile`` and ``limit-nproc`` of a worker, soft and hard: for good. Raises ``EmperorError``."""
    for limit in _counted(spec):
        if limit.wanted:
            _require_room(limit)
            _set(limit, limit.wanted)


def require_threads(spec: VassalSpec) -> None:
    """Can a worker have the threads it is to serve with? Raises ``EmperorError``: others of its user have them all."""
    if not spec.limit_nproc or spec.threads == 1:
        return
    over = threading.Event()
    started: list[threading.Thread] = []
    try:
        while len(started) < spec.threads:
            one = threading.Thread(target=over.wait)
            one.start()
            started.append(one)
    except RuntimeError:
        raise EmperorError(
            f"limit-nproc = {spec.limit_nproc}: too few: only {len(started)} of {spec.threads} threads can be started"
            f" beside what else {spec.identity.user} runs -- {NOT_STARTED}"
        ) from None
    finally:
        over.set()
        for one in started:
            one.join()


def _address_space(spec: VassalSpec) -> Limit:
    return Limit("limit-as", resource.RLIMIT_AS, spec.limit_as, f"{spec.limit_as // MEGABYTE} MB")


def _counted(spec: VassalSpec) -> tuple[Limit, ...]:
    return (
        Limit("limit-nofile", resource.RLIMIT_NOFILE, spec.limit_nofile, str(spec.limit_nofile)),
        Limit("limit-nproc", resource.RLIMIT_NPROC, spec.limit_nproc, str(spec.limit_nproc)),
    )


def _require_room(limit: Limit) -> None:
    if limit.number != resource.RLIMIT_NOFILE:
        return
    taken = len(os.listdir("/proc/self/fd"))
    if limit.wanted < taken + SPARE_NOFILE:
        raise EmperorError(
            f"{limit.option} = {limit.given}: too few: {taken} descriptors are open before the app is imported"
            f" -- {NOT_STARTED}"
        )


def _set(limit: Limit, hard: int) -> None:
    """ValueError is what Python makes of the EPERM of whoever may not raise a hard limit."""
    _, most = resource.getrlimit(limit.number)
    try:
        resource.setrlimit(limit.number, (limit.wanted, hard))
    except (OSError, ValueError) as error:
        reason = f"more than the {_shown(limit, most)} that this user may have" if _above(limit, most) else str(error)
        raise EmperorError(f"{limit.option} = {limit.given}: cannot be set: {reason} -- {NOT_STARTED}") from None


def _above(limit: Limit, most: int) -> bool:
    return most != resource.RLIM_INFINITY and limit.wanted > most


def _shown(limit: Limit, number: int) -> str:
    return f"{number // MEGABYTE} MB" if limit.number == resource.RLIMIT_AS else str(number)


def _taken_memory() -> int:
    """Bytes of address space, proc_pid_statm(5)."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
