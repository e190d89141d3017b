"""What every deployment of tests/apps/guestbook.py owes its visitors, whichever web server stands before it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.harness.fronts import ask
from tests.e2e.harness.waiting import BUILT
from tests.e2e.harness.wire import Response
from tests.requirements import SYSTEM_PYTHON

FORM = "application/x-www-form-urlencoded"
BOUNDARY = "----leaf-of-the-guestbook"
UPLOAD = 3_000_017


def make_venv(folder: Path, emperor_venv: Path, *packages: str) -> Path:
    """An app's virtualenv with Flask and more: ``packages`` as pip is told them. Whose pip it is does not matter."""
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=BUILT)
    pip = [str(emperor_venv / "bin/python"), "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet"]
    flags = ["--disable-pip-version-check", "--root-user-action=ignore"]
    done = subprocess.run([*pip, *flags, "flask>=3.1,<4", *packages], capture_output=True, text=True, timeout=BUILT)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Site(NamedTuple):
    """Where visitors find it. ``prefix``: "" at the root. ``host``: the name that they call the server by."""

    port: int
    prefix: str = ""
    host: str = "localhost"

    def ask(
        self, path: str, method: str = "GET", data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """``path`` is the app's own, without the prefix. No redirect is followed."""
        return ask(self.port, self.prefix + path, method, data, {"Host": self.host, **(headers or {})})

    def json(self, path: str) -> Any:
        return self.ask(path).json


def links_come_out_under_the_prefix(site: Site) -> None:
    assert site.json("/")["here"] == f"{site.prefix}/"
    assert site.json("/pages/a%20b%C3%A9?x=1%202&y") == {
        "name": "a bé",
        "here": f"{site.prefix}/pages/a%20b%C3%A9",
        "whole": f"http://{site.host}{site.prefix}/pages/a%20b%C3%A9",
        "style": f"{site.prefix}/static/style.css",
        "script_name": site.prefix,
        "path_info": "/pages/a b\xc3\xa9",
        "query": "x=1%202&y",
    }


def redirects_stay_under_the_prefix(site: Site) -> None:
    answer = site.ask("/entries")
    assert (answer.status, answer.header("Location")) == (308, f"http://{site.host}{site.prefix}/entries/")
    assert site.json("/entries/")["here"] == f"{site.prefix}/entries/"


def a_form_is_posted_and_leads_on(site: Site) -> None:
    answer = site.ask("/sign", "POST", b"name=alice+%26+bob", {"Content-Type": FORM})
    assert (answer.status, answer.header("Location")) == (303, f"{site.prefix}/pages/alice%20&%20bob")


def an_upload_arrives_whole(site: Site) -> None:
    data = os.urandom(UPLOAD)
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{{}}"{{}}\r\n\r\n'
    body = b"".join(
        (
            part.format("title", "").encode() + b"the sea\r\n",
            part.format("photo", '; filename="sea.jpg"').encode() + data + b"\r\n",
            f"--{BOUNDARY}--\r\n".encode(),
        )
    )
    answer = site.ask("/upload", "POST", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    told = {"title": "the sea", "name": "sea.jpg", "size": UPLOAD, "sha256": hashlib.sha256(data).hexdigest()}
    assert answer.json == told


def a_404_is_the_apps_own(site: Site) -> None:
    answer = site.ask("/no/such/page")
    assert (answer.status, answer.text) == (404, "no such leaf in the guestbook")


def a_500_is_the_apps_own(site: Site) -> None:
    answer = site.ask("/broken")
    assert (answer.status, answer.text) == (500, "the guestbook is closed: RuntimeError")


def a_head_has_no_body(site: Site) -> None:
    answer = site.ask("/entries/", "HEAD")
    assert (answer.status, answer.body) == (200, b"")


DUES: tuple[Callable[[Site], None], ...] = (
    links_come_out_under_the_prefix,
    redirects_stay_under_the_prefix,
    a_form_is_posted_and_leads_on,
    an_upload_arrives_whole,
    a_404_is_the_apps_own,
    a_500_is_the_apps_own,
    a_head_has_no_body,
)
