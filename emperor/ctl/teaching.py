"""What ``emperorctl`` without a verb, and ``--help``, teach: the verbs by what a person wants, examples, exits.

The manual page has its words from here, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Protocol

from emperor.control.messages import DENIED, DOWN, FAILED, NO_DAEMON, NO_VASSAL, OK, USAGE


class Told(Protocol):
    """What is known of a verb here."""

    @property
    def summary(self) -> str: ...


PURPOSE = "Ask the emperor how its vassals are, and tell it what they shall do."

EXAMPLES = (
    ("status", "a line per vassal"),
    ("status blog", "why blog does not work: problems, traceback, last lines"),
    ("doctor blog", "why visitors of blog get a 502, and what mends it"),
    ("request blog /login", "what the web server would get"),
    ("check blog.ini --import", "would this ini work? (needs no emperor)"),
    ("reload blog", "new code, no request lost"),
    ("scale blog 4", "four workers from now on, without a restart"),
    ("restart all", "everything that you may restart"),
    ("logs -f blog shop", "both logs, as they grow"),
    ("status --json", "for programs"),
    ("nginx blog", "what nginx must be told, to be saved as it is"),
)

EXITS = (
    (OK, "well; what was stopped on purpose, and what is as wished already, counts as well"),
    (FAILED, "failed; doctor: something was found; request: no answer, or one from 500 on"),
    (USAGE, "wrong usage"),
    (DOWN, "status: something is down"),
    (DENIED, "not permitted; status: that, or no such vassal, or no emperor"),
    (NO_VASSAL, "no such vassal, or its ini is invalid"),
    (NO_DAEMON, "no emperor"),
)

_SOCKET = """\
Without --control-socket and $EMPEROR_CONTROL the socket is /run/emperor/control.sock for root, and
$XDG_RUNTIME_DIR/emperor/control.sock or ~/.local/state/emperor/control.sock for others.
`emperorctl VERB --help` tells the rest.
"""

_CLOSE = 0.6


def description(groups: Iterable[tuple[str, Mapping[str, Told]]]) -> str:
    lines = [PURPOSE]
    for title, entries in groups:
        lines += ["", f"{title}:", *(f"  {name:<12}{entry.summary}" for name, entry in entries.items())]
    return "\n".join(lines)


def unknown(word: str, verbs: Iterable[str]) -> str:
    close = get_close_matches(word, list(verbs), n=1, cutoff=_CLOSE)
    return f"no verb {word!r}" + (f"; did you mean {close[0]}?" if close else " -- emperorctl --help shows them all")


def _epilog() -> str:
    width = max(len(command) for command, _ in EXAMPLES) + len("emperorctl ") + 2
    examples = "\n".join(f"  {'emperorctl ' + command:<{width}}{text}" for command, text in EXAMPLES)
    exits = "\n".join(f"  {code}  {text}" for code, text in EXITS)
    return f"examples:\n{examples}\n\nexit:\n{exits}\n\n{_SOCKET}"


EPILOG = _epilog()
