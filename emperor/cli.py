"""The command ``emperor``: its options, and the first steps of the daemon and of ``emperor run``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from emperor import __version__
from emperor.config import daemon_options, ruling
from emperor.config.commandline import PATH as COMMAND_LINE
from emperor.config.language.inifile import Row
from emperor.config.ruling import Rule
from emperor.errors import EmperorError
from emperor.intake.reading import Reader, Settings
from emperor.model import Problem
from emperor.reign import reign
from emperor.startup import FAILED, OK, USAGE
from emperor.succession import handover
from emperor.system import limits, reexec
from emperor.system.reexec import Program

CONFIG = "/etc/emperor/emperor.ini"

HEAD = """\
usage: emperor [OPTIONS] [VASSALS_DIR ...]
       emperor [OPTIONS] FILE.ini            (options in a file, as --config FILE.ini)
       emperor run FILE.ini [OPTIONS]
       emperor run [OPTIONS of an ini, as -s SOCKET --wsgi-file FILE]

Watches folders of inis and serves an app for each: FastCGI or uwsgi, as its own user.
"""

REST = f"""
other:
  -h, --help, --version
  The options of uWSGI's Emperor that are not needed here (--master, --emperor-stats, --emperor-throttle, …) are
  accepted, with a word on what does it here. Without --config, {CONFIG} counts if it exists.

examples:
  emperor                                   serve /etc/emperor/vassals.d (as root), or ~/.config/emperor/vassals.d
  emperor /etc/uwsgi/vassals                another folder; a quoted glob of inis works too
  emperor --master --emperor /etc/uwsgi/vassals --die-on-term --uid nginx --gid nginx --logto /var/log/emperor.log
  emperor --http 127.0.0.1:8000 vassals.d   with a development front door: http://127.0.0.1:8000/
  emperor --check vassals.d                 read everything, print every problem, start nothing
  emperor run blog.ini                      one app in the foreground
  emperor run -s /tmp/app.sock --wsgi-file app.py --callable app

signals: TERM, INT stop gracefully, a second one at once; HUP reloads every vassal; USR1 reopens logs;
         USR2 replaces this program by the installed one, in place (emperorctl upgrade)
exit: 0, 1 failure, 2 usage

Whoever serves asks `emperorctl status`; every option of an ini is told by `emperorctl options`.
"""


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    program = Program.running()
    limits.open_standard()
    limits.shed_inheritance(reexec.HEEDED if handover.VARIABLE in os.environ else ())
    limits.raise_nofile()
    try:
        if words[:1] == ["run"]:
            from emperor import single  # what it becomes the server with is not the daemon's to have

            return single.main(words[1:])
        return _daemon(words, program)
    except EmperorError as error:
        print(f"emperor: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"emperor: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return FAILED


def _daemon(words: Sequence[str], program: Program) -> int:
    asked = set(words[: words.index("--")] if "--" in words else words)
    if asked & {"-h", "--help"}:
        print(HEAD + daemon_options.help_lines() + REST, end="")
        return OK
    if "--version" in asked:
        print(f"emperor {__version__}")
        return OK
    rule, places, problems = options(words)
    wrong = [one for one in problems if one.fatal]
    if wrong:
        for problem in problems:
            print(f"emperor: {'' if problem.fatal else 'warning: '}{problem}", file=sys.stderr)
        usage = any(one.path == COMMAND_LINE for one in wrong)
        if usage:
            print("emperor: `emperor --help` shows every option", file=sys.stderr)
        return USAGE if usage else FAILED
    return reign(rule, places, problems, program, handover.received(os.environ))


def options(words: Sequence[str]) -> tuple[Rule, tuple[str, ...], tuple[Problem, ...]]:
    """What the command line says, over what the configuration files say; the places that it names; what is wrong."""
    line = ruling.line(words)
    files = tuple(word for word in line.positional if _is_configuration(word))
    places = tuple(word for word in line.positional if word not in files)
    named = (*ruling.rule(line.rows)[0].config, *files)
    rows, wrong = _configured(named or ((CONFIG,) if os.path.exists(CONFIG) else ()))
    rule, problems = ruling.rule((*rows, *line.rows))
    return rule, places, (*line.problems, *wrong, *problems)


def _is_configuration(word: str) -> bool:
    """uWSGI takes a file without an option before it, too. No folder of vassals is one."""
    return word.endswith(".ini") and os.path.isfile(word)


def _configured(files: Sequence[str]) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
    """Rows of the files in their order; of the file's own words ``config`` is none."""
    if not files:
        return (), ()
    drawn = [Row("ini", os.path.abspath(file), "--config", 0) for file in files]
    unfolded = Reader(Settings()).lines("emperor", drawn, os.path.dirname(drawn[-1].value))
    return unfolded.rows, unfolded.problems


if __name__ == "__main__":
    sys.exit(main())
