"""The campaign's side of the clients' process: starts it, hears what it tells, ends it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from campaigns.crowd import Client
from campaigns.tally import Answer, Failure, Tally, Trouble
from campaigns.wires import Stamp

_KEPT = 4000
_ROOT = Path(__file__).resolve().parents[1]


class Visitors:
    """Clients that come as long as the ``with`` block lasts. What they saw stands in ``tally`` afterwards.

    Of the answers that are told: ``heard`` is when each client had its first one, ``latencies`` how long each took.
    """

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = tuple(clients)
        self._news = threading.Condition()
        self._answers: deque[Answer] = deque(maxlen=_KEPT)
        self._failures: list[Failure] = []
        self._sums: Counter[str] | None = None
        self.tally = Tally()
        self.heard: dict[str, float] = {}
        self.latencies: list[float] = []

    def __enter__(self) -> Visitors:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "campaigns.crowd"),
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([one.as_json() for one in self._clients]) + "\n")
        self._process.stdin.flush()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        if kind is not None:
            self._process.kill()
        self._process.stdin.close()
        code = self._process.wait()
        self._thread.join()
        self._process.stdout.close()
        if kind is not None:
            return
        if code or self._sums is None:
            raise Trouble(f"the clients ended with {code} and without their sums")
        self.tally = Tally(self._sums["GET"], self._sums["POST"], tuple(self._failures))

    def answer(self, good: Callable[[Answer], bool], seconds: float) -> Answer | None:
        """The first of the latest told answers, or of those to come, that is good; None if there is none in time."""
        seen, deadline = -1.0, time.monotonic() + seconds
        with self._news:
            while True:
                fresh = [one for one in self._answers if one.end > seen]
                if found := next((one for one in fresh if good(one)), None):
                    return found
                seen = fresh[-1].end if fresh else seen
                left = deadline - time.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    return None
                self._news.wait(left)

    def since(self, client: str, moment: float) -> list[float]:
        """How long the answers of this client took that came after this moment, as far as they are remembered."""
        with self._news:
            return [one.end - one.start for one in self._answers if one.client == client and one.end > moment]

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Those so far."""
        return tuple(self._failures)

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            record = json.loads(line)
            with self._news:
                self._take(record)
                self._news.notify_all()

    def _take(self, record: dict[str, Any]) -> None:
        if record["what"] == "sums":
            self._sums = sum((Counter(one) for one in record["sums"].values()), Counter())
            return
        common = (record["client"], record["method"], record["number"], record["start"], record["end"])
        if record["what"] == "failure":
            self._failures.append(Failure(*common, record["why"], record["refused"]))
        else:
            stamp = Stamp(record["pid"], record["begun"], record["took"], record["version"])
            self._answers.append(Answer(*common, stamp))
            self.heard.setdefault(record["client"], record["end"])
            self.latencies.append(record["end"] - record["start"])
