"""The words that everybody shares: frozen values, no behaviour beyond their own text form.

This module runs in vassals too: standard library, Python 3.9.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Optional

VASSAL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
"""CONTRACT: what a vassal may be called (``fullmatch``)."""

UWSGI, FASTCGI, HTTP = "uwsgi", "fastcgi", "http"
UNIX, ABSTRACT, TCP = "unix", "abstract", "tcp"

WHOLE, ROLLING = "whole", "rolling"
"""How a reload replaces a vassal that serves: all its workers at once, or one after another."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a configuration. ``line`` 0: the file as a whole; not fatal: a warning."""

    path: str
    line: int
    option: str
    message: str
    fatal: bool = True

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return ": ".join(part for part in (where, self.option, self.message) if part)


@dataclass(frozen=True)
class Identity:
    """Who a process is: numbers for the kernel, names for its environment."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    user: str
    home: str
    shell: str = "/bin/sh"


@dataclass(frozen=True)
class Address:
    """Where a socket is bound. ``path`` of an abstract one is without its leading NUL; ``host``, ``port`` are TCP's."""

    family: str
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.family == UNIX:
            return self.path
        if self.family == ABSTRACT:
            return "@" + self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class SocketSpec:
    """One listening socket as the ini asks for it.

    ``mode``, ``umask``, ``uid`` and ``gid`` are None where the ini is silent. When all four are None, the default
    applies: 0660 and the web server's group. ``uid`` and ``gid`` come from ``chown-socket``.
    """

    protocol: str
    address: Address
    mode: Optional[int] = None
    umask: Optional[int] = None
    uid: Optional[int] = None
    gid: Optional[int] = None
    backlog: int = 1024

    @property
    def silent(self) -> bool:
        """Does the ini say nothing about who may connect?"""
        return self.mode is None and self.umask is None and self.uid is None and self.gid is None


@dataclass(frozen=True)
class Target:
    """One app to load: ``mount`` "" is the root, ``kind`` is "module" or "file", ``callable`` "" means the default."""

    mount: str
    kind: str
    where: str
    callable: str = ""


ADMIN, OWNER, NOBODY = "admin", "owner", "nobody"


@dataclass(frozen=True)
class Authority:
    """Whose ini is it? The answer of ``system.trust`` and the premise of ``config.spec``.

    ADMIN: root alone (or the emperor's own user) can write it, and it may ask for everything.
    OWNER: exactly one other user, ``uid``, can write it, and it runs as that user.
    NOBODY: several can write it; ``reason`` names the first path that lets them in, with the command that mends it.
    """

    kind: str
    uid: Optional[int] = None
    reason: str = ""


@dataclass(frozen=True)
class VassalSpec:
    """A checked ini: what was validated is what runs. Times are in seconds, sizes in bytes."""

    name: str
    config: str
    folder: str
    identity: Identity
    sockets: tuple[SocketSpec, ...]
    targets: tuple[Target, ...]
    python: str = ""
    """The interpreter; "" is the emperor's own."""
    virtualenv: str = ""
    chdir: str = ""
    """"" is ``folder`` if it can be entered, else /."""
    chdir2: str = ""
    """Where the app is put once it is imported; "": where it is."""
    pythonpath: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    processes: int = 1
    threads: int = 1
    lazy_apps: bool = False
    manage_script_name: bool = False
    script_name: str = "auto"
    umask: Optional[int] = None
    logto: str = ""
    buffer_size: int = 65536
    limit_post: int = 0
    """0: no limit."""
    start_timeout: float = 60.0
    reload_mercy: float = 30.0
    max_restarts: int = 0
    """0: never give up."""
    header_timeout: float = 10.0
    socket_timeout: float = 60.0
    max_connections: int = 1000
    fastcgi_engine: str = "native"
    fastcgi_stderr: bool = False
    """Does ``wsgi.errors`` also go to the web server's log, as FCGI_STDERR?"""
    proxy_fix: int = 0
    """How many proxies in front of the web server may tell who asks (X-Forwarded-*); 0: none is believed."""
    web_gid: Optional[int] = None
    """The web server's group, who must be able to connect to sockets whose ini is silent."""
    harakiri: float = 0.0
    """How long one request may take; 0: as long as it likes."""
    max_requests: int = 0
    """A worker is renewed after so many requests, and a share of ``max_requests_delta`` more; 0: never."""
    max_requests_delta: Optional[int] = None
    """None: a tenth of ``max_requests``."""
    max_worker_lifetime: float = 0.0
    """0: no end."""
    max_worker_lifetime_delta: Optional[float] = None
    """None: a tenth of ``max_worker_lifetime``."""
    min_worker_lifetime: float = 10.0
    """No worker is renewed before that, whatever it has served or takes."""
    reload_on_rss: int = 0
    reload_on_as: int = 0
    """A worker with more resident memory, or address space, is renewed; 0: never."""
    limit_as: int = 0
    limit_nofile: int = 0
    limit_nproc: int = 0
    """setrlimit(2); 0: as inherited."""
    nice: int = 0
    on_demand: bool = False
    """Is it started by its first connection only?"""
    idle: float = 0.0
    """It sleeps after so long without a request, until the next connection; 0: never."""
    cheaper: int = 0
    """The least number of workers; ``processes`` is the most. 0: always ``processes``."""
    cheaper_initial: int = 0
    """0: as ``cheaper``."""
    cheaper_step: int = 1
    cheaper_overload: float = 1.0
    """How long all workers must have been busy until there are more."""
    touch_reload: tuple[str, ...] = ()
    py_autoreload: float = 0.0
    """How long a changed module may go unnoticed; 0: for ever."""
    reload_mode: str = WHOLE
    stats: Optional[Address] = None
    """Where the app's own process tells its numbers to who connects; None: nowhere."""
    stats_http: bool = False
    log_maxsize: int = 0
    """Bytes after which ``logto`` begins anew; 0: never."""
    log_keep: int = 5
    """How many older ones stay, as ``logto``.1 and so on."""
    log_format: str = ""
    """One line per request, in uWSGI's words for it, or "combined"; "": none, but for those below."""
    disable_logging: bool = False
    """Of the requests only those below are logged."""
    log_4xx: bool = False
    log_5xx: bool = False
    log_zero: bool = False
    """Those whose answer has no body."""
    log_slow: int = 0
    """Those that took so many milliseconds; 0: none."""
    log_big: int = 0
    """Those whose answer has so many bytes; 0: none."""
    log_x_forwarded_for: bool = False
    """The visitor is whom X-Forwarded-For names first."""
    static_map: tuple[tuple[str, str], ...] = ()
    """URL prefix and the folder that the web server shall serve below it. No process of ours opens it."""
    authority: Authority = Authority(NOBODY)
    """Who wrote it. It goes wherever the spec goes: what an older ini asked for is judged by who wrote that one."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> VassalSpec:
        """The inverse of ``to_json``; it trusts its input, which the emperor sealed."""
        raw: dict[str, Any] = json.loads(text)
        raw["identity"] = Identity(**{**raw["identity"], "groups": tuple(raw["identity"]["groups"])})
        raw["sockets"] = tuple(SocketSpec(**{**one, "address": Address(**one["address"])}) for one in raw["sockets"])
        raw["targets"] = tuple(Target(**one) for one in raw["targets"])
        raw["authority"] = Authority(**raw["authority"])
        raw["stats"] = Address(**raw["stats"]) if raw.get("stats") else None
        raw["pythonpath"] = tuple(raw["pythonpath"])
        raw["touch_reload"] = tuple(raw.get("touch_reload", ()))
        raw["static_map"] = tuple((prefix, folder) for prefix, folder in raw.get("static_map", ()))
        raw["env"] = tuple((key, value) for key, value in raw["env"])
        return cls(**raw)
