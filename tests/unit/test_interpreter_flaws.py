"""What is wrong with an app's Python, said in one line from what was seen of it."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import pytest

from emperor.model import Identity
from emperor.supervision.absence import Surroundings, absence
from emperor.supervision.interpreter import (
    FILE,
    FOLDER,
    HIDDEN,
    IN_THE_WAY,
    LINK,
    LOOP,
    MISSING,
    OTHER,
    Looks,
    Step,
    Trial,
    complaint,
    fatal,
    flaw,
)

ALICE = Identity(1001, 1001, (1001, 50), "alice", "/home/alice", "/bin/sh")
ROOT, SRV, VENV = Step("/", FOLDER, 0o755), Step("/srv", FOLDER, 0o755), Step("/srv/v", FOLDER, 0o755)
BIN = Step("/srv/v/bin", FOLDER, 0o755)
TO_VENV = (ROOT, SRV, VENV)
PYTHON = Step("/usr/bin/python3", FILE, 0o755)
SOUND = (*TO_VENV, BIN, Step("/srv/v/bin/python", LINK, target="/usr/bin/python3"), ROOT, PYTHON)
MAKE = "/usr/bin/python3 -m venv"
AGAIN = f"make it again: {MAKE} --clear /srv/v, then install its packages"
ANOTHER = "name another one: /usr/bin/python3 perhaps"


def looks(to_venv: Sequence[Step] = TO_VENV, to_python: Sequence[Step] = SOUND, **more: Any) -> Looks:
    seen: dict[str, Any] = {"holds": frozenset({"pyvenv.cfg"}), **more}
    return Looks(ALICE, "/srv/v", "/srv/v/bin/python", to_venv, to_python, **seen)


def named(*to_python: Step, **more: Any) -> Looks:
    """``python = /opt/p`` without a virtualenv."""
    return Looks(ALICE, "", "/opt/p", (), to_python, **more)


def test_of_what_is_sound_nothing_is_said() -> None:
    assert flaw(looks()) == ""
    assert flaw(looks(trial=Trial(version=(3, 9)))) == ""
    assert flaw(named(ROOT, Step("/opt/p", FILE, 0o755))) == ""


def closed(path: str, mode: int = 0o700, uid: int = 0, gid: int = 0, owner: str = "root") -> Step:
    return Step(path, FOLDER, mode, uid, gid, False, "", owner)


FOLDERS = {
    "missing": (Step("/srv/v", MISSING), f"there is no such folder -- make it: {MAKE} /srv/v"),
    "a parent is missing": (Step("/srv", MISSING), f"there is no /srv -- make it: {MAKE} /srv/v"),
    "closed": (closed("/srv"), "alice cannot enter /srv (root's, mode 0700) -- chmod o+x /srv"),
    "a file": (Step("/srv/v", FILE, 0o755), "/srv/v is no folder -- name the one that is meant"),
    "a file in the way": (Step("/srv", IN_THE_WAY), "/srv is no folder -- name the one that is meant"),
    "a loop": (Step("/srv/v", LOOP), "/srv/v: links that lead nowhere but to each other -- name the folder that is"),
    "hidden": (Step("/srv/v", HIDDEN), "/srv/v: cannot be looked at"),
}


@pytest.mark.parametrize("end, words", FOLDERS.values(), ids=FOLDERS)
def test_where_the_way_to_a_virtualenv_ends(end: Step, words: str) -> None:
    assert flaw(looks((ROOT, end), ())).startswith(f"virtualenv /srv/v: {words}")


def test_a_link_to_a_virtualenv_that_is_gone() -> None:
    way = (ROOT, SRV, Step("/srv/v", LINK, target="/srv/v2"), Step("/srv/v2", MISSING))
    assert flaw(looks(way, ())).startswith(
        "virtualenv /srv/v: /srv/v is a link to /srv/v2, and /srv/v2 is not there -- "
    )


@pytest.mark.parametrize(
    "step, mend",
    [
        (closed("/x", 0o700), "chmod o+x /x"),
        (closed("/x", 0o700, gid=50), "chmod g+x /x"),
        (closed("/x", 0o060, uid=1001, gid=50), "chmod u+x /x"),
        (closed("/x", 0o711), "its mode would allow it: look at getfacl /x, and at what a security module says"),
        (closed("/x", 0o701, gid=50), "chmod g+x /x"),
    ],
)
def test_the_mend_is_for_the_bits_that_count_for_that_user(step: Step, mend: str) -> None:
    assert flaw(looks((ROOT, step), ())).endswith(f" -- {mend}")


NO_PYTHON = Step("/srv/v/bin/python", MISSING)


@pytest.mark.parametrize(
    "holds, words",
    [
        ((), "is none, it has no bin/python -- name another folder, or remove the line"),
        ((".venv",), "is none, it has no bin/python -- is /srv/v/.venv meant?"),
        (("pyvenv.cfg",), f"there is no /srv/v/bin/python any more -- {AGAIN}"),
        (("pyvenv.cfg", "Scripts"), f"was made on Windows -- {AGAIN}"),
    ],
)
def test_a_folder_that_has_no_python(holds: Sequence[str], words: str) -> None:
    way = (*TO_VENV, BIN, NO_PYTHON)
    assert flaw(looks(to_python=way, holds=frozenset(holds))) == f"virtualenv /srv/v: {words}"


def test_a_link_on_the_way_to_the_virtualenv_is_not_taken_for_one_in_it() -> None:
    link = Step("/srv", LINK, target="/data")
    to_venv = (ROOT, link, ROOT, Step("/data", FOLDER, 0o755), Step("/data/v", FOLDER, 0o755))
    way = (*to_venv, Step("/data/v/bin", MISSING))
    assert "is none, it has no bin/python" in flaw(looks(to_venv, way, holds=frozenset()))


def test_of_a_folder_in_a_virtualenv_that_one_is_named() -> None:
    inside = Looks(ALICE, "/srv/v/bin", "/srv/v/bin/bin/python", (*TO_VENV, BIN), (*TO_VENV, BIN, NO_PYTHON))
    line = "virtualenv /srv/v/bin: is none, it has no bin/python -- is /srv/v meant?"
    assert flaw(inside._replace(around="/srv/v")) == line
    program = Looks(ALICE, "/srv/v/bin/python", "/srv/v/bin/python/bin/python", (*TO_VENV, BIN, PYTHON), ())
    assert flaw(program._replace(around="/srv/v")).endswith(" is no folder -- is /srv/v meant?")


BROKEN_USR = [
    Step("/usr/bin/python", MISSING),
    Step("/usr/bin/python", OTHER),
    closed("/usr/bin"),
    Step("/usr/bin/python", FILE, 0o644, 0, 0, False, "", "root"),
    PYTHON,
]


@pytest.mark.parametrize("end", BROKEN_USR)
@pytest.mark.parametrize("trial", [None, Trial(errno.ENOENT), Trial(code=1), Trial(version=(3, 8))])
@pytest.mark.parametrize("link", [(), (Step("/usr/bin/python", LINK, target="/usr/bin/python3"),)])
def test_nobody_is_told_to_make_a_virtualenv_of_a_folder_that_is_something_else(
    end: Step, trial: Trial, link: Sequence[Step]
) -> None:
    usr = Step("/usr", FOLDER, 0o755)
    seen = Looks(ALICE, "/usr", "/usr/bin/python", (ROOT, usr), (ROOT, usr, *link, end), trial=trial)
    assert bool(flaw(seen)) == (end is not PYTHON or trial is not None)
    assert "-m venv" not in flaw(seen)


def test_roots_own_folder_stays_closed() -> None:
    link = Step("/srv/v/bin/python", LINK, target="/root/own/python")
    way = (*TO_VENV, BIN, link, ROOT, closed("/root"))
    assert flaw(looks(to_python=way)) == (
        "virtualenv /srv/v: its Python is /root/own/python, and alice cannot enter /root (root's, mode 0700)"
        f" -- make it with a Python that everybody can run: {MAKE} --clear /srv/v"
    )
    for seen in (named(ROOT, closed("/root")), looks((ROOT, closed("/root")), ()), looks(to_python=way, holds=())):
        assert "alice cannot enter /root (root's, mode 0700) -- leave it so, and put what alice runs" in flaw(seen)


@pytest.mark.parametrize("name", ["python", "python3", "pypy3"])
def test_a_virtualenvs_own_python_may_have_another_name(name: str) -> None:
    seen = looks()._replace(python=f"/srv/v/bin/{name}", trial=Trial(code=1))
    assert flaw(seen).startswith("virtualenv /srv/v: ")


def test_what_env_tells_the_interpreter_is_the_reason_of_one_that_starts_without_it() -> None:
    said = "Fatal Python error: config_init_hash_seed: PYTHONHASHSEED must be"
    trial = Trial(code=1, complaint=said, version=(3, 11), spoiled_by=("PYTHONPATH", "PYTHONHASHSEED"))
    assert flaw(named(ROOT, P, trial=trial)) == (
        f"python /opt/p: /opt/p does not start with what env sets (PYTHONPATH, PYTHONHASHSEED): {said}"
        " -- mend it, or remove it"
    )


def test_a_virtualenv_whose_python_was_removed_says_where_it_was() -> None:
    link = Step("/srv/v/bin/python", LINK, target="/usr/bin/python3.9")
    way = (*TO_VENV, BIN, link, ROOT, Step("/usr/bin/python3.9", MISSING))
    assert flaw(looks(to_python=way)) == (
        "virtualenv /srv/v: its Python is gone: /srv/v/bin/python is a link to /usr/bin/python3.9,"
        f" and /usr/bin/python3.9 is not there -- {AGAIN}"
    )


def test_a_python_in_somebodys_home_names_the_first_folder_that_is_closed() -> None:
    link = Step("/srv/v/bin/python", LINK, target="/home/bob/py/bin/python")
    way = (*TO_VENV, BIN, link, ROOT, closed("/home/bob", 0o750, 1002, 1002, "bob"))
    assert flaw(looks(to_python=way)) == (
        "virtualenv /srv/v: its Python is /home/bob/py/bin/python, and alice cannot enter /home/bob (bob's, mode 0750)"
        f" -- chmod o+x /home/bob, or make it with a Python that everybody can run: {MAKE} --clear /srv/v"
    )


CANNOT = Step("/opt/p", FILE, 0o755, 0, 0, False, "", "root")
PYTHONS = {
    "missing": (
        named(Step("/opt/p", MISSING)),
        "there is no /opt/p -- name one that is there: /usr/bin/python3 perhaps",
    ),
    "a dangling link": (
        named(Step("/opt/p", LINK, target="/opt/q"), Step("/opt/q", MISSING)),
        "/opt/p is a link to /opt/q, which is gone -- name one that is there: /usr/bin/python3 perhaps",
    ),
    "a folder": (named(Step("/opt/p", FOLDER)), "/opt/p is a folder, no Python -- name the program, /opt/p/bin/python"),
    "a device": (named(Step("/opt/p", OTHER)), "/opt/p is no program -- name the one that is meant"),
    "not executable": (
        named(CANNOT._replace(mode=0o644)),
        "alice cannot execute /opt/p (root's, mode 0644) -- chmod o+x /opt/p",
    ),
    "noexec": (named(CANNOT, noexec=True), f"/opt/p lies on a filesystem that is mounted noexec -- {ANOTHER}"),
}


@pytest.mark.parametrize("seen, words", PYTHONS.values(), ids=PYTHONS)
def test_where_the_way_to_a_python_ends(seen: Looks, words: str) -> None:
    assert flaw(seen).startswith(f"python /opt/p: {words}")


P = Step("/opt/p", FILE, 0o755)
TRIALS = {
    "no program": (Trial(errno.ENOEXEC), "/opt/p is no program"),
    "another machine": (Trial(errno.ENOEXEC, machine="aarch64"), "/opt/p is made for aarch64, not for this machine"),
    "first line": (
        Trial(errno.ENOENT, script=True),
        "/opt/p cannot be executed: the program that its first line names (#!) is not there",
    ),
    "loader": (Trial(errno.ENOENT), "/opt/p cannot be executed: the loader that it needs (ld.so) is not there"),
    "denied": (Trial(errno.EACCES), "alice may not execute /opt/p, or what it needs"),
    "another error": (Trial(errno.ETXTBSY), f"/opt/p cannot be executed: errno {errno.ETXTBSY}"),
    "hangs": (Trial(code=None), "/opt/p does not answer when it is asked for its version"),
    "no Python": (Trial(code=0), "/opt/p is no Python"),
    "a shell": (Trial(code=2, complaint="syntax error"), "/opt/p does not run as a Python, exit code 2: syntax error"),
    "silent": (Trial(code=-11), "/opt/p does not run as a Python, exit code -11"),
    "a library": (
        Trial(code=127, complaint="p: error while loading shared libraries: libpython3.9.so.1.0: cannot open shared"),
        "/opt/p does not find libpython3.9.so.1.0 as alice (see ldd /opt/p)",
    ),
    "no library": (
        Trial(code=1, complaint="ModuleNotFoundError: No module named 'encodings'"),
        "/opt/p does not find its own standard library as alice",
    ),
    "too old": (Trial(version=(3, 8)), "is Python 3.8, and a vassal needs 3.9 or newer"),
    "far too old": (Trial(version=(2, 7)), "is Python 2.7, and a vassal needs 3.9 or newer"),
}


@pytest.mark.parametrize("trial, words", TRIALS.values(), ids=TRIALS)
def test_what_comes_of_running_it(trial: Trial, words: str) -> None:
    assert flaw(named(ROOT, P, trial=trial)) == f"python /opt/p: {words} -- {ANOTHER}"
    assert flaw(looks(trial=trial)).endswith(f" -- {AGAIN}")


@pytest.mark.parametrize(
    "text, line",
    [
        ("", ""),
        ("\n\n", ""),
        ("sh: 1: oops\n\n", "sh: 1: oops"),
        (
            "Could not find platform libraries <prefix>\nFatal Python error: init_fs_encoding: failed\n"
            "ModuleNotFoundError: No module named 'encodings'\n\nCurrent thread 0x1 (most recent call first):\n"
            "  <no Python frame>\n",
            "ModuleNotFoundError: No module named 'encodings'",
        ),
    ],
)
def test_the_line_that_says_most(text: str, line: str) -> None:
    assert complaint(text) == line


def test_the_line_in_which_a_python_says_why_it_cannot_start() -> None:
    text = "Python path configuration:\n  PYTHONHOME = '/x'\nFatal Python error: init_fs_encoding: failed\n"
    assert fatal(f"{text}ModuleNotFoundError: No module named 'encodings'\n") == text.splitlines()[-1]
    assert fatal("sh: 1: oops\n") == "sh: 1: oops"


def test_a_lost_home_is_the_reason_only_of_one_that_does_not_run() -> None:
    lost = "virtualenv /srv/v: its pyvenv.cfg says that its Python is in /opt/old/bin, which is not there"
    assert flaw(looks(lost_home="/opt/old/bin", trial=Trial(code=1))) == f"{lost} -- {AGAIN}"
    assert flaw(looks(lost_home="/opt/old/bin", trial=Trial(version=(3, 11)))) == ""


HERE = Surroundings("/srv/v", "/srv/v/bin/python", "3.11", "/srv/v", ("python3.11",))


@pytest.mark.parametrize(
    "here, words",
    [
        (HERE, "/srv/v has none: /srv/v/bin/python -m pip installs flask, or the package that brings it"),
        (
            HERE._replace(libraries=("python3.9",)),
            f"virtualenv /srv/v has lib/python3.9, and the Python that runs is 3.11: {AGAIN}",
        ),
        (HERE._replace(libraries=("python3.11", "python3.9")), "/srv/v has none: "),
        (HERE._replace(libraries=()), "/srv/v has none: "),
        (HERE._replace(program="/srv/v/bin/python3"), "/srv/v has none: /srv/v/bin/python3 -m pip installs flask"),
        (
            HERE._replace(virtualenv="/usr", made=False),
            "/usr has none, and is no virtualenv: make one (/usr/bin/python3 -m venv FOLDER), install what ",
        ),
        (
            HERE._replace(libraries=("python3.9",), made=False),
            "virtualenv /srv/v has lib/python3.9, and the Python that runs is 3.11: name another folder",
        ),
        (HERE._replace(exists=False, libraries=()), "there is no folder /srv/v, which virtualenv names"),
        (
            HERE._replace(virtualenv="", python="", prefix="/opt/emperor"),
            "no virtualenv is named, so the app runs on the emperor's own Python, /opt/emperor: write virtualenv = ",
        ),
        (
            HERE._replace(virtualenv="", python="/opt/p", nearby="/srv/app/.venv"),
            "no virtualenv is named, so the app runs on /opt/p: write virtualenv = /srv/app/.venv",
        ),
    ],
)
def test_where_a_module_was_looked_for(here: Surroundings, words: str) -> None:
    assert absence("flask", ("app",), here).startswith(words)


def test_the_apps_own_module_is_not_to_be_installed() -> None:
    assert (
        absence("app", ("app",), HERE) == "it is the app's own: name the folder that holds it, with pythonpath or chdir"
    )
