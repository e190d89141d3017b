"""Of several inis with one name, whose is it?"""

from __future__ import annotations

from emperor.intake.whosename import holders

ROOTS, ALICES, BOBS = "/etc/v/shop.ini", "/home/alice/v/shop.ini", "/home/bob/v/shop.ini"


def ours(path: str) -> bool:
    return path.startswith("/etc/")


def undecided(path: str) -> bool:
    raise AssertionError(f"asked of {path}")


def test_a_name_that_one_ini_has_is_its_and_nobody_looks_at_its_folder() -> None:
    assert holders({"shop": [BOBS]}, {}, undecided) == {"shop": BOBS}
    assert holders({"shop": [BOBS]}, {"shop": BOBS}, undecided) == {"shop": BOBS}


def test_whoever_has_it_keeps_it_from_another_user() -> None:
    for order in ([ALICES, BOBS], [BOBS, ALICES]):
        assert holders({"shop": order}, {"shop": BOBS}, ours) == {"shop": BOBS}


def test_a_user_has_nothing_of_the_moment_in_which_it_is_replaced() -> None:
    assert holders({"shop": [ALICES]}, {"shop": BOBS}, ours) == {}
    assert holders({"shop": [ALICES]}, {"shop": ROOTS}, ours) == {}


def test_an_administrators_comes_first_even_if_a_user_has_it() -> None:
    assert holders({"shop": [ALICES, ROOTS]}, {}, ours) == {"shop": ROOTS}
    assert holders({"shop": [ALICES, ROOTS]}, {"shop": ALICES}, ours) == {"shop": ROOTS}


def test_an_administrator_who_moves_it_waits_for_nothing() -> None:
    assert holders({"shop": [ROOTS]}, {"shop": "/etc/older/shop.ini"}, ours) == {"shop": ROOTS}


def test_of_two_newcomers_the_first_place_has_it() -> None:
    assert holders({"shop": [BOBS, ALICES]}, {}, ours) == {"shop": BOBS}
