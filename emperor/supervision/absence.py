"""Why an app cannot import a module, as far as its virtualenv tells. Pure.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from emperor.supervision.interpreter import again


class Surroundings(NamedTuple):
    """``version``: as "3.11", of the Python that runs; ``prefix``: where its packages are.

    ``virtualenv``, ``python``: as the ini names them, or "". ``libraries``: the folders python3.* in the virtualenv's
    lib. ``exists``: is there such a folder at all? ``nearby``: a virtualenv beside the app, or "".
    """

    virtualenv: str
    python: str
    version: str
    prefix: str
    libraries: Sequence[str] = ()
    exists: bool = True
    nearby: str = ""


def absence(module: str, targets: Sequence[str], here: Surroundings) -> str:
    """Where ``module`` was looked for, and what to do. ``targets``: the first names of the ini's own modules."""
    if here.virtualenv and not here.exists:
        return f"there is no folder {here.virtualenv}, which virtualenv names"
    others = [one for one in here.libraries if one != f"python{here.version}"]
    if others and len(others) == len(here.libraries):
        return (
            f"virtualenv {here.virtualenv} has lib/{', lib/'.join(others)}, and the Python that runs is {here.version}:"
            f" {again(here.virtualenv)}"
        )
    if module in targets:
        return "it is the app's own: name the folder that holds it, with pythonpath or chdir"
    if here.virtualenv:
        return f"{here.virtualenv} has none: {here.virtualenv}/bin/python -m pip install what brings {module}"
    whose = here.python or f"the emperor's own Python, {here.prefix}"
    return f"no virtualenv is named, so the app runs on {whose}: write virtualenv = {here.nearby or 'FOLDER'}"
