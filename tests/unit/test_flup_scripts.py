"""A script that starts flup's server is an app to serve: nothing runs, and nothing of the pretence is left."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from emperor.wsgi.scripts import flup_does_not_run

SCRIPT = "from flup.server.{name} import WSGIServer\nWSGIServer({app}, bindAddress='/nowhere', umask=0).run()\n"
SERVERS = ("fcgi", "fcgi_fork", "fcgi_single", "scgi", "scgi_fork", "ajp", "ajp_fork")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Other tests may have imported flup."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "flup"}
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "flup"]:
        del sys.modules[name]
    sys.modules.update(kept)


@pytest.fixture
def no_flup(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [finder for finder in sys.meta_path if not _finds_flup(finder)]
    monkeypatch.setattr(sys, "meta_path", others)


def _finds_flup(finder: Any) -> bool:
    return finder.find_spec("flup", None) is not None


def run(script: str, **names: object) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "script", **names}
    exec(script, space)
    return space


@pytest.mark.parametrize("name", SERVERS)
def test_run_starts_nothing_and_hands_over_its_application(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with flup_does_not_run() as handed:
        run(SCRIPT.format(name=name, app="'the app'"))
    assert handed == ["the app"]
    assert capsys.readouterr().err.startswith("flup: run() starts no server here")


def test_a_server_that_is_made_and_not_run_hands_over_nothing() -> None:
    with flup_does_not_run() as handed:
        run("from flup.server.fcgi import WSGIServer\nserver = WSGIServer(print)\n")
    assert handed == []


@pytest.mark.usefixtures("no_flup")
def test_it_need_not_be_installed_and_is_gone_afterwards() -> None:
    with flup_does_not_run() as handed:
        run(SCRIPT.format(name="fcgi", app="1"))
    assert handed == [1]
    assert not [name for name in sys.modules if name.startswith("flup")]
    with pytest.raises(ModuleNotFoundError):
        run("import flup.server.fcgi")


def test_what_is_installed_is_found_afterwards() -> None:
    with flup_does_not_run():
        stand_in = run("import flup.server.fcgi as found")["found"]
    real = run("import flup.server.fcgi as found")["found"]
    assert isinstance(real, ModuleType)
    assert real is not stand_in
    assert real.__spec__ == importlib.util.find_spec("flup.server.fcgi")
    assert real.WSGIServer.run.__code__.co_filename == real.__file__


def test_the_rest_of_flup_is_flups_own_meanwhile() -> None:
    with flup_does_not_run():
        found = run("import flup.server.fcgi_base as found")["found"]
    assert hasattr(found, "BaseFCGIServer")


def test_finders_are_gone_after_a_failure_too() -> None:
    before = list(sys.meta_path)
    with pytest.raises(ZeroDivisionError), flup_does_not_run():
        run("from flup.server.fcgi import WSGIServer\n1 / 0\n")
    assert sys.meta_path == before
    assert "flup.server.fcgi" not in sys.modules


def test_nesting_is_two_pretences_one_after_the_other() -> None:
    with flup_does_not_run() as outer:
        with flup_does_not_run() as inner:
            run(SCRIPT.format(name="fcgi", app="1"))
        run(SCRIPT.format(name="fcgi", app="2"))
    assert (outer, inner) == ([2], [1])
