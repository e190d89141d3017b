"""What an ini says, asked of uWSGI itself: the same rows, or a difference that is listed with its reason."""

# ruff: noqa: E501  -- tables of inis, a line each
from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Union

import pytest
from hypothesis import given, settings

from emperor.intake.reading import Ini as IniAt
from emperor.intake.reading import ini_at
from tests.integration.oracle_inis import INIS, MARK, TEXTS, in_uwsgis_words
from tests.integration.oracle_world import (
    DIFFERENCES,
    ENVIRON,
    Answer,
    Ini,
    Refusal,
    Rows,
    folder_of,
    ours,
    read_here,
    theirs,
    uwsgi,
)
from tests.requirements import needs

pytestmark = needs("uwsgi")

EXAMPLES = int(os.environ.get("EMPEROR_ORACLE_EXAMPLES", "300"))
"""A campaign asks for more."""

B = {"b.ini": "[uwsgi]\nb = %n %N %o %O %s %c %x|\n[sec]\nc = %n %N %o %x|\n"}
G = {
    **TEXTS,
    **B,
    "g/i.ini": "[uwsgi]\nif-exists = a.conf\nx = 1\nend =\nif-exists = one.txt\ny = 1\nend =\nz = %d %c\n",
}

SAME: dict[str, Union[str, tuple[str, dict[str, str]]]] = {
    # lines
    "blanks and tabs around": " \ta\t=\t b \r\nb=c=d = e\nflag\nempty =\nx = 1\n",
    "quotes and comments stay in a value": 'a = "x"\nb = 1 ; c\n; x = 1\n # y = 1\n#z\nc = 1 # d\n',
    "carriage returns": "a = 1\r\n\r\nb = x\r y\r\n",
    "vertical tabs are no blanks": "a =\v x\f\n",
    "other spaces are no blanks": "a = \u00a0x\u2003\n",
    "accents": "a = é ü €\n",
    "repeated keys": "a = 1\na = 2\nb = %(a)\na = 3\n",
    "keys are case-sensitive": "a = 1\nA = 2\nb = %(a)%(A)\na_b = 3\na-b = 4\nc = %(a_b)%(a-b)",
    "no newline at the end": "a = 1\nb = 2",
    "sections": "a = 1\n[other]\nb = 2\n[uwsgi]\nc = 3\n[Uwsgi]\nd = 4\n[ uwsgi]\ne = 5\n[uwsgi:x]\nf = 6\n[uwsgi ]\ng = 7\n",
    "a header among blanks": "a = 1\n[x]\n \t[uwsgi]\t \nb = 2\n",
    # magic
    "letters of the path": "".join(f"{letter} = |%{letter}|\n" for letter in "opsnedc0123456789xijvhk"),
    "letters of the first path": "".join(f"{letter} = |%{letter}|\n" for letter in "OPSNEDCXIJ"),
    "escapes": "a = 100%% %%n %%%% %[x\n",
    "magic in a key": "%n-key = 1\nb = %(%n-key)\n",
    "magic in a comment": "; %n %%\na = 1\n",
    "magic in a section's header": "[%x]\na = 1\n[uw%%]\nb = 2\n[uwsgi]\nc = 3\n",
    # references
    "a reference": "a = 1\nb = %(a)\nc = x%(a)y%(a)\n",
    "a reference to what stands below": "a = x%(b)\nb = y%(c)\nc = z\n",
    "a chain": "a = 1\nb = <%(a)>\nc = <%(b)>\nd = %(c)\n",
    "what is unknown stays": "a = %(none) %() %(a\nb = $(NONE) $() $(ONE\n",
    "an escaped reference is one": "k = K\na = x%%(k) %%%(k)\n",
    "parentheses": "a = 1\nb = (%(a)) %(a)) %(a(b)) ((\n",
    "nested": "n = 1\nk1 = K\na = x%(k%(n))\nb = x%(k%(none))\nc = x%(none%(n))\n",
    "a symbol alone within a reference": "k = K\na = %(k%%k) $(ONE$x) %%%%(k)\n",
    "the environment": "a = $(ONE)$(WORD)$(EMPTY)|$$(ONE) $(W$(NAME)) %(k$(ONE))\nk1 = K\n",
    "an environment variable that refers": "a = $(REFERS)\nka = KA\n",
    "the environment in a key": "$(ONE)x = 1\n".replace("$(ONE)", "k"),
    "env does not count in the same ini": "env = NEW=1\na = $(NEW)\n",
    "log formats": "log-format = %(addr) - %(user) [%(ltime)] \"%(method) %(uri)\"\n",
    "a file": "a = @(one.txt)\nb = <@(g/refers.txt)>\nkb = KB\n",
    "a file with more than one end": ("a = <@(f)>\n", {"f": "x\r\n"}),
    "a file of two lines": ("a = <@(f)>\n", {"f": "x\ny\n\n"}),
    "an empty file": ("a = <@(f)>\n", {"f": ""}),
    "a file whose name is put together": ("a = @(%n.txt) x@($(F))\n".replace("$(F)", "f$(ONE)"), {"a.txt": "A", "f1": "F"}),
    "a missing file": "a = @(none)\n",
    "set": "set = k=v\nset = l=%(k)\na = %(k)%(l)\nset = m=\nset = n=a=b\n",
    "set-placeholder": "set-placeholder = k=v\nset-ph = l=w\na = %(k)%(l)\nset-ph = k=2\nb = %(k)\n",
    "set of set": "set = set=a=b\nset = set-ph=c=d\ne = %(a)%(c)\n",
    "set of an include": ("set = include=b.ini\n", B),
    # sums
    **{
        f"%({words})": f"a = 5\nb = 2\nneg = -7\nword = wo\nsome = 12abc\nbig = 9223372036854775807\nhex = 0x10\nr = <%({words})>\n"
        for words in (
            "a + 1", "a +1", "a+1", "a  +  1", "1 + 2 * 3", "a * b - 1", "a b", "a b + 2", "a ++", "a --", "++ a", "a / 0",
            "7 / 2", "neg / 2", "neg + 1", "-3 + 1", "none + 1", "none a", "a none", "a + word", "word + 1", "word * 2",
            "a - 9", " a", "a ", "  ", " + 3", "a + ", "a + + 3", "a + - 3", "a - - 3", "a 3", "3", "a ** 2", "big + 1",
            "big * 2", "neg - big", "a + 1 ++", "1 2 3", "b ++ 3", "some + 1", "hex + 1", "a + %(b)", "a (b) + 1", "-", "+", "a *",
            "007 + 0", "0 - 0", "a %% 2", "a + 1 2", "a + 1 b ++", "none none",
        )
    },
    # other files
    "include": ("k = 1\ninclude = b.ini\nk = 2\na = %(k) %(b) %n\n", B),
    "include in a folder": ("include = g/i.ini\n", G),
    "include by magic": ("include = %db.ini\nini = %d/b.ini:sec\n", B),
    "ini": ("ini = b.ini\nini = b.ini:sec\nini = :sec\n".replace("ini = :sec\n", ""), B),
    "a section of the last file": ("ini = b.ini:sec\nini = :more\n", {"b.ini": "[sec]\nc = 1\n[more]\nd = %n %x\n"}),
    "a section of this file": "ini = :sec\na = %n %x|\n[sec]\nb = %n %x %X|\n",
    "an ini of any name": ("ini = b.conf\n", {"b.conf": "[uwsgi]\nb = 1\n"}),
    "a section behind the last colon": ("ini = b:c.ini:sec\n", {"b:c.ini": "[sec]\nc = %n %o %x\n"}),
    "a missing ini": "include = none.ini\n",
    "inherit comes last": ("a = 1\ninherit = b.ini\nb = 2\n", B),
    "inherit by reference": ("d = b\ninherit = %(d).ini\nc = 1\n", B),
    "inherits in inherits": ("inherit = x.ini\ninherit = b.ini\na = 1\n", {**B, "x.ini": "[uwsgi]\nx = 1\ninherit = y.ini\n", "y.ini": "[uwsgi]\ny = 1\n"}),
    "a missing template": "inherit = none.ini\n",
    # blocks
    "for": "for = a b  c\nx = 1%(_)%(_)\ny = %(_)\nz = plain\nendfor =\nw = %(_)\n",
    "for without words": "for =\nx = %(_)\nendfor =\ny = 1\n",
    "for does not part at tabs": "for = a\tb c\nx = %(_)\nend\n",
    "for and sums": "for = 1 2\nx = %(_ + 1) y%(k%(_))\nend\nk1 = K1\nk2 = K2\n",
    "for-times": "for-times = 3\nx = %(_)\nend\nfor-times = 0\nx = no\nend\nfor-times = -2\nx = no\nend\nfor-times = 2x\ny = %(_)\nend\nfor-times = x\nz = 1\nend\n",
    "for-glob": ("for-glob = g/*\nx = %(_)\nend\nfor-glob = no/*\ny = %(_)\nend\nfor-glob = g/{a,b}.conf ~\nz = %(_)\nend\nfor-glob =\nw = [%(_)]\nend\nfor-glob = g\nu = %(_)\nend\nfor-glob = %dg/[ab]*\nv = %(_)\nend\n", G),
    "for-readline": ("for-readline = lines.txt\nx = [%(_)]\ny = %(_)\nend\nkc = KC\nfor-readline = none\nz = 1\nend\nfor-readline = empty\nz = 1\nend\n", {**TEXTS, "empty": ""}),
    "if-env": "if-env = ONE\na = %(_)\nend\nif-env = ONE=1\nb = %(_)\nend\nif-env = ONE=2\nc = 1\nend\nif-env = ONE = 1\nd = 1\nend\nif-env = EMPTY\ne = [%(_)]\nend\nif-env = EMPTY=\nf = 1\nend\nif-env =\ng = 1\nend\nifenv = ONE\nh = 1\nend\n",
    "if-not-env": "if-not-env = ONE\na = 1\nend\nif-not-env = ONE=2\nb = %(_)\nend\nif-not-env = NONE\nc = %(_)\nend\nif-not-env = NONE=x\nd = 1\nend\n",
    "if-opt": "k = v%n\nif-opt = k\na = %(_)\nend\nif-opt = k=v%n\nb = 1\nend\nif-opt = k=x\nc = 1\nend\nif-opt = later\nd = 1\nend\nlater = 1\nk = x\nif-opt = k=x\ne = 1\nend\nif-opt = a\nf = 1\nend\nset = q=1\nif-opt = q=1\ng = %(_)\nend\nif-opt = k=\nh = 1\nend\n",
    "if-not-opt": "k = v\nif-not-opt = k\na = 1\nend\nif-not-opt = k=v\nb = 1\nend\nif-not-opt = k=x\nc = %(_)\nend\nif-not-opt = none\nd = %(_)\nend\n",
    "if-exists": ("if-exists = a.ini\na = %(_)\nend\nif-exists = ./g\nb = %(_)\nend\nif-exists = %da.ini\nc = %(_)\nend\nif-exists = none\nd = 1\nend\nif-not-exists = none\ne = %(_)\nend\nif-exists =\nf = 1\nend\nifexists = g\ng = 1\nend\nif-not-exists =\nh = [%(_)]\nend\n", G),
    "if-file and if-dir": ("if-file = a.ini\na = %(_)\nend\nif-file = g\nb = 1\nend\nif-not-file = g\nc = 1\nend\nif-dir = g\nd = %(_)\nend\nif-not-dir = g\ne = 1\nend\nif-not-dir = a.ini\nf = %(_)\nend\nifdir = g/\ng = %(_)\nend\nif-directory = g\nh = 1\nend\n", G),
    "if-hostname": "if-hostname = %h\na = %(_)\nend\nif-not-hostname = x\nb = %(_)\nend\nif-hostname = x\nc = 1\nend\n",
    "if-reload": "if-reload =\na = 1\nend\nif-not-reload =\nb = %(_)\nend\n",
    "any end ends": "for = a b\nx = %(_)\nendif =\ny = 1\nif-env = ONE\nz = 1\nendfor\nif-env = NONE\nw = 1\nend-if = x\nif-env = NONE\nw = 1\nend-for\nv = 1\nend\n",
    "an end that ends nothing": "end\nendif =\na = 1\n",
    "ends are case-sensitive": "if-env = NONE\na = 1\nEndIf =\nEND\nb = 1\nendif =\nc = 1\n",
    "a block without an end": "a = 1\nif-env = ONE\nb = %(_)\n",
    "a block without an end that does not hold": "a = 1\nif-env = NONE\nb = %(_)\n",
    "a block that an included file leaves open": ("include = x.ini\na = %(_)\nend\nb = 1\n", {"x.ini": "[uwsgi]\nif-env = ONE\nx = 1\n"}),
    "a block that an included file would end": ("if-env = NONE\ninclude = x.ini\na = 1\nend\nb = 1\n", {"x.ini": "[uwsgi]\nend\nx = 1\n"}),
    "a file included by a loop": ("for = x y\ninclude = %(_).ini\nz = %(_)\nend\n", {"x.ini": "[uwsgi]\nx = %(_)\nend\nv = %(_)\n", "y.ini": "[uwsgi]\ny = 1\n"}),
    "a block in a block": "if-env = ONE\nif-env = WORD\na = 1\nend\nend\n",
    "a block in a file that a block includes": ("for = x\ninclude = %(_).ini\nend\n", {"x.ini": "[uwsgi]\nif-env = ONE\na = 1\nend\n"}),
    "set in a block": "if-env = ONE\nset = a=%(_)\nset-ph = b=%(_)\nend\nc = %(a)%(b)\n",
    "a key that is called _": "_ = U\nx = %(_)\nfor = 1 2\ny = %(_)\nend\n",
    "a section read in a block": "if-env = ONE\nini = :sec\nend\na = 1\n[sec]\nb = %(_)\n",
    "inherit in a block": ("if-exists = b.ini\ninherit = %(_)\nend\na = 1\n", B),
    "an unknown if is a key": "if-foo = 1\na = 1\nendif =\nif-not-directory = x\nb = 1\nend\n",
    "blocks over sections": "if-env = NONE\na = 1\n[other]\nend\n[uwsgi]\nb = 1\nend\nc = 1\n",
}  # fmt: skip


class Different(NamedTuple):
    """``uwsgi`` and ``here``: rows, or a piece of why it is refused."""

    difference: str
    files: Union[str, dict[str, Union[str, bytes]]]
    uwsgi: Union[Rows, str]
    here: Union[Rows, str]
    environ: dict[str, str] = {}  # noqa: RUF012


DIFFERENT = tuple(
    Different(*row)
    for row in (
        ("% before nothing known", "a = 1% b\nc = 100%\nd = 2\ne = %q", ("a = 1b", "c = 100d = 2", "e = "), ("a = 1% b", "c = 100%", "d = 2", "e = %q")),
        ("a reference at the beginning of a value", "a = %(b)\nb = %(c)\nc = C\n", ("a = %(c)", "b = C", "c = C"), ("a = C", "b = C", "c = C")),
        ("keys that refer to themselves", "a = %(a)\n", ("a = %(a)",), "refers to itself"),
        ("keys that refer to themselves", "a = x%(b)\nb = y%(a)\n", "", "refers to itself"),
        ("@(file) within a file that @(file) reads", {"a.ini": "[uwsgi]\na = @(f)\n", "f": "x@(one.txt)", **TEXTS}, ("a = xone",), ("a = x@(one.txt)",)),
        ("a NUL character", "a = x\0y\nb = 1\n", ("a = x", "b = 1"), "NUL"),
        ("bytes that are not UTF-8", {"a.ini": b"[uwsgi]\na = \xe9t\xe9\n"}, ("a = \udce9t\udce9",), "not UTF-8"),
        ("a byte order mark", {"a.ini": b"\xef\xbb\xbf[uwsgi]\na = 1\n"}, (), ("a = 1",)),
        ("a section's header", "a = 1\n[uwsgi];x\nb = 2\n", ("a = 1",), "ends with ]"),
        ("a section's header", "a = 1\n[uwsgix\nb = 2\n", ("a = 1", "b = 2"), "ends with ]"),
        ("option names", "= x\n", (" = x",), "neither a comment nor"),
        ("option names", "a b = x\n", ("a b = x",), "neither a comment nor"),
        ("a file without its section", {"a.ini": "a = 1\n"}, (), "no [uwsgi] section"),
        ("[emperor]", "a = 1\n[emperor]\nb = 2\n", ("a = 1",), ("a = 1", "b = 2")),
        ("names of included files", {"a.ini": "[uwsgi]\ninclude = b.ini:sec\n", **B}, "unable to load", ("c = b a b.ini sec|",)),
        ("names of included files", {"a.ini": "[uwsgi]\ninclude = b.conf\n", "b.conf": "[uwsgi]\nb = 1\n"}, "unable to load", ("b = 1",)),
        ("references in ini, include, for…, if…, set-placeholder", {"a.ini": "[uwsgi]\nd = g\ninclude = %(d)/x.ini\n", "g/x.ini": "[uwsgi]\nx = 1\n"}, "realpath()", ("d = g", "x = 1")),
        ("references in ini, include, for…, if…, set-placeholder", "d = a b\nfor = %(d) $(ONE)\nx = <%(_)>\nend\nif-exists = %n.$(NONE)\ny = 1\nend\nn = a\nif-exists = %(n).ini\nz = 1\nend\n",
         ("d = a b", "x = <a b>", "x = <1>", "n = a"), ("d = a b", "x = <a>", "x = <b>", "x = <1>", "n = a", "z = 1")),
        ("references in ini, include, for…, if…, set-placeholder", "k = v\nset-ph = p=%(k)\na = x%(p)\n", ("k = v", "p = %(k)", "a = xv"), ("k = v", "p = v", "a = xv")),
        ("references in inherited files", {"a.ini": "[uwsgi]\na = 1%(q)\ninherit = x.ini\n", "x.ini": "[uwsgi]\nq = 2%(a)$(ONE)\n"},
         ("a = 1%(q)", "q = 2%(a)$(ONE)"), "refers to itself"),
        ("references in inherited files", {"a.ini": "[uwsgi]\na = 1\nb = x%(q)\ninherit = x.ini\n", "x.ini": "[uwsgi]\nq = 2%(a)$(ONE)\n"},
         ("a = 1", "b = x%(q)", "q = 2%(a)$(ONE)"), ("a = 1", "b = x211", "q = 211")),
        ("set = key = value", "set = k = v\na = x%(k)\n", ("k  =  v", "a = x%(k)"), ("k = v", "a = xv")),
        ("else", "if-env = ONE\na = 1\nelse =\nb = 1\nend\n", ("a = 1", "else = ", "b = 1"), "not known to uWSGI 2.0"),
        ("a block in a block that does not hold", "if-env = NONE\nif-env = ONE\na = 1\nend\nb = 1\nend\n", ("b = 1",), "do not nest"),
        ("if-opt", "v = 1\nk = %(v)\nif-opt = k=1\na = 1\nend\n", ("v = 1", "k = 1"), ("v = 1", "k = 1", "a = 1")),
        ("if-not-opt and a line of its block that sets the key", "if-not-opt = k\nk = 1\na = 1\nend\n", ("k = 1",), ("k = 1", "a = 1")),
        ("files that draw in themselves", "include = a.ini\n", "dies of SIG", "more than 16 times"),
        ("UWSGI_… in the environment", "a = 1\n", ("foo-bar = x", "a = 1"), ("a = 1",), {"UWSGI_FOO_BAR": "x"}),
        ("%o in `ini = :section`", "ini = :sec\n[sec]\na = <%o>\n", ("a = <>",), ("a = <a.ini>",)),
        ("a line of more than 1023 bytes in for-readline", {"a.ini": "[uwsgi]\nfor-readline = f\na = %(_)\nend\n", "f": "x" * 1025}, ("a = " + "x" * 1023, "a = xx"), ("a = " + "x" * 1025,)),
        ("if-plugin = python", "if-not-plugin = python\na = 1\nend\nif-plugin = python\nb = 1\nend\n", ("a = 1",), ("b = 1",)),
    )
)  # fmt: skip


UNTOLD = {"@(folder)", "%i in an included file"}
"""What uWSGI says there is another thing each time."""


def ini_of(files: Union[str, tuple[str, dict[str, str]], dict[str, Union[str, bytes]]], environ: dict[str, str]) -> Ini:
    """A text alone is what [uwsgi] of a.ini holds."""
    environment = {**ENVIRON, **environ}
    if isinstance(files, str):
        return Ini({**TEXTS, "a.ini": "[uwsgi]\n" + files}, environ=environment)
    if isinstance(files, tuple):
        return Ini({"a.ini": "[uwsgi]\n" + files[0], **files[1]}, environ=environment)
    return Ini(files, environ=environment)


def both(ini: Ini) -> tuple[Answer, Answer]:
    program = uwsgi()
    assert program is not None
    with folder_of(ini) as folder:
        return theirs(ini, folder, program), ours(ini, folder)


@pytest.mark.parametrize("title", SAME)
def test_we_read_an_ini_as_uwsgi_does(title: str) -> None:
    uwsgis, here = both(ini_of(SAME[title], {}))
    assert agree(uwsgis, here), (uwsgis, here)


@pytest.mark.parametrize(
    "main",
    ["a.ini:sec", "a.ini:uwsgi", "g/deep.er.ini", "noext", ".ini", ".hidden.ini", "é.ini", "x.", "./g/deep.er.ini:sec"],
)
def test_the_name_of_the_ini_says_the_same(main: str) -> None:
    text = "".join(f"{letter} = |%{letter}|\n" for letter in "opsnedc0123456789xijvhkOPSNEDCXIJ")
    name = main.partition(":")[0].removeprefix("./")
    uwsgis, here = both(Ini({name: f"[uwsgi]\n{text}[sec]\n{text}"}, main))
    assert agree(uwsgis, here), (uwsgis, here)


@pytest.mark.parametrize("name", ["v/a.b.ini", "w/link.ini", "linked/a.b.ini"])
def test_the_emperor_names_an_ini_behind_links_as_uwsgi_does(name: str) -> None:
    """A link is named by its own path, what lies in a linked folder by its real one."""
    program = uwsgi()
    assert program is not None
    letters = "".join(f"{letter} = |%{letter}|\n" for letter in "opsnedc0123456789ijvOPSNEDCIJ")
    with folder_of(Ini({"v/a.b.ini": f"[uwsgi]\n{letters}", "w/x": ""})) as folder:
        os.symlink("../v/a.b.ini", f"{folder}/w/link.ini")
        os.symlink("v", f"{folder}/linked")
        path, main = os.path.split(name)
        here = os.path.realpath(f"{folder}/{path}")
        read = ini_at(f"{folder}/{name}")
        assert isinstance(read, IniAt)
        assert read_here(read.source, here, ENVIRON) == theirs(Ini({}, main), here, program)


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: case.difference)
def test_a_difference_is_as_it_is_listed(case: Different) -> None:
    uwsgis, here = both(ini_of(case.files, case.environ))
    assert matches(uwsgis, case.uwsgi), uwsgis
    assert matches(here, case.here), here


def test_each_difference_has_a_case_and_each_case_is_of_a_difference() -> None:
    assert {case.difference for case in DIFFERENT} | UNTOLD == {one.name for one in DIFFERENCES}


def test_each_difference_is_in_the_documentation() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "uwsgi-compat.md").read_text().splitlines()
    rows = [f"| {one.name} | {one.uwsgi} | {one.here} | {one.why} |" for one in DIFFERENCES]
    assert [row for row in rows if row not in documented] == []


@settings(max_examples=EXAMPLES)
@given(INIS)
def test_whatever_ini_is_drawn_we_read_it_as_uwsgi_does(ini: Ini) -> None:
    program = uwsgi()
    assert program is not None
    with folder_of(ini) as folder:
        here = ours(ini, folder)
        if isinstance(here, Refusal) and any("refers to itself" in reason for reason in here.reasons):
            return
        uwsgis = theirs(ini, folder, program)
        if agree(uwsgis, here):
            return
        in_words = in_uwsgis_words(ini)
        for name, text in in_words.files.items():
            with open(f"{folder}/{name}", "wb") as file:
                file.write(text if isinstance(text, bytes) else text.encode())
        again = theirs(in_words, folder, program)
    if not isinstance(again, Refusal):
        again = tuple(row.replace(MARK, "") for row in again)
    assert agree(again, here)


def agree(one: Answer, other: Answer) -> bool:
    """Both refuse, or they give the same rows in the same order."""
    return one == other or (isinstance(one, Refusal) and isinstance(other, Refusal))


def matches(answer: Answer, expected: Union[Rows, str]) -> bool:
    if isinstance(answer, Refusal):
        return isinstance(expected, str) and expected in " ".join(answer.reasons)
    return answer == expected
