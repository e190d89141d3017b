"""The form of an access log's lines: what is one, which words nobody knows, and what an ini hears of it."""

from __future__ import annotations

import pytest

from emperor.logformat import LONGEST, NAMED, UWSGIS_OWN, Piece, pieces, unknown
from tests.unit.config_world import APP, faults, spec, warnings


def test_words_stand_between_texts() -> None:
    assert pieces('a %(uri)%(msecs)ms "%(var.HTTP_X)"') == (
        Piece("a "),
        Piece("", "uri"),
        Piece("", "msecs"),
        Piece('ms "'),
        Piece("", "var.HTTP_X"),
        Piece('"'),
    )


@pytest.mark.parametrize("form", ["100%", "% (uri)", "%uri", "50% of", "a)b("])
def test_a_percent_sign_without_a_parenthesis_is_text(form: str) -> None:
    assert pieces(form) == (Piece(form),)


@pytest.mark.parametrize("form", ["%(", "%(uri", "a %() b", "%(uri) %("])
def test_a_word_that_does_not_end_or_is_none_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="no word in parentheses"):
        pieces(form)


@pytest.mark.parametrize("form", ["x" * (LONGEST + 1), "a\x1b[31m", "a\rb", "a\u2028b"])
def test_a_format_that_no_line_can_follow_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="must"):
        pieces(form)


@pytest.mark.parametrize("form", [*NAMED, *NAMED.values(), UWSGIS_OWN])
def test_what_is_known_by_name_has_no_unknown_words(form: str) -> None:
    assert unknown(form) == ()


def test_unknown_words_are_counted_from_the_first() -> None:
    assert unknown("%(uri) %(nope) %(var.X) %(var.) %(metric.a)") == (2, 4, 5)


# --- as an ini has it ---


@pytest.mark.parametrize("key", ["log-format", "logformat"])
def test_words_get_through_an_ini_as_they_are_written(key: str) -> None:
    form = '%(addr) [%(ltime)] "%(method) %(uri)" %(status) %(var.HTTP_X)'
    assert spec(APP, f"{key} = {form}").log_format == form


def test_a_word_that_is_an_inis_own_placeholder_is_replaced_as_under_uwsgi() -> None:
    assert spec(APP, "set-placeholder = host=box", "log-format = %(host) %(uri)").log_format == "box %(uri)"


@pytest.mark.parametrize("form", ["%(uri", "x" * (LONGEST + 1)])
def test_what_is_no_format_is_an_error_at_its_line(form: str) -> None:
    ((line, option, _),) = faults(APP, f"log-format = {form}")
    assert (line, option) == (3, "log-format")


@pytest.mark.parametrize(
    ("form", "which"), [("%(uri) %(nope)", "2nd"), ("%(nope)", "1st"), ("%(pid)" * 12 + "%(x)", "13th")]
)
def test_an_unknown_word_is_a_warning_that_says_which(form: str, which: str) -> None:
    ((line, option, message),) = warnings(APP, f"log-format = {form}")
    assert (line, option) == (3, "log-format") and f"the {which} of its words" in message
    assert "nope" not in message


def test_a_good_format_is_none() -> None:
    assert warnings(APP, "log-format = combined", "disable-logging = true", "log-5xx = true") == []
