"""``emperorctl version``: this program's, and that of the emperor who runs; they differ after an update."""

from __future__ import annotations

import argparse
import platform
from typing import Any

from emperor import __version__
from emperor.control.client import NoDaemon, NotPermitted, Unanswered
from emperor.control.messages import OK, Request
from emperor.ctl.console import Console
from emperor.text import printable

_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to say."""


def run(args: argparse.Namespace, console: Console) -> int:
    daemon, silence = _daemon(console)
    if console.json:
        console.print_json({"emperorctl": __version__, "python": platform.python_version(), "emperor": daemon})
        return OK
    console.print(f"emperorctl {__version__} (Python {platform.python_version()})")
    if daemon is None:
        console.print(f"emperor    {printable(silence)}")
        return OK
    theirs = str(daemon.get("version"))
    pid = f" (pid {daemon['pid']})" if daemon.get("pid") else ""
    console.print(f"emperor    {printable(theirs)}{pid}")
    if theirs != __version__:
        console.error("the running emperor is of another version -- restart it to run the installed one")
    return OK


def _daemon(console: Console) -> tuple[dict[str, Any] | None, str]:
    try:
        reply = list(console.answers(Request("version"), _SECONDS))[-1]
    except (NoDaemon, NotPermitted, Unanswered) as error:
        return None, f"not reached: {error}"
    data = reply.get("data")
    return (data, "") if isinstance(data, dict) else (None, f"says: {reply.get('error')}")
