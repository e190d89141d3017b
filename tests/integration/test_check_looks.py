"""``emperorctl check`` looks at what inis name: with the kernel's folders, and as root by deputies."""

from __future__ import annotations

import json
import os
import pwd
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emperor.ctl import cli
from emperor.model import Identity
from emperor.system import deputy
from tests.requirements import needs

PYTHON = "python = /usr/bin/python3\n"

Check = Callable[..., tuple[dict[str, Any], list[str]]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """What comes of lines, for who runs the tests; the web server is the same."""
    (tmp_path / "app.py").write_text("application = None\n")

    def check(lines: str, python: str = PYTHON) -> tuple[dict[str, Any], list[str]]:
        ini = tmp_path / "blog.ini"
        ini.write_text(f"[uwsgi]\n{lines}\n{python}")
        me = pwd.getpwuid(os.geteuid()).pw_name
        cli.main(["--json", "check", "--allow-root", "--web-user", me, str(ini)])
        (one,) = json.loads(capsys.readouterr().out)
        found = [f"{two['line']}: {two['option']}: {two['message']}" for two in one["problems"]]
        return one, found

    return check


def test_an_ini_whose_paths_are_there_is_ok(check: Check, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    one, found = check(
        f"chdir = {tmp_path}\nwsgi-file = app.py\nchdir2 = lib\npythonpath = l*b\nsocket = x.sock\nlogto = x.log"
    )
    assert (one["verdict"].partition(",")[0], found) == ("OK", [])


MISSING = {
    "chdir = gone\nwsgi-file = app.py": ["2: chdir: there is no T/gone -- make it, or name the folder that is meant"],
    "chdir = app.py\nmodule = a": ["2: chdir: T/app.py is no folder -- name the folder that is meant"],
    "chdir2 = gone\nmodule = a": ["2: chdir2: there is no T/gone -- make it, or name the folder that is meant"],
    "wsgi-file = gone.py": ["2: wsgi-file: there is no T/gone.py -- name the file that is meant"],
    "wsgi-file = dangling": ["2: wsgi-file: T/dangling is a link to T/nowhere, and T/nowhere is not there"],
    "wsgi-file = circle": ["2: wsgi-file: T/circle: links that lead nowhere but to each other"],
    "mount = /a=T/app.py\nmount = /b=T/b.py": ["3: mount: there is no T/b.py -- name the file that is meant"],
    "module = a\npythonpath = T\npythonpath = gone*": ["4: pythonpath: there is no T/gone*"],
    "module = a\nsocket = app.py": ["3: socket: is a file, no socket -- move it away, or name another path"],
    "module = a\nhome = venv": ["3: home: virtualenv T/venv: there is no such folder -- make it: "],
    "module = a\nstatic-map = /s=gone": ["3: static-map: is the web", "3: static-map: there is no T/gone"],
}


@pytest.mark.parametrize("lines", MISSING)
def test_what_is_not_there_is_told_at_its_line(lines: str, check: Check, tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to("circle")
    one, found = check(lines.replace("T", str(tmp_path)), "" if "home" in lines else PYTHON)
    expected = [part.replace("T/", f"{tmp_path}/") for part in MISSING[lines]]
    assert len(found) == len(expected), found
    assert all(line.startswith(part) for line, part in zip(found, expected, strict=True)), found
    assert one["ok"] == ("pythonpath" in lines or "static-map" in lines)


def test_a_socket_or_a_log_in_a_folder_that_nobody_makes_is_told(check: Check, tmp_path: Path) -> None:
    one, found = check(f"module = a\nsocket = {tmp_path}/none/x.sock\nlogto = {tmp_path}/no/x.log")
    assert not one["ok"]
    assert any(line.startswith(f"3: socket: there is no {tmp_path}/none") for line in found)
    assert any(line.startswith(f"4: logto: there is no {tmp_path}/no") for line in found)


def test_a_script_of_flups_is_told_what_is_not_used(check: Check, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from flup.server.fcgi import WSGIServer\nWSGIServer(a, bindAddress='/x').run()\n")
    (tmp_path / "b.fcgi").write_text("from flup.server.fcgi import WSGIServer\nWSGIServer(a).run()\n")
    notes = [check(f"wsgi-file = {name}")[0]["differences"] for name in ("a.py", "b.fcgi", "app.py")]
    told = [any("bindAddress" in note["message"] and note["line"] == 2 for note in one) for one in notes]
    assert told == [True, False, False]


# Deputies ------------------------------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_questions() -> None:
    questions = [lambda number=number: {"number": number} for number in range(500)]
    assert deputy.answers(questions, None) == [{"number": number} for number in range(500)]
    assert deputy.answers([], None) == []


def test_a_question_that_hangs_or_kills_costs_its_own_answer_and_a_bounded_time() -> None:
    def hang() -> str:
        reading, writing = os.pipe()
        os.read(reading, 1)
        return f"never {writing}"

    def fail() -> str:
        raise RuntimeError

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    before = time.monotonic()
    assert deputy.answers([os.getpid, hang, lambda: "b", fail, lambda: "c"], None, 0.2)[1:] == [None, "b", None, "c"]
    assert deputy.answers([hang, hang, die, lambda: "a"], None, 0.2) == [None] * 4
    assert deputy.answers([lambda: "x" * deputy.LIMIT, lambda: "a"], None) == [None, "a"]
    assert time.monotonic() - before < 60
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_deputy_keeps_nothing_open_that_somebody_waits_for() -> None:
    def streams() -> list[str]:
        return [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]

    assert deputy.answers([streams], None) == [["/dev/null"] * 3]


@needs("root")
def test_a_deputy_of_roots_is_somebody_else_for_good() -> None:
    nobody = pwd.getpwnam("nobody")
    identity = Identity(nobody.pw_uid, nobody.pw_gid, (nobody.pw_gid,), "nobody", "/")

    def who() -> list[Any]:
        try:
            os.setuid(0)
        except PermissionError:
            return [*os.getresuid(), *os.getresgid(), os.getgroups()]
        return []

    uid, gid = identity.uid, identity.gid
    assert deputy.answers([who], identity) == [[uid, uid, uid, gid, gid, gid, [gid]]]
    assert os.geteuid() == 0
    assert "emperor.system.deputy" in sys.modules
