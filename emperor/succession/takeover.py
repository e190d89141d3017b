"""What a daemon is made of when its program is replaced, and how the new program puts it together again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from emperor import __version__
from emperor.answers.answers import Answers
from emperor.chronicle import Chronicle
from emperor.control.server import ControlServer
from emperor.frontkeeper import FrontKeeper
from emperor.holding.estate import Estate
from emperor.intake.inis import IniState
from emperor.intake.intake import Intake
from emperor.intake.reading import Reader
from emperor.journal import Journal
from emperor.succession.handover import State, VassalState
from emperor.supervision.record import Wanted, first_fatal
from emperor.system.eventloop import Loop
from emperor.system.folderlock import FolderLocks
from emperor.tending.register import Register
from emperor.tending.strays import Strays


class Realm(Protocol):
    """The daemon's parts."""

    loop: Loop
    journal: Journal
    reader: Reader
    register: Register
    launcher: str
    intake: Intake
    estate: Estate
    control: ControlServer
    answers: Answers
    chronicle: Chronicle
    folders: FolderLocks
    front: FrontKeeper | None
    strays: Strays


def export(realm: Realm) -> State:
    """Everything, unchanged by being told."""
    known: Mapping[str, IniState] = realm.intake.export()
    return State(
        version=__version__,
        begun=realm.loop.now(),
        vassals=tuple(
            VassalState(
                one,
                known.get(name),
                realm.register.performers[name].export(),
                realm.register.performers[name].holdings.export(),
            )
            for name, one in realm.register.vassals.items()
        ),
        control=realm.control.export(),
        answers=realm.answers.export(),
        askers=(),
        launcher=realm.launcher,
        book=realm.estate.book.lock,
        folders=realm.folders.export(),
        heirlooms=realm.estate.heirlooms.export(),
        front=realm.front.export() if realm.front is not None else None,
        before_us=realm.strays.before_us,
        chronicle=realm.chronicle.export(),
    )


def take_over(realm: Realm, state: State) -> None:
    """Go on where an older program of this process was."""
    realm.estate.heirlooms.adopt(state.heirlooms)
    # First who has what open, then who was found sound: that decides whose it is.
    for step, order in ((_enter, state.vassals), (_go_on, sorted(state.vassals, key=_refused))):
        for one in order:
            try:
                step(realm, one)
            except Exception as error:
                # What is wrong with one vassal's sockets or ini is no reason to lose the others.
                realm.journal.bug(error)
    realm.strays.adopt(state.before_us)
    if state.chronicle is not None:
        realm.chronicle.adopt(state.chronicle)
    realm.answers.adopt(state.answers, realm.control.reply_to)
    realm.answers.look_again()


def _refused(one: VassalState) -> bool:
    return bool(first_fatal(one.record.problems))


def _enter(realm: Realm, one: VassalState) -> None:
    name = one.record.name
    realm.register.enter(name)
    performer = realm.register.performers[name]
    # The processes first: whatever else may be wrong, they are watched.
    performer.adopt(one.performer)
    performer.holdings.adopt(one.held)
    performer.holdings.leaving = one.record.wanted is Wanted.GONE


def _go_on(realm: Realm, one: VassalState) -> None:
    if one.ini is not None:
        realm.intake.paths[one.record.name] = one.ini.path
    realm.register.resume(one.record)
    if one.ini is not None:
        realm.intake.resume(one.record.name, one.ini.path)
