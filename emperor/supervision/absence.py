"""Why an app cannot import a module, as far as its virtualenv tells. Pure.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from emperor.supervision.interpreter import EVERYBODYS, again

SYSTEMS = ("/usr", "/usr/local")
"""Where the distribution's Python lives: what pip puts there breaks other programs (PEP 668)."""


class Surroundings(NamedTuple):
    """``version``: as "3.11", of the Python that runs; ``prefix``: where its packages are.

    ``virtualenv``, ``python``: as the ini names them, or "". ``libraries``: the folders python3.* in the virtualenv's
    lib. ``exists``: is there such a folder at all? ``nearby``: a virtualenv beside the app, or "". ``program``: its
    own Python. ``made``: was it made by venv or its like? /usr is the home of a Python, too.
    """

    virtualenv: str
    python: str
    version: str
    prefix: str
    libraries: Sequence[str] = ()
    exists: bool = True
    nearby: str = ""
    program: str = ""
    made: bool = True


def absence(module: str, targets: Sequence[str], here: Surroundings) -> str:
    """Where ``module`` was looked for, and what to do. ``targets``: the first names of the ini's own modules."""
    if here.virtualenv and not here.exists:
        return f"there is no folder {here.virtualenv}, which virtualenv names"
    others = [one for one in here.libraries if one != f"python{here.version}"]
    if others and len(others) == len(here.libraries):
        return (
            f"virtualenv {here.virtualenv} has lib/{', lib/'.join(others)}, and the Python that runs is {here.version}:"
            f" {again(here.virtualenv) if here.made else 'name another folder'}"
        )
    if module in targets:
        return "it is the app's own: name the folder that holds it, with pythonpath or chdir"
    if here.virtualenv in SYSTEMS and not here.made:
        return (
            f"{here.virtualenv} has none, and is no virtualenv: make one ({EVERYBODYS} -m venv FOLDER), install what"
            f" brings {module} in it, and name it"
        )
    if here.virtualenv:
        program = here.program or f"{here.virtualenv}/bin/python"
        return f"{here.virtualenv} has none: {program} -m pip installs {module}, or the package that brings it"
    whose = here.python or f"the emperor's own Python, {here.prefix}"
    return f"no virtualenv is named, so the app runs on {whose}: write virtualenv = {here.nearby or 'FOLDER'}"
