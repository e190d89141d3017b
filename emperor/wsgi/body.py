"""``wsgi.input``: the request's body, streamed. No more of it is held than one piece and what a caller asked for.

It promises: the end is the end (b"" for ever after); every size argument is kept to; no cost grows faster
than the bytes. Errors: ``Disconnected`` when the peer leaves before the end, ``BodyTooLong`` when the limit
is passed. Source: PEP 3333 "Input and Error Streams".
"""

from __future__ import annotations

from typing import Callable, Optional

__all__ = ["EMPTY", "Body", "BodyTooLong", "Disconnected"]


class Disconnected(ConnectionError):
    """The web server has left, or has been silent for too long. An ``OSError``, as apps expect of a broken
    stream.
    """


class BodyTooLong(OSError):
    """More bytes than ``limit-post`` allows, of a body that did not say its length."""


class Body:
    """``more`` gives the next piece, b"" at the end of the stream. ``length``: what CONTENT_LENGTH says, None
    if nothing.

    ``limit``: the most bytes of a body without a length, 0 for no limit; ``too_long``: there were more.
    """

    __slots__ = ("_ended", "_left", "_limit", "_more", "_piece", "_position", "too_long")

    def __init__(self, more: Callable[[], bytes], length: Optional[int], limit: int = 0) -> None:
        self._more = more
        self._left = length
        # One more is one too many; 0 stays 0.
        self._limit = limit + 1 if limit else 0
        self._piece = b""
        self._position = 0
        self._ended = length == 0
        self.too_long = False

    @property
    def may_be_too_long(self) -> bool:
        """Will only reading tell whether it is longer than the limit?"""
        return self._left is None and self._limit > 0

    @property
    def remaining(self) -> Optional[int]:
        """Bytes that were not asked of ``more`` yet; None: nobody knows."""
        if self.too_long:
            return None
        return 0 if self._ended else self._left

    def read(self, size: Optional[int] = -1) -> bytes:
        """Exactly ``size`` bytes, fewer only at the end; without size (or negative) all the rest."""
        if size is None or size < 0:
            return self._rest()
        taken = self._piece[self._position : self._position + size]
        self._position += len(taken)
        missing = size - len(taken)
        if not missing:
            return taken
        # To join one piece is to hand it on; an empty one beside it would make it a copy.
        parts = [taken] if taken else []
        while missing and self._next():
            taken = self._piece[:missing]
            self._position = len(taken)
            missing -= len(taken)
            parts.append(taken)
        return b"".join(parts)

    def readline(self, size: Optional[int] = -1) -> bytes:
        """Up to and with the next newline, at most ``size`` bytes if it is not negative."""
        missing = -1 if size is None or size < 0 else size
        parts: list[bytes] = []
        while missing:
            if self._position == len(self._piece) and not self._next():
                break
            start = self._position
            end = self._piece.find(b"\n", start) + 1
            found = end > 0
            if not found:
                end = len(self._piece)
            if 0 < missing < end - start:
                end = start + missing
            parts.append(self._piece[start:end])
            self._position = end
            if found:
                break
            if missing > 0:
                missing -= end - start
        return b"".join(parts)

    def readlines(self, hint: Optional[int] = -1) -> list[bytes]:
        """All lines, or as many as first reach ``hint`` bytes together."""
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _rest(self) -> bytes:
        taken = self._piece[self._position :]
        parts = [taken] if taken else []
        self._position = len(self._piece)
        while self._next():
            parts.append(self._piece)
            self._position = len(self._piece)
        return b"".join(parts)

    def _next(self) -> bool:
        """Put the next piece in place of the last, which is used up. False: there is none."""
        self._piece, self._position = b"", 0
        if self._ended:
            return False
        piece = self._more()
        left = self._left
        if not piece:
            self._ended = True
            if left:
                raise Disconnected(f"request body: it ends {left} bytes before its CONTENT_LENGTH")
            return False
        if left is not None:
            piece = piece[:left]
            self._left = left = left - len(piece)
            self._ended = not left
        elif self._limit:
            self._limit -= len(piece)
            if self._limit <= 0:
                self._ended = self.too_long = True
                raise BodyTooLong("request body: longer than limit-post")
        self._piece = piece
        return True


def _nothing() -> bytes:
    return b""


EMPTY = Body(_nothing, 0)
"""The body of every request that has none: it holds no state that could change."""
