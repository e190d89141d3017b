"""The effective values of an ini, each with where it was written; what is secret is masked."""

from __future__ import annotations

from emperor.config.effective import (
    DEFAULT,
    DEFAULTS,
    DRAWN,
    EMPEROR,
    IDLE,
    INI,
    PLACEHOLDER,
    Sight,
    Sources,
    Value,
    effective,
)
from emperor.config.language.inifile import Row
from emperor.config.language.unfolding import Source, unfold
from tests.unit.config_world import world

BLOG, SHARED, OTHER = "/v/blog.ini", "/etc/shared.ini", "/etc/more.ini"
SOURCES = Sources(BLOG, SHARED, frozenset({("command line", 0), ("/etc/emperor.ini", 3)}))
ALL = Sight(True, True)


def written(*rows: Row, sight: Sight = ALL) -> list[Value]:
    return [one for one in effective(rows, SOURCES, sight) if one.path]


def row(key: str, value: str, line: int = 1, path: str = BLOG, referenced: bool = False) -> Row:
    return Row(key, value, path, line, referenced)


def test_the_last_line_counts_and_the_others_are_not_there() -> None:
    (found,) = written(row("processes", "2", 1, SHARED), row("workers", "4", 7))
    assert found == Value("processes", "4", BLOG, 7, INI)
    assert found.origin == "/v/blog.ini:7"


def test_what_may_be_repeated_is_there_each_time() -> None:
    found = written(row("pythonpath", "/a"), row("pythonpath", "/b", 2))
    assert [one.value for one in found] == ["/a", "/b"]


def test_of_one_variable_the_last_value_counts() -> None:
    found = written(row("env", "A=1"), row("env", "B=2", 2), row("env", "A=3", 3))
    assert [one.value for one in found] == ["B=2", "A=3"]


def test_the_way_of_a_line_is_told() -> None:
    rows = (
        row("threads", "2", 2, SHARED),
        row("harakiri", "9", 0, "command line"),
        row("nice", "5", 3, "/etc/emperor.ini"),
        row("umask", "022", 4, OTHER),
    )
    assert [(one.via, one.origin) for one in written(*rows)] == [
        (DEFAULTS, "/etc/shared.ini:2"),
        (EMPEROR, "command line"),
        (EMPEROR, "/etc/emperor.ini:3"),
        (DRAWN, "/etc/more.ini:4"),
    ]


def test_what_nobody_has_written_is_the_tables_default() -> None:
    found = {one.option: one for one in effective([row("fastcgi-socket", "/x.sock")], SOURCES, Sight())}
    assert (found["threads"].value, found["threads"].origin, found["threads"].via) == ("1", DEFAULT, DEFAULT)
    assert "socket" not in found, "one that names another address has none of its own"
    assert "socket" in {one.option for one in effective([], SOURCES, Sight())}


def test_the_user_whom_nobody_has_written_is_the_inis_owner_where_that_decides() -> None:
    def uid(*rows: Row, owned: bool) -> list[tuple[str, str]]:
        found = effective(list(rows), SOURCES, Sight(), owned=owned)
        return [(one.value, one.origin) for one in found if one.option == "uid"]

    assert uid(owned=True) == [("the ini's owner", DEFAULT)]
    assert uid(owned=False) == [("the web server's user", DEFAULT)]
    assert uid(row("uid", "alice"), owned=True) == [("alice", "/v/blog.ini:1")]


def test_a_value_that_cannot_be_read_is_neither_there_nor_its_default() -> None:
    assert "processes" not in {one.option for one in effective([row("processes", "many")], SOURCES, ALL)}


def test_what_has_no_effect_says_so() -> None:
    rows = (row("master", "true"), row("proceses", "4", 2), row("base", "/srv", 3, referenced=True))
    assert [one.kind for one in written(*rows)] == [IDLE, IDLE, PLACEHOLDER]


def test_secrets_and_placeholders_are_masked_each_for_whom_they_are_not() -> None:
    rows = (
        row("env", "DB=postgres://x:hunter2@db"),
        row("password", "hunter2", 2, referenced=True),
        row("set-placeholder", "pw=hunter2", 3),
        row("processes", "2", 4),
    )
    assert [one.value for one in written(*rows, sight=Sight())] == ["DB=***", "***", "***", "2"]
    assert [one.value for one in written(*rows, sight=Sight(secrets=True))][:2] == ["DB=postgres://x:hunter2@db", "***"]
    assert "***" not in [one.value for one in written(*rows, sight=ALL)]


def test_a_placeholder_is_masked_wherever_it_has_gone_and_what_nobody_knows_is_masked_too() -> None:
    """Whoever may not see it must not find it one line below."""
    text = "\n".join(
        (
            "[uwsgi]", "pw = hunter2", "chdir = /srv/%(pw)/app", "processes = 2", "pasword = hunter2",
            "master = hunter2", "for = hunter2", "pythonpath = /%(_)", "endfor =", "env = PW=%(pw)",
            "mount = /x%(pw)=blog",
        )
    )  # fmt: skip
    rows = unfold([Source(BLOG, text)], world()).rows
    told = effective(rows, SOURCES, Sight())
    assert "hunter2" not in str(told)
    assert ("processes", "2") in [(one.option, one.value) for one in told]
    assert ("env", "PW=hunter2") in [(one.option, one.value) for one in effective(rows, SOURCES, Sight(secrets=True))]
    assert str(effective(rows, SOURCES, ALL)).count("hunter2") == 7
