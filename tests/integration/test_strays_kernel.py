"""Orphans on the real kernel: each test is a process of its own that adopts them, and asserts what becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from emperor.system import cgroup, kin
from emperor.system.cgroup import Groups
from tests.integration.kernel_world import until
from tests.requirements import SYSTEM_PYTHON

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = '''
import os, signal, subprocess, sys
from emperor.journal import Journal
from emperor.orphans import Orphans
from emperor.system import kin, prctl, processes
from emperor.system.cgroup import Groups
from emperor.system.eventloop import Loop
from emperor.tending.strays import Strays
from tests.integration.kernel_world import ME, drive, raise_it, until

prctl.subreaper()
loop = Loop(raise_it)


def orphan(act, session=True):
    """The pid of a grandchild whose parent has ended."""
    read, write = os.pipe()
    middle = os.fork()
    if not middle:
        if session:
            os.setsid()
        pid = os.fork()
        if pid:
            os._exit(0)
        os.write(write, b"%d" % os.getpid())
        try:
            act()
        finally:
            os._exit(0)
    os.waitpid(middle, 0)
    os.close(write)
    pid = int(os.read(read, 20))
    os.close(read)
    return pid


def pauses():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()


def ends():
    os._exit(0)


def forks_on():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        if os.fork():
            os._exit(0)


def sleeper(**more):
    return subprocess.Popen(["sleep", "60"], **more)


def there(pid):
    one = kin.look(pid)
    return one is not None and not one.dead


def undertaker(known=(), succeeding=False):
    """Dead and not reaped: the vassal that is buried."""
    strays = Strays(loop, Journal(), lambda: {*known, vassal.pid}, Groups(""), succeeding)
    loop.on_signal(signal.SIGCHLD, strays.heard)
    return strays


def lay_out():
    child = subprocess.Popen(["true"], start_new_session=True)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return child
'''


def alone(script: str, python: str = sys.executable, prelude: str = PRELUDE) -> None:
    """Run it in a process of its own; the assertions in it are the test."""
    done = subprocess.run(
        [python, "-c", prelude + textwrap.dedent(script)], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Who is there ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", [True, False], ids=["the kernel lists them", "everybody is asked"])
@pytest.mark.parametrize("has_waitid", [True, False], ids=["waitid", "stat"])
def test_children_are_found_dead_and_alive(listed: bool, has_waitid: bool) -> None:
    alone(f"""
    if not {listed}:
        kin._listed = lambda: None
    kin._HAS_WAITID = {has_waitid}
    assert kin.childless() and kin.children() == {{}}
    alive, dead = sleeper(), subprocess.Popen(["true"])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    assert kin.something_is_dead() and not kin.childless()
    assert kin.children() == {{alive.pid: False, dead.pid: True}}
    assert dead.wait() == 0
    assert kin.children() == {{alive.pid: False}}
    alive.kill(), alive.wait()
    assert kin.childless()
    """)


def test_descendants_are_found_parents_first() -> None:
    alone("""
    script = "sh -c 'sleep 60; true' & wait"
    top = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    until(lambda: len(kin.descendants(top.pid)) == 2)
    below = kin.descendants(os.getpid())
    assert [one.pid for one in below][0] == top.pid and below[1].parent == top.pid and below[2].parent == below[1].pid
    os.killpg(top.pid, 9), top.wait()
    """)


def test_what_is_ignored_and_whose_it_is_can_be_read_of_the_living_and_the_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
    try:
        until(lambda: kin.ignores(child.pid, signal.SIGTERM))
        assert not kin.ignores(child.pid, signal.SIGQUIT)
        assert kin.owner(child.pid) == os.getuid()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert kin.owner(child.pid) == os.getuid()
    finally:
        child.kill()
        child.wait()
    assert (kin.look(child.pid), kin.owner(child.pid)) == (None, None)


# The emperor ----------------------------------------------------------------------------------------------------


def test_strays_of_a_buried_vassal_are_killed_and_nobody_else() -> None:
    alone("""
    before = sleeper(start_new_session=True)
    vassal, own = lay_out(), sleeper()
    known = sleeper(start_new_session=True)
    strays = undertaker([known.pid])
    escaped = [orphan(pauses), orphan(forks_on), orphan(pauses)]
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone)
    assert set(kin.children()) == {vassal.pid, before.pid, own.pid, known.pid}
    assert all(there(one.pid) for one in (before, own, known))
    for one in (before, own, known):
        one.kill(), one.wait()
    """)


def test_workers_of_a_killed_vassal_are_spared_and_reaped_when_they_have_ended() -> None:
    alone("""
    other = vassal = lay_out()
    strays = undertaker()
    vassal = subprocess.Popen(
        [sys.executable, "-c", "import os, time\\nif not os.fork(): time.sleep(60)\\nos.kill(os.getpid(), 9)"],
        start_new_session=True,
    )
    os.waitid(os.P_PID, vassal.pid, os.WEXITED | os.WNOWAIT)
    (worker,) = [pid for pid in kin.children() if pid not in (vassal.pid, other.pid)]
    strays._known = lambda: {vassal.pid, other.pid}
    strays.buried("other", other.pid)
    drive(loop, lambda: strays.gone)
    assert there(worker)
    os.kill(worker, 9)
    drive(loop, lambda: kin.look(worker) is None)
    assert kin.look(vassal.pid).dead
    """)


def test_what_dies_is_reaped_although_no_vassal_was_buried_and_what_lives_is_left_alone() -> None:
    alone("""
    vassal = lay_out()
    strays = undertaker()
    escaped, dead = orphan(pauses), [orphan(ends) for _ in range(20)]
    drive(loop, lambda: set(kin.children()) == {vassal.pid, escaped})
    assert there(escaped)
    os.kill(escaped, 9)
    """)


def test_a_child_that_somebody_waits_for_is_his_to_reap() -> None:
    alone("""
    vassal = lay_out()
    strays = undertaker()
    own = subprocess.Popen(["sh", "-c", "exit 7"])
    known = subprocess.Popen(["sh", "-c", "exit 8"], start_new_session=True)
    strays._known = lambda: {vassal.pid, known.pid}
    os.waitid(os.P_PID, own.pid, os.WEXITED | os.WNOWAIT), os.waitid(os.P_PID, known.pid, os.WEXITED | os.WNOWAIT)
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone)
    strays._look()
    assert (own.wait(), known.wait(), vassal.wait()) == (7, 8, 0)
    """)


def test_more_strays_than_one_look_may_end_are_ended_in_several() -> None:
    alone("""
    import emperor.tending.strays as module
    module.TURN = 0.0
    vassal = lay_out()
    strays = undertaker()
    escaped = [orphan(pauses) for _ in range(45)]
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone)
    assert set(kin.children()) == {vassal.pid}
    """)


def test_a_hunt_is_over_however_many_there_are_of_somebody_else() -> None:
    """A user's orphans, made by the hundred, keep nobody busy with another user's burial."""
    alone("""
    vassal = lay_out()
    strays = undertaker()
    theirs = [orphan(pauses) for _ in range(150)]
    mine = [orphan(pauses) for _ in range(3)]
    kin.owner = lambda pid: 1001 if pid in theirs else 1002
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone and strays._timer is None)
    assert set(kin.children()) == {vassal.pid, *theirs}
    assert all(map(there, theirs))
    for pid in theirs:
        os.kill(pid, 9)
    """)


def test_the_dead_are_taken_before_the_living_are_looked_at() -> None:
    alone("""
    import emperor.tending.strays as module
    module.TURN = 0.0
    vassal = lay_out()
    strays = undertaker()
    living = [orphan(pauses) for _ in range(20)]
    dead = [orphan(ends) for _ in range(20)]
    until(lambda: not any(map(there, dead)))
    owner, asked = kin.owner, []

    def watched(pid):
        if pid in living:
            asked.append(pid)
            assert not any(map(kin.look, dead))
        return 1001 if pid in living else 1002

    kin.owner = watched
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone)
    assert set(asked) == set(living)
    for pid in living:
        os.kill(pid, 9)
    """)


def test_the_killed_keep_their_numbers_until_none_of_them_lives() -> None:
    """A limit of processes counts the dead that are not reaped: whoever forks at his limit has no room to fork into."""
    alone("""
    import emperor.tending.strays as module
    vassal = lay_out()
    strays = undertaker()
    first, second = orphan(pauses), orphan(pauses)
    kill, spared = module._kill, [second]
    module._kill = lambda one: None if one.pid in spared else kill(one)
    strays.buried("site", vassal.pid)
    drive(loop, lambda: not there(first))
    rounds, judge = [], strays._judge
    strays._judge = lambda *words: (rounds.append(kin.look(first)), judge(*words))
    drive(loop, lambda: len(rounds) >= 3)
    assert all(one is not None and one.dead for one in rounds)
    spared.clear()
    drive(loop, lambda: strays.gone)
    assert kin.look(first) is None and kin.look(second) is None
    """)


def test_of_very_many_killed_most_are_reaped_although_one_of_them_lives() -> None:
    alone("""
    import emperor.tending.strays as module
    module.MOST_LAID_OUT = 2
    vassal = lay_out()
    strays = undertaker()
    killed, second = [orphan(pauses) for _ in range(6)], orphan(pauses)
    kill, spared = module._kill, [second]
    module._kill = lambda one: None if one.pid in spared else kill(one)
    strays.buried("site", vassal.pid)
    drive(loop, lambda: sum(kin.look(pid) is not None for pid in killed) == 2)
    spared.clear()
    drive(loop, lambda: strays.gone)
    """)


def test_a_turn_of_the_loop_looks_at_one_after_another_until_its_time_is_over() -> None:
    alone("""
    import emperor.tending.strays as module
    module.TURN = 0.0
    vassal = lay_out()
    strays = undertaker()
    for _ in range(20):
        orphan(pauses)
    look, looked = kin.look, []
    kin.look = lambda pid: looked.append(pid) or look(pid)
    strays._condemned[os.getuid()] = loop.now() + 60
    while not strays.gone:
        before = len(looked)
        strays._look()
        assert len(looked) - before <= 1
    assert set(kin.children()) == {vassal.pid}
    """)


def test_a_burial_while_a_look_goes_on_gets_a_whole_look_of_its_own() -> None:
    alone("""
    import emperor.tending.strays as module
    module.TURN = 0.0
    vassal = lay_out()
    strays = undertaker()
    theirs = [orphan(pauses) for _ in range(5)]
    kin.owner = lambda pid: 1001 if pid in theirs else 1002
    strays.buried("site", vassal.pid)
    strays._look()
    assert strays._round is not None
    late = orphan(pauses)
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone)
    assert not there(late) and all(map(there, theirs))
    for pid in theirs:
        os.kill(pid, 9)
    """)


def test_somebody_who_does_not_end_is_hunted_for_some_time_only() -> None:
    alone("""
    import emperor.tending.strays as module
    module.LONGEST = 0.2
    module._kill = lambda one: None
    vassal = lay_out()
    strays, said = undertaker(), []
    strays._journal.warning = lambda name, text: said.append(text)
    escaped = orphan(pauses)
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone and strays._timer is None)
    assert there(escaped) and len(said) == 1 and f"uid {os.getuid()}" in said[0]
    os.kill(escaped, 9)
    """)


def test_who_dies_while_a_look_goes_on_is_found_by_the_next() -> None:
    alone("""
    import emperor.tending.strays as module
    module.TURN = 0.0
    vassal = lay_out()
    strays = undertaker()
    pids = [orphan(pauses) for _ in range(3)]
    os.kill(pids[0], 9)
    until(lambda: not there(pids[0]))
    strays._look()
    assert strays._round is not None
    os.kill(pids[0 if there(pids[0]) else 1], 9)
    drive(loop, lambda: set(kin.children()) == {vassal.pid, pids[2]})
    os.kill(pids[2], 9)
    """)


def test_the_program_that_takes_over_spares_whom_the_first_one_found() -> None:
    alone("""
    before = sleeper(start_new_session=True)
    vassal = lay_out()
    told = undertaker().before_us
    later = orphan(pauses)
    strays = undertaker(succeeding=True)
    strays.adopt(told)
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone)
    assert not there(later) and there(before.pid) and told == (before.pid, vassal.pid)
    before.kill(), before.wait()
    """)


def test_where_the_first_program_told_nobody_everybody_unknown_is_spared_and_the_dead_are_reaped() -> None:
    alone("""
    before, known = sleeper(start_new_session=True), sleeper(start_new_session=True)
    dead = orphan(ends)
    until(lambda: not there(dead))
    vassal = lay_out()
    strays = undertaker([known.pid], succeeding=True)
    strays.adopt(None)
    assert strays.before_us == (before.pid,)
    later = orphan(pauses)
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone)
    assert not there(later) and there(before.pid) and kin.look(dead) is None
    for one in (before, known):
        one.kill(), one.wait()
    """)


def test_the_end_waits_for_strays_but_not_for_ever() -> None:
    alone("""
    import emperor.tending.strays as module
    module.AT_THE_END = 0.2
    vassal = lay_out()
    strays, heard = undertaker(), []
    escaped = orphan(pauses)
    module._kill = lambda one: None
    strays.buried("site", vassal.pid)
    assert not strays.gone
    strays.when_gone(lambda: heard.append(1))
    drive(loop, lambda: heard)
    assert there(escaped) and strays.gone
    os.kill(escaped, 9)
    """)


def test_nothing_wakes_the_loop_while_nobody_dies() -> None:
    alone("""
    vassal = lay_out()
    strays = undertaker()
    orphan(pauses)
    strays.buried("site", vassal.pid)
    drive(loop, lambda: strays.gone and set(kin.children()) == {vassal.pid})
    drive(loop, lambda: strays._timer is None)
    """)


# The vassal -----------------------------------------------------------------------------------------------------


def test_a_vassal_without_descendants_ends_at_once() -> None:
    alone("""
    kin.descendants = kin.children = None
    orphans, gone = Orphans(loop), []
    orphans.end(lambda: gone.append(1))
    assert gone
    """)


def test_descendants_are_asked_first_and_killed_then() -> None:
    alone("""
    import emperor.orphans as module
    # Else a second without a processor would end the wait for the dead.
    module.INSISTENCE = 30.0
    os.setsid()
    orphans, gone = Orphans(loop), []
    loop.on_signal(signal.SIGCHLD, orphans.heard)
    read, write = os.pipe()

    def tidies_up():
        # A handler of Python's that comes just before pause(2) would wait for the next signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.write(write, b".")
        signal.sigwait({signal.SIGTERM})
        os.write(write, b"tidied")

    for act, session in ((tidies_up, True), (tidies_up, False), (pauses, True), (pauses, False), (forks_on, True)):
        orphan(act, session)
    assert os.read(read, 1) + os.read(read, 1) == b".."
    orphans.end(lambda: gone.append(kin.childless()))
    drive(loop, lambda: gone)
    assert gone == [True]
    assert os.read(read, 100) == b"tidied" * 2
    """)


def test_one_that_listens_to_nothing_does_not_delay_the_end() -> None:
    alone("""
    import emperor.orphans as module
    module.MERCY = module.INSISTENCE = 3600.0
    orphans, gone = Orphans(loop), []
    loop.on_signal(signal.SIGCHLD, orphans.heard)
    pid = orphan(pauses)
    until(lambda: kin.ignores(pid, signal.SIGTERM))
    orphans.end(lambda: gone.append(1))
    drive(loop, lambda: gone)
    """)


def test_adopted_orphans_are_reaped_and_the_apps_own_children_are_not() -> None:
    alone("""
    import emperor.orphans as module
    module.APPS_TIME = 0.0
    app = subprocess.Popen(["sh", "-c", "exit 7"])
    orphans = Orphans(loop)
    loop.on_signal(signal.SIGCHLD, orphans.heard)
    for _ in range(20):
        orphan(ends, session=False)
    drive(loop, lambda: set(kin.children()) == {app.pid})
    drive(loop, lambda: orphans._timer is None)
    assert app.wait() == 7
    """)


def test_a_dead_child_has_some_time_in_which_the_app_may_wait_for_it() -> None:
    alone("""
    import emperor.orphans as module
    module.PAUSE, module.APPS_TIME = 0.01, 3600.0
    orphans = Orphans(loop)
    orphans._pause = 0.01
    loop.on_signal(signal.SIGCHLD, orphans.heard)
    app = subprocess.Popen(["sh", "-c", "exit 7"])
    drive(loop, lambda: app.pid in orphans._dead)
    for _ in range(3):
        orphans._look()
    assert app.wait() == 7
    """)


def test_what_a_thread_of_the_app_has_started_is_its_to_wait_for() -> None:
    """However late: as long as the thread lives, and after it, if its child was seen as one before."""
    alone("""
    import threading
    import emperor.orphans as module
    module.APPS_TIME = 0.0
    os.setsid()
    orphans = Orphans(loop)
    started, go, over = [], threading.Event(), threading.Event()

    def app():
        started.append(subprocess.Popen(["sh", "-c", "exit 3"]))
        started.append(subprocess.Popen(["sh", "-c", "read line; exit 4"], stdin=subprocess.PIPE))
        go.wait(20)

    thread = threading.Thread(target=app)
    thread.start()
    until(lambda: len(started) == 2)
    os.waitid(os.P_PID, started[0].pid, os.WEXITED | os.WNOWAIT)
    for _ in range(3):
        orphans._look()
    assert kin.look(started[0].pid) is not None
    go.set(), thread.join()
    until(lambda: kin.forked_by_threads() == set())
    started[1].stdin.close()
    os.waitid(os.P_PID, started[1].pid, os.WEXITED | os.WNOWAIT)
    for _ in range(3):
        orphans._look()
    assert [one.wait() for one in started] == [3, 4]
    """)


def test_an_orphan_of_a_session_that_is_not_ours_waits_for_nobody() -> None:
    """Whom we fork is of our session, or leads his own: nobody enters another one (setsid(2))."""
    alone("""
    import emperor.orphans as module
    module.APPS_TIME = 3600.0
    os.setsid()
    orphans = Orphans(loop)
    loop.on_signal(signal.SIGCHLD, orphans.heard)
    leader = subprocess.Popen(["true"], start_new_session=True)
    for _ in range(20):
        orphan(ends)
    plain = orphan(ends, session=False)
    drive(loop, lambda: set(kin.children()) == {leader.pid, plain})
    orphans._look()
    assert set(kin.children()) == {leader.pid, plain}
    # Nobody looks again before it is time.
    assert orphans._timer is not None and orphans._timer.when > loop.now() + 3000
    module.APPS_TIME = 0.0
    orphan(ends)
    drive(loop, kin.childless)
    """)


def test_where_the_kernel_does_not_list_children_by_thread_time_decides() -> None:
    alone("""
    import emperor.orphans as module
    kin._listed = kin.forked_by_threads = lambda: None
    orphans = Orphans(loop)
    app = subprocess.Popen(["sh", "-c", "exit 7"])
    os.waitid(os.P_PID, app.pid, os.WEXITED | os.WNOWAIT)
    orphans._look()
    assert app.wait() == 7
    module.APPS_TIME = 0.0
    pid = orphan(ends, session=False)
    until(lambda: not there(pid))
    orphans._look()
    assert kin.childless()
    """)


def test_what_is_asked_of_the_kernel_works_on_an_old_python_too() -> None:
    alone(
        """
    import sys
    sys.path.insert(0, ".")
    import os, subprocess
    from emperor.system import kin
    assert kin.childless()
    child = subprocess.Popen(["sleep", "60"])
    assert kin.is_dead(child.pid) is False and kin.is_dead(1) is None
    assert not kin.forked_by_threads()
    assert kin.children() == {child.pid: False} and not kin.childless()
    assert [one.pid for one in kin.descendants(os.getpid())] == [child.pid]
    child.kill(), child.wait()
    """,
        python=SYSTEM_PYTHON,
        prelude="",
    )


# Cgroups --------------------------------------------------------------------------------------------------------


def test_before_linux_5_14_everybody_in_a_group_is_killed_by_number(tmp_path: Path) -> None:
    folder = tmp_path / cgroup.group_name("site", 7)
    folder.mkdir()
    children = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    (folder / "cgroup.procs").write_text("".join(f"{child.pid}\n" for child in children[:2]))
    Groups(str(tmp_path)).kill("site", 7)
    assert [child.wait(10) for child in children[:2]] == [-9, -9]
    assert children[2].poll() is None
    children[2].kill()
    children[2].wait()


def test_where_no_group_can_be_made_that_is_said_once_and_nothing_is_left(tmp_path: Path) -> None:
    groups = Groups(str(tmp_path))
    assert "No such file" in groups.enter("site", os.getpid())
    assert list(tmp_path.iterdir()) == []
    assert groups.remove("site", os.getpid())


def test_without_a_delegation_nothing_is_touched() -> None:
    groups = Groups("")
    assert groups.enter("site", os.getpid()) == ""
    groups.kill("site", os.getpid())
    groups.tidy()
    assert groups.remove("site", os.getpid())


def test_an_earlier_emperors_empty_groups_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("vassal-a.1", "vassal-b.2", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "vassal-b.2" / "populated").touch()
    Groups(str(tmp_path)).tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "vassal-b.2"]
