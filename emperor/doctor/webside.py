"""What the web servers were told, held against what the vassals offer: where the two cannot meet. Pure.

It promises: no text of a configuration reaches a terminal as it is; of the web servers those count that run, and those
that are only installed if none does.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from emperor.doctor import weblines
from emperor.doctor.doors import doors, places
from emperor.doctor.finding import MAY_FAIL, Finding
from emperor.doctor.webkinds import KINDS
from emperor.doctor.weblimits import limits
from emperor.model import ABSTRACT, FASTCGI, HTTP, TCP, UNIX, UWSGI, Address, SocketSpec, VassalSpec
from emperor.text import clip, printable
from emperor.webservers.route import APACHE, LIGHTTPD, NGINX, NO, YES, Route, WebServer

__all__ = ["KINDS", "Offer", "Web", "findings", "offer"]

LONGEST = 600
MOST_FLAWS = 5
"""Of one server; the first of them are behind the others more often than not."""
ALIKE = 0.6
"""How much of a path must be the same for the one to be meant for the other."""

_HERE = ("", "0.0.0.0", "::", "127.0.0.1", "::1", "localhost", "*")
_SEEN = {NGINX: "502 Bad Gateway", APACHE: "503 Service Unavailable", LIGHTTPD: "503 Service Unavailable"}
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


class Web(NamedTuple):
    """Whom the emperor gives sockets to: --web-user, --web-group, and who is in that group."""

    user: str = ""
    group: str = ""
    members: frozenset[str] = frozenset()


class _Met(NamedTuple):
    server: WebServer
    route: Route
    offer: Offer
    socket: SocketSpec


def offer(spec: VassalSpec) -> Offer:
    mounts = {target.mount.rstrip("/") or "/" for target in spec.targets}
    return Offer(
        spec.name,
        spec.sockets,
        tuple(sorted(mounts)) or ("/",),
        spec.config,
        spec.identity.user,
        spec.limit_post,
        spec.harakiri,
        spec.reload_mercy,
        spec.socket_timeout,
    )


def findings(
    servers: Sequence[WebServer],
    offers: Sequence[Offer],
    listening: Collection[Address] = (),
    web: Web = Web(),  # noqa: B008 -- a value, which nobody can change
) -> list[Finding]:
    """``offers``: of all vassals, or those that are left out are somebody else's. ``listening``: who is heard anywhere
    on the machine, so that a pass to a foreign server is none of ours.
    """
    # A process whose configuration is not known may be anybody's: it takes nobody's place.
    strangers = [one for one in servers if not one.conf]
    known = [one for one in servers if one.conf]
    counted = [*([one for one in known if one.running == YES] or known), *strangers]
    met = [each for server in counted for each in _met(server, offers)]
    heard = {door for address in listening for door in doors(address)}
    well = {one.offer.name for one in met if one.route.protocol == one.socket.protocol and one.route.shadow is None}
    found: list[Finding] = []
    for server in counted:
        found += _server(server, [one for one in met if one.server is server], web)
        found += _astray(server, offers, heard, well)
    for one in met:
        found += _pair(one)
    found += _shadowed(met)
    told = {one.subject for one in found if one.kind == "web-astray"}
    found += _unpassed(counted, offers, told | {one.offer.name for one in met})
    return [_shown(one) for one in dict.fromkeys(found)]


def _shown(one: Finding) -> Finding:
    def safe(text: str) -> str:
        return clip(printable(text), LONGEST).replace("\n", " ")

    return one._replace(
        subject=safe(one.subject), what=safe(one.what), why=safe(one.why), mend=tuple(safe(line) for line in one.mend)
    )


def _met(server: WebServer, offers: Iterable[Offer]) -> Iterator[_Met]:
    owned = {place: (one, socket) for one in offers for socket in one.sockets for place in doors(socket.address)}
    for route in server.routes:
        if route.address is None:
            continue
        found = next((owned[place] for place in places(route.address) if place in owned), None)
        if found is not None:
            yield _Met(server, route, *found)


def _server(server: WebServer, met: Sequence[_Met], web: Web) -> Iterator[Finding]:
    kind = server.kind
    for flaw in server.flaws[:MOST_FLAWS]:
        mend = weblines.tests(server) if server.conf else f"emperorctl doctor --{kind}-conf FILE"
        why = f"{kind} refuses such a file at its next reload or start; what stands in it is not known here"
        why = why if server.conf else "what it passes to whom is not known here"
        yield Finding("web-configuration", kind, flaw, why, (mend,), MAY_FAIL)
    if server.stale:
        what = f"{kind}: {server.stale} was changed after its processes began -- it does not know it"
        why = "it goes on as it was told before, or refused the file at its last reload"
        yield Finding("web-stale", kind, what, why, (weblines.reload(server),))
    if met and server.running == NO:
        what = f"{kind}: it does not run, and {met[0].route.where} is where {met[0].offer.name} would be reached"
        yield Finding("web-down", kind, what, "nobody is connected to at all", (weblines.start(server),))
    strangers = [one for one in met if _shut_out(one, web)]
    if strangers:
        one = strangers[0]
        what = f"{kind}: it runs as {server.user}, and the emperor gives its sockets to {web.user or web.group}"
        why = f"{server.user} cannot connect to {one.socket.address}: (13: Permission denied), {_SEEN[kind]}"
        lines = (
            f"web-user = {server.user}  # [emperor] in /etc/emperor/emperor.ini, and web-group = {server.group}; then: "
            "systemctl restart emperor",
            f"usermod -aG {web.group} {server.user} && {weblines.restart(server)}  # or this",
        )
        yield Finding("web-stranger", kind, what, why, lines if web.group else lines[:1])


def _shut_out(one: _Met, web: Web) -> bool:
    """An ini that says who may connect has decided it otherwise."""
    server = one.server
    if not server.user or server.user == "root" or not (web.user or web.group):
        return False
    if one.socket.address.family != UNIX or not one.socket.silent:
        return False
    return server.user not in {web.user, one.offer.user} | web.members and server.group != web.group


def _astray(
    server: WebServer, offers: Sequence[Offer], heard: Collection[tuple[str, str]], reached: Collection[str]
) -> Iterator[Finding]:
    owned = {place for one in offers for socket in one.sockets for place in doors(socket.address)}
    for route in server.routes:
        if route.address is None or _far(route.address):
            continue
        goes = set(places(route.address))
        if goes & owned or goes & set(heard):
            continue
        meant = _meant(route, offers, reached)
        what = (
            f"{server.kind}: {route.told or route.where} passes {route.prefix} to {route.address}: nobody listens there"
        )
        errno = "111: Connection refused" if route.address.family == TCP else "2: No such file or directory"
        why = f"({errno}) in its log, {_SEEN[server.kind]} for the visitor"
        if meant is None:
            mend = (f"emperorctl status  # which sockets there are; the line to change is {route.told or route.where}",)
            yield Finding("web-astray", server.kind, what, why, mend, MAY_FAIL)
            continue
        lines = weblines.passes(route, meant[1].protocol, meant[1].address)
        lines = (*lines, weblines.reload(server)) if lines else (f"emperorctl {server.kind} {meant[0].name}",)
        yield Finding("web-astray", meant[0].name, f"{what}; {meant[0].name} does at {meant[1].address}", why, lines)


def _far(address: Address) -> bool:
    """On another machine, or under a name that only the network knows."""
    return address.family == TCP and not (address.host in _HERE or address.host.startswith("127."))


def _meant(route: Route, offers: Iterable[Offer], reached: Collection[str]) -> tuple[Offer, SocketSpec] | None:
    """The vassal's socket that is most like it, of those to whom nobody passes well: the others miss nothing."""
    best: tuple[tuple[float, bool], Offer, SocketSpec] | None = None
    for one in offers:
        for socket in one.sockets:
            if socket.address.family == ABSTRACT or one.name in reached:
                continue
            alike = _alike(route, one, socket)
            rank = (alike, socket.protocol == route.protocol)
            if alike >= ALIKE and (best is None or rank > best[0]):
                best = rank, one, socket
    return best[1:] if best else None


def _alike(route: Route, one: Offer, socket: SocketSpec) -> float:
    """The vassal's name within the path, or the prefix of its app, says more than letters do."""
    written, real = str(route.address), str(socket.address)
    ratio = difflib.SequenceMatcher(None, written[-200:], real[-200:], autojunk=False).ratio()
    parts = written.replace(".", "/").replace("_", "/").split("/")
    named = one.name in parts or route.prefix.strip("/") == one.name
    mounted = route.prefix != "/" and route.prefix.rstrip("/") in one.prefixes
    return ratio + 0.5 * named + 0.3 * mounted


def _pair(one: _Met) -> Iterator[Finding]:
    server, route, vassal, socket = one
    name, kind = vassal.name, server.kind
    if route.lacks:
        what = f"{name}: {route.where} needs {kind}'s module {route.lacks}, which is not loaded"
        why = "500 or 404 for the visitor: nobody there knows the protocol"
        yield Finding("web-module", name, what, why, (weblines.module(server, route.lacks),))
    if route.protocol != socket.protocol:
        what = f"{name}: {route.where} speaks {_worded(route.protocol)} to {socket.address}, which is a "
        what += f"{_worded(socket.protocol)} socket"
        why = f"neither understands the other: {_GARBLED[kind]} for the visitor"
        lines = weblines.passes(route, socket.protocol, socket.address)
        instead = f"emperorctl {kind} {name}  # prints the whole of it"
        yield Finding("web-protocol", name, what, why, (*lines, weblines.reload(server), instead))
    elif not route.variables:
        what = f"{name}: {route.where} passes requests without the variables that say what is asked for"
        why = "every visitor sees 500 Internal Server Error, and the app's log has: no REQUEST_METHOD"
        yield Finding("web-variables", name, what, why, (*weblines.params(route), weblines.reload(server)))
    hidden = [top for top in server.private_tmp if socket.address.path.startswith(f"{top}/")]
    if hidden and socket.address.family == UNIX:
        what = f"{name}: {socket.address} lies in {hidden[0]}, and {kind} has one of its own (PrivateTmp of its unit)"
        why = f"it does not see the socket: (2: No such file or directory), {_SEEN[kind]}"
        mend = (
            f"socket = /run/emperor/{name}.sock  # {vassal.config or 'its ini'}; then the same path in {route.where}",
            f"systemctl edit {weblines.unit(server)}  # or this: [Service], PrivateTmp=no; then a restart",
        )
        yield Finding("web-private-tmp", name, what, why, mend)
    yield from limits(server, route, name, vassal.config, vassal.harakiri, vassal.limit_post)


def _worded(protocol: str) -> str:
    return {UWSGI: "uwsgi", FASTCGI: "FastCGI", HTTP: "HTTP"}.get(protocol, "SCGI")


def _shadowed(met: Sequence[_Met]) -> Iterator[Finding]:
    """Only if no other way leads to it: a second site under the same name may be meant for another time."""
    free = {one.offer.name for one in met if one.route.shadow is None}
    for one in met:
        shadow, name = one.route.shadow, one.offer.name
        if shadow is None or name in free:
            continue
        default = shadow == one.server.default_site
        what = f"{name}: {one.route.where} gets no request: {shadow} takes them first"
        what += " (the distribution's default site)" if default else ""
        why = "the visitor gets that site's page, or its 404"
        mend = weblines.removes(one.server, shadow) if default else ""
        mend = mend or f"# {one.route.where}: give it a name, or a path, that {shadow} does not have"
        lines = (mend, weblines.reload(one.server))
        yield Finding("web-default-site" if default else "web-shadowed", name, what, why, lines)


def _unpassed(servers: Sequence[WebServer], offers: Iterable[Offer], reached: Collection[str]) -> Iterator[Finding]:
    """Whoever listens to browsers itself needs none; and a variable in a pass may lead anywhere."""
    known = [one for one in servers if one.conf]
    if not known or any(route.address is None and "$" in route.raw for one in known for route in one.routes):
        return
    kind = known[0].kind
    for one in offers:
        fit = [socket for socket in one.sockets if socket.address.family != ABSTRACT]
        if one.name in reached or any(socket.protocol == HTTP for socket in one.sockets) or not fit:
            continue
        what = f"{one.name}: no web server passes requests to {fit[0].address}"
        why = f"no visitor reaches it ({', '.join(server.conf for server in known)})"
        yield Finding("web-unpassed", one.name, what, why, (f"emperorctl {kind} {one.name}",), MAY_FAIL)
