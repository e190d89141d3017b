"""The way to a file, as the kernel goes it, and what stops whom on it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from emperor.model import Identity
from emperor.supervision.interpreter import FILE, FOLDER, IN_THE_WAY, LINK, LOOP, MISSING
from emperor.system.walk import by_its_mode, closed_to, walk
from tests.requirements import needs

NOBODY = Identity(65534, 65534, (65534, 50), "nobody", "/", "/bin/sh")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "place"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/python").write_text("")
    (folder / "a/b/python").chmod(0o755)
    return folder


def below(place: Path, path: str) -> list[tuple[str, str]]:
    return [(step.path[len(str(place)) :], step.kind) for step in walk(path) if step.path.startswith(f"{place}/")]


def test_every_folder_and_link_is_a_step(place: Path) -> None:
    (place / "link").symlink_to("a/./b/../b")
    (place / "python").symlink_to(place / "link/python")
    assert below(place, f"{place}/python") == [
        ("/python", LINK),
        ("/link", LINK),
        ("/a", FOLDER),
        ("/a/b", FOLDER),
        ("/a/b", FOLDER),
        ("/a/b/python", FILE),
    ]
    assert walk(f"{place}/python")[-1].path == os.path.realpath(place / "python")


def test_what_ends_a_way(place: Path) -> None:
    (place / "dangling").symlink_to("gone/python")
    assert below(place, f"{place}/dangling")[-1] == ("/gone", MISSING)
    assert below(place, f"{place}/a/b/python/more")[-1] == ("/a/b/python", IN_THE_WAY)
    (place / "x").symlink_to("y")
    (place / "y").symlink_to("x")
    assert walk(f"{place}/x/python")[-1].kind == LOOP
    with pytest.raises(OSError) as raised:
        os.stat(place / "x")
    assert raised.value.errno == errno.ELOOP


@pytest.mark.parametrize(
    "mode, uid, gid, passes",
    [
        (0o755, 0, 0, True),
        (0o754, 0, 0, False),
        (0o704, 0, 50, False),
        (0o710, 0, 50, True),
        (0o077, 65534, 0, False),
        (0o100, 65534, 0, True),
    ],
)
@needs("root")
def test_modes_are_read_as_the_kernel_reads_them(place: Path, mode: int, uid: int, gid: int, passes: bool) -> None:
    folder = place / "a"
    os.chown(folder, uid, gid)
    folder.chmod(mode)
    there = os.stat(folder)
    assert by_its_mode(NOBODY)(str(folder), there) is passes
    pid = os.fork()
    if not pid:
        os.chdir(place)
        os.setgroups(list(NOBODY.groups))
        os.setgid(NOBODY.gid)
        os.setuid(NOBODY.uid)
        os._exit(os.access("a", os.X_OK))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == passes


@needs("root")
def test_what_is_ours_and_closed_is_named_with_its_mend(place: Path) -> None:
    (place / "a").chmod(0o700)
    path = f"{place}/a/b/python"
    first = next(step.path for step in walk(path, by_its_mode(NOBODY)) if not step.usable)
    assert closed_to(path, NOBODY).startswith(f"nobody cannot enter {first} (root's, mode 0700) -- chmod ")
    assert closed_to("/bin/sh", NOBODY) == ""
    assert closed_to(f"{place}/gone", Identity(0, 0, (0,), "root", "/root", "/bin/sh")) == ""
