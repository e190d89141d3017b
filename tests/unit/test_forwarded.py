"""``proxy-fix``: whose word is believed, and how far; werkzeug's ProxyFix is the model where the two agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.middleware.proxy_fix import ProxyFix

from emperor.wsgi.forwarded import ORIGINALS, believing
from emperor.wsgi.routing import compose

BEFORE = {
    "REMOTE_ADDR": "10.0.0.1",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "inner:8000",
    "SERVER_NAME": "inner",
    "SERVER_PORT": "8000",
    "SCRIPT_NAME": "",
}
HEADERS = ("FOR", "PROTO", "HOST", "PORT", "PREFIX")


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    return []


def seen(proxies: int, forwarded: dict[str, str], **before: str) -> dict[str, Any]:
    """What changes in the environ."""
    start = {**BEFORE, **before, **{f"HTTP_X_FORWARDED_{name}": value for name, value in forwarded.items()}}
    environ: dict[str, Any] = dict(start)
    believing(app, proxies)(environ, lambda *arguments: None)
    environ.pop(ORIGINALS, None)
    return {name: value for name, value in environ.items() if value != start.get(name)}


EVERYTHING = {"FOR": "8.8.8.8", "PROTO": "https", "HOST": "site.example", "PORT": "8443", "PREFIX": "/app"}


def test_without_proxy_fix_the_app_itself_is_served_and_the_headers_mean_nothing() -> None:
    assert believing(app, 0) is app
    assert seen(0, EVERYTHING) == {}


def test_one_proxy_may_say_all_of_it() -> None:
    assert seen(1, EVERYTHING) == {
        "REMOTE_ADDR": "8.8.8.8",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "site.example:8443",
        "SERVER_NAME": "site.example",
        "SERVER_PORT": "8443",
        "SCRIPT_NAME": "/app",
    }


def test_what_was_before_is_kept_beside_it() -> None:
    environ: dict[str, Any] = {"HTTP_X_FORWARDED_FOR": "8.8.8.8", **BEFORE}
    del environ["SERVER_NAME"]
    believing(app, 1)(environ, lambda *arguments: None)
    assert environ[ORIGINALS] == {**BEFORE, "SERVER_NAME": None}


COUNTS: list[tuple[int, str, str]] = [
    (1, "8.8.8.8", "8.8.8.8"),
    (1, "6.6.6.6, 8.8.8.8", "8.8.8.8"),
    (2, "6.6.6.6, 8.8.8.8, 10.0.0.9", "8.8.8.8"),
    (2, "6.6.6.6,8.8.8.8 ,\t10.0.0.9", "8.8.8.8"),
    (2, "8.8.8.8", ""),
    (3, "6.6.6.6, 8.8.8.8", ""),
    (1, "", ""),
    (1, "8.8.8.8,", ""),
    (1, "8.8.8.8, ", ""),
    (2, "8.8.8.8,", "8.8.8.8"),
    # The visitor opens a quotation: our proxy's value stays its own.
    (1, '"6.6.6.6, 8.8.8.8', "8.8.8.8"),
    (1, "6.6.6.6\\, 8.8.8.8", "8.8.8.8"),
]


@pytest.mark.parametrize("proxies, header, address", COUNTS)
def test_the_nth_value_from_the_right_counts_and_no_other(proxies: int, header: str, address: str) -> None:
    assert seen(proxies, {"FOR": header}) == ({"REMOTE_ADDR": address} if address else {})


VALUES: list[tuple[str, str, dict[str, str]]] = [
    ("FOR", "2001:db8::1", {"REMOTE_ADDR": "2001:db8::1"}),
    ("FOR", "[2001:db8::1]:4711", {"REMOTE_ADDR": "[2001:db8::1]:4711"}),
    ("FOR", "fe80::1%eth0", {"REMOTE_ADDR": "fe80::1%eth0"}),
    ("FOR", "unknown", {"REMOTE_ADDR": "unknown"}),
    ("FOR", "a b", {}),
    ("FOR", "<script>", {}),
    ("FOR", "\xe9", {}),
    ("FOR", "1" * 101, {}),
    ("PROTO", "HTTPS", {"wsgi.url_scheme": "https"}),
    ("PROTO", "http", {}),
    ("PROTO", "javascript", {}),
    ("PROTO", "https\x01", {}),
    ("HOST", "site.example", {"HTTP_HOST": "site.example", "SERVER_NAME": "site.example"}),
    ("HOST", "site:443", {"HTTP_HOST": "site:443", "SERVER_NAME": "site", "SERVER_PORT": "443"}),
    ("HOST", "[::1]", {"HTTP_HOST": "[::1]", "SERVER_NAME": "[::1]"}),
    ("HOST", "[::1]:81", {"HTTP_HOST": "[::1]:81", "SERVER_NAME": "[::1]", "SERVER_PORT": "81"}),
    ("HOST", "evil/path", {}),
    ("HOST", "user@evil", {}),
    ("HOST", "site:0", {}),
    ("HOST", "site:65536", {}),
    ("HOST", "site:", {}),
    ("HOST", "::1", {}),
    ("HOST", "a b", {}),
    ("HOST", "caf\xe9", {}),
    ("HOST", "x" * 254, {}),
    ("PORT", "443", {"HTTP_HOST": "inner:443", "SERVER_PORT": "443"}),
    ("PORT", "0", {}),
    ("PORT", "65536", {}),
    ("PORT", "-1", {}),
    ("PORT", "\xb2", {}),
    ("PORT", "\u0665", {}),
    ("PREFIX", "/app/", {"SCRIPT_NAME": "/app"}),
    ("PREFIX", "/a/b.c~d", {"SCRIPT_NAME": "/a/b.c~d"}),
    ("PREFIX", "/", {}),
    ("PREFIX", "app", {}),
    ("PREFIX", "//evil.example", {}),
    ("PREFIX", "/\\evil.example", {}),
    ("PREFIX", "/a?b", {}),
    ("PREFIX", "/a b", {}),
    ("PREFIX", "/" + "x" * 1001, {}),
]


@pytest.mark.parametrize("header, value, changes", VALUES)
def test_a_value_is_believed_only_if_it_can_be_one(header: str, value: str, changes: dict[str, str]) -> None:
    assert seen(1, {header: value}) == changes


def test_a_port_of_its_own_outranks_the_hosts() -> None:
    assert seen(1, {"HOST": "[::1]:1", "PORT": "2"}) == {
        "HTTP_HOST": "[::1]:2",
        "SERVER_NAME": "[::1]",
        "SERVER_PORT": "2",
    }


def test_a_port_without_any_host_is_the_servers_alone() -> None:
    assert seen(1, {"PORT": "2"}, HTTP_HOST="") == {"SERVER_PORT": "2"}


def test_a_spelling_with_an_underscore_of_its_own_is_another_header() -> None:
    environ = {**BEFORE, "HTTP_X__FORWARDED_FOR": "6.6.6.6", "HTTP_FORWARDED": "for=6.6.6.6"}
    believing(app, 1)(environ, lambda *arguments: None)
    assert environ["REMOTE_ADDR"] == "10.0.0.1"


@pytest.mark.parametrize(
    "script, prefix, result",
    [
        ("/app", "/outer", "/outer/app"),
        ("/app", "/app", "/app"),
        ("/app/sub", "/app", "/app/sub"),
        ("/apple", "/app", "/app/apple"),
        ("", "/outer/", "/outer"),
    ],
)
def test_the_prefix_stands_in_front_of_what_the_web_server_or_a_mount_has_split(
    script: str, prefix: str, result: str
) -> None:
    assert seen(1, {"PREFIX": prefix}, SCRIPT_NAME=script).get("SCRIPT_NAME", script) == result


def test_a_mount_keeps_its_name_behind_a_prefix() -> None:
    environ: dict[str, Any] = {**BEFORE, "PATH_INFO": "/shop/x", "HTTP_X_FORWARDED_PREFIX": "/outer"}
    compose({"/shop": believing(app, 1)}, manage_script_name=True)(environ, lambda *arguments: None)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/outer/shop", "/x")


plain = {
    "FOR": st.sampled_from(["1.2.3.4", "2001:db8::1", "unknown"]),
    "PROTO": st.sampled_from(["http", "https"]),
    "HOST": st.sampled_from(["site", "site:8080", "[::1]", "[::1]:81"]),
    "PORT": st.sampled_from(["80", "65535"]),
    "PREFIX": st.sampled_from(["/app", "/a/b"]),
}
lists = st.fixed_dictionaries({}, optional={name: st.lists(one, min_size=1, max_size=4) for name, one in plain.items()})


@settings(database=None, deadline=None)
@given(lists, st.integers(1, 3))
def test_of_values_that_can_be_one_it_makes_what_werkzeug_makes(headers: dict[str, list[str]], proxies: int) -> None:
    forwarded = {f"HTTP_X_FORWARDED_{name}": ", ".join(values) for name, values in headers.items()}
    ours: dict[str, Any] = {**BEFORE, **forwarded}
    theirs: dict[str, Any] = dict(ours)
    believing(app, proxies)(ours, lambda *arguments: None)
    fix = ProxyFix(app, x_for=proxies, x_proto=proxies, x_host=proxies, x_port=proxies, x_prefix=proxies)
    list(fix(theirs, lambda *arguments, **more: lambda data: None))
    assert ours.pop(ORIGINALS) == theirs.pop("werkzeug.proxy_fix.orig")
    assert ours == theirs


@settings(database=None, deadline=None)
@given(st.dictionaries(st.sampled_from(HEADERS), st.text(st.characters(max_codepoint=255))), st.integers(1, 3))
@example({"HOST": "a\nb", "PREFIX": "/\r"}, 1)
def test_nothing_odd_ever_gets_through(headers: dict[str, str], proxies: int) -> None:
    for name, value in seen(proxies, headers).items():
        assert value.isascii() and value.isprintable() and " " not in value, name
