"""The vassal side of this package, copied once into the emperor's runtime folder.

Vassals run the copy: an upgrade on disk under a running emperor mixes nothing, an installation that an app's user
cannot read breaks nothing, and a virtualenv sees our package without anything else of the emperor's site-packages.
It promises: what root runs from there was put there by us, in folders that nobody else can write.
"""

from __future__ import annotations

import compileall
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import py_compile
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from emperor.errors import EmperorError
from emperor.system import runtime as folders
from emperor.text import printable

PACKAGE = Path(__file__).resolve().parent.parent

VASSAL_SIDE = (
    "__init__.py",
    "errors.py",
    "logformat.py",
    "model.py",
    "text.py",
    "vassal.py",
    "duty.py",
    "crew/*.py",
    "lone.py",
    "orphans.py",
    "worker.py",
    "supervision/*.py",
    "protocol/*.py",
    "wsgi/*.py",
    "serving/*.py",
    "system/__init__.py",
    "system/access.py",
    "system/acl.py",
    "system/eventloop.py",
    "system/forks.py",
    "system/handed.py",
    "system/hanging.py",
    "system/interpreter.py",
    "system/kin.py",
    "system/listeners.py",
    "system/logs.py",
    "system/lookout.py",
    "system/openings.py",
    "system/passing.py",
    "system/prctl.py",
    "system/rlimits.py",
    "system/rotation.py",
    "system/scoreboard.py",
    "system/sockdiag.py",
    "system/sources.py",
    "system/stacks.py",
    "system/statslistener.py",
    "system/statsserver.py",
    "system/title.py",
    "system/umask.py",
    "system/uplink.py",
    "system/walk.py",
    "system/witness.py",
)
"""What runs in vassals: Python 3.9, standard library. launch.py is copied beside the package, as the program."""

LAUNCHER = "launch.py"
EXTRA = "extra"
"""Beside the package: what an option may need and a virtualenv may lack."""
LENT = ("flup", "h11")

DRAFT = ".new-"
KEPT = 2
OLD = 86400.0
"""Seconds after which all but the newest ``KEPT`` copies are removed, as drafts of an emperor that was killed are."""


def sources() -> list[Path]:
    return sorted(path for pattern in VASSAL_SIDE for path in PACKAGE.glob(pattern))


def install(runtime: str) -> str:
    """Copy it to ``runtime``/lib/HASH unless it is there; the path of the launcher.

    The copy is locked against another emperor's tidying up for as long as this process lives. EmperorError: the
    folder, or what lies in it, is not ours alone, or the kernel refuses.
    """
    folders.prepare(runtime, os.geteuid())
    shelf = Path(runtime) / "lib"
    try:
        home = shelf / _digest()
        with contextlib.suppress(FileExistsError):
            shelf.mkdir(mode=0o755)
        _require(shelf, stat.S_IFDIR)
        shelf.chmod(0o755)
        if not os.path.lexists(home):
            _publish(shelf, home)
        _require(home, stat.S_IFDIR)
        _require(home / LAUNCHER, stat.S_IFREG)
        # Never closed: the end of the process lets go of it.
        _lock(home, fcntl.LOCK_SH)
    except OSError as error:
        raise EmperorError(f"{error.filename or shelf}: install: {error.strerror or error} -- {folders.NOT_STARTED}")
    _tidy(shelf, home)
    return str(home / LAUNCHER)


def rehearse(launcher: str) -> None:
    """Can what vassals run be imported at all, by our own interpreter? EmperorError, with the last line of why not."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import emperor.vassal, emperor.worker, emperor.serving.native"
    command = [sys.executable, "-I", "-c", code, os.path.dirname(launcher)]
    done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace", cwd="/", timeout=30)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise EmperorError(f"{launcher}: import: {printable(why)} -- no vassal could be started")


def hold(launchers: Iterable[str]) -> None:
    """Keep the copies that these lie in, for as long as this process lives: vassals still run from them."""
    for home in {Path(launcher).parent for launcher in launchers}:
        # Never closed, as that of ``install``.
        with contextlib.suppress(OSError):
            _lock(home, fcntl.LOCK_SH)


def _digest() -> str:
    digest = hashlib.sha256()
    for path in [PACKAGE / LAUNCHER, *sources(), *_lent_sources()]:
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _require(path: Path, kind: int) -> None:
    flaw = folders.flaw(str(path), os.geteuid(), kind)
    if flaw:
        raise EmperorError(f"{path}: {flaw} -- look who put it there, then remove it; {folders.NOT_STARTED}")


def _publish(shelf: Path, home: Path) -> None:
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=shelf))
    try:
        _copy(draft)
        draft.chmod(0o755)
        draft.rename(home)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not home.exists():
            raise


def _lock(home: Path, how: int) -> int:
    held = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(held, how | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held


def _tidy(shelf: Path, home: Path) -> None:
    """Remove old copies that no emperor runs from. The newest stay, for whoever goes back to what was before."""
    with contextlib.suppress(OSError):
        dated = sorted(((path.lstat().st_mtime, path) for path in shelf.iterdir()), reverse=True)
        copies = [path for _, path in dated if not path.name.startswith(DRAFT)]
        keep = {home, *copies[:KEPT]}
        for mtime, path in dated:
            if path not in keep and mtime < time.time() - OLD:
                _remove(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        held = _lock(path, fcntl.LOCK_EX)
        try:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(held)


def _copy(draft: Path) -> None:
    shutil.copyfile(PACKAGE / LAUNCHER, draft / LAUNCHER)
    for path in sources():
        _copy_one(path, draft / "emperor" / path.relative_to(PACKAGE))
    for path in _lent_sources():
        _copy_one(path, draft / EXTRA / path.relative_to(_lent_root(path)))
    # Whoever runs them cannot write here, so nobody would ever keep the compiled form. By hash: a copy has no date.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(draft, quiet=2, invalidation_mode=mode)
    for folder, _, files in os.walk(draft):
        Path(folder).chmod(0o755)
        for name in files:
            (Path(folder) / name).chmod(0o644)


def _copy_one(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _lent_sources() -> list[Path]:
    found = []
    for name in LENT:
        spec = importlib.util.find_spec(name)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found += sorted(Path(folder).rglob("*.py"))
    return found


def _lent_root(path: Path) -> Path:
    while path.name not in LENT:
        path = path.parent
    return path.parent
