"""The command line of emperorctl: where options stand, what usage errors cost, what is imported when."""

from __future__ import annotations

import argparse
import ast
import inspect

import pytest

from emperor.ctl import cli, options


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
        ("doctor",),
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
    assert "emperorctl reload blog" in text and all(f"    {verb} " in text for verb in cli.VERBS)


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
    needed = {"orders": ["blog"], "logs": ["blog"], "scale": ["blog", "4"], "faces": ["blog"]}
    args = parse(verb, *needed.get(cli.VERBS[verb].module, []))
    assert args.verb == verb


def test_every_option_of_an_ini_is_listed_in_a_width_that_fits() -> None:
    from emperor.config.options import TABLE

    groups = [list(options._group(standing)) for standing, _ in options._GROUPS]
    text = "\n".join(line for group in groups for line in group)
    assert all(f" {one.name}" in text for one in TABLE)
    assert all(len(line) <= 100 for group in groups for line in group)
