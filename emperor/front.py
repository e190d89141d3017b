"""The development front door: plain HTTP to all vassals under ``/NAME/``, in a process without rights.

    python -m emperor.front --listener FD --channel FD [--become UID:GID:GROUP,GROUP]

``--listener`` is a bound and listening TCP socket; ``--channel`` is one end of a Unix stream socket pair.
Both are inherited from the emperor, who speaks and never listens. Each line on the channel is the whole
routing table:

    [{"name": "blog", "state": "RUNNING", "protocol": "uwsgi", "address": "/run/emperor/blog.sock",
      "mounts": ["/app"]}, ...]

``protocol`` is uwsgi, fastcgi or http, ``address`` a path, ``@abstract`` or ``host:port``; the last whole line
counts. The first connection is accepted after the first line, so nobody is told that there are no vassals
while there are.

It promises: every right is dropped before that, for good; TERM and INT finish what is in flight (a second one
does not), and so does, within a second, the end of the channel, which means that the emperor is gone; then
exit 0. It is not for the internet: no TLS, no keep-alive, a thread per connection.
"""

from __future__ import annotations

# Imported here although only a request needs them: after the drop our own files may be unreadable.
import argparse
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Optional
from urllib.parse import unquote_to_bytes

import werkzeug.debug.tbtools
import werkzeug.wrappers  # noqa: F401 -- for later, as said above
from werkzeug.serving import WSGIRequestHandler, make_server

from emperor.errors import ChannelError
from emperor.frontdoor.door import RESOURCES, Door, report
from emperor.frontdoor.routing import parse_table
from emperor.model import Identity
from emperor.system import privilege
from emperor.system.eventloop import Loop

DRAIN = 30.0
"""Seconds that TERM leaves to requests in flight: the default of a vassal's ``reload-mercy``."""
ORPHAN_DRAIN = 1.0
"""The same when the emperor is gone: its vassals are, two seconds later."""
_LINE_LIMIT = 16 << 20


class Handler(WSGIRequestHandler):
    """One connection, one request. Differs from werkzeug's in bytes that it would change, and in its log."""

    timeout = 60
    resources: ExitStack

    def version_string(self) -> str:
        return "mini-emperor"

    def make_environ(self) -> dict[str, Any]:
        environ = super().make_environ()
        environ[RESOURCES] = self.resources
        if self.path.startswith("/"):
            # werkzeug decodes the path as UTF-8 and puts U+FFFD where it is not; a web server passes bytes
            # on.
            path, _, query = self.path.partition("?")
            path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
            environ.update(REQUEST_URI=self.path, PATH_INFO=path, QUERY_STRING=query)
        return environ

    def run_wsgi(self) -> None:
        # werkzeug asks what the server speaks; but chunks would be garbage to a client of HTTP/1.0 (``ab``).
        self.protocol_version = "HTTP/1.1" if self.request_version >= "HTTP/1.1" else "HTTP/1.0"
        door: Any = self.server.app
        with door.in_flight, ExitStack() as self.resources:
            super().run_wsgi()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        report(f'{self.address_string()} "{self.requestline}" {getattr(code, "value", code)}')

    def log(self, type: str, message: str, *args: Any) -> None:
        report(f"{self.address_string()}: {message % args if args else message}")


class Channel:
    """The emperor's lines: the last whole one becomes the door's table."""

    def __init__(
        self, connection: socket.socket, door: Door, on_table: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._door = door
        self._on_table, self._on_end = on_table, on_end
        self._data = b""
        connection.setblocking(False)

    def on_readable(self) -> None:
        try:
            data = self._connection.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._on_end()
            return
        lines = (self._data + data).split(b"\n")
        self._data = lines.pop()
        if len(self._data) > _LINE_LIMIT:
            self._data = b""
        if lines:
            self._take(lines[-1])

    def _take(self, line: bytes) -> None:
        try:
            self._door.table = parse_table(line)
        except ChannelError as error:
            report(str(error))
            return
        self._on_table()


def parse_identity(text: str) -> Identity:
    """``UID:GID:GROUP,GROUP`` in numbers; raises ValueError."""
    uid, gid, groups = text.split(":")
    return Identity(int(uid), int(gid), tuple(int(group) for group in groups.split(",") if group), "", "/")


def serve(listener: socket.socket, channel: socket.socket, identity: Optional[Identity]) -> int:
    """Serve until TERM, INT or the channel's end; the exit status."""
    door = Door()
    host, port = listener.getsockname()[:2]
    # Reads werkzeug's metadata: one more reason to come before the drop.
    server = make_server(host, port, door, threaded=True, request_handler=Handler, fd=listener.fileno())
    listener.close()
    # A client may be gone again between our poll and our accept; only the loop waits.
    server.socket.setblocking(False)
    if identity:
        privilege.become(identity)
    loop = Loop(lambda error: report(f"bug: {error!r}"))
    grace = [DRAIN]

    def orphaned() -> None:
        grace[0] = ORPHAN_DRAIN
        loop.stop()

    def accept() -> None:
        loop.watch(server.fileno(), server.handle_request)

    loop.watch(channel.fileno(), Channel(channel, door, accept, orphaned).on_readable)
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.on_signal(signum, loop.stop)
    loop.run()
    loop.close()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)
    server.server_close()
    if not door.in_flight.wait_for_none(grace[0]):
        report(f"requests still in flight after {grace[0]:g} s -- they are cut")
    return 0


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog="emperor.front",
        description="The emperor's development front door: HTTP to vassals that speak uwsgi, FastCGI or HTTP.",
    )
    parser.add_argument("--listener", type=int, required=True, metavar="FD")
    parser.add_argument("--channel", type=int, required=True, metavar="FD")
    parser.add_argument("--become", type=parse_identity, metavar="UID:GID:GROUP,GROUP")
    options = parser.parse_args(argv)
    listener = socket.socket(fileno=options.listener)
    channel = socket.socket(fileno=options.channel)
    return serve(listener, channel, options.become)


if __name__ == "__main__":
    status = 1
    try:
        status = main()
    except Exception:
        traceback.print_exc()
    sys.stderr.flush()
    # A thread may hold stderr's lock, over which the interpreter's own end would abort.
    os._exit(status)
