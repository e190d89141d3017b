"""Several threads of a server, which lead in turn: the leader waits, takes one piece of work, hands on and serves.

The main thread serves nobody: only it can run the handlers of signals, and one that came just before it waited for the
lead would not be heard.
"""

from __future__ import annotations

import select
import threading
from typing import Optional

from emperor.serving.backlog import Peer
from emperor.serving.bell import Bell
from emperor.serving.reactor import Reactor

__all__ = ["ThreadPool"]

_GRACE_SECONDS = 0.1


class ThreadPool:
    """``serve`` starts them, and returns when they have ended."""

    def __init__(self, reactor: Reactor, threads: int) -> None:
        self._reactor, self._threads = reactor, threads
        self._lead = threading.Lock()
        self._main: Optional[Bell] = None

    def serve(self) -> bool:
        """Until drained. False: some still serve, as the time is over."""
        reactor, main, poll = self._reactor, Bell(), select.poll()
        poll.register(main.fd, select.POLLIN)
        self._main = main
        ended: list[int] = []
        threads = [
            threading.Thread(target=self._work, args=(number, ended, main), name=f"wsgi-{number}", daemon=True)
            for number in range(self._threads)
        ]
        abandoned = False
        with main.rung_by_signals():
            for thread in threads:
                thread.start()
            while len(ended) < len(threads) and not abandoned:
                # A thread that is only about to find that all is done gets the time for it.
                patience = reactor.time_left() + _GRACE_SECONDS if reactor.bounded else None
                if poll.poll(None if patience is None else max(0.0, patience) * 1000):
                    main.hush()
                elif patience is not None:
                    abandoned = True
        self._main = None
        if not abandoned:
            for thread in threads:
                # They have nothing left to do but to ring.
                thread.join()
            main.close()
        return not abandoned

    def wake_main(self) -> None:
        """It has to look again how long it may wait."""
        main = self._main
        if main is not None:
            main.ring()

    def disown(self) -> None:
        """This is a process that the app forked: our bell is not its own."""
        self._main = None

    def _work(self, thread: int, ended: list[int], main: Bell) -> None:
        try:
            self._serve_until_drained(thread)
        finally:
            ended.append(thread)
            main.ring()

    def _serve_until_drained(self, thread: int) -> None:
        reactor, lead = self._reactor, self._lead
        while True:
            peer: Optional[Peer] = None
            with lead:
                if reactor.is_done():
                    break
                if not reactor.pending:
                    reactor.wait()
                if reactor.pending:
                    fd, _ = reactor.pending.pop()
                    # While it is served it may be closed, and its number given to another connection.
                    peer = reactor.waiting.peers.pop(fd, None) or reactor.take(fd)
            if peer is not None:
                watched = reactor.advance(peer, thread)
                if watched is not None:
                    reactor.watch(watched)
        # The next leader may be asleep, and it is its turn to find that all is done.
        reactor.wake_leader()
