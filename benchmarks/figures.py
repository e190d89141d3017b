"""From rounds to a verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.rows import METRICS, Claim, Row

GOAL, MUST, MISSED, SHOWN = "goal met", "must met", "MISSED", ""

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Comparison:
    """One claim of a row, judged. ``low`` and ``high``: the ratios of single rounds, each with its neighbour."""

    claim: Claim
    ours: float
    peer: float
    ratio: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Outcome:
    """A row after its rounds. ``fault``: why there are no figures, or why they mean nothing; "" is well."""

    row: Row
    comparisons: tuple[Comparison, ...] = ()
    fault: str = ""
    measured: bool = True
    rounds: tuple[tuple[Figures, Figures], ...] = ()

    @property
    def missed(self) -> bool:
        return any(one.verdict == MISSED for one in self.comparisons)


def verdict(claim: Claim, value: float) -> str:
    """GOAL, MUST or MISSED; SHOWN where the claim has no bounds."""
    if claim.must is None or claim.goal is None:
        return SHOWN
    sign = 1 if METRICS[claim.metric].less else -1
    if sign * value <= sign * claim.goal:
        return GOAL
    return MUST if sign * value <= sign * claim.must else MISSED


def compare(claim: Claim, rounds: Sequence[tuple[Figures, Figures]]) -> Comparison:
    """``rounds``: ours and the peer's, at least one of each. A ratio to nothing is NaN."""
    middle = min if METRICS[claim.metric].least else median
    ours = middle([one[claim.metric] for one, _ in rounds])
    peer = middle([other[claim.metric] for _, other in rounds])
    single = [_ratio(one[claim.metric], other[claim.metric]) for one, other in rounds]
    ratio = _ratio(ours, peer)
    judged = verdict(claim, ratio if claim.ratio else ours)
    return Comparison(claim, ours, peer, ratio, min(single), max(single), judged)


def judge(row: Row, rounds: Sequence[tuple[Figures, Figures]]) -> Outcome:
    return Outcome(row, tuple(compare(claim, rounds) for claim in row.claims), rounds=tuple(rounds))


def _ratio(ours: float, peer: float) -> float:
    return ours / peer if peer > 0 else float("nan")
