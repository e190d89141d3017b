"""``emperor`` and ``emperor run``, started by hand in somebody's folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Callable

from tests.e2e.harness.daemon import environ_for
from tests.e2e.harness.people import Person
from tests.e2e.harness.waiting import DEADLINE

Launch = Callable[..., "subprocess.Popen[bytes]"]


@contextmanager
def launching(program: Path, home: Path, someone: Person) -> Iterator[Launch]:
    """Starts ``program`` in the folder; it is killed at the end if it still runs."""
    with ExitStack() as ends:

        def start(*words: object, person: Person | None = None, **environ: str) -> subprocess.Popen[bytes]:
            who = person or someone
            with (home / "log").open("ab") as log:
                process: subprocess.Popen[bytes] = subprocess.Popen(
                    [str(program), *map(str, words)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=home,
                    env=environ_for(who, **environ),
                    start_new_session=True,
                    **who.popen_arguments(),
                )
            ends.callback(end, process)
            return process

        def end(process: subprocess.Popen[bytes]) -> None:
            process.kill()
            process.wait(DEADLINE)
            print((home / "log").read_text())

        yield start
