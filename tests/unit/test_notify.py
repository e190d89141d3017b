"""What sd_notify's environment means."""

from __future__ import annotations

import os

import pytest

from emperor.system.notify import Notifier, parse_socket, parse_watchdog


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("/run/systemd/notify", "/run/systemd/notify"),
        ("@abstract", "\0abstract"),
        ("", ""),
        ("relative", ""),
        ("vsock:2:1234", ""),
    ],
)
def test_only_paths_and_abstract_names_are_sockets(value: str, address: str) -> None:
    assert parse_socket(value) == address


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "7"}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "1", "WATCHDOG_PID": ""}, None),
    ],
)
def test_the_watchdog_is_ours_only_with_our_pid(environ: dict[str, str], seconds: float | None) -> None:
    """sd_watchdog_enabled(3)."""
    assert parse_watchdog(environ, 7) == seconds


def test_without_a_socket_nothing_is_opened_or_sent() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog == 2.0
    for say in (notifier.ready, notifier.stopping, notifier.reloading, notifier.alive, notifier.close):
        say()
    notifier.status("fine")
