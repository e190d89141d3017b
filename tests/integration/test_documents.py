"""What is written for people is generated from what runs, or held against it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from contrib import readme
from contrib.uwsgi_names import ours
from emperor.config import options
from emperor.config.table.option import DONE
from emperor.ctl import cli
from tests.requirements import needs
from tests.unit.config_world import check

ROOT = Path(__file__).resolve().parents[2]


README, COMPAT = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/uwsgi-compat.md"))


def test_the_readmes_option_table_is_the_one_that_emperorctl_prints() -> None:
    assert readme.part(README, "options") == options.markdown().strip(), "run: make readme"


def test_the_readme_compares_with_uwsgi_in_the_words_of_the_page_about_it() -> None:
    assert readme.part(README, "short") == readme.part(COMPAT, "short"), "run: make readme"


def test_the_page_about_uwsgi_has_every_option_with_its_standing() -> None:
    assert readme.compatibility(COMPAT) == COMPAT, "run: make readme"
    assert [one for one in ours() if not re.search(rf"[` ]{re.escape(one)}[` ]", COMPAT)] == []


@needs("uwsgi")
def test_every_option_that_an_installed_uwsgi_tells_of_is_known() -> None:
    program = shutil.which("uwsgi") or shutil.which("uwsgi-core")
    assert program is not None
    told = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60).stdout
    names = re.findall(r"^ +(?:-\S\|)?--(\S+)", told, re.MULTILINE)
    assert len(names) > 500
    assert [one for one in names if not options.find(one) and not options.find_uwsgi(one)] == []


DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
INIS = [
    pytest.param(found[1], id=f"{document.name}:{text[: found.start(1)].count(chr(10)) + 1}")
    for document in DOCUMENTS
    for text in [document.read_text(encoding="utf-8")]
    for found in re.finditer(r"(?:```ini|<<'INI')\n(\[uwsgi\]\n.*?)(?:```|INI)", text, re.DOTALL)
]


@pytest.mark.parametrize("ini", INIS)
def test_an_ini_of_the_documents_is_a_good_one_without_a_warning(ini: str) -> None:
    checked = check(*ini.splitlines()[1:])
    assert checked.spec is not None and checked.problems == ()


def test_the_documents_show_whole_inis() -> None:
    assert {str(one.id).split(":")[0] for one in INIS} >= {"README.md", "operations.md"}


def test_every_option_that_the_operations_page_sets_is_one_and_takes_that_value() -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    found = re.findall(r"`([a-z-]+) = ([^`]+)`", text)
    assert len(found) > 10
    for name, value in found:
        option = options.find(name)
        assert option is not None and option.standing == DONE, name
        option.kind.parse(value)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_every_verb_that_the_documents_name_is_one(document: Path) -> None:
    verbs = set(re.findall(r"emperorctl (?:--json )?([a-z]{3,})\b", document.read_text(encoding="utf-8")))
    assert verbs <= set(cli.VERBS)


def test_every_link_of_the_documents_leads_to_a_file() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    for decision in (ROOT / "docs/decisions").glob("0*.md"):
        assert decision.name in index


LAST = {"A": 12, "B": 10, "C": 6, "D": 7, "E": 8}
ROWS = {
    "docs/security.md": {f"{letter}{n}" for letter, last in LAST.items() for n in range(1, last + 1)},
    "docs/reliability.md": {f"F{n}" for n in range(1, 63)},
}
"""The threats and faults that the project answers for."""


@pytest.mark.parametrize("document", ROWS)
def test_every_threat_and_every_fault_names_tests_that_are_there(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([A-F]\d+) \| (.*)$", text, re.MULTILINE))
    assert rows.keys() == ROWS[document]
    held = {row: re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+)[^`]*)?`", cells) for row, cells in rows.items()}
    assert [row for row, tests in held.items() if not tests] == []
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for tests in held.values() for path, _ in tests}
    named = [(path, test) for tests in held.values() for path, test in tests if test]
    assert [one for one in named if f"def {one[1]}(" not in sources[one[0]]] == []
