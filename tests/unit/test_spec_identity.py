"""Whose ini is it? Each row of the table, and what tries to get past it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from emperor.model import OWNER, Authority, Identity
from tests.unit.config_world import ALICE, APP, BOB, BY_ALICE, BY_MANY, ROOT, WEB, faults, spec, warnings

AS_ALICE: dict[str, Any] = {"own": ALICE}
TYRANT: dict[str, Any] = {"tyrant": True, "authority": BY_ALICE}


def owned_by(uid: int) -> Authority:
    return Authority(OWNER, uid)


# An ini that root alone can write.


def test_the_administrator_names_a_user_who_keeps_their_groups() -> None:
    assert spec(APP, "uid = alice").identity == ALICE
    assert spec(APP, "uid = 1001").identity == ALICE


def test_a_group_that_is_named_takes_the_place_of_the_primary_one() -> None:
    assert spec(APP, "uid = alice", "gid = www-data").identity == replace(ALICE, gid=33, groups=(27, 33, 1001))


def test_a_number_without_an_account_runs_with_the_group_that_is_named() -> None:
    assert spec(APP, "uid = 4711", "gid = 4711").identity == Identity(4711, 4711, (4711,), "4711", "/")
    ((line, option, message),) = faults(APP, "uid = 4711")
    assert (line, option) == (3, "uid") and "needs gid" in message


def test_none_named_is_the_web_servers_user() -> None:
    assert spec(APP).identity == WEB


def test_a_group_alone_is_the_web_servers_user_in_that_group() -> None:
    assert spec(APP, "gid = bob").identity == replace(WEB, gid=1002, groups=(33, 1002))


def test_none_named_without_a_web_server_is_a_problem() -> None:
    ((line, _, message),) = faults(APP, web=None)
    assert line == 0 and "write uid =" in message


@pytest.mark.parametrize("line", ["uid = carol", "gid = carol", "chown-socket = carol", "chown-socket = alice:carol"])
def test_who_is_not_there_is_a_problem_of_that_line(line: str) -> None:
    ((at, option, message),) = faults(APP, line)
    assert (at, option) == (3, line.split(" ")[0]) and "there is no such" in message


@pytest.mark.parametrize("who", ["uid = root", "uid = 0"])
@pytest.mark.parametrize("allow_root", [False, True])
def test_root_that_is_named_needs_leave_in_the_ini_whatever_the_emperor_allows(who: str, allow_root: bool) -> None:
    ((line, option, message),) = faults(APP, who, allow_root=allow_root)
    assert (line, option) == (3, "uid") and "allow-root = true" in message


def test_roots_group_needs_leave_as_well() -> None:
    assert [(line, option) for line, option, _ in faults(APP, "uid = alice", "gid = root")] == [(4, "gid")]


def test_root_with_leave_in_the_ini_runs_as_root() -> None:
    assert spec(APP, "uid = root", "allow-root = true").identity == ROOT


def test_leave_is_no_wish_so_none_named_stays_the_web_servers_user() -> None:
    assert spec(APP, "allow-root = true").identity == WEB


def test_none_named_runs_as_root_where_the_emperor_allows_it() -> None:
    assert spec(APP, allow_root=True, web=None).identity == ROOT


def test_a_user_that_is_named_runs_as_themselves_where_the_emperor_allows_root() -> None:
    assert spec(APP, "uid = bob", allow_root=True).identity == BOB


def test_a_uid_that_cannot_be_read_never_falls_back_to_another_user() -> None:
    assert [(line, option) for line, option, _ in faults(APP, "uid = +0", allow_root=True)] == [(3, "uid")]


# An ini that one user can write.


@pytest.mark.parametrize(
    "lines", [(), ("uid = alice",), ("uid = 1001",), ("gid = alice",), ("uid = alice", "gid = 1001")]
)
def test_a_users_ini_runs_as_that_user(lines: tuple[str, ...]) -> None:
    assert spec(APP, *lines, authority=BY_ALICE).identity == ALICE


@pytest.mark.parametrize("who", ["bob", "root", "0", "www-data"])
def test_a_users_ini_that_names_another_is_refused(who: str) -> None:
    ((line, option, message),) = faults(APP, f"uid = {who}", authority=BY_ALICE)
    assert (line, option) == (3, "uid") and "runs as alice" in message


def test_a_users_ini_may_name_a_group_that_they_are_in() -> None:
    assert spec(APP, "gid = sudo", authority=BY_ALICE).identity == replace(ALICE, gid=27)


@pytest.mark.parametrize("group", ["shadow", "root", "www-data", "0"])
def test_a_users_ini_that_names_a_foreign_group_is_refused(group: str) -> None:
    assert [(line, option) for line, option, _ in faults(APP, f"gid = {group}", authority=BY_ALICE)] == [(3, "gid")]


@pytest.mark.parametrize("who", ["root", "alice"])
def test_a_users_ini_cannot_allow_root(who: str) -> None:
    lines = (APP, "allow-root = true", f"uid = {who}")
    found = faults(*lines, authority=BY_ALICE) if who == "root" else warnings(*lines, authority=BY_ALICE)
    assert (4 if who == "root" else 3) in [line for line, _, _ in found]


def test_a_users_ini_runs_as_them_even_where_the_emperor_allows_root() -> None:
    assert spec(APP, authority=BY_ALICE, allow_root=True).identity == ALICE


@pytest.mark.parametrize("authority", [owned_by(4711), owned_by(0), Authority(OWNER)])
def test_an_ini_of_nobody_that_is_known_is_refused_with_a_reason(authority: Authority) -> None:
    ((line, _, message),) = faults(APP, authority=authority)
    assert line == 0 and message


# An ini that several can write.


@pytest.mark.parametrize("more", [{}, {"own": ALICE}, {"tyrant": True}, {"allow_root": True}])
def test_an_ini_that_several_can_write_runs_as_nobody(more: dict[str, Any]) -> None:
    assert faults(APP, "uid = alice", authority=BY_MANY, **more) == [(0, "", BY_MANY.reason)]


# --tyrant.


def test_under_tyrant_an_ini_is_its_owners() -> None:
    assert spec(APP, **TYRANT).identity == ALICE


def test_under_tyrant_what_the_ini_says_of_users_has_no_effect() -> None:
    assert spec(APP, "uid = root", "gid = shadow", **TYRANT).identity == ALICE
    assert [line for line, _, _ in warnings(APP, "uid = root", "gid = shadow", **TYRANT)] == [3, 4]


def test_under_tyrant_roots_ini_is_refused() -> None:
    ((line, _, message),) = faults(APP, "uid = alice", tyrant=True)[-1:]
    assert line == 0 and "root" in message


@pytest.mark.parametrize("uid", [33, 999])
def test_under_tyrant_a_system_users_ini_is_refused(uid: int) -> None:
    ((line, _, message),) = faults(APP, tyrant=True, authority=owned_by(uid))
    assert line == 0 and "system user" in message


def test_under_tyrant_the_first_user_of_the_machine_is_none_of_the_systems() -> None:
    ((_, _, message),) = faults(APP, tyrant=True, authority=owned_by(1000))
    assert "no account" in message


# An emperor that is not root.


@pytest.mark.parametrize("lines", [(), ("uid = alice",), ("uid = 1001", "gid = alice")])
def test_without_root_everything_runs_as_the_emperors_user(lines: tuple[str, ...]) -> None:
    assert spec(APP, *lines, **AS_ALICE).identity == ALICE


@pytest.mark.parametrize(("line", "what"), [("uid = bob", "user"), ("uid = root", "user"), ("gid = sudo", "group")])
def test_without_root_nobody_else_can_be_named(line: str, what: str) -> None:
    ((at, option, message),) = faults(APP, line, **AS_ALICE)
    assert (at, option) == (3, line[:3])
    assert message.startswith(f"the emperor runs as alice and cannot become another {what}")


def test_without_root_another_users_ini_is_not_run_in_the_emperors_name() -> None:
    ((line, _, message),) = faults(APP, authority=owned_by(1002), **AS_ALICE)
    assert line == 0 and "alice" in message


def test_a_user_and_a_group_that_are_both_missing_are_both_told() -> None:
    found = faults(APP, "uid = http", "gid = http")
    assert found == [(3, "uid", "there is no such user"), (4, "gid", "there is no such group")]
    assert faults(APP, "uid = alice", "gid = http") == [(4, "gid", "there is no such group")]
    assert faults(APP, "gid = http") == [(3, "gid", "there is no such group")]
    assert faults(APP, "uid = http", "gid = alice") == [(3, "uid", "there is no such user")]
