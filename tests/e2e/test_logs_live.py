"""Vassals' lines in files and at the terminal: rotated, followed, lost and told, by the real programs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import StartEmperor
from tests.e2e.harness.daemon import Emperor, Vassal
from tests.e2e.harness.environments import CHECKOUT
from tests.e2e.harness.people import Users
from tests.e2e.harness.waiting import wait_for
from tests.requirements import needs

CONTRIB = CHECKOUT / "contrib" / "systemd" / "logrotate.d" / "emperor"


def say(site: Vassal, text: str) -> None:
    assert site.get(f"/say?{text}").status == 200


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def contains(path: Path, words: str) -> None:
    wait_for(lambda: text_of(path), lambda text: words in text, f"{words!r} in {path.name}")


@pytest.fixture
def daemon(emperor: StartEmperor) -> Emperor:
    return emperor().start()


@needs("root", "useradd", "logrotate")
def test_logs_of_root_and_of_a_user_are_rotated_by_size_and_by_logrotate(daemon: Emperor, users: Users) -> None:
    alice = users.alice
    roots, hers = daemon.root / "roots", daemon.root / "hers"
    for folder in (roots, hers):
        folder.mkdir(mode=0o755)
    os.chown(hers, alice.uid, alice.gid)
    sites = {
        roots / "a.log": daemon.add("a", logto=roots / "a.log"),
        hers / "b.log": daemon.add("b", alice, logto=hers / "b.log"),
        roots / "c.log": daemon.add("c", logto=roots / "c.log", log_maxsize=300, log_keep=40),
        hers / "d.log": daemon.add("d", alice, logto=hers / "d.log", log_maxsize=300, log_keep=40),
    }
    for site in sites.values():
        site.running()
    for path, site in sites.items():
        for number in range(6):
            say(site, f"before-{number}-{path.name}")
        contains(path, "before-5")
        assert daemon.ctl("reload", site.name).returncode == 0
        say(site, "after-the-reload")
    # By size: in order, none lost, and the owner's.
    for path in (roots / "c.log", hers / "d.log"):
        contains(path, "stdout: after-the-reload")
        files = sorted(path.parent.glob(f"{path.name}*"), key=lambda one: one.stat().st_mtime_ns)
        found = re.findall(r"\[1\] stdout: before-(\d)", "".join(one.read_text() for one in files))
        assert found == list("012345") and len(files) > 2
        assert {one.stat().st_uid for one in files} == {alice.uid if path.parent == hers else 0}
    # By logrotate: our configuration, but for where it all is here.
    ours, mark, theirs = CONTRIB.read_text().partition("# --- 8< ---\n")
    assert mark
    theirs = re.sub("^#", "", theirs, flags=re.M).replace("su USER GROUP", f"su {alice.name} {alice.name}")
    text = ours.replace("/var/log/emperor", str(roots)) + theirs.replace("/home/USER/logs", str(hers))
    text = re.sub(r"systemctl kill .*", f"kill -USR1 {daemon.pid}", text)
    config = daemon.root / "logrotate.conf"
    config.write_text(text)
    done = subprocess.run(
        ["logrotate", "-f", "-s", str(daemon.root / "state"), str(config)], capture_output=True, text=True
    )
    assert done.returncode == 0, (done, text)
    for path in (roots / "a.log", hers / "b.log"):
        wait_for(path.exists, what=f"{path.name} is opened anew")
        say(sites[path], "after-logrotate")
        contains(path, "stdout: after-logrotate")
        assert "before-0" in path.with_suffix(".log.1").read_text() and "before-0" not in path.read_text()
    assert all(site.row()["warnings"] == [] for site in sites.values())


@needs("root", "useradd")
def test_a_log_that_is_not_there_keeps_nobody_from_serving_and_heals(daemon: Emperor, users: Users) -> None:
    hers = daemon.root / "hers"
    hers.mkdir(mode=0o755)
    os.chown(hers, users.alice.uid, users.alice.gid)
    path = hers / "none" / "b.log"
    for site in (daemon.add("b", users.alice, logto=path), daemon.add("a", logto=daemon.root / "none" / "a.log")):
        path = Path(str(site.options["logto"]))
        site.running()
        warned = site.until(lambda row: row["warnings"], "a warning")
        assert warned["warnings"][0].startswith(f"logto {path}: No such file or directory")
        say(site, "while-it-is-not-there")
        daemon.wait_for_log(f"{site.name}| [1] stdout: while-it-is-not-there")
        # What it has said to one program it does not say again to the next.
        assert daemon.ctl("upgrade").returncode == 0
        assert site.row()["warnings"] == warned["warnings"]
        path.parent.mkdir()
        os.chown(path.parent, *((users.alice.uid, users.alice.gid) if site.name == "b" else (0, 0)))

        def healed(site: Vassal = site) -> bool:
            say(site, "again")
            return not site.row()["warnings"]

        wait_for(healed, what="it heals by itself")
        contains(path, "stdout: again")


def test_who_follows_sees_each_line_once_over_reload_upgrade_and_restart(daemon: Emperor) -> None:
    sites = [daemon.add(name, processes=2) for name in ("a", "b")]
    for site in sites:
        site.running()
    said: list[str] = []
    output = daemon.root / "followed"
    program = [str(daemon.programs / "emperorctl"), "--control-socket", str(daemon.control)]
    with output.open("wb") as sink:
        follower = subprocess.Popen(
            [*program, "logs", "-f", "-n", "0", "a", "b"], stdout=sink, stderr=sink, env={"PATH": os.environ["PATH"]}
        )

    def both_are_seen(moment: str) -> None:
        for site in sites:
            said.append(f"{site.name}-{moment}")
            say(site, said[-1])
            contains(output, f"stdout: {said[-1]}")

    def follows() -> bool:
        say(sites[0], "hello")
        return "stdout: hello" in text_of(output)

    try:
        wait_for(follows, what="it follows")
        both_are_seen("before")
        assert daemon.ctl("reload", "a", "b").returncode == 0
        both_are_seen("reloaded")
        assert daemon.ctl("upgrade").returncode == 0
        both_are_seen("upgraded")
        say(sites[0], "last")
        said.append("last")
        assert daemon.stop() == 0
        daemon.start()
        for site in sites:
            site.running()
        both_are_seen("restarted")
        text = text_of(output)
        assert [text.count(f"stdout: {one}\n") for one in said] == [1] * len(said), text
        assert re.search(r"^a \| \S+ \[[12]\] stdout: a-before$", text, re.M), text
        sites[1].ini.unlink()
        contains(output, "emperorctl: b: is gone\n")
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
    finally:
        follower.kill()
        follower.wait()
    last = json.loads(daemon.ctl("--json", "logs", "-n", "1", "a").stdout)
    assert last.keys() == {"name", "time", "worker", "line"} and last["worker"] in (1, 2)


def test_a_flood_costs_the_others_no_line(daemon: Emperor) -> None:
    stop = daemon.root / "stop"
    loud = daemon.add("loud", app="floods.py", env=["FLOOD=worker", f"STOP={stop}"], reload_mercy=2)
    quiet = daemon.add("quiet")
    loud.running(), quiet.running()
    loud.get()
    for number in range(100):
        say(quiet, f"line-{number}")
    wait_for(lambda: daemon.ctl("logs", "-n", "500", "quiet").stdout, lambda text: "stdout: line-99" in text)
    text = daemon.ctl("logs", "-n", "500", "quiet").stdout
    assert re.findall(r"\[1\] stdout: line-(\d+)", text) == [str(number) for number in range(100)]
    wait_for(
        lambda: daemon.ctl("logs", "-n", "5000", "loud").stdout, lambda text: re.search(r"\[\d+ lines lost\]", text)
    )
    stop.touch()
