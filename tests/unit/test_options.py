"""The table is complete, unambiguous, and says what is true."""

from __future__ import annotations

import dataclasses

import pytest

from emperor.config.options import PARTS, TABLE, find, find_letter, markdown, suggestion
from emperor.config.spec import PLAIN
from emperor.config.table.option import ALWAYS, DONE, INSTEAD, REFUSED, Option
from emperor.model import SocketSpec, VassalSpec

SERVED = [one for one in TABLE if one.standing == DONE]


def test_no_name_alias_or_letter_is_taken_twice() -> None:
    names = [name for one in TABLE for name in (one.name, *one.aliases)]
    letters = [one.short for one in TABLE if one.short]
    assert len(names) == len(set(names))
    assert len(letters) == len(set(letters))


@pytest.mark.parametrize("option", SERVED, ids=lambda one: one.name)
def test_every_option_that_does_something_teaches_what(option: Option) -> None:
    assert option.help[0].isupper() and option.help.endswith(".")
    assert option.kind.text


@pytest.mark.parametrize("option", [one for one in TABLE if one.standing != DONE], ids=lambda one: one.name)
def test_every_other_option_says_why_it_does_nothing(option: Option) -> None:
    assert option.help and not option.help.endswith(".")
    assert not option.many and not option.aliases


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("home", "virtualenv"),
        ("venv", "virtualenv"),
        ("pyhome", "virtualenv"),
        ("wsgi", "module"),
        ("file", "wsgi-file"),
        ("workers", "processes"),
        ("python-path", "pythonpath"),
        ("pp", "pythonpath"),
        ("daemonize", "logto"),
        ("set-ph", "set-placeholder"),
        ("worker-reload-mercy", "reload-mercy"),
        ("cheap", "on-demand"),
        ("max-fd", "limit-nofile"),
        ("prio", "nice"),
        ("evil-reload-on-rss", "reload-on-rss"),
        ("evil-reload-on-as", "reload-on-as"),
        ("touch-workers-reload", "touch-reload"),
        ("touch-chain-reload", "touch-reload"),
        ("fs-reload", "touch-reload"),
        ("py-auto-reload", "py-autoreload"),
        ("python-autoreload", "py-autoreload"),
        ("python-auto-reload", "py-autoreload"),
        ("socket", "socket"),
    ],
)
def test_uwsgis_spellings_are_known(alias: str, name: str) -> None:
    found = find(alias)
    assert found is not None and found.name == name


@pytest.mark.parametrize(
    ("letter", "name"),
    [
        ("s", "socket"),
        ("w", "module"),
        ("p", "processes"),
        ("H", "virtualenv"),
        ("M", "master"),
        ("T", "enable-threads"),
        ("C", "chmod-socket"),
        ("l", "listen"),
        ("b", "buffer-size"),
        ("d", "logto"),
        ("t", "harakiri"),
        ("R", "max-requests"),
    ],
)
def test_uwsgis_letters_are_known(letter: str, name: str) -> None:
    found = find_letter(letter)
    assert found is not None and found.name == name


STANDINGS = {
    DONE: """
    module wsgi callable wsgi-file file mount manage-script-name home virtualenv venv pyhome pythonpath python-path pp
    socket uwsgi-socket fastcgi-socket http-socket http chmod-socket chown-socket uid gid immediate-uid immediate-gid
    logto logto2 daemonize threads processes workers harakiri max-requests max-requests-delta min-worker-lifetime
    max-worker-lifetime reload-on-rss reload-on-as evil-reload-on-rss evil-reload-on-as limit-as touch-reload
    touch-workers-reload touch-chain-reload py-autoreload lazy-apps lazy chdir chdir2 env umask listen buffer-size
    socket-timeout reload-mercy worker-reload-mercy cheaper cheaper-overload cheap idle static-map for-readline if-env
    include strict stats stats-server stats-http disable-logging log-maxsize log-format logformat log-4xx log-5xx
    log-slow log-big log-zero log-x-forwarded-for""",
    ALWAYS: """
    plugin plugins need-plugin enable-threads master die-on-term vacuum log-master log-reopen need-app
    post-buffering die-on-idle auto-procname single-interpreter py-call-osafterfork stats-minified unenv
    master-as-root drop-after-init harakiri-verbose thunder-lock""",
    INSTEAD: """
    no-initgroups add-gid drop-after-apps log-backupname log-truncate touch-logreopen touch-logrotate logfile-chown
    logfile-chmod harakiri-graceful-timeout procname-prefix procname-prefix-spaced procname
    procname-master check-static static-index pidfile
    safe-pidfile pidfile2 master-fifo vhost catch-exceptions cheaper-algo""",
    REFUSED: """
    scgi-socket https-socket xml yaml json config chroot""",
}
"""What stands in inis that people have, and what becomes of it."""


@pytest.mark.parametrize(
    ("name", "standing"), [(name, standing) for standing, names in STANDINGS.items() for name in names.split()]
)
def test_options_have_their_standing(name: str, standing: str) -> None:
    found = find(name)
    assert found is not None and found.standing == standing


@pytest.mark.parametrize("option", [one for one in TABLE if one.standing == REFUSED], ids=lambda one: one.name)
def test_what_is_refused_says_what_to_write(option: Option) -> None:
    assert " -- write " in option.help


def test_nothing_is_known_under_a_name_that_is_not_there() -> None:
    assert find("base") is None
    assert find_letter("?") is None


@pytest.mark.parametrize(
    ("typo", "name"),
    [("modul", "module"), ("chmod_socket", "chmod-socket"), ("Virtualenv", "virtualenv"), ("proceses", "processes")],
)
def test_a_typo_finds_what_was_meant(typo: str, name: str) -> None:
    assert suggestion(typo) == f"; did you mean {name}?"


def test_what_resembles_nothing_finds_nothing() -> None:
    assert suggestion("zzz") == ""


FIELDS = {field.name: field.default for field in dataclasses.fields(VassalSpec)}
UNWRITTEN = {"umask": None, "max-requests-delta": None, "max-worker-lifetime-delta": None, "cheaper-initial": 0}
"""Options whose default is told in words."""


@pytest.mark.parametrize("name", PLAIN)
def test_the_defaults_that_help_shows_are_those_that_run(name: str) -> None:
    option = find(name)
    assert option is not None
    default = FIELDS[name.replace("-", "_")]
    assert default == UNWRITTEN[name] if name in UNWRITTEN else option.kind.parse(option.default) == default


def test_the_default_backlog_that_help_shows_is_the_one_that_runs() -> None:
    option = find("listen")
    assert option is not None and int(option.default) == SocketSpec.backlog


def test_the_markdown_has_a_row_of_four_cells_for_every_option_that_does_something() -> None:
    lines = [line for line in markdown().splitlines() if line.startswith("|")]
    assert len(lines) == len(SERVED) + 2 * len(PARTS)
    assert all(line.count("|") - line.count("\\|") == 5 for line in lines)
    assert "`home`" in markdown() and "`-s`" in markdown()


@pytest.mark.parametrize(
    "typo", ["spoler", "pidfil", "routes", "cheaper-busyness-mix", "log-backupnames", "static-mop2", "sslrouter-too"]
)
def test_no_option_without_effect_is_suggested_nor_a_poor_one_in_its_place(typo: str) -> None:
    assert suggestion(typo) == ""
