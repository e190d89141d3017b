"""``wsgi.input`` against the standard library's own stream, and where a socket differs from it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.wsgi.body import EMPTY, Body, BodyTooLong, Disconnected

TEXT = b"first line\nsecond\n\nno newline " + b"x" * 50 + b"\nlast"

CALLS: dict[str, list[tuple[str, tuple[Optional[int], ...]]]] = {
    "read all": [("read", ()), ("read", ()), ("readline", ())],
    "read None": [("read", (None,)), ("read", (3,))],
    "read by size": [("read", (3,)), ("read", (0,)), ("read", (30,)), ("read", (1000,)), ("read", (5,))],
    "read negative": [("read", (2,)), ("read", (-1,))],
    "lines": [("readline", ()), ("readline", (None,)), ("readline", (-1,)), ("readline", ()), ("readline", ())] * 2,
    "lines by size": [("readline", (5,)), ("readline", (5,)), ("readline", (0,)), ("readline", (100,))] * 4,
    "mixed": [("read", (4,)), ("readline", ()), ("read", (2,)), ("readline", (60,)), ("readlines", ()), ("read", ())],
    "all lines": [("readlines", ()), ("readlines", ())],
    "lines by hint": [("readlines", (1,)), ("readlines", (12,)), ("readlines", (0,)), ("readlines", (5,))],
}


def pieces(data: bytes, step: int) -> Callable[[], bytes]:
    left: Iterator[bytes] = iter([data[start : start + step] for start in range(0, len(data), step)])
    return lambda: next(left, b"")


@pytest.mark.parametrize("length", [None, len(TEXT)])
@pytest.mark.parametrize("step", [1, 2, 11, 1000])
@pytest.mark.parametrize("name", CALLS)
def test_a_body_answers_as_a_file_would(name: str, step: int, length: Optional[int]) -> None:
    body, model = Body(pieces(TEXT, step), length), io.BytesIO(TEXT)
    for method, arguments in CALLS[name]:
        assert getattr(body, method)(*arguments) == getattr(model, method)(*arguments)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_iteration_gives_the_lines_once(step: int) -> None:
    body = Body(pieces(TEXT, step), len(TEXT))
    assert list(body) == TEXT.splitlines(keepends=True)
    assert list(body) == []


def test_a_body_ends_where_its_length_says_whatever_follows() -> None:
    body = Body(pieces(b"body and more", 8), 4)
    assert (body.read(), body.read(1), body.remaining) == (b"body", b"", 0)


def test_nothing_is_asked_of_the_peer_that_the_caller_does_not_need() -> None:
    def explode() -> bytes:
        raise AssertionError("asked")

    assert Body(explode, 5).read(0) == b""
    assert Body(explode, 5).readline(0) == b""
    assert Body(explode, 0).read() == b""
    asked = [b"ab", b"cd"]
    body = Body(lambda: asked.pop(0), 6)
    assert body.read(3) == b"abc" and asked == [] and body.remaining == 2
    assert body.read(1) == b"d"


def test_a_body_that_ends_before_its_length_is_never_taken_for_whole() -> None:
    body = Body(pieces(b"half", 2), 8)
    assert body.read(4) == b"half"
    with pytest.raises(Disconnected, match="4 bytes before"):
        body.read(4)
    assert body.read() == b""


def test_the_limit_holds_for_a_body_that_does_not_tell_its_length() -> None:
    body = Body(pieces(b"x" * 100, 10), None, limit=55)
    assert body.read(50) == b"x" * 50
    with pytest.raises(BodyTooLong):
        body.read(10)
    assert body.too_long


def test_a_body_as_long_as_the_limit_is_not_too_long() -> None:
    body = Body(pieces(b"x" * 100, 10), None, limit=100)
    assert body.may_be_too_long
    assert body.read() == b"x" * 100
    assert not body.too_long


def test_a_line_costs_what_it_holds() -> None:
    joined = 0

    class Counting(bytes):
        def find(self, *arguments: Any) -> int:
            nonlocal joined
            joined += len(self) - (arguments[1] if isinstance(arguments[1], int) else 0)
            return super().find(*arguments)

    parts = iter([Counting(b"x" * 1000) for _ in range(100)])
    assert len(Body(lambda: next(parts, b""), None).readline()) == 100_000
    assert joined == 100_000


def test_the_empty_body_is_empty_for_ever() -> None:
    assert (EMPTY.read(), EMPTY.readline(), EMPTY.readlines(), list(EMPTY), EMPTY.remaining) == (b"", b"", [], [], 0)


sizes = st.one_of(st.none(), st.integers(-2, 200), st.just(10**12))
calls = st.lists(st.tuples(st.sampled_from(["read", "readline", "readlines"]), sizes), max_size=12)


@settings(database=None, deadline=None)
@given(st.lists(st.sampled_from([b"", b"\n", b"a", b"line\n", b"x" * 99])), st.integers(1, 40), calls, st.booleans())
def test_whatever_is_called_in_whatever_order_it_answers_as_a_file_would(
    parts: list[bytes], step: int, calls: list[tuple[str, Optional[int]]], told: bool
) -> None:
    text = b"".join(parts)
    body, model = Body(pieces(text, step), len(text) if told else None), io.BytesIO(text)
    for method, size in [*calls, ("read", None), ("read", 1)]:
        assert getattr(body, method)(size) == getattr(model, method)(size)


def test_a_failure_of_the_peer_is_told_once_and_then_the_stream_is_over() -> None:
    body = Body(pieces(b"ab", 1), 5)
    with pytest.raises(Disconnected):
        body.readlines()
    assert (body.read(), body.readline(), list(body)) == (b"", b"", [])


def test_what_the_peer_sent_before_it_left_can_be_read_in_pieces() -> None:
    body = Body(pieces(b"line\nhalf", 3), 20)
    assert body.readline() == b"line\n"
    with pytest.raises(OSError, match="before its CONTENT_LENGTH"):
        body.readline()
