"""Whom the doctor believes to be the machine's web server: a process may be anybody's, and say anything."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from emperor.doctor import fronts
from emperor.webservers import found, processes
from emperor.webservers.processes import Process, Running
from emperor.webservers.route import APACHE, LIGHTTPD, NGINX, YES, WebServer
from emperor.webservers.shelf import Shelf

WEB = pwd.getpwnam("nobody")
HERS = pwd.getpwnam("daemon")


def running(kind: str, uid: int, *words: str) -> Running:
    one = Process(4000000, 1, kind, uid, uid, (kind, *words), 0.0)
    return Running(kind, one, (one,))


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "lighttpd.conf"
    path.write_text(f'server.username = "{WEB.pw_name}"\n')
    monkeypatch.setitem(found.CONFS, LIGHTTPD, (str(path),))
    for kind in (NGINX, APACHE):
        monkeypatch.setitem(found.CONFS, kind, (str(tmp_path / "none"),))
    return str(path)


def shown(monkeypatch: pytest.MonkeyPatch, one: Running, named: str = "") -> list[WebServer]:
    monkeypatch.setattr(processes, "running", lambda: ([], [one]))
    return found.servers({LIGHTTPD: named} if named else None)


def test_a_lighttpd_that_gave_up_roots_rights_is_who_its_configuration_says(
    conf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = shown(monkeypatch, running(LIGHTTPD, WEB.pw_uid, "-f", conf))
    assert (one.conf, one.user, one.running) == (conf, WEB.pw_name, YES)
    assert fronts.user_of([one], "") is not None


@pytest.mark.parametrize("kind", [LIGHTTPD, NGINX, APACHE])
def test_somebody_elses_process_is_not_the_web_servers_user(
    kind: str, conf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hers = running(kind, HERS.pw_uid, "-f", conf)
    servers = shown(monkeypatch, hers)
    assert [one.flaws for one in servers if not one.conf], "it is said that it is there"
    web = fronts.user_of(servers, "")
    assert web is None or web.user != HERS.pw_name
    assert not any(one.conf and one.running == YES for one in servers)


def test_nothing_is_looked_at_where_a_strangers_words_lead(
    conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a link to what is root's, either."""
    theirs = tmp_path / "theirs"
    theirs.symlink_to(conf)
    touched: list[str] = []

    def read(path: str) -> bytes:
        touched.append(path)
        return b""

    monkeypatch.setattr(Shelf, "_read", staticmethod(read))
    shown(monkeypatch, running(LIGHTTPD, WEB.pw_uid, "-f", str(theirs)))
    assert str(theirs) not in touched
    shown(monkeypatch, running(LIGHTTPD, WEB.pw_uid, "-f", str(theirs)), conf)
    assert str(theirs) not in touched


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
@pytest.mark.parametrize("theirs", ["lighttpd.conf", "."])
def test_who_can_change_the_named_configuration_is_told(
    theirs: str, conf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "running", lambda: ([], []))
    assert found.servers({LIGHTTPD: conf})[0].writer == ""
    os.chown(tmp_path / theirs, HERS.pw_uid, HERS.pw_gid)
    assert found.servers({LIGHTTPD: conf})[0].writer == HERS.pw_name


def test_no_device_and_no_pipe_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    real = os.open

    def watched(path: str, flags: int, *more: int) -> int:
        opened.append(flags)
        return real(path, flags, *more)

    monkeypatch.setattr(os, "open", watched)
    os.mkfifo(tmp_path / "pipe")
    shelf = Shelf()
    assert shelf.text("/dev/zero") is None and shelf.text(str(tmp_path / "pipe")) is None
    assert len(opened) == 2 and all(flags & os.O_PATH for flags in opened)
    (tmp_path / "file").write_text("x")
    assert shelf.text(str(tmp_path / "file")) == "x"
