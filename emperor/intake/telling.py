"""What an ini says now, value by value, what follows from it, and in what it differs from what runs.

It is read for the question and forgotten: a thousand vassals' lines would be kept for nobody. Beside ``reading`` it
opens and looks at nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, NamedTuple

from emperor.config import effective
from emperor.config.effective import DEFAULT, MASK, Sight, Sources, Value
from emperor.config.language.inifile import Row
from emperor.config.placement import EMPEROR, SYSTEMD, VASSAL
from emperor.config.sockets import FIXED
from emperor.intake.reading import Settings, Study
from emperor.model import OWNER, Problem, VassalSpec
from emperor.supervision.record import Vassal

_NOT_THE_APPS = ("config", "authority")
"""Fields of a spec that change nothing for the app."""


_SOCKETS = ("socket", *FIXED)
_BINDERS = {EMPEROR: "bound by the emperor", VASSAL: "bound by its vassal", SYSTEMD: "bound by systemd"}


class Derived(NamedTuple):
    """What no line says in so many words. ``origin``: ``file:line`` of the line that decides, or why it is so.

    ``mode``, ``uid``, ``gid``: of a socket's file.
    """

    what: str
    value: str
    origin: str
    mode: str | None = None
    uid: int | None = None
    gid: int | None = None


def told(
    study: Study, settings: Settings, vassal: Vassal, sockets: Sequence[Mapping[str, Any]], path: str, sight: Sight
) -> dict[str, Any]:
    """``sockets``: those that are open, as status shows them; ``path``: of the ini."""
    emperors = frozenset((row.path, row.line) for row in (*settings.before, *settings.after))
    rows = study.unfolded.rows
    checked = study.reading.checked
    problems = _problems(checked.problems, vassal)
    spec = checked.spec
    owned = settings.tyrant or (spec is not None and spec.authority.kind == OWNER)
    values = effective.effective(rows, Sources(path, settings.defaults, emperors), sight, owned)
    return {
        "name": vassal.name,
        "config": path,
        "valid": spec is not None and not any(one.fatal for one in problems),
        "values": [{**one._asdict(), "origin": one.origin} for one in values],
        "derived": [one._asdict() for one in derived(spec, values, settings, sockets, checked.rows)] if spec else [],
        "problems": [asdict(one) for one in problems],
        "differs": differs(spec, vassal),
    }


def differs(spec: VassalSpec | None, vassal: Vassal) -> list[str]:
    """The fields in which what runs is another than what the ini says now; []: nothing runs, or the ini is invalid."""
    runs = vassal.proven if vassal.serving is not None else None
    if runs is None or spec is None:
        return []
    names = (one.name for one in fields(spec) if one.name not in _NOT_THE_APPS)
    return [name.replace("_", "-") for name in names if getattr(runs, name) != getattr(spec, name)]


def derived(
    spec: VassalSpec,
    values: Sequence[Value],
    settings: Settings,
    sockets: Sequence[Mapping[str, Any]],
    rows: Sequence[Row | None],
) -> Iterator[Derived]:
    by_name = {one.option: one.origin for one in values if one.path and one.kind == effective.VALUE}
    identity = spec.identity
    yield Derived("user", f"{identity.user} (uid {identity.uid}, gid {identity.gid})", _whose(spec, settings, by_name))
    interpreter = by_name.get("python", by_name.get("virtualenv", "the emperor's own"))
    hidden = {one.option for one in values if one.value == MASK}
    python = MASK if hidden & {"python", "virtualenv"} else spec.python
    yield Derived("python", python or sys.executable, interpreter if python else "the emperor's own")
    folder = MASK if "chdir" in hidden else spec.chdir
    yield Derived("folder", folder or spec.folder, by_name.get("chdir", "the ini's folder"))
    log = MASK if "logto" in hidden else spec.logto
    yield Derived("log", log or f"emperorctl logs {spec.name}", by_name.get("logto", "kept by the emperor"))
    opened = {str(one.get("address")): one for one in sockets}
    for wanted, row in zip(spec.sockets, [*rows, *([None] * len(spec.sockets))]):
        where = str(wanted.address)
        origin = DEFAULT if row is None else Value("", "", row.path, row.line, "").origin
        shown = MASK if row is not None and row.pieced and not hidden.isdisjoint(_SOCKETS) else where
        yield _socket(f"{shown}  {wanted.protocol}", origin, opened.get(where))


def _whose(spec: VassalSpec, settings: Settings, by_name: Mapping[str, str]) -> str:
    if settings.tyrant:
        return "the ini's owner (tyrant)"
    if spec.authority.kind == OWNER:
        return "the ini's owner"
    return by_name.get("uid", DEFAULT)


def _socket(what: str, origin: str, opened: Mapping[str, Any] | None) -> Derived:
    """Who bound it, and whom its file lets in."""
    if opened is None:
        return Derived("socket", f"{what}  not open", origin)
    who = _BINDERS.get(str(opened.get("binder")), "open")
    return Derived("socket", f"{what}  {who}", origin, opened.get("mode"), opened.get("owner"), opened.get("group"))


def _problems(found: Sequence[Problem], vassal: Vassal) -> tuple[Problem, ...]:
    """With what the emperor knows beside the file: that an address is another's."""
    known = vassal.problems
    return known if set(found) <= set(known) else tuple(found)


def nothing(vassal: Vassal, path: str, problem: str) -> dict[str, Any]:
    """Of one whose ini is not there."""
    problems = [asdict(replace(Problem(path, 0, "", ""), message=problem))]
    empty: dict[str, Any] = {"values": [], "derived": [], "differs": []}
    return {"name": vassal.name, "config": path, "valid": False, "problems": problems, **empty}
