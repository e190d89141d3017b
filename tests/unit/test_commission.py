"""A commission survives its way into the vassal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emperor.supervision.commission import BIND, CHECK, SERVE, Commission
from tests.unit.vassal_world import ONE

COMMISSIONS = {
    "plain": Commission(SERVE, ONE),
    "with descriptors": Commission(SERVE, ONE, listeners={0: 7, 2: 12}),
    "with places": Commission(SERVE, ONE, places={1: (2049, 2**63)}),
    "in full": Commission(CHECK, ONE, {0: 3}, {0: (1, 2)}, keeps_log=True, parent=4711, leftovers=((9, "fastcgi"),)),
    "as many as ordered": Commission(SERVE, ONE, workers=1024),
    "sockets alone": Commission(BIND, ONE, {0: 3}),
    "a path in an unknown encoding": Commission(SERVE, replace(ONE, chdir="/srv/caf\udce9")),
    "text beyond ASCII": Commission(SERVE, replace(ONE, env=(("GREETING", "grüß 🌍\n"),))),
}


@pytest.mark.parametrize("name", COMMISSIONS)
def test_a_commission_comes_back_as_it_was(name: str) -> None:
    assert Commission.from_bytes(COMMISSIONS[name].to_bytes()) == COMMISSIONS[name]


def test_socket_indices_come_back_as_numbers_and_places_as_pairs() -> None:
    found = Commission.from_bytes(Commission(SERVE, ONE, {0: 7}, {1: (2, 3)}).to_bytes())
    assert (found.listeners, found.places) == ({0: 7}, {1: (2, 3)})
    assert isinstance(found.places[1], tuple)


def test_the_bytes_are_ascii() -> None:
    assert COMMISSIONS["text beyond ASCII"].to_bytes().isascii()


def test_all_listeners_are_inherited() -> None:
    assert Commission(SERVE, ONE, {0: 7, 2: 5}, leftovers=((9, "uwsgi"), (4, "fastcgi"))).descriptors == (7, 5, 9, 4)
    assert Commission(CHECK, ONE).descriptors == ()
