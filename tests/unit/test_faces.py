"""What ``emperorctl nginx``, ``apache`` and ``lighttpd`` print: each fact of an ini is in the text of each server."""

from __future__ import annotations

import dataclasses
import re
import string
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.errors import EmperorError
from emperor.faces import apache, lighttpd, nginx
from emperor.faces.facts import Facts, Static, gather
from emperor.faces.wish import Wish, check_wish, unheeded
from emperor.model import (
    ABSTRACT,
    ADMIN,
    FASTCGI,
    HTTP,
    OWNER,
    TCP,
    UNIX,
    UWSGI,
    Address,
    Authority,
    Identity,
    SocketSpec,
    Target,
    VassalSpec,
)

ALICE = Identity(1000, 1000, (1000,), "alice", "/home/alice")
WEB = Identity(33, 33, (33,), "www-data", "/var/www")
ROOT = dataclasses.replace(ALICE, uid=0, user="root")
SERVERS = {"nginx": nginx.render, "apache": apache.render, "lighttpd": lighttpd.render}
PROTOCOLS = (FASTCGI, UWSGI, HTTP)


def at(path: str = "/run/emperor/blog.sock", protocol: str = FASTCGI, **more: object) -> SocketSpec:
    return dataclasses.replace(SocketSpec(protocol, Address(UNIX, path)), **more)  # type: ignore[arg-type]


def port(number: int, protocol: str = UWSGI, host: str = "127.0.0.1") -> SocketSpec:
    return SocketSpec(protocol, Address(TCP, host=host, port=number))


def mounted(*mounts: str) -> tuple[Target, ...]:
    return tuple(Target(mount, "module", "app") for mount in mounts)


def spec(*sockets: SocketSpec, **more: object) -> VassalSpec:
    known = {"name": "blog", "config": "/etc/emperor/blog.ini", "folder": "/", "identity": ALICE}
    values = {**known, "sockets": sockets or (at(),), "targets": mounted(""), **more}
    return VassalSpec(**values)  # type: ignore[arg-type]


def facts(one: VassalSpec, prefix: str = "", name: str = "", listen: str = "80", **more: object) -> Facts:
    return gather(one, Wish(prefix, name, listen), **more)  # type: ignore[arg-type]


def printed(server: str, one: VassalSpec, prefix: str = "", name: str = "", listen: str = "80") -> str:
    return SERVERS[server](facts(one, prefix, name, listen, asks_disk_first=server == "nginx"))


def code(text: str) -> str:
    """Without comments, one blank for many."""
    lines = (line.strip() for line in text.split("\n"))
    return "\n".join(re.sub(" +", " ", line) for line in lines if line and not line.startswith("#"))


# Which socket


@pytest.mark.parametrize(
    ("sockets", "chosen"),
    [
        ((at("/u", UWSGI), at("/f", FASTCGI), at("/h", HTTP)), "/f"),
        ((at("/h", HTTP), at("/u", UWSGI)), "/u"),
        ((port(3031, FASTCGI), at("/u", UWSGI)), "/u"),
        ((at("/h", HTTP), port(3031, FASTCGI)), "127.0.0.1:3031"),
        ((SocketSpec(FASTCGI, Address(ABSTRACT, "x")), at("/h", HTTP)), "/h"),
    ],
)
def test_fastcgi_is_before_uwsgi_and_unix_before_tcp_and_http_the_last(
    sockets: tuple[SocketSpec, ...], chosen: str
) -> None:
    assert str(facts(spec(*sockets)).address) == chosen


def test_abstract_sockets_alone_are_of_no_use() -> None:
    with pytest.raises(EmperorError, match="only abstract sockets"):
        facts(spec(SocketSpec(UWSGI, Address(ABSTRACT, "x"))))


@pytest.mark.parametrize(
    ("host", "near"),
    [("", "127.0.0.1:9"), ("0.0.0.0", "127.0.0.1:9"), ("::", "[::1]:9"), ("10.0.0.2", "10.0.0.2:9")],
)
def test_whoever_listens_everywhere_is_reached_on_this_machine(host: str, near: str) -> None:
    assert facts(spec(port(9, host=host))).near == near


@pytest.mark.parametrize(
    ("server", "protocol", "words"),
    [
        ("nginx", FASTCGI, 'server "unix:/run/emperor/blog.sock";'),
        ("nginx", UWSGI, 'uwsgi_pass "unix:/run/emperor/blog.sock";'),
        ("nginx", HTTP, 'proxy_pass "http://unix:/run/emperor/blog.sock:";'),
        ("apache", FASTCGI, 'ProxyPass "/" "unix:/run/emperor/blog.sock|fcgi://emperor-blog/"'),
        ("apache", UWSGI, 'ProxyPass "/" "unix:/run/emperor/blog.sock|uwsgi://emperor-blog/"'),
        ("apache", HTTP, 'ProxyPass "/" "unix:/run/emperor/blog.sock|http://emperor-blog/"'),
        ("lighttpd", FASTCGI, 'fastcgi.server = (\n"/" => ((\n"socket" => "/run/emperor/blog.sock",'),
        ("lighttpd", UWSGI, 'scgi.protocol = "uwsgi"\nscgi.server = (\n"/" => ((\n"socket" => '),
        ("lighttpd", HTTP, 'proxy.server = (\n"" => ((\n"host" => "/run/emperor/blog.sock",'),
    ],
)
def test_each_server_is_told_the_socket_in_its_own_way(server: str, protocol: str, words: str) -> None:
    assert words in code(printed(server, spec(at(protocol=protocol))))


def test_a_tcp_socket_is_told_as_well() -> None:
    one = spec(port(3031))
    assert "uwsgi_pass 127.0.0.1:3031;" in code(printed("nginx", one))
    assert 'ProxyPass "/" "uwsgi://127.0.0.1:3031/"' in code(printed("apache", one))
    assert '"host" => "127.0.0.1",\n"port" => 3031,' in code(printed("lighttpd", one))


def test_two_vassals_are_two_workers_of_apaches_whatever_their_names() -> None:
    names = ("blog", "Blog", "my_app", "my-app", "my@app", "_")
    found = [re.findall("fcgi://([^/]+)/", printed("apache", spec(name=name)))[0] for name in names]
    assert len({one.lower() for one in found}) == len(names)
    assert all(re.fullmatch("[a-z0-9.-]+", one) for one in found)


# Where on the site


@pytest.mark.parametrize("protocol", [FASTCGI, UWSGI])
def test_at_the_root_the_whole_path_is_path_info(protocol: str) -> None:
    text = code(printed("nginx", spec(at(protocol=protocol))))
    assert "location / {" in text
    assert f'{protocol}_param SCRIPT_NAME "";' in text
    assert re.search(rf"{protocol}_param PATH_INFO \$(fastcgi_script_name|document_uri);", text)
    assert '"fix-root-scriptname" => "enable",' in code(printed("lighttpd", spec(at(protocol=protocol))))
    assert "SetEnv" not in printed("apache", spec(at(protocol=protocol)))


@pytest.mark.parametrize("protocol", [FASTCGI, UWSGI])
def test_below_a_prefix_that_the_app_does_not_know_the_web_server_cuts(protocol: str) -> None:
    one = spec(at(protocol=protocol))
    text = code(printed("nginx", one, "/shop"))
    assert 'location ~ "^/shop(?:/|$)" {' in text
    assert 'fastcgi_split_path_info "^(/shop)(/.*)?$";' in text
    assert f"{protocol}_param SCRIPT_NAME $fastcgi_script_name;" in text
    assert f"{protocol}_param PATH_INFO $fastcgi_path_info;" in text
    assert '"/shop" => ((' in printed("lighttpd", one, "/shop")


def test_apache_is_told_what_to_cut_off() -> None:
    text = code(printed("apache", spec(), "/shop"))
    assert 'ProxyFCGISetEnvIf "true" SCRIPT_NAME "/shop"' in text
    assert 'ProxyFCGISetEnvIf "%{REQUEST_URI} =~ m#^/shop(/.*)?$#" PATH_INFO "$1"' in text
    # For mod_proxy_uwsgi the target's path is PATH_INFO.
    assert 'ProxyPass "/shop" "unix:/run/emperor/blog.sock|uwsgi://emperor-blog" ' in code(
        printed("apache", spec(at(protocol=UWSGI)), "/shop")
    )


@pytest.mark.parametrize(
    ("more", "prefixes", "split"),
    [
        ({"targets": mounted("/a"), "manage_script_name": True}, ("/a",), False),
        ({"targets": mounted("/a", "/a/b"), "manage_script_name": True}, ("/a/b", "/a"), False),
        ({"targets": mounted("/a", ""), "manage_script_name": True}, (), False),
        ({"targets": mounted("/a")}, ("/a",), True),
        ({"script_name": "/p"}, ("/p",), False),
        ({"script_name": "/"}, (), False),
    ],
)
def test_the_ini_says_below_which_prefixes_it_is(
    more: dict[str, object], prefixes: tuple[str, ...], split: bool
) -> None:
    found = facts(spec(**more))
    assert (found.prefixes, found.split and bool(found.prefixes)) == (prefixes, split)


@pytest.mark.parametrize("server", SERVERS)
def test_an_ini_that_cuts_itself_is_sent_the_whole_path(server: str) -> None:
    text = code(printed(server, spec(targets=mounted("/a"), manage_script_name=True)))
    assert {
        "nginx": 'fastcgi_param SCRIPT_NAME "";\nfastcgi_param PATH_INFO $fastcgi_script_name;',
        "apache": 'ProxyPass "/a" "unix:/run/emperor/blog.sock|fcgi://emperor-blog/a"',
        "lighttpd": '=~ "^/a(?:/|$)" {',
    }[server] in text
    assert "split_path_info" not in text and "ProxyFCGISetEnvIf" not in text and '"/a" => ' not in text


def test_several_mounts_are_one_location_and_none_takes_anothers_names() -> None:
    text = printed("nginx", spec(targets=mounted("/a", "/a.b"), manage_script_name=True))
    found = re.search(r'location ~ "(.*)" \{', text)
    assert found
    inside = re.compile(found[1])
    assert all(inside.match(path) for path in ("/a", "/a/", "/a/x", "/a.b", "/a.b/x"))
    assert not any(inside.match(path) for path in ("/ab", "/axb", "/", "/x/a", "/a.bc"))


@pytest.mark.parametrize(
    ("more", "prefix", "words"),
    [
        ({"script_name": "/p"}, "/q", "script-name"),
        ({"script_name": "/"}, "/q", "script-name = /q"),
        ({"targets": mounted("/a")}, "/q", "none of them is /q"),
        ({"sockets": (at(protocol=HTTP),)}, "/q", "HTTP has no SCRIPT_NAME"),
    ],
)
def test_a_prefix_that_would_not_work_is_refused_with_what_to_write(
    more: dict[str, object], prefix: str, words: str
) -> None:
    with pytest.raises(EmperorError, match=words):
        facts(spec(**more), prefix)


@pytest.mark.parametrize(
    "prefix", ["shop", "/", "/a//b", "/a b", "/a/../b", "/a;", '/a"', "/a{", "/a$b", "/a\nb", "/%41"]
)
def test_a_prefix_that_is_no_plain_path_is_a_mistake_of_usage(prefix: str) -> None:
    assert check_wish(Wish(prefix)) != ""


@pytest.mark.parametrize("name", ["a b", "a;", 'a"', "-x", "a\n", "a{}", "$host", "/x"])
def test_a_server_name_is_a_hosts_name(name: str) -> None:
    assert "--server-name" in check_wish(Wish(server_name=name))
    assert check_wish(Wish(server_name="*.Example-1.org")) == ""


@pytest.mark.parametrize("listen", ["", "0", "65536", "80;", "host:80", "1.2.3.4", "[::1]80", "80 ssl", "٣"])
def test_where_to_listen_is_a_port_with_or_without_an_address(listen: str) -> None:
    assert "--listen" in check_wish(Wish(listen=listen))


def test_the_site_listens_where_it_is_told_and_has_its_name() -> None:
    text = code(printed("nginx", spec(), name="www.example.org", listen="[::1]:8080"))
    assert "listen [::1]:8080;\nserver_name www.example.org;" in text
    assert "HTTP_HOST $host:$server_port;" in text
    assert "HTTP_HOST $host;" in code(printed("nginx", spec()))
    text = code(printed("apache", spec(), name="www.example.org", listen="127.0.0.1:8080"))
    assert "<VirtualHost 127.0.0.1:8080>\nServerName www.example.org" in text
    assert '$HTTP["host"] == "www.example.org" {' in printed("lighttpd", spec(), name="www.example.org")


@pytest.mark.parametrize(
    ("server", "wish", "words"),
    [
        ("lighttpd", Wish(listen="127.0.0.1:8080"), ['write server.port = 8080 and server.bind = "127.0.0.1" there']),
        ("lighttpd", Wish(listen="8080"), ["write server.port = 8080 there"]),
        ("lighttpd", Wish("/shop", "a.org", "8080"), ["--listen: lighttpd listens where"]),
        ("lighttpd", Wish(server_name="a.org"), []),
        ("apache", Wish("/shop", "a.org", "8080"), ["--listen: has no effect", "--server-name: has no effect"]),
        ("nginx", Wish("/shop", "a.org", "8080"), ["--server-name: has no effect"]),
        ("apache", Wish("", "a.org", "8080"), []),
        ("nginx", Wish("", "a.org", "8080"), []),
    ],
)
def test_what_is_asked_for_in_vain_is_said(server: str, wish: Wish, words: list[str]) -> None:
    said = list(unheeded(server, wish))
    assert len(said) == len(words)
    assert all(word in one for one, word in zip(said, words))


@pytest.mark.parametrize("server", SERVERS)
def test_a_site_without_an_app_at_its_root_says_so(server: str) -> None:
    words = "Elsewhere on the site no app is asked"
    assert words in printed(server, spec(targets=mounted("/a", "/b")))
    assert words not in printed(server, spec(targets=mounted("/a", "/b")), "/a")
    assert words not in printed(server, spec(targets=mounted("/a", "")))
    assert words not in printed(server, spec())


@pytest.mark.parametrize(("protocol", "told"), [(UWSGI, True), (FASTCGI, False), (HTTP, False)])
def test_apache_sends_no_chunked_body_over_uwsgi_and_that_is_said(protocol: str, told: bool) -> None:
    assert ("411" in printed("apache", spec(at(protocol=protocol)))) is told


def test_with_a_prefix_it_is_a_part_of_a_site_that_is_there() -> None:
    assert not re.search("^(server|upstream|listen)", code(printed("nginx", spec(), "/shop")), re.MULTILINE)
    assert "VirtualHost" not in code(printed("apache", spec(), "/shop"))
    assert '$HTTP["host"]' not in code(printed("lighttpd", spec(), "/shop"))


def test_lighttpd_below_a_prefix_does_not_ask_what_serves_the_root() -> None:
    text = code(printed("lighttpd", spec(static_map=(("/static", "/srv/s"),)), "/shop"))
    static, served = text.split("else ")
    assert all(f"{word} = ()" in static for word in ("fastcgi.server", "scgi.server", "proxy.server"))
    assert all(f"{word} = ()" in served for word in ("scgi.server", "proxy.server"))
    assert "fastcgi.server = ()" not in served


# Limits and times


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (0, ("client_max_body_size 0;", "LimitRequestBody 0", "server.max-request-size = 0")),
        (1_000_000, ("client_max_body_size 1000000;", "LimitRequestBody 1000000", "server.max-request-size = 977")),
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_bodies_may_be_as_large_as_limit_post_says(limit: int, words: tuple[str, ...], protocol: str) -> None:
    for server, word in zip(SERVERS, words):
        assert word in code(printed(server, spec(at(protocol=protocol), limit_post=limit))), server


@pytest.mark.parametrize(("harakiri", "seconds"), [(0.0, 60), (30.0, 35), (0.5, 6), (600.0, 605)])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_web_server_waits_longer_than_harakiri(harakiri: float, seconds: int, protocol: str) -> None:
    one = spec(at(protocol=protocol), harakiri=harakiri)
    speaks = "proxy" if protocol == HTTP else protocol
    assert f"{speaks}_read_timeout {seconds}s;" in code(printed("nginx", one))
    assert f" timeout={seconds}" in code(printed("apache", one))
    assert (f'"read-timeout" => {seconds},' in code(printed("lighttpd", one))) is bool(harakiri)


@given(st.floats(min_value=0.1, max_value=3600))
def test_an_idle_connection_is_closed_well_before_our_drain_would(mercy: float) -> None:
    """A drain leaves kept connections open for nine tenths of ``reload-mercy``."""
    found = facts(spec(reload_mercy=mercy))
    assert 0 <= found.kept <= 60
    assert found.kept == 0 or found.kept < mercy * 0.9
    text = code(SERVERS["nginx"](found))
    assert ("keepalive_timeout" in text) == ("fastcgi_keep_conn on;" in text) == bool(found.kept)


def test_connections_are_kept_over_fastcgi_alone() -> None:
    one = spec(reload_mercy=30.0, processes=3, threads=2)
    text = code(printed("nginx", one))
    assert "keepalive 6;\nkeepalive_timeout 15s;" in text
    assert "fastcgi_pass emperor-blog;\nfastcgi_keep_conn on;" in text
    for other in (spec(at(protocol=UWSGI)), spec(at(protocol=HTTP)), spec(fastcgi_engine="flup")):
        assert "keep" not in code(printed("nginx", other))
    for each in (one, spec(at(protocol=UWSGI))):
        # Behind a reload Apache would answer 503 itself.
        assert "enablereuse" not in code(printed("apache", each))


def test_a_part_of_a_site_cannot_have_an_upstream_and_says_how_to_get_one() -> None:
    text = printed("nginx", spec(), "/shop")
    assert 'fastcgi_pass "unix:/run/emperor/blog.sock";' in code(text) and "keep_conn" not in code(text)
    assert "#   fastcgi_keep_conn on;" in text and "upstream emperor-blog {" in text


@pytest.mark.parametrize("limit", [4096, 8192, 32768, 65536])
def test_no_buffer_size_makes_nginx_stricter_than_it_is_of_itself(limit: int) -> None:
    """What is too large for the app gets its server's own 431."""
    assert "large_client_header_buffers" not in printed("nginx", spec(buffer_size=limit))


# Static files


def test_both_sides_of_a_static_map_end_with_a_slash() -> None:
    for folder in ("/srv/static", "/srv/static/"):
        for prefix in ("/static", "/static/", "static"):
            one = spec(static_map=((prefix, folder),), identity=ROOT)
            assert 'location ^~ "/static/" {\nalias "/srv/static/";' in code(printed("nginx", one))
            text = code(printed("apache", one))
            assert 'Alias "/static/" "/srv/static/"\nProxyPass "/static/" "!"' in text
            assert text.index('ProxyPass "/static/"') < text.index('ProxyPass "/" ')
            assert '=~ "^/static/" {\nalias.url = ( "/static/" => "/srv/static/" )' in code(printed("lighttpd", one))


def test_one_file_has_a_slash_on_neither_side() -> None:
    one = spec(static_map=(("/favicon.ico", "/srv/img/favicon.ico"),), identity=ROOT)
    assert facts(one).static == (Static("/favicon.ico", "/srv/img/favicon.ico"),)
    assert 'location = "/favicon.ico" {\nalias "/srv/img/favicon.ico";' in code(printed("nginx", one))
    assert '<Directory "/srv/img">' in printed("apache", one) and '<Files "favicon.ico">' in printed("apache", one)
    assert '$HTTP["url"] == "/favicon.ico" {' in printed("lighttpd", one)


def test_below_a_prefix_that_is_cut_off_the_files_are_below_it_as_well() -> None:
    files = (("/static", "/srv/s"),)
    assert facts(spec(static_map=files), "/shop").static[0].url == "/shop/static/"
    mounted_there = spec(static_map=files, targets=mounted("/shop"), manage_script_name=True)
    assert facts(mounted_there, "/shop").static[0].url == "/static/"


def test_the_root_of_the_site_is_looked_through_before_the_app_is_asked() -> None:
    one = spec(static_map=(("/", "/srv/htdocs"),))
    text = code(printed("nginx", one))
    assert 'root "/srv/htdocs";' in text and "location / { try_files $uri @blog; }\nlocation @blog {" in text
    for server in ("apache", "lighttpd"):
        text = printed(server, one)
        assert "/srv/htdocs" not in text and "NOTE: static-map: / is left out" in text


def test_files_that_would_hide_the_app_are_left_out_and_that_is_said() -> None:
    found = facts(spec(static_map=(("/a", "/srv/a"),), targets=mounted("/a"), manage_script_name=True))
    assert found.static == () and "static-map: /a/ is left out" in found.remarks[0]


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("nginx", "disable_symlinks if_not_owner;"),
        ("apache", "Options SymLinksIfOwnerMatch"),
        ("lighttpd", 'server.follow-symlink = "disable"'),
    ],
)
def test_links_in_a_user_s_folder_lead_nowhere(server: str, words: str) -> None:
    files = (("/static", "/home/alice/s"),)
    for who in (Authority(OWNER, 1000), Authority(ADMIN)):
        assert words in code(printed(server, spec(static_map=files, authority=who)))
    assert words not in code(printed(server, spec(static_map=files, identity=ROOT)))
    assert "alice wrote the ini" in facts(spec(static_map=files, authority=Authority(OWNER, 1000))).remarks[0]


# HTTP


@pytest.mark.parametrize("server", ["nginx", "apache", "lighttpd"])
def test_over_http_no_visitor_invents_what_proxy_fix_believes(server: str) -> None:
    text = code(printed(server, spec(at(protocol=HTTP), proxy_fix=1)))
    for name in ("For", "Proto", "Host", "Port", "Prefix"):
        assert f"X-Forwarded-{name}" in text
    assert "proxy-fix = 1" in facts(spec(at(protocol=HTTP))).remarks[0]
    assert facts(spec(at(protocol=HTTP), proxy_fix=1)).remarks == ()


def test_behind_a_further_proxy_ours_is_one_more_in_the_row() -> None:
    text = code(printed("nginx", spec(at(protocol=HTTP), proxy_fix=2)))
    assert 'X-Forwarded-For "$http_x_forwarded_for, $remote_addr";' in text


# Who may connect


@pytest.mark.parametrize(
    ("socket", "shut"),
    [
        (at(), False),
        (at(mode=0o600), True),
        (at(mode=0o660), True),
        (at(mode=0o666), False),
        (at(mode=0o660, gid=33), False),
        (at(mode=0o640, gid=33), True),
        (at(mode=0o600, uid=33), False),
        (at(umask=0o022), True),
        (at(umask=0), False),
    ],
)
def test_a_mode_that_shuts_the_web_server_out_is_said_in_the_text(socket: SocketSpec, shut: bool) -> None:
    found = facts(spec(socket), web=WEB)
    assert any("www-data may not connect" in one for one in found.remarks) is shut
    for render in SERVERS.values():
        assert ("# NOTE: the socket's mode is" in render(found)) is shut


# What a hostile owner could write

HOSTILE = ['"', "\\", "\n", "\r", "$", "`", "|", "\0", "\x1b", "\u2028", "\udcff", "\x85", "\u202e"]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("bad", HOSTILE)
def test_a_path_that_could_end_a_string_is_refused(server: str, bad: str) -> None:
    with pytest.raises(EmperorError, match="socket: its path"):
        printed(server, spec(at(f"/run/a{bad}.sock")))
    with pytest.raises(EmperorError, match="static-map: its path"):
        printed(server, spec(static_map=(("/static", f"/srv/{bad}"),)))


@pytest.mark.parametrize("bad", ["*", "?", "["])
def test_no_wildcard_opens_a_folder_of_others_to_apache(bad: str) -> None:
    for prefix, path in (("/static", f"/srv/{bad}"), ("/a.txt", f"/srv/{bad}.txt")):
        with pytest.raises(EmperorError, match="static-map: Apache"):
            printed("apache", spec(static_map=((prefix, path),)))


@pytest.mark.parametrize(
    ("server", "protocol", "bad"),
    [("apache", one, bad) for one in PROTOCOLS for bad in "%?#*"] + [("nginx", HTTP, ":")],
)
def test_a_socket_that_a_server_would_take_for_another_is_refused(server: str, protocol: str, bad: str) -> None:
    with pytest.raises(EmperorError, match="socket: "):
        printed(server, spec(at(f"/run/a{bad}b", protocol)))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("bad", [*HOSTILE, " ", ";", "{", "}", "'", "#", "(", ")", "[", "*", "?", "<", ">", "%", "^"])
def test_a_prefix_that_could_end_a_pattern_is_refused(server: str, bad: str) -> None:
    with pytest.raises(EmperorError, match="mount: a prefix"):
        printed(server, spec(targets=mounted(f"/a{bad}b"), manage_script_name=True))
    with pytest.raises(EmperorError, match="static-map: a prefix"):
        printed(server, spec(static_map=((f"/a{bad}b", "/srv"),)))


def tokens(text: str) -> Iterator[list[str]]:
    """nginx's own reading: directives as lists of words; a quoted word is one."""
    words: list[str] = []
    for quoted, end, word in re.findall(r'"([^"\\]*)"|([;{}])|([^\s;{}"]+)', re.sub("(?m)^ *#.*", "", text)):
        if end:
            yield [*words, end]
            words = []
        else:
            words.append(word or quoted)


LETTERS = [*string.punctuation, *HOSTILE, " ", ";", "{", "}", "#", "\t", "a", "é", "/"]
PATHS = st.text(st.sampled_from(LETTERS), min_size=1, max_size=12).map(lambda text: "/x" + text)


def first_words(text: str) -> list[str]:
    """Of each line; whatever stands in quotes is nothing."""
    return [(re.sub('"[^"]*"', '""', line).split() or [""])[0] for line in text.split("\n")]


@given(PATHS, PATHS, PATHS, PATHS)
def test_whatever_an_owner_writes_no_directive_of_theirs_comes_out(
    socket: str, folder: str, mount: str, config: str
) -> None:
    """Accepted or refused, the text has the directives of a plain ini, in their order."""
    hostile = {"config": config, "static_map": (("/s", folder),), "targets": mounted(mount)}
    try:
        one = spec(at(socket), authority=Authority(OWNER, 1000), **hostile)
        found = facts(one)
    except EmperorError:
        try:
            one = spec(at(socket), static_map=(("/s", folder),), config=config)
            found = facts(one)
        except EmperorError:
            one = spec(config=config)
            found = facts(one)
    plain = dataclasses.replace(
        found,
        config="/x",
        address=Address(UNIX, "/x"),
        static=tuple(Static("/s/", "/x" * one.path.rstrip("/").count("/") + "/") for one in found.static),
        prefixes=tuple("/x" for _ in found.prefixes),
    )
    assert [line[0] for line in tokens(nginx.render(found))] == [line[0] for line in tokens(nginx.render(plain))]
    assert all("\n" not in word for line in tokens(nginx.render(found)) for word in line)
    for render in (apache.render, lighttpd.render):
        try:
            text = render(found)
        except EmperorError:
            continue
        assert first_words(text) == first_words(render(plain))
        # Every string is closed on its line, and holds what it held.
        assert all(re.sub('"[^"]*"', "", line).count('"') == 0 for line in code(text).split("\n"))
        assert not any(line.endswith("\\") for line in text.split("\n"))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "path", ["/etc", "/", "/home", "/home/alice2/s", "/home/bob", "/home/alice/../bob", "/home/alice/s/../../../etc"]
)
def test_a_user_s_ini_opens_nothing_but_what_lies_in_the_user_s_home(server: str, path: str) -> None:
    """What the web server may read, private keys perhaps, is more than the user may."""
    hers = spec(static_map=(("/static", path),), authority=Authority(OWNER, 1000))
    text = printed(server, hers)
    assert facts(hers).static == () and "static-map: /static/ is left out: alice wrote the ini" in text
    assert "/static" not in code(text)
    assert "/static" in code(printed(server, spec(static_map=(("/static", path),))))


@pytest.mark.parametrize("home", ["", "/", "nowhere"])
def test_of_a_user_without_a_home_nothing_is_opened(home: str) -> None:
    nobody = dataclasses.replace(ALICE, home=home)
    hers = spec(static_map=(("/static", "/etc"),), identity=nobody, authority=Authority(OWNER, 1000))
    assert facts(hers).static == ()


@pytest.mark.parametrize("server", SERVERS)
def test_the_home_itself_and_what_lies_in_it_are_the_user_s_to_show(server: str) -> None:
    for path in ("/home/alice", "/home/alice/site/static"):
        assert f'"{path}/"' in code(
            printed(server, spec(static_map=(("/static", path),), authority=Authority(OWNER, 1000)))
        )


def test_a_name_that_no_vassal_can_have_is_refused() -> None:
    with pytest.raises(EmperorError, match="no vassal can have its name"):
        gather(spec(name="a { server unix:x; } include evil.conf; upstream b"), Wish())


def test_the_folders_above_a_user_s_files_are_guarded_in_apache() -> None:
    text = code(
        printed("apache", spec(static_map=(("/static", "/home/alice/site/static"),), authority=Authority(OWNER, 7)))
    )
    for folder in ("/home", "/home/alice", "/home/alice/site"):
        assert f'<Directory "{folder}">\nOptions SymLinksIfOwnerMatch\n</Directory>' in text
