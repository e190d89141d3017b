"""The web servers of this machine: those that run, those that are only installed, and what they were told.

It promises: nothing is executed and nothing raises, whoever asks; what could not be seen is a line of ``flaws``.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Iterable, Mapping

from emperor.webservers import apache, lighttpd, processes
from emperor.webservers.interfaces import own_addresses
from emperor.webservers.processes import Running, option
from emperor.webservers.route import APACHE, LIGHTTPD, NGINX, NO, YES, WebServer
from emperor.webservers.shelf import Shelf

CONFS = {
    NGINX: ("/etc/nginx/nginx.conf", "/usr/local/nginx/conf/nginx.conf", "/usr/local/etc/nginx/nginx.conf"),
    APACHE: ("/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf", "/etc/apache2/httpd.conf"),
    LIGHTTPD: ("/etc/lighttpd/lighttpd.conf",),
}
"""Where distributions have them, the first that is there counts."""
_NGINX_PREFIXES = ("/usr/share/nginx", "/etc/nginx", "/usr/local/nginx")
_UNITS = {NGINX: ("nginx.service",), APACHE: ("apache2.service", "httpd.service"), LIGHTTPD: ("lighttpd.service",)}
_UNIT_FOLDERS = ("/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system")
_CLOCKS = 1.5
"""Seconds by which a process's birth, told in whole seconds since the boot, may be wrong."""


def servers(overrides: Mapping[str, str] | None = None) -> list[WebServer]:
    """``overrides``: the main file of one kind of server; then only those it names are looked at."""
    given = {kind: path for kind, path in (overrides or {}).items() if path}
    live, doubtful = processes.running()
    own = own_addresses()
    placed = [(_conf(one), one) for one in live]
    claimed = [(_claimed(one, given.get(LIGHTTPD, "")), one) for one in doubtful]
    placed += [(conf, one) for conf, one in claimed if conf]
    strangers = [one.master for conf, one in claimed if not conf]
    return [one._replace(own=own, writer=_writer(one.conf)) for one in _chosen(given, placed, strangers)]


def _chosen(
    given: Mapping[str, str], placed: list[tuple[str, Running]], strangers: list[processes.Process]
) -> list[WebServer]:
    found: list[WebServer] = []
    if given:
        for kind, path in given.items():
            whole = os.path.abspath(path)
            of_it = [one for conf, one in placed if one.kind == kind and _same(conf, whole)]
            found.append(_whole(kind, whole, of_it))
        return found
    for kind, confs in CONFS.items():
        mine = [(conf, one) for conf, one in placed if one.kind == kind]
        found += [_whole(kind, conf, [one]) for conf, one in mine]
        installed = next((conf for conf in confs if os.path.exists(conf)), "")
        if installed and not mine:
            found.append(_whole(kind, installed, []))
        if not mine:
            found += [_strange(kind, one) for one in strangers if one.kind == kind][:1]
    return found


def _strange(kind: str, one: processes.Process) -> WebServer:
    flaw = f"{kind}: process {one.pid} is {_user(one.uid)}'s: its configuration is read only if it is named"
    return WebServer(kind, "", _user(one.uid), _group(one.gid), (one.pid,), flaws=(flaw,), running=YES)


def _whole(kind: str, conf: str, live: list[Running]) -> WebServer:
    one = live[0] if live else None
    if one is not None and processes.other_root(one.master.pid):
        flaw = f"{kind}: process {one.master.pid} has another root folder (a container?): its files are not read"
        return WebServer(kind, "", pids=one.pids, flaws=(flaw,), running=YES)
    server, shelf = _read(kind, conf, one)
    if one is None:
        state = NO if processes.everybody_is_seen() else ""
        return server._replace(running=state, private_tmp=_unit_says(_UNITS[kind]))
    worker = one.workers[0]
    private = processes.own_tmp(worker.pid)
    if private is None:
        private = _unit_says([name for name in (processes.unit(worker.pid),) if name])
    return server._replace(
        user=_user(worker.uid),
        group=_group(worker.gid),
        pids=one.pids,
        running=YES,
        stale=_newer(shelf, one),
        private_tmp=private,
    )


def _read(kind: str, conf: str, one: Running | None) -> tuple[WebServer, Shelf]:
    environ = processes.environ(one.master.pid) if one and processes.is_believed(one.master) else None
    if kind == APACHE:
        defines = option(one.master.words[1:], "-D") if one else []
        return apache.read(conf, environ=environ, defines=defines)
    if kind == LIGHTTPD:
        return lighttpd.read(conf, environ=environ)
    # crossplane is loaded only where there is an nginx.
    from emperor.webservers import nginx

    return nginx.read(conf)


def _conf(one: Running) -> str:
    words = one.master.words[1:]
    usual = next((conf for conf in CONFS[one.kind] if os.path.exists(conf)), CONFS[one.kind][0])
    told = option(words, "-c" if one.kind == NGINX else "-f")
    if not told:
        return usual
    path = told[-1]
    if path.startswith("/"):
        return os.path.normpath(path)
    if one.kind == LIGHTTPD:
        bases: Iterable[str] = (processes.folder(one.master.pid),)
    elif one.kind == APACHE:
        bases = (*option(words, "-d"), os.path.dirname(usual))
    else:
        bases = (*option(words, "-p"), *_NGINX_PREFIXES)
    paths = [os.path.normpath(os.path.join(base, path)) for base in bases]
    return next((path for path in paths if os.path.exists(path)), paths[0])


def _claimed(one: Running, named: str) -> str:
    """The file of a lighttpd that gave up root's rights; "": it is a stranger.

    Whoever runs it could say anything, and root goes nowhere for it. So it must name the usual file, or the one that
    the operator has ``named``, and be the user who that file says it is.
    """
    if one.kind != LIGHTTPD:
        return ""
    told = option(one.master.words[1:], "-f")
    path = told[-1] if told else CONFS[LIGHTTPD][0]
    if path not in ((os.path.abspath(named),) if named else CONFS[LIGHTTPD]):
        return ""
    return path if lighttpd.read(path)[0].user == _user(one.master.uid) else ""


def _writer(conf: str) -> str:
    """The owner of the file, or of the folder that it lies in, if root looks and it is somebody else's."""
    if not conf or os.geteuid():
        return ""
    for path in (conf, os.path.dirname(conf)):
        try:
            uid = os.stat(path).st_uid
        except (OSError, ValueError):
            continue
        if uid:
            return _user(uid)
    return ""


def _same(one: str, other: str) -> bool:
    return one == other or os.path.realpath(one) == os.path.realpath(other)


def _newer(shelf: Shelf, one: Running) -> str:
    """A file that was changed after the youngest worker began. lighttpd reads its files anew without a new process."""
    if one.kind == LIGHTTPD:
        return ""
    began = max(worker.born for worker in one.workers) + _CLOCKS
    return next((path for path in shelf.files if _changed(path) > began), "")


def _changed(path: str) -> float:
    """Moved to its place, or linked to: the content's own time says nothing of that."""
    try:
        return max(os.stat(path).st_ctime, os.lstat(path).st_ctime)
    except (OSError, ValueError):
        return 0.0


def _unit_says(names: Iterable[str]) -> tuple[str, ...]:
    """PrivateTmp= of systemd.exec(5); the last word counts, and /etc's is the last."""
    if not os.path.isdir("/run/systemd/system"):
        return ()
    said, shelf = False, Shelf()
    for name in names:
        paths = [f"{folder}/{name}" for folder in _UNIT_FOLDERS]
        paths += [path for folder in _UNIT_FOLDERS for path in shelf.matching(f"{folder}/{name}.d/*.conf")]
        for path in paths:
            text = shelf.text(path) if os.path.exists(path) else None
            for word in re.findall(r"^PrivateTmp=\s*(\w+)", text or "", re.MULTILINE | re.ASCII):
                said = word.lower() in ("yes", "true", "on", "1", "disconnected")
    return processes.TMP if said else ()


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)
