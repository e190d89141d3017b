"""Capture what real web servers send to an application server: ``python contrib/capture_streams.py``.

Starts nginx, Apache and lighttpd, one at a time with a small configuration in a temporary folder, in front of a
socket that records the bytes, and writes tests/data/streams/*.bin with an index. Needs root and the three servers.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from recording_server import recording

ROOT = Path(__file__).resolve().parent.parent
STREAMS = ROOT / "tests/data/streams"
PORT = 8080
PATIENCE = 10.0
VERSION = re.compile(r"(nginx|Apache|lighttpd)/[\d.]+")

HEAD = "Host: www.example.org\r\nUser-Agent: capture/1\r\nAccept: */*\r\n"
UPLOAD = (
    b"--b\r\nContent-Disposition: form-data; name=f; filename=f.bin\r\n\r\n" + bytes(range(256)) * 70 + b"\r\n--b--\r\n"
)


def _request(start: str, headers: str = "", body: bytes = b"", chunked: bool = False) -> bytes:
    """One HTTP request on a connection of its own; ``chunked``: in two chunks."""
    if chunked:
        half = len(body) // 2
        headers += "Transfer-Encoding: chunked\r\n"
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:half], body[half:], b""))
    elif body:
        headers += f"Content-Length: {len(body)}\r\n"
    return f"{start} HTTP/1.1\r\n{HEAD}{headers}Connection: close\r\n\r\n".encode("latin-1") + body


FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
REQUESTS = {
    "get": _request("GET /caf%C3%A9/a%20b?x=1&y=%2F", "Accept-Language: de\r\nX-Note: caf\xe9\r\n"),
    "post": _request("POST /form", FORM, b"name=Ada&year=1843"),
    "cookie": _request("GET /", f"Cookie: a={'c' * 3000}; b=2\r\n"),
    "upload": _request("POST /upload", "Content-Type: multipart/form-data; boundary=b\r\n", UPLOAD),
    "chunked": _request("POST /chunked", "Content-Type: text/plain\r\n", b"sixteen letters!" * 16, chunked=True),
}

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/1; fastcgi_temp_path {folder}/2; uwsgi_temp_path {folder}/3;
    proxy_temp_path {folder}/4; scgi_temp_path {folder}/5;
    upstream app {{ server unix:{socket}; keepalive 1; }}
    server {{ listen 127.0.0.1:{port}; server_name www.example.org; root /var/www/html; location / {{ {lines} }} }}
}}
"""
APACHE = """
ServerRoot {folder}
PidFile {folder}/pid
ErrorLog {folder}/log
DefaultRuntimeDir {folder}
Listen 127.0.0.1:{port}
ServerName www.example.org
ServerAdmin webmaster@example.org
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so
LoadModule proxy_uwsgi_module /usr/lib/apache2/modules/mod_proxy_uwsgi.so
LoadModule fcgid_module /usr/lib/apache2/modules/mod_fcgid.so
FcgidIPCDir {folder}
FcgidProcessTableFile {folder}/table
DocumentRoot /var/www/html
{lines}
"""
LIGHTTPD = """
server.modules = ("mod_fastcgi", "mod_scgi")
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "/var/www/html"
server.errorlog = "{folder}/log"
{lines}
"""


class Server(NamedTuple):
    config: str
    command: str
    version: str


SERVERS = {
    "nginx": Server(NGINX, "nginx -e {folder}/log -p {folder} -c {folder}/config", "nginx -v"),
    "apache": Server(APACHE, "apache2 -X -f {folder}/config", "apache2 -v"),
    "lighttpd": Server(LIGHTTPD, "lighttpd -D -f {folder}/config", "lighttpd -v"),
}


class Way(NamedTuple):
    """From a web server to the recorder. ``streams``: the requests of each connection to the application server."""

    server: str
    protocol: str
    lines: str
    streams: tuple[str, ...]


ALL = ("get", "post", "cookie", "upload", "chunked")
SMALL = ("get", "post", "cookie", "chunked")
UWSGI = "include /etc/nginx/uwsgi_params; uwsgi_pass app;"
FASTCGI = "include /etc/nginx/fastcgi_params; fastcgi_pass app;"
WAYS = {
    "nginx-uwsgi": Way("nginx", "uwsgi", UWSGI, ALL),
    "nginx-uwsgi-unbuffered": Way("nginx", "uwsgi", f"{UWSGI} uwsgi_request_buffering off;", ("chunked",)),
    "nginx-fastcgi": Way("nginx", "fastcgi", FASTCGI, ALL),
    "nginx-fastcgi-unbuffered": Way("nginx", "fastcgi", f"{FASTCGI} fastcgi_request_buffering off;", ("chunked",)),
    "nginx-fastcgi-kept": Way("nginx", "fastcgi", f"{FASTCGI} fastcgi_keep_conn on;", ("get+post+get", "cookie")),
    "apache-proxy-uwsgi": Way(
        "apache", "uwsgi", 'ProxyPass "/" "unix:{socket}|uwsgi://localhost/"', ("get", "post", "cookie")
    ),  # a chunked one: 411
    "apache-proxy-fcgi": Way(
        "apache", "fastcgi", 'ProxyPass "/" "unix:{socket}|fcgi://localhost/var/www/html/"', SMALL
    ),
    "apache-fcgid": Way(
        "apache",
        "fastcgi",
        'ScriptAlias "/" "/var/www/html/app.fcgi/"\n<Location "/">\nSetHandler fcgid-script\n'
        'FcgidWrapper "/usr/bin/python3 {program} {folder}" virtual\nOptions ExecCGI\n'
        "Require all granted\n</Location>",
        SMALL,
    ),
    "lighttpd-fastcgi": Way(
        "lighttpd", "fastcgi", 'fastcgi.server = ("/" => (("socket" => "{socket}", "check-local" => "disable")))', SMALL
    ),
    "lighttpd-uwsgi": Way(
        "lighttpd",
        "uwsgi",
        'scgi.server = ("/" => (("socket" => "{socket}", "check-local" => "disable")))\nscgi.protocol = "uwsgi"',
        SMALL,
    ),
}


# --- the web server and its client ---


@contextlib.contextmanager
def web_server(way: Way, folder: Path, app: Path) -> Iterator[None]:
    server = SERVERS[way.server]
    names = {"folder": folder, "socket": app, "port": PORT, "program": ROOT / "contrib/recording_server.py"}
    config = server.config.format(lines=way.lines.format(**names), **names)
    (folder / "config").write_text(config)
    # Apache passes its PATH on.
    environ = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    process = subprocess.Popen(
        server.command.format(**names).split(), env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # Apache in the foreground sometimes loops for ever instead.
            process.kill()
            process.wait()


def connect() -> socket.socket:
    """To the web server, as soon as it listens. Raises ``OSError`` if it never does."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", PORT), PATIENCE)
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def ask(request: bytes) -> None:
    head, _, body = request.partition(b"\r\n\r\n")
    with connect() as peer:
        peer.sendall(head + b"\r\n\r\n")
        if b"chunked" in head:
            # A web server that has the whole body before it connects knows its length, buffering or not.
            time.sleep(0.2)
        peer.sendall(body)
        answer = b"".join(iter(lambda: peer.recv(65536), b""))
    if not (answer.startswith(b"HTTP/1.1 200 ") and b"ok" in answer):
        raise ValueError(f"the web server answered {answer[:2000]!r}")


def capture(way: Way, stream: str) -> bytes:
    """What one connection carried from the web server to the application server."""
    with tempfile.TemporaryDirectory(prefix="capture-") as name:
        folder = Path(name)
        shutil.chown(folder, "www-data")
        folder.chmod(0o755)
        try:
            with recording(way.protocol, folder) as app, web_server(way, folder, app):
                for request in stream.split("+"):
                    ask(REQUESTS[request])
        except (OSError, ValueError) as error:
            raise SystemExit(f"capture: {way.server}: {error}\n{(folder / 'log').read_text()}") from None
        (raw,) = folder.glob("*.raw")
        data = raw.read_bytes()
    for secret in (name, socket.gethostname(), str(ROOT)):
        if secret.encode() in data:
            raise SystemExit(f"capture: {secret} is in the stream")
    return data


def index(rows: list[str]) -> str:
    return (
        "# What web servers send\n\n"
        "Real bytes from web server to application server, one connection each, written by "
        "`contrib/capture_streams.py`;\nthe requests stand there.\n\n"
        "| file | bytes | server | its configuration |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def main() -> None:
    STREAMS.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, way in WAYS.items():
        done = subprocess.run(SERVERS[way.server].version.split(), capture_output=True, text=True, check=True)
        version = VERSION.search(done.stdout + done.stderr)
        assert version
        for stream in way.streams:
            data = capture(way, stream)
            path = STREAMS / f"{name}-{stream.replace('+', '-')}.bin"
            path.write_bytes(data)
            lines = " ".join(way.lines.split()).replace("|", "\\|")
            rows.append(f"| {path.name} | {len(data)} | {version[0]} | `{lines}` |")
            print(rows[-1])
    (STREAMS / "README.md").write_text(index(rows))


if __name__ == "__main__":
    main()
