"""What passes the front door, in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from emperor.frontdoor.params import request_params, response_headers
from emperor.frontdoor.routing import Place, Vassal

PLACE = Place(Vassal("blog", "RUNNING", "uwsgi", "@blog"), "/blog", "/a b")


def _params(length: Any = 0, **environ: Any) -> dict[str, str]:
    base = {"REQUEST_METHOD": "GET", "QUERY_STRING": "q=1", "REQUEST_URI": "/blog/a%20b?q=1"}
    pairs = request_params({**base, **environ}, PLACE, length)
    assert len(pairs) == len(dict(pairs)), "a variable is there twice"
    return dict(pairs)


def test_the_path_is_split_at_the_prefix_and_the_uri_is_whole() -> None:
    params = _params()
    assert params["SCRIPT_NAME"] == "/blog"
    assert params["PATH_INFO"] == "/a b"
    assert params["DOCUMENT_URI"] == "/blog/a b"
    assert params["REQUEST_URI"] == "/blog/a%20b?q=1"
    assert params["QUERY_STRING"] == "q=1"


def test_headers_pass() -> None:
    params = _params(HTTP_HOST="h:1", HTTP_COOKIE="a=b", HTTP_X_Y="z", CONTENT_TYPE="text/plain")
    assert params["HTTP_HOST"] == "h:1"
    assert params["HTTP_COOKIE"] == "a=b"
    assert params["HTTP_X_Y"] == "z"
    assert params["CONTENT_TYPE"] == "text/plain"


@pytest.mark.parametrize(
    "name",
    [
        "CONNECTION",
        "KEEP_ALIVE",
        "TE",
        "TRAILER",
        "TRANSFER_ENCODING",
        "UPGRADE",
        "PROXY_AUTHORIZATION",
        "PROXY",
    ],
)
def test_what_is_for_this_hop_only_does_not_pass(name: str) -> None:
    """RFC 9110 section 7.6.1; PROXY is no header of any hop, and means a proxy to many libraries."""
    assert f"HTTP_{name}" not in _params(**{f"HTTP_{name}": "x"})


def test_connection_names_more_of_them_but_not_the_host() -> None:
    params = _params(HTTP_CONNECTION="close, X-Hop, Host", HTTP_X_HOP="x", HTTP_HOST="h")
    assert "HTTP_X_HOP" not in params
    assert params["HTTP_HOST"] == "h"


def test_what_is_not_of_cgi_stays_here() -> None:
    params = _params(**{"wsgi.input": object(), "werkzeug.socket": object(), "RAW_URI": "/x", "PATH": "/bin"})
    assert not {"wsgi.input", "werkzeug.socket", "RAW_URI", "PATH"} & set(params)


def test_the_length_is_the_one_that_is_sent_and_empty_without_a_body() -> None:
    assert _params()["CONTENT_LENGTH"] == ""
    assert _params(0, CONTENT_LENGTH="0")["CONTENT_LENGTH"] == "0"
    assert _params(7, CONTENT_LENGTH="7")["CONTENT_LENGTH"] == "7"
    assert _params(9, HTTP_TRANSFER_ENCODING="chunked")["CONTENT_LENGTH"] == "9"


def test_response_headers_pass_except_the_hops_and_what_our_server_writes() -> None:
    headers = [
        ("Content-Type", "text/plain"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "x"),
        ("Transfer-Encoding", "chunked"),
        ("Date", "today"),
        ("Server", "x"),
        ("Content-Length", "3"),
    ]
    passed = response_headers(headers)
    assert [name for name, _ in passed] == ["Content-Type", "Set-Cookie", "Set-Cookie", "Content-Length"]
