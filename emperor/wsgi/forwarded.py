"""``proxy-fix = N``: what N proxies in front of the web server say of the visitor (X-Forwarded-*) is believed.

It promises: only the Nth value from the right counts, which the outermost of our own proxies wrote; what stands left
of it came from the visitor. A header with fewer values, or whose value is none, is not believed at all. The rest of
the environ stays. Without ``proxy-fix`` nothing here runs, and X-Forwarded-* are headers like any other.

The rules are those of werkzeug's ProxyFix with one N for all headers, but for three: values are checked; a quotation
mark joins no values (a visitor could hide our proxy's value behind one); X-Forwarded-Prefix stands in front of
SCRIPT_NAME rather than in its place, so that a mount keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Callable, Optional

__all__ = ["ORIGINALS", "believing"]

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

ORIGINALS = "emperor.proxy_fix.orig"
"""The environ's key for a dict of what the names below were before; None: the name was not there."""

_CHANGED = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME")

_ADDRESS = re.compile(r"[0-9A-Za-z.:_%\[\]-]{1,100}")
"""With the ports, zones, "unknown" and "_hidden" that proxies write (RFC 7239 section 6)."""
_SCHEME = re.compile("https?", re.IGNORECASE)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})(?::([0-9]{1,5}))?")
_PORT = re.compile("[0-9]{1,5}")
# "//host" and "/\host" would send the visitors of every redirect to another site.
_PREFIX = re.compile(r"(?!//)/[0-9A-Za-z._~!$&'()*+;=:@%/-]{0,1000}")


def believing(application: Application, proxies: int) -> Application:
    """``application`` as visitors of the outermost of ``proxies`` proxies see it; with 0 the application itself."""
    if not proxies:
        return application

    def behind_proxies(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[ORIGINALS] = {name: environ.get(name) for name in _CHANGED}
        for header, pattern, believe in _BELIEFS:
            found = _value(environ.get(header), proxies, pattern)
            if found is not None:
                believe(environ, found)
        return application(environ, start_response)

    return behind_proxies


def _value(header: Optional[str], proxies: int, pattern: re.Pattern[str]) -> Optional[re.Match[str]]:
    values = header.split(",") if header else ()
    return pattern.fullmatch(values[-proxies].strip()) if len(values) >= proxies else None


def _address(environ: dict[str, Any], found: re.Match[str]) -> None:
    environ["REMOTE_ADDR"] = found[0]


def _scheme(environ: dict[str, Any], found: re.Match[str]) -> None:
    environ["wsgi.url_scheme"] = found[0].lower()


def _host(environ: dict[str, Any], found: re.Match[str]) -> None:
    if found[2] is not None and not _is_port(found[2]):
        return
    environ["HTTP_HOST"], environ["SERVER_NAME"] = found[0], found[1]
    if found[2] is not None:
        environ["SERVER_PORT"] = found[2]


def _port(environ: dict[str, Any], found: re.Match[str]) -> None:
    if not _is_port(found[0]):
        return
    environ["SERVER_PORT"] = found[0]
    host = _HOST.fullmatch(environ.get("HTTP_HOST", ""))
    if host:
        environ["HTTP_HOST"] = f"{host[1]}:{found[0]}"


def _prefix(environ: dict[str, Any], found: re.Match[str]) -> None:
    prefix, script = found[0].rstrip("/"), environ.get("SCRIPT_NAME", "")
    # The web server, or script-name, may name the same prefix.
    if not f"{script}/".startswith(f"{prefix}/"):
        environ["SCRIPT_NAME"] = prefix + script


def _is_port(digits: str) -> bool:
    return 0 < int(digits) < 65536


# A port of its own outranks the one in the host, so it comes later.
_BELIEFS: tuple[tuple[str, re.Pattern[str], Callable[[dict[str, Any], re.Match[str]], None]], ...] = (
    ("HTTP_X_FORWARDED_FOR", _ADDRESS, _address),
    ("HTTP_X_FORWARDED_PROTO", _SCHEME, _scheme),
    ("HTTP_X_FORWARDED_HOST", _HOST, _host),
    ("HTTP_X_FORWARDED_PORT", _PORT, _port),
    ("HTTP_X_FORWARDED_PREFIX", _PREFIX, _prefix),
)
