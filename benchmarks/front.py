"""nginx before the servers under test: one process that serves, a port for each of them."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine
from benchmarks.servers import Failure

_PARAMS = """\
QUERY_STRING $query_string; REQUEST_METHOD $request_method; CONTENT_TYPE $content_type;
CONTENT_LENGTH $content_length; REQUEST_URI $request_uri; PATH_INFO $document_uri;
DOCUMENT_ROOT $document_root; SERVER_PROTOCOL $server_protocol; REQUEST_SCHEME $scheme;
HTTPS $https if_not_empty; REMOTE_ADDR $remote_addr; REMOTE_PORT $remote_port;
SERVER_PORT $server_port; SERVER_NAME $server_name"""
"""nginx's own uwsgi_params."""

_FASTCGI_MORE = """\
; SCRIPT_NAME ""; DOCUMENT_URI $document_uri; GATEWAY_INTERFACE CGI/1.1;
SERVER_SOFTWARE nginx/$nginx_version; SERVER_ADDR $server_addr; REDIRECT_STATUS 200"""
"""What nginx's own fastcgi_params has beyond these, with the path as PATH_INFO: the usual recipe for WSGI."""


class Way(NamedTuple):
    """``module``: nginx's prefix of directives."""

    title: str
    module: str
    params: str
    kept: bool = False


WAYS = {
    "uwsgi": Way("uwsgi", "uwsgi", _PARAMS),
    "fastcgi": Way("FastCGI", "fastcgi", _PARAMS + _FASTCGI_MORE),
    "fastcgi-kept": Way("FastCGI kept open", "fastcgi", _PARAMS + _FASTCGI_MORE, kept=True),
}


CONTROL = "control"
"""The way of a contender that is asked through its control socket, not served by nginx."""


class Gate(NamedTuple):
    """One server of nginx. ``way`` is a key of ``WAYS``."""

    name: str
    port: str
    socket: Path
    way: str


SCRATCH = """\
    client_body_temp_path {folder}/body;
    uwsgi_temp_path {folder}/uwsgi;
    fastcgi_temp_path {folder}/fastcgi;
    proxy_temp_path {folder}/proxy;
    scgi_temp_path {folder}/scgi;
"""
"""Within ``http``: what nginx writes lies below ``folder``, rather than in folders of its own user's."""

_HEAD = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_max_body_size 0;
"""


def config(folder: Path, gates: Iterable[Gate], streamed: bool) -> str:
    """nginx's configuration. ``streamed``: bodies of both directions pass through memory only."""
    return (_HEAD + SCRATCH).format(folder=folder) + "".join(_gate(gate, streamed) for gate in gates) + "}\n"


def _gate(gate: Gate, streamed: bool) -> str:
    way = WAYS[gate.way]
    target = f"unix:{gate.socket}"
    lines: list[str] = []
    if way.kept:
        lines += [f"    upstream {gate.name} {{ server {target}; keepalive 64; }}"]
        target = gate.name
    lines += ["    server {", f"        listen 127.0.0.1:{gate.port};", "        location / {"]
    lines += [f"            {way.module}_pass {target};"]
    lines += ["            fastcgi_keep_conn on;"] * way.kept
    lines += [f"            {way.module}_max_temp_file_size 0;"] * streamed
    lines += [f"            {way.module}_request_buffering off;"] * streamed
    lines += [f"            {way.module}_param {' '.join(param.split())};" for param in way.params.split(";")]
    return "\n".join([*lines, "        }", "    }", ""])


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Nginx:
    """One nginx in the foreground, with everything that it writes below its own folder."""

    def __init__(self, folder: Path, gates: Iterable[Gate], streamed: bool) -> None:
        self.folder = folder
        self.gates = tuple(gates)
        self.config = config(folder, self.gates, streamed)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises Failure with nginx's own words when it does not listen within ten seconds."""
        path = self.folder / "nginx.conf"
        path.write_text(self.config)
        log = self.folder / "error.log"
        log.touch()
        command = (machine.program("nginx") or "nginx", "-e", str(log), "-c", str(path), "-p", str(self.folder))
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while not all(_listens(int(gate.port)) for gate in self.gates):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"nginx: did not start: {log.read_text().strip()[-600:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)


def _listens(port: int) -> bool:
    with closing(socket.socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
