"""Where things are when nobody says otherwise."""

from __future__ import annotations

import pytest

from emperor.system.places import control_socket, runtime_folder, vassals_folder


@pytest.mark.parametrize(
    ("euid", "environ", "path"),
    [
        (0, {}, "/run/emperor/control.sock"),
        (0, {"XDG_RUNTIME_DIR": "/run/user/0", "HOME": "/root"}, "/run/emperor/control.sock"),
        (1000, {"XDG_RUNTIME_DIR": "/run/user/1000", "HOME": "/h"}, "/run/user/1000/emperor/control.sock"),
        (1000, {"HOME": "/h"}, "/h/.local/state/emperor/control.sock"),
        (1000, {"XDG_RUNTIME_DIR": "", "HOME": "/h"}, "/h/.local/state/emperor/control.sock"),
        (1000, {"XDG_RUNTIME_DIR": "run", "HOME": "/h"}, "/h/.local/state/emperor/control.sock"),
        (4_000_000_000, {}, "/.local/state/emperor/control.sock"),
    ],
)
def test_the_control_socket_has_one_default_per_user(euid: int, environ: dict[str, str], path: str) -> None:
    assert control_socket(euid, environ) == path
    assert runtime_folder(euid, environ) + "/control.sock" == path


def test_inis_are_in_etc_for_root_and_in_the_home_for_others() -> None:
    assert vassals_folder(0, {"HOME": "/root"}) == "/etc/emperor/vassals.d"
    assert vassals_folder(1000, {"HOME": "/h"}) == "/h/.config/emperor/vassals.d"
