"""``emperor run`` with a listening socket as descriptor 0, spoken to byte by byte."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from emperor.protocol import fastcgi
from emperor.system import library
from emperor.system.handed import listener_at
from tests.integration.handing_world import Web
from tests.integration.kernel_world import PATIENCE, until
from tests.integration.serving_world import PARAMS, encode, read_answer
from tests.requirements import SYSTEM_PYTHON, needs


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    one = Web(tmp_path)
    yield one
    for process in one.started:
        process.kill()
        process.wait()
    one.listener.close()
    print(one.log)


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def test_the_process_that_was_started_answers_and_has_no_child(web: Web) -> None:
    process = web.start("--wsgi-file", "app.py")
    facts = web.facts()
    assert facts["pid"] == process.pid
    assert children(process.pid) == ""
    assert facts["argv"] == ["app"]
    assert facts["multiprocess"] is True
    assert facts["stdin"] == os.stat(os.devnull).st_rdev
    assert "imported" in web.log


def test_nothing_is_made_beside_the_app(web: Web) -> None:
    web.start(web.ini(wsgi_file="app.py", socket="never.sock", processes=4, chmod_socket=666))
    web.facts()
    assert {path.name for path in web.folder.iterdir()} <= {"app.py", "log", "site.ini", "web.sock"}
    assert web.log.count("site: socket: not bound: the web server handed its own over as descriptor 0") == 1
    assert web.log.count("site: processes: ignored") == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_lets_the_request_in_flight_finish(web: Web, signum: signal.Signals) -> None:
    process = web.start("--wsgi-file", "app.py")
    with web.connect() as peer:
        peer.sendall(encode("fastcgi", [*PARAMS, ("QUERY_STRING", "hold")]))
        until((web.folder / "started").exists)
        process.send_signal(signum)
        until(lambda: not pending(process.pid, signum))
        assert process.poll() is None
        (web.folder / "go").touch()
        assert read_answer(peer, "fastcgi").status == 200
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("engine", ["native", "flup"])
def test_who_waits_in_the_backlog_at_the_end_is_answered(web: Web, engine: str) -> None:
    process = web.start("--wsgi-file", "app.py", "--fastcgi-engine", engine)
    with contextlib.ExitStack() as ends:
        peers = [ends.enter_context(web.connect()) for _ in range(4)]
        peers[0].sendall(encode("fastcgi", [*PARAMS, ("QUERY_STRING", "hold")]))
        until((web.folder / "started").exists)
        for peer in peers[1:]:
            peer.sendall(encode("fastcgi", PARAMS))
        process.send_signal(signal.SIGTERM)
        until(lambda: not pending(process.pid, signal.SIGTERM))
        (web.folder / "go").touch()
        assert [read_answer(peer, "fastcgi").status for peer in peers] == [200] * 4
    assert process.wait(PATIENCE) == 0


def pending(pid: int, signum: int) -> bool:
    return in_mask(pid, "SigPnd:", signum) or in_mask(pid, "ShdPnd:", signum)


def in_mask(pid: int, name: str, signum: int) -> bool:
    """Masks of signals in proc_pid_status(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith(name))
    return bool(mask >> (signum - 1) & 1)


def test_a_request_that_never_ends_is_cut_after_reload_mercy(web: Web) -> None:
    process = web.start("--wsgi-file", "app.py", "--reload-mercy", "1")
    with web.connect() as peer:
        peer.sendall(encode("fastcgi", [*PARAMS, ("QUERY_STRING", "hold")]))
        until((web.folder / "started").exists)
        process.terminate()
        assert process.wait(PATIENCE) in (0, -signal.SIGALRM)


def test_two_processes_share_one_socket(web: Web) -> None:
    """spawn-fcgi -F 2. The one that is left answers all."""
    pids = {web.start("--wsgi-file", "app.py").pid for _ in range(2)}
    assert web.facts()["pid"] in pids
    # Whoever loses the race for a connection must not wait in accept.
    assert not os.get_blocking(web.listener.fileno())
    until(lambda: in_mask(web.started[0].pid, "SigCgt:", signal.SIGTERM))
    web.started[0].terminate()
    assert web.started[0].wait(PATIENCE) == 0
    assert {web.facts()["pid"] for _ in range(5)} == {web.started[1].pid}


def test_a_connection_is_kept_when_the_web_server_asks_for_it(web: Web) -> None:
    web.start("--wsgi-file", "app.py")
    with web.connect() as peer:
        for _ in range(3):
            peer.sendall(encode("fastcgi", PARAMS, keep=True))
            assert read_answer(peer, "fastcgi").status == 200


def test_folder_umask_environment_threads_and_log_are_as_the_ini_says(web: Web) -> None:
    inner = web.folder / "inner"
    inner.mkdir()
    ini = web.ini(
        wsgi_file=web.folder / "app.py", chdir=inner, umask="027", env="A=1", threads=3, logto=web.folder / "app.log"
    )
    web.start(ini, FROM_THE_WEB_SERVER="yes")
    facts = web.facts()
    assert facts["cwd"] == str(inner)
    assert facts["umask"] == 0o027
    assert (facts["env"]["A"], facts["env"]["FROM_THE_WEB_SERVER"]) == ("1", "yes")
    # The first one may answer while the others are being started.
    until(lambda: web.facts()["threads"] == 4)
    assert facts["argv"] == ["site"]
    assert "imported" in (web.folder / "app.log").read_text()


def test_what_the_ini_does_not_say_is_as_for_a_vassal(web: Web) -> None:
    web.start(web.ini(wsgi_file="app.py"), before=partial(os.umask, 0))
    facts = web.facts()
    assert (facts["cwd"], facts["umask"]) == (str(web.folder), 0o022)


def test_the_command_line_wins_over_the_ini(web: Web) -> None:
    web.start(web.ini(wsgi_file="gone.py", umask="077"), "--wsgi-file", "app.py")
    assert web.facts()["umask"] == 0o077


def test_it_serves_with_its_outputs_closed(web: Web) -> None:
    """FastCGI specification 1.0, section 2.2: only descriptor 0 need be open."""
    web.start("--wsgi-file", "app.py", before=partial(os.closerange, 1, 3))
    assert web.facts()["argv"] == ["app"]


def test_only_the_vassal_side_of_the_package_is_imported(web: Web) -> None:
    web.start("--wsgi-file", "app.py")
    files = {Path(one) for one in web.facts()["files"]}
    assert library.PACKAGE / "lone.py" in files
    assert files <= set(library.sources())


def test_the_packages_folder_is_not_on_the_path(web: Web) -> None:
    web.start("--wsgi-file", "app.py", "--python", SYSTEM_PYTHON, before=lambda: os.environ.pop("PYTHONPATH", None))
    path = web.facts()["path"]
    assert path[0] == str(web.folder)
    assert str(library.PACKAGE) not in path


@needs("pypy3")
def test_the_apps_interpreter_may_be_pypy(web: Web) -> None:
    subprocess.run(["pypy3", "-m", "venv", "--without-pip", web.folder / "venv"], check=True)
    process = web.start("--wsgi-file", "app.py", "--virtualenv", "venv")
    facts = web.facts()
    assert (facts["python"], facts["pid"]) == ("pypy", process.pid)


def test_the_home_of_a_python_runs_that_python(web: Web) -> None:
    """``home = /usr``: Debian has no /usr/bin/python."""
    process = web.start("--wsgi-file", "app.py", "--home", "/usr")
    assert web.facts()["pid"] == process.pid
    assert os.readlink(f"/proc/{process.pid}/exe") == os.path.realpath(SYSTEM_PYTHON)


def test_flup_is_lent(web: Web) -> None:
    web.start(web.ini(wsgi_file="app.py", fastcgi_engine="flup", python=SYSTEM_PYTHON))
    assert web.facts()["argv"] == ["site"]


@pytest.mark.parametrize("engine", ["native", "flup"])
@pytest.mark.parametrize("value, lets_in", [("127.0.0.1", True), ("192.0.2.1, 127.0.0.1", True), ("192.0.2.1", False)])
def test_over_tcp_only_the_named_web_servers_are_served(web: Web, value: str, lets_in: bool, engine: str) -> None:
    web.listen_on_tcp()
    process = web.start("--wsgi-file", "app.py", "--fastcgi-engine", engine, FCGI_WEB_SERVER_ADDRS=value)
    if lets_in:
        assert web.facts()["pid"] == process.pid
        return
    for _ in range(3):
        with web.connect() as peer:
            assert not answered(peer)
    process.terminate()
    assert process.wait(PATIENCE) == 0


def answered(peer: socket.socket) -> bool:
    """Did one byte come back before the connection was closed?"""
    try:
        peer.sendall(fastcgi.encode_begin(PARAMS))
        return peer.recv(1) != b""
    except ConnectionError:
        return False


def test_a_unix_sockets_file_says_who_may_connect(web: Web) -> None:
    web.start("--wsgi-file", "app.py", FCGI_WEB_SERVER_ADDRS="192.0.2.1")
    assert web.facts()["argv"] == ["app"]


def test_web_servers_that_are_no_addresses_are_refused_at_the_start(web: Web) -> None:
    web.listen_on_tcp()
    log = web.fails("--wsgi-file", "app.py", FCGI_WEB_SERVER_ADDRS="localhost")
    assert "emperor run: app: FCGI_WEB_SERVER_ADDRS: 'localhost' does not appear to be" in log


def test_an_app_that_cannot_be_imported_shows_its_traceback(web: Web) -> None:
    (web.folder / "app.py").write_text("import nobody_has_this\n")
    log = web.fails(web.ini(wsgi_file="app.py"))
    assert "emperor run: site: the app cannot be imported: ModuleNotFoundError" in log
    assert "Traceback (most recent call last)" in log
    assert f"emperorctl check --import {web.folder}/site.ini" in log


def test_an_app_without_an_ini_is_not_sent_to_a_check_of_one(web: Web) -> None:
    (web.folder / "app.py").write_text("import nobody_has_this\n")
    assert "emperorctl" not in web.fails("--wsgi-file", "app.py")


def test_a_thread_that_a_broken_app_has_left_keeps_nobody(web: Web) -> None:
    text = "import threading\nthreading.Thread(target=threading.Event().wait).start()\n1 / 0\n"
    (web.folder / "app.py").write_text(text)
    assert "ZeroDivisionError" in web.fails("--wsgi-file", "app.py")


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["--wsgi-file", "app.py", "--python", "/gone"], 1, "python /gone: there is no /gone -- name one that is"),
        (["--wsgi-file", "app.py", "--threads", "x"], 1, "threads"),
        (["gone.ini"], 1, "gone.ini: cannot be read: No such file or directory"),
        (["a.ini", "b.ini"], 1, "b.ini: cannot be read: No such file or directory"),
        (["--no-such-option"], 2, "unknown option"),
        (["--wsgi-file", "app.py", "--logto", "/gone/log"], 1, "logto /gone/log: cannot be opened as"),
        (["--wsgi-file", "app.py", "--chdir", "/gone"], 1, "chdir"),
    ],
)
def test_what_cannot_be_run_is_said_on_standard_error(web: Web, words: list[str], code: int, said: str) -> None:
    assert said in web.fails(*words, code=code)


def test_an_ini_that_everybody_can_write_is_refused(web: Web) -> None:
    path = web.ini(wsgi_file="app.py")
    path.chmod(0o666)
    assert "everybody can write it" in web.fails(path)


def test_the_script_that_names_us_may_be_the_last_word(web: Web) -> None:
    script = web.folder / "app.fcgi"
    script.write_text("")
    web.start(web.ini(wsgi_file="app.py"), script)
    assert web.facts()["argv"] == ["site"]


def test_the_script_that_names_us_may_be_the_ini_itself(web: Web) -> None:
    script = web.folder / "shop.fcgi"
    script.write_text("#!/usr/bin/env -S emperor run\n[uwsgi]\nwsgi-file = app.py\n")
    web.start(script)
    assert web.facts()["argv"] == ["shop.fcgi"]


def test_only_a_listening_stream_socket_counts(tmp_path: Path) -> None:
    assert listener_at(99) is None
    with (tmp_path / "file").open("w") as file:
        assert listener_at(file.fileno()) is None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        assert listener_at(datagrams.fileno()) is None
    one, other = socket.socketpair()
    with one, other:
        assert listener_at(one.fileno()) is None
    with socket.socket(socket.AF_INET) as stream:
        assert listener_at(stream.fileno()) is None
        stream.listen()
        found = listener_at(stream.fileno())
        assert found is not None
        with found:
            assert (found.fileno() != stream.fileno(), found.get_inheritable()) == (True, False)
            assert found.getsockname() == stream.getsockname()
