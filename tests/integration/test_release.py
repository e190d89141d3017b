"""What is released: the same bytes wherever and whenever they are built, and a program that works where nothing was.

The builds fetch nothing. The installations fetch what the program needs, as its users do.
"""

from __future__ import annotations

import email.parser
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from trove_classifiers import classifiers, deprecated_classifiers

from contrib.pins import project
from tests.e2e.harness.environments import LITTER
from tests.e2e.harness.web import free_port, get
from tests.integration.kernel_world import until
from tests.requirements import SYSTEM_PYTHON, needs

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = (".git", ".venv", ".venv-bench", ".venv-bench-pypy", "dist", "build")
PATIENCE = 120.0


def copied(what: Path, to: Path) -> Path:
    """A checkout as a clone has it, without what git ignores."""

    def litter(folder: str, names: list[str]) -> set[str]:
        here = LEFT_OUT if Path(folder) == what else ()
        return {*LITTER(folder, names), *here, *(one for one in names if one.endswith("_cache"))}

    return Path(shutil.copytree(what, to, ignore=litter, symlinks=True))


def built(folder: Path, *what: str, umask: int = 0o022, **environ: str) -> list[Path]:
    """The files that hatchling makes of this folder, with nothing fetched."""
    clean = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", *what],
        cwd=folder,
        env={**clean, **environ},
        umask=umask,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted((folder / "dist").iterdir())


def digest(path: Path) -> tuple[str, str]:
    return path.name, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(ROOT, tmp_path_factory.mktemp("one") / "source")


@pytest.fixture(scope="module")
def released(source: Path) -> list[Path]:
    """The wheel and the sdist."""
    return built(source)


@pytest.fixture(scope="module")
def wheel(released: list[Path]) -> Path:
    (found,) = (one for one in released if one.suffix == ".whl")
    return found


@pytest.fixture(scope="module")
def sdist(released: list[Path]) -> Path:
    (found,) = (one for one in released if one.suffix == ".gz")
    return found


def test_two_builds_are_the_same_bytes_wherever_whenever_and_by_whomever(
    source: Path, released: list[Path], tmp_path: Path
) -> None:
    other = copied(source, tmp_path / "a folder" / "elsewhere")
    for path in other.rglob("*"):
        # Another day, and what a stricter umask leaves of a clone.
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
    again = built(other, umask=0o077, TZ="Pacific/Chatham", LC_ALL="C", PYTHONHASHSEED="7")
    assert list(map(digest, again)) == list(map(digest, released))


def test_the_sdist_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "--extract", "--gzip", "--file", sdist, "--directory", tmp_path], check=True)
    (unpacked,) = tmp_path.iterdir()
    (again,) = built(unpacked, "-t", "wheel")
    assert digest(again) == digest(wheel)


def test_the_sdist_holds_what_a_packager_needs_and_no_litter(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = {one.name.partition("/")[2] for one in members}
    needed = "SECURITY.md README.md CHANGELOG.md LICENSE Makefile PKG-INFO pyproject.toml requirements/test.txt"
    assert set(needed.split()) <= names
    assert {"tests/conftest.py", "contrib/systemd/emperor.service", "emperor/py.typed", "docs/security.md"} <= names
    assert not [one for one in names if "__pycache__" in one or one.startswith((".venv", ".git/", "dist"))]
    assert {(one.uid, one.gid) for one in members} == {(0, 0)}
    assert not [one.name for one in members if one.mode & 0o022 or not one.isreg()]


def test_the_wheel_holds_the_package_the_manual_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "emperor").rglob("*") if path.suffix in (".py", ".typed")}
    assert ours <= names
    name = "mini_emperor-" + project()["project"]["version"]
    manual = {
        f"{name}.data/data/share/man/man{page[-1]}/{page}" for page in ("emperor.8", "emperorctl.1", "emperor.ini.5")
    }
    rest = {one for one in names - ours - manual if not one.startswith(f"{name}.dist-info/")}
    assert manual <= names
    assert not {one for one in rest if not one.startswith("emperor/") or one.endswith(".pyc")}


def test_its_metadata_are_valid_and_say_what_the_project_says(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (at,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        raw = archive.read(at)
        licenses = [one for one in archive.namelist() if one.endswith(".dist-info/licenses/LICENSE")]
    # Raises for whatever an index would refuse.
    told = Metadata.from_email(raw, validate=True)
    wanted = project()["project"]
    assert (told.name, str(told.version)) == (wanted["name"], wanted["version"])
    assert told.license_expression == wanted["license"] == "MIT" and licenses
    assert set(map(str, told.requires_dist or ())) >= {str(Requirement(one)) for one in wanted["dependencies"]}
    assert told.description_content_type == "text/markdown" and email.parser.BytesParser().parsebytes(raw).get_payload()


def test_its_classifiers_exist_and_do_not_contradict_the_rest() -> None:
    wanted = project()["project"]
    named = set(wanted["classifiers"])
    assert named <= classifiers and not named & deprecated_classifiers.keys()
    # Who states an SPDX expression must not name a license there (PEP 639).
    assert not [one for one in named if one.startswith("License ::")]
    assert (ROOT / "emperor/py.typed").exists() == ("Typing :: Typed" in named)
    allowed = SpecifierSet(wanted["requires-python"])
    pythons = [one.rpartition(" ")[2] for one in named if one.startswith("Programming Language :: Python :: 3.")]
    assert pythons and all(allowed.contains(one) for one in pythons)


APP = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"served by what was installed"]
"""


@pytest.fixture(params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest, released: list[Path], tmp_path: Path) -> Iterator[Path]:
    """An environment that was empty, with one of the two in it."""
    suffix = {"wheel": ".whl", "sdist": ".gz"}[request.param]
    (what,) = (one for one in released if one.suffix == suffix)
    folder = tmp_path / "env"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", folder], check=True, capture_output=True)
    pip = [folder / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", what]
    done = subprocess.run(pip, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    yield folder


def _run(*command: object) -> str:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, cwd="/", timeout=PATIENCE)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@needs("venv")
def test_it_works_in_an_environment_that_was_empty(installed: Path, tmp_path: Path) -> None:
    assert _run(installed / "bin/emperor", "--version") == f"emperor {project()['project']['version']}\n"
    assert "usage: emperorctl" in _run(installed / "bin/emperorctl", "--help")
    for page in ("man8/emperor.8", "man1/emperorctl.1", "man5/emperor.ini.5"):
        assert (installed / "share/man" / page).read_text().startswith(".")
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    words = ["run", "--http-socket", f"127.0.0.1:{port}", "--wsgi-file", str(tmp_path / "app.py"), "--allow-root"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [installed / "bin/emperor", *words, "--control-socket", str(tmp_path / "c.sock")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environ,
        )
        try:
            until(lambda: b"RUNNING" in (tmp_path / "log").read_bytes() or process.poll() is not None)
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert get(f"http://127.0.0.1:{port}/").text == "served by what was installed"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
