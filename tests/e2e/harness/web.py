"""A real nginx as www-data in front of the sockets, and a plain HTTP client in front of nginx."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

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
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    proxy_temp_path {folder}/proxy;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
{locations}
    }}
}}
"""


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


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

    def __init__(self, folder: Path, locations: Mapping[str, str]) -> None:
        """``locations``: a path and the directives of its block."""
        self.folder = folder
        self.port = free_port()
        self._locations = locations
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def error_log(self) -> str:
        return (self.folder / "error.log").read_text()

    def start(self) -> Nginx:
        self.folder.mkdir(mode=0o755)
        blocks = "\n".join(f"        location {path} {{ {body} }}" for path, body in self._locations.items())
        user = "user www-data;" if os.geteuid() == 0 else ""
        config = CONFIG.format(user=user, folder=self.folder, port=self.port, locations=blocks)
        (self.folder / "nginx.conf").write_text(config)
        program = shutil.which("nginx")
        assert program
        with (self.folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [
                    program,
                    "-e",
                    f"{self.folder}/error.log",
                    "-c",
                    f"{self.folder}/nginx.conf",
                    "-p",
                    f"{self.folder}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for(self._listens, what="nginx listens")
        return self

    def get(self, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> Response:
        return get(f"http://127.0.0.1:{self.port}{path}", data, headers)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(10)

    def _listens(self) -> bool:
        assert self._process and self._process.poll() is None, (self.folder / "output").read_text()
        with closing(socket.socket()) as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0
