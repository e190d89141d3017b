"""Every option that uWSGI has is known here, by name, letter and arity, and by what does the same."""

from __future__ import annotations

import pytest

from contrib.uwsgi_names import fingerprint, ours
from emperor.config.language.logic import ENDS, is_block
from emperor.config.options import OWN, TABLE, find, find_letter, find_uwsgi, find_uwsgi_letter, unsupported
from emperor.config.table.option import ALWAYS, INSTEAD
from emperor.config.table.uwsgi_names import GROUPS
from tests.unit.config_world import APP, faults, warnings

SOURCE = "fe1a273805bd604f"
"""What contrib/uwsgi_names.py prints for the source of uWSGI 2.0.31: its 1261 names, and which of them take a value."""

LETTERS = "ACHJLMOQRSTabcdhijlmprstvwxyz"


def takes_value(name: str) -> bool:
    """On a command line."""
    option, foreign = find(name), find_uwsgi(name)
    return not option.kind.bare if option else foreign is not None and foreign.takes_value


def test_no_name_is_known_twice() -> None:
    names = list(ours())
    assert len(names) == len(set(names))


def test_every_option_of_uwsgis_source_is_known_and_takes_a_value_where_it_does_there() -> None:
    theirs = set(ours()) - OWN
    assert len(theirs) == 1261
    assert fingerprint((name, takes_value(name)) for name in theirs) == SOURCE


@pytest.mark.parametrize("letter", LETTERS)
def test_every_letter_of_uwsgis_is_known(letter: str) -> None:
    assert (find_letter(letter) is None) != (find_uwsgi_letter(letter) is None)


def test_every_group_says_something_of_its_own_as_the_rest_of_a_sentence() -> None:
    assert len({one.reason for one in GROUPS}) == len({one.title for one in GROUPS}) == len(GROUPS)
    assert [one.title for one in GROUPS if one.reason.endswith(".") or one.reason != one.reason.strip()] == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("route = ^/old redirect:/new", "rewriting"),
        ("cache2 = name=a,items=100", "Redis"),
        ("spooler = /var/spool/a", "Celery"),
        ("mule = true", "Celery"),
        ("cron = 0 0 -1 -1 -1 /bin/true", "timer"),
        ("legion = a 225.1.1.1:4242 100 bf:x", "load balancer"),
        ("subscribe-to = 127.0.0.1:4040:a", "web server"),
        ("fastrouter = 127.0.0.1:3000", "uwsgi_pass"),
        ("http-to = /a.sock", "no router process"),
        ("emperor-tyrant = true", "emperor --help"),
        ("sni = a cert key", "TLS"),
        ("stats-push = statsd:127.0.0.1:8125", "emperorctl"),
        ("enable-metrics = true", "emperorctl"),
        ("php-docroot = /srv", "only Python apps"),
        ("alarm = a cmd:mail", "emperorctl status"),
        ("rados-mount = a", "web server"),
        ("gevent = 100", "threads"),
        ("pypy-home = /x", "python = "),
        ("envdir = /x", "env = KEY=VALUE"),
        ("abstract-socket", "@NAME"),
    ],
)
def test_an_option_of_uwsgis_is_told_apart_from_a_mistake(line: str, words: str) -> None:
    for lines in ((APP, line), (APP, line, "strict = true")):
        ((at, _, message),) = warnings(*lines)
        assert at == 3 and message.startswith("uWSGI option, not supported: ") and words in message


@pytest.mark.parametrize("line", ["gevent-monkey-patch = false", "never-swap = 0", "http-auto-gzip = off"])
def test_what_is_turned_off_needs_no_word(line: str) -> None:
    assert warnings(APP, line) == []


def test_a_value_that_looks_like_off_is_one_where_uwsgi_takes_values() -> None:
    assert [at for at, _, _ in warnings(APP, "gevent = 0")] == [3]


def test_what_debians_script_sets_is_a_placeholder() -> None:
    assert warnings(APP, "deb-confname = blog", "deb-confnamespace = app") == []
    assert faults(APP, "strict = true", "deb-confname = blog") == []


def test_the_message_has_the_reason_of_its_group() -> None:
    for group in GROUPS:
        for word in group.names.split():
            foreign = find_uwsgi(word.rstrip("!?").partition("/")[0])
            assert foreign is not None and unsupported(foreign).endswith(group.reason)


RUN = "gevent async ugreen! greenlet! attach-daemon smart-attach-daemon spooler/Q mule? cron import shared-import"
LOST = (*RUN.split(), "exec-pre-app", "hook-post-fork", "hook-as-root", "timer")


@pytest.mark.parametrize("word", LOST)
def test_what_ran_something_says_that_it_does_not(word: str) -> None:
    name = word.rstrip("!?").partition("/")[0]
    foreign = find_uwsgi(name)
    assert foreign is not None and foreign.part
    assert [one[2] for one in warnings(APP, f"{name} = 5")] == [
        f"uWSGI option, not supported: {foreign.part} -- {foreign.reason}"
    ]


@pytest.mark.parametrize("name", ["ugreen-stacksize", "gevent-monkey-patch", "cron-harakiri", "mule-harakiri", "ftok"])
def test_what_an_app_serves_as_well_without_has_no_such_mark(name: str) -> None:
    foreign = find_uwsgi(name)
    assert foreign is not None and not foreign.part


def test_the_words_of_the_language_are_the_tables() -> None:
    words = {name for one in TABLE for name in (one.name, *one.aliases) if name.startswith(("if", "for", "end"))}
    assert {one for one in words if not is_block(one)} == ENDS - {"end"}


@pytest.mark.parametrize("value", ["x", "1", "/x=/y", ""])
def test_no_option_of_uwsgis_keeps_an_app_from_running_but_those_that_are_refused(value: str) -> None:
    names = [name for name in ours() if (option := find(name)) is None or option.standing in (ALWAYS, INSTEAD)]
    assert len(names) > 1000
    for some in (names[:600], names[600:]):
        lines = [f"{name} = {value}" for name in some]
        told = {option for _, option, _ in warnings(APP, "strict = true", *lines)}
        assert told >= {name for name in some if find_uwsgi(name)}
