"""Results as tables for the terminal and for docs/campaigns.md. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from campaigns.tally import Figure, Result

_COUNTS = ("campaign", "what was done", "times", "requests", "failed GETs", "failed POSTs", "refused", "seconds")
_FIGURES = ("campaign", "figure", "value", "at most", "")

_INTRODUCTION = """\
# What breaks, and what it costs

Counted and measured by `make campaign`, against the real thing: the installed `emperor`, real nginx, real
processes{user}.
{summary}

| | |
|---|---|
"""

_METHOD = """\
## How it is counted

- The clients are one process with many connections of its own. Those called HTTP keep theirs to nginx open; one more,
  the prober, asks the app's socket directly, a connection for each request, every 2 ms.
- An answer is right if its status is 200, if it is whole, and if it carries this request's own number and the checksum
  of the body that was sent. Anything else is a failure: another status, a reset, an early end, 30 s without an answer.
  A quarter of nginx's requests are POST with a body of 100 bytes to 100 kB; every twentieth GET has an answer of
  256 KiB.
- *Refused* is a connect(2) that failed at the app's socket: the prober's own, or nginx's, from its error log. Every
  request that failed through nginx must be in that log with its number, and nothing else may be in it.
- A failure is a kill's if the kill fell between the request's begin and its end. nginx sends a GET again that failed
  on a kept connection (a POST it does not); those are in its log, and are no failures.
- In flight in a worker are the connections that it has accepted and not closed: it is stopped for the moment that it
  takes to count them, and then killed. A worker of one thread may have two: one that it serves, and one whose request
  had not arrived yet when it was accepted. Kept FastCGI connections all count, idle ones too.
- *New code visible* runs from the change to the first right answer of a process that imported the app after it. The
  app's import tells its own time, which is left out. *Next answer* runs from the kill to the end of the first answer
  whose request began after the process was gone.
- Those that sleep have `on-demand = true`. A *wake-up* is a thread of the emperor's that waited and went on, as the
  kernel counts it; a *first answer* runs from the connect(2) of the first client since its last sleep to its answer's
  end. All at once: a client for each, in one process, all connected before the first is answered; they come again every
  few seconds until the last has had its answer, so that nobody sleeps meanwhile.
- Timings have the machine's noise in them: the load takes one of its cores. A bound that a timing misses is told; only
  counts decide whether `make campaign` fails.
- For the rows called *peer*, uWSGI's Emperor got the same ini, with `master = true`.

"""


def page(results: Sequence[Result], facts: Mapping[str, str], user: str) -> str:
    whose = f" (apps as `{user}`, nginx as its own user)" if user else ""
    text = _INTRODUCTION.format(user=whose, summary=summary(results))
    text += "".join(f"| {name} | {what} |\n" for name, what in facts.items())
    text += "\n## Counts\n\n" + _markdown(_COUNTS, map(_counts, results))
    text += "\n## Bounds and figures\n\n" + _markdown(_FIGURES, _all_figures(results))
    if notes := [f"- {one.key}: {note}" for one in results for note in _notes(one)]:
        text += "\n## What failed, and how\n\n" + "\n".join(notes) + "\n"
    return text + "\n" + _METHOD.rstrip("\n") + "\n"


def report(results: Sequence[Result]) -> str:
    """The same for a terminal."""
    text = _plain((_COUNTS, *map(_counts, results))) + "\n" + _plain((_FIGURES, *_all_figures(results)))
    notes = "".join(f"{one.key}: {note}\n" for one in results for note in _notes(one))
    return f"{text}\n{notes}{summary(results)}"


def summary(results: Sequence[Result]) -> str:
    played = [one for one in results if not one.skipped]
    bounds = [figure for one in played for figure in one.figures if figure.must is not None]
    counts = [figure for figure in bounds if figure.counted]
    timings = [figure for figure in bounds if not figure.counted]
    faults = [one.key for one in played if one.fault]
    text = f"{_met(counts)} bounds of counts hold, {_met(timings)} bounds of timings."
    return text + (f" Not played to the end: {', '.join(faults)}." if faults else "")


def _met(figures: Sequence[Figure]) -> str:
    return f"{sum(one.met for one in figures)} of {len(figures)}"


def _counts(one: Result) -> tuple[str, ...]:
    seen = one.tally
    if one.skipped or one.fault:
        return one.key, one.did, *("",) * 6
    return (one.key, one.did, str(one.times), str(seen.gets + seen.posts), str(seen.failed("GET")),
            str(seen.failed("POST")), str(one.refused), f"{one.seconds:.0f}")  # fmt: skip


def _all_figures(results: Iterable[Result]) -> Iterable[tuple[str, ...]]:
    return ((one.key, *_figure(figure)) for one in results for figure in one.figures)


def _figure(one: Figure) -> tuple[str, ...]:
    unit = f" {one.unit}" if one.unit else ""
    must = "" if one.must is None else f"{one.must:.10g}{unit}"
    verdict = "" if one.must is None else "met" if one.met else "**MISSED**"
    return one.title, f"{one.value:.{one.digits}f}{unit}", must, verdict


def _notes(one: Result) -> Iterable[str]:
    yield from (
        text for text in (one.skipped and f"not played: {one.skipped}", one.fault and f"FAILED: {one.fault}") if text
    )
    yield from one.notes


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in lines)


def _plain(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n" for row in rows)
