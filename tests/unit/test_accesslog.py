"""The lines of the access log: each word, each escape, every bound, and which requests have one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.logformat import LONGEST, NAMED, WORDS
from emperor.system.logs import MAX_LINE, LineCutter
from emperor.wsgi.accesslog import LONGEST_LINE, Facts, Rules, compiled, line_of, rules_of
from tests.unit.config_world import APP, spec

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/a%20b?q=1",
    "SCRIPT_NAME": "/app",
    "PATH_INFO": "/a b",
    "QUERY_STRING": "q=1",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "shop.example",
    "REMOTE_ADDR": "192.0.2.7",
    "REMOTE_USER": "ann",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11)",
    "HTTP_REFERER": "http://r/",
    "HTTP_X": "ex",
    "HTTP_COOKIE": "secret=1",
    "HTTP_AUTHORIZATION": "Basic secret",
    "CONTENT_LENGTH": "12",
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\n\r\n"
BEGUN = 1795321618.820284

FACTS = Facts(ENVIRON, 200, HEAD, 11, 1, False, False, BEGUN, 0.001234, 7, 2, 4711, 3, lambda: (3 << 20, 2 << 20))

COMBINED = re.compile(
    r'(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "(\S+) (\S+) (\S+)" (\d+) (\d+|-)'
    r' "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
)
"""As those who read Apache's logs take a line apart."""


def with_environ(**changes: Any) -> Facts:
    return FACTS._replace(environ={**ENVIRON, **changes})


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


SAID = {
    "uri": "/a%20b?q=1", "method": "GET", "user": "ann", "addr": "192.0.2.7", "host": "shop.example",
    "proto": "HTTP/1.1", "uagent": "Mozilla/5.0 (X11)", "referer": "http://r/", "status": "200", "rsize": "11",
    "hsize": "53", "size": "64", "cl": "12", "micros": "1234", "msecs": "1", "secs": "0.001234",
    "tmsecs": "1795321618820", "tmicros": "1795321618820284", "time": "1795321618",
    "ltime": "22/Nov/2026:04:26:58 +0000", "ftime": "22/Nov/2026:04:26:58 +0000", "ctime": "Sun Nov 22 04:26:58 2026",
    "epoch": "1795321618", "pid": "4711", "wid": "3", "switches": "1", "vars": "30", "core": "2", "vsz": "3145728",
    "rss": "2097152", "vszM": "3", "rssM": "2", "modifier1": "0", "modifier2": "0", "headers": "2",
    "werr": "0", "bytes": "11", "req": "7", "via": "",
    "pktsize": str(sum(len(name) + len(value) + 4 for name, value in ENVIRON.items())),
}  # fmt: skip


def test_every_word_is_in_the_table() -> None:
    assert set(SAID) == WORDS


@pytest.mark.parametrize(("word", "said"), SAID.items())
def test_a_word_says(word: str, said: str) -> None:
    assert compiled(f"<%({word})>")(FACTS) == f"<{said}>"


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("%(var.HTTP_X) %(var.NONE) %(nope) %(metric.a)", "ex - - -"),
        ("100% %s %(uri)%(method)", "100% %s /a%20b?q=1GET"),
        ("%(var.HTTP_COOKIE)", "secret=1"),
        ("é %(status)", "é 200"),
    ],
)
def test_a_format_says(form: str, line: str) -> None:
    assert compiled(form)(FACTS) == line


def test_combined_is_apaches() -> None:
    assert compiled("combined")(FACTS) == (
        '192.0.2.7 - ann [22/Nov/2026:04:26:58 +0000] "GET /a%20b?q=1 HTTP/1.1" 200 11 "http://r/" "Mozilla/5.0 (X11)"'
    )
    assert compiled("common")(FACTS._replace(body=0, environ={"REQUEST_METHOD": "GET"})).endswith('"GET - -" 200 -')


def test_without_a_format_the_line_is_uwsgis() -> None:
    line = line_of(spec(APP, "log-5xx = true"))
    assert line(with_environ(REMOTE_USER="")) == (
        "[pid: 4711|app: 0|req: 7/7] 192.0.2.7 () {30 vars in "
        f"{int(SAID['pktsize']) - 3} bytes}} [Sun Nov 22 04:26:58 2026] GET /a%20b?q=1 => generated 11 bytes in 1 msecs"
        " (HTTP/1.1 200) 2 headers in 53 bytes (1 switches on core 2)"
    )
    assert " in 1 msecs via sendfile() (HTTP/1.1 200)" in line(FACTS._replace(file=True))


@pytest.mark.parametrize("form", ["common", "combined", "%(uri) %(uagent)"])
def test_credentials_and_cookies_are_in_no_line_that_does_not_name_them(form: str) -> None:
    assert "secret" not in compiled(form)(FACTS)


def test_a_uri_that_the_web_server_did_not_send_is_put_together() -> None:
    assert compiled("%(uri)")(with_environ(REQUEST_URI="")) == "/app/a\\x20b?q=1"
    assert compiled("%(uri)")(with_environ(REQUEST_URI="", QUERY_STRING="")) == "/app/a\\x20b"


@pytest.mark.parametrize(
    ("header", "addr"),
    [("198.51.100.1, 10.0.0.1", "198.51.100.1"), ("", "192.0.2.7"), (' ", x', '\\"'), ("a b", "a\\x20b")],
)
def test_the_visitor_may_be_whom_x_forwarded_for_names_first(header: str, addr: str) -> None:
    facts = with_environ(HTTP_X_FORWARDED_FOR=header)
    assert compiled("%(addr)", forwarded=True)(facts) == addr
    assert compiled("%(addr)")(facts) == "192.0.2.7"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('"', '\\"'),
        ("\\", "\\\\"),
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x7f\x80\xff", "\\x7f\\x80\\xff"),
        ("a b\t", "a b\\x09"),
        ("\u20ac\udc80", "\\xe2\\x82\\xac\\xed\\xb2\\x80"),
        ("", "-"),
        (None, "-"),
        (5, "5"),
    ],
)
def test_what_came_from_somebody_else_is_escaped_as_apache_does_it(value: Any, shown: str) -> None:
    assert compiled("%(uagent)")(with_environ(HTTP_USER_AGENT=value)) == shown


def test_a_json_format_stays_json() -> None:
    form = '{"uri": "%(uri)", "agent": "%(uagent)", "status": %(status)}'
    agent = 'a"b\\c\r\n\x00\x7f\xe9\u20ac\U0001f600'
    assert json.loads(compiled(form)(with_environ(HTTP_USER_AGENT=agent))) == {
        "uri": "/a%20b?q=1",
        "agent": agent,
        "status": 200,
    }


def test_a_long_uri_has_the_room_that_the_others_leave() -> None:
    uri = "/" + "x" * 3000
    assert uri in compiled("combined")(with_environ(REQUEST_URI=uri))


def test_a_line_that_is_too_long_loses_the_ends_of_its_longest_pieces() -> None:
    line = compiled("combined")(with_environ(REQUEST_URI="/" + "\x00" * 9000, HTTP_REFERER="r" * 9000))
    found = COMBINED.fullmatch(line)
    assert found and len(line) <= LONGEST_LINE
    assert re.fullmatch(r"/(\\x00)+\.\.\.", found[5]) and re.fullmatch(r"r+\.\.\.", found[9])
    assert found[10] == "Mozilla/5.0 (X11)"


ANY = st.text(st.characters(min_codepoint=0, max_codepoint=0x2030, exclude_categories=()), max_size=60)
LONG = st.builds(lambda text, times: text * times, ANY, st.sampled_from((1, 1, 1, 40, 400)))
NAMES = st.sampled_from([*sorted(ENVIRON), "HTTP_X_FORWARDED_FOR"])
ENVIRONS = st.dictionaries(NAMES, LONG)
FORMS = st.sampled_from((*NAMED, *sorted(f"%({word})" for word in WORDS), "%(var.HTTP_X)", "é%(uri)" * 100))


@settings(max_examples=150, deadline=None)
@given(FORMS, ENVIRONS, st.booleans())
def test_no_line_is_too_long_or_holds_a_control_character(
    form: str, environ: Mapping[str, str], forwarded: bool
) -> None:
    changes = {name: value for name, value in environ.items() if name != "CONTENT_LENGTH"}
    line = compiled(form, forwarded=forwarded)(FACTS._replace(environ=changes))
    assert line.isprintable() and len(line.encode()) <= LONGEST_LINE and line.replace("é", "").isascii()


@settings(max_examples=150, deadline=None)
@given(ENVIRONS)
def test_a_combined_line_can_always_be_taken_apart(environ: Mapping[str, str]) -> None:
    assert COMBINED.fullmatch(compiled("combined", forwarded=True)(FACTS._replace(environ=environ)))


def test_the_longest_format_has_a_line_as_well() -> None:
    facts = with_environ(REQUEST_URI="\x00" * 9000)
    for form in ("%(uri)" * (LONGEST // 6), "%(tmicros)" * (LONGEST // 10), "é" * (LONGEST - 6) + "%(uri)"):
        assert 0 < len(compiled(form)(facts).encode()) <= LONGEST_LINE


# --- which requests have one ---

OFF: list[tuple[str, ...]] = [(), ("disable-logging = true",), ("log-format = combined", "disable-logging = true")]


@pytest.mark.parametrize("lines", [*OFF, ("log-x-forwarded-for = true",)])
def test_no_request_has_a_line_by_default(lines: tuple[str, ...]) -> None:
    assert rules_of(spec(APP, *lines)) is None


@pytest.mark.parametrize(
    ("option", "status", "body", "seconds", "wanted"),
    [
        ("log-4xx = true", 400, 5, 0, True),
        ("log-4xx = true", 499, 5, 0, True),
        ("log-4xx = true", 399, 5, 0, False),
        ("log-4xx = true", 500, 5, 0, False),
        ("log-5xx = true", 500, 5, 0, True),
        ("log-5xx = true", 599, 5, 0, True),
        ("log-5xx = true", 499, 5, 0, False),
        ("log-zero = true", 200, 0, 0, True),
        ("log-zero = true", 200, 1, 0, False),
        ("log-slow = 50", 200, 5, 0.05, True),
        ("log-slow = 50", 200, 5, 0.0499, False),
        ("log-big = 1000", 200, 1000, 0, True),
        ("log-big = 1000", 200, 999, 0, False),
    ],
)
@pytest.mark.parametrize("more", OFF)
def test_a_condition_names_the_requests_that_have_one(
    more: tuple[str, ...], option: str, status: int, body: int, seconds: float, wanted: bool
) -> None:
    rules = rules_of(spec(APP, option, *more))
    assert rules is not None and rules.want(status, body, seconds) is wanted


def test_with_a_format_every_request_has_one() -> None:
    rules = rules_of(spec(APP, "log-format = combined", "log-5xx = true"))
    assert rules is not None and rules.want(200, 5, 0)
    assert Rules().want(500, 0, 99) is False


def test_a_format_of_the_ini_is_the_one_that_is_compiled() -> None:
    assert line_of(replace(spec(APP), log_format="%(status)"))(FACTS) == "200"


def test_no_piece_is_longer_than_its_room() -> None:
    assert len(compiled("%(uri)")(with_environ(REQUEST_URI="/" + "x" * 5000))) == 3072


@pytest.mark.parametrize("length", range(3800, 4200, 7))
def test_no_visitor_can_begin_a_line_of_the_log(length: int) -> None:
    """What reads a worker's output cuts lines that are longer than it keeps."""
    cutter = LineCutter()
    found = compiled('%(method) "%(uagent)" "%(referer)"')(
        FACTS._replace(environ={"HTTP_USER_AGENT": "a" * (length // 2), "HTTP_REFERER": "b" * (length // 2)})
    )
    assert cutter.feed(f"{found}\n".encode()) == [found] and len(found) <= MAX_LINE
