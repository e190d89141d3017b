"""Where the front door sends a path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emperor.errors import ChannelError
from emperor.frontdoor.routing import Moved, Place, Table, Vassal, parse_address, parse_length, parse_table


def _vassal(name: str, *mounts: str, state: str = "RUNNING") -> Vassal:
    return Vassal(name, state, "uwsgi", f"/run/emperor/{name}.sock", mounts)


HELLO, SITE, DEEP = _vassal("hello"), _vassal("site", "/app", "/app/admin"), _vassal("deep", "/app/adm")
TABLE = Table((DEEP, HELLO, SITE))


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/hello", Moved("/hello/")),
        ("/hello/", Place(HELLO, "/hello", "/")),
        ("/hello/a/b/", Place(HELLO, "/hello", "/a/b/")),
        ("/hello//a", Place(HELLO, "/hello", "//a")),
        ("/hellos", None),
        ("/nobody/", None),
        ("//hello/", None),
        ("*", None),
        ("/app", Place(SITE, "", "/app")),
        ("/app/", Place(SITE, "", "/app/")),
        ("/apple", None),
        ("/app/admin/x", Place(SITE, "", "/app/admin/x")),
        ("/app/adm/x", Place(DEEP, "", "/app/adm/x")),
        ("/site", Moved("/app/")),
        ("/site/", Moved("/app/")),
        ("/site/x", None),
    ],
)
def test_the_longest_prefix_decides(path: str, answer: Any) -> None:
    assert TABLE.find(path) == answer


def test_a_name_wins_against_somebody_elses_mount() -> None:
    table = Table((_vassal("aaa", "/hello", "/there"), HELLO))
    assert table.find("/hello/x") == Place(HELLO, "/hello", "/x")


def test_a_mount_wins_against_the_redirect_of_its_own_name() -> None:
    app = _vassal("app", "/app")
    assert Table((app,)).find("/app/") == Place(app, "", "/app/")


def test_the_state_of_a_vassal_that_left_the_table_is_stopped() -> None:
    assert TABLE.state("gone") == "STOPPED"
    assert TABLE.state("hello") == "RUNNING"


def _line(**changes: Any) -> bytes:
    row = {"name": "blog", "state": "RUNNING", "protocol": "fastcgi", "address": "@blog", "mounts": []}
    return json.dumps([{**row, **changes}]).encode()


def test_a_line_is_a_table_sorted_by_name() -> None:
    line = b'[{"name":"b","state":"IDLE","protocol":"uwsgi","address":"127.0.0.1:1","mounts":["/x/"]},'
    line += b'{"name":"a","state":"BACKOFF","protocol":"fastcgi","address":"@a"}]'
    assert parse_table(line) == Table(
        (Vassal("a", "BACKOFF", "fastcgi", "@a"), Vassal("b", "IDLE", "uwsgi", "127.0.0.1:1", ("/x",)))
    )


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b"[1]",
        b'[{"name": "x"}]',
        b"\xff",
        _line(name=1),
        _line(mounts=[1]),
        _line(mounts=None),
    ],
)
def test_anything_else_is_an_error_and_never_half_a_table(line: bytes) -> None:
    with pytest.raises(ChannelError):
        parse_table(line)


@pytest.mark.parametrize(
    ("mounts", "clean"),
    [
        (["/app/"], ("/app",)),
        (["app"], ("/app",)),
        (["//elsewhere.example"], ("/elsewhere.example",)),
        (["/"], ()),
        ([""], ()),
        (["/admin", "/"], ()),
    ],
)
def test_mounts_have_one_slash_in_front_and_the_root_means_by_name(mounts: list[str], clean: tuple[str, ...]) -> None:
    assert parse_table(_line(mounts=mounts)).vassals[0].mounts == clean


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/run/a.sock", "/run/a.sock"),
        ("/run/a:1", "/run/a:1"),
        ("@a:1", "\0a:1"),
        ("127.0.0.1:3031", ("127.0.0.1", 3031)),
        ("[::1]:80", ("::1", 80)),
        (":3031", ("127.0.0.1", 3031)),
    ],
)
def test_addresses(text: str, target: Any) -> None:
    assert parse_address(text) == target


@pytest.mark.parametrize("text", ["", "relative.sock", "host:", "host:http", "host:+1", "host:١"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not an address"):
        parse_address(text)


@pytest.mark.parametrize(("text", "length"), [("", 0), ("0", 0), ("17", 17), ("007", 7)])
def test_lengths(text: str, length: int) -> None:
    assert parse_length(text) == length


@pytest.mark.parametrize("text", ["-1", "+5", "5_0", " 5", "5 ", "0x5", "١", "5,5", "1" * 19])
def test_a_length_is_ascii_digits_only(text: str) -> None:
    """RFC 9110 section 8.6: Content-Length = 1*DIGIT."""
    assert parse_length(text) is None
