"""What stands in the way of an ini, from what was seen of the paths that it names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from emperor.config.language.inifile import Row
from emperor.config.placement import EMPEROR, VASSAL
from emperor.ctl import prospects
from emperor.ctl.asking import (
    BOUND,
    CHDIR,
    LOG,
    OCCUPANT,
    PYTHONPATH,
    REACHED,
    SCRIPT,
    STATIC,
    Ask,
    Ini,
    Look,
    Place,
    Seen,
    asked_of_user,
    asked_of_web,
)
from emperor.ctl.prospects import Prospect
from emperor.model import ADMIN, OWNER, TCP, UNIX, Address, Authority, Identity, Problem, SocketSpec, Target, VassalSpec
from emperor.supervision.interpreter import FILE, FOLDER, MISSING, Step

ALICE = Identity(1001, 1001, (1001,), "alice", "/home/alice")
WEB = Identity(33, 33, (33,), "www-data", "/var/www")
NOWHERE = Place("")
TOP = Step("/", FOLDER, 0o755)
HOME = Step("/home/alice", FOLDER, 0o700, 1001, 1001, False, "", "alice")
SRV = Step("/srv", FOLDER, 0o755)


def row(key: str, value: str, line: int = 2) -> Row:
    return Row(key, value, "/e/blog.ini", line)


def ini(*rows: Row, places: tuple[Place, ...] = (), log: Place = NOWHERE, **more: Any) -> Ini:
    sockets = more.pop("sockets", ())
    named = tuple(one for one in rows if one.key == "socket")
    kept = {key: more.pop(key) for key in ("web", "root", "debians") if key in more}
    more.setdefault("authority", Authority(ADMIN))
    more.setdefault("targets", (Target("", "module", "blog"),))
    spec = VassalSpec("blog", "/e/blog.ini", "/e", ALICE, sockets, web_gid=33, **more)
    return Ini(spec, rows, named, places, log, **{"root": True, **kept}, default="/run/emperor/blog.sock")


def bound(path: str = "/srv/x.sock", place: Place | None = None, **more: Any) -> Ini:
    """With one socket, which its own user binds, unless a place says otherwise."""
    socket = SocketSpec("uwsgi", Address(UNIX, path), **more.pop("socket", {}))
    there = place or Place(path.rpartition("/")[0], VASSAL)
    return ini(row("socket", path, 5), places=(there,), sockets=(socket,), **{"web": WEB, **more})


def said(one: Prospect) -> list[tuple[int, str, bool]]:
    return [(problem.line, problem.message, problem.fatal) for problem in one.problems]


def way(*steps: Step) -> Look:
    return Look((TOP, *steps))


def test_what_is_asked_is_what_the_app_will_use_and_no_more() -> None:
    places = (Place("/srv", VASSAL), Place("/run/x", EMPEROR), Place(""))
    addresses = (Address(UNIX, "/srv/x"), Address(UNIX, "/run/x/y"), Address(TCP, host="127.0.0.1", port=8000))
    one = ini(
        places=places,
        sockets=tuple(SocketSpec("uwsgi", address) for address in addresses),
        targets=(Target("", "module", "blog"), Target("/a", "file", "/srv/a.py")),
        chdir="/srv",
        pythonpath=("/l",),
        static_map=(("/s", "/srv/s"),),
        logto="/srv/log",
        log=Place("/srv", VASSAL),
        web=WEB,
    )
    asked = [
        *(Ask(CHDIR, "/srv"), Ask(SCRIPT, "/srv/a.py", 1), Ask(BOUND, "/srv"), Ask(OCCUPANT, "/srv/x")),
        *(Ask(LOG, "/srv/log"), Ask(PYTHONPATH, "/l")),
    ]
    assert list(asked_of_user(one)) == asked
    assert list(asked_of_web(one)) == [Ask(REACHED, "/srv"), Ask(REACHED, "/run/x", 1), Ask(STATIC, "/srv/s")]
    assert asked_of_web(replace(one, web=None)) == ()
    assert asked_of_user(replace(one, web=None))[-1] == Ask(STATIC, "/srv/s")


def test_of_what_is_sound_nothing_is_said() -> None:
    one = bound(chdir="/srv")
    seen = Seen("", {Ask(CHDIR, "/srv"): way(SRV), Ask(BOUND, "/srv"): way(SRV)}, {Ask(REACHED, "/srv"): way(SRV)})
    assert prospects.prospect(one, seen) == Prospect(())


def test_what_stands_in_the_way_of_several_paths_is_told_once() -> None:
    gone = way(SRV, Step("/srv/a", MISSING))
    one = ini(row("chdir", "/srv/a"), chdir="/srv/a", targets=(Target("", "file", "/srv/a/app.py"),))
    seen = Seen("", {Ask(CHDIR, "/srv/a"): gone, Ask(SCRIPT, "/srv/a/app.py"): gone})
    message = "there is no /srv/a -- make it, or name the folder that is meant"
    assert said(prospects.prospect(one, seen)) == [(2, message, True)]


def test_the_interpreters_flaw_stands_at_the_line_that_names_it() -> None:
    one = ini(row("home", "/v", 3), row("pythonpath", "/x", 4))
    assert said(prospects.prospect(one, Seen("virtualenv /v: is none"))) == [(3, "virtualenv /v: is none", True)]
    assert said(prospects.prospect(ini(), Seen("python /p: gone"))) == [(0, "python /p: gone", True)]


def test_each_script_and_each_folder_of_modules_has_its_own_line() -> None:
    mounts = (row("mount", "/a = /srv/a.py", 2), row("mount", "/b/=/srv/b.py", 3))
    paths = (row("pythonpath", "/l", 4), row("pp", "/m", 5))
    targets = (Target("/a", "file", "/srv/a.py"), Target("/b", "file", "/srv/b.py"))
    one = ini(*mounts, *paths, targets=targets, pythonpath=("/l", "/m"))
    closed = Look((TOP, SRV, Step("/srv/b.py", FILE, 0o640, 0, 0, False, "", "root")), False, False, "root")
    seen = Seen("", {Ask(SCRIPT, "/srv/b.py", 1): closed, Ask(PYTHONPATH, "/m", 1): way(Step("/m", MISSING))})
    mend = "setfacl -m u:alice:r /srv/b.py, or chmod o+r /srv/b.py if it holds no secret"
    assert said(prospects.prospect(one, seen)) == [
        (3, f"alice cannot read /srv/b.py (root's, mode 0640) -- {mend}", True),
        (5, "there is no /m -- nothing is imported from it", False),
    ]


OWN = "leave this line out: the socket is /run/emperor/blog.sock then"
BINDERS = [
    # whose ini, the folder of its socket, what is said
    (ADMIN, way(SRV), ""),
    (ADMIN, way(Step("/srv", MISSING)), "there is no /srv -- make it, for alice, or name a folder of alice's, or one"),
    (OWNER, way(Step("/srv", MISSING)), f"there is no /srv -- {OWN}, or name a folder of alice's"),
    (
        OWNER,
        Look((TOP, SRV), True, False, "root"),
        f"alice, who binds it, cannot write /srv (root's, mode 0755) -- {OWN}",
    ),
    (OWNER, way(Step("/srv", FILE, 0o644)), "/srv is no folder -- name a folder of alice's"),
    (
        OWNER,
        way(HOME._replace(path="/srv", owner="bob", uid=7, gid=7)),
        "alice cannot enter /srv (bob's, mode 0700) -- chmod o+x",
    ),
]


@pytest.mark.parametrize(("authority", "look", "message"), BINDERS)
def test_whoever_binds_a_socket_must_be_able_to(authority: str, look: Look, message: str) -> None:
    one = bound(authority=Authority(authority))
    found = said(prospects.prospect(one, Seen("", {Ask(BOUND, "/srv"): look})))
    assert len(found) == bool(message)
    assert all(line == 5 and text.startswith(message) and fatal for line, text, fatal in found), found


def test_below_run_only_roots_inis_get_folders() -> None:
    gone = {Ask(BOUND, "/run/x"): way(Step("/run/x", MISSING))}
    ((_, text, _),) = said(prospects.prospect(bound("/run/x/y", authority=Authority(OWNER)), Seen("", gone)))
    assert text.startswith(f"there is no /run/x, and below /run only root's inis get folders -- {OWN}")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            Place("/srv/n", EMPEROR, missing=True),
            "there is no /srv/n, and folders are made below /run alone -- mkdir -p /",
        ),
        (Place("/run/n", EMPEROR, missing=True, made=True), ""),
        (Place("/run/e", EMPEROR, missing=True, own=True), ""),
        (Place("/run/e", EMPEROR, occupant="file"), "is a file, no socket -- move it away, or name another path"),
    ],
)
def test_what_the_emperor_binds_it_sees_itself(place: Place, message: str) -> None:
    found = said(prospects.prospect(bound(place=place), Seen()))
    assert [text.startswith(message) for _, text, _ in found] == [True] * bool(message)


def test_a_folder_that_the_web_server_cannot_enter_cuts_the_app_off_and_is_no_error() -> None:
    one = bound("/home/alice/x.sock")
    found = prospects.prospect(one, Seen("", {}, {Ask(REACHED, "/home/alice"): way(HOME)}))
    assert found.cut_off
    assert said(found) == [
        (
            5,
            "www-data cannot enter /home/alice (alice's, mode 0700): nginx will say 13: Permission denied -- "
            "chmod o+x /home/alice, or setfacl -m u:www-data:x /home/alice, or leave `socket` out",
            False,
        )
    ]


@pytest.mark.parametrize(
    ("end", "mend"),
    [
        (HOME._replace(path="/root"), "leave `socket` out, or name a folder that www-data can enter"),
        (HOME._replace(mode=0o701), "its mode would allow it: look at getfacl /home/alice, and at what a security "),
    ],
)
def test_no_advice_opens_what_is_to_stay_closed(end: Step, mend: str) -> None:
    found = prospects.prospect(bound("/home/alice/x.sock"), Seen("", {}, {Ask(REACHED, "/home/alice"): way(end)}))
    ((_, text, _),) = said(found)
    assert text.partition(" -- ")[2].startswith(mend)


SHUT = [
    # the socket, does its folder give its group or an ACL, is it cut off
    ({}, False, False),
    ({"mode": 0o600}, False, True),
    ({"mode": 0o660}, False, True),
    ({"mode": 0o660}, True, False),
    ({"mode": 0o666}, False, False),
    ({"mode": 0o660, "gid": 33}, False, False),
    ({"mode": 0o600, "gid": 33}, True, True),
    ({"gid": 1001}, False, True),
    ({"umask": 0o007}, False, True),
    ({"mode": 0o600, "uid": 33}, False, False),
]


@pytest.mark.parametrize(("socket", "gives", "cut_off"), SHUT)
def test_a_mode_that_shuts_the_web_server_out_for_certain_cuts_the_app_off(
    socket: dict[str, int], gives: bool, cut_off: bool
) -> None:
    seen = Seen("", {Ask(BOUND, "/srv"): Look((TOP, SRV), gives=gives)})
    known = Problem("/e/blog.ini", 6, "chmod-socket", "600 shuts www-data out, the web server, unless …", False)
    found = prospects.prospect(bound(socket=socket), seen)
    assert (found.cut_off, len(found.problems)) == (cut_off, int(cut_off))
    assert prospects.prospect(bound(socket=socket), seen, [known]) == Prospect((), cut_off=cut_off)
    assert not prospects.prospect(bound(socket=socket, web=None), seen).cut_off


LOGS = [
    (VASSAL, way(SRV, Step("/srv/log", FILE, 0o644)), ""),
    (VASSAL, way(SRV, Step("/srv/log", MISSING)), ""),
    (VASSAL, way(Step("/srv", MISSING)), "there is no /srv -- make /srv, for alice, or leave this line out"),
    (VASSAL, way(SRV, Step("/srv/log", FOLDER, 0o755)), "is a folder -- name the file"),
    (
        VASSAL,
        Look((TOP, SRV, Step("/srv/log", MISSING)), True, False, "root"),
        "alice, who opens it, cannot write /srv (root's, mode 0755) -- name a file in a folder of alice's, or",
    ),
    (EMPEROR, way(Step("/srv", MISSING)), "there is no /srv -- make /srv, for alice, or leave this line out"),
]


@pytest.mark.parametrize(("opener", "look", "message"), LOGS)
def test_a_log_that_cannot_be_opened_is_a_warning(opener: str, look: Look, message: str) -> None:
    one = ini(row("logto", "/srv/log", 7), logto="/srv/log", log=Place("/srv", opener))
    found = said(prospects.prospect(one, Seen("", {Ask(LOG, "/srv/log"): look})))
    assert len(found) == bool(message)
    assert all(text.startswith(message) and not bad for _, text, bad in found), found


def test_a_log_that_root_cannot_open_is_a_warning() -> None:
    one = ini(row("logto", "/srv/n/log", 7), logto="/srv/n/log", log=Place("/srv/n", EMPEROR, missing=True))
    message = "there is no /srv/n: what it writes stays with the emperor -- mkdir -p /srv/n"
    assert said(prospects.prospect(one, Seen())) == [(7, message, False)]


def test_static_files_are_the_web_servers_to_reach() -> None:
    one = ini(row("static-map", "/s=/home/alice", 4), static_map=(("/s", "/home/alice"),), web=WEB)
    found = prospects.prospect(one, Seen("", {}, {Ask(STATIC, "/home/alice"): way(HOME)}))
    message = "www-data cannot enter /home/alice (alice's, mode 0700) -- chmod o+x /home/alice"
    assert (said(found), found.cut_off) == ([(4, message, False)], False)


def test_what_does_not_answer_in_time_is_a_warning() -> None:
    ((line, text, fatal),) = said(prospects.prospect(ini(), Seen(late=True)))
    assert (line, fatal) == (0, False)
    assert "do not answer" in text


PYTHONS = [
    ({"plugin": "python3"}, {}, True),
    ({"plugins": "http, python311"}, {}, True),
    ({"plugin": "psgi"}, {}, False),
    ({}, {}, False),
    ({"plugin": "python3"}, {"python": "/usr/bin/python3"}, False),
    ({"plugin": "python3"}, {"virtualenv": "/v", "python": "/v/bin/python"}, False),
    ({"plugin": "python3"}, {"root": False}, False),
    ({"plugin": "python3"}, {"debians": True}, False),
]


@pytest.mark.parametrize(("lines", "more", "told"), PYTHONS)
def test_apts_packages_are_not_those_of_the_emperors_python(
    lines: dict[str, str], more: dict[str, Any], told: bool
) -> None:
    one = ini(*(row(key, value) for key, value in lines.items()), **more)
    remarks = prospects.prospect(one, Seen()).remarks
    assert [remark.message.endswith("write python = /usr/bin/python3") for remark in remarks] == [True] * told


@pytest.mark.parametrize(
    ("path", "look", "told"),
    [
        ("/srv/a.py", Look((TOP, SRV), flup=True), True),
        ("/srv/a.py", Look((TOP, SRV)), False),
        ("/srv/a.fcgi", Look((TOP, SRV, Step("/srv/a.fcgi", FILE, 0o755))), False),
        ("/srv/a.fcgi", None, True),
        ("/srv/a.py", None, False),
    ],
)
def test_what_a_script_tells_flup_is_not_used(path: str, look: Look | None, told: bool) -> None:
    line = row("wsgi-file", path, 9)
    one = ini(line, targets=(Target("", "file", path),))
    user = {} if look is None else {Ask(SCRIPT, path): look}
    assert [remark.row for remark in prospects.prospect(one, Seen("", user)).remarks] == [line] * told
