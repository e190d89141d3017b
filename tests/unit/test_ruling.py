"""The daemon's own options: uWSGI's spellings, what they come to, and what is said of the others."""

from __future__ import annotations

import shlex

import pytest

from emperor.config import daemon_options, options
from emperor.config.language.inifile import Row
from emperor.config.ruling import BEFORE, OF_ONE_APP, Rule, line, rule
from emperor.config.table.option import DONE, REFUSED


def told(words: str) -> tuple[Rule, tuple[str, ...], list[str]]:
    """The rule, what is no option, and problems; those that are fatal with a ! before."""
    read = line(shlex.split(words))
    found, problems = rule(read.rows)
    said = [f"{'!' if one.fatal else ''}{one}".replace("command line: ", "") for one in (*read.problems, *problems)]
    return found, read.positional, said


def from_file(*rows: tuple[str, str], referenced: bool = False) -> tuple[Rule, list[str]]:
    found, problems = rule([Row(key, value, "/e.ini", at, referenced) for at, (key, value) in enumerate(rows, 2)])
    return found, [f"{'!' if one.fatal else ''}{one}" for one in problems]


def test_a_published_command_line_says_all_that_it_says_to_uwsgi() -> None:
    words = "--master --emperor /etc/uwsgi/vassals --die-on-term --uid nginx --gid nginx --logto /var/log/e.log"
    assert told(words) == (
        Rule(emperor=("/etc/uwsgi/vassals",), uid="nginx", gid="nginx", logto="/var/log/e.log"),
        (),
        [],
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--emperor a --emperor=b", Rule(emperor=("a", "b"))),
        ("--emperor dir:///a --emperor 'glob:///b/*.ini'", Rule(emperor=("/a", "/b/*.ini"))),
        ("-MT --emperor-tyrant", Rule(tyrant=True)),
        ("--tyrant=false", Rule()),
        ("--ini /a.ini --config /b.ini", Rule(config=("/a.ini", "/b.ini"))),
        ("--pidfile /a --emperor-pidfile /b", Rule(pidfiles=("/a", "/b"))),
        ("--pidfile /a --pidfile /b", Rule(pidfiles=("/b",))),
        ("--set uid=nginx -S tyrant=1", Rule(uid="nginx", tyrant=True)),
        ("--max-starting 3 --log-format json", Rule(max_starting=3, log_format="json")),
        ("--control-public= --http :80", Rule(control_public="", http=":80")),
    ],
)
def test_what_a_line_comes_to(words: str, expected: Rule) -> None:
    assert told(words) == (expected, (), [])


def test_what_vassals_get_is_in_uwsgis_order_whatever_order_it_is_written_in() -> None:
    found, _, said = told(
        "--vassals-include z --vassals-inherit y --vassals-set b=1 --vassal-set a=1 --vassals-include-before w "
        "--vassals-inherit-before v --vassals-inherit-before u"
    )
    assert said == []
    assert [(one.key, one.value) for one in found.before] == [
        ("inherit", "v"),
        ("inherit", "u"),
        ("include", "w"),
        ("set", "b=1"),
        ("set", "a=1"),
    ]
    assert [(one.key, one.value) for one in found.after] == [("inherit", "y"), ("include", "z")]
    assert {one.path for one in (*found.before, *found.after)} == {"command line"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--emperor-stats /s x", ["emperor-stats: has no effect here: `emperorctl status --json` tells it"]),
        ("--emperor-no-blacklist=false x", []),
        ("--thunder-lock --no-orphans --strict x", []),
        ("--emperor pg://db x", ["!emperor: names no folder: inis lie in folders here -- write DIR, or a quoted glob"]),
        ("--vassal-set a x", ["!vassal-set: must be KEY=VALUE"]),
        ("--vassal-set 'set-ph=a=%(b)' --vassal-set 'set-ph=c=50%' x", []),
        (
            "--vassal-set socket=/run/%n.s x",
            [
                "vassal-set: %n is not replaced here -- write it into a file for --vassals-include-before, or for "
                "--vassals-defaults"
            ],
        ),
        ("--emperor-tyrent x", ["!--emperor-tyrent: unknown option; did you mean emperor-tyrant?"]),
        ("--log-format '%(addr) %(uri)' x", ["log-format: must be text or json"]),
        ("--log-format xml x", ["!log-format: must be text or json"]),
        ("--max-starting 0 x", ["!max-starting: must be a whole number from 1 to 999999"]),
        ("-s /a x", ["!socket: is for one app -- write it into its ini, or serve the app by `emperor run`"]),
        (
            "-d /log x",
            ["daemonize: is --logto: it stays in the foreground -- a service manager puts it in the background"],
        ),
        (
            "-p 3 x",
            [
                "processes: has no effect on the emperor -- write it into a vassal's ini; for all of them, "
                "--vassal-set KEY=VALUE"
            ],
        ),
    ],
)
def test_what_is_said(words: str, said: list[str]) -> None:
    assert told(words)[1:] == (("x",), said)


def test_a_vassals_number_of_workers_is_no_word_of_the_daemons() -> None:
    """Debian's configuration file of the Emperor."""
    rows = [("master", "true"), ("workers", "2"), ("no-orphans", "true"), ("log-date", "true")]
    found, said = from_file(*rows, ("uid", "www-data"), ("gid", "www-data"), ("emperor", "/v"))
    assert found == Rule(emperor=("/v",), uid="www-data", gid="www-data")
    assert len(said) == 1 and said[0].startswith("/e.ini:3: workers: has no effect on the emperor")


def test_a_key_that_nobody_knows_is_told_with_its_line_unless_something_refers_to_it() -> None:
    assert from_file(("emperor", "/v"), ("bsae", "/x"))[1] == ["/e.ini:3: bsae: unknown option -- it has no effect"]
    assert from_file(("base", "/x"), referenced=True)[1] == []
    assert from_file(("pidfil", "/x"))[1][0].endswith("; did you mean pidfile?")
    assert from_file(("cache2", "name=x"))[1][0].startswith("/e.ini:2: cache2: uWSGI option, not supported: ")


def test_the_last_of_two_logs_counts_under_either_name() -> None:
    assert told("--logto /a -d /b")[0].logto == "/b"
    assert told("-d /b --logto /a")[0].logto == "/a"


def test_a_rule_has_a_place_for_everything_that_the_table_says_is_done() -> None:
    fields = {name.replace("_", "-") for name in Rule.__dataclass_fields__}
    elsewhere = {*(name for name, _ in BEFORE), "vassals-inherit", "vassals-include"}
    elsewhere |= {"daemonize", "pidfile", "emperor-pidfile"}
    assert {one.name for one in daemon_options.TABLE if one.standing == DONE} - fields == elsewhere
    assert fields - {"before", "after", "pidfiles"} <= {one.name for one in daemon_options.TABLE}


def test_a_name_stands_in_one_row_and_help_tells_all_that_does_something() -> None:
    names = [name for one in daemon_options.TABLE for name in (one.name, *one.aliases)]
    assert len(names) == len(set(names))
    text = daemon_options.help_lines()
    assert all(f"--{one.name}" in text for one in daemon_options.TABLE if one.standing == DONE)
    assert max(map(len, text.splitlines())) <= 120


def test_every_option_of_uwsgis_emperor_is_in_the_table_and_takes_a_value_as_it_does_there() -> None:
    foreign = {name: options.find_uwsgi(name) for one in daemon_options.TABLE for name in (one.name, *one.aliases)}
    for name, one in foreign.items():
        row = daemon_options.find(name)
        assert row and (one is None or one.takes_value is not row.kind.bare), name
    assert {"emperor", "vassals-include", "emperor-tyrant"} <= {name for name, one in foreign.items() if one}


def test_what_is_refused_says_what_to_do() -> None:
    assert all(" -- " in one.help for one in daemon_options.TABLE if one.standing == REFUSED)


def test_what_one_app_has_is_an_option_of_an_ini() -> None:
    assert all(options.find(name) for name in OF_ONE_APP)
