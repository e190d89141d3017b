"""What the manual pages say that stands in no table: prose, files, variables, signals."""

from __future__ import annotations

from emperor.cli import CONFIG
from emperor.system.places import CONTROL_NAME, SYSTEM_RUNTIME, SYSTEM_VASSALS

SIGNALS = (
    ("TERM, INT", "Stops gracefully: requests in flight finish. A second one stops at once."),
    ("HUP", "Reloads every vassal, as `emperorctl reload all`."),
    ("USR1", "Opens the logs again, for `logrotate`(8)."),
    ("USR2", "Becomes the installed program, in place, as `emperorctl upgrade`."),
)

SOCKET = f"{SYSTEM_RUNTIME}/{CONTROL_NAME}"

FILES = {
    SYSTEM_VASSALS: "The inis of root's emperor, where no other folder is named. Another user's are in "
    "~/.config/emperor/vassals.d.",
    CONFIG: "Options of the emperor itself, if it exists and no `--config` names another.",
    SOCKET: "Where root's emperor listens for emperorctl, and the folder of its vassals' default sockets.",
    f"{SYSTEM_RUNTIME}-NAME/{CONTROL_NAME}": "The same of an emperor that emperor@NAME.service started, or that root's "
    "`--uid NAME` made that user.",
    f"$XDG_RUNTIME_DIR/emperor/{CONTROL_NAME}, ~/.local/state/emperor/{CONTROL_NAME}": "The same of another user's.",
}

ENVIRONMENT = {
    "EMPEROR_CONTROL": "The control socket, where `--control-socket` does not name it.",
    "NO_COLOR": "If it is set and not empty, there is no colour, as with `--no-color`. There is none anyway where the "
    "output is no terminal, or TERM is dumb.",
    "XDG_RUNTIME_DIR, HOME": "Where the control socket of a user other than root is looked for.",
}

DAEMON_ENVIRONMENT = {
    "XDG_RUNTIME_DIR, HOME": "Where the sockets of a user other than root are made, and where the inis are.",
    "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS": "What `systemd`(1) says to a service: it is told when the emperor is "
    "ready, and what it is doing, and it keeps the listening sockets over a restart.",
    "UWSGI_FOO_BAR": "With `emperor run`: as the option `--foo-bar` before all others; so for every option of an ini.",
}

DAEMON_EXITS = (
    ("0", "It was told to stop, and everything has ended."),
    ("1", "It could not start, or `--check` found a problem."),
    ("2", "Wrong usage."),
)

INI = """
[uwsgi]
uid = alice
chdir = /home/alice/blog
module = blog:app
virtualenv = /home/alice/blog/venv
"""

SUBPATH = """
[uwsgi]
uid = alice
chdir = /home/alice/shop
mount = /shop=shop:app
manage-script-name = true
protocol = fastcgi
processes = 4
"""

GRAMMAR = (
    "An ini is a file NAME.ini in a folder that the emperor watches; NAME is the vassal's name: letters, digits, and "
    "the characters `_`, `.`, `@` and `-`. Its language is uWSGI's: a section `[uwsgi]`, in it lines `option = value`, "
    "and comments on lines of their own behind `#` or `;`. A flag is on with `true`, `1`, `yes` or `on`, and with no "
    "value. Relative paths begin in the ini's folder.",
    "Letters stand for what the file's path says: `%n` is the vassal's name, `%d` the folder. `%(name)` is the value "
    "of another line, `$(VAR)` of a variable, `@(file)` the text of a file; `include`, `inherit`, `for` and `if` do "
    "what they do in uWSGI. What an ini may read beside itself is decided by who can write it: root's anything that "
    "root alone can write, a user's nothing.",
    "Who can write an ini also decides as whom its app may run: root's ini may name any `uid`; one that a user wrote "
    "runs as that user. One that several people can write does not run.",
    "`emperorctl check FILE` says what is wrong with an ini, and what uWSGI would make of it. A change takes effect by "
    "itself.",
)

UWSGI = (
    "All of uWSGI's options are known by name. Those above have an effect; `emperorctl options NAME` tells of any. An "
    "option that is not named here is left out with a warning, which says what does the same."
)
