"""A request of the control socket: may this caller, and who answers.

It promises: nobody sees or orders what the verb's row does not permit; an order is answered when its result is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from emperor import __version__
from emperor.answers import events, logs, overviews
from emperor.answers.events import May
from emperor.answers.followers import EVENTS, LOGS, NUMBERS, STATUS, Followers, FollowerState, News, Seen
from emperor.answers.orders import Orders, PendingState
from emperor.answers.realm import Realm
from emperor.answers.turns import Turns
from emperor.control import messages
from emperor.control.connection import Reply
from emperor.control.messages import (
    ALL,
    DENIED,
    MOST_EVENTS,
    NO_VASSAL,
    OK,
    UNKNOWN,
    Peer,
    Policy,
    Request,
    answer,
)
from emperor.errors import EmperorError
from emperor.supervision.record import Wanted
from emperor.system.eventloop import Loop


@dataclass(frozen=True)
class AnswersState:
    pending: tuple[PendingState, ...]
    followers: tuple[FollowerState, ...]


class Answers:
    """A ``control.server.Handler``."""

    def __init__(self, realm: Realm, policy: Policy, loop: Loop) -> None:
        self._realm, self._policy = realm, policy
        self._orders = Orders(realm, loop)
        news: dict[str, News] = {
            LOGS: self._new_lines,
            EVENTS: self._new_events,
            STATUS: self._rest,
            NUMBERS: self._rest_with_numbers,
        }
        self._followers = Followers(loop, news)
        self._turns = Turns(loop)
        self.look_again = self._orders.look_again
        self.tell_followers = self._followers.tell

    def export(self) -> AnswersState:
        return AnswersState(self._orders.export(), self._followers.export())

    def adopt(self, state: AnswersState, reply_to: Callable[[int], Reply | None]) -> None:
        """Go on with what an older program of ours was asked for."""
        self._orders.adopt(state.pending, reply_to)
        self._followers.adopt(state.followers, reply_to)

    def __call__(self, request: Request, peer: Peer, reply: Reply) -> None:
        """Users together could else keep the emperor from everybody else with what each of them may ask."""
        if self._policy.administers(peer):
            self._answer(request, peer, reply)
        else:
            self._turns.weigh(peer.uid, lambda: self._answer(request, peer, reply))

    def _answer(self, request: Request, peer: Peer, reply: Reply) -> None:
        if reply.gone:
            return
        try:
            _VERBS[request.verb](self, request, peer, reply)
        except EmperorError as error:
            reply.finish(messages.refusal(str(error), messages.FAILED))
        except Exception:
            # In its turn nobody above us would answer.
            reply.finish(messages.refusal("the emperor failed to answer", messages.FAILED))
            raise

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
        return self._refuses(self._strangers(request, peer), peer, reply)

    def _refuses(self, strangers: Sequence[str], peer: Peer, reply: Reply) -> bool:
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
        numbers = bool(request.options.get("numbers"))
        wanted = dict.fromkeys(names, lines)
        found = answer(overviews.piece(self._realm, wanted, numbers, self._may("status", peer)))
        trouble = self._realm.trouble() if self._policy.administers(peer) else ""
        if trouble:
            found["trouble"] = trouble
        if strangers:
            found.update(messages.refusal(f"{', '.join(strangers)}: no such vassal", UNKNOWN))
        if wanted:
            reply.send(found)
            self._followers.begin(NUMBERS if numbers else STATUS, reply, wanted)
        else:
            reply.finish(found)

    def _rest(self, reply: Reply, wanted: Seen, numbers: bool = False) -> Iterator[list[dict[str, Any]]]:
        return overviews.rest(self._realm, reply, wanted, numbers, self._may("status", reply.peer))

    def _rest_with_numbers(self, reply: Reply, wanted: Seen) -> Iterator[list[dict[str, Any]]]:
        return self._rest(reply, wanted, numbers=True)

    def _may(self, verb: str, peer: Peer) -> Callable[[str], bool]:
        return lambda name: self._policy.permits(verb, peer, self._realm.owner(name))

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
        seen = logs.last(self._realm, request.names, int(request.options.get("lines", 10)), reply)
        if request.options.get("follow"):
            self._followers.begin(LOGS, reply, seen)
        else:
            reply.finish(answer(None))

    def events(self, request: Request, peer: Peer, reply: Reply) -> None:
        """Of a vassal that is gone as well; each event is its owner's at that time."""
        may, chronicle = self._may_see(peer), self._realm.chronicle
        known = {*self._permitted("events", peer), *(events.names(chronicle, may) if request.names else ())}
        if self._refuses([name for name in request.names if name not in known], peer, reply):
            return
        if not (known or self._policy.administers(peer) or any(map(may, chronicle.since(0)))):
            # Whoever has nothing to hear shall not hold a place by listening.
            reply.finish(messages.refusal("events: no vassal of yours", DENIED))
            return
        data, seen = events.last(chronicle, request.names, int(request.options.get("last", MOST_EVENTS)), may)
        reply.send({"ok": True, "data": data})
        if request.options.get("follow"):
            self._followers.begin(EVENTS, reply, seen)
        else:
            reply.finish(answer(None))

    def _new_lines(self, reply: Reply, seen: Seen) -> Iterator[dict[str, Any]]:
        """An ini may become somebody else's while it is followed."""
        return logs.news(self._realm, seen, self._may("logs", reply.peer))

    def _new_events(self, reply: Reply, seen: Seen) -> Iterator[dict[str, Any]]:
        return events.news(self._realm.chronicle, seen, self._may_see(reply.peer))

    def _may_see(self, peer: Peer) -> May:
        return lambda entry: self._policy.permits("events", peer, entry.uid)

    def config(self, request: Request, peer: Peer, reply: Reply) -> None:
        """Secrets are for administrators and the vassal's own user, whatever else is public."""
        if self._policy.administers(peer):
            self._config(request, peer, reply)
        else:
            self._turns.take(peer.uid, lambda: self._config(request, peer, reply))

    def _config(self, request: Request, peer: Peer, reply: Reply) -> None:
        if reply.gone or self._refused(request, peer, reply):
            return
        (name,) = request.names
        theirs = self._policy._replace(public=frozenset())
        secrets = theirs.permits("config", peer, self._realm.owner(name))
        found = self._realm.effective(name, secrets, self._policy.administers(peer))
        reply.finish(answer(found, OK if found["valid"] else NO_VASSAL))

    def order(self, request: Request, peer: Peer, reply: Reply) -> None:
        if self._refused(request, peer, reply):
            return
        names = list(request.names)
        if request.names == (ALL,):
            names = self._permitted(request.verb, peer)
            if request.verb == "reload":
                # What is stopped on purpose has nothing to reload, and that is as wished.
                names = [name for name in names if self._realm.vassals[name].wanted is Wanted.UP]
        if request.verb == "scale" and self._too_many(names, request, peer, reply):
            return
        self._orders.give(names, request, reply)

    def _too_many(self, names: Sequence[str], request: Request, peer: Peer, reply: Reply) -> bool:
        """What administrators give every ini behind its own lines wins over them, and so over their users' orders."""
        wanted = int(request.options.get("workers", 0))
        for name in () if self._policy.administers(peer) else names:
            cap = self._realm.most_workers(name)
            if cap is not None and wanted > cap:
                why = f"{name}: scale: the emperor's administrator allows {cap} at most, which wins over its ini"
                reply.finish(messages.refusal(f"{why} -- it stays as it is", DENIED))
                return True
        return False

    def upgrade(self, request: Request, peer: Peer, reply: Reply) -> None:
        if not self._policy.administers(peer):
            reply.finish(messages.refusal("upgrade: not permitted", DENIED))
            return
        self._realm.upgrade(reply)


_VERBS: dict[str, Callable[[Answers, Request, Peer, Reply], None]] = {
    "status": Answers.status,
    "spec": Answers.spec,
    "version": Answers.version,
    "upgrade": Answers.upgrade,
    "logs": Answers.logs,
    "events": Answers.events,
    "config": Answers.config,
    "start": Answers.order,
    "stop": Answers.order,
    "restart": Answers.order,
    "reload": Answers.order,
    "scale": Answers.order,
}
