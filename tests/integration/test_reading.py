"""Inis on disk, read with the daemon's settings: what ``--vassals-defaults`` adds to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emperor.ctl import cli
from emperor.intake.reading import SOCKETS, Reader, Settings


def addresses(folder: Path, *lines: str) -> list[str]:
    """Of an ini with these lines, beside defaults that name a socket."""
    (folder / "defaults.ini").write_text(f"[uwsgi]\nsocket = {folder}/default.sock\nprocesses = 3\n")
    (folder / "blog.ini").write_text("\n".join(["[uwsgi]", "module = blog", *lines, ""]))
    settings = Settings(runtime=str(folder), allow_root=True, defaults=str(folder / "defaults.ini"))
    checked = Reader(settings).read("blog", str(folder / "blog.ini")).checked
    assert checked.spec is not None, checked.problems
    assert checked.spec.processes == 3
    return [str(one.address) for one in checked.spec.sockets]


def test_a_default_socket_is_inherited(tmp_path: Path) -> None:
    assert addresses(tmp_path) == [f"{tmp_path}/default.sock"]


@pytest.mark.parametrize("option", SOCKETS)
def test_whoever_names_an_address_does_not_get_the_default_one_as_well(tmp_path: Path, option: str) -> None:
    assert addresses(tmp_path, f"{option} = {tmp_path}/own.sock") == [f"{tmp_path}/own.sock"]


def test_emperorctl_check_judges_with_the_same_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all.ini").write_text("[uwsgi]\nharakiri = 5m\n")
    (tmp_path / "blog.ini").write_text("[uwsgi]\nmodule = blog\npython = /usr/bin/python3\n")
    blog = str(tmp_path / "blog.ini")
    assert cli.main(["check", blog]) == 0
    assert cli.main(["check", blog, "--vassals-defaults", str(tmp_path / "all.ini")]) == 1
    assert f"{tmp_path}/all.ini:2: harakiri: must be a number of seconds" in capsys.readouterr().out
    assert cli.main(["check", blog, "--vassals-defaults", str(tmp_path / "none.ini")]) == 1
    assert f"{tmp_path}/none.ini" in capsys.readouterr().out
