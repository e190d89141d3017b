"""What inis draw in, on a real file system: what may be read, and when a change of it is news."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emperor.config.language.logic import Refused
from emperor.intake.drawn import Drawn
from emperor.intake.looking import AdministratorsFiles
from emperor.intake.reading import Reader, Settings
from emperor.model import VassalSpec
from tests.requirements import needs

LATER = 100.0


@pytest.fixture
def files() -> AdministratorsFiles:
    return AdministratorsFiles(os.geteuid())


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.ini"
    path.write_text("[uwsgi]\nprocesses = 2\n")
    return path


def spec_of(folder: Path, *lines: str, **settings: str) -> VassalSpec:
    ini = folder / "blog.ini"
    ini.write_text("\n".join(("[uwsgi]", "module = blog", *lines, "")))
    checked = Reader(Settings(runtime=str(folder), allow_root=True, **settings)).read("blog", str(ini)).checked
    assert checked.spec is not None, checked.problems
    return checked.spec


def test_files_are_read_and_looked_for_relative_to_the_ini(tmp_path: Path, base: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    lines = ("include = base.ini", "env = KEY=@(key)", "if-file = base.ini", "threads = 3", "endif =")
    found = spec_of(tmp_path, *lines, "for-glob = *.ini", "pythonpath = %(_)", "endfor =")
    assert (found.processes, found.threads, found.env) == (2, 3, (("KEY", "s3cret"),))
    assert found.pythonpath == (f"{tmp_path}/base.ini", f"{tmp_path}/blog.ini")


def test_placeholders_of_defaults_name_the_vassal(tmp_path: Path) -> None:
    defaults = tmp_path / "all.ini"
    defaults.write_text("[uwsgi]\nsocket = %d%(deb-confnamespace)/%(deb-confname).%n\n")
    found = spec_of(tmp_path, defaults=str(defaults))
    assert str(found.sockets[0].address) == f"{tmp_path}/app/blog.blog"


@needs("root")
def test_what_somebody_else_can_write_is_not_read(tmp_path: Path, files: AdministratorsFiles) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "x.ini").write_text("[uwsgi]\n")
    os.chown(theirs, 12345, 12345)
    path = str(theirs / "x.ini")
    with pytest.raises(Refused, match="somebody else can write it -- not read"):
        files.read(path)
    for look in (files.exists, files.is_file, files.is_dir):
        with pytest.raises(Refused, match="can write it, and the emperor does not look there"):
            look(path)
    with pytest.raises(Refused, match="does not look there"):
        files.glob(f"{theirs}/*.ini")
    assert files.marks == {}


def test_a_wildcard_in_a_folder_s_name_is_refused(tmp_path: Path, files: AdministratorsFiles) -> None:
    with pytest.raises(Refused, match="only the last part"):
        files.glob(f"{tmp_path}/*/x.ini")


def test_what_is_not_there_is_not_there(tmp_path: Path, files: AdministratorsFiles) -> None:
    missing = str(tmp_path / "no/such")
    assert not (files.exists(missing) or files.is_file(missing) or files.is_dir(missing))
    assert list(files.glob(missing)) == []
    assert files.is_dir(str(tmp_path)) and not files.is_file(str(tmp_path))


def drawn(files: AdministratorsFiles, *paths: Path) -> Drawn:
    """``blog`` has read these files."""
    for path in paths:
        files.read(str(path))
    found = Drawn()
    found.follow("blog", files.marks)
    return found


def test_a_changed_file_is_news_for_who_draws_it_in(base: Path, files: AdministratorsFiles) -> None:
    found = drawn(files, base)
    found.follow("shop", {})
    assert found.look(0.0) == [] and found.next_look() is None
    base.write_text("[uwsgi]\nprocesses = 3, more\n")
    assert found.look(1.0) == [] and found.next_look() is not None
    assert found.look(LATER) == ["blog"]
    assert found.look(LATER + 1) == []


def test_a_removed_file_is_news_and_so_is_one_that_comes(
    tmp_path: Path, base: Path, files: AdministratorsFiles
) -> None:
    missing = tmp_path / "later.ini"
    with pytest.raises(Refused):
        files.read(str(missing))
    found = drawn(files, base)
    base.unlink()
    assert [found.look(1.0), found.look(LATER)] == [[], ["blog"]]
    missing.write_text("[uwsgi]\n")
    assert [found.look(2 * LATER), found.look(3 * LATER)] == [[], ["blog"]]


def test_two_who_read_at_different_times_are_both_told(base: Path, files: AdministratorsFiles) -> None:
    found = drawn(files, base)
    base.write_text("[uwsgi]\nprocesses = 44\n")
    newer = AdministratorsFiles(os.geteuid())
    newer.read(str(base))
    found.follow("shop", newer.marks)
    found.look(1.0)
    assert found.look(LATER) == ["blog", "shop"]


def test_who_is_gone_is_told_nothing(base: Path, files: AdministratorsFiles) -> None:
    found = drawn(files, base)
    found.follow("blog", {})
    base.unlink()
    assert [found.look(1.0), found.look(LATER), found.folders()] == [[], [], set()]


@needs("root")
@pytest.mark.parametrize("folder", ["@(", "$(SECRET)", "%(x)", "%n"])
def test_a_folder_s_name_that_would_be_a_placeholder_is_refused_where_a_user_may_have_chosen_it(
    tmp_path: Path, folder: str
) -> None:
    defaults = tmp_path / "all.ini"
    defaults.write_text("[uwsgi]\nenv = HERE=%d\n")
    theirs = tmp_path / folder
    theirs.mkdir()
    ini = theirs / "blog.ini"
    ini.write_text("[uwsgi]\nmodule = blog\n")
    for path in (ini, theirs):
        os.chown(path, 12345, 12345)
    reading = Reader(Settings(runtime=str(tmp_path), defaults=str(defaults))).read("blog", str(ini))
    assert reading.checked.spec is None
    assert [str(one) for one in reading.checked.problems] == [f"{ini}: its path holds one of $ % ( -- rename it"]


def test_nobody_is_told_to_close_a_folder_that_is_everybody_s(files: AdministratorsFiles) -> None:
    with pytest.raises(Refused) as refused:
        files.exists("/tmp/maintenance.on")
    assert str(refused.value).startswith("/tmp: somebody else") and "chmod" not in str(refused.value)


def test_of_an_ini_that_was_not_read_to_its_end_it_is_not_said_that_it_names_no_app(tmp_path: Path) -> None:
    ini = tmp_path / "blog.ini"
    ini.write_text("[uwsgi]\ninclude = nowhere.ini\n")
    checked = Reader(Settings(runtime=str(tmp_path), allow_root=True)).read("blog", str(ini)).checked
    assert [one.option for one in checked.problems] == ["include"]
