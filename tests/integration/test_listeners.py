"""Listening sockets on the real kernel: who can connect is asked of processes that try."""

from __future__ import annotations

import array
import errno
import os
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.errors import ListenError
from emperor.model import ABSTRACT, TCP, UNIX, Address, Identity, SocketSpec
from emperor.system import acl, listeners, passing
from emperor.system.access import Access, access
from emperor.system.listeners import Bound, Place, adjust, bind, check, is_bound_to, listens, place_of, unlink
from tests.requirements import needs

ALICE, WEB, STRANGER = 61001, 61033, 61099
HER = Identity(ALICE, ALICE, (ALICE,), "alice", "/")
PLAIN = Access(0o660)

root = pytest.mark.root


@pytest.fixture(params=["/tmp", "/dev/shm"], ids=["ext4 or so", "tmpfs"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder that everybody can enter, on both kinds of filesystem that sockets live on."""
    path = Path(tempfile.mkdtemp(prefix="emperor-listen-", dir=request.param))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    socks: list[socket.socket] = []
    yield socks
    for sock in socks:
        sock.close()


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "a.sock"


def unix(path: Path) -> SocketSpec:
    return SocketSpec("uwsgi", Address(UNIX, str(path)))


def bound(opened: list[socket.socket], spec: SocketSpec, access: Access = PLAIN, ours: Place | None = None) -> Bound:
    found = bind(spec, access, ours)
    opened.append(found.sock)
    return found


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def as_user(uid: int, gid: int, act: Callable[[], object]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([gid])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            act()
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def connects(path: Path, uid: int, gid: int) -> bool:
    """Does the kernel let a process of this user and group connect?"""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([gid])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
            os._exit(0)
        except PermissionError:
            os._exit(13)
        finally:
            os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 13)
    return code == 0


@pytest.mark.parametrize("process_umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o020, 0o777, 0o000])
def test_the_mode_is_as_asked_from_birth_whatever_the_process_umask(
    mode: int, process_umask: int, path: Path, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_birth = []
    apply = listeners._apply

    def spy(descriptor: int, access: Access, by_folder: bool) -> str:
        at_birth.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return apply(descriptor, access, by_folder)

    monkeypatch.setattr(listeners, "_apply", spy)
    previous = os.umask(process_umask)
    try:
        bound(opened, unix(path), Access(mode))
    finally:
        assert os.umask(previous) == process_umask
    assert at_birth == [mode]
    assert mode_of(path) == mode


def test_a_listener_listens_does_not_block_and_is_not_inherited(path: Path, opened: list[socket.socket]) -> None:
    found = bound(opened, unix(path))
    assert found.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert not found.sock.getblocking()
    assert not found.sock.get_inheritable()
    assert found.place == place_of(str(path)) == Place(path.lstat().st_dev, path.lstat().st_ino)
    assert found.warning == ""


def test_nobody_passes_descriptors_through_a_socket_of_ours(path: Path, opened: list[socket.socket]) -> None:
    """Neither before it is accepted nor afterwards; Linux 6.16 and later."""
    with socket.socket(socket.AF_UNIX) as fresh:
        try:
            fresh.setsockopt(socket.SOL_SOCKET, passing.SO_PASSRIGHTS, 0)
        except OSError:
            pytest.skip("this kernel cannot refuse descriptors (SO_PASSRIGHTS)")
    listener = bound(opened, unix(path)).sock
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        for flags in (0, socket.MSG_OOB):
            with pytest.raises(PermissionError):
                # socket.send_fds forgets its flags.
                client.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))], flags)
        accepted, _ = listener.accept()
        with accepted, pytest.raises(PermissionError):
            socket.send_fds(client, [b"x"], [0])


def stranger_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


IN_THE_WAY: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "file": (lambda path: path.write_text("precious"), "a regular file is there", "mv "),
    "folder": (lambda path: path.mkdir(), "a folder is there", "mv "),
    "FIFO": (lambda path: os.mkfifo(path), "a FIFO is there", "mv "),
    "link": (lambda path: path.symlink_to("elsewhere"), "a symbolic link is there", "mv "),
    "socket": (stranger_socket, "a socket that is not ours is there", "rm "),
}


@pytest.mark.parametrize("kind", IN_THE_WAY)
@pytest.mark.parametrize("claimed", [None, Place(0, 0)])
def test_what_is_not_ours_is_left_alone_and_named(kind: str, claimed: Place | None, path: Path) -> None:
    make, words, command = IN_THE_WAY[kind]
    make(path)
    before = path.lstat()
    with pytest.raises(ListenError) as caught:
        bind(unix(path), PLAIN, claimed)
    assert words in str(caught.value) and f"{command}{path}" in str(caught.value)
    assert path.lstat() == before


def test_a_file_with_our_inode_that_is_no_socket_is_left_alone(path: Path) -> None:
    path.write_text("precious")
    there = path.lstat()
    with pytest.raises(ListenError, match="a regular file"):
        bind(unix(path), PLAIN, Place(there.st_dev, there.st_ino))
    assert not unlink(str(path), Place(there.st_dev, there.st_ino))
    assert path.read_text() == "precious"


def test_our_own_socket_is_replaced(path: Path, opened: list[socket.socket]) -> None:
    first = bound(opened, unix(path))
    second = bound(opened, unix(path), ours=first.place)
    assert second.place == place_of(str(path))


def test_what_we_bound_is_unlinked_and_nothing_else(path: Path, opened: list[socket.socket]) -> None:
    place = bound(opened, unix(path)).place
    assert place is not None
    moved = path.with_name("moved")
    path.rename(moved)
    assert not unlink(str(path), place)
    stranger_socket(path)
    assert not unlink(str(path), place)
    assert path.exists()
    assert unlink(str(moved), place)
    assert not moved.exists()


def test_a_failed_listen_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "_apply", refuse)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ListenError, match="Operation not permitted"):
        bind(unix(path), PLAIN, None)
    assert os.listdir("/proc/self/fd") == before
    assert not path.exists()


def refuse(*_: object, **__: object) -> str:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_missing_folder_and_a_long_path_are_said_in_one_line(folder: Path) -> None:
    with pytest.raises(ListenError, match="No such file or directory"):
        bind(unix(folder / "not" / "a.sock"), PLAIN, None)
    with pytest.raises(ListenError, match="path too long"):
        bind(unix(folder / ("a" * 120)), PLAIN, None)


def test_a_file_swapped_after_bind_is_not_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = path.with_name("victim")
    victim.write_text("precious")
    victim.chmod(0o600)
    held = listeners._held

    def swapping(name: str) -> object:
        path.unlink()
        path.symlink_to(victim)
        return held(name)

    monkeypatch.setattr(listeners, "_held", swapping)
    with pytest.raises(ListenError, match="another file has taken its place"):
        bind(unix(path), Access(0o666), None)
    assert mode_of(victim) == 0o600


@needs("root")
@root
def test_root_gives_the_socket_away(path: Path, opened: list[socket.socket]) -> None:
    bound(opened, unix(path), access(unix(path), HER, WEB, 0o022, can_chown=True))
    assert (path.lstat().st_uid, path.lstat().st_gid, mode_of(path)) == (ALICE, WEB, 0o660)
    assert connects(path, ALICE, ALICE) and connects(path, STRANGER, WEB)
    assert not connects(path, STRANGER, STRANGER)


@needs("root")
@root
def test_a_user_who_cannot_give_it_away_lets_the_web_server_in_by_acl(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o755)
    os.chown(home, ALICE, ALICE)
    path = home / "a.sock"

    def serve() -> None:
        found = bind(unix(path), access(unix(path), HER, WEB, 0o022, can_chown=False), None)
        assert found.warning == ""
        os.write(write, b"x")
        os.read(hold, 1)

    read, write = os.pipe()
    hold, release = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(release)
        as_user(ALICE, ALICE, serve)
        os._exit(0)
    os.close(write)
    os.close(hold)
    try:
        assert os.read(read, 1) == b"x"
        assert mode_of(path) == 0o660 and path.lstat().st_gid == ALICE
        assert connects(path, STRANGER, WEB) and connects(path, ALICE, ALICE)
        assert not connects(path, STRANGER, STRANGER)
    finally:
        os.close(read)
        os.close(release)
        os.waitpid(pid, 0)


@needs("root")
@root
def test_a_user_may_not_chown_and_nothing_stays(folder: Path) -> None:
    folder.chmod(0o777)
    path = folder / "a.sock"

    def try_it() -> None:
        with pytest.raises(ListenError, match="Operation not permitted"):
            bind(unix(path), Access(0o660, uid=0), None)
        assert not path.exists()

    as_user(ALICE, ALICE, try_it)


@needs("root", "setfacl")
@root
def test_a_default_acl_of_the_folder_keeps_working_under_chmod_020(path: Path, opened: list[socket.socket]) -> None:
    subprocess.run(["setfacl", "-m", f"d:u:{WEB}:rwx,u:{WEB}:rwx", path.parent], check=True)
    bound(opened, unix(path), Access(0o020))
    assert mode_of(path) == 0o020
    assert connects(path, WEB, WEB)
    assert not connects(path, STRANGER, STRANGER)


@needs("root", "setfacl")
@root
def test_where_the_ini_gives_an_umask_alone_a_default_acl_decides(path: Path, opened: list[socket.socket]) -> None:
    subprocess.run(["setfacl", "-m", f"d:u:{WEB}:rwx,d:o::-", path.parent], check=True)
    wanted = Access(0o777, umask=0)
    place = bound(opened, unix(path), wanted).place
    assert place is not None
    for _ in range(2):
        assert mode_of(path) & 0o007 == 0
        assert connects(path, WEB, WEB) and not connects(path, STRANGER, STRANGER)
        adjust(str(path), place, wanted)


def test_an_umask_alone_decides_where_there_is_no_acl(path: Path, opened: list[socket.socket]) -> None:
    place = bound(opened, unix(path), Access(0o770, umask=0o007)).place
    assert place is not None
    assert mode_of(path) == 0o770
    adjust(str(path), place, Access(0o777, umask=0))
    assert mode_of(path) == 0o777


def test_a_grant_shows_in_getfacls_words_and_can_be_taken_back(path: Path, opened: list[socket.socket]) -> None:
    granted = Access(0o660, acl_gid=WEB)
    place = bound(opened, unix(path), granted).place
    assert place is not None
    assert entries(path) == frozenset(acl.granted(acl.of_mode(0o660), WEB))
    adjust(str(path), place, granted)
    assert entries(path) == frozenset(acl.granted(acl.of_mode(0o660), WEB))
    adjust(str(path), place, Access(0o640), granted)
    assert not entries(path)
    assert mode_of(path) == 0o640


def entries(path: Path) -> frozenset[acl.Entry]:
    try:
        return frozenset(acl.decode(os.getxattr(path, "system.posix_acl_access")))
    except OSError:
        return frozenset()


def test_another_acl_gid_replaces_the_one_before(path: Path, opened: list[socket.socket]) -> None:
    first, second = Access(0o660, acl_gid=WEB), Access(0o660, acl_gid=STRANGER)
    place = bound(opened, unix(path), first).place
    assert place is not None
    adjust(str(path), place, second, first)
    named = [entry for entry in entries(path) if entry.tag == acl.GROUP]
    assert named == [acl.Entry(acl.GROUP, 6, STRANGER)]


@pytest.mark.parametrize("address", ["unix", "abstract", "tcp"])
def test_a_backlog_that_the_kernel_clamps_is_a_warning(path: Path, opened: list[socket.socket], address: str) -> None:
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    where = {
        "unix": Address(UNIX, str(path)),
        "abstract": Address(ABSTRACT, f"emperor-test-{os.getpid()}"),
        "tcp": Address(TCP, host="127.0.0.1", port=0),
    }[address]
    warning = bound(opened, SocketSpec("uwsgi", where, backlog=most + 1)).warning
    assert warning.startswith(f"{where}: listen: {most + 1} ") and f"{most} can wait" in warning
    opened.pop().close()
    path.unlink(missing_ok=True)
    assert bound(opened, SocketSpec("uwsgi", where, backlog=most)).warning == ""


def test_a_filesystem_without_acls_is_a_warning_and_not_an_open_socket(
    path: Path, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "setxattr", none_here)
    found = bound(opened, unix(path), Access(0o660, acl_gid=WEB))
    assert "no ACLs" in found.warning and str(path) in found.warning
    assert mode_of(path) == 0o660


def test_any_other_failure_of_an_acl_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(ListenError, match="Operation not permitted"):
        bind(unix(path), Access(0o660, acl_gid=WEB), None)
    assert not path.exists()


def test_an_acl_that_cannot_be_read_is_an_error_and_never_no_acl(
    path: Path, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = bound(opened, unix(path)).place
    assert place is not None
    monkeypatch.setattr(os, "getxattr", refuse)
    with pytest.raises(ListenError, match="Operation not permitted"):
        adjust(str(path), place, Access(0o660, acl_gid=WEB))
    monkeypatch.setattr(os, "getxattr", lambda *_: b"\x03\0\0\0")
    with pytest.raises(ListenError, match="unknown version"):
        adjust(str(path), place, Access(0o660, acl_gid=WEB))


def test_adjust_changes_the_mode_of_what_we_bound_alone(path: Path, opened: list[socket.socket]) -> None:
    place = bound(opened, unix(path)).place
    assert place is not None
    adjust(str(path), place, Access(0o666))
    assert mode_of(path) == 0o666
    path.unlink()
    with pytest.raises(ListenError, match="No such file"):
        adjust(str(path), place, PLAIN)
    path.write_text("precious")
    path.chmod(0o600)
    with pytest.raises(ListenError, match="another file"):
        adjust(str(path), place, PLAIN)
    assert mode_of(path) == 0o600
    path.unlink()
    stranger_socket(path)
    with pytest.raises(ListenError, match="another file"):
        adjust(str(path), Place(place.device, place.inode + 1_000_000), PLAIN)


def tcp(host: str, port: int) -> SocketSpec:
    return SocketSpec("http", Address(TCP, host=host, port=port))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", ""])
def test_tcp_is_bound_and_recognised(host: str, opened: list[socket.socket]) -> None:
    found = bound(opened, tcp(host, 0))
    assert found.place is None
    assert found.sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
    check(found.sock, Address(TCP, host=host, port=found.sock.getsockname()[1]))
    with pytest.raises(ListenError, match="bound elsewhere"):
        check(found.sock, Address(TCP, host=host, port=1))


def test_both_families_can_have_the_same_port(opened: list[socket.socket]) -> None:
    port = bound(opened, tcp("::", 0)).sock.getsockname()[1]
    bound(opened, tcp("0.0.0.0", port))


def test_a_port_in_use_says_how_to_find_who(opened: list[socket.socket]) -> None:
    port = bound(opened, tcp("127.0.0.1", 0)).sock.getsockname()[1]
    with pytest.raises(ListenError, match=f"127.0.0.1:{port}: bind: Address already in use -- ss "):
        bind(tcp("127.0.0.1", port), PLAIN, None)


@pytest.mark.parametrize("host", ["localhost", "app.example.org", "é" * 64, "a" * 64, "\0", "fe80::1%none"])
def test_a_host_that_is_no_address_is_an_error_and_nobody_is_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, flags = socket.getaddrinfo, []

    def spied(*given: Any, **named: Any) -> Any:
        flags.append(named["flags"])
        return real(*given, **named)

    monkeypatch.setattr(socket, "getaddrinfo", spied)
    with pytest.raises(ListenError, match="bind"):
        bind(tcp(host, 3031), PLAIN, None)
    with socket.socket() as sock, pytest.raises(ListenError, match="closed"):
        sock.listen()
        check(sock, Address(TCP, host=host, port=3031))
    assert flags and all(one & socket.AI_NUMERICHOST for one in flags)


@needs("root")
def test_an_abstract_name_bound_by_its_user_tells_clients_who_that_is(opened: list[socket.socket]) -> None:
    """And what he hands up is still his: SO_PEERCRED is of who called listen(2)."""
    address = Address(ABSTRACT, f"emperor-hers-{os.getpid()}")
    ours, theirs = socket.socketpair()

    def hand_up() -> None:
        found = bind(SocketSpec("uwsgi", address), PLAIN, None)
        socket.send_fds(theirs, [b"x"], [found.sock.fileno()])

    with ours, theirs:
        as_user(ALICE, ALICE, hand_up)
        _, (fd,), _, _ = socket.recv_fds(ours, 1, 1)
    opened.append(socket.socket(fileno=fd))
    check(opened[-1], address)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + address.path)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    assert struct.unpack("iII", credentials)[1] == ALICE


def test_an_abstract_name_is_bound_and_recognised(opened: list[socket.socket]) -> None:
    address = Address(ABSTRACT, f"emperor-test-{os.getpid()}")
    found = bound(opened, SocketSpec("uwsgi", address))
    assert found.place is None
    check(found.sock, address)
    with pytest.raises(ListenError, match="Address already in use"):
        bind(SocketSpec("uwsgi", address), PLAIN, None)
    with pytest.raises(ListenError, match="bound elsewhere"):
        check(found.sock, Address(ABSTRACT, address.path + "x"))
    with pytest.raises(ListenError, match="bound elsewhere"):
        check(found.sock, Address(UNIX, "@" + address.path))


def test_a_handed_up_listener_is_accepted_through_a_copy(path: Path, opened: list[socket.socket]) -> None:
    found = bound(opened, unix(path))
    opened.append(socket.socket(fileno=os.dup(found.sock.fileno())))
    check(opened[-1], Address(UNIX, str(path)))


def test_a_handed_up_socket_that_is_something_else_is_refused(path: Path, opened: list[socket.socket]) -> None:
    address = Address(UNIX, str(path))
    idle = socket.socket(socket.AF_UNIX)
    datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    packets = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inet = socket.create_server(("127.0.0.1", 0))
    here, there = socket.socketpair()
    elsewhere = bind(unix(path.with_name("b.sock")), PLAIN, None).sock
    lying = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(inet.fileno()))
    opened += [idle, datagram, packets, inet, here, there, elsewhere, lying]
    idle.bind(str(path))
    packets.bind(str(path.with_name("packets")))
    packets.listen()
    for sock, words in (
        (idle, "does not listen"),
        (datagram, "no stream"),
        (packets, "no stream"),
        (inet, "another family"),
        (here, "does not listen"),
        (elsewhere, "bound elsewhere"),
        (lying, "another family"),
    ):
        with pytest.raises(ListenError, match=words):
            check(sock, address)
    with pytest.raises(ListenError, match="another family"):
        check(elsewhere, Address(TCP, host="127.0.0.1", port=80))


def test_a_listener_bound_to_the_same_name_in_another_folder_is_refused(
    path: Path, opened: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    opened.append(bind(SocketSpec("uwsgi", Address(UNIX, "a.sock")), PLAIN, None).sock)
    with pytest.raises(ListenError, match="bound elsewhere"):
        check(opened[-1], Address(UNIX, str(path)))


def test_a_closed_or_foreign_descriptor_is_refused(opened: list[socket.socket]) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.close()
    with pytest.raises(ListenError, match="Bad file descriptor"):
        check(sock, Address(UNIX, "/run/a.sock"))


PYPY = """
import os, stat, sys
from emperor.model import Address, Identity, SocketSpec
from emperor.system import listeners, prctl
from emperor.system.access import Access, access
path, abstract = sys.argv[1], Address("abstract", "emperor-pypy-%d" % os.getpid())
spec = SocketSpec("uwsgi", Address("unix", path))
her = Identity(os.getuid(), os.getgid(), (), "her", "/")
found = listeners.bind(spec, access(spec, her, 61033, 0o022, False), None)
assert not found.warning, found
listeners.check(found.sock, spec.address)
listeners.adjust(path, found.place, Access(0o600))
assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
assert listeners.unlink(path, found.place)
other = listeners.bind(SocketSpec("uwsgi", abstract), Access(0), None)
listeners.check(other.sock, abstract)
one = listeners.bind(SocketSpec("http", Address("tcp", "", "127.0.0.1", 0)), Access(0), None)
listeners.check(one.sock, Address("tcp", "", *one.sock.getsockname()))
prctl.no_new_privs()
prctl.subreaper()
assert prctl.die_with_parent(15, os.getppid())
assert "NoNewPrivs:\\t1" in open("/proc/self/status").read()
print("done")
"""


@needs("pypy3")
def test_pypy_can_do_all_of_it(path: Path) -> None:
    done = subprocess.run(
        ["pypy3", "-c", PYPY, str(path)], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_a_socket_on_which_somebody_listens_is_never_advised_to_be_removed(folder: Path) -> None:
    path = folder / "live.sock"
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        with pytest.raises(ListenError, match="somebody listens there") as refused:
            bind(unix(path), PLAIN, None)
        assert "rm " not in str(refused.value)
    with pytest.raises(ListenError, match="rm "):
        bind(unix(path), PLAIN, None)
    assert path.exists()


def test_whether_a_listener_was_ended_from_afar_is_asked_of_the_kernel(opened: list[socket.socket]) -> None:
    found = bound(opened, SocketSpec("http", Address(TCP, "", "127.0.0.1", 0)), Access(0))
    assert listens(found.sock)
    with socket.socket(fileno=os.dup(found.sock.fileno())) as elsewhere:
        elsewhere.shutdown(socket.SHUT_RDWR)
    assert not listens(found.sock)


def test_a_name_is_of_its_own_family_and_address_alone(path: Path) -> None:
    here, afar = Address(UNIX, str(path)), Address(TCP, "", "127.0.0.1", 8000)
    assert is_bound_to(str(path), socket.AF_UNIX, here)
    assert not is_bound_to(f"{path}.other", socket.AF_UNIX, here)
    assert is_bound_to(("127.0.0.1", 8000), socket.AF_INET, afar)
    assert not is_bound_to(("127.0.0.1", 8000), socket.AF_INET6, afar)
    assert not is_bound_to(("127.0.0.1", 8000), socket.AF_INET, here)
    # What is no number would be asked of a resolver.
    assert not is_bound_to(("127.0.0.1", 8000), socket.AF_INET, Address(TCP, "", "localhost", 8000))
