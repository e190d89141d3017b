"""What a web server's configuration says, whichever web server it is. Pure values."""

from __future__ import annotations

from typing import NamedTuple, Optional

from emperor.model import Address

NGINX, APACHE, LIGHTTPD = "nginx", "apache", "lighttpd"
YES, NO = "yes", "no"


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
    the web server tell the app what was asked for (``include uwsgi_params``)? ``timeout``: seconds that it waits for
    the app, ``body_limit``: bytes that a body may have (0: any); None: not told by anything that could be read, and
    ``untold`` knows what holds then. ``told``: where the address stands, if not in the pass itself. ``shadow``: what
    takes this route's requests before it. ``lacks``: the web server's module that is not loaded. ``answered``: where
    each request is answered before it is passed. ``pattern``: the regular expression that stands in the place of a
    path. ``rewritten``: the app is told another path than the visitor asked for, or may be. ``only_files``: what is no
    file of the web server's is never passed.
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
    told: Optional[Where] = None
    shadow: Optional[Where] = None
    lacks: str = ""
    answered: Optional[Where] = None
    pattern: str = ""
    rewritten: bool = False
    only_files: bool = False

    @property
    def place(self) -> str:
        """What its requests have in common, for people."""
        return self.pattern or self.prefix


class Untold(NamedTuple):
    timeout: Optional[float]
    body_limit: int


_UNTOLD = {
    NGINX: Untold(60.0, 1024 * 1024),
    APACHE: Untold(60.0, 1024 * 1024 * 1024),
    LIGHTTPD: Untold(None, 0),
}


def untold(kind: str) -> Untold:
    """The server's own defaults: nginx.org's and httpd.apache.org's directive indexes (Apache since 2.4.54)."""
    return _UNTOLD[kind]


class WebServer(NamedTuple):
    """``conf``: its main file. ``user``, ``group``: who its workers are; "": not told. ``pids``: its running processes,
    those of its workers first. ``default_site``: where the distribution's own page is still enabled. ``flaws``: what
    could not be read, or what the server itself would refuse, each a line. ``running``: YES, NO or "" if that cannot be
    seen. ``stale``: a file of its configuration that is newer than its workers; "": none. ``private_tmp``: which of
    /tmp and /var/tmp are not ours for it. ``own``: this machine's addresses; (): not known. ``writer``:
    whoever can change ``conf`` although root asks, so that root shall not have it judged; "": nobody.
    """

    kind: str
    conf: str
    user: str = ""
    group: str = ""
    pids: tuple[int, ...] = ()
    routes: tuple[Route, ...] = ()
    default_site: Optional[Where] = None
    flaws: tuple[str, ...] = ()
    running: str = ""
    stale: str = ""
    private_tmp: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    writer: str = ""
