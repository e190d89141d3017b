"""The table of the daemon's own options: one row each, in groups as ``--help`` shows them.

Sources of uWSGI's names: core/uwsgi.c and core/emperor_options (2.0), ``uwsgi --help``. What uWSGI's Emperor has and
this one need not have is here too, with what does it here; an option that is in no row may still be one of an ini.
"""

from __future__ import annotations

from types import MappingProxyType

from emperor.config import values as v
from emperor.config.table.option import ALWAYS, DONE, INSTEAD, REFUSED, Option, done, many, others

_DIR, _FILE = v.Kind("DIR", v.parse_text), v.Kind("FILE", v.parse_path)
_NAME, _WHERE = v.Kind("NAME", v.parse_text), v.Kind("HOST:PORT", v.parse_text)
_VERBS = v.Kind("VERB,…", str)
_STARTING = v.whole("N", 1, 10**6 - 1)

# fmt: off
GROUPS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    ("which apps", (
        many("emperor", _DIR, "", "A folder of inis, or a quoted glob of inis; as VASSALS_DIR."),
        many("config", _FILE, "", "An ini whose [emperor] or [uwsgi] section holds these options.", "ini"),
        done("check", v.FLAG, "", "Prints every problem of every ini, starts nothing."),
    )),
    ("what every vassal's ini says, in this order", (
        done("vassals-defaults", _FILE, "", "An ini whose values every vassal inherits, and may override."),
        many("vassals-inherit-before", _FILE, "", "As `inherit = FILE`: its lines come behind all others."),
        many("vassals-include-before", _FILE, "", "As `include = FILE` before the vassal's own lines."),
        many("vassal-set", v.PLACEHOLDER, "", "As the line KEY = VALUE before them.", "vassals-set"),
        many("vassals-inherit", _FILE, "", "The same, behind those of --vassals-inherit-before."),
        many("vassals-include", _FILE, "", "As `include = FILE` after the vassal's own lines: it wins over them."),
    )),
    ("who may what", (
        done("uid", v.USER, "", "The emperor itself becomes this user, for good."),
        done("gid", v.GROUP, "", "With this group."),
        done("tyrant", v.FLAG, "", "Each vassal runs as the owner of its ini, whatever that says.", "emperor-tyrant"),
        done("allow-root", v.FLAG, "", "Vassals that name no uid run as root, not as the web user."),
        done("web-user", _NAME, "", "Who connects to the sockets (default: www-data, else nginx)."),
        done("web-group", _NAME, "", "The group that may connect (default: the web user's)."),
        done("control-socket", _FILE, "", "Where emperorctl finds this emperor; sockets default beside it."),
        done("control-group", _NAME, "", "Its members may use every verb on every vassal."),
        done("control-public", _VERBS, "", "What anybody may do (default: nothing)."),
    )),
    ("how it runs", (
        done("http", _WHERE, "", "Development front door: every vassal under /NAME/."),
        done("max-starting", _STARTING, "", "How many vassals start at once."),
        done("logto", _FILE, "", "The emperor's own log (default: standard error)."),
        done("daemonize", _FILE, "", "The same: it stays in the foreground.", "daemonize2", short="d"),
        done("log-format", v.choice("text", "json"), "", "The form of its lines."),
        done("pidfile", _FILE, "", "Where its pid is written.", "safe-pidfile"),
        done("emperor-pidfile", _FILE, "", "Another such file.", "pidfile2"),
    )),
)
"""What does something: title → rows."""

_PAUSES = (
    "a vassal that fails is tried again after growing pauses, a minute at most; a new ini or `emperorctl restart` "
    "ends them"
)
_ON_DEMAND = "write on-demand = true into a vassal's ini: its own socket wakes it"
_HOOKS = "no commands are run for vassals -- leave it out, and run them from the emperor's unit, or before it starts"
_CONFINED = "vassals are confined as the emperor is -- leave it out, and write systemd's directives into its unit"
_PYTHON = "python = PATH in a vassal's ini names its interpreter"
_HEARTBEAT = "there are no heartbeats: harakiri in a vassal's ini ends a request that hangs"
_HELP = "one socket has all workers: processes and cheaper in a vassal's ini say how many"

OLD: tuple[Option, ...] = (
    *others(
        ALWAYS,
        ("master/M", v.FLAG, "the emperor watches over its vassals"),
        ("enable-threads/T", v.FLAG, "Python threads always work in an app"),
        ("die-on-term", v.FLAG, "TERM always stops gracefully"),
        ("early-emperor emperor-graceful-shutdown", v.FLAG, "that is always so"),
    ),
    *others(
        INSTEAD,
        ("emperor-stats emperor-stats-server", v.ANY, "`emperorctl status --json` tells it"),
        ("emperor-freq", v.ANY, "changes are seen at once, or within 5 seconds where the kernel does not tell"),
        ("emperor-throttle emperor-max-throttle", v.ANY, _PAUSES),
        ("emperor-no-blacklist", v.FLAG, _PAUSES),
        ("emperor-required-heartbeat heartbeat", v.ANY, _HEARTBEAT),
        ("emperor-curse-tolerance", v.ANY, "reload-mercy in a vassal's ini says how long it may take to end"),
        ("emperor-nofollow", v.FLAG, "a link and what it leads to are both watched"),
        ("emperor-tyrant-nofollow", v.FLAG, "who can write the file counts that a link leads to"),
        ("emperor-on-demand-extension emperor-on-demand-ext emperor-on-demand-directory emperor-on-demand-dir "
         "emperor-on-demand-exec", v.ANY, _ON_DEMAND),
        ("emperor-broodlord vassal-sos vassal-sos-backlog", v.ANY, _HELP),
        ("emperor-procname", v.ANY, "the process is called emperor"),
        ("emperor-wrapper emperor-wrapper-override emperor-wrapper-fallback", v.ANY, _PYTHON),
        ("emperor-extra-extension emperor-extra-ext", v.ANY, "vassals are inis: NAME.ini"),
        ("emperor-magic-exec", v.FLAG, "an ini is read and never executed"),
    ),
    *others(
        REFUSED,
        ("emperor-use-clone emperor-cap cap", v.ANY, _CONFINED),
        ("emperor-proxy-socket", v.ANY, "a vassal is always the emperor's own child -- leave it out"),
        ("vassals-start-hook vassals-stop-hook hook-as-vassal hook-as-emperor exec-as-vassal exec-as-emperor "
         "mount-as-vassal mount-as-emperor umount-as-vassal umount-as-emperor call-as-vassal call-as-vassal1 "
         "call-as-vassal3 call-as-emperor call-as-emperor1 call-as-emperor2 call-as-emperor4 hook-emperor-start "
         "hook-emperor-stop hook-emperor-reload hook-emperor-lost", v.ANY, _HOOKS),
    ),
)
"""What old command lines say."""
# fmt: on

TABLE: tuple[Option, ...] = (*(option for _, rows in GROUPS for option in rows), *OLD)

_BY_NAME = MappingProxyType({name: one for one in TABLE for name in (one.name, *one.aliases)})
_BY_LETTER = MappingProxyType({one.short: one for one in TABLE if one.short})


def find(name: str) -> Option | None:
    return _BY_NAME.get(name)


def find_letter(letter: str) -> Option | None:
    return _BY_LETTER.get(letter)


def names() -> tuple[str, ...]:
    """Of what does something."""
    return tuple(name for name, one in _BY_NAME.items() if one.standing == DONE)


def help_lines() -> str:
    """Everything that does something, in its groups."""
    lines = []
    for title, rows in GROUPS:
        lines.append(f"\n{title}:")
        lines += [_help_line(one) for one in rows]
    return "\n".join(lines) + "\n"


def _help_line(option: Option) -> str:
    name = f"--{option.name}" + ("" if option.kind.bare else f" {option.kind.text}")
    text = option.help[0].lower() + option.help[1:].removesuffix(".")
    also = "".join(f", --{alias}" for alias in option.aliases)
    return f"  {name:<31} {text}{f' (also {also[2:]})' if also else ''}"
