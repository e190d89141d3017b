"""HTTP requests as CGI variables, and CGI variables as HTTP requests.

It promises: what a client sends never becomes a variable that is the server's own; paths are decoded once, and
nothing is normalised. Source: RFC 3875 section 4.1, RFC 9110, RFC 9112 section 3.2.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from emperor.errors import ProtocolError

__all__ = ["Request", "fields", "target", "variables"]

_ABSOLUTE = re.compile(r"https?://([^/?#@]+)((?:[/?].*)?)", re.IGNORECASE)
_HOST = re.compile(r"(?:\[[0-9A-Za-z:.%_~-]+\]|[0-9A-Za-z\-._~!$&'()*+,;=%]*)(?::[0-9]*)?")
"""RFC 3986 section 3.2.2. Apps make links of it."""
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class Request(NamedTuple):
    """A request's head. ``target`` as it was sent; ``version`` is "HTTP/1.0" or "HTTP/1.1"; names in small letters."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]


def variables(request: Request) -> tuple[list[str], list[str]]:
    """The names and values of the request's CGI variables (RFC 3875 section 4.1), a repeated header repeated.

    A header whose name holds an underscore is left out: the app could not tell it from one with a dash.
    Raises ``ProtocolError``: 501 for CONNECT, 400 for a target that is neither a path nor a URL and for a host that is
    none.
    """
    host, target = _origin(request)
    path, _, query = target.partition("?")
    pairs = [
        ("REQUEST_METHOD", request.method),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", unquote_to_bytes(path).decode("latin-1")),
        ("QUERY_STRING", query),
        ("REQUEST_URI", target),
        ("SERVER_PROTOCOL", request.version),
    ]
    if host:
        pairs.append(("HTTP_HOST", host))
    for name, value in request.headers:
        if name == "host":
            _check_host(value)
        if "_" in name or (host and name == "host"):
            continue
        key = name.replace("-", "_").upper()
        pairs.append((key if name in ("content-type", "content-length") else "HTTP_" + key, value))
    return [name for name, _ in pairs], [value for _, value in pairs]


def _origin(request: Request) -> tuple[str, str]:
    """The host that a target in absolute form names (it wins over the header: RFC 9112 section 3.2.2), and the path."""
    if request.method == "CONNECT":
        raise ProtocolError("request: CONNECT is for proxies", 501)
    if request.target.startswith("/"):
        return "", request.target
    match = _ABSOLUTE.fullmatch(request.target)
    if match is None:
        raise ProtocolError("request: its target is neither a path nor a URL")
    _check_host(match[1])
    return match[1], match[2] if match[2].startswith("/") else "/" + match[2]


def _check_host(text: str) -> None:
    if not _HOST.fullmatch(text):
        raise ProtocolError("request: its host is none")


def target(params: dict[str, str]) -> bytes:
    """The request's target below SCRIPT_NAME, as the client wrote it: ``%2F`` stays ``%2F``.

    Raises ``UnicodeEncodeError`` for what is not latin-1, as ``fields`` does.
    """
    script, asked = params.get("SCRIPT_NAME", ""), params.get("REQUEST_URI", "")
    if asked.startswith(script + "/"):
        asked = asked[len(script) :]
    else:
        query = params.get("QUERY_STRING", "")
        asked = quote(params.get("PATH_INFO") or "/", encoding="latin-1") + ("?" + query if query else "")
    return quote(asked, safe=_PRINTABLE, encoding="latin-1").encode("ascii")


def fields(params: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """The request's header fields. HTTP has no SCRIPT_NAME: it goes as ``X-Forwarded-Prefix``, beside its sisters."""
    host = params.get("HTTP_HOST") or params.get("SERVER_NAME") or "localhost"
    before = params.get("HTTP_X_FORWARDED_FOR")
    client = params.get("REMOTE_ADDR", "")
    said = {name: value for name, value in params.items() if name.startswith("HTTP_")}
    said.update(
        HTTP_HOST=host,
        HTTP_CONNECTION="close",
        HTTP_X_FORWARDED_FOR=f"{before}, {client}" if before else client,
        HTTP_X_FORWARDED_HOST=host,
        HTTP_X_FORWARDED_PROTO=params.get("REQUEST_SCHEME") or "http",
        HTTP_X_FORWARDED_PREFIX=params.get("SCRIPT_NAME", ""),
    )
    named = [(name[5:], value) for name, value in said.items() if value]
    named += [(name, params[name]) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if params.get(name)]
    return [(name.replace("_", "-").title().encode("latin-1"), value.encode("latin-1")) for name, value in named]
