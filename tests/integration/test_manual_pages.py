"""The manual pages: made of the tables that the programs run by, and without fault for those who read them."""

from __future__ import annotations

import subprocess

import pytest

from contrib import manual, manual_words
from contrib.roff import literal, paragraph, verbatim
from emperor import cli as daemon
from emperor.config import daemon_options, options
from emperor.config.table.option import DONE
from emperor.ctl import cli, teaching
from emperor.ctl.shape import shape
from tests.requirements import needs

PAGES = manual.pages()
NAMES = sorted(PAGES)
SECTIONS = {
    "emperor.8": ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SIGNALS", "FILES", "ENVIRONMENT"),
    "emperorctl.1": ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "VERBS", "EXIT STATUS", "FILES", "ENVIRONMENT"),
    "emperor.ini.5": ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "FILES"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_what_the_tables_say_now(name: str) -> None:
    assert (manual.MAN / name).read_text(encoding="ascii") == PAGES[name], "run: make readme"


def test_there_is_no_page_that_nobody_makes() -> None:
    assert sorted(one.name for one in manual.MAN.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_the_sections_that_readers_look_for(name: str) -> None:
    found = [line[4:] for line in PAGES[name].splitlines() if line.startswith(".SH ")]
    assert tuple(one for one in found if one in SECTIONS[name]) == SECTIONS[name]
    assert found[-2:] == ["EXAMPLES", "SEE ALSO"]


def test_every_verb_and_each_of_its_options_is_told() -> None:
    text = PAGES["emperorctl.1"]
    for verb in cli.VERBS:
        assert f"\\fB{verb}\\fR" in text
        for flag in shape(cli.verb_parser(verb)).flags:
            assert f"\\fB{literal(flag.spellings[-1])}\\fR" in text, (verb, flag)
    assert all(f".TP\n\\fB{code}\\fR\n" in text for code, _ in teaching.EXITS)


def test_every_argument_of_a_verb_says_what_it_is() -> None:
    for verb in cli.VERBS:
        one = shape(cli.verb_parser(verb))
        assert [each for each in (*one.flags, *one.places) if not each.help] == [], verb


def test_every_option_of_the_emperor_and_of_an_ini_is_told() -> None:
    for name, table in (("emperor.8", daemon_options.TABLE), ("emperor.ini.5", options.TABLE)):
        dashes = "--" if name == "emperor.8" else ""
        told = " ".join(PAGES[name].split())
        assert [one.name for one in table if f"\\fB{literal(dashes + one.name)}\\fR" not in told] == []
    assert all(
        f"\\fB{literal(one.name)}\\fR = " in PAGES["emperor.ini.5"] for one in options.TABLE if one.standing == DONE
    )


def test_the_signals_are_those_that_the_help_tells() -> None:
    names = {name for names, _ in manual_words.SIGNALS for name in names.split(", ")}
    told = daemon.REST.partition("signals:")[2].partition("exit:")[0]
    assert names == {word.strip(",;") for word in told.split() if word.strip(",;12").isupper()}


@needs("mandoc")
@pytest.mark.parametrize("name", NAMES)
def test_mandoc_finds_nothing_to_say(name: str) -> None:
    done = subprocess.run(["mandoc", "-Tlint", manual.MAN / name], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@needs("man")
@pytest.mark.parametrize("name", NAMES)
def test_man_shows_it_without_a_warning(name: str) -> None:
    command = ["man", "--warnings", "-E", "UTF-8", "-l", str(manual.MAN / name)]
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MAN_KEEP_FORMATTING": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    assert (done.stderr, done.returncode) == ("", 0)
    assert "SEE ALSO" in done.stdout and "\\f" not in done.stdout and "`" not in done.stdout.partition("OPTIONS")[0]


def test_what_begins_like_a_request_is_text() -> None:
    assert paragraph(".so /etc/passwd") == ["\\&.so /etc/passwd"]
    assert list(verbatim("'x\n.y\n\\z"))[2:5] == ["\\(aqx", "\\&.y", "\\ez"]


def test_a_character_that_roff_may_not_know_is_an_error() -> None:
    with pytest.raises(ValueError):
        literal("漢")
