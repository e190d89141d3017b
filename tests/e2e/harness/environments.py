"""Virtualenvs that every user can reach, made by the system's Python.

The checkout may lie where nobody else can enter, and the interpreter of the tests in a home folder.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.e2e.harness.waiting import BUILT
from tests.requirements import SYSTEM_PYTHON

CHECKOUT = Path(__file__).resolve().parents[3]
PACKAGED = ("emperor", "pyproject.toml", "README.md", "LICENSE")
WHOLE = (*PACKAGED, "Makefile", "requirements", "vassals.d", "examples")
LITTER = shutil.ignore_patterns("__pycache__", "*.pyc", ".venv", "*.egg-info")


def copy_checkout(target: Path, names: tuple[str, ...]) -> Path:
    """The named files and folders of the checkout, as a clone would have them."""
    target.mkdir(mode=0o755, parents=True)
    for name in names:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=LITTER, symlinks=True)
        else:
            shutil.copy(source, target / name)
    return target


def make_emperor_venv(folder: Path, scratch: Path) -> Path:
    """An installation as a user makes it: a virtualenv, and in it the project and Flask."""
    _run(SYSTEM_PYTHON, "-m", "venv", str(folder))
    source = copy_checkout(scratch, PACKAGED)
    _pip(folder, folder, "install", str(source), "flask>=3.1,<4")
    return folder


def make_app_venv(folder: Path, emperor_venv: Path) -> Path:
    """An app's own virtualenv: Flask, and nothing of ours."""
    _run(SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(folder))
    _pip(emperor_venv, folder, "install", "flask>=3.1,<4")
    return folder


def _pip(whose: Path, into: Path, *arguments: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--root-user-action=ignore")
    _run(str(whose / "bin/python"), "-m", "pip", "--python", str(into / "bin/python"), *arguments, *quiet)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILT)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
