"""What somebody speaks who did not understand: told by the bytes that came, or by asking the same in other protocols.

It promises: what is tried asks for no more than a HEAD of the same path, and ends within a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable

from emperor.model import FASTCGI, HTTP, UWSGI
from emperor.probe.question import Answer, Failure, Question
from emperor.protocol import records

NAMES = {UWSGI: "uwsgi", FASTCGI: "FastCGI", HTTP: "HTTP"}

TRIAL = 2.0
"""Seconds for one protocol."""

_OF_A_SERVER = frozenset(
    {records.END_REQUEST, records.STDOUT, records.STDERR, records.GET_VALUES_RESULT, records.UNKNOWN_TYPE}
)
_UNREAD = frozenset({400, 408, 501, 505})
"""Statuses of a server that could not read the request: an answer, and none to what was asked."""

Exchange = Callable[[Question], "Answer | Failure"]


def by_bytes(sample: bytes) -> str:
    """The first bytes of an answer; "": they tell nothing. CGI's head is uwsgi's as well as HTTP's."""
    record = sample[:1] == bytes([records.VERSION]) and len(sample) > 1 and sample[1] in _OF_A_SERVER
    return FASTCGI if record else ""


def spoken(question: Question, exchange: Exchange) -> str:
    """Which of the other protocols is understood; "": none."""
    for protocol in (FASTCGI, UWSGI, HTTP):
        if protocol == question.protocol:
            continue
        patience = min(TRIAL, question.patience)
        found = exchange(question._replace(protocol=protocol, method="HEAD", body=b"", patience=patience))
        if isinstance(found, Answer) and (protocol == FASTCGI or found.status not in _UNREAD):
            return protocol
    return ""
