"""Why somebody does not get to what an ini names, in one line, with the command that mends it. Pure."""

from __future__ import annotations

from emperor.ctl.asking import Look
from emperor.ctl.wording import octal
from emperor.model import Identity
from emperor.supervision.interpreter import FOLDER, HIDDEN, IN_THE_WAY, LINK, LOOP, MISSING, Step, closed, opening


def no_way(look: Look, who: Identity, listed: bool = False) -> str:
    """Why ``who`` does not get there, with the mend if that is a mode; "" if they do. ``listed``: Python reads the
    folder's list for what it imports."""
    end = look.end
    if end.kind == FOLDER and not end.usable:
        return f"{closed(end, who)} -- {_listing(end, who) if listed else opening(end, who)}"
    if end.kind == MISSING:
        link = next((step for step in reversed(look.way) if step.kind == LINK), None)
        if link is not None and f"{end.path}/".startswith(f"{link.target.rstrip('/')}/"):
            return f"{_named(link.path)} is a link to {_named(link.target)}, and {_named(end.path)} is not there"
        return f"there is no {_named(end.path)}"
    return _ODD.get(end.kind, "").format(_named(end.path))


def _listing(end: Step, who: Identity) -> str:
    """One user more, before everybody."""
    mend = opening(end, who)
    if not mend.startswith("chmod "):
        return mend
    wide = mend.replace("+x ", "+rx ", 1)
    return f"setfacl -m u:{who.user}:rx {end.path}, or {wide}" if wide.startswith("chmod o") else wide


_ODD = {
    IN_THE_WAY: "{} is no folder",
    LOOP: "{}: links that lead nowhere but to each other",
    HIDDEN: "{}: cannot be looked at",
}


def _named(path: str) -> str:
    """What follows dashes is a mend of ours: none is read out of a user's names."""
    return path.replace(" -- ", " \\x2d- ")


def mended(flaw: str, mend: str) -> str:
    """With a mend, if it has none of its own."""
    return flaw if " -- " in flaw else f"{flaw} -- {mend}"


def unreadable(look: Look, who: Identity) -> str:
    """What is closed to others may hold secrets: one user more is to read it, not everybody."""
    end = look.end
    role, bit = ("u", 0o400) if end.uid == who.uid else ("g", 0o040) if end.gid in (who.gid, *who.groups) else ("o", 4)
    mend = f"chmod {role}+r {end.path}"
    if end.mode & bit:
        mend = f"its mode would allow it: look at getfacl {end.path}, and at what a security module says"
    elif role == "o":
        mend = f"setfacl -m u:{who.user}:r {end.path}, or {mend} if it holds no secret"
    return f"{who.user} cannot read {end.path} ({look.owner}'s, mode {octal(end.mode)}) -- {mend}"


def unreachable(end: Step, web: Identity) -> str:
    """A folder of sockets that the web server cannot enter."""
    mend = opening(end, web)
    if mend.startswith("chmod"):
        mend = f"{mend}, or setfacl -m u:{web.user}:x {end.path}, or leave `socket` out"
    elif not mend.startswith("its mode"):
        mend = f"leave `socket` out, or name a folder that {web.user} can enter"
    return f"{closed(end, web)}: nginx will say 13: Permission denied -- {mend}"
