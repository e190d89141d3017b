"""Three words to the kernel about this process, by prctl(2): ctypes, since the standard library has none.

It promises: each call either took effect or raised OSError. It never changes another process.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import ctypes
import os

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_SET_NO_NEW_PRIVS = 38


def no_new_privs() -> None:
    """No exec gives this process or its children rights again, not even of a set-uid program. For good."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def die_with_parent(signum: int, parent_pid: int) -> bool:
    """Ask for ``signum`` when the parent dies. False: it is gone already, and no signal will come.

    A change of uid clears this, so ask after it. "Parent" is the thread that forked us: it must live on.
    Source: PR_SET_PDEATHSIG(2const).
    """
    _prctl(_SET_PDEATHSIG, signum)
    return os.getppid() == parent_pid


def subreaper() -> None:
    """Orphans below this process become its children, not init's."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    # The kernel reads five words, and some options insist that the unused ones are 0.
    call = ctypes.CDLL(None, use_errno=True).prctl
    call.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    call.restype = ctypes.c_int
    if call(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
