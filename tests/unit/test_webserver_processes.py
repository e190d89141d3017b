"""What a web server's command line says of its configuration."""

from __future__ import annotations

import pytest

from emperor.webservers.processes import _words, option


@pytest.mark.parametrize(
    ("cmdline", "letter", "told"),
    [
        (b"nginx: master process nginx -c /x.conf -g daemon off;\0\0", "-c", ["/x.conf"]),
        (b"nginx: master process nginx -c/x.conf", "-c", ["/x.conf"]),
        (b"nginx: worker process\0", "-c", []),
        (b"apache2\0-DFOREGROUND\0-f\0/x y.conf\0", "-f", ["/x y.conf"]),
        (b"apache2\0-D\0A\0-DB\0", "-D", ["A", "B"]),
        (b"lighttpd\0-f", "-f", []),
        (b"", "-f", []),
    ],
)
def test_an_option_is_found_apart_and_together(cmdline: bytes, letter: str, told: list[str]) -> None:
    assert option(_words(cmdline), letter) == told
