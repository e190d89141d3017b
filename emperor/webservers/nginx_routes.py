"""nginx's directives -> where it passes requests: levels, inheritance, which server takes a request. Pure.

Source: nginx.org/en/docs/http: ngx_http_core_module, ngx_http_{uwsgi,fastcgi,scgi,proxy,upstream}_module,
request_processing.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

from emperor.model import FASTCGI, HTTP, UWSGI, Address
from emperor.webservers.route import NGINX, Route, WebServer, Where
from emperor.webservers.tree import Statement, literal, seconds, size, tcp_address, unix_address

SCGI = "scgi"
_PREFIXES = {"uwsgi": UWSGI, "fastcgi": FASTCGI, "proxy": HTTP, "scgi": SCGI}
"""What the directives of each protocol begin with."""
_ALWAYS = "REQUEST_METHOD"
"""The variable without which no app can be asked anything; every params file has it."""
_PATHS = {"PATH_INFO": "$document_uri", "REQUEST_URI": "$request_uri", "SCRIPT_NAME": "$fastcgi_script_name"}
"""As uwsgi_params and fastcgi_params tell them."""
_NAMELESS = ("", "_", "--", "!@#")
_DISTRIBUTIONS = re.compile(r"(.*/)?(sites-(enabled|available)/(000-)?default(\.conf)?|conf\.d/default\.conf)")
_NOT_HTTP = ("upstream", "map", "geo", "types", "split_clients", "stream", "mail", "events")
_DEEPEST = 60


class _Target(NamedTuple):
    address: Optional[Address]
    where: Where


class _Level(NamedTuple):
    """What holds in a block: what it says, else what the one around it does. Keys are protocols."""

    host: str = ""
    prefix: str = "/"
    variables: Mapping[str, bool] = {}
    timeout: Mapping[str, float] = {}
    body: Optional[int] = None
    shadow: Optional[Where] = None
    ends: Optional[Where] = None
    """The server's own ``return``; it comes before its locations are looked for."""
    answered: Optional[Where] = None
    pattern: str = ""
    rewrites: bool = False
    rewritten: frozenset[str] = frozenset()
    """Protocols whose params tell another path."""


class _Server(NamedTuple):
    statement: Statement
    level: _Level
    listens: tuple[tuple[str, bool], ...]
    names: tuple[str, ...]


def gather(conf: str, statements: Sequence[Statement]) -> WebServer:
    """Everything that stands in a configuration whose includes are drawn in already."""
    user, group = "", ""
    for one in statements:
        if one.name == "user" and one.args:
            user, group = one.args[0], one.args[1] if len(one.args) > 1 else one.args[0]
    servers: list[_Server] = []
    upstreams: dict[str, list[_Target]] = {}
    for http in (one for one in statements if one.name == "http" and one.block is not None):
        inner = http.block or ()
        level = _entered(_Level(), inner)
        for one in inner:
            if one.name == "upstream" and one.args:
                upstreams[one.args[0]] = list(_members(one))
            elif one.name == "server" and one.block is not None:
                servers.append(_server(one, _entered(level, one.block)))
    known = _directory(servers)
    routes: list[Route] = []
    for server in servers:
        ends = _return(server.statement.block or ())
        rewrites = any(one.name in ("rewrite", "if") for one in server.statement.block or ())
        level = server.level._replace(shadow=_shadow(server, known), ends=ends, answered=ends, rewrites=rewrites)
        named = _named(server.statement.block or ())
        routes += _routes(server.statement.block or (), level, upstreams, named, 0)
    return WebServer(NGINX, conf, user, group, routes=tuple(routes), default_site=_default_site(servers))


def _entered(around: _Level, block: Iterable[Statement]) -> _Level:
    variables, timeout, body = dict(around.variables), dict(around.timeout), around.body
    given: dict[str, set[str]] = {}
    paths: set[str] = set()
    for one in block:
        kind, _, rest = one.name.partition("_")
        if one.name == "client_max_body_size" and one.args:
            body = size(one.args[0])
        elif kind in _PREFIXES and rest == "param" and one.args:
            given.setdefault(_PREFIXES[kind], set()).add(one.args[0])
            paths |= {_PREFIXES[kind]} if _tells_another_path(one.args) else set()
        elif kind in _PREFIXES and rest == "read_timeout" and one.args:
            told = seconds(" ".join(one.args))
            timeout.update({} if told is None else {_PREFIXES[kind]: told})
    # One param of a level's own, and it inherits none.
    variables.update({protocol: _ALWAYS in names for protocol, names in given.items()})
    rewritten = (around.rewritten - given.keys()) | paths
    return around._replace(variables=variables, timeout=timeout, body=body, rewritten=rewritten)


def _tells_another_path(param: Sequence[str]) -> bool:
    return param[0] in _PATHS and param[1:2] != (_PATHS[param[0]],)


def _return(block: Iterable[Statement]) -> Where | None:
    """That each request comes to: what may leave the list of ngx_http_rewrite_module before it is taken at its word."""
    for one in block:
        inner = {each.name for each in one.block or ()} if one.name == "if" else set[str]()
        if {one.name, *inner} & {"break", "rewrite"}:
            return None
        if one.name == "return":
            return one.where
    return None


def _members(upstream: Statement) -> Iterator[_Target]:
    for one in upstream.block or ():
        if one.name == "server" and one.args and "down" not in one.args[1:]:
            yield _Target(_address(one.args[0], 80), one.where)


def _address(text: str, port: int = 0) -> Address | None:
    if "$" in text:
        return None
    return unix_address(text[5:]) if text.startswith("unix:") else tcp_address(text, port)


def _server(statement: Statement, level: _Level) -> _Server:
    listens: list[tuple[str, bool]] = []
    names: list[str] = []
    for one in statement.block or ():
        if one.name == "listen" and one.args:
            listens.append((_place(one.args[0]), bool({"default_server", "default"} & set(one.args[1:]))))
        elif one.name == "server_name":
            names += [name.lower() for name in one.args]
    host = next((name for name in names if name not in _NAMELESS), "")
    return _Server(statement, level._replace(host=host), tuple(listens) or (("*:80", False),), tuple(names))


def _place(text: str) -> str:
    if text.startswith("unix:"):
        return text
    if re.fullmatch(r"[0-9]{1,5}", text):
        return f"*:{text}"
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "80"
    return f"{'*' if host in ('*', '0.0.0.0') else host}:{port}"


class _Directory(NamedTuple):
    """Who answers where: each place's default, and the first of each name there."""

    defaults: Mapping[str, _Server]
    named: Mapping[tuple[str, str], _Server]


def _directory(servers: Iterable[_Server]) -> _Directory:
    firsts: dict[str, _Server] = {}
    chosen: dict[str, _Server] = {}
    named: dict[tuple[str, str], _Server] = {}
    for server in servers:
        for place, is_default in server.listens:
            firsts.setdefault(place, server)
            if is_default:
                chosen.setdefault(place, server)
            for name in server.names:
                named.setdefault((place, name), server)
    return _Directory({**firsts, **chosen}, named)


def _shadow(server: _Server, known: _Directory) -> Where | None:
    """Who takes its requests, if it gets none at all: by no name of its own, and as nobody's default."""
    taken: Where | None = None
    for place, _ in server.listens:
        owners = [known.named[place, name] for name in server.names if name not in _NAMELESS]
        if known.defaults[place] is server or any(owner is server for owner in owners):
            return None
        taken = taken or (owners or [known.defaults[place]])[0].statement.where
    return taken


def _default_site(servers: Sequence[_Server]) -> Where | None:
    return next((one.statement.where for one in servers if _DISTRIBUTIONS.fullmatch(one.statement.where.file)), None)


def _named(block: Iterable[Statement], prefix: str = "/", depth: int = 0) -> dict[str, str]:
    """``@app`` -> the path of the location that hands its requests on to it."""
    found: dict[str, str] = {}
    for one in block:
        if one.name in ("try_files", "error_page") and one.args and one.args[-1].startswith("@"):
            found.setdefault(one.args[-1], prefix)
        elif one.block and depth < _DEEPEST:
            inner = _path(one.args, {}) if one.name == "location" else prefix
            found = {**_named(one.block, inner, depth + 1), **found}
    return found


def _path(args: Sequence[str], named: Mapping[str, str]) -> str:
    """A location's. ``location ~ \\.php$``: what it begins with cannot be told."""
    if not args:
        return "/"
    last = args[-1]
    if last.startswith("@"):
        return named.get(last, "/")
    if args[0] in ("~", "~*") or last.startswith("~"):
        return literal(last.lstrip("~*"))
    return last.lstrip("=^~") if len(args) == 1 else last


def _routes(
    block: Iterable[Statement],
    level: _Level,
    upstreams: Mapping[str, Sequence[_Target]],
    named: Mapping[str, str],
    depth: int,
) -> Iterator[Route]:
    for one in block:
        kind, _, rest = one.name.partition("_")
        if rest == "pass" and kind in _PREFIXES and one.args:
            yield from _passed(one, _PREFIXES[kind], level, upstreams)
        elif one.block and one.name not in _NOT_HTTP and depth < _DEEPEST:
            inner = _entered(level, one.block)
            if one.name == "location":
                inner = _located(one, inner, level, named)
            yield from _routes(one.block, inner, upstreams, named, depth + 1)


def _located(one: Statement, inner: _Level, around: _Level, named: Mapping[str, str]) -> _Level:
    """What ngx_http_rewrite_module does is of the block alone, and a named location comes after the server's."""
    block, called = one.block or (), bool(one.args) and one.args[-1].startswith("@")
    regular = bool(one.args) and one.args[0].startswith("~")
    return inner._replace(
        prefix=_path(one.args, named),
        pattern=" ".join(one.args) if regular else "",
        answered=_return(block) or (None if called else around.ends),
        rewrites=around.rewrites or called or any(each.name in ("rewrite", "if") for each in block),
    )


def _passed(
    one: Statement, protocol: str, level: _Level, upstreams: Mapping[str, Sequence[_Target]]
) -> Iterator[Route]:
    raw = one.args[0]
    secure, target = raw.startswith(("https://", "suwsgi://")), re.sub(r"^(https?|s?uwsgi)://", "", raw)
    if protocol == HTTP:
        target = _without_uri(target)
    route = Route(
        NGINX,
        protocol,
        None,
        raw,
        one.where,
        level.host,
        level.prefix,
        protocol == HTTP or level.variables.get(protocol, False),
        level.timeout.get(protocol),
        level.body,
        shadow=level.shadow,
        answered=level.answered,
        pattern=level.pattern,
        rewritten=level.rewrites or protocol in level.rewritten,
    )
    if target in upstreams:
        yield from (route._replace(address=each.address, told=each.where) for each in upstreams[target])
    elif "$" in raw:
        yield route
    else:
        port = (443 if secure else 80) if protocol == HTTP else 0
        yield route._replace(address=_address(target, port))


def _without_uri(target: str) -> str:
    if target.startswith("unix:"):
        path, _, _ = target[5:].partition(":")
        return f"unix:{path}"
    return target.partition("/")[0]
