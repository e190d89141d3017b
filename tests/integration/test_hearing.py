"""What one vassal says, and however much of it: heard in rations, on real pipes and sockets, and nobody else waits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Optional

import pytest

from emperor.errors import ListenError
from emperor.supervision import channel
from emperor.supervision.channel import Lines, Listening, Message, Serving
from emperor.supervision.ration import BYTES, DATAGRAMS, LINES
from emperor.supervision.reports import Workers
from emperor.system import closer as closer_module
from emperor.system.closer import Closer, Share
from emperor.system.eventloop import Loop
from emperor.system.processes import Child
from emperor.tending.hearing import CHUNK, LAST_BYTES, LAST_DATAGRAMS, Hearing, Listener
from tests.integration.kernel_world import drive, fds_of, raise_it, until

MEBIBYTE = 1 << 20
MAX_DESCRIPTORS = 253
"""SCM_MAX_FD of the kernel."""
LINGER = 30
"""Seconds; nobody waits for them."""


class Talker:
    """A vassal's ends of its channel and its output, held by the test, and who hears it."""

    def __init__(self, loop: Loop, share: Share, refuses: bool = False) -> None:
        self.loop, self.share, self._refuses = loop, share, refuses
        ours, self.channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, self.output = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, MEBIBYTE)
        ours.setblocking(False)
        os.set_blocking(output, False)
        self.messages: list[Message] = []
        self.taken: list[int] = []
        self.lines: list[str] = []
        self.lost = 0
        self.complaints: list[str] = []
        listener = Listener(self._message, self._lines, self.complaints.append)
        self.hearing = Hearing(Child(0, -1, ours, output, loop.now()), loop, share, listener)
        self.hearing.start()
        self._stopped = False

    def _message(self, message: Message, fd: Optional[int]) -> None:
        self.messages.append(message)
        if fd is not None:
            self.taken.append(fd)
        if self._refuses:
            raise ListenError("not yours")

    def _lines(self, lines: list[str], lost: int) -> None:
        self.lines += lines
        self.lost += lost

    def say(self, message: Message, *fds: int) -> None:
        socket.send_fds(self.channel, [channel.encode(message)], list(fds))

    def print(self, text: bytes) -> None:
        os.write(self.output, text)

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self.hearing.stop()

    def close(self) -> None:
        self.stop()
        self.channel.close()
        os.close(self.output)
        for fd in self.taken:
            os.close(fd)


Talk = Callable[..., Talker]


@pytest.fixture
def loop() -> Iterator[Loop]:
    one = Loop(raise_it)
    yield one
    one.close()


@pytest.fixture
def talk(loop: Loop) -> Iterator[Talk]:
    """``owner``: whose vassal it is."""
    closer, talkers = Closer(), []

    def make(refuses: bool = False, owner: int = 1000) -> Talker:
        talkers.append(Talker(loop, closer.share(owner), refuses))
        return talkers[-1]

    yield make
    for one in talkers:
        one.close()
    until(lambda: closer.idle)


@contextmanager
def again_and_again(act: Callable[[], object]) -> Iterator[None]:
    """In a thread, until the end, whenever there is room for it and somebody to hear: ``act`` must not block."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                act()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def say_until_heard(loop: Loop, talker: Talker, lines: int, text: str) -> int:
    """``lines``: how many it has said until now. How many it has then.

    How long a flood takes is the machine's affair: what is said after it may fall into a second whose ration is used
    up. Then it is told of as lost, when that second is over, and the same word is heard in a later one.
    """
    drive(loop, lambda: len(talker.lines) + talker.lost == lines)
    for said in range(lines + 1, lines + 4):
        talker.print(f"{text}\n".encode())
        drive(loop, lambda said=said: len(talker.lines) + talker.lost == said)  # type: ignore[misc]
        if text in talker.lines:
            return said
    raise AssertionError(f"never heard: {text}")


def flood_of_newlines(talker: Talker) -> Callable[[], object]:
    os.set_blocking(talker.output, False)
    newlines = b"\n" * 65536
    return lambda: os.write(talker.output, newlines)


def flood_of(talker: Talker, message: Message) -> Callable[[], object]:
    talker.channel.setblocking(False)
    data = channel.encode(message)
    return lambda: talker.channel.send(data)


# What is heard -------------------------------------------------------------------------------------------------------


def test_messages_and_lines_are_heard_in_their_order(loop: Loop, talk: Talk) -> None:
    one = talk()
    one.print(b"first\nsecond\n")
    one.say(Workers(()))
    one.say(Serving())
    drive(loop, lambda: len(one.messages) == 2 and len(one.lines) == 2)
    assert (one.messages, one.lines, one.lost) == ([Workers(()), Serving()], ["first", "second"], 0)


def test_lines_of_a_workers_count_too(loop: Loop, talk: Talk) -> None:
    one = talk()
    one.say(Lines(("of a worker's",), 3))
    drive(loop, lambda: one.lines)
    assert (one.lines, one.lost) == (["of a worker's"], 3)


def test_a_listener_comes_with_its_message_and_is_the_listeners(loop: Loop, talk: Talk) -> None:
    one = talk()
    near, far = socket.socketpair()
    before = len(fds_of())
    one.say(Listening(0), near.fileno())
    one.say(Serving())
    near.close()
    drive(loop, lambda: len(one.messages) == 2)
    assert len(fds_of()) == before
    assert not os.get_inheritable(one.taken[0])
    os.write(one.taken[0], b"x")
    assert far.recv(2) == b"x"
    far.close()


def test_last_words_are_heard_to_the_last_half_line(talk: Talk) -> None:
    one = talk()
    one.say(Serving())
    one.print(b"Traceback\nErr")
    one.stop()
    assert (one.messages, one.lines) == ([Serving()], ["Traceback", "Err"])


def test_after_the_end_nothing_of_it_is_watched_or_open(loop: Loop, talk: Talk) -> None:
    before = set(fds_of())
    one = talk()
    one.stop()
    until(lambda: set(fds_of()) <= before | {one.channel.fileno(), one.output})
    with pytest.raises(BrokenPipeError):
        one.print(b"x")
    drive(loop, lambda: True)


# Floods --------------------------------------------------------------------------------------------------------------


def test_a_mebibyte_of_newlines_is_a_ration_of_lines_and_a_number(loop: Loop, talk: Talk) -> None:
    one = talk()
    began = loop.now()
    one.print(b"\n" * MEBIBYTE)
    said = say_until_heard(loop, one, MEBIBYTE, "the last")
    assert LINES < len(one.lines) <= LINES * (loop.now() - began + 1)
    assert len(one.lines) + one.lost == said


@pytest.mark.parametrize("kind", ["newlines", "workers", "lines"])
def test_while_one_floods_another_is_heard_at_once(loop: Loop, talk: Talk, kind: str) -> None:
    loud, quiet = talk(), talk()
    act = {
        "newlines": lambda: flood_of_newlines(loud),
        "workers": lambda: flood_of(loud, Workers(())),
        "lines": lambda: flood_of(loud, Lines(("",) * channel.MAX_LINES)),
    }[kind]()
    with again_and_again(act):
        drive(loop, lambda: loud.lines or loud.messages)
        for _ in range(10):
            quiet.messages.clear()
            quiet.lines.clear()
            began = loop.now()
            quiet.say(Serving())
            quiet.print(b"here\n")
            drive(loop, lambda: quiet.messages and quiet.lines)
            assert loop.now() - began < 1


def test_only_so_many_bytes_are_read_in_a_second(loop: Loop, talk: Talk) -> None:
    """What is left in the pipe makes its writer wait, not us."""
    one, written = talk(), 0
    newlines = b"\n" * 4096
    os.set_blocking(one.output, False)

    def write() -> None:
        nonlocal written
        written += os.write(one.output, newlines)

    began = loop.now()
    with again_and_again(write):
        drive(loop, lambda: loop.now() > began + 1.5)
    took = loop.now() - began
    assert BYTES <= written <= (took + 1) * (BYTES + CHUNK) + MEBIBYTE
    assert len(one.lines) <= (took + 1) * LINES


def test_only_so_many_datagrams_are_read_in_a_second(loop: Loop, talk: Talk) -> None:
    one = talk()
    began = loop.now()
    with again_and_again(flood_of(one, Workers(()))):
        drive(loop, lambda: loop.now() > began + 1.5)
    assert DATAGRAMS < len(one.messages) <= (loop.now() - began + 1) * (DATAGRAMS + 1)


def test_a_busy_log_is_heard_whole_and_uses_up_no_other_messages(loop: Loop, talk: Talk) -> None:
    """An access log: a few lines at a time, more often than other messages may come."""
    one = talk()
    batches = 2 * DATAGRAMS
    for number in range(batches):
        one.say(Lines((f"GET /{number}",) * 3))
        if number % 50 == 49:
            # What the queue holds is the kernel's affair.
            drive(loop, lambda wanted=3 * (number + 1): len(one.lines) + one.lost == wanted)  # type: ignore[misc]
    one.say(Serving())
    drive(loop, lambda: one.messages)
    assert (len(one.lines), one.lost) == (3 * batches, 0)


def test_after_a_flood_it_is_heard_again(loop: Loop, talk: Talk) -> None:
    one = talk()
    one.print(b"\n" * MEBIBYTE)
    drive(loop, lambda: len(one.lines) >= LINES)
    one.say(Serving())
    drive(loop, lambda: one.messages)
    assert one.complaints == []


def test_what_was_lost_at_the_end_is_told_of(loop: Loop, talk: Talk) -> None:
    one = talk()
    one.print(b"\n" * (LINES + 5))
    one.stop()
    assert (len(one.lines), one.lost) == (LINES, 5)


def test_last_words_are_bounded_even_if_somebody_goes_on_talking(talk: Talk) -> None:
    """A child that outlives it has its ends too."""
    one = talk()
    one.print(b"\n" * MEBIBYTE)
    for _ in range(LAST_DATAGRAMS + 10):
        one.say(Workers(()))
    with again_and_again(flood_of_newlines(one)):
        began = time.monotonic()
        one.stop()
        assert time.monotonic() - began < 1
    assert len(one.messages) == LAST_DATAGRAMS
    assert len(one.lines) + one.lost <= LAST_BYTES


# What breaks the rules -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"[]",
        b'["nothing", {}]',
        b'["lines", {"lines": 3, "dropped": 0}]',
        b"[" * 20000,
        b"x" * (channel.MAX_DATAGRAM + 1),
    ],
    ids=["garbage", "empty", "unknown", "mistyped", "nested", "large"],
)
def test_one_wrong_message_and_its_channel_is_deaf_for_good(loop: Loop, talk: Talk, data: bytes) -> None:
    one, other = talk(), talk()
    one.channel.send(data)
    one.say(Serving())
    drive(loop, lambda: one.complaints)
    one.print(b"still heard\n")
    other.say(Serving())
    drive(loop, lambda: one.lines and other.messages)
    one.stop()
    assert (one.messages, one.lines) == ([], ["still heard"])
    assert len(one.complaints) == 1 and "not listened to any more" in one.complaints[0]


def test_a_deaf_channel_stays_deaf_after_a_pause(loop: Loop, talk: Talk) -> None:
    one = talk()
    one.channel.send(b"garbage")
    drive(loop, lambda: one.complaints)
    one.print(b"\n" * MEBIBYTE)
    one.say(Serving())
    say_until_heard(loop, one, MEBIBYTE, "after the pause")
    assert one.messages == [] and len(one.complaints) == 1


def test_a_listener_that_is_refused_makes_it_deaf(loop: Loop, talk: Talk) -> None:
    one = talk(refuses=True)
    one.say(Serving())
    one.say(Serving())
    drive(loop, lambda: one.complaints)
    one.stop()
    assert one.messages == [Serving()]
    assert one.complaints[0].startswith("not yours")


def test_the_end_of_the_channel_is_no_complaint(loop: Loop, talk: Talk) -> None:
    one = talk()
    one.channel.close()
    one.print(b"goes on\n")
    drive(loop, lambda: one.lines)
    assert one.complaints == []


# Descriptors ---------------------------------------------------------------------------------------------------------


@contextmanager
def many(count: int) -> Iterator[list[int]]:
    fds = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(count)]
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize("count", [2, MAX_DESCRIPTORS])
@pytest.mark.parametrize("living", [True, False])
def test_of_a_bomb_of_descriptors_none_stays_open(loop: Loop, talk: Talk, count: int, living: bool) -> None:
    one = talk()
    with many(count) as fds:
        before = len(fds_of())
        one.say(Listening(0), *fds)
        if living:
            drive(loop, lambda: one.complaints)
        else:
            one.stop()
        assert "too many descriptors" in one.complaints[0]
        until(lambda: len(fds_of()) <= before)
    assert one.taken == []


class Hanging:
    """close(2) of what is no socket hangs until ``go``, as that of a file on a filesystem that does not answer."""

    def __init__(self) -> None:
        self.begun, self.go = 0, threading.Event()

    def close(self, begun: threading.Event, fd: int) -> None:
        self.begun += 1
        begun.set()
        self.go.wait(30)
        os.close(fd)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    one = Hanging()
    monkeypatch.setattr(closer_module, "_close", one.close)
    yield one
    one.go.set()


@pytest.mark.parametrize("message", [Lines(("a line",)), Serving(), Workers(())], ids=["lines", "serving", "workers"])
@pytest.mark.parametrize("living", [True, False])
def test_a_descriptor_with_what_is_no_listener_is_never_taken_and_makes_it_deaf(
    loop: Loop, talk: Talk, hanging: Hanging, message: Message, living: bool
) -> None:
    one = talk()
    with many(1) as (fd,):
        before = len(fds_of())
        for _ in range(100):
            one.say(message, fd)
        if living:
            drive(loop, lambda: one.complaints)
            assert len(fds_of()) == before
        one.stop()
        # Ours of the channel and of the output; and nothing that was sent hangs, for nothing was taken.
        until(lambda: len(fds_of()) == before - 2)
    assert (one.messages, one.lines, one.taken, hanging.begun) == ([], [], [], 0)
    assert one.complaints == [
        "channel: a descriptor comes with what is no listener -- its channel is not listened to any more"
    ]


def test_of_all_that_is_no_socket_one_is_taken(loop: Loop, talk: Talk, hanging: Hanging) -> None:
    one = talk()
    with many(1) as (fd,):
        before = len(fds_of())
        for _ in range(100):
            one.say(Listening(0), fd)
        drive(loop, lambda: one.complaints)
        one.stop()
        assert len(fds_of()) <= before
    assert (one.taken, hanging.begun) == ([], 1)
    assert one.complaints[0].startswith("channel: handed up no socket as a listener")


def test_while_one_hangs_nothing_is_taken_of_the_same_user_and_others_do_not_wait(
    loop: Loop, talk: Talk, hanging: Hanging
) -> None:
    """As many generations as she likes, whatever their vassals are called."""
    with many(1) as (fd,), socket.socket() as listener:
        first = talk()
        first.say(Listening(0), fd)
        drive(loop, lambda: first.complaints)
        for wanted in (fd, listener.fileno()):
            again = talk()
            again.say(Listening(0), wanted)
            drive(loop, partial(len, again.complaints))
            assert "closing an earlier one of the same user still hangs" in again.complaints[0]
            again.stop()
        assert hanging.begun == 1
        other = talk(owner=1001)
        other.say(Listening(0), listener.fileno())
        drive(loop, lambda: other.taken)
        other.stop()
        assert not first.share.closer.idle
        hanging.go.set()
        until(lambda: first.share.closer.idle)
    later = talk()
    with socket.socket() as listener:
        later.say(Listening(0), listener.fileno())
        drive(loop, lambda: later.taken)


def test_a_user_whose_descriptors_hang_is_spent_after_a_few_generations_and_nobody_else(
    loop: Loop, talk: Talk, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Share, "PATIENCE", 0.0)
    with many(1) as (fd,):
        for generation in range(Share.MOST - 1):
            one = talk()
            assert not one.share.spent, generation
            one.say(Listening(0), fd)
            drive(loop, partial(len, one.complaints))
            one.stop()
    assert one.share.spent
    assert not talk(owner=1001).share.spent
    hanging.go.set()
    until(lambda: one.share.closer.idle)
    assert not one.share.spent


@contextmanager
def lingering() -> Iterator[int]:
    """A connection full of bytes that nobody takes: whoever closes it last waits (SO_LINGER, socket(7))."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        near = socket.create_connection(door.getsockname())
        far, _ = door.accept()
    with far:
        near.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                near.send(b"x" * 65536)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))
        yield near.detach()
        # Bytes that were not read make this a reset, and whoever waits is free.


@pytest.mark.parametrize("where", ["wrong message", "deaf channel", "last words"])
def test_a_connection_that_lingers_blocks_nobody(loop: Loop, talk: Talk, where: str) -> None:
    one, other = talk(), talk()
    began = loop.now()
    with lingering() as fd:
        if where == "deaf channel":
            one.channel.send(b"garbage")
            drive(loop, lambda: one.complaints)
        socket.send_fds(one.channel, [b"garbage"], [fd])
        # From here on nobody but the message has it.
        os.close(fd)
        if where == "wrong message":
            drive(loop, lambda: one.complaints)
        one.stop()
        one.channel.close()
        other.say(Serving())
        drive(loop, lambda: other.messages)
        assert loop.now() - began < LINGER / 10


def test_an_output_that_cannot_be_read_is_let_go_and_said_once(loop: Loop, talk: Talk) -> None:
    """As one is into which a page was spliced that its filesystem has lost."""
    one = talk()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    with near:
        os.dup2(near.fileno(), one.hearing._output, inheritable=False)
        one.hearing._loop.unwatch(one.hearing._output)
        one.hearing.start()
        drive(loop, lambda: one.complaints)
    assert one.complaints == ["output: Connection reset by peer -- what it prints is not read any more"]
    one.say(Serving())
    drive(loop, lambda: one.messages)
    one.stop()
    assert len(one.complaints) == 1


def test_how_many_lines_were_lost_is_told_though_no_other_line_comes(loop: Loop, talk: Talk) -> None:
    one = talk()
    datagrams = 2 * LINES // channel.MAX_LINES
    for _ in range(datagrams):
        one.say(Lines(("x",) * channel.MAX_LINES))
    drive(loop, lambda: len(one.lines) + one.lost == datagrams * channel.MAX_LINES)
    assert one.lost
