"""``emperor run`` on a web server's socket: which file is the ini, what is left out, who may connect."""

from __future__ import annotations

import pytest

from emperor.config.language.inifile import Row
from emperor.errors import EmperorError
from emperor.inherited import HANDED_OVER, environment, files_of, keep
from emperor.lone import web_servers
from emperor.model import Identity, VassalSpec
from emperor.supervision.paper import Paper
from emperor.system.processes import PATH
from tests.unit.config_world import ALICE, ROOT, WEB, Accounts


def rows(**options: str) -> list[Row]:
    return [Row(key.replace("_", "-"), value, "blog.ini", line) for line, (key, value) in enumerate(options.items(), 1)]


def kept(own: Identity, **options: str) -> dict[str, str]:
    found = keep(rows(**options), own, Accounts()).rows
    assert found[-1] == HANDED_OVER
    return {row.key: row.value for row in found[:-1]}


def warned(own: Identity, **options: str) -> list[str]:
    return [one.partition(":")[0] for one in keep(rows(**options), own, Accounts()).warnings]


@pytest.mark.parametrize(
    "words, options, chosen",
    [
        ([], {}, []),
        (["blog.ini"], {}, ["blog.ini"]),
        (["blog.ini", "/www/blog.fcgi"], {}, ["blog.ini"]),
        (["/www/blog.fcgi"], {}, ["/www/blog.fcgi"]),
        (["/www/blog.fcgi"], {"wsgi_file": "app.py"}, []),
        (["/www/blog.fcgi"], {"file": "app.py"}, []),
        (["/www/blog.fcgi"], {"module": "blog"}, []),
        (["/www/blog.fcgi"], {"mount": "/=blog"}, []),
        (["/www/blog.fcgi"], {"ini": "blog.ini"}, []),
        (["/www/blog.fcgi"], {"threads": "4"}, ["/www/blog.fcgi"]),
        (["blog.ini"], {"module": "blog"}, ["blog.ini"]),
        (["blog.ini", "shop.ini"], {}, ["blog.ini", "shop.ini"]),
        (["a.fcgi", "b.fcgi"], {}, ["a.fcgi", "b.fcgi"]),
    ],
)
def test_the_ini_is_told_from_the_script_that_names_us(
    words: list[str], options: dict[str, str], chosen: list[str]
) -> None:
    assert files_of(words, rows(**options)) == chosen


@pytest.mark.parametrize("name", ["socket", "uwsgi_socket", "fastcgi_socket"])
def test_no_socket_of_the_ini_is_bound(name: str) -> None:
    assert kept(WEB, **{name: "/run/x.sock"}) == {}
    assert warned(WEB, **{name: "/run/x.sock"}) == ["socket"]


def test_several_sockets_are_one_warning() -> None:
    assert warned(WEB, socket="/run/x.sock", fastcgi_socket="/run/y.sock", uwsgi_socket=":3031") == ["socket"]


@pytest.mark.parametrize("name", ["protocol", "chmod_socket", "chown_socket", "socket_umask", "listen", "chmod"])
def test_what_is_about_sockets_goes_without_a_word(name: str) -> None:
    assert kept(WEB, **{name: "0"}) == {}
    assert warned(WEB, **{name: "0"}) == []


def test_more_than_one_process_is_the_web_servers_affair() -> None:
    assert kept(WEB, processes="4", threads="2") == {"threads": "2"}
    assert warned(WEB, processes="4") == warned(WEB, workers="4") == ["processes"]
    assert warned(WEB, processes="1") == []


@pytest.mark.parametrize(
    "name, value",
    [("harakiri", "30"), ("max_requests", "9"), ("on_demand", "yes"), ("cheap", ""), ("touch_reload", "/x")],
)
def test_what_only_a_vassal_can_do_is_said_to_have_no_effect(name: str, value: str) -> None:
    assert kept(WEB, **{name: value}) == {}
    assert len(warned(WEB, **{name: value})) == 1
    assert warned(WEB, harakiri="0") == warned(WEB, limit_as="512", limit_nofile="100", limit_nproc="9", nice="5") == []


def test_everything_else_stays_in_its_order() -> None:
    options = {"wsgi_file": "a.py", "env": "A=1", "fastcgi_engine": "flup", "x-custom": "1", "chdir": "/srv"}
    assert list(kept(WEB, **options)) == ["wsgi-file", "env", "fastcgi-engine", "x-custom", "chdir"]
    assert warned(WEB, **options) == []


@pytest.mark.parametrize("name, mine, other", [("uid", "www-data", "alice"), ("gid", "www-data", "alice")])
def test_who_is_not_root_stays_who_they_are(name: str, mine: str, other: str) -> None:
    assert kept(WEB, **{name: mine}) == {name: mine}
    assert kept(WEB, **{name: "33"}) == {name: "33"}
    assert kept(WEB, **{name: other}) == kept(WEB, **{name: "nobody-has-this-name"}) == {}
    assert warned(WEB, **{name: other}) == [name]
    assert warned(WEB, **{name: mine}) == []


def test_root_becomes_whom_the_ini_names() -> None:
    assert kept(ROOT, uid="alice", gid="www-data") == {"uid": "alice", "gid": "www-data"}
    assert warned(ROOT, uid="alice", gid="www-data") == []


def test_warnings_say_who_decides() -> None:
    (warning,) = keep(rows(uid="alice"), WEB, Accounts()).warnings
    assert warning == "uid: ignored: the web server runs this process as www-data, who cannot become somebody else"


def test_the_environment_is_the_web_servers_and_lacks_nothing() -> None:
    found = environment(ALICE, {"HOME": "/srv/x", "LANG": "C"}, foreign=False)
    assert found == {
        "HOME": "/srv/x", "LANG": "C", "USER": "alice", "LOGNAME": "alice", "SHELL": "/bin/sh", "PATH": PATH,
    }  # fmt: skip


def test_what_another_users_environment_says_about_the_user_does_not_stay() -> None:
    found = environment(ALICE, {"HOME": "/root", "USER": "root", "PATH": "/bin", "SHELL": "/bin/bash"}, foreign=True)
    assert (found["HOME"], found["USER"], found["LOGNAME"], found["SHELL"]) == (
        "/home/alice", "alice", "alice", "/bin/sh",
    )  # fmt: skip
    assert found["PATH"] == "/bin"


@pytest.mark.parametrize(
    "value, addresses",
    [
        # The specification's own example, section 3.2.
        ("199.170.183.28,199.170.183.71", {"199.170.183.28", "199.170.183.71"}),
        (" 127.0.0.1 , ::1", {"127.0.0.1", "::1"}),
        ("0:0:0:0:0:0:0:1", {"::1"}),
        ("::ffff:10.0.0.1", {"10.0.0.1"}),
        ("fe80::1%eth0", {"fe80::1"}),
    ],
)
def test_web_servers_are_numbers_in_one_spelling(value: str, addresses: set[str]) -> None:
    assert web_servers(value) == addresses


@pytest.mark.parametrize("value", [",", "localhost", "127.0.0.1,", "127.0.0.1 10.0.0.1", "10.0.0.0/8"])
def test_a_list_of_web_servers_that_cannot_be_read_lets_nobody_guess(value: str) -> None:
    with pytest.raises(EmperorError, match=r"^FCGI_WEB_SERVER_ADDRS: .* -- not started"):
        web_servers(value)


def test_the_paper_says_the_same_on_the_other_side() -> None:
    spec = VassalSpec("blog", "/etc/blog.ini", "/etc", ALICE, (), (), env=(("A", "ü"),))
    paper = Paper(spec, {"flup": "/usr/lib/flup"})
    assert Paper.from_bytes(paper.to_bytes()) == paper
