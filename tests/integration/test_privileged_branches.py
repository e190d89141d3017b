"""Every line and every branch of the two modules that change users and bind sockets is gone through by their tests.

Measured in forks too, which drop root's rights and end by ``os._exit``: they write what they saw into a folder that
everybody can write. What one sees that is ended by KILL is lost, so another has to see it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import needs

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("emperor/system/privilege.py", "emperor/system/listeners.py")
TESTS = ("tests/integration/test_privilege.py", "tests/integration/test_listeners.py")

SETTINGS = """\
[run]
branch = true
parallel = true
data_file = {folder}/data
include =
    {modules}
patch =
    _exit
    fork
[report]
# Nothing is left out: no comment excuses a line.
exclude_lines = ^nothing is left out$
partial_branches = ^nothing is left out$
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where processes of every user can leave a file."""
    path = Path(tempfile.mkdtemp(prefix="emperor-branches-", dir="/tmp"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


def coverage(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "coverage", *words]
    environ = {**os.environ, "COVERAGE_RCFILE": f"{folder}/settings", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout[-8000:]}{done.stderr[-8000:]}"
    return done.stdout


def missed(folder: Path) -> dict[str, dict[str, Any]]:
    """File → lines and branches that nobody went through."""
    modules = "\n    ".join(f"{ROOT}/{one}" for one in MODULES)
    (folder / "settings").write_text(SETTINGS.format(folder=folder, modules=modules))
    coverage(folder, "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS)
    coverage(folder, "combine", "--quiet")
    coverage(folder, "json", "--quiet", "-o", f"{folder}/told.json")
    told = json.loads((folder / "told.json").read_text())["files"]
    return {os.path.relpath(ROOT / name, ROOT): seen for name, seen in told.items()}


@needs("root")
@pytest.mark.root
def test_no_line_and_no_branch_of_what_drops_rights_and_binds_is_untested(folder: Path) -> None:
    told = missed(folder)
    assert sorted(told) == sorted(MODULES)
    for name, seen in told.items():
        assert seen["summary"]["num_branches"] > 10, f"{name}: no branches were measured"
        lines = ", ".join(map(str, seen["missing_lines"]))
        branches = ", ".join(f"{start} to {end}" for start, end in seen["missing_branches"])
        assert not (lines or branches), f"{name}: lines: {lines or 'all seen'}; branches: {branches or 'all seen'}"
