"""``emperorctl completion SHELL``: the words of every verb for a shell that completes with TAB.

It promises: verbs, options and choices are those that the verbs' own parsers take; vassals are asked for when
TAB is pressed, for a second at most, and where no emperor answers there are none, and no message.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from types import MappingProxyType

from emperor.config import options
from emperor.control.messages import OK, USAGE, Request
from emperor.ctl import cli
from emperor.ctl.console import Console
from emperor.ctl.shape import Flag, Place, Shape, shape
from emperor.ctl.shells import bash, fish, zsh
from emperor.ctl.shells.offer import (
    EITHER,
    FILES,
    FOLDERS,
    GROUPS,
    NAMES,
    NOTHING,
    TARGETS,
    USERS,
    Option,
    Verb,
    Wanted,
    words,
)
from emperor.errors import EmperorError
from emperor.model import VASSAL_NAME

_ASKED_SECONDS = 1.0

WRITERS: Mapping[str, Callable[[tuple[Verb, ...]], str]] = MappingProxyType(
    {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}
)
"""By the shells' names."""

_BY_VALUE = {"FILE": FILES, "PATH": FILES, "FOLDER": FOLDERS, "DIR": FOLDERS, "USER": USERS, "GROUP": GROUPS}
_BY_OPTION = {
    "--web-user": USERS,
    "--web-group": GROUPS,
    "--uid": USERS,
    "--gid": GROUPS,
}
"""Options whose value's name does not tell what it is."""

_BY_MODULE = {"orders": (TARGETS,), "faces": (EITHER,), "request": (EITHER, NOTHING)}
"""What else than vassals these take, place by place."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("shell", nargs="?", choices=tuple(WRITERS), help="whose script is written")
    parser.add_argument("--names", action="store_true", help=argparse.SUPPRESS)  # asked by the scripts


_EPILOG = """\
examples:
  emperorctl completion bash > /usr/share/bash-completion/completions/emperorctl
  emperorctl completion zsh > /usr/local/share/zsh/site-functions/_emperorctl
  emperorctl completion fish > /etc/fish/completions/emperorctl.fish
  source <(emperorctl completion bash)        in this shell only
"""


def run(args: argparse.Namespace, console: Console) -> int:
    if args.names:
        console.write("".join(f"{name}\n" for name in _names(console)))
        return OK
    if args.shell is None:
        console.error(f"completion: for which shell? -- {', '.join(WRITERS)}")
        return USAGE
    console.write(WRITERS[args.shell](verbs()))
    return OK


def _names(console: Console) -> list[str]:
    """Whatever is amiss is told by the verb that is being typed, not while it is."""
    try:
        replies = console.answers(Request("status", options={"lines": 0}), _ASKED_SECONDS)
        names = [str(row["name"]) for reply in replies for row in reply.get("data") or []]
    except (EmperorError, LookupError, TypeError):
        return []
    return [name for name in names if VASSAL_NAME.fullmatch(name)]


def verbs() -> tuple[Verb, ...]:
    return tuple(_verb(name, entry.module, entry.summary) for name, entry in cli.VERBS.items())


def _verb(name: str, module: str, summary: str) -> Verb:
    one: Shape = shape(cli.verb_parser(name))
    places = _BY_MODULE.get(module) or tuple(_place(place) for place in one.places)
    repeats = any(place.many for place in one.places)
    return Verb(name, summary, tuple(_option(flag) for flag in one.flags), places, repeats)


def _option(flag: Flag) -> Option:
    wanted = NOTHING
    if flag.choices:
        wanted = words(*flag.choices)
    elif flag.value:
        wanted = _BY_OPTION.get(flag.spellings[-1]) or _BY_VALUE.get(flag.value, NOTHING)
    return Option(flag.spellings, bool(flag.value), wanted, flag.help)


def _place(place: Place) -> Wanted:
    if place.value == "OPTION":
        return words(*(one.name for one in options.TABLE))
    if place.choices:
        return words(*place.choices)
    return NAMES if place.value == "NAME" else _BY_VALUE.get(place.value, NOTHING)
