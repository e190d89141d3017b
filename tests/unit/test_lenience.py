"""What uWSGI starts with and what templates leave behind is read as it is meant, and said; nothing else is."""

from __future__ import annotations

import pytest

from emperor.config.lenience import COMMENT, EMPTY, NO_VALUE, ZERO
from emperor.model import UNIX, VassalSpec
from tests.unit.config_world import APP, CONTEXT, check, faults, spec, warnings


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("harakiri = 60   ; forcefully kill", "harakiri", 60.0),
        ("harakiri = 60\t# forcefully kill", "harakiri", 60.0),
        ("max-requests = 1000  ; Restart workers after this many", "max_requests", 1000),
        ("threads = 2;", "threads", 2),
        ("threads = 2; two", "threads", 2),
        ("lazy-apps = true ; in each worker", "lazy_apps", True),
        ("lazy-apps = false ; before the fork", "lazy_apps", False),
        ("reload-on-rss = 2048 ; MB", "reload_on_rss", 2048 * 2**20),
        ("umask = 022 ; nobody else writes", "umask", 0o022),
        ("reload-mode = rolling ; little memory", "reload_mode", "rolling"),
    ],
)
def test_a_comment_behind_what_holds_no_blank_is_left_out_and_told(line: str, field: str, value: object) -> None:
    assert getattr(spec(APP, line), field) == value
    told = [one for one in warnings(APP, line, "processes = 2") if "no effect" not in one[2]]
    assert told == [(3, line.partition(" ")[0], COMMENT)]


@pytest.mark.parametrize(
    "line",
    [
        *("threads = two ; 2", "harakiri = 30s ; half", "threads = 2 threads", "threads = 2#2", "threads = ; 2"),
        *("strict = maybe ; so", "lazy-apps = ;true", "uid = alice ; she", "module = blog ; it", "processes = -1 ; x"),
    ],
)
def test_what_is_no_value_without_its_comment_is_an_error_and_nothing_else_of_that_line(line: str) -> None:
    assert [(number, option) for number, option, _ in faults(APP, line)][:1] == [(3, line.partition(" ")[0])]
    assert COMMENT not in [one.message for one in check(APP, line).problems]


@pytest.mark.parametrize("line", ["env = A=b ; c", "chdir = /srv/a ; b", "pythonpath = /srv ; x", "logto = /srv/l ; x"])
def test_free_text_keeps_what_looks_like_a_comment(line: str) -> None:
    assert spec(APP, line) != spec(APP, line.partition(" ;")[0])
    assert warnings(APP, line) == []


@pytest.mark.parametrize(
    "option",
    [
        *("home", "virtualenv", "pythonpath", "chdir", "chdir2", "logto", "touch-reload", "processes", "threads"),
        *("harakiri", "max-requests", "buffer-size", "reload-on-rss"),
    ],
)
def test_what_a_template_has_left_empty_is_as_if_not_written(option: str) -> None:
    assert warnings(APP, f"{option} =") == [(3, option, EMPTY)]
    assert spec(APP, f"{option} =") == spec(APP)


@pytest.mark.parametrize("option", ["socket", "uwsgi-socket", "fastcgi-socket", "http-socket", "http"])
def test_an_empty_socket_leaves_the_others_or_else_the_apps_own(option: str) -> None:
    assert warnings(APP, f"{option} =") == [(3, option, EMPTY)]
    (own,) = spec(APP, f"{option} =").sockets
    assert (own.address.family, own.address.path) == (UNIX, CONTEXT.default_socket)
    assert [str(one.address) for one in spec(APP, f"{option} =", "socket = @a").sockets] == ["@a"]


@pytest.mark.parametrize("option", ["uid", "gid", "module", "wsgi-file", "callable", "mount", "python", "static-map"])
def test_what_says_which_app_or_whose_may_not_be_empty(option: str) -> None:
    assert (3, option, "needs a value") in faults(APP, f"{option} =")


@pytest.mark.parametrize(
    "line",
    [
        *("processes = 0", "workers = 00", "threads = 0", "reload-mercy = 0", "worker-reload-mercy = 0"),
        *("socket-timeout = 0", "listen = 0", "threads = 0 ; none"),
    ],
)
def test_a_0_that_means_nothing_is_as_if_not_written(line: str) -> None:
    assert warnings(APP, line) == [(3, line.partition(" ")[0], ZERO)]
    assert spec(APP, line) == spec(APP)


def test_what_was_written_before_counts_where_a_later_line_does_not() -> None:
    assert spec(APP, "threads = 4", "threads = 0", "chdir = /srv", "chdir =").threads == 4
    assert spec(APP, "chdir = /srv", "chdir =").chdir == "/srv"


@pytest.mark.parametrize("line", ["harakiri = 0", "max-requests = 0", "cheaper = 0", "idle = 0"])
def test_a_0_that_means_something_needs_no_word(line: str) -> None:
    assert warnings(APP, line) == []


def test_a_variable_without_a_value_is_told_and_dropped() -> None:
    assert warnings(APP, "env = FOO", "env = A=") == [(3, "env", NO_VALUE)]
    assert spec(APP, "env = FOO", "env = A=").env == (("A", ""),)


@pytest.mark.parametrize(("first", "taken"), [(9, 4), (1, 2), (3, 3)])
def test_as_many_workers_start_as_there_may_be(first: int, taken: int) -> None:
    found: VassalSpec = spec(APP, "processes = 4", "cheaper = 2", "cheaper-initial = 3", f"cheaper-initial = {first}")
    assert found.cheaper_initial == taken
