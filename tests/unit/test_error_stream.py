"""``wsgi.errors``: whose text leaves when."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable
from typing import Any, Callable

import pytest

from emperor.wsgi.errors import ErrorStream
from emperor.wsgi.gateway import Gateway

Start = Callable[..., Any]


def elsewhere(work: Callable[[], object]) -> None:
    """In a thread of its own, which is over afterwards."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


class Lasting:
    """A thread that works when it is told to, and lives on."""

    def __init__(self) -> None:
        self._work: Callable[[], object] = lambda: None
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run)
        self._over = False

    def _run(self) -> None:
        while self._go.acquire() and not self._over:
            self._work()
            self._done.release()

    def __call__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._go.release()
        self._done.acquire()

    def __enter__(self) -> Lasting:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over = True
        self._go.release()
        self._thread.join()


def test_lines_of_several_threads_arrive_whole() -> None:
    log = io.StringIO()
    errors = ErrorStream(log)

    def step(text: str) -> Callable[[], object]:
        return lambda: errors.write(text)

    with Lasting() as one, Lasting() as two:
        # What print("a", "b") and print("c", "d") do.
        for mine, theirs in zip(("a", " ", "b", "\n"), ("c", " ", "d", "\n")):
            one(step(mine))
            two(step(theirs))
    assert log.getvalue() == "a b\nc d\n"


def test_one_thread_that_has_written_all_does_not_push_out_anothers_half_line() -> None:
    log = io.StringIO()
    errors = ErrorStream(log)
    with Lasting() as other:
        other(lambda: errors.write("half "))
        errors.write("mine")
        assert errors.pending
        errors.settle()
        assert log.getvalue() == "mine"
        # It has still to be settled by its own thread.
        assert errors.pending
        other(errors.settle)
    assert log.getvalue() == "minehalf " and not errors.pending


def test_what_a_thread_that_has_ended_left_behind_is_not_lost() -> None:
    log = io.StringIO()
    errors = ErrorStream(log)
    elsewhere(lambda: errors.write("last words"))
    errors.settle()
    assert log.getvalue() == "last words" and not errors.pending


def test_whole_lines_of_a_thread_that_never_settles_are_settled_by_any() -> None:
    """Or each request for ever after would look for them."""
    raw = io.BytesIO()
    errors = ErrorStream(io.TextIOWrapper(raw, encoding="utf-8"))
    with Lasting() as background:
        background(lambda: errors.write("whole\n"))
        assert errors.pending
        errors.settle()
        assert raw.getvalue() == b"whole\n" and not errors.pending


def test_a_line_without_an_end_is_not_gathered_for_ever() -> None:
    log = io.StringIO()
    errors = ErrorStream(log)
    for _ in range(100_000):
        errors.write("x")
    assert 80_000 <= len(log.getvalue()) <= 100_000
    errors.flush()
    assert log.getvalue() == "x" * 100_000


def test_write_says_how_much_it_took_and_takes_text_alone() -> None:
    errors = ErrorStream(io.StringIO())
    assert [errors.write(text) for text in ("", "ab", "c\nd", "\n")] == [0, 2, 3, 1]
    for wrong in (b"bytes\n", None, 3):
        with pytest.raises(TypeError):
            errors.write(wrong)  # type: ignore[arg-type]  # that it is wrong is the case


def test_the_copy_hears_whole_lines_too() -> None:
    heard: list[str] = []
    errors = ErrorStream(io.StringIO(), heard.append)
    print("a", "b", file=errors)
    print("c", end="", file=errors)
    errors.settle()
    assert heard == ["a b\n", "c"]


def test_a_half_line_is_in_the_log_before_the_response_leaves_whoever_else_writes() -> None:
    log = io.StringIO()
    seen: list[str] = []

    def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        print("half", end="", file=environ["wsgi.errors"])
        # Another request in between settles what is its own.
        elsewhere(lambda: environ["wsgi.errors"].settle())
        assert log.getvalue() == ""
        start_response("200 OK", [])
        return [b"x"]

    gateway = Gateway(app, "Status: ", log, multithread=True, multiprocess=False)
    environ = gateway.environ(["REQUEST_METHOD"], ["GET"])
    outcome = gateway.respond(environ, lambda data, last: seen.append(log.getvalue()))
    assert not outcome.failed, log.getvalue()
    assert set(seen) == {"half"}
