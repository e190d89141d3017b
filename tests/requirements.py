"""What a test may need of the machine: one row each, with the words that a skip shows.

With ``EMPEROR_TEST_NO_SKIPS=1`` in the environment a row that does not hold fails the test.
"""

from __future__ import annotations

import glob
import grp
import os
import pwd
import shutil
import subprocess
from functools import cache
from typing import Callable, NamedTuple

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
"""Other users can run it; the interpreter of the tests may lie in a home folder."""

FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"
"""Debian's, whatever the machine's architecture."""

needs = pytest.mark.needs
"""``@needs("root", "nginx")``: rows of ``REQUIREMENTS``."""


class Requirement(NamedTuple):
    holds: Callable[[], bool]
    reason: str


def _program(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _www_data() -> bool:
    try:
        pwd.getpwnam("www-data"), grp.getgrnam("www-data")
    except KeyError:
        return False
    return True


def _system_venv() -> bool:
    code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True).returncode == 0
    except OSError:
        return False


def _uwsgi() -> bool:
    """Debian's has no Python in it, and is called otherwise."""
    return any(shutil.which(name) is not None for name in ("uwsgi-core", "uwsgi"))


def _apache() -> bool:
    return shutil.which("apache2") is not None and os.path.exists("/usr/lib/apache2/modules/mod_fcgid.so")


def _apache_proxy() -> bool:
    """Debian 11 has the second one in a package of its own."""
    modules = ("mod_proxy_fcgi", "mod_proxy_uwsgi")
    return all(os.path.exists(f"/usr/lib/apache2/modules/{one}.so") for one in modules)


def _faketime() -> bool:
    return bool(glob.glob(FAKETIME))


def _boots_systemd() -> bool:
    """Root alone does not do: containers forbid namespaces, or mounts in them."""
    if os.geteuid() != 0 or not os.path.exists("/lib/systemd/systemd"):
        return False
    namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--uts", "--ipc", "--mount-proc"]
    mounts = "mount -n --make-rprivate / && mount -n -t tmpfs tmpfs /run && mount -n -t cgroup2 cgroup2 /run"
    trial = ["unshare", *namespaces, "sh", "-c", f"{mounts} && nsenter -t $$ -m -p -C true"]
    try:
        return subprocess.run(trial, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


REQUIREMENTS = {
    "root": Requirement(lambda: os.geteuid() == 0, "needs root: several users, chown, setuid"),
    "nginx": Requirement(_program("nginx"), "needs nginx: apt install nginx-light"),
    "www-data": Requirement(_www_data, "needs the user and the group www-data"),
    "pypy3": Requirement(_program("pypy3"), "needs PyPy: apt install pypy3"),
    "setfacl": Requirement(_program("setfacl"), "needs setfacl: apt install acl"),
    "useradd": Requirement(_program("useradd"), "needs useradd: apt install passwd"),
    "venv": Requirement(_system_venv, f"needs {SYSTEM_PYTHON} >= 3.11 with venv: apt install python3-venv"),
    "make": Requirement(_program("make"), "needs make: apt install make"),
    "curl": Requirement(_program("curl"), "needs curl: apt install curl"),
    "cgi-fcgi": Requirement(_program("cgi-fcgi"), "needs cgi-fcgi: apt install libfcgi-bin"),
    "apache": Requirement(_apache, "needs Apache with mod_fcgid: apt install apache2 libapache2-mod-fcgid"),
    "apache-proxy": Requirement(
        _apache_proxy, "needs Apache with mod_proxy_fcgi and mod_proxy_uwsgi: apt install apache2"
    ),
    "lighttpd": Requirement(_program("lighttpd"), "needs lighttpd: apt install lighttpd"),
    "spawn-fcgi": Requirement(_program("spawn-fcgi"), "needs spawn-fcgi: apt install spawn-fcgi"),
    "systemd-analyze": Requirement(_program("systemd-analyze"), "needs systemd-analyze: apt install systemd"),
    "systemd": Requirement(_boots_systemd, "needs root, namespaces and systemd: apt install systemd"),
    "uwsgi": Requirement(_uwsgi, "needs uWSGI: apt install uwsgi-core"),
    "logrotate": Requirement(_program("logrotate"), "needs logrotate: apt install logrotate"),
    "zsh": Requirement(_program("zsh"), "needs zsh: apt install zsh"),
    "fish": Requirement(_program("fish"), "needs fish: apt install fish"),
    "man": Requirement(_program("man"), "needs man: apt install man-db"),
    "mandoc": Requirement(_program("mandoc"), "needs mandoc: apt install mandoc"),
    "wrk": Requirement(_program("wrk"), "needs wrk: apt install wrk"),
    "strace": Requirement(_program("strace"), "needs strace: apt install strace"),
    "faketime": Requirement(_faketime, "needs libfaketime: apt install faketime"),
}


@cache
def missing(name: str) -> str:
    """Why the requirement does not hold here; "" if it does."""
    row = REQUIREMENTS[name]
    return "" if row.holds() else row.reason


def require(*names: str) -> None:
    """The same from within a fixture: skips the test that asked for it."""
    for name in names:
        if reason := missing(name):
            pytest.skip(reason)


def skips_are_failures() -> bool:
    return os.environ.get("EMPEROR_TEST_NO_SKIPS", "") not in ("", "0")
