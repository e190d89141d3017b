"""What a request may be and take, and who is believed about it."""

from __future__ import annotations

from emperor.config import values as v
from emperor.config.table.option import Option, done

# fmt: off
REQUESTS: tuple[Option, ...] = (
    done("buffer-size", v.VARIABLES, "65536",
         "How large all headers and variables of one request may be together, in bytes.", short="b"),
    done("limit-post", v.BYTES, "0",
         "How large a request's body may be, in bytes; 0 is no limit."),
    done("header-timeout", v.SECONDS, "10",
         "Seconds that a connection may take to send a whole request's headers."),
    done("socket-timeout", v.SECONDS, "60",
         "Seconds that the web server may neither send more of a body nor take more of an answer. What it takes is "
         "seen in steps of up to 128 KiB: below 16 seconds it has up to four times as long to take some.", short="z"),
    done("max-connections", v.CONNECTIONS, "1000",
         "How many connections one worker holds at the same time, idle ones counted; more wait in the "
         "backlog."),
    done("proxy-fix", v.PROXIES, "0",
         "How many proxies before the web server are believed in what they say of the visitor "
         "(X-Forwarded-For, -Proto, -Host, -Port, -Prefix)."),
    done("fastcgi-engine", v.ENGINE, "native",
         "Who speaks FastCGI: our own codec, or the flup library, which is slower."),
    done("fastcgi-stderr", v.FLAG, "no",
         "Sends what the app writes to wsgi.errors to the web server's error log, too."),
)
# fmt: on
