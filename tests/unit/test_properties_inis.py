"""The ini language under drawn texts: it never raises, its work and its result are bounded, it gives nothing away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from emperor.config.language.inifile import LENGTH, Row
from emperor.config.language.logic import Files, Reach, Refused, World
from emperor.config.language.unfolding import FILES, ROWS, Source, Unfolded, unfold

SECRET = "Zq7"
"""In what no message may quote: values, files, the environment. No drawn key holds it."""

PIECES = (
    *"%$@()[]=;#:/_-+* \t\r\n\0",
    "\ufeff",
    "\n[uwsgi]\n",
    "[sec]",
    "[emperor]",
    "end\n",
    "else\n",
    "set = ",
    "set-ph = ",
    "include = ",
    "ini = ",
    "inherit = ",
    "for = ",
    "for-times = ",
    "for-glob = ",
    "for-readline = ",
    "if-env = ",
    "if-not-env = ",
    "if-opt = ",
    "if-not-opt = ",
    "if-exists = ",
    "if-dir = ",
    "if-not-file = ",
    "if-hostname-match = ",
    "if-plugin = ",
    "if-reload =",
    "a",
    "b",
    "k1",
    "9999999999999",
    "1",
    "%(_)",
    "%(a)",
    "%(b)",
    "%(a b)",
    "%(a + 1)",
    "%(k%(a))",
    "$(E)",
    "$(E$(a))",
    "@(f)",
    "@(/f.ini)",
    "%n",
    "%d",
    "%q",
    "f.ini",
    ":sec",
    "f.ini:sec",
    "*",
    SECRET,
    "é",
    "\v",
    "++",
    "a = ",
    "\na = %(b)%(b)%(b)\n",
    "\nb = %(a)",
)
TEXT = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
LOOPS = "[uwsgi]\nfor-times = 1000\na = %(_)\nb = %(_)\nc = %(_)\nend\n"
DOUBLING = "[uwsgi]\n" + "".join(f"k{n} = %(k{n + 1})%(k{n + 1})\n" for n in range(40)) + "k40 = xx\n"
DEEP = "[uwsgi]\na = " + "%(b" * 1000 + ")" * 1000 + "\n"
GROWING = "[uwsgi]\nfor-times = 1000\ninclude = f.ini\nend\n"


@dataclass
class Counted:
    """Each file holds ``text``; how often was one asked for?"""

    text: str = ""
    asked: int = 0

    def read(self, path: str) -> str:
        self.asked += 1
        return self.text

    def exists(self, path: str) -> bool:
        self.asked += 1
        return "f" in path

    is_file = is_dir = exists

    def glob(self, pattern: str) -> Sequence[str]:
        self.asked += 1
        return [f"{pattern}{SECRET}"] * 20


REFUSED = "is only for an administrator's ini"


class Untouched:
    """No method of it may be called."""

    def read(self, path: str) -> str:
        raise AssertionError(path)

    def glob(self, pattern: str) -> Sequence[str]:
        raise AssertionError(pattern)

    def exists(self, path: str) -> bool:
        raise AssertionError(path)

    is_file = is_dir = exists


class Refusing:
    """What a user's ini has of the machine."""

    def read(self, path: str) -> str:
        raise Refused(REFUSED)

    def glob(self, pattern: str) -> Sequence[str]:
        raise Refused(REFUSED)

    def exists(self, path: str) -> bool:
        raise Refused(REFUSED)

    is_file = is_dir = exists


def read(text: str, files: Files) -> Unfolded:
    reach = Reach({"E": SECRET, "HOME": "/home/x"}, files, True)
    return unfold([Source("/v/a.ini", text, given="a.ini")], World("/v", {"h": "box"}, reach, reach))


@given(TEXT, TEXT)
@example(LOOPS, "")
@example(DOUBLING, "")
@example(DEEP, "")
@example(GROWING, LOOPS)
@example("[uwsgi]\ninclude = f.ini\n", "[uwsgi]\ninclude = f.ini\ninherit = f.ini\ninclude = g.ini\n")
@example("[uwsgi]\ninherit = f.ini\n", "[uwsgi]\ninherit = f.ini\n")
@example("[uwsgi]\nset = " + "set=" * 900 + "a=b\n", "")
@example("[uwsgi]\na = @(f)%(a)\n" * 100, "x" * 8000)
def test_whatever_is_written_nothing_is_raised_and_all_is_bounded(text: str, drawn: str) -> None:
    files = Counted(f"[uwsgi]\n{drawn}")
    found = read(f"[uwsgi]\n{text}", files)
    assert len(found.rows) <= ROWS
    assert all(len(row.value) <= LENGTH and "\0" not in row.value for row in found.rows)
    assert len(found.files) <= FILES
    assert files.asked <= 4 * ROWS


@given(TEXT, TEXT)
@example(f"a = %({SECRET})\n{SECRET}", "")
@example(f"include = {SECRET}\nfor-glob = {SECRET}\na = @({SECRET})\nend", "")
@example(f"ini = :{SECRET}\ninherit = f.ini:{SECRET}", "")
def test_no_message_quotes_what_stands_in_a_file_or_the_environment(text: str, drawn: str) -> None:
    found = read(f"[uwsgi]\na = {SECRET}\n{text}", Counted(f"[uwsgi]\nb = {SECRET}\n{drawn}"))
    assert SECRET not in "".join(problem.message for problem in found.problems)


@given(TEXT, TEXT)
@example("a = @(f)\n\ninclude = f.ini", "c = 1")
def test_a_user_s_ini_reads_nothing_and_no_variable(text: str, last: str) -> None:
    admin = Reach({"E": SECRET}, Untouched(), trusted=True)
    theirs = text.replace(SECRET, "")
    parts: list[Row | Source] = [
        Source("/v/a.ini", f"[uwsgi]\n{theirs}"),
        Row("z", "%(a)%(b)", "vassal-set", 0, admin=True),
    ]
    found = unfold(parts, World("/v", {}, Reach({}, Refusing(), trusted=False), admin))
    assert SECRET not in repr(found)
    assert found.files == ()


@given(TEXT)
@example("if-env = NONE\na = 1")
def test_whatever_a_user_writes_the_administrator_s_last_line_counts(text: str) -> None:
    admin = Reach({}, Untouched(), trusted=True)
    parts: list[Row | Source] = [
        Source("/v/a.ini", f"[uwsgi]\n{text}"),
        Row("limit-as", "100", "vassal-set", 0, admin=True),
    ]
    found = unfold(parts, World("/v", {}, Reach({}, Refusing(), trusted=False), admin))
    last = [(row.key, row.value) for row in found.rows if row.path == "vassal-set"]
    # An ini that is over its bounds has no rows, and is not run.
    assert last == [("limit-as", "100")] or (not found.rows and any(problem.fatal for problem in found.problems))
