"""Files that an app hands over with ``wsgi.file_wrapper``: from kernel to kernel, over both protocols."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.serving_world import PARAMS, encode, serving

RECORD = 15 * 4096
both = pytest.mark.parametrize("protocol", ["uwsgi", "fastcgi"])


class Shelf:
    """Hands its file over from where it was read to, as an app does that looked at the first bytes."""

    def __init__(self, path: Path, counted: bool, skipped: int = 0) -> None:
        self.path = path
        self.counted = counted
        self.skipped = skipped

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        file = self.path.open("rb")
        file.read(self.skipped)
        length = self.path.stat().st_size - self.skipped
        start_response("200 OK", [("Content-Length", str(length))] if self.counted else [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file, 65536)
        return wrapped


@both
@pytest.mark.parametrize("counted", [True, False], ids=["with a length", "without one"])
@pytest.mark.parametrize("size", [0, 1, RECORD - 1, RECORD, RECORD + 1, 3_000_000])
def test_a_file_arrives_as_it_is(tmp_path: Path, protocol: str, counted: bool, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size + 5))
    with serving(tmp_path, protocol, Shelf(path, counted, 5)) as running:
        answer = running.ask()
        assert answer.whole and answer.body == path.read_bytes()[5:]
        assert running.ask().body == answer.body


@both
def test_a_file_that_shrinks_while_it_is_sent_does_not_look_whole(tmp_path: Path, protocol: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8_000_000))
    with serving(tmp_path, protocol, Shelf(path, True)) as running:
        with running.connect() as peer:
            peer.sendall(encode(protocol, PARAMS, b""))
            # Something has arrived, and far more than the socket holds is still to come.
            assert peer.recv(1)
            os.truncate(path, 4_000_000)
            rest = b"".join(iter(lambda: peer.recv(65536), b""))
            assert len(rest) < 8_000_000
            # No END_REQUEST behind it, nor anywhere in a record that was left short.
            assert b"\x01\x03\0\x01\0\x08" not in rest
        path.write_bytes(b"small")
        assert running.ask().body == b"small"
