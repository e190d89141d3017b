"""Root's side is small: its sources import no app, no virtualenv and no web protocol, wherever an import stands."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

import pytest

from contrib.root_side import (
    AFTER_THE_DROP,
    CUT,
    DAEMON,
    FROM_OURSELVES,
    MODULES,
    ROOT,
    Edge,
    code_lines,
    counted,
    imports,
    reached,
    way_to,
)

NOT_ROOTS = (
    # What a request passes through, and what an app is.
    "emperor.protocol",
    "emperor.wsgi",
    "emperor.serving",
    # Processes of users.
    "emperor.crew",
    "emperor.duty",
    "emperor.launch",
    "emperor.launch_lone",
    "emperor.lone",
    "emperor.orphans",
    "emperor.vassal",
    "emperor.worker",
    "emperor.system.rlimits",
    "emperor.system.stacks",
    "emperor.system.statslistener",
    "emperor.system.statsserver",
    "emperor.system.uplink",
    # What looks into virtualenvs, or where users can write.
    "emperor.system.interpreter",
    "emperor.system.lookout",
    "emperor.system.sources",
    # The front door, which is a child without rights.
    "emperor.front",
    "emperor.frontdoor",
    # What emperorctl does, as whoever typed it.
    "emperor.ctl",
    "emperor.doctor",
    "emperor.probe",
    "emperor.system.conversation",
    "emperor.system.deputy",
    "emperor.trial",
    "emperor.webservers",
)

OTHERS = frozenset({"watchdog"})
"""The only package of other people's that runs with root's rights."""

NO_STANDARD_LIBRARY = (
    *("asyncio", "builtins", "code", "codeop", "ensurepip", "ftplib", "http", "imaplib", "importlib", "marshal"),
    *("multiprocessing", "pickle", "pip", "pkgutil", "poplib", "runpy", "shelve", "site", "smtplib", "socketserver"),
    *("ssl", "urllib.request", "venv", "wsgiref", "xmlrpc"),
)
"""Web protocols, virtualenvs, and what makes code of data or of names."""

CODE_BY_NAME = frozenset(
    {"__builtins__", "__import__", "compile", "eval", "exec", "exec_module", "import_module", "load_module"}
    | {"module_from_spec", "builtins", "modules"}
)
"""What brings in code that no ``import`` names, also by another name of its own; ``sys.modules`` holds all."""

CODE_IN_A_STRING = {
    "emperor.system.library": "a rehearsal: our own interpreter imports what vassals run",
    "emperor.system.processes": "the trampoline, a shell that is the user already",
}
"""Modules with a program's ``-c``."""


def _lies_in(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _strange(seen: dict[str, str], but: frozenset[str] = frozenset()) -> list[str]:
    """What is not root's among the modules that were reached, each with its way."""
    tops = OTHERS | sys.stdlib_module_names | {"emperor"}
    return [
        way_to(name, seen)
        for name in seen
        if name not in but
        and (_lies_in(name, (*NOT_ROOTS, *NO_STANDARD_LIBRARY)) or name.partition(".")[0] not in tops)
    ]


def _names(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute) and (node.attr != "compile" or ast.unparse(node) != "re.compile"):
            yield node.attr


def _has_code_in_a_string(text: str) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == "-c" for node in ast.walk(ast.parse(text)))


def test_the_daemon_reaches_no_app_no_virtualenv_and_no_web_protocol() -> None:
    seen = reached(DAEMON, {*CUT, *FROM_OURSELVES})
    assert {"emperor.daemon", "emperor.reign", "emperor.startup", "emperor.system.privilege"} <= seen.keys()
    assert not _strange(seen), "\n".join(_strange(seen))


def test_nor_does_the_command_that_serves_one_app_in_the_foreground() -> None:
    seen = reached("emperor.single", {*AFTER_THE_DROP, *FROM_OURSELVES})
    assert {"emperor.daemon", "emperor.inherited"} <= seen.keys()
    assert not _strange(seen), "\n".join(_strange(seen))


def _of_roots() -> dict[str, str]:
    return {name: MODULES[name].read_text() for name in reached(DAEMON, CUT) if name in MODULES}


def test_the_daemon_runs_no_code_that_its_imports_do_not_name() -> None:
    texts = _of_roots()
    found = {name: sorted(set(_names(text)) & CODE_BY_NAME) for name, text in texts.items()}
    assert not {name: names for name, names in found.items() if names}
    assert {name for name, text in texts.items() if _has_code_in_a_string(text)} == CODE_IN_A_STRING.keys()


@pytest.mark.parametrize(
    "line",
    [
        *("by_name = importlib.import_module", "importlib.util.module_from_spec(spec)", "builtins.exec(text)"),
        *("run = exec", "this.compile(text)", "sys.modules['builtins']", "__builtins__['eval']"),
    ],
)
def test_code_by_name_is_seen_under_another_name_too(line: str) -> None:
    assert set(_names(line)) & CODE_BY_NAME


@pytest.mark.parametrize("edge", [*CUT, *AFTER_THE_DROP, *FROM_OURSELVES])
def test_what_is_left_out_is_still_there_and_nobody_elses(edge: Edge) -> None:
    """An exception that nothing needs any more would hide the next import."""
    assert edge.target in imports(edge.source)
    start = "emperor.single" if edge in AFTER_THE_DROP else DAEMON
    assert edge.target not in reached(start, {*CUT, *AFTER_THE_DROP, *FROM_OURSELVES})


def test_every_room_that_is_not_roots_exists() -> None:
    assert not [name for name in NOT_ROOTS if name not in MODULES]


TEXT = '''\
"""Doc

string."""

# why
A = """two
lines"""
"""Of A."""


def f():
    """It."""
    return (
        1
    )
'''


def test_a_line_of_code_is_none_of_blanks_comments_and_docstrings() -> None:
    assert code_lines(TEXT) == len(["A = two", "lines", "def", "return", "1", ")"])


def test_the_documents_say_how_many_lines_run_with_roots_rights() -> None:
    """About: within a twentieth."""
    said = re.search(r"About (\d+) (\d{3}) lines of code in", (ROOT / "docs/security.md").read_text())
    assert said is not None
    assert abs(int("".join(said.groups())) / sum(counted().values()) - 1) < 0.05
