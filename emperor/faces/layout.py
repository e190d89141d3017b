"""How the three languages are written: comments, quotes, prefixes as regular expressions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from emperor.faces.facts import Facts
from emperor.faces.wish import EVERYWHERE
from emperor.text import printable

_PLAIN_IN_PATTERNS = "/_~@,=:!-"


def quoted(text: str) -> str:
    """For all three: ``facts.check_path`` has refused what a double quote would not keep together."""
    return f'"{text}"'


def pattern(prefixes: Sequence[str]) -> str:
    """Any of them, for PCRE. Classes rather than backslashes, which each language reads in its own way."""
    return "|".join("".join(_literal(letter) for letter in prefix) for prefix in prefixes)


def below(prefixes: Sequence[str]) -> str:
    """Any of them and what lies below it, but no other name that begins so."""
    inside = pattern(prefixes)
    return f"^(?:{inside})(?:/|$)" if len(prefixes) > 1 else f"^{inside}(?:/|$)"


def _literal(letter: str) -> str:
    return letter if letter.isalnum() or letter in _PLAIN_IN_PATTERNS else f"[{letter}]"


def head(server: str, facts: Facts, how: Iterable[str]) -> list[str]:
    """The comment at the top; ``how``: where to save it, how to enable, test and load it."""
    words = [f"emperorctl {server} {facts.name}"]
    if facts.wish.prefix:
        words.append(f"--prefix {facts.wish.prefix}")
    if facts.wish.server_name:
        words.append(f"--server-name {facts.wish.server_name}")
    if facts.wish.listen != EVERYWHERE:
        words.append(f"--listen {facts.wish.listen}")
    lines = [f"{server} for the vassal {facts.name} ({facts.config}), as printed by: {' '.join(words)}", "", *how]
    if facts.wish.whole and facts.prefixes:
        lines += ["", "Elsewhere on the site no app is asked: 404, or the web server's own page. (uWSGI asked the app"]
        lines += ["that was mounted first: `mount = /=…` in the ini, or a redirect here, says what is meant.)"]
    for remark in facts.remarks:
        lines += ["", f"NOTE: {remark}"]
    # A line break would begin a directive; Apache goes on with the comment after a backslash.
    return [f"# {printable(line)}".rstrip(" \\") for line in lines]


def indented(lines: Iterable[str], by: int = 4) -> list[str]:
    return [" " * by + line if line else line for line in lines]


def text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def harakiri(facts: Facts) -> str:
    """Why the web server waits as long as it does."""
    if facts.harakiri:
        return f"Longer than harakiri ({facts.harakiri:g} s): whatever comes of that, the visitor hears it."
    return "The ini has no harakiri: after so long without a byte the visitor gets 504."


def size(facts: Facts) -> str:
    """Why bodies may be as large as they may."""
    if facts.limit_post:
        return "As limit-post in the ini: a larger body gets 413."
    return "No limit, as the ini has no limit-post: the app decides."
