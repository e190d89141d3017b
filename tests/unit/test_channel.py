"""The channel from a vassal, whose words may be lies: tables run both ways, and thousands of bad datagrams."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Union

import pytest

from emperor.errors import ChannelError
from emperor.supervision.channel import (
    MAX_DATAGRAM,
    MAX_LINE,
    MAX_LINES,
    MAX_REASON,
    MAX_TEXT,
    Crewed,
    Failed,
    Idle,
    Lines,
    Listening,
    Lost,
    Message,
    Serving,
    Stale,
    decode,
    encode,
)
from emperor.supervision.hearsay import MAX_NUMBER
from emperor.supervision.reports import MAX_DOING, MAX_EXIT, MAX_WORKERS, WorkerReport, Workers
from emperor.supervision.totals import BOUNDS, Totals

ONE_WORKER = WorkerReport(1, 4711, "idle", 10, 2, 30_000_000)

MESSAGES: dict[str, Message] = {
    "serving": Serving(),
    "lost": Lost(3),
    "idle": Idle(),
    "stale": Stale("/srv/shop/views.py was changed"),
    "stale without words": Stale(""),
    "stale beyond ASCII": Stale("/srv/grüß/🌍.py"),
    "stale, longest": Stale("r" * MAX_REASON),
    "crewed": Crewed(3, 1),
    "crewed, nobody": Crewed(0, 0),
    "crewed, biggest numbers": Crewed(MAX_NUMBER - 1, MAX_NUMBER - 1),
    "listening": Listening(2, 2049, 1234567, 0o140660, 1001, 33),
    "listening without a file": Listening(0),
    "listening, biggest numbers": Listening(*[MAX_NUMBER - 1] * 6),
    "failed": Failed("No module named 'blog'", 'Traceback:\n  File "x", line 1\nModuleNotFoundError\n'),
    "failed without words": Failed("", ""),
    "failed beyond ASCII": Failed("grüß 🌍", "\ttab and\nnewline: 中文"),
    "failed, longest": Failed("r" * MAX_LINE, "t" * MAX_TEXT),
    "lines": Lines(("one", "", "grüß 🌍", "a\ttab"), dropped=3),
    "no lines": Lines(()),
    "most lines": Lines(("",) * MAX_LINES),
    "longest lines": Lines(("x" * MAX_LINE,) * 7),
    "workers": Workers((ONE_WORKER, WorkerReport(2, 0, "backoff", 0, 0, 0))),
    "workers that died": Workers(
        (
            WorkerReport(1, 0, "backoff", 0, 0, 0, 7, "killed by SIGSEGV", 1234.5, 1240.25),
            WorkerReport(2, 9, "idle", 1, 0, 1, 1, "exited with code 3", 0.0),
        )
    ),
    "workers that were renewed": Workers(
        (WorkerReport(1, 9, "idle", 1, 0, 1, renewals=3, earlier=MAX_NUMBER - 1), replace(ONE_WORKER, renewals=1))
    ),
    "workers at something": Workers(
        (replace(ONE_WORKER, doing="GET /slow", since=1234.5), replace(ONE_WORKER, doing="\xe9" * MAX_DOING, since=0.0))
    ),
    "workers and what they have done": Workers(
        (replace(ONE_WORKER, vsz=1 << 40, cpu=1.25, busy=2, born=7.5, seconds=0.25, sent=99),),
        Totals(9, 2, 1, 3.5, 1 << 40, tuple(range(len(BOUNDS) + 1))),
    ),
    "the largest totals": Workers((), Totals(*[MAX_NUMBER - 1] * 3, 1e18, 1, (MAX_NUMBER - 1,) * (len(BOUNDS) + 1))),
    "no workers": Workers(()),
    "many workers": Workers((ONE_WORKER,) * 256),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_comes_back_as_it_was(name: str) -> None:
    assert decode(encode(MESSAGES[name])) == MESSAGES[name]


HEAVY = {
    "letters": "x",
    "three bytes a letter": "中",
    "four bytes a letter": "🌍",
    "escapes": "\x01",
    "quotes": '"',
    "surrogates": "\udce9",
    "newlines": "\n",
}


@pytest.mark.parametrize("name", HEAVY)
def test_a_failure_of_any_length_fits_and_keeps_its_last_line(name: str) -> None:
    data = encode(Failed("E: " + HEAVY[name] * 50_000 + " reason", "T" + HEAVY[name] * 100_000 + "\nValueError: last"))
    assert len(data) <= MAX_DATAGRAM
    message = decode(data)
    assert isinstance(message, Failed)
    assert message.reason.startswith("E: ") and message.reason.endswith(" reason")
    assert message.traceback.startswith("T") and message.traceback.endswith("\nValueError: last")


@pytest.mark.parametrize("name", HEAVY)
def test_a_line_of_any_length_is_understood(name: str) -> None:
    """One line too long must not make the emperor deaf to its vassal."""
    data = encode(Lines(("begin" + HEAVY[name] * 20_000 + "end",)))
    message = decode(data)
    assert isinstance(message, Lines) and len(message.lines) == 1
    assert message.lines[0].startswith("begin") and message.lines[0].endswith("end")


@pytest.mark.parametrize("name", HEAVY)
def test_a_reason_of_any_length_is_understood(name: str) -> None:
    message = decode(encode(Stale("begin" + HEAVY[name] * 20_000 + "end")))
    assert isinstance(message, Stale) and len(message.reason) <= MAX_REASON
    assert message.reason.startswith("begin")


@pytest.mark.parametrize("name", HEAVY)
def test_no_character_takes_more_than_six_bytes(name: str) -> None:
    """The vassal fills its datagrams by that measure."""
    assert len(encode(Lines((HEAVY[name] * 1000,)))) <= 6 * 1000 + 256


def test_more_lines_than_a_datagram_holds_are_refused_where_they_are_sent() -> None:
    with pytest.raises(ChannelError, match="over 32768"):
        encode(Lines(("x" * MAX_LINE,) * 9))


GOOD_LISTENING = {"index": 0, "device": 0, "inode": 0, "mode": 0, "uid": 0, "gid": 0}
GOOD_WORKER = {"id": 1, "pid": 2, "state": "idle", "requests": 0, "exceptions": 0, "rss": 0}


def without(whole: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in whole.items() if key != name}


NO_NUMBERS: tuple[Any, ...] = (-1, MAX_NUMBER, 10**30, 1.0, 0.5, float("nan"), float("inf"), True, "0", None, [0], {})
NO_MOMENTS: tuple[Any, ...] = (-1, -0.5, MAX_NUMBER, 10**30, 1e300, float("nan"), float("inf"), True, "0", [0], {})

HOSTILE: dict[str, Union[bytes, list[Any]]] = {
    "nothing": b"",
    "no JSON": b"READY=1",
    "half a message": encode(Serving())[:-1],
    "two messages": encode(Serving()) * 2,
    "not UTF-8": b'["serving", "\xff"]',
    "a NUL": b"\0",
    "a number": b"7",
    "null": b"null",
    "a text of two letters": b'"ab"',
    "an object of two": b'{"serving": 1, "failed": 2}',
    "one element": ["serving"],
    "three elements": ["serving", {}, {}],
    "unknown kind": ["serve", {}],
    **{f"lost, its index {index!r}": ["lost", {"index": index}] for index in NO_NUMBERS},
    "lost, without its index": ["lost", {}],
    "kind of another type": [1, {}],
    "kind that cannot be a key": [["serving"], {}],
    "name of an inner thing": ["__class__", {}],
    "deep": b"[" * 30_000,
    "deep and closed": b"[" * 15_000 + b"]" * 15_000,
    "a number of 20 000 digits": b'["listening", {"index": ' + b"9" * 20_000 + b"}]",
    "listening, nothing": ["listening", None],
    "listening, a list": ["listening", [0, 0, 0, 0, 0, 0]],
    "listening, a text": ["listening", "index"],
    "failed, numbers": ["failed", {"reason": 1, "traceback": 2}],
    "failed, no traceback": ["failed", {"reason": "x"}],
    "failed, reason too long": ["failed", {"reason": "x" * (MAX_LINE + 1), "traceback": ""}],
    "failed, traceback too long": ["failed", {"reason": "", "traceback": "x" * (MAX_TEXT + 1)}],
    "lines, none": ["lines", {"dropped": 0}],
    "lines, null": ["lines", {"lines": None, "dropped": 0}],
    "lines, one text": ["lines", {"lines": "abc", "dropped": 0}],
    "lines, an object": ["lines", {"lines": {"a": 1}, "dropped": 0}],
    "lines of lines": ["lines", {"lines": [["a"]], "dropped": 0}],
    "lines, one too long": ["lines", {"lines": ["x" * (2 * MAX_LINE + 1)], "dropped": 0}],
    "lines, too many": ["lines", {"lines": [""] * (MAX_LINES + 1), "dropped": 0}],
    "lines, fewer than none dropped": ["lines", {"lines": [], "dropped": -1}],
    "lines, not told how many dropped": ["lines", {"lines": []}],
    "workers, null": ["workers", {"workers": None}],
    "workers, a number": ["workers", {"workers": 3}],
    "workers, an empty text": ["workers", {"workers": ""}],
    "workers, an object": ["workers", {"workers": {}}],
    "workers, too many": ["workers", {"workers": [GOOD_WORKER] * (MAX_WORKERS + 1)}],
    "worker, a number": ["workers", {"workers": [1]}],
    "worker, state too long": ["workers", {"workers": [{**GOOD_WORKER, "state": "x" * 17}]}],
    "worker, state a list": ["workers", {"workers": [{**GOOD_WORKER, "state": ["idle"]}]}],
    "stale without a reason": ["stale", {}],
    "stale, reason too long": ["stale", {"reason": "x" * (MAX_REASON + 1)}],
    "stale, reason a list": ["stale", {"reason": ["x"]}],
    "stale, reason null": ["stale", {"reason": None}],
    "crewed without those who leave": ["crewed", {"workers": 1}],
    "crewed without those who serve": ["crewed", {"leaving": 1}],
    **{f"crewed {value!r:.20}": ["crewed", {"workers": value, "leaving": 0}] for value in NO_NUMBERS},
    **{f"leaving {value!r:.20}": ["crewed", {"workers": 1, "leaving": value}] for value in NO_NUMBERS},
    **{f"listening without {name}": ["listening", without(GOOD_LISTENING, name)] for name in GOOD_LISTENING},
    **{f"worker without {name}": ["workers", {"workers": [without(GOOD_WORKER, name)]}] for name in GOOD_WORKER},
    "worker, last exit too long": ["workers", {"workers": [{**GOOD_WORKER, "last_exit": "x" * (MAX_EXIT + 1)}]}],
    "worker, last exit null": ["workers", {"workers": [{**GOOD_WORKER, "last_exit": None}]}],
    **{
        f"{name} {value!r:.20}": ["workers", {"workers": [{**GOOD_WORKER, name: value}]}]
        for name in ("exits", "renewals", "earlier")
        for value in NO_NUMBERS
    },
    **{
        f"{name} {value!r:.20}": ["workers", {"workers": [{**GOOD_WORKER, name: value}]}]
        for name in ("died_at", "retry_at")
        for value in NO_MOMENTS
    },
    **{f"index {value!r:.20}": ["listening", {**GOOD_LISTENING, "index": value}] for value in NO_NUMBERS},
    **{f"pid {value!r:.20}": ["workers", {"workers": [{**GOOD_WORKER, "pid": value}]}] for value in NO_NUMBERS},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_does_not_follow_the_table_is_a_channel_error(name: str) -> None:
    datagram = HOSTILE[name]
    data = datagram if isinstance(datagram, bytes) else json.dumps(datagram).encode()
    with pytest.raises(ChannelError, match=r"^channel: "):
        decode(data)


def test_no_error_quotes_what_it_read() -> None:
    with pytest.raises(ChannelError) as caught:
        decode(b'["SECRET", {"SECRET": 1}]')
    assert "SECRET" not in str(caught.value) and caught.value.__cause__ is None


def test_what_else_a_vassal_says_is_dropped() -> None:
    assert decode(b'["listening", ' + json.dumps({**GOOD_LISTENING, "more": 1}).encode() + b"]") == Listening(0)


EVIL = "a\x1b[2J\r\x00\x9b\u2028\u202e\ud800\x7f\nz"


def test_words_of_a_vassal_cannot_steer_a_terminal() -> None:
    shown = "a\\x1b[2J\\x0d\\x00\\x9b\\u2028\\u202e\\ud800\\x7f"
    assert decode(encode(Failed(EVIL, EVIL))) == Failed(shown + "\nz", shown + "\nz")
    assert decode(encode(Lines((EVIL,)))) == Lines((shown + "\\nz",))


def test_why_an_app_is_stale_is_one_line() -> None:
    assert decode(encode(Stale(EVIL))) == Stale("a\\x1b[2J\\x0d\\x00\\x9b\\u2028\\u202e\\ud800\\x7f\\nz")


def test_the_state_of_a_worker_is_one_line() -> None:
    assert decode(encode(Workers((WorkerReport(1, 2, "a\nb\x1b", 0, 0, 0),)))) == Workers(
        (WorkerReport(1, 2, "a\\nb\\x1b", 0, 0, 0),)
    )


def test_a_worker_has_a_number_that_a_seat_can_have() -> None:
    with pytest.raises(ChannelError):
        decode(json.dumps(["workers", {"workers": [{**GOOD_WORKER, "id": MAX_WORKERS + 1}]}]).encode())


@pytest.mark.parametrize(
    "totals",
    [
        [],
        {"latency": [0]},
        {"latency": [0.5] * (len(BOUNDS) + 1)},
        {"latency": 15},
        {"requests": -1},
        {"seconds": float("nan")},
        {"seconds": -0.1},
        {"sent": "x"},
    ],
)
def test_totals_that_cannot_be_are_a_channel_error(totals: Any) -> None:
    with pytest.raises(ChannelError):
        decode(json.dumps(["workers", {"workers": [], "totals": totals}]).encode())


def test_a_vassal_of_before_an_upgrade_says_nothing_of_exits() -> None:
    assert decode(json.dumps(["workers", {"workers": [GOOD_WORKER]}]).encode()) == Workers(
        (WorkerReport(1, 2, "idle", 0, 0, 0, 0, "", None, None),)
    )


def test_how_a_worker_ended_is_one_short_line() -> None:
    report = WorkerReport(1, 2, "idle", 0, 0, 0, 1, "\x1b[2J\n" * 12, 1.0)
    seen = decode(encode(Workers((report,))))
    assert isinstance(seen, Workers)
    assert seen.workers[0].last_exit == ("\\x1b[2J\\n" * 12)[:MAX_EXIT]


def test_of_more_workers_than_a_datagram_holds_those_who_died_are_told_and_the_first() -> None:
    died = WorkerReport(1024, 0, "backoff", 0, 0, 0, 3, "killed by SIGSEGV", 5.0, 9.0)
    most = [WorkerReport(number, 4_000_000 + number, "starting", 0, 0, 30_000_000) for number in range(1, 1024)]
    data = encode(Workers((*most, died)))
    seen = decode(data)
    assert isinstance(seen, Workers) and len(data) <= MAX_DATAGRAM
    count = len(seen.workers)
    assert count > 300
    assert seen.workers == (*most[: count - 1], died)


def test_when_all_hang_at_long_paths_who_there_is_comes_first() -> None:
    hang = [WorkerReport(number, 9, "busy", 0, 0, 1, doing="\xe9" * MAX_DOING, since=5.0) for number in range(1, 101)]
    assert decode(encode(Workers(tuple(hang[:50])))) == Workers(tuple(hang[:50]))
    data = encode(Workers(tuple(hang)))
    assert decode(data) == Workers(tuple(replace(one, doing="", since=None) for one in hang))
    assert len(data) <= MAX_DATAGRAM


# Thousands of them -------------------------------------------------------------------------------------------------

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def texts(message: Message) -> Iterator[tuple[str, bool]]:
    """Each text of a message, and whether it must be one line."""
    if isinstance(message, Failed):
        yield from ((message.reason, False), (message.traceback, False))
    elif isinstance(message, Stale):
        yield message.reason, True
    elif isinstance(message, Lines):
        yield from ((line, True) for line in message.lines)
    elif isinstance(message, Workers):
        yield from ((one.state, True) for one in message.workers)
        yield from ((one.last_exit, True) for one in message.workers)
        yield from ((one.doing, True) for one in message.workers)


def scribble(dice: random.Random, data: bytes) -> bytes:
    """Bytes turned, cut out, doubled."""
    raw = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(raw) + 1)
        kind = dice.randrange(4)
        if kind == 0 and at < len(raw):
            raw[at] = dice.randrange(256)
        elif kind == 1:
            del raw[at : at + dice.randint(1, 8)]
        elif kind == 2:
            raw[at:at] = dice.choice([b'"', b"\\", b"[", b"{", b"]", b",", b":", b"\xed\xa0\x80", b"\\ud83d", b"1e9"])
        else:
            raw[at:at] = raw[at : at + 20]
    return bytes(raw)


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**63,
    2**63 - 1,
    1.5,
    float("nan"),
    "",
    EVIL,
    "x" * 9000,
    [],
    [[]],
    {},
    {"lines": 1},
)


def twist(dice: random.Random, value: Any) -> Any:
    """Another value of JSON, alike but for a few places."""
    if dice.random() < 0.15:
        return dice.choice(ODD)
    if isinstance(value, list):
        return [twist(dice, one) for one in value if dice.random() > 0.05]
    if isinstance(value, dict):
        return {key: twist(dice, one) for key, one in value.items() if dice.random() > 0.05}
    return value


def datagrams(count: int) -> Iterator[bytes]:
    dice = random.Random(20_240_101)
    good = [encode(message) for name, message in MESSAGES.items() if "est" not in name]
    for _ in range(count):
        kind = dice.randrange(5)
        if kind == 0:
            yield dice.randbytes(dice.randrange(60))
        elif kind <= 2:
            yield scribble(dice, dice.choice(good))
        else:
            yield json.dumps(twist(dice, json.loads(dice.choice(good)))).encode()


def test_nothing_but_a_channel_error_comes_of_any_datagram_and_nothing_unsafe_of_any_message() -> None:
    understood = refused = 0
    for data in datagrams(5000):
        try:
            message = decode(data)
        except ChannelError:
            refused += 1
            continue
        understood += 1
        for text, one_line in texts(message):
            assert not CONTROL.search(text), data
            assert not (one_line and "\n" in text), data
        again = decode(encode(message))
        assert again == message, data
    assert understood > 500 and refused > 500, "the dice no longer try both"
