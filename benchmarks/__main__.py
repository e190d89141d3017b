"""The command line: which rows, how long, and where the results go."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import campaign, machine, results
from benchmarks.exercises import EXERCISES, WARM_MIB, Extent
from benchmarks.load import SCRIPT, pieces
from benchmarks.page import page
from benchmarks.rows import ROWS, Row, chosen
from benchmarks.servers import APPS, Places

_QUICK = Extent(rounds=3, seconds=1.0, download=100, upload=64)
_PROGRAMS = ("nginx", "wrk", "curl")
_EPILOG = """\
examples:
  make bench                                    everything, about {minutes} minutes
  make bench BENCH='--quick --only flask'       a first look at the rows with "flask" in their name
  make bench BENCH='--only bare-uwsgi --rounds 3 --seconds 3'
  make bench BENCH='--write docs/benchmarks.md --json bench.json'

rows: {rows}

A ratio is ours divided by the peer's, medians of all rounds; min..max are the ratios of single rounds.
A quiet machine has narrow ones: close what else runs.

Servers are started from the virtualenv --venv (`make bench` makes one with `venv --copies`). This program had
better run on another interpreter: a file that it shares with our server makes our PSS look smaller.

exit: 0, 1 a must was missed or a row is invalid, 2 usage
"""


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    rows = chosen(tuple(options.only))
    if options.list or not rows:
        print("\n".join(f"{row.key:24} {row.work}, against {results.named(row.peer)}" for row in rows or ROWS))
        return 0 if rows else 2
    needed = _PROGRAMS if any(EXERCISES[row.exercise].fronted for row in rows) else ()
    if absent := [name for name in needed if machine.program(name) is None]:
        print(
            f"bench: not measured: {', '.join(absent)} not found -- apt install nginx-light wrk curl", file=sys.stderr
        )
        return 1
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    extent = _extent(options)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o755)
    places = Places(folder, options.venv.absolute(), options.pypy.absolute(), folder / "payloads")
    try:
        played = _play_all(rows, extent, places)
    finally:
        if options.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return _tell(played, extent, places, options)


def _play_all(rows: Sequence[Row], extent: Extent, places: Places) -> list[campaign.Played]:
    """As far as the keyboard lets it come."""
    if any(row.exercise == "download" for row in rows):
        _make_payloads(places.payloads, (WARM_MIB, extent.download))
    played: list[campaign.Played] = []
    try:
        for number in range(len(rows)):
            played.append(_play(rows, number, extent, places))
    except KeyboardInterrupt:
        print(f"\nbench: interrupted: {len(played)} of {len(rows)} rows were measured", file=sys.stderr)
    return played


def _play(rows: Sequence[Row], number: int, extent: Extent, places: Places) -> campaign.Played:
    row = rows[number]
    later = sum(campaign.seconds(one, extent) for one in rows[number + 1 :])
    head = f"[{number + 1}/{len(rows)}] {row.key}: "
    begin = time.monotonic()

    def say(text: str, left: float) -> None:
        _progress(f"{head}{text}; about {_span(left + later)} left")

    played = campaign.play(row, extent, places, say)
    what = results.fault(played.outcome) or f"measured in {_span(time.monotonic() - begin)}"
    _progress("")
    print(f"{head}{what}; about {_span(later)} left", file=sys.stderr, flush=True)
    return played


def _progress(text: str) -> None:
    """A line that the next one overwrites; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _tell(played: Sequence[campaign.Played], extent: Extent, places: Places, options: argparse.Namespace) -> int:
    outcomes = [one.outcome for one in played]
    facts = machine.facts(places)
    print("\n" + results.table(outcomes) + "\n" + results.summary(outcomes))
    if options.json:
        options.json.write_text(json.dumps(results.as_json(played, facts, asdict(extent)), indent=1) + "\n")
    if options.write:
        options.write.write_text(page(played, facts, extent, SCRIPT.read_text(), _names(places)))
    return int(not outcomes or any(one.missed or (one.fault and one.measured) for one in outcomes))


def _names(places: Places) -> Mapping[str, str]:
    """What the page says for paths of this machine; those that lie within others come first."""
    names = {places.folder: "$T", places.venv: "$VENV", places.pypy: "$PYPY", APPS: "benchmarks/apps"}
    return {str(path): names[path] for path in sorted(names, key=lambda path: -len(str(path)))}


def _make_payloads(folder: Path, sizes: Iterable[int]) -> None:
    folder.mkdir()
    for mebibytes in sizes:
        with (folder / str(mebibytes)).open("wb") as file:
            file.writelines(pieces(mebibytes))


def _extent(options: argparse.Namespace) -> Extent:
    base = _QUICK if options.quick else Extent()
    return Extent(
        options.rounds or base.rounds,
        options.seconds or base.seconds,
        options.download or base.download,
        options.upload or base.upload,
    )


def _parser() -> argparse.ArgumentParser:
    minutes = round(sum(campaign.seconds(row, Extent()) for row in ROWS) / 60)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Ours beside uWSGI, gunicorn, flup and supervisor, as ratios measured in one run.",
        epilog=_EPILOG.format(minutes=minutes, rows=" ".join(row.key for row in ROWS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", nargs="+", default=[], metavar="WORD", help="rows of this name, or with this in their names")
    add("--list", action="store_true", help="print the rows and go")
    add("--quick", action="store_true", help="3 rounds of 1 s, uploads of 64 MiB: for a first look, not for figures")
    add("--rounds", type=_count, metavar="N", help="rounds for each server, taking turns (5)")
    add("--seconds", type=_count, metavar="S", help="length of a round (5)")
    add("--download", type=_count, metavar="MIB", help="size of a download (100)")
    add("--upload", type=_count, metavar="MIB", help="size of an upload (1024)")
    add("--write", type=Path, metavar="FILE.md", help="write the page of results: machine, table, all that was run")
    add("--json", type=Path, metavar="FILE", help="write every figure of every round")
    add("--venv", type=Path, metavar="DIR", default=Path(sys.prefix),
        help="where emperor and its peers are installed (this interpreter's)")  # fmt: skip
    add("--pypy", type=Path, metavar="DIR", default=Path(".venv-bench-pypy"),
        help="virtualenv of PyPy with Flask (.venv-bench-pypy)")  # fmt: skip
    add("--keep", action="store_true", help="leave the temporary folder: inis, nginx's configuration, logs")
    return parser


def _count(text: str) -> int:
    """From 1: wrk knows no shorter round than a second."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 1 is wanted")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
