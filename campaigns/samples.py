"""What a long campaign looks at every few seconds: sizes, descriptors, threads, latencies; and whether they stay."""

from __future__ import annotations

import csv
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType

from benchmarks import measure, parsing
from campaigns.processes import children, descriptors, rss
from campaigns.tally import Trouble, spread

SHARE = 10
"""The first and the last so-manieth part of a series are compared."""


@dataclass(frozen=True)
class Sample:
    """``seconds``: since the begin. Sizes in MiB, latencies in milliseconds. The vassal and the workers are those that
    nothing was done to. ``upgrades``: so many programs the emperor had been by then."""

    seconds: float
    emperor: float
    emperor_descriptors: int
    emperor_threads: int
    vassal: float
    vassal_descriptors: int
    workers: float
    workers_descriptors: int
    processes: int
    zombies: int
    p50: float
    p99: float
    failures: int
    upgrades: int


def take(begin: float, emperor: int, vassal: int, latencies: Iterable[float], failures: int, upgrades: int) -> Sample:
    """``latencies``: in seconds, of the answers since the last sample. Raises Trouble if there were none."""
    family = parsing.tree(measure.parents(), emperor)
    workers, found = children(vassal), spread(latencies)
    return Sample(
        seconds=round(time.monotonic() - begin, 1),
        emperor=rss((emperor,)),
        emperor_descriptors=descriptors(emperor),
        emperor_threads=len(list(Path(f"/proc/{emperor}/task").iterdir())),
        vassal=rss((vassal,)),
        vassal_descriptors=descriptors(vassal),
        workers=rss(workers),
        workers_descriptors=sum(map(descriptors, workers)),
        processes=len(family),
        zombies=sum(map(_is_zombie, family)),
        p50=round(found.p50 * 1000, 3),
        p99=round(found.p99 * 1000, 3),
        failures=failures,
        upgrades=upgrades,
    )


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def append(path: Path, sample: Sample) -> None:
    """As a line of CSV, below a line of names. What was written stays if the campaign is cut short."""
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [one.name for one in fields(Sample)], lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerow({name: f"{value:g}" if isinstance(value, float) else value
                         for name, value in asdict(sample).items()})  # fmt: skip


@dataclass
class Sampler:
    """Looks every so many seconds as long as the ``with`` block lasts, and writes each sample down at once.

    ``faults``: why some samples are missing.
    """

    look: Callable[[float], Sample]
    """From the moment of the last look, in monotonic seconds."""
    every: float
    path: Path
    found: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Sampler:
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        looked = time.monotonic()
        while not self._over.wait(self.every):
            since, looked = looked, time.monotonic()
            try:
                self.found.append(self.look(since))
                append(self.path, self.found[-1])
            except (Trouble, OSError) as error:
                self.faults.append(f"no sample: {error}")


def change(samples: Sequence[Sample], name: str) -> tuple[float, float]:
    """The median of this field in the first and in the last tenth. Raises Trouble for too few."""
    if len(samples) < 2:
        raise Trouble(f"{len(samples)} samples: too few to compare")
    size = max(1, len(samples) // SHARE)
    first, last = samples[:size], samples[-size:]
    return statistics.median(getattr(one, name) for one in first), statistics.median(getattr(one, name) for one in last)
