"""uWSGI-like command lines become rows, as getopt_long(3) would read them."""

from __future__ import annotations

import re
import shlex

import pytest

from emperor.config.commandline import cli_rows
from emperor.config.expansion import expand
from emperor.config.foreign import WORDS, app_hint, spelling
from emperor.config.inifile import Row
from emperor.config.options import find
from emperor.config.spec import build
from emperor.model import Target
from tests.unit.config_world import CONTEXT


def pairs(line: str) -> list[tuple[str, str]]:
    rows, positional, problems = cli_rows(shlex.split(line))
    assert (positional, problems) == ((), ())
    assert {(one.path, one.line) for one in rows} == {("command line", 0)}
    return [(one.key, one.value) for one in rows]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--socket /a", [("socket", "/a")]),
        ("--socket=/a=b", [("socket", "/a=b")]),
        ("-s /a", [("socket", "/a")]),
        ("-s/a", [("socket", "/a")]),
        ("--master -p 4", [("master", ""), ("processes", "4")]),
        ("-MTp4", [("master", ""), ("enable-threads", ""), ("processes", "4")]),
        ("--master=false", [("master", "false")]),
        ("--chmod-socket --master", [("chmod-socket", ""), ("master", "")]),
        ("--chmod-socket=020", [("chmod-socket", "020")]),
        ("-C020 -C", [("chmod-socket", "020"), ("chmod-socket", "")]),
        ("--home=/v -H /w", [("home", "/v"), ("virtualenv", "/w")]),
        ("--env= -S a=b", [("env", ""), ("set", "a=b")]),
        ("--pythonpath -x", [("pythonpath", "-x")]),
    ],
)
def test_words_become_rows(line: str, expected: list[tuple[str, str]]) -> None:
    assert pairs(line) == expected


def test_what_is_no_option_is_handed_back_in_order() -> None:
    rows, positional, problems = cli_rows(["a.ini", "--master", "b", "-", "--", "--socket", "-x"])
    assert [one.key for one in rows] == ["master"]
    assert (positional, problems) == (("a.ini", "b", "-", "--socket", "-x"), ())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--socet", "/a"], "command line: --socet: unknown option; did you mean socket?"),
        (["-M9"], "command line: -9: unknown option"),
        (["--socket"], "command line: --socket: needs a value: address"),
        (["-s"], "command line: --socket: needs a value: address"),
        (["blog:app"], "command line: blog:app: is no ini -- write --module blog:app"),
        (
            ["pkg.blog:create_app()"],
            "command line: pkg.blog:create_app(): is no ini -- write --module pkg.blog:create_app()",
        ),
        (["./blog.py"], "command line: ./blog.py: is no ini -- write --wsgi-file ./blog.py"),
        (["blog.py:app"], "command line: blog.py:app: is no ini -- write --wsgi-file blog.py --callable app"),
        (
            ["--bind", "127.0.0.1:8000", "a.ini"],
            "command line: --bind: unknown option; here it is --http-socket 127.0.0.1:PORT for HTTP, "
            "--socket PATH for a web server's uwsgi_pass",
        ),
        (
            ["--graceful-timeout=30"],
            "command line: --graceful-timeout: unknown option; here it is --reload-mercy SECONDS",
        ),
        (
            ["--daemon", "a.ini"],
            "command line: --daemon: unknown option; here it is nothing: it stays in the "
            "foreground; the daemon is `emperor VASSALS_DIR`",
        ),
    ],
)
def test_a_wrong_word_is_a_problem(argv: list[str], message: str) -> None:
    assert [str(one) for one in cli_rows(argv)[2]] == [message]


@pytest.mark.parametrize("word", ["a.ini", "/etc/a.ini", "a.ini:section", "a", "127.0.0.1:8000", "-", "a:", ":app", ""])
def test_what_does_not_look_like_an_app_is_no_hint(word: str) -> None:
    assert cli_rows(["--", word])[1:] == ((word,), ()) and app_hint(word) == ""


def test_the_value_of_another_servers_word_is_no_file_of_ours() -> None:
    rows, positional, problems = cli_rows(["--bind", "/a.sock", "--timeout=3", "site.ini", "--daemon", "b"])
    assert (rows, positional, len(problems)) == ((), ("site.ini", "b"), 3)


@pytest.mark.parametrize("name", WORDS)
def test_another_servers_word_is_no_option_and_what_it_is_here_is_one(name: str) -> None:
    assert find(name) is None
    assert spelling(name.replace("-", "_")) == WORDS[name]
    for option in re.findall(r"--([a-z-]+)", WORDS[name].ours):
        assert option == "control-socket" or find(option) is not None


def test_a_published_command_line_is_served_as_written() -> None:
    argv = shlex.split(
        "--enable-threads --plugin=python3 -s /run/uwsgi/simple.sock --manage-script-name "
        "--mount /=wsgi:application --uid alice --gid www-data --chmod-socket=020"
    )
    rows, positional, problems = cli_rows(argv)
    expanded, more = expand(rows, {}, {})
    checked = build(expanded, CONTEXT)
    assert (positional, problems, more, checked.problems) == ((), (), (), ())
    assert checked.spec is not None
    (socket,) = checked.spec.sockets
    assert (socket.address.path, socket.mode) == ("/run/uwsgi/simple.sock", 0o020)
    assert (checked.spec.identity.uid, checked.spec.identity.gid) == (1001, 33)
    assert checked.spec.targets == (Target("", "module", "wsgi", "application"),)


def test_a_file_to_read_is_left_to_the_caller() -> None:
    assert pairs("--ini /etc/a.ini --processes 2") == [("ini", "/etc/a.ini"), ("processes", "2")]


def test_problems_of_the_command_line_have_no_line() -> None:
    rows, _, _ = cli_rows(["-w", "a", "--processes", "x", "-s", "/a", "-s", "/a"])
    assert [str(one) for one in build(rows, CONTEXT).problems] == [
        "command line: processes: must be a whole number from 1 to 1024, not 'x'",
        "command line: socket: is the same address as socket (command line) -- remove one",
    ]


def test_a_refused_value_is_shown_to_who_typed_it_and_no_more_of_it_than_can_be_read() -> None:
    rows, _, _ = cli_rows(["-w", "4", "--umask", "9" * 500, "-s", "/a"])
    module, umask = (str(one) for one in build(rows, CONTEXT).problems if "not '" in str(one))
    assert module.endswith("such as package.module or package.module:app, not '4'")
    assert umask.endswith(f", not '{'9' * 80}'")


def test_a_value_that_stands_in_a_file_is_not_repeated() -> None:
    rows = [Row("processes", "secret", "/etc/a.ini", 3), Row("wsgi-file", "a.py", "/etc/a.ini", 4)]
    (problem,) = build(rows, CONTEXT).problems
    assert "processes: must be" in str(problem) and "secret" not in str(problem)
