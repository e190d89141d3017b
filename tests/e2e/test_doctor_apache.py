"""Behind a real Apache, broken in each way that it can be: the visitor's error, the doctor's finding, and its mend."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.fronts import Apache
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

pytestmark = needs("root", "www-data", "venv", "useradd", "apache", "apache-proxy")

HOST = "<VirtualHost *>\n{name}\n{lines}\n</VirtualHost>\n"

BROKEN = {
    "astray": 'ProxyPass "/" "unix:{run}/apps/blog.sock|uwsgi://astray/"',
    "protocol": 'ProxyPass "/" "unix:{shop}|uwsgi://protocol/"',
    "handler": '<Location "/">\nSetHandler "proxy:unix:{blog}|fcgi://handler/"\n</Location>',
    "small": '<Location "/">\nLimitRequestBody 10\n</Location>\nProxyPass "/" "unix:{small}|uwsgi://small/" timeout=5',
    "lost": 'ProxyPass "/" "unix:{lost}|uwsgi://lost/"',
}
SEEN = {"astray": (503,), "protocol": (500, 502, 503), "handler": (500, 502, 503), "small": (413,), "lost": (404,)}


def doctor(emperor: Emperor, front: Apache) -> list[dict[str, Any]]:
    """The findings of the web servers' side."""
    done = emperor.ctl("--json", "doctor", "--apache-conf", str(front.folder / "main.conf"))
    assert done.returncode in (0, 1), done.stderr
    return [one for one in json.loads(done.stdout) if one["kind"].startswith("web-")]


def written(hosts: Mapping[str, str], places: Mapping[str, str], names: Mapping[str, str]) -> str:
    sites = [HOST.format(name=names[name], lines=lines.format(**places)) for name, lines in hosts.items()]
    return HOST.format(name="ServerName first.test", lines="") + "".join(sites)


def status(front: Apache, name: str) -> int:
    data = b"x" * 50 if name == "small" else None
    return front.ask("/facts", "POST" if data else "GET", data, {"Host": f"{name}.test"}).status


def vassals(emperor: Emperor) -> dict[str, Vassal]:
    found = {
        "blog": emperor.add("blog"),
        "shop": emperor.add("shop", protocol="fastcgi"),
        "small": emperor.add("small", limit_post=100000, harakiri=90),
        "lost": emperor.add("lost"),
    }
    for one in found.values():
        one.running()
    return found


def line(findings: list[dict[str, Any]], kind: str, at: str) -> str:
    """The line to be written, of the finding about ``at``."""
    (found,) = [one for one in findings if one["kind"] == kind and at in one["what"] + "".join(one["mend"])]
    return str(found["mend"][0]).partition("  #")[0]


def test_each_break_is_seen_named_and_mended(shared_emperor: Emperor, shared_folder: Path) -> None:
    places = {name: str(one.socket) for name, one in vassals(shared_emperor).items()}
    places["run"] = str(shared_emperor.run)
    names = {name: f"ServerName {name}.test" for name in BROKEN} | {"lost": ""}
    front = Apache(shared_folder / "web", modules=["proxy", "proxy_fcgi", "proxy_uwsgi"])
    front.text = written(BROKEN, places, names)
    given = front.folder / "given.conf"
    with front:
        for name, statuses in SEEN.items():
            assert status(front, name) in statuses, (name, front.error_log())
        found = doctor(shared_emperor, front)
        rows = given.read_text().splitlines()
        where = {name: f"{given}:{_row(rows, f'//{name}/')}" for name in BROKEN}
        mended = {
            "astray": line(found, "web-astray", where["astray"]),
            "protocol": line(found, "web-protocol", where["protocol"]),
            "handler": BROKEN["handler"].splitlines()[0]
            + f"\n{line(found, 'web-protocol', where['handler'])}\n</Location>",
            "small": f'<Location "/">\n{line(found, "web-body-limit", where["small"])}\n</Location>\n'
            + BROKEN["small"]
            .splitlines()[-1]
            .format(**places)
            .replace("timeout=5", line(found, "web-timeout", where["small"])),
            "lost": BROKEN["lost"],
        }
        assert "give it a name" in next(one for one in found if one["kind"] == "web-shadowed")["mend"][0]
        given.write_text(written(mended, places, names | {"lost": "ServerName lost.test"}))
        stale = wait_for(lambda: _stale(shared_emperor, front), what="the file is newer")
        done = subprocess.run(["sh", "-c", stale[0]["mend"][0]], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for name in BROKEN:
            wait_for(partial(_is_served, front, name), what=f"{name} is served")
        assert wait_for(lambda: not doctor(shared_emperor, front), what="nothing is found")


def _is_served(front: Apache, name: str) -> bool:
    return status(front, name) == 200


def _stale(emperor: Emperor, front: Apache) -> list[dict[str, Any]]:
    """Processes are born in whole seconds, nearly; so the file is changed until it is newer beyond doubt."""
    (front.folder / "given.conf").touch()
    return [one for one in doctor(emperor, front) if one["kind"] == "web-stale"]


def _row(rows: list[str], words: str) -> int:
    return next(number for number, row in enumerate(rows, 1) if words in row)


@pytest.mark.parametrize("modules", [["proxy"], ["proxy", "proxy_fcgi"]])
def test_a_module_that_is_missing_is_named(shared_emperor: Emperor, folder: Path, modules: list[str]) -> None:
    place = shared_emperor.row("blog") or shared_emperor.add("blog").running()
    socket = place["sockets"][0]["address"]
    front = Apache(folder / "web", modules=modules)
    front.text = f'ProxyPass "/" "unix:{socket}|uwsgi://blog/"\n'
    with front:
        assert front.ask("/facts").status == 500
        (found,) = [one for one in doctor(shared_emperor, front) if one["kind"] == "web-module"]
    assert found["mend"][0].startswith("a2enmod proxy_uwsgi && ")
