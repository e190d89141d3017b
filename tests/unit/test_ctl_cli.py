"""The command line of emperorctl: where options stand, what usage errors cost, what is imported when."""

from __future__ import annotations

import argparse
import ast
import inspect
import json

import pytest

from emperor.config.options import PARTS, TABLE, markdown
from emperor.control import messages
from emperor.ctl import cli, options, teaching
from emperor.ctl.console import Console


def parse(*argv: str) -> argparse.Namespace:
    return cli.parser(argv).parse_args(argv)


@pytest.mark.parametrize(
    "argv",
    [
        ("--control-socket", "/x", "--json", "--timeout", "2", "--no-color", "status"),
        ("status", "--control-socket", "/x", "--json", "--timeout", "2", "--no-color"),
        ("--json", "--timeout", "2", "status", "--no-color", "--control-socket", "/x"),
    ],
)
def test_options_of_all_verbs_stand_before_or_after_the_verb(argv: tuple[str, ...]) -> None:
    args = parse(*argv)
    assert (args.control_socket, args.json, args.timeout, args.no_color) == ("/x", True, 2.0, True)


def test_nothing_said_means_the_environment_and_plain_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPEROR_CONTROL", "/e")
    args = parse("status")
    assert (args.control_socket, args.json, args.timeout, args.no_color) == ("/e", False, None, False)
    assert parse("status", "--control-socket", "/x").control_socket == "/x"


def test_a_verb_gets_its_own_arguments() -> None:
    assert parse("status", "-w", "blog").watch
    assert parse("stop", "--no-wait", "blog").wait is False
    assert parse("logs", "-f", "-n", "5", "a", "b").lines == 5
    assert parse("logs", "a").lines == 10
    assert parse("options", "--markdown").markdown


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("frobnicate",),
        ("--json",),
        ("start",),
        ("logs",),
        ("logs", "-n", "-1", "a"),
        ("logs", "-n", "1_0", "a"),
        ("logs", "-n", "10001", "a"),
        ("status", "--frobnicate"),
        ("status", "--timeout", "0"),
        ("status", "--timeout", "nan"),
        ("status", "--timeout", "soon"),
        ("status", "--js"),
    ],
)
def test_usage_errors_exit_two(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert "usage: emperorctl" in capsys.readouterr().err


def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "emperorctl reload blog" in text and all(f"\n  {verb} " in text for verb in cli.VERBS)
    assert all(f"\n  {code}  " in text for code, _ in teaching.EXITS)


def test_nothing_typed_shows_the_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
    assert "emperorctl reload blog" in capsys.readouterr().err


def test_a_mistyped_verb_is_told_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--timeout", "3", "stauts", "blog"])
    assert "no verb 'stauts'; did you mean status?" in capsys.readouterr().err


def test_a_vassal_that_is_called_like_a_verb_costs_no_import_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = cli._module
    assert parse("--timeout", "3", "status", "logs", "--", "check").names == ["logs", "check"]
    monkeypatch.setattr(cli, "_module", lambda entry: asked.append(entry.module) or real(entry))
    parse("status", "logs", "check")
    assert asked == ["status"]


def test_every_exit_code_is_told() -> None:
    codes = {getattr(messages, name) for name in ("OK", "FAILED", "USAGE", "DOWN", "DENIED", "NO_VASSAL", "NO_DAEMON")}
    assert {code for code, _ in teaching.EXITS} == codes


def test_examples_are_of_verbs_that_there_are() -> None:
    assert {command.split()[0] for command, _ in teaching.EXAMPLES} <= set(cli.VERBS)


@pytest.mark.parametrize("path", ["/run/emperor/control.sock", "/elsewhere/control.sock"])
def test_who_finds_no_emperor_is_told_of_others(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = ["/run/emperor/control.sock", "/run/emperor-nginx/control.sock"]
    monkeypatch.setattr(cli.glob, "glob", lambda pattern: there[1:] if pattern == "/run/emperor-*/control.sock" else [])
    monkeypatch.setattr(cli.os.path, "exists", lambda one: one in there)
    others = [one for one in there if one != path]
    assert (
        cli._other_emperor(path) == " (there is another: --control-socket " + " or --control-socket ".join(others) + ")"
    )


def test_where_there_is_no_other_emperor_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.glob, "glob", lambda pattern: [])
    monkeypatch.setattr(cli.os.path, "exists", lambda one: False)
    assert cli._other_emperor("/run/emperor/control.sock") == ""


def test_no_verbs_module_is_imported_before_it_is_asked_for() -> None:
    imported = {
        alias if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(inspect.getsource(cli)))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in [node.names[0].name]
    }
    assert not {f"emperor.ctl.{entry.module}" for entry in cli.VERBS.values()} & imported
    assert "emperor.ctl.console" in imported


@pytest.mark.parametrize("verb", [verb for verb in cli.VERBS if verb != "check"])
def test_every_verb_has_its_module(verb: str) -> None:
    needed = {
        "orders": ["blog"],
        "logs": ["blog"],
        "scale": ["blog", "4"],
        "faces": ["blog"],
        "request": ["blog"],
        "config": ["blog"],
    }
    args = parse(verb, *needed.get(cli.VERBS[verb].module, []))
    assert args.verb == verb


def told(*names: str, json: bool = False, markdown: bool = False) -> tuple[int, str, str]:
    out: list[str] = []
    err: list[str] = []
    console = Console(out.append, err.append, lambda request, seconds: iter(()), lambda seconds: None, json=json)
    code = options.run(argparse.Namespace(names=list(names), markdown=markdown), console)
    return code, "".join(out), "".join(err)


def test_every_option_of_an_ini_is_listed_in_a_width_that_fits() -> None:
    code, text, _ = told()
    assert code == 0 and all(f" {one.name}" in text for one in TABLE)
    assert all(len(line) <= 100 for line in text.splitlines())
    assert [line[:-1] for line in text.splitlines() if line[:1].strip()][: len(PARTS)] == [title for title, _ in PARTS]


def test_named_options_are_told_in_full_with_what_uwsgi_calls_them() -> None:
    code, text, _ = told("home", "prio", "on-demand", "allow-root")
    assert code == 0
    one, nice, sleeps, ours = text.split("\n\n")
    assert one.startswith("virtualenv\n") and "the same name" in one and "-H on a command line" in one
    assert nice.startswith("nice\n") and "uWSGI:    prio" in nice
    assert "uWSGI:    cheap" in sleeps and "uWSGI:    has no such option" in ours


def test_an_option_without_effect_is_told_with_what_does_the_same() -> None:
    code, text, _ = told("log-socket", "buffer-size")
    assert code == 0 and "not supported" in text and "buffer-size" in text


def test_an_unknown_option_is_an_error_that_suggests_and_the_others_are_told() -> None:
    code, text, error = told("prosesses", "listen")
    assert code == 1 and text.startswith("listen\n")
    assert error == "emperorctl: prosesses: no such option; did you mean processes?\n"


def test_options_are_told_to_programs() -> None:
    code, text, _ = told(json=True)
    rows = json.loads(text)
    assert code == 0 and [row["name"] for row in rows] == [one.name for one in TABLE]
    assert json.loads(told("home", json=True)[1]) == [row for row in rows if row["name"] == "virtualenv"]
    assert told(markdown=True)[1].strip() == markdown().strip()


def test_standard_output_that_is_closed_is_one_line_and_exit_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    assert cli.main(["options"]) == 1
    assert capsys.readouterr().err == "emperorctl: standard output is closed\n"


def test_how_many_lines_or_events_has_either_name_in_both_verbs() -> None:
    for option in ("-n", "--lines", "--last"):
        assert parse("logs", option, "5", "a").lines == 5
        assert parse("events", option, "5").last == 5
