"""uWSGI's grammar (core/ini.c:79-172), and what is said of a file that does not follow it."""

from __future__ import annotations

import pytest

from emperor.config.language.inifile import LIMIT, LINE, LINES, Row, decode, parse
from emperor.model import Problem


def rows(text: str) -> list[tuple[str, str, int]]:
    found, problems = parse(text, "a.ini")
    assert problems == ()
    return [(one.key, one.value, one.line) for one in found]


def complaints(text: str) -> list[tuple[int, str, str]]:
    return [(one.line, one.option, one.message) for one in parse(text, "a.ini")[1]]


def test_a_row_has_its_key_value_path_and_line() -> None:
    assert parse("[uwsgi]\n\nmodule = blog\n", "/x/a.ini")[0] == (Row("module", "blog", "/x/a.ini", 3),)


@pytest.mark.parametrize("line", ["module=blog", "  module =  blog  ", "\tmodule\t=\tblog\t", "module = blog\r"])
def test_blanks_around_key_and_value_do_not_count(line: str) -> None:
    assert rows(f"[uwsgi]\n{line}") == [("module", "blog", 2)]


def test_crlf_and_a_byte_order_mark_are_tolerated() -> None:
    text = decode(b"\xef\xbb\xbf[uwsgi]\r\nmodule = blog\r\n", "a.ini")
    assert isinstance(text, str)
    assert rows(text) == [("module", "blog", 2)]
    assert rows("\ufeff[uwsgi]\nmodule = blog") == [("module", "blog", 2)]


def test_semicolon_and_hash_begin_a_comment_only_at_the_start_of_a_line() -> None:
    text = "[uwsgi]\n; a = 1\n  # b = 2\nsocket = /a.sock ; x # y"
    assert rows(text) == [("socket", "/a.sock ; x # y", 4)]


def test_a_value_keeps_its_equals_signs_quotes_and_backslashes() -> None:
    assert rows('[uwsgi]\nenv = A="b=c"\\') == [("env", 'A="b=c"\\', 2)]


def test_a_key_alone_has_an_empty_value() -> None:
    assert rows("[uwsgi]\nmaster") == [("master", "", 2)]


def test_both_sections_are_taken_and_others_are_skipped() -> None:
    text = "[emperor]\na = 1\n[other]\nb = 2\nnonsense here\n[uwsgi]\nc = 3\n[emperor]\nd = 4"
    assert rows(text) == [("a", "1", 2), ("c", "3", 7), ("d", "4", 9)]


def test_lines_before_the_first_section_are_skipped() -> None:
    assert rows("a = 1\n[uwsgi]\nb = 2") == [("b", "2", 3)]


def test_only_a_line_feed_ends_a_line() -> None:
    assert rows("[uwsgi]\nenv = A=1\u2028B=2\x0bC") == [("env", "A=1\u2028B=2\x0bC", 2)]


@pytest.mark.parametrize("text", ["", "module = blog\n", "[other]\nmodule = blog"])
def test_a_file_without_our_section_is_told_so_as_a_whole(text: str) -> None:
    assert complaints(text)[0] == (0, "", "has no [uwsgi] section -- begin the file with the line [uwsgi]")


def test_text_after_a_section_header_is_an_error() -> None:
    assert complaints("[uwsgi]\n[emperor] ; x\n") == [(2, "", "a section header ends with ] and nothing may follow it")]


@pytest.mark.parametrize("line", ["= x", "root:$6$salt$hash:19000:0", "my key = x", "k\u00e9y = x", "a" * 65 + " = x"])
def test_a_line_that_is_no_option_is_refused_and_not_repeated(line: str) -> None:
    assert complaints(f"[uwsgi]\n{line}") == [(2, "", "is neither a comment nor OPTION = VALUE")]


def test_nul_is_refused_with_the_options_name() -> None:
    assert complaints("[uwsgi]\nenv = A=\0") == [(2, "env", "must not contain a NUL character")]


def test_a_long_line_is_refused_and_the_others_are_read() -> None:
    found, problems = parse(f"[uwsgi]\nenv = A={'x' * LINE}\nmodule = blog", "a.ini")
    assert [one.key for one in found] == ["module"]
    assert [(one.line, one.message) for one in problems] == [(2, "the line is longer than 4096 characters")]


def test_as_many_lines_as_allowed_are_read_and_one_more_is_refused() -> None:
    full = "[uwsgi]\n" + "a = 1\n" * (LINES - 1)
    assert len(rows(full)) == LINES - 1
    assert parse(full + "a = 1\n", "a.ini") == (
        (),
        (Problem("a.ini", 1001, "", "has more than 1000 lines -- is it an ini?"),),
    )


def test_a_large_file_is_refused_as_bytes_and_as_text() -> None:
    too_large = Problem("a.ini", 0, "", "is larger than 64 KiB -- is it an ini?")
    assert decode(b" " * (LIMIT + 1), "a.ini") == too_large
    assert decode(b" " * LIMIT, "a.ini") == " " * LIMIT
    assert parse(" " * (LIMIT + 1), "a.ini") == ((), (too_large,))


def test_what_is_not_utf8_is_told_with_its_line() -> None:
    assert decode(b"[uwsgi]\n# caf\xe9\n", "a.ini") == Problem("a.ini", 2, "", "is not UTF-8 -- save the file as UTF-8")


def test_of_a_header_that_is_none_only_that_is_told() -> None:
    assert [one[0] for one in complaints("[uwsgi] ; mine\nmodule = blog")] == [1]


def test_a_line_is_not_replaced_beyond_its_bound() -> None:
    letters = {"p": "/" + "x" * 4000}
    comment, value = parse(f"[uwsgi]\n#{'%p' * 30000}\n", "a.ini", letters=letters), "a = " + "%p" * 2000
    assert comment == ((), ())
    assert [one.line for one in parse(f"[uwsgi]\n{value}\n", "a.ini", letters=letters)[1]] == [2]


def test_a_line_that_magic_leaves_empty_is_blank() -> None:
    assert parse("[uwsgi]\n%e\na = 1\n", "a.ini", letters={"e": ""}) == ((Row("a", "1", "a.ini", 3),), ())
