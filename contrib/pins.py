"""Writes requirements/*.txt anew: every package that development installs, with its version and its hashes.

    python -m contrib.pins            as pyproject.toml wants it; what is pinned stays as it is where it can
    python -m contrib.pins --upgrade  the newest that pyproject.toml allows

It promises: the files name no index, and are the same for every machine and every Python from ``PYTHON`` on. What is
built from source is built with what is pinned here too: pip's own builds would fetch without a version and a hash.
It needs uv, which is among the tests' packages.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tomllib

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
PYTHON = "3.11"
BUILD = "build"


class Pins(NamedTuple):
    """One file. ``extras``: of pyproject.toml; ``only``: this package alone, ``but``: all but this one."""

    extras: tuple[str, ...]
    only: str = ""
    but: str = ""


FILES = {
    # First, and in wheels alone: what the others are built with.
    "build": Pins((BUILD,)),
    # The program alone, for who installs it with versions that were tested.
    "runtime": Pins(()),
    "examples": Pins((BUILD, "examples")),
    "test": Pins((BUILD, "test")),
    "dev": Pins((BUILD, "test", "dev")),
    # uWSGI apart: where it cannot be compiled, the others are measured without it.
    "bench": Pins((BUILD, "bench"), but="uwsgi"),
    "uwsgi": Pins(("bench",), only="uwsgi"),
}
"""What `make` installs: the package without extras is in all of them."""

SOURCES = ("uwsgi", "uwsgitop")
"""Those that come as source alone; ``make`` takes wheels of all others, and no source."""

PYPY = "pypy"
PYPY_BUILD = "pypybuild"
PYPY_SOURCES = ("markupsafe",)
BUILDERS = ("setuptools", "wheel")
PYPY_PYTHON = "3.9"
PYPY_WANTS = "flask"
"""PyPy's Python is older, and runs nothing of ours but the vassal side: one package of the extra ``examples``."""


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def wanted(pins: Pins) -> list[str]:
    """The requirements of pyproject.toml that this file is to meet."""
    told = project()["project"]
    extras = [one for extra in pins.extras for one in told["optional-dependencies"][extra]]
    if pins.only:
        return [one for one in extras if _name(one) == pins.only]
    return [one for one in (*told["dependencies"], *extras) if _name(one) != pins.but]


def pypys() -> list[str]:
    return [one for one in project()["project"]["optional-dependencies"]["examples"] if _name(one) == PYPY_WANTS]


def builders() -> list[str]:
    """What builds the packages that come as source."""
    return [one for one in project()["project"]["optional-dependencies"][BUILD] if _name(one) in BUILDERS]


def _name(requirement: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else " " for char in requirement).split()[0].lower()


def files() -> Iterator[tuple[str, str, list[str]]]:
    """Name, oldest Python, requirements."""
    for name, pins in FILES.items():
        yield name, PYTHON, wanted(pins)
    yield PYPY_BUILD, PYPY_PYTHON, builders()
    yield PYPY, PYPY_PYTHON, pypys()


def write(name: str, python: str, requirements: Sequence[str], more: Sequence[str]) -> None:
    target = FOLDER / f"{name}.txt"
    command = ["uv", "--quiet", "--no-config", "pip", "compile", "-", "--output-file", str(target)]
    how = ["--universal", "--generate-hashes", "--python-version", python, "--no-annotate", "--no-emit-index-url"]
    subprocess.run(
        [*command, *how, "--custom-compile-command", "make pins", *more],
        input="\n".join(requirements),
        text=True,
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )


def main(words: Sequence[str]) -> int:
    for name, python, requirements in files():
        write(name, python, requirements, words)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
