"""The daemon replaces its program in place: same pid, listeners and vassals stay (``emperorctl upgrade``, USR2).

Before anything is given up, the program that is installed now reads every ini and what we would hand over
(``emperor --check``); unless it understands all of that as we do, nothing happens. Then one execve(2).
It promises: until the exec has happened we go on as we are; signals of that moment are answered by whoever then runs.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from emperor import __version__
from emperor.control import messages
from emperor.control.connection import Reply
from emperor.control.messages import FAILED, answer
from emperor.errors import EmperorError
from emperor.journal import Journal
from emperor.succession import handover
from emperor.succession.handover import State
from emperor.supervision.quiet import Signature
from emperor.system import processes, reexec
from emperor.system.eventloop import Loop, Timer
from emperor.system.reexec import Program
from emperor.text import printable

PATIENCE = 60.0
"""Seconds that the check may take."""
SETTLING = 5.0
"""Seconds that errands and closing descriptors may take, which cannot be handed over."""
LOOK_AGAIN = 0.02
STAYS = "this emperor goes on as it is"


class Realm(Protocol):
    """What the daemon tells of itself."""

    stopping: bool

    def sound(self) -> Mapping[str, Signature]:
        """The inis that are valid as we read them, and what they are at this moment."""
        ...

    def at_rest(self) -> bool:
        """Is nothing going on that cannot be handed over?"""
        ...

    def export(self) -> State: ...


@dataclass
class Check:
    """The new program, reading. ``output``: a file in memory, so that nobody has to empty it."""

    popen: subprocess.Popen[bytes]
    pidfd: int
    output: int
    timer: Timer


class Upgrade:
    """One at a time; whoever asks meanwhile is answered with the others."""

    def __init__(
        self, program: Program | None, realm: Realm, loop: Loop, journal: Journal, reexecuting: Callable[[], None]
    ) -> None:
        self._program, self._realm, self._loop, self._journal = program, realm, loop, journal
        self._reexecuting = reexecuting
        self._askers: list[Reply] = []
        self._check: Check | None = None
        self._begun = 0.0
        self._under_way = False
        self._sound: Mapping[str, Signature] = {}

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the new program while it reads."""
        return (self._check.popen.pid,) if self._check is not None else ()

    def ask(self, reply: Reply | None = None) -> None:
        if reply is not None:
            self._askers.append(reply)
        if self._realm.stopping:
            self._refuse("the emperor is stopping")
            return
        if self._under_way:
            return
        self._under_way, self._begun = True, self._loop.now()
        self._journal.info("emperor", "upgrade: the installed program reads everything first")
        try:
            self._start_check()
        except Exception as error:
            self._fail("not checked", error)

    def abandon(self) -> None:
        """We are about to end instead."""
        if self._check is not None:
            self._check.popen.kill()
        if self._under_way:
            self._refuse("the emperor is stopping")

    def _start_check(self) -> None:
        program = self._program
        if program is None:
            raise EmperorError("emperor run is not upgraded in place: start it anew")
        self._sound = self._realm.sound()
        output = os.memfd_create("check", os.MFD_CLOEXEC)
        paper = processes.sealed(handover.encode(self._realm.export()))
        try:
            popen = subprocess.Popen(
                program.asked_to("--check"),
                executable=program.path,
                cwd=program.place,
                env={**os.environ, handover.VARIABLE: str(paper)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[paper],
                start_new_session=True,
            )
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(paper)
        pidfd = os.pidfd_open(popen.pid)
        timer = self._loop.call_at(self._loop.now() + PATIENCE, popen.kill)
        self._check = Check(popen, pidfd, output, timer)
        self._loop.watch(pidfd, self._checked)

    def _checked(self) -> None:
        check, self._check = self._check, None
        assert check is not None
        check.timer.cancel()
        self._loop.unwatch(check.pidfd)
        os.close(check.pidfd)
        code = check.popen.wait()
        with open(check.output, "rb") as file:
            file.seek(0)
            text = file.read().decode("utf-8", "backslashreplace")
        if not self._under_way:
            return
        # One that was written meanwhile may be broken for just that moment, and its owner must not have a say in this.
        now = self._realm.sound()
        flaw = verdict(code, text, [path for path, mark in self._sound.items() if now.get(path) == mark])
        if flaw:
            self._refuse(flaw)
        else:
            self._when_at_rest(self._loop.now() + SETTLING)

    def _when_at_rest(self, deadline: float) -> None:
        if not self._under_way:
            return
        if self._realm.at_rest():
            self._replace()
        elif self._loop.now() < deadline:
            self._loop.call_at(self._loop.now() + LOOK_AGAIN, lambda: self._when_at_rest(deadline))
        else:
            self._refuse(f"something is still being closed or removed after {SETTLING:g} s")

    def _replace(self) -> None:
        assert self._program is not None
        reexec.hold_signals()
        try:
            reexec.send_again(self._loop.take_signals())
            askers = tuple(reply.fd for reply in self._askers if not reply.gone)
            state = replace(self._realm.export(), askers=askers, begun=self._begun)
            paper = processes.sealed(handover.encode(state))
            try:
                environ = {**os.environ, handover.VARIABLE: str(paper)}
                self._reexecuting()
                reexec.become(self._program, state.descriptors | {paper}, environ)
            finally:
                os.close(paper)
        except Exception as error:
            self._fail("exec", error)
        finally:
            reexec.release_signals()

    def _fail(self, what: str, error: Exception) -> None:
        if not isinstance(error, (OSError, EmperorError)):
            self._journal.bug(error)
        self._refuse(f"{what}: {error}")

    def _refuse(self, reason: str) -> None:
        self._under_way = False
        message = f"upgrade: refused: {reason} -- {STAYS}"
        self._journal.warning("emperor", message)
        askers, self._askers = self._askers, []
        for reply in askers:
            if not reply.gone:
                reply.finish(messages.refusal(message, FAILED))


def verdict(code: int, output: str, sound: Collection[str]) -> str:
    """Why the new program must not take over, or "". ``sound``: the inis that we can read, so it must, too."""
    lines = [line for line in output.splitlines() if line.strip()]
    if code < 0:
        return f"the check was killed by {processes.signal_name(-code)}"
    fine = {line.removesuffix(": OK") for line in lines if line.endswith(": OK")}
    lost = sorted({printable(one) for one in sound} - fine)
    words = [printable(line) for line in lines if not line.endswith(": OK") and not line.startswith("warning: ")]
    why = words[-1] if words else f"exit code {code}"
    if lost:
        about = next((line for line in words if line.startswith(lost[0])), why)
        return f"the installed program cannot read what this one can: {about}"
    if lines[-1:] != [handover.READ]:
        return f"the installed program's check failed: {why}"
    return ""


def tell_askers(state: State, reply_to: Callable[[int], Reply | None], now: float) -> str:
    """The new program's first words: to those who asked the old one, and for the journal."""
    versions = state.version if state.version == __version__ else f"{state.version} -> {__version__}"
    seconds = round(now - state.begun, 3)
    message = f"upgraded in place: {versions}, pid {os.getpid()}"
    for fd in state.askers:
        reply = reply_to(fd)
        if reply is not None:
            reply.finish(answer({"message": message, "version": __version__, "pid": os.getpid(), "seconds": seconds}))
    return f"{message}, after {seconds:g} s"
