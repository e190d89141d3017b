"""What the person who asks for a configuration wants of it, and what of that cannot be. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

EVERYWHERE = "80"
"""Where a site listens if nobody says anything."""

_PREFIX = re.compile(r"(/[\w.~@+,=:!-]+)+")
"""No blank, quote, brace, semicolon, dollar, percent, bracket, backslash: none of them in a URL's own spelling."""

_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})?")
_LISTEN = re.compile(r"(?:(?P<host>[0-9.]{7,15}|\*|\[[0-9A-Fa-f:.]{2,45}\]):)?(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Wish:
    """What the person asks for. ``prefix`` "": where the ini says; ``whole``: a file of its own, else a part of one."""

    prefix: str = ""
    server_name: str = ""
    listen: str = EVERYWHERE

    @property
    def whole(self) -> bool:
        return not self.prefix

    @property
    def place(self) -> tuple[str, int]:
        """IP address ("": everywhere) and port; of a wish that ``check_wish`` takes."""
        host, _, port = self.listen.rpartition(":")
        return host.replace("*", ""), int(port)


def check_wish(wish: Wish) -> str:
    """What is wrong with it; "": nothing."""
    if wish.prefix and not is_prefix(wish.prefix):
        return "--prefix: not a path of letters and digits -- write one as in /shop"
    if wish.server_name and not _HOST.fullmatch(wish.server_name):
        return "--server-name: not the name of a host -- write one as in www.example.org"
    found = _LISTEN.fullmatch(wish.listen)
    if not found or not 1 <= int(found["port"]) <= 65535:
        return "--listen: not a port, nor an address with one -- write 8080, or 127.0.0.1:8080"
    return ""


def is_prefix(text: str) -> bool:
    """Can it stand in every server's language as it is, and is it what a visitor's path can begin with?"""
    return bool(_PREFIX.fullmatch(text)) and not {".", ".."} & set(text.split("/"))


def unheeded(server: str, wish: Wish) -> Iterable[str]:
    """What of it is without effect, and what has it, each in one line. ``wish`` is one that ``check_wish`` takes."""
    if server == "lighttpd" and wish.listen != EVERYWHERE:
        host, port = wish.place
        bind = f' and server.bind = "{host}"' if host else ""
        yield f"--listen: lighttpd listens where its lighttpd.conf says -- write server.port = {port}{bind} there"
    if server == "apache" and not wish.whole and wish.listen != EVERYWHERE:
        yield "--listen: has no effect with --prefix: the site that is there listens where it does"
    if server != "lighttpd" and not wish.whole and wish.server_name:
        yield "--server-name: has no effect with --prefix: the site that is there has its own"
