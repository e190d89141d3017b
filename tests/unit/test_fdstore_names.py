"""The names under which systemd keeps our listeners: what is noted comes back, and nothing else is taken for ours."""

from __future__ import annotations

import random
import string

import pytest

from emperor.config.placement import EMPEROR, VASSAL
from emperor.system.fdstore import MAX_NAME, Label, label, parse
from emperor.system.listeners import Place

LONGEST = "A" + "z" * 63
HUGE = 2**64 - 1

LABELS = {
    "a file of ours": Label("blog", EMPEROR, 1000, 1000, Place(41, 1234), "00ff"),
    "a file of a user's": Label("my.blog@x-1_", VASSAL, 65534, 65533, Place(HUGE, HUGE), "a" * 32),
    "no file": Label("_", EMPEROR, 0, 0, None, "0"),
    "the longest": Label(LONGEST, EMPEROR, 2**32 - 1, 2**32 - 1, Place(HUGE, HUGE), "f" * 32),
}


@pytest.mark.parametrize("one", LABELS.values(), ids=LABELS.keys())
def test_what_is_noted_is_read_again(one: Label) -> None:
    assert parse(one.name) == one


@pytest.mark.parametrize("one", LABELS.values(), ids=LABELS.keys())
def test_systemd_takes_the_name(one: Label) -> None:
    """sd_notify(3): at most 255 characters of ASCII, no control characters and no colon."""
    assert len(one.name) <= MAX_NAME
    assert set(one.name) <= set(map(chr, range(32, 127))) - {":"}


def test_no_two_listeners_have_one_name() -> None:
    same = ("blog", EMPEROR, 0, 0, Place(1, 2))
    assert len({label(*same).name for _ in range(100)}) == 100
    assert parse(label(*same).name) is not None


OURS = LABELS["a file of ours"].name

FOREIGN = [
    "",
    "unknown",
    "stored",
    "blog",
    "blog.socket",
    "emperor.1",
    OURS + " ",
    OURS + "\n",
    " " + OURS,
    OURS.replace("emperor.1", "emperor.2"),
    OURS.replace("/blog/", "//"),
    OURS.replace("/blog/", "/../"),
    OURS.replace("/blog/", "/-blog/"),
    OURS.replace("/blog/", f"/{LONGEST}x/"),
    OURS.replace("1000.1000", "1000"),
    OURS.replace("1000.1000", "-1.1000"),
    OURS.replace("1000.1000", "01000.1000"),
    OURS.replace("1000.1000", "١٠٠٠.1000"),
    OURS.replace("41.1234", "41"),
    OURS.replace("41.1234", "41.+1234"),
    OURS.replace("00ff", ""),
    OURS.replace("00ff", "f" * 33),
    OURS + "/more",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_name_of_somebody_elses_is_none_of_ours(name: str) -> None:
    assert parse(name) is None


def test_no_text_makes_it_raise_and_what_it_reads_it_would_write() -> None:
    dice = random.Random(4)
    letters = string.printable + "é١\udc80"
    for _ in range(20_000):
        name = list(OURS)
        for _ in range(dice.randrange(4)):
            name[dice.randrange(len(name))] = dice.choice(letters)
        found = parse("".join(name))
        assert found is None or found.name == "".join(name)
