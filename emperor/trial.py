"""``emperorctl check --import``: load an app as its user in a process that is thrown away, and say what happened."""

from __future__ import annotations

import contextlib
import os
import selectors
import tempfile
import time
from collections.abc import Iterator

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

MAX_MESSAGES = 16


@contextlib.contextmanager
def launched() -> Iterator[str]:
    """The launcher that inis are tried with, gone afterwards: to make it takes longer than most imports."""
    with tempfile.TemporaryDirectory(prefix="emperor-check-") as runtime:
        os.chmod(runtime, 0o755)
        yield library.install(runtime)


def import_check(path: str, settings: Settings, launcher: str) -> tuple[bool, str]:
    """Did the app load, and what it printed (the traceback, if it did not). An ini with problems is not tried."""
    name = os.path.basename(path).removesuffix(".ini")
    checked = Reader(settings).read(name, os.path.abspath(path)).checked
    if checked.spec is None:
        return False, "\n".join(map(str, checked.problems))
    return import_spec(checked.spec, launcher)


def import_spec(spec: VassalSpec, launcher: str) -> tuple[bool, str]:
    """The same of what an ini came to."""
    try:
        ready, text, spoke = _run(CHECK, spec, launcher)
    except EmperorError as error:
        return False, str(error)
    return ready, text if ready or spoke else f"{text}\n{_why(spec, launcher)}".rstrip("\n")


def _why(spec: VassalSpec, launcher: str) -> str:
    """It did not get as far as our code: why is for its user to see, by a Python that runs. "": nothing was seen."""
    try:
        _, why, spoke = _run(INQUIRE, spec, launcher)
    except EmperorError as error:
        return f"nobody could look why: {error}"
    return why if spoke else ""


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
                return False, _too_late(child, output, spec), True
            if more == b"":
                waiting.unregister(child.output)
    text, said = _text(output), _said(child)
    if isinstance(said, channel.Serving):
        return True, text, True
    return False, text or processes.how_it_ended(child).reason, said is not None


def _text(output: bytes) -> str:
    return printable(output.decode("utf-8", "backslashreplace"), keep_newlines=True).rstrip("\n")


def _too_late(child: Child, output: bytes, spec: VassalSpec) -> str:
    said = _said(child)
    where = f": {printable(said.reason)}" if isinstance(said, channel.Failed) else ""
    line = f"start-timeout: not imported after {spec.start_timeout:g} s{where}"
    return f"{_text(output)}\n{line}".lstrip("\n")


def _read(child: Child) -> bytes | None:
    """None: nothing at the moment; b"": it has closed it."""
    with contextlib.suppress(BlockingIOError):
        return os.read(child.output, 65536)
    return None


def _said(child: Child) -> channel.Message | None:
    """Its last message: one that hangs says so first; None: none, or none of ours."""
    assert child.channel is not None
    last = None
    with contextlib.suppress(OSError, EmperorError):
        for _ in range(MAX_MESSAGES):
            last = channel.decode(child.channel.recv(channel.MAX_DATAGRAM))
    return last
