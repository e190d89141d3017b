"""Starts that fail or hang: why is said, where is said, and what served before serves on."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Vassal, replace_file
from tests.e2e.harness.waiting import wait_for

LIMIT = 3
"""Seconds of start-timeout: a slow machine starts Python in a part of it."""


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


@pytest.fixture
def site(daemon: Emperor) -> Vassal:
    vassal = daemon.add("site", start_timeout=LIMIT)
    vassal.running()
    return vassal


def source(site: Vassal, text: str) -> Path:
    return site.own(replace_file(site.folder / "app.py", text))


WSGIREF = """\
from wsgiref.simple_server import make_server
def application(environ, start_response):
    start_response("200 OK", [])
    return [b""]
server = make_server("127.0.0.1", 0, application)
server.serve_forever()
"""
WERKZEUG = """\
from flask import Flask
from werkzeug.serving import run_simple
application = Flask(__name__)
run_simple("127.0.0.1", 0, application)
"""
LOOP = """\
def connect():
    while True:
        pass
connect()
"""
HANGING = {
    "wsgiref": (WSGIREF, r"app\.py:6 in <module> \(\S+/selectors\.py:\d+ in select\)"),
    "werkzeug": (WERKZEUG, r"app\.py:4 in <module> \(\S+/selectors\.py:\d+ in select\)"),
    "a loop": (LOOP, r"app\.py:[23] in connect"),
}


@pytest.mark.parametrize("lazy", [False, True], ids=["", "lazy-apps"])
@pytest.mark.parametrize("name", HANGING)
def test_an_import_that_serves_or_waits_itself_is_ended_and_its_line_is_told(
    daemon: Emperor, name: str, lazy: bool
) -> None:
    text, place = HANGING[name]
    site = daemon.place("site", start_timeout=LIMIT, lazy_apps="true" if lazy else "false")
    source(site, text)
    site.write()
    row = site.state("BACKOFF")
    wanted = rf"start-timeout: not ready after {LIMIT} s: hangs at {re.escape(str(site.folder))}/{place}"
    assert re.fullmatch(wanted, row["error"]), row["error"]
    shown = daemon.ctl("status", "site").stdout
    assert row["error"] in shown
    assert f'File "{site.folder}/app.py"' in shown


BROKEN = {
    "a syntax error": ("def application(:\n", "SyntaxError"),
    "an import error": ("import a_module_that_nobody_has\n", "a_module_that_nobody_has"),
    "no callable": ("something = 1\n", "no 'application' nor 'app' in it"),
    "an exit": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "a kill": ("import os\nos.kill(os.getpid(), 9)\n", "killed by SIGKILL"),
    "a hang": ("import time\ntime.sleep(3600)\n", f"start-timeout: not ready after {LIMIT} s: hangs at"),
}
UNTRACED = {"no callable", "a kill"}


@pytest.mark.parametrize("name", BROKEN)
def test_a_reload_of_what_is_broken_exits_1_says_why_and_the_old_generation_serves_on(
    daemon: Emperor, site: Vassal, name: str
) -> None:
    before = site.row()
    text, reason = BROKEN[name]
    source(site, text)
    done = daemon.ctl("reload", "site")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert reason in said
    assert "the old generation serves on" in said
    assert (f'File "{site.folder}/app.py", line ' in said) == (name not in UNTRACED), said
    now = site.row()
    assert (now["state"], now["pid"]) == ("RUNNING", before["pid"])
    assert reason in now["error"]
    assert site.get().json["pid"] == before["workers"][0]["pid"]
    assert daemon.ctl("status", "site").returncode == 3


def test_touches_without_end_do_not_keep_the_new_code_out(daemon: Emperor, site: Vassal) -> None:
    slow = f"import time\ntime.sleep(0.5)\n{(site.folder / 'app.py').read_text()}"
    source(site, slow)
    over = threading.Event()

    def touch() -> None:
        while not over.wait(0.2):
            os.utime(site.ini)

    toucher = threading.Thread(target=touch)
    toucher.start()
    try:
        for _ in range(3):
            site.replaced(site.running())
    finally:
        over.set()
        toucher.join()
    assert wait_for(lambda: site.get().status, lambda status: status == 200, "an answer") == 200
    assert not site.running()["error"]
