"""The table of ini options: one row per option, from which parsing, messages, help and README are made.

The rows lie in ``config.table``; here they are found by name and letter, and written down for people. What uWSGI has
and the table has not is known by name, with what does the same here.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher, get_close_matches
from types import MappingProxyType
from typing import NamedTuple

from emperor.config.table.app import APP
from emperor.config.table.ini import INI
from emperor.config.table.known import KNOWN
from emperor.config.table.lives import LIVES
from emperor.config.table.option import DONE, INSTEAD, Option
from emperor.config.table.reached import REACHED
from emperor.config.table.requests import REQUESTS
from emperor.config.table.told import TOLD
from emperor.config.table.uwsgi_names import GROUPS, Group

PARTS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    ("How the app is reached", REACHED),
    ("What the app is", APP),
    ("How many serve, and how long they live", LIVES),
    ("Requests", REQUESTS),
    ("Logs and numbers", TOLD),
    ("The ini itself", INI),
)
"""What an ini can say, as people read it."""

TABLE: tuple[Option, ...] = (*(option for _, rows in PARTS for option in rows), *KNOWN)

# fmt: off
OWN = frozenset((
    "allow-root", "chown", "fastcgi-engine", "fastcgi-stderr", "header-timeout", "limit-nofile", "log-keep",
    "max-connections", "max-restarts", "nice", "on-demand", "proxy-fix", "reload-mode", "script-name", "socket-umask",
    "start-timeout",
))
# fmt: on
"""Names that uWSGI does not have."""


class Foreign(NamedTuple):
    """An option of uWSGI's that the table has no row for. ``reason``: what does the same here, the rest of a sentence.

    ``takes_value``: on a command line the next word is its value (getopt_long(3)'s required_argument). ``part``: what
    an app loses that relies on it; "": it serves just as well without.
    """

    name: str
    reason: str
    takes_value: bool
    letter: str = ""
    part: str = ""


def _foreign(word: str, group: Group) -> Foreign:
    name, _, letter = word.rstrip("!?").partition("/")
    return Foreign(name, group.reason, not word.endswith(("!", "?")), letter, group.part)


_BY_NAME = MappingProxyType({name: option for option in TABLE for name in (option.name, *option.aliases)})
_BY_LETTER = MappingProxyType({option.short: option for option in TABLE if option.short})
_FOREIGN = MappingProxyType(
    {one.name: one for group in GROUPS for word in group.names.split() for one in (_foreign(word, group),)}
)
_FOREIGN_LETTERS = MappingProxyType({one.letter: one for one in reversed(tuple(_FOREIGN.values())) if one.letter})
_USEFUL = tuple(name for name, option in _BY_NAME.items() if option.standing == DONE)
_CLOSE = 0.75


def find(name: str) -> Option | None:
    """The option of this name or alias."""
    return _BY_NAME.get(name)


def find_letter(letter: str) -> Option | None:
    """The option of this letter on the command line."""
    return _BY_LETTER.get(letter)


def find_uwsgi(name: str) -> Foreign | None:
    """The option that uWSGI has under this name, and the table has not."""
    return _FOREIGN.get(name)


def find_uwsgi_letter(letter: str) -> Foreign | None:
    """The same for a letter of uWSGI's command line."""
    return _FOREIGN_LETTERS.get(letter)


def has_no_effect(name: str) -> bool:
    """Is it an option whose warning only says what does the same here?"""
    option = find(name)
    return option is not None and option.standing == INSTEAD


def unsupported(foreign: Foreign) -> str:
    """What to tell who has written it: a warning, since the app runs without it."""
    lost = f"{foreign.part} -- " if foreign.part else ""
    return f"uWSGI option, not supported: {lost}{foreign.reason}"


def suggestion(name: str) -> str:
    """``; did you mean X?``, X being an option that has an effect; or nothing, also where a name that has none is
    closer."""
    wanted = name.lower().replace("_", "-")
    close = get_close_matches(wanted, _USEFUL, n=1, cutoff=_CLOSE)
    if not close:
        return ""
    ratio = SequenceMatcher(None, close[0], wanted).ratio()
    closer = get_close_matches(wanted, _useless(wanted), n=1, cutoff=min(ratio + 0.001, 1.0))
    return "" if closer else f"; did you mean {close[0]}?"


def _useless(wanted: str) -> list[str]:
    """Names without effect that begin alike: to compare with all of uWSGI's takes long, and the emperor waits."""
    useless = (*_FOREIGN, *(name for name, option in _BY_NAME.items() if option.standing != DONE))
    return [name for name in useless if name[:1] == wanted[:1]]


def uwsgi_names(option: Option) -> tuple[str, ...]:
    """What uWSGI calls it."""
    return tuple(name for name in (option.name, *option.aliases) if name not in OWN)


def markdown() -> str:
    """The tables for README: what an ini can say."""
    return "\n".join(line for title, rows in PARTS for line in _markdown_part(title, rows))


def _markdown_part(title: str, rows: tuple[Option, ...]) -> Iterator[str]:
    yield from (f"**{title}**", "", "| option | value | default | meaning |", "|---|---|---|---|")
    yield from (_markdown_row(option) for option in rows if option.standing == DONE)
    yield ""


def _markdown_row(option: Option) -> str:
    names = [f"`{option.name}`", *(f"`{alias}`" for alias in option.aliases)]
    if option.short:
        names.append(f"`-{option.short}`")
    kind = option.kind.text + (", repeatable" if option.many else "")
    cells = (", ".join(names), kind, option.default, option.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
