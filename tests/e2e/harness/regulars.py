"""Visitors of a web server who keep their connections and come again at once, and what became of each request."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Sequence
from contextlib import closing

from tests.e2e.harness.waiting import wait_for

TIMEOUT = 30.0


class Regulars:
    """``each`` clients for every path; within the ``with`` block they come, afterwards ``failed`` says who was lost."""

    def __init__(self, port: int, paths: Sequence[str], each: int = 2) -> None:
        self._port = port
        self._threads = [threading.Thread(target=self._come, args=(path,)) for path in paths for _ in range(each)]
        self._over = threading.Event()
        self.answered = 0
        self.failed: list[str] = []

    def __enter__(self) -> Regulars:
        for thread in self._threads:
            thread.start()
        self.more()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int = 50) -> None:
        """Wait until so many more were answered."""
        wanted = self.answered + count
        wait_for(lambda: self.answered, lambda now: now >= wanted or self.failed, f"{count} more answers", TIMEOUT)

    def _come(self, path: str) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)) as client:
            while not self._over.is_set():
                try:
                    client.request("GET", path)
                    answer = client.getresponse()
                    body = answer.read()
                except (OSError, http.client.HTTPException) as error:
                    self.failed.append(f"{path}: {error!r}")
                    client.close()
                    continue
                if answer.status == 200:
                    self.answered += 1
                else:
                    self.failed.append(f"{path}: {answer.status} {body[:80]!r}")
