"""Socket files under a temporary name, beside the one whose place they are to take.

For the kernel it keeps the name of its binding: getsockname(2) and ss(8) tell the temporary one after the renaming.
"""

from __future__ import annotations

import os
import zlib

from emperor.errors import ListenError
from emperor.system import listeners
from emperor.system.listeners import Place
from emperor.text import printable

_DRAFT = "~new"
MAX_PATH = 107
"""Bytes; sun_path of unix(7) has 108 with its end."""


def draft_of(path: str) -> str:
    """Where a listener is bound that will take this path's place, always the same; "": no room for a name."""
    folder, name = os.path.split(path)
    for draft in (f".{name}{_DRAFT}", f".{zlib.crc32(os.fsencode(name)):08x}{_DRAFT}"):
        if len(os.fsencode(os.path.join(folder, draft))) <= MAX_PATH:
            return os.path.join(folder, draft)
    return ""


def is_draft(path: str) -> bool:
    return path.endswith(_DRAFT) and os.path.basename(path).startswith(".")


def publish(draft: str, place: Place, path: str, before: Place) -> None:
    """Put the socket file of a draft in the place of ``before``, at once. Raises ListenError, and the draft stays.

    Only for folders in which nobody else can write: between the look and the renaming a file could change.
    """
    there = listeners.place_of(path)
    if there != before and (there is not None or os.path.lexists(path)):
        raise ListenError(f"{printable(path)}: rename: another file has taken its place -- left alone")
    if listeners.place_of(draft) != place:
        raise ListenError(f"{printable(draft)}: rename: it is gone -- {printable(path)} stays as it was")
    try:
        os.rename(draft, path)
    except OSError as error:
        raise ListenError(f"{printable(path)}: rename: {error.strerror} -- it stays as it was") from None
