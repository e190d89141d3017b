"""Vassals that speak HTTP themselves: to curl, to nginx's proxy_pass, and to the emperor's own front door."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor, StartNginx
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import free_port, get
from tests.requirements import needs

PROXY = "proxy_pass http://unix:{}:; proxy_set_header Host $http_host;"
PROXY_1_1 = PROXY + ' proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;'


def curl(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["curl", "-sS", "--noproxy", "*", *arguments], input=data, capture_output=True, timeout=60)


def flask(daemon: Emperor, app_venv: Path, **options: object) -> Vassal:
    """In a virtualenv that has no h11 of its own."""
    site = daemon.place("site", app="flask_site.py", wsgi_file=None, virtualenv=app_venv)
    return site.write(module="app", callable="app", pythonpath=site.folder, **options)


@needs("curl")
@pytest.mark.parametrize("threads", [1, 4])
def test_curl_gets_the_page_from_a_port(emperor: StartEmperor, app_venv: Path, threads: int) -> None:
    address = f"127.0.0.1:{free_port()}"
    flask(emperor().start(), app_venv, http_socket=address, threads=threads).running()
    done = curl("-i", f"http://{address}/who?x", f"http://{address}/old")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"HTTP/1.1 ") == 2 and b'"here":"/who"' in done.stdout.replace(b" ", b"")
    assert b"Location: /who\r\n" in done.stdout and b"Server: mini-emperor\r\n" in done.stdout
    data = os.urandom(3_000_017)
    expected = hashlib.sha256(data).hexdigest().encode()
    for how in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue"), ("--http1.0",)):
        done = curl(*how, "-H", "Content-Type: x/y", "--data-binary", "@-", f"http://{address}/upload", data=data)
        assert expected in done.stdout, done.stdout + done.stderr
    assert curl("-I", f"http://{address}/").stdout.startswith(b"HTTP/1.1 200 OK\r\n")


@needs("root", "nginx", "www-data")
@pytest.mark.parametrize("directives", [PROXY, PROXY_1_1])
def test_nginx_passes_on_to_a_unix_socket(
    emperor: StartEmperor, nginx: StartNginx, app_venv: Path, directives: str
) -> None:
    daemon = emperor().start()
    site = flask(daemon, app_venv, http_socket=daemon.run / "site.sock")
    site.running()
    server = nginx({"/": directives.format(daemon.run / "site.sock")})
    assert server.get("/who").json["here"] == "/who"
    data = os.urandom(3_000_017)
    answer = server.get("/upload", data, {"Content-Type": "application/octet-stream"})
    assert answer.json == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert server.get("/nowhere").status == 404
    assert server.error_log.count("[error]") == 0


def test_the_default_socket_speaks_http_to_the_front_door(emperor: StartEmperor) -> None:
    address = f"127.0.0.1:{free_port()}"
    daemon = emperor().start("--http", address)
    site = daemon.add("site", protocol="http")
    site.running()
    answer = wait_for(
        lambda: get(f"http://{address}/site/facts?q=%20", headers={"X-Seen": "yes"}), lambda one: one.status == 200
    )
    seen = answer.json["environ"]
    expected = {
        "SCRIPT_NAME": "", "PATH_INFO": "/facts", "QUERY_STRING": "q=%20", "HTTP_HOST": address, "HTTP_X_SEEN": "yes",
        "HTTP_X_FORWARDED_PREFIX": "/site", "HTTP_X_FORWARDED_HOST": address, "HTTP_X_FORWARDED_PROTO": "http",
        "HTTP_X_FORWARDED_FOR": "127.0.0.1",
    }  # fmt: skip
    assert {name: seen.get(name) for name in expected} == expected


@needs("pypy3", "curl")
def test_a_virtualenv_of_pypy_speaks_http(emperor: StartEmperor, folder: Path) -> None:
    venv = folder / "pypyvenv"
    subprocess.run(["pypy3", "-m", "venv", "--without-pip", str(venv)], check=True, capture_output=True)
    address = f"127.0.0.1:{free_port()}"
    emperor().start().add("site", virtualenv=venv, http_socket=address).running(deadline=40)
    done = curl(f"http://{address}/facts")
    assert b'"pypy"' in done.stdout, done.stderr
