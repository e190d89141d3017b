"""Where things are when nobody says otherwise: the runtime folder, the control socket, the inis.

It promises: the daemon and emperorctl find each other, since both ask here. It opens and makes nothing.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping

SYSTEM_RUNTIME = "/run/emperor"
SYSTEM_VASSALS = "/etc/emperor/vassals.d"
CONTROL_NAME = "control.sock"


def runtime_folder(euid: int, environ: Mapping[str, str]) -> str:
    """The folder of the control socket and of default sockets.

    A relative XDG_RUNTIME_DIR does not count (XDG Base Directory Specification, "Basics": "All paths set in
    these environment variables must be absolute").
    """
    if euid == 0:
        return SYSTEM_RUNTIME
    xdg = environ.get("XDG_RUNTIME_DIR", "")
    if xdg.startswith("/"):
        return os.path.join(xdg, "emperor")
    return os.path.join(_home(euid, environ), ".local/state/emperor")


def control_socket(euid: int, environ: Mapping[str, str]) -> str:
    return os.path.join(runtime_folder(euid, environ), CONTROL_NAME)


def vassals_folder(euid: int, environ: Mapping[str, str]) -> str:
    if euid == 0:
        return SYSTEM_VASSALS
    return os.path.join(_home(euid, environ), ".config/emperor/vassals.d")


def _home(euid: int, environ: Mapping[str, str]) -> str:
    home = environ.get("HOME", "")
    if home.startswith("/"):
        return home
    try:
        return pwd.getpwuid(euid).pw_dir
    except KeyError:  # a container's arbitrary uid has no entry
        return "/"


def beside(control: str | None) -> str:
    """The runtime folder of the emperor that listens there; "": nobody has named one."""
    return os.path.dirname(os.path.abspath(control)) if control else ""
