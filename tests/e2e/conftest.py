"""The fixtures of the black-box tests: a folder for all, real users, virtualenvs, nginx, the daemon."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Callable, Protocol

import pytest

from tests.e2e.harness import environments, people
from tests.e2e.harness.daemon import APPS, Emperor
from tests.e2e.harness.launching import Launch, launching
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.web import Nginx
from tests.requirements import missing, require


class StartEmperor(Protocol):
    def __call__(self, person: Person | None = None, owner: Person | None = None) -> Emperor: ...


StartNginx = Callable[..., Nginx]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """Below it lies everything: pytest's own folders are closed to other users, and long for a socket's path."""
    folder = Path(tempfile.mkdtemp(prefix="emp-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture(scope="session")
def users(session_folder: Path) -> Iterator[Users]:
    require("root", "useradd")
    people.sweep()
    homes = session_folder / "home"
    homes.mkdir(mode=0o755)
    try:
        yield people.create(homes)
    finally:
        people.sweep()


@pytest.fixture(scope="session")
def emperor_venv(session_folder: Path) -> Path:
    """The project, regularly installed, and Flask."""
    require("venv")
    return environments.make_emperor_venv(session_folder / "venv", session_folder / "source")


@pytest.fixture(scope="session")
def app_venv(session_folder: Path, emperor_venv: Path) -> Path:
    """Flask alone."""
    return environments.make_app_venv(session_folder / "appvenv", emperor_venv)


@pytest.fixture
def folder(session_folder: Path, numbers: Iterator[int]) -> Path:
    """A fresh folder for one test, of whoever runs the tests, that others can enter and read."""
    fresh = session_folder / str(next(numbers))
    fresh.mkdir(mode=0o755)
    return fresh


@pytest.fixture
def open_folder(folder: Path) -> Path:
    """Where apps of every user can make files."""
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope="module")
def shared_folder(session_folder: Path, numbers: Iterator[int]) -> Path:
    """One for all tests of a file."""
    fresh = session_folder / str(next(numbers))
    fresh.mkdir(mode=0o755)
    return fresh


@pytest.fixture(scope="module")
def shared_emperor(shared_folder: Path, emperor_venv: Path, users: Users) -> Iterator[Emperor]:
    """Root's, started; its vassals are alice's."""
    one = Emperor(emperor_venv / "bin", shared_folder / "e", people.current(), users.alice)
    try:
        yield one.start()
    finally:
        one.dispose()


@pytest.fixture
def someone(request: pytest.FixtureRequest) -> Person:
    """An ordinary user: alice as root, else whoever runs the tests."""
    if os.geteuid() != 0:
        return people.current()
    users: Users = request.getfixturevalue("users")
    return users.alice


@pytest.fixture
def home(folder: Path, someone: Person) -> Path:
    """A folder of an ordinary user's with an app in it."""
    shutil.copy(APPS / "facts.py", folder / "wsgi.py")
    if os.geteuid() == 0:
        os.chown(folder, someone.uid, someone.gid)
    return folder


@pytest.fixture
def launch(emperor_venv: Path, home: Path, someone: Person) -> Iterator[Launch]:
    """Starts ``emperor …`` in that folder."""
    with launching(emperor_venv / "bin/emperor", home, someone) as start:
        yield start


@pytest.fixture
def emperor(folder: Path, emperor_venv: Path, someone: Person) -> Iterator[StartEmperor]:
    """A factory; the daemon is not started yet. What still runs at the end must stop with exit 0."""
    numbers = count(1)
    with ExitStack() as ends:

        def make(person: Person | None = None, owner: Person | None = None) -> Emperor:
            runs_it = person or people.current()
            one = Emperor(emperor_venv / "bin", folder / f"e{next(numbers)}", runs_it, owner or person or someone)
            ends.callback(one.dispose)
            return one

        yield make


@pytest.fixture
def nginx(folder: Path) -> Iterator[StartNginx]:
    """A factory: path -> directives of its location; started when it returns."""
    require("nginx", *(["www-data"] if not missing("root") else []))
    numbers = count(1)
    with ExitStack() as ends:

        def make(locations: Mapping[str, str], upstreams: str = "") -> Nginx:
            one = Nginx(folder / f"n{next(numbers)}", locations, upstreams)
            ends.callback(one.stop)
            return one.start()

        yield make
