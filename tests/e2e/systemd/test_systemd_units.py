"""What apps may do under the unit as it is, and what the strict drop-in takes from them: what its comments say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.front import free_port
from tests.e2e.harness.installed import App, Installed
from tests.e2e.harness.people import Users
from tests.e2e.harness.systemd import UNITS
from tests.e2e.harness.waiting import wait_for
from tests.e2e.harness.web import FASTCGI, UWSGI, get
from tests.e2e.harness.wire import request
from tests.e2e.systemd.conftest import StartFront
from tests.requirements import needs

pytestmark = needs("systemd", "venv", "www-data", "nginx")

TAKEN = [
    "compiled_memory",
    "own_folder",
    "home_folder",
    "shared_tmp",
    "device",
    "processes_of_others",
    "priority",
    "affinity",
    "netlink",
]
"""By strict.conf, a line of it each."""

LEFT = ["network", "names", "threads_and_children", "foreign_functions", "shared_memory"]


def low_port() -> int:
    """One below 1024 that nobody uses."""
    import socket

    for port in range(1023, 600, -1):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port below 1024")


@pytest.fixture
def probe(service: Installed, users: Users) -> Iterator[App]:
    """An app of alice's, and on the machine around it what it might look for."""
    machine, alice = service.machine, users.alice
    home = machine.path(f"/home/{alice.name}")
    home.mkdir(mode=0o755)
    os.chown(home, alice.uid, alice.gid)
    things = [machine.path("/tmp/of-another-service"), machine.path("/dev/gpiochip0")]
    for thing in things:
        thing.touch()
    app = service.add("probe", app="boundaries.py", uid=alice.name, env=f"HOME=/home/{alice.name}")
    os.chown(app.scratch, alice.uid, alice.gid)
    yield app
    for thing in things:
        thing.unlink()


def make_strict(service: Installed, *more: str) -> None:
    """As it is; only that the virtualenvs of the tests lie in /tmp, where nobody installs anything."""
    text = (UNITS / "drop-ins" / "strict.conf").read_text()
    service.drop_in("\n".join([text, f"BindReadOnlyPaths={service.machine.shared}", *more, ""]), "strict")


def outcomes(app: App, trials: list[str]) -> dict[str, str]:
    return {trial: app.get(f"/?{trial}").json for trial in trials}


def test_the_unit_as_it_is_forbids_apps_nothing_that_they_commonly_do(service: Installed, probe: App) -> None:
    service.start()
    everything = [*TAKEN, *LEFT]
    assert outcomes(probe, everything) == dict.fromkeys(everything, "")
    assert outcomes(probe, ["namespace"])["namespace"] != ""


def test_the_strict_drop_in_takes_what_its_comments_say_and_nothing_else(service: Installed, probe: App) -> None:
    make_strict(service)
    service.start()
    probe.state("RUNNING")
    assert [name for name, outcome in outcomes(probe, TAKEN).items() if not outcome] == []
    assert outcomes(probe, LEFT) == dict.fromkeys(LEFT, "")


def test_vassals_have_their_cgroups_under_the_strict_drop_in_too(service: Installed, probe: App) -> None:
    make_strict(service)
    service.start()
    assert service.machine.groups_below(service.unit) == [f"vassal-probe.{probe.row()['pid']}"]


def test_a_folder_that_is_named_can_be_written_under_the_strict_drop_in(service: Installed, probe: App) -> None:
    make_strict(service, "ReadWritePaths=/srv/probe/scratch")
    service.start()
    assert outcomes(probe, ["own_folder"]) == {"own_folder": ""}


def test_a_restart_and_a_reload_refuse_nobody_under_the_strict_drop_in(service: Installed) -> None:
    make_strict(service)
    blog = service.add("blog")
    service.start()
    before = os.stat(blog.socket).st_ino
    with blog.crowd() as crowd:
        for verb in ("reload", "restart", "restart"):
            told = crowd.answered
            service.machine.systemctl(verb, service.unit)
            wait_for(lambda told=told: crowd.answered > told, what="served on")  # type: ignore[misc]
    assert (crowd.refused, crowd.lost) == ([], [])
    assert (os.stat(blog.socket).st_ino, service.stored) == (before, 1)


@pytest.mark.parametrize("strict", [False, True])
def test_sockets_anywhere_but_in_run_emperor_are_what_strict_forbids(service: Installed, strict: bool) -> None:
    if strict:
        make_strict(service)
    service.add("usual")
    port = low_port()
    elsewhere = [
        service.add("run", socket="/run/run.sock"),
        service.add("srv", socket="/srv/srv/scratch/srv.sock"),
        service.add("tmp", socket="/tmp/emp-tmp.sock"),
    ]
    low = service.add("low", socket=f"127.0.0.1:{port}")
    service.start()
    rows = wait_for(service.rows, lambda rows: len(rows) == 5 and not any(r["state"] == "STARTING" for r in rows))
    up = {row["name"] for row in rows if row["state"] == "RUNNING"}
    seen = {app.name for app in elsewhere if os.path.exists(app.socket)}
    if strict:
        # In /tmp of its own it serves, and nobody sees it.
        assert (up, seen) == ({"usual", "tmp"}, set()), rows
    else:
        assert (up, seen) == ({"usual", "low", "run", "srv", "tmp"}, {"run", "srv", "tmp"}), rows
        assert request(low.socket_inside, "/facts").status == 200


@needs("pypy3")
def test_pypy_serves_under_the_unit_as_it_is(service: Installed) -> None:
    pypy = service.add("pypy", app="boundaries.py", python="/usr/bin/pypy3")
    service.start()
    pypy.state("RUNNING")
    for _ in range(3):
        assert pypy.get("/?warm_loop").json == ""


@needs("pypy3")
def test_pypy_is_what_the_strict_drop_in_breaks(service: Installed) -> None:
    make_strict(service)
    pypy = service.add("pypy", app="boundaries.py", python="/usr/bin/pypy3")
    usual = service.add("usual")
    service.start()
    usual.state("RUNNING")
    pypy.state("BACKOFF")
    assert "allocate some memory for the JIT" in service.log
    assert usual.get().status == 200


def test_what_people_deploy_serves_under_the_unit(
    service: Installed, front: StartFront, users: Users, app_venv: Path
) -> None:
    """A FastCGI app of another user with umask 0; an app under a sub-path; an Emperor's vassal with links and %n."""
    machine, alice = service.machine, users.alice
    flup = service.add(
        "flup",
        protocol="fastcgi",
        uid=alice.name,
        socket="/srv/flup/scratch/fcgi.sock",
        socket_umask="000",
    )
    os.chown(flup.scratch, alice.uid, alice.gid)
    service.add(
        "myapp",
        app="flask_site.py",
        wsgi_file=None,
        plugin="http,python3",
        callable="app",
        virtualenv=app_venv,
        mount="/app=/srv/myapp/app.py",
        manage_script_name="true",
        pythonpath="/srv/myapp",
        socket="/run/uwsgi/app/myapp/socket",
        chmod_socket="664",
        uid="www-data",
        gid="www-data",
    )
    demo = service.add(
        "demo",
        app="flask_site.py",
        wsgi_file=None,
        base="/srv/demo",
        module="app",
        home=app_venv,
        pythonpath="%(base)",
        socket="/srv/demo/scratch/%n.sock",
        chmod_socket="666",
        callable="app",
        logto="/var/log/uwsgi/%n.log",
    )
    logs = machine.path("/var/log/uwsgi")
    logs.mkdir(mode=0o755)
    # Vassals are links in the folder of the emperor's.
    available = machine.path("/etc/emperor/available")
    available.mkdir()
    demo.ini.rename(available / "demo.ini")
    demo.ini.symlink_to("../available/demo.ini")
    service.start()
    wait_for(service.rows, lambda rows: [row["state"] for row in rows] == ["RUNNING"] * 3, "three serve")
    port = front(
        {
            "/flup": FASTCGI.format("/srv/flup/scratch/fcgi.sock"),
            "/app": UWSGI.format("/run/uwsgi/app/myapp/socket"),
            "/": UWSGI.format("/srv/demo/scratch/demo.sock"),
        }
    )
    for path in ("/flup", "/app/", "/"):
        answer = get(f"http://127.0.0.1:{port}{path}")
        assert answer.status == 200, (path, answer, machine.path("/run/front/error.log").read_text())
    assert (logs / "demo.log").exists()
    assert free_port()


def test_usr1_as_logrotate_sends_it_opens_the_logs_anew(service: Installed) -> None:
    service.add("blog", logto="/var/log/emperor/blog.log")
    service.start()
    log = service.machine.path("/var/log/emperor/blog.log")
    log.rename(log.with_suffix(".log.1"))
    text = (UNITS / "logrotate.d" / "emperor").read_text()
    script = text.split("postrotate\n")[1].split("endscript")[0]
    service.machine.run("sh", "-c", script)
    wait_for(log.exists, what="the log is opened anew")
    assert service.show("NRestarts") == "0"
