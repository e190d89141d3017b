"""What an app's processes may take, set in a process that is thrown away, as a user without rights."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emperor.errors import EmperorError
from emperor.model import VassalSpec
from emperor.system import rlimits
from emperor.system.rlimits import MEGABYTE, SPARE_NOFILE, held_while_importing, hold, limit_memory, require_threads
from tests.integration.handing_world import Web
from tests.integration.kernel_world import unix, vassal_spec

NOFILE, NPROC, AS = resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC, resource.RLIMIT_AS

NOBODY = 65533
"""A user whom nothing belongs to, so that what others run does not count."""

Apart = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., VassalSpec]:
    return lambda **options: vassal_spec(tmp_path, unix(tmp_path / "a.sock"), **options)


def apart(act: Callable[[], Any]) -> Any:
    """In a fork of our own: its result, or the words of its ``EmperorError``. No limit of ours changes."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            try:
                said = json.dumps(act())
            except EmperorError as error:
                said = json.dumps(str(error))
            os.write(write, said.encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    os.waitpid(pid, 0)
    assert text, "it ended without a word"
    return json.loads(text)


def limits(*numbers: int) -> list[tuple[int, int]]:
    return [resource.getrlimit(number) for number in numbers]


def test_silent_options_change_nothing(spec: Callable[..., VassalSpec]) -> None:
    before = [list(pair) for pair in limits(NOFILE, NPROC, AS)]

    def act() -> Any:
        limit_memory(spec())
        with held_while_importing(spec()):
            hold(spec())
        return [*limits(NOFILE, NPROC, AS), os.nice(0)]

    assert apart(act) == [*before, os.nice(0)]


def test_a_worker_is_held_for_good(spec: Callable[..., VassalSpec]) -> None:
    def act() -> Any:
        hold(spec(limit_nofile=200, limit_nproc=50))
        return limits(NOFILE, NPROC)

    assert apart(act) == [[200, 200], [50, 50]]


def test_a_vassal_is_held_while_it_imports_and_free_again_behind(spec: Callable[..., VassalSpec]) -> None:
    before = [list(pair) for pair in limits(NOFILE, NPROC)]

    def act() -> Any:
        with held_while_importing(spec(limit_nofile=200, limit_nproc=50)):
            within = [pair[0] for pair in limits(NOFILE, NPROC)]
        return [within, limits(NOFILE, NPROC)]

    assert apart(act) == [[200, 50], before]


def test_an_import_that_fails_frees_the_vassal_as_well(spec: Callable[..., VassalSpec]) -> None:
    before = [list(pair) for pair in limits(NPROC)]

    def act() -> Any:
        try:
            with held_while_importing(spec(limit_nproc=50)):
                raise ImportError
        except ImportError:
            return limits(NPROC)

    assert apart(act) == before


def test_an_import_that_lowers_the_hard_limit_is_no_failure(spec: Callable[..., VassalSpec]) -> None:
    def act() -> Any:
        with held_while_importing(spec(limit_nofile=200)):
            resource.setrlimit(NOFILE, (100, 100))
        return limits(NOFILE)

    assert apart(act) == [[100, 100]]


def lowered(soft: int, hard: int, act: Callable[[], Any]) -> Callable[[], Any]:
    def first() -> Any:
        resource.setrlimit(NOFILE, (soft, hard))
        return act()

    return first


def test_descriptors_rise_above_the_soft_limit_up_to_the_hard_one(spec: Callable[..., VassalSpec]) -> None:
    def act() -> Any:
        hold(spec(limit_nofile=400))
        return limits(NOFILE)

    assert apart(lowered(200, 400, act)) == [[400, 400]]


@pytest.mark.parametrize("part", ["vassal", "worker"])
def test_above_the_hard_limit_is_one_clear_line(spec: Callable[..., VassalSpec], part: str) -> None:
    def act() -> Any:
        wanted = spec(limit_nofile=401)
        if part == "worker":
            hold(wanted)
        else:
            with held_while_importing(wanted):
                pass

    assert apart(lowered(200, 400, act)) == (
        "limit-nofile = 401: cannot be set: more than the 400 that this user may have -- the app is not started"
    )


def test_too_few_descriptors_to_import_anything_are_one_clear_line(spec: Callable[..., VassalSpec]) -> None:
    line = apart(lambda: hold(spec(limit_nofile=SPARE_NOFILE)))
    assert line.startswith(f"limit-nofile = {SPARE_NOFILE}: too few: ")
    assert line.endswith(" are open before the app is imported -- the app is not started")


def test_memory_beyond_the_limit_is_a_memory_error(spec: Callable[..., VassalSpec]) -> None:
    def act() -> Any:
        limit_memory(spec(limit_as=rlimits._taken_memory() + 64 * MEGABYTE))
        try:
            bytearray(128 * MEGABYTE)
        except MemoryError:
            return "MemoryError"

    assert apart(act) == "MemoryError"


def test_less_memory_than_the_interpreter_has_is_one_clear_line(spec: Callable[..., VassalSpec]) -> None:
    line = apart(lambda: limit_memory(spec(limit_as=8 * MEGABYTE)))
    assert line.startswith("limit-as = 8 MB: too little: ")
    assert line.endswith(" MB are taken before the app is imported -- the app is not started")


def test_nobody_forks_beyond_limit_nproc(spec: Callable[..., VassalSpec]) -> None:
    def act() -> Any:
        hold(spec(limit_nproc=1))
        try:
            if os.fork() == 0:
                os._exit(0)
        except BlockingIOError:
            return "refused"

    assert apart(act) == "refused"


def test_a_vassal_forks_after_an_import_that_could_not(spec: Callable[..., VassalSpec]) -> None:
    def act() -> Any:
        with held_while_importing(spec(limit_nproc=1)):
            try:
                os.fork()
            except BlockingIOError:
                refused = True
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return [refused, os.waitpid(child, 0)[1]]

    assert apart(act) == [True, signal.SIGKILL]


def test_niceness_is_added(spec: Callable[..., VassalSpec]) -> None:
    before = os.nice(0)

    def act() -> Any:
        limit_memory(spec(nice=3))
        return os.nice(0)

    assert apart(act) == min(19, before + 3)


def test_niceness_below_ones_rights_is_one_clear_line(spec: Callable[..., VassalSpec]) -> None:
    def act() -> Any:
        resource.setrlimit(resource.RLIMIT_NICE, (0, 0))
        limit_memory(spec(nice=-5))

    line = apart(act)
    assert line.startswith("nice = -5: cannot be set: ")
    assert line.endswith("-- the app is not started")


def test_fewer_threads_than_a_worker_serves_with_are_one_clear_line(spec: Callable[..., VassalSpec]) -> None:
    def act() -> Any:
        wanted = spec(limit_nproc=3, threads=8)
        hold(wanted)
        require_threads(wanted)

    assert apart(act) == (
        "limit-nproc = 3: too few: only 2 of 8 threads can be started beside what else me runs"
        " -- the app is not started"
    )


@pytest.mark.parametrize("options", [{"threads": 8}, {"limit_nproc": 1}, {"limit_nproc": 9, "threads": 8}])
def test_enough_threads_are_let_pass(spec: Callable[..., VassalSpec], options: dict[str, int]) -> None:
    def act() -> Any:
        wanted = spec(**options)
        hold(wanted)
        require_threads(wanted)
        return threading.active_count()

    assert apart(act) == 1


def test_a_lone_server_is_held_to_them_too(tmp_path: Path) -> None:
    web = Web(tmp_path)
    process = web.start(web.ini(wsgi_file="app.py", limit_nofile=100, limit_as=700, harakiri=5))
    try:
        web.facts()
        table = Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"^Max open files +100 +100 ", table, re.MULTILINE)
        assert re.search(rf"^Max address space +{700 * MEGABYTE} +{700 * MEGABYTE} ", table, re.MULTILINE)
        assert web.log.count("site: harakiri: ignored: no vassal looks on") == 1
    finally:
        process.kill()
        process.wait()
        web.listener.close()
