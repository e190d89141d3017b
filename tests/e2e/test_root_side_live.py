"""A daemon of root that has done all that it does: what it has imported by then, and what the kernel has mapped.

tests/unit/test_privileged_side.py reads the same from the sources; this holds whatever is imported by other ways.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrib.root_side import CUT, DAEMON, FROM_OURSELVES, MODULES, reached
from tests.e2e.harness import people
from tests.e2e.harness.daemon import Emperor, chown
from tests.e2e.harness.people import Users
from tests.requirements import needs
from tests.unit.test_privileged_side import NO_STANDARD_LIBRARY, NOT_ROOTS, OTHERS

pytestmark = needs("root", "useradd", "venv")

NOBODYS = frozenset({"__future__", "__main__", "_distutils_hack", "apport_python_hook", "org", "site", "sitecustomize"})
"""What comes with the interpreter's own start, before a line of ours; and ``org``, which ``copy`` asks Jython for."""

IMPORTED = re.compile(r"^import time: +\d+ \| +\d+ \| *([\w.]+)$", re.MULTILINE)
"""A line of ``python -X importtime``: one for each module that is executed, wherever its import stands."""

PYTHONS_OWN = {"builtins", "importlib", "marshal"}
"""What the interpreter and compileall bring along; that we name none of them is read in the sources."""
NEVER = {*NOT_ROOTS, *NO_STANDARD_LIBRARY} - {edge.target for edge in FROM_OURSELVES} - PYTHONS_OWN


@pytest.fixture(scope="module")
def lived(shared_folder: Path, emperor_venv: Path, app_venv: Path, users: Users) -> Iterator[Emperor]:
    """A daemon that has served, reloaded, scaled, told, refused, and become its own successor."""
    daemon = Emperor(emperor_venv / "bin", shared_folder / "e", people.current(), users.alice)
    try:
        daemon.start(PYTHONPROFILEIMPORTTIME="1")
        _live(daemon, users, app_venv)
        yield daemon
    finally:
        daemon.dispose()


def _live(daemon: Emperor, users: Users, app_venv: Path) -> None:
    fast = daemon.add("fast", users.alice, virtualenv=app_venv, fastcgi_socket=daemon.root / "fast.sock")
    fast.protocol = "fastcgi"
    web = daemon.add("web", users.bob, http_socket=daemon.root / "web.sock", stats=daemon.root / "stats.sock")
    hers = daemon.place("hers", users.alice, uid=None, gid=None, processes=2, threads=2)
    chown(hers.write().ini, users.alice)
    broken = daemon.add("broken", users.alice, app="broken_import.py")
    empty = daemon.add("empty", users.alice, virtualenv=users.alice.home / "no-such-venv")
    wrong = daemon.add("wrong", users.alice, processes="many")
    for vassal in (fast, hers):
        vassal.running()
        assert vassal.get().status == 200
    web.running()
    assert daemon.ctl("request", "web", "/facts").returncode == 0
    for bad, state in ((broken, "BACKOFF"), (empty, "BACKOFF"), (wrong, "INVALID")):
        bad.state(state)
    before = fast.row()
    fast.write(threads=2)
    fast.replaced(before)
    for words in (
        ("reload", "hers"),
        ("scale", "hers", "3"),
        ("logs", "hers"),
        ("events",),
        ("config", "hers"),
        ("stop", "web"),
        ("start", "web"),
        ("upgrade",),
        ("reload", "fast"),
    ):
        done = daemon.ctl(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    for vassal in (fast, hers):
        vassal.running()
        assert vassal.get().status == 200


def test_it_has_imported_no_app_no_virtualenv_and_no_web_protocol(lived: Emperor) -> None:
    imported = {one for one in IMPORTED.findall(lived.log_text) if one.partition(".")[0] not in NOBODYS}
    ours = {name for name in imported if name in MODULES}
    assert {"emperor.daemon", "emperor.succession.takeover", "emperor.system.privilege"} <= ours
    strange = [one for one in imported for place in NEVER if f"{one}.".startswith(f"{place}.")]
    assert not strange
    # What ran is what was read in the sources, and no more.
    assert not ours - reached(DAEMON, CUT).keys()
    tops = {one.partition(".")[0] for one in imported}
    assert tops - sys.stdlib_module_names == {"emperor", *OTHERS}


def test_the_kernel_has_mapped_nothing_of_a_users_for_it(lived: Emperor) -> None:
    maps = Path(f"/proc/{lived.pid}/maps").read_text().splitlines()
    files = {line.split(maxsplit=5)[5] for line in maps if line.count("/")}
    named = [one for one in files if one.startswith("/") and not one.startswith(("/memfd:", "/dev/"))]
    assert any("python" in one for one in named)
    for one in named:
        there = os.stat(one)
        assert there.st_uid == 0 and not there.st_mode & 0o022, one
    roots = ("/usr/", "/lib", "/etc/ld.so", str(lived.programs.parent))
    assert not [one for one in named if not one.startswith(roots)]
    assert not [one for one in named if re.search(r"/(_ssl|libssl|greenlet|_asyncio)\b", one)]
