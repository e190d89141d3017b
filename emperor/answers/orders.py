"""Orders to vassals: carried out at once, answered when every vassal that they name has come to rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from emperor.answers.realm import Realm
from emperor.control.connection import Reply
from emperor.control.messages import FAILED, NO_VASSAL, OK, Request, answer
from emperor.supervision.outcome import Ticket, outcome
from emperor.supervision.record import Wanted
from emperor.system.eventloop import Loop


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


class Orders:
    """Those that are not answered yet."""

    def __init__(self, realm: Realm, loop: Loop) -> None:
        self._realm, self._loop = realm, loop
        self._pending: list[Pending] = []

    def export(self) -> tuple[PendingState, ...]:
        return tuple(
            PendingState(one.reply.fd, one.tickets, one.begun, tuple(map(json.dumps, one.results)), one.exit)
            for one in self._pending
            if not one.reply.gone
        )

    def adopt(self, states: Sequence[PendingState], reply_to: Callable[[int], Reply | None]) -> None:
        for one in states:
            reply = reply_to(one.caller)
            if reply is not None:
                results = [json.loads(result) for result in one.results]
                self._pending.append(Pending(reply, dict(one.tickets), one.begun, results, one.exit))

    def give(self, names: Sequence[str], request: Request, reply: Reply) -> None:
        pending = Pending(reply, {}, self._loop.now())
        for name in names:
            before = self._realm.vassals[name]
            refusal = self._realm.order(name, request.verb, int(request.options.get("workers", 0)))
            if refusal:
                serves_on = self._realm.vassals[name].serving is not None and "serves on" not in refusal
                message = f"{refusal}\nthe old generation serves on" if serves_on else refusal
                pending.results.append({"name": name, "ok": False, "message": message, "seconds": 0.0})
                invalid = self._realm.vassals[name].wanted is Wanted.UP
                pending.exit = NO_VASSAL if invalid else FAILED
            elif request.options.get("wait", True):
                pending.tickets[name] = Ticket(request.verb, before)
            else:
                pending.results.append({"name": name, "ok": True, "message": "ordered", "seconds": 0.0})
        self._pending.append(pending)
        self._settle(pending)

    def look_again(self) -> None:
        """A vassal has changed: perhaps an order is done."""
        for pending in list(self._pending):
            self._settle(pending)

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
