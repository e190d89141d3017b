"""Where an ini is read: what its magic says of this process, and what its author may see of the machine."""

from __future__ import annotations

import grp
import os
import platform
import pwd
import sys
import time
from collections.abc import Callable, Mapping

from emperor import __version__
from emperor.config.language.logic import Reach, World
from emperor.intake.looking import AdministratorsFiles, NoFiles
from emperor.model import ADMIN, Authority


def world_of(name: str, folder: str, authority: Authority, files: AdministratorsFiles) -> World:
    """The world of the ini of ``name``, whose relative paths begin in ``folder``."""
    admin = Reach(os.environ, files, trusted=True)
    # What is in the emperor's environment is not for somebody else's ini.
    own = admin if authority.kind == ADMIN else Reach({}, NoFiles(), trusted=False)
    # Debian's start script says these of each ini.
    fallback = {"deb-confname": name, "deb-confnamespace": "app"}
    return World(folder, {**_process_letters(), "v": folder}, own, admin, fallback)


def _process_letters() -> Mapping[str, str]:
    """Magic that says something of this process and its machine."""
    now = time.time_ns()
    uid, gid = os.getuid(), os.getgid()
    return {
        "h": platform.node(),
        "t": str(now // 10**9),
        "T": str(now // 1000),
        "V": __version__,
        "k": str(os.cpu_count() or 1),
        "u": str(uid),
        "U": _name_of(lambda: pwd.getpwuid(uid).pw_name, uid),
        "g": str(gid),
        "G": _name_of(lambda: grp.getgrgid(gid).gr_name, gid),
        "b": os.path.abspath(sys.argv[0]) if sys.argv[0] else sys.executable,
    }


def _name_of(look_up: Callable[[], str], number: int) -> str:
    try:
        return look_up()
    except KeyError:
        return str(number)
