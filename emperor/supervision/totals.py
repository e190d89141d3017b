"""What all workers of a generation, or of a vassal, have done together. Pure.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds up to which a request falls into each bucket of ``latency``; one more holds those that took longer."""


@dataclass(frozen=True)
class Totals:
    """``seconds``: within requests. ``sent``: bytes of answers, 0 where nobody counts them (``stats`` does)."""

    requests: int = 0
    exceptions: int = 0
    harakiris: int = 0
    seconds: float = 0.0
    sent: int = 0
    latency: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)

    def plus(self, other: Totals) -> Totals:
        return Totals(
            self.requests + other.requests,
            self.exceptions + other.exceptions,
            self.harakiris + other.harakiris,
            self.seconds + other.seconds,
            self.sent + other.sent,
            tuple(one + another for one, another in zip(self.latency, other.latency)),
        )


EMPTY = Totals()


def together(many: Iterable[Totals]) -> Totals:
    total = EMPTY
    for one in many:
        total = total.plus(one)
    return total
