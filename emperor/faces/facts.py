"""What a web server must know of a vassal, whichever server it is.

It promises: every text in a ``Facts`` fits into one line and holds nothing that ends a string, a line or a directive
in any of the servers' languages; what cannot be written so is an ``EmperorError`` that names it. An ini may be its
user's own, and what is made of it becomes root's configuration.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from emperor.errors import EmperorError
from emperor.faces.remarks import remarks
from emperor.faces.wish import Wish, check_wish, is_prefix
from emperor.model import (
    ABSTRACT,
    FASTCGI,
    HTTP,
    OWNER,
    UNIX,
    UWSGI,
    VASSAL_NAME,
    Address,
    Identity,
    SocketSpec,
    VassalSpec,
)
from emperor.text import printable

LATER_THAN_HARAKIRI = 5
"""Seconds that the web server waits longer than ``harakiri``: whatever that says reaches the visitor."""

PATIENCE = 60
"""Seconds of silence without ``harakiri``: nginx's own default, said aloud."""

LONGEST_KEPT = 60
"""Seconds that an idle connection is kept at most."""

_FORBIDDEN = re.compile('[\\x00-\\x1f\\x7f-\\x9f"\\\\$`|\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
"""In a path. ``$`` begins a variable of nginx and Apache, ``|`` ends the path in Apache's unix:PATH|URL."""

_UNWRITABLE = (
    "is not a path of letters and digits, which a web server's configuration cannot hold safely -- name it another way"
)
_RANK = {FASTCGI: 0, UWSGI: 1, HTTP: 2}


@dataclass(frozen=True)
class Static:
    """A URL and what lies on disk for it: both end with a slash (a folder), or neither does (one file).

    ``/static`` with ``/srv/static/`` would serve ``/static../secret``. The URL "/" is everything.
    """

    url: str
    path: str

    @property
    def is_file(self) -> bool:
        return not self.url.endswith("/")


@dataclass(frozen=True)
class Facts:
    """``prefixes``: the longest first; none: the root of the site. ``split``: the web server cuts them off the path,
    else the app's server does, and wants the whole path. Times are in seconds, sizes in bytes.
    """

    name: str
    config: str
    protocol: str
    address: Address
    prefixes: tuple[str, ...]
    split: bool
    static: tuple[Static, ...]
    owned: bool
    """Are its folders somebody's who could put links into them that the web server may follow, and they may not?"""
    limit_post: int
    harakiri: float
    patience: int
    mercy: float
    kept: int
    """How long an idle connection is kept; 0: none is."""
    seats: int
    """How many requests are served at a time."""
    proxies: int
    wish: Wish
    host: str
    """Where the site listens; "": everywhere."""
    port: int
    remarks: tuple[str, ...]
    """What the person must know, each in one line."""

    @property
    def root(self) -> str:
        """The folder that is looked through before the app is asked; "": none."""
        return next((one.path.rstrip("/") or "/" for one in self.static if one.url == "/"), "")

    @property
    def below(self) -> tuple[Static, ...]:
        return tuple(one for one in self.static if one.url != "/")

    @property
    def near(self) -> str:
        """HOST:PORT of a TCP socket for somebody on this machine."""
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.address.host, self.address.host)
        return f"[{host}]:{self.address.port}" if ":" in host else f"{host}:{self.address.port}"

    @property
    def unix(self) -> bool:
        return self.address.family == UNIX


def gather(spec: VassalSpec, wish: Wish, web: Identity | None = None, asks_disk_first: bool = False) -> Facts:
    """EmperorError: there is nothing that would work.

    ``web``: who the web server is, if that is known. ``asks_disk_first``: can it look for a file and then ask the app?
    """
    if wrong := check_wish(wish):
        raise EmperorError(wrong)
    if not VASSAL_NAME.fullmatch(spec.name):
        raise EmperorError("the file: no vassal can have its name -- letters, digits and _ . @ -, then .ini")
    chosen = _best(spec)
    prefixes, split = _places(spec, wish, chosen.protocol)
    host, port = wish.place
    static, hiding = _static(spec, wish, prefixes, asks_disk_first)
    kept = int(min(LONGEST_KEPT, spec.reload_mercy / 2)) if spec.fastcgi_engine == "native" else 0
    return Facts(
        name=spec.name,
        config=printable(spec.config),
        protocol=chosen.protocol,
        address=_checked(chosen.address),
        prefixes=prefixes,
        split=split,
        static=tuple(static),
        owned=spec.identity.uid != 0,
        limit_post=spec.limit_post,
        harakiri=spec.harakiri,
        patience=math.ceil(spec.harakiri) + LATER_THAN_HARAKIRI if spec.harakiri else PATIENCE,
        mercy=spec.reload_mercy,
        kept=kept if chosen.protocol == FASTCGI else 0,
        seats=max(1, min(spec.processes * spec.threads, spec.max_connections, 256)),
        proxies=spec.proxy_fix,
        wish=wish,
        host=host,
        port=port,
        remarks=(*remarks(spec, chosen, web), *hiding),
    )


def _best(spec: VassalSpec) -> SocketSpec:
    """FastCGI is kept open and shows what broke off, uwsgi does neither, HTTP knows no web server's parameters."""
    fit = [one for one in spec.sockets if one.address.family != ABSTRACT]
    if not fit:
        what = "only abstract sockets, which no web server can connect to" if spec.sockets else "no socket"
        raise EmperorError(f"{spec.name}: {what} -- write socket = /PATH in its ini")
    return min(fit, key=lambda one: (one.protocol == HTTP, one.address.family != UNIX, _RANK.get(one.protocol, 3)))


def _checked(address: Address) -> Address:
    if address.family == UNIX:
        check_path("socket", address.path)
    elif not re.fullmatch(r"[0-9A-Za-z.:%_-]*", address.host):
        raise EmperorError("socket: its host cannot be written -- write an IP address")
    return address


def check_path(what: str, path: str) -> str:
    """The path, if every server's quoting takes it as it is."""
    if not path.startswith("/") or _FORBIDDEN.search(path):
        raise EmperorError(
            f"{what}: its path has a control character, quote, backslash, $, ` or |, or is not UTF-8, which a web "
            "server's configuration cannot hold safely -- name it another way"
        )
    return path


def _places(spec: VassalSpec, wish: Wish, protocol: str) -> tuple[tuple[str, ...], bool]:
    """Which prefixes are the vassal's, and who cuts them off."""
    mounts = tuple(sorted({target.mount.rstrip("/") for target in spec.targets}, key=lambda one: (-len(one), one)))
    fixed = spec.script_name.rstrip("/") if spec.script_name != "auto" else None
    managed = spec.manage_script_name and any(mounts)
    if wish.prefix:
        return _wished(wish.prefix, fixed, mounts, managed, protocol)
    if fixed is not None:
        return _prefixes((fixed,)), False
    if managed or not any(mounts) or (protocol == HTTP and "" in mounts):
        return _prefixes(mounts), False
    return _cut_off(_prefixes(mounts), protocol), True


def _wished(
    prefix: str, fixed: str | None, mounts: tuple[str, ...], managed: bool, protocol: str
) -> tuple[tuple[str, ...], bool]:
    if fixed is not None:
        if fixed != prefix:
            raise EmperorError(
                f"--prefix: the ini's script-name has another -- write script-name = {prefix} there, or leave "
                "--prefix out"
            )
        return (prefix,), False
    if any(mounts) and prefix not in mounts:
        raise EmperorError(
            f"--prefix: the ini has mounts, and none of them is {prefix} -- leave --prefix out, or name one of them"
        )
    return ((prefix,), False) if managed else (_cut_off((prefix,), protocol), True)


def _cut_off(prefixes: tuple[str, ...], protocol: str) -> tuple[str, ...]:
    if protocol == HTTP:
        raise EmperorError(
            f"{prefixes[0]}: HTTP has no SCRIPT_NAME to tell the app where it is -- write script-name = {prefixes[0]} "
            "in its ini (with mounts: manage-script-name = true), or give it a FastCGI or uwsgi socket"
        )
    return prefixes


def _prefixes(mounts: Iterable[str]) -> tuple[str, ...]:
    """None if the root is among them: whoever serves that is given everything."""
    found = tuple(mounts)
    for one in found:
        if one and not is_prefix(one):
            raise EmperorError(f"mount: a prefix {_UNWRITABLE}")
    return () if "" in found else found


def _static(
    spec: VassalSpec, wish: Wish, prefixes: tuple[str, ...], asks_disk_first: bool
) -> tuple[list[Static], list[str]]:
    """And what is left out, because it would hide the app, or is not its user's to show.

    uWSGI matches against PATH_INFO: below a prefix that the web server has cut off, that is what is left of it.
    """
    known = {target.mount.rstrip("/") for target in spec.targets} | {spec.script_name.rstrip("/")}
    base = wish.prefix if wish.prefix and wish.prefix not in known else ""
    hidden = {f"{each}/" for each in prefixes} | set(() if asks_disk_first and wish.whole and not prefixes else "/")
    found: dict[str, Static] = {}
    hiding = []
    for prefix, path in spec.static_map:
        url = prefix.strip("/")
        if url and not is_prefix("/" + url):
            raise EmperorError(f"static-map: a prefix {_UNWRITABLE}")
        one = _entry(f"{base}/{url}" if url else base, check_path("static-map", path))
        if spec.authority.kind == OWNER and not _at_home(spec.identity, path):
            hiding.append(
                f"static-map: {one.url} is left out: {printable(spec.identity.user)} wrote the ini, and {path} is not "
                "in that user's home -- if everybody may see it, write it into the web server's configuration yourself"
            )
        elif one.url in hidden:
            hiding.append(
                f"static-map: {one.url} is left out: there the web server would hide the app from everybody -- "
                "give the files a prefix of their own"
            )
        else:
            found.setdefault(one.url, one)
    return list(found.values()), hiding


def _at_home(who: Identity, path: str) -> bool:
    """The web server may read what the user may not. That no link leads out of it, the web server is told."""
    home = who.home.rstrip("/")
    return home.startswith("/") and ".." not in path.split("/") and f"{path.rstrip('/')}/".startswith(f"{home}/")


def _entry(url: str, path: str) -> Static:
    """uWSGI lets one file stand on the right. We do not look: one suffix on both sides means that."""
    suffix = posixpath.splitext(path)[1]
    if suffix and posixpath.splitext(url)[1] == suffix:
        return Static(url, path)
    return Static(url + "/", path.rstrip("/") + "/")
