"""What an app tells of itself: its log, its requests, its numbers."""

from __future__ import annotations

from emperor.config import values as v
from emperor.config.table.option import Option, done

# fmt: off
TOLD: tuple[Option, ...] = (
    done("logto", v.LOG, "kept by the emperor",
         "The file that the app's output is appended to. Relative paths begin in the ini's "
         "folder.", "daemonize daemonize2 logto2", "d"),
    done("log-maxsize", v.BYTES, "0",
         "How large `logto` may grow, in bytes; then it becomes FILE.1, and a new one is begun. 0 is without end, for "
         "logrotate."),
    done("log-keep", v.KEPT, "5",
         "How many older logs stay, where there is `log-maxsize`: FILE.1 is the youngest."),
    done("log-format", v.FORMAT, "",
         "Logs a line for each request: `combined`, `common`, or uWSGI's words, such as %(method) %(uri) %(status). "
         "Without it the web server's access log has them.", "logformat"),
    done("disable-logging", v.FLAG, "no",
         "Logs no request but those that the next options name.", short="L"),
    done("log-4xx", v.FLAG, "no",
         "Logs requests that were answered with 400 to 499."),
    done("log-5xx", v.FLAG, "no",
         "Logs requests that were answered with 500 to 599."),
    done("log-zero", v.FLAG, "no",
         "Logs requests whose answer had no body."),
    done("log-slow", v.MILLISECONDS, "0",
         "Logs requests that took at least so many milliseconds; 0 is none."),
    done("log-big", v.BYTES, "0",
         "Logs requests whose answer had at least so many bytes; 0 is none."),
    done("log-x-forwarded-for", v.FLAG, "no",
         "Takes the visitor's address in those lines from X-Forwarded-For, which anybody may write who is not behind a "
         "proxy that sets it."),
    done("stats", v.ADDRESS, "",
         "Where the app's numbers are told, in uWSGI's JSON, for uwsgitop: a path, @abstract or IP:PORT. Who may "
         "connect can read them.", "stats-server"),
    done("stats-http", v.FLAG, "no",
         "Puts an HTTP head before them."),
)
# fmt: on
