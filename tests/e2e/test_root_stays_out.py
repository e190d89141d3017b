"""Root touches nothing that a vassal's user controls: what strace(1) sees of an emperor of root's while alice lets her
app live, break and go.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import people
from tests.e2e.harness.daemon import APPS, Emperor, Vassal, chown
from tests.e2e.harness.owners import deploy, owned, rewrite, sh
from tests.e2e.harness.people import Person, Users
from tests.e2e.harness.straced import straced
from tests.e2e.harness.waiting import wait_for
from tests.requirements import SYSTEM_PYTHON, needs

pytestmark = needs("root", "useradd", "strace")

FACTS = (APPS / "facts.py").read_text()
FAILED = 1

LOOKS = (
    r'openat\(\d+<[^>]*>, "{name}", O_RDONLY\|O_NOFOLLOW\|O_CLOEXEC\|O_PATH(\|O_DIRECTORY)?\b.*',
    r'(newfstatat|statx)\(\d+<{folder}>, "",.*AT_EMPTY_PATH.*\) = 0',
    r'(newfstatat|statx)\(\d+<{folder}>, "", *[A-Z_|, ]*<unfinished \.\.\.>',
    r"<\.\.\. openat resumed>\) += \d+<{folder}>",
)
"""How root finds out whose a folder is that lies in one of its own: without entering it."""


def enters(text: str, folder: Path) -> bool:
    """Does a call of the trace go into a folder, or to it in another way than LOOKS?"""
    names = {"name": re.escape(folder.name), "folder": re.escape(str(folder))}
    there = re.search(rf"{names['folder']}(?![\w-])", text)
    return bool(there) and not any(re.fullmatch(one.format(**names), text) for one in LOOKS)


@pytest.mark.parametrize(
    "text",
    [
        'openat(5</srv/hers>, "app.py", O_RDONLY|O_CLOEXEC) = 6</srv/hers/app.py>',
        'newfstatat(5</srv/hers>, "app.sock", 0x7ffd, AT_SYMLINK_NOFOLLOW) = -1 ENOENT (No such file or directory)',
        'newfstatat(AT_FDCWD</>, "/srv/hers", {st_mode=S_IFDIR|0755, st_size=4096, ...}, 0) = 0',
        'openat(4</srv>, "hers", O_RDONLY|O_CLOEXEC) = 5</srv/hers>',
        'connect(9<socket:[1]>, {sa_family=AF_UNIX, sun_path="/srv/hers/app.sock"}, 20) = 0',
        'inotify_add_watch(4<anon_inode:inotify>, "/srv/hers", IN_CREATE) = 1',
        "getdents64(5</srv/hers>, 0x1 /* 3 entries */, 32768) = 80",
        'write(7</srv/hers/log>, ""..., 40) = 40',
        "fchown(7</srv/hers/log>, 1000, 1000) = 0",
    ],
)
def test_what_enters_a_folder_would_be_seen(text: str) -> None:
    assert enters(text, Path("/srv/hers"))
    assert not enters(text, Path("/srv/her"))


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def test_root_goes_to_no_path_of_hers_whatever_becomes_of_her_app(daemon: Emperor, users: Users) -> None:
    """strace(1) on the emperor: from the first look at her ini over crashes, orders and an upgrade to its removal."""
    with straced(daemon.pid, daemon.root / "strace1", beyond=False) as first:
        apps = [all_in_her_folder(daemon, users.alice, name, name == "given") for name in ("hers", "given")]
        for vassal in apps:
            vassal.running(60)
            lives_a_hard_life(vassal)
    with straced(daemon.pid, daemon.root / "strace2") as second:
        assert daemon.ctl("upgrade").returncode == 0
        for vassal in apps:
            assert daemon.ctl("reload", vassal.name).returncode == 0
            sh(users.alice, 'rm -f "$1"; ln -s /etc/shadow "$1"', vassal.folder / "log")
        daemon.signal(signal.SIGUSR1)
        for vassal in apps:
            vassal.ini.unlink()
        daemon.wait_for(lambda rows: rows == [], "they are gone")
    seen, theirs = first.of_root() + second.of_root(), [one.text for one in second.of_others()]
    for folder in (users.alice.home, *(vassal.folder for vassal in apps)):
        assert [one.text for one in seen if enters(one.text, folder)] == []
    # What a test of this kind could overlook is there to be seen.
    assert sum(one.text.startswith("execve") for one in first.of_others()) > 10
    for vassal in apps:
        assert any(vassal.ini.name in one.text for one in seen)
        assert any(f"{vassal.folder}/app.py" in text for text in theirs)
        assert any(text.startswith("bind") and str(vassal.folder) in text for text in theirs)


def all_in_her_folder(daemon: Emperor, alice: Person, name: str, roots: bool) -> Vassal:
    """``roots``: the ini is root's, and names her; else it is her own."""
    vassal = owned(daemon, name, alice)
    folder = vassal.folder
    alice.run(SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(folder / "venv"))
    options: dict[str, object] = {
        "socket": folder / "app.sock",
        "logto": folder / "log",
        "stats": folder / "stats.sock",
        "touch_reload": folder / "touched",
        "py_autoreload": 1,
        "pythonpath": f"{folder}/lib/*",
        "virtualenv": folder / "venv",
        "log_maxsize": 20000,
        "reload_mercy": 3,
    }
    if roots:
        chown(vassal.ini, people.current())
        return vassal.write(uid=alice.name, gid=alice.gid, **options)
    rewrite(vassal, **options)
    return vassal


def lives_a_hard_life(vassal: Vassal) -> None:
    daemon, alice, name, folder = vassal.emperor, vassal.owner, vassal.name, vassal.folder
    wait_for(lambda: os.path.exists(vassal.socket), what="its socket", deadline=60)
    for _ in range(3):
        assert vassal.get("/say?" + "x" * 8000).status == 200
    for verb in ("status", "config", "events", "logs", "reload", "restart", "stop", "status", "start"):
        daemon.ctl(verb, name, person=alice)
    row = vassal.running(60)
    sh(alice, 'rm "$1"', vassal.socket)
    wait_for(lambda: os.path.exists(vassal.socket), what="the file is bound anew", deadline=60)
    sh(alice, 'kill -9 "$1"', row["pid"])
    vassal.replaced(row)
    sh(alice, 'rm "$1"; mkfifo "$1"', folder / "log")
    deploy(vassal, "import os; os.kill(os.getpid(), 9)\n")
    assert daemon.ctl("reload", name, person=alice).returncode == FAILED
    sh(alice, 'mv "$1/app.py" "$1/gone"; ln -s /etc/shadow "$1/app.py"; touch "$1/touched"', folder)
    assert daemon.ctl("reload", name, person=alice).returncode == FAILED
    sh(alice, 'rm "$1/app.py"', folder)
    deploy(vassal, FACTS)
    assert daemon.ctl("reload", name, person=alice).returncode == 0
