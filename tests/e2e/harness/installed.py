"""The emperor as a service of a systemd: started and asked by ``systemctl`` and ``emperorctl``, seen from outside."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path

from tests.e2e.harness.daemon import APPS, Row, ini, replace_file
from tests.e2e.harness.systemd import Machine
from tests.e2e.harness.waiting import DEADLINE, wait_for
from tests.e2e.harness.wire import Crowd, Response, Visitor, request


class Installed:
    """A unit of ours. Vassals run as the web user: root writes their inis and names no other."""

    def __init__(self, machine: Machine, unit: str = "emperor.service", instance: str = "") -> None:
        self.machine = machine
        self.unit = unit
        self.vassals = f"/etc/emperor/{instance}/vassals.d" if instance else "/etc/emperor/vassals.d"
        self.run = f"/run/emperor-{instance}" if instance else "/run/emperor"
        machine.path(self.vassals).mkdir(mode=0o755, parents=True, exist_ok=True)

    # The unit -------------------------------------------------------------------------------------------------

    def drop_in(self, text: str, name: str = "test") -> None:
        self.machine.write(f"/etc/systemd/system/{self.unit}.d/{name}.conf", text)
        self.machine.systemctl("daemon-reload")

    def start(self) -> Installed:
        self.machine.systemctl("start", self.unit)
        return self

    def show(self, name: str) -> str:
        return self.machine.show(self.unit, name)

    def until(self, name: str, *values: str, deadline: float = DEADLINE) -> str:
        """Wait until a property of the unit has one of these values."""
        what = f"{self.unit}: {name} is {' or '.join(values)}"
        return wait_for(lambda: self.show(name), lambda value: value in values, what, deadline)

    @property
    def stored(self) -> int:
        """How many descriptors systemd keeps for it."""
        return int(self.show("NFileDescriptorStore"))

    @property
    def main(self) -> int:
        return self.machine.main_pid(self.unit)

    def returned(self, old: int, deadline: float = DEADLINE) -> int:
        """Wait until another main process than ``old`` has said that it is ready."""

        def look() -> int:
            return self.main if self.show("SubState") == "running" else 0

        return wait_for(look, lambda pid: pid not in (0, old), "it is back", deadline)

    @property
    def log(self) -> str:
        return self.machine.log(self.unit)

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run("emperorctl", "--control-socket", f"{self.run}/control.sock", *words, check=False)

    # Its vassals ----------------------------------------------------------------------------------------------

    def add(self, name: str, app: str = "facts.py", **options: object) -> App:
        one = App(self, name, {"chdir": f"/srv/{name}", "wsgi_file": "app.py", **options})
        one.scratch.mkdir(mode=0o755, parents=True)
        os.chown(one.scratch, pwd.getpwnam("www-data").pw_uid, -1)
        one.app((APPS / app).read_text())
        return one.write()

    def rows(self) -> list[Row]:
        done = self.ctl("status", "--json")
        rows: list[Row] = json.loads(done.stdout) if done.returncode in (0, 3) else []
        return rows


class App:
    """One app in /srv and its ini; ``scratch`` is a folder that the app may write."""

    def __init__(self, emperor: Installed, name: str, options: dict[str, object]) -> None:
        self.emperor = emperor
        self.name = name
        self.options = options
        self.folder = emperor.machine.path(f"/srv/{name}")
        self.scratch = self.folder / "scratch"
        self.ini = emperor.machine.path(f"{emperor.vassals}/{name}.ini")
        self.protocol = str(options.get("protocol", "uwsgi"))

    @property
    def socket_inside(self) -> str:
        return str(self.options.get("socket") or f"{self.emperor.run}/{self.name}.sock")

    @property
    def socket(self) -> str:
        return str(self.emperor.machine.path(self.socket_inside))

    def write(self, **changes: object) -> App:
        self.options = {**self.options, **changes}
        replace_file(self.ini, ini(**self.options))
        return self

    def app(self, source: str) -> None:
        replace_file(self.folder / "app.py", source)

    def get(self, target: str = "/facts") -> Response:
        return request(self.socket, target, protocol=self.protocol)

    def visitor(self, target: str = "/facts") -> Visitor:
        return Visitor(self.socket, target, protocol=self.protocol)

    def crowd(self) -> Crowd:
        return Crowd(self.socket)

    def held(self) -> Held:
        return Held(self)

    def row(self) -> Row:
        return next((row for row in self.emperor.rows() if row["name"] == self.name), {})

    def state(self, *states: str, deadline: float = DEADLINE) -> Row:
        what = f"{self.name} is {' or '.join(states)}"
        return wait_for(self.row, lambda row: row.get("state") in states, what, deadline)


class Held:
    """A request that the app answers when it is let go."""

    def __init__(self, app: App) -> None:
        self._scratch = app.scratch
        self._visitor = app.visitor(f"/hold?/srv/{app.name}/scratch")
        wait_for((self._scratch / "started").exists, what="the request has reached the app")

    def let_go(self) -> Response:
        Path(self._scratch / "go").touch()
        return self._visitor.answer()

    @property
    def waits(self) -> bool:
        return self._visitor.waits
