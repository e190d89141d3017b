"""``emperor run``: one app in the foreground, through the same code as the daemon.

``emperor run FILE.ini`` or ``emperor run -s SOCKET --wsgi-file FILE …``: the options are those of an ini. If the app
cannot be started the program ends with 1; once it has served, it is restarted like any vassal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from emperor import inherited
from emperor.config import options
from emperor.config.commandline import cli_rows
from emperor.config.inifile import Row
from emperor.config.table.option import DONE
from emperor.control.messages import Policy
from emperor.daemon import Emperor
from emperor.intake.reading import Reader, Reading, Settings
from emperor.journal import Journal
from emperor.model import ADMIN, VASSAL_NAME, Authority, Problem
from emperor.startup import FAILED, OK, run
from emperor.startup import USAGE as USAGE_ERROR

USAGE = """\
usage: emperor run FILE.ini [OPTIONS]
       emperor run -s SOCKET --wsgi-file FILE [OPTIONS]
       emperor run -s SOCKET --module package.module:app [OPTIONS]

Serves one app in the foreground: what `uwsgi --ini FILE` did. Options are those of an ini with two dashes before,
and win over the file's. INT or TERM end it; requests in flight finish. Without `uid` root's app runs as the web
server's user, with --allow-root as root. --control-socket PATH is for emperorctl.

Started by a web server with its listening socket as descriptor 0 (mod_fcgid, lighttpd's bin-path, spawn-fcgi), it
serves FastCGI on that socket in one process: without daemon, workers, emperorctl. `socket`, `processes` and, unless
it is root, `uid` and `gid` are ignored then; what goes wrong stands in the web server's error log.

examples:
  emperor run /etc/emperor/vassals.d/blog.ini
  emperor run --protocol fastcgi -s /tmp/hello.sock --chmod-socket=666 --wsgi-file hello.py --callable app
  emperor run -s /run/app.sock --mount /=wsgi:application --manage-script-name --uid www-data
  spawn-fcgi -s /run/app.sock -u www-data -- /usr/local/bin/emperor run /etc/emperor/app.ini

options:
"""


def main(words: Sequence[str]) -> int:
    """Exit code 0, 1 or 2."""
    if not words or {"-h", "--help"} & set(words):
        print(USAGE + _option_list(), end="")
        return OK if words else USAGE_ERROR
    words, control = _take(list(words), "--control-socket")
    rows, positional, problems = cli_rows(words)
    files = [*positional, *(row.value for row in rows if row.key == "ini")]
    rows = tuple(row for row in rows if row.key != "ini")
    handed_over = inherited.is_here()
    if handed_over:
        files = inherited.files_of(files, rows)
    if len(files) > 1 and not problems:
        problems = (Problem("command line", 0, "", f"{len(files)} files, one app: name one"),)
    if problems:
        return _refuse(problems)
    path = os.path.abspath(files[0]) if files else ""
    return _serve_alone(path, rows) if handed_over else _serve(path, rows, control)


def _serve_alone(path: str, rows: Sequence[Row]) -> int:
    return inherited.serve(Reader(Settings(allow_root=_allows_root(rows))), _name(path), path, rows)


def _allows_root(rows: Sequence[Row]) -> bool:
    """As for the daemon: root's app is the web user's unless somebody says otherwise."""
    return any(row.key == "allow-root" for row in rows)


def _serve(path: str, rows: Sequence[Row], control: str) -> int:
    runtime = os.path.dirname(os.path.abspath(control)) if control else ""
    reader = Reader(Settings(runtime=runtime, allow_root=_allows_root(rows)))
    name = _name(path or _app_of(rows))
    reading = _read(reader, name, path, rows)
    if reading.checked.spec is None:
        return _refuse(reading.checked.problems)
    control = (
        os.path.abspath(control) if control else os.path.join(reader.settings.runtime_folder, f"run-{name}.control")
    )
    journal = Journal()

    def prepare(emperor: Emperor) -> None:
        for problem in reading.checked.problems:
            journal.warning(name, str(problem))
        emperor.loop.call_soon(lambda: emperor.intake.take(name, reading, reload=False))

    return run(reader, journal, control, Policy(os.geteuid()), prepare, only=name)


def _read(reader: Reader, name: str, path: str, rows: Sequence[Row]) -> Reading:
    """The file's rows, if there is one, then the command line's, which win."""
    if path:
        return reader.read(name, path, rows)
    authority = Authority(ADMIN)
    expanded, problems = reader.expand(rows, os.path.join(os.getcwd(), name), authority)
    checked = reader.check(name, "command line", expanded, problems, authority, os.getcwd())
    return Reading(checked, authority)


def _name(path: str) -> str:
    stem = os.path.basename(path).removesuffix(".ini")
    return stem if VASSAL_NAME.fullmatch(stem) else "app"


def _app_of(rows: Sequence[Row]) -> str:
    """What to call one that has no ini: two apps in two terminals are two."""
    for row in rows:
        option = options.find(row.key)
        if option is not None and option.name in ("wsgi-file", "module"):
            return row.value.partition(":")[0].removesuffix(".py")
    return ""


def _take(words: list[str], option: str) -> tuple[list[str], str]:
    """Take an option of ours, which no ini has, out of the words."""
    for index, word in enumerate(words):
        if word == option and index + 1 < len(words):
            return words[:index] + words[index + 2 :], words[index + 1]
        if word.startswith(option + "="):
            return words[:index] + words[index + 1 :], word.partition("=")[2]
    return words, ""


def _refuse(problems: Sequence[Problem]) -> int:
    for problem in problems:
        print(f"{'' if problem.fatal else 'warning: '}{problem}", file=sys.stderr)
    return FAILED if all(one.path != "command line" for one in problems) else USAGE_ERROR


def _option_list() -> str:
    lines = []
    for option in options.TABLE:
        if option.standing == DONE:
            spelling = f"-{option.short}, " if option.short else ""
            lines.append(f"  {spelling}--{option.name} {option.kind.text}\n        {option.help}\n")
    return "".join(lines)
