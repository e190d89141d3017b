"""Apache's directives -> where it passes requests: virtual hosts, sections, which ProxyPass comes first. Pure.

Source: httpd.apache.org/docs/2.4: mod_proxy, mod_proxy_fcgi, mod_proxy_uwsgi, mod_rewrite, mod_fcgid; vhosts/details.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

from emperor.model import FASTCGI, HTTP, UWSGI, Address
from emperor.webservers.route import APACHE, Route, WebServer, Where
from emperor.webservers.tree import Statement, literal, seconds, tcp_address, unix_address

_SCHEMES = {"fcgi": FASTCGI, "uwsgi": UWSGI, "http": HTTP, "https": HTTP, "scgi": "scgi", "h2c": HTTP}
_MODULES = {FASTCGI: "proxy_fcgi", UWSGI: "proxy_uwsgi", HTTP: "proxy_http", "scgi": "proxy_scgi"}
_PORTS = {"http": 80, "https": 443, "fcgi": 8000, "uwsgi": 3031, "scgi": 4000, "h2c": 80}
"""Apache's own, where the URL names none."""
_PLACES = ("location", "locationmatch")
_SECTIONS = (*_PLACES, "directory", "directorymatch", "files", "filesmatch", "if", "elseif", "else", "requireany")
_URL = re.compile(r"(?:unix:(?P<path>[^|]*)\|)?(?P<scheme>[a-z0-9]+):(?://)?(?P<rest>.*)", re.DOTALL | re.IGNORECASE)
_DISTRIBUTIONS = re.compile(r"(.*/)?(sites-(enabled|available)/(000-)?default(\.conf)?|conf\.d/welcome\.conf)")
_DEEPEST = 60
_MOST_PASSES = 200
"""Of one block, that are compared with those after them."""


class _Target(NamedTuple):
    protocol: str
    address: Optional[Address]


class _Level(NamedTuple):
    host: str = ""
    prefix: str = "/"
    timeout: Optional[float] = None
    """Timeout's; ProxyTimeout goes before it."""
    proxied: Optional[float] = None
    kept: Optional[float] = None
    """FcgidIOTimeout's."""
    body: Optional[int] = None
    limits: Mapping[str, int] = {}
    """What <Location> says of LimitRequestBody."""
    shadow: Optional[Where] = None

    @property
    def patience(self) -> float | None:
        return self.timeout if self.proxied is None else self.proxied


class _World(NamedTuple):
    modules: frozenset[str]
    groups: Mapping[str, Sequence[tuple[str, Where, float | None]]]
    """balancer:// -> its members."""
    waits: Mapping[str, float]
    """What <Proxy URL> says of a worker's timeout."""


def gather(conf: str, statements: Sequence[Statement], modules: frozenset[str]) -> WebServer:
    """Everything that stands in a configuration whose includes are drawn in and whose conditions are decided."""
    hosts = [one for one in statements if one.name == "virtualhost" and one.block is not None]
    known = _directory(hosts)
    world = _World(modules, _groups(statements), _waits(statements))
    level = _entered(_Level(), statements)
    routes = list(_routes(statements, level, world, 0))
    for host in hosts:
        names = _names(host)
        inner = _entered(level, host.block or ())._replace(host=next(iter(names), ""), shadow=_shadow(host, known))
        routes += _routes(host.block or (), inner, world, 0)
    default = next((one.where for one in hosts if _DISTRIBUTIONS.fullmatch(one.where.file)), None)
    user, group = _last(statements, "user"), _last(statements, "group")
    flaws = [f"{line}: a variable in it is not known" for line in _unknown(statements)]
    user, group = (one if "${" not in one else "" for one in (user, group))
    return WebServer(APACHE, conf, user, group, (), tuple(routes), default, tuple(flaws))


def _last(statements: Iterable[Statement], name: str) -> str:
    return next((one.args[0] for one in reversed(tuple(statements)) if one.name == name and one.args), "")


def _unknown(statements: Iterable[Statement]) -> Iterator[str]:
    for one in statements:
        if one.name in ("user", "group") and one.args and "${" in one.args[0]:
            yield f"{one.where}: {one.name}"


def _entered(around: _Level, block: Iterable[Statement]) -> _Level:
    level, limits = around, dict(around.limits)
    for one in block:
        if not one.args:
            continue
        if one.name == "timeout":
            level = level._replace(timeout=seconds(one.args[0]))
        elif one.name == "proxytimeout":
            level = level._replace(proxied=seconds(one.args[0]))
        elif one.name == "fcgidiotimeout":
            level = level._replace(kept=seconds(one.args[0]))
        elif one.name == "limitrequestbody":
            level = level._replace(body=_limit(one))
        elif one.name in _PLACES:
            found = [_limit(inner) for inner in one.block or () if inner.name == "limitrequestbody"]
            limits.update({_prefix(one): limit for limit in found if limit is not None})
    return level._replace(limits=limits)


def _limit(one: Statement) -> int | None:
    return int(one.args[0]) if one.args and re.fullmatch("[0-9]{1,15}", one.args[0]) else None


def _prefix(section: Statement) -> str:
    if not section.args:
        return "/"
    if section.name == "locationmatch" or section.args[0] == "~":
        return literal(section.args[-1])
    return section.args[0] if section.args[0].startswith("/") else "/"


def _groups(statements: Iterable[Statement], depth: int = 0) -> dict[str, list[tuple[str, Where, float | None]]]:
    found: dict[str, list[tuple[str, Where, float | None]]] = {}
    for one in statements:
        if one.name == "proxy" and one.args and one.args[0].startswith("balancer://"):
            group = found.setdefault(one.args[0].rstrip("/"), [])
            for member in one.block or ():
                if member.name == "balancermember" and member.args:
                    group.append((member.args[0], member.where, _timeout(member.args[1:])))
        elif one.name == "balancermember" and len(one.args) > 1 and one.args[0].startswith("balancer://"):
            member_of = found.setdefault(one.args[0].rstrip("/"), [])
            member_of.append((one.args[1], one.where, _timeout(one.args[2:])))
        elif one.block and depth < _DEEPEST:
            for name, members in _groups(one.block, depth + 1).items():
                found.setdefault(name, []).extend(members)
    return found


def _waits(statements: Iterable[Statement], depth: int = 0) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in statements:
        if one.name == "proxy" and one.args:
            for inner in one.block or ():
                told = _timeout(inner.args) if inner.name == "proxyset" else None
                found.update({} if told is None else {one.args[0].rstrip("/"): told})
        elif one.block and depth < _DEEPEST:
            found.update(_waits(one.block, depth + 1))
    return found


def _timeout(words: Iterable[str]) -> float | None:
    return next((seconds(word[8:]) for word in words if word.startswith("timeout=")), None)


def _names(host: Statement) -> list[str]:
    found: list[str] = []
    for one in host.block or ():
        if one.name == "servername" and one.args:
            found.insert(0, re.sub(r"^\w+://|:\d+$", "", one.args[0]).lower())
        elif one.name == "serveralias":
            found += [name.lower() for name in one.args]
    return found


class _Directory(NamedTuple):
    """Who answers where: the first host of each place, and the first of each name there."""

    firsts: Mapping[str, Statement]
    named: Mapping[tuple[str, str], Statement]


def _directory(hosts: Iterable[Statement]) -> _Directory:
    firsts: dict[str, Statement] = {}
    named: dict[tuple[str, str], Statement] = {}
    for host in hosts:
        names = _names(host)
        for place in _stands(host):
            firsts.setdefault(place, host)
            for name in names:
                named.setdefault((place, name), host)
    return _Directory(firsts, named)


def _shadow(host: Statement, known: _Directory) -> Where | None:
    """Who takes its requests, if it gets none at all: not the first at its address, and no name that is its own."""
    taken: Where | None = None
    for place in _stands(host):
        owners = [known.named[place, name] for name in _names(host)]
        if known.firsts[place] is host or any(owner is host for owner in owners):
            return None
        taken = taken or (owners or [known.firsts[place]])[0].where
    return taken


def _stands(host: Statement) -> list[str]:
    return [_place(arg) for arg in host.args or ("*",)]


def _place(text: str) -> str:
    whole = text.replace("_default_", "*").lower()
    return whole if re.search(r":(\d+|\*)$", whole) else f"{whole}:*"


def _routes(block: Sequence[Statement], level: _Level, world: _World, depth: int) -> Iterator[Route]:
    seen: list[tuple[str, Where]] = []
    for one in block:
        for route in _passed(one, level, world):
            earlier = next((where for path, where in seen if _covers(path, route.prefix)), None)
            yield route._replace(shadow=level.shadow or earlier)
        if one.name == "proxypass" and len(one.args) > 1 and one.args[0].startswith("/") and len(seen) < _MOST_PASSES:
            seen.append((one.args[0], one.where))
        elif one.block and one.name in _SECTIONS and depth < _DEEPEST:
            inner = _entered(level, one.block)
            inner = inner._replace(prefix=_prefix(one)) if one.name in _PLACES else inner
            yield from _routes(one.block, inner, world, depth + 1)


def _covers(earlier: str, later: str) -> bool:
    """Is every path of the later one taken by the earlier one already?"""
    return later.startswith(earlier) and (earlier.endswith("/") or later[len(earlier) :][:1] in ("", "/"))


def _passed(one: Statement, level: _Level, world: _World) -> Iterator[Route]:
    args = one.args
    if one.name in ("proxypass", "proxypassmatch"):
        prefix, target, rest = level.prefix, args[0] if args else "!", args[1:]
        if len(args) > 1 and "=" not in args[1].partition("://")[0]:
            prefix, target, rest = args[0], args[1], args[2:]
            prefix = literal(prefix) if one.name == "proxypassmatch" else prefix
        if target != "!":
            yield from _targeted(one, target, level._replace(prefix=prefix), world, _timeout(rest))
    elif one.name in ("sethandler", "addhandler") and args and args[0].lower().startswith("proxy:"):
        for route in _targeted(one, args[0][6:], level, world, None):
            yield route._replace(raw=f"proxy:{route.raw}")
    elif one.name == "rewriterule" and len(args) > 2 and _proxies(args[2]):
        yield from _targeted(one, args[1], level._replace(prefix=literal(args[0])), world, None)
    elif one.name in ("fastcgiexternalserver", "fcgidwrapper") and args:
        yield _external(one, level, world)


def _proxies(flags: str) -> bool:
    return bool({"p", "proxy"} & {flag.strip().lower() for flag in flags.strip("[]").split(",")})


def _targeted(one: Statement, target: str, level: _Level, world: _World, told: float | None) -> Iterator[Route]:
    group = re.match("balancer://[^/]*", target)
    if group is not None:
        for member, where, wait in world.groups.get(group[0], ()):
            for route in _targeted(one, member, level, world, told if wait is None else wait):
                yield route._replace(told=where)
        return
    found = _target(target)
    if found is None:
        return
    wait = told if told is not None else world.waits.get(target.rstrip("/"), level.patience)
    yield Route(
        APACHE,
        found.protocol,
        found.address,
        target,
        one.where,
        level.host,
        level.prefix,
        timeout=wait,
        body_limit=_limited(level),
        lacks=_lacking(found.protocol, world.modules),
    )


def _limited(level: _Level) -> int | None:
    """The longest <Location> that fits goes before what stands outside it."""
    fitting = [path for path in level.limits if _covers(path, level.prefix)]
    return level.limits[max(fitting, key=len)] if fitting else level.body


def _lacking(protocol: str, modules: frozenset[str]) -> str:
    return next((one for one in ("proxy", _MODULES.get(protocol, "proxy")) if one not in modules), "")


def _target(text: str) -> _Target | None:
    """None: nothing that Apache can pass to, or no app server's protocol."""
    match = _URL.fullmatch(text)
    if not match or match["scheme"].lower() not in _SCHEMES:
        return None
    scheme = match["scheme"].lower()
    protocol = _SCHEMES[scheme]
    if match["path"] is not None:
        return _Target(protocol, None if re.search(r"\$\{|%\{", match["path"]) else unix_address(match["path"]))
    authority = match["rest"].partition("/")[0]
    return _Target(protocol, None if re.search("[$%]", authority) else tcp_address(authority, _PORTS[scheme]))


def _external(one: Statement, level: _Level, world: _World) -> Route:
    """mod_fastcgi's external servers; a program that Apache starts itself has no address."""
    module, wait, address = "fcgid", level.kept, None
    if one.name == "fastcgiexternalserver":
        module = "fastcgi"
        words = dict(zip(one.args[1:], one.args[2:], strict=False))
        wait = seconds(words.get("-idle-timeout", "30"))
        socket = words.get("-socket", "")
        address = unix_address(socket) if socket.startswith("/") else tcp_address(words.get("-host", ""))
    lacks = "" if module in world.modules else module
    return Route(APACHE, FASTCGI, address, one.name, one.where, level.host, level.prefix, timeout=wait, lacks=lacks)
