"""The listening sockets that an ini asks for, and whether it may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emperor.config.addresses import check_unix_path
from emperor.config.context import Context
from emperor.config.language.inifile import Row
from emperor.config.settings import Findings, Setting, Settings, resolve
from emperor.model import ADMIN, FASTCGI, HTTP, TCP, UNIX, UWSGI, Address, Identity, SocketSpec

FIXED = {"uwsgi-socket": UWSGI, "fastcgi-socket": FASTCGI, "http-socket": HTTP, "http": HTTP}
PRIVILEGED = 1024
"""ip(7): ports below are the administrator's to give."""

MOST = 32
"""Listeners are the emperor's descriptors, which one ini must not use up."""

_AS_THE_WEB_SERVER = "whoever reaches this port can speak {} to the app as the web server does"
_REACHED = {HTTP: "this port has no TLS, nor a web server's limits to protect the app"}
_KEEP = "127.0.0.1:PORT or a Unix socket keeps it to this machine"

Found = tuple[Setting | None, str, Address]
"""The row (None: nothing was written), the protocol, the address."""


def listeners(
    settings: Settings, context: Context, base: str, identity: Identity | None, findings: Findings
) -> tuple[tuple[SocketSpec, Row | None], ...]:
    """One per socket, with the row that names it; none named: the vassal's own in the runtime folder.

    ``base``: where paths begin.
    """
    protocol = settings.last("protocol")
    usual = protocol.value if protocol else UWSGI
    found: list[Found] = [
        (one, FIXED.get(one.option.name, usual), address)
        for one in settings.all("socket", *FIXED)
        if (address := _address(one, context, base, findings))
    ]
    if len(found) > MOST:
        findings.wrong(found[MOST][0], f"is one socket too many -- an ini may name {MOST}")
    _reachable(found, findings)
    _distinct(found, findings)
    if not settings.named & {"socket", *FIXED}:
        found = [(protocol, usual, _default(context, findings))]
    _spoken_by_flup(settings, found, findings)
    like = _common(settings, context, identity, findings)
    if identity and any(address.family == UNIX for _, _, address in found):
        _reached_by_the_web(settings, like, context, identity, findings)
    return tuple(
        (replace(like, protocol=spoken, address=address), setting.row if setting else None)
        for setting, spoken, address in found
    )


def _default(context: Context, findings: Findings) -> Address:
    try:
        return Address(UNIX, path=check_unix_path(context.default_socket))
    except ValueError as why:
        findings.wrong(None, f"names no socket, and the default one {why} -- write socket = /PATH")
        return Address(UNIX)


def _address(setting: Setting, context: Context, base: str, findings: Findings) -> Address | None:
    address: Address = setting.value
    if address.family == TCP and address.port < PRIVILEGED and context.authority.kind != ADMIN:
        findings.wrong(setting, f"a port below {PRIVILEGED} is only for an ini that root alone can write")
    if address.family != UNIX:
        return address
    try:
        path = check_unix_path(resolve(base, address.path))
    except ValueError as why:
        findings.wrong(setting, str(why))
        return None
    if context.reserves(path) and path != resolve("/", context.default_socket):
        findings.wrong(setting, f"the emperor's own folder: only {context.name}.sock there is this ini's")
    return replace(address, path=path)


def _reachable(found: Sequence[Found], findings: Findings) -> None:
    for setting, protocol, address in found:
        local = address.host == "::1" or address.host.startswith("127.")
        if address.family == TCP and not local:
            findings.warn(setting, f"{_REACHED.get(protocol, _AS_THE_WEB_SERVER).format(protocol)} -- {_KEEP}")


def _distinct(found: Sequence[Found], findings: Findings) -> None:
    first: dict[Address, Setting | None] = {}
    for setting, _, address in found:
        earlier = first.setdefault(address, setting)
        if earlier and earlier is not setting:
            findings.wrong(setting, f"is the same address as {earlier.row.key} ({earlier.where}) -- remove one")


def _spoken_by_flup(settings: Settings, found: Sequence[Found], findings: Findings) -> None:
    engine = settings.last("fastcgi-engine")
    if engine and engine.value == "flup":
        for setting, protocol, _ in found:
            if protocol != FASTCGI:
                findings.wrong(
                    setting or engine,
                    "fastcgi-engine = flup speaks FastCGI only -- write fastcgi-socket or protocol = fastcgi",
                )


def _common(settings: Settings, context: Context, identity: Identity | None, findings: Findings) -> SocketSpec:
    """What all sockets of an ini have in common.

    The process's own ``umask`` counts where ``socket-umask`` is silent: uWSGI's rule for an ini that names
    it.
    """
    owner = settings.last("chown-socket")
    uid, gid = _owner(owner, context, identity, findings) if owner else (None, None)
    return SocketSpec(
        protocol=UWSGI,
        address=Address(UNIX),
        mode=settings.value("chmod-socket"),
        umask=settings.value("socket-umask", settings.value("umask")),
        uid=uid,
        gid=gid,
        backlog=settings.value("listen", SocketSpec.backlog),
    )


def _reached_by_the_web(
    settings: Settings, like: SocketSpec, context: Context, identity: Identity, findings: Findings
) -> None:
    """Only what the ini says itself is judged; where it is silent the web server may connect."""
    named = settings.last("chmod-socket") or settings.last("socket-umask") or settings.last("umask")
    if named is None:
        return
    mode = 0o777 & ~(like.umask or 0) if like.mode is None else like.mode
    if not _lets_in(mode, like.uid, like.gid, context, identity):
        findings.warn(named, _shut_out(mode, context, identity))


def _lets_in(mode: int, uid: int | None, gid: int | None, context: Context, identity: Identity) -> bool:
    """May the web server's user connect to such a socket, by owner, group or as anybody? Nobody known: yes."""
    web = context.web
    if web is None or web.uid == 0 or mode & 0o002:
        return True
    owner, group = identity.uid if uid is None else uid, identity.gid if gid is None else gid
    if web.uid == owner:
        return bool(mode & 0o200)
    return group in (web.gid, *web.groups) and bool(mode & 0o020)


def _shut_out(mode: int, context: Context, identity: Identity) -> str:
    assert context.web is not None
    web = context.web.user
    return (
        f"{mode:03o} shuts {web} out, the web server, unless its folder gives the socket another group or ACL -- "
        f"leave this line out, or write chown-socket = {identity.user}:{web} and chmod-socket = 660"
    )


def _owner(
    setting: Setting, context: Context, identity: Identity | None, findings: Findings
) -> tuple[int | None, int | None]:
    user, group = setting.value
    account = context.accounts.user(user) if user else None
    gid = context.accounts.group(group) if group else None
    if user and account is None:
        findings.wrong(setting, "there is no such user")
    if group and gid is None:
        findings.wrong(setting, "there is no such group")
    uid = account.uid if account else None
    if identity and not _may_give(uid, gid, context, identity):
        findings.wrong(setting, f"{identity.user} cannot give a socket to this user or group -- {_mend(context)}")
    return uid, gid


def _may_give(uid: int | None, gid: int | None, context: Context, identity: Identity) -> bool:
    """chown(2): a user gives to the groups they are in. Root gives to anybody, but for a user's ini only to
    the web server's group beside those.
    """
    root = context.own.uid == 0
    if root and context.authority.kind == ADMIN:
        return True
    groups = {None, identity.gid, *identity.groups, *((context.web_gid,) if root else ())}
    return uid in (None, identity.uid) and gid in groups


def _mend(context: Context) -> str:
    return "name a group they are in" if context.own.uid == 0 else "remove this line, or start the emperor as root"
