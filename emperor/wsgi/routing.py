"""Which app answers, and how SCRIPT_NAME and PATH_INFO share the path.

It promises: mounts match at whole segments, the longest one wins; SCRIPT_NAME never ends with "/"; PATH_INFO
begins with "/" or is empty; nothing is decoded, nothing normalised (``//`` and ``..`` are the app's). Where
nothing is to be done, the app itself is returned. Source: RFC 3875 sections 4.1.5 and 4.1.13; the mounts are
uWSGI's ``mount`` and ``manage-script-name``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Callable, Optional
from urllib.parse import unquote_to_bytes

__all__ = ["compose"]

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SLASHES = re.compile("//+")
_SCRIPTS = (".fcgi", ".cgi", ".wsgi")


def compose(
    mounts: Mapping[str, Application], manage_script_name: bool = False, script_name: str = "auto"
) -> Application:
    """One application out of several.

    ``mounts``: prefix to app; "" and "/" are the root, a trailing slash means nothing.
    ``manage_script_name``: the mount moves from PATH_INFO to SCRIPT_NAME. Without it the app is chosen and
    nothing is rewritten.
    ``script_name``: "auto" believes the web server; "/" and "/prefix" say below which prefix the app really
    is.
    """
    apps = {mount.rstrip("/"): app for mount, app in mounts.items()}
    managed = manage_script_name and any(apps)
    alone = len(apps) == 1 and not managed
    chosen: Application = next(iter(apps.values())) if alone else _Mounts(apps, managed)
    return chosen if script_name == "auto" else _Rooted(chosen, script_name.rstrip("/"))


class _Mounts:
    """Chooses by mount. ``manage``: and splits the path there."""

    __slots__ = ("_apps", "_default", "_longest_first", "_manage")

    def __init__(self, apps: Mapping[str, Application], manage: bool) -> None:
        self._apps = apps
        self._manage = manage
        self._longest_first = sorted((mount for mount in apps if mount), key=len, reverse=True)
        only = next(iter(apps.values())) if len(apps) == 1 and not manage else _not_found
        self._default = apps.get("", only)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._choose(environ)(environ, start_response)

    def _choose(self, environ: dict[str, Any]) -> Application:
        path = environ.get("PATH_INFO", "")
        script = environ.get("SCRIPT_NAME", "").rstrip("/")
        if self._manage:
            mount = self._match(path)
            if mount is not None:
                environ["SCRIPT_NAME"], environ["PATH_INFO"] = mount, path[len(mount) :]
                return self._apps[mount]
        # The web server may have split the path itself.
        if script and script in self._apps:
            return self._apps[script]
        mount = None if self._manage else self._match(path)
        return self._default if mount is None else self._apps[mount]

    def _match(self, path: str) -> Optional[str]:
        for mount in self._longest_first:
            if _is_below(path, mount):
                return mount
        return None


class _Rooted:
    """Overrules the web server's SCRIPT_NAME: the app's URLs begin with ``prefix``, "" for the root of the
    site.
    """

    __slots__ = ("_application", "_prefix")

    def __init__(self, application: Application, prefix: str) -> None:
        self._application = application
        self._prefix = prefix

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = _whole_path(environ)
        prefix = self._prefix
        if prefix and _is_below(path, prefix):
            path = path[len(prefix) :]
        elif not path.startswith("/"):
            path = "/" + path
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = prefix, path
        return self._application(environ, start_response)


def _is_below(path: str, mount: str) -> bool:
    return path.startswith(mount) and (len(path) == len(mount) or path[len(mount)] == "/")


def _whole_path(environ: Mapping[str, Any]) -> str:
    """The path that the visitor asked for, as far as SCRIPT_NAME is a part of it.

    lighttpd below "/" puts the first segment into SCRIPT_NAME, nginx's stock parameters all of it: there it
    belongs to the path. Behind a rewrite (``RewriteRule ^(.*)$ /app.fcgi/$1``) it names a script that no
    visitor ever saw; REQUEST_URI tells which, and so does its suffix, for a visitor who does ask for the script.
    """
    script, path = environ.get("SCRIPT_NAME", "").rstrip("/"), environ.get("PATH_INFO", "")
    if script.endswith(_SCRIPTS):
        return str(path)
    if not script or not path:
        return str(script + path)
    asked = _asked_path(environ.get("REQUEST_URI", ""))
    if asked and not _is_below(asked, _SLASHES.sub("/", script)):
        return str(path)
    return str(script + path)


def _asked_path(request_uri: str) -> str:
    path = request_uri.partition("?")[0]
    if not path.startswith("/") and "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return _SLASHES.sub("/", unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1"))


def _not_found(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = b"404 Not Found\n"
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
