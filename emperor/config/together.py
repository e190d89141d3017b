"""Settings that are right one by one, and odd together: each rule says so at the line that is to be changed.

An error where nobody could mean it, a warning where it runs and is probably not what was meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from emperor import logformat
from emperor.config.context import Context
from emperor.config.settings import Findings, Settings, resolve
from emperor.model import ROLLING, Identity, VassalSpec

NEEDS = (
    ("max-requests-delta", "max-requests"),
    ("max-worker-lifetime-delta", "max-worker-lifetime"),
    ("cheaper-initial", "cheaper"),
    ("cheaper-step", "cheaper"),
    ("cheaper-overload", "cheaper"),
)
"""The first is nothing without the second."""

FEW_DESCRIPTORS = 32
"""A vassal and each of its workers have about a dozen open, and the app has its own."""

LEAST_SPACE, THREAD_SPACE = 64, 80
"""In megabytes: an interpreter with a small app, and what one thread reserves (its stack, and an arena of malloc)."""

_MB = 1024 * 1024


def judge(settings: Settings, context: Context, base: str, who: Identity | None, findings: Findings) -> None:
    """``base``: where relative paths begin. ``who``: whom the app runs as, if that is known."""
    for name, needed in NEEDS:
        if _on(settings, name) and not _on(settings, needed):
            findings.warn(settings.last(name), f"has no effect without {needed}")
    least, most = _known(settings, "cheaper"), _known(settings, "processes")
    if least and least >= most:
        # uWSGI, too, refuses that.
        findings.wrong(settings.last("cheaper"), f"must be less than processes, which is {most}")
    _rolling(settings, findings)
    _touched(settings, context, base, findings)
    _static(settings, findings)
    _logged(settings, findings)
    for name, message in (*_lives(settings), *_space(settings)):
        findings.warn(settings.last(name), message)
    if settings.value("nice", 0) < 0 and who is not None and who.uid != 0:
        may = f"below 0 the app starts only if {who.user} may (RLIMIT_NICE, LimitNICE= of the unit)"
        findings.warn(settings.last("nice"), f"{may}; that the emperor may does not count")


def _on(settings: Settings, name: str) -> bool:
    return bool(settings.value(name))


def _known(settings: Settings, name: str) -> Any:
    """What is in effect, as the spec will have it."""
    return settings.value(name, getattr(VassalSpec, name.replace("-", "_")))


def bounded(settings: Settings, findings: Findings) -> Settings:
    """With ``cheaper-initial`` between the least and the most, as uWSGI has it."""
    least, most, first = (_known(settings, name) for name in ("cheaper", "processes", "cheaper-initial"))
    last = settings.last("cheaper-initial")
    if last is None or not first or not least or least <= first <= most or least >= most:
        return settings
    taken = min(max(first, least), most)
    findings.warn(last, f"must be from cheaper, {least}, to processes, {most}: {taken} is taken")
    clamped = (replace(one, value=taken) if one is last else one for one in settings.items)
    return replace(settings, items=tuple(clamped))


def _rolling(settings: Settings, findings: Findings) -> None:
    if _known(settings, "reload-mode") == ROLLING and _known(settings, "processes") == 1:
        findings.warn(settings.last("reload-mode"), "has no effect with one process: its successor starts beside it")


def _touched(settings: Settings, context: Context, base: str, findings: Findings) -> None:
    logs = [resolve(context.folder, one.value) for one in settings.all("logto")[-1:]]
    own = resolve(context.folder, context.config)
    for one in settings.all("touch-reload"):
        path = resolve(base, one.value)
        if path in logs:
            findings.wrong(one, "is the log, which changes with every line: the app would be reloaded for ever")
        elif path == own:
            findings.warn(one, "is this ini: a change of it reloads the app anyway")


def _static(settings: Settings, findings: Findings) -> None:
    for one in settings.all("static-map"):
        findings.warn(one, "is the web server's to serve -- `emperorctl nginx NAME` prints the location for it")


def _logged(settings: Settings, findings: Findings) -> None:
    last = settings.last("log-format")
    for number in logformat.unknown(last.value) if last else ():
        findings.warn(last, f"the {_ordinal(number)} of its words in parentheses is none, and always says -")


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else endings.get(number % 10, 'th')}"


def _lives(settings: Settings) -> Iterator[tuple[str, str]]:
    least = _known(settings, "min-worker-lifetime")
    most = _known(settings, "max-worker-lifetime")
    if most and most < least:
        yield "max-worker-lifetime", f"is less than min-worker-lifetime, which is {least:g} and wins"
    if 0 < _known(settings, "max-requests") < 10 and least:
        yield "max-requests", f"comes soon: a worker lives {least:g} seconds (min-worker-lifetime) whatever it answers"
    if 0 < _known(settings, "harakiri") < 1:
        yield "harakiri", "kills workers at requests of less than a second, and a first request often takes longer"
    if 0 < _known(settings, "idle") < 1:
        yield "idle", "puts the app to sleep within a second, and each waking imports it again"


def _space(settings: Settings) -> Iterator[tuple[str, str]]:
    limit, threads = settings.value("limit-as", 0), _known(settings, "threads")
    needed = LEAST_SPACE + (THREAD_SPACE * threads if threads > 1 else 0)
    if 0 < limit < needed * _MB:
        who = f"a small app with {threads} threads" if threads > 1 else "a small app"
        yield "limit-as", f"is little: {who} takes about {needed} MB of address space"
    for name in ("reload-on-as", "reload-on-rss"):
        if limit and settings.value(name, 0) >= limit:
            yield name, "is not below limit-as, which a worker meets first"
    if 0 < settings.value("limit-nofile", 0) < FEW_DESCRIPTORS:
        yield (
            "limit-nofile",
            f"is little: a worker alone needs a dozen, and the app its own; {FEW_DESCRIPTORS} is a start",
        )
