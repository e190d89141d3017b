"""One row of the conformance table of ``wsgi_cases``, and the words in which the rows are written."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from tests.integration.wsgi_apps import App, Headers, called, calling, giving


class Case(NamedTuple):
    """A request (``params``, ``body``) and what is expected of it.

    ``length``: whether CONTENT_LENGTH is sent. ``hang_up``: the web server sends no more, as one that left midway.
    ``headers`` are the whole of them, None: not looked at. ``cut``: the answer must be seen to be cut short.
    ``bodiless``: HTTP sends no body here; CGI's protocols leave that to the web server in front. ``log``: what the log
    holds, in this order; ``silent``: holds nothing. ``closed``: how often close() is called.
    """

    app: App
    answer: Optional[bytes] = b"x"
    status: int = 200
    reason: str = "OK"
    headers: Optional[Headers] = None
    params: Headers = ()
    body: bytes = b""
    length: bool = True
    hang_up: bool = False
    cut: bool = False
    bodiless: bool = False
    log: tuple[str, ...] = ()
    silent: bool = False
    closed: Optional[int] = None
    flup: str = ""
    http: Optional[tuple[bytes, int, str]] = None

    def over(self, protocol: str) -> Case:
        """The case as this protocol has it."""
        if protocol != "http" or self.http is None:
            return self
        answer, status, reason = self.http
        return self._replace(answer=answer, status=status, reason=reason)


PAGE = b"500 Internal Server Error\n"
UNCHECKED = "start_response checks no characters, and takes bytes for text"
ASSERTED = "its handler takes every exception for a whole response"
AS_LATIN_1 = "text is taken for latin-1"
OWN_LENGTH = "it adds a Content-Length of its own"
STREAM = "its stream forgets sizes and positions"


def fails(app: App, *log: str, **more: Any) -> Case:
    """A constant page, its cause in the log alone."""
    return Case(app, PAGE, 500, "Internal Server Error", log=("the app failed", *log), **more)


def refused(**start: Any) -> Case:
    flup = str(start.pop("flup", ""))
    return fails(giving(**start), "start_response", flup=flup)


def reads(body: bytes, *calls: tuple[Any, ...], flup: str = "") -> Case:
    return Case(calling(*calls), called(body, *calls), body=body, silent=True, flup=flup)
