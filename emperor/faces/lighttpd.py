"""A vassal's facts as lighttpd wants to be told.

Source: redmine.lighttpd.net, mod_fastcgi, mod_scgi (which speaks uwsgi), mod_proxy, configuration; lighttpd 1.4.56 or
newer.
"""

from __future__ import annotations

import math

from emperor.faces.facts import Facts, Static
from emperor.faces.layout import below, harakiri, head, indented, pattern, quoted, size, text
from emperor.model import FASTCGI, HTTP, UWSGI

_MODULES = {FASTCGI: "mod_fastcgi", UWSGI: "mod_scgi", HTTP: "mod_proxy"}
_WORDS = {FASTCGI: "fastcgi.server", UWSGI: "scgi.server", HTTP: "proxy.server"}


def render(facts: Facts) -> str:
    """The whole text."""
    modules = list(_MODULES.values()) if facts.prefixes else [_MODULES[facts.protocol]]
    modules += [*(["mod_alias"] if facts.static else []), *(["mod_setenv"] if facts.protocol == HTTP else [])]
    lines = [*head("lighttpd", facts, _how(facts)), ""]
    lines += [f'server.modules += ( "{module}" )' for module in modules]
    inner = _branches(facts)
    if facts.wish.server_name:
        inner = [f'$HTTP["host"] == {quoted(facts.wish.server_name)} {{', *indented(inner), "}"]
    return text([*lines, "", *inner])


def _how(facts: Facts) -> list[str]:
    name, order = facts.name, 60 if facts.prefixes else 50
    lines = [
        f"Save it as /etc/lighttpd/conf-available/{order}-{name}.conf, then:",
        f"    lighty-enable-mod {name}",
        "    lighttpd -tt -f /etc/lighttpd/lighttpd.conf && systemctl restart lighttpd",
        "Where lighttpd listens stands in its lighttpd.conf (server.port).",
    ]
    if facts.prefixes:
        lines.append("It must be read after what serves the root of the site: the last one counts. Hence 60.")
    if facts.protocol == UWSGI:
        lines.append("lighttpd speaks uwsgi by its mod_scgi; fastcgi-socket = /PATH in the ini is the more usual way.")
    return lines


def _branches(facts: Facts) -> list[str]:
    """A chain: what lighttpd serves itself must not reach the app, which is asked before any file is looked for."""
    branches = [(_condition(one), _static(one, facts)) for one in facts.static]
    everything = below(facts.prefixes) if facts.prefixes else "^/"
    branches.append((f"=~ {quoted(everything)}", _served(facts)))
    lines: list[str] = []
    for condition, inside in branches:
        word = "else $HTTP" if lines else "$HTTP"
        lines += [f'{word}["url"] {condition} {{', *indented(inside), "}"]
    return lines


def _condition(one: Static) -> str:
    return f"== {quoted(one.url)}" if one.is_file else f"=~ {quoted('^' + pattern((one.url,)))}"


def _static(one: Static, facts: Facts) -> list[str]:
    lines = ["# static-map: lighttpd serves these, and the app is not asked."]
    if not one.is_file:
        lines.append("# Both with a slash at their ends, or lighttpd would serve what lies beside the folder as well.")
    lines += [f"alias.url = ( {quoted(one.url)} => {quoted(one.path)} )", *_instead(facts)]
    if facts.owned:
        lines += ["# The folder is its user's: no link in it may lead to what is others'."]
        lines += ['server.follow-symlink = "disable"']
    return lines


def _instead(facts: Facts, but: str = "") -> list[str]:
    """Below a prefix what serves the root of the site would be asked as well."""
    words = [word for protocol, word in _WORDS.items() if protocol != but] if facts.prefixes else []
    return ["# Not what serves the root of the site.", *(f"{word} = ()" for word in words)] if words else []


def _served(facts: Facts) -> list[str]:
    lines = [*_instead(facts, but=facts.protocol), f"# {size(facts)}"]
    # In KiB, rounded up; the app's server has the ini's own number.
    lines.append(f"server.max-request-size = {math.ceil(facts.limit_post / 1024)}")
    lines += ["# For apps that stream:", "# server.stream-response-body = 1"]
    if facts.protocol == UWSGI:
        lines.append('scgi.protocol = "uwsgi"')
    if facts.protocol == HTTP:
        lines += _forwarded(facts)
    if not facts.split:
        return lines + _host(facts, "/" if facts.protocol != HTTP else "")
    hosts = [line for prefix in facts.prefixes for line in _entry(facts, prefix)]
    return [*lines, f"{_WORDS[facts.protocol]} = (", *indented(hosts), ")"]


def _host(facts: Facts, key: str) -> list[str]:
    return [f"{_WORDS[facts.protocol]} = (", *indented(_entry(facts, key)), ")"]


def _entry(facts: Facts, key: str) -> list[str]:
    values = []
    if facts.protocol == HTTP:
        values.append(f'"host" => {quoted(facts.address.path if facts.unix else facts.near.rpartition(":")[0])},')
    elif facts.unix:
        values.append(f'"socket" => {quoted(facts.address.path)},')
    else:
        values.append(f'"host" => {quoted(facts.near.rpartition(":")[0].strip("[]"))},')
    if not facts.unix:
        values.append(f'"port" => {facts.address.port},')
    if facts.protocol != HTTP:
        values += ["# No file of this name need exist.", '"check-local" => "disable",']
        if key == "/":
            values += ["# The whole path is PATH_INFO.", '"fix-root-scriptname" => "enable",']
    if facts.harakiri:
        values += [f"# {harakiri(facts)}", f'"read-timeout" => {facts.patience},']
    return [f"{quoted(key)} => ((", *indented(values), ")),"]


def _forwarded(facts: Facts) -> list[str]:
    """mod_proxy writes For, Host and Proto itself."""
    if facts.proxies > 1:
        return []
    names = ("For", "Host", "Proto", "Port", "Prefix")
    pairs = ", ".join(f'"X-Forwarded-{name}" => ""' for name in names)
    return ["# proxy-fix believes these: a visitor must not invent them.", f"setenv.set-request-header = ( {pairs} )"]
