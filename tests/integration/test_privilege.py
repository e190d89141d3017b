"""The drop of privileges, seen by the kernel; and prctl's three words."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from emperor.errors import SpawnError
from emperor.model import Identity
from emperor.system import prctl, privilege
from emperor.system.privilege import EXIT_SYSTEM, become, groups_of, spawn_arguments, verify
from tests.requirements import needs

HER = Identity(61001, 61002, (61002, 61050), "alice", "/")
ROOT = Identity(0, 0, (0,), "root", "/root")
ME = Identity(os.geteuid(), os.getegid(), tuple(os.getgroups()), "me", "/")

root = pytest.mark.root


@contextmanager
def child(act: Callable[[], object]) -> Iterator[int]:
    """A fork that does this and then waits to be killed; the pid, once it is done."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os.write(write, b"x")
            signal.pause()
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
        finally:
            os._exit(1)
    os.close(write)
    try:
        assert os.read(read, 1) == b"x"
        yield pid
    finally:
        os.close(read)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def result_of(act: Callable[[], object]) -> int:
    """The exit status of a fork that does this; 0 if it came to the end."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def drop(identity: Identity) -> Callable[[], None]:
    def act() -> None:
        prctl.no_new_privs()
        become(identity)

    return act


def test_root_names_uid_gid_and_groups_always() -> None:
    assert spawn_arguments(HER, 0) == {"user": 61001, "group": 61002, "extra_groups": [61002, 61050]}
    assert spawn_arguments(ROOT, 0) == {"user": 0, "group": 0, "extra_groups": [0]}


def test_the_list_of_groups_is_never_empty_for_that_may_keep_roots() -> None:
    assert groups_of(Identity(5, 6, (), "x", "/")) == [6]
    assert spawn_arguments(Identity(5, 6, (), "x", "/"), 0)["extra_groups"] == [6]


def test_who_is_not_root_starts_programs_as_itself_alone() -> None:
    assert spawn_arguments(HER, HER.uid) == {}
    for other in (HER, ROOT):
        with pytest.raises(SpawnError, match="only root"):
            spawn_arguments(other, 61099)


@pytest.mark.parametrize("number", [-1, 0xFFFFFFFF, 2**32])
def test_a_number_that_means_unchanged_is_nobodys(number: int) -> None:
    for identity in (
        Identity(number, 5, (5,), "x", "/"),
        Identity(5, number, (5,), "x", "/"),
        Identity(5, 5, (5, number), "x", "/"),
    ):
        for euid in (0, 5):
            with pytest.raises(SpawnError, match="no id"):
                spawn_arguments(identity, euid)
        assert result_of(lambda identity=identity: become(identity)) == EXIT_SYSTEM  # type: ignore[misc]  # mypy infers no defaults


@needs("root")
@root
def test_a_process_that_became_a_user_is_exactly_that_user() -> None:
    with child(drop(HER)) as pid:
        verify(pid, HER)
        for other in (ROOT, Identity(61001, 61002, (61002,), "x", "/"), Identity(61001, 5, HER.groups, "x", "/")):
            with pytest.raises(SpawnError, match=f"process {pid}: verify: "):
                verify(pid, other)


@needs("root")
@root
@pytest.mark.parametrize(
    "identity",
    [ROOT, Identity(61001, 0, (0,), "x", "/"), Identity(61001, 61001, (), "x", "/"), Identity(0, 5, (5,), "x", "/")],
)
def test_odd_identities_can_be_become_as_well(identity: Identity) -> None:
    with child(drop(identity)) as pid:
        verify(pid, identity)


@needs("root")
@root
def test_who_becomes_root_is_not_asked_to_be_unable_to() -> None:
    """Its end by itself is what the measure of branches hears of: a fork that is killed tells nothing."""

    def act() -> None:
        become(ROOT)
        assert os.getresuid() == (0, 0, 0) and os.getgroups() == [0]

    assert result_of(act) == 0


@needs("root")
@root
def test_root_cannot_be_regained() -> None:
    def attempts() -> None:
        ways: tuple[Callable[[], object], ...] = (
            lambda: os.setuid(0),
            lambda: os.seteuid(0),
            lambda: os.setresuid(-1, 0, -1),
            lambda: os.setgid(0),
            lambda: os.setgroups([0]),
        )
        become(HER)
        for way in ways:
            with pytest.raises(PermissionError):
                way()

    assert result_of(attempts) == 0


@needs("root")
@root
@pytest.mark.parametrize("spawned", [True, False])
def test_a_spawned_program_is_exactly_the_user(spawned: bool) -> None:
    """subprocess drops, setpriv only adds no_new_privs; without it the check fails."""
    command = ["setpriv", "--no-new-privs"] if spawned else []
    script = "echo ready; exec sleep 60"
    with subprocess.Popen([*command, "sh", "-c", script], stdout=subprocess.PIPE, **spawn_arguments(HER, 0)) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            if spawned:
                verify(process.pid, HER)
            else:
                with pytest.raises(SpawnError, match="NoNewPrivs is 0, should be 1"):
                    verify(process.pid, HER)
        finally:
            process.kill()


@needs("root")
@root
def test_capabilities_that_outlive_the_drop_are_found() -> None:
    """capabilities(7): SECBIT_KEEP_CAPS keeps the permitted set over setuid, and setuid(0) may stay allowed."""
    keep_caps = 8

    def keeping() -> None:
        prctl.no_new_privs()
        prctl._prctl(keep_caps, 1)
        os.setgroups(groups_of(HER))
        os.setresgid(*[HER.gid] * 3)
        os.setresuid(*[HER.uid] * 3)

    with child(keeping) as pid, pytest.raises(SpawnError, match="CapPrm is "):
        verify(pid, HER)

    def becoming() -> None:
        prctl._prctl(keep_caps, 1)
        become(HER)

    assert result_of(becoming) == EXIT_SYSTEM


@needs("root")
@root
def test_saved_ids_that_were_left_behind_are_found() -> None:
    def half() -> None:
        prctl.no_new_privs()
        os.setgroups(groups_of(HER))
        os.setresgid(*[HER.gid] * 3)
        os.seteuid(HER.uid)

    with child(half) as pid, pytest.raises(SpawnError, match="Uid is 0 61001 0 61001, should be"):
        verify(pid, HER)


@needs("root")
@root
def test_roots_groups_that_were_left_behind_are_found() -> None:
    def careless() -> None:
        prctl.no_new_privs()
        os.setresgid(*[HER.gid] * 3)
        os.setresuid(*[HER.uid] * 3)

    with child(careless) as pid, pytest.raises(SpawnError, match="Groups is"):
        verify(pid, HER)


def test_a_process_that_is_gone_is_not_trusted() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(SpawnError, match="No such file"):
        verify(pid, HER)


@needs("root")
@root
def test_who_is_not_root_cannot_become_another_and_ends() -> None:
    def act() -> None:
        become(HER)
        become(Identity(61009, 61009, (61009,), "bob", "/"))

    assert result_of(act) == EXIT_SYSTEM


class Ended(BaseException):
    """In place of the end of the test's own process."""


@pytest.mark.parametrize("broken", ["setgroups", "setresgid", "setresuid", "status", "setuid", "seteuid", "setgid"])
def test_whatever_step_fails_the_process_ends(
    broken: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernel's refusals, played in every place: a real kernel gives most of them in the first one only."""
    calls: list[str] = []

    def play(name: str, refused: bool) -> None:
        def call(*_: object) -> None:
            calls.append(name)
            if refused:
                raise PermissionError(1, "Operation not permitted")

        call.__name__ = name
        monkeypatch.setattr(os, name, call)

    def end(status: int) -> None:
        raise Ended(status)

    drops, attempts = ("setgroups", "setresgid", "setresuid"), ("setuid", "seteuid", "setgid")
    for name in drops:
        play(name, refused=name == broken)
    for name in attempts:
        play(name, refused=name != broken)
    monkeypatch.setattr(privilege, "_flaw", lambda *_: "Uid is wrong" if broken == "status" else "")
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(Ended) as caught:
        become(HER)
    assert caught.value.args == (EXIT_SYSTEM,)
    order = [*drops, *attempts]
    stop = order.index(broken) + 1 if broken in order else len(drops)
    assert calls == order[:stop]
    assert capsys.readouterr().err.startswith("alice: become: ")


def test_a_name_cannot_forge_lines_of_the_status() -> None:
    def rename() -> None:
        with open("/proc/self/comm", "w") as comm:
            comm.write("x\nNoNewPrivs:\t1")

    with child(rename) as pid, pytest.raises(SpawnError):
        verify(pid, Identity(ME.uid, ME.gid, ME.groups, "me", "/"))


def test_no_new_privs_is_set_for_good() -> None:
    with child(prctl.no_new_privs) as pid, open(f"/proc/{pid}/status") as status:
        assert "NoNewPrivs:\t1\n" in status.read()


def test_a_child_dies_with_its_parent_and_learns_if_it_is_too_late() -> None:
    def orphan() -> None:
        assert prctl.die_with_parent(signal.SIGKILL, os.getppid())
        assert not prctl.die_with_parent(signal.SIGKILL, os.getppid() + 1)

    assert result_of(orphan) == 0
    read, write = os.pipe()

    def parent() -> None:
        os.close(read)
        me = os.getpid()
        ready, done = os.pipe()
        if os.fork() == 0:
            if prctl.die_with_parent(signal.SIGKILL, me):
                os.write(done, b"x")
                signal.pause()
            os._exit(1)
        os.read(ready, 1)

    assert result_of(parent) == 0
    os.close(write)
    # The grandchild holds the other end: its death is the end of the file.
    assert select.select([read], [], [], 10)[0]
    assert os.read(read, 1) == b""
    os.close(read)


def test_a_subreaper_inherits_orphans() -> None:
    def act() -> None:
        prctl.subreaper()
        middle = os.fork()
        if middle == 0:
            if os.fork() == 0:
                os._exit(7)
            os._exit(0)
        codes = sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2))
        os._exit(0 if codes == [0, 7] else 1)

    assert result_of(act) == 0


def test_what_the_kernel_refuses_is_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        prctl.die_with_parent(1000, os.getppid())
