"""``emperorctl version``: this program's, and that of the emperor who runs; they differ after an update."""

from __future__ import annotations

import argparse
import platform

from emperor import __version__
from emperor.control.client import NoDaemon, NotPermitted, Unanswered
from emperor.control.messages import OK, Request
from emperor.ctl.console import Console
from emperor.text import printable

_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to say."""


def run(args: argparse.Namespace, console: Console) -> int:
    theirs, silence = _daemon(console)
    if console.json:
        console.print_json({"emperorctl": __version__, "python": platform.python_version(), "emperor": theirs})
        return OK
    console.print(f"emperorctl {__version__} (Python {platform.python_version()})")
    console.print(f"emperor    {printable(theirs or silence)}")
    if theirs and theirs != __version__:
        console.error(
            "the running emperor is of another version -- emperorctl upgrade makes it the installed one, in place"
        )
    return OK


def _daemon(console: Console) -> tuple[str | None, str]:
    """Its version, or None and why it is not known."""
    try:
        reply = list(console.answers(Request("version"), _SECONDS))[-1]
    except (NoDaemon, NotPermitted, Unanswered) as error:
        return None, f"not reached: {error}"
    data = reply.get("data")
    return (data, "") if isinstance(data, str) else (None, f"says: {reply.get('error')}")
