"""What is asked of a socket, what comes back, and in which way it can fail. Pure values."""

from __future__ import annotations

from typing import NamedTuple

from emperor.model import Address

CONNECT, SEND, ANSWER = "connect", "send", "answer"
"""How far it came: nobody took the connection; it was taken and the request was not; no answer came, or none that the
protocol knows."""

MOST_BODY = 16 * 1024 * 1024
"""Bytes of an answer's body that are kept, where nobody asks for less."""


class Question(NamedTuple):
    """``protocol``: uwsgi, fastcgi or http. ``target``: path and query, as in a browser's address bar.

    ``script_name``: the prefix that the web server cuts off the path. ``patience``: seconds for the whole. ``extra``:
    variables that are sent as they are, beside those that tell the request or in place of them. ``keep``: bytes of the
    answer's body that are kept; the connection is closed at the first one more. ``recognise``: whoever does not answer
    is asked in other protocols, too.
    """

    protocol: str
    address: Address
    target: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    script_name: str = ""
    host: str = "localhost"
    patience: float = 10.0
    extra: tuple[tuple[str, str], ...] = ()
    keep: int = MOST_BODY
    recognise: bool = True


class Answer(NamedTuple):
    """What the web server would get. ``stderr``: FastCGI's. Times in seconds from the beginning: when the connection
    stood, when the first byte came, when the last one had. ``cut``: the body is longer than what is kept, or its end
    was missing (``flaw`` says it)."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    stderr: bytes = b""
    connected: float = 0.0
    first: float = 0.0
    total: float = 0.0
    cut: bool = False
    flaw: str = ""


class Failure(NamedTuple):
    """There is no answer. ``stage``: CONNECT, SEND or ANSWER. ``errno``: the kernel's, 0: none of its. ``reason``: in
    words, for one line. ``speaks``: the protocol that the other end was found to speak, where that is another one.
    ``stderr``: as an answer has it."""

    stage: str
    reason: str
    errno: int = 0
    seconds: float = 0.0
    speaks: str = ""
    stderr: bytes = b""
