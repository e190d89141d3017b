"""The units and snippets are ones that systemd accepts, and say what our design rests on."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.requirements import needs

FOLDER = Path(__file__).resolve().parents[2] / "contrib" / "systemd"
UNIT = FOLDER / "emperor.service"
DROP_INS = FOLDER / "drop-ins"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of units whose programs exist; a developer's machine has no /usr/local/bin/emperor."""
    metrics = ("emperor-metrics.service", "emperor-metrics.timer")
    for name in ("emperor.service", "emperor@.service", "blog.socket", *metrics):
        text = (FOLDER / name).read_text()
        (tmp_path / name).write_text(re.sub(r"(?m)^(Exec\w+)=\S+", r"\1=/bin/true", text))
    return tmp_path


def with_drop_in(folder: Path, name: str) -> Path:
    """The unit with a drop-in where systemd looks for it."""
    target = folder / "emperor.service.d" / name
    target.parent.mkdir()
    shutil.copy(DROP_INS / name, target)
    return folder / "emperor.service"


def analyze(*words: str, runtime: str = "") -> tuple[int, str]:
    environ = {"PATH": "/usr/bin:/bin", "LANG": "C", **({"XDG_RUNTIME_DIR": runtime} if runtime else {})}
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, env=environ)
    return done.returncode, done.stdout + done.stderr


def verify(unit: Path, *options: str) -> tuple[int, str]:
    # Without a folder of its own a person's systemd does not begin.
    return analyze("verify", "--man=no", *options, str(unit), runtime=str(unit.parent))


def exposure(unit: Path) -> float:
    code, text = analyze("security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", text)
    assert code == 0 and found, text
    return float(found[1])


@needs("systemd-analyze")
@pytest.mark.parametrize("name", ["emperor.service", "emperor@shop.service", "blog.socket", "emperor-metrics.timer"])
def test_systemd_finds_nothing_to_complain_about(installed: Path, name: str) -> None:
    (installed / "emperor@shop.service").symlink_to("emperor@.service")
    assert verify(installed / name) == (0, "")


@needs("systemd-analyze")
def test_systemd_finds_nothing_to_complain_about_in_the_strict_drop_in(installed: Path) -> None:
    assert verify(with_drop_in(installed, "strict.conf")) == (0, "")


@needs("systemd-analyze")
def test_systemd_finds_nothing_to_complain_about_in_the_user_unit(tmp_path: Path) -> None:
    text = (FOLDER / "user" / "emperor.service").read_text()
    (tmp_path / "emperor.service").write_text(re.sub(r"(?m)^(Exec\w+)=\S+", r"\1=/bin/true", text))
    assert verify(tmp_path / "emperor.service", "--user") == (0, "")


@needs("systemd-analyze")
def test_systemd_would_have_complained_about_a_wrong_line(installed: Path) -> None:
    unit = installed / "emperor.service"
    unit.write_text(unit.read_text().replace("[Service]\n", "[Service]\nKillMod=x\n"))
    assert "KillMod" in verify(unit)[1]


@needs("systemd-analyze")
def test_how_much_the_units_lay_open(installed: Path) -> None:
    assert exposure(installed / "emperor.service") <= 3.6
    assert exposure(installed / "emperor@.service") <= 3.6
    assert exposure(with_drop_in(installed, "strict.conf")) <= 2.5


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("Service", "Type", "notify"),
        ("Service", "NotifyAccess", "main"),
        ("Service", "KillMode", "control-group"),
        ("Service", "Restart", "always"),
        ("Service", "RuntimeDirectory", "emperor"),
        ("Service", "RuntimeDirectoryPreserve", "restart"),
        ("Service", "FileDescriptorStoreMax", "4096"),
        ("Service", "WatchdogSec", "30"),
        ("Service", "OOMPolicy", "continue"),
        ("Service", "Delegate", "yes"),
        ("Unit", "StartLimitIntervalSec", "0"),
    ],
)
@pytest.mark.parametrize("unit", ["emperor.service", "user/emperor.service"])
def test_what_the_design_rests_on(unit: str, section: str, key: str, value: str) -> None:
    assert _read(FOLDER / unit)[section][key] == value


def test_a_reload_waits_and_tells_what_has_failed() -> None:
    assert _read(UNIT)["Service"]["ExecReload"] == "/usr/local/bin/emperorctl reload all"


@pytest.mark.parametrize(
    "key",
    [
        "MemoryDenyWriteExecute",  # PyPy and numba
        "PrivateTmp",  # sockets in /tmp
        "PrivateDevices",  # serial ports, GPIO
        "ProtectHome",  # apps in home folders
        "ProtectProc",  # psutil
    ],
)
def test_what_breaks_apps_is_in_the_strict_drop_in_which_says_what_it_breaks(key: str) -> None:
    assert key not in _read(UNIT)["Service"]
    text = (DROP_INS / "strict.conf").read_text()
    assert re.search(rf"(?m)^# Breaks .*\n(#.*\n|{key}.*\n|\w+=.*\n)*?{key}=", text), f"no reason above {key}="


@pytest.mark.parametrize("unit", [UNIT, DROP_INS / "strict.conf"], ids=lambda path: str(path.name))
def test_every_line_has_a_reason_above_it(unit: Path) -> None:
    service = unit.read_text().split("[Service]\n")[1].split("\n[Install]")[0]
    for block in service.split("\n\n"):
        assert block.lstrip().startswith("#"), f"no comment above: {block}"


def test_an_instance_differs_from_the_unit_in_its_names_alone() -> None:
    ours, theirs = _settings(UNIT), _settings(FOLDER / "emperor@.service")
    different = {line for line in theirs if line not in ours}
    assert {line.partition("=")[0] for line in different} == {
        "Description",
        "ExecStart",
        "ExecReload",
        "RuntimeDirectory",
        "LogsDirectory",
    }
    assert all("%i" in line for line in different)
    assert len(ours) == len(theirs)


def test_the_socket_belongs_to_the_emperors_unit() -> None:
    assert _read(FOLDER / "blog.socket")["Socket"]["Service"] == UNIT.name


def test_the_drop_in_for_newer_systemds_has_no_other_way_to_reload() -> None:
    service = _read(DROP_INS / "notify-reload.conf")["Service"]
    assert (service["Type"], service["ExecReload"]) == ("notify-reload", "")


@needs("systemd-analyze", "root")
def test_the_tmpfiles_snippet_makes_the_folders_of_inis(tmp_path: Path) -> None:
    for name in ("passwd", "group"):
        (tmp_path / "etc").mkdir(exist_ok=True)
        shutil.copy(f"/etc/{name}", tmp_path / "etc" / name)
    snippet = tmp_path / "emperor.conf"
    # The lines that are offered, too, for a user that there is.
    text = re.sub(r"(?m)^#d ", "d ", (FOLDER / "tmpfiles.d" / "emperor.conf").read_text())
    snippet.write_text(re.sub(r"\b(blog|shop) {2,}(?=www-data|adm)", "root ", text))
    command = ["systemd-tmpfiles", "--create", f"--root={tmp_path}", str(snippet)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert (tmp_path / "etc/emperor/vassals.d").is_dir()
    assert (tmp_path / "run/shop").stat().st_mode & 0o7777 == 0o2750


def _read(path: Path) -> configparser.ConfigParser:
    """The last of several lines with one key."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser's documentation does
    parser.read(path)
    return parser


def _settings(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
