"""Rows of an ini -> a checked ``VassalSpec``, or every problem at once.

Pure: users, groups and paths are judged by what ``Context`` says; whether a file exists is for others to find
out. No message repeats a value that was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emperor.config import apps, identity, numbers, sockets, together
from emperor.config.context import Accounts, Checked, Context
from emperor.config.language.inifile import Row
from emperor.config.settings import Findings, Settings, read, resolve
from emperor.model import VassalSpec

__all__ = ["Accounts", "Checked", "Context", "build"]

PLAIN = (
    "processes",
    "threads",
    "lazy-apps",
    "manage-script-name",
    "script-name",
    "umask",
    "buffer-size",
    "limit-post",
    "start-timeout",
    "reload-mercy",
    "max-restarts",
    "header-timeout",
    "socket-timeout",
    "max-connections",
    "proxy-fix",
    "fastcgi-engine",
    "fastcgi-stderr",
    "harakiri",
    "max-requests",
    "max-requests-delta",
    "max-worker-lifetime",
    "max-worker-lifetime-delta",
    "min-worker-lifetime",
    "reload-on-rss",
    "reload-on-as",
    "limit-as",
    "limit-nofile",
    "limit-nproc",
    "nice",
    "on-demand",
    "idle",
    "cheaper",
    "cheaper-initial",
    "cheaper-step",
    "cheaper-overload",
    "py-autoreload",
    "reload-mode",
    "stats-http",
    "log-maxsize",
    "log-keep",
    "log-format",
    "disable-logging",
    "log-4xx",
    "log-5xx",
    "log-zero",
    "log-slow",
    "log-big",
    "log-x-forwarded-for",
)
"""Options whose value is a field of ``VassalSpec`` as it stands."""


def build(rows: Sequence[Row], context: Context) -> Checked:
    """Judge rows whose placeholders are replaced. Problems come in the order of their lines."""
    findings = Findings(context.config)
    settings = together.bounded(read(rows, findings), findings)
    chdir = _path(settings, "chdir", context.folder)
    base = chdir or context.folder
    who = identity.decide(settings, context, findings)
    listening = sockets.listeners(settings, context, base, who, findings)
    loaded = apps.targets(settings, base, findings)
    logto = _logto(settings, context, findings)
    stats = numbers.address(settings, context, base, listening, findings)
    together.judge(settings, context, base, who, findings)
    problems = tuple(sorted(dict.fromkeys(findings.problems), key=lambda one: (one.path, one.line)))
    if who is None or any(one.fatal for one in problems):
        return Checked(None, problems)
    spec = VassalSpec(
        name=context.name,
        config=context.config,
        folder=context.folder,
        identity=who,
        sockets=tuple(one for one, _ in listening),
        targets=loaded,
        chdir=chdir,
        chdir2=_path(settings, "chdir2", base),
        logto=logto,
        stats=stats,
        pythonpath=tuple(resolve(base, path) for path in _values(settings, "pythonpath")),
        static_map=tuple((prefix, resolve(base, folder)) for prefix, folder in _values(settings, "static-map")),
        touch_reload=tuple(resolve(base, path) for path in _values(settings, "touch-reload")),
        env=tuple(dict(_values(settings, "env")).items()),
        web_gid=context.web_gid,
        virtualenv=_path(settings, "virtualenv", base),
        python=_interpreter(settings, base),
        **_plain(settings),
    )
    return Checked(spec, problems, tuple(row for _, row in listening))


def _values(settings: Settings, name: str) -> list[Any]:
    return [one.value for one in settings.all(name)]


def _path(settings: Settings, name: str, base: str) -> str:
    last = settings.last(name)
    return resolve(base, last.value) if last else ""


def _logto(settings: Settings, context: Context, findings: Findings) -> str:
    path = _path(settings, "logto", context.folder)
    if path and context.reserves(path):
        findings.wrong(settings.last("logto"), "lies in the emperor's own folder -- write a path in the app's")
    return path


def _interpreter(settings: Settings, base: str) -> str:
    """``python`` wins over the virtualenv's own; the packages are the virtualenv's in both cases."""
    virtualenv = _path(settings, "virtualenv", base)
    return _path(settings, "python", base) or (f"{virtualenv}/bin/python" if virtualenv else "")


def _plain(settings: Settings) -> dict[str, Any]:
    return {name.replace("-", "_"): one.value for name in PLAIN if (one := settings.last(name))}
