"""The lock on a folder of inis: who has it, and whose word counts."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emperor.errors import EmperorError
from emperor.intake.listing import folder_of, occupy
from emperor.system.folderlock import FREE, FolderLocks, Verdict
from tests.integration.kernel_world import fds_of
from tests.requirements import SYSTEM_PYTHON, needs

NOBODY = 65534

HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
lock = os.open(sys.argv[2], os.O_RDONLY) if len(sys.argv) > 2 else -1
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(folder: Path, *more: object, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """Another program that has locked the folder. ``more``: a file that it has open."""
    command = [SYSTEM_PYTHON if how else sys.executable, "-c", HOLD, str(folder), *map(str, more)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **how) as program:
        assert program.stdin and program.stdout
        try:
            assert program.stdout.readline() == "held\n"
            yield program
        finally:
            program.stdin.close()


@pytest.fixture(params=["/tmp", "/dev/shm"], ids=["ext4 or so", "tmpfs"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="emperor-lock-", dir=request.param))
    path.chmod(0o755)
    (path / "inis").mkdir(mode=0o755)
    yield path / "inis"
    shutil.rmtree(path)


@pytest.fixture
def locks() -> Iterator[FolderLocks]:
    one = FolderLocks()
    yield one
    one.close()


def test_the_first_holds_it_and_the_second_is_told_who(folder: Path, locks: FolderLocks) -> None:
    with holder(folder) as other:
        verdict = locks.take(str(folder))
        assert str(verdict.holder) == f"the program with pid {other.pid}"
        assert locks.export() == {}
        with pytest.raises(EmperorError, match=f"^{folder}: the program with pid {other.pid} holds it -- this emperor"):
            occupy([str(folder)], locks)
    assert locks.take(str(folder)) == FREE
    assert list(locks.export()) == [str(folder)]


def test_an_emperor_is_named_with_its_control_socket(folder: Path, locks: FolderLocks) -> None:
    control = folder.parent / "control.sock"
    lock = Path(f"{control}.lock")
    lock.touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(control))
        with holder(folder, lock) as other:
            assert str(locks.take(str(folder)).holder) == f"the emperor with pid {other.pid} ({control})"


def test_a_second_look_costs_no_descriptor_and_one_folder_of_two_names_one_lock(
    folder: Path, locks: FolderLocks
) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert locks.take(str(folder)) == FREE
    before = fds_of()
    assert locks.take(str(link)) == FREE
    assert locks.take(str(folder)) == FREE
    assert fds_of() == before


def test_what_took_the_folders_place_is_locked_in_its_stead(folder: Path, locks: FolderLocks) -> None:
    assert locks.take(str(folder)) == FREE
    aside = folder.parent / "aside"
    folder.rename(aside)
    folder.mkdir()
    assert locks.take(str(folder)) == FREE
    others = FolderLocks()
    assert others.take(str(aside)) == FREE
    assert others.take(str(folder)).holder is not None
    others.close()


def test_a_folder_that_is_not_there_stands_in_nobodys_way(folder: Path, locks: FolderLocks) -> None:
    missing = str(folder / "missing")
    with pytest.raises(FileNotFoundError):
        locks.take(missing)
    occupy([missing], locks)
    assert locks.export() == {}


def test_the_lock_ends_with_us_and_is_no_childs(folder: Path, locks: FolderLocks) -> None:
    locks.take(str(folder))
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        locks.close()
        others = FolderLocks()
        assert others.take(str(folder)) == FREE
        others.close()
        child.kill()


def test_the_program_that_takes_our_place_keeps_the_lock(folder: Path, locks: FolderLocks) -> None:
    locks.take(str(folder))
    (fd,) = locks.export().values()
    os.set_inheritable(fd, True)
    heir = FolderLocks({str(folder): fd})
    assert not os.get_inheritable(fd)
    assert heir.take(str(folder)) == FREE
    assert heir.export() == {str(folder): fd}


def test_a_lock_that_was_not_handed_over_is_taken_anew(folder: Path) -> None:
    heir = FolderLocks({str(folder): 999})
    assert heir.take(str(folder)) == FREE
    heir.close()


@needs("root")
def test_a_stranger_who_has_locked_it_is_told_and_keeps_nobody_out(folder: Path, locks: FolderLocks) -> None:
    with holder(folder, user=NOBODY, group=NOBODY) as other:
        verdict = locks.take(str(folder))
        assert verdict.holder is None
        assert verdict.warning.startswith(f"pid {other.pid} of uid {NOBODY}, who is no emperor of ours, has locked it")
        occupy([str(folder)], locks)
    assert locks.take(str(folder)) == FREE
    assert list(locks.export()) == [str(folder)]


def test_a_lock_whose_owner_has_gone_is_nobodys_word(folder: Path, locks: FolderLocks) -> None:
    """A child inherited the descriptor: the kernel still names who took it."""
    command = ["flock", str(folder), "sh", "-c", "echo held; read x"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin and other.stdout and other.stdout.readline() == "held\n"
        other.kill()
        other.wait()
        assert locks.take(str(folder)).warning.startswith("somebody, who is no emperor of ours, has locked it")
        other.stdin.close()


LEND = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(fd, fcntl.LOCK_EX)
me = os.getpid()
if os.fork():
    os._exit(0)
os.setsid()
print(me, flush=True)
sys.stdin.read()
"""


@contextmanager
def again(number: int) -> Iterator[None]:
    """A process of root's that has this pid, which is free."""
    last = Path("/proc/sys/kernel/ns_last_pid")
    for _ in range(100):
        try:
            last.write_text(str(number - 1))
        except OSError as error:
            pytest.skip(f"{last}: {error.strerror}")
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        with child:
            if child.pid == number:
                yield
                return
    pytest.fail("somebody else is always faster")


@needs("root")
def test_a_process_of_roots_that_has_the_number_of_who_took_it_is_not_believed(
    folder: Path, locks: FolderLocks
) -> None:
    """The taker's child holds it, and the number is given again."""
    command = [SYSTEM_PYTHON, "-c", LEND, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=NOBODY, group=NOBODY
    ) as other:
        assert other.stdin and other.stdout
        pid = int(other.stdout.readline())
        other.wait()
        with again(pid):
            verdict = locks.take(str(folder))
        other.stdin.close()
    assert verdict.holder is None
    assert verdict.warning.startswith("somebody, who is no emperor of ours, has locked it")


def test_a_filesystem_without_locks_is_told(folder: Path, locks: FolderLocks, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*given: object) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    before = fds_of()
    assert locks.take(str(folder)) == Verdict(
        warning="Bad file descriptor -- a second emperor on it would not be noticed"
    )
    assert fds_of() == before


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("/e/vassals.d", "/e/vassals.d"),
        ("/e/vassals.d/*.ini", "/e/vassals.d"),
        ("/home/*/vassals/*.ini", "/home"),
        ("*.ini", "."),
        ("/*/x.ini", "/"),
    ],
)
def test_the_folder_before_the_first_magic_is_the_one_that_is_locked(place: str, found: str) -> None:
    assert folder_of(place) == found


def test_a_folder_whose_name_looks_like_a_glob_is_itself(tmp_path: Path) -> None:
    odd = tmp_path / "[a]"
    odd.mkdir()
    assert folder_of(str(odd)) == str(odd)
