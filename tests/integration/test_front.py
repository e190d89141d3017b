"""The front door as its own process, between a real HTTP client and vassals that speak their protocols."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.protocol import uwsgi
from emperor.protocol.params import pairs
from tests.requirements import needs

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 20.0
NOBODY = 65534

TELLS_OF_LATE_IMPORTS = """
import os, sys
import emperor.front as front
dropped = []
sys.addaudithook(
    lambda event, args: dropped and event == "import" and os.write(2, b"LATE IMPORT %r\\n" % args[0].encode())
)
become = front.privilege.become
front.privilege.become = lambda identity: (become(identity), dropped.append(True))
os._exit(front.main())
"""

FLUP = """
import hashlib, json, sys
from flup.server.fcgi import WSGIServer
def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "application/json")])
    seen = {k: v for k, v in environ.items() if isinstance(v, str)}
    return [json.dumps({"environ": seen, "sha": hashlib.sha256(body).hexdigest()}).encode()]
WSGIServer(app, bindAddress=sys.argv[1], umask=0).run()
"""


Row = dict[str, Any]
Serve = Callable[..., Row]


class Front:
    """The process, the emperor's end of its channel, and its address."""

    def __init__(self, folder: Path, *arguments: str, program: tuple[str, ...] = ("-m", "emperor.front")) -> None:
        self.log = folder / "front.log"
        self.channel, theirs = socket.socketpair()
        with socket.create_server(("127.0.0.1", 0)) as listener, theirs, self.log.open("wb") as log:
            self.port: int = listener.getsockname()[1]
            fds = ["--listener", str(listener.fileno()), "--channel", str(theirs.fileno())]
            self.process = subprocess.Popen(
                [sys.executable, *program, *fds, *arguments],
                pass_fds=(listener.fileno(), theirs.fileno()),
                env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def tell(self, *rows: dict[str, Any]) -> None:
        self.channel.sendall(json.dumps(rows).encode() + b"\n")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)

    def request(self, path: str, method: str = "GET", **rest: Any) -> tuple[http.client.HTTPResponse, bytes]:
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, **rest)
            response = connection.getresponse()
            return response, response.read()

    def raw(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def wait(self) -> int:
        return self.process.wait(DEADLINE)

    def close(self) -> None:
        self.channel.close()
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with contextlib.closing(Front(tmp_path)) as one:
        yield one


class Vassal:
    """A uwsgi server; ``answer`` gets each connection, its variables and the body so far."""

    def __init__(self, path: Path, answer: Callable[[socket.socket, dict[str, str], bytes], None]) -> None:
        self.row = {
            "name": path.stem,
            "state": "RUNNING",
            "protocol": "uwsgi",
            "address": str(path),
            "mounts": [],
        }
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o666)
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(DEADLINE)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            data = b""
            while (parsed := uwsgi.parse_request(data)) is None:
                data += connection.recv(65536)
            params, end = parsed
            self._answer(connection, dict(pairs(params)), data[end:])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE)
        self._listener.close()


def _read_body(connection: socket.socket, params: dict[str, str], body: bytes) -> bytes:
    while len(body) < int(params["CONTENT_LENGTH"] or 0):
        body += connection.recv(65536)
    return body


def _echo(connection: socket.socket, params: dict[str, str], body: bytes) -> None:
    seen = {"environ": params, "sha": hashlib.sha256(_read_body(connection, params, body)).hexdigest()}
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(seen).encode())


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a vassal with this behaviour; its row of the table."""
    with contextlib.ExitStack() as stack:

        def start(answer: Callable[..., None] = _echo, name: str = "blog") -> dict[str, Any]:
            return stack.enter_context(contextlib.closing(Vassal(tmp_path / f"{name}.sock", answer))).row

        yield start


@pytest.fixture
def flup(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A FastCGI server that is not ours."""
    path = tmp_path / "flup.sock"
    with (tmp_path / "flup.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", FLUP, str(path)], stderr=log)
    try:
        _until(lambda: _connects(path))
        yield {"name": "flup", "state": "RUNNING", "protocol": "fastcgi", "address": str(path), "mounts": []}
    finally:
        process.kill()
        process.wait()


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(path)) == 0


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_the_first_client_waits_for_the_first_table(front: Front, serve: Serve) -> None:
    with contextlib.closing(front.connect()) as connection:
        connection.request("GET", "/blog/x")
        front.tell(serve())
        assert connection.getresponse().status == 200


def test_the_list_follows_the_emperors_last_line(front: Front) -> None:
    front.channel.sendall(b"[]\nnonsense\n")
    row = {"name": "late", "state": "BACKOFF", "protocol": "uwsgi", "address": "/nowhere"}
    front.tell({**row, "name": "early"})
    front.tell(row)
    _until(lambda: b"late" in front.request("/")[1])
    response, page = front.request("/")
    assert response.status == 200
    assert b'href="/late/"' in page and b"early" not in page and b"BACKOFF" in page


def test_a_request_reaches_the_app_with_its_prefix(front: Front, serve: Serve) -> None:
    front.tell(serve())
    path = "/blog/a%20b/m%C3%BCsli/%ff?q=%20"
    response, body = front.request(path, headers={"X-Seen": "yes", "Proxy": "evil", "Cookie": "a=b"})
    seen = json.loads(body)["environ"]
    assert response.status == 200
    assert seen["SCRIPT_NAME"] == "/blog"
    assert seen["PATH_INFO"].encode("latin-1") == "/a b/müsli/".encode() + b"\xff"
    assert seen["REQUEST_URI"] == path
    assert seen["QUERY_STRING"] == "q=%20"
    assert seen["HTTP_HOST"] == f"127.0.0.1:{front.port}"
    assert seen["HTTP_COOKIE"] == "a=b" and seen["HTTP_X_SEEN"] == "yes"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert "HTTP_PROXY" not in seen


def test_a_mount_is_reached_at_its_own_path(front: Front, serve: Serve) -> None:
    front.tell({**serve(), "mounts": ["/app"]})
    seen = json.loads(front.request("/app/x")[1])["environ"]
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("", "/app/x")
    response, _ = front.request("/blog/")
    assert (response.status, response.headers["Location"]) == (307, "/app/")


def test_a_name_without_its_slash_is_redirected_with_its_query(front: Front) -> None:
    front.tell({"name": "blog", "state": "RUNNING", "protocol": "uwsgi", "address": "/nowhere"})
    response, _ = front.request("/blog?a=b", method="POST", body=b"x")
    assert (response.status, response.headers["Location"]) == (307, "/blog/?a=b")


BODY = os.urandom(3_000_000)


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_arrive_whole_over_uwsgi(front: Front, serve: Serve, chunked: bool) -> None:
    front.tell(serve())
    _post(front, "/blog/", chunked)


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_arrive_whole_at_a_foreign_fastcgi_server(front: Front, flup: dict[str, Any], chunked: bool) -> None:
    front.tell(flup)
    seen = _post(front, "/flup/x", chunked)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/flup", "/x")


def _post(front: Front, path: str, chunked: bool) -> dict[str, str]:
    body: Any = iter([BODY[:10], BODY[10:]]) if chunked else BODY
    response, answer = front.request(path, "POST", body=body, encode_chunked=chunked)
    seen = json.loads(answer)
    assert response.status == 200
    assert seen["sha"] == hashlib.sha256(BODY).hexdigest()
    assert seen["environ"]["CONTENT_LENGTH"] == str(len(BODY))
    environ: dict[str, str] = seen["environ"]
    return environ


def test_an_app_that_answers_while_it_reads_does_not_lock_up(front: Front, serve: Serve) -> None:
    def mirror(connection: socket.socket, params: dict[str, str], body: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        left = int(params["CONTENT_LENGTH"]) - len(body)
        while left:
            data = connection.recv(65536)
            connection.sendall(data)
            left -= len(data)

    front.tell(serve(mirror))
    with socket.create_connection(("127.0.0.1", front.port), DEADLINE) as client:
        sender = threading.Thread(target=lambda: client.sendall(head + BODY))
        head = b"POST /blog/ HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        sender.start()
        answer = b"".join(iter(lambda: client.recv(65536), b""))
        sender.join()
    assert answer.endswith(b"\r\n\r\n" + BODY)


def test_an_answer_before_the_body_was_read_is_passed_on(front: Front, serve: Serve) -> None:
    def refuse(connection: socket.socket, params: dict[str, str], body: bytes) -> None:
        connection.sendall(b"HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    front.tell(serve(refuse))
    response, body = front.request("/blog/", "POST", body=BODY)
    assert (response.status, body) == (413, b"no")


def test_an_answer_streams_piece_by_piece(front: Front, serve: Serve) -> None:
    seen_first = threading.Event()

    def slow(connection: socket.socket, params: dict[str, str], body: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        assert seen_first.wait(DEADLINE), "the client never saw the first piece"
        connection.sendall(b"second")

    front.tell(serve(slow))
    with contextlib.closing(front.connect()) as connection:
        connection.request("GET", "/blog/")
        response = connection.getresponse()
        assert response.read(5) == b"first"
        seen_first.set()
        assert response.read() == b"second"


def test_a_client_of_http_1_0_gets_no_chunks(front: Front, serve: Serve) -> None:
    front.tell(serve(lambda connection, params, body: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nplain")))
    answer = front.raw(b"GET /blog/ HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nplain")
    assert b"Transfer-Encoding" not in answer


def test_head_has_no_body_even_if_the_app_sends_one(front: Front, serve: Serve) -> None:
    front.tell(serve())
    answer = front.raw(b"HEAD /blog/ HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n") and b"environ" not in answer


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfull", True),
    ],
)
def test_an_answer_that_breaks_off_never_looks_whole(front: Front, serve: Serve, answer: bytes, whole: bool) -> None:
    front.tell(serve(lambda connection, params, body: connection.sendall(answer)))
    with contextlib.nullcontext() if whole else pytest.raises(http.client.IncompleteRead):
        assert front.request("/blog/")[1] == b"full"


def test_a_chunked_answer_that_breaks_off_has_no_last_chunk(front: Front, tmp_path: Path) -> None:
    """FastCGI section 5.5: without END_REQUEST the response is not complete."""
    path = tmp_path / "cut.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        front.tell({"name": "cut", "state": "RUNNING", "protocol": "fastcgi", "address": str(path)})
        with contextlib.closing(front.connect()) as client:
            client.request("GET", "/cut/")
            connection, _ = listener.accept()
            with connection:
                content = b"Status: 200 OK\r\n\r\nhalf"
                connection.recv(65536)
                connection.sendall(b"\x01\x06\x00\x01" + len(content).to_bytes(2, "big") + b"\0\0" + content)
            with pytest.raises(http.client.IncompleteRead):
                client.getresponse().read()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", b"without an answer"),
        (b"HTTP/1.1 200 OK\r\n", b"not even its headers"),
        (b"?\r\n\r\n", b"no sense"),
    ],
)
def test_no_answer_is_a_502_that_says_why(front: Front, serve: Serve, answer: bytes, reason: bytes) -> None:
    front.tell(serve(lambda connection, params, body: connection.sendall(answer)))
    response, page = front.request("/blog/")
    assert response.status == 502
    assert reason in page and b"emperorctl status blog" in page and b"RUNNING" in page


def test_nobody_listening_is_a_502_with_the_kernels_reason(front: Front, tmp_path: Path) -> None:
    row = {"state": "RUNNING", "protocol": "uwsgi"}
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(dead))
    front.tell(
        {**row, "name": "none", "address": str(tmp_path / "none.sock")},
        {**row, "name": "dead", "address": str(dead)},
        {**row, "name": "odd", "address": "no-address"},
    )
    for name, reason in (
        ("none", b"No such file"),
        ("dead", b"Connection refused"),
        ("odd", b"not an address"),
    ):
        response, page = front.request(f"/{name}/")
        assert response.status == 502
        assert reason in page


def test_who_goes_down_under_a_waiting_client_is_not_waited_for(front: Front, serve: Serve) -> None:
    asked, done = threading.Event(), threading.Event()

    def hang(connection: socket.socket, params: dict[str, str], body: bytes) -> None:
        asked.set()
        done.wait(DEADLINE)

    row = serve(hang)
    front.tell(row)
    with contextlib.closing(front.connect()) as connection:
        connection.request("GET", "/blog/")
        assert asked.wait(DEADLINE)
        front.tell({**row, "state": "BACKOFF"})
        response = connection.getresponse()
        assert response.status == 502
        assert b"BACKOFF" in response.read()
    done.set()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 1_0", b"400"),
        (b"Content-Length: -1", b"400"),
        (b"Transfer-Encoding: gzip", b"501"),
        (b"X: " + b"x" * 60000 + b"\r\nY: " + b"y" * 60000, b"431"),
    ],
)
def test_a_request_that_cannot_be_passed_on_is_refused(front: Front, serve: Serve, head: bytes, status: bytes) -> None:
    front.tell(serve())
    answer = front.raw(b"POST /blog/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + head + b"\r\n\r\n")
    assert answer.split(b" ")[1] == status


def test_a_client_that_resets_the_connection_leaves_nothing_behind(front: Front, serve: Serve) -> None:
    front.tell(serve())
    assert front.request("/")[0].status == 200
    _until(lambda: "GET / " in front.log.read_text())
    before = _sockets(front)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", front.port), DEADLINE) as client:
            client.sendall(b"GET /blog/ HTTP/1.1\r\nHost: h\r\n\r\n")
            client.recv(1)
            # SO_LINGER with zero seconds: close(2) sends RST.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _until(lambda: _sockets(front) <= before)
    front.process.terminate()
    assert front.wait() == 0
    assert "still in flight" not in front.log.read_text()


def _sockets(front: Front) -> int:
    """How many sockets the door has open. (werkzeug's selector of such a request goes with the next collection.)"""
    links = []
    for fd in Path(f"/proc/{front.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(fd))
    return sum(link.startswith("socket:") for link in links)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_request_in_flight_finish(front: Front, serve: Serve, signum: int) -> None:
    asked, told = threading.Event(), threading.Event()

    def slow(connection: socket.socket, params: dict[str, str], body: bytes) -> None:
        asked.set()
        assert told.wait(DEADLINE)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")

    front.tell(serve(slow))
    with contextlib.closing(front.connect()) as connection:
        connection.request("GET", "/blog/")
        assert asked.wait(DEADLINE)
        front.process.send_signal(signum)
        _until(lambda: _default_action(front.process.pid, signum))
        told.set()
        assert connection.getresponse().read() == b"whole"
    assert front.wait() == 0


def _default_action(pid: int, signum: int) -> bool:
    """The door has begun to stop: it does not catch the signal any more (SigCgt of proc_pid_status(5))."""
    [line] = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("SigCgt")]
    return not int(line.split()[1], 16) & 1 << (signum - 1)


def test_the_end_of_the_channel_is_the_end_even_under_a_hung_request(front: Front, serve: Serve) -> None:
    asked, done = threading.Event(), threading.Event()

    def hang(connection: socket.socket, params: dict[str, str], body: bytes) -> None:
        asked.set()
        done.wait(DEADLINE)

    front.tell(serve(hang))
    with contextlib.closing(front.connect()) as connection:
        connection.request("GET", "/blog/")
        assert asked.wait(DEADLINE)
        front.channel.close()
        assert front.wait() == 0
    done.set()


def test_it_ends_before_the_first_line_too(front: Front) -> None:
    front.channel.close()
    assert front.wait() == 0


@needs("root")
def test_it_has_no_rights_and_imports_nothing_after_the_drop(tmp_path: Path, serve: Serve) -> None:
    tmp_path.chmod(0o711)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o711)
    become = ("--become", f"{NOBODY}:{NOBODY}:{NOBODY}")
    with contextlib.closing(Front(tmp_path, *become, program=("-c", TELLS_OF_LATE_IMPORTS))) as front:
        _exercise(front, serve)
        status = Path(f"/proc/{front.process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    assert fields["Uid"].split() == fields["Gid"].split() == [str(NOBODY)] * 4
    assert fields["Groups"].split() == [str(NOBODY)]
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
    assert front.process.returncode == 0
    assert "LATE IMPORT" not in front.log.read_text()


def _exercise(front: Front, serve: Serve) -> None:
    """Every kind of answer once."""
    tcp = {"name": "tcp", "state": "RUNNING", "protocol": "fastcgi", "address": "localhost:1"}
    down = {**tcp, "name": "down", "state": "FATAL"}
    half = serve(lambda connection, params, body: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"), "half")
    front.tell(serve(), half, tcp, down)
    wanted = {"/": 200, "/x": 404, "/blog": 307, "/blog/": 200, "/half/": 200, "/tcp/": 502, "/down/": 502}
    assert {path: front.request(path)[0].status for path in wanted} == wanted
    _post(front, "/blog/", True)
    assert front.raw(b"nonsense\r\n\r\n")
    assert front.raw(b"POST /blog/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").startswith(b"HTTP/1.1 400")
