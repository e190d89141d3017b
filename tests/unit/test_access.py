"""Who may connect to a socket: the rule alone. DESIGN, "Who binds, who opens": Mode and Default."""

from __future__ import annotations

import dataclasses

import pytest

from emperor.model import UNIX, Address, Identity, SocketSpec
from emperor.system.access import Access, access

ALICE = Identity(1000, 1000, (1000, 27), "alice", "/home/alice")
WEB = 33
SILENT = SocketSpec("uwsgi", Address(UNIX, "/run/a.sock"))


def test_a_silent_ini_bound_by_root_belongs_to_the_user_and_the_web_group() -> None:
    assert access(SILENT, ALICE, WEB, 0o022, can_chown=True) == Access(0o660, 1000, WEB)


def test_a_silent_ini_bound_by_a_member_of_the_web_group_is_given_to_that_group() -> None:
    member = dataclasses.replace(ALICE, groups=(1000, WEB))
    assert access(SILENT, member, WEB, 0o022, can_chown=False) == Access(0o660, 1000, WEB)
    assert access(SILENT, dataclasses.replace(ALICE, gid=WEB), WEB, 0, can_chown=False) == Access(0o660, 1000, WEB)


def test_a_silent_ini_bound_by_a_stranger_to_the_web_group_gets_an_acl() -> None:
    assert access(SILENT, ALICE, WEB, 0o022, can_chown=False) == Access(0o660, 1000, acl_gid=WEB)


@pytest.mark.parametrize("process_umask", [0, 0o022, 0o077])
@pytest.mark.parametrize("can_chown", [True, False])
@pytest.mark.parametrize("web_gid", [None, WEB, 1000])
def test_silence_never_means_open_to_all(process_umask: int, can_chown: bool, web_gid: int | None) -> None:
    found = access(SILENT, ALICE, web_gid, process_umask, can_chown)
    assert (found.mode, found.umask) == (0o660, None)


def test_without_a_web_group_the_socket_is_the_users_own() -> None:
    assert access(SILENT, ALICE, None, 0, can_chown=True) == Access(0o660, 1000, 1000)
    assert access(SILENT, ALICE, None, 0, can_chown=False) == Access(0o660, 1000)


@pytest.mark.parametrize(
    ("mode", "socket_umask", "process_umask", "wanted", "by_bind"),
    [
        (0o664, None, 0o022, 0o664, None),
        (0o020, 0o000, 0o022, 0o020, None),
        (0o000, None, 0o022, 0o000, None),
        (None, 0o000, 0o022, 0o777, 0o000),
        (None, 0o007, 0o022, 0o770, 0o007),
    ],
)
def test_a_mode_wins_over_an_umask_and_an_umask_over_the_process_umask(
    mode: int | None, socket_umask: int | None, process_umask: int, wanted: int, by_bind: int | None
) -> None:
    spec = dataclasses.replace(SILENT, mode=mode, umask=socket_umask)
    found = access(spec, ALICE, WEB, process_umask, can_chown=True)
    assert found == Access(wanted, 1000, 1000, umask=by_bind)


def test_an_owner_alone_leaves_the_mode_to_the_process_umask() -> None:
    spec = dataclasses.replace(SILENT, uid=33)
    assert access(spec, ALICE, WEB, 0o027, can_chown=True) == Access(0o750, 33, 1000, umask=0o027)


def test_what_chown_socket_names_is_named_even_where_it_may_fail() -> None:
    spec = dataclasses.replace(SILENT, uid=5, gid=6, mode=0o600)
    assert access(spec, ALICE, WEB, 0o022, can_chown=False) == Access(0o600, 5, 6)


def test_a_user_who_says_nothing_of_the_group_keeps_the_one_that_a_setgid_folder_gives() -> None:
    spec = dataclasses.replace(SILENT, mode=0o660)
    assert access(spec, ALICE, WEB, 0o022, can_chown=False).gid is None


def test_explicit_words_never_bring_an_acl() -> None:
    spec = dataclasses.replace(SILENT, umask=0o117)
    assert access(spec, ALICE, WEB, 0o022, can_chown=False).acl_gid is None
