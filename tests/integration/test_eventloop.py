"""The loop on real descriptors, signals and threads."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from emperor.system.eventloop import Loop
from tests.integration.kernel_world import PATIENCE, fds_of, raise_it


@pytest.fixture
def loop() -> Iterator[Loop]:
    """Stops by itself, so that an event that never comes fails a test instead of hanging it."""
    loop = Loop(raise_it)
    loop.call_at(loop.now() + PATIENCE, loop.stop)
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_timers_fire_in_the_order_of_their_deadlines(loop: Loop) -> None:
    fired: list[str] = []
    now = loop.now()
    loop.call_at(now + 0.03, lambda: (fired.append("third"), loop.stop()))
    loop.call_at(now + 0.01, lambda: fired.append("first"))
    loop.call_at(now + 0.02, lambda: fired.append("second"))
    loop.run()
    assert fired == ["first", "second", "third"]
    assert loop.now() >= now + 0.03


def test_timers_of_one_deadline_fire_in_the_order_of_asking(loop: Loop) -> None:
    fired: list[int] = []
    when = loop.now() + 0.01
    for number in range(10):
        loop.call_at(when, lambda number=number: fired.append(number))
    loop.call_at(when, loop.stop)
    loop.run()
    assert fired == list(range(10))


def test_those_who_look_around_equally_often_wake_the_loop_together(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([12.0, 14.9])
    monkeypatch.setattr(loop, "now", lambda: next(times))
    assert {loop.on_the_beat(5.0, loop.stop).when for _ in range(2)} == {15.0}
    monkeypatch.setattr(loop, "now", lambda: 15.0)
    assert loop.on_the_beat(5.0, loop.stop).when == 20.0
    monkeypatch.undo()


def test_a_timer_does_not_fire_early(loop: Loop) -> None:
    when = loop.now() + 0.05
    fired: list[float] = []
    loop.call_at(when, lambda: (fired.append(loop.now()), loop.stop()))
    loop.run()
    assert fired[0] >= when


def test_a_cancelled_timer_does_not_fire(loop: Loop) -> None:
    fired: list[str] = []
    first = loop.call_soon(lambda: second.cancel())
    second = loop.call_soon(lambda: fired.append("in the same round"))
    third = loop.call_at(loop.now() + 0.01, lambda: fired.append("later"))
    third.cancel()
    first_again = loop.call_at(loop.now() + 0.02, loop.stop)
    loop.run()
    assert fired == []
    for timer in (first, first_again, third):
        timer.cancel()


def test_after_a_stop_no_timer_fires_until_the_next_run(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    """Whoever stopped has closed what the timers need."""
    ours, theirs = pair
    fired: list[int] = []
    theirs.send(b"x")
    loop.watch(ours.fileno(), lambda: (ours.recv(1), loop.stop()))
    for number in range(3):
        loop.call_at(loop.now(), lambda number=number: (fired.append(number), loop.stop()))
    loop.run()
    assert fired == []
    loop.run()
    assert fired == [0]
    loop.run()
    loop.run()
    assert fired == [0, 1, 2]


@pytest.mark.parametrize("seconds", [3e6, 1e300, float("inf")])
def test_a_deadline_may_be_as_far_as_numbers_reach(pair: tuple[socket.socket, socket.socket], seconds: float) -> None:
    loop = Loop(raise_it)
    ours, theirs = pair
    theirs.send(b"x")
    heard: list[bytes] = []
    loop.watch(ours.fileno(), lambda: (heard.append(ours.recv(1)), loop.stop()))
    loop.call_at(loop.now() + seconds, loop.stop)
    loop.run()
    loop.close()
    assert heard == [b"x"]


def test_what_was_caught_elsewhere_is_reported_where_all_of_it_is() -> None:
    errors: list[BaseException] = []
    loop = Loop(errors.append)
    bug = KeyError("x")
    loop.report(bug)
    loop.close()
    assert errors == [bug]


def test_soon_again_and_again_does_not_starve_a_descriptor(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    rounds = 0

    def again() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            theirs.send(b"x")
        assert rounds < 100
        loop.call_soon(again)

    loop.call_soon(again)
    loop.watch(ours.fileno(), loop.stop)
    loop.run()
    assert rounds >= 3
    loop.unwatch(ours.fileno())


def test_a_callback_that_raises_costs_nobody_else_anything(pair: tuple[socket.socket, socket.socket]) -> None:
    heard: list[str] = []
    loop = Loop(lambda error: heard.append(str(error)))
    loop.call_at(loop.now() + PATIENCE, loop.stop)
    ours, theirs = pair

    def fails(word: str) -> None:
        raise ValueError(word)

    def read() -> None:
        heard.append(ours.recv(10).decode())
        fails("descriptor")

    def signalled() -> None:
        loop.call_at(loop.now(), lambda: fails("timer"))
        loop.call_at(loop.now(), lambda: theirs.send(b"next"))
        loop.watch(ours.fileno(), read)
        loop.call_at(loop.now() + 0.02, loop.stop)
        fails("signal")

    loop.on_signal(signal.SIGUSR1, signalled)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run()
    loop.unwatch(ours.fileno())
    loop.close()
    assert heard == ["signal", "timer", "next", "descriptor"]


def test_watching_again_replaces_what_was_asked(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    heard: list[str] = []
    loop.watch(ours.fileno(), lambda: heard.append("old"))
    loop.watch(ours.fileno(), lambda: (heard.append("writable"), loop.unwatch(ours.fileno()), loop.stop()), write=True)
    loop.run()
    assert heard == ["writable"]


def test_a_descriptor_is_called_for_as_long_as_it_has_something(
    loop: Loop, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    theirs.send(b"abc")
    heard: list[bytes] = []

    def read() -> None:
        heard.append(ours.recv(1))
        if len(heard) == 3:
            loop.unwatch(ours.fileno())
            loop.stop()

    loop.watch(ours.fileno(), read)
    loop.run()
    assert heard == [b"a", b"b", b"c"]


def test_a_stale_event_of_a_closed_descriptor_is_not_delivered(loop: Loop) -> None:
    """Two pipes are readable in one round; whoever is called first closes the other one."""
    pipes = [os.pipe() for _ in range(2)]
    heard: list[int] = []

    def close_other(mine: int) -> None:
        heard.append(mine)
        other = pipes[1 - mine]
        loop.unwatch(other[0])
        os.close(other[0])
        loop.unwatch(pipes[mine][0])
        loop.call_soon(loop.stop)

    for number, (read, write) in enumerate(pipes):
        os.write(write, b"x")
        loop.watch(read, lambda number=number: close_other(number))
    loop.run()
    assert len(heard) == 1
    os.close(pipes[heard[0]][0])
    for _, write in pipes:
        os.close(write)


def test_a_stale_event_does_not_reach_whoever_has_the_number_now(loop: Loop) -> None:
    pipes = [os.pipe() for _ in range(2)]
    fresh = os.pipe()
    heard: list[str] = []

    def give_away(mine: int) -> None:
        heard.append("first")
        other = pipes[1 - mine][0]
        loop.unwatch(other)
        os.dup2(fresh[0], other)
        loop.watch(other, lambda: heard.append("it said nothing"))
        loop.unwatch(pipes[mine][0])
        loop.call_soon(loop.stop)

    for number, (read, write) in enumerate(pipes):
        os.write(write, b"x")
        loop.watch(read, lambda number=number: give_away(number))
    loop.run()
    assert heard == ["first"]
    for pipe in (*pipes, fresh):
        loop.unwatch(pipe[0])
        for fd in pipe:
            os.close(fd)


def test_unwatching_what_is_not_watched_is_nothing(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    loop.unwatch(pair[0].fileno())
    loop.unwatch(-1)


def test_a_signal_is_a_callback_in_the_loops_own_time(loop: Loop) -> None:
    heard: list[str] = []
    loop.on_signal(signal.SIGUSR1, lambda: (heard.append("signal"), loop.stop()))
    os.kill(os.getpid(), signal.SIGUSR1)
    assert heard == []
    loop.run()
    assert heard == ["signal"]


def test_a_signal_wakes_a_loop_that_waits(loop: Loop) -> None:
    began = loop.now()
    loop.on_signal(signal.SIGALRM, loop.stop)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    loop.run()
    assert loop.now() < began + PATIENCE / 2


def test_each_signal_has_its_own_callback_and_the_latest_counts(loop: Loop) -> None:
    heard: list[str] = []
    loop.on_signal(signal.SIGUSR1, lambda: heard.append("an old wish"))
    loop.on_signal(signal.SIGUSR1, lambda: heard.append("usr1"))
    loop.on_signal(signal.SIGUSR2, lambda: heard.append("usr2"))
    for signum in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR1):
        os.kill(os.getpid(), signum)
    loop.call_at(loop.now() + 0.02, loop.stop)
    loop.run()
    assert heard == ["usr1", "usr2"]


def test_a_thread_wakes_a_loop_that_waits(loop: Loop, pair: tuple[socket.socket, socket.socket]) -> None:
    """What a thread asks for counts from the moment it wakes the loop, not from the next event on."""
    began = loop.now()
    waits = threading.Event()
    loop.call_soon(waits.set)

    def ask() -> None:
        waits.wait()
        loop.call_soon(loop.stop)
        loop.wake()

    thread = threading.Thread(target=ask)
    thread.start()
    loop.run()
    thread.join()
    assert loop.now() < began + PATIENCE / 2


def test_waking_more_often_than_a_pipe_holds_never_waits(loop: Loop) -> None:
    for _ in range(70_000):
        loop.wake()
    loop.call_soon(loop.stop)
    loop.run()


def test_close_restores_handlers_and_leaves_nothing_open() -> None:
    before, handler = fds_of(), signal.getsignal(signal.SIGUSR1)
    theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    previous = signal.set_wakeup_fd(theirs[1])
    loop = Loop(raise_it)
    loop.on_signal(signal.SIGUSR1, loop.stop)
    assert signal.getsignal(signal.SIGUSR1) is not handler
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is handler
    assert signal.set_wakeup_fd(previous) == theirs[1]
    for fd in theirs:
        os.close(fd)
    assert fds_of() == before


def test_the_loops_descriptors_are_not_inherited_by_programs() -> None:
    before = set(fds_of())
    loop = Loop(raise_it)
    own = set(fds_of()) - before
    assert len(own) == 3
    assert not [fd for fd in own if os.get_inheritable(fd)]
    loop.close()


def test_a_signal_for_which_the_pipe_had_no_room_is_heard(loop: Loop) -> None:
    """Whoever sends a hundred thousand HUPs may not drown the TERM that comes after them."""
    heard: list[int] = []
    loop.on_signal(signal.SIGTERM, lambda: heard.append(signal.SIGTERM))
    with pytest.raises(BlockingIOError):
        while True:
            os.write(loop._wake_write, b"\0" * 4096)
    os.kill(os.getpid(), signal.SIGTERM)
    loop.call_soon(loop.stop)
    loop.run()
    assert heard == [signal.SIGTERM]


def test_signals_that_nobody_was_called_for_can_be_taken_once(loop: Loop) -> None:
    heard: list[int] = []
    for signum in (signal.SIGUSR1, signal.SIGHUP):
        loop.on_signal(signum, lambda: heard.append(0))
        for _ in range(3):
            os.kill(os.getpid(), signum)
    assert loop.take_signals() == [signal.SIGHUP, signal.SIGUSR1]
    assert loop.take_signals() == []
    loop.wake()
    loop.call_soon(loop.stop)
    loop.run()
    assert heard == []


def test_timers_that_were_taken_back_do_not_pile_up(loop: Loop) -> None:
    fired: list[int] = []
    when = loop.now() + 3600.0
    for number in range(20_000):
        timer = loop.call_at(when, lambda: fired.append(-1))
        if number % 100:
            timer.cancel()
    assert len(loop._timers) < 2000
    for number in (3, 1, 2):
        loop.call_at(loop.now() + number / 1000, lambda number=number: fired.append(number))
    loop.call_at(loop.now() + 0.01, loop.stop)
    loop.run()
    assert fired == [1, 2, 3]
