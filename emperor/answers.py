"""What the control socket's verbs do: the right-hand side of ``control.messages.VERBS``.

It promises: nobody sees or orders what the verb's row does not permit; an order is answered when its result is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from emperor import __version__
from emperor.control import messages
from emperor.control.connection import Reply
from emperor.control.messages import (
    ALL,
    DENIED,
    FAILED,
    NO_VASSAL,
    OK,
    UNKNOWN,
    Peer,
    Policy,
    Request,
    answer,
)
from emperor.supervision.outcome import Ticket, outcome
from emperor.supervision.record import Vassal, Wanted
from emperor.system.eventloop import Loop
from emperor.tending.performer import Performer

FOLLOW_EVERY = 0.2
"""Seconds between two looks at the rings that somebody follows."""


class Realm(Protocol):
    """What the daemon lets its control socket see and do."""

    vassals: dict[str, Vassal]
    performers: dict[str, Performer]

    def show(self, name: str, lines: int) -> dict[str, Any]: ...

    def owner(self, name: str) -> int | None: ...

    def order(self, name: str, verb: str, workers: int = 0) -> str:
        """Carry it out; "" or why it cannot be (an invalid ini)."""
        ...

    def upgrade(self, reply: Reply) -> None:
        """Replace this program by the one that is installed now; answered by whichever of them then runs."""
        ...


@dataclass
class Pending:
    """One client's order, until every vassal it names has come to rest."""

    reply: Reply
    tickets: dict[str, Ticket]
    begun: float
    results: list[dict[str, Any]] = field(default_factory=list)
    exit: int = OK


@dataclass(frozen=True)
class PendingState:
    """An order that is handed over. ``caller``: the client's descriptor; ``results``: each as JSON."""

    caller: int
    tickets: dict[str, Ticket]
    begun: float
    results: tuple[str, ...]
    exit: int


@dataclass(frozen=True)
class FollowerState:
    """Who follows logs. ``seen``: name → the number of the last line that was sent."""

    caller: int
    seen: dict[str, int]


@dataclass(frozen=True)
class AnswersState:
    pending: tuple[PendingState, ...]
    followers: tuple[FollowerState, ...]


class Answers:
    """A ``control.server.Handler``."""

    def __init__(self, realm: Realm, policy: Policy, loop: Loop) -> None:
        self._realm, self._policy, self._loop = realm, policy, loop
        self._pending: list[Pending] = []
        self._followers: list[tuple[Reply, dict[str, int]]] = []

    def export(self) -> AnswersState:
        pending = tuple(
            PendingState(one.reply.fd, one.tickets, one.begun, tuple(map(json.dumps, one.results)), one.exit)
            for one in self._pending
            if not one.reply.gone
        )
        followers = tuple(FollowerState(reply.fd, seen) for reply, seen in self._followers if not reply.gone)
        return AnswersState(pending, followers)

    def adopt(self, state: AnswersState, reply_to: Callable[[int], Reply | None]) -> None:
        """Go on with what an older program of ours was asked for."""
        for one in state.pending:
            reply = reply_to(one.caller)
            if reply is not None:
                results = [json.loads(result) for result in one.results]
                self._pending.append(Pending(reply, dict(one.tickets), one.begun, results, one.exit))
        for follower in state.followers:
            reply = reply_to(follower.caller)
            if reply is not None:
                self._begin_to_follow(reply, dict(follower.seen))

    def __call__(self, request: Request, peer: Peer, reply: Reply) -> None:
        _VERBS[request.verb](self, request, peer, reply)

    def look_again(self) -> None:
        """A vassal has changed: perhaps an order is done."""
        for pending in list(self._pending):
            self._settle(pending)

    def _permitted(self, verb: str, peer: Peer) -> list[str]:
        return [
            name for name in sorted(self._realm.vassals) if self._policy.permits(verb, peer, self._realm.owner(name))
        ]

    def _strangers(self, request: Request, peer: Peer) -> list[str]:
        """Names that are not there, or not this caller's: nobody is told which of the two it is."""
        if request.names == (ALL,) and messages.VERBS[request.verb].mutates:
            return []
        allowed = set(self._permitted(request.verb, peer))
        return [name for name in request.names if name not in allowed]

    def _refused(self, request: Request, peer: Peer, reply: Reply) -> bool:
        strangers = self._strangers(request, peer)
        if strangers and self._policy.administers(peer):
            reply.finish(messages.refusal(f"{', '.join(strangers)}: no such vassal", NO_VASSAL))
        elif strangers:
            reply.finish(messages.refusal(f"{', '.join(strangers)}: no vassal of yours", DENIED))
        return bool(strangers)

    def status(self, request: Request, peer: Peer, reply: Reply) -> None:
        strangers = self._strangers(request, peer)
        names = [name for name in request.names if name not in strangers]
        if not request.names:
            names = self._permitted("status", peer)
        lines = int(request.options.get("lines", 0))
        found = answer([self._realm.show(name, lines) for name in names])
        if strangers:
            found.update(messages.refusal(f"{', '.join(strangers)}: no such vassal", UNKNOWN))
        reply.finish(found)

    def spec(self, request: Request, peer: Peer, reply: Reply) -> None:
        """What a vassal was told that runs, for who writes a web server's configuration. Its ``env`` holds secrets."""
        if self._refused(request, peer, reply):
            return
        (name,) = request.names
        vassal = self._realm.vassals[name]
        spec = vassal.proven if vassal.serving is not None else vassal.spec
        if spec is None:
            reply.finish(messages.refusal(f"{name}: its ini is invalid -- emperorctl status {name}", NO_VASSAL))
            return
        reply.finish(answer(asdict(replace(spec, env=()))))

    def version(self, request: Request, peer: Peer, reply: Reply) -> None:
        if not self._policy.permits("version", peer, None):
            reply.finish(messages.refusal("version: not permitted", DENIED))
            return
        reply.finish(answer(__version__))

    def logs(self, request: Request, peer: Peer, reply: Reply) -> None:
        if self._refused(request, peer, reply):
            return
        seen = {}
        for name in request.names:
            ring = self._realm.performers[name].ring
            lines = ring.last(int(request.options.get("lines", 10)))
            reply.send({"ok": True, "data": {"name": name, "lines": lines}})
            seen[name] = ring.count
        if request.options.get("follow"):
            self._begin_to_follow(reply, seen)
        else:
            reply.finish(answer(None))

    def _begin_to_follow(self, reply: Reply, seen: dict[str, int]) -> None:
        self._followers.append((reply, seen))
        self._follow(reply, seen)

    def _follow(self, reply: Reply, seen: dict[str, int]) -> None:
        if reply.gone:
            self._followers.remove((reply, seen))
            return
        for name in list(seen):
            performer = self._realm.performers.get(name)
            if performer is None:
                del seen[name]
            elif performer.ring.count > seen[name]:
                data = {"name": name, "lines": performer.ring.since(seen[name])}
                seen[name] = performer.ring.count
                reply.send({"ok": True, "data": data})
        if not seen:
            self._followers.remove((reply, seen))
            reply.finish(answer(None))
            return
        self._loop.call_at(self._loop.now() + FOLLOW_EVERY, lambda: self._follow(reply, seen))

    def order(self, request: Request, peer: Peer, reply: Reply) -> None:
        if self._refused(request, peer, reply):
            return
        names = list(request.names)
        if request.names == (ALL,):
            names = self._permitted(request.verb, peer)
            if request.verb == "reload":
                # What is stopped on purpose has nothing to reload, and that is as wished.
                names = [name for name in names if self._realm.vassals[name].wanted is Wanted.UP]
        pending = Pending(reply, {}, self._loop.now())
        for name in names:
            before = self._realm.vassals[name]
            refusal = self._realm.order(name, request.verb, int(request.options.get("workers", 0)))
            if refusal:
                pending.results.append({"name": name, "ok": False, "message": refusal, "seconds": 0.0})
                invalid = self._realm.vassals[name].wanted is Wanted.UP
                pending.exit = NO_VASSAL if invalid else FAILED
            elif request.options.get("wait", True):
                pending.tickets[name] = Ticket(request.verb, before)
            else:
                pending.results.append({"name": name, "ok": True, "message": "ordered", "seconds": 0.0})
        self._pending.append(pending)
        self._settle(pending)

    def upgrade(self, request: Request, peer: Peer, reply: Reply) -> None:
        if not self._policy.administers(peer):
            reply.finish(messages.refusal("upgrade: not permitted", DENIED))
            return
        self._realm.upgrade(reply)

    def _settle(self, pending: Pending) -> None:
        now = self._loop.now()
        for name, ticket in list(pending.tickets.items()):
            result = outcome(ticket, self._realm.vassals.get(name))
            if result is None:
                continue
            del pending.tickets[name]
            ok, message = result
            pending.results.append(
                {"name": name, "ok": ok, "message": message, "seconds": round(now - pending.begun, 3)}
            )
            if not ok and pending.exit == OK:
                pending.exit = FAILED
        if pending.reply.gone or not pending.tickets:
            self._pending.remove(pending)
            pending.reply.finish(answer(pending.results, pending.exit))


_VERBS: dict[str, Callable[[Answers, Request, Peer, Reply], None]] = {
    "status": Answers.status,
    "spec": Answers.spec,
    "version": Answers.version,
    "upgrade": Answers.upgrade,
    "logs": Answers.logs,
    "start": Answers.order,
    "stop": Answers.order,
    "restart": Answers.order,
    "reload": Answers.order,
    "scale": Answers.order,
}
