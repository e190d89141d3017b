"""What all connections of one listening socket share: the app, the rules and who counts."""

from __future__ import annotations

from typing import Any, Optional

from emperor.errors import ProtocolError
from emperor.serving.settings import Settings, Tally
from emperor.wsgi.environ import content_length
from emperor.wsgi.gateway import Gateway

__all__ = ["Service"]


class Service:
    """Made once for each listening socket."""

    __slots__ = ("gateway", "settings", "tally")

    def __init__(self, gateway: Gateway, settings: Settings, tally: Tally) -> None:
        self.gateway = gateway
        self.settings = settings
        self.tally = tally

    def length(self, environ: dict[str, Any]) -> Optional[int]:
        """Of the body, in bytes; None if the web server does not say. Raises ``ProtocolError`` 400 or 413."""
        length = content_length(environ)
        limit = self.settings.limit_post
        if length and limit and length > limit:
            raise ProtocolError(f"request: a body of {length} bytes, the limit (limit-post) is {limit}", 413)
        return length
