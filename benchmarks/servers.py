"""How each server is started: a table, so that the report can show what was run.

Each is given the settings that its own documentation recommends for production, with the access log off, but for those
that are "logged": they write Apache's combined format into a file.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.rows import Contender

APPS = Path(__file__).resolve().parent / "apps"


# With these it has the settings of "Configuring uWSGI for Production Deployment" (techatbloomberg.com, 2019), but
# for max-requests, which would restart the worker many times a second here, and for scaling.
_GUARDS = ("--log-4xx", "--log-5xx", "--max-worker-lifetime", "3600", "--reload-on-rss", "2048",
           "--worker-reload-mercy", "60")  # fmt: skip


ANYBODYS = "logs/"
"""Among a plan's files: a folder that every user may write to."""

_COMBINED = '%(addr) - %(user) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(rsize) "%(referer)" "%(uagent)"'
"""In uWSGI's words, which has no name for it."""


_SUPERVISOR = """\
[unix_http_server]
file = {folder}/control.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisord]
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
childlogdir = {folder}
[supervisorctl]
serverurl = unix://{folder}/control.sock
[program:app]
command = sleep infinity
process_name = app%(process_num)02d
numprocs = {number}
"""


class Failure(Exception):
    """A row cannot be measured, or its figures mean nothing; the text says why."""


@dataclass(frozen=True)
class Places:
    """``venv``: where our emperor and the peers are installed. ``pypy``: a virtualenv of PyPy. ``payloads``: the
    folder of the files that apps hand out, each named by its size in MiB."""

    folder: Path
    venv: Path
    pypy: Path
    payloads: Path


@dataclass(frozen=True)
class Plan:
    """One contender's start. ``folder`` is its own and empty."""

    contender: Contender
    folder: Path
    places: Places

    @property
    def socket(self) -> Path:
        return self.folder / "app.sock"

    @property
    def app(self) -> Path:
        return APPS / f"{self.contender.app}.py"

    @property
    def callable(self) -> str:
        return "app" if self.contender.app.startswith("flask") else "application"

    @property
    def protocol(self) -> str:
        return self.contender.way.partition("-")[0]


class Recipe(NamedTuple):
    """``needs``: files that must be there, and what to do when one is not."""

    title: str
    command: Callable[[Plan], tuple[str, ...]]
    files: Callable[[Plan], Mapping[str, str]]
    needs: Callable[[Places], Mapping[Path, str]]
    daemon: bool = False
    """What is started serves nothing itself and is there once for many apps."""
    doubt: Callable[[Places], str] = lambda places: ""
    """Why the figures would not be comparable, although all is there; "" if they are."""
    status: Callable[[Plan], tuple[str, ...]] = lambda plan: ()
    """The command that tells how all of its apps are, one line each; () if it has none."""
    ready: Callable[[Plan], Path] = lambda plan: plan.socket
    """What is there as soon as it can be asked."""


def _emperor_command(plan: Plan) -> tuple[str, ...]:
    root = ("--allow-root",) if os.geteuid() == 0 else ()
    return (f"{plan.places.venv}/bin/emperor", "--control-socket", f"{plan.folder}/control.sock", *root,
            f"{plan.folder}/vassals.d")  # fmt: skip


def _ini(plan: Plan, *more: str) -> Mapping[str, str]:
    c = plan.contender
    lines = ["[uwsgi]", f"socket = {plan.socket}", f"protocol = {plan.protocol}", "chmod-socket = 666"]
    lines += [f"wsgi-file = {plan.app}", f"callable = {plan.callable}", *more]
    lines += [f"processes = {c.processes}"] * (c.processes > 1) + [f"threads = {c.threads}"] * (c.threads > 1)
    lines += [f"env = BENCH_FILES={plan.places.payloads}"] * (c.app == "download")
    return {"vassals.d/bench.ini": "\n".join(lines) + "\n"}


def _pypy_ini(plan: Plan) -> Mapping[str, str]:
    return _ini(plan, f"virtualenv = {plan.places.pypy}")


def _logged_ini(plan: Plan) -> Mapping[str, str]:
    # In a folder of root's the emperor would write it, which hears no more than a thousand lines a second.
    return {ANYBODYS: "", **_ini(plan, "log-format = combined", f"logto = {plan.folder}/{ANYBODYS}access.log")}


def _many_inis(plan: Plan) -> Mapping[str, str]:
    lines = ("[uwsgi]", f"socket = {plan.folder}/%n.sock", f"wsgi-file = {plan.app}")
    return {f"vassals.d/app{number:02}.ini": "\n".join(lines) + "\n" for number in range(plan.contender.processes)}


def _emperor_status(plan: Plan) -> tuple[str, ...]:
    return f"{plan.places.venv}/bin/emperorctl", "--control-socket", f"{plan.folder}/control.sock", "status"


def _supervisor_conf(plan: Plan) -> Mapping[str, str]:
    return {"supervisord.conf": _SUPERVISOR.format(folder=plan.folder, number=plan.contender.processes)}


def _supervisor_command(plan: Plan) -> tuple[str, ...]:
    return f"{plan.places.venv}/bin/supervisord", "--nodaemon", "--configuration", f"{plan.folder}/supervisord.conf"


def _supervisor_status(plan: Plan) -> tuple[str, ...]:
    return f"{plan.places.venv}/bin/supervisorctl", "-c", f"{plan.folder}/supervisord.conf", "status"


def _control_socket(plan: Plan) -> Path:
    return plan.folder / "control.sock"


def _uwsgi_command(plan: Plan) -> tuple[str, ...]:
    c = plan.contender
    threads = ("--threads", str(c.threads)) if c.threads > 1 else ()
    payload = ("--env", f"BENCH_FILES={plan.places.payloads}") if c.app == "download" else ()
    return (f"{plan.places.venv}/bin/uwsgi", "--strict", "--master", "--processes", str(c.processes), *threads,
            "--enable-threads", "--harakiri", "60", "--single-interpreter", "--need-app", "--die-on-term",
            "--vacuum", "--disable-logging", "--buffer-size", "65535",
            f"--{plan.protocol}-socket", str(plan.socket), "--chmod-socket=666",
            "--virtualenv", str(plan.places.venv), "--wsgi-file", str(plan.app), "--callable", plan.callable,
            *payload)  # fmt: skip


def _guarded_command(plan: Plan) -> tuple[str, ...]:
    return *_uwsgi_command(plan), *_GUARDS


def _logged_command(plan: Plan) -> tuple[str, ...]:
    quiet = [word for word in _uwsgi_command(plan) if word != "--disable-logging"]
    return *quiet, "--log-format", _COMBINED, "--logto", f"{plan.folder}/access.log"


def _gunicorn_command(plan: Plan) -> tuple[str, ...]:
    c = plan.contender
    return (f"{plan.places.venv}/bin/gunicorn", "--worker-class", "sync", "--protocol", plan.protocol,
            "--workers", str(c.processes), "--umask", "0", "--bind", f"unix:{plan.socket}",
            "--pythonpath", str(APPS), f"{plan.app.stem}:{plan.callable}")  # fmt: skip


def _flup_command(plan: Plan) -> tuple[str, ...]:
    return f"{plan.places.venv}/bin/python", str(APPS / "flup_script.py"), str(plan.socket)


def _no_files(plan: Plan) -> Mapping[str, str]:
    return {}


def _from_extra(program: str) -> Callable[[Places], Mapping[Path, str]]:
    return lambda places: {places.venv / "bin" / program: f"install {program} there: pip install '.[bench]'"}


def _emperor_and_pypy(places: Places) -> Mapping[Path, str]:
    hint = "apt install pypy3-venv; pypy3 -m venv there, and its pip install flask"
    return {**_from_extra("emperor")(places), places.pypy / "bin" / "python": hint}


def _flup_needs(places: Places) -> Mapping[Path, str]:
    return _from_extra("python")(places)


def _another_python(places: Places) -> str:
    """uWSGI has its own Python inside, the one that it was compiled with."""
    ours = (f"{places.venv}/bin/python", "-c", "import platform; print(platform.python_version())")
    theirs = (f"{places.venv}/bin/uwsgi", "--python-version")
    one, other = (subprocess.run(command, capture_output=True, text=True).stdout.strip() for command in (ours, theirs))
    hint = "pip install --no-cache-dir --force-reinstall uwsgi there"
    return "" if one == other else f"uWSGI was compiled for Python {other}, the app's is {one} -- {hint}"


SERVERS: Mapping[str, Recipe] = {
    "ours": Recipe("mini-emperor", _emperor_command, _ini, _from_extra("emperor"), True),
    "ours-logged": Recipe("mini-emperor with access log", _emperor_command, _logged_ini, _from_extra("emperor"), True),
    "ours-pypy": Recipe("mini-emperor (PyPy)", _emperor_command, _pypy_ini, _emperor_and_pypy, True),
    "uwsgi": Recipe("uWSGI", _uwsgi_command, _no_files, _from_extra("uwsgi"), doubt=_another_python),
    "uwsgi-guarded": Recipe(
        "uWSGI with limits", _guarded_command, _no_files, _from_extra("uwsgi"), doubt=_another_python
    ),
    "uwsgi-logged": Recipe(
        "uWSGI with access log", _logged_command, _no_files, _from_extra("uwsgi"), doubt=_another_python
    ),
    "gunicorn": Recipe("gunicorn", _gunicorn_command, _no_files, _from_extra("gunicorn")),
    "flup": Recipe("flup", _flup_command, _no_files, _flup_needs),
    "ours-many": Recipe(
        "mini-emperor",
        _emperor_command,
        _many_inis,
        _from_extra("emperorctl"),
        True,
        status=_emperor_status,
        ready=_control_socket,
    ),
    "supervisor": Recipe(
        "supervisord",
        _supervisor_command,
        _supervisor_conf,
        _from_extra("supervisorctl"),
        True,
        status=_supervisor_status,
        ready=_control_socket,
    ),
}


def obstacle(contender: Contender, places: Places) -> str:
    """Why this server cannot be started here; "" if it can."""
    missing = (f"{path} is not there -- {hint}"
               for path, hint in SERVERS[contender.server].needs(places).items() if not path.exists())  # fmt: skip
    return next(missing, "") or SERVERS[contender.server].doubt(places)
