"""Corners of the ini language where uWSGI was asked what it makes of them (see tests/integration/oracle_world.py)."""

from __future__ import annotations

from typing import Any

import pytest

from emperor.config.language.logic import Refused
from emperor.config.language.references import substituted
from emperor.config.language.unfolding import Source, Unfolded, unfold
from tests.unit.config_world import Disk, world

FOLDER = "/etc/emperor/vassals.d"
VALUES = {"b": "B", "aB": "outer", "a": "A", "one": "1", "paren": "(", "odd": "%(none)", "long": "x" * 5000}


def unfolded(text: str, environ: dict[str, str] | None = None, main: str = "a.ini", **files: str) -> Unfolded:
    disk = Disk({f"{FOLDER}/{name.replace('__', '/').replace('_', '.')}": one for name, one in files.items()})
    name, _, section = main.partition(":")
    return unfold([Source(f"{FOLDER}/{name}", text, section, name)], world(disk, environ))


def values(text: str, **more: Any) -> list[str]:
    result = unfolded(text, **more)
    assert not [one for one in result.problems if one.fatal], result.problems
    return [f"{row.key}={row.value}" for row in result.rows]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("%(a%(b))", "outer"),
        ("%(a%(none))", "%(a%(none))"),
        ("%(none%(b))", "%(noneB)"),
        ("%(a%b)", "%(a%b)"),
        ("%%(b)", "%B"),
        ("%(a", "%(a"),
        ("%(a%(b)", "%(aB"),
        ("%()%(b)", "%()B"),
        ("%(a(b))", "%(a(b))"),
        ("(%(b)))", "(B))"),
        ("%(b)%(a)", "BA"),
        ("%(a%(odd))", "%(a%(none))"),
    ],
)
def test_the_inner_of_two_references_is_replaced_first(text: str, result: str) -> None:
    assert substituted(text, "%", VALUES.get) == result


def test_what_becomes_too_long_is_refused() -> None:
    with pytest.raises(Refused, match="longer than 8192 characters"):
        substituted("%(long)%(long)", "%", VALUES.get)


def test_what_is_long_only_within_a_reference_is_not_refused() -> None:
    assert substituted("%(x%(long))" + "%(b)", "%", {**VALUES, "x" + "x" * 5000: "short"}.get) == "shortB"


def test_an_environment_variable_may_name_another() -> None:
    assert values("[uwsgi]\na = $(W$(NAME))", environ={"NAME": "ORD", "WORD": "word"}) == ["a=word"]


def test_the_name_as_given_is_without_the_section() -> None:
    assert values("[uwsgi]\nini = b.ini:s", b_ini="[s]\na = %o %x") == ["a=b.ini s"]


def test_a_loop_over_a_relative_pattern_gives_relative_names() -> None:
    text = "[uwsgi]\nfor-glob = g/*.conf\na = %(_)\nend ="
    assert values(text, g__x_conf="", g__y_conf="") == ["a=g/x.conf", "a=g/y.conf"]


def test_a_loop_over_an_absolute_pattern_gives_absolute_names() -> None:
    text = "[uwsgi]\nfor-glob = %dg/*.conf\na = %(_)\nend ="
    assert values(text, g__x_conf="") == [f"a={FOLDER}/g/x.conf"]


def test_an_empty_pattern_is_its_own_only_match() -> None:
    assert values("[uwsgi]\nfor-glob =\na = <%(_)>\nend =", x_ini="") == ["a=<>"]


@pytest.mark.parametrize("test", ["if-exists", "if-file", "if-dir"])
def test_an_empty_path_is_nothing(test: str) -> None:
    assert values(f"[uwsgi]\n{test} =\na = 1\nend =\nb = 2", x_ini="") == ["b=2"]


def test_what_does_not_exist_is_named_in_the_block_of_if_not_exists() -> None:
    assert values("[uwsgi]\nif-not-exists = x\na = %(_)\nend =") == ["a=x"]


def test_if_not_reload_leaves_the_loop_variable_alone() -> None:
    assert values("[uwsgi]\nif-not-reload =\na = <%(_)>\nend =") == ["a=<%(_)>"]


def test_a_loop_over_a_missing_file_has_no_turns() -> None:
    assert values("[uwsgi]\nfor-readline = none\na = %(_)\nend =\nb = 1") == ["b=1"]


def test_the_lines_of_a_loop_end_at_newlines_only() -> None:
    text = "[uwsgi]\nfor-readline = l.txt\na = %(_)\nend ="
    assert values(text, l_txt="1\v2\n\n 3 \r\r\n4") == ["a=1\v2", "a=", "a= 3 ", "a=4"]


@pytest.mark.parametrize("text", ["a = @(l.txt)", "for-readline = l.txt\na = %(_)\nend ="])
def test_a_file_with_a_nul_character_becomes_no_value(text: str) -> None:
    (problem,) = unfolded(f"[uwsgi]\n{text}", l_txt="1\0secret").problems
    assert problem.fatal and "NUL" in problem.message and "secret" not in problem.message


def test_if_opt_compares_what_both_sides_mean() -> None:
    text = "[uwsgi]\nk = v\nl = %(k)\nif-opt = l=%(k)\na = %(_)\nend =\nif-opt = l=v\nb = 1\nend =\n"
    assert values(text)[2:] == ["a=v", "b=1"]


def test_the_keys_of_an_inherited_file_are_known_above_and_below() -> None:
    text = "[uwsgi]\na = %(q)\ninherit = b.ini\nc = %(q)"
    assert values(text, b_ini="[uwsgi]\nq = 1") == ["a=1", "c=1", "q=1"]


@pytest.mark.parametrize("row", ["include =", "ini =", "inherit ="])
def test_an_empty_name_draws_in_nothing(row: str) -> None:
    (problem,) = unfolded(f"[uwsgi]\n{row}").problems
    assert problem.fatal and problem.message == "names no file"
