"""The words of the control socket: what is a request, and who may ask for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emperor.control import messages
from emperor.control.messages import Peer, Policy, Request, decode, encode, permitted
from emperor.errors import EmperorError, ProtocolError

REQUESTS = [
    Request("status"),
    Request("status", ("blog", "shop"), {"lines": 10}),
    Request("start", ("all",)),
    Request("stop", ("blog",), {"wait": False}),
    Request("restart", ("blog@eu-1.example",), {"wait": True}),
    Request("reload", ("blog",)),
    Request("logs", ("blog",), {"lines": 0, "follow": True}),
    Request("scale", ("blog",), {"workers": 4}),
    Request("scale", ("blog",), {"workers": 1024, "wait": False}),
    Request("version"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one.verb)
def test_a_request_survives_its_way_as_one_line(request_: Request) -> None:
    line = encode(request_)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode(line) == request_
    assert decode(line.rstrip(b"\n")) == request_


NO_REQUESTS: list[Any] = [
    [],
    "status",
    7,
    None,
    {},
    {"verb": "frobnicate"},
    {"verb": "check"},
    {"verb": ["status"]},
    {"verb": "status", "user": "root"},
    {"verb": "status", "names": "blog"},
    {"verb": "status", "names": {"blog": 1}},
    {"verb": "status", "names": [7]},
    {"verb": "status", "names": ["../etc/shadow"]},
    {"verb": "status", "names": ["blog\n"]},
    {"verb": "status", "names": [""]},
    {"verb": "status", "names": ["x" * 65]},
    {"verb": "status", "names": ["\ud800"]},
    {"verb": "status", "names": ["blóg"]},
    {"verb": "start", "names": ["all", "blog"]},
    {"verb": "stop", "names": ["blog", "all"]},
    {"verb": "start", "names": ["all", "all"]},
    {"verb": "status", "names": ["all"]},
    {"verb": "logs", "names": ["all"]},
    {"verb": "logs", "names": ["blog", "all"]},
    {"verb": "start"},
    {"verb": "start", "names": []},
    {"verb": "logs", "names": []},
    {"verb": "version", "names": ["blog"]},
    {"verb": "status", "names": [f"v{number}" for number in range(1025)]},
    {"verb": "status", "options": []},
    {"verb": "status", "options": {"follow": True}},
    {"verb": "start", "names": ["a"], "options": {"wait": 1}},
    {"verb": "start", "names": ["a"], "options": {"wait": None}},
    {"verb": "logs", "names": ["a"], "options": {"lines": True}},
    {"verb": "logs", "names": ["a"], "options": {"lines": 1.0}},
    {"verb": "logs", "names": ["a"], "options": {"lines": "1"}},
    {"verb": "logs", "names": ["a"], "options": {"lines": -1}},
    {"verb": "logs", "names": ["a"], "options": {"lines": 10_001}},
    {"verb": "scale", "names": ["a"]},
    {"verb": "scale", "names": ["a"], "options": {"wait": True}},
    {"verb": "scale", "options": {"workers": 4}},
    {"verb": "scale", "names": ["all"], "options": {"workers": 4}},
    {"verb": "scale", "names": ["a", "b"], "options": {"workers": 4}},
    {"verb": "scale", "names": ["a"], "options": {"workers": 0}},
    {"verb": "scale", "names": ["a"], "options": {"workers": 1025}},
    {"verb": "scale", "names": ["a"], "options": {"workers": 4.0}},
    {"verb": "scale", "names": ["a"], "options": {"workers": "4"}},
    {"verb": "scale", "names": ["a"], "options": {"workers": True}},
    {"verb": "scale", "names": ["a"], "options": {"workers": 4, "wait": 0}},
    {"verb": "start", "names": ["a"], "options": {"workers": 4}},
]


@pytest.mark.parametrize("raw", NO_REQUESTS, ids=lambda raw: json.dumps(raw)[:60])
def test_what_the_table_does_not_allow_is_a_protocol_error(raw: Any) -> None:
    with pytest.raises(ProtocolError):
        decode(json.dumps(raw).encode())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"status",
        b'{"verb":"status"',
        b'{"verb":"status"}{"verb":"status"}',
        b'{"verb":"status","verb":"stop","names":["a"]}',
        b'{"verb":"status","options":{"lines":1,"lines":2}}',
        b'{"verb":"st\xff"}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b'{"verb":"logs","names":["a"],"options":{"lines":' + b"9" * 5000 + b"}}",
        b'{"verb":"logs","names":["a"],"options":{"lines":NaN}}',
    ],
    ids=lambda line: repr(line[:24]),
)
def test_what_is_not_one_json_object_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


def test_a_name_given_twice_counts_once_and_order_is_kept() -> None:
    assert decode(b'{"verb":"start","names":["b","a","b"]}').names == ("b", "a")


def test_a_request_that_the_emperor_would_refuse_as_too_long_is_not_sent() -> None:
    names = tuple(f"{number:064d}" for number in range(messages.MOST_NAMES))
    with pytest.raises(ProtocolError):
        encode(Request("status", names))


def test_no_error_repeats_what_the_caller_wrote() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(b'{"verb":"\\u001b[2Jevil","names":[]}')
    assert "evil" not in str(caught.value)


def test_a_lone_surrogate_of_a_file_name_travels_in_a_reply() -> None:
    reply = messages.answer([{"config": "/srv/\udcff.ini"}])
    assert messages.decode_reply(messages.encode_reply(reply)) == reply


ROOT = Peer(0, 0)
EMPEROR = Peer(500, 500)
OPERATOR = Peer(1001, 100, (100, 27))
PRIMARY = Peer(1002, 27)
OWNER = Peer(1000, 1000, (1000, 44))
STRANGER = Peer(2000, 2000, (44, 1000))
NOBODY: frozenset[str] = frozenset()

ANYBODY_LOOKS = frozenset({"status"})


@pytest.mark.parametrize("verb", messages.VERBS)
@pytest.mark.parametrize("vassal_uid", [1000, 0, None])
@pytest.mark.parametrize("peer", [ROOT, EMPEROR, OPERATOR, PRIMARY])
def test_root_the_emperor_and_the_control_group_may_do_everything(peer: Peer, vassal_uid: int, verb: str) -> None:
    assert permitted(verb, peer, vassal_uid, admin_gid=27, public_verbs=NOBODY, own_uid=500)


@pytest.mark.parametrize("verb", [name for name, row in messages.VERBS.items() if row.reach == messages.OWN])
def test_a_user_may_do_everything_to_its_own_vassals_and_nothing_to_others(verb: str) -> None:
    assert permitted(verb, OWNER, 1000, admin_gid=27, public_verbs=NOBODY, own_uid=500)
    for other in (0, 500, 2000, 44, None):
        assert not permitted(verb, OWNER, other, admin_gid=27, public_verbs=NOBODY, own_uid=500)


def test_what_concerns_the_emperor_itself_is_for_administrators() -> None:
    assert not permitted("upgrade", OWNER, 1000, admin_gid=27, public_verbs=NOBODY, own_uid=500)
    assert not permitted("upgrade", OWNER, None, admin_gid=27, public_verbs=NOBODY, own_uid=500)


def test_the_group_number_of_a_vassals_user_gives_no_right() -> None:
    assert not permitted("stop", STRANGER, 1000, admin_gid=None, public_verbs=NOBODY, own_uid=500)


def test_public_verbs_are_for_anybody_and_are_no_other_verbs() -> None:
    assert permitted("status", STRANGER, 1000, None, ANYBODY_LOOKS, 500)
    assert not permitted("stop", STRANGER, 1000, None, ANYBODY_LOOKS, 500)
    assert not permitted("logs", STRANGER, None, None, ANYBODY_LOOKS, 500)


def test_a_verb_that_is_not_in_the_table_is_permitted_to_nobody() -> None:
    assert not permitted("frobnicate", ROOT, 0, 27, frozenset({"frobnicate"}))


def test_the_policy_says_the_same_as_the_function() -> None:
    policy = Policy(500, 27, ANYBODY_LOOKS)
    assert policy.permits("stop", OPERATOR, 1000) and policy.permits("status", STRANGER, None)
    assert not policy.permits("stop", STRANGER, 1000)
    assert policy.administers(EMPEROR) and not policy.administers(OWNER)


def test_public_verbs_are_read_from_a_list_with_commas() -> None:
    assert messages.parse_verbs("status, logs,") == {"status", "logs"}
    assert messages.parse_verbs("") == NOBODY
    with pytest.raises(EmperorError, match="no such verb"):
        messages.parse_verbs("status,frobnicate")


def test_only_orders_mutate() -> None:
    assert {name for name, row in messages.VERBS.items() if row.mutates} == {
        "start",
        "stop",
        "restart",
        "reload",
        "scale",
        "upgrade",
    }
