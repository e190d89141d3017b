"""What is written for people is generated from what runs, or held against it."""

from __future__ import annotations

import re
from pathlib import Path

from emperor.config import options

ROOT = Path(__file__).resolve().parents[2]


def test_the_readmes_option_table_is_the_one_that_emperorctl_prints() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- options: .*? -->\n(.*?)\n<!-- /options -->", text, re.DOTALL)
    assert found is not None
    assert found[1].strip() == options.markdown().strip(), "run: make readme"


def test_every_link_of_the_documents_leads_to_a_file() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    for decision in (ROOT / "docs/decisions").glob("0*.md"):
        assert decision.name in index
