"""An app's Python, looked at by its own user: why it does not start, and where the packages of its virtualenv are.

It promises: whoever is not the app's user does not call it, for it looks where that user can write; what it runs, it
waits for a few seconds at most.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

from emperor.errors import LoadError
from emperor.model import VassalSpec
from emperor.supervision.absence import Surroundings, absence
from emperor.supervision.interpreter import INNER, PROGRAMS, Looks, Trial, complaint, fatal, is_own, programs
from emperor.supervision.interpreter import flaw as verdict
from emperor.system.walk import walk

PATIENCE = 5.0

QUESTION = "print('%d.%d' % __import__('sys').version_info[:2])"
"""Every Python can answer it since 2.6; to a shell it is a mistake, and nothing else."""

_CFG_LIMIT = 65536
_LAST_WORDS, _LINE = 8192, 400
_MACHINES = {
    3: "i386",
    8: "mips",
    20: "powerpc",
    21: "powerpc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
}
"""e_machine of elf(5)."""


def chosen(spec: VassalSpec) -> str:
    """The program that runs the app: of a virtualenv, the first of its own that is there."""
    own = programs(spec.virtualenv) if is_own(spec.virtualenv, spec.python) else ()
    return next((one for one in own if os.path.lexists(one)), spec.python or sys.executable)


def flaw(spec: VassalSpec, try_it: bool = True) -> str:
    """What is wrong with the spec's interpreter and virtualenv, in one line, or "". ``try_it``: also by running it."""
    python = chosen(spec)
    to_python = walk(python)
    looks = Looks(
        spec.identity,
        spec.virtualenv,
        python,
        walk(spec.virtualenv) if spec.virtualenv else (),
        to_python,
        frozenset(name for name in (*INNER, "pyvenv.cfg", "Scripts") if _holds(spec.virtualenv, name)),
        _lost_home(spec.virtualenv),
        _noexec(to_python[-1].path),
        around=_around(spec.virtualenv),
    )
    found = verdict(looks)
    return found if found or not try_it else verdict(looks._replace(trial=_try(python, spec)))


def _holds(virtualenv: str, name: str) -> bool:
    there = os.path.join(virtualenv, name)
    return bool(virtualenv) and any(map(os.path.exists, programs(there) if name in INNER else (there,)))


def _around(folder: str) -> str:
    """The virtualenv of a folder in it, such as bin; or the folder whose bin it is."""
    above = os.path.dirname(folder)
    if os.path.basename(folder) == "bin" and any(os.path.exists(os.path.join(folder, name)) for name in PROGRAMS):
        return above
    while len(above) > 1:
        if os.path.exists(os.path.join(above, "pyvenv.cfg")):
            return above
        above = os.path.dirname(above)
    return ""


def _lost_home(virtualenv: str) -> str:
    try:
        with open(os.path.join(virtualenv, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
            found = re.search(r"^\s*home\s*=\s*(.*\S)", file.read(_CFG_LIMIT), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1) if found and not os.path.isdir(found.group(1)) else ""


def _noexec(path: str) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_NOEXEC)
    except OSError:
        return False


def _try(python: str, spec: VassalSpec) -> Trial:
    """Not isolated by -I, which the oldest do not know."""
    try:
        done = _ask([python, "-E", "-s", "-c", QUESTION], spec)
    except subprocess.TimeoutExpired:
        return Trial(code=None)
    except OSError as error:
        machine, script = _made_for(python)
        return Trial(error=error.errno or -1, machine=machine, script=script)
    answer = re.fullmatch(rb"(\d+)\.(\d+)\s*", done.stdout)
    version = (int(answer.group(1)), int(answer.group(2))) if answer else None
    said = complaint(done.stderr[-_LAST_WORDS:].decode("utf-8", "backslashreplace"))
    trial = Trial(code=done.returncode, complaint=said[:_LINE], version=version)
    names = tuple(name for name, _ in spec.env if name.startswith("PYTHON"))
    return _try_with(names, python, spec, trial) if names and version else trial


def _try_with(names: tuple[str, ...], python: str, spec: VassalSpec, alone: Trial) -> Trial:
    """Once more, with what the ini tells the interpreter itself."""
    try:
        done = _ask([python, "-c", QUESTION], spec)
    except (subprocess.TimeoutExpired, OSError):
        return alone
    if not done.returncode:
        return alone
    said = fatal(done.stderr[-_LAST_WORDS:].decode("utf-8", "backslashreplace"))
    return alone._replace(code=done.returncode, complaint=said[:_LINE], spoiled_by=names)


def _ask(command: list[str], spec: VassalSpec) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        cwd="/",
        env={**os.environ, **dict(spec.env)},
    )


def _made_for(python: str) -> tuple[str, bool]:
    """("" or the machine of an ELF file that is not ours, does it begin with #!)."""
    head, own = _head(python), _head("/proc/self/exe")
    if head[:4] != b"\x7fELF" or len(head) < 20:
        return "", head[:2] == b"#!"
    if head[4:6] + head[18:20] == own[4:6] + own[18:20]:
        return "", False
    number = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    return _MACHINES.get(number, f"ELF machine {number}"), False


def _head(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(20)
    except OSError:
        return b""


# Once it runs -------------------------------------------------------------------------------------------------------


def hinted(error: LoadError, spec: VassalSpec) -> LoadError:
    """The same, with a word on where a module that is missing should have come from."""
    cause = error.__cause__
    name = cause.name if isinstance(cause, ModuleNotFoundError) else None
    if not name or "." in name:
        return error
    targets = [target.where.partition(":")[0].partition(".")[0] for target in spec.targets if target.kind == "module"]
    hint = absence(name, targets, _surroundings(spec))
    return LoadError(f"{error} -- {hint}", error.traceback)


def _surroundings(spec: VassalSpec) -> Surroundings:
    version = "{}.{}".format(*sys.version_info)
    libraries = tuple(_libraries(spec.virtualenv)) if spec.virtualenv else ()
    exists = os.path.isdir(spec.virtualenv)
    nearby = "" if spec.virtualenv else _nearby(spec)
    program = next((one for one in programs(spec.virtualenv) if os.path.exists(one)), "")
    made = _holds(spec.virtualenv, "pyvenv.cfg")
    return Surroundings(spec.virtualenv, spec.python, version, sys.prefix, libraries, exists, nearby, program, made)


def _nearby(spec: VassalSpec) -> str:
    """A virtualenv where people make it: in the app's folder."""
    files = [os.path.dirname(target.where) for target in spec.targets if target.kind == "file"]
    folders = [os.path.abspath(one) for one in (spec.chdir, *spec.pythonpath, *files) if one]
    return next((f"{folder}/{name}" for folder in folders for name in INNER if _holds(folder, name)), "")


def _libraries(virtualenv: str) -> Iterator[str]:
    """pythonX.Y, or pypyX.Y as PyPy calls it."""
    try:
        names = sorted(os.listdir(os.path.join(virtualenv, "lib")))
    except OSError:
        return
    own = sys.implementation.name
    yield from (
        name.replace("pypy", "python") if own == "pypy" else name
        for name in names
        if re.match(r"(python|pypy)\d", name)
    )


def enter_virtualenv(virtualenv: str) -> None:
    """With ``python`` another interpreter runs: put the virtualenv's packages where its own would see them.

    Source: the site module's documentation, and ``activate_this.py`` of virtualenv.
    """
    import site

    system = {*site.getsitepackages(), site.getusersitepackages()}
    before = [path for path in sys.path if path not in system or _sees_system(virtualenv)]
    sys.path[:] = before
    # Debian's site names other folders while this looks like no virtualenv.
    sys.prefix = sys.exec_prefix = virtualenv
    for folder in site.getsitepackages([virtualenv]):
        if os.path.isdir(folder):
            site.addsitedir(folder)
    fresh = [path for path in sys.path if path not in before]
    first = next((index for index, path in enumerate(before) if path in system), len(before))
    sys.path[:] = [*before[:first], *fresh, *before[first:]]


def _sees_system(virtualenv: str) -> bool:
    try:
        with open(os.path.join(virtualenv, "pyvenv.cfg"), encoding="utf-8", errors="replace") as file:
            text = file.read(_CFG_LIMIT)
    except OSError:
        return False
    return bool(re.search(r"^\s*include-system-site-packages\s*=\s*true", text, re.MULTILINE | re.IGNORECASE))
