"""``emperorctl nginx``, ``apache``, ``lighttpd``: whom they ask, what they print where, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Optional

import pytest

from emperor.config.spec import Checked
from emperor.control.messages import Request, decode, encode
from emperor.ctl import cli, faces
from emperor.ctl.console import Console
from emperor.errors import EmperorError
from emperor.intake.reading import Settings
from emperor.model import UNIX, UWSGI, Address, Identity, Problem, SocketSpec, Target, VassalSpec

SPEC = VassalSpec(
    name="blog",
    config="/etc/emperor/blog.ini",
    folder="/etc/emperor",
    identity=Identity(1000, 1000, (1000,), "alice", "/home/alice"),
    sockets=(SocketSpec(UWSGI, Address(UNIX, "/run/emperor/blog.sock")),),
    targets=(Target("", "module", "blog", "app"),),
)
REPLY = {"ok": True, "exit": 0, "data": asdict(SPEC)}
VERBS = ("nginx", "apache", "lighttpd")


class NoAccounts:
    def web_identity(self, user: Optional[str], group: Optional[str]) -> None:
        return None


@pytest.fixture(autouse=True)
def no_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces, "SystemAccounts", NoAccounts)


class Desk:
    """Somebody who types, and an emperor who answers as told."""

    def __init__(self, *replies: dict[str, Any], **more: Any) -> None:
        self.replies = [json.loads(json.dumps(one)) for one in replies]
        self.asked: list[Request] = []
        self.out: list[str] = []
        self.err: list[str] = []
        self.console = Console(self.out.append, self.err.append, self._ask, lambda seconds: None, **more)

    def _ask(self, request: Request, timeout: Optional[float]) -> Iterator[dict[str, Any]]:
        self.asked.append(request)
        yield from self.replies

    def types(self, *argv: str) -> int:
        return faces.run(cli.parser(argv).parse_args(argv), self.console)


@pytest.mark.parametrize("verb", VERBS)
def test_the_text_alone_is_on_standard_output(verb: str) -> None:
    desk = Desk(REPLY)
    assert desk.types(verb, "blog") == 0
    assert "".join(desk.out).startswith(f"# {verb} for the vassal blog (/etc/emperor/blog.ini)")
    assert "/run/emperor/blog.sock" in "".join(desk.out)
    assert desk.err == []
    assert desk.asked == [Request("spec", ("blog",))]
    assert decode(encode(desk.asked[0])) == desk.asked[0]


def test_what_must_be_known_is_on_standard_error_as_well() -> None:
    shut = {**asdict(SPEC), "sockets": [{**asdict(SPEC.sockets[0]), "address": {"family": "tcp", "port": 3031}}]}
    desk = Desk({**REPLY, "data": shut})
    assert desk.types("nginx", "blog") == 0
    assert "# NOTE: whoever reaches the TCP socket" in desk.out[0]
    assert desk.err[0].startswith("emperorctl: blog: note: whoever reaches the TCP socket")


def test_what_is_asked_for_in_vain_is_told_on_both() -> None:
    desk = Desk(REPLY)
    assert desk.types("lighttpd", "blog", "--listen", "8080") == 0
    assert any("note: --listen: lighttpd listens" in line for line in desk.err)
    assert "# NOTE: --listen: lighttpd listens" in "".join(desk.out)


def test_for_programs_text_and_notes_are_json() -> None:
    desk = Desk(REPLY, json=True)
    assert desk.types("nginx", "blog", "--prefix", "/shop/") == 0
    assert json.loads("".join(desk.out))["notes"] == []
    assert "/shop" in json.loads("".join(desk.out))["text"]


@pytest.mark.parametrize(
    "words", [("--prefix", "shop"), ("--server-name", "a b"), ("--listen", "http"), ("--prefix", "/a;b")]
)
def test_what_is_no_prefix_name_or_port_is_a_mistake_of_usage(words: tuple[str, ...]) -> None:
    desk = Desk(REPLY)
    assert desk.types("nginx", "blog", *words) == 2
    assert (desk.asked, desk.out) == ([], []) and desk.err[0].startswith(f"emperorctl: {words[0]}: ")


def test_what_cannot_be_printed_exits_one_and_prints_nothing() -> None:
    bad = {**asdict(SPEC), "sockets": [{**asdict(SPEC.sockets[0]), "address": {"family": "unix", "path": '/a";x'}}]}
    desk = Desk({**REPLY, "data": bad})
    assert desk.types("nginx", "blog") == 1
    assert desk.out == [] and desk.err[0].startswith("emperorctl: nginx: socket: its path")


@pytest.mark.parametrize("code", [4, 6])
def test_a_refusal_is_told_with_its_exit_code(code: int) -> None:
    desk = Desk({"ok": False, "exit": code, "error": "blog: no such vassal"})
    assert desk.types("apache", "blog") == code
    assert (desk.out, desk.err) == ([], ["emperorctl: blog: no such vassal\n"])


def test_a_name_that_no_vassal_can_have_is_not_asked_for() -> None:
    desk = Desk(REPLY)
    assert desk.types("nginx", "a b\x1b") == 6
    assert (desk.asked, desk.err) == ([], ["emperorctl: a b\\x1b: no such vassal\n"])


@pytest.mark.parametrize("data", [None, [], {"name": "x"}, {**asdict(SPEC), "from": "the future"}])
def test_an_emperor_of_another_version_is_named(data: Any) -> None:
    with pytest.raises(EmperorError, match="another version"):
        Desk({**REPLY, "data": data}).types("nginx", "blog")


def test_a_file_is_read_without_an_emperor(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, str]] = []

    def found(path: str, settings: Settings) -> Checked:
        read.append((path, settings.defaults))
        return Checked(SPEC, ())

    monkeypatch.setattr(faces, "check_file", found)
    desk = Desk()
    assert desk.types("nginx", "./blog.ini", "--vassals-defaults", "/etc/default.ini") == 0
    assert read == [("./blog.ini", "/etc/default.ini")]
    assert "/run/emperor/blog.sock" in desk.out[0]


def test_a_file_that_is_invalid_exits_six_with_every_error(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = (Problem("a.ini", 3, "uid", "there is no such user"), Problem("a.ini", 4, "x", "odd", fatal=False))
    monkeypatch.setattr(faces, "check_file", lambda path, settings: Checked(None, problems))
    desk = Desk()
    assert desk.types("nginx", "a.ini") == 6
    assert (desk.out, desk.err) == ([], ["emperorctl: a.ini:3: uid: there is no such user\n"])


@pytest.mark.parametrize("verb", ["nginx", "apache"])
def test_the_command_that_prints_it_again_is_whole(verb: str) -> None:
    desk = Desk(REPLY)
    words = ("--server-name", "www.example.org", "--listen", "127.0.0.1:8080")
    assert desk.types(verb, "blog", *words) == 0
    assert f"as printed by: emperorctl {verb} blog {' '.join(words)}\n" in desk.out[0]


def test_a_files_default_socket_is_beside_the_control_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def check_file(path: str, settings: Settings) -> Checked:
        seen.append(settings)
        return Checked(SPEC, ())

    monkeypatch.setattr(faces, "check_file", check_file)
    assert Desk().types("nginx", "./blog.ini", "--control-socket", "/srv/e/control.sock") == 0
    assert Desk().types("nginx", "./blog.ini") == 0
    assert [one.runtime for one in seen] == ["/srv/e", ""]
