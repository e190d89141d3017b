"""``emperorctl check``: what an ini would do, said before it does it. It needs no emperor."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from typing import Any

from emperor.config.claims import judge_all
from emperor.config.spec import Checked
from emperor.control.messages import FAILED, OK
from emperor.ctl.console import Console
from emperor.errors import EmperorError
from emperor.intake.reading import Settings, check_file
from emperor.model import VASSAL_NAME, Problem
from emperor.system.places import vassals_folder
from emperor.text import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help="default: all inis of the default folder")
    parser.add_argument(
        "--import",
        dest="load",
        action="store_true",
        help="also import the app, as its user, in a process that is thrown away",
    )
    parser.add_argument(
        "--vassals-defaults",
        metavar="FILE",
        default="",
        help="the ini whose values every vassal inherits: name the one that the emperor is started with; without it "
        "each ini is judged by its own lines alone",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    files, defaults = args.files, args.vassals_defaults
    settings = Settings(defaults=os.path.abspath(defaults) if defaults else "")
    if not files:
        folder = vassals_folder(os.geteuid(), os.environ)
        files = _inis(folder)
        if not files:
            console.error(f"{folder}: no inis")
    found = [(os.path.basename(path).removesuffix(".ini"), check_file(path, settings)) for path in files]
    judged = judge_all(found, settings.runtime_folder)
    results = [_check(path, checked, args.load, settings) for path, checked in zip(files, judged, strict=True)]
    if console.json:
        console.print_json(results)
    else:
        for result in results:
            _tell(result, console)
    return OK if all(result["ok"] for result in results) else FAILED


def _inis(folder: str) -> list[str]:
    try:
        entries = sorted(os.listdir(folder))
    except OSError as error:
        raise EmperorError(f"{folder}: {error.strerror} -- name the files to check") from error
    return [
        os.path.join(folder, entry)
        for entry in entries
        if entry.endswith(".ini") and VASSAL_NAME.fullmatch(entry.removesuffix(".ini"))
    ]


def _check(path: str, checked: Checked, load: bool, settings: Settings) -> dict[str, Any]:
    sound, traceback = checked.spec is not None, ""
    if load and checked.spec is not None:
        from emperor.trial import import_check  # what starts processes is not needed to read inis

        sound, traceback = import_check(path, settings)
    return {
        "path": path,
        "ok": sound,
        "problems": [asdict(one) for one in checked.problems],
        "import": traceback if load else None,
    }


def _tell(result: dict[str, Any], console: Console) -> None:
    for raw in result["problems"]:
        problem = Problem(**raw)
        text = printable(str(problem))
        console.print(text if problem.fatal else f"{console.paint('warning:', 'yellow')} {text}")
    if result["import"] and not result["ok"]:
        console.print(f"{printable(result['path'])}: {console.paint('the app would not start:', 'red')}")
        for line in result["import"].rstrip("\n").split("\n"):
            console.print(f"    {printable(line)}")
    if result["ok"]:
        console.print(f"{printable(result['path'])}: {console.paint('OK', 'green')}")
