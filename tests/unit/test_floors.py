"""The house stands: a module imports from lower floors or its own room, and each outsider has one door."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("emperor", "emperor.errors", "emperor.logformat", "emperor.model", "emperor.text"),
    ("emperor.config", "emperor.faces", "emperor.supervision", "emperor.protocol", "emperor.wsgi"),
    ("emperor.system",),
    ("emperor.serving", "emperor.control", "emperor.frontdoor", "emperor.probe", "emperor.webservers"),
    ("emperor.programs",),
)
"""Ground first. The modules that lie in no room are the programs: one room on the top floor."""

GROUND = FLOORS[0]
PROGRAM_FOLDERS = (
    "emperor.answers",
    "emperor.crew",
    "emperor.ctl",
    "emperor.doctor",
    "emperor.holding",
    "emperor.intake",
    "emperor.succession",
    "emperor.tending",
)
VASSALS_PROGRAMS = (
    "emperor.duty",
    "emperor.launch",
    "emperor.launch_lone",
    "emperor.lone",
    "emperor.orphans",
    "emperor.vassal",
    "emperor.worker",
)

DOORS = {
    "watchdog": "emperor.system.watch",
    "flup": "emperor.serving.flup_engine",
    "werkzeug": "emperor.front",
    "h11": "emperor.protocol.http",
    "crossplane": "emperor.webservers.nginx",
    "prometheus_client": "emperor.ctl.metrics",
}
"""The one module that may import each third-party package."""

VASSAL_ROOMS = ("emperor.crew", "emperor.protocol", "emperor.wsgi", "emperor.supervision", "emperor.serving")
VASSAL_MODULES = ("emperor.errors", "emperor.logformat", "emperor.model", *VASSALS_PROGRAMS)
EMPEROR_ONLY = (
    "emperor.config",
    "emperor.control",
    "emperor.faces",
    "emperor.frontdoor",
    "emperor.probe",
    "emperor.webservers",
    "emperor.system.watch",
    "emperor.system.trust",
)


class Import(NamedTuple):
    line: int
    target: str


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / "emperor").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _imports(name: str) -> Iterator[Import]:
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield Import(node.lineno, inner if inner in MODULES else base)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _ours(target: str) -> bool:
    return target.split(".")[0] == "emperor"


def _within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(room + ".") for room in rooms)


def _place(name: str) -> tuple[int, str]:
    """(floor, room) of a module."""
    if name in GROUND:
        return 0, name
    for floor, rooms in enumerate(FLOORS[1:-1], 1):
        for room in rooms:
            if _within(name, (room,)):
                return floor, room
    return len(FLOORS) - 1, "emperor.programs"


def _emperors_own(name: str) -> bool:
    theirs = name in VASSALS_PROGRAMS or _within(name, VASSAL_ROOMS)
    program = _place(name)[0] == len(FLOORS) - 1 and not theirs
    return program or _within(name, EMPEROR_ONLY)


def _vassal_side() -> frozenset[str]:
    """The modules of a vassal's process: its rooms, its programs, and all that they import."""
    waiting = [name for name in MODULES if name in VASSAL_MODULES or _within(name, VASSAL_ROOMS)]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in MODULES:
            continue
        seen.add(name)
        waiting += [name.rpartition(".")[0], *(one.target for one in _imports(name) if _ours(one.target))]
    return frozenset(seen)


VASSAL_SIDE = _vassal_side()


@pytest.mark.parametrize("name", MODULES)
def test_every_room_has_a_floor(name: str) -> None:
    floor, _ = _place(name)
    program = _within(name, PROGRAM_FOLDERS) or (name.count(".") == 1 and MODULES[name].stem != "__init__")
    assert floor < len(FLOORS) - 1 or program, f"{name}: on no floor of the table"


@pytest.mark.parametrize("name", MODULES)
def test_no_import_goes_up_or_into_a_neighbour(name: str) -> None:
    floor, room = _place(name)
    wrong = []
    for one in _imports(name):
        there, neighbour = _place(one.target)
        if _ours(one.target) and (there > floor or (there == floor != 0 and neighbour != room)):
            wrong.append(f"{MODULES[name]}:{one.line}: {name} (floor {floor}) -> {one.target} (floor {there})")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", MODULES)
def test_every_import_of_ours_exists(name: str) -> None:
    gone = [one for one in _imports(name) if _ours(one.target) and one.target not in MODULES]
    assert not gone


@pytest.mark.parametrize("name", MODULES)
def test_an_outsider_enters_by_its_one_door(name: str) -> None:
    outsiders = {
        top
        for one in _imports(name)
        if (top := one.target.split(".")[0]) not in sys.stdlib_module_names and top != "emperor"
    }
    strangers = {top for top in outsiders if DOORS.get(top) != name}
    assert not strangers, f"{name} imports {strangers}"


@pytest.mark.parametrize("name", sorted(VASSAL_SIDE))
def test_the_vassal_side_is_python_3_9(name: str) -> None:
    path = MODULES[name]
    ast.parse(path.read_text(), str(path), feature_version=(3, 9))


@pytest.mark.parametrize("name", sorted(VASSAL_SIDE))
def test_the_vassal_side_imports_nothing_of_the_emperors(name: str) -> None:
    assert not _emperors_own(name)
    wrong = [one for one in _imports(name) if _ours(one.target) and _emperors_own(one.target)]
    assert not wrong, f"{name} imports {wrong}"


@pytest.mark.parametrize("name", sorted(VASSAL_SIDE - {DOORS["flup"], DOORS["h11"]}))
def test_the_vassal_side_imports_the_standard_library_alone(name: str) -> None:
    tops = {one.target.split(".")[0] for one in _imports(name)}
    assert tops <= sys.stdlib_module_names | {"emperor"}
