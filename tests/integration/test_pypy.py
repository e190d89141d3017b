"""The vassal side compiles and imports on PyPy 3.9, the oldest interpreter that a vassal may bring."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.requirements import needs
from tests.unit.test_floors import MODULES, ROOT, VASSAL_SIDE

pytestmark = needs("pypy3")

EVERY_MODULE = """
import importlib, json, sys
failed = {}
for name in json.load(sys.stdin):
    try:
        importlib.import_module(name)
    except BaseException as error:
        failed[name] = repr(error)
json.dump(failed, sys.stdout)
"""


def _pypy(*arguments: str, stdin: str = "", folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}
    return subprocess.run(["pypy3", *arguments], input=stdin, capture_output=True, text=True, env=environ)


def _vassal_side_alone(folder: Path) -> None:
    """A tree with nothing but the vassal side, as a vassal gets it."""
    for name in VASSAL_SIDE:
        target = folder / MODULES[name].relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(MODULES[name], target)


def test_the_vassal_side_compiles_on_pypy(tmp_path: Path) -> None:
    _vassal_side_alone(tmp_path)
    done = _pypy("-m", "compileall", "-q", "-f", str(tmp_path), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_vassal_side_imports_on_pypy_without_the_rest(tmp_path: Path) -> None:
    _vassal_side_alone(tmp_path)
    done = _pypy("-W", "error", "-c", EVERY_MODULE, stdin=json.dumps(sorted(VASSAL_SIDE)), folder=tmp_path)
    assert json.loads(done.stdout or "{}") == {}, done.stderr
    assert done.returncode == 0, done.stderr
