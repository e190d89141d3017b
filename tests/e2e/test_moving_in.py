"""A machine's inis of uWSGI's, judged by ``emperorctl check`` as root: Debian's folders, and those of two users."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, chown
from tests.e2e.harness.people import Person, Users, current
from tests.requirements import needs

pytestmark = needs("root", "useradd", "www-data")

DEFAULT = """\
[uwsgi]
; what Debian's package gives to every app
autoload = true
master = true
workers = 2
no-orphans = true
pidfile = /run/uwsgi/%(deb-confnamespace)/%(deb-confname)/pid
socket = /run/uwsgi/%(deb-confnamespace)/%(deb-confname)/socket
logto = /var/log/uwsgi/%(deb-confnamespace)/%(deb-confname).log
chmod-socket = 660
log-date = true
uid = www-data
gid = www-data
"""

BELOW_A_PREFIX = """\
[uwsgi]
plugin = http,python3
callable = app
virtualenv = {venv}
mount = /app={folder}/shop/run.py
manage-script-name = true
pythonpath = {folder}/shop
chmod-socket = 664
uid = www-data
gid = www-data
"""

UNDER_AN_EMPEROR = """\
[uwsgi]
base = {folder}/demoapp
app = hello
module = %(app)
home = {venv}
pythonpath = %(base)
socket = %(base)/%n.sock
chmod-socket = 666
callable = app
logto = %(base)/%n.log
"""

INIS = {
    "blog": "[uwsgi]\nmodule = missing_blog\n",
    "demoapp": UNDER_AN_EMPEROR,
    "perl": "[uwsgi]\nplugin = psgi\npsgi = /srv/app.pl\n",
    "shop": BELOW_A_PREFIX,
    "units": "[uwsgi]\nwsgi-file = app.py\nharakiri = 30s\nuid = nobody-at-all\nthreds = 4\n",
    "wiki": "[uwsgi]\nmodule = wiki\nlazy = maybe\n; at 100%\nchdir = /srv\n",
}

SHOP = """\
from flask import Flask, url_for
app = Flask(__name__)
@app.route("/somefile")
def somefile(): return url_for("somefile")
app.run()
"""

WHOLE = """\
F/blog.ini: OK
  ignored  D:7: pidfile: has no effect here: `emperorctl status NAME` shows the pid, and `emperorctl reload NAME` \
takes the place of signals
F/demoapp.ini: OK, 1 difference
  differs  line 10: logto: uWSGI opens it as root; here www-data does, since not root alone can write there -- chown \
an old log
F/perl.ini: does not work: 1 error
  error    F/perl.ini: names no app -- write module = PACKAGE.MODULE, wsgi-file = /PATH/APP.py, or mount = \
/PREFIX=MODULE:CALLABLE
  warning  line 2: plugin: has no effect: only Python apps are served, and Python is built in
  ignored  line 3: psgi: uWSGI option, not supported: only Python apps are served
F/shop.ini: OK, 1 difference
  differs  line 5: mount: uWSGI has the first mounted app answer what lies outside of every mount; here that is a 404
F/units.ini: does not work: 2 errors
  error    F/units.ini:3: harakiri: must be a number of seconds, without a unit, such as 30 or 0.5; 0 turns it off
  error    F/units.ini:4: uid: there is no such user
  warning  line 5: threds: unknown option -- it has no effect; did you mean threads?
  differs  line 3: harakiri: uWSGI reads the digits that it begins with, and no unit; here it is an error
F/wiki.ini: does not work: 1 error
  error    F/wiki.ini:3: lazy: must be one of true, yes, on, 1, or false, no, off, 0
  differs  line 3: lazy: uWSGI takes every word but false, off, no and 0 for yes; here it is an error
  differs  line 4: uWSGI removes the % at the line's end, and takes the next line into this comment; here it counts -- \
write %% or another word
6 files: 3 OK, 3 do not work
"""


class Machine:
    """Debian's folders below one of ours; ``demoapp``'s is the web user's."""

    def __init__(self, folder: Path, programs: Path, venv: Path) -> None:
        self.folder, self.programs, self.venv = folder, programs, venv
        self.enabled, self.default = folder / "apps-enabled", folder / "default.ini"
        self.default.write_text(DEFAULT.replace("/var/log", f"{folder}/log"))
        for name in ("apps-available", "apps-enabled", "shop", "demoapp", "log/uwsgi/app"):
            (folder / name).mkdir(mode=0o755, parents=True)
        (folder / "shop/run.py").write_text(SHOP)
        (folder / "demoapp/hello.py").write_text("app = lambda environ, start_response: []\n")
        os.chown(folder / "demoapp", pwd.getpwnam("www-data").pw_uid, -1)
        for name, text in INIS.items():
            (folder / f"apps-available/{name}.ini").write_text(text.format(folder=folder, venv=venv))
            (self.enabled / f"{name}.ini").symlink_to(f"../apps-available/{name}.ini")

    def check(self, *words: str, person: Person | None = None) -> tuple[int, str]:
        program = str(self.programs / "bin/emperorctl")
        done = (person or current()).run(program, "check", *words, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    def judged(self, *words: str) -> tuple[int, str]:
        return self.check(*words, "--vassals-defaults", str(self.default))


@pytest.fixture
def machine(folder: Path, emperor_venv: Path, app_venv: Path) -> Iterator[Machine]:
    yield Machine(folder, emperor_venv, app_venv)


def test_a_folder_of_debians_is_judged_file_by_file(machine: Machine) -> None:
    code, text = machine.judged(f"{machine.enabled}/*.ini")
    assert text.replace(str(machine.enabled), "F").replace(str(machine.default), "D") == WHOLE
    assert code == 1


def test_one_ini_is_told_what_it_comes_to(machine: Machine) -> None:
    code, text = machine.judged(f"{machine.enabled}/shop.ini")
    assert code == 0
    assert text.splitlines()[-6:] == [
        f"  app      /app is file {machine.folder}/shop/run.py, app",
        "  user     www-data, group www-data",
        "  socket   unix:/run/uwsgi/app/shop/socket  uwsgi  0664  www-data:www-data",
        f"  python   {machine.venv}/bin/python",
        "  workers  2 workers",
        f"  log      {machine.folder}/log/uwsgi/app/shop.log, opened by the emperor",
    ]


def test_every_app_is_loaded_as_its_user_and_its_traceback_shown(machine: Machine) -> None:
    code, text = machine.judged("--import", str(machine.enabled))
    assert code == 1
    blocks = {line.partition(":")[0]: line for line in text.splitlines() if line.startswith(str(machine.enabled))}
    verdicts = {Path(path).stem: line.partition(": ")[2] for path, line in blocks.items()}
    assert verdicts == {
        "blog": "does not work: the app does not load",
        "demoapp": "OK, the app loads, 1 difference",
        "perl": "does not work: 1 error",
        "shop": "OK, the app loads, 1 difference",
        "units": "does not work: 2 errors",
        "wiki": "does not work: 1 error",
    }
    assert "No module named 'missing_blog'" in text
    assert "  import   as www-data, by the emperor's own Python, in " in text
    assert text.endswith("6 files: 2 OK, 4 do not work\n")


@pytest.fixture
def theirs(folder: Path, users: Users) -> Path:
    """An ini of alice's and one of bob's, in a folder where anybody can put one."""
    inis = folder / "people.d"
    inis.mkdir()
    inis.chmod(0o1777)
    for person, more in ((users.alice, ""), (users.bob, f"uid = {users.alice.name}\n")):
        app = folder / f"app_of_{person.name}.py"
        app.write_text("import os, pwd\nraise RuntimeError('I am ' + pwd.getpwuid(os.getuid()).pw_name)\n")
        text = f"[uwsgi]\nwsgi-file = {app}\nsocket = {person.home}/x.sock\n{more}"
        ini = inis / f"{person.name}.ini"
        ini.write_text(text)
        chown(ini, person)
    return inis


def test_users_inis_are_judged_as_theirs_by_root_and_by_themselves(
    machine: Machine, users: Users, theirs: Path
) -> None:
    alice, bob = users.alice.name, users.bob.name
    code, text = machine.check("--import", str(theirs))
    assert code == 1
    assert f"{theirs}/{alice}.ini: does not work: the app does not load\n" in text
    assert (
        f"differs  names no uid: uWSGI runs it as whoever started uWSGI, root perhaps; here it runs as {alice}" in text
    )
    assert f"RuntimeError: I am {alice}\n" in text
    assert f"error    {theirs}/{bob}.ini:4: uid: this file is {bob}'s and runs as {bob} -- remove this line" in text
    code, text = machine.check("--import", f"{theirs}/{alice}.ini", person=users.alice)
    assert code == 1
    assert f"RuntimeError: I am {alice}\n" in text
    assert "whoever started uWSGI" not in text  # she cannot have started it as root


def test_sockets_become_what_the_check_has_said(emperor: StartEmperor, users: Users) -> None:
    daemon = emperor()
    alice = users.alice
    sites = [
        daemon.add("roots", alice, socket=daemon.root / "roots.sock"),
        daemon.add("open", alice, socket=daemon.root / "open.sock", chmod_socket="0666"),
        daemon.add("hers", alice, socket=alice.home / "hers.sock"),
        daemon.add("umask", alice, socket=alice.home / "umask.sock", umask="007"),
    ]
    said = {site.name: _socket_line(daemon, site.ini) for site in sites}
    assert len(set(said.values())) == len(sites)
    daemon.start()
    for site in sites:
        site.running()
        there = os.stat(site.socket)
        owner = f"{pwd.getpwuid(there.st_uid).pw_name}:{grp.getgrgid(there.st_gid).gr_name}"
        has_acl = "system.posix_acl_access" in os.listxattr(site.socket)
        more = "  and an ACL for group www-data" if has_acl else ""
        line = f"unix:{site.socket}  uwsgi  {stat.S_IMODE(there.st_mode):04o}  {owner}{more}"
        assert said[site.name] == line


def _socket_line(daemon: Emperor, ini: Path) -> str:
    done = daemon.ctl("check", str(ini))
    assert done.returncode == 0, done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("  socket "))
    return line.removeprefix("  socket ").strip()


BROKEN: dict[str, tuple[dict[str, object], str]] = {
    # vassal: (what its ini says otherwise, what check says of it); U is alice, R a folder of root's with the rest
    "no_venv": ({"home": "R/none"}, "home: virtualenv R/none: there is no such folder -- make it: "),
    "no_python": ({"home": "R/empty"}, "home: virtualenv R/empty: is none, it has no bin/python -- "),
    "file_venv": ({"home": "R/file"}, "home: virtualenv R/file: R/file is no folder -- "),
    "lost_link": ({"home": "R/link"}, "home: virtualenv R/link: R/link is a link to R/nowhere, and R/nowhere is not"),
    "closed_venv": ({"home": "R/closed/v"}, "home: virtualenv R/closed/v: U cannot enter R/closed (root's, mode 0700)"),
    "python9": ({"python": "/usr/bin/python9"}, "python: python /usr/bin/python9: there is no /usr/bin/python9"),
    "no_chdir": ({"chdir": "R/none"}, "chdir: there is no R/none -- make it, or name the folder that is meant"),
    "no_script": ({"wsgi_file": "R/gone.py"}, "wsgi-file: there is no R/gone.py -- name the file that is meant"),
    "unreadable": ({"wsgi_file": "R/secret.py"}, "wsgi-file: U cannot read R/secret.py (root's, mode 0600) -- setfacl"),
    "no_folder": ({"socket": "R/none/x.sock"}, "socket: there is no R/none, and folders are made below /run alone -- "),
    "hers": (
        {"socket": "R/own.sock"},
        "socket: U, who binds it, cannot write R (root's, mode 0755) -- leave this line",
    ),
}
HERS = ("hers", "her_log")
HER_LOG = "logto: U, who opens it, cannot write R (root's, mode 0755) -- name a file"


def test_what_is_told_not_to_work_does_not_and_the_rest_does(emperor: StartEmperor, users: Users) -> None:
    daemon = emperor()
    alice, things = users.alice, str(_things(daemon.root / "things"))
    private = alice.home / "private"
    private.mkdir(mode=0o700)
    chown(private, alice)
    for name, (options, _) in BROKEN.items():
        named = {key: str(value).replace("R/", f"{things}/") for key, value in options.items()}
        hers: dict[str, Any] = {"uid": None, "gid": None} if name in HERS else {}
        chown(daemon.add(name, alice, **named, **hers).ini, alice if name in HERS else current())
    sound = daemon.add("sound", alice, socket=alice.home / "sound.sock")
    her_log = daemon.add("her_log", alice, logto=f"{things}/own.log", uid=None, gid=None)
    chown(her_log.ini, alice)
    closed = daemon.add("closed", alice, socket=private / "x.sock")
    done = daemon.ctl("--json", "check", str(daemon.vassals))
    assert (done.returncode, done.stderr) == (1, "")
    said = {Path(one["path"]).stem: one for one in json.loads(done.stdout)}

    def written(message: str) -> str:
        return re.sub(r"\bR\b", things, re.sub(r"\bU\b", alice.name, message))

    for name, (_, message) in BROKEN.items():
        expected = written(message)
        found = [f"{two['option']}: {two['message']}" for two in said[name]["problems"] if two["fatal"]]
        assert len(found) == 1 and found[0].startswith(expected), (name, found)
    assert said["sound"]["verdict"].startswith("OK")
    assert said["her_log"]["verdict"].startswith("OK, 1 warning")
    (warning,) = said["her_log"]["problems"]
    assert f"logto: {warning['message']}".startswith(written(HER_LOG))
    assert said["closed"]["verdict"].startswith("runs, but the web server cannot connect, 1 warning")
    (problem,) = said["closed"]["problems"]
    assert problem["message"] == (
        f"www-data cannot enter {private} ({alice.name}'s, mode 0700): nginx will say 13: Permission denied -- "
        f"chmod o+x {private}, or setfacl -m u:www-data:x {private}, or leave `socket` out"
    )
    daemon.start()
    sound.running()
    closed.running()
    her_log.running()
    for name in BROKEN:
        daemon.wait_for_log(f"{name}: STARTING -> BACKOFF")
    # She sees of her own what root's deputies have seen.
    theirs = daemon.ctl("--json", "check", str(daemon.vassals / "hers.ini"), person=alice)
    (own,) = json.loads(theirs.stdout)
    both = [[two["message"].partition(" -- ")[0] for two in one["problems"]] for one in (own, said["hers"])]
    assert both[0] == both[1] != []


def _things(folder: Path) -> Path:
    """Of root's: nothing there is of use to her."""
    for name in ("empty", "closed/v/bin"):
        (folder / name).mkdir(parents=True)
    (folder / "closed/v/bin/python").symlink_to("/usr/bin/python3")
    (folder / "closed").chmod(0o700)
    (folder / "file").write_text("")
    (folder / "secret.py").write_text("application = None\n")
    (folder / "secret.py").chmod(0o600)
    (folder / "link").symlink_to(folder / "nowhere")
    return folder
