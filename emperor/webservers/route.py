"""What a web server's configuration says, whichever web server it is. Pure values."""

from __future__ import annotations

from typing import NamedTuple, Optional

from emperor.model import Address

NGINX, APACHE, LIGHTTPD = "nginx", "apache", "lighttpd"


class Where(NamedTuple):
    """``line`` 0: not known."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Route(NamedTuple):
    """One place where requests are passed to an app server.

    ``protocol``: uwsgi, fastcgi, http or scgi. ``address`` None: it is told at run time only (a variable), ``raw`` is
    what is written. ``host``, ``prefix``: the server's first name, and the path of the location. ``variables``: does
    the web server tell the app what was asked for (``include uwsgi_params``)? ``timeout``: seconds that it waits for the
    app, ``body_limit``: bytes that a body may have (0: any); None: not told by anything that could be read.
    """

    server: str
    protocol: str
    address: Optional[Address]
    raw: str
    where: Where
    host: str = ""
    prefix: str = "/"
    variables: bool = True
    timeout: Optional[float] = None
    body_limit: Optional[int] = None


class WebServer(NamedTuple):
    """``conf``: its main file. ``user``, ``group``: who its workers are; "": not told. ``pids``: its running processes,
    those of its workers first. ``default_site``: where the distribution's own page is still enabled. ``flaws``: what
    could not be read, or what the server itself would refuse, each a line.
    """

    kind: str
    conf: str
    user: str = ""
    group: str = ""
    pids: tuple[int, ...] = ()
    routes: tuple[Route, ...] = ()
    default_site: Optional[Where] = None
    flaws: tuple[str, ...] = ()
