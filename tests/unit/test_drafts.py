"""Temporary names of socket files."""

from __future__ import annotations

import pytest

from emperor.supervision.backoff import worth_repeating
from emperor.system.drafts import MAX_PATH, draft_of, is_draft


@pytest.mark.parametrize("path", ["/run/emperor/blog.sock", "/run/a", "/srv/" + "é" * 40, "/" + "a" * 100])
def test_a_draft_lies_beside_its_file_and_fits_into_an_address(path: str) -> None:
    draft = draft_of(path)
    assert is_draft(draft) and not is_draft(path)
    assert draft.rpartition("/")[0] == path.rpartition("/")[0]
    assert len(draft.encode()) <= MAX_PATH
    assert draft == draft_of(path) != draft_of(path + "x")


def test_where_no_name_has_room_there_is_none() -> None:
    assert draft_of("/" + "a" * 100 + "/b") == ""


def test_what_stays_wrong_is_repeated_ever_more_rarely() -> None:
    told = [count for count in range(1, 50) if worth_repeating(count)]
    assert told == [1, 2, 4, 8, 12, 24, 36, 48]
