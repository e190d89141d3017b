"""The control socket on the real kernel: one emperor a path, who calls, and clients that misbehave."""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import queue
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from emperor.control import binding, client, connection, messages, server
from emperor.control.binding import answering_pid
from emperor.control.messages import Peer, Policy, Request
from emperor.control.server import ControlServer
from emperor.ctl import cli
from emperor.errors import EmperorError
from emperor.system import passing
from emperor.system.eventloop import Loop
from tests.requirements import needs

PATIENCE = 10.0
NOBODY = 65534
STATUS, UNANSWERED = Request("status"), Request("version")


class Emperor:
    """A control server whose loop runs in a thread; ``handle`` is what it does with requests."""

    def __init__(self, path: str, policy: Optional[Policy] = None) -> None:
        self.path = path
        self.errors: list[BaseException] = []
        self.asked: queue.Queue[tuple[Request, Peer, connection.Reply]] = queue.Queue()
        self.handle: Callable[[Request, Peer, connection.Reply], None] = lambda request, peer, reply: reply.finish(
            messages.answer([])
        )
        self._loop = Loop(self.errors.append)
        self._todo: queue.Queue[Callable[[], None]] = queue.Queue()
        self._here, self._there = socket.socketpair()
        self._loop.watch(self._here.fileno(), self._work)
        try:
            self.server = ControlServer(self._loop, path, self._handler, policy or Policy(os.geteuid()))
        except BaseException:
            self._close_own()
            raise
        self._thread = threading.Thread(target=self._loop.run, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], Any]) -> Any:
        """In the loop's thread, and its result."""
        results: queue.Queue[Any] = queue.Queue()
        self._todo.put(lambda: results.put(work()))
        self._there.send(b"x")
        return results.get(timeout=PATIENCE)

    def close(self) -> None:
        self.do(self.server.close)
        self.do(self._loop.stop)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._close_own()
        assert self.errors == []

    def _close_own(self) -> None:
        self._loop.close()
        self._here.close()
        self._there.close()

    def _work(self) -> None:
        self._here.recv(1)
        self._todo.get_nowait()()

    def _handler(self, request: Request, peer: Peer, reply: connection.Reply) -> None:
        self.asked.put((request, peer, reply))
        self.handle(request, peer, reply)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket's name, and every user can reach it."""
    path = Path(tempfile.mkdtemp(prefix="control-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def emperor(folder: Path) -> Iterator[Emperor]:
    one = Emperor(str(folder / "control.sock"))
    yield one
    one.close()


@pytest.fixture
def caller(emperor: Emperor) -> Iterator[socket.socket]:
    with connect(emperor.path) as sock:
        yield sock


def connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(path)
    return sock


def ask(path: str, request: Request = STATUS) -> list[dict[str, Any]]:
    return list(client.call(path, request, PATIENCE))


def read_all(sock: socket.socket) -> list[dict[str, Any]]:
    data = b""
    while True:
        try:
            more = sock.recv(65536)
        except ConnectionResetError:  # it hung up with words of ours unread
            more = b""
        if not more:
            return [json.loads(line) for line in data.splitlines()]
        data += more


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "did not come to be"
        time.sleep(0.005)


@contextlib.contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """The kernel notes the effective numbers of whoever connects."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


# The path


def test_anybody_may_connect_and_the_folder_lets_them_whatever_the_umask(folder: Path) -> None:
    previous = os.umask(0o077)
    try:
        one = Emperor(str(folder / "made" / "here" / "control.sock"))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(previous)
    try:
        assert stat.S_IMODE(os.lstat(one.path).st_mode) == 0o666
        assert stat.S_IMODE((folder / "made" / "here").stat().st_mode) == 0o755
    finally:
        one.close()


def test_a_second_emperor_is_refused_and_told_who_is_there(emperor: Emperor) -> None:
    with pytest.raises(EmperorError, match=f"pid {os.getpid()} answers there"):
        Emperor(emperor.path)
    assert ask(emperor.path)[-1]["ok"]


def test_a_socket_that_answers_is_left_alone_even_if_its_lock_is_lost(emperor: Emperor) -> None:
    os.unlink(emperor.path + ".lock")
    with pytest.raises(EmperorError, match=f"pid {os.getpid()} answers there"):
        Emperor(emperor.path)
    assert ask(emperor.path)[-1]["ok"]


def test_a_lock_that_is_held_is_respected_although_nobody_answers_yet(folder: Path) -> None:
    path = str(folder / "control.sock")
    with socket.socket(socket.AF_UNIX) as starting, open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        starting.bind(path)
        with pytest.raises(EmperorError, match="another emperor holds"):
            Emperor(path)
        assert stat.S_ISSOCK(os.lstat(path).st_mode)


def test_what_a_killed_emperor_left_behind_is_replaced(folder: Path) -> None:
    path = str(folder / "control.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    Path(path + ".lock").touch()
    one = Emperor(path)
    try:
        assert ask(path)[-1]["ok"]
    finally:
        one.close()


@pytest.mark.parametrize("kind", ["file", "symlink", "folder", "fifo"])
def test_what_is_no_socket_is_never_removed(folder: Path, kind: str) -> None:
    path = folder / "control.sock"
    if kind == "file":
        path.write_text("precious")
    elif kind == "symlink":
        path.symlink_to("elsewhere")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    before = os.lstat(path)
    with pytest.raises(EmperorError, match="no socket"):
        Emperor(str(path))
    assert os.lstat(path).st_ino == before.st_ino
    assert not (folder / "control.sock.lock").exists()


def test_a_lock_that_is_a_symlink_is_not_followed(folder: Path) -> None:
    (folder / "control.sock.lock").symlink_to(folder / "victim")
    with pytest.raises(EmperorError):
        Emperor(str(folder / "control.sock"))
    assert not (folder / "victim").exists()


def test_a_path_too_long_for_a_socket_is_an_error_and_leaves_no_lock(folder: Path) -> None:
    with pytest.raises(EmperorError, match="too long"):
        Emperor(str(folder / ("x" * 120)))
    assert list(folder.iterdir()) == []


def test_closing_leaves_nothing(folder: Path) -> None:
    Emperor(str(folder / "control.sock")).close()
    assert list(folder.iterdir()) == []


def test_closing_leaves_a_socket_that_took_the_place(folder: Path) -> None:
    path = str(folder / "control.sock")
    one = Emperor(path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        one.close()
        assert stat.S_ISSOCK(os.lstat(path).st_mode)


def test_nobody_answers_where_nothing_listens(folder: Path) -> None:
    assert answering_pid(str(folder / "nothing")) is None


# Requests and answers


def test_the_kernel_says_who_calls(emperor: Emperor) -> None:
    assert ask(emperor.path) == [{"ok": True, "exit": 0, "data": [], "end": True}]
    request, peer, _ = emperor.asked.get(timeout=PATIENCE)
    assert request == STATUS
    assert peer == Peer(os.geteuid(), os.getegid(), peer.groups, os.getpid())
    assert sorted(peer.groups) == sorted(os.getgroups())


def test_a_request_may_come_byte_by_byte(emperor: Emperor, caller: socket.socket) -> None:
    for byte in messages.encode(STATUS):
        caller.sendall(bytes([byte]))
    assert read_all(caller)[-1]["ok"]


def test_an_answer_may_come_late_and_others_are_served_meanwhile(emperor: Emperor) -> None:
    def only_status(request: Request, peer: Peer, reply: connection.Reply) -> None:
        if request.verb == "status":
            reply.finish(messages.answer([]))

    emperor.handle = only_status
    with connect(emperor.path) as waiting:
        waiting.sendall(messages.encode(Request("reload", ("blog",))))
        _, _, reply = emperor.asked.get(timeout=PATIENCE)
        assert ask(emperor.path)[-1]["ok"]
        emperor.do(lambda: reply.finish(messages.answer([{"name": "blog", "ok": True}])))
        assert read_all(waiting) == [{"ok": True, "exit": 0, "data": [{"name": "blog", "ok": True}], "end": True}]
        wait_for(lambda: reply.gone)
        emperor.do(lambda: reply.finish(messages.answer("too late")))


def test_an_error_of_the_handler_is_the_answer(emperor: Emperor) -> None:
    def fail(request: Request, peer: Peer, reply: connection.Reply) -> None:
        raise EmperorError("blog: no such vassal")

    emperor.handle = fail
    assert ask(emperor.path) == [{"ok": False, "exit": 1, "error": "blog: no such vassal", "end": True}]


def test_a_bug_of_the_handler_is_answered_and_reported_once(emperor: Emperor) -> None:
    def buggy(request: Request, peer: Peer, reply: connection.Reply) -> None:
        raise KeyError("all")

    emperor.handle = buggy
    assert ask(emperor.path) == [{"ok": False, "exit": 1, "error": "the emperor failed to answer", "end": True}]
    assert [repr(error) for error in emperor.errors] == ["KeyError('all')"]
    emperor.errors.clear()
    emperor.handle = lambda request, peer, reply: reply.finish(messages.answer([]))
    assert ask(emperor.path)[0]["ok"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"verb": "status", "names": ["all"]}',
        b'{"verb": "logs", "names": ["all"]}',
        b'{"verb": "logs", "names": ["all"], "options": {"follow": true}}',
        b'{"verb": "stop", "names": ["all", "blog"]}',
    ],
)
def test_all_stands_alone_and_for_orders_only(emperor: Emperor, caller: socket.socket, line: bytes) -> None:
    caller.sendall(line + b"\n")
    (reply,) = read_all(caller)
    assert reply["exit"] == 2 and "'all' " in reply["error"]
    assert emperor.asked.empty()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "not one line of JSON"),
        (b'{"verb":"frobnicate"}\n', "unknown verb"),
        (messages.encode(STATUS) * 2, "one request a connection"),
        (b"x" * (messages.LIMIT + 1), "longer than"),
    ],
    ids=["http", "verb", "two", "long"],
)
def test_what_is_no_request_is_refused_with_the_reason(
    emperor: Emperor, caller: socket.socket, data: bytes, reason: str
) -> None:
    caller.sendall(data)
    (reply,) = read_all(caller)
    assert reply["exit"] == 2 and not reply["ok"] and reason in reply["error"] and reply["end"]
    assert emperor.asked.empty()


def test_a_client_that_closed_its_writing_half_is_still_answered(emperor: Emperor, caller: socket.socket) -> None:
    emperor.handle = lambda request, peer, reply: None
    caller.sendall(messages.encode(STATUS))
    caller.shutdown(socket.SHUT_WR)
    _, _, reply = emperor.asked.get(timeout=PATIENCE)
    emperor.do(lambda: reply.send({"data": 1}))
    emperor.do(lambda: reply.finish(messages.answer(2)))
    assert [one["data"] for one in read_all(caller)] == [1, 2]


def test_a_client_that_leaves_is_gone_and_words_to_it_are_dropped(emperor: Emperor) -> None:
    emperor.handle = lambda request, peer, reply: None
    with connect(emperor.path) as sock:
        sock.sendall(messages.encode(Request("logs", ("blog",), {"follow": True})))
        _, _, reply = emperor.asked.get(timeout=PATIENCE)
        emperor.do(lambda: reply.send({"data": {"name": "blog", "lines": ["a"]}}))
        assert not reply.gone
    wait_for(lambda: reply.gone)
    emperor.do(lambda: reply.send({"data": {"name": "blog", "lines": ["b"]}}))


def test_a_client_that_closed_its_writing_half_and_leaves_is_gone_before_anything_is_said_to_it(
    emperor: Emperor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log that it follows may be quiet for days."""
    monkeypatch.setattr(connection, "LOOK_SECONDS", 0.02)
    emperor.handle = lambda request, peer, reply: None
    with connect(emperor.path) as sock:
        sock.sendall(messages.encode(Request("logs", ("blog",), {"follow": True})))
        sock.shutdown(socket.SHUT_WR)
        _, _, reply = emperor.asked.get(timeout=PATIENCE)
        emperor.do(lambda: reply.send({"data": 1}))
        assert json.loads(sock.recv(65536)) == {"data": 1}
        assert not reply.gone
    wait_for(lambda: reply.gone)


def test_a_client_that_does_not_ask_is_sent_away(emperor: Emperor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ASKING_SECONDS", 0.05)
    with connect(emperor.path) as sock:
        sock.sendall(b'{"verb":')
        (reply,) = read_all(sock)
    assert reply["exit"] == 2 and "not here after" in reply["error"]


def test_a_client_that_does_not_read_is_cut_off_in_time(emperor: Emperor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READING_SECONDS", 0.05)
    emperor.handle = lambda request, peer, reply: reply.finish(messages.answer("x" * 3_000_000))
    with connect(emperor.path) as sock:
        sock.sendall(messages.encode(STATUS))
        _, _, reply = emperor.asked.get(timeout=PATIENCE)
        wait_for(lambda: reply.gone)


def test_a_follower_that_is_too_slow_is_dropped_and_blocks_nobody(emperor: Emperor) -> None:
    emperor.handle = lambda request, peer, reply: None
    with connect(emperor.path) as sock:
        sock.sendall(messages.encode(Request("logs", ("blog",), {"follow": True})))
        _, _, reply = emperor.asked.get(timeout=PATIENCE)
        for _ in range(100):
            emperor.do(lambda: reply.send({"data": {"name": "blog", "lines": ["x" * 100_000]}}))
        with sock.makefile("rb") as answer:
            *heard, last = answer.readlines()
        assert 40 <= len(heard) < 100 and b"not read" in last
        wait_for(lambda: reply.gone)
    emperor.handle = lambda request, peer, reply: reply.finish(messages.answer([]))
    assert ask(emperor.path)[-1]["ok"]


def test_a_large_answer_arrives_whole_and_one_too_large_says_so(emperor: Emperor) -> None:
    emperor.handle = lambda request, peer, reply: reply.finish(messages.answer("x" * 4_000_000))
    assert len(ask(emperor.path)[0]["data"]) == 4_000_000
    emperor.handle = lambda request, peer, reply: reply.finish(messages.answer("x" * 5_000_000))
    (reply,) = ask(emperor.path)
    assert not reply["ok"] and "name fewer vassals" in reply["error"] and reply["end"]


def test_more_clients_than_places_are_told_so(emperor: Emperor) -> None:
    emperor.handle = lambda request, peer, reply: None
    with contextlib.ExitStack() as stack:
        for _ in range(server.MOST_CLIENTS):
            stack.enter_context(connect(emperor.path))
        (reply,) = ask(emperor.path)
        assert not reply["ok"] and "too many clients" in reply["error"]
    emperor.handle = lambda request, peer, reply: reply.finish(messages.answer([]))
    wait_for(lambda: bool(ask(emperor.path)[0]["ok"]))


@needs("root")
def test_one_user_cannot_take_every_place(emperor: Emperor) -> None:
    with contextlib.ExitStack() as stack:
        with acting_as(NOBODY, NOBODY):
            for _ in range(server.MOST_OF_ONE_USER):
                stack.enter_context(connect(emperor.path))
            full = connect(emperor.path)
        with full:
            (reply,) = read_all(full)
        assert "too many clients" in reply["error"]
        with acting_as(NOBODY - 1, NOBODY):
            assert ask(emperor.path)[-1]["ok"]
        assert ask(emperor.path)[-1]["ok"]


@needs("root")
def test_numbers_of_the_caller_are_those_of_its_connect(folder: Path) -> None:
    emperor = Emperor(str(folder / "control.sock"), Policy(own_uid=0, admin_gid=4242))
    try:
        with acting_as(NOBODY, 4242):
            ask(emperor.path)
        _, peer, _ = emperor.asked.get(timeout=PATIENCE)
        assert (peer.uid, peer.gid) == (NOBODY, 4242)
    finally:
        emperor.close()


# Descriptors


@pytest.fixture(params=["", "a kernel that cannot refuse them"])
def told_or_not(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emperor]:
    """An emperor on this kernel, and one on a kernel before Linux 6.16."""
    if request.param:
        monkeypatch.setattr(passing, "SO_PASSRIGHTS", 12345)
    one = Emperor(str(folder / "control.sock"))
    yield one
    one.close()


@contextlib.contextmanager
def lingering() -> Iterator[tuple[int, socket.socket]]:
    """A descriptor whose last close waits for a minute (SO_LINGER of socket(7)), or until its other end is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(listener.getsockname())
        sock, _ = listener.accept()
        with sock:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.send(bytes(65536))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
            yield sock.detach(), deaf


@contextlib.contextmanager
def paused(emperor: Emperor) -> Iterator[None]:
    """What is sent meanwhile is the emperor's alone when it reads on."""
    begun, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=emperor.do, args=(lambda: (begun.set(), go_on.wait(PATIENCE)),))
    thread.start()
    assert begun.wait(PATIENCE)
    try:
        yield
    finally:
        go_on.set()
        thread.join()


def pass_on(sock: socket.socket, fd: int, data: bytes, flags: int = 0) -> None:
    """``fd`` is the receiver's alone from now on; or the kernel has refused to send it."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
    try:
        sock.sendmsg([data], rights, flags)
    except PermissionError:
        with socket.socket(fileno=fd) as refused:
            refused.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        return
    os.close(fd)


@pytest.mark.parametrize(
    ("before", "data", "flags"),
    [
        pytest.param(b"", b'{"verb"', 0, id="with half a request"),
        pytest.param(b"", messages.encode(STATUS), 0, id="with a request"),
        pytest.param(messages.encode(UNANSWERED), b"more", 0, id="behind a request"),
        pytest.param(b"{", b"!", socket.MSG_OOB, id="out of band"),
        pytest.param(b"{", bytes(100_000), 0, id="at the head of very much"),
    ],
)
def test_a_descriptor_whose_close_waits_keeps_nobody_waiting(
    told_or_not: Emperor, before: bytes, data: bytes, flags: int
) -> None:
    told_or_not.handle = lambda request, peer, reply: reply.finish(messages.answer([])) if request == STATUS else None
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            caller = stack.enter_context(connect(told_or_not.path))
            fd, _deaf = stack.enter_context(lingering())
            if before:
                caller.sendall(before)
            if before == messages.encode(UNANSWERED):
                told_or_not.asked.get(timeout=PATIENCE)
            with paused(told_or_not):
                pass_on(caller, fd, data, flags)
            assert ask(told_or_not.path)[-1]["ok"]
        stack.enter_context(connect(told_or_not.path)).sendall(b"{")
        assert ask(told_or_not.path)[-1]["ok"]


def test_one_that_was_sent_before_anybody_accepted_does_not_delay_the_end(told_or_not: Emperor) -> None:
    with lingering() as (fd, _):
        told_or_not.do(lambda: told_or_not._loop.unwatch(told_or_not.server.export().fd))
        with connect(told_or_not.path) as caller:
            pass_on(caller, fd, b"{")
        began = time.monotonic()
        told_or_not.do(told_or_not.server.close)
        assert time.monotonic() - began < 30


def test_a_socket_that_an_older_program_hands_over_takes_none_any_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not passing_can_be_refused():
        pytest.skip("this kernel cannot refuse descriptors (SO_PASSRIGHTS)")
    path, loop, policy = str(folder / "control.sock"), Loop(print), Policy(os.geteuid())
    with monkeypatch.context() as older:
        older.setattr(passing, "SO_PASSRIGHTS", 12345)
        before = ControlServer(loop, path, print, policy)
    with lingering() as (fd, _):
        with connect(path) as early:
            # Accepted by nobody yet, and our close is the last one of it.
            pass_on(early, fd, b"{")
        state = before.export()
        assert before._bound is not None
        before._bound.sock.detach()
        after = ControlServer(loop, path, print, policy, state)
        with connect(path) as caller, pytest.raises(PermissionError):
            socket.send_fds(caller, [b"{"], [0])
        began = time.monotonic()
        after.close()
        assert time.monotonic() - began < 30
    loop.close()


def test_a_control_socket_takes_none_from_birth(folder: Path) -> None:
    """Also the one that is bound anew: what came before a first refusal would make its end a wait."""
    if not passing_can_be_refused():
        pytest.skip("this kernel cannot refuse descriptors (SO_PASSRIGHTS)")
    bound = binding.bind(str(folder / "control.sock"))
    os.unlink(bound.path)
    fresh = binding.restore(bound)
    assert fresh is not None
    for one in (bound, fresh):
        assert one.sock.getsockopt(socket.SOL_SOCKET, passing.SO_PASSRIGHTS) == 0
    with connect(fresh.path) as caller, pytest.raises(PermissionError):
        socket.send_fds(caller, [b"{"], [0])
    bound.sock.close()
    fresh.sock.close()
    binding.release(fresh)


def passing_can_be_refused() -> bool:
    with socket.socket(socket.AF_UNIX) as fresh, contextlib.suppress(OSError):
        fresh.setsockopt(socket.SOL_SOCKET, passing.SO_PASSRIGHTS, 0)
        return True
    return False


def test_so_many_whose_close_waits_that_nobody_is_accepted_until_some_are_closed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "SO_PASSRIGHTS", 12345)
    monkeypatch.setattr(server, "MOST_UNCLOSED", 2)
    monkeypatch.setattr(server, "_BREATHER_SECONDS", 0.05)
    emperor = Emperor(str(folder / "control.sock"))
    try:
        with contextlib.ExitStack() as stack:
            deaf_ends = []
            for _ in range(2):
                caller = stack.enter_context(connect(emperor.path))
                fd, deaf = stack.enter_context(lingering())
                deaf_ends.append(deaf)
                with paused(emperor):
                    pass_on(caller, fd, b"{")
                assert read_all(caller)
            late = stack.enter_context(connect(emperor.path))
            late.sendall(messages.encode(STATUS))
            late.settimeout(0.5)
            with pytest.raises(TimeoutError):
                late.recv(1)
            for deaf in deaf_ends:
                deaf.close()
            late.settimeout(PATIENCE)
            assert read_all(late)[-1]["ok"]
    finally:
        emperor.close()


# The client


def test_no_emperor_is_an_error_of_its_own(folder: Path) -> None:
    path = str(folder / "control.sock")
    with pytest.raises(client.NoDaemon, match="is the emperor running"):
        ask(path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with pytest.raises(client.NoDaemon):
        ask(path)


@needs("root")
def test_a_socket_that_may_not_be_connected_to_is_not_an_absent_emperor(emperor: Emperor) -> None:
    os.chmod(emperor.path, 0o600)
    with acting_as(NOBODY, NOBODY), pytest.raises(client.NotPermitted):
        ask(emperor.path)


def test_a_silent_emperor_is_given_up_after_the_timeout(emperor: Emperor) -> None:
    emperor.handle = lambda request, peer, reply: None
    started = time.monotonic()
    with pytest.raises(client.Unanswered, match=r"no answer in 0\.1 s"):
        list(client.call(emperor.path, STATUS, 0.1))
    assert time.monotonic() - started < PATIENCE


def test_a_full_queue_is_waited_for_no_longer_than_the_timeout(folder: Path) -> None:
    path = str(folder / "control.sock")
    with contextlib.ExitStack() as stack:
        stuck = stack.enter_context(socket.socket(socket.AF_UNIX))
        stuck.bind(path)
        stuck.listen(0)
        stack.enter_context(connect(path))
        with pytest.raises(client.Unanswered):
            list(client.call(path, STATUS, 0.1))
        assert answering_pid(path) == 0


def test_an_emperor_that_hangs_up_is_said_to_be_stopping(emperor: Emperor) -> None:
    emperor.handle = lambda request, peer, reply: emperor.server.close()
    with pytest.raises(client.Unanswered, match="hung up"):
        ask(emperor.path)


def test_followed_lines_may_take_longer_than_the_timeout(emperor: Emperor) -> None:
    emperor.handle = lambda request, peer, reply: reply.send({"data": 1})
    replies = client.call(emperor.path, Request("logs", ("blog",), {"follow": True}), 0.2)
    assert next(replies) == {"data": 1}
    _, _, reply = emperor.asked.get(timeout=PATIENCE)
    later = time.monotonic() + 0.3
    wait_for(lambda: time.monotonic() > later)
    emperor.do(lambda: reply.finish({"data": 2}))
    assert list(replies) == [{"data": 2, "end": True}]


# The command


def test_the_command_asks_the_socket_it_is_told(emperor: Emperor, capsys: pytest.CaptureFixture[str]) -> None:
    emperor.handle = lambda request, peer, reply: reply.finish(
        messages.answer([{"name": "blog", "state": "RUNNING", "wanted": "up", "pid": 7}])
    )
    assert cli.main(["status", "--control-socket", emperor.path]) == 0
    assert capsys.readouterr().out == "blog                             RUNNING   pid 7\n"


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["status"], 4),
        (["start", "blog"], 7),
        (["stop", "all"], 7),
        (["restart", "blog"], 7),
        (["reload", "blog"], 7),
        (["logs", "blog"], 7),
        (["version"], 0),
    ],
    ids=lambda value: str(value),
)
def test_without_an_emperor_each_verb_has_its_exit(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int
) -> None:
    assert cli.main(["--control-socket", str(folder / "none"), *argv]) == code
    said = capsys.readouterr()
    assert "is the emperor running" in (said.out if argv == ["version"] else said.err)


def test_a_reader_that_leaves_gets_no_traceback(emperor: Emperor) -> None:
    lines = ["x" * 100] * 3000
    emperor.handle = lambda request, peer, reply: reply.finish(messages.answer({"name": "blog", "lines": lines}))
    command = [sys.executable, "-m", "emperor.ctl.cli", "--control-socket", emperor.path, "logs", "blog"]
    # Unbuffered, Python's text layer forgets what a short write leaves over, and would not notice the reader's end.
    environ = {**os.environ, "PYTHONUNBUFFERED": ""}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"x" * 100 + b"\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 141
