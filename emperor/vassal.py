"""A vassal: the process that one ini stands for, already its own user on its own interpreter.

It binds what the emperor may not, imports the app once, forks its workers, gathers their lines, and says *serving*
when the first worker accepts. TERM, or the emperor's end, means drain.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
from functools import partial
from typing import Any, NoReturn, Optional

from emperor.duty import BOOT_FAILED, Duty
from emperor.errors import EmperorError, LoadError
from emperor.supervision.channel import Failed, Serving
from emperor.supervision.commission import BIND, CHECK, INQUIRE, Commission
from emperor.system import prctl, rlimits, title
from emperor.system.hanging import before_the_end_of, looked_at
from emperor.system.logs import LogFile, append, open_for_append, stamp, word_on
from emperor.system.openings import Openings
from emperor.system.rotation import Rotation
from emperor.system.uplink import Uplink
from emperor.worker import load, settle_in

INQUIRY_SECONDS = 15


def main(argv: list[str]) -> None:
    """``launch.py NAME CHANNEL PAPER``: two inherited descriptors."""
    channel, paper = int(argv[2]), int(argv[3])
    commission = _read(paper)
    for fd in (channel, *commission.descriptors):
        os.set_inheritable(fd, False)
    if not prctl.die_with_parent(signal.SIGKILL, commission.parent):
        sys.exit(0)
    title.call_itself(commission.spec.name, "vassal")
    uplink = Uplink(socket.socket(fileno=channel))
    sys.argv = [commission.spec.name]
    # On a pipe Python would keep back what an app prints until 8 KiB are full.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # nothing has replaced it yet
    # What crashes in C says where, also in the workers; the signal ends it all the same.
    faulthandler.enable(file=2)
    try:
        _ROLES.get(commission.role, _serve)(commission, uplink)
    except EmperorError as error:
        text = error.traceback if isinstance(error, LoadError) else ""
        # The reason may say more than the traceback's last line.
        sys.stderr.write(text if text.rstrip().endswith(str(error)) else f"{text}{error}\n")
        uplink.say(Failed(str(error), text))
        _leave(BOOT_FAILED)


def _leave(code: int) -> NoReturn:
    """What was printed is heard; what the app wants done at its end is not done: it has not begun."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _read(paper: int) -> Commission:
    with os.fdopen(paper, "rb") as file:
        return Commission.from_bytes(file.read())


def _check(commission: Commission, uplink: Uplink) -> None:
    """``emperorctl check --import``: everything up to the first request, and nothing of it stays."""
    settle_in(commission.spec)
    look = looked_at(before_the_end_of(commission.spec.start_timeout), partial(_hangs, uplink))
    with rlimits.held_while_importing(commission.spec), look:
        load(commission.spec)
    uplink.say(Serving())
    _leave(0)


def _bind(commission: Commission, uplink: Uplink) -> None:
    """``on-demand``: the sockets that are this user's to bind, handed up before anybody asks for the app."""
    Openings(commission, uplink)
    _leave(0)


def _inquire(commission: Commission, uplink: Uplink) -> None:
    """The app's own interpreter has ended without a word; this is the emperor's, as the app's user."""
    from emperor.system import interpreter

    # Some filesystem may hang.
    signal.alarm(INQUIRY_SECONDS)
    reason = interpreter.flaw(commission.spec)
    if reason:
        raise EmperorError(reason)
    _leave(BOOT_FAILED)


def _serve(commission: Commission, uplink: Uplink) -> None:
    settle_in(commission.spec)
    openings = Openings(commission, uplink)
    # What double-forks does not get away.
    prctl.subreaper()
    log = _open_log(commission, uplink)
    lookout = _lookout(commission)
    application: Optional[Any] = None
    try:
        if not commission.spec.lazy_apps:
            look = looked_at(before_the_end_of(commission.spec.start_timeout), partial(_hangs, uplink))
            with rlimits.held_while_importing(commission.spec), look:
                application = load(commission.spec)
    except LoadError as error:
        if log is not None:
            for line in error.traceback.splitlines():
                log.write(f"{stamp()} {line}")
        raise
    Duty(commission, uplink, openings, application, log, lookout).run()


def _lookout(commission: Commission) -> Optional[Any]:
    """For what the app is made of; None: nobody asked for it, and nothing of it is loaded."""
    if not commission.spec.touch_reload and not commission.spec.py_autoreload:
        return None
    from emperor.system.lookout import Lookout

    return Lookout(commission.spec)


def _hangs(uplink: Uplink, where: str, stack: str) -> None:
    """A last word, should it be the last: the import goes on, and may yet come to its end in time."""
    append(2, f"start-timeout is nearly over: {where}\n{stack}")
    uplink.mention(Failed(where, stack))


def _open_log(commission: Commission, uplink: Uplink) -> Optional[LogFile]:
    spec = commission.spec
    path = spec.logto
    if not path or not commission.keeps_log:
        return None
    # An older generation appends to it as long as it drains.
    rotation = Rotation(path, spec.log_maxsize, spec.log_keep, shared=True) if spec.log_maxsize else None
    log = LogFile(lambda: open_for_append(path), rotation=rotation)
    if log.trouble:
        # A disk that is full keeps no app from serving.
        uplink.lines([word_on(path, log.trouble)])
    return log


_ROLES = {CHECK: _check, BIND: _bind, INQUIRE: _inquire}
