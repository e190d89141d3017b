"""Web servers that start applications themselves, with a listening socket as descriptor 0: real ones, as www-data."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import environ_for
from tests.e2e.harness.people import current
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import Nginx, free_port, get
from tests.e2e.harness.wire import Response, connect

PREFIX = "/shop"

APACHE = """
ServerRoot {folder}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {folder}/pid
ErrorLog {folder}/error.log
User www-data
Group www-data
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule fcgid_module {modules}/mod_fcgid.so
FcgidMaxRequestLen 1073741824
FcgidIPCDir {folder}/ipc
FcgidProcessTableFile {folder}/ipc/table
DocumentRoot {folder}/www
<Directory {folder}/www>
    Require all granted
</Directory>
{apps}
"""
APACHE_MODULES = Path("/usr/lib/apache2/modules")

SCRIPT = """
ScriptAlias {url} {folder}/www/{name}.fcgi{slash}
<Directory {folder}/www>
    SetHandler fcgid-script
</Directory>
"""
WRAPPER = """
ScriptAlias {url} {folder}/www/{name}.fcgi{slash}
<Files {name}.fcgi>
    SetHandler fcgid-script
    FcgidWrapper "{command}" .fcgi
</Files>
"""
VIRTUAL = """
<Location {url}>
    SetHandler fcgid-script
    Options +ExecCGI
    FcgidWrapper "{command}" virtual
</Location>
"""

LIGHTTPD = """
server.document-root = "{folder}/www"
server.bind = "127.0.0.1"
server.port = {port}
server.username = "www-data"
server.groupname = "www-data"
server.errorlog = "{folder}/error.log"
"""
FASTCGI_SERVER = """
server.modules = ( "mod_fastcgi" )
fastcgi.server = (
{apps}
)
"""
BIN_PATH = """
    "{url}" => ((
        "socket" => "{folder}/ipc/{name}.sock",
        "bin-path" => "{command}",
        "check-local" => "disable",
        "max-procs" => {procs},
    )),
"""


class Starter(Protocol):
    """``apps``: URL prefix ("/" is the root) → the command that serves it. ``servers``: the pids of those started.
    ``include``: a file that its configuration reads, too.
    """

    def start(self, apps: dict[str, str], include: Path | None = None) -> None: ...
    def get(self, path: str, data: bytes | None = None) -> Response: ...
    def error_log(self) -> str: ...
    def servers(self) -> list[int]: ...
    def stop(self) -> None: ...
    def sweep(self) -> None: ...


def name_of(url: str) -> str:
    return url.strip("/") or "root"


def is_lone(pid: int) -> bool:
    return any(word.endswith("/launch_lone.py") for word in procfs.command(pid))


class _Http:
    """A program with a configuration file that listens on a port and starts the apps as its children.

    ``program``: to be followed by the file's path. ``configure``: folder, port, apps → what stands in it. ``include``:
    its line that reads another file.
    """

    def __init__(
        self,
        folder: Path,
        program: Sequence[str],
        configure: Callable[[Path, int, Mapping[str, str]], str],
        include: str,
    ) -> None:
        self.folder = folder
        self.port = 0
        self._program, self._configure, self._include = program, configure, include
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o755)
        for name in ("ipc", "www"):
            (folder / name).mkdir(mode=0o755)
        (folder / "error.log").touch()
        # lighttpd opens its log, and makes the sockets, as the user that it becomes.
        for path in (folder / "ipc", folder / "error.log"):
            shutil.chown(path, "www-data", "www-data")

    def start(self, apps: dict[str, str], include: Path | None = None) -> None:
        """Returns when it listens."""
        self.port = free_port()
        conf = self.folder / "conf"
        text = self._configure(self.folder, self.port, apps)
        conf.write_text(text + (self._include.format(include) if include else ""))
        with (self.folder / "error.log").open("ab") as output:
            self.process = subprocess.Popen(
                [*self._program, str(conf)],
                cwd=self.folder,
                env=environ_for(current()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for(self._listens, what=f"{self._program[0]} listens")

    def _listens(self) -> bool:
        assert self.process and self.process.poll() is None, self.error_log()
        try:
            connect(f"127.0.0.1:{self.port}").close()
        except OSError:
            return False
        return True

    def get(self, path: str, data: bytes | None = None) -> Response:
        return get(f"http://127.0.0.1:{self.port}{path}", data)

    def error_log(self) -> str:
        return (self.folder / "error.log").read_text()

    def servers(self) -> list[int]:
        assert self.process
        return [pid for pid in procfs.descendants(self.process.pid) if is_lone(pid)]

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


def apache(folder: Path, how: str) -> Starter:
    """mod_fcgid. ``how``: SCRIPT (an executable file), WRAPPER (for a suffix) or VIRTUAL (for a URL)."""
    return _Http(folder, ("apache2", "-DFOREGROUND", "-f"), partial(_for_apache, how), "Include {}\n")


def _for_apache(how: str, folder: Path, port: int, apps: Mapping[str, str]) -> str:
    # Of several aliases the first one that matches counts, of several <Location>s the last one.
    ordered = sorted(apps.items(), reverse=how != VIRTUAL)
    blocks = [_apache_block(how, folder, url, command) for url, command in ordered]
    return APACHE.format(folder=folder, port=port, modules=APACHE_MODULES, apps="".join(blocks))


def _apache_block(how: str, folder: Path, url: str, command: str) -> str:
    name = name_of(url)
    script = folder / f"www/{name}.fcgi"
    script.write_text(f"#!/bin/sh\nexec {command}\n" if how == SCRIPT else "")
    script.chmod(0o755)
    slash = "/" if url == "/" else ""
    return how.format(url=url, folder=folder, name=name, command=command, slash=slash)


def lighttpd(folder: Path, procs: int) -> Starter:
    """``bin-path``, with ``procs`` processes for each app."""
    return _Http(folder, ("lighttpd", "-D", "-f"), partial(_for_lighttpd, procs), 'include "{}"\n')


def _for_lighttpd(procs: int, folder: Path, port: int, apps: Mapping[str, str]) -> str:
    blocks = [
        BIN_PATH.format(url=url, folder=folder, name=name_of(url), command=command, procs=procs)
        for url, command in sorted(apps.items(), reverse=True)
    ]
    servers = FASTCGI_SERVER.format(apps="".join(blocks)) if apps else ""
    return LIGHTTPD.format(folder=folder, port=port) + servers


class SpawnFcgi:
    """One spawn-fcgi per app, in the foreground, and nginx in front."""

    def __init__(self, folder: Path, user: Sequence[str]) -> None:
        """``user``: spawn-fcgi's options that say who runs the app."""
        self.folder = folder
        self.user = user
        self.nginx: Nginx | None = None
        self.processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(mode=0o755)

    def start(self, apps: dict[str, str], include: Path | None = None) -> None:
        locations = {}
        for url, command in apps.items():
            path = f"{self.folder}/{name_of(url)}.sock"
            with (self.folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    ["spawn-fcgi", "-n", "-s", path, *self.user, "--", *command.split()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environ_for(current()),
                    start_new_session=True,
                )
            self.processes.append(process)
            locations[url] = f"include /etc/nginx/fastcgi_params; fastcgi_pass unix:{path};"
            wait_for(lambda path=path: os.path.exists(path), what=path)  # type: ignore[misc]  # mypy infers no defaults
            # The web server's group may connect, whoever spawn-fcgi has made the owner.
            shutil.chown(path, group="www-data")
            os.chmod(path, 0o660)
        self.nginx = Nginx(self.folder / "nginx", locations).start()

    def get(self, path: str, data: bytes | None = None) -> Response:
        assert self.nginx
        return self.nginx.get(path, data)

    def error_log(self) -> str:
        return (self.folder / "log").read_text()

    def servers(self) -> list[int]:
        return [one.pid for one in self.processes if one.poll() is None and is_lone(one.pid)]

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
            process.wait(20)
        if self.nginx:
            self.nginx.stop()

    def sweep(self) -> None:
        self.stop()
