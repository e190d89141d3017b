"""The unit for one person, under that person's own systemd."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness.daemon import APPS, Row, ini
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.systemd import TARGETS, UNITS, Machine
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.wire import Crowd, request
from tests.requirements import needs

pytestmark = needs("systemd", "venv", "www-data")

MANAGER = """
[Service]
Type=notify
User={name}
Environment=XDG_RUNTIME_DIR=/run/user/{uid} HOME=/home/{name} SYSTEMD_UNIT_PATH=/home/{name}/.config/systemd/user
ExecStart=/lib/systemd/systemd --user --unit=default.target --log-target=null
Delegate=yes
KillMode=mixed
"""
"""What Debian's user@.service is, without PAM."""


class Home:
    def __init__(self, machine: Machine, person: Person) -> None:
        self._machine, self._person = machine, person
        self.inside = f"/home/{person.name}"
        self.folder = machine.path(self.inside)
        self.runtime = f"/run/user/{person.uid}"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def give(self) -> None:
        """Everything in it to whose it is."""
        for path in (self.folder, *self.folder.rglob("*")):
            os.lchown(path, self._person.uid, self._person.gid)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        who = ("setpriv", f"--reuid={self._person.uid}", f"--regid={self._person.gid}", "--init-groups")
        environ = ("env", f"XDG_RUNTIME_DIR={self.runtime}", f"HOME={self.inside}")
        return self._machine.run(*who, *environ, *command, check=check)

    def systemctl(self, *words: str) -> str:
        return self.run("systemctl", "--user", *words).stdout

    def row(self, name: str) -> Row:
        done = self.run(f"{self.inside}/.local/bin/emperorctl", "status", "--json", check=False)
        rows: list[Row] = json.loads(done.stdout) if done.returncode in (0, 3) else []
        return next((row for row in rows if row["name"] == name), {})


@pytest.fixture
def home(machine: Machine, users: Users, emperor_venv: Path) -> Iterator[Home]:
    alice = users.alice
    one = Home(machine, alice)
    for target in ("default", *TARGETS):
        text = f"[Unit]\nDescription={target}\nDefaultDependencies=no\n"
        one.write(f".config/systemd/user/{target}.target", text)
    one.write(".config/systemd/user/emperor.service", (UNITS / "user" / "emperor.service").read_text())
    one.write("apps/app.py", (APPS / "facts.py").read_text())
    one.write(".config/emperor/vassals.d/blog.ini", ini(chdir=f"{one.inside}/apps", wsgi_file="app.py"))
    (one.folder / ".local/bin").mkdir(parents=True)
    for program in ("emperor", "emperorctl"):
        (one.folder / ".local/bin" / program).symlink_to(emperor_venv / "bin" / program)
    one.give()
    runtime = machine.path(one.runtime)
    runtime.mkdir(mode=0o700, parents=True)
    os.chown(runtime, alice.uid, alice.gid)
    machine.write("/etc/systemd/system/person.service", MANAGER.format(name=alice.name, uid=alice.uid))
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "person.service")
    yield one
    # It would end by an exit.target, which it has not.
    machine.systemctl("kill", "--signal=KILL", "person.service")
    machine.systemctl("stop", "person.service")
    for folder in (one.folder, runtime):
        shutil.rmtree(folder)


def test_a_person_serves_reloads_restarts_and_stops_without_root(machine: Machine, home: Home) -> None:
    home.systemctl("start", "emperor")
    socket = machine.path(f"{home.runtime}/emperor/blog.sock")
    before = home.row("blog")
    assert before["state"] == "RUNNING"
    home.systemctl("reload", "emperor")
    assert home.row("blog")["pid"] != before["pid"]
    with Crowd(str(socket)) as crowd:
        wait_for(lambda: crowd.answered, what="somebody is answered")
        home.systemctl("restart", "emperor")
        told = crowd.answered
        wait_for(lambda: crowd.answered, lambda count: count > told, "served on")
    assert (crowd.refused, crowd.lost) == ([], [])
    assert request(str(socket), "/facts").json["uids"][0] == os.stat(home.folder).st_uid
    home.systemctl("stop", "emperor")
    assert not socket.parent.exists()
