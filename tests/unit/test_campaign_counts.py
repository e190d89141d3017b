"""The pure parts of the campaigns: requests and answers as bytes, failures and their excuses, nginx's log, the page."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from campaigns import asleep, page, table, tally, wires
from campaigns.tally import Failure, Figure, Gazette, Kill, Result, Tally
from campaigns.wires import Asked, Stamp, Wrong
from emperor.protocol import records, uwsgi
from emperor.protocol.responder import Request, ServerMachine, Stdin

GET = Asked("a-1")
POST = Asked("a-2", "r", b"body" * 20_000)
BIG = Asked("a-3", "big")
LOG = """\
2026/01/01 00:00:00 [error] 7#7: *1 recv() failed (104: Connection reset by peer) while reading response header \
from upstream, client: 127.0.0.1, server: , request: "POST /r/http-site-1-5 HTTP/1.1", upstream: "uwsgi://unix:/s:"
2026/01/01 00:00:00 [error] 7#7: *2 connect() to unix:/s failed (111: Connection refused) while connecting to upstream\
, client: 127.0.0.1, server: , request: "GET /big/http-site-2-9 HTTP/1.1", upstream: "uwsgi://unix:/s:"
2026/01/01 00:00:00 [warn] 7#7: *3 a client request body is buffered to a temporary file
2026/01/01 00:00:00 [crit] 7#7: *4 open() "/x" failed (13: Permission denied)
"""


def line(asked: Asked, pid: int = 7) -> bytes:
    text = f"{asked.number} {pid} 1.5 0.25 2 {len(asked.body)} {zlib.crc32(asked.body)}\n".encode()
    return text + b"x" * (wires.PADDING if asked.kind == "big" else 0)


def failure(start: float, end: float, client: str = "http-a-1", number: str = "n", refused: bool = False) -> Failure:
    return Failure(client, "GET", number, start, end, "status 502", refused)


@pytest.mark.parametrize("asked", [GET, POST], ids=["GET", "POST"])
def test_our_own_parsers_take_the_probers_requests(asked: Asked) -> None:
    packet = wires.over_uwsgi(asked)
    parsed = uwsgi.parse_request(packet, 65536, {})
    assert parsed is not None
    fields = parsed[0][0]
    assert (fields["REQUEST_METHOD"], fields["PATH_INFO"]) == (asked.method, asked.path)
    events = ServerMachine(65536, 1, 1).receive(wires.over_fastcgi(asked))
    request = events[0]
    assert isinstance(request, Request) and not request.keep
    assert request.params[0]["PATH_INFO"] == asked.path
    assert b"".join(one.data for one in events if isinstance(one, Stdin)) == asked.body
    assert wires.over_http(asked).endswith(b"\r\n\r\n" + asked.body)


@pytest.mark.parametrize("asked", [GET, POST, BIG], ids=["GET", "POST", "big"])
def test_the_answer_to_this_very_request_is_right(asked: Asked) -> None:
    assert wires.stamp_of(asked, line(asked)) == Stamp(7, 1.5, 0.25, "2")


@pytest.mark.parametrize(
    ("asked", "body"),
    [
        (GET, line(POST)),
        (GET, b""),
        (GET, b"<html>502</html>"),
        (GET, line(GET) + b"x"),
        (POST, line(Asked("a-2", "r", b"another"))),
        (BIG, line(BIG)[:-1]),
        (BIG, line(BIG)[:-1] + b"y"),
    ],
    ids=["another's", "empty", "a page", "too long", "another body", "too short", "changed"],
)
def test_any_other_answer_is_wrong(asked: Asked, body: bytes) -> None:
    with pytest.raises(Wrong):
        wires.stamp_of(asked, body)


def test_an_http_head_tells_where_the_body_is_and_whether_the_connection_lives_on() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    assert wires.http_head(head[:-1]) is None
    assert wires.http_head(head + b"hello") == (len(head), 5, True)
    assert wires.http_head(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) == (len(head) + 19, 5, False)
    for wrong in (
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\r\n\r\n",
    ):
        with pytest.raises(Wrong):
            wires.http_head(wrong)


def test_a_fastcgi_answer_without_its_end_is_wrong() -> None:
    head = b"Status: 200 OK\r\n\r\n"
    whole = records.encode_stream(records.STDOUT, 1, head + b"x" * 70_000) + records.encode_close(1)
    assert wires.cgi_body(wires.stdout_of(whole)) == b"x" * 70_000
    for cut in (0, 7, 100, len(whole) - 16):
        with pytest.raises(Wrong):
            wires.stdout_of(whole[:cut])
    for wrong in (b"", head[:-1], head.replace(b"200 OK", b"500 Internal Server Error")):
        with pytest.raises(Wrong):
            wires.cgi_body(wrong)


def test_a_kill_excuses_the_requests_that_it_fell_into() -> None:
    kills = [Kill(10.0, 10.1), Kill(20.0, 20.1)]
    hit, after, between = failure(9.0, 10.05), failure(10.2, 10.3), failure(12.0, 13.0)
    assert tally.unexcused([hit, after, between], kills) == (after, between)
    assert tally.unexcused([hit], []) == (hit,)


def test_a_failure_that_two_kills_excuse_is_put_down_to_the_one_that_can_explain_it() -> None:
    kills = [Kill(10.0, 10.1, 1), Kill(10.5, 10.6, 1)]
    both = [failure(9.0, 10.05), failure(9.0, 10.55)]
    assert tally.by_kill(both, kills) == {0: 1, 1: 1}
    assert tally.overdone(both, kills) == tally.overdone([], kills) == 0


def test_more_failures_than_connections_are_too_many() -> None:
    two = [failure(9.0, 10.05), failure(9.5, 10.06)]
    assert tally.overdone(two, [Kill(10.0, 10.1, 2)]) == 0
    assert tally.overdone(two, [Kill(10.0, 10.1, 1)]) == 1
    assert tally.overdone(two, [Kill(10.0, 10.1, 0), Kill(11.0, 11.1, 2)]) == 2


def test_nginxs_log_is_read_by_the_requests_numbers() -> None:
    seen = tally.gazette(LOG)
    assert seen.refused == ("http-site-2-9",)
    assert seen.broken == ("http-site-1-5",)
    assert len(seen.other) == 1 and "Permission denied" in seen.other[0]


def test_failures_and_nginxs_log_must_agree() -> None:
    seen = Gazette(("n1",), ("n2", "tried-again"), ())
    agreed = [failure(0, 1, number="n1"), failure(0, 1, number="n2"), failure(0, 1, "site-direct", "n3")]
    assert tally.disagreements(agreed, seen) == ()
    assert len(tally.disagreements([*agreed, failure(0, 1, number="n4")], seen)) == 1
    assert len(tally.disagreements(agreed, Gazette(*seen[:2], ("worker process 7 exited",)))) == 1


def test_percentiles_are_values_of_the_sample() -> None:
    assert tally.spread(range(1, 101)) == (50, 95, 99, 100, 100)
    assert tally.spread([3.0]) == (3.0, 3.0, 3.0, 3.0, 1)
    with pytest.raises(tally.Trouble):
        tally.spread([])


def test_only_a_count_breaks_a_result() -> None:
    slow, wrong = tally.milliseconds("slow", 1.0, 50), tally.count("failed GETs", 1, 0)
    assert not slow.met and not wrong.met
    assert not Result("k", "did", figures=(slow,)).broken
    assert Result("k", "did", figures=(wrong,)).broken
    assert Result("k", "did", fault="no answer").broken


def test_refused_counts_clients_and_nginx() -> None:
    refused = failure(0, 1, "site-direct", refused=True)
    one = Result("k", "did", tally=Tally(5, 0, (refused, failure(0, 1))), seen=Gazette(("n",), (), ()))
    assert one.refused == 2
    assert (one.tally + one.tally).failed("GET") == 4


def test_failures_of_a_thousand_clients_of_one_kind_are_one_line() -> None:
    failures = [failure(0, 1, f"site{number}-direct") for number in range(1000)] + [failure(0, 1, "http-site-1")]
    assert tally.reasons(failures) == {"site-direct GET: status 502": 1000, "http-site- GET: status 502": 1}


def test_a_first_answer_is_read_to_its_end_in_whatever_pieces_it_comes() -> None:
    body = line(GET)
    over_http = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    # nginx keeps the connection open: nothing after the last byte is waited for.
    pieces = iter([*(bytes([byte]) for byte in over_http), b"never asked for"])
    assert asleep._until_whole(pieces) == body
    assert next(pieces) == b"never asked for"
    over_uwsgi = b"HTTP/1.1 200 OK\r\n\r\n" + body
    assert asleep._until_closed([over_uwsgi[:9], over_uwsgi[9:]]) == body
    with pytest.raises(tally.Trouble):
        asleep._until_whole([over_http[:-1]])


def test_of_two_rounds_the_growth_in_between_is_bounded() -> None:
    first = asleep._Round(Tally(), 60.0, 12_000.0, 25.0, size=50.0, held=1016)
    second = replace(first, size=55.0, held=1017)
    missed = {one.title for one in asleep._told(first, second, Tally(), 0) if not one.met}
    assert missed == {"growth of the emperor in between", "descriptors that it has more"}
    assert all(one.met for one in asleep._told(first, first, Tally(), 0))


def test_the_page_has_a_row_for_everything() -> None:
    results = [
        Result("one", "reloads", 20, Tally(100, 30, (failure(0, 1),)), figures=(tally.count("failed GETs", 1, 0),)),
        Result("two", "starts", figures=(Figure("until all answer", 2.5, "s", 3.0, digits=1),)),
        Result("three", "kills", skipped="uwsgi is not there"),
        Result("four", "", fault="no answer | at all"),
    ]
    text = page.page(results, {"CPU": "a fast one"}, "nobody")
    assert "| one | reloads | 20 | 130 | 1 | 0 | 0 | 0 |" in text
    assert "| one | failed GETs | 1 | 0 | **MISSED** |" in text
    assert "| two | until all answer | 2.5 s | 3 s | met |" in text
    assert "three: not played: uwsgi is not there" in text
    assert "four: FAILED: no answer" in text
    assert "0 of 1 bounds of counts hold, 1 of 1 bounds of timings. Not played to the end: four." in text
    assert "MISSED" in page.report(results)


def test_words_choose_campaigns_by_key_or_by_a_part_of_it() -> None:
    assert table.chosen(()) == table.CAMPAIGNS
    assert [one.key for one in table.chosen(("storm",))] == ["storm"]
    assert len(table.chosen(("reload",))) > 2
    assert table.chosen(("no such",)) == ()
    assert len({one.key for one in table.CAMPAIGNS}) == len(table.CAMPAIGNS)
