"""A vassal's facts as nginx wants to be told: a server of its own, or locations for one that is there.

Source: nginx.org/en/docs, the core, uwsgi, fastcgi, proxy and upstream modules; nginx 1.18 or newer.
"""

from __future__ import annotations

from emperor.errors import EmperorError
from emperor.faces.facts import Facts, Static
from emperor.faces.layout import below, harakiri, head, indented, pattern, quoted, size, text
from emperor.model import FASTCGI, HTTP

_PARAMS = (
    ("QUERY_STRING", "$query_string"),
    ("REQUEST_METHOD", "$request_method"),
    ("CONTENT_TYPE", "$content_type"),
    ("CONTENT_LENGTH", "$content_length"),
    ("REQUEST_URI", "$request_uri"),
    ("DOCUMENT_ROOT", "$document_root"),
    ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$scheme"),
    ("HTTPS", "$https if_not_empty"),
    ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"),
    ("SERVER_PORT", "$server_port"),
    ("SERVER_NAME", "$server_name"),
)
# No REMOTE_USER: nginx takes it from the visitor's Authorization header, whether anybody has checked that or not.
_FASTCGI_PARAMS = (
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/$nginx_version"),
)
_USUAL_PORTS = (80, 443)


def render(facts: Facts) -> str:
    """The whole text. EmperorError: nginx cannot be told."""
    lines = head("nginx", facts, _how(facts))
    return text([*lines, "", *(_site(facts) if facts.wish.whole else _locations(facts))])


def _how(facts: Facts) -> list[str]:
    name = facts.name
    if not facts.wish.whole:
        return [
            f"Save it as /etc/nginx/snippets/{name}.conf, write this line into the site's server {{ }} block:",
            f"    include snippets/{name}.conf;",
            "then: nginx -t && systemctl reload nginx",
        ]
    lines = [
        f"Save it as /etc/nginx/sites-available/{name} (without that folder: /etc/nginx/conf.d/{name}.conf), then:",
        f"    ln -s ../sites-available/{name} /etc/nginx/sites-enabled/{name}",
        "    nginx -t && systemctl reload nginx",
    ]
    if not facts.wish.server_name:
        lines.append("It answers to every name for which there is no other site. Debian's own `default` site comes")
        lines.append("first: rm /etc/nginx/sites-enabled/default, or print this with --server-name.")
    return lines


def _site(facts: Facts) -> list[str]:
    where = f"{facts.host}:{facts.port}" if facts.host else f"{facts.port}"
    inner = [f"listen {where};"]
    if not facts.host:
        inner.append(f"# listen [::]:{where};")
    inner += [f"server_name {facts.wish.server_name or '_'};", ""]
    if facts.root:
        inner += [*_links(facts), f"root {quoted(facts.root)};", ""]
    upstream = [*_upstream(facts), ""] if facts.kept else []
    return [*upstream, "server {", *indented(inner + _locations(facts)), "}"]


def _upstream(facts: Facts) -> list[str]:
    mercy = f"{facts.mercy:g} s"
    return [
        f"upstream {_upstream_name(facts)} {{",
        f"    server {_address(facts)};",
        "    # Idle connections that each process of nginx keeps.",
        f"    keepalive {facts.seats};",
        f"    # Shorter than reload-mercy ({mercy}): nginx never sends into a connection that a reload is closing.",
        f"    keepalive_timeout {facts.kept}s;",
        "}",
    ]


def _upstream_name(facts: Facts) -> str:
    return f"emperor-{facts.name}"


def _address(facts: Facts) -> str:
    return quoted(f"unix:{facts.address.path}") if facts.unix else facts.near


def _locations(facts: Facts) -> list[str]:
    lines = []
    for one in facts.below:
        lines += [*_static(one, facts), ""]
    if not facts.prefixes and facts.root:
        at = f"@{facts.name}"
        lines += [f"location / {{ try_files $uri {at}; }}", ""]
        return [*lines, f"location {at} {{", *indented(_body(facts)), "}"]
    if not facts.prefixes:
        return [*lines, "location / {", *indented(_body(facts)), "}"]
    if len(facts.prefixes) == 1:
        lines.append(f"# {facts.prefixes[0]} and what lies below it, but no other name that begins so.")
    return [*lines, f"location ~ {quoted(below(facts.prefixes))} {{", *indented(_body(facts)), "}"]


def _static(one: Static, facts: Facts) -> list[str]:
    operator = "=" if one.is_file else "^~"
    lines = ["# static-map: nginx serves these, and the app is not asked."]
    if not one.is_file:
        lines.append("# Both with a slash at their ends, or nginx would serve what lies beside the folder as well.")
    lines += [f"location {operator} {quoted(one.url)} {{"]
    return [*lines, *indented([*_links(facts), f"alias {quoted(one.path)};"]), "}"]


def _links(facts: Facts) -> list[str]:
    if not facts.owned:
        return []
    return ["# The folder is its user's: no link in it may lead to what is others'.", "disable_symlinks if_not_owner;"]


def _body(facts: Facts) -> list[str]:
    speaks = facts.protocol if facts.protocol != HTTP else "proxy"
    lines = _proxy(facts) if facts.protocol == HTTP else _parameters(facts)
    lines += ["", f"# {size(facts)}"]
    lines.append(f"client_max_body_size {facts.limit_post};")
    lines += [f"# {harakiri(facts)}", f"{speaks}_read_timeout {facts.patience}s;"]
    lines += ["# Heads of responses (cookies) above nginx's own 4k would be 502.", f"{speaks}_buffer_size 32k;"]
    lines += [f"{speaks}_buffers 8 32k;", f"{speaks}_busy_buffers_size 64k;"]
    lines += ["# For apps that stream (or let the app send X-Accel-Buffering: no):", f"# {speaks}_buffering off;"]
    return lines


def _parameters(facts: Facts) -> list[str]:
    """Written out: a param that stands in an included file as well would be sent twice."""
    word = f"{facts.protocol}_param"
    lines = []
    if facts.split:
        lines += ["# What the app's URLs begin with, and what it looks up."]
        lines += [f"fastcgi_split_path_info {quoted(f'^({pattern(facts.prefixes)})(/.*)?$')};"]
        names = (("SCRIPT_NAME", "$fastcgi_script_name"), ("PATH_INFO", "$fastcgi_path_info"))
    elif facts.protocol == FASTCGI and not facts.root:
        names = (("SCRIPT_NAME", '""'), ("PATH_INFO", "$fastcgi_script_name"))
    else:
        names = (("SCRIPT_NAME", '""'), ("PATH_INFO", "$document_uri"))
    if facts.prefixes and not facts.split:
        lines += ["# The whole path: the ini says where it is cut (manage-script-name or script-name)."]
    more = _FASTCGI_PARAMS if facts.protocol == FASTCGI else ()
    for name, value in (*names, *_PARAMS, *more):
        lines.append(f"{word} {name:<17} {value};")
    lines += ["# The host that was asked for, with its port where that is unusual (--listen tells it)."]
    host = "$host" if facts.port in _USUAL_PORTS else "$host:$server_port"
    lines += [f"{word} {'HTTP_HOST':<17} {host};", ""]
    return lines + (_kept(facts) if facts.kept else [f"{facts.protocol}_pass {_address(facts)};"])


def _kept(facts: Facts) -> list[str]:
    if facts.wish.whole:
        return [f"fastcgi_pass {_upstream_name(facts)};", "fastcgi_keep_conn on;"]
    lines = ["# To keep connections open: this beside the server block,", *indented(_upstream(facts), 2)]
    lines += ["# and here:", f"  fastcgi_pass {_upstream_name(facts)};", "  fastcgi_keep_conn on;"]
    return [line if line.startswith("#") else f"# {line}" for line in lines] + [f"fastcgi_pass {_address(facts)};"]


def _proxy(facts: Facts) -> list[str]:
    path = facts.address.path
    if facts.unix and ":" in path:
        raise EmperorError("socket: nginx takes a colon in its path for the path's end -- name it another way")
    target = quoted(f"http://unix:{path}:") if facts.unix else f"http://{facts.near}"
    lines = [f"proxy_pass {target};", "proxy_http_version 1.1;", "proxy_set_header Host $http_host;"]
    lines.append("# proxy-fix believes these: all five are set here, or a visitor could invent them.")
    values = {"For": "$remote_addr", "Proto": "$scheme", "Host": "$http_host", "Port": "", "Prefix": ""}
    for name, value in values.items():
        if facts.proxies > 1:
            # Further proxies before nginx have written theirs; ours is one more in the row.
            value = f"$http_x_forwarded_{name.lower()}, {value}"
        lines.append(f"proxy_set_header X-Forwarded-{name} {quoted(value)};")
    return lines
