"""The clients: wrk for many small requests, a plain socket for single ones and for bodies."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from benchmarks import parsing
from benchmarks.servers import Failure

SCRIPT = Path(__file__).resolve().parent / "hello.lua"
_TIMEOUT = 120.0
_PIECE = 1 << 20


def wrk_command(port: int, connections: int, seconds: float) -> tuple[str, ...]:
    """wrk counts whole seconds."""
    duration = f"-d{max(1, round(seconds))}s"
    return "wrk", "-t1", f"-c{connections}", duration, "-s", str(SCRIPT), f"http://127.0.0.1:{port}/"


def wrk(port: int, connections: int, seconds: float) -> parsing.Load:
    """One round. Raises Failure when a single answer was wrong or missing."""
    done = subprocess.run(
        wrk_command(port, connections, seconds), capture_output=True, text=True, timeout=seconds + _TIMEOUT
    )
    try:
        load = parsing.wrk_output(done.stdout + done.stderr)
    except ValueError as error:
        raise Failure(str(error)) from error
    if load.faults:
        raise Failure(f"wrk saw {load.faults}, of {load.requests} requests")
    return load


def get(port: int, path: str, times: int = 1) -> bytes:
    """The last body of so many GET over one connection. Raises Failure for any status but 200."""
    body = b""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)) as connection:
        for _ in range(times):
            connection.request("GET", path)
            body = _checked(connection, path)
    return body


def discard(port: int, path: str) -> int:
    """How many bytes came, thrown away by curl. Raises Failure."""
    command = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", "-m", str(_TIMEOUT))
    done = subprocess.run((*command, f"http://127.0.0.1:{port}{path}"), capture_output=True, text=True)
    if done.returncode or not done.stdout.startswith("200 "):
        raise Failure(f"curl {path}: {done.stdout} {done.stderr.strip()}")
    return int(done.stdout.split()[1])


def put(port: int, path: str, size: int, pieces: Iterable[bytes]) -> bytes:
    """The answer to a body of ``size`` bytes. Raises Failure."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)) as connection:
        try:
            connection.request("PUT", path, body=iter(pieces), headers={"Content-Length": str(size)})
            return _checked(connection, path)
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"PUT {path}: {error!r}") from error


def pieces(mebibytes: int) -> Iterable[bytes]:
    """A body of so many MiB, no two of them alike: a piece lost, doubled or moved changes its hash."""
    rest = bytes(range(251)) * (_PIECE // 251 + 1)
    for number in range(mebibytes):
        yield number.to_bytes(8, "big") + rest[: _PIECE - 8]


def _checked(connection: http.client.HTTPConnection, path: str) -> bytes:
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Failure(f"{path}: status {answer.status}")
    return body
