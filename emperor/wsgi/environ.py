"""From a web server's parameters to a WSGI environ.

It promises: native strings of latin-1 characters; ``wsgi.*`` is ours alone; one meaning for a name that came
twice. It never takes a client's header for the web server's word. Errors: ``ProtocolError`` 400. Source: PEP
3333 "environ Variables", RFC 3875 section 4.1, CVE-2016-5385 (HTTP_PROXY).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Optional
from urllib.parse import unquote

from emperor.errors import ProtocolError

__all__ = ["DEFAULTS", "OURS", "adopt", "build", "content_length", "merge", "settle"]

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
_DROPPED = frozenset(("HTTP_PROXY", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"))
_ONE_MEANING = frozenset(("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "HTTP_TRANSFER_ENCODING"))

_USUAL = frozenset((
    "QUERY_STRING", "REQUEST_METHOD", "CONTENT_TYPE", "CONTENT_LENGTH", "REQUEST_URI", "PATH_INFO", "DOCUMENT_ROOT",
    "DOCUMENT_URI", "SERVER_PROTOCOL", "REQUEST_SCHEME", "HTTPS", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_USER",
    "SERVER_ADDR", "SERVER_PORT", "SERVER_NAME", "SERVER_SOFTWARE", "SCRIPT_NAME", "SCRIPT_FILENAME",
    "PATH_TRANSLATED", "GATEWAY_INTERFACE", "REDIRECT_STATUS", "AUTH_TYPE", "UWSGI_SCHEME", "HTTP_HOST",
    "HTTP_USER_AGENT", "HTTP_COOKIE", "HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE", "HTTP_ACCEPT_ENCODING",
    "HTTP_ACCEPT_CHARSET", "HTTP_CONNECTION", "HTTP_REFERER", "HTTP_ORIGIN", "HTTP_AUTHORIZATION",
    "HTTP_CACHE_CONTROL", "HTTP_PRAGMA", "HTTP_DNT", "HTTP_PRIORITY", "HTTP_UPGRADE_INSECURE_REQUESTS",
    "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE", "HTTP_TE", "HTTP_VIA", "HTTP_X_REQUESTED_WITH",
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP",
    "HTTP_SEC_FETCH_DEST", "HTTP_SEC_FETCH_MODE", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_USER", "HTTP_SEC_GPC",
    "HTTP_SEC_CH_UA", "HTTP_SEC_CH_UA_MOBILE", "HTTP_SEC_CH_UA_PLATFORM",
))  # fmt: skip
"""Names that need no second look. Any other is looked at character by character, at ten times the cost."""

OURS = frozenset((
    "wsgi.version", "wsgi.url_scheme", "wsgi.input", "wsgi.input_terminated", "wsgi.errors", "wsgi.file_wrapper",
    "wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once",
))  # fmt: skip
"""Names that nobody else may set: all of them stand in every ``own``."""
_KNOWN = _USUAL | OURS
_UNTOLD = (
    "request: no REQUEST_METHOD: the web server does not say what was asked for: in nginx, include uwsgi_params; (for "
    "fastcgi_pass, include fastcgi_params;) beside the pass"
)
_REQUIRED = frozenset(DEFAULTS)


def build(names: Sequence[str], values: Sequence[str], own: Mapping[str, Any]) -> dict[str, Any]:
    """A new environ of ``own`` (the ``wsgi.*`` values) and a web server's parameters. Raises ``ProtocolError`` 400."""
    return adopt(merge(zip(names, values)), (), own)


def adopt(fields: Mapping[str, Any], displaced: Sequence[tuple[str, Any]], own: Mapping[str, Any]) -> dict[str, Any]:
    """The same of ``Params``."""
    clashes = [(name, value) for name, value in own.items() if name in fields]
    return settle({**own, **fields}, [*clashes, *displaced], own)


def settle(environ: dict[str, Any], displaced: Sequence[tuple[str, Any]], own: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a copy of ``own`` that a codec has filled, and of what that displaced: ``Params`` of it.

    ``ProtocolError`` 500: the web server does not say what was asked for.
    """
    if displaced and _matters(displaced):
        environ = _merged(environ, displaced, own)
    # One pass over everything at the speed of C; only what fails it is looked at piece by piece.
    text = "".join(islice(environ.values(), len(own), None))
    if "\n" in text or "\0" in text or "\r" in text:
        _refuse_controls(environ)
    if not environ.keys() <= _KNOWN:
        environ = {name: value for name, value in environ.items() if name in own or _is_for_apps(name)}
    has_path = "PATH_INFO" in environ
    if environ.setdefault("SCRIPT_NAME", "")[-1:] == "/":
        _move_last_slash(environ, has_path)
    if not environ.keys() >= _REQUIRED:
        environ = _completed(environ)
    # Empty where nginx has no server_name.
    environ["SERVER_NAME"] = environ["SERVER_NAME"] or DEFAULTS["SERVER_NAME"]
    if not (environ["PATH_INFO"] and environ["SERVER_PORT"] and environ["REQUEST_METHOD"]):
        _fill(environ, has_path)
    if environ.get("HTTPS") or environ.get("REQUEST_SCHEME", "http") != "http":
        environ["wsgi.url_scheme"] = _scheme(environ)
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


def merge(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A repeated header is a list (RFC 9110 section 5.3); of the web server's own parameters the last one
    wins. Raises ``ProtocolError`` 400 where two values could mean two requests.
    """
    params: dict[str, str] = {}
    for name, value in pairs:
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


def _matters(displaced: Sequence[tuple[str, Any]]) -> bool:
    """Of the web server's own parameters the last one simply wins; ``wsgi.*`` are not its to set."""
    # nginx's usual recipe comes here with every request, and a generator for any() would cost more than the look.
    for name, _ in displaced:  # noqa: SIM110 -- for speed
        if name.startswith("HTTP_") or name in _ONE_MEANING or name in OURS:
            return True
    return False


def _merged(environ: dict[str, Any], displaced: Sequence[tuple[str, Any]], own: Mapping[str, Any]) -> dict[str, Any]:
    pairs = chain(displaced, environ.items())
    return {**own, **merge((name, value) for name, value in pairs if name not in OURS)}


def _completed(environ: dict[str, Any]) -> dict[str, Any]:
    if "REQUEST_METHOD" not in environ:
        # By any default every address would show the front page, and nobody would know why.
        raise ProtocolError(_UNTOLD, 500)
    return {**DEFAULTS, **environ}


def _is_for_apps(name: str) -> bool:
    return name in _USUAL or (name.isidentifier() and name.isascii() and name not in _DROPPED)


def _refuse_controls(environ: Mapping[str, Any]) -> None:
    for name, value in environ.items():
        if name in OURS:
            continue
        # Certificates in PEM form have lines; mod_ssl and every nginx recipe pass them under such a name.
        allowed = name.startswith("SSL_") and "\0" not in value
        if not allowed and any(control in value for control in "\n\r\0"):
            raise ProtocolError("request: a parameter holds a line break or NUL")


def _fill(environ: dict[str, Any], has_path: bool) -> None:
    """PEP 3333: these are never empty, but for the path where SCRIPT_NAME is the whole of it."""
    for name in ("SERVER_PORT", "REQUEST_METHOD"):
        environ[name] = environ[name] or DEFAULTS[name]
    if not has_path:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = _split(environ)
    if not environ["PATH_INFO"] and not environ["SCRIPT_NAME"]:
        environ["PATH_INFO"] = "/"


def _move_last_slash(environ: dict[str, Any], has_path: bool) -> None:
    """It is the path's (RFC 3875 section 4.1.13): Apache's mod_proxy_uwsgi has "/shop/" and "/" for /shop/."""
    script = environ["SCRIPT_NAME"]
    # Without a path, a script's name may be the whole of it.
    if has_path or script == "/":
        environ["SCRIPT_NAME"] = script.rstrip("/")
    if has_path and not environ["PATH_INFO"].startswith("/"):
        environ["PATH_INFO"] = "/" + environ["PATH_INFO"]


def _split(environ: Mapping[str, Any]) -> tuple[str, str]:
    """SCRIPT_NAME and PATH_INFO of a web server that has sent no PATH_INFO at all.

    nginx's stock fastcgi_params and Apache's mod_proxy_fcgi send the whole path as SCRIPT_NAME. What Apache has behind
    its ProxyPass stands, encoded, in SCRIPT_FILENAME: "proxy:fcgi://localhost/x", or "/x" alone with
    ``ProxyFCGIBackendType GENERIC``. Others that send none mean that there is nothing behind the script's name.
    """
    whole, server, filename = (
        str(environ.get(name, "")) for name in ("SCRIPT_NAME", "SERVER_SOFTWARE", "SCRIPT_FILENAME")
    )
    if server.startswith("nginx"):
        return "", whole
    proxied = filename.startswith("proxy:")
    if proxied or (filename and server.startswith("Apache")):
        target = filename.partition("://")[2].partition("/")[2] if proxied else filename
        # The second is meant where AllowEncodedSlashes lets %2F stand in both.
        for written in (target, re.sub("%(2[Ff])", r"%25\1", target)):
            behind = "/" + unquote(written, "latin-1").lstrip("/")
            if whole.endswith(behind):
                return whole[: -len(behind)], behind
        if proxied and behind != "/":
            return "", whole
    script = whole.rstrip("/")
    return script, whole[len(script) :] and "/"


def _scheme(params: Mapping[str, Any]) -> str:
    if params.get("HTTPS", "").lower() in ("on", "1"):
        return "https"
    return "https" if params.get("REQUEST_SCHEME", "").lower() == "https" else "http"
