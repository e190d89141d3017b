"""Apache and lighttpd, real ones as www-data, before whatever a configuration text says, which is taken as it is.

``with Apache(folder, text) as front: front.get("/")``. The text stands in a file that a minimal main configuration of
ours includes; what a module needs of the machine (folders to write in) stands in the main one.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from benchmarks.front import free_port
from tests.e2e.harness.daemon import environ_for
from tests.e2e.harness.people import current
from tests.e2e.harness.waiting import HUNG, wait_for
from tests.e2e.harness.web import get
from tests.e2e.harness.wire import TIMEOUT, Response, connect

APACHE_LIBRARY = Path("/usr/lib/apache2/modules")

APACHE_STOCK = ("mpm_event", "authz_core", "authz_host", "alias", "dir", "env", "filter", "mime", "setenvif")
"""What configurations may take for granted on Debian, and that has no part in how apps are reached."""

APACHE = """\
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
User www-data
Group www-data
{modules}
<IfModule mod_fcgid.c>
    FcgidIPCDir {folder}/ipc
    FcgidProcessTableFile {folder}/ipc/table
</IfModule>
TypesConfig /etc/mime.types
DocumentRoot {folder}/www
<Directory {folder}/www>
    Require all granted
</Directory>
Include {text}
"""

LIGHTTPD = """\
server.modules = ( {modules} )
server.document-root = "{folder}/www"
server.bind = "127.0.0.1"
server.port = {port}
server.pid-file = "{folder}/pid"
server.username = "www-data"
server.groupname = "www-data"
server.errorlog = "{folder}/error.log"
server.upload-dirs = ( "{folder}/ipc" )
include "{text}"
"""
LIGHTTPD_STOCK = ("mod_access", "mod_alias", "mod_redirect")


class Front:
    """One web server in the foreground, on a port of its own, with everything it writes below its own folder."""

    command: ClassVar[Sequence[str]]
    """Followed by the main configuration's path."""
    test: ClassVar[Sequence[str]]

    def __init__(self, folder: Path, text: str = "", modules: Sequence[str] = ()) -> None:
        """``text`` may be changed until ``start``; it may name ``port`` and ``www``, which do not change any more.
        ``modules``: those it needs beside the stock ones.
        """
        self.folder = folder
        self.text = text
        self.modules = tuple(modules)
        self.port = free_port()
        self.www = folder / "www"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o755)
        for name in ("ipc", "www"):
            (folder / name).mkdir(mode=0o755)
        (folder / "error.log").touch()
        # lighttpd opens its log, and makes the apps' sockets, as the user that it becomes.
        for path in (folder / "ipc", folder / "error.log"):
            shutil.chown(path, "www-data", "www-data")

    def main(self, text: Path) -> str:
        """The main configuration, which includes the one at ``text``."""
        raise NotImplementedError

    def check(self) -> subprocess.CompletedProcess[str]:
        """What the server itself thinks of the configuration; it need not run."""
        return subprocess.run(
            [*self.test, str(self._write())], capture_output=True, text=True, env=environ_for(current()), timeout=HUNG
        )

    def start(self) -> Front:
        """Returns when it listens."""
        command = [*self.command, str(self._write())]
        with (self.folder / "error.log").open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environ_for(current()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for(self._listens, what=f"{self.command[0]} listens")
        return self

    def _write(self) -> Path:
        given, main = self.folder / "given.conf", self.folder / "main.conf"
        given.write_text(self.text)
        main.write_text(self.main(given))
        return main

    def _listens(self) -> bool:
        assert self.process and self.process.poll() is None, self.error_log()
        # That somebody answers at the port does not prove that it is ours.
        if not (self.folder / "pid").exists():
            return False
        try:
            connect(f"127.0.0.1:{self.port}").close()
        except OSError:
            return False
        return True

    def get(self, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> Response:
        """A redirect is followed."""
        return get(f"http://127.0.0.1:{self.port}{path}", data, headers)

    def ask(
        self,
        path: str,
        method: str = "GET",
        data: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """As ``ask`` below."""
        return ask(self.port, path, method, data, headers)

    def error_log(self) -> str:
        """Its own lines, and what it and its children write to standard error."""
        return (self.folder / "error.log").read_text(errors="replace")

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        self.process.wait(20)

    def sweep(self) -> None:
        """lighttpd's TERM is lost on a child that it has forked and that has not yet become its program."""
        self.stop()
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def __enter__(self) -> Front:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.sweep()
        print(f"--- {self.folder}/error.log ---\n{self.error_log()}")


class Apache(Front):
    """``modules``: without "mod_", as for a2enmod: proxy, proxy_fcgi, proxy_uwsgi, fcgid, rewrite, …"""

    command = ("apache2", "-DFOREGROUND", "-f")
    test = ("apache2", "-t", "-f")

    def main(self, text: Path) -> str:
        lines = [f"LoadModule {one}_module {APACHE_LIBRARY}/mod_{one}.so" for one in (*APACHE_STOCK, *self.modules)]
        return APACHE.format(folder=self.folder, port=self.port, modules="\n".join(lines), text=text)


class Lighttpd(Front):
    """``modules``: with "mod_", for a text that does not say ``server.modules += …`` itself."""

    command = ("lighttpd", "-D", "-f")
    test = ("lighttpd", "-tt", "-f")

    def main(self, text: Path) -> str:
        modules = ", ".join(f'"{one}"' for one in (*LIGHTTPD_STOCK, *self.modules))
        return LIGHTTPD.format(folder=self.folder, port=self.port, modules=modules, text=text)


def ask(
    port: int,
    path: str,
    method: str = "GET",
    data: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One HTTP/1.1 request whose path is sent as it is written; a redirect is an answer like any other. ``data`` in
    pieces goes chunked, without Content-Length.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    with closing(connection):
        connection.request(method, path, data, dict(headers or {}))
        answer = connection.getresponse()
        return Response(answer.status, tuple(answer.getheaders()), answer.read())
