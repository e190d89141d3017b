"""nginx's files as nginx reads them: includes, inheritance, which server takes a request; and hostile ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emperor.model import FASTCGI, HTTP, TCP, UNIX, UWSGI, Address
from emperor.webservers import nginx
from emperor.webservers.route import Route, WebServer
from emperor.webservers.shelf import LARGEST

DEBIAN = Path("/etc/nginx")
PARAMS = "uwsgi_param REQUEST_METHOD $request_method;\nuwsgi_param PATH_INFO $document_uri;\n"


def write(folder: Path, text: str, **files: str) -> Path:
    for name, inner in {"uwsgi_params": PARAMS, **files}.items():
        (folder / name).write_text(inner)
    main = folder / "nginx.conf"
    main.write_text(text)
    return main


def read(folder: Path, text: str, **files: str) -> WebServer:
    return nginx.read(str(write(folder, text, **files)))[0]


def http(inner: str) -> str:
    return f"events {{}}\nhttp {{\n{inner}\n}}\n"


def only(server: WebServer) -> Route:
    assert server.flaws == ()
    (route,) = server.routes
    return route


def test_a_location_has_its_prefix_its_address_and_its_line(tmp_path: Path) -> None:
    route = only(read(tmp_path, http("server { server_name a.test;\nlocation /app { uwsgi_pass unix:/r/a.sock; } }")))
    assert (route.protocol, route.address, route.host) == (UWSGI, Address(UNIX, "/r/a.sock"), "a.test")
    assert (route.prefix, route.where.line, route.where.file) == ("/app", 4, str(tmp_path / "nginx.conf"))
    assert not route.variables


@pytest.mark.parametrize(
    ("directive", "protocol", "address"),
    [
        ("fastcgi_pass unix:/r/a.sock;", FASTCGI, Address(UNIX, "/r/a.sock")),
        ("fastcgi_pass 127.0.0.1:9000;", FASTCGI, Address(TCP, host="127.0.0.1", port=9000)),
        ("uwsgi_pass [::1]:3031;", UWSGI, Address(TCP, host="::1", port=3031)),
        ("uwsgi_pass uwsgi://localhost:3031;", UWSGI, Address(TCP, host="localhost", port=3031)),
        ("proxy_pass http://unix:/r/a.sock:/x/;", HTTP, Address(UNIX, "/r/a.sock")),
        ("proxy_pass http://unix:/r/a.sock;", HTTP, Address(UNIX, "/r/a.sock")),
        ("proxy_pass http://localhost:8000/x;", HTTP, Address(TCP, host="localhost", port=8000)),
        ("proxy_pass https://localhost;", HTTP, Address(TCP, host="localhost", port=443)),
        ('uwsgi_pass "unix:/r/a b.sock";', UWSGI, Address(UNIX, "/r/a b.sock")),
        ("uwsgi_pass $where;", UWSGI, None),
        ("uwsgi_pass unix:/r/$host.sock;", UWSGI, None),
        ("if ($arg_x) { uwsgi_pass unix:/r/a.sock; }", UWSGI, Address(UNIX, "/r/a.sock")),
        ("location /app/in { uwsgi_pass unix:/r/a.sock; }", UWSGI, Address(UNIX, "/r/a.sock")),
    ],
)
def test_every_kind_of_pass_is_understood(tmp_path: Path, directive: str, protocol: str, address: Address) -> None:
    route = only(read(tmp_path, http(f"server {{ location /app {{ {directive} }} }}")))
    assert (route.protocol, route.address) == (protocol, address)


def test_an_upstream_is_each_of_its_servers_and_their_lines_are_told(tmp_path: Path) -> None:
    upstream = "upstream apps { server unix:/r/a.sock weight=2;\nserver 127.0.0.1:3031 backup;\nserver x:1 down; }"
    server = read(tmp_path, http(f"{upstream}\nserver {{ location / {{ uwsgi_pass apps; }} }}"))
    assert [str(route.address) for route in server.routes] == ["/r/a.sock", "127.0.0.1:3031"]
    assert [route.told and route.told.line for route in server.routes] == [3, 4]


def test_included_params_count_and_one_of_a_lower_level_replaces_all(tmp_path: Path) -> None:
    inner = "include uwsgi_params; location /a { uwsgi_pass unix:/a; }"
    assert only(read(tmp_path, http(f"server {{ {inner} }}"))).variables
    lower = "include uwsgi_params; location /a { uwsgi_pass unix:/a; uwsgi_param X y; }"
    assert not only(read(tmp_path, http(f"server {{ {lower} }}"))).variables


def test_limits_are_inherited_and_the_nearest_wins(tmp_path: Path) -> None:
    near = "location / { uwsgi_pass unix:/a; uwsgi_read_timeout 1m30s; client_max_body_size 0; }"
    route = only(read(tmp_path, http(f"client_max_body_size 8m; server {{ uwsgi_read_timeout 5s; {near} }}")))
    assert (route.timeout, route.body_limit) == (90.0, 0)
    far = only(read(tmp_path, http("client_max_body_size 8m; server { location / { uwsgi_pass unix:/a; } }")))
    assert (far.timeout, far.body_limit) == (None, 8 * 1024 * 1024)


def test_a_named_location_stands_where_it_is_sent_from(tmp_path: Path) -> None:
    inner = "location /shop { try_files $uri @app; } location @app { uwsgi_pass unix:/a; }"
    assert only(read(tmp_path, http(f"server {{ {inner} }}"))).prefix == "/shop"


@pytest.mark.parametrize(
    ("location", "prefix"),
    [
        ("= /x", "/x"),
        ("^~ /x/", "/x/"),
        ("~ ^/api(/|$)", "/api"),
        (r"~* \.php$", "/"),
        ("~^/v2/", "/v2/"),
        ("=/x", "/x"),
    ],
)
def test_a_location_by_regular_expression_has_its_plain_beginning(tmp_path: Path, location: str, prefix: str) -> None:
    text = http(f"server {{ location {location} {{ uwsgi_pass unix:/a; }} }}")
    assert only(read(tmp_path, text)).prefix == prefix


OURS = "server {{ listen {listen}; {name} location / {{ uwsgi_pass unix:/a; }} }}"


@pytest.mark.parametrize(
    ("listen", "name", "shadowed"),
    [
        ("80", "", True),
        ("80", "server_name _;", True),
        ("0.0.0.0:80", "", True),
        ("80", "server_name a.test;", False),
        ("80", "server_name taken.test;", True),
        ("8080", "", False),
        ("80 default_server", "", False),
    ],
)
def test_a_server_without_a_name_is_shadowed_by_the_default(
    tmp_path: Path, listen: str, name: str, shadowed: bool
) -> None:
    first = "server { listen 80; server_name taken.test; root /var/www; }"
    route = only(read(tmp_path, http(f"{first}\n{OURS.format(listen=listen, name=name)}")))
    assert (route.shadow is not None) is shadowed
    assert not shadowed or route.shadow == (str(tmp_path / "nginx.conf"), 3)


def test_what_nginx_would_refuse_is_a_flaw_with_its_line_and_without_its_words(tmp_path: Path) -> None:
    server = read(tmp_path, http("server { location / { uwsgi_pass unix:/r/Zq7 } }"))
    assert server.flaws == (f'{tmp_path}/nginx.conf:3: directive "uwsgi_pass" is not terminated by ";"',)
    assert "Zq7" not in str(read(tmp_path, "Zq7 { { { Zq7").flaws)
    assert "Zq7" not in str(read(tmp_path, http("gzip Zq7;")).flaws)


def test_what_is_missing_is_a_flaw_at_the_line_that_names_it(tmp_path: Path) -> None:
    (flaw,) = read(tmp_path, http("include gone.conf;\ninclude none/*.conf;")).flaws
    assert flaw == f"{tmp_path}/nginx.conf:3: {tmp_path}/gone.conf: No such file or directory"


def test_unknown_directives_and_other_blocks_change_nothing(tmp_path: Path) -> None:
    strange = "brandnew on; map $a $b { default uwsgi_pass; } stream { server { proxy_pass 1.2.3.4:5; } }"
    assert only(read(tmp_path, http(f"{strange} server {{ location / {{ http9 on; uwsgi_pass unix:/a; }} }}")))


@pytest.mark.parametrize("word", ["uwsgi_pas", "wsgi_pass", "uwgsi_pass", "fastcgi_pas", "proxypass"])
def test_a_directive_that_is_nearly_a_known_one_is_a_flaw_with_its_line(tmp_path: Path, word: str) -> None:
    server = read(tmp_path, http(f"server {{ location / {{\n{word} unix:/a; }} }}"))
    (flaw,) = server.flaws
    assert flaw.startswith(f"{tmp_path}/nginx.conf:4: nginx knows no directive of that name") and "_pass is" in flaw


def test_the_words_of_a_map_are_no_directives(tmp_path: Path) -> None:
    text = "map $a $b { uwsgi_pas x; include words; } newest { uwsgi_pas x; } server { http3 on; }"
    assert read(tmp_path, http(text), words="fastcgi_pas y;").flaws == ()


PASS = "uwsgi_pass unix:/a;"


@pytest.mark.parametrize(
    ("inner", "line"),
    [
        (f"location / {{\nreturn 503; {PASS} }}", 4),
        (f"return 503;\nlocation / {{ {PASS} }}", 3),
        (f"location / {{ if ($x) {{ return 503; }} {PASS} }}", 0),
        (f"location / {{ if ($x) {{ break; }} return 503; {PASS} }}", 0),
        (f"location / {{ return 418; error_page 418 = @app; }} location @app {{ {PASS} }}", 0),
        (f"return 503; error_page 503 = @app; location @app {{ {PASS} }}", 0),
        (f"location / {{ return 503; location /in {{ {PASS} }} }}", 0),
    ],
)
def test_a_return_that_every_request_comes_to_answers_before_the_pass(tmp_path: Path, inner: str, line: int) -> None:
    answered = only(read(tmp_path, http(f"server {{ {inner} }}"))).answered
    assert (answered.line if answered else 0) == line


@pytest.mark.parametrize(
    ("inner", "rewritten"),
    [
        (PASS, False),
        (f"include uwsgi_params; {PASS}", False),
        (f"uwsgi_param PATH_INFO $request_uri; {PASS}", True),
        (f"uwsgi_param SCRIPT_NAME /x; {PASS}", True),
        (f"rewrite ^/x/(.*) /$1 break; {PASS}", True),
    ],
)
def test_a_path_that_the_app_is_told_otherwise_is_rewritten(tmp_path: Path, inner: str, rewritten: bool) -> None:
    assert only(read(tmp_path, http(f"server {{ location /x {{ {inner} }} }}"))).rewritten is rewritten


def test_a_location_by_regular_expression_is_shown_as_it_is_written(tmp_path: Path) -> None:
    text = http(f"server {{ location ~* \\.php$ {{ {PASS} }} }}")
    assert only(read(tmp_path, text)).place == r"~* \.php$"


def test_hostile_includes_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "big").write_text("#" * (LARGEST + 1))
    (tmp_path / "loop").write_text("include loop;include loop;")
    write(tmp_path, "include pipe; include big; include loop; include /dev/zero; include /*/*/*/nginx.conf;")
    server, shelf = nginx.read(str(tmp_path / "nginx.conf"))
    assert len(server.flaws) >= 4 and len(shelf.files) < 100
    assert read(tmp_path, "a {" * 5000).routes == ()


@pytest.mark.skipif(not (DEBIAN / "sites-available/default").exists(), reason="needs Debian's nginx")
def test_debians_own_files_are_read_without_a_flaw(tmp_path: Path) -> None:
    home = tmp_path / "nginx"
    shutil.copytree(DEBIAN, home, symlinks=True, ignore=shutil.ignore_patterns("modules-enabled"))
    main = home / "nginx.conf"
    main.write_text(main.read_text().replace("/etc/nginx/", f"{home}/"))
    (home / "sites-enabled").mkdir(exist_ok=True)
    (home / "sites-enabled/default").unlink(missing_ok=True)
    (home / "sites-enabled/default").symlink_to(home / "sites-available/default")
    ours = "server { listen 80; location / { include uwsgi_params; uwsgi_pass unix:/r/a.sock; } }"
    (home / "sites-enabled/zz").write_text(ours)
    server, _ = nginx.read(str(main))
    assert (server.user, server.flaws) == ("www-data", ())
    assert server.default_site and server.default_site.file == str(home / "sites-enabled/default")
    (route,) = server.routes
    assert route.variables and route.shadow == server.default_site


GOOD = http(
    "client_max_body_size 8m; upstream u { server unix:/x; }\nserver { listen 80; server_name a b; "
    "location ~ ^/a { include uwsgi_params; if ($x) { uwsgi_pass u; } try_files $uri @a; } }"
)
PIECES = (
    "{",
    "}",
    ";",
    '"',
    "'",
    "\\",
    "$",
    "${",
    "#",
    "\n",
    "\0",
    "\x1b[31m",
    "é",
    "include *;",
    "unix:",
    "@",
    "~",
    "[",
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 20), st.sampled_from(PIECES)), max_size=6))
def test_no_text_raises(tmp_path: Path, cuts: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for at, length, piece in cuts:
        text = text[:at] + piece + text[at + length :]
    server = read(tmp_path, text)
    assert len(server.flaws) <= 51
