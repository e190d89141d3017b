"""What the text alone does not make good: who may connect, and whose word is believed. Each remark is one line."""

from __future__ import annotations

from collections.abc import Iterable

from emperor.model import HTTP, OWNER, UNIX, Identity, SocketSpec, VassalSpec
from emperor.text import printable


def remarks(spec: VassalSpec, chosen: SocketSpec, web: Identity | None) -> Iterable[str]:
    """``chosen``: the socket that the web server is told; ``web``: who it is, if that is known."""
    if chosen.address.family == UNIX and web is not None and not _lets_in(chosen, spec, web):
        mode = chosen.mode if chosen.mode is not None else 0o777 & ~(chosen.umask or 0)
        yield (
            f"the socket's mode is {mode:o}: {printable(web.user)} may not connect, and visitors will get 502 or 503 "
            "-- leave chmod-socket out of the ini, or write 660 there and chown-socket = :GROUP"
        )
    if chosen.address.family != UNIX:
        yield "whoever reaches the TCP socket can speak to the app as the web server does -- a Unix socket has a mode"
    if chosen.protocol == HTTP and not spec.proxy_fix:
        yield (
            "over HTTP the app sees the web server as its visitor -- write proxy-fix = 1 in the ini, "
            "and it believes the X-Forwarded- headers"
        )
    if spec.static_map and spec.authority.kind == OWNER:
        yield (
            f"{printable(spec.identity.user)} wrote the ini and has chosen the folders of static-map -- "
            "look whether all that lies there may be seen by everybody"
        )


def _lets_in(socket: SocketSpec, spec: VassalSpec, web: Identity) -> bool:
    """May the web server connect to it, as owner, by a group or as anybody?"""
    if web.uid == 0 or (socket.mode is None and socket.umask is None):
        return True
    mode = socket.mode if socket.mode is not None else 0o777 & ~(socket.umask or 0)
    owner = spec.identity.uid if socket.uid is None else socket.uid
    group = spec.identity.gid if socket.gid is None else socket.gid
    if web.uid == owner:
        return bool(mode & 0o200)
    if group in (web.gid, *web.groups):
        return bool(mode & 0o020)
    return bool(mode & 0o002)
