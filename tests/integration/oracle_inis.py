"""Inis that a person might write, drawn at random: folders of files for ``oracle_world``.

What is listed as a difference is left out where it would hide what else is wrong; ``in_uwsgis_words`` covers the rest.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st

from tests.integration.oracle_world import Ini

KEYS = ("ka", "kb", "kc", "kd", "k1", "k2", "procname-prefix", "log-format")
"""Their values may refer to others."""
PLAIN = ("num", "no", "lit", "zero", "wide")
"""Keys of literal values: what is calculated, compared and nested."""
LITERALS = (
    "1",
    "2",
    "7",
    "-3",
    "+4",
    "007",
    "12abc",
    "word",
    "",
    "9223372036854775807",
    "99999999999999999999",
    "0x1f",
)
LOGIC = (
    "for = a b  c", "for = a\tb c", "for =", "for-times = 2", "for-times = 0", "for-times = 3x", "for-times = -1",
    "for-glob = g/*.conf", "for-glob = none/*.x", "for-glob = g/[ab]*", "for-glob = g", "for-readline = lines.txt",
    "if-env = ONE", "if-env = NONE", "if-env = ONE=1", "if-env = ONE=2", "if-env = EMPTY", "if-not-env = ONE",
    "if-not-env = NONE", "if-not-env = ONE=2", "ifenv = WORD=word", "if-exists = a.ini", "if-exists = g",
    "if-exists = nothing", "if-not-exists = nothing", "if-file = a.ini", "if-file = g", "if-not-file = g",
    "if-dir = g", "if-not-dir = g", "if-directory = g", "if-opt = num", "if-opt = none", "if-opt = num=1",
    "if-opt = lit=word", "if-not-opt = digit", "if-not-opt = none", "if-not-opt = digit=2", "if-reload =",
    "if-not-reload =", "if-hostname = %h", "if-not-hostname = %h", "if-exists = %dg", "if-opt = ka",
)  # fmt: skip
ENDS = ("end", "endif", "end-if =", "endfor = x", "end-for")
PIECES = (
    "a", "/p/q", "1", "x y", "=", "(", ")", " ; c", '"q"', "%%", "é", "%n", "%d", "%s", "%c", "%e", "%N", "%S", "%x",
    "%p", "%0", "%9", "%v", "%h", "%k", "%o", "%I", "%j", "%P", "%(_)", "$(ONE)", "$(WORD)", "$(NONE)", "$()",
    "$(REFERS)", "$(W$(NAME))", "@(one.txt)", "@(g/refers.txt)", "%()", "%(none)", "%(ka", "$(", "%q", "%!", "100%",
    "%%n", "%%(ka)", "%(k%(digit))", "(%(ka)(b))", "$%(num)", "%$(ONE)", "$$(ONE)", "@@(one.txt)", "%(%n)", "%(num )",
)  # fmt: skip
TEXTS = {
    "one.txt": "one\n", "g/refers.txt": "<%(kb)>\r\n", "lines.txt": "l1\n; c\n\n  sp  \r\nk=v\n%(kc) $(ONE) %n\nlast",
    "g/a.conf": "", "g/b.conf": "", "g/deep/x": "",
}  # fmt: skip


def _spaced(key: str, value: str, gaps: tuple[str, str, str]) -> str:
    return f"{gaps[0]}{key}{gaps[1]}={gaps[2]}{value}"


GAPS = st.tuples(*(st.sampled_from(("", " ", "", "\t", "  ", " \t")) for _ in range(3)))
OPERANDS = st.sampled_from((*PLAIN, "none", "3", "10", "0"))
SUMS = st.lists(
    st.tuples(OPERANDS, st.sampled_from(("+", "-", "*", "/", "", "", "++", "--", "+ -", "+  "))), max_size=3
)
SUM = st.builds(
    lambda pairs, last: "%(" + " ".join((*(word for pair in pairs for word in pair), last)) + ")", SUMS, OPERANDS
)
PIECE = st.one_of(st.sampled_from(PIECES), st.sampled_from(KEYS + PLAIN).map(lambda key: f"%({key})"), SUM)
VALUE = st.lists(PIECE, max_size=4).map("".join)
ASSIGNED = st.builds(_spaced, st.sampled_from(KEYS), VALUE, GAPS)
LITERAL = st.builds(_spaced, st.sampled_from(PLAIN), st.sampled_from(LITERALS), GAPS)
SET = st.builds(
    lambda word, key, value: f"{word} = {key}={value}",
    st.sampled_from(("set", "set-placeholder", "set-ph")),
    st.sampled_from(PLAIN),
    st.sampled_from(LITERALS),
)
ODD = st.sampled_from(("", "  ", "; c %n", "# c = %q", "flag", "key-alone", "EndIf", " ;", "END = 1"))
LINE = st.one_of(ASSIGNED, ASSIGNED, LITERAL, SET, ODD)
DRAWS = st.sampled_from(("include = b.ini", "include = g/c.ini", "ini = b.ini:sec", "ini = b.ini", "include=%db.ini"))
BLOCK = st.builds(
    lambda head, body, end: [head, *body, end],
    st.sampled_from(LOGIC),
    st.lists(st.one_of(LINE, LINE, LINE, DRAWS), max_size=3),
    st.sampled_from((*ENDS, *ENDS, *ENDS, "")),
)


def _flat(pieces: list[list[str]]) -> list[str]:
    """A block that is left open goes on to the next ``end``; nothing begins another one within it."""
    lines: list[str] = []
    open_ = False
    for piece in pieces:
        begins = piece[0] in LOGIC
        if begins and open_:
            lines.append("end =")
        lines += piece
        open_ = piece[-1] == "" if begins else open_
    return lines


def _lines(*more: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
    one = LINE.map(lambda line: [line])
    return st.lists(st.one_of(one, one, one, *more), max_size=8).map(_flat)


CLOSED = BLOCK.map(lambda lines: lines if lines[-1] else [*lines, "end"])
INHERITED = st.lists(
    st.sampled_from(("ia = %n %N", "ib = lit", "for = x y", "ic = %(_)", "end", "; c")), max_size=4
).map(lambda lines: ["[uwsgi]", *(lines if "for = x y" not in lines[:-1] else [*lines[:1], "ib = 2"])])


def _joined(lines: list[str], newline: str, last: bool) -> str:
    return newline.join(lines) + (newline if last else "")


def _file(lines: st.SearchStrategy[list[str]]) -> st.SearchStrategy[str]:
    return st.builds(_joined, lines, st.sampled_from(("\n", "\n", "\r\n")), st.booleans())


HEADS = st.sampled_from(("[uwsgi]", "[uwsgi]", " [uwsgi]\t"))
OTHERS = st.sampled_from(("[other]", "[uwsgi:x]", "[Uwsgi]", "[ uwsgi]"))
NAMELESS = st.one_of(ASSIGNED, LITERAL).map(lambda line: line.replace("%o", "%s"))
"""``ini = :sec`` may read it: see DIFFERENCES for %o."""
MAIN = st.builds(
    lambda head, first, other, between, again, section: [
        "outside = 1", head, *first, other, *between, head, *again, "[sec]", *section,
    ],
    HEADS,
    _lines(BLOCK, DRAWS.map(lambda line: [line]), st.just(["ini = :sec"]), st.just(["inherit = heir.ini"])),
    OTHERS,
    _lines(),
    st.one_of(_lines(), _lines(CLOSED).map(lambda lines: ["end =", *lines])),
    st.lists(NAMELESS, max_size=3),
)  # fmt: skip
DRAWN = st.builds(
    lambda first, section: ["[uwsgi]", *first, "[sec]", *section],
    st.lists(LINE, max_size=4),
    st.lists(NAMELESS, min_size=1, max_size=3),
)
INIS = st.builds(
    lambda name, main, drawn, deep, heir: Ini(
        {**TEXTS, name.partition(":")[0]: main, "b.ini": drawn, "g/c.ini": deep, "heir.ini": heir}, name
    ),
    st.sampled_from(("a.ini", "a.ini", "two.dots.ini", "g/deep.ini", "a.ini:sec")),
    _file(MAIN.map(lambda lines: [lines[0], lines[1], "digit = 1", *lines[2:]])),
    _file(DRAWN),
    _file(DRAWN),
    _file(INHERITED),
)

KNOWN_MAGIC = frozenset("%(opsnedc0123456789xijvhtTVkuUgGb[OPSNEDCXIJ")
_ACTS = r"(?:set|set-ph|set-placeholder|ini|include|inherit|for[a-z-]*|if[a-z-]*)"
_ASSIGNMENT = re.compile(rf"(?m)^([ \t]*(?!{_ACTS}[ \t]*=)[^=;#\[\n]+=[ \t]*)(?=[%$@])")
MARK = "\v"
"""Kept by uWSGI's ini reader, passed over by its arithmetic, and in no ini that is drawn here."""


def in_uwsgis_words(ini: Ini) -> Ini:
    """The same ini, for two of the listed differences: a % that begins nothing stays; a reference that begins a value
    is replaced whatever stands below."""
    texts = {
        name: _ASSIGNMENT.sub(rf"\1{MARK}", re.sub("(?s)%(.?)", _doubled, text))
        for name, text in ini.files.items()
        if name.endswith(".ini") and isinstance(text, str)
    }
    return ini._replace(files={**ini.files, **texts})


def _doubled(found: re.Match[str]) -> str:
    return found[0] if found[1] and found[1] in KNOWN_MAGIC else "%" + found[0]
