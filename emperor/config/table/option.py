"""What a row of the option table is.

An option has one of four standings. DONE: it does what its help says. ALWAYS: it is accepted because things
are so here in any case. INSTEAD: it has no effect here, and a warning says what does the same. REFUSED: without
it something else would run than what the file asks for, so it is an error, which says what to write.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emperor.config import values as v

DONE, ALWAYS, INSTEAD, REFUSED = "done", "always", "instead", "refused"


@dataclass(frozen=True)
class Option:
    """One row. ``default`` is text for people; ``help`` says what the option does, or why it has nothing to
    do."""

    name: str
    kind: v.Kind
    default: str
    help: str
    aliases: tuple[str, ...] = ()
    short: str = ""
    """uWSGI's letter on the command line."""
    many: bool = False
    """Each line adds one; otherwise the last line wins."""
    standing: str = DONE


def done(name: str, kind: v.Kind, default: str, text: str, aliases: str = "", short: str = "") -> Option:
    return Option(name, kind, default, text, tuple(aliases.split()), short)


def many(name: str, kind: v.Kind, default: str, text: str, aliases: str = "", short: str = "") -> Option:
    return Option(name, kind, default, text, tuple(aliases.split()), short, many=True)


def others(standing: str, *rows: tuple[str, v.Kind, str]) -> Iterator[Option]:
    """Rows of names that share a sentence; ``name/x`` gives the letter of the command line."""
    for names, kind, text in rows:
        for name, _, short in (word.partition("/") for word in names.split()):
            yield Option(name, kind, "", text, (), short, standing=standing)
