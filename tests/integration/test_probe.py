"""One question to a real socket: our servers, flup's, uWSGI's, and such as want to harm who asks."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest

from benchmarks.front import free_port
from emperor.model import TCP, UNIX, Address, Identity
from emperor.probe.asking import ask_as
from emperor.probe.exchange import MOST_STDERR, ask
from emperor.probe.question import ANSWER, CONNECT, MOST_BODY, SEND, Answer, Failure, Question
from emperor.protocol import records
from emperor.protocol.cgi import HEAD_LIMIT
from tests.integration.oracle_world import uwsgi
from tests.integration.serving_world import Start, listening, serving
from tests.requirements import needs, require

PROTOCOLS = ("uwsgi", "fastcgi", "http")
every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
SHORT = 0.4
"""Seconds of patience where somebody is never going to answer."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
OVER = records.encode_end(1)


def at(path: Path | str) -> Address:
    return Address(UNIX, str(path))


def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """What was asked, and as much as is wanted."""
    print("seen", file=environ["wsgi.errors"])
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "HTTP_X_TEST")
    text = "|".join(environ.get(name, "") for name in names).encode("latin-1")
    text += b"|" + environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    text += b"x" * int(environ["QUERY_STRING"] or 0)
    start_response("404 Gone" if environ["PATH_INFO"] == "/gone" else "200 OK", [("Content-Length", str(len(text)))])
    return [text]


def answer(found: Answer | Failure) -> Answer:
    assert isinstance(found, Answer), found
    return found


def failure(found: Answer | Failure) -> Failure:
    assert isinstance(found, Failure), found
    return found


@contextlib.contextmanager
def hostile(folder: Path, act: Callable[[socket.socket], object]) -> Iterator[Address]:
    """Does that to whoever connects, until they leave."""
    path = folder / "hostile.sock"
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                peer, _ = listener.accept()
                with peer:
                    act(peer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)
        listener.settimeout(0.05)
        thread = threading.Thread(target=serve)
        thread.start()
        yield at(path)
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def says(*pieces: bytes, for_ever: bytes = b"") -> Callable[[socket.socket], None]:
    def act(peer: socket.socket) -> None:
        peer.settimeout(5)
        peer.recv(65536)
        for piece in pieces:
            peer.sendall(piece)
        while for_ever:
            peer.sendall(for_ever)

    return act


def silent(peer: socket.socket) -> None:
    peer.settimeout(5)
    while peer.recv(65536):
        pass


@every_protocol
def test_our_server_is_asked_as_nginx_would(tmp_path: Path, protocol: str) -> None:
    with serving(tmp_path, protocol, app) as running:
        question = Question(protocol, at(running.path), "/a%20b?3", headers=(("X-Test", "1"), ("X-Test", "2")))
        found = answer(ask(question))
        assert (found.status, found.reason, found.cut, found.flaw) == (200, "OK", False, "")
        assert found.body == b"GET||/a b|3||1, 2|xxx"
        assert 0 < found.connected <= found.first <= found.total < 10
        posted = question._replace(method="POST", body=b"data" * 100_000, headers=(("Content-Type", "a/b"),))
        assert answer(ask(posted)).body == b"POST||/a b|3|a/b||" + b"data" * 100_000 + b"xxx"
        assert answer(ask(question._replace(target="/?3000000"))).body.endswith(b"x" * 3_000_000)
        assert answer(ask(question._replace(target="/gone"))).status == 404
        head = answer(ask(question._replace(method="HEAD")))
        assert (head.status, head.flaw) == (200, "")


@pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi"])
def test_a_prefix_is_cut_off_as_the_web_server_cuts_it(tmp_path: Path, protocol: str) -> None:
    with serving(tmp_path, protocol, app) as running:
        question = Question(protocol, at(running.path), "/shop/cart", script_name="/shop")
        assert answer(ask(question)).body == b"GET|/shop|/cart||||"
        assert answer(ask(question._replace(target="/shopping"))).body == b"GET||/shopping||||"


SERVERS = (("uwsgi", "native"), ("fastcgi", "native"), ("http", "native"), ("fastcgi", "flup"))


@pytest.mark.parametrize("asked", PROTOCOLS)
@pytest.mark.parametrize(("protocol", "engine"), SERVERS)
def test_a_server_of_another_protocol_is_named(tmp_path: Path, protocol: str, engine: str, asked: str) -> None:
    with serving(tmp_path, protocol, app, engine=engine) as running:
        found = ask(Question(asked, at(running.path), patience=2.0 if asked == protocol else SHORT))
    if asked == protocol:
        assert answer(found).body == b"GET||/||||"
    else:
        assert failure(found).speaks == protocol
        assert found.reason.startswith("it speaks ")


def test_an_apps_own_400_is_its_answer(tmp_path: Path) -> None:
    def bad(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("400 Bad", [])
        return [b"bad"]

    for protocol in PROTOCOLS:
        with serving(tmp_path, protocol, bad) as running:
            assert answer(ask(Question(protocol, at(running.path)))).body == b"bad"


@pytest.fixture(scope="module")
def real_uwsgi() -> Iterator[dict[str, Address]]:
    """uWSGI answers by its own routes: no plugin is needed for that."""
    require("uwsgi")
    program = uwsgi()
    assert program
    ports = {protocol: free_port() for protocol in PROTOCOLS}
    options = {"uwsgi": "--socket", "fastcgi": "--fastcgi-socket", "http": "--http-socket"}
    sockets = [word for one in PROTOCOLS for word in (options[one], f"127.0.0.1:{ports[one]}")]
    drop = ["--uid", "nobody", "--gid", "nogroup"] if os.geteuid() == 0 else []
    command = [program, *sockets, *drop, "--route-run", "break:200 OK", "--master", "--die-on-term"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/") as process:
        try:
            addresses = {one: Address(TCP, host="127.0.0.1", port=ports[one]) for one in PROTOCOLS}
            end = time.monotonic() + 20
            while isinstance(ask(Question("http", addresses["http"], "/page", patience=1.0)), Failure):
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.05)
            yield addresses
        finally:
            process.terminate()


@needs("uwsgi")
@pytest.mark.parametrize("asked", PROTOCOLS)
@every_protocol
def test_uwsgi_itself_is_asked_and_its_protocol_is_named(
    real_uwsgi: dict[str, Address], protocol: str, asked: str
) -> None:
    found = ask(Question(asked, real_uwsgi[protocol], "/page", patience=5.0 if asked == protocol else 1.0))
    if asked == protocol:
        assert answer(found)[:2] == (200, "OK")
    else:
        assert failure(found).speaks == protocol


def test_nobody_there_is_a_failure_with_the_kernels_number(tmp_path: Path) -> None:
    nothing = tmp_path / "none.sock"
    assert failure(ask(Question("uwsgi", at(nothing)))).errno == errno.ENOENT
    with listening(nothing):
        pass
    found = failure(ask(Question("uwsgi", at(nothing))))
    assert (found.stage, found.errno, found.reason) == (CONNECT, errno.ECONNREFUSED, "Connection refused")
    found = failure(ask(Question("uwsgi", Address(TCP, host="127.0.0.1", port=free_port()))))
    assert (found.stage, found.errno) == (CONNECT, errno.ECONNREFUSED)
    assert failure(ask(Question("uwsgi", at("/" + "x" * 200)))).stage == CONNECT


def test_a_full_queue_is_named_once_patience_is_over(tmp_path: Path) -> None:
    path = tmp_path / "full.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        found = failure(ask(Question("uwsgi", at(path), patience=SHORT)))
    assert (found.stage, found.errno) == (CONNECT, errno.EAGAIN)
    assert "stayed full for 0.4 s" in found.reason


def test_what_a_protocol_cannot_say_is_not_sent(tmp_path: Path) -> None:
    with hostile(tmp_path, silent) as address:
        for wrong in (Question("uwsgi", address, headers=(("X", "x" * 70_000),)), Question("scgi", address)):
            assert failure(ask(wrong)).stage == SEND


@every_protocol
def test_who_never_answers_costs_patience_and_no_more(tmp_path: Path, protocol: str) -> None:
    with hostile(tmp_path, silent) as address:
        began = time.monotonic()
        found = failure(ask(Question(protocol, address, patience=SHORT)))
        assert time.monotonic() - began < 10
    assert (found.stage, found.reason, found.speaks) == (ANSWER, "no answer within 0.4 s", "")


@pytest.mark.parametrize(
    ("protocol", "act", "reason"),
    [
        ("uwsgi", says(), "closed the connection without an answer"),
        ("fastcgi", says(), "closed the connection before the end of its answer"),
        ("http", says(), "closed the connection without an answer"),
        ("fastcgi", says(OVER), "closed the connection without an answer"),
        ("uwsgi", says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "makes no sense"),
        ("fastcgi", says(b"-ERR unknown command\r\n"), "makes no sense"),
        ("http", says(b"\x16\x03\x01garbage\r\n\r\n"), "makes no sense"),
        ("uwsgi", says(HEAD, for_ever=b"X: y\r\n" * 500), "64 KiB"),
        ("http", says(HEAD, for_ever=b"X: y\r\n" * 500), "makes no sense"),
        ("fastcgi", says(for_ever=records.encode_record(records.STDOUT, 1, b"X: y\r\n" * 500)), "64 KiB"),
        ("fastcgi", says(records.encode_end(1, 0, records.OVERLOADED)), "refused the request"),
    ],
)
def test_an_answer_that_is_none_is_a_failure(tmp_path: Path, protocol: str, act: Any, reason: str) -> None:
    assert HEAD_LIMIT == 64 * 1024
    with hostile(tmp_path, act) as address:
        found = failure(ask(Question(protocol, address, patience=5.0)))
    assert reason in found.reason
    assert "\n" not in found.reason


def test_an_endless_body_is_cut_and_an_early_end_is_told(tmp_path: Path) -> None:
    with hostile(tmp_path, says(HEAD + b"\r\n", for_ever=b"x" * 65536)) as address:
        found = answer(ask(Question("uwsgi", address)))
    assert (len(found.body), found.cut, found.flaw) == (MOST_BODY, True, "")
    tmp_path.joinpath("hostile.sock").unlink()
    with hostile(tmp_path, says(HEAD + b"Content-Length: 9\r\n\r\nhalf")) as address:
        for protocol in ("uwsgi", "http"):
            found = answer(ask(Question(protocol, address)))
            assert (found.body, found.cut) == (b"half", True)
            assert found.flaw


def test_a_body_without_end_and_a_stderr_without_end_are_bounded(tmp_path: Path) -> None:
    def half(peer: socket.socket) -> None:
        says(records.encode_record(records.STDOUT, 1, HEAD + b"\r\nhalf"))(peer)
        silent(peer)

    with hostile(tmp_path, half) as address:
        found = answer(ask(Question("fastcgi", address, patience=SHORT)))
    assert (found.body, found.flaw) == (b"half", "its answer has no end: no answer within 0.4 s")
    tmp_path.joinpath("hostile.sock").unlink()
    with hostile(tmp_path, says(for_ever=records.encode_record(records.STDERR, 1, b"oh\n" * 9000))) as address:
        failed = failure(ask(Question("fastcgi", address, patience=SHORT)))
    assert len(failed.stderr) == MOST_STDERR


def test_what_fastcgi_says_on_stderr_is_kept_beside_the_answer(tmp_path: Path) -> None:
    told = records.encode_record(records.STDERR, 1, b"Traceback\n")
    said = records.encode_record(records.STDOUT, 1, b"Status: 500 Oh\r\n\r\n")
    with hostile(tmp_path, says(told + said + OVER)) as address:
        found = answer(ask(Question("fastcgi", address)))
        assert (found.status, found.reason, found.stderr) == (500, "Oh", b"Traceback\n")
    tmp_path.joinpath("hostile.sock").unlink()
    with hostile(tmp_path, says(told + OVER)) as address:
        assert failure(ask(Question("fastcgi", address))).stderr == b"Traceback\n"


# --- as somebody else ---


@pytest.fixture
def nobody() -> Identity:
    entry = pwd.getpwnam("nobody")
    return Identity(entry.pw_uid, entry.pw_gid, (entry.pw_gid,), "nobody", "/")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@needs("root")
def test_root_asks_as_the_user_whom_the_kernel_names_to_the_server(open_folder: Path, nobody: Identity) -> None:
    peers: list[bytes] = []

    def act(peer: socket.socket) -> None:
        peers.append(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8])
        says(HEAD + b"\r\n\xff\x00")(peer)

    with hostile(open_folder, act) as address:
        os.chmod(address.path, 0o666)
        found = answer(ask_as(Question("uwsgi", address), nobody))
        assert (found.body, found.headers) == (b"\xff\x00", (("Content-Type", "text/plain"),))
        assert peers == [nobody.uid.to_bytes(4, "little")]
        os.chmod(address.path, 0o700)
        closed = failure(ask_as(Question("uwsgi", address), nobody))
        assert (closed.stage, closed.errno, closed.reason) == (CONNECT, errno.EACCES, "Permission denied")


@needs("root")
def test_the_longest_body_comes_through_the_fork_and_a_silent_one_ends(open_folder: Path, nobody: Identity) -> None:
    with hostile(open_folder, says(HEAD + b"\r\n", for_ever=b"x" * 65536)) as address:
        os.chmod(address.path, 0o666)
        assert len(answer(ask_as(Question("uwsgi", address), nobody)).body) == MOST_BODY
    open_folder.joinpath("hostile.sock").unlink()
    with hostile(open_folder, silent) as address:
        os.chmod(address.path, 0o666)
        assert failure(ask_as(Question("uwsgi", address, patience=SHORT), nobody)).reason == "no answer within 0.4 s"


def test_without_an_identity_we_are_who_asks(tmp_path: Path) -> None:
    with serving(tmp_path, "uwsgi", app) as running:
        assert answer(ask_as(Question("uwsgi", at(running.path)), None)).status == 200


def test_no_more_of_a_body_is_kept_than_was_wished_for(tmp_path: Path) -> None:
    with hostile(tmp_path, says(HEAD + b"\r\n", for_ever=b"x" * 65536)) as address:
        found = answer(ask(Question("uwsgi", address, keep=1000)))
    assert (len(found.body), found.cut, found.flaw) == (1000, True, "")


def test_many_may_ask_at_once_from_threads(tmp_path: Path) -> None:
    found: list[Answer | Failure] = []

    def one(address: Address) -> None:
        found.append(ask(Question("fastcgi", address)))

    with serving(tmp_path, "fastcgi", app) as running:
        threads = [threading.Thread(target=partial(one, at(running.path))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [answer(each).status for each in found] == [200] * 20
