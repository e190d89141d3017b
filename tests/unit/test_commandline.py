"""uWSGI-like command lines become rows, as getopt_long(3) would read them."""

from __future__ import annotations

import re
import shlex
from string import ascii_letters

import pytest

from emperor.config.commandline import cli_rows, env_rows
from emperor.config.foreign import WORDS, app_hint, spelling
from emperor.config.language.inifile import Row
from emperor.config.language.unfolding import unfold
from emperor.config.options import find, find_uwsgi, find_uwsgi_letter
from emperor.config.spec import build
from emperor.model import Target
from emperor.single import ask
from tests.unit.config_world import CONTEXT, world


def pairs(line: str) -> list[tuple[str, str]]:
    rows, positional, problems = cli_rows(shlex.split(line))
    assert (positional, problems) == ((), ())
    assert {(one.path, one.line) for one in rows} <= {("command line", 0)}
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
        ("-d /log", [("daemonize", "/log")]),
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
    unfolded = unfold(rows, world())
    checked = build(unfolded.rows, CONTEXT)
    assert (positional, problems, unfolded.problems, checked.problems) == ((), (), (), ())
    assert checked.spec is not None
    (socket,) = checked.spec.sockets
    assert (socket.address.path, socket.mode) == ("/run/uwsgi/simple.sock", 0o020)
    assert (checked.spec.identity.uid, checked.spec.identity.gid) == (1001, 33)
    assert checked.spec.targets == (Target("", "module", "wsgi", "application"),)


def told(line: str) -> tuple[list[tuple[str, str]], tuple[str, ...], list[tuple[bool, str, str]]]:
    rows, positional, problems = cli_rows(shlex.split(line))
    return (
        [(one.key, one.value) for one in rows],
        positional,
        [(one.fatal, one.option, one.message) for one in problems],
    )


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("--cache2 name=x,items=5 a.ini", ("a.ini",)),
        ("--cache2=name=x a.ini", ("a.ini",)),
        ("--logger-list a.ini", ("a.ini",)),
        ("--fastrouter /s --logger-list a.ini", ("a.ini",)),
    ],
)
def test_an_option_that_only_uwsgi_has_is_a_warning_and_takes_its_value_along(line: str, rest: tuple[str, ...]) -> None:
    names = [word.partition("=")[0] for word in line.split() if word.startswith("--")]
    assert all(find_uwsgi(name[2:]) for name in names)
    rows, positional, problems = told(line)
    assert (rows, positional) == ([], rest)
    assert [one[:2] for one in problems] == [(False, name) for name in names]
    assert all(message.startswith("uWSGI option, not supported: ") for _, _, message in problems)


def test_what_has_no_effect_here_is_a_row_like_any_other_with_its_value() -> None:
    assert told("--stats 127.0.0.1:9191 -L --single-interpreter --plugin python3 a.ini")[:2] == (
        [("stats", "127.0.0.1:9191"), ("disable-logging", ""), ("single-interpreter", ""), ("plugin", "python3")],
        ("a.ini",),
    )


def test_a_letter_that_only_uwsgi_has_takes_its_value_along() -> None:
    letters = [letter for letter in ascii_letters if (one := find_uwsgi_letter(letter)) and one.takes_value]
    assert letters
    for letter in letters:
        for line in (f"-{letter} VALUE -M", f"-{letter}VALUE -M"):
            rows, positional, problems = told(line)
            assert (rows, positional) == ([("master", "")], ())
            assert [(fatal, word) for fatal, word, _ in problems] == [(False, f"-{letter}")]


def test_blocks_and_files_keep_their_place() -> None:
    line = "--socket /a --ini x.ini:live --if-exists /y --threads 2 --endif --include z.ini --inherit w.ini -S a=b"
    assert pairs(line) == [
        ("socket", "/a"),
        ("ini", "x.ini:live"),
        ("if-exists", "/y"),
        ("threads", "2"),
        ("endif", ""),
        ("include", "z.ini"),
        ("inherit", "w.ini"),
        ("set", "a=b"),
    ]


def test_variables_are_rows_before_the_line_and_unknown_ones_are_placeholders() -> None:
    environ = {
        "UWSGI_SOCKET": "/a=b",
        "UWSGI_WSGI_FILE": "x.py",
        "UWSGI_DEB_CONFNAME": "blog",
        "UWSGI_RELOADS": "3",
        "UWSGI_EMPEROR_FD": "7",
        "UWSGI_": "",
        "UWSGI_ODD NAME": "",
        "XUWSGI_THREADS": "2",
        "HOME": "/",
    }
    assert env_rows(environ) == (
        Row("socket", "/a=b", "environment", 0),
        Row("wsgi-file", "x.py", "environment", 0),
        Row("set-placeholder", "deb-confname=blog", "environment", 0),
    )


@pytest.mark.parametrize(
    ("line", "before", "ini", "after"),
    [
        ("a.ini --threads 2", "", "/here/a.ini", "--threads 2"),
        ("--threads 2 a.ini", "", "/here/a.ini", "--threads 2"),
        ("--threads 2 --ini ../a.ini -M", "--threads 2", "/a.ini", "-M"),
        ("--ini /x/a.ini --chdir .", "", "/x/a.ini", "--chdir /here"),
        ("-w a --chdir %(base)", "", "", "-w a --chdir %(base)"),
        ("/www/blog.fcgi -M", "", "/www/blog.fcgi", "-M"),
        ("--ini a.ini:live -M", "", "", "--ini /here/a.ini:live -M"),
        ("a.ini --ini b.ini", "", "", "--ini /here/a.ini --ini /here/b.ini"),
        ("--ini a.ini --ini :live", "", "", "--ini /here/a.ini --ini :live"),
    ],
)
def test_the_one_file_has_its_say_between_the_options(line: str, before: str, ini: str, after: str) -> None:
    rows, positional, _ = cli_rows(line.split())
    asked = ask((), positional, rows, "/here")
    assert asked.ini == ini
    assert [(one.key, one.value) for one in asked.before] == pairs(before)
    assert [(one.key, one.value) for one in asked.after] == pairs(after)


def test_the_environment_may_name_the_file() -> None:
    rows, _, _ = cli_rows(["--threads", "2"])
    asked = ask(env_rows({"UWSGI_INI": "app/uwsgi.ini", "UWSGI_MASTER": "1"}), (), rows, "/srv")
    assert (asked.ini, asked.name) == ("/srv/app/uwsgi.ini", "uwsgi")
    assert [one.key for one in asked.after] == ["master", "threads"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("/etc/blog.ini", "blog"),
        ("--ini base.ini --ini shop.ini:live", "shop"),
        ("--wsgi-file foobar.py", "foobar"),
        ("-w pkg.wsgi:app", "pkg.wsgi"),
        ("--mount /=a:b", "app"),
        ("'/etc/a b.ini'", "app"),
    ],
)
def test_what_is_run_has_a_name(line: str, name: str) -> None:
    rows, positional, _ = cli_rows(shlex.split(line))
    assert ask((), positional, rows, "/").name == name


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


@pytest.mark.parametrize(
    ("name", "order"), [("reload", "reload"), ("stop", "stop"), ("pause", "stop"), ("resume", "start")]
)
def test_an_order_by_a_pid_file_is_told_how_it_is_given_here(name: str, order: str) -> None:
    rows, positional, (problem,) = cli_rows([f"--{name}", "/run/blog.pid"])
    assert (rows, positional, problem.fatal) == ((), (), True)
    assert f"type `emperorctl {order} NAME`" in problem.message
