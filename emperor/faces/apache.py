"""A vassal's facts as Apache wants to be told: a virtual host of its own, or a part of one that is there.

Source: httpd.apache.org/docs/2.4, mod_proxy, mod_proxy_fcgi, mod_proxy_uwsgi, mod_proxy_http; Apache 2.4.26 or newer.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from collections.abc import Iterable

from emperor.errors import EmperorError
from emperor.faces.facts import Facts, Static
from emperor.faces.layout import harakiri, head, indented, pattern, quoted, size, text
from emperor.model import FASTCGI, HTTP, UWSGI

_SCHEMES = {FASTCGI: "fcgi", UWSGI: "uwsgi", HTTP: "http"}
_MODULES = {FASTCGI: "proxy proxy_fcgi", UWSGI: "proxy proxy_uwsgi", HTTP: "proxy proxy_http headers"}
_NO_STRANGERS = "Options SymLinksIfOwnerMatch"


def render(facts: Facts) -> str:
    """The whole text. EmperorError: Apache cannot be told."""
    lines = head("apache", facts, _how(facts))
    return text([*lines, "", *(_site(facts) if facts.wish.whole else _directives(facts))])


def _how(facts: Facts) -> list[str]:
    name, modules = facts.name, _MODULES[facts.protocol]
    if facts.static:
        modules += " alias"
    if not facts.wish.whole:
        return [
            f"Save it as /etc/apache2/conf-available/{name}.inc and write this line into the site's <VirtualHost>,",
            'above any ProxyPass "/" (of several that fit, the first one counts):',
            f"    Include conf-available/{name}.inc",
            f"then: a2enmod {modules} && apache2ctl configtest && systemctl reload apache2",
        ]
    lines = [f"Save it as /etc/apache2/sites-available/{name}.conf, then:", f"    a2enmod {modules}"]
    lines += [f"    a2ensite {name}", "    apache2ctl configtest && systemctl restart apache2"]
    lines += ["(a module needs the restart; afterwards a reload does)"]
    if facts.port not in (80, 443):
        lines.append(f"Apache listens there only with `Listen {_where(facts)}` in /etc/apache2/ports.conf.")
    if not facts.wish.server_name:
        lines.append("It answers to every name if it is the first site: a2dissite 000-default, or print this with")
        lines.append("--server-name.")
    return lines


def _where(facts: Facts) -> str:
    return f"{facts.host}:{facts.port}" if facts.host else f"{facts.port}"


def _site(facts: Facts) -> list[str]:
    name = facts.wish.server_name
    inner = [f"ServerName {name}" if name else "# ServerName www.example.org", ""]
    inner += ["# %2F in a URL is a slash for the app, as behind nginx; Apache's own way is 404."]
    # Over HTTP the path goes on as it came, and is decoded by the app's server.
    inner += [f"AllowEncodedSlashes {'NoDecode' if facts.protocol == HTTP else 'On'}", ""]
    return [f"<VirtualHost {facts.host or '*'}:{facts.port}>", *indented(inner + _directives(facts)), "</VirtualHost>"]


def _directives(facts: Facts) -> list[str]:
    lines = []
    for one in facts.static:
        lines += [*_static(one, facts), ""]
    lines += [f"# timeout: {harakiri(facts)}"]
    lines += ["# For apps that stream, one word more: flushpackets=on"]
    if facts.protocol == FASTCGI:
        lines += ["# Not enablereuse=on: Apache would send into a connection that a reload has just closed: 503."]
    if facts.protocol == UWSGI:
        lines += ["# Chunked uploads get 411 from mod_proxy_uwsgi: a fastcgi-socket in the ini takes them."]
    for prefix in facts.prefixes or ("/",):
        lines.append(f"ProxyPass {quoted(prefix)} {quoted(_target(facts, prefix))} {_ways(facts)}")
    if not facts.prefixes:
        # <Location "/"> would overrule the parts of this site that are included above it.
        return [*lines, "", *_location(facts, "/")]
    for prefix in facts.prefixes:
        lines += ["", f"<Location {quoted(prefix)}>", *indented(_location(facts, prefix)), "</Location>"]
    return lines


def _static(one: Static, facts: Facts) -> list[str]:
    if re.search(r"[*?\[]", one.path):
        # <Directory> would let visitors into every folder that fits.
        raise EmperorError("static-map: Apache takes *, ? and [ in its path for others -- name the folder another way")
    lines = ["# static-map: Apache serves these, and the app is not asked."]
    if not one.is_file:
        lines.append("# Both with a slash at their ends, or Apache would serve what lies beside the folder as well.")
    lines += [f"Alias {quoted(one.url)} {quoted(one.path)}", f'ProxyPass {quoted(one.url)} "!"']
    links = _NO_STRANGERS if facts.owned else "Options FollowSymLinks"
    folder, name = posixpath.split(one.path)
    if facts.owned:
        lines += _guarded(folder if one.is_file else posixpath.dirname(folder))
    rules = ["Require all granted", "AllowOverride None", links]
    if not one.is_file:
        return [*lines, f"<Directory {quoted(one.path)}>", *indented(rules), "</Directory>"]
    inside = [rules[1], rules[2], f"<Files {quoted(name)}>", *indented(rules[:1]), "</Files>"]
    return [*lines, f"<Directory {quoted(folder)}>", *indented(inside), "</Directory>"]


def _guarded(folder: str) -> list[str]:
    """Whether a folder may be a link is decided by the options of the one that holds it."""
    lines = ["# Its user's folders: no link in them may lead to what is others'."]
    above = folder
    while above not in ("/", ""):
        lines.append(f"<Directory {quoted(above)}>")
        lines += [*indented([_NO_STRANGERS]), "</Directory>"]
        above = posixpath.dirname(above)
    return lines


def _target(facts: Facts, prefix: str) -> str:
    scheme = _SCHEMES[facts.protocol]
    if facts.protocol == UWSGI and facts.split:
        # mod_proxy_uwsgi: PATH_INFO is the path of this URL, and what stands before it in the visitor's is SCRIPT_NAME.
        prefix = ""
    if not facts.unix:
        return f"{scheme}://{facts.near}{prefix}"
    if re.search("[%?#*]", facts.address.path):
        raise EmperorError("socket: Apache cannot be told of a path with %, ?, # or * in it -- name it another way")
    # The host is looked up nowhere. But it is the worker's name: two vassals of one name would share a socket.
    return f"unix:{facts.address.path}|{scheme}://{_worker(facts.name)}{prefix}"


def _worker(name: str) -> str:
    plain = re.sub("[^a-z0-9.-]", "-", name).strip(".-")
    return f"emperor-{plain}" if plain == name else f"emperor-{plain or 'vassal'}-{zlib.crc32(name.encode()):08x}"


def _ways(facts: Facts) -> str:
    words = [f"timeout={facts.patience}"]
    if facts.protocol == HTTP:
        words += ["nocanon"]
    return " ".join(words)


def _location(facts: Facts, prefix: str) -> list[str]:
    lines = [f"# {size(facts)}", f"LimitRequestBody {facts.limit_post}"]
    if facts.protocol == HTTP:
        return [*lines, *_forwarded(facts)]
    if facts.protocol == FASTCGI and facts.split:
        lines += ["# Apache sends the whole path as SCRIPT_NAME and no PATH_INFO."]
        lines.append(f'ProxyFCGISetEnvIf "true" SCRIPT_NAME {quoted(prefix)}')
        whole = f"%{{REQUEST_URI}} =~ m#^{pattern((prefix,))}(/.*)?$#"
        lines.append(f'ProxyFCGISetEnvIf {quoted(whole)} PATH_INFO "$1"')
    return lines


def _forwarded(facts: Facts) -> Iterable[str]:
    """mod_proxy adds For and Host to what is there, after mod_headers."""
    yield "ProxyPreserveHost On"
    yield "# proxy-fix believes these: a visitor must not invent them."
    before = "%{HTTP:X-Forwarded-Proto}, " if facts.proxies > 1 else ""
    yield f'RequestHeader set X-Forwarded-Proto "expr={before}%{{REQUEST_SCHEME}}"'
    if facts.proxies < 2:
        for name in ("For", "Host", "Port", "Prefix"):
            yield f"RequestHeader unset X-Forwarded-{name}"
