"""Importing apps, with real files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emperor.errors import LoadError
from emperor.model import Identity, Target, VassalSpec
from emperor.wsgi.loading import load

ME = Identity(0, 0, (), "root", "/root")
APP = "def {name}(environ, start_response):\n    start_response('200 OK', [])\n    return [{body}]\n"


@pytest.fixture(autouse=True)
def imports_are_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path, modules = sys.path[:], set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def spec(*targets: Target, **more: Any) -> VassalSpec:
    return VassalSpec("blog", "blog.ini", "/", ME, (), targets, **more)


def module(where: str, callable: str = "", mount: str = "") -> Target:
    return Target(mount, "module", where, callable)


def file(where: object, callable: str = "", mount: str = "") -> Target:
    return Target(mount, "file", str(where), callable)


def written(path: Path, name: str = "application", body: str = "b'ok'", more: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(more + APP.format(name=name, body=body))
    return path


def answer(app: Any, path: str = "/") -> bytes:
    environ = {"SCRIPT_NAME": "", "PATH_INFO": path}
    return b"".join(app(environ, lambda *arguments: None))


@pytest.mark.parametrize(
    "name, target",
    [
        ("application", module("blog")),
        ("app", module("blog")),
        ("site", module("blog:site")),
        ("site", module("blog", "site")),
        ("app", file("blog.py")),
        ("site", file("blog.py", "site")),
    ],
)
def test_the_callable_is_found(tmp_path: Path, name: str, target: Target) -> None:
    written(tmp_path / "blog.py", name)
    assert answer(load(spec(target))) == b"ok"


def test_application_is_preferred_to_app(tmp_path: Path) -> None:
    written(tmp_path / "blog.py", "app", "b'app'", APP.format(name="application", body="b'application'"))
    assert answer(load(spec(module("blog")))) == b"application"


@pytest.mark.parametrize(
    "target", [module("blog:create_app()"), module("blog", "create_app()"), module("blog:box.app")]
)
def test_a_factory_is_called_and_a_dotted_name_followed(tmp_path: Path, target: Target) -> None:
    written(tmp_path / "blog.py", "site", more="def create_app():\n    return site\n")
    with (tmp_path / "blog.py").open("a") as end:
        end.write("class box:\n    app = staticmethod(site)\n")
    assert answer(load(spec(target))) == b"ok"


@pytest.mark.parametrize("name", ["site.wsgi", "run.fcgi", "no_suffix", "with-dash.py", "sys.py"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str) -> None:
    written(tmp_path / "www" / name, body="__file__.encode()")
    assert answer(load(spec(file(tmp_path / "www" / name)))) == str(tmp_path / "www" / name).encode()
    assert not list((tmp_path / "www").glob("__pycache__"))


def test_a_module_may_lie_in_a_package(tmp_path: Path) -> None:
    written(tmp_path / "pkg" / "__init__.py", "unused")
    written(tmp_path / "pkg" / "mod.py")
    assert answer(load(spec(module("pkg.mod")))) == b"ok"


def test_the_path_is_searched_in_the_order_that_is_promised(tmp_path: Path) -> None:
    for folder in ("lib1", "lib2", "more", "www"):
        (tmp_path / folder).mkdir()
    written(tmp_path / "www" / "site.wsgi")
    load(spec(file(tmp_path / "www" / "site.wsgi"), pythonpath=(f"{tmp_path}/lib*", f"{tmp_path}/more")))
    front = [str(tmp_path / name) for name in ("more", "lib2", "lib1")]
    assert sys.path[:5] == [*front, str(tmp_path), str(tmp_path / "www")]


def test_mounts_are_composed(tmp_path: Path) -> None:
    written(tmp_path / "one.py", body="b'one ' + environ['PATH_INFO'].encode()")
    written(tmp_path / "two.py", body="b'two ' + environ['PATH_INFO'].encode()")
    app = load(spec(module("one", mount="/one"), file("two.py", mount="/two"), manage_script_name=True))
    assert (answer(app, "/one/x"), answer(app, "/two/x")) == (b"one /x", b"two /x")


def test_one_file_in_two_mounts_is_imported_once(tmp_path: Path) -> None:
    written(tmp_path / "one.py", more="print('imported')\n")
    load(spec(file("one.py", mount="/a"), file("one.py", mount="/b")))
    assert len([name for name in sys.modules if name.startswith("emperor_file_")]) == 1


def test_flask_does_not_start_its_own_server_while_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLASK_RUN_FROM_CLI", raising=False)
    (tmp_path / "blog.py").write_text(
        "from flask import Flask\napp = Flask(__name__)\n"
        "@app.route('/')\ndef hello():\n    return 'hello'\napp.run(port=1)\n"
    )
    app = load(spec(file("blog.py")))
    assert app.test_client().get("/").text == "hello"  # type: ignore[attr-defined]  # Flask's own
    assert "FLASK_RUN_FROM_CLI" not in os.environ


FAILURES = {
    "raise ValueError('no database')\n": "ValueError: no database",
    "import does_not_exist\n": "ModuleNotFoundError: No module named 'does_not_exist'",
    "import sys\nsys.exit(3)\n": "SystemExit: 3 -- the module leaves the process while it is imported",
    "def broken(:\n": "SyntaxError: invalid syntax",
    "raise ValueError('two\\nlines')\n": "lines",
}


@pytest.mark.parametrize("kind", [module, file])
@pytest.mark.parametrize("source", FAILURES)
def test_a_failing_import_is_told_by_its_last_line_and_the_apps_frames(tmp_path: Path, kind: Any, source: str) -> None:
    (tmp_path / "blog.py").write_text(source)
    with pytest.raises(LoadError) as caught:
        load(spec(kind("blog" if kind is module else tmp_path / "blog.py")))
    assert str(caught.value) == FAILURES[source]
    assert f'File "{tmp_path}/blog.py", line' in caught.value.traceback
    assert "emperor/wsgi" not in caught.value.traceback and "importlib" not in caught.value.traceback
    assert not [name for name in sys.modules if name.startswith("emperor_file_")]


def test_what_does_not_exist_is_told_as_python_tells_it(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="No module named 'nowhere'"):
        load(spec(module("nowhere")))
    with pytest.raises(LoadError, match=r"No such file or directory: '.*nowhere\.py'"):
        load(spec(file(tmp_path / "nowhere.py")))
    with pytest.raises(LoadError, match="nothing to load"):
        load(spec())


def test_a_missing_callable_is_told_with_what_is_there(tmp_path: Path) -> None:
    written(tmp_path / "blog.py", "website", more="from collections import OrderedDict\nlimit = 3\n_hidden = print\n")
    with pytest.raises(LoadError) as caught:
        load(spec(module("blog")))
    assert str(caught.value) == "blog: no 'application' nor 'app' in it: callable there: website"
    with pytest.raises(LoadError, match="no 'shop' in it"):
        load(spec(module("blog:shop")))


CROWDED = """
class Framework:
    wsgi_app = None
    def __call__(self, environ, start_response): ...
class Middleware:
    def __call__(self, environ, start_response): ...
class LocalProxy:
    def __call__(self, *arguments): ...
    @property
    def __signature__(self): raise RuntimeError("outside of a request")
aa_request, zz_site, ww_wrapped = LocalProxy(), Framework(), Middleware()
def page(name): ...
def make(): ...
def plain(environ, start_response): ...
"""


def test_what_looks_like_an_application_is_offered_first_and_a_factory_only_instead(tmp_path: Path) -> None:
    (tmp_path / "crowd.py").write_text(CROWDED + "from operator import add\n")
    with pytest.raises(LoadError, match=r"callable there: zz_site, ww_wrapped, plain$"):
        load(spec(module("crowd")))
    (tmp_path / "factory.py").write_text("def create_app(): ...\ndef page(name): ...\n")
    with pytest.raises(LoadError, match=r"callable there: create_app\(\)$"):
        load(spec(module("factory")))
    (tmp_path / "empty.py").write_text("from operator import add\n")
    with pytest.raises(LoadError, match=r"nothing there is a WSGI application$"):
        load(spec(module("empty")))


def test_a_callable_that_is_not_there_or_is_none_is_named(tmp_path: Path) -> None:
    written(tmp_path / "blog.py", "website", more="limit = 3\n")
    with pytest.raises(LoadError, match="no 'shop' in it"):
        load(spec(module("blog:shop")))
    with pytest.raises(LoadError, match="int is no WSGI application"):
        load(spec(module("blog:limit")))


@pytest.mark.parametrize("target", [module("blog:create_app"), module("blog", "create_app")])
def test_a_factory_that_is_not_called_is_told_how_to_call_it(tmp_path: Path, target: Target) -> None:
    written(tmp_path / "blog.py", "site", more="def create_app(config=None):\n    return site\n")
    with pytest.raises(LoadError, match=r"a factory\? write create_app\(\)"):
        load(spec(target))


def test_a_failing_factory_is_told_like_a_failing_import(tmp_path: Path) -> None:
    (tmp_path / "blog.py").write_text("def create_app():\n    raise RuntimeError('no key')\n")
    with pytest.raises(LoadError, match="RuntimeError: no key") as caught:
        load(spec(module("blog:create_app()")))
    assert "in create_app" in caught.value.traceback


SEVERAL = (
    APP.format(name="front", body="b'front'")
    + APP.format(name="shop", body="environ['SCRIPT_NAME'].encode() + b' ' + environ['PATH_INFO'].encode()")
    + "applications = {'/': front, '/shop/': 'shop'}\n"
)


def test_a_dict_of_applications_is_as_many_mounts(tmp_path: Path) -> None:
    (tmp_path / "several.py").write_text(SEVERAL)
    app = load(spec(module("several"), manage_script_name=True))
    assert answer(app, "/") == answer(app, "/shopping") == b"front"
    assert answer(app, "/shop/cart") == b"/shop /cart"


@pytest.mark.parametrize("name", ["application", "app"])
def test_an_application_is_served_rather_than_the_dict_beside_it(tmp_path: Path, name: str) -> None:
    written(tmp_path / "several.py", name, "b'alone'", more=SEVERAL)
    assert answer(load(spec(module("several"))), "/shop/cart") == b"alone"


def test_a_named_callable_is_served_rather_than_the_dict(tmp_path: Path) -> None:
    (tmp_path / "several.py").write_text(SEVERAL)
    assert answer(load(spec(module("several", "front"))), "/shop/cart") == b"front"


@pytest.mark.parametrize(
    ("applications", "words"),
    [
        ("{'shop': front}", "a key is no prefix"),
        ("{1: front}", "a key is no prefix"),
        ("{'/': 3}", "applications: int is no WSGI application"),
        ("{'/': 'missing'}", "no 'missing' in it"),
        ("{'/a': front, '/a/': front}", "a second app at /a"),
        ("{}", "no 'application' nor 'app' in it"),
    ],
)
def test_a_dict_that_is_no_mounts_says_why(tmp_path: Path, applications: str, words: str) -> None:
    (tmp_path / "several.py").write_text(APP.format(name="front", body="b'front'") + f"applications = {applications}\n")
    with pytest.raises(LoadError, match=words):
        load(spec(module("several")))


def test_an_app_that_two_lines_mount_at_one_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "several.py").write_text(SEVERAL)
    with pytest.raises(LoadError, match="a second app at /shop"):
        load(spec(module("several", "front", "/shop"), module("several")))


def test_the_app_is_put_into_its_second_folder_once_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    written(tmp_path / "blog.py", more="import os\nwhere = os.getcwd()\n", body="where.encode()")
    app = load(spec(module("blog"), chdir2=str(tmp_path / "data")))
    assert answer(app) == str(tmp_path).encode()
    assert os.getcwd() == str(tmp_path / "data")


def test_a_second_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    written(tmp_path / "blog.py")
    with pytest.raises(LoadError, match=r"^chdir2: cannot be entered: No such file or directory$"):
        load(spec(module("blog"), chdir2=str(tmp_path / "missing")))


FLUP = "from flup.server.fcgi import WSGIServer\n"


@pytest.mark.parametrize("guard", ["", "if True: "])
def test_a_script_that_starts_flups_server_names_its_app(tmp_path: Path, guard: str) -> None:
    run = f"{guard}WSGIServer(wrapped, bindAddress='{tmp_path}/fcgi.sock', umask=0).run()\n"
    script = written(tmp_path / "app.fcgi", "app", "b'bare'")
    script.write_text(FLUP + script.read_text() + APP.format(name="wrapped", body="b'wrapped'") + run)
    assert answer(load(spec(file(script)))) == b"wrapped"
    assert not (tmp_path / "fcgi.sock").exists() and "flup.server.fcgi" not in sys.modules


@pytest.mark.parametrize("imports", [FLUP, "import flup.server.fcgi as fcgi\n", "from flup.server import fcgi\n"])
def test_a_script_that_starts_flup_only_when_it_is_run_is_told_what_to_write(tmp_path: Path, imports: str) -> None:
    script = tmp_path / "app.fcgi"
    script.write_text(imports + "def main():\n    pass\nif __name__ == '__main__':\n    main()\n")
    with pytest.raises(LoadError) as caught:
        load(spec(file(script)))
    assert str(caught.value).endswith(
        "no 'application' nor 'app' in it: callable there: main() -- what it hands to flup under __main__ is not seen "
        "here: write application = THAT_APP outside of any function"
    )


def test_a_script_that_ends_after_flups_server_has_named_its_app(tmp_path: Path) -> None:
    """As flup's own documentation writes it."""
    script = written(tmp_path / "app.fcgi", "app", "b'served'")
    script.write_text(FLUP + script.read_text() + "import sys\nsys.exit(WSGIServer(app).run() and 42 or 0)\n")
    assert answer(load(spec(file(script)))) == b"served"


def test_what_a_script_hands_to_flup_must_be_an_app(tmp_path: Path) -> None:
    script = tmp_path / "app.fcgi"
    script.write_text(FLUP + "WSGIServer(3).run()\n")
    with pytest.raises(LoadError, match="WSGIServer's application: int is no WSGI application"):
        load(spec(file(script)))
