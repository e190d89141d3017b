"""What is found about one ini, sorted into what a person does with it, and the word for it. Pure.

Errors are to be mended, warnings to be looked at; a difference is what uWSGI would make of the same line; ignored is
what has no effect here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from emperor.config.differences import Note
from emperor.config.language.inifile import STRAY_PERCENT
from emperor.config.options import find, find_uwsgi
from emperor.config.table.option import ALWAYS, INSTEAD
from emperor.ctl.wording import plural
from emperor.model import Problem

ERROR, WARNING, DIFFERS, IGNORED = "error", "warning", "differs", "ignored"
LABELS = (ERROR, WARNING, DIFFERS, IGNORED)
_WIDTH = max(map(len, LABELS))

CUT_OFF = "runs, but the web server cannot connect"


@dataclass(frozen=True)
class Verdict:
    """``path``: as the person typed it. ``findings``: label and what is said, in the order of labels and lines."""

    path: str
    findings: tuple[tuple[str, Problem], ...]
    loads: bool | None = None
    """Does the app load? None: nobody has tried."""
    cut_off: bool = False
    """Does it run, while no request of the web server's reaches it?"""

    @property
    def ok(self) -> bool:
        return self.loads is not False and not self.count(ERROR)

    def count(self, label: str) -> int:
        return sum(1 for one, _ in self.findings if one == label)

    @property
    def lost(self) -> int:
        """Options of uWSGI's that give an app something which nothing gives it here, as far as they are named."""
        named = {one.option for label, one in self.findings if label == IGNORED}
        return sum(1 for name in named if (foreign := find_uwsgi(name)) is not None and foreign.part)

    @property
    def whole(self) -> str:
        """What is wrong with the file as a whole, if nothing else is found: it could not be read; else ""."""
        if len(self.findings) != 1:
            return ""
        (label, one), *_ = self.findings
        return one.message if label == ERROR and one.path == self.path and not one.line and not one.option else ""

    @property
    def words(self) -> str:
        if self.whole:
            return f"does not work: {self.whole}"
        errors, warnings, differences = map(self.count, (ERROR, WARNING, DIFFERS))
        if errors:
            return f"does not work: {plural(errors, 'error')}"
        if not self.ok:
            return "does not work: the app does not load"
        found = ((warnings, "warning"), (differences, "difference"), (self.lost, "part"))
        good = (CUT_OFF if self.cut_off else "OK", *(("the app loads",) if self.loads else ()))
        words = ", ".join((*good, *(plural(number, noun) for number, noun in found if number)))
        return f"{words} missing" if self.lost else words


def judge(path: str, problems: Sequence[Problem], notes: Sequence[Note]) -> Verdict:
    """``notes`` and ``problems`` name files as the person typed them."""
    told = {(note.path, note.line) for note in notes if "%" in note.message}
    found = [
        (_label(one), one)
        for one in problems
        if one.message != STRAY_PERCENT or (one.path, one.line) not in told  # the note says more
    ]
    found += [
        (WARNING if one.same else DIFFERS, Problem(one.path, one.line, one.option, one.message, fatal=False))
        for one in notes
    ]
    by_place = sorted(found, key=lambda one: (one[1].path != path, one[1].path, one[1].line))
    return Verdict(path, tuple(sorted(by_place, key=lambda one: LABELS.index(one[0]))))


def _label(problem: Problem) -> str:
    if problem.fatal:
        return ERROR
    option = find(problem.option)
    if option is not None and option.standing == ALWAYS:
        return DIFFERS if problem.message.startswith("cannot be turned off") else WARNING
    if option is None and find_uwsgi(problem.option) is not None:
        return IGNORED
    return IGNORED if option is not None and option.standing == INSTEAD else WARNING


def lines(verdict: Verdict, told: set[tuple[str, Problem]]) -> Iterator[tuple[str, str]]:
    """Label and text, one line each; what has the same to say of several lines of the ini says it once.

    ``told``: what stands in other files, a default's or an included one, and was shown with an earlier ini: it is not
    repeated, unless it is an error. It grows.
    """
    if verdict.whole:
        return
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for label, one in verdict.findings:
        if one.path != verdict.path and label != ERROR:
            if (label, one) in told:
                continue
            told.add((label, one))
        key = (label, one.path, one.message if label != ERROR else str(one))
        groups.setdefault(key, []).append(one)
    for (label, _, _), same in groups.items():
        yield label, f"{label:<{_WIDTH}}  {_text(label, same, verdict.path)}"


def _text(label: str, same: Sequence[Problem], path: str) -> str:
    if label == ERROR or same[0].path != path:
        return "; ".join(map(str, same)) if label == ERROR else str(_merged(same))
    numbers = ", ".join(dict.fromkeys(str(one.line) for one in same if one.line))
    where = f"line{'s' if ',' in numbers else ''} {numbers}: " if numbers else ""
    return f"{where}{_options(same)}{same[0].message}"


def _merged(same: Sequence[Problem]) -> Problem:
    return replace(same[0], option=", ".join(dict.fromkeys(one.option for one in same)))


def _options(same: Sequence[Problem]) -> str:
    named = ", ".join(dict.fromkeys(one.option for one in same if one.option))
    return f"{named}: " if named else ""


def summary(verdicts: Sequence[Verdict]) -> str:
    """``4 files: 2 OK, 1 cut off from the web server, 1 does not work``"""
    good = sum(1 for one in verdicts if one.ok)
    cut_off = sum(1 for one in verdicts if one.ok and one.cut_off)
    bad = len(verdicts) - good
    counts = (
        f"{good - cut_off} OK" if good > cut_off else "",
        f"{cut_off} cut off from the web server" if cut_off else "",
        f"{bad} {'does' if bad == 1 else 'do'} not work" if bad else "",
    )
    return f"{plural(len(verdicts), 'file')}: {', '.join(one for one in counts if one)}"
