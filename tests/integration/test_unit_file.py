"""The systemd unit is one that systemd accepts, and says what our design rests on."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

from tests.requirements import needs

UNIT = Path(__file__).resolve().parents[2] / "contrib" / "systemd" / "emperor.service"


def _verify(unit: Path) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def _installed(folder: Path, text: str) -> Path:
    """A copy whose program exists; a developer's machine has no /usr/local/bin/emperor."""
    unit = folder / UNIT.name
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text))
    return unit


@needs("systemd-analyze")
def test_systemd_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    done = _verify(_installed(tmp_path, UNIT.read_text()))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("systemd-analyze")
def test_systemd_would_have_complained_about_a_wrong_line(tmp_path: Path) -> None:
    done = _verify(_installed(tmp_path, UNIT.read_text().replace("[Service]\n", "[Service]\nKillMod=x\n")))
    assert "KillMod" in done.stderr


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("Service", "Type", "notify"),
        ("Service", "NotifyAccess", "main"),
        ("Service", "KillMode", "control-group"),
        ("Service", "Restart", "always"),
        ("Service", "RuntimeDirectory", "emperor"),
        ("Service", "OOMPolicy", "continue"),
        ("Unit", "StartLimitIntervalSec", "0"),
    ],
)
def test_what_the_design_rests_on(section: str, key: str, value: str) -> None:
    assert _unit()[section][key] == value


@pytest.mark.parametrize(
    "key",
    [
        "MemoryDenyWriteExecute",  # PyPy and cffi
        "PrivateTmp",  # sockets in /tmp
        "PrivateDevices",  # serial ports, GPIO
        "ProtectClock",  # implies a device list
        "ProtectHome",  # apps in home folders
    ],
)
def test_what_breaks_apps_is_left_to_a_drop_in_and_named_as_such(key: str) -> None:
    assert key not in _unit()["Service"]
    assert re.search(rf"(?m)^# {key}=", UNIT.read_text())


def test_every_line_has_a_reason_above_it() -> None:
    service = UNIT.read_text().split("[Service]\n")[1].split("\n[Install]")[0]
    for block in service.split("\n\n"):
        assert block.lstrip().startswith("#"), f"no comment above: {block}"


def _unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser's documentation does
    parser.read(UNIT)
    return parser
