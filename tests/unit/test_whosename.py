"""Of several inis with one name, whose is it?"""

from __future__ import annotations

from emperor.intake.whosename import Registry, holders

ROOTS, ALICES, BOBS = "/etc/v/shop.ini", "/home/alice/v/shop.ini", "/home/bob/v/shop.ini"


def ours(path: str) -> bool:
    return path.startswith("/etc/")


def undecided(path: str) -> bool:
    raise AssertionError(f"asked of {path}")


def test_a_name_that_one_ini_has_is_its_and_nobody_looks_at_its_folder() -> None:
    assert holders({"shop": [BOBS]}, Registry(), undecided) == {"shop": BOBS}
    assert holders({"shop": [BOBS]}, Registry({"shop": BOBS}), undecided) == {"shop": BOBS}


def test_whoever_has_it_keeps_it_from_another_user() -> None:
    for order in ([ALICES, BOBS], [BOBS, ALICES]):
        assert holders({"shop": order}, Registry({"shop": BOBS}), ours) == {"shop": BOBS}


def test_a_user_has_nothing_of_the_moment_in_which_it_is_replaced() -> None:
    assert holders({"shop": [ALICES]}, Registry({"shop": BOBS}), ours) == {}
    assert holders({"shop": [ALICES]}, Registry({"shop": ROOTS}), ours) == {}


def test_an_administrators_comes_first_even_if_a_user_has_it() -> None:
    assert holders({"shop": [ALICES, ROOTS]}, Registry(), ours) == {"shop": ROOTS}
    assert holders({"shop": [ALICES, ROOTS]}, Registry({"shop": ALICES}), ours) == {"shop": ROOTS}


def test_an_administrator_who_moves_it_waits_for_nothing() -> None:
    assert holders({"shop": [ROOTS]}, Registry({"shop": "/etc/older/shop.ini"}), ours) == {"shop": ROOTS}


def test_of_two_newcomers_the_first_place_has_it() -> None:
    assert holders({"shop": [BOBS, ALICES]}, Registry(), ours) == {"shop": BOBS}


WHOSE = {ALICES: 1001, BOBS: 1002}


def test_what_a_users_vassal_was_called_nobody_elses_is() -> None:
    bobs = Registry(kept={"shop": 1002}, whose=WHOSE)
    assert holders({"shop": [ALICES]}, bobs, ours) == {}
    assert holders({"shop": [ALICES, BOBS]}, bobs, ours) == {"shop": BOBS}
    assert holders({"shop": [BOBS]}, bobs, undecided) == {"shop": BOBS}


def test_the_same_user_may_move_it() -> None:
    other = "/home/bob/new/shop.ini"
    assert holders({"shop": [other]}, Registry(kept={"shop": 1002}, whose={other: 1002}), undecided) == {"shop": other}


def test_whose_folder_is_not_known_has_no_name_that_was_somebodys() -> None:
    assert holders({"shop": [ALICES]}, Registry(kept={"shop": 1002}), ours) == {}
    assert holders({"shop": [ALICES]}, Registry(), undecided) == {"shop": ALICES}


def test_an_administrator_takes_a_name_that_is_kept() -> None:
    assert holders({"shop": [BOBS, ROOTS]}, Registry(kept={"shop": 1002}, whose=WHOSE), ours) == {"shop": ROOTS}
