"""The folder that root runs programs from: made if it is missing, used only if it is ours alone."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.errors import EmperorError
from emperor.system import runtime
from tests.requirements import needs

MALLORY = 61001


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder as /tmp: everybody can make files in it, and only their owners remove them."""
    with tempfile.TemporaryDirectory(prefix="emperor-public-") as folder:
        os.chmod(folder, 0o1777)
        yield Path(folder)


def prepare(folder: Path) -> None:
    runtime.prepare(str(folder), os.geteuid())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_missing_folder_is_made_for_everybody_to_enter_whatever_the_umask(public: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        prepare(public / "a" / "run")
    finally:
        os.umask(before)
    for folder in (public / "a", public / "a" / "run"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    prepare(public / "a" / "run")


def test_a_folder_that_is_ours_keeps_its_mode(public: Path) -> None:
    (public / "run").mkdir(mode=0o700)
    prepare(public / "run")
    assert stat.S_IMODE((public / "run").stat().st_mode) == 0o700


@needs("root")
def test_somebody_elses_folder_is_refused_by_name(public: Path) -> None:
    (public / "run").mkdir()
    os.chown(public / "run", MALLORY, MALLORY)
    with pytest.raises(EmperorError, match=f"runtime folder {public}/run: .*{MALLORY} can write it"):
        prepare(public / "run")


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_folder_that_others_can_write_is_refused(public: Path, mode: int) -> None:
    (public / "run").mkdir()
    os.chown(public / "run", -1, 0 if os.geteuid() else MALLORY)
    (public / "run").chmod(mode)
    with pytest.raises(EmperorError, match="not ours alone"):
        prepare(public / "run")


@needs("root")
def test_nothing_is_made_in_somebody_elses_folder_beyond_the_first(public: Path) -> None:
    (public / "his").mkdir()
    os.chown(public / "his", MALLORY, MALLORY)
    with pytest.raises(EmperorError, match="his"):
        prepare(public / "his" / "a" / "run")
    assert not (public / "his" / "a" / "run").exists()


@needs("root")
def test_a_link_that_somebody_else_can_lead_elsewhere_is_refused(public: Path) -> None:
    (public / "ours").mkdir()
    (public / "run").symlink_to(public / "ours")
    os.lchown(public / "run", MALLORY, MALLORY)
    with pytest.raises(EmperorError, match="not ours alone"):
        prepare(public / "run")
    assert list((public / "ours").iterdir()) == []


def test_a_file_in_its_place_and_a_link_to_nothing_are_refused(public: Path) -> None:
    (public / "file").touch()
    (public / "link").symlink_to(public / "nothing")
    for name in ("file", "link", "file/run"):
        with pytest.raises(EmperorError, match="this emperor does not start"):
            prepare(public / name)
    assert not (public / "nothing").exists()


@needs("root")
def test_an_emperor_that_is_not_root_uses_its_own_folder(public: Path) -> None:
    (public / "run").mkdir()
    os.chown(public / "run", MALLORY, MALLORY)
    runtime.prepare(str(public / "run"), MALLORY)
    with pytest.raises(EmperorError, match=str(MALLORY)):
        runtime.prepare(str(public / "run"), MALLORY + 1)
