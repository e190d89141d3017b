"""Listeners outlive their emperor in systemd's fd store, and go to nobody else's vassal."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.config.placement import EMPEROR, VASSAL
from emperor.errors import ListenError
from emperor.holding.held import Held
from emperor.holding.holdings import Holdings
from emperor.model import ABSTRACT, FASTCGI, TCP, UWSGI, Address, Authority, Identity, SocketSpec, VassalSpec
from emperor.system import fdstore
from emperor.system.listeners import Place
from tests.integration.estate_world import BY_ADMIN, BY_OWNER, HIGH, Manager, World, connects, hand_up, path_of
from tests.integration.kernel_world import ME, fds_of, unix, until

SOMEBODY = Identity(61001, 61001, (61001,), "alice", "/")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()


class Lives:
    """One emperor after the other in the same folder."""

    def __init__(self, folder: Path, manager: Manager) -> None:
        self._folder, self._manager = folder, manager
        self.worlds: list[World] = []

    def __call__(self) -> World:
        self.worlds.append(World(self._folder, self._manager))
        return self.worlds[-1]


@pytest.fixture
def life(tmp_path: Path, manager: Manager) -> Iterator[Lives]:
    lives = Lives(tmp_path, manager)
    yield lives
    lives.worlds[-1].estate.leave_behind = False
    lives.worlds[-1].close()


def waits(address: Address) -> socket.socket:
    """A client that connects, and is accepted by nobody yet."""
    peer = socket.socket(socket.AF_UNIX if address.path else socket.AF_INET)
    peer.settimeout(5)
    path = "\0" + address.path if address.family == ABSTRACT else address.path
    peer.connect(path or (address.host, address.port))
    peer.sendall(b"I wait")
    return peer


def said_by_who_waits(fd: int) -> bytes:
    """What the client says who is next in this listener's queue."""
    with socket.socket(fileno=os.dup(fd)) as listener:
        listener.setblocking(False)
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(5)
            return accepted.recv(100)


# What is kept -----------------------------------------------------------------------------------------------------


def test_one_user_s_vassals_keep_no_more_there_than_leaves_room_for_others(
    life: Lives, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fdstore, "SHARE", 2)
    world = life()
    specs = [
        world.spec(unix(world.runtime / f"{name}.sock"), authority=BY_OWNER, name=name, identity=SOMEBODY)
        for name in ("one", "two", "three", "four")
    ]
    held = [world.holdings(spec.name) for spec in specs]
    for one, spec in zip(held, specs, strict=True):
        hold(one, spec)
    assert [name.split("/")[1] for name in manager.names] == ["one", "two"]
    told = [line for line in world.journal.lines if "fd store" in line]
    assert told == ["warning: three: fd store: alice has 2 sockets there -- no more are kept"]
    mine = world.spec(unix(world.runtime / "mine.sock"), authority=BY_OWNER, name="mine")
    hold(world.holdings("mine"), mine)
    admins = world.spec(unix(world.runtime / "admins.sock"), authority=BY_ADMIN, name="admins", identity=SOMEBODY)
    hold(world.holdings("admins"), admins)
    assert [name.split("/")[1] for name in manager.names] == ["one", "two", "mine", "admins"]
    for one in (held[0], world.all[-1]):
        one.release()
    held[2].keep(specs[2])
    assert "three" in [name.split("/")[1] for name in manager.names]


def hold(holdings: Holdings, spec: VassalSpec) -> None:
    """As if it had been bound before."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(spec.sockets[0].address.path)
    sock.listen()
    holdings._hold(Held(sock, spec.sockets[0], VASSAL, None, None, spec))


def test_every_listener_is_stored_and_goes_with_what_it_was_for(life: Lives, manager: Manager) -> None:
    world = life()
    spec = world.spec(unix(world.home / "a.sock"), unix(world.home / "b.sock"))
    holdings = world.holdings()
    holdings.provide(spec)
    labels = [fdstore.parse(name) for name in manager.names]
    assert [(one.vassal, one.binder, one.uid) for one in labels if one] == [("blog", EMPEROR, ME.uid)] * 2
    assert len(set(manager.names)) == 2
    holdings.keep(replace(spec, sockets=spec.sockets[1:]))
    assert len(manager.names) == 1
    holdings.release()
    assert manager.names == []
    assert list(world.home.iterdir()) == []


def test_what_a_vassal_hands_up_is_stored_once(life: Lives, manager: Manager) -> None:
    world = life()
    spec = world.spec(unix(world.home / "a.sock"), authority=BY_OWNER)
    holdings = world.holdings()
    with hand_up(holdings, spec):
        first = manager.names
    path_of(spec).unlink()
    with hand_up(holdings, spec):
        pass
    [name] = manager.names
    label = fdstore.parse(name)
    assert label is not None and (label.binder, label.uid) == (VASSAL, ME.uid)
    assert first != [name]


def test_without_a_service_manager_nothing_is_stored_and_all_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path)
    spec = world.spec(unix(world.home / "a.sock"))
    world.holdings().provide(spec)
    assert world.all[0]._held[spec.sockets[0].address].stored == ""
    world.close()


# Taken back -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_who_waits_is_served_by_the_next_emperor(life: Lives, manager: Manager, how: str) -> None:
    world = life()
    spec = world.spec(
        unix(world.home / "a.sock"),
        SocketSpec(UWSGI, Address(ABSTRACT, f"emperor-test-{os.getpid()}")),
    )
    holdings = world.holdings()
    holdings.provide(spec)
    inode, stored = path_of(spec).lstat().st_ino, manager.names
    if how == "killed":
        world.crash()
    else:
        world.estate.leave_behind = True
        world.close()
    assert manager.names == stored
    peers = [waits(one.address) for one in spec.sockets]
    after = life()
    provided = after.holdings().provide(spec)
    after.estate.settle(one.address for one in spec.sockets)
    assert [said_by_who_waits(provided[index]) for index in (0, 1)] == [b"I wait"] * 2
    assert path_of(spec).lstat().st_ino == inode
    assert manager.names == stored, "the same descriptor under the same name"
    assert not any(os.get_inheritable(fd) for fd in provided.values())
    for peer in peers:
        peer.close()


def test_a_port_is_taken_back_however_its_address_is_spelt(life: Lives, manager: Manager) -> None:
    world = life()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    everywhere = Address(TCP, host="", port=port)
    world.holdings().provide(world.spec(SocketSpec(FASTCGI, everywhere)))
    world.crash()
    local = replace(everywhere, host="127.0.0.1")
    peer = waits(local)
    after = life()
    named = replace(everywhere, host="0.0.0.0")
    [fd] = after.holdings().provide(after.spec(SocketSpec(FASTCGI, named))).values()
    assert said_by_who_waits(fd) == b"I wait"
    peer.close()


def test_what_a_vassal_bound_goes_to_its_next_generation_by_descriptor(life: Lives, manager: Manager) -> None:
    world = life()
    spec = world.spec(unix(world.home / "a.sock"), authority=BY_OWNER)
    with hand_up(world.holdings(), spec):
        there = path_of(spec).lstat()
    world.crash()
    peer = waits(spec.sockets[0].address)
    (world.runtime / "sockets.json").unlink()
    after = life()
    holdings = after.holdings()
    [fd] = holdings.provide(spec).values()
    assert said_by_who_waits(fd) == b"I wait"
    assert holdings.places(spec) == {0: (there.st_dev, there.st_ino)}
    assert holdings.shown()[0]["mode"] is None
    holdings.release()
    after.errands_done()
    assert not path_of(spec).exists() and manager.names == []
    peer.close()


def test_a_renamed_ini_of_the_same_user_takes_it_over(life: Lives, manager: Manager) -> None:
    world = life()
    spec = world.spec(unix(world.home / "a.sock"))
    world.holdings().provide(spec)
    world.crash()
    peer = waits(spec.sockets[0].address)
    after = life()
    [fd] = after.holdings("site").provide(replace(spec, name="site")).values()
    assert said_by_who_waits(fd) == b"I wait"
    peer.close()


def test_the_access_of_the_ini_is_given_again(life: Lives, manager: Manager) -> None:
    """It may have been changed while there was no emperor."""
    world = life()
    spec = world.spec(unix(world.home / "a.sock"))
    world.holdings().provide(spec)
    world.crash()
    after = life()
    wider = after.spec(replace(spec.sockets[0], mode=0o666))
    holdings = after.holdings()
    holdings.provide(wider)
    assert path_of(spec).lstat().st_mode & 0o777 == 0o660
    holdings.keep(wider)
    assert path_of(spec).lstat().st_mode & 0o777 == 0o666


def test_a_listener_that_took_anothers_place_is_known_by_its_file(life: Lives, manager: Manager) -> None:
    """The kernel knows only the temporary name under which it was bound."""
    world = life()
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    holdings.provide(spec, 1)
    changed = world.spec(unix(world.home / "a.sock", FASTCGI))
    holdings.provide(changed, 2)
    holdings.keep(changed)
    [stored] = manager.names
    world.crash()
    (world.runtime / "sockets.json").unlink()
    peer = waits(spec.sockets[0].address)
    after = life()
    [fd] = after.holdings().provide(changed).values()
    assert said_by_who_waits(fd) == b"I wait"
    assert manager.names == [stored]
    peer.close()


# Not taken back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_one_whose_file_is_gone_is_bound_anew(life: Lives, manager: Manager, what: str) -> None:
    world = life()
    spec = world.spec(unix(world.home / "a.sock"))
    world.holdings().provide(spec)
    stored = manager.names
    world.crash()
    path_of(spec).unlink()
    after = life()
    holdings = after.holdings()
    if what == "replaced":
        path_of(spec).write_text("precious")
        with pytest.raises(ListenError, match="a regular file is there"):
            holdings.provide(spec)
        assert path_of(spec).read_text() == "precious"
        path_of(spec).unlink()
    holdings.provide(spec)
    assert connects(spec.sockets[0].address)
    assert len(manager.names) == 1 and manager.names != stored


@pytest.mark.parametrize("name, authority", [("blog", BY_OWNER), ("shop", BY_ADMIN)])
def test_what_was_held_for_another_user_is_not_given_away(
    life: Lives, manager: Manager, name: str, authority: Authority
) -> None:
    """Neither to an ini of her own of that name, nor to root's of another name: it gets a listener of its own."""
    world = life()
    spec = world.spec(unix(world.runtime / f"{name}.sock"))
    world.holdings().provide(spec)
    stored = manager.names
    world.crash()
    peer = waits(spec.sockets[0].address)
    after = life()
    hers = after.spec(*spec.sockets, name=name, identity=SOMEBODY, authority=authority)
    holdings = after.holdings(name)
    [fd] = holdings.provide(hers, 1).values()
    assert holdings.leftovers(hers) == ()
    with pytest.raises(BlockingIOError):
        said_by_who_waits(fd)
    after.estate.settle()
    assert len(manager.names) == 1 and manager.names != stored
    with waits(spec.sockets[0].address):
        assert said_by_who_waits(fd) == b"I wait"
    peer.close()


def test_where_root_says_that_its_user_is_another_who_waits_is_served_beside(life: Lives, manager: Manager) -> None:
    """As at a reload: a new listener, and the older one as a leftover."""
    world = life()
    spec = world.spec(unix(world.home / "a.sock"))
    world.holdings().provide(spec)
    stored = manager.names
    world.crash()
    peer = waits(spec.sockets[0].address)
    after = life()
    changed = after.spec(*spec.sockets, identity=SOMEBODY)
    holdings = after.holdings()
    [fresh] = holdings.provide(changed, 1).values()
    [(leftover, protocol)] = holdings.leftovers(changed)
    assert (said_by_who_waits(leftover), protocol) == (b"I wait", UWSGI)
    holdings.keep(changed)
    with waits(spec.sockets[0].address):
        assert said_by_who_waits(fresh) == b"I wait"
    [name] = manager.names
    label = fdstore.parse(name)
    assert [name] != stored and label is not None and label.uid == SOMEBODY.uid
    peer.close()


def test_a_users_ini_does_not_get_what_the_emperor_bound_by_naming_its_address(life: Lives, manager: Manager) -> None:
    world = life()
    spec = world.spec(unix(world.home / "a.sock"))
    world.holdings().provide(spec)
    world.crash()
    after = life()
    hers = after.spec(*spec.sockets, name="hers", authority=BY_OWNER)
    assert after.holdings("hers").provide(hers) == {}
    assert list(after.holdings("blog").provide(spec)) == [0]


def test_a_made_up_name_does_not_count_against_what_the_kernel_remembers(life: Lives, manager: Manager) -> None:
    """Somebody who may write to our fd store says that a listener of theirs is another user's."""
    world = life()
    world.home.chmod(0o777)
    spec = world.spec(unix(world.home / "a.sock"), authority=BY_OWNER, identity=SOMEBODY)
    with socket.socket(socket.AF_UNIX) as forged:
        forged.bind(str(path_of(spec)))
        forged.listen()
        there = path_of(spec).lstat()
        name = fdstore.label("blog", VASSAL, SOMEBODY.uid, SOMEBODY.gid, Place(there.st_dev, there.st_ino)).name
        manager.add(name, forged)
    world.close()
    after = life()
    assert after.holdings().provide(spec) == {}
    after.errands_done()
    assert name not in manager.names


# What nobody wants ------------------------------------------------------------------------------------------------


def test_what_nobody_claims_is_closed_and_removed_once_all_are_read(life: Lives, manager: Manager) -> None:
    world = life()
    mine = world.spec(unix(world.home / "a.sock"), unix(world.home / "later.sock"))
    hers = world.spec(unix(world.home / "b.sock"), name="hers", authority=BY_OWNER)
    holdings = world.holdings()
    holdings.provide(mine, 1)
    holdings.provide(replace(mine, sockets=(unix(world.home / "a.sock", FASTCGI), mine.sockets[1])), 2)
    with hand_up(world.holdings("hers"), hers):
        pass
    assert len(list(world.home.iterdir())) == 4, "a draft lies there too"
    before = set(fds_of())
    world.crash()
    after = life()
    after.estate.settle([mine.sockets[1].address])
    after.errands_done()
    assert [one.name for one in world.home.iterdir()] == ["later.sock"]
    assert len(manager.names) == 1
    assert list(after.holdings().provide(replace(mine, sockets=mine.sockets[1:]))) == [0]
    after.estate.settle()
    assert path_of(mine, 1).exists()
    until(lambda: len(fds_of()) <= len(before))


def test_what_has_taken_its_place_is_left_alone(life: Lives, manager: Manager) -> None:
    world = life()
    spec = world.spec(unix(world.home / "a.sock"))
    world.holdings().provide(spec)
    world.crash()
    path_of(spec).rename(world.home / "aside")
    path_of(spec).write_text("precious")
    after = life()
    after.estate.settle()
    assert path_of(spec).read_text() == "precious"
    assert manager.names == []


def test_the_end_of_a_removed_vassal_is_its_sockets_end_even_as_the_emperor_ends(life: Lives, manager: Manager) -> None:
    world = life()
    stays = world.spec(unix(world.home / "a.sock"))
    goes = world.spec(unix(world.home / "b.sock"), name="shop")
    world.holdings().provide(stays)
    world.holdings("shop").provide(goes)
    world.estate.leave_behind = True
    world.all[1].leaving = True
    world.close()
    assert [one.name for one in world.home.iterdir()] == ["a.sock"]
    assert len(manager.names) == 1
    after = life()
    assert after.book.find(str(path_of(stays)), os.geteuid()) is not None


# Of units of systemd's own ----------------------------------------------------------------------------------------


def of_a_unit(world: World, manager: Manager, name: str = "blog.socket") -> Path:
    path = world.home / "unit.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        manager.add(name, sock)
    path.chmod(0o604)
    return path


def test_systemds_own_socket_is_used_as_it_is_and_never_given_up(life: Lives, manager: Manager) -> None:
    world = life()
    path = of_a_unit(world, manager)
    world.close()
    peer = waits(Address("unix", str(path)))
    after = life()
    spec = after.spec(replace(unix(path), mode=0o600))
    holdings = after.holdings()
    [fd] = holdings.provide(spec).values()
    assert said_by_who_waits(fd) == b"I wait"
    holdings.keep(spec)
    after.estate.settle()
    assert holdings.places(spec) == {}
    assert path.lstat().st_mode & 0o777 == 0o604, "it is systemd's to say who may connect"
    assert manager.names == ["blog.socket"]
    holdings.leaving = True
    holdings.release()
    assert path.exists() and connects(spec.sockets[0].address)
    assert list(after.holdings("other").provide(replace(spec, name="other")).values()) == [fd]
    peer.close()


def test_systemds_own_socket_is_for_roots_inis(life: Lives, manager: Manager) -> None:
    world = life()
    path = of_a_unit(world, manager, "unknown")
    world.close()
    after = life()
    with pytest.raises(ListenError, match=r"it is systemd's \(unknown\), and only root's inis may have it"):
        after.holdings().provide(after.spec(unix(path), authority=BY_OWNER))


def test_one_vassal_has_systemds_socket_at_a_time(life: Lives, manager: Manager) -> None:
    world = life()
    path = of_a_unit(world, manager)
    world.close()
    after = life()
    after.holdings().provide(after.spec(unix(path)))
    with pytest.raises(ListenError, match="it is vassal blog's already"):
        after.holdings("shop").provide(after.spec(unix(path), name="shop"))


def test_what_is_no_listener_is_closed_and_named(life: Lives, manager: Manager, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams, socket.socket(socket.AF_UNIX) as silent:
        manager.add("datagrams", datagrams)
        manager.add("silent", silent)
        with open("/dev/null") as file:
            manager._kept.append(("file", os.dup(file.fileno())))
    assert life().estate.heirlooms.export() == ()
    assert [name for name, _ in manager.refused] == ["datagrams", "silent", "file"]
    assert not {HIGH, HIGH + 1, HIGH + 2} & set(fds_of())


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "-1", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "1_0", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_descriptors_that_are_not_for_us_are_left_alone(environ: dict[str, str], manager: Manager) -> None:
    given = dict(environ)
    assert fdstore.received(given, lambda name, reason: pytest.fail(reason), HIGH) == []
    assert given == {}


# From one program of a process to the next ------------------------------------------------------------------------


def test_what_is_held_goes_on_in_the_program_that_replaces_us(life: Lives, manager: Manager) -> None:
    world = life()
    unit = of_a_unit(world, manager)
    world.close()
    world = life()
    spec = world.spec(unix(world.home / "a.sock"), unix(unit))
    holdings = world.holdings()
    before = holdings.provide(spec, 1)
    changed = replace(spec, sockets=(unix(world.home / "a.sock", FASTCGI), unix(unit)))
    fresh = holdings.provide(changed, 2)
    states, heirlooms, stored = holdings.export(), world.estate.heirlooms.export(), manager.names
    lock = world.book.lock
    for state in states:
        os.set_inheritable(state.fd, True)
    world.forget()
    after = World(world.runtime.parent, None, lock=lock)
    after.estate.notifier = manager.notifier()
    after.estate.heirlooms.adopt(heirlooms)
    heir = after.holdings()
    heir.adopt(states)
    life.worlds.append(after)
    assert heir.export() == states
    assert not any(os.get_inheritable(state.fd) for state in states)
    assert manager.names == stored
    assert fresh[0] != before[0] and path_of(changed).exists()
    heir.keep(changed)
    assert [one["protocol"] for one in heir.shown()] == [FASTCGI, UWSGI]
    assert heir.provide(changed, 3) == fresh
    with waits(spec.sockets[0].address):
        assert said_by_who_waits(fresh[0]) == b"I wait"
    after.estate.settle(one.address for one in spec.sockets)
    assert sorted(one.name for one in world.home.iterdir()) == ["a.sock", "unit.sock"]
