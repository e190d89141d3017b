"""What completion offers, and the scripts that are made of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, Optional

import pytest

from emperor.control.client import NoDaemon
from emperor.control.messages import Request
from emperor.ctl import cli, completion
from emperor.ctl.console import Console
from emperor.ctl.shape import shape
from emperor.ctl.shells import fish, zsh
from emperor.ctl.shells.offer import EITHER, FILES, FOLDERS, NAMES, NOTHING, TARGETS, USERS, Option, Verb, words

SHELLS = sorted(completion.WRITERS)


def offered(name: str) -> Verb:
    return next(one for one in completion.verbs() if one.name == name)


def told(snapshots: Any = None, **given: Any) -> tuple[int, str, str]:
    out: list[str] = []
    err: list[str] = []

    def ask(request: Request, seconds: Optional[float]) -> Iterator[dict[str, Any]]:
        assert (request.verb, seconds) == ("status", 1.0)
        if snapshots is None:
            raise NoDaemon("nobody")
        yield {"ok": True, "data": snapshots}

    console = Console(out.append, err.append, ask, lambda seconds: None)
    args = argparse.Namespace(**{"shell": None, "names": False, **given})
    return completion.run(args, console), "".join(out), "".join(err)


def test_a_parser_tells_its_options_and_places() -> None:
    parser = argparse.ArgumentParser(prog="x")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which")
    parser.add_argument("--lines", "-n", default=10, metavar="N", help="how many (default: %(default)s), 100%%")
    parser.add_argument("--to", choices=("a", "b"), action="append")
    parser.add_argument("--secret", help=argparse.SUPPRESS)
    one = shape(parser)
    assert [(flag.spellings, flag.value, flag.many) for flag in one.flags] == [
        (("-h", "--help"), "", False),
        (("-n", "--lines"), "N", False),
        (("--to",), "a|b", True),
    ]
    assert one.flags[1].help == "how many (default: 10), 100%"
    assert [(place.value, place.many, place.needed) for place in one.places] == [("NAME", True, False)]


def test_verbs_offer_what_they_take() -> None:
    assert [one.name for one in completion.verbs()] == list(cli.VERBS)
    assert (offered("status").places, offered("status").repeats) == ((NAMES,), True)
    assert offered("reload").places == (TARGETS,) and offered("nginx").places == (EITHER,)
    assert offered("scale").places == (NAMES, NOTHING) and not offered("scale").repeats
    assert offered("check").places == (FILES,) and offered("check").repeats
    assert offered("completion").places == (words("bash", "zsh", "fish"),)
    assert "processes" in offered("options").places[0].words


def test_options_offer_the_values_that_they_take() -> None:
    flags = {one.spellings[-1]: one for name in ("check", "request", "logs") for one in offered(name).options}
    assert (flags["--control-socket"].wanted, flags["--as"].wanted, flags["--web-user"].wanted) == (FILES, USERS, USERS)
    assert flags["--lines"].valued and flags["--lines"].wanted == NOTHING and not flags["--follow"].valued
    assert flags["--protocol"].wanted == words("uwsgi", "fastcgi", "http")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_every_verb_and_option(shell: str) -> None:
    code, script, _ = told(shell=shell)
    assert code == 0 and script.endswith("\n")
    for verb in completion.verbs():
        assert verb.name in script
        for option in verb.options:
            assert option.spellings[-1].lstrip("-") in script


def test_what_a_help_says_is_quoted() -> None:
    option = Option(("-x", "--xyz"), True, words("one"), "it's [a]: `b` $(c) \\")
    verbs = (Verb("v", "don't: stop", (option,), (FOLDERS,), False),)
    assert r"""'[it'\''s \[a\]\: `b` $(c) \\]:xyz:(one)'""" in zsh.script(verbs)
    assert r"""-d 'it\'s [a]: `b` $(c) \\'""" in fish.script(verbs)


def test_names_are_the_emperors_one_a_line() -> None:
    assert told([{"name": "blog"}, {"name": "shop@2"}], names=True) == (0, "blog\nshop@2\n", "")


@pytest.mark.parametrize("snapshots", [None, [{}], [None], "blog", [{"name": "$(reboot)"}, {"name": "a b"}]])
def test_where_there_are_no_names_nothing_is_said(snapshots: Any) -> None:
    assert told(snapshots, names=True) == (0, "", "")


def test_no_shell_is_a_usage_error() -> None:
    assert told() == (2, "", "emperorctl: completion: for which shell? -- bash, zsh, fish\n")
