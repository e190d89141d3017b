"""The doctor's looks at a real kernel: by many at once, at what hangs, at sockets and their modes."""

from __future__ import annotations

import os
import socket
import threading
from functools import partial
from pathlib import Path

from emperor.doctor import errands, fronts, looks, machinelook
from emperor.doctor.facts import REGULAR, SOCKET, place_of, reply_of
from emperor.model import UNIX, Address, Identity
from emperor.probe.question import Question
from emperor.webservers.route import NGINX, Route, WebServer, Where

STRANGER = Identity(61234, 61234, (61234,), "stranger", "/")


def _refused() -> None:
    raise PermissionError(13, "no")


def test_what_hangs_or_fails_costs_its_own_answer_alone() -> None:
    hangs = threading.Event().wait
    told = errands.told([hangs, lambda: 1, _refused, lambda: [2]], None, patience=0.3)
    assert told == [None, 1, None, [2]]


def test_there_are_as_many_answers_as_tasks() -> None:
    assert errands.told([partial(int, number) for number in range(200)], None) == list(range(200))
    assert errands.told([], None) == []


def test_a_socket_is_told_by_its_mode_and_by_who_could_write_it(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        os.chmod(path, 0o666)
        there = os.stat(path)
        listening = {(there.st_dev, there.st_ino & 0xFFFFFFFF): 7}
        found = place_of(looks.place(path), listening)
        assert found is not None
        assert (found.kind, found.mode, found.writable, found.listener) == (SOCKET, 0o666, True, 7)
    (tmp_path / "file").write_text("")
    odd = place_of(looks.place(str(tmp_path / "file")), None)
    assert odd is not None and (odd.kind, odd.listener) == (REGULAR, None)
    gone = place_of(looks.place(str(tmp_path / "none" / "s")), {})
    assert gone is not None and gone.missing and not gone.kind


def test_a_socket_that_was_renamed_after_it_was_bound_listens_where_its_file_is(tmp_path: Path) -> None:
    bound, named, gone = (Address(UNIX, str(tmp_path / one)) for one in ("bound.new", "named", "gone"))
    routes = [Route(NGINX, "uwsgi", one, one.path, Where("/x", 1)) for one in (bound, named, gone)]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(bound.path)
        listener.listen()
        os.chmod(tmp_path, 0o755)
        os.rename(bound.path, named.path)
        us = Identity(os.geteuid(), os.getegid(), (os.getegid(),), "us", "/")
        heard = fronts.listening([WebServer(NGINX, "/x", routes=tuple(routes))], us).addresses
    assert (bound in heard, named in heard, gone in heard) == (False, True, False)


def test_for_somebody_else_modes_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    found = place_of(looks.place(str(folder / "s"), STRANGER), None)
    assert found is not None and found.closed


def test_whose_the_first_folder_is_that_is_not_roots_alone(tmp_path: Path) -> None:
    assert looks.holder("/usr/bin/env") == looks.holder("/bin/sh") == looks.holder("/") == 0
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents):
            assert folder == Path("/tmp") or folder.stat().st_uid == 0
        (tmp_path / "hers").mkdir()
        os.chown(tmp_path / "hers", 61234, 61234)
        os.symlink(tmp_path / "hers", tmp_path / "link")
        assert looks.holder(str(tmp_path / "hers")) == 0  # its own place is root's
        assert looks.holder(str(tmp_path / "hers" / "never" / "looked")) == 61234
        assert looks.holder(str(tmp_path / "link" / "x")) == 61234


def test_nobody_who_listens_is_a_refusal_with_the_kernels_number(tmp_path: Path) -> None:
    reply = reply_of(looks.request(Question("uwsgi", Address(UNIX, str(tmp_path / "none")), patience=1.0)))
    assert reply is not None and (reply.status, reply.stage, reply.errno) == (0, "connect", 2)


def test_a_folder_with_room_has_room(tmp_path: Path) -> None:
    assert looks.room(str(tmp_path)) == [False, False]


def test_our_own_process_is_no_emperor_and_its_limits_can_be_read() -> None:
    used, most = machinelook.open_files(os.getpid()) or (0, 0)
    assert 0 < used < most
    assert os.getpid() not in machinelook.emperors(os.geteuid())
    assert machinelook.hidden(os.getpid(), ["/tmp"], "we") == []
