"""Every kind of finding: its word, and what is broken when it is found. Pure.

The web servers' side has a table of its own, ``webside``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "app-invalid": "the ini has errors, and nothing serves",
        "app-failed": "the app does not come up: its import fails, or it dies",
        "app-mended": "it was given up, or waits, and its app loads by now",
        "app-stopped": "it was stopped on purpose",
        "app-stalled": "it starts, and has not finished for long",
        "app-python": "its user cannot run its interpreter, or the virtualenv is none",
        "app-path": "its user cannot reach or read what the ini names",
        "app-mute": "it runs, and none of its workers serves",
        "app-stuck": "all its workers are busy, some for long",
        "app-error": "the app answers with an error of the server's",
        "app-slow": "the app answers, and takes long",
        "app-mount": "the app answers 404 at its mount, whose prefix it is not used to",
        "app-silent": "the app takes the connection, and no answer comes",
        "ini-behind": "it serves by an older ini: the new one has errors, or its start failed",
        "warned": "it serves, and status warns of something: a log, an ini's line, a worker that died",
        "socket-missing": "the socket's file is not there",
        "socket-occupied": "something else lies in the socket's place",
        "socket-stale": "the socket's file is there, and nobody listens",
        "socket-squatted": "somebody else listens in the socket's place",
        "socket-folder": "the web server cannot enter a folder on the way to the socket",
        "socket-mode": "the socket's mode shuts the web server out",
        "socket-acl": "an ACL lets the web server in, and its mask shuts it out",
        "socket-full": "as many wait at the socket as may",
        "timeouts": "times of the ini that contradict each other",
        "no-emperor": "nobody answers at the control socket",
        "emperor-log": "the emperor's own log cannot be written, and lines are lost",
        "two-emperors": "several emperors serve folders on this machine",
        "no-web-user": "there is no such user as the web server's",
        "somaxconn": "the kernel lets fewer wait than the ini's listen says",
        "inotify": "changed inis are seen late: the kernel's limit of watches is used up",
        "open-files": "the limit of open files is nearly reached, or below max-connections",
        "hidden-folder": "the emperor sees another folder under that name than everybody else",
        "disk-full": "no room is left where logs or sockets are written",
    }
)
