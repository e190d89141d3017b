"""From a web server's parameters to a WSGI environ.

It promises: native strings of latin-1 characters; ``wsgi.*`` is ours alone; one meaning for a name that came
twice. It never takes a client's header for the web server's word. Errors: ``ProtocolError`` 400. Source: PEP
3333 "environ Variables", RFC 3875 section 4.1, CVE-2016-5385 (HTTP_PROXY).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from emperor.errors import ProtocolError

__all__ = ["DEFAULTS", "build", "content_length"]

DEFAULTS: Mapping[str, str] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.0",
}
"""What PEP 3333 wants to be there, for a web server that does not send it (nginx's uwsgi_params have no
SCRIPT_NAME).
"""

# A header "Proxy:" would become the variable by which libraries find their proxy; the other two are CGI's own
# names again.
_DROPPED = ("HTTP_PROXY", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE")
_ONE_MEANING = frozenset(("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "HTTP_TRANSFER_ENCODING"))


def build(names: Sequence[str], values: Sequence[str], template: Mapping[str, Any]) -> dict[str, Any]:
    """A new environ: ``template`` (defaults and ``wsgi.*``) below the parameters. Raises ``ProtocolError``
    400.
    """
    params = dict(zip(names, values))
    if len(params) != len(names):
        params = _merged(names, values)
    # One pass over everything at the speed of C; only what fails it is looked at piece by piece.
    text = "".join(values)
    if "\n" in text or "\0" in text or "\r" in text:
        _refuse_controls(names, values)
    text = "".join(names)
    if not (text.isidentifier() and text.isascii()):
        params = {name: value for name, value in params.items() if name.isidentifier() and name.isascii()}
    for name in _DROPPED:
        if name in params:
            del params[name]
    environ = {**template, **params}
    if not environ["PATH_INFO"] or environ["SCRIPT_NAME"] == "/":
        _mend_path(environ, "PATH_INFO" in params)
    if "HTTPS" in params or "REQUEST_SCHEME" in params:
        environ["wsgi.url_scheme"] = _scheme(params)
    return environ


def content_length(environ: Mapping[str, Any]) -> Optional[int]:
    """Bytes of the body, None if nothing is said. Raises ``ProtocolError`` for anything but ASCII digits.

    ``int()`` alone would take a sign, spaces, underscores and other alphabets' digits.
    """
    text = environ.get("CONTENT_LENGTH")
    if not text:
        return None
    if len(text) > 18 or not (text.isascii() and text.isdigit()):
        raise ProtocolError("request: CONTENT_LENGTH is not a number")
    return int(text)


def _merged(names: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    """A repeated header is a list (RFC 9110 section 5.3); of the web server's own parameters the last one
    wins.
    """
    params: dict[str, str] = {}
    for name, value in zip(names, values):
        before = params.get(name)
        if before is None:
            params[name] = value
        elif name in _ONE_MEANING:
            if value != before:
                raise ProtocolError(f"request: {name} came twice with different values")
        elif name.startswith("HTTP_"):
            params[name] = before + ("; " if name == "HTTP_COOKIE" else ", ") + value
        else:
            params[name] = value
    return params


def _refuse_controls(names: Sequence[str], values: Sequence[str]) -> None:
    for name, value in zip(names, values):
        # Certificates in PEM form have lines; mod_ssl and every nginx recipe pass them under such a name.
        allowed = name.startswith("SSL_") and "\0" not in value
        if not allowed and any(control in value for control in "\n\r\0"):
            raise ProtocolError("request: a parameter holds a line break or NUL")


def _mend_path(environ: dict[str, Any], has_path: bool) -> None:
    if environ["SCRIPT_NAME"] == "/":
        environ["SCRIPT_NAME"] = ""
    # nginx's stock fastcgi_params send the whole path as SCRIPT_NAME and no PATH_INFO at all. Others that
    # send none mean that there is nothing behind the script's name.
    if not has_path and str(environ.get("SERVER_SOFTWARE", "")).startswith("nginx"):
        environ["PATH_INFO"], environ["SCRIPT_NAME"] = environ["SCRIPT_NAME"], ""
    if not environ["PATH_INFO"] and not environ["SCRIPT_NAME"]:
        environ["PATH_INFO"] = "/"


def _scheme(params: Mapping[str, str]) -> str:
    if params.get("HTTPS", "").lower() in ("on", "1"):
        return "https"
    return "https" if params.get("REQUEST_SCHEME", "").lower() == "https" else "http"
