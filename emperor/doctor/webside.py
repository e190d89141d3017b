"""What the web servers were told, held against what the vassals offer: where the two cannot meet. Pure.

It promises: no text of a configuration reaches a terminal as it is; of the web servers those count that run, and those
that are only installed if none does.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from emperor.doctor import weblines
from emperor.doctor.doors import doors, places
from emperor.doctor.finding import FAILS, MAY_FAIL, Finding
from emperor.doctor.webkinds import KINDS
from emperor.doctor.webpairs import SEEN, Met, Offer, pair
from emperor.model import ABSTRACT, HTTP, TCP, UNIX, Address, SocketSpec, VassalSpec
from emperor.text import clip, printable
from emperor.webservers.route import NO, YES, Route, WebServer, Where

__all__ = ["KINDS", "Offer", "Web", "findings", "offer"]

LONGEST = 600
MOST_FLAWS = 5
"""Of one server; the first of them are behind the others more often than not."""
ALIKE = 0.6
"""How much of a path must be the same for the one to be meant for the other."""

_HERE = ("", "0.0.0.0", "::", "127.0.0.1", "::1", "localhost", "*")


class Web(NamedTuple):
    """Whom the emperor gives sockets to: --web-user, --web-group, and who is in that group."""

    user: str = ""
    group: str = ""
    members: frozenset[str] = frozenset()


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
    well = {one.offer.name for one in met if _is_well(one)}
    found: list[Finding] = []
    for server in counted:
        found += _server(server, [one for one in met if one.server is server], web)
        found += _astray(server, offers, heard, well)
    for one in met:
        found += pair(one)
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


def _met(server: WebServer, offers: Iterable[Offer]) -> Iterator[Met]:
    owned = {place: (one, socket) for one in offers for socket in one.sockets for place in doors(socket.address)}
    for route in server.routes:
        if route.address is None:
            continue
        found = next((owned[place] for place in _places(route.address, server.own) if place in owned), None)
        if found is not None:
            yield Met(server, route, *found)


def _server(server: WebServer, met: Sequence[Met], web: Web) -> Iterator[Finding]:
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
        why = f"{server.user} cannot connect to {one.socket.address}: (13: Permission denied), {SEEN[kind]}"
        lines = (
            f"web-user = {server.user}  # [emperor] in /etc/emperor/emperor.ini, and web-group = {server.group}; then: "
            "systemctl restart emperor",
            f"usermod -aG {web.group} {server.user} && {weblines.restart(server)}  # or this",
        )
        yield Finding("web-stranger", kind, what, why, lines if web.group else lines[:1])


def _shut_out(one: Met, web: Web) -> bool:
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
        if route.address is None or _far(route.address, server.own):
            continue
        if not owned.isdisjoint(goes := _goes(server, route)) or not goes.isdisjoint(heard):
            continue
        others = [_goes(server, one) for one in _others(server, route)]
        helped = any(not one.isdisjoint(owned) or not one.isdisjoint(heard) for one in others)
        meant = _meant(route, offers, reached, set().union(*others))
        what = (
            f"{server.kind}: {route.told or route.where} passes {route.place} to {route.address}: nobody listens there"
        )
        errno = "111: Connection refused" if route.address.family == TCP else "2: No such file or directory"
        why = f"({errno}) in its log, {SEEN[server.kind]} for the visitor"
        why = f"({errno}) in its log; the upstream's other servers take its requests while they can" if helped else why
        if meant is None:
            mend = (f"emperorctl status  # which sockets there are; the line to change is {route.told or route.where}",)
            yield Finding("web-astray", server.kind, what, why, mend, MAY_FAIL)
            continue
        lines = weblines.passes(route, meant[1].protocol, meant[1].address, server.conf)
        lines = (*lines, weblines.reload(server)) if lines else (f"emperorctl {server.kind} {meant[0].name}",)
        what, weight = f"{what}; {meant[0].name} does at {meant[1].address}", MAY_FAIL if helped else FAILS
        yield Finding("web-astray", meant[0].name, what, why, lines, weight)


def _others(server: WebServer, route: Route) -> Iterator[Route]:
    """Of the same upstream."""
    if route.told is not None:
        yield from (one for one in server.routes if one.where == route.where and one.told not in (None, route.told))


def _goes(server: WebServer, route: Route) -> set[tuple[str, str]]:
    return set(_places(route.address, server.own)) if route.address is not None else set()


def _places(address: Address, own: Collection[str]) -> Iterator[tuple[str, str]]:
    """Who listens on each address of this machine is not met on another machine's."""
    abroad = bool(own) and _far(address, own) and re.fullmatch(r"[0-9.]+|[0-9a-fA-F.]*:[0-9a-fA-F:.]*", address.host)
    return islice(places(address), 1 if abroad else None)


def _far(address: Address, own: Collection[str]) -> bool:
    """On another machine, or under a name that only the network knows."""
    near = address.host in _HERE or address.host.startswith("127.") or address.host in own
    return address.family == TCP and not near


def _meant(
    route: Route, offers: Iterable[Offer], reached: Collection[str], known: Collection[tuple[str, str]]
) -> tuple[Offer, SocketSpec] | None:
    """The vassal's socket that is most like it, of those to whom nobody passes well: the others miss nothing.

    ``known``: where the same upstream passes to as well.
    """
    best: tuple[tuple[float, bool], Offer, SocketSpec] | None = None
    for one in offers:
        for socket in one.sockets:
            if socket.address.family == ABSTRACT or one.name in reached or set(doors(socket.address)) & set(known):
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
    ports = [each.port for each in (route.address, socket.address) if each is not None and each.family == TCP]
    same_port = len(ports) == 2 and ports[0] == ports[1]
    return ratio + 0.5 * named + 0.3 * mounted + ALIKE * same_port


def _shadowed(met: Sequence[Met]) -> Iterator[Finding]:
    """Only if no other way leads to it: a second site under the same name may be meant for another time."""
    free = {one.offer.name for one in met if _is_free(one.route)}
    for one in met:
        if one.route.answered is not None and one.offer.name not in free:
            yield _answered(one, one.route.answered)
            continue
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


def _is_well(one: Met) -> bool:
    return one.route.protocol == one.socket.protocol and _is_free(one.route) and not one.route.only_files


def _is_free(route: Route) -> bool:
    return route.shadow is None and route.answered is None


def _answered(one: Met, line: Where) -> Finding:
    what = f"{one.offer.name}: {one.route.where} gets no request: the return at {line} answers them all"
    mend = (f"# {line}: take it away, or put it where it is meant for", weblines.reload(one.server))
    return Finding("web-shadowed", one.offer.name, what, "the visitor gets what that line says", mend)


def _unpassed(servers: Sequence[WebServer], offers: Iterable[Offer], reached: Collection[str]) -> Iterator[Finding]:
    """Whoever listens to browsers itself needs none; and a variable, or what was not read, may lead anywhere."""
    known = [one for one in servers if one.conf]
    if not known or any(one.flaws for one in known):
        return
    if any(route.address is None and "$" in route.raw for one in known for route in one.routes):
        return
    kind = known[0].kind
    for one in offers:
        fit = [socket for socket in one.sockets if socket.address.family != ABSTRACT]
        if one.name in reached or any(socket.protocol == HTTP for socket in one.sockets) or not fit:
            continue
        what = f"{one.name}: no web server passes requests to {fit[0].address}"
        why = f"no visitor reaches it ({', '.join(server.conf for server in known)})"
        yield Finding("web-unpassed", one.name, what, why, (f"emperorctl {kind} {one.name}",), MAY_FAIL)
