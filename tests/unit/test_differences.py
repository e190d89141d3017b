"""Where an ini comes to something else than under uWSGI: one row for each accident. uWSGI's side was measured, with
2.0.31: by ``--show-config``, or by what a request got."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emperor.config.differences import Note, Subject, differences
from emperor.config.language.unfolding import Source, unfold
from emperor.config.spec import build
from tests.unit.config_world import ALICE, APP, BY_ALICE, CONTEXT, Disk, world

SAFE = f"{APP}\nuid = alice\ngid = alice\nchmod-socket = 660\nsocket = /run/a.sock\n"
"""Five lines that come to the same in both."""


def notes(text: str, root: bool = True, users_log: bool = False, **context: object) -> tuple[Note, ...]:
    where = replace(CONTEXT, **context)  # type: ignore[arg-type]
    unfolded = unfold([Source(where.config, text)], world(Disk({"/srv/more.ini": "[uwsgi]\nthreads = 2\n"})))
    spec = build(unfolded.rows, where).spec
    return differences(Subject(where.config, text, unfolded.rows, spec, root, users_log))


def found(*lines: str, safe: str = SAFE) -> list[tuple[int, str, str]]:
    """Of an ini that begins with ``safe``: lines are counted from 1 below it, and only what is there is told."""
    text = f"[uwsgi]\n{safe}" + "\n".join(lines) + "\n"
    before = safe.count("\n") + 1
    return [(one.line - before, one.option, one.message) for one in notes(text) if one.line > before]


def test_an_ini_that_comes_to_the_same_has_no_notes() -> None:
    assert notes(f"[uwsgi]\n{SAFE}") == ()


ACCIDENTS = {
    # name: (lines, [(line, option, a part of what is said)])
    "a % at the end of a value takes the next line": (
        ["x = 100%", "threads = 2"],
        [(1, "x", "the next line is part of this one; here both stay -- write %%")],
    ),
    "a % at the end of a comment takes the next line": (
        ["; up to 100%", "threads = 2"],
        [(1, "", "takes the next line into this comment; here it counts")],
    ),
    "a % at the end of a comment before a comment takes nothing": (["; up to 100%", "; or so", "threads = 2"], []),
    "a % before an unknown letter goes with it": (
        ["env = DATE=%Y"],
        [(1, "env", "removes a % that begins no placeholder, and the character after it")],
    ),
    "percent signs that are meant": (["env = A=%n-%%-%(uid)", "; 50 % of it"], []),
    "a % in what has no effect": (["procname = %l %(addr)"], []),
    "a comment behind a value that takes any text": (
        ["env = A=b ; the first letter"],
        [(1, "env", "what follows ; or # is part of the value, in uWSGI too")],
    ),
    "a comment behind a placeholder's value": (
        ["base = /srv # here", "env = A=%(base)"],
        [(1, "base", "what follows ; or # is part of the value")],
    ),
    "a # within a word": (["env = A=b#c"], []),
    "a comment behind a number, which uWSGI reads without it too": (["threads = 4 ; four", "processes = 2;"], []),
    "a unit before a comment": (["harakiri = 30s ; x"], [(1, "harakiri", "reads the digits that it begins with")]),
    "a comment behind a no": (
        ["lazy-apps = false ; or true"],
        [(1, "lazy-apps", "uWSGI takes this for yes, because of what follows the word; here it is no")],
    ),
    "a comment behind a yes": (["lazy-apps = true ; yes"], []),
    "a comment behind a mode": (
        ["chmod-socket = 660 ; us two"],
        [(1, "chmod-socket", "wants three octal digits and does not start; here it means the last three digits")],
    ),
    "a number that is too large or too small": (["processes = 5000", "buffer-size = 0", "threads = 0"], []),
    "a unit": (["harakiri = 30s"], [(1, "harakiri", "reads the digits that it begins with")]),
    "a word for a number": (["harakiri = true"], [(1, "harakiri", "uWSGI reads this as 0; here it is an error")]),
    "no number, which counts as not written": (["processes ="], []),
    "a fraction": (["harakiri = 0.5"], [(1, "harakiri", "leaves out what follows the dot; here it counts")]),
    "a fraction of nothing": (["harakiri = 5.0"], []),
    "a number below 0, which both refuse": (["harakiri = -3"], []),
    "a fraction where uWSGI has no such option": (["start-timeout = 0.5"], []),
    "a no that uWSGI takes for yes": (
        ["lazy-apps = disabled"],
        [(1, "lazy-apps", "every word but false, off, no and 0 for yes; here it is an error")],
    ),
    "yes and no": (["lazy-apps = true", "manage-script-name = OFF"], []),
    "a mode of four digits": (
        ["chmod-socket = 0660"],
        [(1, "chmod-socket", "wants three octal digits and does not start; here it means the last three digits")],
    ),
    "a mode that stands alone": (["chmod-socket"], [(1, "chmod-socket", "does not start; here it means 666")]),
    "a mode of 1": (["chmod-socket = 1"], []),
    "a file that another option draws in by a placeholder": (
        ["base = /srv", "include = %(base)/more.ini"],
        [(2, "include", "replaces no %(…), $(…) or @(…) in this option")],
    ),
    "magic in such an option": (["include = /srv/more.ini"], []),
    "a loop over a placeholder": (
        ["which = a b", "for = %(which)", "env = %(_)=1", "endfor ="],
        [(2, "for", "replaces no %(…)")],
    ),
    "an option that is written again": (
        ["threads = 2", "threads = 4", "env = A=%(threads)"],
        [(1, "threads", "in line 8, and the last one counts, in uWSGI too; %(threads) is this one")],
    ),
    "an option that is written again under another name": (
        ["home = /srv/a", "virtualenv = /srv/b"],
        [(1, "home", "is written again in line 8")],
    ),
    "an option that is written again with the same value": (["threads = 2", "threads = 2"], []),
    "an option that may be repeated": (["pythonpath = /srv/a", "pythonpath = /srv/b"], []),
    "an option of which one counts in each case": (
        ["if-env = TWO", "threads = 2", "endif =", "if-not-env = TWO", "threads = 1", "endif ="],
        [],
    ),
    "lines of another section": (["[emperor]", "threads = 2"], [(1, "", "uWSGI skips the lines of [emperor]")]),
}


@pytest.mark.parametrize("name", ACCIDENTS)
def test_an_accident_is_told_at_its_line(name: str) -> None:
    lines, expected = ACCIDENTS[name]
    told = found(*lines)
    assert [one[:2] for one in told] == [one[:2] for one in expected], told
    for (*_, message), (*_, part) in zip(told, expected, strict=True):
        assert part in message


WITHOUT_AN_APP = SAFE.removeprefix(f"{APP}\n")

MOUNTS = {
    "a slash at the end": (
        ["mount = /a/=a.py", "mount = /=b.py"],
        [(1, "mount", "keeps the slash in SCRIPT_NAME and takes it from PATH_INFO")],
    ),
    "a module alone": (
        ["mount = /=shop"],
        [(1, "mount", "mounts only what has a colon or ends with .py or .wsgi; here it is a module")],
    ),
    "the first app answers for all": (
        ["mount = /a=a.py", "mount = /b=b:app", "manage-script-name = true"],
        [(1, "mount", "the first mounted app answer what lies outside of every mount; here that is a 404")],
    ),
    "unless there is one at the root": (["mount = /a=a.py", "mount = /=b:app", "manage-script-name = true"], []),
    "nor where the ini has another app": (["mount = /a=a.py", f"{APP}", "manage-script-name = true"], []),
    "without manage-script-name": (
        ["mount = /a=a.py", "mount = /b=b:app"],
        [(1, "mount", "mounts by the web server's SCRIPT_NAME alone")],
    ),
    "one app, without manage-script-name": (["mount = /a=a.py"], []),
    "two apps at the root": (
        ["wsgi-file = /srv/a.py", "module = a"],
        [(1, "wsgi-file", "uWSGI serves module and passes over this one; here an ini has one app at the root")],
    ),
}


@pytest.mark.parametrize("name", MOUNTS)
def test_where_apps_lie_is_told(name: str) -> None:
    lines, expected = MOUNTS[name]
    told = found(*lines, safe=WITHOUT_AN_APP)
    assert [one[:2] for one in told] == [one[:2] for one in expected], told
    for (*_, message), (*_, part) in zip(told, expected, strict=True):
        assert part in message


def test_who_names_no_user_is_told_who_it_will_be() -> None:
    (one,) = notes(f"[uwsgi]\n{APP}\n")
    assert (one.line, one.option) == (0, "")
    assert one.message.endswith("root perhaps; here it runs as www-data")
    (one,) = notes(f"[uwsgi]\n{APP}\n", authority=BY_ALICE)
    assert one.message.endswith("here it runs as alice")


def test_a_user_without_a_group_keeps_no_group_of_roots() -> None:
    (one,) = notes(f"[uwsgi]\n{APP}\nuid = alice\n")
    assert (one.line, one.option) == (3, "uid")
    assert "uWSGI leaves the app root's groups" in one.message


def test_who_is_not_root_cannot_change_users_under_either() -> None:
    assert notes(f"[uwsgi]\n{APP}\n", root=False, own=ALICE) == ()


def test_a_socket_without_a_mode_lets_the_web_server_in() -> None:
    (one,) = notes(f"[uwsgi]\n{APP}\nuid = alice\ngid = alice\nsocket = /run/a.sock\n")
    assert (one.line, one.option) == (5, "socket")
    assert "0755, for its own user alone; here it is 0660, and the web server's group may connect" in one.message
    for line in ("chown-socket = alice", "umask = 000", "socket-umask = 007"):
        assert notes(f"[uwsgi]\n{APP}\nuid = alice\ngid = alice\nsocket = /run/a.sock\n{line}\n") == ()
    assert notes(f"[uwsgi]\n{APP}\nuid = alice\ngid = alice\nsocket = 127.0.0.1:3031\n") == ()


def test_a_log_that_the_apps_user_opens_is_told() -> None:
    text = f"[uwsgi]\n{SAFE}logto = /home/alice/log\n"
    (one,) = notes(text, users_log=True)
    assert (one.line, one.option) == (7, "logto")
    assert "here alice does" in one.message
    assert notes(text) == ()


def test_notes_come_in_the_order_of_the_lines_and_those_of_other_files_last() -> None:
    other = Disk({"/srv/more.ini": "[uwsgi]\nlazy-apps = disabled\n"})
    text = f"[uwsgi]\n{SAFE}include = /srv/more.ini\nharakiri = 30s\nenv = A=%Y\n"
    unfolded = unfold([Source("/e/x.ini", text)], world(other))
    told = differences(Subject("/e/x.ini", text, unfolded.rows))
    assert [(one.path, one.line) for one in told] == [("/e/x.ini", 8), ("/e/x.ini", 9), ("/srv/more.ini", 2)]


def test_no_note_repeats_what_is_written() -> None:
    secret = "s3cr3t"
    lines = (f"harakiri = {secret}", f"lazy-apps = {secret}", f"env = A={secret} ; {secret}", f"x = {secret}%")
    told = found(*lines)
    assert len(told) == 4
    assert secret not in "".join(message for *_, message in told)
