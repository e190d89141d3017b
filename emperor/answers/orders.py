"""Orders to vassals: carried out at once, answered when every vassal that they name has come to rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from emperor.answers.realm import Realm
from emperor.control.connection import Reply
from emperor.control.messages import FAILED, NO_VASSAL, OK, Request, answer
from emperor.supervision.outcome import Given, Ticket, outcome
from emperor.supervision.record import Wanted
from emperor.system.eventloop import Loop


@dataclass(eq=False)
class Pending:
    """One client's order, until every vassal it names has come to rest.

    ``to_come``: of so many it has not been carried out yet; ``notes``: what is told with a vassal's result.
    """

    reply: Reply
    tickets: dict[str, Ticket]
    begun: float
    results: list[dict[str, Any]] = field(default_factory=list)
    exit: int = OK
    notes: dict[str, str] = field(default_factory=dict)
    to_come: int = 0


@dataclass(frozen=True)
class PendingState:
    """An order that is handed over. ``caller``: the client's descriptor; ``results``: each as JSON."""

    caller: int
    tickets: dict[str, Ticket]
    begun: float
    results: tuple[str, ...]
    exit: int
    notes: dict[str, str] = field(default_factory=dict)


class Orders:
    """Those that are not answered yet."""

    def __init__(self, realm: Realm, loop: Loop) -> None:
        self._realm, self._loop = realm, loop
        self._pending: list[Pending] = []

    def export(self) -> tuple[PendingState, ...]:
        return tuple(
            PendingState(one.reply.fd, one.tickets, one.begun, tuple(map(json.dumps, one.results)), one.exit, one.notes)
            for one in self._pending
            if not one.reply.gone
        )

    def adopt(self, states: Sequence[PendingState], reply_to: Callable[[int], Reply | None]) -> None:
        for one in states:
            reply = reply_to(one.caller)
            if reply is not None:
                results = [json.loads(result) for result in one.results]
                self._pending.append(Pending(reply, dict(one.tickets), one.begun, results, one.exit, dict(one.notes)))

    def give(self, names: Sequence[str], request: Request, reply: Reply) -> None:
        pending = Pending(reply, {}, self._loop.now(), to_come=len(names))
        workers = int(request.options.get("workers", 0))
        for name in names:
            self._realm.order(name, request.verb, workers, partial(self._carry_out, pending, request, name))
        self._pending.append(pending)
        self._settle(pending)

    def _carry_out(self, pending: Pending, request: Request, name: str, act: Callable[[], Given]) -> None:
        before, given = self._realm.vassals.get(name), Given("the emperor failed to carry it out")
        try:
            given = act()
        finally:
            pending.to_come -= 1
            if given.note:
                pending.notes[name] = given.note
            if given.refusal:
                self._refused(pending, name, given.refusal)
            elif before is not None and request.options.get("wait", True):
                pending.tickets[name] = Ticket(request.verb, before)
            else:
                self._done(pending, name, True, "ordered")
            if pending in self._pending:
                self._settle(pending)

    def _refused(self, pending: Pending, name: str, refusal: str) -> None:
        now = self._realm.vassals.get(name)
        serves_on = now is not None and now.serving is not None and "serves on" not in refusal
        self._done(pending, name, False, f"{refusal}\nthe old generation serves on" if serves_on else refusal)
        pending.exit = NO_VASSAL if now is not None and now.wanted is Wanted.UP else FAILED

    def _done(self, pending: Pending, name: str, ok: bool, message: str) -> None:
        seconds = round(self._loop.now() - pending.begun, 3)
        message = "\n".join(filter(None, (message, pending.notes.pop(name, ""))))
        pending.results.append({"name": name, "ok": ok, "message": message, "seconds": seconds})

    def look_again(self) -> None:
        """A vassal has changed: perhaps an order is done."""
        for pending in list(self._pending):
            self._settle(pending)

    def _settle(self, pending: Pending) -> None:
        for name, ticket in list(pending.tickets.items()):
            result = outcome(ticket, self._realm.vassals.get(name))
            if result is None:
                continue
            del pending.tickets[name]
            ok, message = result
            self._done(pending, name, ok, message)
            if not ok and pending.exit == OK:
                pending.exit = FAILED
        if pending.reply.gone or not (pending.tickets or pending.to_come):
            self._pending.remove(pending)
            pending.reply.finish(answer(pending.results, pending.exit))
