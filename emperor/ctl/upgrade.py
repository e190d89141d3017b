"""``emperorctl upgrade``: the emperor becomes the program that is installed now; listeners and vassals stay."""

from __future__ import annotations

import argparse

from emperor.control.messages import FAILED, OK, Request
from emperor.ctl.console import Console
from emperor.text import printable

_PATIENCE = None
"""The emperor gives its check a minute, and answers when that is over."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "The installed program reads every ini and the running state first; if it cannot, nothing happens and the "
        "reason is told. Vassals go on with the code they run; `emperorctl reload all` gives them the new one."
    )


def run(args: argparse.Namespace, console: Console) -> int:
    reply = list(console.answers(Request("upgrade"), _PATIENCE))[-1]
    if not reply.get("ok"):
        console.error(str(reply.get("error")))
        code = reply.get("exit")
        return code if isinstance(code, int) and code else FAILED
    data = reply.get("data") or {}
    if console.json:
        console.print_json(data)
    else:
        console.print(f"emperor: {printable(str(data.get('message')))} ({data.get('seconds', 0):.1f} s)")
    return OK
