"""Words of other servers' command lines, and how the same is said here. Pure.

Sources: gunicorn's settings (docs.gunicorn.org/en/stable/settings.html), uvicorn's (uvicorn.dev/settings), waitress's
runner (docs.pylonsproject.org/projects/waitress/en/stable/runner.html).
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import NamedTuple


class Word(NamedTuple):
    """``ours``: what to write here; ``value``: does the word take one?"""

    ours: str
    value: bool = True


_SOCKET = "--http-socket 127.0.0.1:PORT for HTTP, --socket PATH for a web server's uwsgi_pass"

WORDS = MappingProxyType(
    {
        **dict.fromkeys(("bind", "host", "port", "uds", "unix-socket"), Word(_SOCKET)),
        "worker-class": Word("--threads N: a worker answers in N threads"),
        "timeout": Word("--reload-mercy SECONDS for a drain, --socket-timeout SECONDS for a silent client"),
        "graceful-timeout": Word("--reload-mercy SECONDS"),
        **dict.fromkeys(("error-logfile", "log-file", "access-logfile"), Word("--logto FILE, which has everything")),
        "user": Word("--uid USER"),
        "group": Word("--gid GROUP"),
        "backlog": Word("--listen N"),
        "app": Word("--module MODULE:CALLABLE"),
        "root-path": Word("--script-name /PREFIX"),
        "forwarded-allow-ips": Word("--proxy-fix N: how many proxies are believed"),
        "proxy-headers": Word("--proxy-fix N: how many proxies are believed", value=False),
        **dict.fromkeys(("preload", "preload-app"), Word("nothing: that is always so", value=False)),
        "daemon": Word("nothing: it stays in the foreground; the daemon is `emperor VASSALS_DIR`", value=False),
        "reload": Word("`emperorctl --control-socket PATH reload NAME`, or HUP", value=False),
        "factory": Word("--module MODULE:create_app() with its parentheses", value=False),
    }
)

ORDERS = MappingProxyType(
    {
        **{one: f"`emperorctl {one} NAME`" for one in ("reload", "stop")},
        **dict.fromkeys(("pause", "suspend"), "`emperorctl stop NAME`"),
        "resume": "`emperorctl start NAME`",
    }
)
"""Options with which uWSGI sends a signal to the pid in a file, and ends."""

_APP = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?")


def spelling(name: str) -> Word | None:
    """None: nobody's word that we know."""
    return WORDS.get(name.replace("_", "-"))


def app_hint(word: str) -> str:
    """How the app is named here that stands as gunicorn's does, without an option; "": it is no app."""
    file, _, name = word.partition(":")
    if file.endswith(".ini"):
        return ""
    if file.endswith((".py", ".wsgi")):
        return f"is no ini -- write --wsgi-file {file}{f' --callable {name}' if name else ''}"
    return f"is no ini -- write --module {word}" if _APP.fullmatch(word) else ""
