"""Two limits for one request, the web server's and ours: which wins, and which is out of reach. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from emperor.doctor import weblines
from emperor.doctor.finding import MAY_FAIL, Finding
from emperor.webservers.route import APACHE, LIGHTTPD, NGINX, Route, WebServer, untold

LATER = 5
"""Seconds by which the web server shall outlast harakiri, whose words then reach the visitor."""
_GIVES_UP = {NGINX: "504 Gateway Time-out", APACHE: "504 Gateway Timeout", LIGHTTPD: "504 Gateway Timeout"}


def limits(
    server: WebServer, route: Route, name: str, config: str, harakiri: float, limit_post: int
) -> Iterator[Finding]:
    """``harakiri`` in seconds, ``limit_post`` in bytes; 0: none. ``name``: the vassal's, ``config`` its ini."""
    waits = route.timeout if route.timeout is not None else untold(route.server).timeout
    if harakiri and waits and waits <= harakiri:
        what = f"{name}: {server.kind} waits {waits:g} s at {route.where}, and harakiri is {harakiri:g} s"
        why = (
            f"{server.kind} wins: after {waits:g} s the visitor gets {_GIVES_UP[server.kind]}, and the worker goes on "
        )
        why += "for nobody"
        mend = (*weblines.waits(route, harakiri + LATER), weblines.reload(server))
        yield Finding("web-timeout", name, what, why, mend, MAY_FAIL)
    yield from _bodies(server, route, name, config, limit_post)


def _bodies(server: WebServer, route: Route, name: str, config: str, limit_post: int) -> Iterator[Finding]:
    """Of an untold limit only the too small one counts: nobody has decided on the larger one."""
    told = route.body_limit
    takes = untold(route.server).body_limit if told is None else told
    # lighttpd counts in KiB, and what is meant for limit-post is rounded up.
    if not limit_post or takes == limit_post or (server.kind == LIGHTTPD and 0 <= takes - limit_post < 1024):
        return
    what = f"{name}: {server.kind} takes bodies of {takes} bytes at {route.where}, and limit-post is {limit_post}"
    if takes and takes < limit_post:
        why = f"{server.kind} wins: an upload between the two gets its 413, and the app never hears of it"
    elif told is not None:
        what = (
            what if takes else f"{name}: {server.kind} takes any body at {route.where}, and limit-post is {limit_post}"
        )
        why = f"limit-post wins: {server.kind} takes an upload between the two, and then the visitor gets 413"
    else:
        return
    other = f"limit-post = {takes}  # or this, in {config or 'its ini'}" if takes else ""
    mend = (*weblines.takes(route, limit_post), weblines.reload(server), *([other] if other else []))
    yield Finding("web-body-limit", name, what, why, mend, MAY_FAIL)
