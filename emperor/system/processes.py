"""Vassals as processes: started by exec, watched by pidfd, signalled as a group, reaped last.

It promises: a child starts as its own user in its own session with exactly the descriptors it is given; its pid is not
given back to the kernel before its process group was swept, so that no signal of ours ever meets a stranger.
It never forks without exec (this process has watchdog's threads), and reads no path that a vassal's user controls.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emperor.errors import SpawnError
from emperor.model import Identity, VassalSpec
from emperor.supervision.commission import INQUIRE, Commission
from emperor.supervision.events import Exit
from emperor.supervision.interpreter import EVERYBODYS, is_own
from emperor.system import privilege
from emperor.system.walk import closed_to

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INHERITED = ("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_TIME", "LC_NUMERIC", "LC_COLLATE", "TZ")
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


_CLEAN = "unset PWD OLDPWD SHLVL _; "
_OTHER_NAMES = (
    'if ! [ -e "$0" ] && ! [ -h "$0" ]; then'
    ' [ -x "${0}3" ] && exec "${0}3" "$@"; [ -x "${0%python}pypy3" ] && exec "${0%python}pypy3" "$@"; fi; '
)
_EXEC = '[ -x "$0" ] || (exec "$0") 2>/dev/null || exit; exec "$0" "$@"'
TRAMPOLINE = ("/bin/sh", "-c", _CLEAN + _EXEC)
TRAMPOLINE_OF_A_VIRTUALENV = ("/bin/sh", "-c", _CLEAN + _OTHER_NAMES + _EXEC)
"""Whoever starts a program waits until its exec has happened, and the owner of a file can delay that (a lease, a FUSE
filesystem). So a user's interpreter is exec'd by a shell that is the user already, and nobody waits. Of one that is not
there its exit code says all: people are told in our words. What a virtualenv calls its own Python (``PROGRAMS``) its
user alone looks up. No variable is set: it might be one of the app's."""

NOTHING: Mapping[str, str] = types.MappingProxyType({})

NOT_EXECUTABLE, NOT_FOUND = 126, 127
"""The shell's exit codes for an exec that failed (POSIX, 2.8.2)."""


@dataclass
class Child:
    """A process of ours. ``channel``: our end, non-blocking; ``output``: the read end of its stdout and stderr.

    ``swept``: its whole group was sent KILL, so that nobody in it has anything left to finish.
    It is no Popen: after an upgrade in place it is the child of a program that did not start it.
    """

    pid: int
    pidfd: int
    channel: socket.socket | None
    output: int
    born: float
    swept: bool = False


def environment(identity: Identity, own: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """What a vassal starts with: nothing of ours but the language and the time zone. ``more``: its ini's ``env``.

    What an interpreter reads as it starts (PYTHONPATH, PYTHONUTF8, LD_LIBRARY_PATH) counts only here.
    """
    chosen = {name: own[name] for name in INHERITED if name in own}
    return {
        **chosen,
        "PATH": PATH,
        "HOME": identity.home,
        "USER": identity.user,
        "LOGNAME": identity.user,
        "SHELL": identity.shell,
        **more,
    }


def sealed(data: bytes) -> int:
    """A descriptor on memory that nobody can change any more (memfd_create(2), fcntl(2) F_ADD_SEALS)."""
    with contextlib.ExitStack() as undo:
        fd = os.memfd_create("commission", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        undo.callback(os.close, fd)
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
        os.lseek(fd, 0, os.SEEK_SET)
        undo.pop_all()
    return fd


def spawn(commission: Commission, launcher: str) -> Child:
    """Start a vassal. SpawnError: no process came to be, and nothing is left open."""
    spec = commission.spec
    with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
        try:
            channel, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
            ours.callback(channel.close)
            theirs.callback(far_end.close)
            output, output_write = os.pipe2(os.O_CLOEXEC)
            ours.callback(os.close, output)
            theirs.callback(os.close, output_write)
            paper = sealed(commission.to_bytes())
            theirs.callback(os.close, paper)
            inquires = commission.role == INQUIRE
            program = _inquirer(spec.identity) if inquires else _program(spec)
            popen = start(
                [*program, launcher, spec.name, str(far_end.fileno()), str(paper)],
                spec.identity,
                [far_end.fileno(), paper, *commission.descriptors],
                output_write,
                0o022 if spec.umask is None else spec.umask,
                # What keeps one interpreter from starting is not for the one that looks why.
                {} if inquires else dict(spec.env),
            )
            ours.callback(popen.wait)
            ours.callback(popen.kill)
            pidfd = os.pidfd_open(popen.pid)
        except OSError as error:
            raise SpawnError(f"spawn as {spec.identity.user}: {error.strerror}") from None
        ours.pop_all()
    channel.setblocking(False)
    os.set_blocking(output, False)
    return Child(_let_go(popen), pidfd, channel, output, time.monotonic())


def _program(spec: VassalSpec) -> list[str]:
    own = is_own(spec.virtualenv, spec.python)
    return [*(TRAMPOLINE_OF_A_VIRTUALENV if own else TRAMPOLINE), spec.python] if spec.python else [sys.executable]


def _inquirer(identity: Identity) -> list[str]:
    """Our own Python, or, where that is closed to the app's user, one that everybody can run."""
    closed = sys.executable != EVERYBODYS and closed_to(sys.executable, identity)
    return [EVERYBODYS if closed and os.access(EVERYBODYS, os.X_OK) else sys.executable]


def run(command: Sequence[str], identity: Identity) -> Child:
    """Start a small program, without a channel. Raises SpawnError."""
    with contextlib.ExitStack() as undo:
        try:
            output, output_write = os.pipe2(os.O_CLOEXEC)
            undo.callback(os.close, output)
            with contextlib.ExitStack() as theirs:
                theirs.callback(os.close, output_write)
                popen = start(command, identity, [], output_write)
            undo.callback(popen.wait)
            undo.callback(popen.kill)
            pidfd = os.pidfd_open(popen.pid)
        except OSError as error:
            raise SpawnError(f"spawn as {identity.user}: {error.strerror}") from None
        undo.pop_all()
    os.set_blocking(output, False)
    return Child(_let_go(popen), pidfd, None, output, time.monotonic())


def _let_go(popen: subprocess.Popen[bytes]) -> int:
    """The pid alone: Popen would wait for the child some day, and before we have swept its group."""
    popen.returncode = 0
    return popen.pid


def start(
    command: Sequence[str],
    identity: Identity,
    descriptors: Sequence[int],
    output: int,
    umask: int = 0o022,
    env: Mapping[str, str] = NOTHING,
) -> subprocess.Popen[bytes]:
    """Exec as ``identity`` in a new session, from /, with these descriptors and no others. ``env``: more of it."""
    try:
        if os.geteuid() == 0:
            # An app may open /dev/stderr by its name: the pipe must be its own then.
            os.fchown(output, identity.uid, identity.gid)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            pass_fds=descriptors,
            env=environment(identity, os.environ, env),
            start_new_session=True,
            umask=umask,
            **privilege.spawn_arguments(identity, os.geteuid()),
        )
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, PermissionError) and command[0] == sys.executable:
            flaw = closed_to(sys.executable, identity)
            reason = f"{flaw}, or install the emperor where everybody can enter" if flaw else reason
        raise SpawnError(f"exec {command[0]} as {identity.user}: {reason}") from None
    except (subprocess.SubprocessError, ValueError) as error:
        # ValueError: a NUL in what the ini gives to the environment.
        raise SpawnError(f"exec {command[0]} as {identity.user}: {error}") from None


def how_it_ended(child: Child) -> Exit:
    """Its exit, without reaping it; to be called once the pidfd is readable."""
    try:
        result = os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        result = None
    if result is None:
        if not select.select([child.pidfd], [], [], 0.0)[0]:
            return Exit(None, None, "killed; it hangs in its own exit, and is not waited for", time.time())
        # The dead are hidden from their parent as long as somebody else traces them (ptrace(2)).
        return Exit(None, None, "ended; somebody traces it, so nobody can tell how", time.time())
    if result.si_code == os.CLD_EXITED:
        return Exit(result.si_status, None, f"exited with code {result.si_status}", time.time())
    name = signal_name(result.si_status)
    return Exit(None, result.si_status, f"killed by {name}", time.time())


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def drain(child: Child, retire: bool) -> None:
    """TERM, or HUP to retire, to the vassal alone: it drains its workers itself."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, signal.SIGHUP if retire else signal.SIGTERM)


def ask_to_reopen(child: Child) -> None:
    """USR1 to a vassal that serves (before that, it would die of it): open the log anew."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, signal.SIGUSR1)


def kill_group(child: Child) -> None:
    """KILL to the vassal and whatever it started; safe as long as it is not reaped."""
    child.swept = True
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def reap(child: Child) -> bool:
    """Sweep its group and reap it. False: the kernel does not give it to us yet; it keeps its number meanwhile."""
    kill_group(child)
    try:
        if os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOHANG) is None:
            return False
    except ChildProcessError:
        pass
    os.close(child.pidfd)
    return True


def bury(child: Child) -> None:
    """For programs that may wait: sweep its group, reap it, close what was ours of it."""
    kill_group(child)
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
    os.close(child.pidfd)
    os.close(child.output)
    if child.channel is not None:
        child.channel.close()
