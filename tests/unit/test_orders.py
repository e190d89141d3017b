"""What an emperor says to a vassal, and what a vassal makes of what it does not know."""

from __future__ import annotations

import pytest

from emperor.supervision.orders import MAX_DATAGRAM, Resize, decode, encode


@pytest.mark.parametrize("workers", [0, 1, 4, 1024])
def test_an_order_comes_back_as_it_was(workers: int) -> None:
    assert decode(encode(Resize(workers))) == Resize(workers)
    assert len(encode(Resize(workers))) <= MAX_DATAGRAM


def test_fewer_than_none_are_none() -> None:
    assert decode(b'["resize", {"workers": -3}]') == Resize(0)


def test_what_a_newer_emperor_adds_to_an_order_is_passed_over() -> None:
    assert decode(b'["resize", {"workers": 2, "slowly": true}]') == Resize(2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"resize",
        b"\xff\xfe",
        b"null",
        b"7",
        b"[]",
        b'["resize"]',
        b'["resize", {}]',
        b'["resize", []]',
        b'["resize", null]',
        b'["resize", {"workers": null}]',
        b'["resize", {"workers": "many"}]',
        b'["resize", {"workers": NaN}]',
        b'["resize", {"workers": Infinity}]',
        b'["resize", {"workers": 1}, 3]',
        b'["dance", {"workers": 1}]',
        b'[["resize"], {"workers": 1}]',
        b'{"resize": {"workers": 1}}',
        b"[" * 4000,
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_no_order_is_passed_over(data: bytes) -> None:
    assert decode(data) is None
