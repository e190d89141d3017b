"""HTTP in both roles: golden bytes, whole and byte by byte."""

from __future__ import annotations

from typing import NamedTuple, Optional

import pytest

from emperor.errors import ProtocolError
from emperor.frontdoor.exchange import SPEECHES, VassalError, split_head
from emperor.protocol.cgi import Head
from emperor.protocol.http import ClientExchange, ServerMachine
from emperor.protocol.params import MAX_PAIRS
from emperor.protocol.variables import Request, variables

LIMIT = 300
HOST = ("host", "h")
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Read(NamedTuple):
    """What a stream of requests comes to. ``failed``: the status of the refusal, and where it comes: head or body."""

    requests: list[tuple[Request, bytes]]
    failed: Optional[tuple[str, int]]


def request(method: str, target: str, *headers: tuple[str, str], version: str = "HTTP/1.1") -> Request:
    return Request(method, target, version, headers)


def post(*headers: tuple[str, str]) -> Request:
    return request("POST", "/p", HOST, *headers)


CHUNKED = b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
CODED = ("transfer-encoding", "chunked")

GOOD: dict[bytes, list[tuple[Request, bytes]]] = {
    # RFC 9112 section 3
    GET: [(request("GET", "/", HOST), b"")],
    b"GET /a%2Fb//../c?d=%20 HTTP/1.0\r\n\r\n": [(request("GET", "/a%2Fb//../c?d=%20", version="HTTP/1.0"), b"")],
    b"GET http://o/x HTTP/1.1\r\nHost: h\r\n\r\n": [(request("GET", "http://o/x", HOST), b"")],
    b"BREW /pot HTTP/1.1\nHost:h\n\n": [(request("BREW", "/pot", HOST), b"")],
    # section 2.2: an empty line before a request is nothing
    b"\r\n" + GET: [(request("GET", "/", HOST), b"")],
    # section 5: names whatever their case, values without the blanks around them, repeats in order
    b"GET / HTTP/1.1\r\nHOST: \t h \r\nX-A: 1\r\nx-a:2\r\nX: \xe9\r\n\r\n": [
        (request("GET", "/", HOST, ("x-a", "1"), ("x-a", "2"), ("x", "\xe9")), b"")
    ],
    # section 5.2: a folded line is one line
    b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n": [(request("GET", "/", HOST, ("a", "b c")), b"")],
    # section 6
    b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody": [(post(("content-length", "4")), b"body")],
    b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n": [(post(("content-length", "0")), b"")],
    b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4, 4\r\n\r\nbody": [(post(("content-length", "4")), b"body")],
    # section 7.1: chunks, an extension, trailers
    CHUNKED + b"4\r\nbody\r\n0\r\n\r\n": [(post(CODED), b"body")],
    CHUNKED + b"2;a=b\r\nbo\r\n02\r\ndy\r\n000\r\nX-T: 1\r\n\r\n": [(post(CODED), b"body")],
    CHUNKED + b"0\r\n\r\n": [(post(CODED), b"")],
    # section 9.3.2: one behind the other
    GET + GET: [(request("GET", "/", HOST), b"")] * 2,
    CHUNKED + b"4\r\nbody\r\n0\r\n\r\n" + GET: [(post(CODED), b"body"), (request("GET", "/", HOST), b"")],
    b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nGET " + GET: [
        (post(("content-length", "4")), b"GET "),
        (request("GET", "/", HOST), b""),
    ],
}

BAD: dict[bytes, tuple[str, int]] = {
    b"\x16\x03\x01\x02\x00\x01": ("head", 400),
    b"\r\n\r\n": ("head", 400),
    b" GET / HTTP/1.1\r\n\r\n": ("head", 400),
    b"GET /\r\n\r\n": ("head", 400),
    b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n": ("head", 400),
    b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n": ("head", 400),
    b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n": ("head", 400),
    b"GET / HTTP/1.1\r\n\r\n": ("head", 400),
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": ("head", 400),
    b"GET / HTTP/1.1\r\nHost : h\r\n\r\n": ("head", 400),
    b"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n": ("head", 400),
    b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n": ("head", 400),
    b"GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n": ("head", 400),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": ("head", 505),
    # RFC 9112 sections 6.1 and 6.3, CWE-444: nobody may read another request out of these
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n": ("head", 400),
    b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n": ("head", 400),
    b"HEAD / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n": ("head", 400),
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n": ("head", 501),
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n": ("head", 501),
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n": ("head", 400),
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n": ("head", 400),
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +4\r\n\r\nbody": ("head", 400),
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x4\r\n\r\nbody": ("head", 400),
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \xb2\r\n\r\nbody": ("head", 400),
    CHUNKED + b"zz\r\n": ("body", 400),
    CHUNKED + b"-1\r\n": ("body", 400),
    CHUNKED + b"4\r\nbodyXX0\r\n\r\n": ("body", 400),
    CHUNKED + b"0" * 30 + b"4\r\n": ("body", 400),
    # the limit: its last byte counts
    b"GET /" + b"a" * LIMIT: ("head", 431),
    b"GET /" + b"a" * (LIMIT - 26) + b" HTTP/1.1\r\nHost: h\r\n\r\n": ("head", 431),
    GET + b"\x16": ("head", 400),
}


def read(*parts: bytes) -> Read:
    """All the requests of a stream, each answered when its body has come to its end."""
    machine = ServerMachine(LIMIT)
    found: list[tuple[Request, bytes]] = []
    current: Optional[Request] = None
    body, where = b"", "head"
    try:
        for part in parts:
            if current is None:
                current = machine.receive(part)
            else:
                machine.feed(part)
            while current is not None:
                where = "body"
                piece = machine.piece()
                if piece is None:
                    break
                body += piece
                if not piece:
                    found.append((current, body))
                    machine.start(Head(200, "OK", (("Content-Length", "0"),), 0), False)
                    machine.finish()
                    if not machine.next():
                        return Read(found, None)
                    body, where = b"", "head"
                    current = machine.receive(b"")
    except ProtocolError as error:
        return Read(found, (where, error.status))
    return Read(found, None)


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("data", GOOD)
def test_requests_are_read_whole_and_byte_by_byte_alike(data: bytes) -> None:
    assert read(data) == read(*byte_by_byte(data)) == Read(GOOD[data], None)


@pytest.mark.parametrize("data", GOOD)
def test_requests_are_read_wherever_they_are_split_in_two(data: bytes) -> None:
    assert all(read(data[:at], data[at:]).requests == GOOD[data] for at in range(1, len(data)))


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_request_is_refused_whole_and_byte_by_byte_alike(data: bytes) -> None:
    once, slowly = read(data), read(*byte_by_byte(data))
    assert once == slowly
    assert once.failed == BAD[data]


def test_a_head_of_exactly_the_limit_is_read() -> None:
    data = b"GET /" + b"a" * (LIMIT - 27) + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    assert len(data) == LIMIT
    assert read(data).failed is read(*byte_by_byte(data)).failed is None


@pytest.mark.parametrize("name", [b"a", b"%d"])
def test_more_fields_than_any_client_sends_are_refused(name: bytes) -> None:
    def head(fields: int) -> bytes:
        lines = b"".join((name % number if b"%" in name else name) + b":\r\n" for number in range(fields))
        return b"GET / HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n"

    request = ServerMachine(65536).receive(head(MAX_PAIRS - 1))
    assert request is not None and len(request.headers) == MAX_PAIRS
    with pytest.raises(ProtocolError) as caught:
        ServerMachine(65536).receive(head(MAX_PAIRS))
    assert caught.value.status == 431


def test_a_refusal_quotes_nothing_of_the_request() -> None:
    with pytest.raises(ProtocolError) as caught:
        ServerMachine(LIMIT).receive(b"GET / HTTP/1.1\r\nHost: h\r\nCookie: sec\x00ret\r\n\r\n")
    assert "sec" not in str(caught.value) and "header" in str(caught.value)


# --- variables ---


def params(*headers: tuple[str, str], target: str = "/", method: str = "GET") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in zip(*variables(request(method, target, *headers))):
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    ("target", "path", "query", "uri"),
    [
        ("/", "/", "", "/"),
        ("/a%20b/%C3%A9?x=%20?y", "/a b/\xc3\xa9", "x=%20?y", "/a%20b/%C3%A9?x=%20?y"),
        ("/%2541", "/%41", "", "/%2541"),
        ("//a/../b;c=d", "//a/../b;c=d", "", "//a/../b;c=d"),
        ("/100%/%zz", "/100%/%zz", "", "/100%/%zz"),
        ("http://other:81/x?y", "/x", "y", "/x?y"),
        ("HTTPS://other:81", "/", "", "/"),
        ("http://other:81?y", "/", "y", "/?y"),
    ],
)
def test_the_path_is_decoded_once_and_left_alone(target: str, path: str, query: str, uri: str) -> None:
    found = params(HOST, target=target)
    assert [found[name] for name in ("PATH_INFO", "QUERY_STRING", "REQUEST_URI")] == [[path], [query], [uri]]
    assert found["SCRIPT_NAME"] == [""]
    assert found["HTTP_HOST"] == (["h"] if target.startswith("/") else ["other:81"])


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("OPTIONS", "*", 400), ("CONNECT", "h:80", 501), ("CONNECT", "/", 501), ("GET", "h:80", 400)]
    + [("GET", target, 400) for target in ("ftp://h/", "http://", "http:///x", "http://user@h/", "x")],
)
def test_a_target_that_is_no_path_is_refused(method: str, target: str, status: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        params(method=method, target=target)
    assert caught.value.status == status


@pytest.mark.parametrize("host", ["", "h", "a.b:80", "[::1]:80", "[fe80::1%25lo]", "xn--caf-dma.example", "_a_b", "h:"])
def test_a_host_is_one(host: str) -> None:
    assert params(("host", host))["HTTP_HOST"] == [host]


@pytest.mark.parametrize(
    "host", ["a b", "u@h", "<x>", 'a"', "a\\b", "[::1", "h:80:80", "h:8o", "caf\xe9", "a/b", "a?b"]
)
def test_a_host_that_is_none_is_refused_wherever_it_stands(host: str) -> None:
    """RFC 9112 section 3.2. An app makes links of it, and some compare its end with what they allow."""
    asked = [((HOST, ("host", host)), "http://h/"), ((("host", host),), "/")]
    if not {"/", "?"} & set(host):
        asked.append(((HOST,), f"http://{host}/x"))
    for headers, target in asked:
        with pytest.raises(ProtocolError) as caught:
            params(*headers, target=target)
        assert caught.value.status == 400


def test_a_header_never_becomes_a_variable_that_is_not_a_headers() -> None:
    found = params(
        HOST,
        ("content-type", "t"),
        ("content-length", "0"),
        ("remote-addr", "x"),
        ("https", "on"),
        ("a_b", "underscored"),
    )
    assert found["CONTENT_TYPE"] == ["t"] and found["CONTENT_LENGTH"] == ["0"]
    assert found["HTTP_REMOTE_ADDR"] == ["x"] and found["HTTP_HTTPS"] == ["on"]
    assert not found.keys() & {"REMOTE_ADDR", "HTTPS", "HTTP_A_B", "HTTP_CONTENT_TYPE"}


def test_a_repeated_header_stays_repeated() -> None:
    assert params(HOST, ("cookie", "a"), ("cookie", "b"))["HTTP_COOKIE"] == ["a", "b"]


# --- responses ---

OK = Head(200, "OK", (), 0)
COUNTED = Head(200, "OK", (("Content-Length", "4"),), 0)
HEAD_1_0 = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
HEAD_REQUEST = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"


def respond(asked: bytes, head: Head, *blocks: bytes, close: bool = False) -> tuple[bytes, bool]:
    machine = ServerMachine(LIMIT)
    assert machine.receive(asked)
    out = machine.start(head, close) + b"".join(map(machine.data, blocks)) + machine.finish()
    assert not machine.cut
    return out, machine.next()


LINE = b"HTTP/1.1 200 OK\r\n"
CLOSE = b"Connection: close\r\n"


@pytest.mark.parametrize(
    ("asked", "head", "out", "kept"),
    [
        (GET, COUNTED, LINE + b"Content-Length: 4\r\n\r\nbody", True),
        (GET, OK, LINE + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", True),
        (GET[:-2] + CLOSE + b"\r\n", COUNTED, LINE + b"Content-Length: 4\r\n" + CLOSE + b"\r\nbody", False),
        (HEAD_1_0, OK, LINE + CLOSE + b"\r\nbody", False),
        (HEAD_1_0, COUNTED, LINE + b"Content-Length: 4\r\n" + CLOSE + b"\r\nbody", False),
        (HEAD_REQUEST, COUNTED, LINE + b"Content-Length: 4\r\n\r\n", True),
        (GET, Head(304, "Not Modified", (("ETag", "e"),), 0), b"HTTP/1.1 304 Not Modified\r\nETag: e\r\n\r\n", True),
        (GET, Head(204, "No Content", (("Content-Length", "4"),), 0), b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (GET, Head(299, "", (("A", " \xe9\x0b\x0c"), ("B", "")), 0),
         b"HTTP/1.1 299 \r\nA: \xe9\r\nB: \r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", True),
    ],
)  # fmt: skip
def test_a_response_is_framed_as_the_request_allows(asked: bytes, head: Head, out: bytes, kept: bool) -> None:
    assert respond(asked, head, b"body") == (out, kept)


def test_a_response_that_is_to_be_the_last_says_so() -> None:
    assert respond(GET, COUNTED, b"body", close=True) == (LINE + b"Content-Length: 4\r\n" + CLOSE + b"\r\nbody", False)


@pytest.mark.parametrize("blocks", [[], [b"bod"]])
def test_a_response_that_misses_bytes_of_its_length_is_cut(blocks: list[bytes]) -> None:
    machine = ServerMachine(LIMIT)
    machine.receive(GET)
    machine.start(COUNTED, False)
    for block in blocks:
        machine.data(block)
    assert machine.finish() == b"" and machine.cut
    assert not machine.next()


@pytest.mark.parametrize("data", [data for data in BAD if BAD[data][0] == "head" and not data.startswith(GET)])
def test_what_was_refused_can_be_answered(data: bytes) -> None:
    machine = ServerMachine(LIMIT)
    with pytest.raises(ProtocolError):
        machine.receive(data)
    out = machine.start(Head(400, "Bad Request", (("Content-Length", "2"),), 0), True) + machine.data(b"no")
    out += machine.finish()
    body = b"" if data.startswith(b"HEAD") else b"no"
    assert out == b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\n" + body


def test_a_client_that_waits_is_told_to_go_on_once() -> None:
    machine = ServerMachine(LIMIT)
    machine.receive(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n")
    assert machine.piece() is None
    assert (machine.go_on(), machine.go_on()) == (b"HTTP/1.1 100 Continue\r\n\r\n", b"")


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_a_client_that_sends_or_speaks_1_0_is_not_told_to_go_on(version: bytes) -> None:
    machine = ServerMachine(LIMIT)
    sent = b"" if version == b"HTTP/1.0" else b"x"
    machine.receive(b"POST / " + version + b"\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n" + sent)
    assert machine.go_on() == b""


def test_no_request_follows_a_body_that_did_not_come() -> None:
    machine = ServerMachine(LIMIT)
    machine.receive(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nGET")
    assert not machine.whole
    machine.start(Head(200, "OK", (("Content-Length", "0"),), 0), True)
    machine.finish()
    assert not machine.next()


# --- the client's side ---

ASKED = [
    ("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/blog"), ("PATH_INFO", "/a/b"), ("QUERY_STRING", "q"),
    ("REQUEST_URI", "/blog/a%2Fb?q"), ("HTTP_HOST", "h:8000"), ("REMOTE_ADDR", "10.0.0.1"), ("REQUEST_SCHEME", "http"),
    ("CONTENT_LENGTH", "4"), ("CONTENT_TYPE", "text/plain"), ("HTTP_X_SEEN", "yes"),
    ("HTTP_X_FORWARDED_FOR", "8.8.8.8"), ("HTTP_X_FORWARDED_PREFIX", "/evil"),
]  # fmt: skip


def test_variables_become_a_request_and_come_back() -> None:
    machine = ServerMachine(2000)
    got = machine.receive(ClientExchange(ASKED).head + b"body")
    assert got is not None and (got.method, got.target) == ("POST", "/a%2Fb?q")
    headers = dict(got.headers)
    assert headers == {
        "host": "h:8000", "connection": "close", "content-length": "4", "content-type": "text/plain", "x-seen": "yes",
        "x-forwarded-for": "8.8.8.8, 10.0.0.1", "x-forwarded-host": "h:8000", "x-forwarded-proto": "http",
        "x-forwarded-prefix": "/blog",
    }  # fmt: skip
    assert machine.piece() == b"body"


@pytest.mark.parametrize(
    ("uri", "script", "path", "target"),
    [
        ("/x%2F?", "", "/x/", "/x%2F?"),
        ("/bl%6Fg/x%2Fy", "/blog", "/x/y", "/x/y?q"),
        ("", "", "", "/?q"),
        ("/\xe9 \t", "", "/x", "/%E9%20%09"),
    ],
)
def test_the_target_is_the_clients_own_where_it_can_be(uri: str, script: str, path: str, target: str) -> None:
    named = {"REQUEST_URI": uri, "SCRIPT_NAME": script, "PATH_INFO": path, "QUERY_STRING": "q"}
    line = ClientExchange({**dict(ASKED), **named}.items()).head.partition(b"\r\n")[0]
    assert line == f"POST {target} HTTP/1.1".encode()


@pytest.mark.parametrize("pair", [("REQUEST_METHOD", "G T"), ("HTTP_A", "b\r\nc"), ("HTTP_A", "\u0100")])
def test_what_cannot_be_said_in_http_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(ProtocolError):
        ClientExchange([*ASKED, pair])


RESPONSES: dict[bytes, Optional[bytes]] = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nA: b\r\n\r\nbody": b"body",
    b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n": b"body",
    b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nbody": b"body",
    b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 X\r\nY: z\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\n\r\n": b"",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nA: b\r\n\r\nbod": None,
    b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n": None,
    b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\nzz": None,
}


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("data", RESPONSES)
def test_a_response_loses_its_framing_and_says_whether_it_is_whole(data: bytes, slowly: bool) -> None:
    outgoing, decode = SPEECHES["http"](ASKED, iter([b"body"]))
    assert b"".join(outgoing).endswith(b"\r\n\r\nbody")
    chunks = decode(iter(byte_by_byte(data) if slowly else [data]), pytest.fail)
    head, first = split_head(chunks)
    assert (head.status, head.reason) == (200, "OK") and ("A", "b") in head.headers
    assert "transfer-encoding" not in {name.lower() for name, _ in head.headers}
    expected = RESPONSES[data]
    if expected is None:
        with pytest.raises(VassalError):
            b"".join(chunks)
    else:
        assert first + b"".join(chunks) == expected


def test_the_answer_to_head_has_no_body() -> None:
    _, decode = SPEECHES["http"]([*ASKED, ("REQUEST_METHOD", "HEAD")], iter(()))
    chunks = decode(iter([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"]), pytest.fail)
    assert (split_head(chunks)[1], b"".join(chunks)) == (b"", b"")


@pytest.mark.parametrize("chunks", [[], [b"HTTP/1.1 200 OK\r\n"], [b"nonsense\r\n\r\n"], [b"HTTP/1.1 101 Up\r\n\r\n"]])
def test_what_is_no_response_is_the_vassals_fault(chunks: list[bytes]) -> None:
    _, decode = SPEECHES["http"](ASKED, iter(()))
    with pytest.raises(VassalError) as caught:
        split_head(decode(iter(chunks), pytest.fail))
    assert caught.value.status == 502


def test_too_many_trailers_are_refused_however_they_come() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    for lines, fits in ((1000, False), (500, True)):
        body = b"1\r\nx\r\n0\r\n" + b"X-T: abcd\r\n" * lines + b"\r\n"
        for size in (len(body), 4096, 1):
            machine = ServerMachine(65536)
            assert machine.receive(head) is not None
            for at in range(0, len(body), size):
                machine.feed(body[at : at + size])
            assert machine.piece() == b"x"
            if fits:
                assert machine.piece() == b""
            else:
                with pytest.raises(ProtocolError, match="request body"):
                    machine.piece()
