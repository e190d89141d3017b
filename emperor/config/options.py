"""The table of ini options: one row per option, from which parsing, messages, help and README are made.

An option has one of four standings. DONE: it does what its help says. ALWAYS: it is accepted because things
are so here in any case. LATER: it is known and has no effect yet, which is a warning. REFUSED: without it
something else would run than what the file asks for, so it is an error rather than a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from emperor.config import values as v

DONE, ALWAYS, LATER, REFUSED = "done", "always", "later", "refused"


@dataclass(frozen=True)
class Option:
    """One row. ``default`` is text for people; ``help`` says what the option does, or why it has nothing to
    do."""

    name: str
    kind: v.Kind
    default: str
    help: str
    aliases: tuple[str, ...] = ()
    short: str = ""
    """uWSGI's letter on the command line."""
    many: bool = False
    """Each line adds one; otherwise the last line wins."""
    standing: str = DONE


def _done(name: str, kind: v.Kind, default: str, text: str, aliases: str = "", short: str = "") -> Option:
    return Option(name, kind, default, text, tuple(aliases.split()), short)


def _list(name: str, kind: v.Kind, default: str, text: str, aliases: str = "", short: str = "") -> Option:
    return Option(name, kind, default, text, tuple(aliases.split()), short, many=True)


def _others(standing: str, *rows: tuple[str, v.Kind, str]) -> Iterator[Option]:
    """Rows of names that share a sentence; ``name/x`` gives the letter of the command line."""
    for names, kind, text in rows:
        for name, _, short in (word.partition("/") for word in names.split()):
            yield Option(name, kind, "", text, (), short, standing=standing)


# fmt: off
_SERVED = (
    _list("socket", v.ADDRESS, "NAME.sock beside the control socket (/run/emperor), if the ini names no socket at all",
          "Where the web server connects: a path, @abstract, IP:PORT, or :PORT for every "
          "interface.", short="s"),
    _list("uwsgi-socket", v.ADDRESS, "",
          "A socket that speaks uwsgi, whatever `protocol` says."),
    _list("fastcgi-socket", v.ADDRESS, "",
          "A socket that speaks FastCGI, whatever `protocol` says."),
    _list("http-socket", v.ADDRESS, "",
          "A socket that speaks HTTP, whatever `protocol` says: for a proxy or for development. Its Python "
          "needs h11, which the emperor lends."),
    _done("protocol", v.PROTOCOL, "uwsgi",
          "What `socket` speaks: uwsgi for nginx's uwsgi_pass, fastcgi for fastcgi_pass, Apache and "
          "lighttpd, http for proxy_pass and curl.", "socket-protocol"),
    _done("chmod-socket", v.MODE, "660, and the web server's group may connect",
          "Mode of the socket files; 666 lets every user of the machine connect. Alone it means "
          "666.", "chmod", "C"),
    _done("chown-socket", v.OWNER, "the app's user : the web server's group; with a mode or umask: the app's own group",
          "Who owns the socket files. The web server's user must be the owner or in the group.", "chown"),
    _done("socket-umask", v.UMASK, "",
          "Umask for the moment of bind only, as flup's umask parameter: 000 lets everybody connect. "
          "`chmod-socket` wins over it."),
    _done("listen", v.BACKLOG, "1024",
          "How many connections wait while all workers are busy; the kernel's net.core.somaxconn caps "
          "it.", short="l"),
    _done("uid", v.USER, "the web server's user",
          "The user that the app runs as, by name or number."),
    _done("gid", v.GROUP, "the user's own group",
          "The group that the app runs as; the user's other groups stay."),
    _done("allow-root", v.FLAG, "no",
          "Lets `uid = root` and `gid = root` through; only in an ini that root alone can write."),
    _done("virtualenv", v.PATH, "",
          "The virtualenv whose Python and packages the app uses.", "home venv pyhome", "H"),
    _done("python", v.INTERPRETER, "the virtualenv's, else the emperor's own",
          "The interpreter that runs the app; CPython or PyPy, 3.9 or later."),
    _done("module", v.MODULE, "",
          "The app as an import: package.module, package.module:app, or package.module:create_app() for a "
          "factory.", "wsgi", "w"),
    _done("wsgi-file", v.PATH, "",
          "The app as a Python file.", "file"),
    _done("callable", v.CALLABLE, "application, else app",
          "The name of the app in its module or file, where `module` or `mount` does not say it after a "
          "colon."),
    _list("mount", v.MOUNT, "",
          "One app under a URL prefix: /shop=shop.wsgi:app or /shop=/srv/shop/run.py. Repeat it for several "
          "apps."),
    _done("manage-script-name", v.FLAG, "no",
          "Splits the request's path at the `mount` prefix into SCRIPT_NAME and PATH_INFO, so that url_for "
          "stays under the prefix."),
    _done("script-name", v.SCRIPT_NAME, "auto",
          "SCRIPT_NAME for the app: auto takes the web server's, / empties it, /prefix fixes it, with the "
          "prefix cut off the path."),
    _list("pythonpath", v.PATH, "",
          "A folder to import from, before the installed packages.", "python-path pp"),
    _done("chdir", v.PATH, "the ini's folder",
          "The folder that the app starts in; relative paths of sockets, apps and virtualenv begin there."),
    _list("env", v.ASSIGNMENT, "",
          "An environment variable for the app. It inherits none from the emperor."),
    _done("processes", v.WORKERS, "1",
          "How many workers serve at the same time, each a process.", "workers", "p"),
    _done("threads", v.WORKERS, "1",
          "How many requests one worker serves at the same time."),
    _done("lazy-apps", v.FLAG, "no",
          "Imports the app in each worker rather than once before the fork: for apps that start threads or "
          "open connections when imported.", "lazy"),
    _done("umask", v.UMASK, "the emperor's",
          "Umask of the app's process: which permissions new files do not get."),
    _done("logto", v.LOG, "kept by the emperor",
          "The file that the app's output is appended to. Relative paths begin in the ini's "
          "folder.", "daemonize logto2", "d"),
    _done("buffer-size", v.VARIABLES, "65536",
          "How large all headers and variables of one request may be together, in bytes.", short="b"),
    _done("limit-post", v.BYTES, "0",
          "How large a request's body may be, in bytes; 0 is no limit."),
    _done("start-timeout", v.SECONDS, "60",
          "Seconds that the app may take to be imported before the start fails."),
    _done("reload-mercy", v.SECONDS, "30",
          "Seconds that running requests may take to finish at a stop or reload before they are "
          "cut.", "worker-reload-mercy"),
    _done("max-restarts", v.TRIES, "0",
          "After how many crashes in a row to give up; 0 is never: the pauses grow to a minute."),
    _done("header-timeout", v.SECONDS, "10",
          "Seconds that a connection may take to send a whole request's headers."),
    _done("socket-timeout", v.SECONDS, "60",
          "Seconds that the web server may neither send more of a body nor take more of an answer.", short="z"),
    _done("max-connections", v.CONNECTIONS, "1000",
          "How many connections one worker holds at the same time, idle ones counted; more wait in the "
          "backlog."),
    _done("proxy-fix", v.PROXIES, "0",
          "How many proxies before the web server are believed in what they say of the visitor "
          "(X-Forwarded-For, -Proto, -Host, -Port, -Prefix)."),
    _done("fastcgi-engine", v.ENGINE, "native",
          "Who speaks FastCGI: our own codec, or the flup library, which is slower."),
    _done("fastcgi-stderr", v.FLAG, "no",
          "Sends what the app writes to wsgi.errors to the web server's error log, too."),
    _done("strict", v.FLAG, "no",
          "Makes an unknown option an error."),
    _list("set-placeholder", v.PLACEHOLDER, "",
          "Defines KEY for %(KEY).", "set-ph"),
    _list("set", v.PLACEHOLDER, "",
          "KEY=VALUE is the line KEY = VALUE; for the command line.", short="S"),
)

_ALWAYS = tuple(_others(
    ALWAYS,
    ("master/M", v.FLAG, "a vassal always watches over its workers"),
    ("enable-threads/T", v.FLAG, "Python threads always work in an app"),
    ("die-on-term", v.FLAG, "TERM always stops gracefully"),
    ("plugin plugins need-plugin need-plugins", v.ANY, "there are no plugins; Python is built in"),
    ("plugins-dir plugin-dir", v.ANY, "there are no plugins; Python is built in"),
    ("autoload", v.FLAG, "there are no plugins; Python is built in"),
    ("need-app", v.FLAG, "a vassal without an app never starts"),
    ("no-default-app", v.FLAG, "a request outside of every mount is answered with 404"),
    ("vacuum", v.FLAG, "a socket is removed by whoever bound it"),
    ("no-orphans", v.FLAG, "workers never outlive their vassal"),
    ("single-interpreter/i", v.FLAG, "there is one interpreter in a worker"),
    ("thunder-lock", v.FLAG, "workers accept without a lock"),
    ("close-on-exec", v.FLAG, "sockets are never inherited by programs that the app starts"),
    ("drop-after-init drop-after-apps", v.FLAG, "sockets are bound first, and no app is imported as root"),
    ("auto-procname", v.FLAG, "processes carry the vassal's name"),
    ("log-date", v.FLAG, "lines are stamped"),
    ("log-master log-reopen", v.FLAG, "lines go through the vassal, and USR1 reopens its log"),
    ("disable-logging/L", v.FLAG, "requests are not logged; the web server's access log has them"),
    ("ignore-sigpipe ignore-write-errors disable-write-exception", v.FLAG, "a lost visitor is no error"),
    ("py-call-osafterfork py-call-uwsgi-fork-hooks", v.FLAG, "fork hooks of Python always run"),
    ("post-buffering", v.ANY, "bodies are streamed to the app"),
))

_LATER = tuple(_others(
    LATER,
    ("harakiri/t", v.ANY, "seconds that one request may take before its worker is killed"),
    ("max-requests/R max-requests-delta", v.ANY, "renews workers after so many requests"),
    ("max-worker-lifetime min-worker-lifetime", v.ANY, "renews workers by their age"),
    ("reload-on-rss reload-on-as evil-reload-on-rss evil-reload-on-as", v.ANY, "renews big workers"),
    ("limit-as max-fd", v.ANY, "limits what a process may use"),
    ("touch-reload touch-workers-reload touch-chain-reload", v.ANY, "reloads when another file is touched"),
    ("py-autoreload python-autoreload", v.ANY, "reloads when the app's code changes"),
    ("static-map check-static static-index static-safe", v.ANY, "files are for the web server to serve"),
    ("stats stats-server master-fifo", v.ANY, "see emperorctl status"),
    ("cheap die-on-idle on-demand", v.FLAG, "starts the app with its first request"),
    ("cheaper cheaper-initial cheaper-step cheaper-overload idle", v.ANY, "stops idle workers"),
    ("log-format log-maxsize log-backupname touch-logreopen", v.ANY, "form and size of logs"),
    ("logfile-chown logfile-chmod", v.ANY, "who may read the log file"),
    ("log-4xx log-5xx log-x-forwarded-for", v.FLAG, "logs requests"),
    ("log-slow", v.ANY, "logs requests"),
    ("http https https-socket scgi-socket", v.ANY, "no socket of this protocol is opened"),
    ("http-timeout", v.ANY, "seconds that a peer may be silent"),
    ("chdir2 unenv add-gid", v.ANY, "more about the app's process"),
    ("pidfile safe-pidfile pidfile2", v.ANY, "emperorctl status shows the pid"),
    ("procname procname-prefix procname-prefix-spaced procname-master", v.ANY, "names processes"),
    ("memory-report/m", v.FLAG, "emperorctl status shows memory"),
    ("reuse-port", v.FLAG, "several sockets for one port"),
    ("python-optimize optimize/O pyargv", v.ANY, "settings of the interpreter"),
    ("cron attach-daemon smart-attach-daemon mule spooler/Q", v.ANY, "processes beside the app"),
))

_REFUSED = tuple(_others(
    REFUSED,
    ("include inherit ini", v.ANY, "other files are not read yet -- write their lines into this one"),
    ("xml yaml json config", v.ANY, "only inis are read -- write an ini"),
    ("immediate-uid", v.ANY, "write uid"),
    ("immediate-gid", v.ANY, "write gid"),
))
# fmt: on

TABLE: tuple[Option, ...] = _SERVED + _ALWAYS + _LATER + _REFUSED

_BY_NAME = {name: option for option in TABLE for name in (option.name, *option.aliases)}
_BY_LETTER = {option.short: option for option in TABLE if option.short}


def find(name: str) -> Option | None:
    """The option of this name or alias."""
    return _BY_NAME.get(name)


def find_letter(letter: str) -> Option | None:
    """The option of this letter on the command line."""
    return _BY_LETTER.get(letter)


def suggestion(name: str) -> str:
    """``; did you mean X?``, or nothing."""
    close = get_close_matches(name.lower().replace("_", "-"), _BY_NAME, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def markdown() -> str:
    """The table for README: what an ini can say, and what it need not or cannot say yet."""
    lines = ["| option | value | default | meaning |", "|---|---|---|---|"]
    lines += [_markdown_row(option) for option in TABLE if option.standing == DONE]
    for standing, title in (
        (ALWAYS, "Accepted, because it is always so"),
        (LATER, "Known, without effect yet (a warning)"),
        (REFUSED, "Refused"),
    ):
        lines += ["", f"{title}:", ""]
        sentences = dict.fromkeys(option.help for option in TABLE if option.standing == standing)
        lines += [f"- {_names(standing, sentence)}: {sentence}." for sentence in sentences]
    return "\n".join(lines) + "\n"


def _names(standing: str, sentence: str) -> str:
    return ", ".join(f"`{one.name}`" for one in TABLE if one.standing == standing and one.help == sentence)


def _markdown_row(option: Option) -> str:
    names = [f"`{option.name}`", *(f"`{alias}`" for alias in option.aliases)]
    if option.short:
        names.append(f"`-{option.short}`")
    kind = option.kind.text + (", repeatable" if option.many else "")
    cells = (", ".join(names), kind, option.default, option.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
