"""The real journal has each vassal's lines under its own identifier."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.harness.installed import Installed
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("systemd", "venv", "www-data")

SOCKET = """
[Unit]
DefaultDependencies=no

[Socket]
ListenStream=/run/systemd/journal/stdout
ListenDatagram=/run/systemd/journal/socket
SocketMode=0666
PassCredentials=yes
PassSecurity=yes
ReceiveBuffer=8M
"""
JOURNALD = """
[Unit]
DefaultDependencies=no

[Service]
Type=notify
ExecStart=/lib/systemd/systemd-journald
Sockets=systemd-journald.socket
StandardOutput=null
StandardError=null
"""
"""As Debian's, without the audit's socket and /dev/log, which are not this machine's own."""

Entries = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def entries(service: Installed) -> Iterator[Entries]:
    """What journalctl finds."""
    machine = service.machine
    machine.write("/etc/systemd/system/systemd-journald.socket", SOCKET)
    machine.write("/etc/systemd/system/systemd-journald.service", JOURNALD)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "systemd-journald.socket", "systemd-journald.service")
    service.drop_in("[Service]\nStandardOutput=journal\nStandardError=journal\n")

    def ask(*words: str) -> list[dict[str, Any]]:
        printed = machine.run("journalctl", "--output=json", "--all", *words, check=False).stdout
        return [json.loads(line) for line in printed.splitlines()]

    yield ask
    machine.systemctl("stop", "emperor.service", "systemd-journald.socket", "systemd-journald.service")
    for name in ("socket", "service"):
        machine.path(f"/etc/systemd/system/systemd-journald.{name}").unlink()


def test_each_vassals_lines_have_their_own_identifier_and_worker(service: Installed, entries: Entries) -> None:
    blog, shop = service.add("blog"), service.add("shop", logto="/var/log/shop.log")
    service.start()
    for site in (blog, shop):
        site.state("RUNNING")
        site.get("/say?hello%1b[2J")
    found = wait_for(lambda: entries("-t", "emperor/blog"), lambda lines: len(lines) >= 2, "two lines in the journal")
    texts = {one["MESSAGE"]: (one["WORKER"], one["VASSAL"], one["PRIORITY"], one["_SYSTEMD_UNIT"]) for one in found}
    assert texts["[1] stdout: hello%1b[2J"] == ("1", "blog", "6", "emperor.service"), texts
    assert entries("-t", "emperor/shop") == []
    wait_for(lambda: service.machine.path("/var/log/shop.log").read_text(), lambda text: "stdout: hello" in text)
    own = entries("-u", "emperor.service", "-t", "emperor")
    assert any("blog: " in one["MESSAGE"] for one in own)
    assert not any("stdout: hello" in one["MESSAGE"] for one in own)
    # A journal that is started anew has the next lines: nobody holds on to the old one.
    service.machine.systemctl("restart", "systemd-journald.service")
    blog.get("/say?again")
    wait_for(lambda: [one["MESSAGE"] for one in entries("-t", "emperor/blog")], lambda all: "[1] stdout: again" in all)
    assert os.path.exists(blog.socket)
