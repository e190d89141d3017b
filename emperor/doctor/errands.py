"""Many looks at once by one deputy: whatever hangs costs its own answer, and no time but its own.

It promises: as ``system.deputy``; whoever asks waits ``patience`` seconds for all of them together, and a little more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from emperor.model import Identity
from emperor.system import deputy

Task = Callable[[], Any]
"""Its answer is JSON's. An OSError is no answer."""

AT_ONCE = 64
"""Threads of one deputy."""

PATIENCE = 3.0
"""Seconds for looks at a disk."""

_GRACE = 1.0


def told(tasks: Sequence[Task], identity: Identity | None, patience: float = PATIENCE) -> list[Any]:
    """One answer for each task, in their order; None: none came. ``identity`` None: as who we are. Raises OSError."""
    if not tasks:
        return []
    crowd = _Crowd(tasks, patience)
    questions = [partial(crowd.answer, number) for number in range(len(tasks))]
    return deputy.answers(questions, identity, patience + _GRACE)


class _Crowd:
    """Starts all tasks when the first answer is asked for, which is in the deputy."""

    def __init__(self, tasks: Sequence[Task], patience: float) -> None:
        self._tasks, self._patience = tasks, patience
        self._over = [threading.Event() for _ in tasks]
        self._found: dict[int, Any] = {}
        self._deadline = 0.0

    def answer(self, number: int) -> Any:
        if not self._deadline:
            self._deadline = time.monotonic() + self._patience
            waiting, lock = iter(range(len(self._tasks))), threading.Lock()
            for _ in range(min(AT_ONCE, len(self._tasks))):
                threading.Thread(target=self._work, args=(waiting, lock), daemon=True).start()
        self._over[number].wait(max(0.0, self._deadline - time.monotonic()))
        return self._found.get(number)

    def _work(self, waiting: Iterator[int], lock: threading.Lock) -> None:
        while True:
            with lock:
                number = next(waiting, None)
            if number is None:
                return
            try:
                self._found[number] = self._tasks[number]()
            except (OSError, ValueError):
                pass
            finally:
                self._over[number].set()
