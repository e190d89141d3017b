"""What is to be written into a web server's configuration, and what to type afterwards. Pure.

It promises: a path that could end a line, a string or a directive is never part of a line to be copied.
"""

from __future__ import annotations

import math
import re
import shlex

from emperor.model import FASTCGI, HTTP, UNIX, UWSGI, Address
from emperor.webservers.route import APACHE, LIGHTTPD, NGINX, Route, WebServer, Where

_PLAIN = re.compile(r"[A-Za-z0-9_./@%+:,\[\]-]+", re.ASCII)
_NGINX = {UWSGI: "uwsgi", FASTCGI: "fastcgi", HTTP: "proxy", "scgi": "scgi"}
_APACHE = {UWSGI: "uwsgi", FASTCGI: "fcgi", HTTP: "http"}
_UNITS = {NGINX: "nginx", APACHE: "apache2", LIGHTTPD: "lighttpd"}
_USUAL = {
    NGINX: "/etc/nginx/nginx.conf",
    APACHE: "/etc/apache2/apache2.conf",
    LIGHTTPD: "/etc/lighttpd/lighttpd.conf",
}
_TESTS = {NGINX: "nginx -t -c", APACHE: "apache2ctl -t -f", LIGHTTPD: "lighttpd -tt -f"}
_USUAL_TESTS = {NGINX: "nginx -t", APACHE: "apache2ctl configtest", LIGHTTPD: f"lighttpd -tt -f {_USUAL[LIGHTTPD]}"}
_STARTS = {NGINX: ("nginx -c", ""), APACHE: ("apache2ctl -f", " -k start"), LIGHTTPD: ("lighttpd -f", "")}
_SIGNALS = {NGINX: "HUP", APACHE: "USR1", LIGHTTPD: "USR1"}
"""After which it reads its files anew, and no request is lost."""


def tests(server: WebServer) -> str:
    """The command by which the server itself judges its files."""
    if server.conf in ("", _USUAL[server.kind]):
        return _USUAL_TESTS[server.kind]
    return f"{_as_writer(server)}{_TESTS[server.kind]} {shlex.quote(server.conf)}"


def _as_writer(server: WebServer) -> str:
    """A configuration may load modules and run programs, even where it is only judged."""
    return f"runuser -u {shlex.quote(server.writer)} -- " if server.writer else ""


def reload(server: WebServer) -> str:
    return f"{tests(server)} && {_signal(server)}"


def _signal(server: WebServer) -> str:
    if server.pids and server.conf != _USUAL[server.kind]:
        return f"kill -{_SIGNALS[server.kind]} {server.pids[-1]}"
    return f"systemctl reload {_UNITS[server.kind]}"


def start(server: WebServer) -> str:
    if server.conf in ("", _USUAL[server.kind]):
        return f"systemctl start {_UNITS[server.kind]}"
    command, after = _STARTS[server.kind]
    return f"{_as_writer(server)}{command} {shlex.quote(server.conf)}{after}"


def restart(server: WebServer) -> str:
    """New groups, or a new module, count only for new processes."""
    return f"systemctl restart {_UNITS[server.kind]}"


def unit(server: WebServer) -> str:
    return _UNITS[server.kind]


def at(where: Where) -> str:
    return f"  # {where}"


def module(server: WebServer, name: str) -> str:
    if server.kind == APACHE:
        return f"a2enmod {name} && {restart(server)}"
    if server.kind == LIGHTTPD:
        return f"lighty-enable-mod {name.removeprefix('mod_')} && {restart(server)}"
    return restart(server)


def passes(route: Route, protocol: str, address: Address, conf: str = "") -> tuple[str, ...]:
    """The line that passes what ``route`` takes to ``address``, as it stands in that server's language.

    ``conf``: the main file.

    None at all if the address cannot be written there.
    """
    if not _PLAIN.fullmatch(str(address)) or protocol not in _APACHE:
        return ()
    if route.server == NGINX:
        return _nginx(route, protocol, address, conf)
    if route.server == APACHE:
        return _apache(route, protocol, address)
    return _lighttpd(route, protocol, address)


def _nginx(route: Route, protocol: str, address: Address, conf: str) -> tuple[str, ...]:
    target = f"unix:{address.path}" if address.family == UNIX else _near(address)
    if route.told is not None and protocol == route.protocol:
        return (f"server {target};{at(route.told)}",)
    lines: tuple[str, ...] = ()
    if protocol != HTTP and (protocol != route.protocol or not route.variables):
        lines = (f"include {_params(protocol, conf)};{at(route.where)}",)
    scheme = "http://" if protocol == HTTP else ""
    return (*lines, f"{_NGINX[protocol]}_pass {scheme}{target};{at(route.where)}")


def _apache(route: Route, protocol: str, address: Address) -> tuple[str, ...]:
    scheme = _APACHE[protocol]
    _, _, rest = route.raw.rpartition("|")[2].partition("://")
    host, slash, path = rest.partition("/")
    tail = slash + path if _PLAIN.fullmatch(slash + path) else ""
    name = host if address.family == UNIX and _PLAIN.fullmatch(host) and "/" not in host else "localhost"
    target = f"{scheme}://{_near(address)}{tail}"
    if address.family == UNIX:
        target = f"unix:{address.path}|{scheme}://{name}{tail}"
    where = route.told or route.where
    if route.told is not None:
        return (f'BalancerMember "{target}"{at(where)}',)
    if route.raw.startswith("proxy:"):
        return (f'SetHandler "proxy:{target}"{at(where)}',)
    if "$" in route.raw or not _PLAIN.fullmatch(route.prefix):
        return (f"# its target begins with {target.removesuffix(tail)}: {where}",)
    return (f'ProxyPass "{route.prefix}" "{target}"{at(where)}',)


def _lighttpd(route: Route, protocol: str, address: Address) -> tuple[str, ...]:
    words = f'"socket" => "{address.path}"'
    if address.family != UNIX:
        words = f'"host" => "{address.host or "127.0.0.1"}", "port" => {address.port}'
    if protocol == route.protocol:
        return (f"{words}{at(route.where)}",)
    option = {FASTCGI: "fastcgi.server", UWSGI: "scgi.server", HTTP: "proxy.server"}[protocol]
    words += "" if protocol == HTTP else ', "check-local" => "disable"'
    prefix = route.prefix if _PLAIN.fullmatch(route.prefix) else "/"
    if protocol != HTTP and prefix == "/":
        words += ', "fix-root-scriptname" => "enable"'
    line = f'{option} = ( "{prefix}" => (( {words} )) ){at(route.where)}'
    return (line, f'scgi.protocol = "uwsgi"{at(route.where)}') if protocol == UWSGI else (line,)


def _near(address: Address) -> str:
    """For somebody on this machine."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    return str(Address(address.family, host=host, port=address.port))


def params(route: Route, conf: str = "") -> tuple[str, ...]:
    return (f"include {_params(route.protocol, conf)};{at(route.where)}",)


def _params(protocol: str, conf: str) -> str:
    """nginx looks for it beside its main file, and only a distribution's has it there."""
    folder = "" if conf in ("", _USUAL[NGINX]) or conf.startswith("/usr/local/") else "/etc/nginx/"
    return f"{folder}{_NGINX[protocol]}_params"


def only_files(route: Route) -> tuple[str, ...]:
    return (f'"check-local" => "disable",{at(route.where)}',)


def moved(route: Route, prefix: str) -> tuple[str, ...]:
    """``prefix``: where the app is mounted."""
    if not _PLAIN.fullmatch(prefix):
        return ()
    line = f"location {prefix}" if route.server == NGINX else f'"{prefix}" =>'
    return (f"{line}  # around {route.where}",)


def waits(route: Route, needed: float) -> tuple[str, ...]:
    """``needed``: seconds."""
    whole = math.ceil(needed)
    if route.server == NGINX:
        return (f"{_NGINX[route.protocol]}_read_timeout {whole}s;{at(route.where)}",)
    if route.server == APACHE:
        return (f"timeout={whole}  # at the end of the ProxyPass in {route.where}, or ProxyTimeout {whole}",)
    return (f'"read-timeout" => {whole}{at(route.where)}',)


def takes(route: Route, size: int) -> tuple[str, ...]:
    """``size``: bytes of a request's body."""
    if route.server == NGINX:
        return (f"client_max_body_size {size};{at(route.where)}",)
    if route.server == APACHE:
        return (f"LimitRequestBody {size}  # in the <Location> of {route.where}",)
    return (f"server.max-request-size = {math.ceil(size / 1024)}{at(route.where)}",)


def removes(server: WebServer, site: Where) -> str:
    """What takes a site away that stands where Debian has them; "": it stands elsewhere."""
    name = site.file.rpartition("/")[2]
    if "/sites-enabled/" not in site.file or not _PLAIN.fullmatch(site.file):
        return ""
    if server.kind == APACHE and server.conf == _USUAL[APACHE]:
        return f"a2dissite {name.removesuffix('.conf')}"
    return f"rm {site.file}"
