"""Why an app does not serve, from what the emperor says of it and what its own user sees. Pure."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from emperor.ctl.overview import LEAVING
from emperor.ctl.wording import duration, exit_reason, plural
from emperor.doctor import mends
from emperor.doctor.facts import Subject
from emperor.doctor.finding import FAILS, MAY_FAIL, Finding
from emperor.doctor.replies import traceback_of
from emperor.doctor.socketside import UP
from emperor.model import Problem
from emperor.text import clip, printable

STALLED = 5.0
"""Seconds after which an import is worth a word."""

STUCK = 5.0
"""Seconds of one request."""

MOST_PROBLEMS = 5
"""Of one ini."""

_PROBLEM = {"path", "line", "option", "message", "fatal"}

_EXITED = re.compile(r"exited with code \d+|killed by SIG[A-Z]+")
_NO_MODULE = re.compile(r"No module named '([A-Za-z_]\w{0,63})", re.ASCII)
_TAKEN = re.compile(r":(\d{1,5}): bind: Address already in use")

_DOWN = "visitors of {} see 502, or wait for a 504: nobody answers them"


def findings(subject: Subject) -> Iterator[Finding]:
    yield from _STATES.get(subject.state, _nothing)(subject)
    if subject.state in UP:
        yield from _serving(subject)
    yield from _timeouts(subject)


def paths(subject: Subject, problems: Sequence[Problem], flaw: str) -> Iterator[Finding]:
    """``problems``: what its user does not get to; ``flaw``: of its interpreter. A vassal that serves is told of what
    its next start meets."""
    up = subject.state in UP
    weight = MAY_FAIL if up else FAILS
    why = "it serves, and its next start will fail" if up else _DOWN.format(subject.name)
    again = () if up else (f"emperorctl {_again(subject)} {subject.name}",)
    if flaw:
        what, mend = mends.of_message(flaw)
        yield Finding("app-python", subject.name, what, why, (*mend, *again), weight)
    for one in problems[:MOST_PROBLEMS]:
        what, mend = mends.of_problem(one)
        lesser = weight if one.fatal else MAY_FAIL
        said = why if one.fatal else "it starts all the same; what needs that path will fail"
        yield Finding("app-path", subject.name, what, said, (*mend, *again), lesser)


def tried(subject: Subject, loads: bool, output: str) -> Iterator[Finding]:
    """Its app was imported in a process of its own."""
    name = subject.name
    if loads:
        if subject.state in ("BACKOFF", "FATAL", "STOPPED") and subject.snapshot.get("wanted") == "up":
            what = f"{subject.state}, and its app can be imported by now"
            why = "what was wrong is mended; it is not tried again, or only later"
            yield Finding("app-mended", name, what, why, (f"emperorctl {_again(subject)} {name}",))
        return
    lines = [printable(line) for line in output.split("\n") if line.strip()]
    last = _ended(clip(lines[-1].strip(), 300)) if lines else "it ended without a word"
    told = "\n".join(traceback_of(lines) or lines[-12:])
    again = f"# mend the app, then: emperorctl {_again(subject)} {name}"
    up = subject.state in UP
    why = f"{'it serves, and its next start will fail' if up else _DOWN.format(name)}\n{told}"
    said = f"import: {last}" if up else f"{subject.state}: {last}"
    yield Finding(
        "app-failed", name, said, why, (*_packages(subject, last), _check(subject), again), MAY_FAIL if up else FAILS
    )


def _nothing(subject: Subject) -> Iterator[Finding]:
    return iter(())


def _invalid(subject: Subject) -> Iterator[Finding]:
    told = [mends.of_problem(one) for one in _problems(subject)[:MOST_PROBLEMS]]
    for what, mend in told or [(_error(subject), ())]:
        check = (
            f"emperorctl check {mends.quoted(subject.config)}  # until it is well; the emperor sees the change itself"
        )
        yield Finding("app-invalid", subject.name, what, _DOWN.format(subject.name), (*mend, check))


def _problems(subject: Subject) -> list[Any]:
    return [one for one in subject.snapshot.get("problems") or () if _fatal(one)]


def _fatal(problem: Any) -> bool:
    return not isinstance(problem, Mapping) or problem.get("fatal", True) is not False


def _failed(subject: Subject) -> Iterator[Finding]:
    """Why, in the words of its own process, which may be the app's: no command is taken from them."""
    what = _error(subject) or exit_reason(subject.snapshot.get("last_exit") or {}) or "it does not run"
    traceback = [line for line in str(subject.snapshot.get("traceback") or "").split("\n") if line.strip()]
    told = "\n" + "\n".join(traceback_of(traceback) or traceback[-12:]) if traceback else ""
    kind = "app-python" if what.startswith(("virtualenv ", "python ")) else "app-failed"
    last = f"# mend it, then: emperorctl {_again(subject)} {subject.name}"
    mend = (*_packages(subject, what), *((_check(subject),) if traceback else ()), *_who_listens(what), last)
    # A signal may be anybody's, and at any time.
    said = what if traceback or "killed" in what else _ended(what)
    yield Finding(kind, subject.name, f"{subject.state}: {said}", _DOWN.format(subject.name) + told, mend)


def _again(subject: Subject) -> str:
    return "start" if subject.state == "FATAL" else "restart"


def _ended(what: str) -> str:
    """An end that nobody ordered, and no exception explains."""
    if not _EXITED.fullmatch(what):
        return what
    return f"{what}: its module ended the process as it was imported (os._exit, or a crash in C code)"


def _check(subject: Subject) -> str:
    return f"emperorctl check --import {mends.quoted(subject.config)}  # until it is well"


def _packages(subject: Subject, what: str) -> Iterator[str]:
    """For a module that is not there. A comment: its name is the app's word, and what brings it may be called
    otherwise."""
    lost, spec = _NO_MODULE.search(what), subject.spec
    if lost is not None and spec is not None and spec.virtualenv:
        python = mends.quoted(f"{spec.virtualenv}/bin/python")
        yield f"# as {spec.identity.user}: {python} -m pip install {lost[1]}  # or the package that brings it"


def _who_listens(what: str) -> Iterator[str]:
    taken = _TAKEN.search(what)
    if taken is not None:
        yield f"ss -ltnp 'sport = :{taken[1]}'  # shows who has it; end that one, or name another port"


def _stopped(subject: Subject) -> Iterator[Finding]:
    name = subject.name
    if subject.snapshot.get("wanted") != "down":
        if _error(subject):
            yield from _failed(subject)
        return
    what = "it was stopped on purpose, and stays stopped until it is started"
    yield Finding("app-stopped", name, what, _DOWN.format(name), (f"emperorctl start {name}",))


def _starting(subject: Subject) -> Iterator[Finding]:
    uptime, name = subject.snapshot.get("uptime"), subject.name
    if _error(subject) or subject.snapshot.get("traceback"):
        # One more try, between two failures.
        yield from _failed(subject)
        return
    if isinstance(uptime, (int, float)) and uptime >= STALLED:
        limit = f" (start-timeout is {subject.spec.start_timeout:g} s)" if subject.spec is not None else ""
        what = f"it starts since {duration(uptime)}, and its app is not imported yet{limit}"
        yield Finding(
            "app-stalled",
            name,
            what,
            "whoever connects waits; the web server answers 504 in the end",
            (
                f"emperorctl logs -n 50 {name}",
                f"# in {subject.config}: a start-timeout that is shorter says where it hangs",
            ),
        )


_STATES: dict[str, Callable[[Subject], Iterator[Finding]]] = {
    "INVALID": _invalid,
    "FATAL": _failed,
    "BACKOFF": _failed,
    "STOPPED": _stopped,
    "STARTING": _starting,
}


def _serving(subject: Subject) -> Iterator[Finding]:
    name = subject.name
    if subject.state != "IDLE" and subject.snapshot.get("serves") is False:
        warning = next(iter(subject.snapshot.get("warnings") or ()), "its workers died")
        traceback = traceback_of([str(line) for line in subject.snapshot.get("lines") or ()])
        told = "\n" + "\n".join(traceback) if traceback else ""
        what = f"{subject.state}, and no worker serves: {printable(str(warning))}"
        why = f"whoever connects waits; the web server answers 504 in the end{told}"
        yield Finding("app-mute", name, what, why, (f"emperorctl logs -n 50 {name}",))
    else:
        yield from _warned(subject)
    yield from _stuck(subject)
    if _error(subject):
        # Without problems it is the word of the process that did not come up.
        what, mend = next((mends.of_problem(one) for one in _problems(subject)), (_error(subject), ()))
        why = f"what was changed has no effect: {name} serves by what it was told before"
        check = f"emperorctl check {mends.quoted(subject.config)}"
        yield Finding("ini-behind", name, what, why, (*mend, check, f"emperorctl reload {name}"), MAY_FAIL)


def _warned(subject: Subject) -> Iterator[Finding]:
    """What ``status`` warns of. The text of a log's trouble may be the vassal's own: its path is the ini's."""
    name, check = subject.name, f"emperorctl check {mends.quoted(subject.config)}"
    odd = [one for one in subject.snapshot.get("problems") or () if not _fatal(one)]
    told = {str(Problem(**one)): one for one in odd if isinstance(one, Mapping) and one.keys() == _PROBLEM}
    for text in [str(one) for one in subject.snapshot.get("warnings") or ()][:MOST_PROBLEMS]:
        if text in told:
            what, mend = mends.of_problem(told[text])
            yield Finding("warned", name, what, f"{name} serves without what that line asks", (*mend, check), MAY_FAIL)
        elif text.startswith("logto "):
            lines = (*_log_made(subject, text), f"emperorctl reload {name}  # opens it anew")
            yield Finding(
                "warned", name, printable(text), "lines of its log are not where its ini says", lines, MAY_FAIL
            )
        else:
            why = "the visitor whose request a worker has when it dies sees 502"
            yield Finding("warned", name, printable(text), why, (f"emperorctl logs -n 50 {name}",), MAY_FAIL)


def _log_made(subject: Subject, text: str) -> Iterator[str]:
    spec = subject.spec
    if spec is None or not spec.logto:
        return
    folder = mends.quoted(os.path.dirname(spec.logto))
    if "No such file" in text:
        yield f"mkdir -p {folder}"
    elif "Permission denied" in text:
        user = spec.identity.user
        yield f"# {user} is to write {folder}: chown {user} {folder}, or name another folder"


def frozen(subject: Subject, states: Mapping[int, str]) -> Iterator[Finding]:
    """``states``: of its workers' processes, by pid, in the letters of proc_pid_stat(5)."""
    rows = [one for one in subject.snapshot.get("workers") or () if isinstance(one, Mapping)]
    still = [one for one in rows if states.get(one.get("pid") or 0) in _STILL]
    if not still:
        return
    weight = FAILS if len(still) == len(rows) else MAY_FAIL
    for one in still[:MOST_PROBLEMS]:
        pid, letter = one["pid"], states[one["pid"]]
        what, mend = _STILL[letter]
        yield Finding(
            "app-stuck",
            subject.name,
            f"worker {one.get('id')} (pid {pid}) {what}",
            "whoever comes to it waits; the web server answers 504 in the end",
            (mend.format(pid=pid, name=subject.name),),
            weight,
        )


_STILL = {
    "T": ("is stopped by a signal (SIGSTOP, SIGTSTP)", "kill -CONT {pid}"),
    "t": ("is stopped by a debugger", "grep TracerPid /proc/{pid}/status  # shows whose"),
    "D": ("waits for a disk that does not answer, or a network's (state D)", "cat /proc/{pid}/stack  # says for what"),
}


def _stuck(subject: Subject) -> Iterator[Finding]:
    workers = [
        one
        for one in subject.snapshot.get("workers") or ()
        if isinstance(one, Mapping) and one.get("state") not in LEAVING
    ]
    hang = [one for one in workers if (one.get("doing_for") or 0) >= STUCK]
    if not hang or any(one.get("state") != "busy" for one in workers):
        return
    worst = max(hang, key=lambda one: one["doing_for"])
    doing = printable(str(worst.get("doing") or "a request"))
    what = f"all {plural(len(workers), 'worker')} are busy, one with {doing} for {duration(worst['doing_for'])}"
    mend = [f"emperorctl restart {subject.name}  # ends what hangs"]
    if subject.spec is not None and not subject.spec.harakiri:
        mend.append(f"# in {subject.config}: harakiri = 30 ends a request that hangs, and logs where it hung")
    why = "whoever comes waits behind them; the web server answers 504 in the end"
    yield Finding("app-stuck", subject.name, what, why, tuple(mend))


def _timeouts(subject: Subject) -> Iterator[Finding]:
    spec = subject.spec
    if spec is None or not spec.harakiri or spec.harakiri <= spec.reload_mercy:
        return
    what = (
        f"harakiri allows a request {spec.harakiri:g} s, and reload-mercy only {spec.reload_mercy:g} s: a reload or a"
        " stop ends what the ini allows"
    )
    mend = f"# in {spec.config}: reload-mercy = {spec.harakiri:g}, or a shorter harakiri"
    yield Finding("timeouts", subject.name, what, "visitors of long requests see 502 at a reload", (mend,), MAY_FAIL)


def _error(subject: Subject) -> str:
    return printable(str(subject.snapshot.get("error") or ""))
