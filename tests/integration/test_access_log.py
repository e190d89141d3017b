"""The access log on real servers: what a request's line says, whatever became of it, and what it never costs."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest

from emperor.logformat import UWSGIS_OWN
from emperor.model import VassalSpec
from emperor.protocol import uwsgi
from emperor.serving.recorded import AccessLog, Output, Recorded, Way, recorder
from emperor.serving.settings import Settings
from emperor.wsgi.accesslog import Rules, compiled
from emperor.wsgi.body import Disconnected
from tests.integration.serving_world import PARAMS, PATIENCE, Running, echo, encode, serving
from tests.requirements import needs
from tests.unit.config_world import APP, spec

EVERY = Rules(every=True)
SHORT = "%(method) %(uri) %(status) %(rsize)"

three = pytest.mark.parametrize(
    ("protocol", "engine"), [("uwsgi", "native"), ("fastcgi", "native"), ("fastcgi", "flup")]
)
four = pytest.mark.parametrize(
    ("protocol", "engine"), [("uwsgi", "native"), ("fastcgi", "native"), ("http", "native"), ("fastcgi", "flup")]
)


class Pipe:
    """What a worker's standard output is."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._rest = b""

    def line(self) -> str:
        """The next one; waits for it."""
        end = time.monotonic() + PATIENCE
        while b"\n" not in self._rest:
            assert select.select([self.reader], [], [], max(0, end - time.monotonic()))[0], self._rest
            self._rest += os.read(self.reader, 65536)
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def is_empty(self) -> bool:
        return not self._rest and not select.select([self.reader], [], [], 0)[0]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)
    os.close(pipe.writer)


class Sent:
    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, size: int) -> None:
        self.sizes.append(size)


class World(NamedTuple):
    running: Running
    pipe: Pipe
    sent: Sent


@contextlib.contextmanager
def logging_server(
    folder: Path,
    protocol: str,
    app: Any,
    pipe: Pipe,
    form: str = SHORT,
    rules: Rules = EVERY,
    engine: str = "native",
    **settings: Any,
) -> Iterator[World]:
    if engine == "flup":
        pytest.importorskip("flup", reason="needs flup==1.0.3: pip install flup")
    sent = Sent()
    log = AccessLog(compiled(form), rules, Output(pipe.writer), 1)
    about = Settings(
        drain_seconds=5.0,
        kept_seconds=0.5,
        recorder=lambda gateway, line: Recorded(gateway, line, sent, log),
        **settings,
    )
    with serving(folder, protocol, app, about, engine) as running:
        yield World(running, pipe, sent)


def visit(world: World, target: str, method: str = "GET", body: bytes = b"", close: bool = False) -> bytes:
    """All that came of one request. ``close``: leave without reading."""
    running = world.running
    with running.connect() as peer:
        if running.protocol == "http":
            more = f"Content-Length: {len(body)}\r\n" if body else ""
            head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n"
            peer.sendall(head.encode() + body)
        else:
            path = target.partition("?")[0]
            asked = {"REQUEST_METHOD": method, "REQUEST_URI": target, "PATH_INFO": path}
            pairs = {**dict(PARAMS), **asked, **({"CONTENT_LENGTH": str(len(body))} if body else {})}
            peer.sendall(encode(running.protocol, list(pairs.items()), body))
        return b"" if close else b"".join(iter(lambda: peer.recv(65536), b""))


class App:
    """One of everything, by its path."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        environ["REQUEST_METHOD"] = environ["REQUEST_URI"] = "the app's own affair"
        if path == "/raises":
            raise ValueError("the app's own fault")
        if path == "/nothing":
            start_response("304 Not Modified", [])
            return []
        if path == "/missing":
            start_response("404 Not Found", [("Content-Length", "4")])
            return [b"none"]
        if path == "/cut":
            start_response("200 OK", [("Content-Length", "100")])
            return self._cut()
        start_response("200 OK", [("Content-Type", "text/plain")])
        if path == "/file":
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](self.file.open("rb"), 65536)
            return wrapped
        if path == "/large":
            return [b"x" * 200_000]
        if path == "/read":
            return [b"read ", str(len(environ["wsgi.input"].read())).encode()]
        return [b"hello"]

    def _cut(self) -> Iterator[bytes]:
        yield b"0123456789"
        raise ValueError("half way")


VISITS = [
    ("GET", "/?q=1", b"", "GET /?q=1 200 5"),
    ("GET", "/large", b"", "GET /large 200 200000"),
    ("GET", "/file", b"", "GET /file 200 9000000"),
    ("GET", "/nothing", b"", "GET /nothing 304 0"),
    ("GET", "/missing", b"", "GET /missing 404 4"),
    ("GET", "/raises", b"", "GET /raises 500 26"),
    ("GET", "/cut", b"", "GET /cut 200 10"),
    ("POST", "/read", b"x" * 100_000, "POST /read 200 11"),
]


@four
def test_every_request_has_its_line(tmp_path: Path, pipe: Pipe, capfd: Any, protocol: str, engine: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(9_000_000))
    with logging_server(tmp_path, protocol, App(file), pipe, engine=engine) as world:
        for method, target, body, line in VISITS:
            visit(world, target, method, body)
            assert pipe.line() == line
    assert pipe.is_empty()
    body_bytes = [int(line.split()[-1]) for *_, line in VISITS]
    assert all(sent > body for sent, body in zip(world.sent.sizes, body_bytes)) and len(world.sent.sizes) == len(VISITS)


@three
def test_a_head_request_has_the_bytes_that_went_to_the_web_server(
    tmp_path: Path, pipe: Pipe, protocol: str, engine: str
) -> None:
    with logging_server(tmp_path, protocol, App(tmp_path), pipe, engine=engine) as world:
        visit(world, "/", "HEAD")
        assert pipe.line() == "HEAD / 200 5"


@three
def test_a_client_that_leaves_costs_a_line_and_nobody_else_anything(
    tmp_path: Path, pipe: Pipe, protocol: str, engine: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(30_000_000))
    with logging_server(tmp_path, protocol, App(file), pipe, f"{SHORT} %(werr)", engine=engine) as world:
        visit(world, "/file", close=True)
        told = pipe.line().split()
        assert told[:3] == ["GET", "/file", "200"] and int(told[3]) < 30_000_000 and told[4] == "1"
        visit(world, "/")
        assert pipe.line() == "GET / 200 5 0"


def test_a_body_without_a_length_that_proves_too_long_is_a_413(tmp_path: Path, pipe: Pipe, capfd: Any) -> None:
    def framework(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except Exception:
            start_response("500 Internal Server Error", [])
            return [b"a page of the framework's"]
        raise AssertionError

    with logging_server(tmp_path, "fastcgi", framework, pipe, limit_post=100) as world:
        answer = world.running.ask(body=b"x" * 1000, length=False)
        assert answer.status == 413
        assert pipe.line().split()[2] == "413"


@pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi"])
def test_threads_write_whole_lines_each_with_its_number(tmp_path: Path, pipe: Pipe, protocol: str) -> None:
    barrier = threading.Barrier(4)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        barrier.wait(PATIENCE)
        return echo(environ, start_response)

    with logging_server(tmp_path, protocol, app, pipe, "%(uri) %(core)", threads=4) as world:
        threads = [threading.Thread(target=visit, args=(world, f"/{n}")) for n in range(4)]
        for thread in threads:
            thread.start()
        lines = sorted(pipe.line() for _ in threads)
        for thread in threads:
            thread.join(PATIENCE)
    assert [line.split()[0] for line in lines] == ["/0", "/1", "/2", "/3"]
    assert {line.split()[1] for line in lines} == {"0", "1", "2", "3"}


def test_the_visitor_is_whom_the_app_has_come_to_know(tmp_path: Path, pipe: Pipe) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["REMOTE_ADDR"], environ["REMOTE_USER"] = "198.51.100.1", "ann"
        environ["HTTP_REFERER"] = "the app's"
        return echo(environ, start_response)

    with logging_server(tmp_path, "uwsgi", app, pipe, "%(addr) %(user) %(referer)") as world:
        world.running.ask(("REMOTE_ADDR", "10.0.0.1"), ("HTTP_REFERER", "http://r/"))
        assert pipe.line() == "198.51.100.1 ann http://r/"


def test_only_the_requests_that_are_named_have_a_line(tmp_path: Path, pipe: Pipe, capfd: Any) -> None:
    with logging_server(tmp_path, "uwsgi", App(tmp_path), pipe, rules=Rules(on_5xx=True, zero=True)) as world:
        for target in ("/", "/missing", "/raises", "/nothing", "/"):
            visit(world, target)
        assert [pipe.line(), pipe.line()] == ["GET /raises 500 26", "GET /nothing 304 0"]
    assert pipe.is_empty()


def test_a_way_counts_what_a_file_gave_and_knows_who_did_not_take_it() -> None:
    def gone(data: bytes, last: bool) -> None:
        raise Disconnected

    short = Way(lambda fd, offset, count: 7, 9)
    assert (short.send_file(0, 0, 100), short.body, short.broken) == (7, 7, False)
    left = Way(None, 9).to(gone)
    with pytest.raises(Disconnected):
        left(b"HTTP/1.1 200 OK\r\n\r\nhello", True)
    assert (left.status, left.body, left.broken) == (200, 0, True)


# --- the pipe ---


def test_a_reader_that_does_not_read_holds_up_nobody_and_hears_later_what_is_lost(tmp_path: Path, pipe: Pipe) -> None:
    with logging_server(tmp_path, "uwsgi", echo, pipe, "x" * 1000 + " %(uri)") as world:
        for number in range(100):
            assert world.running.ask(("REQUEST_URI", f"/{number}")).status == 200
        held = [pipe.line()]
        while not pipe.is_empty():
            held.append(pipe.line())
        assert [line.split()[1] for line in held] == [f"/{number}" for number in range(len(held))]
        assert len(held) < 100
        world.running.ask(("REQUEST_URI", "/last"))
        assert pipe.line() == f"access log: {100 - len(held)} lines lost -- they were not read fast enough"
        assert pipe.line().split()[1] == "/last"


def test_a_pipe_that_is_read_by_nobody_any_more_costs_no_request(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    output = Output(writer)
    os.close(reader)
    output.write("a line")
    output.write("another")
    os.close(writer)


def test_what_is_no_pipe_takes_lines_as_well(tmp_path: Path) -> None:
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    Output(fd).write("é line")
    os.close(fd)
    assert path.read_text(encoding="utf-8") == "é line\n"


def test_the_apps_own_prints_may_still_wait(pipe: Pipe) -> None:
    output = Output(pipe.writer)
    output.write("one")
    assert os.get_blocking(pipe.writer) and pipe.line() == "one"


# --- what it costs those who do not want it ---


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ((), False),
        (("disable-logging = true",), False),
        (("log-format = combined", "disable-logging = true"), False),
        (("log-format = combined",), True),
        (("log-slow = 5",), True),
        (("stats = /run/s.sock",), True),
    ],
)
def test_it_stands_in_the_way_of_those_who_asked_for_it_alone(lines: tuple[str, ...], wanted: bool) -> None:
    assert (recorder(spec(APP, *lines), Sent()) is not None) is wanted


@pytest.mark.parametrize(
    "act",
    ["worker.server_of(spec, [], None, Tally())", "worker.prepare(spec)"],
    ids=["in the worker", "before the fork"],
)
def test_a_worker_that_logs_nothing_does_not_even_load_it(act: str) -> None:
    """And one that does has it from before it was forked, in pages that it shares."""
    code = (
        "import sys, json; from emperor import worker; from emperor.model import VassalSpec\n"
        "class Tally: sent = None\n"
        f"spec = VassalSpec.from_json(sys.argv[1]); {act}\n"
        "print(sorted(name for name in sys.modules if 'recorded' in name or 'accesslog' in name))"
    )

    def loaded(of: VassalSpec) -> str:
        done = subprocess.run([sys.executable, "-c", code, of.to_json()], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert loaded(spec(APP)) == "[]"
    assert loaded(spec(APP, "log-5xx = true")) == "['emperor.serving.recorded', 'emperor.wsgi.accesslog']"


def test_where_bytes_alone_are_counted_there_is_no_line(tmp_path: Path, pipe: Pipe) -> None:
    sent = Sent()
    settings = Settings(drain_seconds=5.0, recorder=lambda gateway, line: Recorded(gateway, line, sent, None))
    with serving(tmp_path, "uwsgi", App(tmp_path), settings) as running:
        assert len(visit(World(running, pipe, sent), "/large")) == 200_000 + len(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
        )
    assert sent.sizes == [200_000 + len(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")]


# --- uWSGI as the judge ---

JUDGED = (
    "uri", "method", "user", "addr", "host", "proto", "uagent", "referer", "status", "rsize", "hsize", "size", "cl",
    "pid", "wid", "switches", "vars", "core", "pktsize", "modifier1", "modifier2", "headers", "werr", "var.HTTP_X",
    "var.NONE", "nope",
)  # fmt: skip
FORM = "|".join(["LINE", *(f"{word}=%({word})" for word in JUDGED), "100% %s", "%(uri)%(method)"])
TIMES = "LINE %(micros) %(msecs) %(secs) %(tmsecs) %(tmicros) %(time) %(epoch) [%(ltime)] [%(ftime)] [%(ctime)]"

SOURCE = """
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/zero":
        start_response("304 Not Modified", [])
        return []
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-A", "b")])
    if path == "/blocks":
        return (b"x" * 10 for _ in range(3))
    return [b"hello world"]
"""
ASKED = {
    **dict(PARAMS),
    "REQUEST_URI": "/a%20b?q=1",
    "REMOTE_ADDR": "192.0.2.7",
    "REMOTE_USER": "ann",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11)",
    "HTTP_REFERER": "http://r/",
    "HTTP_X": "ex",
}


def ask_for(path: str, address: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(PATIENCE)
        peer.connect(address)
        peer.sendall(uwsgi.encode_request(list({**ASKED, "PATH_INFO": path}.items())))
        return b"".join(iter(lambda: peer.recv(65536), b""))


def uwsgi_with_python() -> Optional[tuple[str, ...]]:
    """How a uWSGI is called that can run Python: Debian's has it in a plugin, PyPI's within."""
    known = Path(__file__).resolve().parents[2] / ".venv-bench/bin/uwsgi"
    for program, more in (
        (str(known), ()),
        (shutil.which("uwsgi") or "", ()),
        (shutil.which("uwsgi-core") or "", ("--plugin", "python3")),
    ):
        if program and os.path.exists(program):
            listed = subprocess.run([program, *more, "--help"], capture_output=True, text=True, check=False)
            if "--wsgi-file" in listed.stdout:
                return (program, *more)
    return None


@contextlib.contextmanager
def real_uwsgi(folder: Path, form: Optional[str]) -> Iterator[tuple[str, Path]]:
    called = uwsgi_with_python()
    if called is None:
        pytest.skip("needs a uWSGI with Python in it: pip install uwsgi")
    app, log, address = folder / "app.py", folder / "uwsgi.log", str(folder / "real.sock")
    app.write_text(SOURCE)
    # As the tests run, which may be as root: it has its own socket in a folder of its own, and serves nobody else.
    command = [*called, "--uwsgi-socket", address, "--wsgi-file", str(app), *(["--log-format", form] if form else [])]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, "TZ": "UTC"})
    try:
        end = time.monotonic() + PATIENCE
        while "spawned uWSGI worker 1" not in log.read_text() and time.monotonic() < end:
            time.sleep(0.01)
        yield address, log
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def lines_of(log: Path, begin: str, count: int) -> list[str]:
    end = time.monotonic() + PATIENCE
    while True:
        found = [line for line in log.read_text().splitlines() if line.startswith(begin)]
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.01)


PATHS = ("/", "/blocks", "/zero", "/")
OF_THE_PROCESS = re.compile(r"pid(=|: )\d+|in \d+ msecs|\[\w{3} \w{3} .{16}\]|switches=\d|\(\d switches")
"""What differs by its nature. Of ``switches`` uWSGI does not say the same twice where there is no body: 0 or 1."""


@needs("uwsgi")
@pytest.mark.parametrize(("form", "begin"), [(FORM, "LINE"), (None, "[pid: ")], ids=["words", "its own"])
def test_the_words_say_what_uwsgi_says(tmp_path: Path, pipe: Pipe, form: Optional[str], begin: str) -> None:
    with real_uwsgi(tmp_path, form) as (address, log):
        for path in PATHS:
            ask_for(path, address)
        theirs = lines_of(log, begin, len(PATHS))
    app: dict[str, Any] = {}
    exec(SOURCE, app)
    ours = []
    with logging_server(tmp_path, "uwsgi", app["application"], pipe, form or UWSGIS_OWN) as world:
        for path in PATHS:
            ask_for(path, world.running.path)
            ours.append(pipe.line())
    assert [OF_THE_PROCESS.sub("", line) for line in ours] == [OF_THE_PROCESS.sub("", line) for line in theirs]


@needs("uwsgi")
def test_the_times_have_uwsgis_form(tmp_path: Path, pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with real_uwsgi(tmp_path, TIMES) as (address, log):
        ask_for("/", address)
        (theirs,) = lines_of(log, "LINE", 1)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        with logging_server(tmp_path, "uwsgi", echo, pipe, TIMES) as world:
            ask_for("/", world.running.path)
            ours = pipe.line()
    finally:
        monkeypatch.undo()
        time.tzset()
    words = r"LINE \d+ \d+ \d+\.\d{6} \d{13} \d{16} \d{10} \d{10} (\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] ){2}"
    assert re.fullmatch(words + r"\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\]", theirs)
    assert re.fullmatch(words + r"\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\]", ours)
