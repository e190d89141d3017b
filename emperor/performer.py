"""Does what the lifecycle of one vassal asks for: spawns and signals, holds its sockets, hears what it says.

It decides nothing about the lifecycle; it tells what happened, and ``supervision.vassal`` decides.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from emperor.errors import ChannelError, EmperorError, SpawnError
from emperor.holdings import Holdings
from emperor.journal import Journal
from emperor.model import VassalSpec
from emperor.supervision import channel
from emperor.supervision.channel import Failed, Lines, Listening, Serving, WorkerReport, Workers
from emperor.supervision.commission import SERVE, Commission
from emperor.supervision.generation import Action
from emperor.supervision.vassal import (
    BootFailed,
    Doing,
    Exit,
    Exited,
    Forget,
    Keep,
    Ready,
    Release,
    Signal,
    Spawn,
    VassalEvent,
)
from emperor.system import privilege, processes
from emperor.system.eventloop import Loop
from emperor.system.logs import LineCutter, Ring
from emperor.system.processes import Child
from emperor.vassallog import VassalLog

MAX_WORDS = 200
"""Datagrams a second that are heard of one vassal; one that says more is heard again in the next second."""


@dataclass
class Crib:
    """One living child and what we know of it. ``words``: heard in the second that began at ``second``."""

    number: int
    spec: VassalSpec
    child: Child
    cutter: LineCutter = field(default_factory=LineCutter)
    workers: tuple[WorkerReport, ...] = ()
    second: float = 0.0
    words: int = 0
    exited: bool = False
    serving: bool = False


class Performer:
    """The hands of one vassal's record."""

    def __init__(
        self,
        name: str,
        loop: Loop,
        journal: Journal,
        launcher: str,
        holdings: Holdings,
        log: VassalLog,
        tell: Callable[[VassalEvent], None],
        forget: Callable[[], None],
    ) -> None:
        self.name, self.holdings, self.log = name, holdings, log
        self._loop, self._journal, self._launcher = loop, journal, launcher
        self._tell, self._forget = tell, forget
        self._cribs: dict[int, Crib] = {}
        self._postponed: Spawn | None = None

    @property
    def ring(self) -> Ring:
        return self.log.ring

    def pid(self, number: int) -> int:
        """0: no such process."""
        crib = self._cribs.get(number)
        return crib.child.pid if crib is not None and not crib.exited else 0

    def born(self, number: int) -> float | None:
        """When its process was started, monotonic seconds."""
        crib = self._cribs.get(number)
        return crib.child.born if crib is not None else None

    def workers(self, number: int) -> tuple[WorkerReport, ...]:
        crib = self._cribs.get(number)
        return crib.workers if crib is not None else ()

    def do(self, doing: Doing) -> None:
        _DO[type(doing)](self, doing)  # type: ignore[operator]  # each is filed under the type that it takes

    def bury_all(self) -> None:
        """The emperor ends: what still lies here is swept and reaped now."""
        for number in list(self._cribs):
            self._bury(number)

    def reopen_logs(self) -> None:
        """Ours, and those that vassals keep themselves."""
        self.log.reopen()
        for crib in self._cribs.values():
            if crib.serving and not crib.exited:
                processes.ask_to_reopen(crib.child)

    def spawn(self, order: Spawn) -> None:
        spec = order.spec
        if self.holdings.being_removed(spec):
            self._postponed = order
            self.holdings.when_removed(self._spawn_postponed)
            return
        try:
            self.log.follow(spec)
            listeners = self.holdings.provide(spec)
            commission = Commission(
                SERVE, spec, listeners, self.holdings.places(spec), self.log.kept_by_vassal, os.getpid()
            )
            child = processes.spawn(commission, self._launcher)
        except EmperorError as error:
            self._failed_to_start(order.number, str(error))
            return
        self._cribs[order.number] = Crib(order.number, spec, child)
        self._attend(self._cribs[order.number])
        if os.geteuid() == 0:
            try:
                privilege.verify(child.pid, spec.identity)
            except SpawnError as error:
                self._journal.warning(self.name, str(error))
                processes.kill_group(child)

    def _spawn_postponed(self) -> None:
        order, self._postponed = self._postponed, None
        if order is not None:
            self.spawn(order)

    def signal(self, order: Signal) -> None:
        if self._postponed is not None and self._postponed.number == order.number:
            self._postponed = None
            self._failed_to_start(order.number, "not started")
        crib = self._cribs.get(order.number)
        if crib is None or crib.exited:
            return
        if order.action is Action.KILL:
            processes.kill_group(crib.child)
        else:
            processes.drain(crib.child, retire=order.action is Action.RETIRE)

    def keep(self, order: Keep) -> None:
        self.holdings.prune(order.spec)

    def release(self, order: Release) -> None:
        for number in list(self._cribs):
            self._bury(number)
        self.holdings.release()

    def forget(self, order: Forget) -> None:
        self.log.close()
        self._forget()

    def _failed_to_start(self, number: int, reason: str) -> None:
        self.log.say(reason)
        self._tell(Exited(number, Exit(None, None, reason, time.time()), random.random()))

    def _attend(self, crib: Crib) -> None:
        child = crib.child
        self._loop.watch(child.pidfd, lambda: self._ended(crib))
        self._loop.watch(child.channel.fileno(), lambda: self._word(crib))
        self._loop.watch(child.output, lambda: self._output(crib))

    def _output(self, crib: Crib) -> bool:
        """What it prints before its workers have pipes of their own. True: there may be more."""
        try:
            data = os.read(crib.child.output, 65536)
        except BlockingIOError:
            return False
        for line in crib.cutter.feed(data) if data else crib.cutter.flush():
            self.log.say(line)
        if not data:
            self._loop.unwatch(crib.child.output)
        return bool(data)

    def _word(self, crib: Crib) -> bool:
        """One datagram. True: there may be more."""
        fds: list[int] = []
        try:
            data, fds, flags, _ = socket.recv_fds(crib.child.channel, channel.MAX_DATAGRAM + 1, 1)
            if not data:
                self._loop.unwatch(crib.child.channel.fileno())
                return False
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ChannelError("channel: a message is too long")
            self._hear(crib, channel.decode(data), fds)
        except BlockingIOError:
            return False
        except (EmperorError, OSError) as error:
            self._journal.warning(self.name, f"{error} -- it is not listened to any more")
            self._loop.unwatch(crib.child.channel.fileno())
            return False
        finally:
            for fd in fds:
                os.close(fd)
        self._ration(crib)
        return True

    def _ration(self, crib: Crib) -> None:
        """A vassal that never stops talking must not keep the emperor from the others."""
        now = self._loop.now()
        if now - crib.second >= 1.0:
            crib.second, crib.words = now, 0
        crib.words += 1
        if crib.words >= MAX_WORDS and not crib.exited:
            fd = crib.child.channel.fileno()
            self._loop.unwatch(fd)
            self._loop.call_at(crib.second + 1.0, lambda: self._listen_again(crib, fd))

    def _listen_again(self, crib: Crib, fd: int) -> None:
        if self._cribs.get(crib.number) is crib and not crib.exited:
            self._loop.watch(fd, lambda: self._word(crib))

    def _hear(self, crib: Crib, message: channel.Message, fds: list[int]) -> None:
        if isinstance(message, Listening):
            if len(fds) != 1:
                raise ChannelError("channel: a listener without its descriptor")
            self.holdings.take(crib.spec, message, fds.pop())
        elif isinstance(message, Serving):
            crib.serving = True
            self._tell(Ready(crib.number))
        elif isinstance(message, Failed):
            self._tell(BootFailed(crib.number, message.reason, message.traceback))
        elif isinstance(message, Lines):
            self.log.hear(message.lines, message.dropped)
        elif isinstance(message, Workers):
            crib.workers = message.workers

    def _ended(self, crib: Crib) -> None:
        """Its last words first, then its end. Its group is swept later if it may still have requests in flight."""
        self._loop.unwatch(crib.child.pidfd)
        for listen in (self._word, self._output):
            for _ in range(MAX_WORDS):
                if not listen(crib):
                    break
        self._loop.unwatch(crib.child.channel.fileno())
        self._loop.unwatch(crib.child.output)
        for line in crib.cutter.flush():
            self.log.say(line)
        crib.exited = True
        ended = processes.how_it_ended(crib.child)
        if ended.signal is None:
            self._bury(crib.number)
        else:
            # Killed: its workers are finishing what they have. The zombie keeps their group's number ours.
            self._loop.call_at(self._loop.now() + crib.spec.reload_mercy, lambda: self._bury(crib.number))
        self._tell(Exited(crib.number, ended, random.random()))

    def _bury(self, number: int) -> None:
        crib = self._cribs.pop(number, None)
        if crib is None:
            return
        child = crib.child
        for fd in (child.pidfd, child.channel.fileno(), child.output):
            self._loop.unwatch(fd)
        with contextlib.suppress(OSError):
            processes.bury(child)


_DO = {
    Spawn: Performer.spawn,
    Signal: Performer.signal,
    Keep: Performer.keep,
    Release: Performer.release,
    Forget: Performer.forget,
}
