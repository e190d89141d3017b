"""What tests/apps/fronted.py must see of a request beside the guestbook's dues, whatever web server is between."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.e2e.harness.daemon import APPS
from tests.e2e.harness.deployed import DUES, Site
from tests.e2e.harness.fronts import ask
from tests.e2e.harness.wire import TIMEOUT

EMPTY = hashlib.sha256().hexdigest()


def place(folder: Path) -> Path:
    """The app, with the guestbook beside it."""
    shutil.copy(APPS / "guestbook.py", folder)
    return Path(shutil.copy(APPS / "fronted.py", folder / "app.py"))


def names_of_all_kinds(site: Site) -> None:
    for written, meant in (("plain", "plain"), ("a%20b/c", "a b/c"), ("caf%C3%A9", "café"), ("a;b=c", "a;b=c")):
        seen = site.json(f"/seen/{written}")
        assert (seen["rest"], seen["link"]) == (meant, f"{site.prefix}/seen/{written}")
        # PEP 3333: a character for each byte.
        path = f"/seen/{meant}".encode().decode("latin-1")
        assert (seen["environ"]["SCRIPT_NAME"], seen["environ"]["PATH_INFO"]) == (site.prefix, path)


def a_query_string_is_left_alone(site: Site) -> None:
    query = "a=1&b=%2F%20%C3%A9&c="
    seen = site.json(f"/seen/x?{query}")
    assert seen["environ"]["QUERY_STRING"] == query
    assert seen["arguments"] == {"a": "1", "b": "/ é", "c": ""}
    assert site.json("/seen/x")["environ"]["QUERY_STRING"] == ""


def other_methods(site: Site) -> None:
    assert _told(site.ask("/seen/x", "PUT", b"abc").json) == ("PUT", 3, hashlib.sha256(b"abc").hexdigest())
    assert _told(site.ask("/seen/x", "DELETE").json) == ("DELETE", 0, EMPTY)
    assert _told(site.ask("/seen/x", "POST", b"").json) == ("POST", 0, EMPTY)


def _told(seen: Mapping[str, Any]) -> tuple[object, ...]:
    return seen["method"], seen["size"], seen["sha256"]


def headers(site: Site) -> None:
    seen = site.ask("/seen/x", headers={"X-Given": "caf\xe9, a=b", "Authorization": "Basic YTpi"}).json["environ"]
    assert (seen["HTTP_X_GIVEN"], seen["HTTP_AUTHORIZATION"]) == ("caf\xe9, a=b", "Basic YTpi")


def many_large_headers(site: Site) -> None:
    seen = site.ask("/seen/x", headers={f"X-Number-{one}": "x" * 300 for one in range(20)}).json["environ"]
    assert [seen[f"HTTP_X_NUMBER_{one}"] for one in range(20)] == ["x" * 300] * 20


VISITS: tuple[Callable[[Site], None], ...] = (
    *DUES,
    names_of_all_kinds,
    a_query_string_is_left_alone,
    other_methods,
    headers,
    many_large_headers,
)


def a_chunked_body(site: Site) -> None:
    data = os.urandom(200_000)
    pieces = (data[at : at + 7_001] for at in range(0, len(data), 7_001))
    seen = ask(site.port, f"{site.prefix}/seen/x", "POST", pieces, {"Host": site.host}).json
    assert _told(seen) == ("POST", len(data), hashlib.sha256(data).hexdigest())


def an_encoded_slash(site: Site) -> None:
    """PATH_INFO is decoded (RFC 3875 section 4.1.5): the app cannot tell it from a slash. REQUEST_URI is as written."""
    seen = site.json("/seen/a%2Fb")
    assert (seen["rest"], seen["environ"]["SCRIPT_NAME"]) == ("a/b", site.prefix)
    assert seen["environ"]["REQUEST_URI"] == f"{site.prefix}/seen/a%2Fb"


def a_stream_comes_piece_by_piece(site: Site, gate: Path) -> None:
    """The second piece is made only after the first one has come here."""
    lines = _lines(site, f"/stream?{gate}")
    assert next(lines) == b"first\n"
    gate.touch()
    assert list(lines) == [b"second\n"]


def _lines(site: Site, path: str) -> Iterator[bytes]:
    """Of an answer's body, each as soon as it has come."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=TIMEOUT)
    with closing(connection):
        connection.request("GET", site.prefix + path, headers={"Host": site.host})
        answer = connection.getresponse()
        assert answer.status == 200
        yield from answer


def not_below_the_script(site: Site) -> None:
    """Where the web server's configuration has a script's name that visitors never see."""
    seen = site.json("/seen/x")
    assert (seen["link"], seen["environ"]["SCRIPT_NAME"], seen["environ"]["PATH_INFO"]) == ("/seen/x", "", "/seen/x")
    assert site.ask("/entries").header("Location") == f"http://{site.host}/entries/"
