"""One pass of a web server that meets one vassal's socket, and where the two do not understand each other. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from emperor.doctor import weblines
from emperor.doctor.finding import MAY_FAIL, Finding
from emperor.doctor.weblimits import limits
from emperor.model import FASTCGI, HTTP, UNIX, UWSGI, SocketSpec
from emperor.webservers.route import APACHE, LIGHTTPD, NGINX, Route, WebServer

SEEN = {NGINX: "502 Bad Gateway", APACHE: "503 Service Unavailable", LIGHTTPD: "503 Service Unavailable"}
_GARBLED = {NGINX: "502 Bad Gateway", APACHE: "502 Bad Gateway or 503", LIGHTTPD: "500 Internal Server Error"}


class Offer(NamedTuple):
    """One vassal, as a web server may know it. ``prefixes``: of its apps. Seconds and bytes; 0: none."""

    name: str
    sockets: tuple[SocketSpec, ...]
    prefixes: tuple[str, ...] = ("/",)
    config: str = ""
    user: str = ""
    limit_post: int = 0
    harakiri: float = 0.0
    reload_mercy: float = 0.0
    socket_timeout: float = 0.0


class Met(NamedTuple):
    server: WebServer
    route: Route
    offer: Offer
    socket: SocketSpec


def pair(one: Met) -> Iterator[Finding]:
    server, route, vassal, socket = one
    name, kind = vassal.name, server.kind
    if route.lacks:
        what = f"{name}: {route.where} needs {kind}'s module {route.lacks}, which is not loaded"
        why = "500 or 404 for the visitor: nobody there knows the protocol"
        yield Finding("web-module", name, what, why, (weblines.module(server, route.lacks),))
    if route.protocol != socket.protocol:
        what = f"{name}: {route.where} speaks {_worded(route.protocol)} to {socket.address}, which is a "
        what += f"{_worded(socket.protocol)} socket"
        seen = "an error" if HTTP in (route.protocol, socket.protocol) else _GARBLED[kind]
        why = f"neither understands the other: {seen} for the visitor"
        lines = weblines.passes(route, socket.protocol, socket.address, server.conf)
        instead = f"emperorctl {kind} {name}  # prints the whole of it"
        yield Finding("web-protocol", name, what, why, (*lines, weblines.reload(server), instead))
    elif not route.variables:
        what = f"{name}: {route.where} passes requests without the variables that say what is asked for"
        why = "every visitor sees 500 Internal Server Error, and the app's log has: no REQUEST_METHOD"
        yield Finding("web-variables", name, what, why, (*weblines.params(route, server.conf), weblines.reload(server)))
    yield from _paths(one)
    hidden = [top for top in server.private_tmp if socket.address.path.startswith(f"{top}/")]
    if hidden and socket.address.family == UNIX:
        what = f"{name}: {socket.address} lies in {hidden[0]}, and {kind} has one of its own (PrivateTmp of its unit)"
        why = f"it does not see the socket: (2: No such file or directory), {SEEN[kind]}"
        mend = (
            f"socket = /run/emperor/{name}.sock  # {vassal.config or 'its ini'}; then the same path in {route.where}",
            f"systemctl edit {weblines.unit(server)}  # or this: [Service], PrivateTmp=no; then a restart",
        )
        yield Finding("web-private-tmp", name, what, why, mend)
    yield from limits(server, route, name, vassal.config, vassal.harakiri, vassal.limit_post)


def _paths(one: Met) -> Iterator[Finding]:
    server, route, vassal, _ = one
    if route.only_files:
        what = f"{vassal.name}: {route.where} passes only what is a file of {server.kind}'s own: check-local is not "
        why = "404 Not Found for the visitor, wherever there is no such file"
        mend = (*weblines.only_files(route), weblines.reload(server))
        yield Finding("web-only-files", vassal.name, f'{what}"disable"', why, mend)
    if not _meets(route, vassal.prefixes):
        mounts = ", ".join(vassal.prefixes)
        what = f"{vassal.name}: {route.where} passes {route.place}, and its apps are mounted at {mounts}"
        why = "404 Not Found for the visitor: no app of the vassal's has such a path"
        lines = weblines.moved(route, vassal.prefixes[0])
        told = f"mount = {route.prefix}=APP  # or this, in {vassal.config or 'its ini'}"
        yield Finding("web-mount", vassal.name, what, why, (*lines, weblines.reload(server), told), MAY_FAIL)


def _meets(route: Route, mounts: Sequence[str]) -> bool:
    """Does it pass anything that an app has? Where it may tell the app another path, it does."""
    if route.rewritten or route.protocol == HTTP or route.server == APACHE:
        return True
    bare = route.prefix.rstrip("/")
    return any(
        mount == "/" or bare == mount or route.prefix.startswith(f"{mount}/") or mount.startswith(route.prefix)
        for mount in mounts
    )


def _worded(protocol: str) -> str:
    return {UWSGI: "uwsgi", FASTCGI: "FastCGI", HTTP: "HTTP"}.get(protocol, "SCGI")
