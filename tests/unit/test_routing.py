"""Which app answers, and what it sees of the path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, NamedTuple, Optional

import pytest

from emperor.wsgi.environ import build
from emperor.wsgi.routing import compose

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Asked = tuple[str, str, Optional[str]]
Seen = tuple[str, str, str]


def named(name: str) -> App:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return [name.encode(), environ["SCRIPT_NAME"].encode(), environ["PATH_INFO"].encode()]

    return app


def ask(app: App, script: str, path: str, uri: Optional[str] = None) -> Seen:
    status: list[str] = []
    environ = {"SCRIPT_NAME": script, "PATH_INFO": path, **({} if uri is None else {"REQUEST_URI": uri})}
    answer = [part.decode() for part in app(environ, lambda line, headers: status.append(line))]
    return (status[0][:3], environ["SCRIPT_NAME"], environ["PATH_INFO"]) if status else tuple(answer)  # type: ignore[return-value]  # three blocks


MANAGED = {
    # one mount: uWSGI documents /app=run.py with manage-script-name
    ("/app",): {
        ("", "/app/x"): ("/app", "/app", "/x"),
        ("", "/app"): ("/app", "/app", ""),
        ("", "/app/"): ("/app", "/app", "/"),
        ("", "/app//x/.."): ("/app", "/app", "//x/.."),
        ("", "/apple"): ("404", "", "/apple"),
        ("", "/"): ("404", "", "/"),
        # the web server split the path itself
        ("/app", "/x"): ("/app", "/app", "/x"),
        # nginx with SCRIPT_NAME and PATH_INFO both the whole path
        ("/app/x", "/app/x"): ("/app", "/app", "/x"),
    },
    ("/a/", "/a/b"): {
        ("", "/a/x"): ("/a/", "/a", "/x"),
        ("", "/a"): ("/a/", "/a", ""),
        ("", "/a/b/x"): ("/a/b", "/a/b", "/x"),
        ("", "/a/bc"): ("/a/", "/a", "/bc"),
        ("", "/other"): ("404", "", "/other"),
    },
    ("/", "/app"): {
        ("", "/app/x"): ("/app", "/app", "/x"),
        ("", "/other"): ("/", "", "/other"),
        ("", "/"): ("/", "", "/"),
    },
}

UNMANAGED = {
    ("/a", "/a/b"): {
        ("/a", "/x"): ("/a", "/a", "/x"),
        ("/a/", "/x"): ("/a", "/a/", "/x"),
        ("", "/a/x"): ("/a", "", "/a/x"),
        ("", "/a/b/x"): ("/a/b", "", "/a/b/x"),
        ("", "/ab"): ("404", "", "/ab"),
    },
    ("", "/a"): {
        ("", "/a/x"): ("/a", "", "/a/x"),
        ("/front", "/x"): ("", "/front", "/x"),
        ("", "/"): ("", "", "/"),
    },
}

Table = dict[tuple[str, ...], dict[tuple[str, str], Seen]]


def rows(table: Table) -> list[tuple[tuple[str, ...], tuple[str, str], Seen]]:
    return [(mounts, asked, seen) for mounts, cases in table.items() for asked, seen in cases.items()]


@pytest.mark.parametrize("mounts, asked, seen", rows(MANAGED))
def test_with_manage_script_name_the_longest_mount_moves(
    mounts: tuple[str, ...], asked: tuple[str, str], seen: Seen
) -> None:
    app = compose({mount: named(mount) for mount in mounts}, manage_script_name=True)
    assert ask(app, *asked) == seen


@pytest.mark.parametrize("mounts, asked, seen", rows(UNMANAGED))
def test_without_it_the_app_is_chosen_and_nothing_moves(
    mounts: tuple[str, ...], asked: tuple[str, str], seen: Seen
) -> None:
    assert ask(compose({mount: named(mount) for mount in mounts}), *asked) == seen


@pytest.mark.parametrize("mounts, manage", [([""], False), (["/"], True), (["/"], False), (["/app"], False)])
def test_where_nothing_is_to_be_done_the_app_itself_is_served(mounts: list[str], manage: bool) -> None:
    app = named("app")
    assert compose(dict.fromkeys(mounts, app), manage_script_name=manage) is app


ROOTED: list[tuple[str, Asked, tuple[str, str]]] = [
    # lighttpd below "/" without fix-root-scriptname: the first segment is the script
    ("/", ("/hello", "/world", "/hello/world?q"), ("", "/hello/world")),
    ("/", ("", "/hello", "/hello"), ("", "/hello")),
    # nginx's stock fastcgi_params
    ("/", ("/foo/bar", "", "/foo/bar"), ("", "/foo/bar")),
    # Apache: RewriteRule ^(.*)$ /app.fcgi/$1, and the script's name must go from the URLs
    ("/", ("/app.fcgi", "/hello", "/hello"), ("", "/hello")),
    ("/", ("/app.fcgi", "/", "/"), ("", "/")),
    # the same, asked for by the script's own name
    ("/", ("/app.fcgi", "/hello", "/app.fcgi/hello"), ("", "/hello")),
    ("/", ("/app.fcgi", "", "/app.fcgi"), ("", "/")),
    ("/prefix", ("/prefix/app.fcgi", "/hello", "/prefix/app.fcgi/hello"), ("/prefix", "/hello")),
    ("/", ("/cgi-bin/site.cgi", "/hello", "/hello"), ("", "/hello")),
    ("/", ("/a.fcgi.txt", "/b", "/a.fcgi.txt/b"), ("", "/a.fcgi.txt/b")),
    ("/", ("/caf\xc3\xa9", "/x", "/caf%C3%A9/x"), ("", "/caf\xc3\xa9/x")),
    ("/", ("/a", "/b", "http://host/a/b"), ("", "/a/b")),
    ("/", ("/a", "/b", None), ("", "/a/b")),
    ("/", ("", "", None), ("", "/")),
    ("/prefix", ("", "/prefix/x", "/prefix/x"), ("/prefix", "/x")),
    ("/prefix/", ("/prefix", "/x", "/prefix/x"), ("/prefix", "/x")),
    ("/prefix", ("/prefix/x", "", "/prefix/x"), ("/prefix", "/x")),
    ("/prefix", ("", "/prefix", "/prefix"), ("/prefix", "")),
    # the web server in front has cut the prefix off
    ("/prefix", ("", "/x", "/x"), ("/prefix", "/x")),
    ("/prefix", ("", "/prefixed", "/prefixed"), ("/prefix", "/prefixed")),
]


@pytest.mark.parametrize("script_name, asked, seen", ROOTED)
def test_script_name_says_below_which_prefix_the_app_is(script_name: str, asked: Asked, seen: tuple[str, str]) -> None:
    assert ask(compose({"": named("app")}, script_name=script_name), *asked) == ("app", *seen)


def test_script_name_and_mounts_work_together() -> None:
    app = compose({"/a": named("a"), "": named("root")}, manage_script_name=True, script_name="/")
    assert ask(app, "/a", "/x", "/a/x") == ("a", "/a", "/x")
    assert ask(app, "/b", "/x", "/b/x") == ("root", "", "/b/x")


# --- recipes: what the web servers send (tests/data/streams shows it), and what the app must see of it ---

NGINX, APACHE, LIGHTTPD = (("SERVER_SOFTWARE", one) for one in ("nginx/1.22.1", "Apache/2.4.62", "lighttpd/1.4.69"))
PROXY_FCGI = ("SCRIPT_FILENAME", "proxy:fcgi://localhost/srv/x")
# A visitor asks for /caf%C3%A9/a%20b: decoded once it is this, a character for each byte.
PATH = "/caf\xc3\xa9/a b"


class Recipe(NamedTuple):
    sent: tuple[tuple[str, str], ...]
    seen: tuple[str, str]
    mount: str = ""
    manage: bool = False
    script_name: str = "auto"


def sends(*pairs: tuple[str, str], script: Optional[str] = None, path: Optional[str] = None, uri: str = "") -> Any:
    given = (("SCRIPT_NAME", script), ("PATH_INFO", path), ("REQUEST_URI", uri))
    return (*pairs, *((name, value) for name, value in given if value is not None))


ROOT_URI, APP_URI = "/caf%C3%A9/a%20b?q=%20", "/app/caf%C3%A9/a%20b?q=%20"
NGINX_STOCK = sends(NGINX, script=PATH, uri=ROOT_URI)
NGINX_STOCK_APP = sends(NGINX, script="/app" + PATH, uri=APP_URI)
NGINX_UWSGI_APP = sends(path="/app" + PATH, uri=APP_URI)
PROXY_FCGI_ROOT = sends(APACHE, PROXY_FCGI, script=PATH, uri=ROOT_URI)
PROXY_FCGI_APP = sends(APACHE, PROXY_FCGI, script="/app" + PATH, uri=APP_URI)
PROXY_FCGI_CUT = sends(
    APACHE, ("SCRIPT_FILENAME", "proxy:fcgi://localhost/caf%C3%A9/a%20b"), script="/app" + PATH, uri=APP_URI
)
SPLIT_APP = sends(script="/app", path=PATH, uri=APP_URI)
REWRITTEN = sends(script="/app.fcgi", path=PATH, uri=ROOT_URI)
LIGHTTPD_ROOT = sends(LIGHTTPD, script="/caf\xc3\xa9", path="/a b", uri=ROOT_URI)

RECIPES = {
    "nginx uwsgi_params at the root": Recipe(sends(path=PATH, uri=ROOT_URI), ("", PATH)),
    "nginx uwsgi_params at the root, script-name = /": Recipe(
        sends(path=PATH, uri=ROOT_URI), ("", PATH), script_name="/"),
    "nginx uwsgi_params under a prefix, without any option": Recipe(NGINX_UWSGI_APP, ("", "/app" + PATH)),
    "nginx uwsgi_params under a prefix, mount and manage-script-name": Recipe(
        NGINX_UWSGI_APP, ("/app", PATH), "/app", True),
    "nginx uwsgi_params under a prefix, mount with a slash": Recipe(NGINX_UWSGI_APP, ("/app", PATH), "/app/", True),
    "nginx uwsgi_params under a prefix, script-name = /app": Recipe(
        NGINX_UWSGI_APP, ("/app", PATH), script_name="/app"),
    "nginx uwsgi_params, SCRIPT_NAME added by uwsgi_param": Recipe(
        sends(script="/app", path="/app" + PATH, uri=APP_URI), ("/app", PATH), "/app", True),
    "nginx fastcgi_params at the root": Recipe(NGINX_STOCK, ("", PATH)),
    "nginx fastcgi_params at the root, script-name = /": Recipe(NGINX_STOCK, ("", PATH), script_name="/"),
    "nginx fastcgi_params and the recipe for the root": Recipe(
        (*NGINX_STOCK, ("PATH_INFO", PATH), ("SCRIPT_NAME", "")), ("", PATH)),
    "nginx fastcgi_params under a prefix, mount and manage-script-name": Recipe(
        NGINX_STOCK_APP, ("/app", PATH), "/app", True),
    "nginx fastcgi_params under a prefix, script-name = /app": Recipe(
        NGINX_STOCK_APP, ("/app", PATH), script_name="/app"),
    "nginx fastcgi_split_path_info": Recipe(
        (*NGINX_STOCK_APP, ("SCRIPT_NAME", "/app"), ("PATH_INFO", PATH)), ("/app", PATH)),
    "nginx fastcgi_split_path_info, mount and manage-script-name": Recipe(
        (NGINX, *SPLIT_APP), ("/app", PATH), "/app", True),
    "nginx fastcgi_split_path_info at the prefix itself": Recipe(
        sends(NGINX, script="/app", path="", uri="/app"), ("/app", "")),
    "Apache mod_proxy_fcgi at the root": Recipe(PROXY_FCGI_ROOT, ("", PATH)),
    "Apache mod_proxy_fcgi at the root, script-name = /": Recipe(PROXY_FCGI_ROOT, ("", PATH), script_name="/"),
    "Apache mod_proxy_fcgi under a prefix, mount and manage-script-name": Recipe(
        PROXY_FCGI_APP, ("/app", PATH), "/app", True),
    "Apache mod_proxy_fcgi under a prefix, script-name = /app": Recipe(
        PROXY_FCGI_APP, ("/app", PATH), script_name="/app"),
    "Apache mod_proxy_fcgi under a prefix that it cuts": Recipe(PROXY_FCGI_CUT, ("/app", PATH)),
    "Apache mod_proxy_fcgi under a prefix that it cuts, mount and manage-script-name": Recipe(
        PROXY_FCGI_CUT, ("/app", PATH), "/app", True),
    "Apache mod_proxy_fcgi under a prefix that it cuts, script-name = /app": Recipe(
        PROXY_FCGI_CUT, ("/app", PATH), script_name="/app"),
    "Apache mod_proxy_fcgi under a prefix that it cuts, script-name = /": Recipe(
        PROXY_FCGI_CUT, ("", "/app" + PATH), script_name="/"),
    "Apache mod_proxy_uwsgi at the root": Recipe(sends(APACHE, script="", path=PATH, uri=ROOT_URI), ("", PATH)),
    "Apache mod_proxy_uwsgi that cuts the prefix, script-name = /app": Recipe(
        sends(APACHE, script="", path=PATH, uri=APP_URI), ("/app", PATH), script_name="/app"),
    "Apache mod_fcgid, ScriptAlias / ": Recipe(sends(APACHE, script="", path=PATH, uri=ROOT_URI), ("", PATH)),
    "Apache mod_fcgid, ScriptAlias /app": Recipe((APACHE, *SPLIT_APP), ("/app", PATH)),
    "Apache mod_fcgid, ScriptAlias /app, mount": Recipe((APACHE, *SPLIT_APP), ("/app", PATH), "/app", True),
    "Apache mod_fcgid, ScriptAlias /app, at the prefix itself": Recipe(
        sends(APACHE, script="/app", uri="/app"), ("/app", "")),
    "Apache mod_fcgid, RewriteRule to app.fcgi": Recipe((APACHE, *REWRITTEN), ("/app.fcgi", PATH)),
    "Apache mod_fcgid, RewriteRule to app.fcgi, script-name = /": Recipe(
        (APACHE, *REWRITTEN), ("", PATH), script_name="/"),
    "lighttpd at / with fix-root-scriptname": Recipe(
        sends(LIGHTTPD, script="", path=PATH, uri=ROOT_URI), ("", PATH)),
    "lighttpd at / with fix-root-scriptname, script-name = /": Recipe(
        sends(LIGHTTPD, script="", path=PATH, uri=ROOT_URI), ("", PATH), script_name="/"),
    "lighttpd at /, script-name = /": Recipe(LIGHTTPD_ROOT, ("", PATH), script_name="/"),
    "lighttpd at /, one segment, script-name = /": Recipe(
        sends(LIGHTTPD, script="/hello", uri="/hello"), ("", "/hello"), script_name="/"),
    "lighttpd at /, the root itself": Recipe(sends(LIGHTTPD, script="/", uri="/"), ("", "/")),
    "lighttpd at /app": Recipe((LIGHTTPD, *SPLIT_APP), ("/app", PATH)),
    "lighttpd at /app, mount and manage-script-name": Recipe((LIGHTTPD, *SPLIT_APP), ("/app", PATH), "/app", True),
    "lighttpd at /app.fcgi behind a rewrite": Recipe((LIGHTTPD, *REWRITTEN), ("/app.fcgi", PATH)),
    "lighttpd at /app.fcgi behind a rewrite, script-name = /": Recipe(
        (LIGHTTPD, *REWRITTEN), ("", PATH), script_name="/"),
    "a path is decoded once, and neither cleaned nor cut": Recipe(
        sends(path="/app/a%2Fb//c/../d;e", uri="/app/a%252Fb//c/../d;e"), ("/app", "/a%2Fb//c/../d;e"), "/app", True),
    "a path that only looks like the prefix": Recipe(
        sends(path="//app/x", uri="//app/x"), ("/app", "//app/x"), script_name="/app"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_a_front_servers_recipe_routes_right(name: str) -> None:
    sent, seen, mount, manage, script_name = RECIPES[name]
    told = (("REQUEST_METHOD", "GET"), *sent)
    environ = build([key for key, _ in told], [value for _, value in told], {})
    app = compose({mount: named("app")}, manage, script_name)
    answer = [part.decode() for part in app(environ, lambda *arguments: None)]
    assert answer == ["app", *seen]
