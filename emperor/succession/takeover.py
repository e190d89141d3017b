"""What a daemon is made of when its program is replaced, and how the new program puts it together again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from emperor import __version__
from emperor.answers import Answers
from emperor.control.server import ControlServer
from emperor.frontkeeper import FrontKeeper
from emperor.holding.estate import Estate
from emperor.intake.intake import Intake
from emperor.intake.reading import Reader
from emperor.journal import Journal
from emperor.succession import handover
from emperor.succession.handover import State, VassalState
from emperor.succession.upgrade import tell_askers
from emperor.supervision.record import Wanted
from emperor.system.eventloop import Loop
from emperor.system.folderlock import FolderLocks
from emperor.tending.register import Register


class Realm(Protocol):
    """The daemon's parts."""

    loop: Loop
    journal: Journal
    reader: Reader
    register: Register
    intake: Intake
    estate: Estate
    control: ControlServer
    answers: Answers
    folders: FolderLocks
    front: FrontKeeper | None


def export(realm: Realm) -> State:
    """Everything, unchanged by being told."""
    marks: Mapping[str, tuple[int, ...]] = realm.intake.inis.export() if realm.intake.inis is not None else {}
    return State(
        format=handover.FORMAT,
        version=__version__,
        begun=realm.loop.now(),
        vassals=tuple(
            VassalState(
                one,
                realm.intake.paths.get(name, ""),
                marks.get(name, ()),
                realm.register.performers[name].export(),
                realm.register.performers[name].holdings.export(),
            )
            for name, one in realm.register.vassals.items()
        ),
        control=realm.control.export(),
        answers=realm.answers.export(),
        askers=(),
        book=realm.estate.book.lock,
        folders=realm.folders.export(),
        heirlooms=realm.estate.heirlooms.export(),
        front=realm.front.export() if realm.front is not None else None,
    )


def take_over(realm: Realm, state: State) -> None:
    """Go on where an older program of this process was."""
    realm.estate.heirlooms.adopt(state.heirlooms)
    for one in state.vassals:
        # First who has what open: that decides whose it is.
        realm.register.enter(one.record.name)
        realm.intake.paths[one.record.name] = one.config
        performer = realm.register.performers[one.record.name]
        performer.holdings.adopt(one.held)
        performer.holdings.leaving = one.record.wanted is Wanted.GONE
        performer.adopt(one.performer)
    for one in state.vassals:
        realm.register.resume(one.record)
        _read_again(realm, one)
    realm.answers.adopt(state.answers, realm.control.reply_to)
    realm.journal.info("emperor", tell_askers(state, realm.control.reply_to, realm.loop.now()))


def _read_again(realm: Realm, one: VassalState) -> None:
    """What this version makes of the ini is no reason to reload; to show another problem, or none, it is one."""
    record, reading = one.record, realm.reader.read(one.record.name, one.config)
    if reading.authority is None:
        # Not there at this moment: the next look at the folder knows more.
        return
    judged = realm.intake.claims.judge(record.name, reading.checked)
    realm.intake.readings[record.name] = replace(reading, checked=judged)
    if judged.problems != record.problems or judged.spec not in (None, record.spec):
        realm.intake.take(record.name, reading, reload=False)
