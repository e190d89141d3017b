"""The vassal side's copy: complete, readable by everybody, written by nobody, made once."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from emperor.errors import EmperorError
from emperor.system import library
from tests.integration.kernel_world import fds_of
from tests.requirements import SYSTEM_PYTHON, needs


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    mask = os.umask(0o077)
    try:
        return Path(library.install(str(tmp_path_factory.mktemp("run"))))
    finally:
        os.umask(mask)


@pytest.fixture
def home(launcher: Path) -> Path:
    return launcher.parent


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of our own to change, instead of the one under test."""
    copy = tmp_path / "package" / "emperor"
    for path in [library.PACKAGE / library.LAUNCHER, *library.sources()]:
        target = copy / path.relative_to(library.PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    monkeypatch.setattr(library, "PACKAGE", copy)
    return copy


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "run"
    folder.mkdir()
    yield folder


def test_it_is_complete(home: Path) -> None:
    """Isolated, in a folder of its own, without the package that is tested."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import emperor.vassal, emperor.wsgi.loading, emperor.serving.flup_engine\n"
        "print(*{m.__file__ for n, m in sys.modules.items() if n.startswith('emperor')}, sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, home], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = done.stdout.split()
    assert len(files) > 10
    assert all(file.startswith(f"{home}/emperor/") for file in files)


def test_nothing_of_the_emperors_own_side_is_in_it(home: Path) -> None:
    names = {path.relative_to(home / "emperor").as_posix() for path in (home / "emperor").rglob("*.py")}
    assert {"vassal.py", "crew/crew.py", "wsgi/loading.py", "system/acl.py"} <= names
    assert not names & {"daemon.py", "cli.py", "system/trust.py", "system/watch.py", "system/processes.py"}
    assert not [name for name in names if name.startswith(("config/", "control/", "ctl/"))]


def test_everybody_can_read_it_and_only_we_can_write_whatever_our_umask(home: Path) -> None:
    for path in [home.parent, home, *home.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o755 if path.is_dir() else 0o644), path
        assert path.lstat().st_uid == os.geteuid()


def test_every_module_is_compiled_and_python_believes_it(launcher: Path) -> None:
    sources = [path for path in launcher.parent.rglob("*.py") if "extra" not in path.parts]
    assert len(sources) > 20
    for path in sources:
        compiled = Path(cache_from_source(str(path))).read_bytes()
        # PEP 552: flags 1 means by hash, not to be checked.
        assert compiled[4:8] == b"\1\0\0\0", path


def test_what_is_compiled_names_its_own_files(home: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from emperor.errors import LoadError\n"
        "print(LoadError.__init__.__code__.co_filename)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code, home], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(home / "emperor" / "errors.py")


def test_installing_it_again_changes_nothing(runtime: Path) -> None:
    first = Path(library.install(str(runtime)))
    before = {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in (runtime / "lib").rglob("*")}
    assert Path(library.install(str(runtime))) == first
    after = {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in (runtime / "lib").rglob("*")}
    assert after == before
    assert len(list((runtime / "lib").iterdir())) == 1


def test_another_version_lies_beside_the_one_that_is_in_use(runtime: Path, package: Path) -> None:
    old = Path(library.install(str(runtime)))
    with (package / "vassal.py").open("a") as file:
        file.write("# changed\n")
    new = Path(library.install(str(runtime)))
    assert new != old
    assert old.exists() and not (old.parent / "emperor" / "vassal.py").read_text().endswith("# changed\n")
    assert (new.parent / "emperor" / "vassal.py").read_text().endswith("# changed\n")


def test_a_copy_that_fails_leaves_nothing_behind(runtime: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(EmperorError, match="No space left"):
        library.install(str(runtime))
    assert list((runtime / "lib").iterdir()) == []


def test_of_two_who_install_at_once_both_win(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = library._copy
    other: list[str] = []

    def slow(draft: Path) -> None:
        if not other:
            other.append("")
            other[0] = library.install(str(runtime))
        real(draft)

    monkeypatch.setattr(library, "_copy", slow)
    assert library.install(str(runtime)) == other[0]
    assert len(list((runtime / "lib").iterdir())) == 1


@needs("root")
@pytest.mark.parametrize("what", ["lib", "lib/HASH", "lib/HASH/launch.py"])
def test_what_somebody_else_put_there_is_not_used(runtime: Path, what: str) -> None:
    program = Path(library.install(str(runtime)))
    planted = runtime / what.replace("HASH", program.parent.name)
    os.chown(planted, 61001, 61001)
    with pytest.raises(EmperorError, match=f"{planted}: belongs to somebody else"):
        library.install(str(runtime))


@pytest.mark.parametrize("what", ["lib", "lib/HASH", "lib/HASH/launch.py"])
def test_what_others_can_write_is_not_used_and_not_repaired(runtime: Path, what: str) -> None:
    program = Path(library.install(str(runtime)))
    loose = runtime / what.replace("HASH", program.parent.name)
    loose.chmod(0o775)
    with pytest.raises(EmperorError, match=f"{loose}: its group or others can write it"):
        library.install(str(runtime))
    assert stat.S_IMODE(loose.stat().st_mode) == 0o775


@pytest.mark.parametrize("what", ["lib", "lib/HASH", "lib/HASH/launch.py"])
def test_a_link_is_not_used(runtime: Path, tmp_path: Path, what: str) -> None:
    program = Path(library.install(str(runtime)))
    link = runtime / what.replace("HASH", program.parent.name)
    link.rename(tmp_path / "elsewhere")
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EmperorError, match=f"{link}: is not a "):
        library.install(str(runtime))


@needs("root")
def test_a_program_planted_in_somebody_elses_runtime_folder_is_not_run(runtime: Path) -> None:
    """He makes everything as we would, and may even have it belong to us: the folder above stays his."""
    planted = Path(library.install(str(runtime)))
    os.chown(runtime, 61001, 61001)
    planted.write_text("print('mine')\n")
    with pytest.raises(EmperorError, match=f"runtime folder {runtime}: not ours alone: {runtime}: .*61001 can write"):
        library.install(str(runtime))


def test_old_copies_are_removed_but_for_the_newest_two(runtime: Path, package: Path) -> None:
    homes = []
    for age in (5, 4, 3, 2, 1):
        with (package / "vassal.py").open("a") as file:
            file.write("# changed\n")
        homes.append(Path(library.install(str(runtime))).parent)
        os.utime(homes[-1], (time.time() - age * 86400 - 60,) * 2)
        _forget_locks(homes[-1])
    (runtime / "lib" / ".new-killed").mkdir()
    os.utime(runtime / "lib" / ".new-killed", (0, 0))
    (runtime / "lib" / ".new-at-work").mkdir()
    assert Path(library.install(str(runtime))).parent == homes[-1]
    assert {path.name for path in (runtime / "lib").iterdir()} == {homes[-1].name, homes[-2].name, ".new-at-work"}


def test_an_old_copy_that_an_emperor_runs_from_stays(runtime: Path, package: Path) -> None:
    homes = []
    for age in (9, 3, 2, 1):
        with (package / "vassal.py").open("a") as file:
            file.write("# changed\n")
        homes.append(Path(library.install(str(runtime))).parent)
        os.utime(homes[-1], (time.time() - age * 86400 - 60,) * 2)
    library.install(str(runtime))
    assert all((home / "launch.py").exists() for home in homes)


def test_an_old_copy_that_vassals_run_from_stays_when_its_emperor_is_replaced(runtime: Path, package: Path) -> None:
    homes = []
    for age in (9, 3, 2, 1):
        with (package / "vassal.py").open("a") as file:
            file.write("# changed\n")
        homes.append(Path(library.install(str(runtime))).parent)
        os.utime(homes[-1], (time.time() - age * 86400 - 60,) * 2)
        _forget_locks(homes[-1])
        if len(homes) == 1:
            library.hold([str(homes[0] / "launch.py"), str(runtime / "lib" / "gone" / "launch.py")])
    library.install(str(runtime))
    assert [home.exists() for home in homes] == [True, False, True, True]


def _forget_locks(home: Path) -> None:
    """As the end of the process that installed it would."""
    for fd, where in fds_of().items():
        if where == str(home):
            os.close(fd)


def test_too_old_an_interpreter_is_told_so(launcher: Path, tmp_path: Path) -> None:
    """The check stands before anything that an old interpreter could not read."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        code = (
            "import sys\n"
            "sys.version_info = (3, 6, 9, 'final', 0)\n"
            f"exec(compile(open({str(launcher)!r}).read(), 'launch.py', 'exec'), {{'__name__': '__main__'}})\n"
        )
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 22
    assert done.stderr == f"{sys.executable}: is Python 3.6: a vassal needs 3.9 or newer\n"


@needs("root", "www-data")
def test_another_user_can_run_it() -> None:
    """Its own code runs, as far as missing arguments let it. Nobody else can enter pytest's folders."""
    folder = Path("/dev/shm") / f"emperor-library-{os.getpid()}"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    try:
        program = library.install(str(folder))
        done = subprocess.run(
            [SYSTEM_PYTHON, program],
            user="www-data",
            group="www-data",
            extra_groups=[],
            capture_output=True,
            text=True,
        )
        assert "IndexError" in done.stderr and "vassal.py" in done.stderr
    finally:
        shutil.rmtree(folder)


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    program = library.install(str(tmp_path / "missing" / "run"))
    assert program.startswith(f"{tmp_path}/missing/run/lib/")
