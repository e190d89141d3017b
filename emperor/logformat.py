"""The form of an access log's lines: text with uWSGI's words in it, ``%(uri)``, or the name of one of Apache's formats.

Source: ``uwsgi_build_log_format`` and ``uwsgi_register_logchunks`` (uWSGI 2.0.31, core/logging.c); Apache's
mod_log_config for ``common`` and ``combined``. What each word says is ``wsgi.accesslog``'s.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LONGEST = 1024
"""Characters of a format: a line of 4096 bytes has to hold what it says as well."""

VARIABLE = "var."
"""Before the name of any of the web server's parameters: %(var.HTTP_COOKIE)."""

WORDS = frozenset((
    "uri", "method", "user", "addr", "host", "proto", "uagent", "referer", "status", "rsize", "hsize", "size", "cl",
    "micros", "msecs", "secs", "tmsecs", "tmicros", "time", "ltime", "ftime", "ctime", "epoch", "pid", "wid",
    "switches", "vars", "core", "vsz", "rss", "vszM", "rssM", "pktsize", "modifier1", "modifier2", "headers", "werr",
    "bytes", "req", "via",
))  # fmt: skip
"""The last three are ours: rsize with Apache's - for nothing, this worker's requests so far, how the body left."""

_COMMON = '%(addr) - %(user) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(bytes)'

NAMED = {"common": _COMMON, "combined": f'{_COMMON} "%(referer)" "%(uagent)"'}

UWSGIS_OWN = (
    "[pid: %(pid)|app: 0|req: %(req)/%(req)] %(addr) (%(user)) {%(vars) vars in %(pktsize) bytes} [%(ctime)] "
    "%(method) %(uri) => generated %(rsize) bytes in %(msecs) msecs %(via)(%(proto) %(status)) %(headers) headers in "
    "%(hsize) bytes (%(switches) switches on core %(core))"
)
"""What uWSGI writes without a format (``uwsgi_logit_simple``)."""

_WORD = re.compile(r"%\(([^)]+)\)")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


class Piece(NamedTuple):
    """``word`` "": it is text."""

    text: str
    word: str = ""


def pieces(form: str) -> tuple[Piece, ...]:
    """Raises ValueError for what is no format."""
    if len(form) > LONGEST:
        raise ValueError(f"must be at most {LONGEST} characters long")
    if _CONTROL.search(form):
        raise ValueError("must not contain control characters: a request has one line")
    form = NAMED.get(form, form)
    found: list[Piece] = []
    at = 0
    for match in _WORD.finditer(form):
        found += [Piece(form[at : match.start()]), Piece("", match[1])]
        at = match.end()
    found.append(Piece(form[at:]))
    if any("%(" in one.text for one in found):
        raise ValueError("has a %( that no word in parentheses follows, such as %(uri)")
    return tuple(one for one in found if one.text or one.word)


def unknown(form: str) -> tuple[int, ...]:
    """Which of its words (1 is the first) nobody knows: each says - in every line, as under uWSGI."""
    words = [one.word for one in pieces(form) if one.word]
    return tuple(
        number
        for number, word in enumerate(words, 1)
        if word not in WORDS and not (word.startswith(VARIABLE) and len(word) > len(VARIABLE))
    )
