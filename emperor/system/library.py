"""The vassal side of this package, copied once into the emperor's runtime folder.

Vassals run the copy: an upgrade on disk under a running emperor mixes nothing, an installation that an app's user
cannot read breaks nothing, and a virtualenv sees our package without anything else of the emperor's site-packages.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import os
import py_compile
import shutil
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent

VASSAL_SIDE = (
    "__init__.py",
    "errors.py",
    "model.py",
    "text.py",
    "vassal.py",
    "crew.py",
    "worker.py",
    "supervision/*.py",
    "protocol/*.py",
    "wsgi/*.py",
    "serving/*.py",
    "system/__init__.py",
    "system/acl.py",
    "system/eventloop.py",
    "system/listeners.py",
    "system/logs.py",
    "system/prctl.py",
    "system/scoreboard.py",
    "system/uplink.py",
)
"""What runs in vassals: Python 3.9, standard library. launch.py is copied beside the package, as the program."""

LAUNCHER = "launch.py"
EXTRA = "extra"
"""Beside the package: what an option may need and a virtualenv may lack."""
LENT = ("flup",)


def sources() -> list[Path]:
    return sorted(path for pattern in VASSAL_SIDE for path in PACKAGE.glob(pattern))


def install(runtime: str) -> str:
    """Copy it to ``runtime``/lib/HASH unless it is there; the path of the launcher. OSError: the folder is not ours."""
    digest = hashlib.sha256()
    for path in [PACKAGE / LAUNCHER, *sources(), *_lent_sources()]:
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    shelf = Path(runtime) / "lib"
    home = shelf / digest.hexdigest()[:16]
    if not home.exists():
        _ours(shelf)
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=shelf))
        try:
            _copy(draft)
            draft.chmod(0o755)
            draft.rename(home)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not home.exists():
                raise
    return str(home / LAUNCHER)


def _ours(shelf: Path) -> None:
    shelf.mkdir(mode=0o755, exist_ok=True)
    shelf.chmod(0o755)
    if shelf.is_symlink() or shelf.stat().st_uid != os.geteuid():
        raise PermissionError(1, "belongs to somebody else", str(shelf))


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
