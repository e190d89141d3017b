"""Every error that crosses a room's border.

A message reads ``subject: what failed: reason -- what happens next``. An error is raised once, at the edge
that knows the cause, and caught once, at the loop that can go on. No message quotes a file's content.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations


class EmperorError(Exception):
    """One line for the person who runs us; never a bug of ours."""


class ProtocolError(EmperorError):
    """The peer broke its protocol. ``status``: the HTTP status that says so, if it can still be answered."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ListenError(EmperorError):
    """A socket could not be bound, or may not be."""


class SpawnError(EmperorError):
    """A vassal's program could not be started."""


class LoadError(EmperorError):
    """The app could not be imported. ``traceback``: the whole text, ``str(self)``: its last line."""

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class ChannelError(EmperorError):
    """A message on the channel between emperor and vassal does not follow its rules."""
