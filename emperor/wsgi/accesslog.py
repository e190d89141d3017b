"""The line that a finished request leaves in the log: its words, its escapes, its length, and whether it gets one.

It promises: no line holds a control character or more than ``LONGEST_LINE`` bytes; a quotation mark, a backslash or
a byte beyond ASCII that came from somebody else is escaped as Apache does it (in a format that begins with { as JSON
does it); what stands in no format's quotes holds no blank either. A piece that is too long is cut, so that the line
still has all its fields. Credentials and cookies are in no line whose format does not name them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple, Optional

from emperor.logformat import UWSGIS_OWN, VARIABLE, pieces
from emperor.model import VassalSpec
from emperor.wsgi.logfacts import BY_THE_SECOND, OWN, Facts, Word, once_a_second

__all__ = ["LONGEST_LINE", "Facts", "Line", "Rules", "compiled", "line_of", "rules_of"]

LONGEST_LINE = 4000
"""Bytes: who reads it cuts none into two (``system.logs.MAX_LINE``), where the second would begin as a visitor likes;
and with its newline it fits into a pipe in one piece, or not at all (pipe(7), PIPE_BUF)."""

PIECES = (3072, 2048, 1024, 512)
"""Characters that a word may take, from the first with which the line is short enough."""
_LEAST_PIECE = 8
_OWN_PIECE = 32
"""No number and no date of ours is longer."""


Line = Callable[[Facts], str]


class Rules(NamedTuple):
    """Which requests have a line. ``slow``: milliseconds, ``big``: bytes; 0 is none."""

    every: bool = False
    on_4xx: bool = False
    on_5xx: bool = False
    zero: bool = False
    slow: int = 0
    big: int = 0

    def want(self, status: int, body: int, seconds: float) -> bool:
        """As uWSGI's ``log_request`` (core/logging.c) decides it."""
        return bool(
            self.every
            or (self.zero and not body)
            or (self.slow and seconds * 1000 >= self.slow)
            or (self.on_4xx and 400 <= status <= 499)
            or (self.on_5xx and 500 <= status <= 599)
            or (self.big and body >= self.big)
        )


def rules_of(spec: VassalSpec) -> Optional[Rules]:
    """None: no request has a line."""
    every = bool(spec.log_format) and not spec.disable_logging
    rules = Rules(every, spec.log_4xx, spec.log_5xx, spec.log_zero, spec.log_slow, spec.log_big)
    return rules if any(rules) else None


def line_of(spec: VassalSpec) -> Line:
    """Raises ValueError for what is no format, which ``config`` has refused."""
    if spec.log_format:
        return compiled(spec.log_format, forwarded=spec.log_x_forwarded_for)
    return compiled(UWSGIS_OWN, "", spec.log_x_forwarded_for)


def compiled(form: str, empty: str = "-", forwarded: bool = False) -> Line:
    """``empty``: what a word says that has nothing to say. ``forwarded``: %(addr) is whom X-Forwarded-For names first.

    Raises ValueError.
    """
    parts = pieces(form)
    escape = _as_json if form.lstrip().startswith("{") else _as_apache
    words: Sequence[Word] = [_word(one.word, escape, empty, forwarded) for one in parts if one.word]
    template = "".join("%s" if one.word else one.text.replace("%", "%%") for one in parts)
    literal = sum(len(one.text.encode("utf-8", "backslashreplace")) for one in parts)
    room = (LONGEST_LINE - literal - _OWN_PIECE * len(words)) // max(1, len(words))
    plain = form.isascii()

    def line(facts: Facts) -> str:
        text = template % tuple([word(facts, PIECES[0]) for word in words])
        if len(text) <= LONGEST_LINE and plain:
            return text
        return shortened(facts, text)

    def shortened(facts: Facts, text: str) -> str:
        data = text.encode("utf-8", "backslashreplace")
        for most in (*PIECES[1:], max(_LEAST_PIECE, room)):
            if len(data) <= LONGEST_LINE:
                break
            text = template % tuple([word(facts, most) for word in words])
            data = text.encode("utf-8", "backslashreplace")
        return data[:LONGEST_LINE].decode("utf-8", "ignore")

    return line


def _word(word: str, escape: _Escape, empty: str, forwarded: bool) -> Word:
    if word in _CLIENTS:
        name, blanks = _CLIENTS[word]
        find = _SOUGHT.get(word) or _named(name)
        return _shown(_visitor if forwarded and word == "addr" else find, escape, empty, blanks)
    if word.startswith(VARIABLE):
        return _shown(_named(word[len(VARIABLE) :]), escape, empty, True)
    if word in BY_THE_SECOND:
        return once_a_second(BY_THE_SECOND[word])
    own = OWN.get(word)
    return (lambda facts, room: empty) if own is None else own


# --- what somebody else said ---

_Find = Callable[[Facts], Any]
_Escape = Callable[[str, bool], str]

_CLIENTS = {
    "uri": ("REQUEST_URI", False),
    "method": ("REQUEST_METHOD", False),
    "user": ("REMOTE_USER", False),
    "addr": ("REMOTE_ADDR", False),
    "host": ("HTTP_HOST", False),
    "proto": ("SERVER_PROTOCOL", False),
    "uagent": ("HTTP_USER_AGENT", True),
    "referer": ("HTTP_REFERER", True),
}
"""Which parameter, and whether blanks stay: formats put only the last two into quotes of their own."""

_ODD = re.compile(r"[^ !#-\[\]-~]")
_ODD_OR_BLANK = re.compile(r"[^!#-\[\]-~]")
_WHOLE = re.compile(r"(?:\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\[^xu]|[^\\])*")
_MORE = "..."


def _named(name: str) -> _Find:
    return lambda facts: facts.environ.get(name)


def _uri(facts: Facts) -> Any:
    """Of a web server that does not send it, it is put together again."""
    environ = facts.environ
    known = environ.get("REQUEST_URI")
    if known:
        return known
    query = environ.get("QUERY_STRING")
    return f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}{'?' if query else ''}{query or ''}"


def _visitor(facts: Facts) -> Any:
    first = str(facts.environ.get("HTTP_X_FORWARDED_FOR", "")).partition(",")[0].strip()
    return first or facts.environ.get("REMOTE_ADDR")


_SOUGHT: Mapping[str, _Find] = {"uri": _uri}


def _shown(find: _Find, escape: _Escape, empty: str, blanks: bool) -> Word:
    def word(facts: Facts, room: int) -> str:
        text = find(facts)
        if not text:
            return empty
        # Nearly every value is plain, and to see that is faster so than by a regular expression.
        if (
            type(text) is str
            and len(text) <= room
            and text.isascii()
            and text.isprintable()
            and '"' not in text
            and "\\" not in text
            and (blanks or " " not in text)
        ):
            return text
        return _cut(escape(str(text)[: room + 1], blanks), room)

    return word


def _cut(text: str, room: int) -> str:
    """Never within an escape."""
    if len(text) <= room:
        return text
    found = _WHOLE.match(text[: room - len(_MORE)])
    return (found[0] if found else "") + _MORE


def _as_apache(text: str, blanks: bool) -> str:
    return (_ODD if blanks else _ODD_OR_BLANK).sub(_apaches, text)


def _apaches(match: re.Match[str]) -> str:
    """``ap_escape_logitem``, with numbers for all control characters."""
    one = match.group()
    if one in '"\\':
        return "\\" + one
    # What the web server said are bytes; more than that is the app's.
    data = one.encode("latin-1") if ord(one) < 256 else one.encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02x}" for byte in data)


def _as_json(text: str, blanks: bool) -> str:
    return _ODD.sub(lambda match: json.dumps(match.group())[1:-1].replace("\x7f", "\\u007f"), text)
