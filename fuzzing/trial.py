"""One target's inputs, one after another, through the code itself: what came of each, how long, how much memory.

What is a failure: anything raised but what the target's own trial declares, an input that takes too long, memory that
grows. A failing input is kept in a file, with the words that replay it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fuzzing.mutation import Grammar, mutant

MOST_SECONDS = 2.0
"""Of a processor for one input: forty times what an ini may cost by its own bound."""

MOST_GROWTH = 8 * 1024 * 1024
"""Bytes of resident memory between the first tenth and the last."""

MOST_BLOCKS = 20_000
"""Objects that the interpreter has allocated, likewise: they are counted, not measured."""

FEW = 20
"""Failures of one target after which nothing more is tried."""

Say = Callable[[str], None]
Trial = Callable[[bytes], str]
"""What came of an input, in a word. Raises nothing that is no failure."""


@dataclass(frozen=True)
class Failure:
    """``number``: which of the seed's inputs; -1: none by itself. ``path``: where it was saved."""

    number: int
    why: str
    path: str = ""


@dataclass
class Result:
    """``outcomes``: word → how often. ``resident``: bytes after the first tenth, and at the end."""

    key: str
    depth: str
    seed: int
    inputs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    resident: tuple[int, int] = (0, 0)
    notes: list[str] = field(default_factory=list)

    @property
    def speed(self) -> float:
        return self.inputs / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Keeping:
    """Where failing inputs go. None: nowhere."""

    folder: Path | None

    def keep(self, key: str, seed: int, number: int, data: bytes) -> str:
        if self.folder is None:
            return ""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{key}-{seed}-{number}.bin"
        path.write_bytes(data)
        return str(path)


def reproducer(key: str, seed: int, failure: Failure) -> str:
    """The words that show it again."""
    if failure.path:
        return f"python -m fuzzing --only {key} --replay {failure.path}"
    return f"python -m fuzzing --only {key} --seed {seed} --inputs {failure.number + 1}"


def play(key: str, grammar: Grammar, trial: Trial, inputs: int, seed: int, keeping: Keeping, say: Say) -> Result:
    """``inputs`` of them, from the first."""
    result, tenth = Result(key, "pure", seed), max(1, inputs // 10)
    before = (0, 0)
    start = time.monotonic()
    try:
        for number in range(inputs):
            _one(result, trial, mutant(key, grammar, seed, number), number, keeping)
            if len(result.failures) >= FEW:
                break
            if result.inputs == tenth:
                before = _memory()
            if number % 2000 == 0:
                say(f"{result.inputs} of {inputs}, {len(result.failures)} failed")
    except KeyboardInterrupt:
        # What was tried counts, and is told.
        result.notes.append(f"interrupted before the end of {inputs}")
    result.seconds = time.monotonic() - start
    after = _memory()
    result.resident = (before[0], after[0])
    if before[0] and inputs >= 1000 and len(result.failures) < FEW:
        _flat(result, before, after)
    return result


def _one(result: Result, trial: Trial, data: bytes, number: int, keeping: Keeping) -> None:
    start, why = time.process_time(), ""
    try:
        result.outcomes[trial(data)] += 1
    except Exception as error:
        why = told(error)
    took = time.process_time() - start
    result.inputs += 1
    result.slowest = max(result.slowest, took)
    if not why and took > MOST_SECONDS:
        why = f"took {took:.1f} s of a processor, and {MOST_SECONDS:g} are the most"
    if why:
        path = keeping.keep(result.key, result.seed, number, data)
        result.failures.append(Failure(number, why, path))


def told(error: BaseException) -> str:
    """Where and what, on one line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(frames[-3:]))
    return f"{type(error).__name__}: {ascii(str(error)[:300])[1:-1]} at {where}"


def resident(pid: str = "self") -> int:
    """Bytes of memory in use (proc(5), statm)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def _memory() -> tuple[int, int]:
    """Without what the allocator keeps for later: of one long input that may be megabytes (malloc_trim(3))."""
    gc.collect()
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    blocks = sys.getallocatedblocks() if hasattr(sys, "getallocatedblocks") else 0
    return resident(), blocks


def _flat(result: Result, before: tuple[int, int], after: tuple[int, int]) -> None:
    if after[0] - before[0] > MOST_GROWTH:
        result.failures.append(Failure(-1, f"memory grows: {before[0] >> 10} KiB, then {after[0] >> 10} KiB"))
    if after[1] - before[1] > MOST_BLOCKS:
        result.failures.append(Failure(-1, f"objects are kept: {before[1]}, then {after[1]}"))
