"""Which app answers, and what it sees of the path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, Optional

import pytest

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
    return (status[0][:3], environ["SCRIPT_NAME"], environ["PATH_INFO"]) if status else tuple(answer)  # type: ignore[return-value]


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
