"""The first and last steps of every emperor, the daemon's and that of ``emperor run``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from emperor.control.messages import Policy
from emperor.daemon import Emperor
from emperor.intake.reading import Reader
from emperor.journal import Journal
from emperor.succession.handover import State
from emperor.system import fdstore, prctl, reexec, runtime
from emperor.system.eventloop import Loop
from emperor.system.fdstore import Received
from emperor.system.notify import Notifier
from emperor.system.reexec import Program

OK, FAILED, USAGE = 0, 1, 2


def _received(notifier: Notifier, journal: Journal) -> list[Received]:
    """The listeners that systemd has kept for us, or made; what is none of ours to serve it need not keep."""

    def refuse(name: str, reason: str) -> None:
        journal.warning("emperor", f"LISTEN_FDS: {name}: {reason} -- closed")
        notifier.unstore(name)

    return fdstore.received(os.environ, refuse)


def run(
    reader: Reader,
    journal: Journal,
    control: str,
    policy: Policy,
    prepare: Callable[[Emperor], None],
    only: str = "",
    program: Program | None = None,
    before: State | None = None,
) -> int:
    """An emperor from its first step to its last; the exit code. ``control``: the path of its control socket.

    ``program``: what an upgrade in place executes; ``before``: what the program hands over that this one replaces.
    """
    prctl.no_new_privs()
    # What a vassal leaves behind comes to us.
    prctl.subreaper()
    os.umask(0o022)
    # Before anything is opened or made in it.
    runtime.prepare(reader.settings.runtime_folder, os.geteuid())
    notifier = Notifier(os.environ)
    loop = Loop(journal.bug)
    for signum in reexec.HEEDED:
        # From here on it waits for the loop, and is heeded by what the emperor will have made of it by then.
        loop.on_signal(signum, lambda: None)
    received = _received(notifier, journal)
    emperor = Emperor(reader, loop, journal, notifier, control, policy, only, program, before, received)
    # Relative paths were resolved; from here on no folder of ours stands in anybody's way.
    os.chdir("/")
    emperor.heed_signals()
    # Those that came while one program replaced the other have waited for this.
    reexec.release_signals()
    try:
        prepare(emperor)
    except BaseException:
        emperor.control.close()
        raise
    loop.run()
    loop.close()
    for signum in reexec.HEEDED:
        # All that they ask for is done; by their default they would spoil the exit code of the last moment.
        signal.signal(signum, signal.SIG_IGN)
    notifier.close()
    journal.info("emperor", "has ended")
    return FAILED if emperor.failed else OK
