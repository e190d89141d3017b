"""What web servers were told against what vassals offer: each way of not meeting has its finding, with its mend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from emperor.doctor.finding import FAILS, Finding
from emperor.doctor.webside import KINDS, Offer, Web, findings
from emperor.model import FASTCGI, HTTP, TCP, UNIX, UWSGI, Address, SocketSpec
from emperor.webservers.route import APACHE, LIGHTTPD, NGINX, NO, YES, Route, WebServer, Where
from emperor.webservers.tree import literal, seconds, size, tcp_address

HERE = Where("/etc/nginx/sites-enabled/blog", 7)
DEFAULT = Where("/etc/nginx/sites-enabled/default", 21)
PLACE = Address(UNIX, "/run/emperor/blog.sock")
BLOG = Offer("blog", (SocketSpec(UWSGI, PLACE),), config="/v/blog.ini", user="alice")
WEB = Web("www-data", "www-data", frozenset({"www-data"}))
CONFS = {NGINX: "/etc/nginx/nginx.conf", APACHE: "/etc/apache2/apache2.conf", LIGHTTPD: "/etc/lighttpd/lighttpd.conf"}
RELOAD = "nginx -t && systemctl reload nginx"


def route(server: str = NGINX, **changes: Any) -> Route:
    return Route(server, UWSGI, PLACE, f"unix:{PLACE.path}", HERE)._replace(**changes)


def server(*routes: Route, kind: str = NGINX, **changes: Any) -> WebServer:
    whole = WebServer(kind, CONFS[kind], "www-data", "www-data", (9, 8), tuple(routes), running=YES)
    return whole._replace(**changes)


def judged(
    one: WebServer, *more: WebServer, offers: Sequence[Offer] = (BLOG,), listening: Sequence[Address] = ()
) -> list[Finding]:
    return findings([one, *more], offers, listening, WEB)


def test_what_meets_has_no_finding() -> None:
    assert judged(server(route())) == []


OTHER = Address(UNIX, "/run/uwsgi/blog.sock")
FCGI = BLOG._replace(sockets=(SocketSpec(FASTCGI, PLACE),))
SLOW, SMALL = BLOG._replace(harakiri=90.0), BLOG._replace(limit_post=5 * 1024 * 1024)
IN_TMP = Address(UNIX, "/tmp/blog.sock")

CASES = {
    "web-astray": (
        server(route(address=OTHER)),
        BLOG,
        ("uwsgi_pass unix:/run/emperor/blog.sock;  # /etc/nginx/sites-enabled/blog:7", RELOAD),
    ),
    "web-protocol": (
        server(route()),
        FCGI,
        (
            "include fastcgi_params;  # /etc/nginx/sites-enabled/blog:7",
            "fastcgi_pass unix:/run/emperor/blog.sock;  # /etc/nginx/sites-enabled/blog:7",
            RELOAD,
            "emperorctl nginx blog  # prints the whole of it",
        ),
    ),
    "web-variables": (
        server(route(variables=False)),
        BLOG,
        ("include uwsgi_params;  # /etc/nginx/sites-enabled/blog:7", RELOAD),
    ),
    "web-default-site": (
        server(route(shadow=DEFAULT), default_site=DEFAULT),
        BLOG,
        ("rm /etc/nginx/sites-enabled/default", RELOAD),
    ),
    "web-shadowed": (
        server(route(shadow=Where("/etc/nginx/x", 3))),
        BLOG,
        ("# /etc/nginx/sites-enabled/blog:7: give it a name, or a path, that /etc/nginx/x:3 does not have", RELOAD),
    ),
    "web-timeout": (server(route()), SLOW, ("uwsgi_read_timeout 95s;  # /etc/nginx/sites-enabled/blog:7", RELOAD)),
    "web-body-limit": (
        server(route()),
        SMALL,
        (
            "client_max_body_size 5242880;  # /etc/nginx/sites-enabled/blog:7",
            RELOAD,
            "limit-post = 1048576  # or this, in /v/blog.ini",
        ),
    ),
    "web-stranger": (
        server(route(), user="nginx", group="nginx"),
        BLOG,
        (
            "web-user = nginx  # [emperor] in /etc/emperor/emperor.ini, and web-group = nginx; then: systemctl restart "
            "emperor",
            "usermod -aG www-data nginx && systemctl restart nginx  # or this",
        ),
    ),
    "web-stale": (server(route(), stale="/etc/nginx/x"), BLOG, (RELOAD,)),
    "web-down": (server(route(), running=NO, pids=()), BLOG, ("systemctl start nginx",)),
    "web-configuration": (server(route(), flaws=("/etc/nginx/x:3: unexpected",)), BLOG, ("nginx -t",)),
    "web-unpassed": (server(), BLOG, ("emperorctl nginx blog",)),
    "web-module": (
        server(route(APACHE, lacks="proxy_uwsgi"), kind=APACHE),
        BLOG,
        ("a2enmod proxy_uwsgi && systemctl restart apache2",),
    ),
    "web-private-tmp": (
        server(route(address=IN_TMP), private_tmp=("/tmp",)),
        BLOG._replace(sockets=(SocketSpec(UWSGI, IN_TMP),)),
        (
            "socket = /run/emperor/blog.sock  # /v/blog.ini; then the same path in /etc/nginx/sites-enabled/blog:7",
            "systemctl edit nginx  # or this: [Service], PrivateTmp=no; then a restart",
        ),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_way_of_not_meeting_is_one_finding_with_its_mend(kind: str) -> None:
    one, offer, mend = CASES[kind]
    (found,) = judged(one, offers=[offer])
    assert (found.kind, found.mend) == (kind, mend)


def test_what_is_seen_without_the_variables_is_what_our_own_server_makes_of_it() -> None:
    (found,) = judged(server(route(variables=False)))
    assert "500" in found.why and "no REQUEST_METHOD" in found.why


def test_every_kind_has_a_case_and_its_words() -> None:
    assert set(KINDS) == set(CASES)


@pytest.mark.parametrize(
    ("one", "mend"),
    [
        (
            route(APACHE, address=OTHER, prefix="/a", raw="unix:/run/uwsgi/blog.sock|uwsgi://blog/a"),
            'ProxyPass "/a" "unix:/run/emperor/blog.sock|uwsgi://blog/a"  # /etc/nginx/sites-enabled/blog:7',
        ),
        (route(LIGHTTPD, address=OTHER), '"socket" => "/run/emperor/blog.sock"  # /etc/nginx/sites-enabled/blog:7'),
        (route(address=OTHER, told=Where("/u", 2)), "server unix:/run/emperor/blog.sock;  # /u:2"),
    ],
)
def test_the_line_to_change_is_in_that_servers_language(one: Route, mend: str) -> None:
    found = judged(server(one, kind=one.server))
    assert next(each for each in found if each.kind == "web-astray").mend[0] == mend


def test_a_pass_to_somebody_else_who_listens_is_none_of_ours() -> None:
    php = route(protocol=FASTCGI, address=Address(UNIX, "/var/run/php.sock"))
    remote = route(protocol=HTTP, address=Address(TCP, host="10.1.1.1", port=80))
    assert judged(server(route(), php, remote), listening=[Address(UNIX, "/run/php.sock")]) == []
    (found,) = judged(server(route(), php))
    assert (found.kind, found.subject) == ("web-astray", "nginx")


def test_a_pass_that_nobody_hears_is_no_vassals_that_is_reached_otherwise() -> None:
    php = route(protocol=FASTCGI, address=Address(UNIX, "/run/emperor/blog.php.sock"), where=Where("/x", 9))
    (found,) = judged(server(route(), php))
    assert (found.kind, found.subject) == ("web-astray", "nginx")
    assert not any(str(PLACE) in line for line in found.mend)


def test_every_spelling_of_a_path_is_the_same_socket() -> None:
    assert judged(server(route(address=Address(UNIX, "/run/x/..//emperor/./blog.sock")))) == []


def test_every_spelling_of_this_machine_is_the_same_socket() -> None:
    blog = BLOG._replace(sockets=(SocketSpec(UWSGI, Address(TCP, host="", port=3031)),))
    for host in ("127.0.0.1", "127.0.0.2", "localhost", "0.0.0.0", "192.0.2.2"):
        assert judged(server(route(address=Address(TCP, host=host, port=3031))), offers=[blog]) == []


@pytest.mark.parametrize(
    ("bound", "passed", "meets"),
    [
        ("127.0.0.1", "::1", False),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "localhost", True),
        ("::1", "localhost", True),
        ("0.0.0.0", "::1", False),
        ("::", "::1", True),
        ("::", "127.0.0.1", True),
    ],
)
def test_one_address_of_this_machine_is_not_another(bound: str, passed: str, meets: bool) -> None:
    blog = BLOG._replace(sockets=(SocketSpec(UWSGI, Address(TCP, host=bound, port=3031)),))
    found = judged(server(route(address=Address(TCP, host=passed, port=3031))), offers=[blog])
    assert (found == []) is meets
    there = [Address(TCP, host=bound, port=3031)]
    php = judged(server(route(address=Address(TCP, host=passed, port=3031)), route()), listening=there)
    assert (php == []) is meets


def test_a_server_that_is_only_installed_counts_if_none_runs() -> None:
    assert judged(server(route()), server(kind=APACHE, running=NO, flaws=("broken",))) == []
    assert [one.kind for one in judged(server(kind=APACHE, running=NO))] == ["web-unpassed"]


def test_without_any_configuration_nobody_says_that_nothing_passes() -> None:
    assert findings([], [BLOG]) == []
    variable = route(address=None, raw="unix:/run/$host.sock")
    assert judged(server(variable)) == []


def test_who_says_who_may_connect_is_believed() -> None:
    loud = BLOG._replace(sockets=(SocketSpec(UWSGI, PLACE, mode=0o666),))
    assert judged(server(route(), user="nginx", group="nginx"), offers=[loud]) == []


def test_the_larger_limit_of_the_web_server_is_told_only_if_it_was_written() -> None:
    tiny = BLOG._replace(limit_post=1000)
    assert judged(server(route()), offers=[tiny]) == []
    (found,) = judged(server(route(body_limit=0)), offers=[tiny])
    assert "limit-post wins" in found.why


def test_lighttpds_kib_may_be_rounded_up() -> None:
    tiny = BLOG._replace(limit_post=100000)
    assert judged(server(route(LIGHTTPD, body_limit=100352), kind=LIGHTTPD), offers=[tiny]) == []
    assert judged(server(route(LIGHTTPD, body_limit=101376), kind=LIGHTTPD), offers=[tiny])


def test_no_text_of_theirs_reaches_the_terminal_as_it_is() -> None:
    evil = "/run/\x1b[31m\nblog.sock; rm -rf /"
    mad = route(address=Address(UNIX, evil), raw=evil, prefix="/\x1b", where=Where("/x\x1b\n", 3))
    for found in judged(server(mad, flaws=("\x1b]0;x\x07" * 500,), stale="\x1b")):
        text = "".join((found.subject, found.what, found.why, *found.mend))
        assert text.isprintable() and len(found.what) <= 620
    hostile = BLOG._replace(sockets=(SocketSpec(UWSGI, Address(UNIX, '/run/blog.sock"; evil')),))
    several = judged(server(route(address=OTHER)), offers=[hostile])
    assert several[0].weight == FAILS and not any("evil" in line for one in several for line in one.mend)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("60", 60.0), ("1m30s", 90.0), ("5min", 300.0), ("500ms", 0.5), ("x", None), ("", None), ("5y", None)],
)
def test_times_are_read(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("8k", 8192), ("1M", 1048576), ("1x", None), ("٣", None)])
def test_sizes_are_read(text: str, expected: int | None) -> None:
    assert size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("^/app(/|$)", "/app"), (r"^/a\.b/", "/a.b/"), ("^/ab?", "/a"), (r"\.php$", "/"), ("^/a|^/b", "/")],
)
def test_a_regular_expressions_plain_beginning_is_its_prefix(text: str, expected: str) -> None:
    assert literal(text) == expected


@pytest.mark.parametrize("text", ["h:0", "h:99999", "h", "a b:1", "[x]:1", "h:1:2", "h:١"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert tcp_address(text) is None
