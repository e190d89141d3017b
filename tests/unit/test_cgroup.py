"""Which cgroup is ours, may we divide it, and what its parts are called."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from emperor.system import cgroup


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/system.slice/emperor.service\n", "/system.slice/emperor.service"),
        ("9:name=systemd:/x\n1:cpu:/y\n0::/z\n", "/z"),
        ("0::/\n", "/"),
        ("0::/with:colons/and spaces\n", "/with:colons/and spaces"),
        ("9:name=systemd:/x\n", ""),
        ("", ""),
    ],
)
def test_our_cgroup_is_that_of_version_2(text: str, path: str) -> None:
    assert cgroup.own_path(text) == path


@pytest.mark.parametrize(
    ("marks", "ours"),
    [
        ({"user.delegate": b"1"}, True),
        ({"trusted.delegate": b"1"}, True),
        ({"user.delegate": b"0"}, False),
        ({"user.invocation_id": b"1"}, False),
        ({}, False),
    ],
)
def test_it_is_ours_to_divide_if_systemd_says_so(marks: Mapping[str, bytes], ours: bool) -> None:
    assert cgroup.is_delegated(marks) is ours


def test_no_two_vassals_share_a_group() -> None:
    pairs = [("a", 12), ("a.1", 2), ("a", 1), ("a b", 1), ("a%20b", 1), ("a_b", 1), ("ä", 1), ("..", 1)]
    names = [cgroup.group_name(name, pid) for name, pid in pairs]
    assert len(set(names)) == len(pairs)
    assert all(name.startswith(cgroup.PREFIX) and name.isascii() and "/" not in name for name in names)


def test_a_name_that_is_too_long_for_a_folder_has_no_group() -> None:
    assert cgroup.group_name("x" * 300, 1) == ""
