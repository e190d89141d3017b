"""POSIX ACLs as bytes. The golden ones were written down from linux/posix_acl_xattr.h, field by field."""

from __future__ import annotations

import pytest

from emperor.system.acl import (
    GROUP,
    GROUP_OBJ,
    MASK,
    OTHER,
    UNDEFINED,
    USER,
    USER_OBJ,
    Entry,
    decode,
    encode,
    granted,
    of_mode,
    without,
    writers,
)

# u32 version 2; then u16 tag, u16 permissions, u32 id, all little endian
GOLDEN = bytes.fromhex(
    "02000000"
    "0100 0600 ffffffff"  # user::rw-
    "0200 0700 e8030000"  # user:1000:rwx
    "0400 0600 ffffffff"  # group::rw-
    "0800 0600 21000000"  # group:33:rw-
    "1000 0600 ffffffff"  # mask::rw-
    "2000 0000 ffffffff"  # other::---
)
ENTRIES = (
    Entry(USER_OBJ, 6),
    Entry(USER, 7, 1000),
    Entry(GROUP_OBJ, 6),
    Entry(GROUP, 6, 33),
    Entry(MASK, 6),
    Entry(OTHER, 0),
)


def test_the_golden_bytes_are_these_entries() -> None:
    assert decode(GOLDEN) == ENTRIES


def test_these_entries_are_the_golden_bytes_in_any_order() -> None:
    assert encode(tuple(reversed(ENTRIES))) == GOLDEN


def test_an_entry_that_names_nobody_has_the_undefined_id() -> None:
    assert Entry(MASK, 7).id == UNDEFINED == 0xFFFFFFFF


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02\0\0",
        GOLDEN[:-1],
        GOLDEN + b"\0",
        b"\x01" + GOLDEN[1:],
        b"\x02\0\0\0" + bytes.fromhex("4000 0600 ffffffff"),
    ],
    ids=["empty", "half a version", "cut", "too long", "another version", "unknown tag"],
)
def test_what_is_not_understood_is_an_error_and_never_no_acl(data: bytes) -> None:
    with pytest.raises(ValueError, match="an ACL"):
        decode(data)


def test_a_mode_is_a_minimal_acl() -> None:
    assert of_mode(0o100640) == (Entry(USER_OBJ, 6), Entry(GROUP_OBJ, 4), Entry(OTHER, 0))


def test_a_grant_on_a_mode_adds_the_group_and_a_mask_that_lets_it_through() -> None:
    assert encode(granted(of_mode(0o660), 33)) == encode(
        (Entry(USER_OBJ, 6), Entry(GROUP_OBJ, 6), Entry(GROUP, 6, 33), Entry(MASK, 6), Entry(OTHER, 0))
    )


def test_a_grant_keeps_the_other_entries_and_replaces_its_own() -> None:
    before = (*ENTRIES[:3], Entry(GROUP, 1, 33), Entry(GROUP, 4, 44), Entry(MASK, 0), Entry(OTHER, 0))
    assert set(granted(before, 33)) == {
        *ENTRIES[:3],
        Entry(GROUP, 4, 44),
        Entry(GROUP, 6, 33),
        Entry(MASK, 6),
        Entry(OTHER, 0),
    }


def test_taking_back_a_grant_leaves_the_mode_alone() -> None:
    assert without(granted(of_mode(0o660), 33), 33) == of_mode(0o660)


def test_taking_back_a_grant_keeps_the_mask_that_others_need() -> None:
    assert set(without(ENTRIES, 33)) == set(ENTRIES) - {Entry(GROUP, 6, 33)}


def test_the_mask_decides_which_named_entries_can_write() -> None:
    closed = tuple(Entry(MASK, 4) if entry.tag == MASK else entry for entry in ENTRIES)
    assert writers(ENTRIES) == ENTRIES[:4]
    assert writers(closed) == ENTRIES[:1]


def test_the_mask_does_not_limit_others() -> None:
    assert writers((Entry(USER_OBJ, 4), Entry(GROUP_OBJ, 7), Entry(MASK, 0), Entry(OTHER, 2))) == (Entry(OTHER, 2),)
