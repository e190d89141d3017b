"""Write the generated parts of README.md and docs/uwsgi-compat.md anew: ``make readme``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emperor.config import options
from emperor.config.options import TABLE
from emperor.config.table.option import ALWAYS, DONE, INSTEAD, REFUSED, Option
from emperor.config.table.uwsgi_names import GROUPS

ROOT = Path(__file__).resolve().parent.parent
README, COMPAT = ROOT / "README.md", ROOT / "docs/uwsgi-compat.md"

_STANDINGS = (
    (ALWAYS, "Accepted, because it is always so", "Nothing is said about these, unless one is turned off."),
    (INSTEAD, "Without effect here, and what does it", "The app runs, and a warning says this."),
    (REFUSED, "Refused", "Without them something else would run than what the ini asks for."),
)


def part(text: str, name: str) -> str:
    """What stands between ``<!-- name … -->`` and ``<!-- /name -->``."""
    found = _part(name).search(text)
    if found is None:
        raise ValueError(f"no part {name}")
    return found[2].strip()


def _part(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name}(?::.*?)? -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)


def _with(text: str, name: str, content: str) -> str:
    return _part(name).sub(lambda found: f"{found[1]}{content.strip()}\n{found[3]}", text)


def readme(text: str, compat: str) -> str:
    """README.md with its table of options, and with the short comparison, which is written in docs/uwsgi-compat.md."""
    return _with(_with(text, "options", options.markdown()), "short", part(compat, "short"))


def compatibility(text: str) -> str:
    """docs/uwsgi-compat.md with every option of uWSGI's."""
    return _with(text, "options", "\n".join((*_done(), *_standings(), *_groups())))


def _done() -> Iterator[str]:
    yield "### Done\n"
    yield ", ".join(f"`{name}`" for one in TABLE if one.standing == DONE for name in (one.name, *one.aliases)) + "."


def _standings() -> Iterator[str]:
    for standing, title, text in _STANDINGS:
        rows = [one for one in TABLE if one.standing == standing]
        yield f"\n### {title}\n\n{text}\n"
        for sentence in dict.fromkeys(one.help for one in rows):
            yield f"- {_names(one for one in rows if one.help == sentence)}: {sentence}."


def _names(rows: Iterator[Option]) -> str:
    return ", ".join(f"`{one.name}`" for one in rows)


def _groups() -> Iterator[str]:
    yield "\n### Not supported, by what they are about\n"
    yield "The app runs, and a warning says the sentence.\n"
    for group in GROUPS:
        names = " ".join(word.rstrip("!?").partition("/")[0] for word in group.names.split())
        lost = f"{group.part} -- " if group.part else ""
        yield f"- **{group.title}**: {lost}{group.reason}."
        yield f"  <details><summary>names</summary>\n\n  `{names}`\n  </details>"


def main() -> None:
    compat = compatibility(COMPAT.read_text(encoding="utf-8"))
    COMPAT.write_text(compat, encoding="utf-8")
    README.write_text(readme(README.read_text(encoding="utf-8"), compat), encoding="utf-8")


if __name__ == "__main__":
    main()
