"""What stands between the web server and a vassal's socket, from what was seen of the way to it. Pure."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

from emperor.ctl.wording import group_name, octal, user_name
from emperor.doctor import mends
from emperor.doctor.facts import SOCKET, Knock, Place
from emperor.doctor.finding import MAY_FAIL, Finding
from emperor.model import UNIX, VassalSpec
from emperor.supervision.interpreter import FOLDER
from emperor.system.access import access

UP = ("RUNNING", "RELOADING", "IDLE")
"""States in which the socket is to be there."""

_REFUSED = "the web server answers 502: connect() to unix:{} failed ({})"
_DENIED = "13: Permission denied"
_GONE = "2: No such file or directory"


def findings(knock: Knock, acls: bool = True) -> Iterator[Finding]:
    """``acls``: has the machine a setfacl?"""
    if knock.address.family == UNIX and knock.place is not None:
        yield from _of_place(knock, knock.place, acls)
    reply = knock.reply
    if reply is not None and reply.stage == "connect":
        yield from _CONNECT.get(reply.errno, _odd)(knock)


def _of_place(knock: Knock, place: Place, acls: bool) -> Iterator[Finding]:
    if place.closed:
        yield _closed(knock, place, acls)
    elif not place.kind:
        yield from _absent(knock, place)
    elif place.kind != SOCKET:
        yield _occupied(knock, place)
    elif knock.inode and place.listener and place.listener != knock.inode:
        yield _squatted(knock, place)
    elif not place.writable:
        yield _shut(knock, place, acls)
    elif place.listener == 0 and knock.reply is None and knock.subject.state in UP:
        yield _stale(knock)


def _closed(knock: Knock, place: Place, acls: bool) -> Finding:
    end, who = place.end, knock.who
    whose = f"{user_name(end.uid)}:{group_name(end.gid)}, mode {octal(end.mode)}"
    acl = ", with an ACL that does not name it" if mends.by_acl(place.acl) else ""
    return Finding(
        "socket-folder",
        knock.subject.name,
        f"socket {knock.address}: {who.user}, the web server's user, cannot enter {end.path} ({whose}{acl})",
        _REFUSED.format(knock.address, _DENIED),
        _safely(knock, place, mends.entered(place, who, acls, named=not knock.own), end.uid),
    )


def _holder(place: Place) -> int:
    """Whose the folder is that it lies in."""
    return next((step.uid for step in reversed(place.way[:-1]) if step.kind == FOLDER), 0)


def _safely(knock: Knock, place: Place, lines: tuple[str, ...], uid: int) -> tuple[str, ...]:
    """Root follows no name in a user's folder, where it may be another thing by then: ``uid`` types it."""
    users = [step for step in place.way[:-1] if step.kind == FOLDER and step.uid]
    if knock.asker or not users:
        return lines
    if not uid:
        whose = user_name(users[-1].uid)
        return tuple(line if line[0] == "#" else f"# once you see what {whose} has there: {line}" for line in lines)
    return tuple(line if line[0] == "#" else f"runuser -u {user_name(uid)} -- {line}" for line in lines)


def _absent(knock: Knock, place: Place) -> Iterator[Finding]:
    """While the vassal is down, why it is down says more."""
    if knock.subject.state not in UP:
        return
    name = knock.subject.name
    what = f"there is no {place.end.path}" if place.missing else f"{place.end.path}: is in the way, or no folder"
    yield Finding(
        "socket-missing",
        name,
        f"socket {knock.address}: {what}, and {name} is {knock.subject.state}: somebody removed it",
        _REFUSED.format(knock.address, _GONE),
        (f"emperorctl restart {name}",),
    )


def _occupied(knock: Knock, place: Place) -> Finding:
    path = mends.quoted(place.end.path)
    return Finding(
        "socket-occupied",
        knock.subject.name,
        f"socket {knock.address}: is a {place.kind} of {user_name(place.uid)}'s, no socket",
        "the web server answers 502: nobody can connect to it, and the vassal cannot bind there",
        (
            *_safely(knock, place, (f"mv {path} {path}.away",), _holder(place)),
            f"emperorctl restart {knock.subject.name}",
        ),
    )


def _squatted(knock: Knock, place: Place) -> Finding:
    path = mends.quoted(place.end.path)
    return Finding(
        "socket-squatted",
        knock.subject.name,
        f"socket {knock.address}: the file is {user_name(place.uid)}'s, and another process listens there, not"
        f" {knock.subject.name}",
        "the web server's requests go to that process; the vassal waits at a socket that has no file any more",
        (
            f"ss -lxp src {path}  # shows who it is",
            *_safely(knock, place, (f"rm {path}",), _holder(place)),
            f"emperorctl restart {knock.subject.name}",
        ),
    )


def _shut(knock: Knock, place: Place, acls: bool) -> Finding:
    """The kernel has refused; which of mode and ACL it was is read from them."""
    who, path = knock.who, knock.address
    owner = f"{user_name(place.uid)}:{group_name(place.gid)}"
    mend = (*_restored(knock, place, acls), *_for_good(knock, place))
    why = _REFUSED.format(path, _DENIED)
    if mends.masked(place.acl, who):
        what = f"its ACL lets {who.user} in, and the mask, which is its group bits, takes that away"
        return Finding("socket-acl", knock.subject.name, f"socket {path}: mode {octal(place.mode)}: {what}", why, mend)
    reason = f"connecting takes the right to write, and {who.user} has none ({_which(place, knock)})"
    what = f"socket {path}: {owner}, mode {octal(place.mode)}: {reason}"
    return Finding("socket-mode", knock.subject.name, what, why, mend)


def _restored(knock: Knock, place: Place, acls: bool) -> tuple[str, ...]:
    """As the ini makes it, if somebody has changed it by hand; else the narrowest way in."""
    name, made = knock.subject.name, _made(knock, place)
    lines = _safely(knock, place, made or mends.written(place, knock.who, acls), place.uid)
    anew = f"emperorctl stop {name} && emperorctl start {name}"
    if all(line.startswith("#") for line in lines):
        return (anew,) if made else (*lines, anew)
    return (*lines, f"# or: {anew}  # makes it anew") if made else lines


def _made(knock: Knock, place: Place) -> tuple[str, ...]:
    """What gives it owner and mode back by which the web server is let in; (): those are not it."""
    spec, who, path = knock.subject.spec, knock.who, mends.quoted(place.end.path)
    said = next((one for one in spec.sockets if one.address == knock.address), None) if spec is not None else None
    if spec is None or said is None or not said.silent or mends.by_acl(place.acl):
        return ()
    roots = not any(step.uid for step in place.way[:-1] if step.kind == FOLDER)
    told = access(said, spec.identity, spec.web_gid, 0, roots)
    if told.gid is None or told.gid not in (who.gid, *who.groups):
        return ()
    owner = f"{user_name(spec.identity.uid)}:{group_name(told.gid)}"
    lines = (f"chown {owner} {path}",) if (place.uid, place.gid) != (told.uid, told.gid) else ()
    return (*lines, *((f"chmod {told.mode:03o} {path}",) if place.mode != told.mode else ()))


def _which(place: Place, knock: Knock) -> str:
    who = knock.who
    if place.uid == who.uid:
        return "its owner's bits lack w"
    if mends.named(place.acl, who):
        return "its ACL has an entry for it that lacks w"
    if place.gid in (who.gid, *who.groups):
        if mends.group_bits(place.acl, place.mode) & 2 and place.mode & 0o020:
            return "its mode allows it: a security module refuses, perhaps"
        return f"it is in the group {group_name(place.gid)}, whose bits lack w"
    if place.mode & 0o002:
        return "its mode allows it: a security module refuses, perhaps"
    return f"it is neither {user_name(place.uid)} nor in the group {group_name(place.gid)}"


def _for_good(knock: Knock, place: Place) -> tuple[str, ...]:
    """What is typed lasts until the socket is made anew; the ini's line is what decides."""
    spec = knock.subject.spec
    if spec is None:
        return ()
    lines = _lines(spec, knock)
    if not lines:
        # Somebody has changed it: the ini makes it as it is to be.
        return ()
    who = knock.who.user
    return (
        f"# for good, in {spec.config}: remove {' and '.join(lines)} (the emperor then lets {who} in and nobody else)",
        f"# or write there: {_instead(spec, place, knock)}; then: emperorctl reload {spec.name}",
    )


def _lines(spec: VassalSpec, knock: Knock) -> list[str]:
    said = next((one for one in spec.sockets if one.address == knock.address), None)
    if said is None:
        return []
    lines = [f"chmod-socket = {said.mode:03o}"] if said.mode is not None else []
    lines += [f"socket-umask = {said.umask:03o}"] if said.umask is not None else []
    return lines + (["chown-socket"] if said.uid is not None or said.gid is not None else [])


def _instead(spec: VassalSpec, place: Place, knock: Knock) -> str:
    """The mode with the group's w where the group is the web server's, else with everybody's."""
    if place.gid in (knock.who.gid, *knock.who.groups):
        return "chmod-socket = 660"
    said = next((one for one in spec.sockets if one.address == knock.address), None)
    if said is not None and said.mode is None and said.umask is not None:
        return "socket-umask = 000 (everybody may connect)"
    return "chmod-socket = 666 (everybody may connect)"


def _stale(knock: Knock) -> Finding:
    name = knock.subject.name
    return Finding(
        "socket-stale",
        name,
        f"socket {knock.address}: is there, and nobody listens",
        _REFUSED.format(knock.address, "111: Connection refused"),
        (f"emperorctl restart {name}",),
    )


def _refused(knock: Knock) -> Iterator[Finding]:
    """Of a vassal that is down it is no news."""
    if knock.subject.state in UP:
        yield _stale(knock)


def _full(knock: Knock) -> Iterator[Finding]:
    name, spec = knock.subject.name, knock.subject.spec
    backlog = next((one.backlog for one in spec.sockets if one.address == knock.address), 0) if spec else 0
    many = f"{backlog} wait already (listen = {backlog})" if backlog else "as many wait as may"
    yield Finding(
        "socket-full",
        name,
        f"socket {knock.address}: {many}, and nobody else is let in",
        "the web server answers 502: connect() failed (11: Resource temporarily unavailable)",
        (
            f"emperorctl status {name}  # what its workers do, and for how long",
            f"emperorctl scale {name} {2 * (spec.processes if spec else 1)}",
            f"# in {knock.subject.config}: more `processes` or `threads`, or a `harakiri` that ends what hangs",
        ),
    )


def _absent_now(knock: Knock) -> Iterator[Finding]:
    """It was not looked at: it has no file, or nobody could look."""
    if knock.place is None and knock.subject.state in UP:
        yield Finding(
            "socket-missing",
            knock.subject.name,
            f"socket {knock.address}: there is none",
            _REFUSED.format(knock.address, _GONE),
            (f"emperorctl restart {knock.subject.name}",),
        )


def _denied(knock: Knock) -> Iterator[Finding]:
    """Where the look said that it may: something beside modes and ACLs decides."""
    if knock.place is None or knock.place.writable:
        yield Finding(
            "socket-mode",
            knock.subject.name,
            f"socket {knock.address}: {knock.who.user} may not connect, though its mode and ACL would allow it",
            _REFUSED.format(knock.address, _DENIED),
            ("# a security module refuses: ausearch -m avc -ts recent, or journalctl -k -g apparmor",),
        )


def _odd(knock: Knock) -> Iterator[Finding]:
    if knock.subject.state in UP and knock.reply is not None:
        yield Finding(
            "socket-stale",
            knock.subject.name,
            f"socket {knock.address}: {knock.reply.reason}",
            "the web server answers 502",
            (f"emperorctl restart {knock.subject.name}",),
            MAY_FAIL if knock.reply.errno == errno.EMFILE else "fails",
        )


_CONNECT: dict[int, Callable[[Knock], Iterator[Finding]]] = {
    errno.ECONNREFUSED: _refused,
    errno.EAGAIN: _full,
    errno.ENOENT: _absent_now,
    errno.EACCES: _denied,
}
