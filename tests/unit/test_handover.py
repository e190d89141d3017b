"""What one program hands to the other is read whole, or refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from emperor.answers.answers import AnswersState
from emperor.answers.followers import FollowerState
from emperor.answers.orders import PendingState
from emperor.chronicle import ChronicleState, Entry
from emperor.control.connection import Caller
from emperor.control.messages import Peer
from emperor.control.server import ControlState
from emperor.errors import EmperorError
from emperor.frontkeeper import FrontState
from emperor.holding.estate import HeldState
from emperor.intake.inis import IniState
from emperor.model import UNIX, Address, Identity, SocketSpec, Target, VassalSpec
from emperor.succession import handover
from emperor.succession.handover import State, VassalState
from emperor.supervision import generation as gen
from emperor.supervision.generation import Patience
from emperor.supervision.outcome import Ticket
from emperor.supervision.record import Vassal
from emperor.supervision.reports import WorkerReport
from emperor.system.access import Access
from emperor.system.listeners import Place
from emperor.tending.crib import ChildState, CribState, GraveState
from emperor.tending.hearing import Heard
from emperor.tending.performer import PerformerState

SPEC = VassalSpec(
    "blog",
    "/v/blog.ini",
    "/v",
    Identity(1000, 1000, (1000,), "alice", "/home/alice"),
    (SocketSpec("uwsgi", Address(UNIX, "/run/blog.sock")),),
    (Target("", "module", "blog"),),
)
RECORD = Vassal("blog", spec=SPEC, serving=gen.born(1, Patience(60, 30), 5.0), last_number=1)
WORKER = WorkerReport(1, 102, "idle", 7, 0, 4096)
HELD = HeldState(20, SPEC.sockets[0], "emperor", Place(1, 2), Access(0o660, 1000, 33), SPEC)
CRIB = CribState(
    1, SPEC, ChildState(101, 21, 22, 23, 5.0), "/run/lib/x/launch.py", Heard("half a \xff"), (WORKER,), True
)
GRAVE = GraveState(ChildState(99, 24, -1, -1, 1.0), 35.0)
STATE = State(
    version="1.0",
    begun=4.5,
    vassals=(
        VassalState(
            RECORD,
            IniState("/v/blog.ini", "/v", (1, 2, 3)),
            PerformerState(
                (CRIB,), (GRAVE,), ("a line",), 9, log_word="logto /v/log: full", stats_word="stats @a: taken"
            ),
            (HELD,),
        ),
    ),
    control=ControlState("/run/control.sock", 25, (1, 3), 26, (Caller(27, Peer(0, 0), "", "{", True, False),)),
    answers=AnswersState(
        (PendingState(27, {"blog": Ticket("reload", RECORD)}, 4.0, ('{"ok": true}',), 0),),
        (FollowerState(28, {"blog": 3}), FollowerState(36, {"": 7}, "events")),
    ),
    askers=(29,),
    launcher="/run/lib/x/launch.py",
    book=30,
    folders={"/v": 31},
    heirlooms=((32, "blog"),),
    front=FrontState(33, 103, 34),
    before_us=(77,),
    chronicle=ChronicleState(7, (Entry(7, "blog", 1000, '{"number":7}'),)),
)


def test_what_is_encoded_is_decoded_to_the_same() -> None:
    assert handover.decode(handover.encode(STATE)) == STATE


def test_every_descriptor_that_is_named_stays_open() -> None:
    assert STATE.descriptors == {20, 21, 22, 23, 24, 25, 26, 27, 30, 31, 32, 33, 34}
    assert replace(STATE, front=None, book=-1).descriptors == STATE.descriptors - {30, 33, 34}


def renamed(raw: Any) -> None:
    grave = raw["schema"]["GraveState"]
    grave["until"] = grave.pop("due")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw: raw.update(format=99), "format 99"),
        (lambda raw: raw["schema"]["State"].update(later="int"), "State: unknown field later"),
        (lambda raw: raw["schema"]["Vassal"].pop("name"), "Vassal: missing field name"),
        # That nobody waits to be buried now says nothing of the moment of the exec.
        (
            lambda raw: (raw["state"]["vassals"][0]["performer"].update(unburied=[]), renamed(raw)),
            "unknown field until",
        ),
        (lambda raw: raw["schema"]["Wanted"].update(sideways=""), "Wanted: unknown field sideways"),
        (lambda raw: raw["schema"]["Generation"].update(number="str"), "Generation.number: str where int should be"),
        (lambda raw: raw["state"].pop("control"), "missing field control"),
        (lambda raw: raw.pop("schema"), "schema"),
    ],
)
def test_what_another_version_wrote_is_refused_by_name(change: Any, reason: str) -> None:
    raw = json.loads(handover.encode(STATE))
    change(raw)
    with pytest.raises(EmperorError, match=rf"handover: cannot be read: .*{reason}.* -- restart instead"):
        handover.decode(json.dumps(raw).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"null"])
def test_what_nobody_wrote_is_refused(data: bytes) -> None:
    with pytest.raises(EmperorError, match="handover: cannot be read"):
        handover.decode(data)


def test_without_the_variable_nobody_has_left_anything() -> None:
    environ = {handover.VARIABLE: "x"}
    assert handover.received({}) is None
    assert handover.received(environ) is None
    assert environ == {}


def test_a_new_program_may_know_more_than_the_old_one_as_long_as_it_can_do_without() -> None:
    raw = json.loads(handover.encode(STATE))
    # As an older program wrote it, to which both were unknown.
    del (
        raw["schema"]["WorkerReport"]["exits"],
        raw["state"]["vassals"][0]["performer"]["cribs"][0]["workers"][0]["exits"],
    )
    del raw["schema"]["Phase"]["dead"]
    assert handover.decode(json.dumps(raw).encode()) == STATE


def test_an_older_program_that_told_nothing_of_who_was_there_before_it_is_read() -> None:
    raw = json.loads(handover.encode(STATE))
    del raw["schema"]["State"]["before_us"], raw["state"]["before_us"]
    assert handover.decode(json.dumps(raw).encode()) == replace(STATE, before_us=None)
