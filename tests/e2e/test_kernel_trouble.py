"""The kernel refuses, forgets or floods: the daemon stays, says so, answers, and recovers by itself."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness import procfs
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import DEADLINE, wait_for
from tests.requirements import needs


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


def wrapped(daemon: Emperor, *lines: str) -> Emperor:
    """The same daemon, started by a shell that prepares its world and becomes it; $@ is its command."""
    shims = daemon.root / "bin"
    shims.mkdir(mode=0o755)
    for name in ("emperor", "emperorctl"):
        program = shims / name
        start = lines if name == "emperor" else ('exec "$@"',)
        program.write_text("\n".join(("#!/bin/sh", f'set -e -- {daemon.programs}/{name} "$@"', *start, "")))
        program.chmod(0o755)
    daemon.programs = shims
    return daemon


@contextmanager
def limited(daemon: Emperor, what: str, most: int) -> Iterator[None]:
    """The soft limit of a running daemon, for a while; changed by whoever runs it (prlimit(1))."""

    def prlimit(*words: str) -> str:
        return daemon.person.run("/usr/bin/prlimit", f"--pid={daemon.pid}", *words).stdout.strip()

    before = prlimit(f"--{what}", "--output=SOFT,HARD", "--noheadings", "--raw").replace(" ", ":")
    prlimit(f"--{what}={most}:{before.partition(':')[2]}")
    try:
        yield
    finally:
        prlimit(f"--{what}={before}")


def seconds_of_cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def states(daemon: Emperor) -> dict[str, str]:
    return {row["name"]: row["state"] for row in daemon.status()}


def all_run(daemon: Emperor, *names: str) -> None:
    wait_for(lambda: states(daemon), lambda now: now == dict.fromkeys(names, "RUNNING"), "all run", 40)


# Descriptors ------------------------------------------------------------------------------------------------------


def test_with_few_descriptors_left_nothing_new_starts_and_emperorctl_is_answered(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    taken = len(procfs.descriptors(daemon.pid))
    with limited(daemon, "nofile", taken + 12):
        late = [daemon.add(f"late{number}") for number in range(3)]
        refused = [one.state("BACKOFF") for one in late]
        assert all("descriptors are in use -- raise LimitNOFILE= or ulimit -n" in row["error"] for row in refused)
        assert daemon.ctl("reload", "site").returncode == 1
        assert site.get().status == 200
        assert site.row()["pid"] == row["pid"]
    all_run(daemon, "site", "late0", "late1", "late2")


def test_without_a_single_descriptor_it_stays_does_not_spin_and_goes_on(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    with limited(daemon, "nofile", 3):
        daemon.add("late")
        daemon.wait_for_log("cannot be read: Too many open files -- its vassals stay as they are")
        before, began = seconds_of_cpu(daemon.pid), time.monotonic()
        while time.monotonic() - began < 2:
            assert site.get().status == 200
        assert seconds_of_cpu(daemon.pid) - before < 1.0
    all_run(daemon, "site", "late")
    assert site.row()["pid"] == row["pid"]


# Processes --------------------------------------------------------------------------------------------------------


@needs("root")
def test_without_processes_a_start_is_tried_again_until_there_are_some(emperor: StartEmperor, users: Users) -> None:
    daemon = emperor(users.alice).start()
    site = daemon.add("site")
    row = site.running()
    with limited(daemon, "nproc", 1):
        late = daemon.add("late")
        assert "Resource temporarily unavailable" in late.state("BACKOFF")["error"]
        assert site.row()["pid"] == row["pid"]
        site.ini.unlink()
        daemon.wait_for(lambda rows: [one["name"] for one in rows] == ["late"], "the old one is gone")
    all_run(daemon, "late")


# inotify ----------------------------------------------------------------------------------------------------------


@needs("root")
def test_without_inotify_the_rescan_sees_what_changes(emperor: StartEmperor) -> None:
    namespace = "until grep -q 65536 /proc/self/uid_map; do sleep 0.01; done; exec /bin/sh -c '" + (
        'echo 0 > /proc/sys/user/max_inotify_instances; exec "$@"\' sh "$@"'
    )
    shim = emperor().root / "namespace"
    shim.write_text(f"{namespace}\n")
    daemon = wrapped(emperor(), f'exec unshare --user -- /bin/sh {shim} "$@"')
    daemon.launch()
    ours = os.readlink("/proc/self/ns/user")
    wait_for(lambda: os.readlink(f"/proc/{daemon.pid}/ns/user") != ours, what="it has a namespace of its own")
    for name in ("gid_map", "uid_map"):
        Path(f"/proc/{daemon.pid}/{name}").write_text("0 0 65536")
    wait_for(daemon.answers, what="the control socket answers")
    daemon.wait_for_log("inotify instance limit reached -- changes there are seen by the rescan")
    site = daemon.add("site")
    row = site.running()
    os.utime(site.ini)
    site.replaced(row)
    assert daemon.log_text.count("instance limit reached") == 2, "once for the folder, once for its parent"


def test_events_that_were_lost_change_nothing_in_the_end(daemon: Emperor) -> None:
    """While it sleeps the kernel's queue of 16384 events runs over, and what happens then is told to nobody."""
    kept, removed, changed = daemon.add("kept"), daemon.add("removed"), daemon.add("changed")
    rows = {one.name: one.running() for one in (kept, removed, changed)}
    late = daemon.place("late")
    daemon.signal(signal.SIGSTOP)
    try:
        for number in range(9_000):
            os.mknod(daemon.vassals / f".{number}")
            os.unlink(daemon.vassals / f".{number}")
        removed.ini.unlink()
        late.write()
        changed.write(env="CHANGED=yes")
    finally:
        daemon.signal(signal.SIGCONT)
    all_run(daemon, "kept", "changed", "late")
    changed.replaced(rows["changed"])
    assert kept.row()["pid"] == rows["kept"]["pid"]
    os.utime(late.ini)
    late.replaced(late.row())


# The folder -------------------------------------------------------------------------------------------------------


def test_a_link_in_the_folders_place_that_leads_to_it_disturbs_nobody(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    real = daemon.root / "real.d"
    daemon.vassals.rename(real)
    daemon.vassals.symlink_to(real)
    daemon.add("other").running()
    assert site.row()["pid"] == row["pid"]
    daemon.vassals.unlink()
    daemon.vassals.symlink_to(daemon.root / "nowhere")
    daemon.wait_for_log("cannot be read: a symbolic link on the way leads to nothing -- its vassals stay as they are")
    assert states(daemon) == {"site": "RUNNING", "other": "RUNNING"}
    daemon.vassals.unlink()
    real.rename(daemon.vassals)
    daemon.wait_for_log("can be read again")
    os.utime(site.ini)
    site.replaced(row)


@needs("root")
def test_a_folder_that_may_not_be_read_for_a_while_disturbs_nobody(emperor: StartEmperor, users: Users) -> None:
    daemon = emperor(users.alice).start()
    site = daemon.add("site")
    row = site.running()
    daemon.vassals.chmod(0o300)
    daemon.wait_for_log("cannot be read: Permission denied -- its vassals stay as they are")
    assert site.row()["pid"] == row["pid"]
    daemon.vassals.chmod(0o755)
    daemon.add("other").running()
    assert site.row()["pid"] == row["pid"]


# Disks ------------------------------------------------------------------------------------------------------------


@needs("root")
def test_a_full_disk_costs_log_lines_which_are_counted_and_nothing_else(emperor: StartEmperor, users: Users) -> None:
    daemon = emperor()
    logs = daemon.root / "logs"
    logs.mkdir(mode=0o755)
    # The mount is the daemon's alone: seen from here by way of /proc.
    wrapped(
        daemon,
        f"exec unshare --mount -- /bin/sh -c 'mount -t tmpfs -o size=64k,mode=755 none {logs}; "
        f'mkdir -m 755 {logs}/hers; chown {users.alice.uid} {logs}/hers; exec "$@"\' sh "$@"',
    )
    emperors = daemon.add("emperors", logto=logs / "emperors.log")
    hers = daemon.add("hers", users.alice, logto=logs / "hers" / "hers.log")
    daemon.start("--logto", str(logs / "emperor.log"))
    seen = Path(f"/proc/{daemon.pid}/root{logs}")
    for one in (emperors, hers):
        one.running()
        say(one, "before")
    wait_for(lambda: "before" in text_of(seen / "hers" / "hers.log"), what="what she says is in her log")
    fill(seen / "filler")
    for one in (emperors, hers):
        for number in range(20):
            say(one, f"lost {number} {'x' * 400}")

    def told() -> bool:
        """What is left of the last page takes some lines more."""
        assert daemon.ctl("reload", "emperors").returncode == 0
        return "--logto: cannot be written" in daemon.log_text

    wait_for(told, what="it is told")
    assert daemon.log_text.count("--logto: cannot be written") == 1
    (seen / "filler").unlink()
    for one in (emperors, hers):
        say(one, "after")
    assert daemon.ctl("reload", "all").returncode == 0
    for name in ("emperors.log", "hers/hers.log"):
        text = wait_for(lambda name=name: text_of(seen / name), lambda text: "after" in text, name)  # type: ignore[misc]
        assert re.search(r"\[\d+ lines lost\]", text), text
    assert re.search(r"emperor: warning: \[\d+ lines lost\]", text_of(seen / "emperor.log"))


def say(vassal: Vassal, words: str) -> None:
    assert vassal.get(f"/say?{words.replace(' ', '-')}").status == 200


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            return


# Standard streams -------------------------------------------------------------------------------------------------


def test_with_standard_streams_closed_nobody_elses_file_becomes_standard_error(emperor: StartEmperor) -> None:
    daemon = wrapped(emperor(), 'exec "$@" 0<&- 1>&- 2>&-').start()
    site = daemon.add("site")
    site.running()
    assert {procfs.descriptors(daemon.pid)[fd] for fd in (0, 1, 2)} == {"/dev/null"}
    assert site.get().status == 200


def test_a_reader_of_its_log_that_does_not_read_holds_up_nobody(emperor: StartEmperor) -> None:
    daemon = emperor()
    fifo = daemon.root / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 16384)
    wrapped(daemon, f'exec "$@" 2>{fifo}').start()
    site = daemon.add("site")
    site.running()
    for number in range(100):
        say(site, f"{number} {'x' * 100}")
    assert daemon.ctl("restart", "site").returncode == 0
    assert site.get().status == 200
    assert len(os.read(reader, 65536)) > 8000
    say(site, "after")
    wait_for(lambda: _read(reader), lambda text: re.search(r"\[\d+ lines lost\]", text), "it says what was lost")
    os.close(reader)
    row = site.running()
    os.utime(site.ini)
    site.replaced(row)


def _read(fd: int) -> str:
    try:
        return os.read(fd, 65536).decode()
    except BlockingIOError:
        return ""


# Signals and clocks -----------------------------------------------------------------------------------------------


def test_a_storm_of_signals_drowns_nobody_and_not_the_end(daemon: Emperor) -> None:
    site = daemon.add("site")
    site.running()
    for number in range(30_000):
        daemon.signal((signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)[number % 3])
    assert site.get().status == 200
    assert states(daemon).keys() == {"site"}
    for _ in range(3000):
        daemon.signal(signal.SIGHUP)
    daemon.signal(signal.SIGTERM)
    for _ in range(3000):
        daemon.signal(signal.SIGHUP)
    assert daemon.process
    assert daemon.process.wait(DEADLINE) == 0
    assert "stopping at once" not in daemon.log_text


def test_a_file_from_the_future_is_one_change(daemon: Emperor) -> None:
    site = daemon.add("site")
    row = site.running()
    tomorrow = time.time() + 86400
    os.utime(site.ini, (tomorrow, tomorrow))
    new = site.replaced(row)
    daemon.add("other").running()
    assert site.row()["generation"] == new["generation"] == row["generation"] + 1
