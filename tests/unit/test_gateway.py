"""PEP 3333, rule by rule, without a wire."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

import pytest

from emperor.wsgi.body import BodyTooLong, Disconnected
from emperor.wsgi.environ import OURS
from emperor.wsgi.gateway import FileWrapper, Gateway, Outcome

Start = Callable[..., Callable[[bytes], None]]
App = Callable[[dict[str, Any], Start], Any]

OK = "200 OK"
PAGE_500 = (
    b"Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 26\r\n\r\n"
    b"500 Internal Server Error\n"
)


class Wire:
    """What the web server would get; ``breaks_after`` sends, its connection is gone."""

    def __init__(self, breaks_after: Optional[int] = None) -> None:
        self.sends: list[tuple[bytes, bool]] = []
        self._breaks_after = breaks_after

    def __call__(self, data: bytes, last: bool) -> None:
        if self._breaks_after is not None and len(self.sends) >= self._breaks_after:
            raise Disconnected()
        self.sends.append((data, last))

    @property
    def bytes(self) -> bytes:
        return b"".join(data for data, _ in self.sends)


class Run:
    def __init__(self, app: App, wire: Optional[Wire] = None, method: str = "GET") -> None:
        self.errors = io.StringIO()
        self.wire = wire or Wire()
        gateway = Gateway(app, "Status: ", self.errors, multithread=False, multiprocess=False)
        environ = gateway.environ(["REQUEST_METHOD", "PATH_INFO"], [method, "/page"])
        self.outcome = gateway.respond(environ, self.wire)

    @property
    def log(self) -> str:
        return self.errors.getvalue()


def app(status: Any = OK, headers: Any = (), body: Any = (b"x",)) -> App:
    def application(environ: dict[str, Any], start_response: Start) -> Any:
        start_response(status, list(headers) if type(headers) is tuple else headers)
        return body

    return application


FINE = Outcome(failed=False, cut=False, counted=False)


# --- what leaves, and when ---


def test_head_and_first_block_leave_together_and_the_end_by_itself() -> None:
    run = Run(app(body=[b"one", b"", b"two"]))
    assert run.wire.sends == [(b"Status: 200 OK\r\n\r\none", False), (b"two", False), (b"", True)]
    assert (run.outcome, run.log) == (FINE, "")


def test_the_block_that_fills_the_content_length_is_the_last() -> None:
    run = Run(app(headers=(("Content-Length", "6"),), body=[b"one", b"two"]))
    assert run.wire.sends == [(b"Status: 200 OK\r\nContent-Length: 6\r\n\r\none", False), (b"two", True)]


def test_an_empty_body_is_a_head_alone() -> None:
    for body in ([], [b""], iter(()), b""):
        assert Run(app(body=body)).wire.sends == [(b"Status: 200 OK\r\n\r\n", True)]


def test_a_head_request_keeps_its_content_length() -> None:
    run = Run(app(headers=(("Content-Length", "500"),), body=[]))
    assert run.wire.sends == [(b"Status: 200 OK\r\nContent-Length: 500\r\n\r\n", True)]


def test_a_large_block_is_not_copied_behind_the_head() -> None:
    block = b"x" * 1_000_000
    run = Run(app(body=[block]))
    assert run.wire.sends[0] == (b"Status: 200 OK\r\n\r\n", False)
    assert run.wire.sends[1][0] is block


def test_bare_bytes_are_one_block() -> None:
    assert Run(app(body=b"bare")).wire.sends[0] == (b"Status: 200 OK\r\n\r\nbare", False)


def test_no_more_leaves_than_content_length_says() -> None:
    run = Run(app(headers=(("Content-Length", "4"),), body=[b"abcdef", b"ghi"]))
    assert run.wire.bytes == b"Status: 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
    assert "more than its Content-Length" in run.log and run.log.count("\n") == 1
    assert not run.outcome.failed


def calling_write(status: str, blocks: Iterable[bytes] = (b"body",)) -> App:
    def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        write = start_response(status, [])
        for block in blocks:
            write(block)
        return []

    return application


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "204", "304 As before"])
@pytest.mark.parametrize("given", [[b"body"], (b"", b"bo", b"dy"), b"body", None])
def test_a_body_where_the_status_has_none_is_told_once(status: str, given: Any) -> None:
    run = Run(calling_write(status) if given is None else app(status, body=given))
    assert run.wire.bytes.endswith(b"\r\n\r\nbody")
    assert run.log == (
        "request: GET /page: the app gave a body with a status that has none (204, 304) -- the web server drops it\n"
    )
    assert not run.outcome.failed


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "200 OK"])
@pytest.mark.parametrize("body", [[], [b""], (), b"", iter(())])
def test_a_response_without_a_body_is_nothing_to_tell(status: str, body: Any) -> None:
    assert Run(app(status, (("Content-Length", "500"),), body)).log == ""
    assert Run(calling_write(status, [])).log == Run(calling_write(status, [b""])).log == ""


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
@pytest.mark.parametrize("headers", [(), (("Content-Length", "2"),)])
def test_a_body_for_head_is_nothing_to_tell(status: str, headers: tuple[tuple[str, str], ...]) -> None:
    """Apps answer it as they answer GET."""
    assert Run(app(status, headers, [b"body"]), method="HEAD").log == ""


def test_a_head_that_was_replaced_says_nothing_of_the_body() -> None:
    def changing(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("204 No Content", [])
        try:
            raise ValueError
        except ValueError:
            start_response("200 OK", [], sys.exc_info())
        return [b"body"]

    assert Run(changing).log == ""

    def mending(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        with contextlib.suppress(ValueError):
            start_response("204 No Content", [("A", "b\n")])
        start_response("200 OK", [])
        return [b"body"]

    assert Run(mending).log == ""

    def failing_late(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response("204 No Content", [])
        raise ValueError("x")

    run = Run(failing_late)
    assert run.wire.sends == [(PAGE_500, True)] and "has none" not in run.log


def test_nothing_leaves_before_the_first_block() -> None:
    wire = Wire()

    def lazy(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response("404 Not Found", [])
        assert wire.sends == []
        yield b""
        assert wire.sends == []
        yield b"x"
        assert wire.sends == [(b"Status: 404 Not Found\r\n\r\nx", False)]

    run = Run(lazy, wire)
    assert run.outcome == FINE, run.log


def test_write_sends_at_once_and_mixes_with_the_iterable() -> None:
    wire = Wire()

    def writing(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        write = start_response(OK, [])
        write(b"one")
        assert len(wire.sends) == 1
        write(b"two")
        return [b"three"]

    assert Run(writing, wire).wire.bytes == b"Status: 200 OK\r\n\r\nonetwothree"


# --- start_response ---


def test_start_response_may_come_as_late_as_the_first_block() -> None:
    def late(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        yield b""
        start_response(OK, [])
        yield b"x"

    assert Run(late).wire.bytes == b"Status: 200 OK\r\n\r\nx"


def test_a_second_head_replaces_the_first_when_it_brings_exc_info() -> None:
    def twice(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        start_response(OK, [("Content-Length", "1")])
        try:
            raise ValueError("first")
        except ValueError:
            start_response("503 Busy", [("A", "b")], sys.exc_info())
        return [b"sorry"]

    run = Run(twice)
    assert run.wire.bytes == b"Status: 503 Busy\r\nA: b\r\n\r\nsorry"
    assert run.outcome == FINE


def test_exc_info_after_the_head_raises_the_apps_own_exception() -> None:
    seen: list[BaseException] = []

    def late(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response(OK, [])
        yield b"x"
        try:
            raise UnicodeDecodeError("ascii", b"", 0, 1, "kept whole")
        except UnicodeDecodeError:
            try:
                start_response("500 Oops", [], sys.exc_info())
            except BaseException as error:
                seen.append(error)
                raise

    run = Run(late)
    assert isinstance(seen[0], UnicodeDecodeError)
    assert run.outcome == Outcome(failed=True, cut=True, counted=False)
    assert "kept whole" in run.log


def test_an_empty_exc_info_behind_the_head_changes_nothing() -> None:
    """What sys.exc_info() gives outside of an except clause."""

    def late(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response(OK, [("Content-Length", "4")])
        yield b"ab"
        start_response(OK, [("Content-Length", "400")], (None, None, None))
        yield b"cdefgh"

    run = Run(late)
    assert run.wire.bytes.endswith(b"\r\n\r\nab")
    assert run.outcome == Outcome(failed=True, cut=True, counted=True)
    assert "AssertionError: start_response" in run.log


MISUSES: dict[str, App] = {
    "never": lambda environ, start_response: [b"x"],
    "never and nothing": lambda environ, start_response: [],
    "twice": lambda environ, start_response: [start_response(OK, []), start_response(OK, [])],
    "status as bytes": app(status=b"200 OK"),
    "status as a number": app(status=200),
    "status without a number": app(status="OK"),
    "status of two digits": app(status="20 OK"),
    "status without a space": app(status="200OK"),
    "status that is not final": app(status="101 Switching Protocols"),
    "status with a line": app(status="200 OK\r\nEvil: 1"),
    "status with NUL": app(status="200 O\0K"),
    "other digits": app(status="\u0662\u0660\u0660 OK"),
    "headers as a dict": app(headers={"A": "b"}),
    "headers as None": app(headers=None),
    "a header as bytes": app(headers=((b"A", b"b"),)),
    "a value as a number": app(headers=(("Content-Length", 5),)),
    "a line in a value": app(headers=(("A", "b\r\nEvil: 1"),)),
    "a bare newline": app(headers=(("A", "b\nc"),)),
    "a bare return": app(headers=(("A", "b\rc"),)),
    "NUL in a value": app(headers=(("A", "b\0c"),)),
    "a line in a name": app(headers=(("A\r\nB", "c"),)),
    "a newline in a name": app(headers=(("A\nB", "c"),)),
    "a colon in a name": app(headers=(("A:", "b"),)),
    "a space in a name": app(headers=(("A b", "c"),)),
    "an empty name": app(headers=(("", "b"),)),
    "a control character in a value": app(headers=(("A", "b\x01c"),)),
    "DEL in a value": app(headers=(("A", "b\x7fc"),)),
    "beyond latin-1": app(headers=(("A", "\u20ac"),)),
    "three of them": app(headers=(("A", "b", "c"),)),
    "Content-Length twice": app(headers=(("Content-Length", "1"), ("content-length", "2"))),
    "Content-Length of words": app(headers=(("Content-Length", "-1"),)),
    "text": app(body=["text"]),
    "a string": app(body="text"),
    "numbers": app(body=[1, 2]),
    "None": app(body=None),
    "a bytearray": app(body=[bytearray(b"x")]),
}


@pytest.mark.parametrize("name", MISUSES)
def test_a_misuse_is_a_500_and_a_traceback_in_the_log(name: str) -> None:
    run = Run(MISUSES[name])
    assert run.wire.sends == [(PAGE_500, True)]
    assert run.outcome == Outcome(failed=True, cut=False, counted=True)
    assert run.log.startswith("request: GET /page: the app failed\n")
    assert run.log.rstrip().rpartition("\n")[2].partition(":")[0] in {
        "AssertionError", "TypeError", "ValueError", "UnicodeEncodeError", "AttributeError",
    }  # fmt: skip


@pytest.mark.parametrize(
    "given, sent",
    [("200", "200 OK"), ("404 ", "404 Not Found"), ("299", "299 Unknown"), ("418 Caf\xe9", "418 Caf\xe9")],
)
def test_a_status_without_a_reason_gets_the_standard_one(given: str, sent: str) -> None:
    assert Run(app(status=given)).wire.bytes.partition(b"\r\n")[0] == b"Status: " + sent.encode("latin-1")


def test_fields_that_are_the_web_servers_do_not_pass() -> None:
    dropped = ("Connection", "keep-alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Status")
    headers = (*((name, "200") for name in dropped), ("Set-Cookie", "a"), ("Set-Cookie", "b"))
    assert Run(app(headers=headers)).wire.bytes == b"Status: 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nx"


# --- failures ---


def failing(error: BaseException, blocks: Iterable[bytes] = (), headers: tuple[tuple[str, str], ...] = ()) -> App:
    def application(environ: dict[str, Any], start_response: Start) -> Iterator[bytes]:
        start_response(OK, list(headers))
        yield from blocks
        raise error

    return application


ERRORS = [ValueError("secret"), SystemExit("secret"), KeyboardInterrupt("secret"), RecursionError("secret")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_the_app_raises_before_the_head_is_a_500(error: BaseException) -> None:
    def directly(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        raise error

    for application in (failing(error), directly):
        error.with_traceback(None)
        run = Run(application)
        assert run.wire.sends == [(PAGE_500, True)]
        assert "secret" in run.log and "wsgi/gateway.py" not in run.log


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_it_raises_behind_the_head_is_a_cut_response(error: BaseException) -> None:
    run = Run(failing(error, [b"half"]))
    assert run.wire.sends == [(b"Status: 200 OK\r\n\r\nhalf", False)]
    assert run.outcome == Outcome(failed=True, cut=True, counted=False)
    assert Run(failing(error, [b"half"], (("Content-Length", "9"),))).outcome.counted


def test_a_failure_behind_the_last_byte_cuts_nothing() -> None:
    run = Run(failing(ValueError("afterwards"), [b"whole"], (("Content-Length", "5"),)))
    assert run.outcome == Outcome(failed=True, cut=False, counted=True)
    assert "afterwards" in run.log


def test_a_body_beyond_the_limit_is_a_413() -> None:
    run = Run(failing(BodyTooLong("too long")))
    assert run.wire.bytes.startswith(b"Status: 413 ")
    assert "Traceback" not in run.log


def test_a_web_server_that_left_is_no_failure_of_the_app() -> None:
    for breaks_after in (0, 1):
        run = Run(app(body=[b"one", b"two"]), Wire(breaks_after))
        assert (run.outcome.failed, run.outcome.cut, run.log) == (False, True, "")


class Closing:
    def __init__(self, blocks: Iterable[Any], error: Optional[BaseException] = None) -> None:
        self._blocks = blocks
        self._error = error
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self._blocks)

    def close(self) -> None:
        self.closed += 1
        if self._error:
            raise self._error


@pytest.mark.parametrize("blocks", [[], [b"x"], ["text"], [b"x", None, 3]])
@pytest.mark.parametrize("breaks_after", [None, 0, 1])
@pytest.mark.parametrize("error", [None, ValueError("in close"), SystemExit(3)])
def test_close_is_called_exactly_once(
    blocks: list[Any], breaks_after: Optional[int], error: Optional[BaseException]
) -> None:
    body = Closing(blocks, error)
    run = Run(app(body=body), Wire(breaks_after))
    assert body.closed == 1
    assert ("close() failed" in run.log) == (error is not None)


def test_close_is_called_when_start_response_never_was() -> None:
    body = Closing([b"x"])
    Run(lambda environ, start_response: body)
    assert body.closed == 1


class Strange:
    """Raises wherever somebody looks at it."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"x"])

    def __str__(self) -> str:
        raise self._error

    @property
    def close(self) -> Any:
        raise self._error


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_result_that_raises_when_it_is_asked_for_close_costs_no_more_than_a_line(error: BaseException) -> None:
    run = Run(app(body=Strange(error)))
    assert run.wire.bytes == b"Status: 200 OK\r\n\r\nx" and run.outcome == FINE
    assert "close() failed" in run.log


@pytest.mark.parametrize("name", ["PATH_INFO", "SCRIPT_NAME", "REQUEST_METHOD"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_the_app_puts_into_its_environ_cannot_stop_the_answer(name: str, error: BaseException) -> None:
    def spoiling(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ[name] = Strange(error)
        raise RuntimeError("the app's own")

    assert Run(spoiling).wire.sends == [(PAGE_500, True)]


def test_an_exception_that_cannot_be_told_is_named() -> None:
    error = SyntaxError("bad")
    # A template compiler's, whose fields are not what Python's own are.
    error.lineno, error.text = 1, 5  # type: ignore[assignment]
    run = Run(failing(error))
    assert run.wire.sends == [(PAGE_500, True)]
    assert "the app failed\nSyntaxError" in run.log


def test_what_comes_behind_the_response_goes_nowhere() -> None:
    kept: list[Any] = []

    def keeping(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        kept.extend((start_response, start_response(OK, [])))
        return [b"x"]

    run = Run(keeping)
    sends = list(run.wire.sends)
    kept[1](b"late")
    with pytest.raises(AssertionError):
        kept[0](OK, [])
    with pytest.raises(ValueError, match="late"):
        kept[0](OK, [], (ValueError, ValueError("late"), None))
    with pytest.raises(AssertionError):
        kept[0](OK, [], (None, None, None))
    assert run.wire.sends == sends


# --- the environ that it adds ---


def test_a_file_is_wrapped_in_blocks_and_closed() -> None:
    file = io.BytesIO(b"x" * 150_000)
    run = Run(lambda environ, start_response: (start_response(OK, []), environ["wsgi.file_wrapper"](file))[1])
    assert run.wire.bytes == b"Status: 200 OK\r\n\r\n" + b"x" * 150_000
    assert [len(data) for data, _ in run.wire.sends[1:3]] == [65536, 150_000 - 2 * 65536]
    assert file.closed
    assert not hasattr(FileWrapper(object()), "close")


def test_what_the_app_writes_to_wsgi_errors_is_in_the_log_when_the_request_ends() -> None:
    raw = io.BytesIO()
    errors = io.TextIOWrapper(raw, encoding="utf-8", line_buffering=True)
    gateway = Gateway(
        lambda environ, start_response: (environ["wsgi.errors"].write("no newline"), start_response(OK, []), [])[2],
        "Status: ",
        errors,
        multithread=False,
        multiprocess=False,
    )
    gateway.respond(gateway.environ(["REQUEST_METHOD"], ["GET"]), Wire())
    assert raw.getvalue() == b"no newline"


@pytest.mark.parametrize("headers", [(), (("Content-Length", "1"),)])
def test_what_the_app_wrote_to_wsgi_errors_is_in_the_log_before_the_response_ends(
    headers: tuple[tuple[str, str], ...],
) -> None:
    """The web server may log, and a test may look, as soon as it has the last byte."""
    raw = io.BytesIO()
    errors = io.TextIOWrapper(raw, encoding="utf-8", line_buffering=True)
    logged: list[bytes] = []

    def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        environ["wsgi.errors"].write("no newline")
        start_response(OK, list(headers))
        return [b"x"]

    def send(data: bytes, last: bool) -> None:
        if last:
            logged.append(raw.getvalue())

    gateway = Gateway(application, "Status: ", errors, multithread=False, multiprocess=False)
    gateway.respond(gateway.environ(["REQUEST_METHOD"], ["GET"]), send)
    assert logged == [b"no newline"]


def test_a_log_that_cannot_be_written_costs_no_request() -> None:
    errors = io.StringIO()
    errors.close()
    gateway = Gateway(MISUSES["never"], "Status: ", errors, multithread=False, multiprocess=False)
    wire = Wire()
    assert gateway.respond(gateway.environ(["REQUEST_METHOD"], ["GET"]), wire).failed
    assert wire.bytes == PAGE_500


@pytest.mark.parametrize("result", ["", "text"])
def test_text_for_a_body_is_a_500_even_when_it_is_empty(result: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return result

    wire, log = Wire(), io.StringIO()
    gateway = Gateway(app, "", log, False, False)
    assert gateway.respond(gateway.environ(["REQUEST_METHOD"], ["GET"]), wire).failed
    assert "the app returned str" in log.getvalue()


def test_every_name_of_wsgi_is_ours() -> None:
    assert Gateway(lambda environ, start_response: [], "", io.StringIO(), False, False).own.keys() == OURS


def test_one_requests_environ_is_not_anothers() -> None:
    gateway = Gateway(app(), "Status: ", io.StringIO(), multithread=True, multiprocess=True)
    first = gateway.environ(["REQUEST_METHOD", "A"], ["GET", "1"])
    first["wsgi.input"] = first["own"] = "changed"
    second = gateway.environ(["REQUEST_METHOD"], ["GET"])
    assert "own" not in second and second["wsgi.input"] != "changed"
    assert type(second) is dict
    assert (second["wsgi.multithread"], second["wsgi.multiprocess"], second["wsgi.run_once"]) == (True, True, False)
