"""What it was measured on: the machine and the version of everything that took part."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from benchmarks import parsing
from benchmarks.servers import Places

_PACKAGES = ("mini-emperor", "uWSGI", "gunicorn", "flup", "supervisor", "Flask", "Werkzeug")
_ASK = """
import importlib.metadata as m, platform, sys
print("Python", platform.python_implementation(), platform.python_version())
for name in sys.argv[1:]:
    try:
        print(name, m.version(name))
    except m.PackageNotFoundError:
        pass
"""
_NUMBER = re.compile(r"\d+(\.\d+)+")


def facts(places: Places) -> dict[str, str]:
    """Name → what it is, in the order of a report. What is not installed is left out."""
    cpu = parsing.cpu_model(Path("/proc/cpuinfo").read_text())
    memory = parsing.kib_fields(Path("/proc/meminfo").read_text())["MemTotal"] / (1 << 20)
    found = {
        "CPU": f"{cpu}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{_distribution()}, Linux {platform.release()}",
        **_versions("", places.venv),
        **_versions("PyPy's ", places.pypy),
        "nginx": _program_version("nginx", "-v"),
        "wrk": _program_version("wrk", "-v"),
    }
    return {name: text for name, text in found.items() if text}


def program(name: str) -> str | None:
    """Where a program is, the administrator's folders included."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"


def _versions(prefix: str, venv: Path) -> Mapping[str, str]:
    if not (venv / "bin" / "python").exists():
        return {}
    asked = (str(venv / "bin" / "python"), "-c", _ASK, *_PACKAGES)
    lines = subprocess.run(asked, capture_output=True, text=True).stdout.splitlines()
    pairs = (line.partition(" ") for line in lines)
    return {prefix + name: version for name, _, version in pairs}


def _program_version(name: str, option: str) -> str:
    path = program(name)
    if path is None:
        return ""
    done = subprocess.run((path, option), capture_output=True, text=True)
    number = _NUMBER.search(done.stdout + done.stderr)
    return number[0] if number else "?"
