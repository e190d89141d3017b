"""What a question is for the app: the variables that the printed configuration of nginx would send. Pure."""

from __future__ import annotations

from emperor.probe.question import Question
from emperor.protocol import variables as cgi
from emperor.protocol.variables import Request

_COUNTED = frozenset({"POST", "PUT", "PATCH"})
"""Their clients tell the length of an empty body too."""


def variables(question: Question) -> list[tuple[str, str]]:
    """In the order in which they are sent, each name once.

    Two headers of one name are one with both values, as nginx has them. Raises ``ProtocolError`` for what is no
    request: CONNECT, or a target that is no path.
    """
    host = question.host
    headers = [(name.lower(), value) for name, value in question.headers if name.lower() != "content-length"]
    named = next((value for name, value in headers if name == "host"), "")
    if not named and host:
        headers.insert(0, ("host", host))
    request = Request(question.method, question.target, "HTTP/1.1", tuple(headers))
    found: dict[str, str] = {"CONTENT_TYPE": "", "CONTENT_LENGTH": _length(question)}
    for name, value in zip(*cgi.variables(request), strict=True):
        found[name] = _joined(name, found.get(name, ""), value)
    _cut(found, question.script_name)
    name, port = _split(named or host)
    found.update(REQUEST_SCHEME="http", REMOTE_ADDR="127.0.0.1", REMOTE_PORT="0", SERVER_NAME=name, SERVER_PORT=port)
    found["DOCUMENT_URI"] = found["SCRIPT_NAME"] + found["PATH_INFO"]
    if question.protocol == "fastcgi":
        found["GATEWAY_INTERFACE"] = "CGI/1.1"
    found.update(question.extra)
    return list(found.items())


def _length(question: Question) -> str:
    return str(len(question.body)) if question.body or question.method in _COUNTED else ""


def _joined(name: str, before: str, value: str) -> str:
    if not before or name == "CONTENT_TYPE":
        return value
    return f"{before}; {value}" if name == "HTTP_COOKIE" else f"{before}, {value}"


def _cut(found: dict[str, str], prefix: str) -> None:
    path = found["PATH_INFO"]
    if prefix and (path == prefix or path.startswith(prefix + "/")):
        found.update(SCRIPT_NAME=prefix, PATH_INFO=path[len(prefix) :])


def _split(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and port.isascii() and port.isdigit() else (host, "80")
