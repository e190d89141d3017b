"""Results as tables for the terminal and for a document. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fuzzing.trial import Result, reproducer

_HEAD = ("target", "depth", "inputs", "seconds", "a second", "failures", "slowest input", "resident, then", "now")

_INTRODUCTION = """\
# Inputs that are nearly right

By `make fuzz`: every parser that a stranger reaches, alone (*pure*) and within a daemon of root's with real workers of
an unprivileged user (*live*). {summary}

| | |
|---|---|
"""


def page(results: Sequence[Result], facts: Mapping[str, str]) -> str:
    text = _INTRODUCTION.format(summary=summary(results))
    text += "".join(f"| {name} | {what} |\n" for name, what in facts.items())
    text += "\n## Runs\n\n" + _markdown((_HEAD, *map(_row, results)))
    text += "\n## What came of them\n\n" + "".join(f"- {one.key}, {one.depth}: {outcomes(one)}\n" for one in results)
    if failed := [line for one in results for line in _failures(one)]:
        text += "\n## Failures\n\n" + "".join(f"- {line}\n" for line in failed)
    return text


def report(results: Sequence[Result]) -> str:
    """The same for a terminal."""
    lines = [_plain((_HEAD, *map(_row, results)))]
    lines += [f"{one.key}, {one.depth}: {outcomes(one)}\n" for one in results]
    lines += [f"FAILED {line}\n" for one in results for line in _failures(one)]
    return "".join(lines) + summary(results)


def summary(results: Sequence[Result]) -> str:
    inputs, failures = sum(one.inputs for one in results), sum(len(one.failures) for one in results)
    return f"{inputs} inputs, {failures} failures."


def outcomes(one: Result) -> str:
    told = ", ".join(f"{word} {count}" for word, count in one.outcomes.most_common())
    return "; ".join((told, *one.notes))


def _failures(one: Result) -> Iterable[str]:
    for failure in one.failures:
        if failure.number < 0:
            yield f"{one.key}, {one.depth}, seed {one.seed}: {failure.why}"
        else:
            how = reproducer(one.key, one.seed, failure)
            yield f"{one.key}, {one.depth}, seed {one.seed}, input {failure.number}: {failure.why} -- {how}"


def _row(one: Result) -> tuple[str, ...]:
    then, now = (f"{size / 2**20:.1f} MiB" if size else "" for size in one.resident)
    slowest = f"{one.slowest * 1000:.1f} ms" if one.slowest else ""
    return (one.key, one.depth, str(one.inputs), f"{one.seconds:.0f}", f"{one.speed:.0f}", str(len(one.failures)),
            slowest, then, now)  # fmt: skip


def _markdown(rows: Sequence[tuple[str, ...]]) -> str:
    lines = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in lines)


def _plain(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )
