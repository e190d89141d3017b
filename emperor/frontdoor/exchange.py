"""One request and its response over one connection to a vassal: who is to blame, in the front door's words.

What is said is in ``protocol.speeches``, how it moves in ``system.conversation``.
Errors: VassalError, with the HTTP status that says whose fault it was.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from emperor.frontdoor.routing import parse_address
from emperor.protocol.speeches import SPEECHES, fastcgi_request, fastcgi_response, split_head, uwsgi_request
from emperor.protocol.speeches import AnswerError as VassalError
from emperor.system import conversation
from emperor.system.conversation import CHUNK, BrokenOff, GiveUp, dial

__all__ = [
    "CHUNK", "SPEECHES", "VassalError", "connect", "converse", "fastcgi_request", "fastcgi_response", "split_head",
    "uwsgi_request",
]  # fmt: skip


def connect(address: str, seconds: float) -> socket.socket:
    """A connection to ``address``; ``seconds``: how long a full backlog may block. Raises VassalError."""
    try:
        return dial(parse_address(address), seconds)
    except ValueError as error:
        raise VassalError(str(error)) from error
    except BlockingIOError as error:
        raise VassalError(f"its backlog stayed full for {seconds:g} s", 504) from error
    except OSError as error:
        raise VassalError(f"connect: {error.strerror or error}") from error


def converse(connection: socket.socket, outgoing: Iterator[bytes], give_up: GiveUp) -> Iterator[bytes]:
    """``conversation.converse``; what breaks off is a VassalError."""
    try:
        yield from conversation.converse(connection, outgoing, give_up)
    except BrokenOff as error:
        raise VassalError(f"its answer broke off: {error.strerror}") from error
