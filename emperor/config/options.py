"""The table of ini options: one row per option, from which parsing, messages, help and README are made.

The rows lie in ``config.table``; here they are found by name and letter, and written down for people.
"""

from __future__ import annotations

from difflib import get_close_matches

from emperor.config.table.app import APP
from emperor.config.table.ini import INI
from emperor.config.table.known import KNOWN
from emperor.config.table.lives import LIVES
from emperor.config.table.option import ALWAYS, DONE, LATER, REFUSED, Option
from emperor.config.table.reached import REACHED
from emperor.config.table.requests import REQUESTS

TABLE: tuple[Option, ...] = REACHED + APP + LIVES + REQUESTS + INI + KNOWN

_BY_NAME = {name: option for option in TABLE for name in (option.name, *option.aliases)}
_BY_LETTER = {option.short: option for option in TABLE if option.short}


def find(name: str) -> Option | None:
    """The option of this name or alias."""
    return _BY_NAME.get(name)


def find_letter(letter: str) -> Option | None:
    """The option of this letter on the command line."""
    return _BY_LETTER.get(letter)


def suggestion(name: str) -> str:
    """``; did you mean X?``, or nothing."""
    close = get_close_matches(name.lower().replace("_", "-"), _BY_NAME, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def markdown() -> str:
    """The table for README: what an ini can say, and what it need not or cannot say yet."""
    lines = ["| option | value | default | meaning |", "|---|---|---|---|"]
    lines += [_markdown_row(option) for option in TABLE if option.standing == DONE]
    for standing, title in (
        (ALWAYS, "Accepted, because it is always so"),
        (LATER, "Known, without effect yet (a warning)"),
        (REFUSED, "Refused"),
    ):
        lines += ["", f"{title}:", ""]
        sentences = dict.fromkeys(option.help for option in TABLE if option.standing == standing)
        lines += [f"- {_names(standing, sentence)}: {sentence}." for sentence in sentences]
    return "\n".join(lines) + "\n"


def _names(standing: str, sentence: str) -> str:
    return ", ".join(f"`{one.name}`" for one in TABLE if one.standing == standing and one.help == sentence)


def _markdown_row(option: Option) -> str:
    names = [f"`{option.name}`", *(f"`{alias}`" for alias in option.aliases)]
    if option.short:
        names.append(f"`-{option.short}`")
    kind = option.kind.text + (", repeatable" if option.many else "")
    cells = (", ".join(names), kind, option.default, option.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
