"""What web servers were told against what vassals offer: each way of not meeting has its finding, with its mend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from emperor.doctor.finding import FAILS, MAY_FAIL, Finding
from emperor.doctor.webside import KINDS, Offer, Web, findings
from emperor.model import FASTCGI, HTTP, TCP, UNIX, UWSGI, Address, SocketSpec
from emperor.webservers.route import APACHE, LIGHTTPD, NGINX, NO, YES, Route, WebServer, Where

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
    "web-only-files": (
        server(route(LIGHTTPD, only_files=True), kind=LIGHTTPD),
        BLOG,
        (
            '"check-local" => "disable",  # /etc/nginx/sites-enabled/blog:7',
            "lighttpd -tt -f /etc/lighttpd/lighttpd.conf && systemctl reload lighttpd",
        ),
    ),
    "web-mount": (
        server(route(prefix="/shopp")),
        BLOG._replace(prefixes=("/shop",)),
        (
            "location /shop  # around /etc/nginx/sites-enabled/blog:7",
            RELOAD,
            "mount = /shopp=APP  # or this, in /v/blog.ini",
        ),
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


@pytest.mark.parametrize(
    ("one", "mounts"),
    [
        (route(prefix="/shopp"), ("/shop", "/")),
        (route(prefix="/shop"), ("/shop",)),
        (route(prefix="/shop/"), ("/shop",)),
        (route(prefix="/shop/cart"), ("/shop",)),
        (route(prefix="/sho"), ("/shop",)),
        (route(prefix="/"), ("/shop",)),
        (route(prefix="/", pattern=r"~ \.php$"), ("/shop",)),
        (route(prefix="/b"), ("/a", "/b")),
        (route(prefix="/x", rewritten=True), ("/shop",)),
    ],
)
def test_a_path_that_meets_an_app_is_none_of_a_finding(one: Route, mounts: tuple[str, ...]) -> None:
    assert judged(server(one), offers=[BLOG._replace(prefixes=mounts)]) == []


def test_a_return_before_the_pass_is_who_answers() -> None:
    (found,) = judged(server(route(answered=Where("/etc/nginx/x", 4))))
    assert (found.kind, found.subject, found.weight) == ("web-shadowed", "blog", FAILS)
    assert "the return at /etc/nginx/x:4" in found.what and "/etc/nginx/x:4" in found.mend[0]
    assert judged(server(route(answered=Where("/x", 4)), route())) == []


def test_a_regular_expression_is_shown_as_it_is_written() -> None:
    php = route(address=OTHER, pattern=r"~ \.php$", where=Where("/x", 9))
    (found,) = judged(server(route(), php))
    assert r"passes ~ \.php$ to" in found.what


def test_what_was_not_read_may_pass_to_it() -> None:
    found = judged(server(flaws=("/etc/nginx/x:3: nginx knows no directive of that name",)))
    assert [one.kind for one in found] == ["web-configuration"]


UP = Where("/etc/nginx/up", 1)


def test_one_dead_server_of_an_upstream_whose_other_lives_may_only_fail() -> None:
    alive = route(told=UP)
    dead = route(told=UP._replace(line=2), address=OTHER)
    (found,) = judged(server(alive, dead))
    assert (found.subject, found.weight) == ("nginx", MAY_FAIL)
    shop = BLOG._replace(name="shop", sockets=(SocketSpec(UWSGI, Address(UNIX, "/run/uwsgi/blog2.sock")),))
    found = next(one for one in judged(server(alive, dead), offers=[BLOG, shop]) if one.kind == "web-astray")
    assert found.weight == MAY_FAIL


def test_no_server_is_proposed_that_the_upstream_has_already() -> None:
    """Not even where its pass has another fault."""
    alive = route(told=UP, protocol=FASTCGI)
    dead = route(told=UP._replace(line=2), address=OTHER, protocol=FASTCGI)
    found = next(one for one in judged(server(alive, dead)) if one.kind == "web-astray")
    assert not any(str(PLACE) in line for line in found.mend)


OWN = ("127.0.0.1", "192.0.2.2", "::1", "2001:db8::2")


@pytest.mark.parametrize("bound", ["", "192.0.2.2"])
def test_this_machines_own_addresses_are_here(bound: str) -> None:
    blog = BLOG._replace(sockets=(SocketSpec(UWSGI, Address(TCP, host=bound, port=3031)),))
    here = route(address=Address(TCP, host="192.0.2.2", port=3031))
    assert judged(server(here, own=OWN), offers=[blog]) == []


def test_who_listens_everywhere_here_is_not_met_on_another_machine() -> None:
    blog = BLOG._replace(sockets=(SocketSpec(UWSGI, Address(TCP, host="", port=3031)),))
    there = route(address=Address(TCP, host="192.0.2.9", port=3031))
    assert [one.kind for one in judged(server(there, own=OWN), offers=[blog])] == ["web-unpassed"]


def test_a_pass_to_an_own_address_where_nobody_listens_is_astray() -> None:
    blog = BLOG._replace(sockets=(SocketSpec(UWSGI, Address(TCP, host="127.0.0.1", port=3031)),))
    here = route(address=Address(TCP, host="192.0.2.2", port=3031))
    assert [one.kind for one in judged(server(here, own=OWN), offers=[blog])] == ["web-astray"]


def test_the_same_port_of_another_own_address_is_what_was_meant() -> None:
    blog = BLOG._replace(sockets=(SocketSpec(UWSGI, Address(TCP, host="127.0.0.1", port=3031)),))
    (found,) = judged(server(route(address=Address(TCP, host="::1", port=3031))), offers=[blog])
    assert (found.kind, found.subject, found.weight) == ("web-astray", "blog", FAILS)
    assert found.mend[0].startswith("uwsgi_pass 127.0.0.1:3031;")


@pytest.mark.parametrize("running", [YES, NO])
def test_root_is_told_to_run_nobodys_configuration_but_its_own(running: str) -> None:
    """load_module of nginx and include_shell of lighttpd run what stands there."""
    conf = "/home/u/x.conf"
    for kind in (NGINX, APACHE, LIGHTTPD):
        one = server(route(kind), kind=kind, running=running, conf=conf, writer="u", flaws=("broken",), stale=conf)
        lines = [line for found in judged(one) for line in found.mend if conf in line]
        assert lines and all(line.startswith("runuser -u u -- ") for line in lines)


def test_what_nginx_finds_only_beside_its_own_file_has_its_whole_path_elsewhere() -> None:
    (found,) = judged(server(route(variables=False), conf="/srv/n/nginx.conf"))
    assert found.mend[0].startswith("include /etc/nginx/uwsgi_params;")
    (found,) = judged(server(route(protocol=HTTP), conf="/srv/n/nginx.conf"))
    assert found.mend[0].startswith("include /etc/nginx/uwsgi_params;") and "an error for the visitor" in found.why


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        (NGINX, "nginx -c /srv/x.conf"),
        (APACHE, "apache2ctl -f /srv/x.conf -k start"),
        (LIGHTTPD, "lighttpd -f /srv/x.conf"),
    ],
)
def test_a_server_of_another_file_is_started_with_it(kind: str, command: str) -> None:
    (found,) = judged(server(route(kind), kind=kind, running=NO, pids=(), conf="/srv/x.conf"))
    assert found.mend == (command,)


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
