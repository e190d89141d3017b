"""Placeholders as uWSGI replaces them (core/utils.c:1823-1851, 3008-3065; core/config.c:691), with bounds."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from emperor.config.expansion import LENGTH, expand, magic
from emperor.config.inifile import Row

MAGIC = magic("/etc/emperor/vassals.d/blog.v2.ini")


def rows(*lines: str) -> list[Row]:
    split = [line.partition("=") for line in lines]
    return [Row(key.strip(), value.strip(), "a.ini", number) for number, (key, _, value) in enumerate(split, 1)]


def values(*lines: str, environ: Mapping[str, str] | None = None) -> list[str]:
    found, problems = expand(rows(*lines), MAGIC, environ or {})
    assert problems == ()
    return [one.value for one in found]


def complaints(*lines: str) -> list[tuple[int, str, bool]]:
    return [(one.line, one.message, one.fatal) for one in expand(rows(*lines), MAGIC, {})[1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("%n", "blog.v2"),
        ("%N", "blog.v2"),
        ("%e", "ini"),
        ("%s", "blog.v2.ini"),
        ("%p", "/etc/emperor/vassals.d/blog.v2.ini"),
        ("%o", "/etc/emperor/vassals.d/blog.v2.ini"),
        ("%d", "/etc/emperor/vassals.d/"),
        ("%v", "/etc/emperor/vassals.d"),
        ("%c", "vassals.d"),
        ("%0 %1 %2", "etc emperor vassals.d"),
        ("%3%9", ""),
        ("%x", "uwsgi"),
        ("100%%", "100%"),
        ("/run/%n/%n.sock", "/run/blog.v2/blog.v2.sock"),
    ],
)
def test_magic_says_what_the_path_says(text: str, value: str) -> None:
    assert values(f"a = {text}") == [value]


def test_magic_of_a_file_in_the_root_and_without_an_extension() -> None:
    found = magic("/blog", "./blog")
    assert [found[key] for key in "nedcov0"] == ["blog", "", "/", "", "./blog", "/", ""]


@pytest.mark.parametrize("text", ["50% off", "%Y-%m", "100%"])
def test_a_percent_sign_that_begins_nothing_stays_and_is_a_warning(text: str) -> None:
    found, problems = expand(rows(f"a = {text}"), {"n": "x"}, {})
    assert found[0].value == text
    assert [(one.line, one.fatal) for one in problems] == [(1, False)]
    assert "%%" in problems[0].message


def test_environment_is_replaced_and_what_is_unknown_stays() -> None:
    assert values("a = $(HOME)/$(NOPE)", environ={"HOME": "/home/alice"}) == ["/home/alice/$(NOPE)"]


def test_without_an_environment_nothing_of_it_is_seen() -> None:
    assert values("a = $(HOME)") == ["$(HOME)"]


def test_a_reference_takes_the_first_value_of_its_key() -> None:
    assert values("base = /one", "base = /two", "a = %(base)/x") == ["/one", "/two", "/one/x"]


def test_a_reference_may_stand_before_what_it_names_and_lead_further() -> None:
    assert values("a = %(b)/a", "b = %(c)/b", "c = /%n") == ["/blog.v2/b/a", "/blog.v2/b", "/blog.v2"]


def test_an_unknown_reference_stays() -> None:
    assert values("log-format = %(addr) %(no such)") == ["%(addr) %(no such)"]


def test_a_row_knows_whether_it_is_referred_to() -> None:
    found, _ = expand(rows("base = /x", "app = y", "a = %(base)"), MAGIC, {})
    assert [one.referenced for one in found] == [True, False, False]


def test_set_is_the_line_that_it_sets() -> None:
    found, _ = expand(rows("set = module = blog:app", "set = nonsense"), MAGIC, {})
    assert [(one.key, one.value, one.line) for one in found] == [("module", "blog:app", 1), ("set", "nonsense", 2)]


def test_set_placeholder_defines_a_placeholder() -> None:
    assert values("set-ph = base=/srv/%n", "a = %(base)")[1] == "/srv/blog.v2"


@pytest.mark.parametrize("lines", [("a = %(a)",), ("a = %(b)", "b = x%(a)"), ("set-ph = a=%(a)", "b = %(a)")])
def test_a_circle_of_references_is_a_problem(lines: tuple[str, ...]) -> None:
    assert (len(lines) - (lines[0][:3] == "set"), "a placeholder refers to itself", True) in complaints(*lines)


def test_a_long_chain_of_references_is_a_problem() -> None:
    chain = [f"k{number} = %(k{number + 1})" for number in range(200)]
    found = complaints(*chain)
    assert (1, "placeholders refer to each other more than 32 times over", True) in found


def test_multiplying_references_are_stopped_before_they_grow() -> None:
    # Written out, this would be 10 ** 21 characters.
    multiplying = [f"k{number} = " + f"%(k{number + 1})" * 10 for number in range(20)]
    found = complaints(*multiplying, "k20 = xxxxxxxxxx")
    assert any(f"longer than {LENGTH} characters" in message for _, message, _ in found)


def test_a_text_can_grow_to_its_bound_and_no_further() -> None:
    half = "x" * (LENGTH // 4)
    assert values(f"a = {half}", "b = %(a)%(a)%(a)%(a)")[1] == half * 4
    assert complaints(f"a = {half}", "b = y%(a)%(a)%(a)%(a)")[0][0] == 2


def test_arithmetic_is_refused_rather_than_left_in_the_text() -> None:
    assert complaints("n = 3", "port = %(n + 1)") == [
        (2, "arithmetic in %(…) is not supported yet -- write the result", True)
    ]


@pytest.mark.parametrize("key", ["if-env", "if-not-exists", "for", "for-glob", "else"])
def test_logic_is_refused(key: str) -> None:
    found, problems = expand(rows(f"{key} = X", "a = %(_)", "end ="), MAGIC, {})
    assert [one.key for one in found] == ["a"]
    assert [(one.line, one.option) for one in problems] == [(1, key)]
    assert "not supported yet" in problems[0].message


def test_a_file_reference_is_refused() -> None:
    assert complaints("a = @(/etc/shadow)") == [(1, "@(file) is not supported yet -- write the value itself", True)]


def test_a_reference_to_nothing_stays_and_is_a_warning_but_in_a_log_format() -> None:
    rows = (Row("chdir", "/srv/%(nosuch)", "a.ini", 2), Row("log-format", "%(addr) %(uri)", "a.ini", 3))
    after, problems = expand(rows, {}, {})
    assert [row.value for row in after] == ["/srv/%(nosuch)", "%(addr) %(uri)"]
    assert [(one.line, one.option, one.fatal) for one in problems] == [(2, "chdir", False)]
