"""``emperor run``: one app in the foreground, through the same code as the daemon.

``emperor run FILE.ini`` or ``emperor run -s SOCKET --wsgi-file FILE …``: the options are those of an ini. If the app
cannot be started the program ends with 1; once it has served, it is restarted like any vassal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from emperor import inherited
from emperor.config import options
from emperor.config.commandline import PATH as COMMAND_LINE
from emperor.config.commandline import cli_rows, env_rows
from emperor.config.language.inifile import Row
from emperor.config.table.option import DONE, Option
from emperor.control.messages import Policy
from emperor.daemon import Emperor
from emperor.intake.reading import Reader, Reading, Settings
from emperor.journal import Journal
from emperor.model import ADMIN, VASSAL_NAME, Authority, Problem, VassalSpec
from emperor.startup import FAILED, OK, run
from emperor.startup import USAGE as USAGE_ERROR

INI, SUFFIX = "ini", ".ini"
DAEMONIZE = ("daemonize", "daemonize2")

USAGE = """\
usage: emperor run FILE.ini [OPTIONS]
       emperor run -s SOCKET --wsgi-file FILE [OPTIONS]
       emperor run -s SOCKET --module package.module:app [OPTIONS]

Serves one app in the foreground: a command line of uWSGI's works with `emperor run` in place of `uwsgi`. INT or TERM
end it; requests in flight finish. Without `uid` root's app runs as the web server's user, with --allow-root as root.
--control-socket PATH is for emperorctl.

Options are those of an ini with two dashes before: --name VALUE, --name=VALUE. Of two values the last counts: --ini
FILE (or FILE:SECTION, or several) where it stands, a FILE.ini alone before all options. --set KEY=VALUE is --KEY VALUE,
--set-placeholder KEY=VALUE defines %(KEY). The variable UWSGI_FOO_BAR=x counts as --foo-bar x before them. What uWSGI
has and this has not is told and left out; a name that nobody knows ends it.

Started by a web server with its listening socket as descriptor 0 (mod_fcgid, lighttpd's bin-path, spawn-fcgi), it
serves FastCGI on that socket in one process: without daemon, workers, emperorctl. `socket`, `processes` and, unless
it is root, `uid` and `gid` are ignored then; what goes wrong stands in the web server's error log.

examples:
  emperor run --http :9090 --wsgi-file foobar.py --master --processes 4 --threads 2
  emperor run /etc/emperor/vassals.d/blog.ini
  emperor run --ini base.ini --ini blog.ini:production --processes 8
  emperor run --protocol fastcgi -s /tmp/hello.sock --chmod-socket=666 --wsgi-file hello.py --callable app
  emperor run -s /run/app.sock --mount /=wsgi:application --manage-script-name --uid www-data
  spawn-fcgi -s /run/app.sock -u www-data -- /usr/local/bin/emperor run /etc/emperor/app.ini
"""


class Asked(NamedTuple):
    """A command line: ``ini`` is the one file that has the vassal's say, "": there is none, or there are several;
    rows ``before`` it and ``after`` it.
    """

    ini: str
    before: tuple[Row, ...]
    after: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*self.before, *self.after)

    @property
    def name(self) -> str:
        """What the app is called."""
        inis = [row.value for row in self.rows if row.key == INI]
        return _name(self.ini or (inis[-1] if inis else _app_of(self.rows)))


def main(words: Sequence[str]) -> int:
    """Exit code 0, 1 or 2."""
    environ = env_rows(os.environ)
    if not (words or environ) or {"-h", "--help"} & set(words):
        print(USAGE + _option_list(), end="")
        return OK if words else USAGE_ERROR
    words, control = _take(list(words), "--control-socket")
    line = cli_rows(words)
    handed_over = inherited.is_here()
    files = inherited.files_of(line.positional, line.rows) if handed_over else line.positional
    problems = (*line.problems, *_in_the_foreground(line.rows))
    if any(one.fatal for one in problems):
        return _refuse(problems)
    asked = ask(environ, files, line.rows, os.getcwd())
    if handed_over:
        reader = Reader(Settings(allow_root=_allows_root(line.rows)))
        return inherited.serve(reader, asked.name, asked.ini, asked.before, asked.after, problems)
    return _serve(asked, problems, control)


def _in_the_foreground(rows: Sequence[Row]) -> Iterator[Problem]:
    """Who writes ``--daemonize FILE`` waits for the prompt."""
    for row in rows:
        if row.key in DAEMONIZE:
            message = "is --logto: it stays in the foreground -- a service manager, or &, puts it in the background"
            yield Problem(row.path, row.line, row.key, message, fatal=False)


def ask(environ: Sequence[Row], files: Sequence[str], rows: Sequence[Row], folder: str) -> Asked:
    """``files``: words without an option before them. They come first, so that options win over what they say (with
    uWSGI they come last); a row of ``ini`` counts where it stands. Relative paths of inis and of ``chdir`` begin in
    ``folder``, where the command was typed.
    """
    named = [Row(INI, file, COMMAND_LINE, 0) for file in files]
    line = [_from(folder, row) for row in (*environ, *named, *rows)]
    at = [index for index, row in enumerate(line) if row.key == INI]
    if len(at) != 1 or ":" in os.path.basename(line[at[0]].value):
        return Asked("", (), tuple(line))
    (only,) = at
    return Asked(line[only].value, tuple(line[:only]), tuple(line[only + 1 :]))


def _from(folder: str, row: Row) -> Row:
    absolute = row.key in (INI, "chdir") and not row.value.startswith((":", "%", "$", "@"))
    return replace(row, value=os.path.normpath(os.path.join(folder, row.value))) if absolute else row


def _allows_root(rows: Sequence[Row]) -> bool:
    """As for the daemon: root's app is the web user's unless somebody says otherwise."""
    return any(row.key == "allow-root" for row in rows)


def _serve(asked: Asked, told: Sequence[Problem], control: str) -> int:
    runtime = os.path.dirname(os.path.abspath(control)) if control else ""
    reader = Reader(Settings(runtime=runtime, allow_root=_allows_root(asked.rows)))
    name = asked.name
    reading = _read(reader, name, asked)
    spec = reading.checked.spec
    if spec is None:
        return _refuse((*told, *reading.checked.problems))
    control = (
        os.path.abspath(control) if control else os.path.join(reader.settings.runtime_folder, f"run-{name}.control")
    )
    journal = Journal()

    def prepare(emperor: Emperor) -> None:
        for problem in told:
            journal.warning(name, str(problem))
        journal.info(name, announcement(spec))
        emperor.loop.call_soon(lambda: begin(emperor))

    def begin(emperor: Emperor) -> None:
        emperor.intake.take(name, reading, reload=False)
        # The journal has said it; a unit of Type=notify has not heard it.
        emperor.herald.begin(lambda: None)

    return run(reader, journal, control, Policy(os.geteuid()), prepare, only=name)


def announcement(spec: VassalSpec) -> str:
    """Which app, where, as whom, and where its relative paths begin."""
    apps = ", ".join(f"{one.mount}={one.where}" if one.mount else one.where for one in spec.targets) or "no app"
    where = ", ".join(f"{one.address} ({one.protocol})" for one in spec.sockets)
    return f"serving {apps} on {where} as {spec.identity.user}, in {spec.chdir or spec.folder}"


def _read(reader: Reader, name: str, asked: Asked) -> Reading:
    """What the file says, if there is one, between the rows of the command line."""
    if asked.ini:
        return reader.read(name, asked.ini, asked.after, asked.before)
    authority = Authority(ADMIN)
    unfolded = reader.lines(name, asked.rows, os.getcwd())
    checked = reader.check(name, COMMAND_LINE, unfolded.rows, unfolded.problems, authority, os.getcwd())
    return Reading(checked, authority)


def _name(path: str) -> str:
    stem = os.path.basename(path).partition(":")[0].removesuffix(SUFFIX)
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
    return FAILED if all(one.path != COMMAND_LINE for one in problems if one.fatal) else USAGE_ERROR


def _option_list() -> str:
    return "".join(f"\n{title}:\n{''.join(map(_option_help, rows))}" for title, rows in options.PARTS)


def _option_help(option: Option) -> str:
    if option.standing != DONE:
        return ""
    spelling = f"-{option.short}, " if option.short else ""
    return f"  {spelling}--{option.name} {option.kind.text}\n        {option.help}\n"
