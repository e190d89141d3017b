"""What systemd is told of an emperor's life, and what it does about it."""

from __future__ import annotations

import os
import signal
import time

from tests.e2e.harness.installed import Installed
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("systemd", "venv", "www-data")

WAITS_AT_IMPORT = """
import os, time
while not os.path.exists("/srv/slow/go"):
    time.sleep(0.01)
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""


def test_it_is_active_only_after_every_app_of_the_first_look_has_come_to_rest(service: Installed) -> None:
    service.add("blog")
    slow = service.add("slow")
    slow.app(WAITS_AT_IMPORT)
    service.machine.systemctl("start", "--no-block", service.unit)
    slow.state("STARTING")
    service.add("slow2").state("RUNNING")
    assert service.show("ActiveState") == "activating"
    (slow.folder / "go").touch()
    service.until("ActiveState", "active")
    assert slow.row()["state"] == "RUNNING"


def test_an_app_that_cannot_start_keeps_the_emperor_from_being_active_no_longer_than_it_takes(
    service: Installed,
) -> None:
    for name in ("a", "b", "c", "d"):
        service.add(name)
    service.add("blog", app="dies_at_import.py")
    service.start()
    text = wait_for(lambda: service.show("StatusText"), lambda text: "backoff" in text, "the status names it")
    assert text == "5 vassals: 4 running, 1 backoff: blog"
    assert f'Status: "{text}"' in service.machine.systemctl("status", service.unit)


def test_reload_returns_when_every_vassal_is_a_new_one(service: Installed) -> None:
    apps = [service.add("blog"), service.add("shop", protocol="fastcgi")]
    service.start()
    before = {app.name: app.row()["pid"] for app in apps}
    service.machine.systemctl("reload", service.unit)
    for app in apps:
        assert app.row()["state"] == "RUNNING"
        assert app.row()["pid"] != before[app.name]
    assert service.show("SubState") == "running"


def test_reload_fails_with_the_reason_where_one_vassal_has_failed_and_the_old_one_serves(service: Installed) -> None:
    blog, shop = service.add("blog"), service.add("shop")
    service.start()
    before = blog.row()["pid"]
    blog.app("raise RuntimeError('no database')\n")
    done = service.machine.run("systemctl", "reload", service.unit, check=False)
    assert done.returncode != 0
    assert "no database" in service.log
    assert (blog.get().status, blog.row()["pid"]) == (200, before)
    assert service.show("ActiveState") == "active"
    assert shop.get().status == 200


def test_hup_shows_as_reloading_until_everybody_is_done(service: Installed) -> None:
    slow = service.add("slow")
    service.start()
    slow.app(WAITS_AT_IMPORT)
    os.kill(service.main, signal.SIGHUP)
    service.until("ActiveState", "reloading")
    (slow.folder / "go").touch()
    service.until("ActiveState", "active")
    assert slow.row()["state"] == "RUNNING"


def test_a_stop_waits_for_a_request_that_runs_longer_than_the_stop_may_take(service: Installed) -> None:
    blog = service.add("blog")
    service.drop_in("[Service]\nTimeoutStopSec=1\n")
    service.start()
    request = blog.held()
    began = time.monotonic()
    service.machine.systemctl("stop", "--no-block", service.unit)
    service.until("ActiveState", "deactivating")
    wait_for(lambda: time.monotonic() - began, lambda seconds: seconds > 3, "three seconds are over")
    assert request.waits
    assert request.let_go().status == 200
    service.until("ActiveState", "inactive")
    assert service.show("Result") == "success"


def test_a_term_shows_as_deactivating_and_systemd_starts_it_again(service: Installed) -> None:
    blog = service.add("blog")
    service.start()
    old, request = service.main, blog.held()
    os.kill(old, signal.SIGTERM)
    service.until("ActiveState", "deactivating")
    later = blog.visitor()
    assert request.let_go().status == 200
    assert later.answer().status == 200
    service.returned(old)


def test_a_stop_leaves_nothing(service: Installed) -> None:
    apps = [
        service.add("default"),
        service.add("run", socket="/run/run.sock"),
        service.add("srv", socket="/srv/srv/srv.sock"),
        service.add("theirs", socket="/srv/theirs/scratch/theirs.sock"),
        service.add("abstract", socket="@emp-systemd-test"),
    ]
    service.start()
    paths = [service.machine.path(app.socket_inside) for app in apps if app.name != "abstract"]
    for app, path in zip(apps, paths, strict=False):
        app.state("RUNNING")
        assert path.is_socket(), path
    assert len(service.machine.of_unit(service.unit)) > len(apps)
    service.machine.systemctl("stop", service.unit)
    assert service.machine.of_unit(service.unit) == []
    assert [path for path in paths if path.exists()] == []
    assert not service.machine.path(service.run).exists()
    assert service.stored == 0


def test_a_stop_that_overtakes_a_restart_leaves_nothing(service: Installed) -> None:
    blog = service.add("blog", socket="/run/blog.sock")
    service.start()
    request = blog.held()
    service.machine.systemctl("restart", "--no-block", service.unit)
    wait_for(lambda: "stopping:" in service.log, what="it has found out what it is a part of")
    service.machine.systemctl("stop", "--no-block", service.unit)
    assert request.let_go().status == 200
    service.until("ActiveState", "inactive")
    assert not os.path.exists(blog.socket)


def test_a_start_that_is_asked_for_while_it_stops_finds_everything_in_order(service: Installed) -> None:
    blog = service.add("blog", socket="/run/blog.sock")
    service.start()
    old, request = service.main, blog.held()
    service.machine.systemctl("stop", "--no-block", service.unit)
    service.until("ActiveState", "deactivating")
    service.machine.systemctl("start", "--no-block", service.unit)
    assert request.let_go().status == 200
    service.returned(old)
    assert (blog.get().status, service.stored) == (200, 1)


def test_a_stop_while_an_app_is_imported_waits_for_nobody_and_leaves_nothing(service: Installed) -> None:
    slow = service.add("slow", socket="/run/slow.sock")
    slow.app(WAITS_AT_IMPORT)
    service.machine.systemctl("start", "--no-block", service.unit)
    slow.state("STARTING")
    service.machine.systemctl("stop", service.unit)
    assert (service.show("Result"), service.machine.of_unit(service.unit)) == ("success", [])
    assert not os.path.exists(slow.socket)


def test_the_watchdog_restarts_a_main_loop_that_does_not_turn_while_workers_serve(service: Installed) -> None:
    blog = service.add("blog")
    service.drop_in("[Service]\nWatchdogSec=2\n")
    service.start()
    old = service.main
    os.kill(old, signal.SIGSTOP)
    with blog.crowd() as crowd:
        wait_for(lambda: crowd.answered, lambda count: count > 20, "workers serve without the main loop")
        assert service.main == old
        service.returned(old)
        told = crowd.answered
        wait_for(lambda: crowd.answered, lambda count: count > told + 20, "and again")
    assert crowd.refused == []
    assert service.show("NRestarts") == "1"


def test_a_request_in_flight_survives_the_watchdog(service: Installed) -> None:
    blog = service.add("blog")
    service.drop_in("[Service]\nWatchdogSec=1\n")
    service.start()
    old, request = service.main, blog.held()
    os.kill(old, signal.SIGSTOP)
    wait_for(lambda: service.main != old, what="the main process is gone")
    assert request.let_go().status == 200
    service.returned(old)


def test_the_watchdog_is_content_with_an_app_that_hangs(service: Installed) -> None:
    blog = service.add("blog")
    service.drop_in("[Service]\nWatchdogSec=1\n")
    service.start()
    old, request, began = service.main, blog.held(), time.monotonic()
    wait_for(lambda: time.monotonic() - began, lambda seconds: seconds > 2.5, "longer than the watchdog's patience")
    assert (service.main, service.show("NRestarts")) == (old, "0")
    assert request.let_go().status == 200


def test_an_upgrade_in_place_is_no_restart(service: Installed) -> None:
    blog = service.add("blog")
    service.start()
    old, stored, row = service.main, service.stored, blog.row()
    with blog.crowd() as crowd:
        done = service.ctl("upgrade")
        assert done.returncode == 0, done.stdout + done.stderr
        told = crowd.answered
        wait_for(lambda: crowd.answered, lambda count: count > told + 5, "served on")
    assert (crowd.refused, crowd.lost) == ([], [])
    assert (service.main, service.show("SubState"), service.show("NRestarts")) == (old, "running", "0")
    assert (service.stored, blog.row()["pid"]) == (stored, row["pid"])


def test_a_wrong_command_line_is_not_tried_for_ever(service: Installed) -> None:
    service.drop_in("[Service]\nExecStart=\nExecStart=/usr/local/bin/emperor --no-such-option\n")
    service.machine.run("systemctl", "start", service.unit, check=False)
    service.until("ActiveState", "failed")
    assert (service.show("ExecMainStatus"), service.show("NRestarts")) == ("2", "0")


def test_an_app_learns_nothing_of_what_is_between_the_emperor_and_systemd(service: Installed) -> None:
    blog = service.add("blog")
    service.start()
    service.machine.systemctl("restart", service.unit)
    words = ("NOTIFY_", "WATCHDOG_", "LISTEN_", "INVOCATION_", "JOURNAL_")
    assert [name for name in blog.get().json["os_environ"] if name.startswith(words)] == []
