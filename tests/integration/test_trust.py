"""Whose ini is it? Real files, and attackers with uids of their own."""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emperor.errors import EmperorError
from emperor.model import ADMIN, NOBODY, OWNER, Identity
from emperor.system.accounts import SystemAccounts, name_of, private_member
from emperor.system.trust import LINK_LIMIT, SIZE_LIMIT, STEP_LIMIT, only_ours, read_ini
from tests.requirements import needs

ALICE, BOB, STAFF = 61001, 61002, 61050
"""Numbers that no account has: what counts is the kernel's view."""

SECRET = b"[uwsgi]\nsecret = 1\n"
TEXT = b"[uwsgi]\nmodule = app\n"

root = pytest.mark.root


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder of the tester's own that others can enter."""
    folder = Path(tempfile.mkdtemp(prefix="emperor-trust-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def alices(base: Path) -> Path:
    return folder_of(base / "alice", ALICE)


@pytest.fixture
def account() -> Iterator[pwd.struct_passwd]:
    """A real user with a private group."""
    name = f"emp-trust-{os.getpid()}"
    accounts_command("useradd", "--no-create-home", "--user-group", name)
    yield pwd.getpwnam(name)
    accounts_command("userdel", "--force", name)
    if any(group.gr_name == name for group in grp.getgrall()):  # userdel leaves a group with other members
        accounts_command("groupdel", name)


def accounts_command(*command: str) -> None:
    """useradd(8): 1 and 10 mean that somebody else holds the lock on the account files."""
    deadline = time.monotonic() + 30
    while (done := subprocess.run(command, capture_output=True, text=True)).returncode in (1, 10):
        assert time.monotonic() < deadline, done.stderr
    assert done.returncode == 0, done.stderr


def folder_of(path: Path, uid: int, mode: int = 0o755) -> Path:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, uid, uid)
    return path


def ini_of(path: Path, uid: int, mode: int = 0o644, text: bytes = TEXT) -> Path:
    path.write_bytes(text)
    path.chmod(mode)
    os.chown(path, uid, uid)
    return path


def forked(uid: int, act: Callable[[], object]) -> int:
    """The pid of a child that is ``uid`` and does this; exit status 0 if it went well."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([uid])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            act()
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return pid


def as_uid(uid: int, act: Callable[[], object]) -> None:
    assert os.waitpid(forked(uid, act), 0)[1] == 0


def judged(path: Path, euid: int = 0) -> tuple[str, int | None]:
    reading = read_ini(str(path), euid)
    assert bool(reading.text) == (reading.authority.kind != NOBODY)
    return reading.authority.kind, reading.authority.uid


def refusal(path: Path | str, euid: int = 0) -> str:
    with pytest.raises(EmperorError) as caught:
        read_ini(str(path), euid)
    assert str(caught.value).startswith(f"{path}: cannot be read: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_emperors_own_file_is_the_admins(base: Path) -> None:
    ini = ini_of(base / "a.ini", os.geteuid())
    reading = read_ini(str(ini), os.geteuid())
    assert (reading.authority.kind, reading.text) == (ADMIN, TEXT)
    assert (reading.real, reading.folders) == (str(ini), (str(base),))


def test_a_relative_path_is_taken_from_where_we_are(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ini_of(base / "a.ini", os.geteuid())
    monkeypatch.chdir(base)
    assert read_ini("./a.ini", os.geteuid()).real == str(base / "a.ini")


def test_a_file_that_is_gone_is_an_error_in_one_line(base: Path) -> None:
    assert "No such file or directory" in refusal(base / "gone.ini")


def test_a_dangling_link_says_so(base: Path) -> None:
    (base / "a.ini").symlink_to(base / "gone")
    assert "symbolic link on the way leads to nothing" in refusal(base / "a.ini")


def test_a_loop_of_links_ends(base: Path) -> None:
    (base / "a.ini").symlink_to("b.ini")
    (base / "b.ini").symlink_to("a.ini")
    assert "loop" in refusal(base / "a.ini")


def test_as_many_links_as_the_kernel_follows_are_followed(base: Path) -> None:
    ini_of(base / "0", os.geteuid())
    for number in range(LINK_LIMIT + 1):
        (base / str(number + 1)).symlink_to(str(number))
    assert read_ini(str(base / str(LINK_LIMIT)), os.geteuid()).text == TEXT
    assert (base / str(LINK_LIMIT)).read_bytes() == TEXT
    refusal(base / str(LINK_LIMIT + 1))
    with pytest.raises(OSError):
        (base / str(LINK_LIMIT + 1)).read_bytes()


def test_a_link_with_a_very_long_way_is_refused(base: Path) -> None:
    (base / "a.ini").symlink_to("/tmp/.." * (STEP_LIMIT // 2) + "/x")
    assert "too many folders" in refusal(base / "a.ini")


def test_a_name_with_a_nul_is_an_error(base: Path) -> None:
    with pytest.raises(EmperorError, match="null byte"):
        read_ini(f"{base}/a\0.ini", 0)


def test_a_file_taken_for_a_folder_is_an_error(base: Path) -> None:
    ini_of(base / "a.ini", os.geteuid())
    assert "Not a directory" in refusal(base / "a.ini" / "b.ini")


def test_links_are_followed_as_the_kernel_does_and_their_folders_are_told(base: Path) -> None:
    for name in ("v", "links", "app"):
        (base / name).mkdir()
    ini_of(base / "app" / "real.ini", os.geteuid())
    (base / "links" / "current").symlink_to("../app/.")
    (base / "v" / "a.ini").symlink_to("../links/current/../app/real.ini")
    reading = read_ini(str(base / "v" / "a.ini"), os.geteuid())
    assert reading.real == os.path.realpath(base / "v" / "a.ini") == str(base / "app" / "real.ini")
    assert reading.folders == (str(base / "v"), str(base / "links"), str(base / "app"))


def test_the_size_limit_is_exact(base: Path) -> None:
    ini = ini_of(base / "a.ini", os.geteuid(), text=b"#" * SIZE_LIMIT)
    assert len(read_ini(str(ini), os.geteuid()).text) == SIZE_LIMIT
    ini.write_bytes(b"#" * (SIZE_LIMIT + 1))
    assert "larger" in refusal(ini)


@needs("root")
def test_the_memory_of_a_users_process_is_not_read(base: Path, alices: Path) -> None:
    """It is a regular file of hers, and its read may wait for her filesystem (proc_pid_environ(5))."""
    command = ["/bin/sleep", "60"]
    with subprocess.Popen(command, env={"X": "Y"}, user=ALICE, group=ALICE, extra_groups=[]) as process:
        try:
            memory = Path(f"/proc/{process.pid}/environ")
            assert memory.read_bytes() == b"X=Y\0"
            (alices / "a.ini").symlink_to(memory)
            os.lchown(alices / "a.ini", ALICE, ALICE)
            assert read_ini(str(alices / "a.ini"), 0).text == b""
        finally:
            process.kill()


def test_a_file_that_hides_its_size_is_still_bounded() -> None:
    # /proc/kallsyms: size 0, megabytes of text, root's and regular
    assert os.stat("/proc/kallsyms").st_size == 0
    assert "larger" in refusal("/proc/kallsyms", os.geteuid())


def another_link(folder: Path) -> Path:
    (folder / "new").symlink_to(ini_of(folder / "other", os.geteuid()))
    return folder / "new"


SIGNATURE_CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "an edit": lambda link, file: file.write_bytes(b"[uwsgi]\nmodule = xyz\n"),
    "a touch of the file": lambda link, file: os.utime(file),
    "a touch of the link": lambda link, file: os.utime(link, follow_symlinks=False),
    "a chmod": lambda link, file: file.chmod(0o600),
    "an atomic replacement": lambda link, file: ini_of(file.parent / "new", os.geteuid()).replace(file),
    "another target": lambda link, file: another_link(file.parent).replace(link),
}


@pytest.mark.parametrize("change", SIGNATURE_CHANGES)
def test_the_signature_changes_with(change: str, base: Path) -> None:
    file = ini_of(base / "real.ini", os.geteuid())
    os.utime(file, ns=(0, 0))
    link = base / "a.ini"
    link.symlink_to(file)
    os.utime(link, ns=(0, 0), follow_symlinks=False)
    before = read_ini(str(link), os.geteuid()).signature
    assert read_ini(str(link), os.geteuid()).signature == before
    SIGNATURE_CHANGES[change](link, file)
    assert read_ini(str(link), os.geteuid()).signature != before


def test_no_descriptor_is_left_open(base: Path) -> None:
    ini_of(base / "a.ini", os.geteuid())
    (base / "loop").symlink_to("loop")
    (base / "dangling").symlink_to("/tmp/../nowhere")
    before = os.listdir("/proc/self/fd")
    read_ini(str(base / "a.ini"), os.geteuid())
    for name in ("loop", "dangling", "gone", "a.ini/x", "."):
        refusal(f"{base}/{name}")
        only_ours(f"{base}/{name}", os.geteuid())
    assert os.listdir("/proc/self/fd") == before


def unnamed_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (lambda path: path.mkdir(), "a folder"),
    "FIFO": (lambda path: os.mkfifo(path), "a FIFO"),
    "socket": (unnamed_socket, "a socket"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("by_link", [False, True])
def test_what_is_no_regular_file_is_refused_without_being_opened(kind: str, by_link: bool, base: Path) -> None:
    make, words = ODD[kind]
    make(base / "odd")
    (base / "link").symlink_to("odd")
    assert words in refusal(base / ("link" if by_link else "odd"))


@needs("root")
@root
@pytest.mark.parametrize(("type_bit", "device"), [(0o020000, (1, 3)), (0o060000, (7, 0))])
def test_a_device_is_refused(type_bit: int, device: tuple[int, int], alices: Path) -> None:
    os.mknod(alices / "a.ini", type_bit | 0o666, os.makedev(*device))
    assert "a device" in refusal(alices / "a.ini")


@needs("root")
@root
def test_a_users_file_in_her_folder_is_hers(alices: Path) -> None:
    assert judged(ini_of(alices / "a.ini", ALICE)) == (OWNER, ALICE)


@needs("root")
@root
def test_roots_link_to_a_users_file_is_that_users_ini(base: Path, alices: Path) -> None:
    (base / "a.ini").symlink_to(ini_of(alices / "a.ini", ALICE))
    assert judged(base / "a.ini") == (OWNER, ALICE)


@needs("root")
@root
def test_an_open_file_is_as_strong_as_who_can_write_it(base: Path) -> None:
    assert judged(ini_of(base / "others.ini", 0, 0o646)) == (NOBODY, None)
    ini = ini_of(base / "group.ini", 0, 0o664)
    os.chown(ini, 0, STAFF)
    assert judged(ini) == (NOBODY, None)
    assert f"chmod g-w {ini}" in read_ini(str(ini), 0).authority.reason


@needs("root")
@root
@pytest.mark.parametrize("target", ["/etc/shadow", "root"])
def test_a_users_link_does_not_make_root_read_what_she_cannot(target: str, base: Path, alices: Path) -> None:
    secret = ini_of(base / "secret", 0, 0o600, SECRET)
    where = str(secret) if target == "root" else target
    as_uid(ALICE, lambda: (alices / "a.ini").symlink_to(where))
    assert judged(alices / "a.ini") == (NOBODY, None)


@needs("root")
@root
def test_a_users_hard_link_does_not_make_roots_file_hers_nor_hers_roots(base: Path, alices: Path) -> None:
    secret = ini_of(base / "secret", 0, 0o600, SECRET)
    os.link(secret, alices / "a.ini")  # as she could where fs.protected_hardlinks is 0
    assert judged(alices / "a.ini") == (NOBODY, None)
    assert "chown" not in read_ini(str(alices / "a.ini"), 0).authority.reason


@needs("root")
@root
def test_a_sticky_folder_gives_each_user_her_own_and_trusts_no_planted_hard_link(base: Path) -> None:
    shared = base / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    as_uid(ALICE, lambda: ini_of(shared / "hers.ini", ALICE))
    assert judged(shared / "hers.ini") == (OWNER, ALICE)
    ini_of(base / "disabled", 0, text=SECRET)
    assert judged(ini_of(shared / "roots.ini", 0)) == (ADMIN, None)
    os.link(base / "disabled", shared / "planted.ini")
    assert judged(shared / "planted.ini") == (NOBODY, None)


@needs("root")
@root
def test_another_users_link_in_a_sticky_folder_is_the_work_of_both(base: Path, alices: Path) -> None:
    shared = base / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    ini_of(alices / "a.ini", ALICE)
    as_uid(BOB, lambda: (shared / "a.ini").symlink_to(alices / "a.ini"))
    assert judged(shared / "a.ini") == (NOBODY, None)


@needs("root")
@root
def test_a_folder_far_up_counts(base: Path) -> None:
    inner = base / "a" / "b" / "c"
    inner.mkdir(parents=True)
    ini = ini_of(inner / "a.ini", 0)
    assert judged(ini) == (ADMIN, None)
    os.chown(base / "a", ALICE, 0)
    assert judged(ini) == (NOBODY, None)
    (base / "a").chmod(0o777)
    assert f"chmod o-w {base}/a" in read_ini(str(ini), 0).authority.reason


@needs("root", "setfacl")
@root
@pytest.mark.parametrize("on", ["file", "folder"])
@pytest.mark.parametrize(("entry", "kind"), [(f"u:{BOB}:rwx", NOBODY), (f"g:{STAFF}:rwx", NOBODY), ("o::r", OWNER)])
def test_acls_count(on: str, entry: str, kind: str, alices: Path) -> None:
    ini = ini_of(alices / "a.ini", ALICE)
    where = ini if on == "file" else alices
    subprocess.run(["setfacl", "-m", entry, where], check=True)
    assert judged(ini)[0] == kind
    subprocess.run(["setfacl", "-m", f"{entry},m::r-x", where], check=True)
    assert judged(ini) == (OWNER, ALICE)


@needs("root", "setfacl")
@root
def test_the_mask_does_not_pass_for_the_group(alices: Path) -> None:
    """With an ACL the mode's group bits are the mask: here they say rw-, and the group itself r--."""
    ini = ini_of(alices / "a.ini", ALICE)
    os.chown(ini, ALICE, STAFF)
    subprocess.run(["setfacl", "-m", f"u:{ALICE}:rw,g::r,m::rw", ini], check=True)
    assert ini.stat().st_mode & 0o020
    assert judged(ini) == (OWNER, ALICE)


@needs("root", "useradd")
@root
def test_a_private_group_is_its_one_member(base: Path, account: pwd.struct_passwd) -> None:
    home = folder_of(base / "home", account.pw_uid, 0o2775)
    os.chown(home, account.pw_uid, account.pw_gid)
    ini = ini_of(home / "a.ini", account.pw_uid, 0o664)
    os.chown(ini, account.pw_uid, account.pw_gid)
    assert judged(ini) == (OWNER, account.pw_uid)
    assert private_member(account.pw_gid) == account.pw_uid
    accounts_command("usermod", "--append", "--groups", account.pw_name, "nobody")
    assert private_member(account.pw_gid) is None
    assert judged(ini) == (NOBODY, None)
    assert "chmod g-w" in read_ini(str(ini), 0).authority.reason


@needs("root", "useradd")
@root
def test_a_group_that_is_primary_for_two_is_not_private(account: pwd.struct_passwd) -> None:
    accounts_command("useradd", "--no-create-home", "--gid", account.pw_name, f"{account.pw_name}b")
    try:
        assert private_member(account.pw_gid) is None
    finally:
        accounts_command("userdel", "--force", f"{account.pw_name}b")


@needs("root")
@root
def test_a_lease_does_not_keep_root_waiting(alices: Path) -> None:
    """fcntl(2): an open that breaks a lease waits for its holder, up to 45 s; with O_NONBLOCK it does not."""
    ini = ini_of(alices / "a.ini", ALICE)
    read, write = os.pipe()

    def hold() -> None:
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        with ini.open("r+b") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            os.write(write, b"x")
            signal.pause()

    pid = forked(ALICE, hold)
    try:
        assert os.read(read, 1) == b"x"
        started = time.monotonic()
        assert "temporarily unavailable" in refusal(ini)
        assert time.monotonic() - started < 5
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)


@needs("root")
@root
def test_a_file_swapped_all_the_time_never_yields_what_was_not_judged(base: Path, alices: Path) -> None:
    secret = ini_of(base / "secret", 0, 0o600, SECRET)

    def swap() -> None:
        while True:
            ini_of(alices / "new", ALICE).replace(alices / "a.ini")
            (alices / "new").symlink_to(secret)
            (alices / "new").replace(alices / "a.ini")

    ini_of(alices / "a.ini", ALICE)
    pid = forked(ALICE, swap)
    seen: set[str] = set()
    try:
        deadline = time.monotonic() + 20
        for number in range(1_000_000):
            reading = read_ini(str(alices / "a.ini"), 0)
            seen.add(reading.authority.kind)
            assert reading.text == (TEXT if reading.authority.kind == OWNER else b"")
            if (number > 2000 and seen == {OWNER, NOBODY}) or time.monotonic() > deadline:
                break
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert seen == {OWNER, NOBODY}


@needs("root")
@root
def test_an_emperor_without_rights_is_admin_of_its_own_and_reads_nothing_else(base: Path, alices: Path) -> None:
    mine, roots = ini_of(alices / "a.ini", ALICE, 0o600), ini_of(base / "b.ini", 0, 0o600)
    bobs = ini_of(folder_of(base / "bob", BOB) / "b.ini", BOB)

    def look() -> None:
        assert judged(mine, ALICE) == (ADMIN, None)
        assert judged(bobs, ALICE) == (OWNER, BOB)
        assert "Permission denied" in refusal(roots, ALICE)

    as_uid(ALICE, look)


def test_a_folder_of_ours_is_ours_and_one_that_is_missing_says_so(base: Path) -> None:
    euid = os.geteuid()
    assert only_ours("/", euid) and only_ours(str(base), euid)
    assert not only_ours(str(base), euid).missing
    assert only_ours(f"{base}/not/there", euid).missing and only_ours(f"{base}/not/there", euid)


def test_a_sticky_folder_itself_is_not_ours_for_anybody_may_put_a_socket_there_first() -> None:
    assert not only_ours("/tmp", os.geteuid())
    found = only_ours("/tmp/emperor-is-not-there/x", os.geteuid())
    assert (found.ours, found.missing) == (False, True)
    assert "chmod o-w /tmp" in found.reason


def test_what_is_no_folder_or_cannot_be_told_is_not_ours(base: Path) -> None:
    ini_of(base / "file", os.geteuid())
    (base / "loop").symlink_to("loop")
    for name in ("file", "file/x", "loop", "x\0"):
        found = only_ours(f"{base}/{name}", os.geteuid())
        assert not found and found.reason


@needs("root")
@root
def test_a_folder_below_a_users_is_not_ours_by_whatever_way(base: Path, alices: Path) -> None:
    inner = alices / "inner"
    inner.mkdir()
    (base / "link").symlink_to(inner)
    for path in (alices, inner, base / "link", alices / "missing"):
        found = only_ours(str(path), 0)
        assert not found
        assert f"uid {ALICE} can write it" in found.reason
    assert only_ours(str(alices), ALICE)


ACCOUNTS = SystemAccounts()


def test_root_is_known_by_name_and_number() -> None:
    found = ACCOUNTS.identity("root")
    assert found is not None
    assert found == ACCOUNTS.identity("0") == ACCOUNTS.user("root") == ACCOUNTS.of_uid(0)
    assert (found.uid, found.gid, found.home) == (0, 0, pwd.getpwuid(0).pw_dir)
    assert 0 in found.groups


@pytest.mark.parametrize("name", ["", "+0", "0_0", " 0", "-1", "٠", "4294967295", "99999999999", "no-such", "a\0b"])
def test_what_is_no_user_is_no_identity(name: str) -> None:
    assert ACCOUNTS.identity(name) is None
    assert ACCOUNTS.group(name) is None
    assert ACCOUNTS.identity("root", name) is None


def test_a_number_without_an_account_has_no_rights_but_its_own() -> None:
    assert ACCOUNTS.identity(str(ALICE)) == Identity(ALICE, ALICE, (ALICE,), str(ALICE), "/")
    assert ACCOUNTS.identity(str(ALICE), str(BOB)) == Identity(ALICE, BOB, (BOB,), str(ALICE), "/")
    assert ACCOUNTS.of_uid(ALICE) is None
    assert ACCOUNTS.of_uid(2**40) is None
    assert name_of(ALICE) == f"uid {ALICE}"


def test_a_number_without_an_account_does_not_get_somebodys_group() -> None:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    gid = next(group.gr_gid for group in grp.getgrall() if group.gr_gid not in taken)
    assert ACCOUNTS.identity(str(gid)) is None
    assert ACCOUNTS.identity(str(gid), str(gid)) == Identity(gid, gid, (gid,), str(gid), "/")


def test_groups_are_those_of_the_database_with_the_gid_that_was_asked_for() -> None:
    entry = pwd.getpwnam("root")
    found = ACCOUNTS.identity("root", str(STAFF))
    assert found is not None
    assert found.gid == STAFF
    assert found.groups == tuple(sorted({STAFF, *os.getgrouplist("root", STAFF)}))
    assert entry.pw_gid == 0


@needs("www-data")
def test_the_web_server_is_www_data_unless_named() -> None:
    www = pwd.getpwnam("www-data")
    found = ACCOUNTS.web_identity(None, None)
    assert found is not None
    assert (found.uid, found.gid) == (www.pw_uid, www.pw_gid)
    named = ACCOUNTS.web_identity("nobody", "www-data")
    assert named is not None
    assert (named.user, named.gid) == ("nobody", grp.getgrnam("www-data").gr_gid)
    assert ACCOUNTS.web_identity("no-such", None) is None


def test_a_group_of_nobody_or_of_nobody_known_is_not_private() -> None:
    assert private_member(STAFF) is None
    assert private_member(2**40) is None
