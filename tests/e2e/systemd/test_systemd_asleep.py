"""Apps that sleep under a booted systemd: their sockets outlive the emperor, and whoever comes meanwhile wakes them."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.harness.installed import App, Installed
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("systemd", "venv", "www-data")

PLACES = {"the emperor's": None, "the user's": "/srv/blog/scratch/blog.sock"}


def dozing(service: Installed, place: str) -> App:
    blog = service.add("blog", on_demand="true", socket=PLACES[place])
    service.start()
    blog.state("IDLE")
    return blog


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["restart", "kill"])
def test_it_sleeps_on_through_a_restart_with_the_same_socket(service: Installed, place: str, how: str) -> None:
    blog = dozing(service, place)
    before, old = os.stat(blog.socket).st_ino, service.main
    if how == "restart":
        service.machine.systemctl("restart", service.unit)
    else:
        os.kill(old, signal.SIGKILL)
    service.returned(old)
    blog.state("IDLE")
    assert os.stat(blog.socket).st_ino == before
    assert blog.get().status == 200
    assert blog.state("RUNNING")["restarts"] == 0


def test_who_comes_while_the_emperor_is_away_wakes_it_when_it_is_back(service: Installed) -> None:
    """Killed with the restart held back: nobody but systemd holds the socket."""
    service.drop_in("[Service]\nRestartSec=1s\n")
    blog = dozing(service, "the emperor's")
    old = service.main
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: service.main != old, what="it is away")
    visitor = blog.visitor()
    assert visitor.answer().status == 200
    assert service.returned(old)


def test_a_socket_that_systemd_makes_wakes_it(service: Installed) -> None:
    machine = service.machine
    blog = service.add("blog", on_demand="true", idle=0.5, socket="/run/blog/blog.sock")
    machine.systemctl("start", "blog.socket", service.unit)
    for _ in range(2):
        blog.state("IDLE")
        assert blog.get().status == 200
    service.machine.systemctl("restart", service.unit)
    blog.state("IDLE")
    assert blog.get().status == 200
