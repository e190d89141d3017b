"""Outcomes as a table on the terminal, and as JSON. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.campaign import Played
from benchmarks.figures import Comparison, Outcome
from benchmarks.front import CONTROL, WAYS
from benchmarks.rows import METRICS, Contender, Metric
from benchmarks.servers import SERVERS


class Line(NamedTuple):
    """One comparison in words."""

    row: str
    against: str
    figure: str
    ours: str
    peer: str
    ratio: str
    spread: str
    must: str
    goal: str
    verdict: str


HEADINGS = Line("row", "against", "figure", "ours", "peer", "ratio", "min..max", "must", "goal", "verdict")


def lines(outcome: Outcome) -> tuple[Line, ...]:
    """A line for each claim of the row; none for a row with a fault."""
    return tuple(_line(outcome, one) for one in outcome.comparisons)


def table(outcomes: Sequence[Outcome]) -> str:
    """All rows in columns, then those that have no figures, and why."""
    cells = [HEADINGS, *(line for outcome in outcomes for line in lines(outcome))]
    widths = [max(map(len, column)) for column in zip(*cells)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells]
    return "\n".join([*text, *(f"{one.row.key}: {fault(one)}" for one in outcomes if one.fault)]) + "\n"


def fault(outcome: Outcome) -> str:
    """``not measured: <why>``, ``invalid: <why>``, or "" for a row with figures."""
    if not outcome.fault:
        return ""
    return f"{'invalid' if outcome.measured else 'not measured'}: {outcome.fault}"


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many of each verdict."""
    words = [one.verdict for outcome in outcomes for one in outcome.comparisons if one.verdict]
    words += [fault(one).partition(":")[0] for one in outcomes if one.fault]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words)) or "nothing to judge"


def named(contender: Contender) -> str:
    """The server, and what nginx speaks to it if it does."""
    title = SERVERS[contender.server].title
    return title if contender.way == CONTROL else f"{title}, {WAYS[contender.way].title}"


def as_json(played: Sequence[Played], facts: Mapping[str, str], extent: Mapping[str, float]) -> dict[str, Any]:
    """For programs: the machine, and of each row all rounds, medians and verdicts, and what was run."""
    return {"machine": dict(facts), "extent": dict(extent), "rows": [_row_json(one) for one in played]}


def _line(outcome: Outcome, one: Comparison) -> Line:
    metric = METRICS[one.claim.metric]
    compared = one.claim.ratio and not math.isnan(one.ratio)
    return Line(
        outcome.row.key,
        named(outcome.row.peer),
        f"{metric.title}, {metric.unit}",
        _number(one.ours, metric),
        _number(one.peer, metric),
        f"{one.ratio:.3f}" if compared else "",
        f"{one.low:.2f}..{one.high:.2f}" if compared else "",
        _bound(one, one.claim.must),
        _bound(one, one.claim.goal),
        one.verdict,
    )


def _number(value: float, metric: Metric) -> str:
    return f"{value:,.{metric.digits}f}"


def _bound(one: Comparison, bound: float | None) -> str:
    if bound is None:
        return ""
    metric = METRICS[one.claim.metric]
    sign = "≤" if metric.less else "≥"
    return f"{sign} {bound:.2f}" if one.claim.ratio else f"{sign} {bound:g} {metric.unit}"


def _row_json(played: Played) -> dict[str, Any]:
    outcome = played.outcome
    return {
        "row": outcome.row.key,
        "work": outcome.row.work,
        "against": named(outcome.row.peer),
        "fault": fault(outcome),
        "claims": [_claim_json(one) for one in outcome.comparisons],
        "rounds": [{"ours": dict(ours), "peer": dict(peer)} for ours, peer in outcome.rounds],
        "commands": [list(command) for command in played.commands],
        "files": [text for _, text in played.files],
        "nginx": played.nginx,
    }


def _claim_json(one: Comparison) -> dict[str, Any]:
    known = not math.isnan(one.ratio)
    return {
        "metric": one.claim.metric,
        "unit": METRICS[one.claim.metric].unit,
        "ours": one.ours,
        "peer": one.peer,
        "ratio": one.ratio if known else None,
        "spread": [one.low, one.high] if known else None,
        "must": one.claim.must,
        "goal": one.claim.goal,
        "judged": "ratio" if one.claim.ratio else "ours",
        "verdict": one.verdict,
    }
