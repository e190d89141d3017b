"""``emperorctl check``: what an ini would do, said before it does it, and where uWSGI does something else with it.

It needs no emperor; one that answers is asked where the ini of a name is. An ini is judged under the emperor's options
that are named here. The paths that it names are looked at as who will use them; what is not there now is an error here,
and no reason for the emperor not to try.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from emperor.config import daemon_options
from emperor.config.claims import judge_all
from emperor.config.differences import Note, Subject, differences
from emperor.config.language.inifile import Row
from emperor.config.ruling import Rule
from emperor.config.spec import Checked
from emperor.control.messages import FAILED, OK, Request
from emperor.ctl import eyes, outlook, verdict
from emperor.ctl.console import Console
from emperor.ctl.prospects import Prospect, prospect
from emperor.ctl.verdict import Verdict
from emperor.errors import EmperorError
from emperor.intake.listing import may_be_called
from emperor.intake.reading import Reader, Settings, Study
from emperor.model import VASSAL_NAME, Problem, VassalSpec
from emperor.system import places
from emperor.text import printable

DEBIAN_DEFAULTS = "/usr/share/uwsgi/conf/default.ini"
_DEBIAN_FOLDERS = ("apps-enabled", "apps-available")

OPTIONS = (
    *("vassals-defaults", "vassals-inherit-before", "vassals-include-before", "vassal-set"),
    *("vassals-inherit", "vassals-include", "tyrant", "allow-root", "web-user", "web-group"),
)
"""Options of ``emperor`` that decide what an ini comes to."""

_PATIENCE = 5.0
"""Seconds for the emperor's answer; without one its folder is looked into."""

OTHER_FORMATS = (".xml", ".yaml", ".yml", ".json", ".js")
"""What uWSGI reads beside inis."""

LOOKALIKES = (".ini", ".conf", ".cfg", ".config")
"""Ends of names, in small letters, that somebody may take for an ini's."""

_ALLOWED = "letters, digits and _.@-, at most 64, begins with no dot or dash, and is not all or emperor"

_COLOURS = {verdict.ERROR: "red", verdict.WARNING: "yellow", verdict.DIFFERS: "yellow", verdict.IGNORED: ""}


@dataclass(frozen=True)
class Found:
    """One file: how it was named, what it comes to, and its notes."""

    path: str
    checked: Checked
    notes: tuple[Note, ...] = ()
    rows: tuple[Row, ...] = ()
    """All that it comes to, with what it draws in."""
    whole: str = ""
    """Its path from /."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="an ini, a folder of inis or a glob; default: the emperor's folder")
    add(
        "--import",
        dest="load",
        action="store_true",
        help="also import the app, as its user, in a process that is thrown away",
    )
    add("-v", "--verbose", action="store_true", help="also what each ini comes to: apps, user, sockets, log")
    group = parser.add_argument_group(
        "the emperor's options", "name those that the emperor is started with: without them an ini is judged by itself"
    )
    group.add_argument("--config", metavar="FILE", help="the emperor's own file that holds them, if it is another")
    for name in OPTIONS:
        option = daemon_options.find(name)
        assert option is not None
        if option.kind.bare:
            group.add_argument(f"--{name}", action="store_true", help=option.help)
        else:
            group.add_argument(f"--{name}", action="append", default=[], metavar=option.kind.text, help=option.help)


def run(args: argparse.Namespace, console: Console) -> int:
    if not args.load:
        return _check(args, console)
    from emperor.trial import launched  # what starts processes is not needed to read inis

    with launched() as launcher:
        return _check(args, console, launcher)


def _check(args: argparse.Namespace, console: Console, launcher: str = "") -> int:
    rule = _rule(args)
    settings = Settings.under(rule, places.beside(args.control_socket or rule.control_socket))
    paths = _paths(args.files, rule, console)
    found = [_study(path, settings) for path in paths]
    named = [(os.path.basename(path).removesuffix(".ini"), one.checked) for path, one in zip(paths, found, strict=True)]
    judged = judge_all(named, settings.runtime_folder)
    prospects = looked_at([(one, checked) for one, checked in zip(found, judged, strict=True)], settings)
    verdicts, results, told = [], [], set[tuple[str, Problem]]()
    for one, before, ahead in zip(found, judged, prospects, strict=True):
        checked, notes = _with(one, before, ahead)
        loads, output = _load(one, checked, settings, launcher) if args.load else (None, None)
        word = replace(verdict.judge(one.path, checked.problems, notes), loads=loads, cut_off=ahead.cut_off)
        verdicts.append(word)
        if console.json:
            results.append(_as_json(word, checked, notes, output))
            continue
        _tell(word, console, told)
        if checked.spec is not None and (args.verbose or len(paths) == 1):
            _show(checked.spec, settings, console)
        if output and loads is False:
            _show_output(output, checked.spec, console)
    if console.json:
        console.print_json(results)
    else:
        _close(verdicts, settings, console)
    return OK if all(one.ok for one in verdicts) else FAILED


def _rule(args: argparse.Namespace) -> Rule:
    """The options' own words and rules are those of the daemon, its configuration file included."""
    from emperor.cli import options  # with it comes the daemon, which no other verb needs

    words = [f"--config={args.config}"] if args.config else []
    for name in OPTIONS:
        given = getattr(args, name.replace("-", "_"))
        words += [f"--{name}"] if given is True else [f"--{name}={value}" for value in given or ()]
    rule, _, problems = options(words)
    wrong = [str(one) for one in problems if one.fatal]
    if wrong:
        raise EmperorError("\n".join(wrong))
    return rule


def _paths(words: Sequence[str], rule: Rule, console: Console) -> list[str]:
    usual = rule.emperor or (places.vassals_folder(os.geteuid(), os.environ),)
    return [path for word in words or usual for path in _named(_meant(word, usual, console), console)]


def _meant(word: str, folders: Sequence[str], console: Console) -> str:
    """A vassal's name stands for its ini: where the emperor that answers has it, else in the emperor's folder."""
    if os.path.lexists(word) or not VASSAL_NAME.fullmatch(word):
        return word
    told = _told(word.removesuffix(".ini"), console)
    if told:
        return told
    inis = [os.path.join(folder, f"{word.removesuffix('.ini')}.ini") for folder in folders]
    return next((ini for ini in inis if os.path.lexists(ini)), word)


def _told(name: str, console: Console) -> str:
    """Where the emperor has this vassal's ini; "": nobody answers, or it has none that we may see."""
    with contextlib.suppress(EmperorError):
        for reply in console.ask(Request("status", (name,)), _PATIENCE if console.timeout is None else console.timeout):
            for row in reply.get("data") or ():
                if isinstance(row, dict) and row.get("name") == name and row.get("config"):
                    return str(row["config"])
    return ""


def _named(word: str, console: Console) -> list[str]:
    """The file itself, the inis of a folder, or what a glob finds that no shell has expanded."""
    if os.path.isdir(word):
        return _inis(word, console)
    if os.path.lexists(word) or not glob.has_magic(word):
        return [word]
    return sorted(glob.glob(word)) or [word]


def _inis(folder: str, console: Console) -> list[str]:
    try:
        entries = sorted(os.listdir(folder))
    except OSError as error:
        raise EmperorError(f"{folder}: {error.strerror} -- name the files to check") from error
    found = [os.path.join(folder, entry) for entry in entries if _is_vassal(entry) or entry.endswith(OTHER_FORMATS)]
    for entry in entries:
        if entry.endswith(".ini") and not _is_vassal(entry):
            console.error(f"{os.path.join(folder, entry)}: ignored: a vassal's name has {_ALLOWED}")
        elif entry.lower().endswith(LOOKALIKES) and not _is_vassal(entry):
            console.error(f"{os.path.join(folder, entry)}: ignored: its name does not end in .ini")
    if not found:
        console.error(f"{folder}: no inis")
    return found


def _is_vassal(entry: str) -> bool:
    return entry.endswith(".ini") and may_be_called(entry.removesuffix(".ini"))


def _study(path: str, settings: Settings) -> Found:
    entry, whole = os.path.basename(path), os.path.abspath(path)
    if entry.endswith(OTHER_FORMATS):
        message = "is no ini, and only inis are read -- write its options as lines of an ini"
        return Found(path, Checked(None, (Problem(path, 0, "", message),)))
    study = Reader(settings).study(entry.removesuffix(".ini"), whole)
    problems = [*study.reading.checked.problems, *_nameless(entry, whole, study)]
    notes = _notes(whole, study)
    checked = study.reading.checked
    return Found(
        path,
        replace(
            checked,
            spec=None if any(one.fatal for one in problems) else checked.spec,
            problems=tuple(replace(one, path=path) if one.path == whole else one for one in problems),
        ),
        tuple(one._replace(path=path) if one.path == whole else one for one in notes),
        tuple(study.unfolded.rows),
        whole,
    )


def _notes(path: str, study: Study) -> tuple[Note, ...]:
    if study.ini is None:
        return ()
    spec = study.reading.checked.spec
    opened = spec is not None and outlook.users_log(spec)
    root = os.geteuid() == 0
    return differences(Subject(path, study.ini.source.text, study.unfolded.rows, spec, root, opened))


def _nameless(entry: str, path: str, study: Study) -> Iterator[Problem]:
    if study.ini is not None and entry.endswith(".ini") and not _is_vassal(entry):
        yield Problem(path, 0, "", f"the emperor passes over this file -- rename it: a vassal's name has {_ALLOWED}")


def looked_at(found: Sequence[tuple[Found, Checked]], settings: Settings) -> list[Prospect]:
    """What stands in the way of each that has a spec; nothing of the others."""
    web = Reader(settings).web
    inis = {
        number: eyes.surveyed(checked.spec, one.rows, checked.rows, settings.runtime_folder, web)
        for number, (one, checked) in enumerate(found)
        if checked.spec is not None
    }
    seen = dict(zip(inis, eyes.seen(list(inis.values())), strict=True))
    return [
        prospect(inis[number], seen[number], checked.problems) if number in inis else Prospect(())
        for number, (_, checked) in enumerate(found)
    ]


def _with(one: Found, checked: Checked, ahead: Prospect) -> tuple[Checked, tuple[Note, ...]]:
    """The spec stays, for what the ini comes to is told all the same."""
    problems = tuple(replace(two, path=one.path) if two.path == one.whole else two for two in ahead.problems)
    places = [(row.path, row.line, row.key) if row else (one.whole, 0, "") for row, _ in ahead.remarks]
    notes = [
        Note(one.path if path == one.whole else path, line, key, remark.message)
        for (path, line, key), remark in zip(places, ahead.remarks, strict=True)
    ]
    return replace(checked, problems=(*checked.problems, *problems)), (*one.notes, *notes)


def _load(one: Found, checked: Checked, settings: Settings, launcher: str) -> tuple[bool | None, str | None]:
    if checked.spec is None or any(problem.fatal for problem in checked.problems):
        return None, ""
    from emperor.trial import import_check

    return import_check(one.path, settings, launcher)


def _as_json(word: Verdict, checked: Checked, notes: Sequence[Note], output: str | None) -> dict[str, Any]:
    return {
        "path": word.path,
        "ok": word.ok,
        "cut_off": word.cut_off,
        "verdict": word.words,
        "problems": [asdict(problem) for problem in checked.problems],
        "differences": [note._asdict() for note in notes],
        "import": output,
    }


def _tell(word: Verdict, console: Console, told: set[tuple[str, Problem]]) -> None:
    console.print(f"{printable(word.path)}: {console.paint(word.words, 'green' if word.ok else 'red')}")
    for label, line in verdict.lines(word, told):
        text = printable(line)
        console.print(f"  {console.paint(text[: len(label)], _COLOURS[label])}{text[len(label) :]}")


def _show(spec: VassalSpec, settings: Settings, console: Console) -> None:
    for label, text in outlook.outlook(spec, settings.runtime_folder):
        console.print(f"  {label:<7}  {printable(text)}")


def _show_output(output: str, spec: VassalSpec | None, console: Console) -> None:
    if spec is not None:
        python = spec.python or "the emperor's own Python"
        who = f"as {spec.identity.user}, by {python}, in {spec.chdir or spec.folder}"
        console.print(f"  import   {printable(who)}:")
    for line in output.rstrip("\n").split("\n"):
        console.print(f"    {printable(line)}")


def _close(verdicts: Sequence[Verdict], settings: Settings, console: Console) -> None:
    if len(verdicts) > 1:
        console.print(verdict.summary(verdicts))
    folders = {os.path.basename(os.path.dirname(os.path.abspath(one.path))) for one in verdicts}
    if not settings.defaults and folders.intersection(_DEBIAN_FOLDERS) and os.path.exists(DEBIAN_DEFAULTS):
        option = f"--vassals-defaults {DEBIAN_DEFAULTS}"
        console.print(
            f"Debian gives each of these inis the values of {DEBIAN_DEFAULTS}, too: judge them with "
            f"{option}, and start the emperor with it"
        )
