"""An HTTP request's environ as the variables that nginx's ``uwsgi_params`` would send.

It promises: nothing reaches the app that is between client and front door only (RFC 9110 section 7.6.1), nor
``Proxy:``, which many libraries would take for the variable HTTP_PROXY.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from wsgiref.util import is_hop_by_hop

from emperor.frontdoor.routing import Place

_COPIED = (
    "QUERY_STRING",
    "REQUEST_METHOD",
    "CONTENT_TYPE",
    "REQUEST_URI",
    "SERVER_PROTOCOL",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "SERVER_PORT",
    "SERVER_NAME",
)
_DROPPED = frozenset({"HTTP_PROXY", "HTTP_EXPECT", "HTTP_TRAILER", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"})
_OURS = frozenset({"date", "server"})


def request_params(environ: dict[str, Any], place: Place, length: int) -> list[tuple[str, str]]:
    """What the vassal is told. ``length``: the body's, in bytes, whatever the client said about it."""
    params = [(key, str(environ.get(key, ""))) for key in _COPIED]
    params += [
        # nginx sends an empty value when there is no body; apps meet that in production, so they do here.
        ("CONTENT_LENGTH", str(length) if length or environ.get("CONTENT_LENGTH") else ""),
        ("SCRIPT_NAME", place.script_name),
        ("PATH_INFO", place.path_info),
        ("DOCUMENT_URI", place.script_name + place.path_info),
        ("REQUEST_SCHEME", str(environ.get("wsgi.url_scheme", "http"))),
    ]
    named = _named_in_connection(environ.get("HTTP_CONNECTION", ""))
    for key, value in environ.items():
        if key.startswith("HTTP_") and key not in _DROPPED:
            name = key[5:].replace("_", "-").lower()
            if not is_hop_by_hop(name) and name not in named:
                params.append((key, value))
    return params


def response_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the client is told: no hop-by-hop headers, nor Date and Server, which our server writes."""
    headers = list(headers)
    named = _named_in_connection(",".join(value for name, value in headers if name.lower() == "connection"))
    return [
        (name, value)
        for name, value in headers
        if not is_hop_by_hop(name) and name.lower() not in named | _OURS | {"status", "trailer"}
    ]


def _named_in_connection(value: str) -> frozenset[str]:
    """Headers that ``Connection`` declares to be for this hop; never those that describe the message."""
    named = {word.strip().lower() for word in value.split(",")}
    return frozenset(named - {"host", "content-length", "content-type", "cookie", "authorization"})
