"""Single words of web servers' configurations, and of the kernel about the machine they stand on."""

from __future__ import annotations

import pytest

from emperor.webservers.interfaces import four, six
from emperor.webservers.tree import literal, seconds, size, tcp_address


def test_the_kernels_own_words_tell_this_machines_addresses() -> None:
    trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.0\n        /8 host LOCAL\n"
    trie += "        |-- 192.0.2.2\n           /32 host LOCAL\n        |-- 192.0.2.255\n           /32 link BROADCAST\n"
    assert list(four(trie)) == ["192.0.2.2"]
    assert list(six("20010db8000000000000000000000002 04 40 00 82     eth0\nx\n")) == ["2001:db8::2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("60", 60.0), ("1m30s", 90.0), ("5min", 300.0), ("500ms", 0.5), ("x", None), ("", None), ("5y", None)],
)
def test_times_are_read(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("8k", 8192), ("1M", 1048576), ("1x", None), ("٣", None)])
def test_sizes_are_read(text: str, expected: int | None) -> None:
    assert size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("^/app(/|$)", "/app"), (r"^/a\.b/", "/a.b/"), ("^/ab?", "/a"), (r"\.php$", "/"), ("^/a|^/b", "/")],
)
def test_a_regular_expressions_plain_beginning_is_its_prefix(text: str, expected: str) -> None:
    assert literal(text) == expected


@pytest.mark.parametrize("text", ["h:0", "h:99999", "h", "a b:1", "[x]:1", "h:1:2", "h:١"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert tcp_address(text) is None
