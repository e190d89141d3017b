"""A generation that may not share a listener gets a new one, and who came before is served all the same."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.errors import ListenError
from emperor.model import ABSTRACT, FASTCGI, UWSGI, Address, Identity, SocketSpec, VassalSpec
from emperor.supervision.channel import Listening, Lost, Message, decode
from emperor.supervision.commission import SERVE, Commission
from emperor.system.listeners import place_of
from emperor.system.openings import Openings
from emperor.system.uplink import Uplink
from tests.integration.estate_world import BY_OWNER, World, connects, hand_up, path_of
from tests.integration.kernel_world import ME, fds_of, unix, vassal_spec

ALICE = Identity(61001, 61001, (61001,), "alice", "/")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def as_alice(spec: VassalSpec) -> VassalSpec:
    return replace(spec, identity=ALICE)


def in_fastcgi(spec: VassalSpec) -> VassalSpec:
    return replace(spec, sockets=tuple(replace(one, protocol=FASTCGI) for one in spec.sockets))


def waiting(fd: int) -> int:
    """How many are waiting to be accepted."""
    count = 0
    with socket.socket(fileno=os.dup(fd)) as listener:
        listener.setblocking(False)
        while True:
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


def client(path: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(path))
    return peer


@pytest.mark.parametrize("change", [as_alice, in_fastcgi])
def test_the_path_leads_to_the_old_listener_until_the_new_generation_serves(world: World, change: object) -> None:
    assert callable(change)
    spec = world.spec(unix(world.home / "a.sock"))
    new, path, holdings = change(spec), path_of(spec), world.holdings()
    [old] = holdings.provide(spec, 1).values()
    holdings.keep(spec)
    [fresh] = holdings.provide(new, 2).values()
    assert fresh != old and not os.get_inheritable(fresh)
    assert holdings.leftovers(new) == ((old, UWSGI),)
    with client(path):
        assert (waiting(old), waiting(fresh)) == (1, 0)
    shared = os.dup(old)
    with client(path):
        holdings.keep(new)
        with client(path):
            assert (waiting(shared), waiting(fresh)) == (1, 1)
    os.close(shared)
    assert [one.name for one in world.home.iterdir()] == ["a.sock"]
    assert world.book.find(str(path), os.geteuid()) == place_of(str(path))
    assert world.book.drafts() == {}
    assert holdings.leftovers(new) == ()
    assert holdings.provide(new, 3) == {0: fresh}
    assert holdings.shown()[0]["protocol"] == new.sockets[0].protocol


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_new_file_is_its_users_before_anybody_can_come_to_it(world: World) -> None:
    spec = world.spec(replace(unix(world.home / "a.sock"), mode=0o600))
    holdings = world.holdings()
    holdings.provide(spec, 1)
    new = as_alice(spec)
    holdings.provide(new, 2)
    holdings.keep(new)
    there = path_of(spec).lstat()
    assert (there.st_uid, there.st_mode & 0o777) == (ALICE.uid, 0o600)


@pytest.mark.parametrize("change", [as_alice, in_fastcgi])
def test_a_generation_that_never_serves_leaves_all_as_it_was(world: World, change: object) -> None:
    assert callable(change)
    spec = world.spec(unix(world.home / "a.sock"))
    new, path, holdings = change(spec), path_of(spec), world.holdings()
    provided = holdings.provide(spec, 1)
    holdings.keep(spec)
    inode, descriptors = path.lstat().st_ino, set(fds_of())
    holdings.provide(new, 2)
    holdings.give_up(1)
    assert len(list(world.home.iterdir())) == 2, "the end of another generation is not its end"
    holdings.give_up(2)
    holdings.keep(spec)
    assert [one.name for one in world.home.iterdir()] == ["a.sock"]
    assert path.lstat().st_ino == inode and set(fds_of()) == descriptors
    assert holdings.provide(spec, 3) == provided


def test_one_that_tries_again_has_one_new_listener_and_not_many(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    holdings.provide(spec, 1)
    for number in range(2, 5):
        holdings.provide(as_alice(spec), number)
    assert len(list(world.home.iterdir())) == 2
    holdings.release()
    assert list(world.home.iterdir()) == []


def test_what_a_crash_left_of_a_draft_is_replaced(world: World, tmp_path: Path) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    holdings.provide(spec, 1)
    holdings.provide(as_alice(spec), 2)
    world.crash()
    after = World(tmp_path)
    again = after.holdings()
    again.provide(spec, 1)
    new = as_alice(spec)
    again.provide(new, 2)
    again.keep(new)
    assert [one.name for one in world.home.iterdir()] == ["a.sock"]
    after.close()


def test_addresses_without_a_file_are_shared(world: World) -> None:
    spec = world.spec(SocketSpec(UWSGI, Address(ABSTRACT, f"emperor-fresh-{os.getpid()}")))
    holdings = world.holdings()
    provided = holdings.provide(spec, 1)
    assert holdings.provide(as_alice(in_fastcgi(spec)), 2) == provided


def test_flup_is_not_given_what_it_does_not_speak(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    holdings.provide(spec, 1)
    flup = replace(in_fastcgi(spec), fastcgi_engine="flup")
    holdings.provide(flup, 2)
    assert holdings.leftovers(flup) == ()


# A file that is gone ----------------------------------------------------------------------------------------------


def test_a_removed_file_is_there_again_as_soon_as_a_generation_starts(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    path, holdings = path_of(spec), world.holdings()
    [old] = holdings.provide(spec, 1).values()
    holdings.keep(spec)
    with client(path):
        path.unlink()
        assert holdings.look() == [f"{path}: its file was removed -- bound again"]
        [fresh] = holdings.provide(spec, 2).values()
        assert connects(spec.sockets[0].address)
        assert holdings.look() == [], "it is under way"
        [leftover] = holdings.leftovers(spec)
        assert waiting(leftover[0]) == 1
    holdings.keep(spec)
    assert fresh != old and holdings.provide(spec, 3) == {0: fresh}
    assert holdings.look() == []
    holdings.release()
    assert list(world.home.iterdir()) == []


def test_a_removed_file_that_nobody_came_to_serve_is_removed_again(world: World) -> None:
    """Whoever connects is to be refused, and not to wait in vain."""
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    holdings.provide(spec, 1)
    path_of(spec).unlink()
    holdings.provide(spec, 2)
    holdings.give_up(2)
    assert list(world.home.iterdir()) == []


@pytest.mark.parametrize("kind", ["socket", "file"])
def test_what_has_taken_its_place_stays_and_is_named(world: World, kind: str) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    path, holdings = path_of(spec), world.holdings()
    holdings.provide(spec, 1)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        if kind == "socket":
            other.bind(str(path))
        else:
            path.write_text("precious")
        there = path.lstat().st_ino
        assert holdings.look() == [f"{path}: another file has taken its place -- bound again once that is gone"]
        with pytest.raises(ListenError, match=rf"^{path}: bind: .* -- "):
            holdings.provide(spec, 2)
        holdings.release()
        assert path.lstat().st_ino == there


def test_a_file_that_comes_between_is_not_overwritten(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    path, holdings = path_of(spec), world.holdings()
    holdings.provide(spec, 1)
    new = in_fastcgi(spec)
    holdings.provide(new, 2)
    path.unlink()
    path.write_text("precious")
    holdings.keep(new)
    assert path.read_text() == "precious"
    assert [one.name for one in world.home.iterdir()] == ["a.sock"]
    assert world.journal.lines == [
        f"warning: blog: {path}: rename: another file has taken its place -- left alone",
    ]
    path.unlink()
    assert holdings.look() == [f"{path}: its file was removed -- bound again"]


def test_what_stays_wrong_is_said_ever_more_rarely(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    holdings.provide(spec, 1)
    path_of(spec).unlink()
    assert [bool(holdings.look()) for _ in range(9)] == [True, True, False, True, False, False, False, True, False]


def test_a_mending_that_fails_is_tried_ever_more_rarely(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    holdings.provide(spec, 1)
    path_of(spec).unlink()
    tried = []
    for number in range(2, 10):
        tried.append(bool(holdings.look()))
        if tried[-1]:
            holdings.provide(spec, number)
            assert holdings.look() == [], "it is under way"
            holdings.give_up(number)
    assert tried == [True, True, False, True, False, False, False, True]


# What a vassal bound ----------------------------------------------------------------------------------------------


def test_a_vassals_word_counts_once_between_two_looks_and_for_its_own_sockets(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), unix(world.runtime / "blog.sock"), authority=BY_OWNER)
    holdings = world.holdings()
    holdings.provide(spec, 1)
    with hand_up(holdings, spec):
        pass
    for _ in range(1000):
        for index in (0, 1, 2, 2**40):
            holdings.hear_lost(spec, Lost(index))
    # The other one is the emperor's, and there are no more.
    assert holdings.look() == [f"{path_of(spec)}: its file was removed -- bound again"]
    assert holdings.look() == []


def test_a_vassals_later_word_is_shown_and_means_nothing_else(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), unix(world.runtime / "blog.sock"), authority=BY_OWNER)
    holdings = world.holdings()
    holdings.provide(spec, 1)
    with hand_up(holdings, spec):
        pass
    for index in (0, 1, 2):
        holdings.hear_word(spec, Listening(index, 1, 2, 0o666, 3, 4))
    rows = {row["address"]: (row["mode"], row["owner"], row["group"]) for row in holdings.shown()}
    assert rows[str(path_of(spec))] == ("0666", 3, 4)
    assert rows[str(path_of(spec, 1))][0] == "0660"
    there = path_of(spec).lstat()
    assert holdings.places(spec) == {0: (there.st_dev, there.st_ino)}


class Theirs:
    """A vassal's side: what it is given, and what its emperor hears."""

    def __init__(self) -> None:
        self._near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._uplink, self._far = Uplink(self._near), far
        self._far.setblocking(False)
        self._opened: list[Openings] = []

    def open(self, spec: VassalSpec, **more: object) -> Openings:
        self._opened.append(Openings(Commission(SERVE, spec, **more), self._uplink))  # type: ignore[arg-type]
        return self._opened[-1]

    def heard(self) -> list[tuple[Message, int]]:
        found = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._far, 65536, 4)
            except BlockingIOError:
                return found
            for fd in fds:
                os.close(fd)
            found.append((decode(data), len(fds)))

    def close(self) -> None:
        for one in self._opened:
            for listener, _ in one.listeners:
                listener.close()
        self._near.close()
        self._far.close()


@pytest.fixture
def theirs() -> Iterator[Theirs]:
    theirs = Theirs()
    yield theirs
    theirs.close()


def bound_before(path: Path) -> tuple[int, dict[int, tuple[int, int]]]:
    """The listener of an older generation, and where the emperor says that it is."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        there = path.lstat()
        return os.dup(sock.fileno()), {0: (there.st_dev, there.st_ino)}


def test_a_vassal_binds_and_hands_up_what_nobody_has(theirs: Theirs, tmp_path: Path) -> None:
    spec = vassal_spec(tmp_path, unix(tmp_path / "a.sock"))
    [(listener, protocol)] = theirs.open(spec).listeners
    [(word, count)] = theirs.heard()
    there = path_of(spec).lstat()
    assert isinstance(word, Listening) and count == 1
    assert (word.device, word.inode, word.uid) == (there.st_dev, there.st_ino, ME.uid)
    assert protocol == UWSGI and not listener.getblocking() and not listener.get_inheritable()


def test_a_vassal_whose_file_is_gone_binds_anew_and_serves_who_waits(theirs: Theirs, tmp_path: Path) -> None:
    spec = vassal_spec(tmp_path, unix(tmp_path / "a.sock"))
    old, places = bound_before(path_of(spec))
    with client(path_of(spec)):
        path_of(spec).unlink()
        opened = theirs.open(spec, listeners={0: old}, places=places)
        with client(path_of(spec)):
            assert [waiting(one.fileno()) for one, _ in opened.listeners] == [1, 1]
    [(word, count)] = theirs.heard()
    assert isinstance(word, Listening) and count == 1
    opened.adjust()
    assert theirs.heard() == [], "it has said what it is"


def test_a_vassal_gives_an_older_file_its_access_once_it_serves_and_says_so(theirs: Theirs, tmp_path: Path) -> None:
    spec = vassal_spec(tmp_path, replace(unix(tmp_path / "a.sock"), mode=0o640))
    old, places = bound_before(path_of(spec))
    path_of(spec).chmod(0o600)
    opened = theirs.open(spec, listeners={0: old}, places=places)
    assert path_of(spec).lstat().st_mode & 0o777 == 0o600 and theirs.heard() == []
    opened.adjust()
    [(word, count)] = theirs.heard()
    assert isinstance(word, Listening) and (word.mode, count) == (0o640, 0)
    assert path_of(spec).lstat().st_mode & 0o777 == 0o640


def test_a_vassal_serves_leftovers_with_their_own_protocol(theirs: Theirs, tmp_path: Path) -> None:
    spec = vassal_spec(tmp_path, unix(tmp_path / "a.sock"))
    new, _ = bound_before(path_of(spec))
    old, _ = bound_before(tmp_path / "old.sock")
    opened = theirs.open(spec, listeners={0: new}, leftovers=((old, FASTCGI),))
    assert [(one.fileno(), protocol) for one, protocol in opened.listeners] == [(new, UWSGI), (old, FASTCGI)]


def test_a_vassal_tells_of_its_own_files_alone_and_ever_more_rarely(theirs: Theirs, tmp_path: Path) -> None:
    spec = vassal_spec(tmp_path, unix(tmp_path / "a.sock"), unix(tmp_path / "b.sock"))
    emperors, _ = bound_before(path_of(spec))
    opened = theirs.open(spec, listeners={0: emperors})
    theirs.heard()
    opened.look()
    assert theirs.heard() == []
    for path in (path_of(spec), path_of(spec, 1)):
        path.unlink()
    told = []
    for _ in range(9):
        opened.look()
        told.append([word for word, _ in theirs.heard()])
    assert told == [[Lost(1)] if count in (1, 2, 4, 8) else [] for count in range(1, 10)]
