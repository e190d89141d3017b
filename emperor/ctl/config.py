"""``emperorctl config``: the effective values of one vassal, each with where it was written."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emperor.control.messages import FAILED, NO_VASSAL, OK, Request
from emperor.ctl.console import Console, impossible_names
from emperor.ctl.wording import group_name, problem_text, user_name
from emperor.text import printable

_SECONDS = 10.0
_WIDEST = 44
"""Columns of a value, at most, that others are aligned with."""

_VIA = {"vassals-defaults": "vassals-defaults", "vassal-set": "the emperor's option", "include": "drawn in"}
_REMARKS = {"no effect": "no effect here", "placeholder": "placeholder"}

_EPILOG = """\
What the ini says now, with all that it includes and inherits and what the emperor gives every vassal; what runs may be
older. The environment's values are shown to administrators and to the vassal's own user, placeholders to
administrators.

exit: 0; 2 usage; 4 not permitted; 6 no such vassal, or its ini is invalid (what could be read is shown); 7 no emperor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", help="the vassal")
    parser.add_argument("-n", "--no-defaults", action="store_true", help="without what nobody has written")


def run(args: argparse.Namespace, console: Console) -> int:
    if impossible_names([args.name]):
        console.error(f"{args.name}: no such vassal")
        return NO_VASSAL
    reply = list(console.answers(Request("config", (args.name,)), _SECONDS))[-1]
    data = reply.get("data")
    if not isinstance(data, Mapping):
        console.error(str(reply.get("error")))
        return int(reply.get("exit") or FAILED)
    found = dict(data)
    if args.no_defaults:
        found["values"] = [one for one in found.get("values") or () if one.get("path")]
    if console.json:
        console.print_json(found)
    else:
        console.write("".join(f"{line}\n" for line in lines(found, console)))
    for problem in found.get("problems") or ():
        console.error(problem_text(problem))
    return OK if found.get("valid") else int(reply.get("exit") or NO_VASSAL)


def lines(found: Mapping[str, Any], console: Console) -> Iterator[str]:
    name, config = printable(str(found.get("name", ""))), printable(str(found.get("config", "")))
    yield f"{console.paint(name, 'bold')}: {config or 'its ini is gone'}"
    values = [one for one in found.get("values") or () if isinstance(one, Mapping)]
    yield from _table([(str(one.get("option")), str(one.get("value")), _origin(one)) for one in values])
    derived = [one for one in found.get("derived") or () if isinstance(one, Mapping)]
    if derived:
        yield console.paint("what follows:", "bold")
        yield from _table([(str(one["what"]), f"{one['value']}{_access(one)}", str(one["origin"])) for one in derived])
    differs = [str(one) for one in found.get("differs") or ()]
    if differs:
        text = f"what runs is older: it differs in {', '.join(differs)} -- emperorctl reload {name}"
        yield console.paint(printable(text), "yellow")


def _access(row: Mapping[str, Any]) -> str:
    if not row.get("mode"):
        return ""
    return f", {row['mode']} {user_name(row.get('uid'))}:{group_name(row.get('gid'))}"


def _origin(value: Mapping[str, Any]) -> str:
    remarks = (_VIA.get(str(value.get("via"))), _REMARKS.get(str(value.get("kind"))))
    if not value.get("path"):
        remarks = (None, None)
    said = ", ".join(one for one in remarks if one)
    return f"{value.get('origin', '')}{f' ({said})' if said else ''}"


def _table(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    clean = [(printable(one), printable(two), printable(three)) for one, two, three in rows]
    first = max((len(one) for one, _, _ in clean), default=0)
    second = max((len(two) for _, two, _ in clean if len(two) <= _WIDEST), default=0)
    for name, value, origin in clean:
        yield f"  {name:<{first}}  {value:<{second}}  {origin}".rstrip()
