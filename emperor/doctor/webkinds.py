"""Every kind of finding of the web servers' side: its word, and what is broken when it is found. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "web-configuration": "the web server's configuration has errors, or could not be read whole",
        "web-stale": "the web server runs with an older configuration than its files have",
        "web-down": "the web server that would pass requests does not run",
        "web-stranger": "the web server runs as somebody to whom the emperor gives no sockets",
        "web-astray": "the web server passes requests to where nobody listens",
        "web-module": "the web server has not loaded the module that speaks the protocol",
        "web-protocol": "the web server speaks another protocol than the socket",
        "web-variables": "nginx passes requests without uwsgi_params or fastcgi_params",
        "web-private-tmp": "the socket lies in /tmp, and the web server has a /tmp of its own",
        "web-default-site": "the distribution's default site takes the app's requests",
        "web-shadowed": "another site, or an earlier line, takes the app's requests",
        "web-unpassed": "no web server passes requests to the vassal",
        "web-only-files": "lighttpd passes only what is a file of its own (check-local)",
        "web-mount": "the web server passes a path at which the vassal has no app",
        "web-timeout": "the web server gives up before harakiri does",
        "web-body-limit": "the web server and limit-post allow bodies of different sizes",
    }
)
