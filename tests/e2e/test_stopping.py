"""The end of the daemon, the good one and the bad one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor
from tests.e2e.harness.waiting import wait_for


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def gone(pids: list[int], deadline: float = 20) -> None:
    wait_for(lambda: [pid for pid in pids if procfs.alive(pid)], lambda left: not left, "all gone", deadline)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_finish_and_everything_is_gone(daemon: Emperor, signum: int) -> None:
    site = daemon.add("site", processes=2)
    own = daemon.place("own")
    own.write(socket=own.folder / "own.sock")
    site.running(), own.running()
    visitor, go = site.hold()
    below = procfs.descendants(daemon.pid)
    assert len(below) >= 5
    daemon.signal(signum)
    gone([own.import_pids()[0]])
    assert visitor.waits
    go.touch()
    assert visitor.answer().status == 200
    assert daemon.process and daemon.process.wait(20) == 0
    gone(below, 0.5)
    for path in (site.socket, own.socket, daemon.control):
        assert not Path(path).exists()


def test_a_second_term_stops_at_once(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    visitor, _ = site.hold()
    below = procfs.descendants(daemon.pid)
    daemon.signal(signal.SIGTERM)
    site.state("STOPPING")
    daemon.signal(signal.SIGTERM)
    assert daemon.process and daemon.process.wait(5) in (0, 1)
    gone(below, 5)
    with pytest.raises(ConnectionError):
        visitor.answer()


def test_reload_mercy_bounds_the_wait(daemon: Emperor) -> None:
    site = daemon.add("site", reload_mercy=1)
    site.running()
    visitor, _ = site.hold()
    daemon.signal(signal.SIGTERM)
    assert daemon.process and daemon.process.wait(10) == 0
    with pytest.raises(ConnectionError):
        visitor.answer()


def test_term_while_a_vassal_starts_or_waits_in_backoff(daemon: Emperor) -> None:
    daemon.add("dying", app="dies_at_import.py").state("BACKOFF")
    slow = daemon.place("slow")
    (slow.folder / "app.py").write_text("import signal\nwhile True: signal.pause()\n")
    slow.write().state("STARTING")
    below = procfs.descendants(daemon.pid)
    daemon.signal(signal.SIGTERM)
    assert daemon.process and daemon.process.wait(20) == 0
    gone(below, 0.5)


def test_term_during_the_start(emperor: StartEmperor) -> None:
    daemon = emperor()
    daemon.add("site")
    daemon.launch()
    wait_for(daemon.control.exists, what="the control socket")
    assert daemon.stop() == 0
    assert not daemon.control.exists()


def test_vassals_do_not_outlive_a_killed_emperor(emperor: StartEmperor) -> None:
    daemon = emperor().start()
    site = daemon.add("site", processes=2)
    own = daemon.place("own")
    own.write(socket=own.folder / "own.sock")
    site.running(), own.running()
    visitor, go = site.hold()
    below = procfs.descendants(daemon.pid)
    go.touch()
    daemon.kill()
    gone(below, 2)
    assert visitor.answer().status == 200
    daemon.start()
    for one in (site, own):
        one.running()
        assert one.get().status == 200
    assert daemon.stop() == 0
    for path in (site.socket, own.socket, daemon.control):
        assert not Path(path).exists()


def test_the_next_emperor_takes_over_stale_sockets_but_nothing_else(emperor: StartEmperor) -> None:
    daemon = emperor().start()
    site = daemon.add("site")
    site.running()
    below = procfs.descendants(daemon.pid)
    daemon.kill()
    gone(below, 5)
    assert Path(site.socket).exists()
    assert daemon.control.exists()
    daemon.start()
    site.running()
    assert site.get().status == 200


def test_the_pidfile_and_the_log_file(emperor: StartEmperor) -> None:
    daemon = emperor()
    pidfile, log = daemon.run / "pid", daemon.run / "emperor.log"
    daemon.start("--pidfile", str(pidfile), "--logto", str(log))
    assert int(pidfile.read_text()) == daemon.pid
    daemon.add("site").running()
    wait_for(log.read_text, lambda text: "site" in text, "a line about the vassal")
    log.rename(daemon.run / "emperor.log.1")
    daemon.signal(signal.SIGUSR1)
    wait_for(log.exists, what="the log is opened again")
    assert daemon.stop() == 0
    assert not pidfile.exists()


def test_a_stopping_emperor_leaves_a_socket_that_is_not_its_own(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    os.unlink(site.socket)
    Path(site.socket).write_text("somebody else's")
    assert daemon.stop() == 0
    assert Path(site.socket).read_text() == "somebody else's"
