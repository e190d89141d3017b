"""``emperorctl check``: how what is found is said."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import Any

import pytest

from emperor import trial
from emperor.config.spec import Checked
from emperor.ctl import check
from emperor.ctl.console import Console
from emperor.model import Identity, Problem, VassalSpec

SPEC = VassalSpec("blog", "/e/blog.ini", "/e", Identity(0, 0, (), "root", "/root"), (), ())
BAD = Problem("bad.ini", 4, "uid", "no such user")
ODD = Problem("blog.ini", 2, "cheaper", "\x1bhas no effect", fatal=False)


def found(path: str, settings: Any) -> Checked:
    return {
        "blog.ini": Checked(SPEC, (ODD,)),
        "bad.ini": Checked(None, (BAD,)),
        "fine.ini": Checked(SPEC, ()),
        "judged.ini": Checked(SPEC if settings.defaults == os.path.abspath("all.ini") else None, ()),
        "gone.ini": Checked(None, (Problem("gone.ini", 0, "", "No such file or directory"),)),
    }[path]


def run(
    monkeypatch: pytest.MonkeyPatch, *files: str, as_json: bool = False, load: bool = False, defaults: str = ""
) -> tuple[int, str]:
    monkeypatch.setattr(check, "check_file", found)
    out: list[str] = []
    console = Console(out.append, out.append, lambda *_: iter(()), lambda _: None, json=as_json)
    args: Any = SimpleNamespace(files=list(files), load=load, vassals_defaults=defaults)
    return check.run(args, console), "".join(out)


def test_a_sound_ini_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "fine.ini") == (0, "fine.ini: OK\n")


def test_a_warning_is_marked_and_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "blog.ini") == (
        0,
        "warning: blog.ini:2: cheaper: \\x1bhas no effect\nblog.ini: OK\n",
    )


def test_one_bad_ini_among_good_ones_exits_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "bad.ini", "fine.ini", "gone.ini") == (
        1,
        "bad.ini:4: uid: no such user\nfine.ini: OK\ngone.ini: No such file or directory\n",
    )


def test_an_app_that_does_not_import_makes_a_sound_ini_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    traceback = "Traceback (most recent call last):\nImportError: \x1bx\n"
    monkeypatch.setattr(trial, "import_check", lambda path, settings: (path == "blog.ini", traceback))
    code, text = run(monkeypatch, "fine.ini", "bad.ini", load=True)
    assert code == 1
    assert text == (
        "fine.ini: the app would not start:\n"
        "    Traceback (most recent call last):\n"
        "    ImportError: \\x1bx\n"
        "bad.ini:4: uid: no such user\n"
    )
    assert run(monkeypatch, "blog.ini", load=True)[0] == 0


def test_it_judges_with_the_defaults_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emperor's ``--vassals-defaults`` may be relative, too."""
    whole = os.path.abspath("all.ini")
    monkeypatch.setattr(trial, "import_check", lambda path, settings: (settings.defaults == whole, ""))
    assert run(monkeypatch, "judged.ini", load=True, defaults="all.ini")[0] == 0
    assert run(monkeypatch, "judged.ini", defaults="all.ini")[0] == 0
    assert run(monkeypatch, "judged.ini")[0] == 1


def test_the_same_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = run(monkeypatch, "bad.ini", as_json=True)
    assert code == 1
    assert json.loads(text) == [
        {
            "path": "bad.ini",
            "ok": False,
            "problems": [
                {
                    "path": "bad.ini",
                    "line": 4,
                    "option": "uid",
                    "message": "no such user",
                    "fatal": True,
                }
            ],
            "import": None,
        }
    ]
