"""Blocks of an ini: ``for`` and ``if`` lines, which decide how often, and with what as ``%(_)``, a line counts.

Source: ``uwsgi_logic_opt_*`` (core/config.c). A block holds until its ``end``; each line in it is judged by itself, so
that a loop of two lines gives the first line for every turn, then the second. Blocks do not nest. Pure, apart from what
``World`` looks at.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from emperor.config.language.inifile import Row

ENDS = frozenset(("end", "endif", "end-if", "endfor", "end-for"))
OF_KEYS = frozenset(("if-opt", "if-not-opt"))
"""Blocks that ask what a key says."""

MOST_TURNS = 1000
"""Turns of one loop."""


class Refused(Exception):
    """Why an ini may not do what it asks for, in words for its author."""


class Files(Protocol):
    """What an ini may look at beside itself. Each raises ``Refused``; paths are absolute."""

    def read(self, path: str) -> str: ...
    def exists(self, path: str) -> bool: ...
    def is_file(self, path: str) -> bool: ...
    def is_dir(self, path: str) -> bool: ...
    def glob(self, pattern: str) -> Sequence[str]: ...


class Reach(NamedTuple):
    """What the author of a line may see. ``trusted``: is that an administrator?"""

    environ: Mapping[str, str]
    files: Files
    trusted: bool


class World(NamedTuple):
    """Where an ini is read. ``folder``: absolute, where its relative paths begin."""

    folder: str
    magic: Mapping[str, str]
    """The letters of ``magic.PROCESS``."""
    own: Reach
    """Of the ini's own lines."""
    admin: Reach
    """Of lines that an administrator gives to inis that may be somebody else's: defaults, the command line."""
    fallback: Mapping[str, str] = MappingProxyType({})
    """Values of keys that no line defines."""

    def reach(self, row: Row) -> Reach:
        return self.admin if row.admin else self.own

    def resolve(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.folder.rstrip('/')}/{path}"


class Asked(NamedTuple):
    """A block's line: its value, the first values of keys so far, and where it stands."""

    value: str
    known: Callable[[str], str | None]
    reach: Reach
    world: World

    @property
    def path(self) -> str:
        return self.world.resolve(self.value)


Turns = Sequence[str | None]
"""What ``%(_)`` is in each turn; None: it stays as it is written."""


def text_of(path: str, reach: Reach) -> str:
    """What a file holds that becomes values. Raises Refused."""
    text = reach.files.read(path)
    if "\0" in text:
        raise Refused("names a file that holds a NUL character")
    return text


def is_block(key: str) -> bool:
    return key in _BLOCKS


def is_else(key: str) -> bool:
    """Only an unreleased uWSGI knows it; the one that people have takes it for a placeholder."""
    return key == "else"


def turns(key: str, asked: Asked) -> Turns:
    """How often a line of the block of ``key`` counts. Raises Refused."""
    found = _BLOCKS[key](asked)
    if len(found) > MOST_TURNS:
        raise Refused(f"is a loop of more than {MOST_TURNS} turns")
    return found


def _for(asked: Asked) -> Turns:
    return [word for word in asked.value.split(" ") if word]


def _for_times(asked: Asked) -> Turns:
    digits = re.match(r"[0-9]{1,9}", asked.value)
    count = int(digits[0]) if digits else 0
    return [str(number) for number in range(1, min(count, MOST_TURNS + 1) + 1)]


def _for_glob(asked: Asked) -> Turns:
    """Without a match the pattern is the only turn (glob(3), GLOB_NOCHECK)."""
    found = asked.reach.files.glob(asked.path) if asked.value else ()
    here = 0 if asked.value.startswith("/") else len(asked.world.resolve(""))
    return [path[here:] for path in found] or [asked.value]


def _for_readline(asked: Asked) -> Turns:
    """A file that is missing has no lines. Only newlines part them (fgets(3))."""
    if not _is_file(asked):
        return []
    lines = text_of(asked.path, asked.reach).split("\n")
    return [line.rstrip("\r") for line in (lines if lines[-1] else lines[:-1])]


def _compared(value: str, look_up: Callable[[str], str | None], wanted: bool) -> Turns:
    """``key`` or ``key=text``."""
    key, equals, text = value.partition("=")
    found = look_up(key)
    holds = found is not None and (not equals or found == text)
    return [found] if holds is wanted else []


def _if_opt(wanted: bool) -> _Block:
    return lambda asked: _compared(asked.value, asked.known, wanted)


def _if_env(wanted: bool) -> _Block:
    return lambda asked: _compared(asked.value, asked.reach.environ.get, wanted)


def _if(holds: Callable[[Asked], bool], wanted: bool) -> _Block:
    return lambda asked: [asked.value] if holds(asked) is wanted else []


def _exists(asked: Asked) -> bool:
    return bool(asked.value) and asked.reach.files.exists(asked.path)


def _is_file(asked: Asked) -> bool:
    return bool(asked.value) and asked.reach.files.is_file(asked.path)


def _is_dir(asked: Asked) -> bool:
    return bool(asked.value) and asked.reach.files.is_dir(asked.path)


def _has_plugin(asked: Asked) -> bool:
    return asked.value.startswith(("python", "http", "router_", "corerouter"))


def _hostname(asked: Asked) -> bool:
    return asked.value == asked.world.magic.get("h", "")


def _hostname_match(asked: Asked) -> bool:
    if not asked.reach.trusted:
        # Its author could write an expression that keeps the emperor busy for hours.
        raise Refused("is only for an ini that root alone can write")
    try:
        with warnings.catch_warnings():
            # Of patterns that a later Python may read otherwise: the emperor's log is no place for its own source.
            warnings.simplefilter("ignore")
            return re.search(asked.value, asked.world.magic.get("h", "")) is not None
    except (re.error, OverflowError, RecursionError):  # a{99999999999}, and a thousand parentheses
        raise Refused("is no regular expression") from None


def _never(asked: Asked) -> Turns:
    """A reload reads the ini anew, for a new process: nothing is left of an older start that it could know of."""
    return []


def _once(asked: Asked) -> Turns:
    return [None]


_Block = Callable[[Asked], Turns]
_TESTS: tuple[tuple[str, Callable[[Asked], bool], tuple[str, ...]], ...] = (
    ("exists", _exists, ("ifexists",)),
    ("file", _is_file, ()),
    ("dir", _is_dir, ("ifdir", "if-directory")),
    ("plugin", _has_plugin, ("ifplugin",)),
    ("hostname", _hostname, ()),
    ("hostname-match", _hostname_match, ()),
)
_BLOCKS: Mapping[str, _Block] = MappingProxyType(
    {
        "for": _for,
        "for-glob": _for_glob,
        "for-times": _for_times,
        "for-readline": _for_readline,
        "if-opt": _if_opt(True),
        "if-not-opt": _if_opt(False),
        "if-env": _if_env(True),
        "ifenv": _if_env(True),
        "if-not-env": _if_env(False),
        "if-reload": _never,
        "if-not-reload": _once,
        **{f"if-{name}": _if(holds, True) for name, holds, _ in _TESTS},
        **{f"if-not-{name}": _if(holds, False) for name, holds, _ in _TESTS},
        **{other: _if(holds, True) for _, holds, others in _TESTS for other in others},
    }
)
