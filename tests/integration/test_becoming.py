"""Who the emperor becomes by ``--uid`` and ``--gid``, and what it says where there is no such account."""

from __future__ import annotations

import pytest

from emperor.errors import EmperorError
from emperor.reign import _chosen

NONE = "no-such-account"


@pytest.mark.parametrize(
    ("user", "group", "message"),
    [
        (NONE, None, f"--uid {NONE}: no such user"),
        (None, NONE, f"--gid {NONE}: no such group"),
        ("root", NONE, f"--uid root --gid {NONE}: no such user or group"),
    ],
)
def test_a_missing_account_is_named_by_the_options_that_were_written(
    user: str | None, group: str | None, message: str
) -> None:
    with pytest.raises(EmperorError) as caught:
        _chosen(user, group)
    assert str(caught.value) == message
