"""Frozen values become plain ones, and come back the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Optional

import pytest

from emperor.model import ADMIN, UNIX, Address, Authority, Identity, Problem, SocketSpec, Target, VassalSpec
from emperor.plain import build, lower, schema
from emperor.supervision import generation as gen
from emperor.supervision.events import Exit
from emperor.supervision.generation import Event, Patience, Phase
from emperor.supervision.record import Vassal, Wanted

SPEC = VassalSpec(
    name="blog",
    config="/etc/emperor/vassals.d/blog.ini",
    folder="/srv/blog",
    identity=Identity(1000, 1000, (1000, 33), "alice", "/home/alice"),
    sockets=(SocketSpec("uwsgi", Address(UNIX, "/run/blog.sock"), mode=0o660),),
    targets=(Target("", "module", "blog"),),
    env=(("A", "1"), ("B", "\udcff")),
    authority=Authority(ADMIN),
)
SERVING = gen.step(gen.born(3, Patience(60, 30), 100.0), Event.READY, 101.5)[0]
VASSAL = Vassal(
    "blog",
    wanted=Wanted.DOWN,
    spec=SPEC,
    proven=replace(SPEC, processes=4),
    problems=(Problem("blog.ini", 3, "processes", "hmm", fatal=False),),
    serving=SERVING,
    outgoing=gen.step(SERVING, Event.RETIRE, 102.0)[0],
    retry_at=12.5,
    last_exit=Exit(None, 9, "killed by SIGKILL", 1.0),
)


@dataclass(frozen=True)
class Numbers:
    mixed: dict[int, tuple[str, int]]
    real: float = 0.0
    maybe: Optional[int] = None
    either: int | None = None
    many: tuple[int, ...] = field(default=())
    flag: bool = False


class Pair(NamedTuple):
    first: tuple[int, ...]
    second: Optional[Numbers] = None


@pytest.mark.parametrize(
    "value",
    [
        SPEC,
        VASSAL,
        Vassal("new"),
        SERVING,
        Numbers({1: ("a", 2)}, 1.5, 3, 4, (5, 6), True),
        Pair((1, 2), Numbers({})),
        Pair(()),
    ],
)
def test_a_value_comes_back_from_json_as_it_was(value: Any) -> None:
    assert build(type(value), json.loads(json.dumps(lower(value)))) == value


def test_a_phase_comes_back_as_the_phase_itself() -> None:
    assert build(Vassal, lower(VASSAL)).serving.phase is Phase.READY


def test_a_float_that_json_wrote_as_a_whole_number_is_a_float() -> None:
    found = build(Numbers, {"mixed": [], "real": 2})
    assert type(found.real) is float


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"mixed": [], "later": 1}, "Numbers: unknown field later"),
        ({}, "Numbers: missing field mixed"),
        ({"mixed": [[1, ["a"]]]}, r"Numbers.mixed: 1 values where 2 should be"),
        ({"mixed": [], "maybe": "x"}, "Numbers.maybe: str where int should be"),
        ({"mixed": [], "maybe": True}, "Numbers.maybe: bool where int should be"),
        ({"mixed": [], "many": 3}, "Numbers.many: no list"),
        ({"mixed": 3}, "Numbers.mixed: no list of pairs"),
        ([], "Numbers: no Numbers"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(raw: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build(Numbers, raw)


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no plain form"):
        lower(object())


@dataclass(frozen=True)
class OldPair:
    first: tuple[int, ...]
    second: Optional[Numbers] = None


def test_a_named_tuple_looks_as_the_dataclass_does_that_it_was() -> None:
    assert build(Pair, lower(OldPair((1,)))) == Pair((1,))
    assert schema(Pair)["Pair"] == schema(OldPair)["OldPair"]
    with pytest.raises(ValueError, match="missing field first"):
        build(Pair, {})
