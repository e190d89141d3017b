"""Text as man(7) source: what mandoc -Tlint and groff -ww have nothing to say about. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

_LINE = 76

_ESCAPES: Mapping[str, str] = MappingProxyType(
    {
        "\\": "\\e",
        "-": "\\-",
        "'": "\\(aq",
        '"': "\\(dq",
        "`": "\\(ga",
        "^": "\\(ha",
        "~": "\\(ti",
        "…": "...",
        "–": "\\(en",
        "→": "\\(->",
        "ä": "\\(:a",
    }
)


def literal(text: str) -> str:
    """To be shown, and copied, as it stands; ValueError for a character that is not known here."""
    shown = "".join(_ESCAPES.get(char, char) for char in text)
    if not shown.isascii():
        raise ValueError(f"not known as roff: {text!r}")
    return shown


def bold(text: str) -> str:
    return f"\\fB{literal(text)}\\fR"


def italic(text: str) -> str:
    return f"\\fI{literal(text)}\\fR"


def header(name: str, section: int, date: str, version: str, about: str) -> list[str]:
    head = f'.TH {name.upper()} {section} {date} "mini\\-emperor {version}" "{about}"'
    # Names are there to be copied: no hyphens in them, nor gaps between them.
    return ['.\\" Written by contrib/manual.py: `make readme`.', head, ".nh", ".ad l"]


def section(title: str, *bodies: Iterable[str]) -> Iterator[str]:
    yield f".SH {title}"
    yield from _joined(bodies)


def subsection(title: str, *bodies: Iterable[str]) -> Iterator[str]:
    yield f".SS {_argument(title)}"
    yield from _joined(bodies)


def _joined(bodies: Iterable[Iterable[str]]) -> Iterator[str]:
    """Paragraphs need a mark between them, everything else has its own."""
    first = True
    for body in bodies:
        lines = list(body)
        if lines and not first and (lines[0][0] != "." or lines[0].startswith(".RS")):
            yield ".PP"
        yield from lines
        first = False


def paragraph(text: str) -> list[str]:
    """Words; those in backquotes are bold."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    marked = "".join(bold(part) if number % 2 else _prose(part) for number, part in enumerate(parts))
    return _filled(marked)


def _prose(text: str) -> str:
    """Hyphens between letters may be broken at; those of options and numbers may not."""
    return re.sub(r"(?<=[a-z])\\-(?=[a-z])", "-", literal(text))


def _filled(text: str) -> list[str]:
    lines = textwrap.wrap(text, _LINE, break_long_words=False, break_on_hyphens=False)
    # A line that begins with a dot or a quote would be a request.
    return [f"\\&{line}" if line[:1] in (".", "'") else line for line in lines]


def tagged(tag: str, *bodies: Iterable[str]) -> Iterator[str]:
    """``tag`` is roff already."""
    yield ".TP"
    yield tag
    yield from _joined(bodies)


def verbatim(text: str) -> Iterator[str]:
    yield from (".RS 4", ".EX")
    yield from (_kept(line) for line in textwrap.dedent(text).strip("\n").split("\n"))
    yield from (".EE", ".RE")


def _kept(line: str) -> str:
    shown = literal(line.rstrip())
    return f"\\&{shown}" if shown[:1] in (".", "'") or not shown else shown


def _argument(text: str) -> str:
    return f'"{literal(text)}"' if " " in text else literal(text)


def page(*parts: Iterable[str]) -> str:
    return "\n".join(line for part in parts for line in part) + "\n"
