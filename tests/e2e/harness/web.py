"""A real nginx as www-data in front of the sockets, and a plain HTTP client in front of nginx."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from benchmarks.front import SCRATCH, free_port
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.wire import Response

UWSGI = "include /etc/nginx/uwsgi_params; uwsgi_pass unix:{};"
FASTCGI = "include /etc/nginx/fastcgi_params; fastcgi_pass unix:{};"
FASTCGI_KEPT = "include /etc/nginx/fastcgi_params; fastcgi_pass {}; fastcgi_keep_conn on;"
PASS = {"uwsgi": UWSGI, "fastcgi": FASTCGI}

CONFIG = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_max_body_size 0;
{scratch}
{upstreams}
{servers}
}}
"""
SERVER = """
    server {{
        listen 127.0.0.1:{port};
        server_name {name};
{locations}
    }}
"""


def server(port: int, name: str, locations: Mapping[str, str]) -> str:
    """``locations``: a path and the directives of its block."""
    blocks = "\n".join(f"        location {path} {{ {body} }}" for path, body in locations.items())
    return SERVER.format(port=port, name=name, locations=blocks)


def get(url: str, data: bytes | None = None, headers: Mapping[str, str] | None = None, timeout: float = 20) -> Response:
    """One HTTP request; an error status is an answer like any other."""
    request = urllib.request.Request(url, data=data, headers=dict(headers or {}))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            return Response(answer.status, tuple(answer.headers.items()), answer.read())
    except urllib.error.HTTPError as error:
        with closing(error):
            return Response(error.code, tuple(error.headers.items()), error.read())


class Nginx:
    """One nginx in the foreground, with everything it writes below its own folder."""

    def __init__(
        self,
        folder: Path,
        locations: Mapping[str, str],
        upstreams: str = "",
        sites: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """``locations``: a path and the directives of its block; ``upstreams``: blocks that they name; ``sites``: more
        servers on the same port, each with its host name and its locations.
        """
        self.folder = folder
        self.port = free_port()
        self._sites, self._upstreams = {"_": locations, **(sites or {})}, upstreams
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def error_log(self) -> str:
        return (self.folder / "error.log").read_text()

    def start(self) -> Nginx:
        """Start, and wait until it listens; on another port if somebody took this one in the meantime."""
        self.folder.mkdir(mode=0o755)
        for _ in range(3):
            self._launch()
            if wait_for(lambda: self._listens() or self._has_ended(), what="nginx listens") and self._listens():
                return self
            self.port = free_port()
        raise AssertionError((self.folder / "output").read_text() + self.error_log)

    def _launch(self) -> None:
        servers = "".join(server(self.port, name, locations) for name, locations in self._sites.items())
        user = "user www-data;" if os.geteuid() == 0 else ""
        scratch = SCRATCH.format(folder=self.folder)
        where = {"folder": self.folder, "port": self.port, "scratch": scratch}
        config = CONFIG.format(user=user, servers=servers, upstreams=self._upstreams, **where)
        (self.folder / "nginx.conf").write_text(config)
        program = shutil.which("nginx")
        assert program
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [program, "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf", "-p", f"{self.folder}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def get(self, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> Response:
        return get(f"http://127.0.0.1:{self.port}{path}", data, headers)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(10)

    def _listens(self) -> bool:
        """nginx writes its pid once it has bound. That somebody answers at the port does not prove that it is ours."""
        return (self.folder / "nginx.pid").exists() and not self._has_ended()

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None
