"""``emperorctl check --import``: load an app as its user in a process that is thrown away, and say what happened."""

from __future__ import annotations

import contextlib
import os
import selectors
import tempfile
import time

from emperor.errors import EmperorError
from emperor.intake.reading import Reader, Settings
from emperor.model import VassalSpec
from emperor.supervision import channel
from emperor.supervision.commission import CHECK, INQUIRE, Commission
from emperor.system import library, processes
from emperor.system.processes import Child
from emperor.text import printable

MAX_OUTPUT = 65536
"""Bytes, the last ones: an app may print without end before it is loaded."""


def import_check(path: str, settings: Settings) -> tuple[bool, str]:
    """Did the app load, and what it printed (the traceback, if it did not). An ini with problems is not tried."""
    name = os.path.basename(path).removesuffix(".ini")
    checked = Reader(settings).read(name, os.path.abspath(path)).checked
    if checked.spec is None:
        return False, "\n".join(map(str, checked.problems))
    with tempfile.TemporaryDirectory(prefix="emperor-check-") as runtime:
        os.chmod(runtime, 0o755)
        try:
            launcher = library.install(runtime)
            ready, text, spoke = _run(CHECK, checked.spec, launcher)
            if not ready and not spoke:
                # It did not get as far as our code: why is for its user to see, by the Python that runs here.
                _, why, spoke = _run(INQUIRE, checked.spec, launcher)
                text = f"{text}\n{why}" if spoke else text
        except EmperorError as error:
            return False, str(error)
    return ready, text


def _run(role: str, spec: VassalSpec, launcher: str) -> tuple[bool, str, bool]:
    """Is it well, what it printed, has it said which; raises EmperorError."""
    child = processes.spawn(Commission(role, spec, parent=os.getpid()), launcher)
    try:
        return _outcome(child, spec)
    finally:
        processes.bury(child)


def _outcome(child: Child, spec: VassalSpec) -> tuple[bool, str, bool]:
    output, deadline = b"", time.monotonic() + spec.start_timeout
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.pidfd, selectors.EVENT_READ)
        waiting.register(child.output, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in waiting.select(max(0.0, deadline - time.monotonic()))}
            more = _read(child)
            output = (output + (more or b""))[-MAX_OUTPUT:]
            if child.pidfd in ready:
                break
            if time.monotonic() >= deadline:
                return False, f"start-timeout: not imported after {spec.start_timeout:g} s", True
            if more == b"":
                waiting.unregister(child.output)
    text = printable(output.decode("utf-8", "backslashreplace"), keep_newlines=True).rstrip("\n")
    said = _said(child)
    if isinstance(said, channel.Serving):
        return True, text, True
    return False, text or processes.how_it_ended(child).reason, said is not None


def _read(child: Child) -> bytes | None:
    """None: nothing at the moment; b"": it has closed it."""
    with contextlib.suppress(BlockingIOError):
        return os.read(child.output, 65536)
    return None


def _said(child: Child) -> channel.Message | None:
    """Its one message; None: none, or none of ours."""
    assert child.channel is not None
    with contextlib.suppress(OSError, EmperorError):
        return channel.decode(child.channel.recv(channel.MAX_DATAGRAM))
    return None
