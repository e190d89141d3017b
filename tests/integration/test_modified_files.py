"""A vassal that watches what its app was made of: real files, changed as editors and deployment tools change them.

That nothing is told is shown by what is told next: a change of which it must tell.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emperor.model import Target
from emperor.supervision.channel import Stale
from emperor.system import library
from tests.integration.kernel_world import gone, unix, until, vassal_spec
from tests.integration.vassal_process_world import Vassal, ask
from tests.requirements import SYSTEM_PYTHON, needs

APP = """
import os
import helper


def application(environ, start_response):
    body = helper.WORD
    path = environ["PATH_INFO"]
    if path == "/late":
        import late
        body = late.WORD
    elif path == "/by-hand":
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location("by_hand", os.path.abspath("by_hand.txt.py"))
        sys.modules["by_hand"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        import late
    elif path == "/threads":
        body = b"%d" % len(os.listdir("/proc/%d/task" % os.getppid()))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

APPS = Path(__file__).resolve().parents[1] / "apps"

Start = Callable[..., Vassal]


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> str:
    return library.install(str(tmp_path_factory.mktemp("run")))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    release(folder)
    return folder


def release(folder: Path, word: str = "one") -> None:
    (folder / "app.py").write_text(APP)
    (folder / "helper.py").write_text(f"WORD = b'{word}'\n")
    (folder / "late.py").write_text(f"WORD = b'late {word}'\n")
    (folder / "by_hand.txt.py").write_text("WORD = b'by hand'\n")


@pytest.fixture
def start(tmp_path: Path, site: Path, launcher: str) -> Iterator[Start]:
    vassals: list[Vassal] = []
    listeners: list[socket.socket] = []

    def started(**more: Any) -> Vassal:
        listener = socket.socket(socket.AF_UNIX)
        listeners.append(listener)
        path = tmp_path / f"{len(listeners)}.sock"
        listener.bind(str(path))
        listener.listen(64)
        options = {
            "chdir": str(site),
            "targets": (Target("", "module", "app"),),
            "py_autoreload": 0.5,
            "python": SYSTEM_PYTHON,
            **more,
        }
        spec = vassal_spec(tmp_path, unix(path), **options)
        vassals.append(Vassal(spec, launcher, {0: listener.fileno()}))
        return vassals[-1].serving()

    yield started
    for vassal in vassals:
        vassal.bury()
    for listener in listeners:
        listener.close()


def stale(vassal: Vassal, count: int = 1) -> str:
    """Wait for so many words that it is stale; the last of them, when there are no more."""
    vassal.wait(lambda: len(vassal.heard(Stale)) >= count)
    assert len(vassal.heard(Stale)) == count
    return vassal.heard(Stale)[-1].reason


def changed(path: Path) -> str:
    return f"py-autoreload: {path} has changed"


# How editors save -------------------------------------------------------------------------------------------------


def in_place(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, text.encode())
    os.ftruncate(fd, len(text))
    os.close(fd)


def truncated_then_written(path: Path, text: str) -> None:
    """nano, cat; and Visual Studio Code."""
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    for letter in text:
        os.write(fd, letter.encode())
    os.close(fd)


def renamed_over(path: Path, text: str) -> None:
    """PyCharm's safe write, gedit, sed -i."""
    fresh = path.with_name(f"{path.name}___jb_tmp___")
    fresh.write_text(text)
    fresh.rename(path)


def moved_away_then_written(path: Path, text: str) -> None:
    """Vim with backupcopy=no: a trial file, a backup, a new file, the end of the backup."""
    trial, backup = path.with_name("4913"), path.with_name(f"{path.name}~")
    trial.touch()
    trial.unlink()
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def copied_then_written(path: Path, text: str) -> None:
    """Emacs: a lock that leads nowhere, a backup, the file itself."""
    lock = path.with_name(f".#{path.name}")
    lock.symlink_to("somebody@somewhere.1234:56")
    shutil.copy2(path, path.with_name(f"{path.name}~"))
    path.write_text(text)
    lock.unlink()


SAVES = [in_place, truncated_then_written, renamed_over, moved_away_then_written, copied_then_written]


@pytest.mark.parametrize("save", SAVES)
def test_a_module_that_an_editor_saves_is_told_of_once(start: Start, site: Path, save: Any) -> None:
    vassal = start()
    save(site / "helper.py", "WORD = b'two, and longer'\n")
    assert stale(vassal) == changed(site / "helper.py")
    save(site / "app.py", APP + "\n")
    assert stale(vassal, 2) == changed(site / "app.py")


def test_a_save_of_the_same_size_is_a_change(start: Start, site: Path) -> None:
    vassal = start()
    in_place(site / "helper.py", "WORD = b'two'\n")
    assert stale(vassal) == changed(site / "helper.py")


def test_what_editors_leave_beside_a_file_is_no_change(start: Start, site: Path) -> None:
    """Not even later, when every Python file of the app's is looked at."""
    vassal = start()
    for count in (1, 2):
        (site / "4913").touch()
        (site / ".app.py.swp").write_text("a swap file")
        (site / ".helper.py.swx").write_text("another")
        if not (site / ".#app.py").is_symlink():
            (site / ".#app.py").symlink_to("somebody@somewhere.1:2")
        (site / "app.py~").write_text(f"a backup {count}")
        (site / "#app.py#").write_text("an auto-save")
        (site / ".hidden").mkdir(exist_ok=True)
        (site / ".hidden" / "thing.py").write_text(f"hidden = {count}")
        (site / "__pycache__").mkdir(exist_ok=True)
        (site / "__pycache__" / "thing.py").write_text(f"no = {count}")
        (site / "helper.py").write_text(f"WORD = b'number {count}'\n")
        assert stale(vassal, count) == changed(site / "helper.py")


def test_a_module_that_is_deleted_is_no_change_until_it_is_back(start: Start, site: Path) -> None:
    vassal = start()
    (site / "helper.py").unlink()
    (site / "app.py").write_text(APP + "\n\n")
    assert stale(vassal) == changed(site / "app.py")
    (site / "helper.py").write_text("WORD = b'back again'\n")
    assert stale(vassal, 2) == changed(site / "helper.py")


def test_a_module_that_is_moved_away_and_back_is_no_change(start: Start, site: Path) -> None:
    vassal = start()
    (site / "helper.py").rename(site / "away")
    (site / "away").rename(site / "helper.py")
    (site / "app.py").write_text(APP + "\n\n")
    assert stale(vassal) == changed(site / "app.py")


def test_of_two_saves_within_a_second_the_second_is_what_the_next_generation_imports(start: Start, site: Path) -> None:
    """Python compares whole seconds and the size: it would take the first one's cache for the second's."""
    helper, second = site / "helper.py", int(time.time())
    for number, word in enumerate((b"abc", b"xyz")):
        helper.write_text(f"WORD = {word!r}\n")
        os.utime(helper, ns=(0, second * 10**9 + number))
        assert ask(start().spec).body == word


# What is watched --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", ["helper.py", "app.py"])
def test_modules_are_watched_wherever_they_are_imported(start: Start, site: Path, lazy: bool, name: str) -> None:
    vassal = start(lazy_apps=lazy, processes=2)
    with (site / name).open("a") as file:
        file.write("\n# more\n")
    assert stale(vassal) == changed(site / name)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_module_that_a_request_imports_is_watched_from_then_on(start: Start, site: Path, lazy: bool) -> None:
    vassal = start(lazy_apps=lazy)
    (site / "late.py").write_text("WORD = b'not read yet'\n")
    assert ask(vassal.spec, "/late").body == b"not read yet"
    (site / "late.py").write_text("WORD = b'changed once it was read'\n")
    assert stale(vassal) == changed(site / "late.py")


def test_a_module_that_a_request_loads_by_hand_is_watched_after_the_next_import(start: Start, site: Path) -> None:
    vassal = start()
    ask(vassal.spec, "/by-hand")
    (site / "by_hand.txt.py").write_text("WORD = b'changed'\n")
    assert stale(vassal) == changed(site / "by_hand.txt.py")


@pytest.mark.parametrize("lazy", [False, True])
def test_a_wsgi_file_is_watched(start: Start, site: Path, lazy: bool) -> None:
    shutil.copy(site / "app.py", site / "site.wsgi")
    vassal = start(targets=(Target("", "file", str(site / "site.wsgi")),), lazy_apps=lazy)
    (site / "site.wsgi").write_text(APP + "\n#\n")
    assert stale(vassal) == changed(site / "site.wsgi")


def test_what_is_installed_is_watched_too(start: Start, site: Path) -> None:
    package = site / "venv" / "lib" / "site-packages"
    package.mkdir(parents=True)
    (package / "bought.py").write_text("PRICE = 1\n")
    (site / "helper.py").write_text("import bought\nWORD = b'x'\n")
    vassal = start(pythonpath=(str(package),))
    (package / "bought.py").write_text("PRICE = 22\n")
    assert stale(vassal) == changed(package / "bought.py")


@pytest.mark.parametrize("late", [False, True])
def test_a_module_that_changes_while_it_is_imported_has_changed(start: Start, site: Path, late: bool) -> None:
    """Whoever looks only afterwards takes the new file for the one that was imported."""
    again = "import os\nwith open(__file__, 'a') as file: file.write('#')\n" + "WORD = b'x'\n"
    (site / ("late.py" if late else "helper.py")).write_text(again)
    vassal = start()
    if late:
        ask(vassal.spec, "/late")
    assert stale(vassal) == changed(site / ("late.py" if late else "helper.py"))


def test_a_module_that_the_app_writes_before_it_imports_it_makes_no_circle(start: Start, site: Path) -> None:
    writes = "with open('made.py', 'w') as file: file.write('X = 1')\nimport made\nWORD = b'x'\n"
    (site / "helper.py").write_text(writes)
    for _ in range(2):
        vassal = start()
        (site / "app.py").write_text(APP + "\n\n")
        assert stale(vassal) == changed(site / "app.py")
        (site / "app.py").write_text(APP)


def test_a_file_that_is_written_again_as_it_was_is_told_of_once(start: Start, site: Path) -> None:
    """By the generation that is to follow, perhaps, which the same word again would end before it serves."""
    (site / "made.py").write_text("X = 1\n")
    vassal = start()
    (site / "helper.py").write_text("WORD = b'two, by now'\n")
    assert stale(vassal) == changed(site / "helper.py")
    (site / "made.py").write_text("X = 2, 2\n")
    assert stale(vassal, 2) == changed(site / "made.py")
    renamed_over(site / "made.py", "X = 2, 2\n")
    (site / "helper.py").write_text("WORD = b'three, by now'\n")
    assert stale(vassal, 3) == changed(site / "helper.py")


def test_a_module_from_the_future_makes_no_circle(start: Start, site: Path) -> None:
    os.utime(site / "helper.py", (4_000_000_000, 4_000_000_000))
    vassal = start()
    (site / "app.py").write_text(APP + "\n\n")
    assert stale(vassal) == changed(site / "app.py")


def test_the_app_meets_its_own_finders_only_and_in_their_order(start: Start, site: Path) -> None:
    """A finder that the app puts in front comes first, and one that it puts last is asked once for what it has."""
    (site / "helper.py").write_text(
        "import sys, importlib.util\n"
        "asked = []\n"
        "class Last:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        asked.append(name)\n"
        "        if name == 'elsewhere':\n"
        "            return importlib.util.spec_from_file_location(name, 'hidden.code.py')\n"
        "sys.meta_path.append(Last())\n"
        "import elsewhere\n"
        "WORD = repr(asked).encode()\n"
    )
    (site / "hidden.code.py").write_text("X = 1\n")
    vassal = start()
    assert ask(vassal.spec).body == b"['elsewhere']"
    (site / "hidden.code.py").write_text("X = 22\n")
    assert stale(vassal) == changed(site / "hidden.code.py")


# A generation that failed -----------------------------------------------------------------------------------------


def test_after_the_first_word_a_file_that_it_never_read_is_watched(start: Start, site: Path) -> None:
    """The generation that was to follow may have failed in it."""
    (site / "package").mkdir()
    (site / "package" / "fresh.py").write_text("this is no Python\n")
    vassal = start()
    (site / "helper.py").write_text("import package.fresh\nWORD = b'two'\n")
    assert stale(vassal) == changed(site / "helper.py")
    (site / "package" / "fresh.py").write_text("X = 'mended'\n")
    assert stale(vassal, 2) == changed(site / "package" / "fresh.py")
    (site / "package" / "missing.py").write_text("X = 'made'\n")
    assert stale(vassal, 3) == f"py-autoreload: {site}/package/missing.py is new"
    assert ask(vassal.spec).body == b"one"


def test_before_it_a_file_that_it_never_read_is_nobodys_business(start: Start, site: Path) -> None:
    (site / "stranger.py").write_text("1\n")
    vassal = start()
    (site / "stranger.py").write_text("22\n")
    (site / "helper.py").write_text("WORD = b'two'\n# 2\n")
    assert stale(vassal) == changed(site / "helper.py")


def test_the_walk_goes_in_no_circle_and_not_where_packages_lie(start: Start, site: Path) -> None:
    for name in ("node_modules", "venv/lib/site-packages", "deep/er"):
        (site / name).mkdir(parents=True)
        (site / name / "x.py").write_text("1\n")
    (site / "deep" / "er" / "up").symlink_to(site)
    vassal = start()
    (site / "helper.py").write_text("WORD = b'two'\n# 2\n")
    stale(vassal)
    (site / "node_modules" / "x.py").write_text("22\n")
    (site / "venv" / "lib" / "site-packages" / "x.py").write_text("22\n")
    (site / "deep" / "er" / "x.py").write_text("22\n")
    assert stale(vassal, 2) == changed(site / "deep" / "er" / "x.py")


# Release folders --------------------------------------------------------------------------------------------------


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    for number in ("41", "42"):
        folder = tmp_path / "releases" / number
        folder.mkdir(parents=True)
        release(folder, number)
        for path in folder.iterdir():
            os.utime(path, (1_700_000_000, 1_700_000_000))
    (tmp_path / "current").symlink_to("releases/41")
    return tmp_path / "current"


def switch(current: Path, number: str) -> None:
    """ln -s, mv -T."""
    fresh = current.with_name("current.new")
    fresh.symlink_to(f"releases/{number}")
    fresh.rename(current)


@pytest.mark.parametrize("how", ["chdir", "pythonpath", "wsgi-file"])
def test_a_switched_release_is_told_of_and_what_comes_next_is_the_new_one(
    start: Start, releases: Path, tmp_path: Path, how: str
) -> None:
    """Of files of the same size and date, so that nothing but the link tells of it."""
    (tmp_path / "elsewhere").mkdir()
    options: dict[str, dict[str, Any]] = {
        "chdir": {"chdir": str(releases)},
        "pythonpath": {"chdir": str(tmp_path / "elsewhere"), "pythonpath": (str(releases),)},
        "wsgi-file": {
            "chdir": str(tmp_path / "elsewhere"),
            "targets": (Target("", "file", str(releases / "app.py")),),
        },
    }
    vassal = start(**options[how])
    assert ask(vassal.spec).body == b"41"
    switch(releases, "42")
    assert f"leads to {tmp_path}/releases/42" in stale(vassal)
    assert ask(start(**options[how]).spec).body == b"42"
    switch(releases, "41")
    stale(vassal, 2)


def test_a_release_that_does_not_run_is_mended_in_its_own_folder(start: Start, releases: Path) -> None:
    broken = releases.with_name("releases") / "42" / "helper.py"
    broken.write_text("this is no Python")
    vassal = start(chdir=str(releases))
    switch(releases, "42")
    assert "leads to" in stale(vassal)
    broken.write_text("WORD = b'mended'\n")
    assert stale(vassal, 2) == changed(broken)


def test_a_link_that_is_gone_for_a_moment_is_no_change(start: Start, releases: Path) -> None:
    """ln -sfn removes it first."""
    vassal = start(chdir=str(releases))
    releases.unlink()
    releases.symlink_to("releases/41")
    switch(releases, "42")
    assert "releases/42" in stale(vassal)


# touch-reload -----------------------------------------------------------------------------------------------------


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    return tmp_path / "reload.me"


def test_touch_reload_tells_what_was_done_to_its_file(start: Start, flag: Path) -> None:
    vassal = start(touch_reload=(str(flag),), py_autoreload=0.0)
    flag.touch()
    assert stale(vassal) == f"touch-reload: {flag} was made"
    os.utime(flag, (1, 1))
    assert stale(vassal, 2) == f"touch-reload: {flag} was touched"
    same = os.stat(flag)
    other = flag.with_name("other")
    other.touch()
    os.utime(other, ns=(same.st_atime_ns, same.st_mtime_ns))
    other.rename(flag)
    assert stale(vassal, 3) == f"touch-reload: {flag} was touched"
    flag.unlink()
    assert stale(vassal, 4) == f"touch-reload: {flag} was removed"


def test_touch_reload_of_a_link_tells_when_it_leads_elsewhere(start: Start, releases: Path, tmp_path: Path) -> None:
    for number in ("41", "42"):
        os.utime(tmp_path / "releases" / number, (1_700_000_000, 1_700_000_000))
    vassal = start(touch_reload=(str(releases),), py_autoreload=0.0)
    switch(releases, "42")
    assert stale(vassal) == f"touch-reload: {releases} leads to {tmp_path}/releases/42 now"


def test_of_several_files_each_is_watched(start: Start, tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    vassal = start(touch_reload=tuple(map(str, paths)))
    paths[1].touch()
    assert stale(vassal) == f"touch-reload: {paths[1]} was made"
    paths[0].touch()
    assert stale(vassal, 2) == f"touch-reload: {paths[0]} was made"


def test_a_file_that_is_touched_while_the_app_is_imported_was_touched(start: Start, site: Path, flag: Path) -> None:
    (site / "helper.py").write_text(f"open({str(flag)!r}, 'w').close()\nWORD = b'x'\n")
    vassal = start(touch_reload=(str(flag),), py_autoreload=0.0)
    assert stale(vassal) == f"touch-reload: {flag} was made"


def test_without_either_option_nothing_looks(start: Start, site: Path) -> None:
    vassal = start(py_autoreload=0.0)
    assert ask(vassal.spec, "/threads").body == b"1"


def test_one_that_is_to_end_tells_nothing_more(start: Start, site: Path, flag: Path) -> None:
    vassal = start(touch_reload=(str(flag),))
    os.kill(vassal.child.pid, signal.SIGTERM)
    flag.touch()
    assert vassal.code() == 0
    assert vassal.heard(Stale) == []


@contextmanager
def hanging_files(folder: Path) -> Iterator[None]:
    """A filesystem that answers no stat(2) of its one file until this is over."""
    command = [sys.executable, str(APPS / "fuse_hanging.py"), str(folder), "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin and server.stdout
        try:
            told = server.stdout.readline()
            if told != "mounted\n":
                pytest.skip(f"FUSE: {told or 'no /dev/fuse'}")
            yield
        finally:
            server.stdin.close()


def waits_for_a_file(pid: int) -> bool:
    """Is one of its threads in a system call about a file (syscall(2): newfstatat, statx, stat, readlink)?"""
    calls = {
        Path(f"/proc/{pid}/task/{task}/syscall").read_text().split()[0] for task in os.listdir(f"/proc/{pid}/task")
    }
    return bool(calls & {"262", "332", "4", "79", "291"})


@needs("root")
def test_a_look_that_hangs_keeps_nobody_from_being_heard_or_from_draining(start: Start, tmp_path: Path) -> None:
    (folder := tmp_path / "share").mkdir()
    vassal = start(touch_reload=(str(folder / "f"),), py_autoreload=0.0)
    with hanging_files(folder):
        until(lambda: waits_for_a_file(vassal.child.pid))
        os.kill(vassal.workers()[0].pid, signal.SIGKILL)
        vassal.wait(lambda: "worker 1: killed by SIGKILL -- starting another" in vassal.lines())
        assert ask(vassal.spec).body == b"one"
        vassal.wait(lambda: vassal.workers()[0].state == "idle")
        os.kill(vassal.child.pid, signal.SIGTERM)
        # The process itself the kernel keeps until its file system has answered, whoever kills it.
        until(lambda: gone(vassal.workers()[0].pid))
    assert vassal.code() == 0


@needs("pypy3")
@pytest.mark.parametrize("lazy", [False, True])
def test_it_watches_on_the_oldest_interpreter(start: Start, site: Path, lazy: bool) -> None:
    vassal = start(python=shutil.which("pypy3"), lazy_apps=lazy, processes=2)
    ask(vassal.spec, "/late")
    (site / "late.py").write_text("WORD = b'changed once it was read'\n")
    assert stale(vassal) == changed(site / "late.py")
