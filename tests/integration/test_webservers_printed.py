"""What ``emperorctl nginx``, ``apache`` and ``lighttpd`` print is read back without a finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from emperor.doctor import webside
from emperor.faces import apache as apache_face
from emperor.faces import lighttpd as lighttpd_face
from emperor.faces import nginx as nginx_face
from emperor.faces.facts import gather
from emperor.faces.wish import Wish
from emperor.model import FASTCGI, UNIX, UWSGI, Address, Identity, SocketSpec, Target, VassalSpec
from emperor.webservers import apache, lighttpd, nginx
from emperor.webservers.route import YES

ALICE = Identity(1000, 1000, (), "alice", "/home/alice")
MODULES = "".join(f"LoadModule {one}_module x\n" for one in ("proxy", "proxy_fcgi", "proxy_uwsgi"))
PARAMS = "{0}_param REQUEST_METHOD $request_method;\n"
SERVERS = {
    "nginx": (nginx_face.render, nginx.read, "events {{}}\nhttp {{\n{}\n}}\n"),
    "apache": (apache_face.render, apache.read, MODULES + "{}"),
    "lighttpd": (lighttpd_face.render, lighttpd.read, 'server.modules = ( "mod_fastcgi", "mod_scgi" )\n{}'),
}


@pytest.mark.parametrize("protocol", [UWSGI, FASTCGI])
@pytest.mark.parametrize("mount", ["", "/blog"])
@pytest.mark.parametrize("kind", SERVERS)
def test_what_is_printed_has_no_finding(tmp_path: Path, kind: str, mount: str, protocol: str) -> None:
    sockets = (SocketSpec(protocol, Address(UNIX, "/run/emperor/blog.sock")),)
    targets = (Target(mount, "module", "app"),)
    spec = VassalSpec("blog", "/v/blog.ini", "/srv", ALICE, sockets, targets, limit_post=100000, harakiri=90.0)
    render, read, around = SERVERS[kind]
    for name in ("uwsgi", "fastcgi"):
        (tmp_path / f"{name}_params").write_text(PARAMS.format(name))
    main = tmp_path / "main.conf"
    main.write_text(around.format(render(gather(spec, Wish(server_name="a.test")))))
    server, _ = read(str(main))
    assert [(str(one.address), one.protocol) for one in server.routes]
    assert webside.findings([server._replace(running=YES)], [webside.offer(spec)]) == [], main.read_text()
