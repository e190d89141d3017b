"""The command line: which campaigns, how long, and where the results go."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.servers import Failure
from benchmarks.servers import Places as Measured
from campaigns.page import page, report
from campaigns.scene import Places, choose_user
from campaigns.table import CAMPAIGNS, Campaign, chosen
from campaigns.tally import Result, Trouble

_EPILOG = """\
examples:
  make campaign                                    everything, in full: three hours, two of them the soak
  make campaign CAMPAIGN='--quick'                 everything, seconds each
  make campaign CAMPAIGN='--quick --only reload'   a first look at those with "reload" in their name
  make campaign CAMPAIGN='--only soak --keep'      two hours of everything at once; soak.csv is in the folder kept
  make campaign CAMPAIGN='--write docs/campaigns.md'

campaigns: {keys}

As root the apps run as --user, else as whoever runs this. The daemon is taken from the virtualenv --venv.

exit: 0, 1 the bound of a count is broken or a campaign could not be played, 2 usage
"""


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    campaigns = chosen(tuple(options.only))
    if options.list or not campaigns:
        print("\n".join(f"{one.key:24} {one.times} times, {one.short} with --quick" for one in campaigns or CAMPAIGNS))
        return 0 if campaigns else 2
    if machine.program("nginx") is None:
        print("campaign: not played: nginx not found -- apt install nginx-light", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    folder = Path(tempfile.mkdtemp(prefix="camp-"))
    folder.chmod(0o755)
    venv = options.venv.absolute()
    places = Places(folder, venv, choose_user(options.user, venv))
    try:
        results = _play_all(campaigns, options, places)
    finally:
        if options.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(report(results))
    if options.write:
        options.write.write_text(page(results, _facts(places, argv), places.user))
    return int(not results or any(one.broken for one in results))


def _play_all(campaigns: Sequence[Campaign], options: argparse.Namespace, places: Places) -> list[Result]:
    """As far as the keyboard lets it come."""
    results: list[Result] = []
    try:
        for number, one in enumerate(campaigns, 1):
            times = options.times or (one.short if options.quick else one.times)
            results.append(_play(f"[{number}/{len(campaigns)}] {one.key}: ", one, times, places))
    except KeyboardInterrupt:
        print(f"\ncampaign: interrupted: {len(results)} of {len(campaigns)} were played", file=sys.stderr)
    return results


def _play(head: str, one: Campaign, times: int, places: Places) -> Result:
    begin = time.monotonic()
    try:
        result = one.play(one.key, times, places, lambda text: _progress(head + text))
    except (Trouble, Failure, OSError) as error:
        result = Result(one.key, "", fault=str(error), seconds=time.monotonic() - begin)
    _progress("")
    what = result.skipped or result.fault or ("BROKEN" if result.broken else "the counts hold")
    print(f"{head}{what}, {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return result


def _progress(text: str) -> None:
    """A line that the next one overwrites; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _facts(places: Places, argv: Sequence[str]) -> dict[str, str]:
    found = machine.facts(Measured(places.folder, places.venv, places.folder / "none", places.folder))
    wanted = {name: text for name, text in found.items() if name not in ("gunicorn", "flup", "wrk")}
    load = f"{os.getloadavg()[0]:.1f} at the end"
    words = shlex.join(word for word in argv if not word.startswith(("/", "--venv")))
    return {
        **wanted,
        "load": load,
        "command": f"`python -m campaigns {words}`".replace(" `", "`"),
        "date": time.strftime("%Y-%m-%d"),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m campaigns",
        description="Reloads, kills, crash loops and upgrades of the installed emperor under load, counted.",
        epilog=_EPILOG.format(keys=" ".join(one.key for one in CAMPAIGNS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", nargs="+", default=[], metavar="WORD", help="campaigns of this name, or with this in their names")
    add("--list", action="store_true", help="print the campaigns and go")
    add("--quick", action="store_true", help="the short form of each: for a first look")
    add("--times", type=_count, metavar="N", help="how often, for every campaign that is played")
    add("--write", type=Path, metavar="FILE.md", help="write the page of results")
    add("--venv", type=Path, metavar="DIR", default=Path(sys.prefix),
        help="where emperor and, for comparison, uWSGI are installed (this interpreter's)")  # fmt: skip
    add("--user", metavar="NAME", default="nobody", help="whose the apps are, as root (nobody)")
    add("--keep", action="store_true", help="leave the temporary folder: inis, logs, nginx's configuration")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 1 is wanted")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
