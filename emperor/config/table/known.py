"""Options that do nothing: because things are so in any case, not yet, or because nothing else would do."""

from __future__ import annotations

from emperor.config import values as v
from emperor.config.table.option import ALWAYS, LATER, REFUSED, Option, others

# fmt: off
KNOWN: tuple[Option, ...] = (
    *others(
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
        ("harakiri-verbose", v.FLAG, "the stacks of a request that took too long are always logged"),
        ("harakiri-no-arh no-harakiri-arh no-harakiri-after-req-hook", v.FLAG, "there are no hooks after a request"),
        ("die-on-idle", v.FLAG, "with `idle` the whole vassal ends, and comes back with the next connection"),
        ("post-buffering", v.ANY, "bodies are streamed to the app"),
    ),
    *others(
        LATER,
        ("static-map check-static static-index static-safe", v.ANY, "files are for the web server to serve"),
        ("stats stats-server master-fifo", v.ANY, "see emperorctl status"),
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
        ("harakiri-graceful-timeout harakiri-graceful-signal", v.ANY, "the app is not asked before it is killed"),
        ("harakiri-queue-threshold", v.ANY, "a request's time does not depend on who else waits"),
        ("cheaper-algo cheaper-rss-limit-soft cheaper-rss-limit-hard", v.ANY, "workers are added while all are busy"),
        ("cheaper-busyness-max cheaper-busyness-min cheaper-busyness-multiplier cheaper-busyness-penalty", v.ANY,
         "workers are added while all are busy"),
        ("cheaper-busyness-backlog-alert cheaper-busyness-backlog-step cheaper-busyness-verbose", v.ANY,
         "workers are added while all are busy"),
        ("py-auto-reload-ignore py-autoreload-ignore", v.ANY, "every module that the app has imported is watched"),
        ("python-optimize optimize/O pyargv", v.ANY, "settings of the interpreter"),
        ("cron attach-daemon smart-attach-daemon mule spooler/Q", v.ANY, "processes beside the app"),
    ),
    *others(
        REFUSED,
        ("include inherit ini", v.ANY, "other files are not read yet -- write their lines into this one"),
        ("xml yaml json config", v.ANY, "only inis are read -- write an ini"),
        ("immediate-uid", v.ANY, "write uid"),
        ("immediate-gid", v.ANY, "write gid"),
    ),
)
# fmt: on
