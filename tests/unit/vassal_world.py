"""A small world for the lifecycle of one vassal: processes that only its record's doings can start, and a clock.

It does what ``performer`` and the daemon do, on values. A process does nothing of its own accord: the test speaks for
it. What can never be right (two that start at once, a release under a living process) fails in any test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from emperor.model import UNIX, UWSGI, Address, Identity, Problem, SocketSpec, Target, VassalSpec
from emperor.supervision.events import (
    Begun,
    BootFailed,
    Called,
    Configured,
    Doing,
    Doze,
    Exit,
    Exited,
    Forget,
    Keep,
    Misconfigured,
    Order,
    Queued,
    Ready,
    Release,
    Resize,
    Resized,
    Signal,
    Spawn,
    Tick,
    Tired,
    VassalEvent,
    Wake,
)
from emperor.supervision.generation import Action
from emperor.supervision.record import Vassal, next_deadline, state
from emperor.supervision.vassal import step

START_TIMEOUT, MERCY = 60.0, 30.0
MORNING = 1000.0
"""When the world begins: as far from 0 as a monotonic clock usually is."""

ALICE = Identity(1001, 1001, (1001,), "alice", "/home/alice")
BAD_LINE = Problem("/etc/vassals/blog.ini", 3, "socket", "is missing")
WARNING = Problem("/etc/vassals/blog.ini", 4, "cheaper", "is not needed", fatal=False)


def app(version: str, max_restarts: int = 0, **options: Any) -> VassalSpec:
    """The spec of an ini that names this version of the app. ``options``: more of its fields."""
    return VassalSpec(
        name="blog",
        config="/etc/vassals/blog.ini",
        folder="/etc/vassals",
        identity=ALICE,
        sockets=(SocketSpec(UWSGI, Address(UNIX, path=f"/run/emperor/{version}.sock")),),
        targets=(Target("", "module", f"blog_{version}"),),
        start_timeout=START_TIMEOUT,
        reload_mercy=MERCY,
        max_restarts=max_restarts,
        **options,
    )


ONE, TWO, THREE = app("one"), app("two"), app("three")


@dataclass
class Process:
    """``ready``: it has said that it serves. ``queued``: it waits for others. ``told``: the signals that it got.

    ``binds``: it only opens sockets. ``workers``: how many it is to have, and ``said`` to have.
    """

    number: int
    spec: VassalSpec
    binds: bool = False
    workers: int = 0
    said: int = 0
    ready: bool = False
    queued: bool = False
    told: list[Action] = field(default_factory=list)


@dataclass
class World:
    """``vassal`` None: forgotten. ``started``: when each process was. ``sockets``: may some be open?"""

    vassal: Optional[Vassal] = field(default_factory=lambda: Vassal("blog"))
    now: float = MORNING
    luck: float = 0.0
    living: dict[int, Process] = field(default_factory=dict)
    started: list[float] = field(default_factory=list)
    kept: Optional[VassalSpec] = None
    heeding: bool = False
    sockets: bool = False
    releases: int = 0
    forgotten: int = 0

    # What a test looks at -----------------------------------------------------------------------------------------

    @property
    def record(self) -> Vassal:
        assert self.vassal is not None, "the vassal is forgotten"
        return self.vassal

    @property
    def state(self) -> str:
        return state(self.record)

    @property
    def due(self) -> Optional[float]:
        """Seconds until the next Tick."""
        when = next_deadline(self.record)
        return None if when is None else when - self.now

    def told(self, number: int) -> list[Action]:
        return self.living[number].told

    # What happens -------------------------------------------------------------------------------------------------

    def tell(self, event: VassalEvent) -> tuple[Doing, ...]:
        self.vassal, doings = step(self.record, event, self.now)
        for doing in doings:
            self._do(doing)
        return doings

    def configure(self, spec: VassalSpec, reload: bool = True, problems: tuple[Problem, ...] = ()) -> tuple[Doing, ...]:
        return self.tell(Configured(spec, problems, reload))

    def misconfigure(self) -> tuple[Doing, ...]:
        return self.tell(Misconfigured((BAD_LINE,)))

    def order(self, verb: str, workers: int = 0) -> tuple[Doing, ...]:
        return self.tell(Order(verb, workers))

    def ready(self, number: int) -> tuple[Doing, ...]:
        if number in self.living:
            self.living[number].ready = True
        return self.tell(Ready(number))

    def queue(self, number: int) -> tuple[Doing, ...]:
        if number in self.living:
            self.living[number].queued = True
        return self.tell(Queued(number))

    def begin(self, number: int) -> tuple[Doing, ...]:
        if number in self.living:
            self.living[number].queued = False
        return self.tell(Begun(number))

    def complain(self, number: int, reason: str, traceback: str = "Traceback") -> tuple[Doing, ...]:
        return self.tell(BootFailed(number, reason, traceback))

    def exit(self, number: int, reason: str = "exited with code 1") -> tuple[Doing, ...]:
        self.living.pop(number, None)
        return self.tell(Exited(number, Exit(1, None, reason, at=0.0), self.luck))

    def bound(self, number: int) -> tuple[Doing, ...]:
        """One that binds has done so."""
        self.living.pop(number, None)
        return self.tell(Exited(number, Exit(0, None, "its sockets are open", at=0.0), self.luck))

    def call(self) -> tuple[Doing, ...]:
        """Somebody connects; who was told once is not told again."""
        if not self.heeding:
            return ()
        self.heeding = False
        return self.tell(Called())

    def tire(self, number: int) -> tuple[Doing, ...]:
        return self.tell(Tired(number))

    def resized(self, number: int, workers: int, leaving: int = 0) -> tuple[Doing, ...]:
        if number in self.living:
            self.living[number].said = workers
        return self.tell(Resized(number, workers, leaving))

    def wait(self, seconds: float) -> None:
        """Let time pass; whenever a Tick is due, it comes."""
        until = self.now + seconds
        for _ in range(10_000):
            when = next_deadline(self.record) if self.vassal is not None else None
            if when is None or when > until:
                self.now = until
                return
            self.now = max(self.now, when)
            self.tell(Tick())
        raise AssertionError("the clock stands still: a deadline that has passed is told again and again")

    # What the performer does --------------------------------------------------------------------------------------

    def _do(self, doing: Doing) -> None:
        _DO[type(doing)](self, doing)

    def _spawn(self, doing: Spawn) -> None:
        assert all(one.ready or one.told for one in self.living.values()), "two processes start at once"
        assert len(self.living) < 2, "a third process"
        workers = doing.workers or doing.spec.processes
        self.living[doing.number] = Process(doing.number, doing.spec, doing.binds, workers, workers)
        self.started.append(self.now)
        self.sockets, self.heeding = True, False

    def _signal(self, doing: Signal) -> None:
        self.living[doing.number].told.append(doing.action)

    def _keep(self, doing: Keep) -> None:
        self.kept = doing.spec

    def _doze(self, doing: Doze) -> None:
        assert self.sockets, "nothing that could be heeded"
        self.heeding = True

    def _wake(self, doing: Wake) -> None:
        self.heeding = False

    def _resize(self, doing: Resize) -> None:
        assert not self.living[doing.number].binds and doing.workers > 0
        self.living[doing.number].workers, self.living[doing.number].said = doing.workers, -1

    def _release(self, doing: Release) -> None:
        assert not self.living, "sockets are released under a living process"
        assert self.sockets, "released twice"
        self.sockets = self.heeding = False
        self.releases += 1

    def _forget(self, doing: Forget) -> None:
        assert not self.living and not self.sockets, "forgotten with something left"
        self.forgotten += 1
        self.vassal = None


# Any, for each takes exactly the type that it is filed under.
_DO: dict[type, Callable[[World, Any], None]] = {
    Spawn: World._spawn,
    Signal: World._signal,
    Keep: World._keep,
    Doze: World._doze,
    Wake: World._wake,
    Resize: World._resize,
    Release: World._release,
    Forget: World._forget,
}


def starting(spec: VassalSpec = ONE) -> World:
    """Generation 1 starts."""
    world = World()
    world.configure(spec)
    return world


def running(spec: VassalSpec = ONE) -> World:
    """Generation 1 serves."""
    world = starting(spec)
    world.ready(1)
    return world


def reloading() -> World:
    """Generation 1 serves ONE; generation 2 starts TWO beside it."""
    world = running()
    world.configure(TWO)
    return world


def in_backoff() -> World:
    """Five starts have failed."""
    world = starting()
    for number in (1, 2, 3, 4):
        world.exit(number)
        world.wait(world.due or 0)
    world.exit(5)
    assert (world.state, world.due) == ("BACKOFF", 4.0)
    return world


def given_up() -> World:
    """max-restarts = 2, and three starts that failed."""
    world = starting(app("one", max_restarts=2))
    for number in (1, 2, 3):
        world.exit(number)
        world.wait(10)
    return world
