"""``emperorctl check`` on inis of the shapes that articles publish, and on what lies about in folders of inis."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from emperor.ctl import check, cli
from emperor.ctl.prospects import Prospect
from tests.requirements import needs

INIS = Path(__file__).resolve().parents[1] / "inis"

NO_USER = "names no uid: uWSGI runs it as whoever started uWSGI, root perhaps; here it runs as www-data"
OUTSIDE = "uWSGI has the first mounted app answer what lies outside of every mount; here that is a 404"

PUBLISHED = {
    # name: (verdict, differences, options that have no effect or a comment behind them)
    "flask_documentation": ("OK, 1 difference", [NO_USER], []),
    "small_server": ("OK, 1 difference", [NO_USER], []),
    "django_tutorial": ("OK, 1 difference", [NO_USER], []),
    "production_ready": (
        "OK, 9 warnings, 2 differences",
        [NO_USER, "without chmod-socket uWSGI makes it 0755, for its own user alone; here it is 0660, and the web "],
        [
            *("strict", "cheaper-algo", "processes", "cheaper", "cheaper-initial"),
            *("cheaper-busyness-multiplier", "cheaper-busyness-min", "cheaper-busyness-max"),
            *("cheaper-busyness-backlog-alert", "cheaper-busyness-backlog-step", "harakiri", "max-requests"),
            *("max-worker-lifetime", "reload-on-rss", "worker-reload-mercy", "procname-prefix"),
        ],
    ),
    "sub_path": ("OK, 1 difference", [OUTSIDE], []),
    "emperor_service": ("OK, 1 difference", [NO_USER], []),
}


@pytest.fixture(autouse=True)
def nothing_stands_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the lines that are judged here: none of the paths that they name is of this machine."""
    monkeypatch.setattr(check, "looked_at", lambda found, settings: [Prospect(()) for _ in found])


def judged(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    cli.main(["--json", "check", *words])
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_every_published_shape_has_a_verdict() -> None:
    assert {path.stem for path in INIS.iterdir()} == set(PUBLISHED)


@needs("root", "www-data")
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_ini_works_unchanged_and_what_differs_is_told(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(INIS / f"{name}.ini", tmp_path)
    (one,) = judged(capsys, f"{tmp_path}/{name}.ini")
    verdict, differences, ignored = PUBLISHED[name]
    assert one["verdict"] == verdict, one
    told = [note["message"] for note in one["differences"]]  # type: ignore[attr-defined]
    assert len(told) == len(differences)
    assert all(message.startswith(part) for message, part in zip(told, differences, strict=True))
    assert [problem["option"] for problem in one["problems"]] == ignored  # type: ignore[attr-defined]


def test_a_folder_is_all_that_an_emperor_of_uwsgis_would_start_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("blog.ini", "blog.ini.bak", ".blog.ini.swp", "README", "shop.xml"):
        (tmp_path / name).write_text("[uwsgi]\nmodule = blog\n")
    assert cli.main(["check", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert f"{tmp_path}/blog.ini: OK" in text
    assert f"{tmp_path}/shop.xml: does not work: is no ini, and only inis are read -- " in text
    assert text.endswith("2 files: 1 OK, 1 does not work\n")


def test_a_glob_that_no_shell_has_expanded_is_expanded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("b.ini", "a.ini"):
        (tmp_path / name).write_text("[uwsgi]\nmodule = blog\n")
    assert [one["path"] for one in judged(capsys, f"{tmp_path}/*.ini")] == [f"{tmp_path}/a.ini", f"{tmp_path}/b.ini"]
    assert cli.main(["check", f"{tmp_path}/*.cfg"]) == 1
    assert f"{tmp_path}/*.cfg: does not work: cannot be read: No such file or directory\n" in capsys.readouterr().out


def test_what_cannot_be_read_is_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link.ini").symlink_to(tmp_path / "gone")
    (tmp_path / "latin.ini").write_bytes(b"[uwsgi]\nmodule = caf\xe9\n")
    assert cli.main(["check", f"{tmp_path}/link.ini", f"{tmp_path}/none.ini", f"{tmp_path}/latin.ini"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{tmp_path}/link.ini: does not work: cannot be read: a symbolic link on the way leads to nothing",
        f"{tmp_path}/none.ini: does not work: cannot be read: No such file or directory",
        f"{tmp_path}/latin.ini: does not work: 1 error",
        f"  error    {tmp_path}/latin.ini:2: is not UTF-8 -- save the file as UTF-8",
        "3 files: 3 do not work",
    ]


def test_a_file_that_the_emperor_passes_over_does_not_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my shop.ini").write_text("[uwsgi]\nmodule = blog\n")
    (one,) = judged(capsys, f"{tmp_path}/my shop.ini")
    assert not one["ok"]
    assert "the emperor passes over this file -- rename it" in str(one["problems"])


def test_what_the_emperor_gives_to_every_ini_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all.ini").write_text("[uwsgi]\nthreads = many\n")
    (tmp_path / "blog.ini").write_text("[uwsgi]\nmodule = blog\n")
    ini = f"{tmp_path}/blog.ini"
    for option in ("--vassals-defaults", "--vassals-include", "--vassals-inherit", "--vassals-include-before"):
        assert cli.main(["check", ini, option, f"{tmp_path}/all.ini"]) == 1, option
        assert f"{tmp_path}/all.ini:2: threads: must be a whole number" in capsys.readouterr().out
    assert cli.main(["check", ini, "--vassal-set", "threads=4"]) == 0
    assert "1 worker, 4 threads each" in capsys.readouterr().out


def test_the_emperors_own_file_says_where_inis_are_and_what_they_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v/blog.ini").write_text("[uwsgi]\nmodule = blog\n")
    config = tmp_path / "emperor.ini"
    config.write_text(f"[uwsgi]\nemperor = {tmp_path}/v\nvassal-set = threads=4\ndie-on-term = true\n")
    assert cli.main(["check", "--config", str(config)]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{tmp_path}/v/blog.ini: OK")
    assert "1 worker, 4 threads each" in text
    config.write_text("[emperor]\nvassal-set = threads\n")
    assert cli.main(["check", "--config", str(config)]) == 1
    assert f"{config}:2: vassal-set: must be KEY=VALUE" in capsys.readouterr().err


@needs("root", "www-data")
def test_a_tyrants_emperor_and_another_web_server_judge_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ini = tmp_path / "blog.ini"
    ini.write_text("[uwsgi]\nmodule = blog\n")
    assert cli.main(["check", str(ini), "--tyrant"]) == 1
    assert "belongs to root, which --tyrant refuses" in capsys.readouterr().out
    assert cli.main(["check", str(ini), "--allow-root"]) == 0
    assert "user     root, group root" in capsys.readouterr().out
    assert cli.main(["check", str(ini), "--web-user", "nobody"]) == 0
    assert "user     nobody" in capsys.readouterr().out


UWSGIS_SIDE = {
    # a line: (what uWSGI says of it, a part of our note)
    "chmod-socket = 0660": ("invalid chmod value: 0660", "wants three octal digits and does not start"),
    "chmod-socket": ("invalid chmod value:", "wants three octal digits and does not start"),
    "include = %(base)/more.ini": ("realpath() of %(base)/more.ini failed", "takes it as it is written"),
    "harakiri = 30s": ("", "uWSGI reads the digits that it begins with"),
    "harakiri = true": ("", "uWSGI reads this as 0"),
    "lazy-apps = disabled": ("", "uWSGI takes every word but false, off, no and 0 for yes"),
}


@needs("uwsgi")
@pytest.mark.parametrize("line", UWSGIS_SIDE)
def test_what_is_said_of_uwsgi_is_so(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for a clock that does not exist, it leaves as soon as it has taken every line, or at the first that it
    refuses."""
    said, noted = UWSGIS_SIDE[line]
    program = shutil.which("uwsgi-core") or shutil.which("uwsgi")
    assert program is not None
    ini = tmp_path / "a.ini"
    ini.write_text(f"[uwsgi]\nstrict = true\nset-placeholder = base=/nowhere\n{line}\n")
    done = subprocess.run(
        [program, "--ini", str(ini), "--clock", "nowhere"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        timeout=30,
    )
    last = done.stdout.rstrip("\n").splitlines()[-1]
    assert last.startswith(said or 'unable to set "nowhere" clock')
    (one,) = judged(capsys, str(ini))
    assert any(noted in note["message"] for note in one["differences"])  # type: ignore[attr-defined]


def test_of_a_folder_it_is_told_which_files_nobody_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("wiki.conf", "Shop.INI", "-x.ini", "README", "old.ini.bak"):
        (tmp_path / name).write_text("[uwsgi]\n")
    cli.main(["check", str(tmp_path)])
    told = capsys.readouterr().err
    for name in ("wiki.conf", "Shop.INI"):
        assert f"emperorctl: {tmp_path}/{name}: ignored: its name does not end in .ini\n" in told
    assert f"{tmp_path}/-x.ini: ignored: a vassal's name has " in told
    assert "README" not in told and "old.ini.bak" not in told


def test_a_vassals_name_stands_for_its_ini_in_the_emperors_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blog.ini").write_text("[uwsgi]\nmodule = blog\n")
    monkeypatch.setattr("emperor.system.places.vassals_folder", lambda euid, environ: str(tmp_path))
    for word in ("blog", "blog.ini"):
        assert [one["path"] for one in judged(capsys, word)] == [f"{tmp_path}/blog.ini"]
    assert [one["path"] for one in judged(capsys, "wiki")] == ["wiki"]


def test_default_sockets_are_beside_the_control_socket_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blog.ini").write_text("[uwsgi]\nmodule = blog\nallow-root = true\n")
    cli.main(["--control-socket", str(tmp_path / "run/control.sock"), "check", "--allow-root", f"{tmp_path}/blog.ini"])
    assert f"{tmp_path}/run/blog.sock" in capsys.readouterr().out
