"""``emperorctl request`` against the running daemon: as root, as somebody else, as a stranger; and without one."""

from __future__ import annotations

import json
import os
import socket

import pytest

from tests.e2e.harness.daemon import Emperor, Vassal, chown
from tests.e2e.harness.people import Users
from tests.requirements import needs

pytestmark = needs("root", "useradd", "www-data", "venv")


@pytest.fixture(scope="module", params=["uwsgi", "fastcgi", "http"])
def vassal(request: pytest.FixtureRequest, shared_emperor: Emperor, users: Users) -> Vassal:
    one = shared_emperor.add(f"one-{request.param}", users.alice, "facts.py", protocol=request.param)
    one.running()
    return one


def test_root_sees_what_the_web_server_would_get(shared_emperor: Emperor, vassal: Vassal) -> None:
    done = shared_emperor.ctl("request", vassal.name, "/facts?a=b", "-H", "X-Mine: 1", "-v")
    assert done.returncode == 0, done.stderr
    environ = json.loads(done.stdout)["environ"]
    asked = {name: environ[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_X_MINE")}
    assert asked == {"REQUEST_METHOD": "GET", "PATH_INFO": "/facts", "QUERY_STRING": "a=b", "HTTP_X_MINE": "1"}
    assert "as www-data" in done.stderr and "first byte after" in done.stderr
    posted = shared_emperor.ctl("request", vassal.name, "/echo", "-d", "x" * 1000, "-i")
    assert posted.stdout.startswith("HTTP/1.1 200 OK\n") and '"size": 1000' in posted.stdout
    failed = shared_emperor.ctl("request", vassal.name, "/fail")
    assert failed.returncode == 1
    assert f"emperorctl logs {vassal.name}" in failed.stderr
    assert shared_emperor.ctl("request", vassal.name, "/facts", "--json").returncode == 0


def test_somebody_else_is_somebody_else(shared_emperor: Emperor, vassal: Vassal, users: Users) -> None:
    assert shared_emperor.ctl("request", vassal.name, "/facts", "--as", users.alice.name).returncode == 0
    done = shared_emperor.ctl("request", vassal.name, "/facts", "--as", users.bob.name)
    assert done.returncode == 1
    reason = f": connect as {users.bob.name}: Permission denied -- emperorctl doctor {vassal.name} says which folder"
    assert done.stderr.endswith(f"{reason}\n")
    stranger = shared_emperor.ctl("request", vassal.name, person=users.bob)
    assert stranger.returncode in (4, 6) and not stranger.stdout
    refused = shared_emperor.ctl("request", f"unix:{vassal.socket}", "--protocol", "uwsgi", person=users.bob)
    assert refused.returncode == 1 and "Permission denied" in refused.stderr
    other = shared_emperor.ctl(
        "request", f"unix:{vassal.socket}", "--protocol", "uwsgi", "--as", "root", person=users.bob
    )
    assert other.returncode == 4 and "only root" in other.stderr


def test_the_owner_asks_as_who_they_are(shared_emperor: Emperor, vassal: Vassal, users: Users) -> None:
    done = shared_emperor.ctl("request", vassal.name, "/facts", person=users.alice)
    assert done.returncode == 0, done.stderr


def test_an_address_is_asked_without_an_emperor_and_the_wrong_protocol_is_named(
    shared_emperor: Emperor, vassal: Vassal
) -> None:
    spoken = vassal.name.removeprefix("one-")
    for protocol in ("uwsgi", "fastcgi", "http"):
        done = shared_emperor.ctl(
            "request", f"unix:{vassal.socket}", "--protocol", protocol, "/facts", "--timeout", "2"
        )
        if protocol == spoken:
            assert done.returncode == 0, done.stderr
        else:
            assert done.returncode == 1 and f"--protocol {spoken} asks it so" in done.stderr
    assert shared_emperor.ctl("request", "unix:/nowhere.sock", "--protocol", "uwsgi").returncode == 1
    assert shared_emperor.ctl("request", "nobody").returncode == 6
    assert shared_emperor.ctl("request", "unix:/nowhere.sock").returncode == 2


def test_a_link_of_a_users_does_not_make_root_talk_to_roots_own_socket(shared_emperor: Emperor, users: Users) -> None:
    """The control socket is only root's to connect to with effect; a socket that is root's alone stays closed."""
    one = shared_emperor.place("linked", users.alice)
    path = one.folder / "app.sock"
    secret = shared_emperor.root / "secret.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(secret))
        listener.listen()
        os.chmod(secret, 0o600)
        path.symlink_to(secret)
        chown(path, users.alice)
        done = shared_emperor.ctl("request", f"unix:{path}", "--protocol", "uwsgi")
        assert done.returncode == 1 and "Permission denied" in done.stderr
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
