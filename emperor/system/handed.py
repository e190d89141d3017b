"""Descriptor 0 as a web server hands it over: a listening socket, or something else.

Source: FastCGI specification 1.0, section 2.2.
This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import os
import socket
from typing import Optional

LISTENER = 0
"""FCGI_LISTENSOCK_FILENO."""


def listener_at(fd: int) -> Optional[socket.socket]:
    """A copy of the listening stream socket ``fd``; None: it is not one."""
    try:
        found = socket.socket(fileno=os.dup(fd))
    except OSError:
        return None
    streams = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
    stream = found.family in streams and found.type == socket.SOCK_STREAM
    if stream and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return found
    found.close()
    return None
