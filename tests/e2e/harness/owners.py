"""Owners who write what is theirs themselves: the ini in root's folder, the app, whatever they type in a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.harness.daemon import Emperor, Vassal, chown, ini
from tests.e2e.harness.people import Person


def owned(daemon: Emperor, name: str, owner: Person, **options: Any) -> Vassal:
    """An ini in root's folder that belongs to who runs the app, and names nobody."""
    vassal = daemon.place(name, owner, **{"uid": None, "gid": None, **options})
    vassal.ini.write_text("")
    chown(vassal.ini, owner)
    rewrite(vassal)
    return vassal


def write_as(person: Person, path: Path, text: str) -> None:
    person.run("/bin/sh", "-c", 'printf %s "$1" > "$2"', "sh", text, str(path))


def rewrite(vassal: Vassal, **changes: object) -> None:
    """Its owner writes the ini in place, for its folder is root's."""
    vassal.options = {**vassal.options, **changes}
    write_as(vassal.owner, vassal.ini, ini(**vassal.options))


def deploy(vassal: Vassal, source: str) -> None:
    write_as(vassal.owner, vassal.folder / "app.py", source)


def sh(person: Person, script: str, *words: object) -> None:
    person.run("/bin/sh", "-c", script, "sh", *map(str, words), check=False)
