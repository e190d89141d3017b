"""One vassal's sockets over its generations: who binds them, who inherits them, who removes them."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from emperor.config.placement import SYSTEMD
from emperor.errors import ListenError
from emperor.model import ABSTRACT, TCP, Address, Authority, Identity, SocketSpec, VassalSpec
from emperor.supervision.channel import Listening
from emperor.system import passing
from emperor.system.listeners import Place
from tests.integration.estate_world import BY_ADMIN, BY_OWNER, World, bound_by_vassal, connects, hand_up, path_of
from tests.integration.kernel_world import ME, fds_of, unix, until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


# Who binds --------------------------------------------------------------------------------------------------------


def test_an_administrators_socket_in_our_folder_is_bound_here(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    (fd,) = holdings.provide(spec).values()
    there = path_of(spec).lstat()
    assert stat.S_IMODE(there.st_mode) == 0o660
    assert connects(spec.sockets[0].address)
    assert not os.get_inheritable(fd)
    assert world.book.find(str(path_of(spec)), os.geteuid()) == Place(there.st_dev, there.st_ino)
    assert holdings.shown() == [
        {
            "protocol": "uwsgi",
            "address": str(path_of(spec)),
            "mode": "0660",
            "owner": there.st_uid,
            "group": there.st_gid,
            "binder": "emperor",
            "inode": os.fstat(fd).st_ino,
            "file": [there.st_dev, there.st_ino],
        }
    ]


def test_an_owners_socket_is_the_vassals_to_bind(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), authority=BY_OWNER)
    holdings = world.holdings()
    assert holdings.provide(spec) == {}
    assert holdings.places(spec) == {}
    assert not path_of(spec).exists()


def test_the_vassals_own_socket_in_the_runtime_folder_is_bound_here_for_everybody(world: World) -> None:
    holdings = world.holdings()
    default = world.spec(unix(world.runtime / "blog.sock"), authority=BY_OWNER)
    assert list(holdings.provide(default)) == [0]
    of_another_name = world.spec(unix(world.runtime / "shop.sock"), authority=BY_OWNER)
    assert holdings.provide(of_another_name) == {}


@pytest.mark.parametrize("authority, indexes", [(BY_ADMIN, {0, 1}), (BY_OWNER, {1})])
def test_a_port_is_bound_here_and_a_users_abstract_socket_by_that_user(
    world: World, authority: Authority, indexes: set[int]
) -> None:
    """Who connects to a local socket is told who has bound it (unix(7), SO_PEERCRED)."""
    spec = world.spec(
        SocketSpec("uwsgi", Address(ABSTRACT, f"emperor-test-{os.getpid()}")),
        SocketSpec("fastcgi", Address(TCP, host="127.0.0.1", port=0)),
        authority=authority,
    )
    assert set(world.holdings().provide(spec)) == indexes


def test_some_may_be_bound_here_and_some_by_the_vassal(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), unix(world.runtime / "blog.sock"), authority=BY_OWNER)
    holdings = world.holdings()
    assert list(holdings.provide(spec)) == [1]
    with hand_up(holdings, spec):
        assert set(holdings.provide(spec)) == {0, 1}


# Over generations -------------------------------------------------------------------------------------------------


def test_the_next_generation_gets_the_same_listener(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    before, inode = holdings.provide(spec), path_of(spec).lstat().st_ino
    assert holdings.provide(replace(spec, processes=4)) == before
    holdings.keep(replace(spec, processes=4))
    assert path_of(spec).lstat().st_ino == inode


def test_what_a_vassal_hands_up_is_kept_for_the_next_generation(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), authority=BY_OWNER)
    holdings = world.holdings()
    with hand_up(holdings, spec):
        there = path_of(spec).lstat()
    (fd,) = holdings.provide(spec).values()
    assert connects(spec.sockets[0].address)
    with socket.socket(fileno=os.dup(fd)) as kept:
        assert kept.getsockname() == str(path_of(spec))
    assert holdings.places(spec) == {0: (there.st_dev, there.st_ino)}
    assert holdings.shown()[0]["mode"] == f"{stat.S_IMODE(there.st_mode):04o}"


def test_what_one_did_not_ask_for_is_refused_and_closed(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), unix(world.runtime / "blog.sock"), authority=BY_OWNER)
    holdings = world.holdings()
    holdings.provide(spec)
    before = set(fds_of())
    sock, message = bound_by_vassal(path_of(spec))
    elsewhere, _ = bound_by_vassal(world.home / "b.sock")
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(world.home / "c.sock"))
    file = os.open("/dev/null", os.O_RDONLY)
    wrong: tuple[tuple[Listening, int, str], ...] = (
        (replace(message, index=2), sock.fileno(), "does not name"),
        (replace(message, index=1), sock.fileno(), "not the vassal's to bind"),
        (message, elsewhere.fileno(), "bound elsewhere"),
        (message, silent.fileno(), "does not listen"),
        (message, file, "no socket"),
    )
    for said, fd, reason in wrong:
        with pytest.raises(ListenError, match=reason):
            holdings.take(spec, said, os.dup(fd))
    for one in (sock, elsewhere, silent):
        one.close()
    os.close(file)
    until(lambda: set(fds_of()) <= before)
    assert list(holdings.provide(spec)) == [1]


def test_a_reload_changes_who_may_connect_once_it_serves(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    wider = world.spec(replace(unix(world.home / "a.sock"), mode=0o666))
    holdings = world.holdings()
    before = holdings.provide(spec)
    assert holdings.provide(wider) == before
    assert stat.S_IMODE(path_of(spec).lstat().st_mode) == 0o660
    holdings.keep(wider)
    assert stat.S_IMODE(path_of(spec).lstat().st_mode) == 0o666
    holdings.keep(spec)
    assert stat.S_IMODE(path_of(spec).lstat().st_mode) == 0o660


def test_what_is_not_named_any_more_is_let_go(world: World) -> None:
    old = world.spec(unix(world.home / "a.sock"), unix(world.home / "b.sock"))
    new = world.spec(unix(world.home / "b.sock"), unix(world.home / "c.sock"))
    holdings = world.holdings()
    b = holdings.provide(old)[1]
    provided = holdings.provide(new)
    assert provided[0] == b
    assert path_of(old).exists(), "the old generation may still be the one that serves"
    holdings.keep(new)
    assert not path_of(old).exists()
    assert path_of(new, 0).exists() and path_of(new, 1).exists()
    assert world.book.find(str(path_of(old)), os.geteuid()) is None
    assert [one["address"] for one in holdings.shown()] == [str(path_of(new, 0)), str(path_of(new, 1))]
    assert holdings.provide(new) == provided


def test_a_new_spec_that_never_served_leaves_nothing(world: World) -> None:
    proven, failed = world.spec(unix(world.home / "a.sock")), world.spec(unix(world.home / "b.sock"))
    holdings = world.holdings()
    holdings.provide(proven)
    holdings.provide(failed)
    holdings.keep(proven)
    assert path_of(proven).exists() and not path_of(failed).exists()


def test_a_file_that_somebody_removed_is_bound_anew_for_the_next_generation(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    holdings.provide(spec)
    path_of(spec).unlink()
    assert not connects(spec.sockets[0].address)
    holdings.provide(spec)
    assert connects(spec.sockets[0].address)


# Two vassals ------------------------------------------------------------------------------------------------------


def test_a_renamed_ini_takes_over_what_its_old_name_held(world: World) -> None:
    """Nobody is refused in between: it is the same listener, and the file stays."""
    spec = world.spec(unix(world.home / "a.sock"))
    blog, site = world.holdings("blog"), world.holdings("site")
    before, inode = blog.provide(spec), path_of(spec).lstat().st_ino
    blog.leaving = True
    assert site.provide(replace(spec, name="site")) == before
    blog.release()
    assert path_of(spec).lstat().st_ino == inode
    assert connects(spec.sockets[0].address)
    assert (len(blog.shown()), len(site.shown())) == (0, 1)
    site.release()
    assert not path_of(spec).exists()


def test_a_renamed_ini_takes_over_what_a_vassal_bound(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), authority=BY_OWNER)
    blog, site = world.holdings("blog"), world.holdings("site")
    with hand_up(blog, spec):
        pass
    before = blog.provide(spec)
    blog.leaving = True
    renamed = replace(spec, name="site")
    assert site.provide(renamed) == before
    there = path_of(spec).lstat()
    assert site.places(renamed) == {0: (there.st_dev, there.st_ino)}
    blog.release()
    world.errands_done()
    assert path_of(spec).exists()


def test_a_conflict_names_the_vassal_that_has_it(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), unix(world.home / "b.sock"))
    other = world.spec(unix(world.home / "b.sock"), name="shop")
    blog, shop = world.holdings("blog"), world.holdings("shop")
    provided = blog.provide(spec)
    with pytest.raises(ListenError, match=rf"^{world.home}/b\.sock: bind: it is vassal blog's already$"):
        shop.provide(other)
    shop.release()
    assert blog.provide(spec) == provided
    assert connects(spec.sockets[1].address)
    blog.release()
    assert list(shop.provide(other)) == [0]


def test_what_a_leaving_one_of_another_user_holds_is_not_taken_over(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    stranger = world.spec(
        unix(world.home / "a.sock"), name="shop", identity=Identity(61001, 61001, (61001,), "alice", "/")
    )
    blog, shop = world.holdings("blog"), world.holdings("shop")
    blog.provide(spec)
    blog.leaving = True
    with pytest.raises(ListenError, match="it is vassal blog's already"):
        shop.provide(stranger)
    assert connects(spec.sockets[0].address)


def test_who_hands_up_what_another_has_is_refused(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), authority=BY_OWNER)
    blog, shop = world.holdings("blog"), world.holdings("shop")
    with hand_up(blog, spec) as sock:
        there = path_of(spec).lstat()
        with pytest.raises(ListenError, match="it is vassal blog's"):
            shop.take(replace(spec, name="shop"), Listening(0, there.st_dev, there.st_ino), os.dup(sock.fileno()))
    assert len(blog.shown()) == 1


# The end ----------------------------------------------------------------------------------------------------------


def test_release_closes_and_unlinks(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), unix(world.home / "b.sock"))
    holdings, before = world.holdings(), set(fds_of())
    holdings.provide(spec)
    holdings.release()
    assert list(world.home.iterdir()) == []
    assert set(fds_of()) <= before
    assert holdings.shown() == [] and world.estate.holders == {}
    holdings.release()


@pytest.mark.parametrize("kind", ["socket", "file"])
def test_release_leaves_what_has_taken_its_place(world: World, kind: str) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    holdings = world.holdings()
    holdings.provide(spec)
    path = path_of(spec)
    # Moved aside and not removed: its inode must not be given to the next one.
    path.rename(world.home / "aside")
    with socket.socket(socket.AF_UNIX) as other:
        if kind == "socket":
            other.bind(str(path))
        else:
            path.write_text("precious")
        holdings.release()
        assert path.exists()


def test_what_a_vassal_bound_is_removed_as_its_user(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), unix(world.home / "b c.sock"), authority=BY_OWNER)
    holdings = world.holdings()
    with hand_up(holdings, spec), hand_up(holdings, spec, 1):
        pass
    told: list[str] = []
    holdings.release()
    assert holdings.being_removed(spec)
    holdings.when_removed(lambda: told.append("done"))
    world.errands_done()
    assert told == ["done"]
    assert not holdings.being_removed(spec)
    assert list(world.home.iterdir()) == []
    assert world.book.find(str(path_of(spec)), ME.uid) is None
    assert world.journal.lines == []


def test_of_what_a_vassal_bound_only_that_very_file_is_removed(world: World) -> None:
    spec = world.spec(unix(world.home / "a.sock"), authority=BY_OWNER)
    holdings = world.holdings()
    with hand_up(holdings, spec):
        pass
    path_of(spec).rename(world.home / "aside")
    path_of(spec).write_text("precious")
    holdings.release()
    world.errands_done()
    assert path_of(spec).read_text() == "precious"


def test_a_vassal_that_lies_about_its_file_costs_only_its_user(world: World) -> None:
    """Its word is given to a process of that user, which looks for a socket of that very path and inode."""
    spec = world.spec(unix(world.home / "a.sock"), authority=BY_OWNER)
    holdings, precious = world.holdings(), world.home / "precious"
    precious.write_text("precious")
    sock, message = bound_by_vassal(path_of(spec))
    with sock:
        holdings.take(spec, replace(message, inode=precious.stat().st_ino), os.dup(sock.fileno()))
    holdings.release()
    world.errands_done()
    assert precious.exists() and path_of(spec).exists()


# A crash before ---------------------------------------------------------------------------------------------------


def test_the_next_emperor_replaces_what_this_one_left(world: World, tmp_path: Path) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    (fd,) = world.holdings().provide(spec).values()
    crashed = path_of(spec).lstat().st_ino
    world.all[0]._held.popitem()[1].sock.close()
    world.book.release()
    assert path_of(spec).exists() and not connects(spec.sockets[0].address)
    after = World(tmp_path)
    after.holdings().provide(spec)
    assert connects(spec.sockets[0].address)
    assert fd >= 0 and crashed
    after.close()
    assert not path_of(spec).exists()


@pytest.mark.parametrize("kind", ["socket", "file", "folder", "link"])
def test_what_nobody_of_us_bound_is_not_replaced(world: World, kind: str) -> None:
    spec = world.spec(unix(world.home / "a.sock"))
    path = path_of(spec)
    with socket.socket(socket.AF_UNIX) as stranger:
        {
            "socket": lambda: stranger.bind(str(path)),
            "file": lambda: path.write_text("precious"),
            "folder": path.mkdir,
            "link": lambda: path.symlink_to("/nowhere"),
        }[kind]()
        holdings = world.holdings()
        with pytest.raises(ListenError, match=rf"^{path}: bind: "):
            holdings.provide(spec)
        holdings.release()
    assert os.path.lexists(path)


# Sockets without a file -----------------------------------------------------------------------------------------------


def tcp_spec(world: World) -> VassalSpec:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return world.spec(SocketSpec("uwsgi", Address(TCP, host="127.0.0.1", port=port)))


def test_a_listener_that_its_app_has_shut_down_is_bound_anew(world: World) -> None:
    spec, holdings = tcp_spec(world), world.holdings()
    (fd,) = holdings.provide(spec).values()
    theirs = os.dup(fd)
    try:
        with socket.socket(fileno=os.dup(theirs)) as app:
            app.shutdown(socket.SHUT_RDWR)
        where = (spec.sockets[0].address.host, spec.sockets[0].address.port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where)
        holdings.provide(spec)
        socket.create_connection(where).close()
    finally:
        os.close(theirs)


def test_whose_processes_may_still_accept_from_a_port_is_said_when_its_user_changes(world: World) -> None:
    spec, holdings = tcp_spec(world), world.holdings()
    holdings.provide(spec)
    holdings.keep(spec)
    assert not any("accept" in line for line in world.journal.lines)
    changed = replace(spec, identity=replace(spec.identity, uid=spec.identity.uid + 1, user="carol"))
    holdings.provide(changed)
    holdings.keep(changed)
    holdings.keep(changed)
    (line,) = (line for line in world.journal.lines if "accept" in line)
    assert f"{spec.identity.user}'s processes may still accept from it" in line and "gives carol one" in line


def test_a_listener_that_an_older_program_hands_over_takes_no_descriptors_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as fresh:
        passing.refuse(fresh)
        if not passing.refuses(fresh):
            pytest.skip("this kernel cannot refuse descriptors (SO_PASSRIGHTS)")
    spec, older, heir = world.spec(unix(world.home / "a.sock")), world.holdings(), world.holdings()
    with monkeypatch.context() as old:
        old.setattr(passing, "SO_PASSRIGHTS", 12345)
        (given,) = older.provide(spec).values()
    with connected(spec) as client:
        socket.send_fds(client, [b"x"], [0])
    states = older.export()
    heir.adopt([replace(state, fd=os.dup(state.fd)) for state in states])
    with connected(spec) as client, pytest.raises(PermissionError):
        socket.send_fds(client, [b"x"], [0])
    assert given == states[0].fd
    heir.release()


def connected(spec: VassalSpec) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(spec.sockets[0].address.path)
    return sock


def test_of_systemds_listener_that_is_gone_nothing_is_taken_over(world: World) -> None:
    spec, holdings = tcp_spec(world), world.holdings()
    holdings.provide(spec)
    (state,) = holdings.export()
    other, number = world.holdings(), os.open("/dev/null", os.O_RDONLY)
    try:
        # Its number is somebody else's by now.
        other.adopt([replace(state, binder=SYSTEMD, fd=number)])
        assert other.export() == ()
        os.fstat(number)
    finally:
        os.close(number)
