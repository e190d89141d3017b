"""What the doctor has found: one thing that is wrong, why it matters, and what mends it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

FAILS, MAY_FAIL = "fails", "may fail"
"""Requests fail by it now; or they will, once there is more of something, or for some of them."""

MACHINE = "machine"
"""The subject of what is no vassal's alone."""


class Finding(NamedTuple):
    """``kind``: a word of its own for each kind of finding, for programs. ``subject``: a vassal's name, a web server's,
    or ``MACHINE``. ``what``: one line, as an error is worded. ``why``: what the visitor or the operator sees of it.
    ``mend``: commands to be typed or lines to be written, each as it stands; a comment behind ``#`` says where.
    """

    kind: str
    subject: str
    what: str
    why: str
    mend: tuple[str, ...]
    weight: str = FAILS


def ordered(findings: Iterable[Finding]) -> Sequence[Finding]:
    """Each once; those by which requests fail come first, then by subject, as they were found."""
    return sorted(dict.fromkeys(findings), key=lambda one: (one.weight != FAILS, one.subject))
