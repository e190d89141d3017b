"""Whose ini is it? The rule alone, on made-up folders: 1000 is alice, 1001 bob; such are their groups too."""

from __future__ import annotations

import dataclasses
import stat
from typing import Any

import pytest

from emperor.model import ADMIN, NOBODY, OWNER, Authority
from emperor.system.acl import GROUP, GROUP_OBJ, MASK, OTHER, USER, USER_OBJ, Entry
from emperor.system.writers import Step, verdict

ALICE, BOB, STAFF = 1000, 1001, 50
PEOPLE = {0: "root", ALICE: "alice", BOB: "bob"}


def private(gid: int) -> int | None:
    return gid if gid in PEOPLE else None


def folder(path: str = "/etc/v", uid: int = 0, mode: int = 0o755, gid: int | None = None, **more: Any) -> Step:
    step = Step(path, uid, uid if gid is None else gid, stat.S_IFDIR | mode, entry_uid=0)
    return dataclasses.replace(step, **more)


def file(path: str = "/etc/v/a.ini", uid: int = 0, mode: int = 0o644, gid: int | None = None, **more: Any) -> Step:
    step = Step(path, uid, uid if gid is None else gid, stat.S_IFREG | mode)
    return dataclasses.replace(step, **more)


def judge(*steps: Step, euid: int = 0) -> Authority:
    return verdict(steps, euid, private, PEOPLE.__getitem__)


ROOT = folder("/")
HOME = folder("/home/alice", ALICE)
HERS = file("/home/alice/a.ini", ALICE)


def test_what_root_alone_can_write_is_roots() -> None:
    assert judge(ROOT, folder(), file()) == Authority(ADMIN)


def test_roots_own_group_may_write_as_well() -> None:
    assert judge(ROOT, folder(mode=0o775), file(mode=0o664)) == Authority(ADMIN)


def test_a_users_file_in_her_folder_is_hers() -> None:
    assert judge(ROOT, HOME, HERS) == Authority(OWNER, ALICE)


def test_her_private_group_is_she_herself() -> None:
    assert judge(ROOT, folder("/home/alice", ALICE, 0o2775), file(uid=ALICE, mode=0o664)) == Authority(OWNER, ALICE)


def test_her_own_file_in_roots_folder_is_hers() -> None:
    assert judge(ROOT, folder(), file(uid=ALICE)) == Authority(OWNER, ALICE)


def test_a_folder_through_which_a_link_leads_counts() -> None:
    there = folder("/home/alice/links", ALICE)
    assert judge(ROOT, there, folder("/home"), folder("/home/bob", BOB), file(uid=BOB)).kind == NOBODY


def test_an_emperor_that_is_not_root_is_admin_of_its_own() -> None:
    assert judge(ROOT, HOME, HERS, euid=ALICE) == Authority(ADMIN)


def test_an_emperor_that_is_not_root_does_not_count_itself() -> None:
    assert judge(ROOT, HOME, file(uid=BOB), euid=ALICE) == Authority(OWNER, BOB)


OFFENCES = {
    "everybody, folder": ([folder("/srv/v", mode=0o757), file()], "chmod o-w /srv/v"),
    "everybody, file": ([folder(), file("/etc/v/a b.ini", mode=0o646)], "chmod o-w '/etc/v/a b.ini'"),
    "a group of many, folder": ([folder("/srv/v", gid=STAFF, mode=0o775), file()], "chmod g-w /srv/v"),
    "a group of many, file": ([folder(), file(gid=STAFF, mode=0o664)], "chmod g-w /etc/v/a.ini"),
    "two people": ([HOME, file("/home/alice/a.ini", BOB)], "alice and bob can both write it: chown alice"),
    "another's private group": ([HOME, dataclasses.replace(HERS, mode=0o100664, gid=BOB)], "chmod g-w"),
    "two people's folders": ([HOME, folder("/home/bob", BOB), file(uid=BOB)], "or let root move a link"),
    "a named user": (
        [
            folder(),
            file(acl=(Entry(USER_OBJ, 6), Entry(USER, 6, BOB), Entry(USER, 6, ALICE), Entry(MASK, 6))),
        ],
        "setfacl -b /etc/v/a.ini",
    ),
    "a named group": (
        [folder("/srv/v", acl=(Entry(USER_OBJ, 7), Entry(GROUP, 7, STAFF), Entry(MASK, 7))), file()],
        "setfacl -b /srv/v",
    ),
    "an ACL's own group": (
        [folder(), file(gid=STAFF, acl=(Entry(USER_OBJ, 6), Entry(GROUP_OBJ, 6), Entry(MASK, 6)))],
        "chmod g-w /etc/v/a.ini",
    ),
    "an ACL's others": (
        [folder(), file(acl=(Entry(USER_OBJ, 6), Entry(OTHER, 6)))],
        "chmod o-w /etc/v/a.ini",
    ),
    "her folder, root's file": ([HOME, file("/home/alice/a.ini")], "chown alice /home/alice/a.ini"),
}


@pytest.mark.parametrize("name", OFFENCES)
def test_what_several_can_write_is_nobodys_and_the_mending_command_is_named(name: str) -> None:
    steps, command = OFFENCES[name]
    found = judge(ROOT, *steps)
    assert (found.kind, found.uid) == (NOBODY, None)
    assert command in found.reason


def test_the_first_offending_path_is_named() -> None:
    found = judge(ROOT, folder("/one", mode=0o777), folder("/one/two", mode=0o777), file(mode=0o666))
    assert found.reason == "/one: everybody can write it: chmod o-w /one"


def test_the_mask_closes_an_acl_and_the_modes_group_bits_do_not_open_it() -> None:
    closed = (Entry(USER_OBJ, 6), Entry(USER, 6, BOB), Entry(GROUP_OBJ, 6), Entry(MASK, 4), Entry(OTHER, 4))
    assert judge(ROOT, folder(), file(gid=STAFF, mode=0o664, acl=closed)) == Authority(ADMIN)


def test_one_user_named_in_an_acl_is_a_writer_but_not_the_owner() -> None:
    named = (Entry(USER_OBJ, 6), Entry(USER, 6, ALICE), Entry(MASK, 6), Entry(OTHER, 4))
    assert judge(ROOT, folder(), file(acl=named)).kind == NOBODY
    assert judge(ROOT, folder(acl=named), HERS) == Authority(OWNER, ALICE)


def test_a_sticky_folder_counts_for_its_owner_and_the_entrys_owner_alone() -> None:
    tmp = folder("/tmp", mode=0o1777)
    assert judge(ROOT, tmp, file()) == Authority(ADMIN)
    assert judge(ROOT, dataclasses.replace(tmp, entry_uid=ALICE), file(uid=ALICE)) == Authority(OWNER, ALICE)
    assert judge(ROOT, dataclasses.replace(tmp, uid=BOB, entry_uid=ALICE), file(uid=ALICE)).kind == NOBODY


def test_a_link_that_somebody_owns_in_a_sticky_folder_makes_the_file_his_choice() -> None:
    tmp = folder("/tmp", mode=0o1777, entry_uid=BOB)
    assert judge(ROOT, tmp, folder(), file()).kind == NOBODY


def test_a_sticky_folder_does_not_protect_what_anybody_may_have_linked_into_it() -> None:
    tmp = folder("/tmp", mode=0o1777, entry_uid=None)
    assert judge(ROOT, tmp, file("/tmp/a.ini", links=2)).kind == NOBODY


def test_a_sticky_bit_on_a_file_protects_nothing() -> None:
    assert judge(ROOT, folder(), file(mode=0o1646, entry_uid=0)).kind == NOBODY


def test_nobody_is_told_to_give_away_what_a_user_linked_to() -> None:
    by_symbolic_link = judge(ROOT, HOME, ROOT, folder("/etc"), file("/etc/shadow", mode=0o600))
    by_hard_link = judge(ROOT, HOME, file("/home/alice/a.ini", links=2))
    to_bobs = judge(ROOT, HOME, ROOT, folder("/etc"), file("/etc/bobs", BOB, mode=0o600))
    for found in (by_symbolic_link, by_hard_link, to_bobs):
        assert found.kind == NOBODY
        assert "chown alice" not in found.reason


def test_somebodys_file_deep_in_her_folder_becomes_hers_by_what_is_told() -> None:
    below = folder("/home/alice/v", ALICE)
    his = file("/home/alice/v/given.ini", BOB)
    found = judge(ROOT, HOME, below, his)
    assert found.reason.endswith("can both write it: chown alice /home/alice/v/given.ini")
    assert judge(ROOT, HOME, below, dataclasses.replace(his, uid=ALICE)) == Authority(OWNER, ALICE)


def test_no_folder_is_given_to_anybody_for_a_link_into_somebody_elses() -> None:
    to_his = judge(ROOT, HOME, ROOT, folder("/home/bob", BOB), file("/home/bob/b.ini", BOB))
    hers_in_his = judge(ROOT, HOME, ROOT, folder("/home/bob", BOB), file("/home/bob/b.ini", ALICE))
    nested = judge(ROOT, HOME, folder("/home/alice/bobs", BOB), file("/home/alice/bobs/b.ini", BOB))
    for found in (to_his, hers_in_his, nested):
        assert found.kind == NOBODY
        assert "chown" not in found.reason
        assert "can both write it: move " in found.reason


def test_a_reason_is_one_line_whatever_the_path() -> None:
    found = judge(ROOT, folder("/srv/a\nb\x1b[2J", mode=0o777), file())
    assert found.reason.isprintable()


def test_people_are_numbers_when_nobody_knows_their_names() -> None:
    found = verdict([HOME, file(uid=BOB)], 0, private)
    assert "uid 1000 and uid 1001" in found.reason
