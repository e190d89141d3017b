"""The command line: which targets, how many inputs, from which seed, and where the results go."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from fuzzing import live
from fuzzing.page import page, report
from fuzzing.table import LONG, SHORT, TARGETS, Target, chosen
from fuzzing.trial import Keeping, Result, Say, play, told

_SELDOM = 60.0

_EPILOG = """\
targets:
{targets}

Each has two depths. Pure: the parser and all that follows it, in this process, an input after the other. Live: a daemon
of root's, with workers of --user, that gets the same inputs through its sockets and its folder, one for every {share}
of the pure ones; it must keep its processes, its memory and its descriptors, and answer. Without root: pure alone.

An input is made of its target, the seed and its number alone: the same words give the same inputs. One that fails is
saved in --failures and printed with the words that replay it.

examples:
  make fuzz                                            all targets, {long} inputs each: half an hour
  make fuzz FUZZ='--only ini --inputs 10000'           a first look at one
  make fuzz FUZZ='--seed 7 --write fuzzing.md'         other inputs, and a page of results
  python -m fuzzing --only http --replay FILE.bin      one input again

exit: 0, 1 something failed, 2 usage
"""


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(argv)
    targets = chosen(tuple(options.only))
    if options.replay:
        return _replay(targets, options.replay)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results: list[Result] = []
    try:
        for number, target in enumerate(targets, 1):
            for result in _play(f"[{number}/{len(targets)}] {target.key}: ", target, options):
                results.append(result)
                if any(note.startswith("interrupted") for note in result.notes):
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        print("\nfuzzing: interrupted", file=sys.stderr)
    _clear()
    print(report(results))
    if options.write:
        options.write.write_text(page(results, _facts(argv)))
    return int(not results or any(one.failures for one in results))


def _play(head: str, target: Target, options: argparse.Namespace) -> Iterator[Result]:
    keeping, say = Keeping(options.failures), _teller(head)
    if "pure" in options.depth:
        yield _told(head, play(target.key, target.grammar(), target.trial, options.inputs, options.seed, keeping, say))
    if "live" in options.depth:
        count = max(1, options.inputs // live.SHARE)
        places = live.Places(options.venv.absolute(), options.user, keeping)
        yield _told(head, live.play(target.key, count, options.seed, places, say))


def _teller(head: str) -> Say:
    """A line that the next one overwrites; where nobody watches, one each minute."""
    last = [time.monotonic()]

    def say(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{head}{text}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - last[0] > _SELDOM:
            last[0] = time.monotonic()
            print(head + text, file=sys.stderr, flush=True)

    return say


def _told(head: str, result: Result) -> Result:
    _clear()
    verdict = f"{len(result.failures)} FAILED" if result.failures else "nothing failed"
    words = f"{head}{result.depth}: {result.inputs} inputs, {verdict}, {result.seconds:.0f} s"
    print(words, file=sys.stderr, flush=True)
    return result


def _replay(targets: Sequence[Target], path: Path) -> int:
    """One input, with the whole trace of what it raises."""
    if len(targets) != 1:
        print("fuzzing: --replay: of which target? -- say --only TARGET", file=sys.stderr)
        return 2
    data = path.read_bytes()
    try:
        print(f"{targets[0].key}: {len(data)} bytes: {targets[0].trial(data)}")
    except Exception as error:
        print(f"{targets[0].key}: {len(data)} bytes: {told(error)}", file=sys.stderr)
        raise
    return 0


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _facts(argv: Sequence[str]) -> dict[str, str]:
    words = shlex.join(word for word in argv if not word.startswith(("/", "--venv")))
    return {
        "Python": platform.python_version(),
        "kernel": platform.release(),
        "load": f"{os.getloadavg()[0]:.1f} at the end",
        "command": f"`python -m fuzzing {words}`".replace(" `", "`"),
        "date": time.strftime("%Y-%m-%d"),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fuzzing",
        description="Inputs that are nearly right, into every parser that strangers reach and into a running daemon.",
        epilog=_EPILOG.format(
            targets="\n".join(f"  {one.key:8} {one.what}" for one in TARGETS), long=LONG, share=live.SHARE
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", nargs="+", default=[], metavar="TARGET", choices=[one.key for one in TARGETS], help="these targets")
    add("--depth", nargs="+", default=_depths(), choices=("pure", "live"), help="one of the two (both as root)")
    add("--inputs", type=_count, default=LONG, metavar="N", help=f"of each target, pure ({LONG}; {SHORT} for a look)")
    add("--seed", type=_seed, default=_default_seed(), metavar="N", help="other inputs ($EMPEROR_FUZZ_SEED, else 1)")
    add("--failures", type=Path, default=Path("fuzzing-failures"), metavar="DIR", help="where failing inputs are saved")
    add("--replay", type=Path, metavar="FILE", help="try this input alone; with --only TARGET")
    add("--write", type=Path, metavar="FILE.md", help="write the page of results")
    add("--venv", type=Path, metavar="DIR", default=Path(sys.prefix), help="where emperor is installed, for live")
    add("--user", metavar="NAME", default="nobody", help="whose the apps are, for live (nobody)")
    return parser


def _depths() -> tuple[str, ...]:
    return ("pure", "live") if os.geteuid() == 0 else ("pure",)


def _default_seed() -> str:
    return os.environ.get("EMPEROR_FUZZ_SEED") or "1"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 1 is wanted")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text}: a whole number below {2**32} is wanted")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
