"""An ini and what it draws in, as uWSGI 2.0 would apply it (core/config.c, core/utils.c, core/uwsgi.c), with bounds."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from emperor.config.language import unfolding
from emperor.config.language.inifile import LENGTH, Row
from emperor.config.language.logic import Reach
from emperor.config.language.unfolding import Source, Unfolded, unfold
from tests.unit.config_world import Disk, world

HERE = "/etc/emperor/vassals.d/blog.v2.ini"


def read(*lines: str, disk: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> Unfolded:
    files = Disk({path: text for path, text in (disk or {}).items()})
    return unfold([Source(HERE, "\n".join(("[uwsgi]", *lines)))], world(files, environ))


def pairs(*lines: str, disk: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None) -> list[str]:
    """``key=value`` of each row of an ini in which nothing is wrong."""
    found = read(*lines, disk=disk, environ=environ)
    assert found.problems == ()
    return [f"{row.key}={row.value}" for row in found.rows]


def complaints(*lines: str, disk: Mapping[str, str] | None = None) -> list[tuple[int, str, str, bool]]:
    return [(one.line, one.option, one.message, one.fatal) for one in read(*lines, disk=disk).problems]


def ini(*lines: str) -> str:
    return "\n".join(("[uwsgi]", *lines, ""))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("%n", "blog.v2"),
        ("%N", "blog.v2"),
        ("%e", "ini"),
        ("%s", "blog.v2.ini"),
        ("%p", HERE),
        ("%o", HERE),
        ("%d", "/etc/emperor/vassals.d/"),
        ("%v", "/etc/emperor/vassals.d"),
        ("%c", "vassals.d"),
        ("%0 %1 %2", "etc emperor vassals.d"),
        ("%3%9", ""),
        ("%x", ""),
        ("%j", "CAEE8078"),
        ("%h-%k", "box.example-4"),
        ("100%%", "100%"),
        ("%[", "\033"),
        ("/run/%n/%n.sock", "/run/blog.v2/blog.v2.sock"),
    ],
)
def test_magic_says_what_the_path_and_the_machine_say(text: str, value: str) -> None:
    assert pairs(f"a = {text}") == [f"a={value}"]


def test_magic_stands_in_keys_and_section_names_too() -> None:
    found = unfold([Source("/etc/a/blog.ini", "[%n]\nx%n = 1\n", section="blog")], world())
    assert [(row.key, row.value) for row in found.rows] == [("xblog", "1")]


@pytest.mark.parametrize("text", ["50% off", "%Y-%m", "100%"])
def test_a_percent_sign_that_begins_nothing_stays_and_is_a_warning(text: str) -> None:
    found = read(f"a = {text}", "b = next")
    assert [row.value for row in found.rows] == [text, "next"]
    assert [(one.line, one.option, one.fatal) for one in found.problems] == [(2, "a", False)]
    assert "%%" in found.problems[0].message


def test_a_percent_sign_in_a_comment_is_nobodys_business() -> None:
    assert pairs("# 100%", "a = 1") == ["a=1"]


def test_environment_is_replaced_and_what_is_unknown_stays() -> None:
    assert pairs("a = $(HOME)/$(NOPE)", environ={"HOME": "/home/alice"}) == ["a=/home/alice/$(NOPE)"]


def test_a_reference_takes_the_first_value_of_its_key() -> None:
    assert pairs("base = /one", "base = /two", "a = %(base)/x") == ["base=/one", "base=/two", "a=/one/x"]


def test_a_reference_may_stand_before_what_it_names_and_lead_further() -> None:
    assert pairs("a = %(b)", "b = %(c)/b", "c = /%n") == ["a=/blog.v2/b", "b=/blog.v2/b", "c=/blog.v2"]


def test_a_second_value_may_go_on_from_the_first() -> None:
    assert pairs("path = /a", "path = %(path)/b") == ["path=/a", "path=/a/b"]


@pytest.mark.parametrize("text", ["%(a%(c))", "%(no such", "%()", "$()", "$(A$(B))"])
def test_what_is_no_reference_stays(text: str) -> None:
    assert [row.value for row in read("b = x", f"log-format = {text}").rows] == ["x", text]


def test_a_row_knows_whether_it_is_referred_to() -> None:
    found = read("base = /x", "app = y", "n = 1", "flag = 1", "a = %(base)", "b = %(n + 1)", "if-opt = flag", "endif =")
    assert [row.key for row in found.rows if row.referenced] == ["base", "n", "flag"]


def test_set_is_the_line_that_it_sets() -> None:
    found = read("set = module = blog:app", "set = nonsense")
    assert [(one.key, one.value, one.line) for one in found.rows] == [("module", "blog:app", 2), ("set", "nonsense", 3)]


def test_set_placeholder_defines_a_placeholder() -> None:
    assert pairs("set-ph = base=/srv/%n", "a = %(base)")[1] == "a=/srv/blog.v2"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("n + 3", "8"),
        ("n + 3 * 2", "16"),
        ("n - 7", "-2"),
        ("n / 2", "2"),
        ("m / 2", "-3"),
        ("n / 0", "0"),
        ("n ++", "6"),
        ("n -- --", "3"),
        ("n 4", "54"),
        ("n n + 1", "56"),
        ("word + 1", "1"),
        ("unit + 1", "31"),
        ("+ 3", "3"),
        ("n  +  1", "6"),
        ("big * big", "1"),
        ("n + n +", "10"),
    ],
)
def test_arithmetic_goes_from_left_to_right(words: str, value: str) -> None:
    numbers = ("n = 5", "m = -7", "word = abc", "unit = 30s", f"big = {2**63 - 1}")
    assert pairs(*numbers, f"a = %({words})")[-1] == f"a={value}"


def test_arithmetic_with_a_name_that_nobody_defines_takes_nothing_and_is_a_warning() -> None:
    found = read("a = %(nosuch + 1)")
    assert [row.value for row in found.rows] == ["1"]
    assert [(one.line, one.fatal) for one in found.problems] == [(2, False)]


def test_a_loop_gives_a_line_for_every_turn() -> None:
    found = pairs("for = a b", "x = %(_)", "y = %(_)%(_)", "endfor =", "z = 1")
    assert found == ["x=a", "x=b", "y=aa", "y=bb", "z=1"]


def test_a_loop_counts_from_one() -> None:
    assert pairs("for-times = 3", "x = %(_)", "end-for =") == ["x=1", "x=2", "x=3"]


def test_loops_over_files_and_their_lines() -> None:
    disk = {"/etc/emperor/vassals.d/list": "one\ntwo\n", "/srv/a.py": "", "/srv/b.py": "", "/srv/c.txt": ""}
    assert pairs("for-readline = list", "x = %(_)", "endfor", disk=disk) == ["x=one", "x=two"]
    assert pairs("for-glob = /srv/*.py", "x = %(_)", "endfor", disk=disk) == ["x=/srv/a.py", "x=/srv/b.py"]
    assert pairs("for-glob = /srv/*.rb", "x = %(_)", "endfor", disk=disk) == ["x=/srv/*.rb"]


@pytest.mark.parametrize(
    ("condition", "item"),
    [
        ("if-env = A", "1"),
        ("if-env = A=1", "1"),
        ("if-not-env = A=2", "1"),
        ("if-opt = foo", "%n"),
        ("if-opt = foo=%n", "%n"),
        ("if-not-opt = foo=other", "%n"),
        ("if-exists = /srv/x", "/srv/x"),
        ("if-not-exists = /srv/y", "/srv/y"),
        ("if-file = /srv/x", "/srv/x"),
        ("if-dir = /srv", "/srv"),
        ("if-not-dir = /srv/x", "/srv/x"),
        ("if-exists = %(base)/x", "/srv/x"),
        ("if-hostname = box.example", "box.example"),
        ("if-hostname-match = ^box", "^box"),
        ("if-not-hostname = other", "other"),
        ("if-plugin = python3", "python3"),
        ("if-not-reload =", "%(_)"),
    ],
)
def test_a_condition_that_holds_lets_its_lines_through(condition: str, item: str) -> None:
    item = item.replace("%n", "blog.v2")
    found = pairs(
        "foo = %n", "base = /srv", condition, "x = <%(_)>", "endif =", "y = 1", disk={"/srv/x": ""}, environ={"A": "1"}
    )
    assert found[2:] == [f"x=<{item}>", "y=1"]


@pytest.mark.parametrize(
    "condition",
    [
        "if-env = B",
        "if-env = A=2",
        "if-not-env = A",
        "if-opt = bar",
        "if-opt = foo=2",
        "if-not-opt = foo",
        "if-exists = /srv/y",
        "if-not-exists = /srv/x",
        "if-file = /srv",
        "if-dir = /srv/x",
        "if-hostname = box",
        "if-plugin = lua",
        "if-reload =",
        "for =",
        "for-times = 0",
    ],
)
def test_a_condition_that_does_not_hold_drops_its_lines(condition: str) -> None:
    found = pairs("foo = 1", condition, "x = %(_)", "endif =", "y = 1", disk={"/srv/x": ""}, environ={"A": "1"})
    assert found == ["foo=1", "y=1"]


def test_blocks_do_not_nest() -> None:
    assert [one[:2] for one in complaints("if-env = A", "if-env = B", "x = 1", "endif =")] == [(3, "if-env")]


def test_a_block_without_an_end_is_a_warning() -> None:
    assert [(line, key, fatal) for line, key, _, fatal in complaints("if-not-env = A", "x = 1")] == [
        (2, "if-not-env", False)
    ]


def test_else_is_refused_since_nobody_can_mean_what_it_would_do() -> None:
    assert [(line, key, fatal) for line, key, _, fatal in complaints("if-env = A", "else =", "endif =")] == [
        (3, "else", True)
    ]


def test_an_include_stands_in_its_place_and_names_itself() -> None:
    disk = {"/etc/emperor/vassals.d/../base.ini": ini("x = %n", "y = %N", "z = %(own)")}
    found = read("own = 1", "include = ../base.ini", "after = %n", disk=disk)
    assert [f"{row.key}={row.value}" for row in found.rows] == ["own=1", "x=base", "y=blog.v2", "z=1", "after=blog.v2"]
    assert found.files == ("/etc/emperor/vassals.d/../base.ini",)
    assert found.rows[1].path == "/etc/emperor/vassals.d/../base.ini" and found.rows[1].line == 2


def test_an_included_file_s_section_is_asked_for_by_name() -> None:
    disk = {"/etc/s.ini": "[uwsgi]\na = 1\n[prod]\nb = %x\nini = :more\n[more]\nc = %x\n"}
    assert pairs("ini = /etc/s.ini:prod", "d = %x", disk=disk) == ["b=prod", "c=more", "d="]


def test_a_section_of_the_ini_itself() -> None:
    assert pairs("ini = :more", "a = 1", "[more]", "b = 2") == ["b=2", "a=1"]


def test_an_inherited_file_comes_last_with_its_placeholders_replaced() -> None:
    disk = {"/etc/t.ini": ini("a = 2", "b = %(base)"), "/etc/u.ini": ini("c = 3")}
    assert pairs("base = /etc", "inherit = %(base)/t.ini", "a = 1", "include = /etc/u.ini", disk=disk) == [
        "base=/etc",
        "a=1",
        "c=3",
        "a=2",
        "b=/etc",
    ]


def test_a_file_s_text_is_a_value_without_its_last_newline() -> None:
    disk = {"/etc/secret": "s3cret\n\n"}
    assert pairs("env = KEY=@(/etc/secret)", disk=disk) == ["env=KEY=s3cret\n"]


def test_a_file_that_cannot_be_read_is_a_problem_of_its_line() -> None:
    assert complaints("include = /nope.ini", "a = @(/nope)", "a = @(exec://id)") == [
        (2, "include", "/nope.ini: cannot be read: No such file or directory", True),
        (3, "a", "/nope: cannot be read: No such file or directory", True),
        (4, "a", "/etc/emperor/vassals.d/exec://id: cannot be read: No such file or directory", True),
    ]


def test_an_address_is_not_followed() -> None:
    assert complaints("include = http://example.org/x.ini")[0][:2] == (2, "include")


def test_an_include_within_a_loop_is_read_every_turn_and_its_lines_are_not_multiplied() -> None:
    disk = {"/etc/a.ini": ini("x = %n"), "/etc/b.ini": ini("x = %n")}
    assert pairs("for = a b", "include = /etc/%(_).ini", "endfor", disk=disk) == ["x=a", "x=b"]


def test_rows_of_the_command_line_have_no_magic() -> None:
    parts = [Row("a", "%n", "command line", 0), Source(HERE, ini("b = %n")), Row("c", "%(b)", "command line", 0)]
    assert [row.value for row in unfold(parts, world()).rows] == ["%n", "blog.v2", "blog.v2"]


def test_defaults_name_the_vassal() -> None:
    defaults = Source("/etc/defaults.ini", ini("socket = /run/%n.sock", "d = %d"), admin=True, magic_path=HERE)
    own = Source(HERE, ini("a = 1"))
    assert [row.value for row in unfold([defaults, own], world(), own).rows] == [
        "/run/blog.v2.sock",
        "/etc/emperor/vassals.d/",
        "1",
    ]


def test_a_key_that_no_line_defines_may_have_a_fallback() -> None:
    found = unfold([Source(HERE, ini("a = %(deb-confname)"))], world(fallback={"deb-confname": "blog"}))
    assert ([row.value for row in found.rows], found.problems) == (["blog"], ())


THEIRS = Reach({}, Disk({}, closed=frozenset(("/etc/s.ini", "/etc/shadow"))), trusted=False)


def test_a_user_s_line_sees_only_what_the_user_may_see() -> None:
    disk = Disk({"/etc/s.ini": ini("x = $(TOKEN)"), "/etc/shadow": "hash"})
    ours = Reach({"TOKEN": "secret"}, disk, trusted=True)
    parts = [
        Row("include", "/etc/s.ini", "defaults", 1, admin=True),
        Source(HERE, ini("include = /etc/s.ini", "a = @(/etc/shadow)", "b = $(TOKEN)", "if-hostname-match = (a|a)+b")),
    ]
    found = unfold(parts, world(own=THEIRS, admin=ours))
    assert [(one.line, one.option) for one in found.problems if one.fatal] == [
        (2, "include"),
        (5, "if-hostname-match"),
        (3, "a"),
    ]
    values = {row.key: row.value for row in found.rows}
    assert values["x"] == "secret" and values["b"] == "$(TOKEN)" and values["a"] == "@(/etc/shadow)"


def test_an_administrator_s_include_does_not_take_its_path_from_a_user_s_line() -> None:
    ours = Reach({}, Disk({"/root/secret.ini": ini("x = 1")}), trusted=True)
    parts = [Source(HERE, ini("which = secret")), Row("include", "/root/%(which).ini", "command line", 0, admin=True)]
    found = unfold(parts, world(own=THEIRS, admin=ours))
    assert [row.key for row in found.rows] == ["which"] and found.files == ()


@pytest.mark.parametrize("lines", [("a = x%(a)",), ("a = %(b)", "b = x%(a)"), ("set-ph = a=%(a)", "b = %(a)")])
def test_a_circle_of_references_is_a_problem(lines: tuple[str, ...]) -> None:
    assert "a placeholder refers to itself" in [message for _, _, message, _ in complaints(*lines)]


def test_a_long_chain_of_references_is_a_problem() -> None:
    chain = [f"k{number} = %(k{number + 1})" for number in range(200)]
    assert complaints(*chain)[0][2] == "placeholders refer to each other more than 32 times over"


def test_multiplying_references_are_stopped_before_they_grow() -> None:
    # Written out, this would be 10 ** 21 characters.
    multiplying = [f"k{number} = " + f"%(k{number + 1})" * 10 for number in range(20)]
    found = complaints(*multiplying, "k20 = xxxxxxxxxx")
    assert any(f"longer than {LENGTH} characters" in message for _, _, message, _ in found)


def test_a_text_can_grow_to_its_bound_and_no_further() -> None:
    quarter = "x" * (LENGTH // 4)
    assert pairs(f"a = {quarter}", "b = %(a)%(a)%(a)%(a)")[1] == "b=" + quarter * 4
    assert complaints(f"a = {quarter}", "b = y%(a)%(a)%(a)%(a)")[0][0] == 3
    assert complaints(f"a = {quarter}", "b = %(a a a a 1)")[0][0] == 3


def test_files_that_draw_in_each_other_come_to_an_end() -> None:
    disk = {"/a.ini": ini("include = /b.ini"), "/b.ini": ini("include = /a.ini")}
    assert any("draw in each other" in message for _, _, message, _ in complaints("include = /a.ini", disk=disk))


def test_sections_that_multiply_each_other_come_to_an_end() -> None:
    sections = [f"[s{number}]\n" + f"ini = :s{number + 1}\n" * 10 for number in range(12)]
    found = unfold([Source(HERE, ini("ini = :s0") + "".join(sections) + "[s12]\n")], world())
    assert any(f"more than {unfolding.FILES} files" in one.message for one in found.problems)


def test_loops_do_not_make_an_ini_without_end() -> None:
    lines = ["for-times = 999", *("a = %(_)" for _ in range(50)), "endfor ="]
    assert any(f"{unfolding.ROWS} lines" in message for _, _, message, _ in complaints(*lines))
    long = ["for = " + "x" * 4000, "a = " + "%(_)" * 1000, "endfor ="]
    assert any("longer than" in message for _, _, message, _ in complaints(*long))
    assert complaints("for-times = 1001", "a = 1", "endfor")[0][2] == "is a loop of more than 1000 turns"


CHAIN = [f"k{number} = %(k{number + 1})" for number in range(25)]
COSTLY = {
    "conditions that ask for a long chain again and again": [
        *CHAIN,
        "k25 = %(" + "a + " * 700 + "a)",
        *(["if-opt = k0", "endif ="] * 400),
    ],
    "sections that are read again and again": [
        *(["ini = :more"] * 60),
        "[more]",
        *([f"x{number} = {'y' * 50}" for number in range(900)]),
    ],
    "a set of a set of a set": ["for-times = 900", "set = " + "set=" * 900 + "a=1", "endfor ="],
}


@pytest.mark.parametrize("which", COSTLY)
def test_an_ini_that_makes_work_without_end_is_left(which: str) -> None:
    found = read(*COSTLY[which])
    assert [one.message for one in found.problems if "more work" in one.message or "lines, or" in one.message]


def test_a_large_ini_is_no_work() -> None:
    lines = [f"key{number} = %(base)/$(HOME)/%(other{number % 9}) %n" for number in range(900)]
    assert (
        len(pairs("base = /x", *(f"other{digit} = {digit}" for digit in range(9)), *lines, environ={"HOME": "/"}))
        == 910
    )


def test_a_set_of_a_set_sets() -> None:
    assert pairs("set = " + "set=" * 300 + "a=1") == ["a=1"]


def test_values_do_not_grow_together_beyond_their_bound() -> None:
    found = read(f"b = {'x' * 4000}", "for-times = 900", "pythonpath = %(b)", "endfor =")
    assert any(f"{unfolding.SIZE // 1024} KiB" in one.message for one in found.problems)
    assert sum(len(row.value) for row in found.rows) <= unfolding.SIZE + LENGTH
