"""What nginx, Apache and lighttpd really sent (contrib/capture_streams.py), read whole and cut anywhere."""

from __future__ import annotations

from typing import NamedTuple, Optional

import pytest

from emperor.protocol.params import pairs
from emperor.protocol.responder import BodyEnd, ServerMachine, Stdin
from emperor.protocol.uwsgi import parse_request
from tests.unit.codec_world import (
    STREAMS,
    Asked,
    Packet,
    at_two,
    byte_by_byte,
    expected,
    feed,
    pieces,
    serve,
    stream,
    streams,
    uwsgi,
)

UPLOAD = (
    b"--b\r\nContent-Disposition: form-data; name=f; filename=f.bin\r\n\r\n" + bytes(range(256)) * 70 + b"\r\n--b--\r\n"
)
LETTERS = b"sixteen letters!" * 16


class Request(NamedTuple):
    method: str
    uri: str
    path: str
    body: bytes = b""
    fields: tuple[tuple[str, str], ...] = ()


# The requests of contrib/capture_streams.py; PEP 3333 has a path's bytes as latin-1.
REQUESTS = {
    "get": Request("GET", "/caf%C3%A9/a%20b?x=1&y=%2F", "/caf\xc3\xa9/a b", b"", (("HTTP_X_NOTE", "caf\xe9"),)),
    "post": Request(
        "POST", "/form", "/form", b"name=Ada&year=1843", (("CONTENT_TYPE", "application/x-www-form-urlencoded"),)
    ),
    "cookie": Request("GET", "/", "/", b"", (("HTTP_COOKIE", f"a={'c' * 3000}; b=2"),)),
    "upload": Request("POST", "/upload", "/upload", UPLOAD, (("CONTENT_TYPE", "multipart/form-data; boundary=b"),)),
    "chunked": Request("POST", "/chunked", "/chunked", LETTERS, (("CONTENT_TYPE", "text/plain"),)),
}

WITHOUT_LENGTH = {"nginx-fastcgi-unbuffered-chunked": "", "apache-proxy-fcgi-chunked": None}
"""Where the body is passed on before its end is known: its length is empty, or is not there."""


def requests_of(name: str) -> list[Request]:
    return [REQUESTS[word] for word in name.split("-") if word in REQUESTS]


def check(name: str, request: Request, pairs: tuple[tuple[str, str], ...]) -> None:
    fields = dict(pairs)
    assert len(fields) == len(pairs), "a name came twice"
    assert fields["REQUEST_METHOD"] == request.method
    assert fields["REQUEST_URI"] == request.uri
    # Which half has it is the configuration's choice.
    assert (fields.get("SCRIPT_NAME", "") + fields.get("PATH_INFO", "")) == request.path
    assert fields["QUERY_STRING"] == request.uri.partition("?")[2]
    assert (fields["SERVER_PROTOCOL"], fields["HTTP_HOST"]) == ("HTTP/1.1", "www.example.org")
    length: Optional[str] = str(len(request.body))
    if name in WITHOUT_LENGTH:
        assert fields.get("CONTENT_LENGTH") == WITHOUT_LENGTH[name]
    elif request.body:
        assert fields["CONTENT_LENGTH"] == length
    else:
        assert fields.get("CONTENT_LENGTH", "") in ("", "0")
    for field, value in request.fields:
        assert fields[field] == value


@pytest.mark.parametrize("name", streams("uwsgi"))
def test_a_uwsgi_stream_is_a_packet_and_its_body(name: str) -> None:
    data = stream(name)
    (request,) = requests_of(name)
    parsed = parse_request(data)
    assert parsed is not None
    params, size = parsed
    check(name, request, tuple(pairs(params)))
    assert data[size:] == request.body
    for parts in ([data], *at_two(data[:size]), byte_by_byte(data[:size])):
        assert uwsgi(parts) == expected(Packet(tuple(pairs(params)), size))


@pytest.mark.parametrize("name", streams("fastcgi"))
def test_a_fastcgi_stream_is_its_requests_one_after_another(name: str) -> None:
    data = stream(name)
    by_byte = serve(ServerMachine(), byte_by_byte(data))
    events = iter(by_byte.events)
    for request in requests_of(name):
        asked = next(events)
        assert isinstance(asked, Asked) and asked.keep == ("kept" in name)
        check(name, request, asked.pairs)
        if request.body:
            assert next(events) == Stdin(request.body)
        assert next(events) == BodyEnd()
    assert next(events, None) is None and by_byte.status is None


@pytest.mark.parametrize("name", [name for name in streams("fastcgi") if len(requests_of(name)) == 1])
def test_a_fastcgi_stream_means_the_same_wherever_it_is_cut(name: str) -> None:
    data = stream(name)
    whole = feed(ServerMachine(), [data])
    assert whole.status is None
    for parts in (*at_two(data), byte_by_byte(data), pieces(data, 7)):
        assert feed(ServerMachine(), parts) == whole


def test_every_stream_stands_in_the_index() -> None:
    index = (STREAMS / "README.md").read_text()
    assert all(f"| {name}.bin |" in index for name in [*streams("uwsgi"), *streams("fastcgi")])
