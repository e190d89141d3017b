"""Which modules root's daemon can reach, read from the sources alone, and how many lines of code that is.

    python3 -m contrib.root_side            one line for each room, and the sum
    python3 -m contrib.root_side --modules  one for each module

It promises: nothing of ours is imported or run; an import counts wherever it stands, within functions and ``if
TYPE_CHECKING`` too. What is left out stands in ``CUT``, with the reason.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "emperor"
DAEMON = "emperor.cli"
"""Where the daemon begins: all that it is wired of hangs together from here."""


class Edge(NamedTuple):
    """One module that imports another."""

    source: str
    target: str


CUT = {
    Edge("emperor.cli", "emperor.single"): "`emperor run` is another command: the daemon never comes to that line",
}
"""Imports that the daemon does not execute."""

AFTER_THE_DROP = {
    Edge("emperor.inherited", "emperor.system.interpreter"): (
        "`emperor run` on a web server's socket: asked for the app's Python once the process is the app's user"
    ),
}
"""Imports of what only runs in a process that has dropped root's rights for good."""

FROM_OURSELVES = {
    Edge("emperor.system.scout", "pickle"): (
        "the answer of a fork of the daemon's own, with the same rights and program: no process of a user's writes it"
    ),
    Edge("emperor.system.library", "importlib.util"): "where modules lie that are copied for vassals: it imports none",
    Edge("emperor.inherited", "importlib.util"): "where modules lie that an app is given besides ours: it imports none",
}
"""Imports of what would be dangerous in any other module."""

_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def modules() -> dict[str, Path]:
    """Every module of the package, by name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """What a module of ours imports: modules, by their full names. A name that is drawn from one is not told."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in MODULES else base


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def reached(start: str, without: Collection[Edge] = ()) -> dict[str, str]:
    """Every module that is imported from ``start`` on, ours and others, and who imports it first."""
    waiting, seen = [Edge("", start)], dict[str, str]()
    while waiting:
        source, name = waiting.pop(0)
        if name in seen:
            continue
        seen[name] = source
        if name in MODULES:
            # A package's own file is executed before what lies in it.
            parents = [name.rpartition(".")[0]] if "." in name else []
            edges = (Edge(name, target) for target in (*parents, *imports(name)))
            waiting += [edge for edge in edges if edge not in without]
    return seen


def way_to(name: str, seen: dict[str, str]) -> str:
    """The chain of imports that leads there."""
    chain = [name]
    while seen[chain[-1]]:
        chain.append(seen[chain[-1]])
    return " <- ".join(chain)


def code_lines(text: str) -> int:
    """Lines that hold code: without blanks, comments and docstrings (those of attributes too)."""
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def counted() -> dict[str, int]:
    """Module → lines of code, for all of ours that the daemon can reach."""
    return {name: _lines_of(name) for name in sorted(reached(DAEMON, CUT)) if name in MODULES}


def _lines_of(name: str) -> int:
    return code_lines(MODULES[name].read_text(encoding="utf-8"))


def _room(name: str) -> str:
    words = name.split(".")
    if words[1:3] == ["config", "table"]:
        return "config/table/ (options)"
    in_a_room = len(words) > 2 or (len(words) == 2 and MODULES[name].name == "__init__.py")
    return f"{words[1]}/" if in_a_room else "(top)"


def main(words: list[str]) -> int:
    lines = counted()
    rooms: Counter[str] = Counter()
    for name, number in lines.items():
        rooms[name if "--modules" in words else _room(name)] += number
    for room, number in sorted(rooms.items(), key=lambda row: -row[1]):
        print(f"{number:6}  {room}")
    print(f"{sum(lines.values()):6}  lines of code in {len(lines)} modules run with root's rights")
    whole = sum(map(_lines_of, MODULES))
    print(f"{whole:6}  in the whole package, {len(MODULES)} modules")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
