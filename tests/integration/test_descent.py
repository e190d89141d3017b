"""What root leaves for the user that its emperor becomes: new files in root's own folders, and nothing else."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.descent import LOG, PID, leave_file, take_folder
from emperor.model import Identity
from tests.requirements import needs

NGINX = Identity(61001, 61002, (61002,), "nginx", "/nonexistent")
OTHER = 61003

pytestmark = needs("root")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder below /run, which root alone can write."""
    path = Path(f"/run/emp-descent-{os.getpid()}")
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


def about(path: Path) -> tuple[int, int, int]:
    entry = path.lstat()
    return entry.st_uid, entry.st_gid, stat.S_IMODE(entry.st_mode)


def test_a_new_file_is_the_users_whatever_the_umask(place: Path) -> None:
    before = os.umask(0o077)
    try:
        leave_file(str(place / "log"), NGINX, LOG)
        leave_file(str(place / "pid"), NGINX, PID)
    finally:
        os.umask(before)
    assert (about(place / "log"), about(place / "pid")) == ((61001, 61002, 0o640), (61001, 61002, 0o644))


def test_what_is_there_stays_as_it_is(place: Path) -> None:
    (place / "file").write_text("precious")
    (place / "file").chmod(0o600)
    (place / "link").symlink_to("victim")
    for name in ("file", "link"):
        leave_file(str(place / name), NGINX, LOG)
    assert about(place / "file") == (0, 0, 0o600) and (place / "file").read_text() == "precious"
    assert not (place / "victim").exists()


@pytest.mark.parametrize(("owner", "mode"), [(61001, 0o755), (OTHER, 0o755), (0, 0o777)])
def test_nothing_is_made_where_somebody_else_can_write(place: Path, owner: int, mode: int) -> None:
    folder = place / "theirs"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, owner, -1)
    leave_file(str(folder / "log"), NGINX, LOG)
    assert not take_folder(str(folder / "run"), NGINX, dry=False)
    assert os.listdir(folder) == []


def test_what_cannot_be_made_is_left_to_who_opens_it(place: Path) -> None:
    leave_file(str(place / "gone" / "log"), NGINX, LOG)
    assert not (place / "gone").exists()


def test_a_folder_is_made_once_and_is_nobody_elses(place: Path) -> None:
    folder = place / "run"
    assert take_folder(str(folder), NGINX, dry=True) and not folder.exists()
    assert take_folder(str(folder), NGINX, dry=False) and about(folder) == (61001, 61002, 0o755)
    assert take_folder(str(folder), NGINX, dry=False)
    os.chown(folder, OTHER, OTHER)
    assert not take_folder(str(folder), NGINX, dry=False) and about(folder)[0] == OTHER
    (place / "link").symlink_to(folder)
    os.chown(folder, 61001, 61002)
    assert not take_folder(str(place / "link"), NGINX, dry=False)
