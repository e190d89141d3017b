"""The first and last steps of every emperor, the daemon's and that of ``emperor run``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from emperor.control.messages import Policy
from emperor.daemon import Emperor
from emperor.journal import Journal
from emperor.reading import Reader
from emperor.system import prctl, runtime
from emperor.system.eventloop import Loop
from emperor.system.notify import Notifier

OK, FAILED, USAGE = 0, 1, 2


def run(
    reader: Reader,
    journal: Journal,
    control: str,
    policy: Policy,
    prepare: Callable[[Emperor], None],
    only: str = "",
) -> int:
    """An emperor from its first step to its last; the exit code. ``control``: the path of its control socket."""
    prctl.no_new_privs()
    os.umask(0o022)
    # Before anything is opened or made in it.
    runtime.prepare(reader.settings.runtime_folder, os.geteuid())
    notifier = Notifier(os.environ)
    loop = Loop(journal.bug)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        # From here on it waits for the loop, and is heeded by what the emperor will have made of it by then.
        loop.on_signal(signum, lambda: None)
    emperor = Emperor(reader, loop, journal, notifier, control, policy, single=only)
    # Relative paths were resolved; from here on no folder of ours stands in anybody's way.
    os.chdir("/")
    emperor.heed_signals()
    try:
        prepare(emperor)
    except BaseException:
        emperor.control.close()
        raise
    loop.run()
    loop.close()
    notifier.close()
    journal.info("emperor", "has ended")
    return FAILED if emperor.failed else OK
