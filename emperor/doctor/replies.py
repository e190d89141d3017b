"""What an answer, or none, says of the app. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emperor.doctor.facts import Aftermath, Knock, Reply, Well
from emperor.doctor.finding import MAY_FAIL, Finding
from emperor.doctor.socketside import UP
from emperor.model import ABSTRACT, UNIX
from emperor.text import clip, printable

SLOW = 2.0
"""Seconds after which visitors ask themselves whether it works."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(?:[+-]\d{4}|Z) (?:\[\d+\] )?")
"""The time of a log line, and the number of its worker."""

MOST_LINES = 12
"""Of a traceback that a finding quotes."""


def findings(knock: Knock, after: Aftermath = Aftermath()) -> Iterator[Finding]:  # noqa: B008 -- a value
    reply = knock.reply
    if reply is None or reply.stage == "connect":
        return
    if not reply.status or reply.flaw:
        if knock.subject.state in UP:
            yield _silent(knock, reply, after)
    elif reply.status >= 500:
        yield _error(knock, reply, after.lines)
    elif reply.seconds >= SLOW:
        yield _slow(knock, reply)
    elif reply.status == 404:
        yield from _unmanaged(knock)


def well(knock: Knock) -> Iterator[Well]:
    """It answered as it should."""
    reply = knock.reply
    if reply is None or not reply.status or reply.flaw or reply.status >= 500 or reply.seconds >= SLOW:
        return
    took = f"{max(1, round(reply.seconds * 1000))} ms"
    yield Well(
        knock.subject.name,
        f"answered {reply.status} in {took} as {knock.asker or knock.who.user} through {where(knock)}",
    )


def where(knock: Knock) -> str:
    text = str(knock.address)
    return f"unix:{text}" if knock.address.family in (UNIX, ABSTRACT) else text


def traceback_of(lines: Sequence[str]) -> list[str]:
    """The last one among log lines, without their times; [] if there is none."""
    begins = [number for number, line in enumerate(lines) if "Traceback (most recent call last)" in line]
    if not begins:
        return []
    found = [clip(printable(_STAMP.sub("", line)), 300) for line in lines[begins[-1] :]]
    return found if len(found) <= MOST_LINES else [found[0], "[...]", *found[2 - MOST_LINES :]]


def news(lines: Sequence[str], before: Sequence[str]) -> list[str]:
    """Those of ``lines`` that came after ``before``, which are the last ones of a moment ago."""
    if before:
        for number in range(len(lines) - 1, -1, -1):
            if lines[number] == before[-1]:
                return list(lines[number + 1 :])
    return list(lines)


def death(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """How a worker has died between two snapshots of a vassal; "": none has, but by order."""
    known = {row.get("id"): row.get("exits") for row in _workers(before)}
    dead = (row for row in _workers(after) if (row.get("exits") or 0) > (known.get(row.get("id")) or 0))
    return next((clip(printable(str(row.get("last_exit") or "")), 200) for row in dead), "")


def _workers(snapshot: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (row for row in snapshot.get("workers") or () if isinstance(row, Mapping))


def _error(knock: Knock, reply: Reply, lines: Sequence[str]) -> Finding:
    name = knock.subject.name
    traceback = traceback_of(lines)
    last = f": {_message(traceback)}" if traceback else ""
    told = "\n".join(traceback) if traceback else "its log has no traceback of it: the app made this answer itself"
    return Finding(
        "app-error",
        name,
        f"GET {printable(knock.target)} through {where(knock)} was answered with {reply.status}{last}",
        f"visitors see {reply.status}\n{told}",
        (f"emperorctl logs -n 50 {name}", f"# then mend the app, and: emperorctl reload {name}"),
    )


def _message(traceback: Sequence[str]) -> str:
    """Its last line that is not indented; the log's time stands before it, perhaps."""
    return clip(traceback[-1].strip(), 160)


def _silent(knock: Knock, reply: Reply, after: Aftermath) -> Finding:
    name, spec = knock.subject.name, knock.subject.spec
    lines = after.lines
    if after.death:
        return _died(knock, after)
    mend = [f"emperorctl status {name}  # what its workers do, and for how long", f"emperorctl logs -n 50 {name}"]
    if spec is not None and not spec.harakiri:
        mend.append(f"# in {spec.config}: harakiri = 30 ends a request that hangs, and logs where it hung")
    traceback = traceback_of(lines)
    told = "\n" + "\n".join(traceback) if traceback else ""
    return Finding(
        "app-silent",
        name,
        f"GET {printable(knock.target)} through {where(knock)} had no whole answer: {reply.flaw or reply.reason}",
        f"visitors wait, and see 504 or 502 in the end{told}",
        tuple(mend),
    )


def _died(knock: Knock, after: Aftermath) -> Finding:
    name = knock.subject.name
    traceback = traceback_of(after.lines)
    told = "\n".join(("visitors see 502: nobody is left to answer the request", *traceback))
    what = f"GET {printable(knock.target)} through {where(knock)} had no whole answer: its worker {after.death}"
    mend = (f"emperorctl logs -n 50 {name}", f"# then mend the app, and: emperorctl reload {name}")
    return Finding("app-silent", name, what, told, mend)


def _unmanaged(knock: Knock) -> Iterator[Finding]:
    """Without manage-script-name an app is told the whole path, its mount's prefix too, as uWSGI tells it."""
    spec = knock.subject.spec
    mount = next((one.mount.rstrip("/") for one in spec.targets if one.mount.rstrip("/")), "") if spec else ""
    if spec is None or spec.manage_script_name or not mount or knock.target.rstrip("/") != mount:
        return
    what = f"GET {printable(knock.target)} through {where(knock)} was answered with 404: mount = {printable(mount)}=…, "
    why = "404 Not Found for the visitor, unless its own paths begin with the mount's"
    mend = (f"# in {spec.config}: manage-script-name = true", f"emperorctl reload {spec.name}  # after that")
    told = f"and the app is asked for {printable(knock.target)} instead of / (no manage-script-name)"
    yield Finding("app-mount", spec.name, what + told, why, mend, MAY_FAIL)


def _slow(knock: Knock, reply: Reply) -> Finding:
    name = knock.subject.name
    return Finding(
        "app-slow",
        name,
        f"GET {printable(knock.target)} through {where(knock)} was answered with {reply.status} after"
        f" {reply.seconds:.1f} s",
        "visitors wait; when as many ask at once as there are workers and threads, all others wait for them",
        (f"emperorctl status {name}", f"# in {knock.subject.config}: more `processes` or `threads`"),
        MAY_FAIL,
    )
