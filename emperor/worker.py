"""A worker: a fork of its vassal that answers requests until it is told to drain.

It promises: TERM, or the vassal's death, means finish what is in flight and go; HUP means the same, but idle kept
connections get one more answer each. After ``reload_mercy`` the kernel ends it, whatever the app does. LEAVE means what
HUP does, but nothing in flight is cut: it has all the time it wants, until one of the others comes.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn, Optional

from emperor.errors import EmperorError, LoadError
from emperor.model import HTTP, VassalSpec
from emperor.serving.native import Server, Settings
from emperor.system import prctl, rlimits, title
from emperor.system.hanging import before_the_end_of, looked_at
from emperor.system.scoreboard import Tally
from emperor.wsgi import loading
from emperor.wsgi.gateway import WSGIApplication

READY = b"R"

LEAVE = signal.SIGRTMAX - 4
"""No signal of an app's, nor a terminal's; the one above it is ``system.stacks``'s."""


def work(
    spec: VassalSpec,
    listeners: Sequence[tuple[socket.socket, str]],
    application: Optional[Any],
    tally: Tally,
    report: int,
    parent: int,
    number: int = 1,
) -> int:
    """Serve until drained; the exit code. ``application`` None: import it here (lazy-apps). ``number``: its own."""
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not prctl.die_with_parent(signal.SIGTERM, parent):
        return 0
    title.call_itself(spec.name, f"worker {number}")
    if spec.harakiri:
        from emperor.system import stacks

        stacks.install()
    try:
        rlimits.hold(spec)
        rlimits.require_threads(spec)
        app = _load(spec, report) if application is None else application
        server = server_of(spec, listeners, app, tally, number)
    except EmperorError as error:
        text = error.traceback if isinstance(error, LoadError) else ""
        os.write(report, json.dumps([str(error)[:1024], text[-4096:]]).encode("ascii"))
        return 22
    _heed_signals(server, spec)
    keep_to_one_process(server, tally, (LEAVE, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT))
    os.write(report, READY)
    os.close(report)
    server.run()
    sys.stdout.flush()
    sys.stderr.flush()
    return 0


def _heed_signals(server: Any, spec: VassalSpec) -> None:
    """From now on they are a drain."""

    def leave(signum: int, frame: Any) -> None:
        server.drain(bounded=False)

    def drain(signum: int, frame: Any) -> None:
        # The kernel's own alarm: it also ends an app that never comes back to Python.
        if not signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.setitimer(signal.ITIMER_REAL, spec.reload_mercy + 0.5)
        server.drain(keep_idle=signum == signal.SIGHUP)

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(LEAVE, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [LEAVE])
    signal.signal(signal.SIGHUP, drain)
    signal.signal(signal.SIGTERM, drain)
    signal.signal(signal.SIGQUIT, drain)


def _load(spec: VassalSpec, report: int) -> Any:
    """Here, for lazy-apps. One that hangs is a failure: nobody but its vassal would hear where."""

    def hangs(where: str, stack: str) -> None:
        reason = f"start-timeout: not ready after {spec.start_timeout:g} s: {where}"
        os.write(report, json.dumps([reason[:1024], stack[-4096:]]).encode("ascii"))
        os._exit(22)

    with looked_at(before_the_end_of(spec.start_timeout), hangs):
        return load(spec)


def load(spec: VassalSpec) -> WSGIApplication:
    """The app, with the packages of its virtualenv. Raises ``LoadError``, with a hint if a module is missing."""
    # As supervision.interpreter has it (is_own), which a start that goes well need not import.
    if spec.virtualenv and spec.python != f"{spec.virtualenv}/bin/python":
        from emperor.system.interpreter import enter_virtualenv

        enter_virtualenv(spec.virtualenv)
    try:
        return loading.load(spec)
    except LoadError as error:
        # Who starts well does not load it.
        from emperor.system.interpreter import hinted

        raise hinted(error, spec) from error.__cause__


def keep_to_one_process(server: Any, tally: Tally, signums: Sequence[int]) -> None:
    """What the app forks is no worker: a TERM ends it, its parent is not woken by its signals, and it serves nobody."""

    masks = threading.local()

    def before() -> None:
        # One that comes between the fork and our reset would be nobody's: it waits.
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, signums)

    def behind() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def in_child() -> None:
        signal.set_wakeup_fd(-1)
        for signum in signums:
            signal.signal(signum, signal.SIG_DFL)
        tally.disown()
        if isinstance(server, Server):
            server.disown()
        behind()

    os.register_at_fork(before=before, after_in_parent=behind, after_in_child=in_child)


def settle_in(spec: VassalSpec) -> None:
    """Environment, folder and memory of the app, as its user. Raises ``EmperorError``."""
    rlimits.limit_memory(spec)
    os.environ.update(spec.env)
    folder = spec.chdir or spec.folder
    try:
        os.chdir(folder)
    except OSError as error:
        if spec.chdir:
            raise EmperorError(f"chdir {folder}: {error.strerror}") from None


def server_of(
    spec: VassalSpec, listeners: Sequence[tuple[socket.socket, str]], application: Any, tally: Tally, number: int = 1
) -> Any:
    settings = Settings(
        threads=spec.threads,
        multiprocess=spec.processes > 1,
        buffer_size=spec.buffer_size,
        limit_post=spec.limit_post,
        drain_seconds=spec.reload_mercy,
        header_seconds=spec.header_timeout,
        patience=spec.socket_timeout,
        connections=spec.max_connections,
        stderr=spec.fastcgi_stderr,
        recorder=_recorder(spec, tally, number),
    )
    if spec.fastcgi_engine == "flup" or any(protocol == HTTP for _, protocol in listeners):
        # Last on the path: what the virtualenv has itself wins over what the emperor lends.
        sys.path.append(os.path.join(os.path.dirname(os.path.dirname(__file__)), "extra"))
    if spec.fastcgi_engine == "flup":
        from emperor.serving import flup_engine

        return flup_engine.Server(listeners, application, settings, tally)
    return Server(listeners, application, settings, tally)


def prepare(spec: VassalSpec) -> None:
    """Before the first fork: what its workers will all import is in pages that they share."""
    if _records(spec):
        # Whoever does without it does not load it.
        from emperor.serving import recorded  # noqa: F401


def _records(spec: VassalSpec) -> bool:
    logged = spec.log_format, spec.log_4xx, spec.log_5xx, spec.log_zero, spec.log_slow, spec.log_big
    return any(logged) or spec.stats is not None


def _recorder(spec: VassalSpec, tally: Tally, number: int) -> Optional[Any]:
    """What knows of each request what became of it; None: nobody asks."""
    if not _records(spec):
        return None
    from emperor.serving.recorded import recorder

    return recorder(spec, tally.sent, number)


def ending(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"killed by {signal.Signals(number).name}"
        except ValueError:
            return f"killed by signal {number}"
    return f"exited with code {os.WEXITSTATUS(status)}"


def finish(code: int) -> NoReturn:
    """End as a program ends: the app's atexit functions run, then the process is gone."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for the app's non-daemon threads, as Python's own end does
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
