"""What uWSGI's own option tables and ours do not agree on: ``python contrib/uwsgi_names.py SOURCE_FOLDER``.

For the maintainer, when uWSGI has a new release: SOURCE_FOLDER is its unpacked source. Exit 1 if there is a difference.
The fingerprint is for tests/unit/test_uwsgi_names.py, which has no source to look at.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from emperor.config.options import TABLE, find, find_letter, find_uwsgi, find_uwsgi_letter
from emperor.config.table.uwsgi_names import GROUPS

_TEXT = r'(?:\(char \*\)\s*)?"'
_ROW = re.compile(
    rf"\{{\s*{_TEXT}([^\"]+)\"\s*,\s*(required|no|optional)_argument\s*,\s*(?:'(.)'|[\w-]+)\s*,\s*{_TEXT}"
)


class Name(NamedTuple):
    """An option as uWSGI has it."""

    name: str
    takes_value: bool
    letter: str


def of_source(folder: Path) -> Iterator[Name]:
    """Every row of every option table; a name may come twice."""
    for file in sorted((*folder.glob("core/*.c"), *folder.glob("plugins/*/*.c"), *folder.glob("plugins/*/*.cc"))):
        for name, arity, letter in _ROW.findall(file.read_text(encoding="utf-8", errors="replace")):
            yield Name(name, arity == "required", letter)


def ours() -> Iterator[str]:
    """Every name that is known here."""
    yield from (name for option in TABLE for name in (option.name, *option.aliases))
    yield from (word.rstrip("!?").partition("/")[0] for group in GROUPS for word in group.names.split())


def _differs(theirs: Name) -> str:
    option, foreign = find(theirs.name), find_uwsgi(theirs.name)
    if option is None and foreign is None:
        return "not known here"
    takes = not option.kind.bare if option else bool(foreign and foreign.takes_value)
    if takes != theirs.takes_value:
        return f"takes {'a' if theirs.takes_value else 'no'} value"
    letter = find_letter(theirs.letter) or find_uwsgi_letter(theirs.letter)
    return f"has the letter {theirs.letter}, not known here" if theirs.letter and letter is None else ""


def fingerprint(names: Iterable[tuple[str, bool]]) -> str:
    """Of names, each with whether it takes a value."""
    lines = "".join(f"{name} {takes_value:d}\n" for name, takes_value in sorted(set(names)))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def main() -> int:
    theirs = {one.name: one for one in of_source(Path(sys.argv[1]))}
    wrong = [f"{name}: {why}" for name, one in sorted(theirs.items()) if (why := _differs(one))]
    print(f"{len(theirs)} options of uWSGI's, {len(wrong)} differ")
    print("fingerprint:", fingerprint(one[:2] for one in theirs.values()))
    print("\n".join(wrong))
    print("not uWSGI's:", " ".join(sorted(set(ours()) - set(theirs))))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
