"""Magic: ``%n`` and its like, which are replaced in the text of an ini before anything else is read in it.

Source: uWSGI's ``config_magic_table_fill`` and ``magic_sub`` (core/uwsgi.c, core/utils.c). Unlike there, a ``%`` before
a letter that says nothing stays as it is; uWSGI removes both characters, be the second one the end of the line.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

_MAGIC = re.compile(r"%(?!\()(.?)", re.DOTALL)

PROCESS = "hvtTVkuUgGb"
"""Letters that say something of the machine and of the emperor; whoever reads the ini knows them."""


def of_path(path: str, given: str = "", section: str = "", inode: int | None = None) -> dict[str, str]:
    """What an ini's path says: letter → text.

    ``path`` is absolute, ``given`` is the path as it was written. ``section``: the one that was asked for by name.
    """
    folder, base = posixpath.split(path)
    stem, _, extension = base.rpartition(".") if "." in base else (base, "", "")
    parts = [part for part in folder.split("/") if part]
    digits = {str(index): parts[index] if index < len(parts) else "" for index in range(10)}
    return {
        "o": given or path,
        "p": path,
        "s": base,
        "n": stem,
        "e": extension,
        "d": folder.rstrip("/") + "/",
        "c": parts[-1] if parts else "",
        "x": section,
        "i": "" if inode is None else str(inode),
        "j": _hash(path),
        **digits,
    }


def of_first(letters: Mapping[str, str]) -> dict[str, str]:
    """The upper case of what ``of_path`` says of the first file: an included one sees the vassal's in them."""
    return {letter.upper(): text for letter, text in letters.items() if letter.isalpha()}


def first_letter(text: str) -> str:
    """The first that would be replaced in an ini's text; "": none."""
    letters = of_path("/")
    known = {*PROCESS, *letters, *of_first(letters)}
    return next((found[1] for found in _MAGIC.finditer(text) if found[1] in known), "")


CONSTANT = {"%": "%", "[": "\033"}


def replaced(text: str, letters: Mapping[str, str], limit: int) -> tuple[str, bool]:
    """The text, and whether a ``%`` in it begins nothing that is known. Beyond ``limit`` it stays as it is."""
    if "%" not in text:
        return text, False
    unknown, size, at = False, len(text), 0
    pieces: list[str] = []
    for found in _MAGIC.finditer(text):
        known = letters.get(found[1])
        unknown = unknown or known is None
        pieces += text[at : found.start()], found[0] if known is None else known
        at = found.end()
        size += len(pieces[-1])
        if size > limit:
            break
    return "".join((*pieces, text[at:])), unknown


def _hash(path: str) -> str:
    """uWSGI's ``djb33x_hash`` (core/hash.c) of signed bytes, its four bytes as they lie in memory."""
    value = 5381
    for byte in path.encode("utf-8", "surrogateescape"):
        value = ((value * 33) ^ (byte - 256 if byte > 127 else byte)) & 0xFFFFFFFF
    return value.to_bytes(4, "little").hex().upper()
