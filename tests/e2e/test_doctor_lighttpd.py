"""Behind a real lighttpd, broken in each way there is: the visitor's error, the doctor's finding, and its mend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.harness.daemon import Emperor
from tests.e2e.harness.fronts import Lighttpd
from tests.requirements import needs

pytestmark = needs("root", "www-data", "venv", "useradd", "lighttpd")

SITE = '$HTTP["host"] == "{name}.test" {{\n{line}\n}}\n'
MODULES = ("mod_fastcgi", "mod_scgi")

UWSGI = (
    'scgi.protocol = "uwsgi"\nscgi.server = ( "/" => (( "fix-root-scriptname" => "enable", "check-local" => "disable", '
)

BROKEN = {
    "astray": UWSGI + '"socket" => "{run}/apps/blog.sock" )) )',
    "protocol": 'fastcgi.server = ( "/" => (( "check-local" => "disable", "socket" => "{blog}" )) )',
    "files": (
        'scgi.protocol = "uwsgi"\nscgi.server = ( "/" => (( "fix-root-scriptname" => "enable", '
        '"socket" => "{blog}" )) )'
    ),
    "small": "server.max-request-size = 1\n" + UWSGI + '"socket" => "{small}" )) )',
}


def doctor(emperor: Emperor, front: Lighttpd) -> list[dict[str, Any]]:
    """The findings of the web servers' side."""
    done = emperor.ctl("--json", "doctor", "--lighttpd-conf", str(front.folder / "main.conf"))
    assert done.returncode in (0, 1), done.stderr
    return [one for one in json.loads(done.stdout) if one["kind"].startswith("web-")]


def status(front: Lighttpd, name: str) -> int:
    data = b"x" * 5000 if name == "small" else None
    return front.ask("/facts", "POST" if data else "GET", data, {"Host": f"{name}.test"}).status


def line(findings: list[dict[str, Any]], kind: str) -> str:
    (found,) = [one for one in findings if one["kind"] == kind]
    return "\n".join(str(one).partition("  #")[0] for one in found["mend"] if "  # /" in one)


def test_each_break_is_seen_named_and_mended(shared_emperor: Emperor, shared_folder: Path) -> None:
    small = shared_emperor.add("small", limit_post=100000)
    blog = shared_emperor.add("blog")
    places = {"run": str(shared_emperor.run), "blog": blog.socket, "small": small.socket}
    for one in (small, blog):
        one.running()
    lines = {name: text.format(**places) for name, text in BROKEN.items()}
    front = Lighttpd(shared_folder / "web", modules=MODULES)
    front.text = "".join(SITE.format(name=name, line=text) for name, text in lines.items())
    with front:
        assert [status(front, name) for name in BROKEN] == [503, 500, 404, 413], front.error_log()
        found = doctor(shared_emperor, front)
    assert sorted(one["kind"] for one in found) == ["web-astray", "web-body-limit", "web-only-files", "web-protocol"]
    mended = {
        "astray": lines["astray"].replace(f'"socket" => "{places["run"]}/apps/blog.sock"', line(found, "web-astray")),
        "protocol": line(found, "web-protocol"),
        "files": lines["files"].replace('"socket"', line(found, "web-only-files") + ' "socket"'),
        "small": lines["small"].replace("server.max-request-size = 1", line(found, "web-body-limit")),
    }
    front = Lighttpd(shared_folder / "again", modules=MODULES)
    front.text = "".join(SITE.format(name=name, line=text) for name, text in mended.items())
    with front:
        assert [status(front, name) for name in BROKEN] == [200, 200, 200, 200], front.error_log()
        assert doctor(shared_emperor, front) == []


def test_a_module_that_is_missing_is_named(shared_emperor: Emperor, folder: Path) -> None:
    blog = shared_emperor.row("blog") or shared_emperor.add("blog").running()
    socket = blog["sockets"][0]["address"]
    front = Lighttpd(folder / "web")
    front.text = f'scgi.server = ( "/" => (( "socket" => "{socket}" )) )\n'
    with front:
        assert front.ask("/facts").status == 404
        (found,) = [one for one in doctor(shared_emperor, front) if one["kind"] == "web-module"]
    assert found["mend"][0] == "lighty-enable-mod scgi && systemctl restart lighttpd"
