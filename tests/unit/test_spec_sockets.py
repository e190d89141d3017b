"""The sockets of a spec: where, who may connect, and who may ask for what."""

from __future__ import annotations

from typing import Any

import pytest

from emperor.model import ABSTRACT, FASTCGI, HTTP, OWNER, TCP, UNIX, UWSGI, Address, Authority, SocketSpec
from tests.unit.config_world import ALICE, APP, BY_ADMIN, BY_ALICE, faults, spec, warnings

DEFAULT = Address(UNIX, path="/run/emperor/blog.sock")


def sockets(*lines: str, **context: Any) -> list[tuple[str, str]]:
    return [(one.protocol, str(one.address)) for one in spec(APP, *lines, **context).sockets]


def test_none_named_is_the_vassals_own_in_the_runtime_folder_and_silent() -> None:
    assert spec(APP).sockets == (SocketSpec(UWSGI, DEFAULT),)
    assert spec(APP).sockets[0].silent


def test_the_default_socket_speaks_the_protocol() -> None:
    assert spec(APP, "protocol = fastcgi").sockets == (SocketSpec(FASTCGI, DEFAULT),)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("socket = /run/a.sock", Address(UNIX, path="/run/a.sock")),
        ("socket = %d/a.sock", Address(UNIX, path="/etc/emperor/vassals.d/a.sock")),
        ("socket = a.sock", Address(UNIX, path="/etc/emperor/vassals.d/a.sock")),
        ("socket = @a", Address(ABSTRACT, path="a")),
        ("socket = 127.0.0.1:3031", Address(TCP, host="127.0.0.1", port=3031)),
    ],
)
def test_an_address_is_resolved(line: str, address: Address) -> None:
    assert [one.address for one in spec(APP, line).sockets] == [address]


def test_some_options_fix_the_protocol_and_socket_takes_the_inis() -> None:
    found = sockets("socket = /a", "uwsgi-socket = /b", "fastcgi-socket = /c", "protocol = fastcgi")
    assert found == [("fastcgi", "/a"), ("uwsgi", "/b"), ("fastcgi", "/c")]


def test_http_is_a_protocol_like_the_others() -> None:
    assert spec(APP, "protocol = http").sockets == (SocketSpec(HTTP, DEFAULT),)
    found = sockets("http-socket = 127.0.0.1:8080", "socket = /a", "http-socket = /b", "protocol = fastcgi")
    assert found == [("http", "127.0.0.1:8080"), ("fastcgi", "/a"), ("http", "/b")]


def test_a_path_that_becomes_too_long_is_refused() -> None:
    ((line, _, message),) = faults(APP, f"socket = {'x' * 100}")
    assert line == 3 and "107" in message


def test_a_default_path_that_is_too_long_is_refused_with_what_to_write() -> None:
    ((line, _, message),) = faults(APP, runtime="/run/" + "x" * 100)
    assert line == 0 and "write socket =" in message


@pytest.mark.parametrize(
    ("lines", "mode", "umask"),
    [
        (("chmod-socket = 664",), 0o664, None),
        (("chmod-socket",), 0o666, None),
        (("socket-umask = 000",), None, 0),
        (("umask = 022",), None, 0o022),
        (("umask = 022", "socket-umask = 007"), None, 0o007),
        (("chmod-socket = 020", "socket-umask = 0"), 0o020, 0),
    ],
)
def test_mode_and_umask_are_those_of_the_ini(lines: tuple[str, ...], mode: int | None, umask: int | None) -> None:
    (found,) = spec(APP, *lines).sockets
    assert (found.mode, found.umask, found.silent) == (mode, umask, False)


@pytest.mark.parametrize(
    ("value", "uid", "gid"),
    [("alice", 1001, None), ("alice:www-data", 1001, 33), (":shadow", None, 42), ("0:0", 0, 0)],
)
def test_the_administrator_gives_a_socket_to_anybody(value: str, uid: int | None, gid: int | None) -> None:
    (found,) = spec(APP, f"chown-socket = {value}").sockets
    assert (found.uid, found.gid) == (uid, gid)


@pytest.mark.parametrize("value", ["alice", "alice:alice", ":sudo", "alice:www-data"])
def test_a_user_gives_a_socket_to_their_groups_and_the_web_servers(value: str) -> None:
    assert spec(APP, f"chown-socket = {value}", authority=BY_ALICE).sockets[0].silent is False


@pytest.mark.parametrize("value", ["bob", "root", "alice:shadow", ":root"])
def test_a_user_gives_a_socket_to_nobody_else(value: str) -> None:
    found = faults(APP, f"chown-socket = {value}", authority=BY_ALICE)
    assert [(line, option) for line, option, _ in found] == [(3, "chown-socket")]


def test_without_root_the_web_servers_group_cannot_be_given_a_socket() -> None:
    ((line, _, message),) = faults(APP, "chown-socket = alice:www-data", own=ALICE)
    assert line == 3 and "as root" in message


@pytest.mark.parametrize("port", [80, 1023])
def test_a_low_port_is_the_administrators_to_give(port: int) -> None:
    assert sockets(f"socket = 127.0.0.1:{port}") == [("uwsgi", f"127.0.0.1:{port}")]
    found = faults(APP, f"socket = 127.0.0.1:{port}", authority=BY_ALICE)
    assert [(line, option) for line, option, _ in found] == [(3, "socket")]


def test_a_high_port_is_anybodys() -> None:
    assert sockets("socket = 127.0.0.1:1024", authority=BY_ALICE) == [("uwsgi", "127.0.0.1:1024")]


def test_a_low_port_is_not_for_a_tyrants_vassal() -> None:
    found = faults(APP, "socket = 127.0.0.1:80", authority=Authority(OWNER, 1001), tyrant=True)
    assert [line for line, _, _ in found] == [3]


@pytest.mark.parametrize("host", ["", "0.0.0.0", "[::]", "10.0.0.1"])
def test_a_port_that_others_can_reach_is_a_warning(host: str) -> None:
    ((line, _, message),) = warnings(APP, f"socket = {host}:3031")
    assert line == 3 and "127.0.0.1" in message


def test_http_on_a_port_that_others_can_reach_is_a_warning_of_its_own() -> None:
    ((line, _, message),) = warnings(APP, "http-socket = :8080")
    assert line == 3 and "no TLS" in message and "127.0.0.1" in message


@pytest.mark.parametrize("option", ["socket", "http-socket"])
@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"])
def test_a_port_of_this_machine_is_none(option: str, host: str) -> None:
    assert warnings(APP, f"{option} = {host}:3031") == []


@pytest.mark.parametrize("authority", [BY_ADMIN, BY_ALICE])
def test_a_hosts_name_is_refused_whoever_wrote_it(authority: Authority) -> None:
    ((line, option, message),) = faults(APP, "socket = app.example.org:3031", authority=authority)
    assert (line, option) == (3, "socket") and "write an IP address" in message


def test_localhost_is_this_machine_without_asking_anybody() -> None:
    assert sockets("socket = localhost:3031") == [("uwsgi", "127.0.0.1:3031")]


@pytest.mark.parametrize("path", ["/run/emperor/shop.sock", "/run/emperor/lib/x", "/run/./emperor/../emperor/a.sock"])
def test_the_emperors_own_folder_is_not_a_users_beyond_one_socket(path: str) -> None:
    found = faults(APP, f"socket = {path}", authority=BY_ALICE)
    assert [(line, option) for line, option, _ in found] == [(3, "socket")]
    assert "blog.sock" in found[0][2]
    assert spec(APP, f"socket = {path}").sockets


@pytest.mark.parametrize("path", ["/run/emperor/blog.sock", "/run//emperor/./blog.sock", "/run/emperor2/a.sock"])
def test_ones_own_socket_may_be_named(path: str) -> None:
    assert spec(APP, f"socket = {path}", authority=BY_ALICE).sockets


def test_a_users_log_is_not_kept_in_the_emperors_own_folder() -> None:
    ((line, option, _),) = faults(APP, "logto = /run/emperor/../emperor/blog.log", authority=BY_ALICE)
    assert (line, option) == (3, "logto")
    assert spec(APP, "logto = /run/emperor/blog.log").logto
    assert spec(APP, "logto = /run/emperors/blog.log", authority=BY_ALICE).logto


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("socket = localhost:3031", "socket = 127.0.0.1:3031"),
        ("socket = /run/a.sock", "fastcgi-socket = /run//./a.sock"),
        ("socket = [::1]:3031", "socket = [0::1]:3031"),
        ("socket = @a", "uwsgi-socket = @a"),
    ],
)
def test_two_sockets_at_one_address_name_both_lines(first: str, second: str) -> None:
    ((line, _, message),) = faults(APP, first, second)
    assert line == 4 and "line 3" in message


def test_an_ini_cannot_use_up_the_emperors_descriptors() -> None:
    lines = [f"socket = @{number}" for number in range(33)]
    assert len(spec(APP, *lines[:32]).sockets) == 32
    assert [line for line, _, _ in faults(APP, *lines)] == [35]


def test_flup_speaks_fastcgi_only() -> None:
    assert spec(APP, "fastcgi-engine = flup", "fastcgi-socket = /a").fastcgi_engine == "flup"
    assert spec(APP, "fastcgi-engine = flup", "protocol = fastcgi").fastcgi_engine == "flup"
    assert [(line, option) for line, option, _ in faults(APP, "fastcgi-engine = flup", "socket = /a")] == [
        (4, "socket")
    ]
    assert [(line, option) for line, option, _ in faults(APP, "fastcgi-engine = flup", "http-socket = /a")] == [
        (4, "http-socket")
    ]
    assert [(line, option) for line, option, _ in faults(APP, "fastcgi-engine = flup")] == [(3, "fastcgi-engine")]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("chmod-socket = 666",),
        ("chmod-socket = 662",),
        ("chmod-socket = 660", "chown-socket = alice:www-data"),
        ("chmod-socket = 600", "chown-socket = www-data"),
        ("socket-umask = 000",),
        ("umask = 022", "socket-umask = 0"),
        ("umask = 022", "chmod-socket = 666"),
        ("umask = 002", "chown-socket = alice:www-data"),
        ("umask = 022", "socket = 127.0.0.1:3031"),
        ("umask = 022", "socket = @blog"),
    ],
)
def test_a_mode_that_lets_the_web_server_in_is_not_warned_of(lines: tuple[str, ...]) -> None:
    assert warnings(APP, "uid = alice", *lines) == []


@pytest.mark.parametrize(
    "lines",
    [
        ("chmod-socket = 660",),
        ("chmod-socket = 664",),
        ("chmod-socket = 600",),
        ("chmod-socket = 640", "chown-socket = alice:www-data"),
        ("socket-umask = 022",),
        ("umask = 022",),
    ],
)
def test_a_mode_that_shuts_the_web_server_out_is_warned_of(lines: tuple[str, ...]) -> None:
    (words,) = warnings(APP, "uid = alice", *lines)
    assert words[0] == 4 and "shuts www-data out" in str(words) and "chown-socket = alice:www-data" in str(words)
