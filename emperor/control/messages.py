"""The words on the control socket: one JSON line asks, JSON lines answer.

It promises: what ``decode`` returns is a verb of the table, with names that can be vassals and options that
the verb knows, of the right type and in bounds; anything else is a ProtocolError. Who may is a pure function
of the kernel's word on the caller. A verb that is not in the table does not exist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Optional, Union

from emperor.errors import EmperorError, ProtocolError

LIMIT = 64 * 1024
"""Bytes of a request with its newline."""

ALL = "all"
"""In place of names: every vassal that the caller may order about."""

OK, FAILED, USAGE, DOWN, DENIED, NO_VASSAL, NO_DAEMON = 0, 1, 2, 3, 4, 6, 7
"""Exit codes of emperorctl; NO_VASSAL and NO_DAEMON are for orders."""

UNKNOWN = DENIED
"""What ``status`` exits with for both of them, as supervisorctl does (LSB: "unknown")."""

OWN, ADMIN = "own", "admin"
"""Whom a verb is for: everybody for their own vassals, or administrators alone."""

MOST_NAMES = 1024


class Bounds(NamedTuple):
    """An option that is a whole number, both ends included."""

    least: int
    most: int


class Verb(NamedTuple):
    """One row: ``names`` is the least and the most of them; an option without bounds is true or false. Those of
    ``needs`` must be given."""

    reach: str
    names: tuple[int, int]
    mutates: bool
    options: Mapping[str, Optional[Bounds]] = MappingProxyType({})
    needs: tuple[str, ...] = ()


MOST_LINES = 10_000
"""Of one vassal's log in one answer."""

_LINES = Bounds(0, MOST_LINES)
MOST_EVENTS = 1000
"""That the emperor keeps."""
_EVENTS = Bounds(0, MOST_EVENTS)
MOST_WORKERS = 1024
"""As ``processes`` in an ini."""

_WORKERS = Bounds(1, MOST_WORKERS)
_ORDER = Verb(OWN, (1, MOST_NAMES), mutates=True, options=MappingProxyType({"wait": None}))

VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "status": Verb(OWN, (0, MOST_NAMES), False, MappingProxyType({"lines": _LINES, "numbers": None})),
        "start": _ORDER,
        "stop": _ORDER,
        "restart": _ORDER,
        "reload": _ORDER,
        "logs": Verb(OWN, (1, MOST_NAMES), False, MappingProxyType({"lines": _LINES, "follow": None})),
        "events": Verb(OWN, (0, MOST_NAMES), False, MappingProxyType({"last": _EVENTS, "follow": None})),
        "config": Verb(OWN, (1, 1), False),
        "scale": Verb(OWN, (1, 1), True, MappingProxyType({"workers": _WORKERS, "wait": None}), needs=("workers",)),
        "spec": Verb(OWN, (1, 1), False),
        "upgrade": Verb(ADMIN, (0, 0), mutates=True),
        "version": Verb(OWN, (0, 0), False),
    }
)


class Request(NamedTuple):
    verb: str
    names: tuple[str, ...] = ()
    options: Mapping[str, Union[bool, int]] = MappingProxyType({})


class Peer(NamedTuple):
    """The caller, as the kernel names it. ``pid`` is for the log only: it may be somebody else's by now."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    pid: int = 0


class Policy(NamedTuple):
    """Who may do what: ``own_uid`` is the emperor's; ``public`` verbs anybody may use on anything."""

    own_uid: int
    admin_gid: Optional[int] = None
    public: frozenset[str] = frozenset()

    def administers(self, peer: Peer) -> bool:
        if peer.uid in (0, self.own_uid):
            return True
        return self.admin_gid is not None and self.admin_gid in (peer.gid, *peer.groups)

    def permits(self, verb: str, peer: Peer, vassal_uid: Optional[int]) -> bool:
        """``vassal_uid`` None: the request is about no vassal, or about one whose user is not known."""
        return permitted(verb, peer, vassal_uid, self.admin_gid, self.public, self.own_uid)


def permitted(
    verb: str,
    peer: Peer,
    vassal_uid: Optional[int],
    admin_gid: Optional[int],
    public_verbs: frozenset[str],
    own_uid: int = 0,
) -> bool:
    row = VERBS.get(verb)
    if row is None:
        return False
    if verb in public_verbs or Policy(own_uid, admin_gid).administers(peer):
        return True
    return row.reach == OWN and vassal_uid is not None and vassal_uid == peer.uid


def parse_verbs(text: str) -> frozenset[str]:
    """``--control-public``: names with commas between. EmperorError names the first that is no verb."""
    verbs = [part.strip() for part in text.split(",") if part.strip()]
    for verb in verbs:
        if verb not in VERBS:
            raise EmperorError(f"control-public: {verb!r}: no such verb -- the verbs are {', '.join(VERBS)}")
    return frozenset(verbs)


def encode(request: Request) -> bytes:
    """The inverse of ``decode``; ProtocolError if the line would be too long."""
    line = encode_reply({"verb": request.verb, "names": list(request.names), "options": dict(request.options)})
    if len(line) > LIMIT:
        raise ProtocolError(f"request: longer than {LIMIT} bytes -- name fewer vassals")
    return line


def decode(line: bytes) -> Request:
    """One line, its newline included or not."""
    raw = _object(line)
    verb = raw.pop("verb", None)
    names, options = raw.pop("names", []), raw.pop("options", {})
    if raw:
        raise ProtocolError("request: unknown field -- only verb, names and options are known")
    row = VERBS.get(verb) if isinstance(verb, str) else None
    if row is None or not isinstance(verb, str):
        raise ProtocolError(f"request: unknown verb -- this emperor knows {', '.join(VERBS)}")
    return Request(verb, _names(verb, row, names), _options(verb, row, options))


def encode_reply(reply: Mapping[str, Any]) -> bytes:
    # ASCII only: a lone surrogate (a file name that is not UTF-8) must travel as well.
    return json.dumps(reply, separators=(",", ":")).encode("ascii") + b"\n"


def decode_reply(line: bytes) -> dict[str, Any]:
    return _object(line)


def answer(data: Any, exit: int = OK) -> dict[str, Any]:
    """A reply that worked; ``exit`` other than 0: it did, and what it found is not well."""
    return {"ok": exit == OK, "exit": exit, "data": data}


def refusal(error: str, exit: int) -> dict[str, Any]:
    return {"ok": False, "exit": exit, "error": error}


def _object(line: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(line.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):  # RecursionError: 64 KiB of "["
        raise ProtocolError("message: not one line of JSON") from None
    if not isinstance(raw, dict):
        raise ProtocolError("message: not a JSON object")
    return raw


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is given twice")
    return result


def _names(verb: str, row: Verb, names: Any) -> tuple[str, ...]:
    from emperor.model import VASSAL_NAME  # the spec's whole vocabulary comes with it, and who asks has no use for it

    if not isinstance(names, list) or not all(isinstance(name, str) and VASSAL_NAME.fullmatch(name) for name in names):
        raise ProtocolError(f"request: {verb}: a name cannot be a vassal's")
    least, most = row.names
    if ALL in names and (not row.mutates or most == 1 or len(names) > 1):
        how = (
            "stands alone, without names" if row.mutates and most > 1 else f"is no name for {verb} -- name the vassals"
        )
        raise ProtocolError(f"request: {verb}: {ALL!r} {how}")
    unique = tuple(dict.fromkeys(names))
    if not least <= len(unique) <= most:
        raise ProtocolError(f"request: {verb}: takes {least} to {most} names, not {len(unique)}")
    return unique


def _options(verb: str, row: Verb, options: Any) -> Mapping[str, Union[bool, int]]:
    if not isinstance(options, dict):
        raise ProtocolError(f"request: {verb}: options are not an object")
    for name in row.needs:
        if name not in options:
            raise ProtocolError(f"request: {verb}: {name} is missing")
    for name, value in options.items():
        if name not in row.options:
            raise ProtocolError(f"request: {verb}: unknown option -- it knows {', '.join(row.options) or 'none'}")
        bounds = row.options[name]
        # type(): True is an int to isinstance.
        if type(value) is not (bool if bounds is None else int):
            raise ProtocolError(f"request: {verb}: {name}: wrong type")
        if bounds is not None and not bounds.least <= value <= bounds.most:
            raise ProtocolError(f"request: {verb}: {name}: not within {bounds.least} to {bounds.most}")
    return MappingProxyType(dict(options))
