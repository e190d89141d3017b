"""Apache's and lighttpd's files as they read them, Debian's own among them; and hostile ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emperor.model import FASTCGI, HTTP, TCP, UNIX, UWSGI, Address
from emperor.webservers import apache, lighttpd
from emperor.webservers.route import Route, WebServer

DEBIANS_APACHE, DEBIANS_LIGHTTPD = Path("/etc/apache2"), Path("/etc/lighttpd")
MODULES = "".join(f"LoadModule {one}_module x.so\n" for one in ("proxy", "proxy_fcgi", "proxy_uwsgi", "proxy_http"))
SOCKET = Address(UNIX, "/r/a.sock")


def httpd(folder: Path, text: str, before: str = MODULES) -> WebServer:
    main = folder / "apache2.conf"
    main.write_text(before + text)
    return apache.read(str(main))[0]


def lighty(folder: Path, text: str) -> WebServer:
    main = folder / "lighttpd.conf"
    main.write_text(text)
    return lighttpd.read(str(main))[0]


def only(server: WebServer) -> Route:
    assert server.flaws == ()
    (route,) = server.routes
    return route


# Apache --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "protocol", "address", "prefix"),
    [
        ('ProxyPass "/a" "unix:/r/a.sock|uwsgi://x/" timeout=7', UWSGI, SOCKET, "/a"),
        ("ProxyPass / unix:/r/a.sock|fcgi://x/", FASTCGI, SOCKET, "/"),
        ("ProxyPass / fcgi://127.0.0.1:9000/", FASTCGI, Address(TCP, host="127.0.0.1", port=9000), "/"),
        ("ProxyPass / uwsgi://[::1]:3031/ retry=0", UWSGI, Address(TCP, host="::1", port=3031), "/"),
        ("ProxyPass / http://localhost/", HTTP, Address(TCP, host="localhost", port=80), "/"),
        ("ProxyPassMatch ^/a(/.*)$ unix:/r/a.sock|fcgi://x/$1", FASTCGI, SOCKET, "/a"),
        ('<Location "/a">\nProxyPass unix:/r/a.sock|uwsgi://x\n</Location>', UWSGI, SOCKET, "/a"),
        ('<Location /a>\nSetHandler "proxy:unix:/r/a.sock|fcgi://x"\n</Location>', FASTCGI, SOCKET, "/a"),
        ("<LocationMatch ^/a/>\nSetHandler proxy:fcgi://h:9000\n</LocationMatch>", FASTCGI, None, "/a/"),
        ("<Directory /srv>\nRewriteRule ^(.*)$ unix:/r/a.sock|fcgi://x/$1 [L,P]\n</Directory>", FASTCGI, SOCKET, "/"),
        ("ProxyPass /a \\\n  unix:/r/a.sock|uwsgi://x", UWSGI, SOCKET, "/a"),
        ("proxypass /a 'unix:/r/a.sock|uwsgi://x'", UWSGI, SOCKET, "/a"),
        ("Define s /r/a.sock\nProxyPass /a unix:${s}|uwsgi://x", UWSGI, SOCKET, "/a"),
        ("<IfModule mod_proxy.c>\nProxyPass /a unix:/r/a.sock|uwsgi://x\n</IfModule>", UWSGI, SOCKET, "/a"),
        ("<IfModule !mod_none.c>\nProxyPass /a unix:/r/a.sock|uwsgi://x\n</IfModule>", UWSGI, SOCKET, "/a"),
        ("ProxyPass /s !\nProxyPass /a unix:/r/a.sock|uwsgi://x", UWSGI, SOCKET, "/a"),
    ],
)
def test_every_kind_of_apaches_passes_is_understood(
    tmp_path: Path, text: str, protocol: str, address: Address | None, prefix: str
) -> None:
    route = only(httpd(tmp_path, text))
    expected = address or Address(TCP, host="h", port=9000)
    assert (route.protocol, route.address, route.prefix, route.lacks) == (protocol, expected, prefix, "")


@pytest.mark.parametrize(
    "text",
    [
        "<IfModule mod_none.c>\nProxyPass /a unix:/r|uwsgi://x\n</IfModule>",
        "<IfDefine NONE>\nProxyPass /a unix:/r|uwsgi://x\n</IfDefine>",
        "RewriteRule ^(.*)$ unix:/r|fcgi://x/$1 [L]",
        "#ProxyPass /a unix:/r|uwsgi://x",
        "# a comment \\\nProxyPass /a unix:/r|uwsgi://x",
        "ProxyPass /a ajp://x/",
    ],
)
def test_what_apache_does_not_pass_is_no_route(tmp_path: Path, text: str) -> None:
    server = httpd(tmp_path, text)
    assert (server.routes, server.flaws) == ((), ())


def test_a_balancers_members_are_its_addresses(tmp_path: Path) -> None:
    text = "<Proxy balancer://apps>\nBalancerMember unix:/r/a.sock|uwsgi://a timeout=9\n"
    text += "BalancerMember uwsgi://127.0.0.1:3031\n</Proxy>\nProxyTimeout 3\nProxyPass / balancer://apps/"
    server = httpd(tmp_path, text, MODULES)
    assert [str(route.address) for route in server.routes] == ["/r/a.sock", "127.0.0.1:3031"]
    assert [route.timeout for route in server.routes] == [9.0, 3.0]
    assert [route.told and route.told.line for route in server.routes] == [6, 7]


def test_apaches_limits_come_from_the_nearest_place(tmp_path: Path) -> None:
    text = "Timeout 300\nLimitRequestBody 10\n<VirtualHost *:80>\nServerName a.test\n<Location /a>\n"
    text += (
        "LimitRequestBody 20\n</Location>\nProxyPass /a unix:/r|uwsgi://x\nProxyPass /b unix:/r|uwsgi://x timeout=9\n"
    )
    server = httpd(tmp_path, text + "</VirtualHost>")
    assert [(one.timeout, one.body_limit, one.host) for one in server.routes] == [
        (300.0, 20, "a.test"),
        (9.0, 10, "a.test"),
    ]


def test_a_host_without_a_name_is_shadowed_by_the_first_and_a_path_by_an_earlier_one(tmp_path: Path) -> None:
    first = "<VirtualHost *:80>\nDocumentRoot /var/www\n</VirtualHost>\n"
    ours = "<VirtualHost *:80>\n{}ProxyPass / unix:/r|uwsgi://x\nProxyPass /b unix:/b|uwsgi://y\n</VirtualHost>"
    shadows = [one.shadow and one.shadow.line for one in httpd(tmp_path, first + ours.format(""), "").routes]
    assert shadows == [1, 1]
    named = httpd(tmp_path, first + ours.format("ServerName a.test\n"), "").routes
    assert [one.shadow and one.shadow.line for one in named] == [None, 6]


def test_a_module_that_is_not_loaded_is_told(tmp_path: Path) -> None:
    assert only(httpd(tmp_path, "ProxyPass / unix:/r|uwsgi://x", "LoadModule proxy_module x\n")).lacks == "proxy_uwsgi"
    assert only(httpd(tmp_path, "ProxyPass / unix:/r|uwsgi://x", "")).lacks == "proxy"


def test_what_apache_would_refuse_is_a_flaw_without_the_files_words(tmp_path: Path) -> None:
    flaws = httpd(tmp_path, "<Location /Zq7>\n</Zq7>\n<VirtualHost *>\n", "").flaws
    assert len(flaws) == 3 and "Zq7" not in str(flaws)
    assert flaws[0].startswith(f"{tmp_path}/apache2.conf:2: ")


def test_apaches_mad_files_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = "Include pipe\nInclude apache2.conf\nInclude apache2.conf\nInclude /dev/zero\nIncludeOptional gone/*.conf\n"
    server = httpd(tmp_path, text + "Include gone\n" + "<Location />\n" * 500)
    assert server.routes == () and len(server.flaws) > 3


@pytest.mark.skipif(not (DEBIANS_APACHE / "sites-available").exists(), reason="needs Debian's Apache")
def test_debians_apache_is_read_without_a_flaw(tmp_path: Path) -> None:
    home = tmp_path / "apache2"
    shutil.copytree(DEBIANS_APACHE, home, symlinks=True)
    for name in ("proxy", "proxy_fcgi"):
        for end in ("load", "conf"):
            if (home / f"mods-available/{name}.{end}").exists():
                (home / f"mods-enabled/{name}.{end}").unlink(missing_ok=True)
                (home / f"mods-enabled/{name}.{end}").symlink_to(f"../mods-available/{name}.{end}")
    (home / "sites-enabled/000-default.conf").unlink(missing_ok=True)
    (home / "sites-enabled/000-default.conf").symlink_to("../sites-available/000-default.conf")
    ours = "<VirtualHost *:80>\nProxyPass / unix:/r/a.sock|fcgi://x/\n</VirtualHost>\n"
    (home / "sites-enabled/blog.conf").write_text(ours)
    server, _ = apache.read(str(home / "apache2.conf"))
    assert (server.user, server.group, server.flaws) == ("www-data", "www-data", ())
    (route,) = server.routes
    assert (route.address, route.lacks, route.timeout) == (SOCKET, "", 300.0)
    assert server.default_site and route.shadow == server.default_site


# lighttpd ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "protocol", "address", "prefix"),
    [
        (
            'fastcgi.server = ( "/a" => (( "socket" => "/r/a.sock", "check-local" => "disable" )) )',
            FASTCGI,
            SOCKET,
            "/a",
        ),
        ('fastcgi.server += ( "/a" => ( "x" => ( "socket" => "/r/a.sock" ) ) )', FASTCGI, SOCKET, "/a"),
        ('scgi.server = ( "/" => (( "socket" => "/r/a.sock" )) )\nscgi.protocol = "uwsgi"', UWSGI, SOCKET, "/"),
        ('scgi.server = ( "/" => (( "socket" => "/r/a.sock" )) )', "scgi", SOCKET, "/"),
        ('proxy.server = ( "" => (( "host" => "10.0.0.1" )) )', HTTP, Address(TCP, host="10.0.0.1", port=80), "/"),
        ('fastcgi.server = ( "/a" => (( "port" => 9000 )) )', FASTCGI, Address(TCP, host="127.0.0.1", port=9000), "/a"),
        ('fastcgi.server = ( "/a" => (( "bin-path" => "/x", "socket" => "/s" )) )', FASTCGI, None, "/a"),
        ('var.d = "/r"\nfastcgi.server = ( "/a" => (( "socket" => d + "/a.sock" )) )', FASTCGI, SOCKET, "/a"),
        ('$HTTP["url"] =~ "^/a/" { fastcgi.server = ( "" => (( "socket" => "/r/a.sock" )) ) }', FASTCGI, SOCKET, "/a/"),
        (
            '$HTTP["host"] == "x" { } else { fastcgi.server = ( "" => (( "socket" => "/r/a.sock" )) ) }',
            FASTCGI,
            SOCKET,
            "/",
        ),
    ],
)
def test_every_kind_of_lighttpds_passes_is_understood(
    tmp_path: Path, text: str, protocol: str, address: Address | None, prefix: str
) -> None:
    modules = 'server.modules = ( "mod_fastcgi", "mod_scgi", "mod_proxy" )\n'
    route = only(lighty(tmp_path, modules + text))
    assert (route.protocol, route.address, route.prefix, route.lacks) == (protocol, address, prefix, "")


@pytest.mark.parametrize(
    ("option", "key", "more", "only_files"),
    [
        ("fastcgi", "/", "", True),
        ("scgi", "/a", ', "check-local" => "enable"', True),
        ("scgi", "/a", ', "check-local" => "disable"', False),
        ("fastcgi", "/a/index.fcgi", "", False),
        ("fastcgi", ".php", "", False),
        ("proxy", "/a", "", False),
    ],
)
def test_lighttpd_passes_only_its_own_files_unless_it_is_told_otherwise(
    tmp_path: Path, option: str, key: str, more: str, only_files: bool
) -> None:
    text = f'server.modules = ( "mod_{option}" )\n{option}.server = ( "{key}" => (( "port" => 9000{more} )) )'
    assert only(lighty(tmp_path, text)).only_files is only_files


def test_lighttpds_rewriting_is_told(tmp_path: Path) -> None:
    text = 'server.modules = ( "mod_fastcgi" )\nfastcgi.server = ( "/a" => (( "port" => 9000 )) )\n'
    assert not only(lighty(tmp_path, text)).rewritten
    assert only(lighty(tmp_path, text + 'url.rewrite-once = ( "^/b" => "/a" )\n')).rewritten


def test_lighttpds_hosts_limits_and_missing_modules_are_told(tmp_path: Path) -> None:
    text = 'server.username = "web"\nserver.max-request-size = 100\n$HTTP["host"] == "a.test" {\n'
    text += ' fastcgi.server = ( "/a" => ((\n "socket" => "/r/a.sock",\n "read-timeout" => 9 )) )\n}\n'
    server = lighty(tmp_path, text)
    route = only(server)
    assert (server.user, route.host, route.body_limit, route.timeout) == ("web", "a.test", 102400, 9.0)
    assert (route.lacks, route.where) == ("mod_fastcgi", (str(tmp_path / "lighttpd.conf"), 5))


def test_lighttpds_flaws_have_lines_and_no_words_of_the_file(tmp_path: Path) -> None:
    twice = "fastcgi.server = ( )\nfastcgi.server = ( )\n"
    assert lighty(tmp_path, twice).flaws[0].startswith(f"{tmp_path}/lighttpd.conf:2: fastcgi.server is set twice")
    assert lighty(tmp_path, "server.port = 80\nZq7 Zq7\n").flaws[0].startswith(f"{tmp_path}/lighttpd.conf:2: ")
    for broken in ('a = "Zq7', "a = (Zq7", "Zq7 { }", '$HTTP["Zq7"] == ', "}", "a = Zq7 +", "\x00Zq7"):
        assert "Zq7" not in str(lighty(tmp_path, broken).flaws).replace(str(tmp_path), "")


def test_no_program_is_run_for_lighttpd(tmp_path: Path) -> None:
    server = lighty(tmp_path, f'include_shell "touch {tmp_path}/ran"\nserver.username = "w"\n')
    assert not (tmp_path / "ran").exists()
    assert server.user == "w" and "include_shell" in server.flaws[0]


def test_lighttpds_mad_files_end(tmp_path: Path) -> None:
    doubled = 'a = ( "x" )\n' + "a += a\n" * 60 + 'b = "xx"\n' + "b = b + b\n" * 60
    nested = "c = ( 1 )\n" + "c = ( c, c )\n" * 60 + "server.modules = ( c )\nserver.username = c\n"
    assert lighty(tmp_path, doubled + nested + 'include "lighttpd.conf"\n' * 3).routes == ()
    assert lighty(tmp_path, "a = " + "(" * 5000).routes == ()
    assert lighty(tmp_path, '$HTTP["url"] == "x" { ' * 5000).routes == ()


@pytest.mark.skipif(not (DEBIANS_LIGHTTPD / "conf-available").exists(), reason="needs Debian's lighttpd")
def test_debians_lighttpd_is_read_without_a_flaw(tmp_path: Path) -> None:
    home = tmp_path / "lighttpd"
    shutil.copytree(DEBIANS_LIGHTTPD, home, symlinks=True)
    main = home / "lighttpd.conf"
    main.write_text(main.read_text().replace("/etc/lighttpd/", f"{home}/"))
    for name in ("10-fastcgi.conf", "15-fastcgi-php.conf"):
        (home / "conf-enabled" / name).unlink(missing_ok=True)
        (home / "conf-enabled" / name).symlink_to(f"../conf-available/{name}")
    ours = 'fastcgi.server += ( "/blog" => (( "socket" => "/r/a.sock", "check-local" => "disable" )) )\n'
    (home / "conf-enabled/50-blog.conf").write_text(ours)
    server, _ = lighttpd.read(str(main))
    assert (server.user, server.flaws) == ("www-data", ())
    assert [(one.raw, one.address, one.lacks) for one in server.routes] == [
        ("bin-path", None, ""),
        ("/r/a.sock", SOCKET, ""),
    ]


# Both ----------------------------------------------------------------------------------------------------------------

GOOD = {
    httpd: "Define a b\n<VirtualHost *:80>\nServerName ${a}\n<Location /a>\nLimitRequestBody 5\n"
    'SetHandler "proxy:unix:/r|fcgi://x"\n</Location>\nProxyPass /x balancer://b/ timeout=5\n</VirtualHost>\n'
    "<Proxy balancer://b>\nBalancerMember unix:/q|uwsgi://z\n</Proxy>\nInclude *.conf\n",
    lighty: 'var.a = "x" + env.Y\n$HTTP["url"] =~ "^/a" {\n fastcgi.server += ( "/a" => (( "socket" => a + "/s", '
    '"port" => 99 )), ) }\nelse $HTTP["host"] == "b" { server.modules = ( "mod_x" ) }\ninclude "*.conf"\n',
}
PIECES = (*"{}()<>\"'\\$#,=|[*", "\n", "\0", "\x1b[31m", "${", "=>", "+=", "</", "é", "\ud800", "99999999999999999999")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    reads=st.sampled_from(list(GOOD)),
    cuts=st.lists(st.tuples(st.integers(0, 340), st.integers(0, 20), st.sampled_from(PIECES)), max_size=6),
)
def test_no_text_raises(tmp_path: Path, reads: object, cuts: list[tuple[int, int, str]]) -> None:
    text = GOOD[reads]  # type: ignore[index]
    for at, length, piece in cuts:
        text = text[:at] + piece + text[at + length :]
    text = text.encode("utf-8", "replace").decode()
    server: WebServer = reads(tmp_path, text)  # type: ignore[operator]
    assert len(server.flaws) <= 60
