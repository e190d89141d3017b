"""Any event at any moment: random lives of one vassal, each with its own dice, checked after every step.

A life is a storm (whatever can be told, in any order, the false and the late too), and then a calm in which the last
wish is made known and every child obeys. What must be true all the time is ``Walk.check``.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import Callable

import pytest

from emperor.model import ROLLING, VassalSpec
from emperor.supervision.events import Begun, Doing, Outdated, Queued, Release, Signal, Spawn
from emperor.supervision.generation import Action, Phase
from emperor.supervision.outcome import Ticket, outcome
from emperor.supervision.record import Vassal, Wanted, first_fatal, next_deadline, state
from tests.unit.vassal_world import MERCY, ONE, START_TIMEOUT, THREE, TWO, Process, World, app

WALKS, EVENTS = 300, 200
STATES = {"STOPPED", "STARTING", "RUNNING", "RELOADING", "STOPPING", "BACKOFF", "FATAL", "IDLE", "INVALID"}
"""All that ``status`` may show."""

IDLE = 5.0
SPECS = (
    ONE,
    TWO,
    THREE,
    app("four", max_restarts=2),
    app("lazy", on_demand=True, idle=IDLE),
    app("eager", idle=IDLE, touch_reload=("/srv/touched",)),
    app("rolling", processes=3, reload_mode=ROLLING),
    app("rolling", processes=4, reload_mode=ROLLING, limit_post=1),
    app("rolling", processes=4, reload_mode=ROLLING, cheaper=2),
    app("rolling", processes=2, reload_mode=ROLLING, limit_post=2),
)
ROLLERS = [spec for spec in SPECS if spec.reload_mode == ROLLING]
INI = {"configure": False, "misconfigure": False, "remove": True}
"""What tells whether there is no ini."""

ENDERS = ("stop", "restart", "remove", "kill")
"""The orders that may end a serving generation before a younger one serves."""


@dataclass
class Walk:
    """One life. ``what``: the last thing told; ``states``: all that were ever shown.

    ``waited``: how many starts had to wait for others; ``cut_short``: how many were at most ended in a row.
    ``removed``: is there no ini any more? ``slept``, ``rolled``, ``taken_back``: how many steps were such ones.
    """

    dice: random.Random
    world: World = field(default_factory=World)
    tickets: list[Ticket] = field(default_factory=list)
    what: str = ""
    answered: int = 0
    waited: int = 0
    cut_short: int = 0
    removed: bool = False
    slept: int = 0
    rolled: int = 0
    taken_back: int = 0
    states: set[str] = field(default_factory=set)

    # Telling ------------------------------------------------------------------------------------------------------

    def act(self, what: str, tell: Callable[[], tuple[Doing, ...]]) -> None:
        self.what, before = what, self.world.record
        self.removed = INI.get(what, self.removed)
        doings = tell()
        self.check(before, doings)

    def wait(self, seconds: float) -> None:
        """Deadline by deadline, so that each step is seen."""
        until = self.world.now + seconds
        while self.world.vassal is not None:
            due = self.world.due
            if due is None or self.world.now + due > until:
                break
            before = self.world.record
            self.what = f"wait {due}"
            numbers = set(self.world.living)
            self.world.wait(due)
            assert set(self.world.living) >= numbers
            self.check_service(before, ())
            self.look(before)
        if self.world.now < until:
            self.world.now = until

    # What is always true ------------------------------------------------------------------------------------------

    def check(self, before: Vassal, doings: tuple[Doing, ...]) -> None:
        self.check_service(before, doings)
        for doing in doings:
            if isinstance(doing, Spawn):
                assert doing.number == before.last_number + 1, self.what
            if isinstance(doing, Signal) and doing.action is not Action.KILL:
                self.check_farewell(before, doing)
        self.look(before)

    def check_farewell(self, before: Vassal, doing: Signal) -> None:
        serving = before.serving
        if serving is None or not serving.serving or serving.number != doing.number:
            return
        now = self.world.record
        younger = now.serving is not None and now.serving.serving and now.serving.number > doing.number
        assert younger or self.what in (*ENDERS, "tire"), f"{self.what}: the serving generation is told to go"
        assert (doing.action is Action.RETIRE) == (younger or self.what == "tire"), self.what

    def check_service(self, before: Vassal, doings: tuple[Doing, ...]) -> None:
        """Whoever serves goes on until an order, its own death, or a younger one that serves."""
        now = self.world.vassal
        if not before.running or self.what in ENDERS or now is None:
            return
        if self.what == "tire" and now.heeds is not None:
            assert self.world.heeding, "nobody serves, and who comes is not heard"
            return
        assert before.serving is not None
        dead = before.serving.number not in self.world.living
        assert now.running or dead, f"{self.what}: nobody serves, and somebody could"
        assert dead or now.serving == before.serving or self.what == "ready", self.what
        assert not (now.running and any(isinstance(doing, Release) for doing in doings))

    def look(self, before: Vassal) -> None:
        world = self.world
        if world.vassal is None:
            assert before.wanted is Wanted.GONE or self.what == "remove", "forgotten, and nobody asked for it"
            self.ask(None)
            return
        now = world.vassal
        numbers = [one.number for one in now.alive]
        assert len(numbers) == len(set(numbers)) <= 2, self.what
        assert set(numbers) == set(world.living), f"{self.what}: the record and the processes differ"
        assert all(one.phase is not Phase.DEAD for one in now.alive)
        self.states.add(state(now))
        self.cut_short = max(self.cut_short, now.cut_short)
        assert self.states <= STATES
        assert sum(one.phase is Phase.STARTING for one in now.alive) <= 1
        assert now.incoming is None or now.incoming.phase in (Phase.STARTING, Phase.DRAINING)
        leaving = now.outgoing is None or now.outgoing.phase in (Phase.RETIRING, Phase.DRAINING)
        assert leaving == (now.roll is None), f"{self.what}: {now.roll}, {now.outgoing}"
        assert now.roll is None or (now.running and now.incoming is None)
        assert world.sockets == now.holds
        assert (now.heeds is not None) == world.heeding or self.what == "call", self.what
        assert now.heeds is None or (now.asleep and now.serving is None and now.incoming is None and now.holds)
        self.taken_back += before.roll is not None and now.running and now.serving == before.outgoing
        self.slept += now.heeds is not None
        self.rolled += now.roll is not None and not now.roll.yields
        self.check_waiting(now)
        self.check_word(now)
        self.ask(now)

    def check_waiting(self, now: Vassal) -> None:
        """Nobody waits for nothing, and no bell that was heard rings on."""
        due = self.world.due
        assert due is None or due > 0, f"{self.what}: the deadline has passed"
        for one in now.alive:
            process = self.world.living[one.number]
            waits = process.queued and one.phase is Phase.STARTING
            ends = one.deadline is not None or waits or Action.KILL in process.told
            assert one.phase is Phase.READY or ends, f"{self.what}: {one} for ever"
        if now.wanted is not Wanted.UP:
            assert now.alive or not now.holds, f"{self.what}: sockets are held for nobody"
            assert now.alive or now.wanted is Wanted.DOWN
            assert all(one.phase in (Phase.RETIRING, Phase.DRAINING) for one in now.alive)
            assert now.heeds is None
            return
        assert now.alive or not (now.reload_wanted or now.restart_wanted), f"{self.what}: an order is lost"
        if now.retry_at is not None or now.exhausted:
            assert now.serving is None and now.incoming is None, f"{self.what}: a pause that nobody needs"
        if now.serving is None and now.incoming is None and now.spec is not None and not now.restart_wanted:
            waits = now.exhausted or now.retry_at is not None or now.heeds is not None
            assert waits, f"{self.what}: nobody will start it"

    def check_word(self, now: Vassal) -> None:
        """Who has no ini goes; and what serves although it is not the newest ini is not called well."""
        assert not self.removed or now.wanted is Wanted.GONE, f"{self.what}: a ghost"
        at_rest = now.running and now.incoming is None and not now.reload_wanted
        if at_rest and now.proven != now.spec:
            assert now.rejected or first_fatal(now.problems), f"{self.what}: not the newest, and nobody knows why"
            assert now.error, f"{self.what}: an error that is not shown"

    def ask(self, now: Vassal | None) -> None:
        waiting = []
        for ticket in self.tickets:
            result = outcome(ticket, now)
            if result is None:
                waiting.append(ticket)
            else:
                self.answered += 1
                assert result[1].strip(), f"{ticket.verb}: answered without a word"
        self.tickets = waiting

    # The storm ----------------------------------------------------------------------------------------------------

    def storm(self) -> None:
        if self.world.vassal is None:
            # As in the daemon: only an ini brings a new record.
            self.world.vassal = Vassal("blog")
            self.ini()
            return
        weights = [weight for _, weight in HAPPENINGS]
        happening, _ = self.dice.choices(HAPPENINGS, weights)[0]
        happening(self)

    def spec(self) -> VassalSpec:
        """One that rolls is most often followed by another one."""
        rolls = self.world.record.spec in ROLLERS and self.dice.random() < 0.8
        return self.dice.choice(ROLLERS if rolls else SPECS)

    def number(self) -> int:
        """Of anybody: the living, the dead, and those who never were."""
        return self.dice.choice([*self.world.living, *self.world.living, self.dice.randint(0, 60)])

    def ini(self) -> None:
        reload = self.dice.random() < 0.8
        same = self.world.record.spec
        spec = same if same is not None and (not reload or self.dice.random() < 0.3) else self.spec()
        self.act("configure", lambda: self.world.configure(spec, reload))

    def bad_ini(self) -> None:
        self.act("misconfigure", self.world.misconfigure)

    def order(self) -> None:
        """As the daemon does it: all but stop read the ini again, and a reload is nothing else."""
        verb, record = self.dice.choice(["start", "stop", "restart", "reload"]), self.world.record
        if verb == "reload" and record.wanted is not Wanted.UP:
            return
        if verb != "stop" and record.spec is None:
            return
        self.tickets.append(Ticket(verb, record))
        spec = record.spec
        if verb == "start" and self.dice.random() < 0.2:
            self.bad_ini()
        elif verb != "stop" and spec is not None:
            self.act("configure", lambda: self.world.configure(spec, reload=verb == "reload"))
        if verb != "reload":
            self.act(verb, lambda: self.world.order(verb))

    def remove(self) -> None:
        self.act("remove", lambda: self.world.order("remove"))

    def kill(self) -> None:
        self.act("kill", lambda: self.world.order("kill"))

    def ready(self) -> None:
        number = self.number()
        if number not in self.world.living or not self.world.living[number].queued:
            self.act("ready", lambda: self.world.ready(number))

    def turn(self) -> None:
        """A start that has to wait for others, or need not any more; and late words of either."""
        number, record = self.number(), self.world.record
        process, incoming = self.world.living.get(number), record.incoming
        if process is not None and process.queued:
            self.act("begun", lambda: self.world.begin(number))
        elif incoming is None or number != incoming.number:
            words: list[Queued | Begun] = [Queued(number), Begun(number)]
            late = self.dice.choice(words)
            self.act("late", lambda: self.world.tell(late))
        elif self.fresh():
            self.act("queued", lambda: self.world.queue(number))
            self.waited += 1

    def fresh(self) -> bool:
        """Was the newest process spawned at this very moment, and heard nothing since?"""
        process = self.world.living.get(self.world.record.last_number)
        at = self.world.started[-1] == self.world.now
        return process is not None and at and not process.told and not process.ready

    def failing_spawn(self) -> None:
        """Whatever is started next is told to be dead before it has begun, as when there is no memory."""
        self.ini()
        incoming = self.world.vassal.incoming if self.world.vassal is not None else None
        if incoming is not None and self.fresh():
            number = incoming.number
            self.act("exit", lambda: self.world.exit(number, "not started: Cannot allocate memory"))

    def bound(self) -> None:
        number = self.number()
        if number in self.world.living and self.world.living[number].binds:
            self.act("bound", lambda: self.world.bound(number))

    def call(self) -> None:
        self.act("call", self.world.call)

    def tire(self) -> None:
        number = self.number()
        self.act("tire", lambda: self.world.tire(number))

    def outdated(self) -> None:
        number = self.number()
        self.act("outdated", lambda: self.world.tell(Outdated(number)))

    def resized(self) -> None:
        """True words most often, and any."""
        roll = self.world.record.roll
        number, leaving = self.number(), self.dice.choice([0, 0, 0, 1])
        if roll is not None and self.dice.random() < 0.5:
            number = self.world.record.alive[roll.yields].number
        process = self.world.living.get(number)
        said = process.workers if process is not None and self.dice.random() < 0.8 else self.dice.randint(0, 5)
        self.act("resized", lambda: self.world.resized(number, said, leaving))

    def scale(self) -> None:
        record = self.world.record
        if record.spec is not None and record.wanted is Wanted.UP:
            self.tickets.append(Ticket("scale", record))
            self.act("scale", lambda: self.world.order("scale", self.dice.randint(1, 5)))

    def complaint(self) -> None:
        number = self.number()
        self.act("boot failed", lambda: self.world.complain(number, f"{number} failed"))

    def death(self) -> None:
        if self.world.living:
            number = self.dice.choice(list(self.world.living))
            self.world.luck = self.dice.random()
            self.act("exit", lambda: self.world.exit(number))

    def false_death(self) -> None:
        dead = [number for number in range(60) if number not in self.world.living]
        number, before = self.dice.choice(dead), self.world.record
        self.act("exit of nobody", lambda: self.world.exit(number))
        assert self.world.vassal == before, "a dead generation's end was heard twice"

    def time(self) -> None:
        self.wait(self.dice.choice([0.0, 0.1, 0.5, 3.0, 11.0, MERCY, START_TIMEOUT]))

    # The calm -----------------------------------------------------------------------------------------------------

    def calm(self, stubborn: bool) -> None:
        """Every child does as it is told, or ``stubborn``: only what it must. The app is a good one."""
        for _ in range(200):
            if not self.move(stubborn):
                return
        raise AssertionError(f"no rest: {self.world.vassal}")

    def move(self, stubborn: bool) -> bool:
        world = self.world
        if world.vassal is None:
            return False
        for number, process in world.living.items():
            said = self.word(number, process, stubborn)
            if said is not None:
                self.act(*said)
                return True
        when = next_deadline(world.vassal)
        if when is None:
            return False
        self.wait(when - world.now)
        return True

    def word(self, number: int, process: Process, stubborn: bool) -> tuple[str, Callable[[], tuple[Doing, ...]]] | None:
        """What it says next of its own accord."""
        world = self.world
        if Action.KILL in process.told or (process.told and not stubborn):
            return "exit", lambda: world.exit(number)
        if process.told:
            return None
        if process.queued:
            return "begun", lambda: world.begin(number)
        if process.binds:
            return "bound", lambda: world.bound(number)
        if not process.ready:
            return "ready", lambda: world.ready(number)
        if process.said != process.workers and not stubborn:
            return "resized", lambda: world.resized(number, process.workers)
        return None


HAPPENINGS: list[tuple[Callable[[Walk], None], int]] = [
    (Walk.ini, 4),
    (Walk.bad_ini, 2),
    (Walk.order, 6),
    (Walk.remove, 1),
    (Walk.kill, 1),
    (Walk.ready, 14),
    (Walk.turn, 6),
    (Walk.failing_spawn, 1),
    (Walk.complaint, 2),
    (Walk.death, 9),
    (Walk.false_death, 1),
    (Walk.time, 6),
    (Walk.bound, 8),
    (Walk.call, 4),
    (Walk.tire, 4),
    (Walk.outdated, 2),
    (Walk.resized, 16),
    (Walk.scale, 1),
]


def wish_up(walk: Walk) -> None:
    if walk.world.vassal is None:
        walk.world.vassal = Vassal("blog")
    walk.act("configure", lambda: walk.world.configure(TWO))
    walk.tickets.append(Ticket("start", walk.world.record))
    walk.act("start", lambda: walk.world.order("start"))


def wish_back(walk: Walk) -> None:
    """The ini is removed, and made again."""
    wish_gone(walk)
    if walk.world.vassal is None:
        walk.world.vassal = Vassal("blog")
    walk.act("configure", lambda: walk.world.configure(TWO))


def found_up(walk: Walk) -> None:
    record = walk.world.record
    assert (state(record), record.error) == ("RUNNING", "")
    (process,) = walk.world.living.values()
    assert process.spec == record.proven == TWO
    assert walk.world.kept == TWO


def wish_down(walk: Walk) -> None:
    if walk.world.vassal is not None:
        walk.act("stop", lambda: walk.world.order("stop"))


def found_down(walk: Walk) -> None:
    assert walk.world.vassal is None or state(walk.world.vassal) == "STOPPED"
    assert not walk.world.living and not walk.world.sockets


def wish_gone(walk: Walk) -> None:
    if walk.world.vassal is None:
        walk.world.vassal = Vassal("blog")
    walk.world.forgotten = 0
    walk.act("remove", lambda: walk.world.order("remove"))


def found_gone(walk: Walk) -> None:
    assert walk.world.vassal is None and not walk.world.living and not walk.world.sockets
    assert walk.world.forgotten == 1


def wish_nothing(walk: Walk) -> None:
    """It stays with whatever the storm has left."""


def found_as_wanted(walk: Walk) -> None:
    record = walk.world.vassal
    if record is None or record.wanted is Wanted.DOWN:
        found_down(walk)
    elif record.spec is None:
        assert state(record) == "INVALID"
    elif record.exhausted:
        assert state(record) == "FATAL" and record.spec.max_restarts
    elif record.asleep:
        assert state(record) == "IDLE" and not walk.world.living and walk.world.heeding
        assert walk.world.kept == record.heeds == record.choice and next_deadline(record) is None
    else:
        assert state(record) == "RUNNING" and len(walk.world.living) == 1
        (process,) = walk.world.living.values()
        # A bad ini calls off the reload that a good one before it asked for.
        bad = record.rejected or first_fatal(record.problems)
        assert process.spec == record.proven and (bad or process.spec == record.spec)
        assert not record.reload_wanted and not record.restart_wanted and next_deadline(record) is None


ENDS: dict[str, tuple[Callable[[Walk], None], Callable[[Walk], None]]] = {
    "nothing more": (wish_nothing, found_as_wanted),
    "up": (wish_up, found_up),
    "removed and made again": (wish_back, found_up),
    "down": (wish_down, found_down),
    "gone": (wish_gone, found_gone),
}


@pytest.fixture(scope="module")
def storms() -> list[Walk]:
    """The lives as they are when their storm is over."""
    walks = []
    for seed in range(WALKS):
        walk = Walk(random.Random(seed))
        for number in range(EVENTS):
            try:
                walk.storm()
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, event {number}: {error}") from error
        walks.append(walk)
    return walks


def test_whatever_happens_the_rules_hold(storms: list[Walk]) -> None:
    """They are looked at in every step of the storms; here: that the storms went everywhere."""
    assert len(storms) == WALKS
    assert set().union(*(walk.states for walk in storms)) == STATES
    assert sum(walk.slept for walk in storms) > 50
    assert sum(walk.rolled for walk in storms) > 10 and sum(walk.taken_back for walk in storms) > 1
    assert any(walk.world.forgotten for walk in storms) and any(walk.world.releases > 3 for walk in storms)
    assert sum(walk.answered for walk in storms) > WALKS * 10
    assert sum(walk.waited for walk in storms) > WALKS
    assert max(walk.cut_short for walk in storms) >= 2


@pytest.mark.parametrize("stubborn", [False, True], ids=["obedient", "stubborn"])
@pytest.mark.parametrize("end", ENDS)
def test_a_vassal_reaches_what_is_wanted_once_the_storm_is_over(storms: list[Walk], end: str, stubborn: bool) -> None:
    wish, found = ENDS[end]
    for seed, storm in enumerate(storms):
        walk = copy.deepcopy(storm)
        try:
            wish(walk)
            walk.calm(stubborn)
            found(walk)
            assert not walk.tickets, f"never answered: {[ticket.verb for ticket in walk.tickets]}"
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
