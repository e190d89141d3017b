"""From what was seen of a vassal and of the machine to what the doctor says of it."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from emperor.ctl.asking import Look
from emperor.ctl.obstacles import mended, no_way
from emperor.doctor import appside, machineside, mends, replies, socketside
from emperor.doctor.allowed import allows
from emperor.doctor.examination import _without_doubles, _without_echo
from emperor.doctor.facts import (
    DIRECTORY,
    REGULAR,
    SOCKET,
    Aftermath,
    Disk,
    Knock,
    Machine,
    Mount,
    Place,
    Reply,
    Subject,
    place_of,
)
from emperor.doctor.finding import FAILS, MAY_FAIL, Finding, ordered
from emperor.doctor.kinds import KINDS
from emperor.doctor.webkinds import KINDS as WEB_KINDS
from emperor.model import ADMIN, UNIX, Address, Authority, Identity, Problem, SocketSpec, Target, VassalSpec
from emperor.supervision.interpreter import FOLDER, HIDDEN, IN_THE_WAY, LINK, LOOP, MISSING, OTHER, Step
from emperor.system.acl import GROUP_OBJ, MASK, USER

ALICE = Identity(61001, 61001, (61001,), "alice", "/home/alice")
WEB = Identity(33, 33, (33,), "www-data", "/var/www")
PATH = "/srv/blog/app.sock"
ADDRESS = Address(UNIX, PATH)
TOP = Step("/", FOLDER, 0o755)
AT = Step(PATH, OTHER)
CLOSED = Step("/srv/blog", FOLDER, 0o700, 61001, 61001, False, "", "alice")

ACL = ((USER, 6, 33), (GROUP_OBJ, 6, 0xFFFFFFFF), (MASK, 4, 0xFFFFFFFF))


def spec(**more: Any) -> VassalSpec:
    socket = SocketSpec("uwsgi", ADDRESS, **more.pop("socket", {}))
    more.setdefault("authority", Authority(ADMIN))
    targets = (Target("", "module", "blog"),)
    return VassalSpec("blog", "/e/blog.ini", "/e", ALICE, (socket,), targets, **more)


def subject(state: str = "RUNNING", told: VassalSpec | None = None, **more: Any) -> Subject:
    return Subject("blog", {"name": "blog", "state": state, "config": "/e/blog.ini", **more}, told or spec())


def knock(place: Place | None = None, reply: Reply | None = None, about: Subject | None = None, **more: Any) -> Knock:
    return Knock(about or subject(), "uwsgi", ADDRESS, WEB, place, reply, **more)


def at(kind: str = SOCKET, mode: int = 0o660, **more: Any) -> Place:
    more.setdefault("uid", 61001)
    more.setdefault("gid", 61001)
    return Place((TOP, AT), kind, mode, **more)


def kinds(found: Iterable[Finding]) -> list[str]:
    return [one.kind for one in found]


def the(found: Iterable[Finding]) -> Finding:
    (one,) = found
    assert one.kind in KINDS and one.what and one.why and one.mend
    return one


# Sockets


def test_a_socket_that_the_web_server_may_write_is_no_finding() -> None:
    assert not list(socketside.findings(knock(at(writable=True, listener=5), Reply(200, 0.01), inode=5)))


def test_a_closed_folder_is_opened_to_the_web_server_alone() -> None:
    one = the(socketside.findings(knock(Place((TOP, CLOSED)))))
    assert one.kind == "socket-folder" and one.mend[0] == "setfacl -m u:www-data:x /srv/blog"
    assert "0700" in one.what and "13: Permission denied" in one.why


def test_a_socket_that_no_ini_names_cannot_be_left_out_of_one() -> None:
    named, own = (the(socketside.findings(knock(Place((TOP, CLOSED)), own=own))) for own in (False, True))
    assert any("leave `socket` out" in line for line in named.mend)
    assert not any("leave `socket` out" in line for line in own.mend)


def test_without_setfacl_a_folder_is_opened_by_its_mode() -> None:
    assert the(socketside.findings(knock(Place((TOP, CLOSED))), acls=False)).mend[0] == "chmod o+x /srv/blog"


def test_roots_home_stays_closed() -> None:
    home = Step("/root", FOLDER, 0o700, 0, 0, False, "", "root")
    assert all(line.startswith("#") for line in the(socketside.findings(knock(Place((TOP, home))))).mend)


@pytest.mark.parametrize(
    ("place", "mend"),
    [
        (at(mode=0o755), "setfacl -m u:www-data:rw"),
        (at(mode=0o640, gid=33), "chmod g+w"),
        (at(mode=0o440, uid=33), "chmod u+w"),
    ],
)
def test_a_shut_socket_is_opened_to_nobody_else(place: Place, mend: str) -> None:
    one = the(socketside.findings(knock(place)))
    assert one.kind == "socket-mode" and one.mend[0] == f"{mend} {PATH}"


def test_the_line_that_shuts_a_socket_is_named() -> None:
    about = subject(told=spec(socket={"umask": 0o022}))
    mend = "\n".join(the(socketside.findings(knock(at(mode=0o755), about=about))).mend)
    assert "remove socket-umask = 022" in mend and "socket-umask = 000" in mend and "777" not in mend


def test_a_mask_that_takes_away_what_an_acl_gives_is_an_acls_finding() -> None:
    one = the(socketside.findings(knock(at(mode=0o640, acl=ACL))))
    assert (one.kind, one.mend[0]) == ("socket-acl", f"setfacl -m m::rw {PATH}")


def test_root_follows_no_name_in_a_users_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketside, "user_name", lambda uid: {0: "root", 61001: "alice"}[uid])
    hers = Step("/srv/blog", FOLDER, 0o755, 61001, 61001)
    theirs = Place((TOP, hers, AT), SOCKET, 0o755, 61001, 61001)
    assert the(socketside.findings(knock(theirs))).mend[0] == f"runuser -u alice -- setfacl -m u:www-data:rw {PATH}"
    assert the(socketside.findings(knock(theirs, asker="alice"))).mend[0] == f"setfacl -m u:www-data:rw {PATH}"
    file = theirs._replace(kind=REGULAR)
    assert the(socketside.findings(knock(file))).mend[0].startswith("runuser -u alice -- mv ")
    assert the(socketside.findings(knock(theirs._replace(uid=0)))).mend[0].startswith("# once you see what alice")


def test_an_acls_own_entry_that_shuts_it_out_is_what_is_changed() -> None:
    """It counts before the group's bits, whatever those allow."""
    entries = ((USER, 0, 33), (GROUP_OBJ, 6, 0xFFFFFFFF), (MASK, 6, 0xFFFFFFFF))
    one = the(socketside.findings(knock(at(mode=0o660, gid=33, acl=entries))))
    assert one.kind == "socket-mode" and "ACL has an entry for it" in one.what
    assert one.mend == (f"setfacl -m u:www-data:rw {PATH}",)


def test_a_socket_that_was_changed_by_hand_is_made_as_its_ini_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketside, "user_name", lambda uid: {0: "root", 61001: "alice"}[uid])
    monkeypatch.setattr(socketside, "group_name", lambda gid: {0: "root", 33: "www-data"}[gid])
    about = subject(told=spec(web_gid=33))
    anew = "# or: emperorctl stop blog && emperorctl start blog  # makes it anew"
    one = the(socketside.findings(knock(at(mode=0o660, uid=0, gid=0), about=about)))
    assert one.mend == (f"chown alice:www-data {PATH}", anew)
    one = the(socketside.findings(knock(at(mode=0o600, gid=33), about=about)))
    assert one.mend == (f"chmod 660 {PATH}", anew)
    hers = Step("/srv/blog", FOLDER, 0o755, 61001, 61001)
    theirs = Place((TOP, hers, AT), SOCKET, 0o660, 0, 0)
    one = the(socketside.findings(knock(theirs, about=about)))
    assert not any(line.startswith(("chown", "chmod")) for line in one.mend)


@pytest.mark.parametrize("kind", [REGULAR, DIRECTORY])
def test_what_is_no_socket_is_moved_away_and_not_removed(kind: str) -> None:
    one = the(socketside.findings(knock(at(kind))))
    assert one.kind == "socket-occupied" and one.mend[0].startswith("mv ")


def test_another_listener_than_ours_is_somebody_elses() -> None:
    assert the(socketside.findings(knock(at(writable=True, listener=7), inode=5))).kind == "socket-squatted"


def test_where_the_kernel_does_not_tell_who_listens_nobody_is_accused() -> None:
    assert not list(socketside.findings(knock(at(writable=True, listener=None), Reply(200), inode=5)))


def test_a_missing_socket_is_news_of_what_runs_only() -> None:
    way = Place((TOP, Step(PATH, MISSING)))
    assert the(socketside.findings(knock(way))).kind == "socket-missing"
    assert not list(socketside.findings(knock(way, about=subject("BACKOFF"))))


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ECONNREFUSED, "socket-stale"),
        (errno.EAGAIN, "socket-full"),
        (errno.EACCES, "socket-mode"),
        (errno.EMFILE, "socket-stale"),
    ],
)
def test_why_nobody_connects_is_told_by_the_kernels_number(number: int, kind: str) -> None:
    reply = Reply(stage="connect", errno=number, reason="no")
    assert the(socketside.findings(knock(at(writable=True, listener=None), reply))).kind == kind


# Answers


def test_an_answer_is_well() -> None:
    (one,) = replies.well(knock(reply=Reply(200, 0.004)))
    assert one.text == f"answered 200 in 4 ms as www-data through unix:{PATH}"
    assert not list(replies.findings(knock(reply=Reply(404, 0.004))))
    (other,) = replies.well(knock(reply=Reply(200, 0.004), asker="alice"))
    assert "as alice through" in other.text


def test_an_error_has_the_traceback_without_its_times() -> None:
    stamp = "2026-01-02T03:04:05.678+0000 [1] "
    lines = ["x", f"{stamp}Traceback (most recent call last):", f"{stamp}  File", f"{stamp}KeyError: 'x'"]
    one = the(replies.findings(knock(reply=Reply(500)), Aftermath(tuple(lines))))
    assert one.kind == "app-error" and one.what.endswith("KeyError: 'x'") and "2026" not in one.why


def test_only_lines_of_after_the_request_count() -> None:
    assert replies.news(["a", "b", "c"], ["a", "b"]) == ["c"]
    assert replies.news(["b", "c"], ["x"]) == ["b", "c"]
    assert replies.news(["a"], []) == ["a"]


def test_a_worker_that_dies_in_the_request_is_why_no_answer_came() -> None:
    before = {"workers": [{"id": 1, "exits": 2, "last_exit": "old"}, {"id": 2, "exits": 0}]}
    after = {"workers": [{"id": 1, "exits": 2, "last_exit": "old"}, {"id": 2, "exits": 1, "last_exit": "exited: 5"}]}
    assert (replies.death(before, after), replies.death(after, after)) == ("exited: 5", "")
    silent = knock(reply=Reply(stage="answer", reason="its answer broke off"))
    one = the(replies.findings(silent, Aftermath((), "exited with code 5 in GET /")))
    assert one.what.endswith("its worker exited with code 5 in GET /")
    assert not any("harakiri" in line for line in one.mend)


def test_a_long_traceback_keeps_its_end() -> None:
    lines = ["Traceback (most recent call last):", *(f"  {number}" for number in range(50)), "ValueError: end"]
    found = replies.traceback_of(lines)
    assert (len(found), found[-1]) == (replies.MOST_LINES, "ValueError: end")


def test_no_answer_and_a_late_one_are_findings() -> None:
    assert the(replies.findings(knock(reply=Reply(stage="answer", reason="no answer")))).kind == "app-silent"
    assert the(replies.findings(knock(reply=Reply(200, 3.0)))).kind == "app-slow"
    assert the(replies.findings(knock(reply=Reply(200, flaw="its end is missing")))).kind == "app-silent"


def test_a_mount_of_which_the_app_knows_nothing_is_told() -> None:
    targets = (Target("/shop", "module", "shop"),)
    told = VassalSpec("blog", "/e/blog.ini", "/e", ALICE, (SocketSpec("uwsgi", ADDRESS),), targets)
    about = subject(told=told)
    one = the(replies.findings(knock(reply=Reply(404, 0.01), about=about, target="/shop/")))
    assert (one.kind, one.weight) == ("app-mount", MAY_FAIL) and "manage-script-name = true" in one.mend[0]
    managed = subject(told=replace(told, manage_script_name=True))
    assert not list(replies.findings(knock(reply=Reply(404, 0.01), about=managed, target="/shop/")))
    assert not list(replies.findings(knock(reply=Reply(404, 0.01), about=about, target="/shop/x")))


# Apps


@pytest.mark.parametrize(
    ("about", "kind", "command"),
    [
        (subject("FATAL", error="ValueError: no"), "app-failed", "# mend it, then: emperorctl start blog"),
        (subject("BACKOFF", error="ValueError: no"), "app-failed", "# mend it, then: emperorctl restart blog"),
        (
            subject("BACKOFF", error="python /x: no -- chmod o+x /x"),
            "app-python",
            "# mend it, then: emperorctl restart blog",
        ),
        (subject("STARTING", error="ValueError: no"), "app-failed", "# mend it, then: emperorctl restart blog"),
        (subject("STARTING", uptime=60.0), "app-stalled", "emperorctl logs -n 50 blog"),
        (subject("STOPPED", wanted="down"), "app-stopped", "emperorctl start blog"),
        (subject("RUNNING", serves=False, warnings=["no worker serves"]), "app-mute", "emperorctl logs -n 50 blog"),
        (subject("RUNNING", error="/e/blog.ini:3: bad"), "ini-behind", "emperorctl reload blog"),
        (subject("INVALID", error="/e/blog.ini:3: bad"), "app-invalid", "emperorctl check /e/blog.ini"),
        (subject(told=spec(harakiri=60.0, reload_mercy=10.0)), "timeouts", "# in /e/blog.ini: reload-mercy = 60"),
    ],
)
def test_each_state_has_its_finding(about: Subject, kind: str, command: str) -> None:
    one = the(appside.findings(about))
    assert one.kind == kind and any(line.startswith(command) for line in one.mend)


EVIL = "RuntimeError: x -- chmod o+x /root; chmod 4777 /bin/bash"


@pytest.mark.parametrize("state", ["BACKOFF", "FATAL", "STARTING", "STOPPED", "RUNNING", "INVALID"])
@pytest.mark.parametrize("said", [EVIL, "python /x: no -- chmod o+x /root"])
def test_nothing_that_an_app_or_its_vassal_says_becomes_a_command(state: str, said: str) -> None:
    """Whoever reads the doctor's report types what it says, as root perhaps."""
    found = list(appside.findings(subject(state, error=said, wanted="up", traceback=f"Traceback\n{said}")))
    found += appside.tried(subject(state, wanted="up"), False, f"Traceback (most recent call last):\n{said}")
    assert found and not any("chmod" in line for one in found for line in one.mend)


def test_no_option_and_no_path_of_an_ini_becomes_a_command() -> None:
    evil = "x -- chmod o+x /root"
    row = {"path": f"/e/{evil}", "line": 3, "option": evil, "message": "no", "fatal": True}
    one = the(appside.findings(subject("INVALID", problems=[row])))
    assert evil in one.what and not any("chmod" in line for line in one.mend)


@pytest.mark.parametrize("kind", [MISSING, LOOP, HIDDEN, IN_THE_WAY])
def test_no_name_on_a_way_becomes_a_command(kind: str) -> None:
    """A user makes links and folders of any name; what stands behind the dashes is ours."""
    evil = Step("/x -- chmod o+x /root", kind)
    link = Step("/l", LINK, target=evil.path)
    for way in ((TOP, evil), (TOP, link, evil)):
        message = mended(no_way(Look(way), ALICE), "name the one that is meant")
        problem = Problem("/e/blog.ini", 0, "chdir", message)
        one = the(appside.paths(subject("BACKOFF"), [problem], ""))
        assert one.mend == ("# name the one that is meant", "emperorctl restart blog")


@pytest.mark.parametrize("mend", ["chmod o-w /e/blog.ini", "chmod g-w /e", "setfacl -b /e/blog.ini"])
def test_an_ini_that_others_can_write_is_closed_first(mend: str) -> None:
    row = {"path": "/e/blog.ini", "line": 0, "option": "", "message": f"everybody can write it: {mend}", "fatal": True}
    for state in ("RUNNING", "INVALID"):
        one = the(appside.findings(subject(state, error="/e/blog.ini: everybody can write it", problems=[row])))
        assert one.mend[0] == mend
    evil = {**row, "message": "/x can write it: chmod o-w /etc: y can write it: chmod 4777 /bin/sh"}
    assert "chmod" not in the(appside.findings(subject("INVALID", error="no", problems=[evil]))).mend[0]


def test_what_status_warns_of_may_fail() -> None:
    log = "logto /var/log/x/blog.log: No such file or directory -- its lines are in the emperor's log"
    one = the(appside.findings(subject(told=spec(logto="/var/log/x/blog.log"), warnings=[log], serves=True)))
    assert (one.kind, one.weight, one.mend[0]) == ("warned", MAY_FAIL, "mkdir -p /var/log/x")
    shut = log.replace("No such file or directory", "Permission denied")
    one = the(appside.findings(subject(told=spec(logto="/var/log/x/blog.log"), warnings=[shut], serves=True)))
    assert one.mend[0].startswith("# alice is to write /var/log/x: chown alice")
    row = {
        "path": "/e/blog.ini",
        "line": 4,
        "option": "x",
        "message": "unknown option -- did you mean y?",
        "fatal": False,
    }
    told = str(Problem("/e/blog.ini", 4, "x", row["message"], False))
    one = the(appside.findings(subject(warnings=[told], problems=[row])))
    assert "/e/blog.ini:4" in one.what and one.mend == ("# did you mean y?", "emperorctl check /e/blog.ini")
    one = the(appside.findings(subject(warnings=["worker 1: killed by harakiri in GET / -- chmod o+x /x"])))
    assert one.mend == ("emperorctl logs -n 50 blog",)


def test_root_types_nothing_at_a_path_in_a_users_folder() -> None:
    line = "chmod o+x /srv/a"
    lines = (line, "setfacl -m u:w:rx /a", "mkdir -p /b", "emperorctl check /a", "# /a")
    assert [mends.path_of(one) for one in lines] == ["/srv/a", "/a", "/b", "", ""]
    assert mends.by_owner(line, "", "") == line
    assert mends.by_owner(line, "alice", "alice") == f"runuser -u alice -- {line}"
    assert mends.by_owner(line, "alice", "root") == f"# once you see what alice has there: {line}"


@pytest.mark.parametrize(("letters", "weight"), [({7: "T", 8: "S"}, MAY_FAIL), ({7: "T", 8: "D"}, FAILS)])
def test_a_worker_that_is_stopped_is_let_go_on(letters: dict[int, str], weight: str) -> None:
    rows = [{"id": 1, "pid": 7, "state": "idle"}, {"id": 2, "pid": 8, "state": "idle"}, "odd"]
    found = list(appside.frozen(subject(workers=rows), letters))
    assert found[0].mend == ("kill -CONT 7",) and "worker 1 (pid 7)" in found[0].what
    assert {one.weight for one in found} == {weight}
    assert not list(appside.frozen(subject(workers=rows), {7: "S", 8: "R"}))


def test_a_module_that_ends_the_process_is_named() -> None:
    about = subject("BACKOFF", error="exited with code 3", wanted="up")
    for one in (the(appside.findings(about)), the(appside.tried(about, False, "exited with code 3"))):
        assert "exited with code 3: its module ended the process" in one.what


def test_a_module_that_is_not_there_is_installed_as_the_apps_user() -> None:
    error = (
        "ModuleNotFoundError: No module named 'flask' -- /v has none: /v/bin/python -m pip installs flask, or the "
        "package that brings it"
    )
    about = subject("FATAL", told=spec(virtualenv="/v"), error=error, traceback=f"Traceback\n{error}")
    one = the(appside.findings(about))
    assert one.mend == (
        "# as alice: /v/bin/python -m pip install flask  # or the package that brings it",
        "emperorctl check --import /e/blog.ini  # until it is well",
        "# mend it, then: emperorctl start blog",
    )
    evil = "ModuleNotFoundError: No module named 'x; reboot'"
    assert not any("reboot" in line for line in the(appside.tried(about, False, evil)).mend)


def test_who_has_a_port_is_to_be_seen() -> None:
    about = subject("BACKOFF", error="127.0.0.1:3031: bind: Address already in use -- ss -ltnp shows who has it")
    assert the(appside.findings(about)).mend[0].startswith("ss -ltnp 'sport = :3031'")


def test_a_start_that_has_just_begun_and_what_is_well_are_no_findings() -> None:
    for about in (subject("STARTING", uptime=0.2), subject(), subject("IDLE"), subject("STOPPED")):
        assert not list(appside.findings(about))


def test_all_busy_and_one_for_long_is_stuck() -> None:
    row = {"state": "busy", "doing": "GET /x", "doing_for": 90.0}
    one = the(appside.findings(subject(workers=[row])))
    assert one.kind == "app-stuck" and "GET /x" in one.what and "0:01:30" in one.what
    assert not list(appside.findings(subject(workers=[row, {"state": "idle"}])))
    assert not list(appside.findings(subject(workers=[row, {"state": "starting"}, {"state": "retiring"}])))


def test_each_fatal_problem_is_a_finding_and_no_warning_is() -> None:
    problems = [
        {"path": "/e/blog.ini", "line": 3, "option": "uid", "message": "no -- chmod x", "fatal": True},
        {"path": "/e/blog.ini", "line": 4, "option": "x", "message": "odd", "fatal": False},
    ]
    one = the(appside.findings(subject("INVALID", problems=problems)))
    assert one.what == "/e/blog.ini:3: uid: no"


def test_what_its_user_does_not_get_to_fails_now_or_at_the_next_start() -> None:
    problem = Problem("/e/blog.ini", 0, "chdir", "alice cannot enter /x -- chmod o+x /x")
    down = the(appside.paths(subject("BACKOFF"), [problem], ""))
    assert (down.kind, down.weight, down.mend) == (
        "app-path",
        FAILS,
        ("chmod o+x /x", "emperorctl restart blog"),
    )
    up = the(appside.paths(subject(), [problem], ""))
    assert (up.weight, up.mend) == (MAY_FAIL, ("chmod o+x /x",))
    assert the(appside.paths(subject("FATAL"), [], "virtualenv /v: no -- chmod o+x /v")).kind == "app-python"


def test_an_import_of_now_says_what_holds_now() -> None:
    waits = subject("BACKOFF", wanted="up")
    assert the(appside.tried(waits, True, "")).kind == "app-mended"
    failed = the(appside.tried(waits, False, "Traceback (most recent call last):\n  File\nKeyError: 1"))
    assert failed.kind == "app-failed" and "KeyError: 1" in failed.what
    assert not list(appside.tried(subject(), True, ""))
    assert the(appside.tried(subject(), False, "")).weight == MAY_FAIL


def test_what_was_seen_anew_is_not_said_twice() -> None:
    said = list(appside.findings(subject("BACKOFF", error="chdir: alice cannot enter /x")))
    problem = Problem("/e/blog.ini", 0, "chdir", "alice cannot enter /x -- chmod o+x /x")
    assert _without_echo(said, list(appside.paths(subject("BACKOFF"), [problem], ""))) == []
    assert _without_echo(said, []) == said


def test_an_error_that_a_missing_path_explains_is_said_once() -> None:
    said = list(appside.findings(subject("BACKOFF", error="FileNotFoundError: [Errno 2] No such file: '/a/app.py'")))
    for lost in ("/a/app.py", "/a"):
        problem = Problem("/e/blog.ini", 0, "wsgi-file", f"there is no {lost} -- name the file that is meant")
        assert _without_echo(said, list(appside.paths(subject("BACKOFF"), [problem], ""))) == []
    for other in ("/b", "/a/app"):
        problem = Problem("/e/blog.ini", 0, "chdir", f"there is no {other} -- name the folder that is meant")
        assert _without_echo(said, list(appside.paths(subject("BACKOFF"), [problem], ""))) == said


# The machine


def machine(**more: Any) -> Machine:
    return Machine("/run/emperor/control.sock", **{"web": WEB, **more})


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (machine(daemon="control socket: connect: No such file or directory", unit="/lib"), "no-emperor"),
        (machine(trouble="the emperor's log: No space left on device -- lines are lost"), "emperor-log"),
        (machine(web=None, web_name="nobody1"), "no-web-user"),
        (machine(watches=(95, 100)), "inotify"),
        (machine(instances=(128, 128)), "inotify"),
        (machine(files=(1000, 1024)), "open-files"),
        (machine(mounts=(Mount("the emperor", "/tmp", "emperor.service"),)), "hidden-folder"),
        (machine(disks=(Disk("/var/log", "log of blog", True, False),)), "disk-full"),
    ],
)
def test_each_trouble_of_the_machine_has_its_finding(seen: Machine, kind: str) -> None:
    assert the(machineside.findings(seen, ())).kind == kind


def test_another_emperors_socket_is_named() -> None:
    seen = machine(daemon="no", others=("/run/emperor/control.sock",))
    mend = the(machineside.findings(seen, ())).mend
    assert "emperorctl --control-socket /run/emperor/control.sock doctor  # there is another" in mend


def test_two_emperors_are_a_finding_where_they_quarrel_about_a_socket() -> None:
    taken = subject("BACKOFF", error=f"{PATH}: bind: somebody listens there -- ss -lxp shows who")
    assert the(machineside.findings(machine(emperors=(5, 6)), [taken])).kind == "two-emperors"
    assert not list(machineside.findings(machine(emperors=(5, 6)), [subject()]))
    assert not list(machineside.findings(machine(emperors=(5,)), [taken]))


def test_a_machine_without_trouble_has_none() -> None:
    seen = machine(emperors=(5,), watches=(10, 100), instances=(1, 128), files=(20, 1024), somaxconn=4096)
    assert not list(machineside.findings(seen, [subject()]))
    assert len(list(machineside.wells(seen))) == 2


def test_a_listen_above_somaxconn_and_too_few_files_are_told() -> None:
    about = subject(told=spec(socket={"backlog": 5000}))
    one = the(machineside.findings(machine(somaxconn=128), [about]))
    assert one.kind == "somaxconn" and one.mend[0] == "sysctl -w net.core.somaxconn=5000"
    assert the(machineside.open_files(about, 100)).kind == "open-files"
    assert not list(machineside.open_files(about, 65536))


def test_who_may_not_ask_is_told_whom_to_ask() -> None:
    one = the(machineside.findings(machine(daemon="connect: Permission denied", denied=True), ()))
    assert one.weight == MAY_FAIL and "root" in one.mend[0]


# Words


@pytest.mark.parametrize(
    ("message", "what", "mend"),
    [
        ("x: no -- chmod o+x /x", "x: no", ("chmod o+x /x",)),
        ("x: no -- chmod o+x /x, or name another", "x: no", ("chmod o+x /x", "# or: name another")),
        ("x: no -- mend it", "x: no", ("# mend it",)),
        ("x: no", "x: no", ()),
        ("x: no -- chmod 4777 /bin/bash", "x: no -- chmod 4777 /bin/bash", ()),
        ("x: no -- chmod o+w /etc/shadow", "x: no -- chmod o+w /etc/shadow", ()),
        ("x: no -- chmod o+x /x; reboot", "x: no -- chmod o+x /x; reboot", ()),
        ("x: no -- chmod o+x /$(reboot)", "x: no -- chmod o+x /$(reboot)", ()),
        ("no /a -- chmod o+r /b -- chmod o+x /c", "no /a -- chmod o+r /b -- chmod o+x /c", ()),
    ],
)
def test_the_mend_of_a_message_is_a_command_where_it_is_one(message: str, what: str, mend: tuple[str, ...]) -> None:
    assert mends.of_message(message) == (what, mend)


def test_a_path_with_spaces_is_quoted() -> None:
    odd = Step("/srv/my blog", FOLDER, 0o700, 1, 1, False, "", "x")
    assert mends.entered(Place((TOP, odd)), WEB, True)[0] == "setfacl -m u:www-data:x '/srv/my blog'"


@pytest.mark.parametrize(
    ("entries", "mode", "owner", "wanted", "may"),
    [
        ((), 0o700, (33, 0), 1, True),
        ((), 0o070, (1, 33), 2, True),
        ((), 0o707, (1, 33), 2, False),
        ((), 0o007, (1, 1), 2, True),
        (ACL, 0o640, (1, 1), 2, False),
        (ACL, 0o640, (1, 1), 4, True),
        (((USER, 7, 33),), 0o600, (1, 1), 2, True),
    ],
)
def test_who_may_is_judged_as_the_kernel_does(
    entries: tuple[tuple[int, int, int], ...], mode: int, owner: tuple[int, int], wanted: int, may: bool
) -> None:
    assert allows(entries, mode, owner, WEB, wanted) is may


def test_a_place_comes_back_from_a_deputy_as_it_was() -> None:
    step = ["/", "folder", 0o755, 0, 0, True, "", ""]
    raw = [[step], SOCKET, 0o660, 1, 2, [[2, 6, 33]], True, 9, 2**33 + 5]
    found = place_of(raw, {(9, 5): 77})
    assert found == Place((TOP,), SOCKET, 0o660, 1, 2, ((2, 6, 33),), True, 77)
    assert place_of(None, {}) is None


def test_what_fails_comes_first_and_each_finding_once() -> None:
    may, fails = Finding("a", "z", "", "", (), MAY_FAIL), Finding("a", "b", "", "", ())
    assert ordered([may, fails, may]) == [fails, may]


# The table


E2E = Path(__file__).resolve().parents[1] / "e2e"


@pytest.fixture(scope="module")
def breakages() -> str:
    return "".join(path.read_text() for path in sorted(E2E.glob("test_doctor_*.py")))


@pytest.mark.parametrize("kind", sorted({*KINDS, *WEB_KINDS}))
def test_each_kind_of_finding_has_a_deployment_that_is_broken_in_that_way(kind: str, breakages: str) -> None:
    assert f'"{kind}"' in breakages


def test_each_finding_that_code_makes_is_in_the_table() -> None:
    room = Path(appside.__file__).parent
    text = "".join((room / f"{name}.py").read_text() for name in ("appside", "socketside", "replies", "machineside"))
    named = {kind for kind in KINDS if f'"{kind}"' in text}
    assert named == set(KINDS)


def test_a_warning_about_a_mode_is_left_out_where_the_mode_itself_was_seen() -> None:
    seen = Finding("socket-mode", "blog", "socket /s: mode 0755", "502", ("chmod g+w /s",))
    warned = [
        Finding("warned", "blog", "/e/blog.ini:3: chmod-socket: 755 shuts www-data out", "", (), MAY_FAIL),
        Finding("warned", "blog", "/e/blog.ini:4: procesess: unknown option", "", (), MAY_FAIL),
        Finding("warned", "shop", "/e/shop.ini:3: chmod-socket: 755 shuts www-data out", "", (), MAY_FAIL),
    ]
    assert _without_doubles([seen, *warned]) == [seen, *warned[1:]]
    assert _without_doubles(warned) == warned
