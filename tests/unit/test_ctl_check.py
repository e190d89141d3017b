"""``emperorctl check``: how what is found is said."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from emperor import trial
from emperor.config.differences import Note
from emperor.config.language.inifile import Row
from emperor.config.language.unfolding import Unfolded
from emperor.config.spec import Checked
from emperor.ctl import check, verdict
from emperor.ctl.console import Console
from emperor.ctl.prospects import Prospect, Remark
from emperor.errors import EmperorError
from emperor.intake.reading import Reading, Study
from emperor.model import Identity, Problem, Target, VassalSpec

NOBODY = Identity(4711, 4711, (), "nobody-we-know", "/")
SPEC = VassalSpec("blog", "/e/blog.ini", "/e", NOBODY, (), (Target("/a", "file", "/srv/a.py", "app"),), processes=3)
CWD = os.getcwd()


def problem(name: str, line: int, option: str, message: str, fatal: bool = True) -> Problem:
    return Problem(f"{CWD}/{name}", line, option, message, fatal)


BAD = problem("bad.ini", 4, "uid", "no such user")
ODD = problem("blog.ini", 2, "cheaper-step", "\x1bhas no effect", fatal=False)


class FakeReader:
    """What some inis come to, by their names and what they are judged with."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def study(self, name: str, path: str) -> Study:
        inherits = self.settings.defaults == f"{CWD}/all.ini" and [row.value for row in self.settings.before] == ["A=B"]
        checked = {
            "blog": Checked(SPEC, (ODD,)),
            "bad": Checked(None, (BAD,)),
            "fine": Checked(SPEC, ()),
            "judged": Checked(SPEC if inherits else None, () if inherits else (BAD,)),
            "gone": Checked(None, (problem("gone.ini", 0, "", "No such file or directory"),)),
        }[name]
        return Study(Reading(checked, None), None, Unfolded((), (), ()))


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(check, "Reader", FakeReader)
    monkeypatch.setattr(check, "looked_at", lambda found, settings: [Prospect(()) for _ in found])
    monkeypatch.setattr(trial, "launched", lambda: nullcontext("/launch.py"))

    def run(*words: str, as_json: bool = False) -> tuple[int, str]:
        out: list[str] = []
        console = Console(out.append, out.append, lambda *_: iter(()), lambda _: None, json=as_json)
        parser = argparse.ArgumentParser()
        parser.set_defaults(control_socket=None)
        check.add_arguments(parser)
        return check.run(parser.parse_args(words), console), "".join(out)

    return run


FACTS = """\
  app      /a is file /srv/a.py, app
  user     nobody-we-know, group 4711
  python   the emperor's own
  workers  3 workers
  log      kept by the emperor: emperorctl logs blog
"""


def test_one_sound_ini_is_ok_and_what_it_comes_to(run: Run) -> None:
    assert run("fine.ini") == (0, f"fine.ini: OK\n{FACTS}")


def test_of_several_only_the_verdicts_are_told_and_a_line_for_all(run: Run) -> None:
    assert run("fine.ini", "blog.ini", "bad.ini") == (
        1,
        "fine.ini: OK\n"
        "blog.ini: OK, 1 warning\n"
        "  warning  line 2: cheaper-step: \\x1bhas no effect\n"
        "bad.ini: does not work: 1 error\n"
        "  error    bad.ini:4: uid: no such user\n"
        "3 files: 2 OK, 1 does not work\n",
    )


def test_more_words_tell_more_of_each(run: Run) -> None:
    code, text = run("fine.ini", "bad.ini", "-v")
    assert (code, text.count(FACTS)) == (1, 1)


def test_what_lies_ahead_is_told_with_what_is_written_and_nothing_that_cannot_start_is_imported(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("wsgi-file", "/srv/a.py", f"{CWD}/fine.ini", 7)
    gone = Prospect((problem("fine.ini", 7, "wsgi-file", "there is no /srv/\x1b"),), (Remark(row, "not used"),))
    monkeypatch.setattr(check, "looked_at", lambda found, settings: [gone for _ in found])
    monkeypatch.setattr(trial, "import_check", lambda path, settings, launcher: pytest.fail("imported"))
    assert run("fine.ini", "--import") == (
        1,
        "fine.ini: does not work: 1 error\n"
        "  error    fine.ini:7: wsgi-file: there is no /srv/\\x1b\n"
        f"  differs  line 7: wsgi-file: not used\n{FACTS}",
    )


def test_what_runs_and_cannot_be_reached_is_not_ok_and_no_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = Prospect((problem("fine.ini", 3, "socket", "www-data cannot enter …", fatal=False),), cut_off=True)
    monkeypatch.setattr(check, "looked_at", lambda found, settings: [closed, Prospect(())])
    code, text = run("fine.ini", "fine.ini")
    assert code == 0
    assert text.startswith("fine.ini: runs, but the web server cannot connect, 1 warning\n")
    assert text.endswith("2 files: 1 OK, 1 cut off from the web server\n")


def test_a_missing_file_is_one_line(run: Run) -> None:
    assert run("gone.ini") == (1, "gone.ini: does not work: No such file or directory\n")


def test_what_is_no_ini_is_not_read(run: Run) -> None:
    code, text = run("shop.xml")
    assert code == 1
    assert "shop.xml: does not work: is no ini, and only inis are read" in text


def test_an_app_that_does_not_import_makes_a_sound_ini_fail(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    traceback = "Traceback (most recent call last):\nImportError: \x1bx\n"
    monkeypatch.setattr(trial, "import_check", lambda path, settings, launcher: (path == "blog.ini", traceback))
    assert run("fine.ini", "bad.ini", "--import") == (
        1,
        "fine.ini: does not work: the app does not load\n"
        "  import   as nobody-we-know, by the emperor's own Python, in /e:\n"
        "    Traceback (most recent call last):\n"
        "    ImportError: \\x1bx\n"
        "bad.ini: does not work: 1 error\n"
        "  error    bad.ini:4: uid: no such user\n"
        "2 files: 2 do not work\n",
    )
    code, text = run("blog.ini", "--import")
    assert (code, text.splitlines()[0]) == (0, "blog.ini: OK, the app loads, 1 warning")


def test_it_judges_with_the_emperors_options_that_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emperor's ``--vassals-defaults`` may be relative, too."""
    whole = f"{CWD}/all.ini"
    monkeypatch.setattr(trial, "import_check", lambda path, settings, launcher: (settings.defaults == whole, ""))
    options = ("--vassals-defaults", "all.ini", "--vassal-set", "A=B")
    assert run("judged.ini", "--import", *options)[0] == 0
    assert run("judged.ini", *options)[0] == 0
    assert run("judged.ini", "--vassals-defaults", "all.ini")[0] == 1
    with pytest.raises(EmperorError, match=r"vassal-set: must be KEY=VALUE"):
        run("fine.ini", "--vassal-set", "A")


def test_debians_defaults_are_named_where_its_inis_are(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hint = f"--vassals-defaults {check.DEBIAN_DEFAULTS}"
    monkeypatch.setattr(os.path, "exists", lambda path: path == check.DEBIAN_DEFAULTS)
    assert hint in run("/etc/uwsgi/apps-enabled/fine.ini")[1]
    assert hint not in run("/etc/uwsgi/vassals/fine.ini")[1]
    assert "Debian" not in run("/etc/uwsgi/apps-enabled/fine.ini", "--vassals-defaults", "other.ini")[1]
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    assert hint not in run("/etc/uwsgi/apps-enabled/fine.ini")[1]


def test_the_same_as_json(run: Run) -> None:
    code, text = run("bad.ini", as_json=True)
    assert code == 1
    assert json.loads(text) == [
        {
            "path": "bad.ini",
            "ok": False,
            "cut_off": False,
            "verdict": "does not work: 1 error",
            "problems": [
                {"path": "bad.ini", "line": 4, "option": "uid", "message": "no such user", "fatal": True},
            ],
            "differences": [],
            "import": None,
        }
    ]


def said(problems: list[Problem], notes: list[Note]) -> tuple[str, list[str]]:
    judged = verdict.judge("a.ini", problems, notes)
    return judged.words, [line for _, line in verdict.lines(judged, set())]


def test_what_is_found_is_sorted_into_what_to_do_with_it() -> None:
    words, lines = said(
        [
            Problem("a.ini", 9, "need-app", "cannot be turned off: …", fatal=False),
            Problem("a.ini", 8, "spooler", "uWSGI option, not supported: …", fatal=False),
            Problem("a.ini", 7, "pidfile", "has no effect here: …", fatal=False),
            Problem("a.ini", 3, "plugin", "has no effect: only Python apps are served …", fatal=False),
            Problem("a.ini", 6, "modul", "unknown option -- …", fatal=False),
        ],
        [Note("a.ini", 5, "mount", "uWSGI …"), Note("a.ini", 4, "threads", "is written again …", same=True)],
    )
    assert words == "OK, 3 warnings, 2 differences, 1 part missing"
    assert lines == [
        "warning  line 3: plugin: has no effect: only Python apps are served …",
        "warning  line 4: threads: is written again …",
        "warning  line 6: modul: unknown option -- …",
        "differs  line 5: mount: uWSGI …",
        "differs  line 9: need-app: cannot be turned off: …",
        "ignored  line 7: pidfile: has no effect here: …",
        "ignored  line 8: spooler: uWSGI option, not supported: …",
    ]


def test_what_is_the_same_of_several_lines_is_said_once_and_errors_one_by_one() -> None:
    words, lines = said(
        [
            Problem("a.ini", 3, "procname", "has no effect here: …", fatal=False),
            Problem("a.ini", 7, "pidfile2", "has no effect here: …", fatal=False),
            Problem("a.ini", 8, "threads", "must be a number"),
            Problem("a.ini", 9, "processes", "must be a number"),
        ],
        [Note("a.ini", 0, "", "names no uid: …")],
    )
    assert words == "does not work: 2 errors"
    assert lines == [
        "error    a.ini:8: threads: must be a number",
        "error    a.ini:9: processes: must be a number",
        "differs  names no uid: …",
        "ignored  lines 3, 7: procname, pidfile2: has no effect here: …",
    ]


def test_what_stands_in_a_default_is_told_with_the_first_ini_alone_unless_it_is_an_error() -> None:
    odd = Problem("all.ini", 3, "pidfile", "has no effect here: …", fatal=False)
    wrong = Problem("all.ini", 4, "threads", "must be a number")
    told: set[tuple[str, Problem]] = set()
    first, second = (list(verdict.lines(verdict.judge(one, [odd, wrong], []), told)) for one in ("a.ini", "b.ini"))
    error = ("error", "error    all.ini:4: threads: must be a number")
    assert first == [error, ("ignored", "ignored  all.ini:3: pidfile: has no effect here: …")]
    assert second == [error]


def test_a_stray_percent_sign_is_told_once() -> None:
    from emperor.config.language.inifile import STRAY_PERCENT

    warning = Problem("a.ini", 3, "x", STRAY_PERCENT, fatal=False)
    note = Note("a.ini", 3, "x", "uWSGI removes a % that begins no placeholder")
    assert said([warning], [note]) == ("OK, 1 difference", [f"differs  line 3: x: {note.message}"])
    assert said([warning], [])[0] == "OK, 1 warning"


@pytest.mark.parametrize(
    ("good", "bad", "line"),
    [(3, 0, "3 files: 3 OK"), (2, 1, "3 files: 2 OK, 1 does not work"), (0, 2, "2 files: 2 do not work")],
)
def test_the_last_line_counts(good: int, bad: int, line: str) -> None:
    fine, broken = verdict.Verdict("a.ini", ()), verdict.Verdict("b.ini", (), loads=False)
    assert verdict.summary([fine] * good + [broken] * bad) == line
