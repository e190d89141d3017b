"""The Pythons and virtualenvs that apps run on: the sound ones serve, and each broken one is named in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Callable, NamedTuple

import pytest

from tests.e2e.harness import people, procfs
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import SYSTEM_PYTHON, needs

pytestmark = needs("root", "venv", "useradd", "pypy3")

PYPY = "/usr/bin/pypy3"
PACKAGE = "WHERE = __file__\n"


@pytest.fixture(scope="module")
def daemon(session_folder: Path, emperor_venv: Path, users: Users) -> Iterator[Emperor]:
    one = Emperor(emperor_venv / "bin", session_folder / "pythons", people.current(), users.alice)
    try:
        yield one.start()
    finally:
        one.dispose()


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return (f"p{number}" for number in count(1))


@pytest.fixture
def site(daemon: Emperor, names: Iterator[str]) -> Iterator[Vassal]:
    """Placed, not written; what it started is gone before the next one comes."""
    one = daemon.place(next(names))
    yield one
    one.ini.unlink(missing_ok=True)


def run(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"


def venv(folder: Path, *options: str, python: str = SYSTEM_PYTHON) -> Path:
    run(python, "-m", "venv", "--without-pip", *options, folder)
    return folder


def packages(virtualenv: Path) -> Path:
    """Its site-packages."""
    (found,) = virtualenv.glob("lib/*/site-packages")
    return found


def package(folder: Path, name: str, text: str = PACKAGE) -> Path:
    folder.mkdir(exist_ok=True)
    target = folder / f"{name}.py"
    target.write_text(text)
    return target


# Sound ones ---------------------------------------------------------------------------------------------------------

MAKERS: dict[str, Callable[[Path, str], tuple[object, ...]]] = {
    "venv": lambda folder, python: (python, "-m", "venv", "--without-pip", folder),
    "virtualenv": lambda folder, python: (
        *(sys.executable, "-m", "virtualenv", "-q", "--no-periodic-update", "--no-download", "--no-seed"),
        *("--python", python, folder),
    ),
    "uv": lambda folder, python: (
        *(sys.executable, "-m", "uv", "venv", "--quiet", "--offline", "--no-config", "--python", python, folder),
    ),
}


@pytest.mark.parametrize("python", [SYSTEM_PYTHON, PYPY])
@pytest.mark.parametrize("maker", MAKERS)
def test_an_app_runs_in_a_virtualenv_whoever_made_it(site: Vassal, maker: str, python: str) -> None:
    made = site.folder / "made"
    run(*MAKERS[maker](made, python))
    package(packages(made), "thing")
    site.write(virtualenv=made).running(deadline=40)
    assert site.get("/import?thing").json == {"file": str(packages(made) / "thing.py")}
    facts = site.get().json
    assert facts["prefix"] == str(made)
    assert facts["implementation"] == ("pypy" if python == PYPY else "cpython")
    # Nothing of the emperor's own packages, but what we lend to those who ask for it.
    assert "error" in site.get("/import?watchdog").json


@pytest.mark.parametrize("python, name", [(SYSTEM_PYTHON, "python3"), (PYPY, "pypy3")])
def test_the_python_of_a_virtualenv_may_have_one_of_its_other_names_alone(site: Vassal, python: str, name: str) -> None:
    """And variables of the app's that a shell might use are the app's own."""
    made = venv(site.folder / "made", python=python)
    for other in (made / "bin").glob("py*"):
        if other.name != name:
            other.unlink()
    (made / "bin" / name).unlink(missing_ok=True)
    (made / "bin" / name).symlink_to(python)
    package(packages(made), "thing")
    site.write(virtualenv=made, env=["one=1", "IFS=x"]).running(deadline=40)
    assert site.get("/import?thing").json == {"file": str(packages(made) / "thing.py")}
    facts = site.get().json
    assert facts["prefix"] == str(made)
    assert (facts["os_environ"]["one"], facts["os_environ"]["IFS"]) == ("1", "x")
    done = site.emperor.ctl("check", "--import", str(site.ini))
    assert done.returncode == 0, done.stdout


def test_the_home_of_a_python_runs_that_python_with_its_own_packages(site: Vassal) -> None:
    """As ``home = /usr`` does with uWSGI. Debian has no /usr/bin/python."""
    site.write(virtualenv="/usr").running()
    facts = site.get().json
    assert facts["prefix"] == "/usr"
    assert [path for path in facts["sys_path"] if path == "/usr/lib/python3/dist-packages"]
    (site.folder / "app.py").write_text("import no_such_thing\n")
    error = site.emperor.ctl("check", "--import", str(site.ini)).stdout
    assert "/usr has none, and is no virtualenv: make one (/usr/bin/python3 -m venv FOLDER), install what" in error


def test_python_alone_is_that_python_with_its_own_packages(site: Vassal) -> None:
    site.write(python=SYSTEM_PYTHON).running()
    facts = site.get().json
    assert facts["prefix"] == "/usr"
    assert "error" in site.get("/import?watchdog").json


@pytest.mark.parametrize("python", [SYSTEM_PYTHON, PYPY])
def test_python_and_virtualenv_are_that_python_with_the_virtualenvs_packages(site: Vassal, python: str) -> None:
    made = venv(site.folder / "made", python=python)
    package(packages(made), "thing")
    package(site.folder / "elsewhere", "edited")
    (packages(made) / "more.pth").write_text(f"{site.folder}/elsewhere\n")
    site.write(virtualenv=made, python=python).running(deadline=40)
    assert site.get("/import?thing").json == {"file": str(packages(made) / "thing.py")}
    assert site.get("/import?edited").json == {"file": f"{site.folder}/elsewhere/edited.py"}
    facts = site.get().json
    assert facts["prefix"] == str(made)
    assert not [path for path in facts["sys_path"] if path.endswith("dist-packages")]


@pytest.mark.parametrize("named", [False, True])
def test_system_site_packages_are_behind_the_virtualenvs_own(site: Vassal, named: bool) -> None:
    made = venv(site.folder / "made", "--system-site-packages")
    site.write(virtualenv=made, python=SYSTEM_PYTHON if named else None).running()
    path = site.get().json["sys_path"]
    system = next(index for index, one in enumerate(path) if one.endswith("dist-packages"))
    assert path.index(str(packages(made))) < system


def test_pth_files_and_editable_installs_of_the_virtualenv_count(site: Vassal) -> None:
    """Both of the forms in which installers write the latter: a path, and a finder that is imported."""
    made = venv(site.folder / "made")
    package(site.folder / "plain", "edited")
    package(site.folder / "mapped", "found")
    (packages(made) / "plain.pth").write_text(f"{site.folder}/plain\n")
    finder = (
        "import sys\nfrom importlib.util import spec_from_file_location\n"
        f"MAP = {{'found': {str(site.folder / 'mapped/found.py')!r}}}\n"
        "class Finder:\n    @staticmethod\n    def find_spec(name, path=None, target=None):\n"
        "        return spec_from_file_location(name, MAP[name]) if name in MAP else None\n"
        "def install():\n    sys.meta_path.append(Finder)\n"
    )
    package(packages(made), "__editable___thing_1_0_finder", finder)
    (packages(made) / "__editable__.thing-1.0.pth").write_text(
        "import __editable___thing_1_0_finder; __editable___thing_1_0_finder.install()\n"
    )
    site.write(virtualenv=made).running()
    assert site.get("/import?edited").json == {"file": f"{site.folder}/plain/edited.py"}
    assert site.get("/import?found").json == {"file": f"{site.folder}/mapped/found.py"}


def test_what_the_virtualenv_has_itself_wins_over_what_we_lend(site: Vassal) -> None:
    made = venv(site.folder / "made")
    for name in ("werkzeug", "watchdog"):
        package(packages(made), name)
    site.write(virtualenv=made).running()
    assert site.get("/import?werkzeug").json == {"file": str(packages(made) / "werkzeug.py")}
    assert site.get("/import?watchdog").json == {"file": str(packages(made) / "watchdog.py")}


def test_pythonpath_takes_globs_and_the_last_one_wins(site: Vassal) -> None:
    for folder in ("lib1", "lib2", "last"):
        package(site.folder / folder, "thing")
        package(site.folder / folder, f"in_{folder}")
    (site.folder / "last/ignored.pth").write_text(f"{site.folder}/pth\n")
    package(site.folder / "pth", "by_pth")
    site.write(pythonpath=[f"{site.folder}/lib*", f"{site.folder}/last"]).running()
    assert site.get("/import?thing").json == {"file": f"{site.folder}/last/thing.py"}
    for folder in ("lib1", "lib2"):
        assert site.get(f"/import?in_{folder}").json == {"file": f"{site.folder}/{folder}/in_{folder}.py"}
    # As in uWSGI, and as with PYTHONPATH.
    assert "error" in site.get("/import?by_pth").json


def test_what_env_says_reaches_the_interpreter_itself(site: Vassal) -> None:
    made = venv(site.folder / "made")
    package(site.folder / "by_env", "thing")
    package(site.folder / "by_env", "sitecustomize", "import os\nos.environ['CUSTOMIZED'] = 'yes'\n")
    site.write(
        virtualenv=made, env=[f"PYTHONPATH={site.folder}/by_env", "PYTHONDONTWRITEBYTECODE=1", "PYTHONSAFEPATH=1"]
    ).running()
    assert site.get("/import?thing").json == {"file": f"{site.folder}/by_env/thing.py"}
    assert site.get().json["os_environ"]["CUSTOMIZED"] == "yes"
    assert not (site.folder / "by_env/__pycache__").exists()


def _import_fails(site: Vassal, name: str, **options: object) -> str:
    (site.folder / "app.py").write_text(f"import {name}\n")
    error: str = site.write(**options).until(lambda row: row.get("error"), "an error")["error"]
    head = f"ModuleNotFoundError: No module named '{name}' -- "
    assert error.startswith(head)
    return error[len(head) :]


def test_a_missing_module_is_said_to_be_missing_in_the_virtualenv(site: Vassal) -> None:
    made = venv(site.folder / "made")
    hint = _import_fails(site, "thing", virtualenv=made)
    assert hint == f"{made} has none: {made}/bin/python -m pip installs thing, or the package that brings it"


def test_a_virtualenv_beside_the_app_that_nobody_names_is_pointed_at(site: Vassal) -> None:
    venv(site.folder / ".venv")
    hint = _import_fails(site, "thing")
    assert hint.startswith("no virtualenv is named, so the app runs on the emperor's own Python, ")
    assert hint.endswith(f": write virtualenv = {site.folder}/.venv")


def test_packages_for_another_python_are_said_to_be_that(site: Vassal) -> None:
    made = venv(site.folder / "made")
    package(packages(made), "thing")
    mine = packages(made).parent
    mine.rename(made / "lib/python3.4")
    hint = _import_fails(site, "thing", virtualenv=made)
    assert hint.startswith(f"virtualenv {made} has lib/python3.4, and the Python that runs is {mine.name[6:]}: ")


def test_a_missing_virtualenv_beside_a_python_is_said_to_be_missing(site: Vassal) -> None:
    hint = _import_fails(site, "thing", virtualenv=site.folder / "none", python=SYSTEM_PYTHON)
    assert hint == f"there is no folder {site.folder}/none, which virtualenv names"


# Broken ones --------------------------------------------------------------------------------------------------------


class Broken(NamedTuple):
    """``make``: given the site's folder and one that only root can enter, the ini's options. ``words``: the line that
    is shown; {folder} and so on are filled in."""

    make: Callable[[Path, Path], dict[str, object]]
    words: str


def _script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def _bare(folder: Path, python: str = "") -> Path:
    """The folders of a virtualenv, and perhaps a link."""
    (folder / "made/bin").mkdir(parents=True)
    (folder / "made/pyvenv.cfg").write_text("home = /usr/bin\n")
    if python:
        (folder / "made/bin/python").symlink_to(python)
    return folder / "made"


def _missing(folder: Path, closed: Path) -> dict[str, object]:
    return {"virtualenv": folder / "none/here"}


def _none(folder: Path, closed: Path) -> dict[str, object]:
    venv(folder / ".venv")
    return {"virtualenv": folder}


def _inside(folder: Path, closed: Path) -> dict[str, object]:
    return {"virtualenv": venv(folder / "made") / "bin"}


def _without_a_python(folder: Path, closed: Path) -> dict[str, object]:
    (folder / "bin").mkdir()
    return {"virtualenv": folder}


def _seedless(folder: Path, closed: Path) -> dict[str, object]:
    return {"python": SYSTEM_PYTHON, "env": "PYTHONHASHSEED=abc"}


def _homeless(folder: Path, closed: Path) -> dict[str, object]:
    return {"python": SYSTEM_PYTHON, "env": ["A=b", "PYTHONHOME=/nonexist"]}


def _file(folder: Path, closed: Path) -> dict[str, object]:
    return {"virtualenv": _script(folder / "made", "")}


def _dangling(folder: Path, closed: Path) -> dict[str, object]:
    made = _bare(folder, "python3")
    (made / "bin/python3").symlink_to("/usr/bin/python3.2")
    return {"virtualenv": made}


def _below_a_closed_folder(folder: Path, closed: Path) -> dict[str, object]:
    python = closed / "python3"
    if not python.exists():
        shutil.copy(os.path.realpath(SYSTEM_PYTHON), python)
    return {"virtualenv": venv(folder / "made", python=str(python))}


def _in_a_closed_folder(folder: Path, closed: Path) -> dict[str, object]:
    return {"virtualenv": venv(closed / folder.name)}


def _not_executable(folder: Path, closed: Path) -> dict[str, object]:
    made = _bare(folder)
    shutil.copy(os.path.realpath(SYSTEM_PYTHON), made / "bin/python")
    (made / "bin/python").chmod(0o644)
    return {"virtualenv": made}


def _text(folder: Path, closed: Path) -> dict[str, object]:
    return {"python": _script(folder / "python", "not a program\n")}


def _shell(folder: Path, closed: Path) -> dict[str, object]:
    return {"python": "/bin/sh"}


def _no_such_python(folder: Path, closed: Path) -> dict[str, object]:
    return {"python": folder / "python3.9"}


def _first_line(folder: Path, closed: Path) -> dict[str, object]:
    return {"python": _script(folder / "python", "#!/nowhere/python3\n")}


def _other_machine(folder: Path, closed: Path) -> dict[str, object]:
    program = bytearray(Path(SYSTEM_PYTHON).read_bytes())
    program[18:20] = (21).to_bytes(2, "little")
    target = folder / "python"
    target.write_bytes(program)
    target.chmod(0o755)
    return {"python": target}


def _too_old(folder: Path, closed: Path) -> dict[str, object]:
    """A real Python that says of itself that it is 3.8."""
    text = (
        f"#!{SYSTEM_PYTHON}\nimport runpy, sys\nsys.version_info = (3, 8, 18)\n"
        "if '-c' in sys.argv:\n    exec(sys.argv[-1])\nelse:\n    del sys.argv[0]\n    runpy.run_path(sys.argv[0])\n"
    )
    return {"python": _script(folder / "python", text)}


def _home_is_gone(folder: Path, closed: Path) -> dict[str, object]:
    made = venv(folder / "made", "--copies")
    cfg = made / "pyvenv.cfg"
    lines = [line for line in cfg.read_text().splitlines() if not line.startswith("home")]
    cfg.write_text("\n".join(["home = /opt/python3.11/bin", *lines, ""]))
    library = "#!/bin/sh\necho \"Fatal Python error: no module named 'encodings'\" >&2\nexit 1\n"
    # Debian's interpreter finds its library without its home; others do not.
    _script(made / "bin/python", library)
    return {"virtualenv": made}


MAKE = "/usr/bin/python3 -m venv"
AGAIN = f"make it again: {MAKE} --clear {{folder}}/made, then install its packages"
ANOTHER = "name another one: /usr/bin/python3 perhaps"
BROKEN = {
    "missing": Broken(
        _missing, "virtualenv {folder}/none/here: there is no {folder}/none -- make it: " + MAKE + " {folder}/none/here"
    ),
    "none": Broken(_none, "virtualenv {folder}: is none, it has no bin/python -- is {folder}/.venv meant?"),
    "bin": Broken(_inside, "virtualenv {folder}/made/bin: is none, it has no bin/python -- is {folder}/made meant?"),
    "no Python": Broken(
        _without_a_python,
        "virtualenv {folder}: is none, it has no bin/python -- name another folder, or remove the line",
    ),
    "its seed": Broken(
        _seedless,
        f"python {SYSTEM_PYTHON}: {os.path.realpath(SYSTEM_PYTHON)} does not start with what env sets (PYTHONHASHSEED):"
        " Fatal Python error: config_init_hash_seed: PYTHONHASHSEED must be ",
    ),
    "its home": Broken(
        _homeless,
        f"python {SYSTEM_PYTHON}: {os.path.realpath(SYSTEM_PYTHON)} does not start with what env sets (PYTHONHOME):"
        " Fatal Python error: init_fs_encoding: failed to get the Python codec of the filesystem encoding -- mend it,",
    ),
    "a file": Broken(_file, "virtualenv {folder}/made: {folder}/made is no folder -- name the one that is meant"),
    "dangling": Broken(
        _dangling,
        "virtualenv {folder}/made: its Python is gone: {folder}/made/bin/python3 is a link to /usr/bin/python3.2, and"
        " /usr/bin/python3.2 is not there -- " + AGAIN,
    ),
    "below a closed folder": Broken(
        _below_a_closed_folder,
        "virtualenv {folder}/made: its Python is {closed}/python3, and {user} cannot enter {closed} (root's, mode 0700)"
        " -- chmod o+x {closed}, or make it with a Python that everybody can run: " + MAKE + " --clear {folder}/made",
    ),
    "in a closed folder": Broken(
        _in_a_closed_folder,
        "virtualenv {closed}/{name}: {user} cannot enter {closed} (root's, mode 0700) -- chmod o+x {closed}",
    ),
    "not executable": Broken(
        _not_executable,
        "virtualenv {folder}/made: {user} cannot execute {folder}/made/bin/python (root's, mode 0644)"
        " -- chmod o+x {folder}/made/bin/python",
    ),
    "a text": Broken(_text, "python {folder}/python: {folder}/python is no program -- " + ANOTHER),
    "a shell": Broken(_shell, "python /bin/sh: /usr/bin/dash does not run as a Python, exit code 2: "),
    "no such python": Broken(_no_such_python, "python {folder}/python3.9: there is no {folder}/python3.9 -- name one"),
    "its first line": Broken(
        _first_line,
        "python {folder}/python: {folder}/python cannot be executed: the program that its first line names (#!) is not"
        " there -- " + ANOTHER,
    ),
    "another machine": Broken(
        _other_machine,
        "python {folder}/python: {folder}/python is made for powerpc64, not for this machine -- " + ANOTHER,
    ),
    "too old": Broken(_too_old, "python {folder}/python: is Python 3.8, and a vassal needs 3.9 or newer -- " + ANOTHER),
    "its home is gone": Broken(
        _home_is_gone,
        "virtualenv {folder}/made: its pyvenv.cfg says that its Python is in /opt/python3.11/bin, which is not there"
        " -- " + AGAIN,
    ),
}


@pytest.fixture(scope="module")
def closed(daemon: Emperor) -> Path:
    folder = daemon.root / "closed"
    folder.mkdir(mode=0o700)
    return folder


def _says(site: Vassal, closed: Path, words: str) -> str:
    return words.format(folder=site.folder, closed=closed, user=site.owner.name, name=site.name)


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_one_is_named_in_one_line_with_its_mend(site: Vassal, closed: Path, what: str) -> None:
    options = BROKEN[what].make(site.folder, closed)
    line = _says(site, closed, BROKEN[what].words)
    row = site.write(**options).until(lambda row: row.get("error"), "an error")
    assert row["error"].startswith(line)
    assert "\n" not in row["error"]
    wait_for(lambda: site.emperor.ctl("logs", site.name).stdout, lambda text: line in text, "the line in its log")
    done = site.emperor.ctl("check", "--import", str(site.ini))
    assert done.returncode == 1
    assert line in done.stdout


def test_what_lies_on_a_mount_that_forbids_to_execute_is_said_to(site: Vassal, daemon: Emperor) -> None:
    mount = daemon.root / "noexec"
    mount.mkdir()
    run("mount", "-n", "-t", "tmpfs", "-o", "noexec,mode=755", "tmpfs", mount)
    try:
        python = Path(shutil.copy(os.path.realpath(SYSTEM_PYTHON), mount / "python3"))
        row = site.write(python=python).until(lambda row: row.get("error"), "an error")
        assert row["error"].startswith(f"python {python}: {python} lies on a filesystem that is mounted noexec -- ")
    finally:
        run("umount", mount)


def test_emperor_run_says_the_same_line(site: Vassal, daemon: Emperor) -> None:
    missing = site.folder / "none"
    command = [daemon.programs / "emperor", "run", "-s", site.folder / "a.sock", "--wsgi-file", site.folder / "app.py"]
    command += ["--virtualenv", missing, "--uid", site.owner.name, "--control-socket", daemon.root / "run2/control"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f"virtualenv {missing}: there is no such folder -- make it: {MAKE} {missing}\n" in done.stdout + done.stderr


def test_a_broken_one_beside_a_serving_generation_is_named_and_changes_nothing(site: Vassal) -> None:
    before = site.write().running()
    row = site.write(python=site.folder / "none").until(lambda row: row.get("error"), "an error")
    assert row["error"].startswith(f"python {site.folder}/none: there is no {site.folder}/none -- ")
    assert (row["state"], row["pid"]) == ("RUNNING", before["pid"])
    assert site.get().status == 200


def test_one_that_is_only_to_open_its_sockets_says_so_too(site: Vassal) -> None:
    socket = site.folder / "a.sock"
    row = site.write(on_demand="true", socket=socket, virtualenv=site.folder / "none").until(
        lambda row: row.get("error"), "an error"
    )
    assert row["error"].startswith(f"virtualenv {site.folder}/none: there is no such folder -- ")


def test_an_app_that_ends_its_process_is_shown_as_it_ended(site: Vassal) -> None:
    (site.folder / "app.py").write_text("import os\nos._exit(3)\n")
    assert site.write().until(lambda row: row.get("error"), "an error")["error"] == "exited with code 3"


def test_an_emperor_that_others_cannot_enter_says_so(
    session_folder: Path, emperor_venv: Path, users: Users, closed: Path
) -> None:
    """Its own Python, and its runtime folder."""
    here = venv(closed / "emperor")
    (packages(here) / "emperor.pth").write_text(f"{packages(emperor_venv)}\n")
    for name, module in (("emperor", "emperor.cli"), ("emperorctl", "emperor.ctl.cli")):
        code = f"import sys; from {module} import main; sys.exit(main())"
        _script(here / "bin" / name, f'#!/bin/sh\nexec {here}/bin/python -c "{code}" "$@"\n')
    one = Emperor(here / "bin", session_folder / "shut", people.current(), users.alice)
    one.control = closed / "run/control.sock"
    shut = f"{users.alice.name} cannot enter {closed} (root's, mode 0700) -- chmod o+x {closed}"
    try:
        one.start()
        error = one.add("own").until(lambda row: row.get("error"), "an error")["error"]
        assert error == (
            f"exec {here}/bin/python as {users.alice.name}: {shut}, or install the emperor where everybody can enter"
        )
        error = one.add("named", python=SYSTEM_PYTHON).until(lambda row: row.get("error"), "an error")["error"]
        # Another Python has looked why: the emperor's own is not needed.
        assert error.startswith(f"exited with code 2: {closed}/run/lib/")
        assert error.endswith(f", which every vassal needs: {shut}")
    finally:
        one.dispose()


def test_an_emperor_that_others_cannot_enter_tells_what_is_wrong_with_an_apps_own_python(
    session_folder: Path, emperor_venv: Path, users: Users, closed: Path
) -> None:
    here = venv(closed / "emperor2")
    (packages(here) / "emperor.pth").write_text(f"{packages(emperor_venv)}\n")
    for name, module in (("emperor", "emperor.cli"), ("emperorctl", "emperor.ctl.cli")):
        code = f"import sys; from {module} import main; sys.exit(main())"
        _script(here / "bin" / name, f'#!/bin/sh\nexec {here}/bin/python -c "{code}" "$@"\n')
    one = Emperor(here / "bin", session_folder / "shut2", people.current(), users.alice)
    made = venv(closed / "made")
    line = f"virtualenv {made}: {users.alice.name} cannot enter {closed} (root's, mode 0700) -- chmod o+x {closed}"
    try:
        vassal = one.start().add("site", virtualenv=made)
        assert vassal.until(lambda row: row.get("error"), "an error")["error"] == line
        shown = one.ctl("check", "--import", str(vassal.ini)).stdout
        assert line in shown
        assert str(here) not in shown
    finally:
        one.dispose()


def test_a_runtime_folder_that_others_cannot_enter_is_named(
    session_folder: Path, emperor_venv: Path, users: Users, closed: Path
) -> None:
    one = Emperor(emperor_venv / "bin", session_folder / "hidden", people.current(), users.alice)
    one.control = closed / "run2/control.sock"
    try:
        error = one.start().add("site").until(lambda row: row.get("error"), "an error")["error"]
        assert error.startswith(f"exited with code 2: {closed}/run2/lib/")
        assert error.endswith(f"{users.alice.name} cannot enter {closed} (root's, mode 0700) -- chmod o+x {closed}")
    finally:
        one.dispose()


def test_one_that_hangs_when_it_is_looked_at_has_no_longer_than_its_start(site: Vassal) -> None:
    """Nobody waits for it but itself, and nothing of it is left."""
    hung = site.folder / "hung"
    text = f'#!/bin/sh\n[ "$1" = -E ] || exit 9\necho $$ > {hung}\nexec sleep 1000\n'
    python = _script(site.folder / "python", text)
    site.write(python=python, start_timeout=2, max_restarts=1)
    wait_for(lambda: hung.exists() and hung.read_text().strip(), what="it is looked at")
    first = int(hung.read_text())
    row = site.until(lambda row: row.get("error"), "an error")
    assert row["error"].startswith("start-timeout: not ready after 2 s")
    assert row["last_exit"]["code"] == 9
    wait_for(lambda: not procfs.alive(first), what="the one that hung is gone")
