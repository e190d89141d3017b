"""``emperorctl request``: what it asks of whom, what it says, and with what it exits; nobody is really asked."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, Optional

import pytest

from emperor.control.messages import Request
from emperor.ctl import answered, cli, request
from emperor.ctl.console import Console
from emperor.ctl.wanted import Door, Refused, Wanted, door_of, door_of_address, question
from emperor.model import ABSTRACT, FASTCGI, HTTP, TCP, UNIX, UWSGI, Address, Identity, SocketSpec, Target, VassalSpec
from emperor.probe import asking
from emperor.probe.question import ANSWER, CONNECT, Answer, Failure, Question
from emperor.probe.recognising import by_bytes
from emperor.probe.told import variables

SOCKET = Address(UNIX, "/run/emperor/blog.sock")
PORT = Address(TCP, host="0.0.0.0", port=3031)
SPEC = VassalSpec(
    name="blog",
    config="/etc/emperor/blog.ini",
    folder="/etc/emperor",
    identity=Identity(1000, 1000, (1000,), "alice", "/home/alice"),
    sockets=(SocketSpec(HTTP, PORT), SocketSpec(UWSGI, SOCKET)),
    targets=(Target("", "module", "blog", "app"),),
)
MOUNTED = replace(SPEC, targets=(Target("/shop", "module", "shop", "app"),))
WEB = Identity(33, 33, (33,), "www-data", "/var/www")
WELL = Answer(200, "OK", (("Content-Type", "text/html"),), b"hi\r\n\x1b[2J", b"oh\n", 0.0001, 0.0123, 1.5)


class Accounts:
    def user(self, name: str) -> Optional[Identity]:
        return {"www-data": WEB, "alice": SPEC.identity}.get(name)

    def web_identity(self, user: Optional[str], group: Optional[str]) -> Identity:
        return WEB


class Desk:
    """Somebody who types; ``asked``: each question, and as whom."""

    def __init__(self, found: Answer | Failure = WELL, reply: Any = None, **more: Any) -> None:
        self.found = found
        self.reply = {"ok": True, "exit": 0, "data": asdict(SPEC)} if reply is None else reply
        self.asked: list[tuple[Question, Optional[Identity]]] = []
        self.orders: list[Request] = []
        self.out: list[str] = []
        self.err: list[str] = []
        self.console = Console(
            self.out.append, self.err.append, self._order, lambda seconds: None, **{"terminal": True, **more}
        )

    def _order(self, order: Request, timeout: Optional[float]) -> Iterator[dict[str, Any]]:
        self.orders.append(order)
        yield json.loads(json.dumps(self.reply))

    def ask(self, question: Question, identity: Optional[Identity]) -> Answer | Failure:
        self.asked.append((question, identity))
        return self.found

    def types(self, *argv: str, euid: int = 0) -> int:
        line = ["request", *argv]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(request, "SystemAccounts", Accounts)
            patch.setattr(request, "ask_as", self.ask)
            patch.setattr(os, "geteuid", lambda: euid)
            return request.run(cli.parser(line).parse_args(line), self.console)

    @property
    def question(self) -> Question:
        return self.asked[0][0]


def test_a_vassal_is_asked_at_the_socket_that_nginx_is_told_of_as_the_web_servers_user() -> None:
    desk = Desk()
    assert desk.types("blog", "/a b?c=d") == 0
    assert desk.orders == [Request("spec", ("blog",))]
    assert desk.asked == [(Question(UWSGI, SOCKET, "/a%20b?c=d"), WEB)]
    assert (desk.out, desk.err) == (["hi\n\\x1b[2J\n"], [])


def test_a_bare_name_is_the_root_or_the_mount() -> None:
    assert question(door_of(SPEC), Wanted()).target == "/"
    asked = question(door_of(MOUNTED), Wanted())
    assert (asked.target, asked.script_name) == ("/shop/", "/shop")
    assert question(door_of(MOUNTED), Wanted(path="/shop?x")).script_name == "/shop"
    managed = question(door_of(replace(MOUNTED, manage_script_name=True)), Wanted(path="/shop/x"))
    assert (managed.target, managed.script_name) == ("/shop/x", "")
    for path in ("/", "/shopping"):
        with pytest.raises(Refused, match="below /shop"):
            question(door_of(MOUNTED), Wanted(path=path))
    assert question(door_of(MOUNTED), Wanted(path="/x", script_name="")).target == "/x"


def test_one_of_several_sockets_is_chosen_by_number_or_address() -> None:
    for which in ("1", "0.0.0.0:3031"):
        assert door_of(SPEC, which).protocol == HTTP
    assert door_of(SPEC, "unix:/run/emperor/blog.sock").protocol == UWSGI
    with pytest.raises(Refused, match=r"1: 0\.0\.0\.0:3031, 2: /run"):
        door_of(SPEC, "3")
    only = replace(SPEC, sockets=(SocketSpec(FASTCGI, Address(ABSTRACT, "blog")),))
    assert door_of(only).address == Address(ABSTRACT, "blog"), "no web server can, and we can"


def test_an_address_needs_no_emperor_and_a_protocol() -> None:
    for text, address in {
        "unix:/run/x.sock": Address(UNIX, "/run/x.sock"),
        "/run/x.sock": Address(UNIX, "/run/x.sock"),
        "@x": Address(ABSTRACT, "x"),
        "unix:@x": Address(ABSTRACT, "x"),
        "127.0.0.1:3031": Address(TCP, host="127.0.0.1", port=3031),
        "[::1]:3031": Address(TCP, host="::1", port=3031),
        "localhost:3031": Address(TCP, host="127.0.0.1", port=3031),
    }.items():
        assert door_of_address(text, FASTCGI) == Door(FASTCGI, address)
    desk = Desk()
    assert desk.types("unix:/run/x.sock", "--protocol", "fastcgi", "/x", "--param", "SCRIPT_FILENAME=/x.php") == 0
    assert desk.orders == []
    assert desk.question == Question(
        FASTCGI, Address(UNIX, "/run/x.sock"), "/x", extra=(("SCRIPT_FILENAME", "/x.php"),)
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("unix:/run/x.sock",), "add --protocol"),
        (("127.0.0.1:99999", "--protocol", "uwsgi"), "no address"),
        (("example.org:80", "--protocol", "http"), "not looked up"),
        (("blog", "x"), "begins with /"),
        (("blog", "--as", "nobody-knows"), "no such user"),
        (("blog", "-d", "@/nowhere/at/all"), "No such file"),
        (("blog", "--socket", "9"), "no such socket"),
    ],
)
def test_what_cannot_be_is_a_usage_error_and_nobody_is_asked(argv: tuple[str, ...], words: str) -> None:
    desk = Desk()
    assert desk.types(*argv) == 2
    assert words in "".join(desk.err) and desk.err[0].startswith("emperorctl: request: ")
    assert not desk.asked


@pytest.mark.parametrize(
    "argv", [("-H", "no colon"), ("-H", "a b: c"), ("-H", "A: b\r\nC: d"), ("-X", "GE T"), ("--param", "9=x")]
)
def test_what_is_no_header_is_refused_by_the_command_line(argv: tuple[str, ...], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        Desk().types("blog", *argv)
    told = capsys.readouterr().err
    assert caught.value.code == 2
    assert "write it as in" in told or "one line" in told


def test_data_makes_a_post_and_a_form(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    assert desk.types("blog", "/login", "-d", "a=1", "-H", "Accept: a/b", "-H", "Host: x.org", "--host", "y.org") == 0
    asked = desk.question
    assert (asked.method, asked.body, asked.host) == ("POST", b"a=1", "y.org")
    assert asked.headers[-1] == ("Content-Type", "application/x-www-form-urlencoded")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))
    desk = Desk()
    assert desk.types("blog", "-X", "PUT", "-d", "-", "-H", "content-type: text/plain") == 0
    assert (desk.question.method, desk.question.body) == ("PUT", b"\xff")
    assert desk.question.headers == (("content-type", "text/plain"),)


def test_whoever_is_not_root_asks_as_themselves_alone() -> None:
    for argv in (("blog",), ("blog", "--as", "alice")):
        desk = Desk()
        assert desk.types(*argv, euid=1000) == 0
        assert desk.asked[0][1] is None
    desk = Desk()
    assert desk.types("blog", "--as", "www-data", euid=1000) == 4
    assert not desk.asked and "only root" in desk.err[0]
    desk = Desk()
    desk.types("blog", "--as", "alice")
    assert desk.asked[0][1] == SPEC.identity


def test_who_is_not_known_is_no_vassal_and_the_emperors_own_words_are_told() -> None:
    desk = Desk(reply={"ok": False, "exit": 6, "error": "shop: no such vassal"})
    assert desk.types("shop") == 6
    assert desk.err == ["emperorctl: shop: no such vassal\n"]
    desk = Desk()
    assert desk.types("!x") == 6
    assert desk.orders == []


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (WELL, 0),
        (WELL._replace(status=404), 0),
        (WELL._replace(cut=True), 0),
        (WELL._replace(status=500), 1),
        (WELL._replace(cut=True, flaw="it ended"), 1),
        (Failure(ANSWER, "no answer within 10 s"), 1),
    ],
)
def test_the_exit_code_is_what_a_visitor_would_see(found: Answer | Failure, code: int) -> None:
    assert Desk(found).types("blog") == code
    assert Desk(found, json=True).types("blog") == code


DOOR = Door(UWSGI, Address(UNIX, "/run/x.sock"), vassal="blog")


@pytest.mark.parametrize(
    ("door", "found", "line"),
    [
        (
            DOOR,
            Failure(CONNECT, "Permission denied", errno.EACCES),
            "unix:/run/x.sock: connect as www-data: Permission denied -- emperorctl doctor blog says which folder",
        ),
        (
            DOOR,
            Failure(ANSWER, "it speaks FastCGI, not uwsgi", speaks=FASTCGI),
            "unix:/run/x.sock: asked as www-data: it speaks FastCGI, not uwsgi -- --protocol fastcgi asks it so; a web "
            "server must use fastcgi_pass",
        ),
        (
            replace(DOOR, vassal="", address=PORT),
            Failure(CONNECT, "Connection refused", errno.ECONNREFUSED),
            "0.0.0.0:3031: connect as www-data: Connection refused -- nobody listens there",
        ),
        (
            DOOR,
            Failure(ANSWER, "no answer within 10 s"),
            "unix:/run/x.sock: asked as www-data: no answer within 10 s "
            "-- emperorctl logs blog has what it says itself",
        ),
    ],
)
def test_a_failure_is_one_line_that_says_what_to_do(door: Door, found: Failure, line: str) -> None:
    assert answered.failed(door, "www-data", found) == line


def test_the_head_is_shown_where_it_is_wanted() -> None:
    desk = Desk(WELL._replace(headers=(("X", "a\x1b]0;b"),)))
    desk.types("blog", "-i")
    assert desk.out[0] == "HTTP/1.1 200 OK\nX: a\\x1b]0;b\n\n"


def test_verbose_tells_what_is_sent_what_came_and_how_long_it_took() -> None:
    desk = Desk()
    desk.types("blog", "-v")
    told = "".join(desk.err)
    for words in (
        "* unix:/run/emperor/blog.sock, uwsgi, as www-data\n",
        "> REQUEST_METHOD GET\n",
        "< 200 OK\n",
        "! oh\n",
        "* connected after 0.1 ms, first byte after 12.3 ms, all after 1.50 s: 8 bytes\n",
    ):
        assert words in told


def test_in_a_pipe_the_body_is_what_it_is(capsysbinary: Any) -> None:
    Desk(WELL._replace(body=b"\xff\x00\r\n\x1b"), terminal=False).types("blog")
    assert capsysbinary.readouterr().out == b"\xff\x00\r\n\x1b"


def test_json_holds_everything() -> None:
    desk = Desk(WELL._replace(body=b"\xff"), json=True)
    desk.types("blog")
    facts = json.loads("".join(desk.out))
    assert (facts["vassal"], facts["as"], facts["protocol"]) == ("blog", "www-data", "uwsgi")
    assert facts["variables"]["REQUEST_URI"] == "/"
    assert facts["answer"]["body"] is None and facts["answer"]["body_base64"] == "/w=="
    assert facts["answer"]["headers"] == [["Content-Type", "text/html"]]
    desk = Desk(Failure(CONNECT, "Permission denied", errno.EACCES), json=True)
    desk.types("blog")
    facts = json.loads("".join(desk.out))
    assert facts["answer"] is None and facts["failure"]["errno"] == errno.EACCES


# --- what is sent, and what is believed ---


def test_variables_are_those_of_nginx() -> None:
    asked = Question(
        FASTCGI,
        SOCKET,
        "/shop/a%2Fb?c=d",
        "POST",
        (("Cookie", "a"), ("cookie", "b"), ("X-A", "1"), ("X-A", "2"), ("X_B", "no"), ("Content-Length", "999")),
        b"body",
        script_name="/shop",
        host="example.org:8080",
    )
    found = variables(asked)
    told = dict(found)
    assert len(found) == len(told), "each once"
    assert told == {
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": "4",
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/shop",
        "PATH_INFO": "/a/b",
        "QUERY_STRING": "c=d",
        "REQUEST_URI": "/shop/a%2Fb?c=d",
        "DOCUMENT_URI": "/shop/a/b",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.org:8080",
        "HTTP_COOKIE": "a; b",
        "HTTP_X_A": "1, 2",
        "REQUEST_SCHEME": "http",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "8080",
        "GATEWAY_INTERFACE": "CGI/1.1",
    }
    assert dict(variables(asked._replace(extra=(("SCRIPT_NAME", "/x"),))))["SCRIPT_NAME"] == "/x"


def test_a_length_is_told_where_there_is_a_body() -> None:
    lengths = {
        method: dict(variables(Question(UWSGI, SOCKET, method=method)))["CONTENT_LENGTH"] for method in ("GET", "POST")
    }
    assert lengths == {"GET": "", "POST": "0"}


def test_a_record_of_fastcgi_is_known_by_its_first_bytes() -> None:
    assert by_bytes(b"\x01\x0b\x00\x00") == by_bytes(b"\x01\x06") == FASTCGI
    for other in (b"", b"\x01", b"\x00\x06", b"\x01\x01", b"HTTP/1.1 200 OK"):
        assert by_bytes(other) == ""


def test_what_a_deputy_tells_is_checked_before_it_is_believed() -> None:
    for value in (WELL, Failure(CONNECT, "no", 13, 0.5, UWSGI, b"\xff")):
        told = json.loads(json.dumps([type(value).__name__, [asking._text(one) for one in value]]))
        assert asking._heard(told) == value
    for lie in (
        None,
        1,
        [],
        ["Answer"],
        ["Answer", [1, 2]],
        ["Failure", ["x"]],
        ["Answer", "x" * 10],
        {"a": 1, "b": 2},
    ):
        assert asking._heard(lie) is None
