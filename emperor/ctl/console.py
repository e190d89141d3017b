"""What a verb of emperorctl is given: where to speak, how, and whom to ask.

It promises: nothing that others wrote reaches a terminal with its control characters; it holds no words of
its own. A test gives it lists to write to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Optional

from emperor.control.messages import USAGE, Request
from emperor.errors import EmperorError
from emperor.text import printable

Ask = Callable[[Request, Optional[float]], Iterator[dict[str, Any]]]
"""``control.client.call`` with its path filled in; the number is the timeout in seconds."""

ANOTHER_VERSION = (
    "the running emperor is another version of this program -- emperorctl upgrade makes it this one, if it is the older"
)
NO_SUCH = ("no such vassal", "no vassal of yours")
"""How the emperor's answer ends if it does not know a name."""

COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}


class Console(NamedTuple):
    """``timeout`` is None where the person said nothing; ``terminal``: may the screen be cleared?

    ``meant``: what is added to a refusal of names that nobody has.
    """

    write: Callable[[str], None]
    complain: Callable[[str], None]
    ask: Ask
    pause: Callable[[float], None]
    json: bool = False
    colour: bool = False
    terminal: bool = False
    timeout: Optional[float] = None
    meant: Callable[[Sequence[str]], str] = lambda names: ""

    def print(self, text: str) -> None:
        self.write(text + "\n")

    def error(self, text: str) -> None:
        self.complain(f"emperorctl: {printable(text)}\n")

    def print_json(self, value: Any) -> None:
        self.print(json.dumps(value, indent=2))

    def paint(self, text: str, colour: str) -> str:
        if not self.colour or colour not in COLOURS:
            return text
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"

    def answers(self, request: Request, otherwise: Optional[float]) -> Iterator[dict[str, Any]]:
        """Ask; ``otherwise`` is the timeout where the person said nothing. EmperorError: it does not know the question,
        for it is another version than we are."""
        for reply in self.ask(request, otherwise if self.timeout is None else self.timeout):
            if reply.get("exit") == USAGE and "unknown" in str(reply.get("error")):
                raise EmperorError(f"{request.verb}: {ANOTHER_VERSION}")
            # Who follows asks again and again.
            stranger = str(reply.get("error") or "").endswith(NO_SUCH) and not request.options.get("follow")
            yield {**reply, "error": f"{reply['error']}{self.meant(request.names)}"} if stranger else reply


def impossible_names(names: list[str]) -> list[str]:
    """Those that no vassal can have; the emperor would refuse the whole request."""
    if not names:
        return []
    from emperor.model import VASSAL_NAME  # takes longer to import than all that the list of vassals needs

    return [name for name in names if not VASSAL_NAME.fullmatch(name)]
