"""The page of results, docs/benchmarks.md. Pure; it has no date and no path of the machine it was made on."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.campaign import Played
from benchmarks.exercises import EXERCISES, Extent
from benchmarks.front import WAYS, Gate, config
from benchmarks.results import HEADINGS, fault, lines, summary

_INTRODUCTION = """\
# Benchmarks

Written by `make bench BENCH='--write docs/benchmarks.md'`; do not edit. `make bench` prints the same comparison for
your own machine.

Every row is a ratio: our figure divided by the peer's, both measured in this one run, so that the machine's own speed
drops out. Figures are medians of {rounds} rounds of {seconds:g} s for each of the two, taking turns after a warm-up;
min..max are the ratios of single rounds. Verdicts: {summary}.

## The machine

| | |
|---|---|
"""

_METHOD = """\
## How it is measured

- The load goes through a real nginx with one worker, over Unix sockets, from `wrk -t1 -c8` (64 connections for the row
  with threads). Clients keep their connections to nginx. Path, query and a cookie differ from request to request.
- One process with one thread, where the row does not say otherwise. flup runs as published, with its thread pool.
- CPU is user and system time of all processes of a server, daemon, master and workers, by their CPU clocks
  (clock_getcpuclockid(3)); nginx and the clients are not in it.
- A row is invalid, and says so, when a single answer has a wrong status, a connection fails, a byte is missing, a hash
  differs, or a server's process ends during a round.
- Our FastCGI connections are kept open by nginx (`fastcgi_keep_conn on`). uWSGI ignores that wish and closes, so its
  nginx is not told to try. The same goes for flup as it is commonly set up.
- Garbage-collector thresholds are CPython's own. Access logs are off but in the rows that name them.
- Our server runs on its defaults, as `emperor` with an ini in a folder; uWSGI with the options that are recommended
  for production, in one row without and in another ("with limits") with those that cost it something at every request.
  The same bounds hold for both.
- Where the time goes, and what was tried: [performance.md](performance.md).
- A worker's growth is its peak resident size in the round (VmHWM, reset before) over its size at the round's begin,
  when it has already served a few small bodies.
- PSS counts a page that several processes share in parts. The emperor is there once for all apps, and is shown apart.
- The row of `emperorctl status` (`--only status`) runs it beside `supervisorctl status`, {status} of each, in turn:
  one emperor with 50 vassals of one worker, one supervisord with 50 `sleep`s, all running. From the command's start to
  its exit, the interpreter's start included, into a pipe; no nginx. Its CPU is the command's alone.
- Downloads are {download} MiB each, thrown away by curl, one after the other; uploads are {upload} MiB each. nginx
  streams both (no temporary files). A verdict is only given where the project has set itself a bound.

"""

_ROOT = "$T"
_Text = TypeVar("_Text", bound=Hashable)


def page(played: Sequence[Played], facts: Mapping[str, str], extent: Extent, script: str,
         names: Mapping[str, str]) -> str:  # fmt: skip
    """``script``: wrk's. ``names``: what to write for paths of this machine, longest first."""
    outcomes = [one.outcome for one in played]
    text = _INTRODUCTION.format(rounds=extent.rounds, seconds=extent.seconds, summary=summary(outcomes))
    text += "".join(f"| {name} | {what} |\n" for name, what in facts.items())
    text += "\n## Results\n\n" + _results(played) + "\n"
    text += _METHOD.format(download=extent.download, upload=extent.upload,
                           status=extent.rounds * EXERCISES["status"].times)  # fmt: skip
    return text + _plain("\n".join(_ran(played, script)), names)


def _results(played: Sequence[Played]) -> str:
    titles = ("work", *HEADINGS[1:])
    rows = [titles, ("---",) * len(titles)]
    for one in played:
        outcome = one.outcome
        rows += [(outcome.row.work, *line[1:]) for line in lines(outcome)]
        rows += [(outcome.row.work, fault(outcome))] * bool(outcome.fault)
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _ran(played: Sequence[Played], script: str) -> Iterable[str]:
    yield "## What was run\n"
    yield "`$T` is a temporary folder, `$VENV` and `$PYPY` are the virtualenvs.\n"
    yield "wrk's script:\n\n```lua\n" + script + "```\n"
    for command, rows in _grouped((one.outcome.row.key, shlex.join(c)) for one in played for c in one.commands):
        yield f"{rows}:\n\n```sh\n{command}\n```\n"
    for (name, text), rows in _grouped((one.outcome.row.key, file) for one in played for file in one.files):
        places = " to ".join(f"`{_ROOT}/{one}`" for one in name.split(" to "))
        yield f"{rows}, {places}:\n\n```ini\n{text}```\n"
    ways = [Gate(way, "PORT", Path(_ROOT) / "SERVER" / "app.sock", way) for way in WAYS]
    usual, streamed = (config(Path(_ROOT) / "nginx", ways, flag) for flag in (False, True))
    yield f"nginx, its three ways in one file here:\n\n```nginx\n{usual}```\n"
    more = dict.fromkeys(line.strip() for line in streamed.splitlines() if line not in usual.splitlines())
    yield "and for downloads and uploads also:\n\n```nginx\n" + "\n".join(more) + "\n```\n"


def _grouped(pairs: Iterable[tuple[str, _Text]]) -> Iterable[tuple[_Text, str]]:
    """Each text once, with the rows that it was run for."""
    rows: dict[_Text, list[str]] = {}
    for row, text in pairs:
        rows.setdefault(text, []).append(row)
    return ((text, ", ".join(dict.fromkeys(keys))) for text, keys in rows.items())


def _plain(text: str, names: Mapping[str, str]) -> str:
    for path, name in names.items():
        text = text.replace(path, name)
    return text
