"""Where a vassal tells its numbers (``stats``): an address of its own. Pure; addresses are compared as written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emperor.config.addresses import EVERY_INTERFACE, check_unix_path
from emperor.config.context import Checked, Context
from emperor.config.language.inifile import Row
from emperor.config.settings import Findings, Setting, Settings, resolve
from emperor.model import TCP, UNIX, Address, Problem, SocketSpec


def address(
    settings: Settings,
    context: Context,
    base: str,
    listening: Sequence[tuple[SocketSpec, Row | None]],
    findings: Findings,
) -> Address | None:
    """``base``: where paths begin. ``listening``: the vassal's sockets, which nobody else binds."""
    last = settings.last("stats")
    if last is None:
        return None
    wanted: Address = last.value
    if wanted.family == UNIX:
        try:
            wanted = replace(wanted, path=check_unix_path(resolve(base, wanted.path)))
        except ValueError as error:
            findings.wrong(last, str(error))
            return None
    for spec, row in listening:
        if _meet(wanted, spec.address):
            _same(last, row, findings)
            return None
    if wanted.family == UNIX and context.reserves(wanted.path):
        findings.wrong(last, "lies in the emperor's own folder -- write a path in the app's")
    return wanted


def _same(stats: Setting, row: Row | None, findings: Findings) -> None:
    whose = "the vassal's own socket, as no other is named"
    if row is not None:
        whose = f"the address of {row.key} ({f'line {row.line}' if row.line else row.path})"
    findings.wrong(stats, f"is {whose} -- give the numbers another one")


def _meet(one: Address, other: Address) -> bool:
    if one.family == TCP == other.family and one.port == other.port:
        return one.host == other.host or one.host in EVERY_INTERFACE or other.host in EVERY_INTERFACE
    return one == other


def shared(judged: Sequence[tuple[str, Checked]]) -> list[Checked]:
    """With a warning at each vassal whose ``stats`` another one names: which of them answers is chance."""
    first: dict[Address, str] = {}
    found = []
    for name, checked in judged:
        stats = checked.spec.stats if checked.spec is not None else None
        whose = first.setdefault(stats, name) if stats is not None else name
        found.append(checked if whose == name or checked.spec is None else _warned(checked, whose))
    return found


def _warned(checked: Checked, whose: str) -> Checked:
    assert checked.spec is not None
    words = f"{checked.spec.stats} is vassal {whose}'s too -- only one of them can tell its numbers there"
    return replace(checked, problems=(*checked.problems, Problem(checked.spec.config, 0, "stats", words, fatal=False)))
