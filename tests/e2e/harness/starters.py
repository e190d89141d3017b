"""Web servers that start applications themselves, with a listening socket as descriptor 0: real ones, as www-data."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import environ_for
from tests.e2e.harness.fronts import Apache, Front, Lighttpd
from tests.e2e.harness.people import current
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import Nginx
from tests.e2e.harness.wire import Response

PREFIX = "/shop"

FCGID = "FcgidMaxRequestLen 1073741824\n"

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

FASTCGI_SERVER = """
server.modules += ( "mod_fastcgi" )
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
    def get(self, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> Response: ...
    def error_log(self) -> str: ...
    def servers(self) -> list[int]: ...
    def stop(self) -> None: ...
    def sweep(self) -> None: ...


def name_of(url: str) -> str:
    return url.strip("/") or "root"


def is_lone(pid: int) -> bool:
    return any(word.endswith("/launch_lone.py") for word in procfs.command(pid))


class _Starting:
    """A web server that starts the apps as its children. ``configure``: folder, apps → what stands in its file.
    ``include``: its line that reads another file.
    """

    def __init__(self, front: Front, configure: Callable[[Path, Mapping[str, str]], str], include: str) -> None:
        self._front, self._configure, self._include = front, configure, include
        self.get, self.error_log, self.stop, self.sweep = front.get, front.error_log, front.stop, front.sweep

    def start(self, apps: dict[str, str], include: Path | None = None) -> None:
        """Returns when it listens."""
        text = self._configure(self._front.folder, apps)
        self._front.text = text + (self._include.format(include) if include else "")
        self._front.start()

    def servers(self) -> list[int]:
        assert self._front.process
        return [pid for pid in procfs.descendants(self._front.process.pid) if is_lone(pid)]


def apache(folder: Path, how: str) -> Starter:
    """mod_fcgid. ``how``: SCRIPT (an executable file), WRAPPER (for a suffix) or VIRTUAL (for a URL)."""
    return _Starting(Apache(folder, modules=["fcgid"]), partial(_for_apache, how), "Include {}\n")


def _for_apache(how: str, folder: Path, apps: Mapping[str, str]) -> str:
    # Of several aliases the first one that matches counts, of several <Location>s the last one.
    ordered = sorted(apps.items(), reverse=how != VIRTUAL)
    return FCGID + "".join(_apache_block(how, folder, url, command) for url, command in ordered)


def _apache_block(how: str, folder: Path, url: str, command: str) -> str:
    name = name_of(url)
    script = folder / f"www/{name}.fcgi"
    script.write_text(f"#!/bin/sh\nexec {command}\n" if how == SCRIPT else "")
    script.chmod(0o755)
    slash = "/" if url == "/" else ""
    return how.format(url=url, folder=folder, name=name, command=command, slash=slash)


def lighttpd(folder: Path, procs: int) -> Starter:
    """``bin-path``, with ``procs`` processes for each app."""
    return _Starting(Lighttpd(folder), partial(_for_lighttpd, procs), 'include "{}"\n')


def _for_lighttpd(procs: int, folder: Path, apps: Mapping[str, str]) -> str:
    blocks = [
        BIN_PATH.format(url=url, folder=folder, name=name_of(url), command=command, procs=procs)
        for url, command in sorted(apps.items(), reverse=True)
    ]
    return FASTCGI_SERVER.format(apps="".join(blocks)) if apps else ""


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

    def get(self, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None) -> Response:
        assert self.nginx
        return self.nginx.get(path, data, headers)

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
