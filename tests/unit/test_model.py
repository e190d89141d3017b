"""The shared words: their text forms, and a spec's way through JSON."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from emperor.model import (
    ABSTRACT,
    FASTCGI,
    HTTP,
    OWNER,
    ROLLING,
    TCP,
    UNIX,
    UWSGI,
    VASSAL_NAME,
    Address,
    Authority,
    Identity,
    Problem,
    SocketSpec,
    Target,
    VassalSpec,
)

IDENTITY = Identity(1001, 1002, (4, 27, 1002), "alice", "/home/alice", "/bin/bash")

PLAIN = VassalSpec(
    name="blog",
    config="/etc/vassals/blog.ini",
    folder="/etc/vassals",
    identity=IDENTITY,
    sockets=(SocketSpec(UWSGI, Address(UNIX, path="/run/blog.sock")),),
    targets=(Target("", "module", "blog"),),
)
FULL = VassalSpec(
    name="shop",
    config="/etc/vassals/shop.ini",
    folder="/etc/vassals",
    identity=IDENTITY,
    sockets=(
        SocketSpec(FASTCGI, Address(UNIX, path="/run/shop.sock"), 0o660, 0o027, 1001, 33, 5),
        SocketSpec(HTTP, Address(TCP, host="::1", port=8080)),
        SocketSpec(UWSGI, Address(ABSTRACT, path="shop")),
    ),
    targets=(Target("/a", "file", "/srv/a.py", "application"), Target("/b", "module", "b.wsgi")),
    python="/usr/bin/pypy3",
    virtualenv="/srv/venv",
    chdir="/srv",
    chdir2="/srv/data",
    pythonpath=("/srv/lib", "/srv/more"),
    env=(("A", "1"), ("A", "2"), ("B", "")),
    processes=4,
    threads=8,
    lazy_apps=True,
    manage_script_name=True,
    script_name="/shop",
    umask=0o022,
    logto="/var/log/shop.log",
    buffer_size=4096,
    limit_post=1 << 30,
    start_timeout=2.5,
    reload_mercy=0.5,
    max_restarts=3,
    header_timeout=1.5,
    socket_timeout=2.5,
    max_connections=5,
    fastcgi_engine="flup",
    fastcgi_stderr=True,
    proxy_fix=2,
    web_gid=33,
    harakiri=30.0,
    max_requests=1000,
    max_requests_delta=0,
    max_worker_lifetime=3600.0,
    max_worker_lifetime_delta=0.0,
    min_worker_lifetime=0.0,
    reload_on_rss=200 << 20,
    reload_on_as=1 << 30,
    limit_as=2 << 30,
    limit_nofile=256,
    limit_nproc=64,
    nice=5,
    on_demand=True,
    idle=600.0,
    cheaper=2,
    cheaper_initial=3,
    cheaper_step=2,
    cheaper_overload=0.5,
    touch_reload=("/srv/current", "/srv/reload me"),
    stats=Address(TCP, host="127.0.0.1", port=9191),
    stats_http=True,
    log_maxsize=1 << 20,
    log_keep=2,
    log_format="combined",
    disable_logging=True,
    log_4xx=True,
    log_5xx=True,
    log_zero=True,
    log_slow=500,
    log_big=1 << 20,
    log_x_forwarded_for=True,
    static_map=(("/static", "/srv/static"), ("/", "/srv/www")),
    py_autoreload=1.0,
    reload_mode=ROLLING,
    authority=Authority(OWNER, 1001, "/srv can be written by bob"),
)


@pytest.mark.parametrize("spec", [PLAIN, FULL], ids=["plain", "full"])
def test_a_spec_comes_back_from_json_as_it_was(spec: VassalSpec) -> None:
    assert VassalSpec.from_json(spec.to_json()) == spec


def test_a_spec_that_came_back_is_still_a_value() -> None:
    assert hash(VassalSpec.from_json(FULL.to_json())) == hash(FULL)


def test_the_full_spec_differs_from_the_defaults_in_every_field() -> None:
    """So that the round trip above proves something about each."""
    alike = [one.name for one in fields(VassalSpec) if getattr(FULL, one.name) == getattr(PLAIN, one.name)]
    assert alike == ["folder", "identity"]


def test_a_path_in_an_unknown_encoding_survives_json() -> None:
    spec = replace(PLAIN, chdir="/srv/caf\udce9")
    assert VassalSpec.from_json(spec.to_json()) == spec
    assert json.loads(spec.to_json())["chdir"] == "/srv/caf\udce9"


PROBLEMS = {
    "/a.ini:3: socket: is missing": Problem("/a.ini", 3, "socket", "is missing"),
    "/a.ini: cannot be read": Problem("/a.ini", 0, "", "cannot be read"),
    "/a.ini: module: is missing": Problem("/a.ini", 0, "module", "is missing"),
    "/a.ini:7: not a line": Problem("/a.ini", 7, "", "not a line", fatal=False),
}


@pytest.mark.parametrize("text", PROBLEMS)
def test_a_problem_reads_as_path_line_option_message(text: str) -> None:
    assert str(PROBLEMS[text]) == text


ADDRESSES = {
    "/run/blog.sock": Address(UNIX, path="/run/blog.sock"),
    "@blog": Address(ABSTRACT, path="blog"),
    "127.0.0.1:3031": Address(TCP, host="127.0.0.1", port=3031),
    "[::1]:3031": Address(TCP, host="::1", port=3031),
    ":3031": Address(TCP, port=3031),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_reads_as_it_is_written(text: str) -> None:
    assert str(ADDRESSES[text]) == text


def test_a_socket_is_silent_only_if_nothing_is_said_of_who_may_connect() -> None:
    quiet = SocketSpec(UWSGI, Address(UNIX, path="/run/blog.sock"), backlog=5)
    assert quiet.silent
    for said in (replace(quiet, mode=0), replace(quiet, umask=0), replace(quiet, uid=0), replace(quiet, gid=0)):
        assert not said.silent, said


@pytest.mark.parametrize("name", ["blog", "a", "_", "0", "blog-2.example@eu_1", "x" * 64])
def test_a_vassal_may_be_called_so(name: str) -> None:
    assert VASSAL_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "@a", "a/b", "a b", "ä", "a\n", "a\0", "x" * 65, "..", "٣"])
def test_a_vassal_may_not_be_called_so(name: str) -> None:
    assert not VASSAL_NAME.fullmatch(name)
