"""Where the unit delegates its cgroup, each vassal has one of its own, and is ended with everything in it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.harness import procfs
from tests.e2e.harness.installed import App, Installed
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("systemd", "venv", "www-data")

ESCAPED = ("pauses", "deaf", "forks_on", "multiplies")


def leaves(service: Installed, name: str = "site", clear: bool = True, **options: object) -> App:
    """An app with strays already at its import, which become the emperor's at once where it clears the flag."""
    folder = f"/srv/{name}"
    return service.add(
        name,
        app="leaves_strays.py",
        chdir=f"{folder}/scratch",
        wsgi_file=f"{folder}/app.py",
        env=["STRAYS=pauses", *(["CLEAR_FLAG=1"] if clear else [])],
        **options,
    )


def groups(service: Installed) -> list[str]:
    """Of vassals; systemd makes one for what it runs beside the main process."""
    return [name for name in service.machine.groups_below(service.unit) if name != ".control"]


def populate(app: App) -> int:
    """Everything that an app may leave behind; its vassal's pid, seen from outside."""
    for kind in ESCAPED:
        assert app.get(f"/?{kind}").status == 200
    escaped = app.scratch / "escaped"
    wait_for(lambda: escaped.read_text().split(), lambda seen: len(seen) > len(ESCAPED), "they have escaped")
    inside = app.row()["pid"]
    return next(pid for pid in app.emperor.machine.pids() if procfs.status(pid)["NSpid"].split()[-1] == str(inside))


def test_every_generation_has_a_cgroup_and_the_emperor_none(service: Installed) -> None:
    site, other = leaves(service), service.add("a-b")
    service.start()
    populate(site)
    pids = [app.row()["pid"] for app in (site, other)]
    assert groups(service) == sorted([f"vassal-site.{pids[0]}", f"vassal-a-b.{pids[1]}"])
    by_group = {service.machine.group(pid) for pid in service.machine.of_unit(service.unit)}
    assert by_group == {service.unit, *groups(service)}
    assert service.machine.group(service.main) == service.unit
    assert [pid for pid in service.machine.of_unit(service.unit) if service.machine.group(pid) == service.unit] == [
        service.main
    ]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_vassals_cgroup_goes_with_everybody_in_it(service: Installed, how: str) -> None:
    site, other = leaves(service, reload_mercy=1), service.add("other")
    service.start()
    vassal = populate(site)
    group, kept = service.machine.group(vassal), f"vassal-other.{other.row()['pid']}"
    strays = [pid for pid in service.machine.of_unit(service.unit) if service.machine.group(pid) == group]
    assert len(strays) > len(ESCAPED)
    if how == "stop":
        assert service.ctl("stop", "site").returncode == 0
        site.state("STOPPED")
    else:
        os.kill(vassal, signal.SIGKILL)
    wait_for(lambda: group in groups(service), lambda there: not there, "its cgroup is gone")
    assert [pid for pid in strays if procfs.alive(pid)] == []
    assert kept in groups(service)


def test_a_reload_and_an_upgrade_leave_the_cgroups_of_those_that_live(service: Installed) -> None:
    site, other = leaves(service), service.add("other")
    service.start()
    populate(site)
    theirs = f"vassal-other.{other.row()['pid']}"
    service.machine.run("emperorctl", "reload", "site")
    now = [theirs, f"vassal-site.{site.row()['pid']}"]
    wait_for(lambda: groups(service), lambda seen: seen == now, "one for each")
    assert service.ctl("upgrade").returncode == 0, service.log
    assert groups(service) == now
    assert service.ctl("stop", "site").returncode == 0
    wait_for(lambda: groups(service), lambda seen: seen == [theirs], "the other's")


def test_a_stop_leaves_neither_process_nor_cgroup(service: Installed) -> None:
    site = leaves(service)
    service.start()
    populate(site)
    everybody = service.machine.of_unit(service.unit)
    service.machine.systemctl("stop", service.unit)
    assert [pid for pid in everybody if procfs.alive(pid)] == []
    assert (service.show("Result"), groups(service)) == ("success", [])


@pytest.mark.parametrize("clear", [False, True], ids=["", "flag cleared"])
def test_a_killed_emperors_strays_are_ended_before_the_next_one_starts(service: Installed, clear: bool) -> None:
    site = leaves(service, clear=clear)
    if clear:
        # Nobody is left who ends those that ignore TERM, and systemd waits for them.
        service.drop_in("[Service]\nTimeoutStopSec=3\n")
    service.start()
    populate(site)
    everybody, old = service.machine.of_unit(service.unit), service.main
    os.kill(old, signal.SIGKILL)
    service.returned(old)
    site.state("RUNNING")
    assert [pid for pid in everybody if procfs.alive(pid)] == []
    assert groups(service) == [f"vassal-site.{site.row()['pid']}"]


def test_without_a_delegation_nothing_is_missed(service: Installed) -> None:
    service.drop_in("[Service]\nDelegate=no\n")
    site = leaves(service)
    service.start()
    populate(site)
    assert groups(service) == []
    assert service.ctl("stop", "site").returncode == 0
    site.state("STOPPED")
    wait_for(lambda: service.machine.of_unit(service.unit), lambda left: left == [service.main], "the emperor alone")
