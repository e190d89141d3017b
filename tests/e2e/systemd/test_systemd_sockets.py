"""Listening sockets outlive the emperor: systemd keeps them, or makes them."""

from __future__ import annotations

import os
import signal
import stat

import pytest

from benchmarks.front import free_port
from tests.e2e.harness import procfs
from tests.e2e.harness.installed import App, Installed
from tests.e2e.harness.regulars import Regulars
from tests.e2e.harness.systemd import Machine
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import FASTCGI_KEPT, UWSGI
from tests.e2e.systemd.conftest import StartFront
from tests.requirements import needs

pytestmark = needs("systemd", "venv", "www-data", "nginx")


def names(service: Installed) -> list[str]:
    """Under which systemd gave its descriptors to the main process, when that started."""
    return procfs.environ(service.main).get("LISTEN_FDNAMES", "").split(":")


def place_three(service: Installed) -> tuple[list[App], dict[str, str]]:
    """One where the emperor binds, one where the vassal does, one over TCP; and nginx's ways to them."""
    apps = [
        service.add("blog", processes=2),
        service.add("shop", protocol="fastcgi", processes=2, socket="/srv/shop/scratch/shop.sock"),
        service.add("news", protocol="fastcgi", socket=f"127.0.0.1:{free_port()}"),
    ]
    ways = {
        "/blog": UWSGI.format("/run/emperor/blog.sock"),
        "/shop": FASTCGI_KEPT.format("unix:/srv/shop/scratch/shop.sock"),
    }
    return apps[:2], ways


def test_a_restart_under_load_refuses_and_loses_nobody(service: Installed, front: StartFront) -> None:
    apps, ways = place_three(service)
    service.start()
    with Regulars(front(ways), list(ways)) as visitors, apps[0].crowd() as crowd:
        for _ in range(3):
            old = service.main
            service.machine.systemctl("restart", service.unit)
            assert service.main != old
            visitors.more()
    assert (visitors.failed, crowd.refused, crowd.lost) == ([], [], [])
    assert crowd.answered


def test_a_killed_main_process_refuses_nobody(service: Installed, front: StartFront) -> None:
    apps, ways = place_three(service)
    service.start()
    with Regulars(front(ways), list(ways)) as visitors, apps[0].crowd() as crowd:
        for _ in range(3):
            old = service.main
            os.kill(old, signal.SIGKILL)
            service.returned(old)
            visitors.more()
    assert (visitors.failed, crowd.refused, crowd.lost) == ([], [], [])
    assert crowd.answered


def test_a_request_in_flight_survives_the_emperors_end_by_kill(service: Installed) -> None:
    blog = service.add("blog")
    service.start()
    old, request = service.main, blog.held()
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: not procfs.alive(old), what="the main process is gone")
    later = blog.visitor()
    assert request.let_go().status == 200
    assert later.answer().status == 200
    service.returned(old)


def test_each_listener_is_kept_once_under_a_name_of_its_own(service: Installed) -> None:
    place_three(service)
    service.add("two", socket=["/run/two.sock", "/run/two-more.sock"])
    service.start()
    wait_for(lambda: service.stored, lambda count: count == 5, "five listeners are kept")
    service.machine.systemctl("restart", service.unit)
    first = names(service)
    assert len(set(first)) == len(first) == 5
    assert service.stored == 5
    service.machine.systemctl("restart", service.unit)
    assert sorted(names(service)) == sorted(first)


def test_what_is_kept_outlives_an_upgrade_in_place_and_a_restart_after_it(service: Installed) -> None:
    blog = service.add("blog")
    service.add("shop", socket="/srv/shop/scratch/shop.sock")
    service.start()
    wait_for(lambda: service.stored, lambda count: count == 2, "two listeners are kept")
    with blog.crowd() as crowd:
        for _ in range(2):
            assert service.ctl("upgrade").returncode == 0
            assert service.stored == 2
            service.machine.systemctl("restart", service.unit)
            wait_for(lambda: service.stored, lambda count: count == 2, "two listeners are kept")
        told = crowd.answered
        wait_for(lambda: crowd.answered, lambda count: count > told, "served on")
    assert (crowd.refused, crowd.lost) == ([], [])


def test_what_is_kept_falls_with_each_vassal_that_goes(service: Installed) -> None:
    apps, _ = place_three(service)
    service.start()
    wait_for(lambda: service.stored, lambda count: count == 3, "three listeners are kept")
    for left, app in ((2, apps[0]), (1, apps[1])):
        path = app.emperor.machine.path(app.socket_inside)
        app.ini.unlink()
        wait_for(lambda left=left: service.stored == left, what=f"{left} are left")  # type: ignore[misc]
        wait_for(lambda path=path: not path.exists(), what=f"{path} is gone")  # type: ignore[misc]


def test_what_is_kept_follows_a_changed_address(service: Installed) -> None:
    blog = service.add("blog", socket="/run/old.sock")
    service.start()
    wait_for(lambda: service.stored == 1, what="it is kept")
    blog.write(socket="/run/new.sock")
    wait_for(lambda: service.machine.path("/run/new.sock").is_socket(), what="the new address")
    wait_for(lambda: service.stored == 1 and not service.machine.path("/run/old.sock").exists(), what="one is kept")
    service.machine.systemctl("restart", service.unit)
    assert blog.get().status == 200
    assert service.stored == 1


def test_a_vassal_that_went_while_the_emperor_was_away_leaves_no_listener(service: Installed) -> None:
    blog, shop = service.add("blog", socket="/run/blog.sock"), service.add("shop")
    service.start()
    wait_for(lambda: service.stored == 2, what="two are kept")
    old, request = service.main, blog.held()
    service.machine.systemctl("restart", "--no-block", service.unit)
    service.until("ActiveState", "deactivating")
    blog.ini.unlink()
    assert request.let_go().status == 200
    service.returned(old)
    wait_for(lambda: service.stored == 1, what="one is kept")
    assert not service.machine.path("/run/blog.sock").exists()
    assert shop.get().status == 200


def test_no_restart_of_many_makes_a_socket_anew(service: Installed) -> None:
    """systemd's TERM goes to everybody in the control group, also to whom the emperor asks what it is a part of."""
    apps = [service.add(f"blog{number}", socket=f"/run/blog{number}.sock") for number in range(3)]

    def there() -> list[tuple[int, ...]]:
        found = [os.stat(app.socket) for app in apps]
        return [(one.st_ino, one.st_mode, one.st_uid, one.st_gid) for one in found]

    service.start()
    before = there()
    for _ in range(8):
        service.machine.systemctl("restart", service.unit)
        assert there() == before
    assert len(names(service)) == len(apps)


@pytest.fixture
def activated(service: Installed) -> App:
    return service.add("blog", socket="/run/blog/blog.sock")


def test_a_visitor_of_systemds_socket_starts_the_emperor(service: Installed, activated: App) -> None:
    service.machine.systemctl("start", "blog.socket")
    assert service.show("ActiveState") == "inactive"
    assert activated.get().status == 200
    service.until("ActiveState", "active")
    there = os.stat(activated.socket)
    assert (stat.S_IMODE(there.st_mode), there.st_uid) == (0o660, 0)
    row = activated.row()
    assert row["state"] == "RUNNING"
    assert [one["address"] for one in row["sockets"]] == ["/run/blog/blog.sock"]


def test_systemds_socket_is_left_to_systemd(service: Installed, activated: App) -> None:
    machine: Machine = service.machine
    machine.systemctl("start", "blog.socket", service.unit)
    before = os.stat(activated.socket).st_ino
    assert service.stored == 0
    with activated.crowd() as crowd:
        machine.systemctl("restart", service.unit)
        old = service.main
        os.kill(old, signal.SIGKILL)
        service.returned(old)
        told = crowd.answered
        wait_for(lambda: crowd.answered, lambda count: count > told, "served on")
    assert (crowd.refused, crowd.lost) == ([], [])
    activated.ini.unlink()
    wait_for(service.rows, lambda rows: rows == [], "the vassal is gone")
    assert os.stat(activated.socket).st_ino == before
    machine.systemctl("stop", "blog.socket", service.unit)
    assert not os.path.exists(activated.socket)


def test_two_instances_know_nothing_of_each_other(service: Installed) -> None:
    machine = service.machine
    one, two = (Installed(machine, f"emperor@{name}.service", name) for name in ("one", "two"))
    apps = [service.add("blog")]
    for each in (one, two):
        app = each.add(f"blog-{each.run.rpartition('-')[2]}")
        # The same name in both: a socket in the folder of its own emperor.
        each.machine.path(f"{each.vassals}/{app.name}.ini").rename(each.machine.path(f"{each.vassals}/blog.ini"))
        app.name, app.ini = "blog", each.machine.path(f"{each.vassals}/blog.ini")
        apps.append(app)
    for each in (service, one, two):
        each.start()
    assert len({app.get().json["pid"] for app in apps}) == 3
    machine.systemctl("reload", one.unit)
    machine.systemctl("restart", two.unit)
    assert [app.get().status for app in apps] == [200, 200, 200]
    machine.systemctl("stop", one.unit)
    assert not machine.path(one.run).exists()
    assert [app.get().status for app in (apps[0], apps[2])] == [200, 200]
