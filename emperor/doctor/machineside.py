"""What of the machine makes requests fail, or soon will, from what was seen of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emperor.doctor.facts import Disk, Machine, Mount, Subject, Well
from emperor.doctor.finding import FAILS, MACHINE, MAY_FAIL, Finding
from emperor.doctor.mends import quoted
from emperor.model import TCP

NEARLY = 0.9
"""Of a limit that is used."""

RESERVE = 32
"""Descriptors that a vassal needs beside its connections."""

_TAKEN = ": bind: somebody listens there"
"""As ``system.listeners`` says it."""

_SYSCTL = "/etc/sysctl.d/60-emperor.conf"


def findings(machine: Machine, subjects: Sequence[Subject]) -> Iterator[Finding]:
    yield from _emperor(machine)
    yield from _log(machine)
    yield from _rivals(machine, subjects)
    yield from _web(machine)
    yield from _inotify(machine)
    yield from _files(machine)
    for mount in machine.mounts:
        yield _hidden(mount)
    for disk in machine.disks:
        yield _full(disk)
    for subject in subjects:
        yield from _queue(machine, subject)


def wells(machine: Machine) -> Iterator[Well]:
    if not machine.daemon:
        yield Well(MACHINE, f"the emperor answers at {machine.control} (pid {machine.pid or 'not known'})")
    if machine.web is not None:
        yield Well(MACHINE, f"{machine.web.user} is the web server's user")


def _emperor(machine: Machine) -> Iterator[Finding]:
    if machine.daemon:
        start = "systemctl start emperor" if machine.unit else "emperor  # or a unit: contrib/systemd/emperor.service"
        mend: tuple[str, ...] = (start,)
        others = [str(pid) for pid in machine.emperors]
        if machine.denied:
            mend = ("# ask as root, or as a member of the emperor's --control-group",)
        elif others:
            mend = (f"# pid {', '.join(others)} is an emperor: name its --control-socket", start)
        mend += tuple(
            f"emperorctl --control-socket {quoted(one)} doctor  # there is another" for one in machine.others[:3]
        )
        why = "what no emperor started does not serve: the web server answers 502"
        weight = MAY_FAIL if machine.denied else FAILS
        said = "it listens, and this user may not ask it" if machine.denied else why
        yield Finding("no-emperor", MACHINE, machine.daemon, said, mend, weight)


def _log(machine: Machine) -> Iterator[Finding]:
    if machine.trouble:
        look = f"ls -l /proc/{machine.pid}/fd  # which file it is, and df -h of its folder" if machine.pid else "df -h"
        yield Finding(
            "emperor-log",
            MACHINE,
            machine.trouble,
            "what the emperor and apps without a log of their own say is nowhere: nobody sees why an app fails",
            (look, "# make room, or mend who may write there; what was lost is then counted in the log itself"),
            MAY_FAIL,
        )


def _rivals(machine: Machine, subjects: Sequence[Subject]) -> Iterator[Finding]:
    """Several may serve folders of their own; a socket that is taken is what they can quarrel about."""
    taken = [one.name for one in subjects if _TAKEN in str(one.snapshot.get("error") or "")]
    if taken and len(machine.emperors) > 1:
        pids = ", ".join(str(pid) for pid in machine.emperors)
        yield Finding(
            "two-emperors",
            MACHINE,
            f"{len(machine.emperors)} emperors run: pids {pids}, and a socket of {', '.join(taken[:3])} is taken",
            "the first to bind a socket has it: what the other one shows of the same app is not what visitors see",
            (f"ps -o pid,lstart,args -p {pids.replace(' ', '')}  # then end the one that is too many: kill PID",),
            MAY_FAIL,
        )


def _web(machine: Machine) -> Iterator[Finding]:
    if machine.web is None:
        asked = machine.web_name or "www-data"
        yield Finding(
            "no-web-user",
            MACHINE,
            f"there is no user {asked}: as whom the web server connects is not known",
            "sockets are made for nobody but the apps' users; the web server answers 502 if it is somebody else",
            ("emperorctl doctor --as USER  # of the web server", "# and start the emperor with --web-user USER"),
            MAY_FAIL,
        )


def _queue(machine: Machine, subject: Subject) -> Iterator[Finding]:
    if subject.spec is None or machine.somaxconn is None:
        return
    most = max((one.backlog for one in subject.spec.sockets), default=0)
    if most > machine.somaxconn:
        tcp = any(one.address.family == TCP for one in subject.spec.sockets)
        yield Finding(
            "somaxconn",
            subject.name,
            f"listen = {most}, and the kernel lets {machine.somaxconn} wait (net.core.somaxconn)",
            "in a rush more is refused than the ini says: " + ("connections" if tcp else "the web server answers 502"),
            (
                f"sysctl -w net.core.somaxconn={most}",
                f"echo net.core.somaxconn={most} > {_SYSCTL}",
                f"emperorctl restart {subject.name}  # a socket that listens already keeps its limit",
            ),
            MAY_FAIL,
        )


def _inotify(machine: Machine) -> Iterator[Finding]:
    rows = (("max_user_watches", "watches", machine.watches), ("max_user_instances", "instances", machine.instances))
    for name, words, counts in rows:
        if counts is None or counts[0] < NEARLY * counts[1]:
            continue
        used, most = counts
        more = max(2 * most, 2 * used, 128)
        yield Finding(
            "inotify",
            MACHINE,
            f"{used} of {most} inotify {words} are in use (fs.inotify.{name})",
            "changed inis and apps are seen late or not at all; what is deployed seems to have no effect",
            (f"sysctl -w fs.inotify.{name}={more}", f"echo fs.inotify.{name}={more} >> {_SYSCTL}"),
            MAY_FAIL,
        )


def _files(machine: Machine) -> Iterator[Finding]:
    if machine.files is not None and machine.files[0] >= NEARLY * machine.files[1]:
        used, most = machine.files
        yield Finding(
            "open-files",
            MACHINE,
            f"the emperor has {used} files open, of {most} that it may (LimitNOFILE= of its unit)",
            "no vassal can be started or reloaded any more",
            ("systemctl edit emperor  # [Service] LimitNOFILE=65536", "systemctl restart emperor"),
            MAY_FAIL,
        )


def open_files(subject: Subject, most: int) -> Iterator[Finding]:
    """``most``: how many files a process of the vassal's may have open."""
    spec = subject.spec
    if spec is None or most >= spec.max_connections + RESERVE:
        return
    yield Finding(
        "open-files",
        subject.name,
        f"its workers may open {most} files, and max-connections is {spec.max_connections}",
        "in a rush connections are accepted and cannot be served",
        (f"# in {spec.config}: limit-nofile = {spec.max_connections + 256}, or max-connections = {max(8, most - 64)}",),
        MAY_FAIL,
    )


def _hidden(mount: Mount) -> Finding:
    home = mount.folder in ("/home", "/root", "/run/user")
    setting = "ProtectHome=" if home else "PrivateTmp="
    value = "no"
    unit = mount.unit or "emperor"
    what = "apps and virtualenvs there are not there for it" if home else "sockets there are not where others look"
    return Finding(
        "hidden-folder",
        MACHINE,
        f"{mount.who} sees another {mount.folder} than everybody else ({setting} of its unit, or a namespace)",
        f"{what}: the web server answers 502",
        (
            f"systemctl edit {unit}  # [Service] {setting}{value}",
            f"systemctl restart {unit}",
            f"# or keep out of {mount.folder}: without `socket` it is in the emperor's own folder, below /run",
        ),
    )


def _full(disk: Disk) -> Finding:
    used = " and ".join(word for word, yes in (("space", disk.blocks), ("inodes", disk.inodes)) if yes)
    folder = quoted(disk.folder)
    look = f"df -h {folder}" if disk.blocks else f"df -i {folder}"
    return Finding(
        "disk-full",
        MACHINE,
        f"no {used} left in {disk.folder} ({disk.use})",
        "log lines are lost, sockets cannot be made, apps that write answer 500",
        (look, f"du -xh --max-depth=2 {folder} | sort -h | tail  # then make room"),
    )
