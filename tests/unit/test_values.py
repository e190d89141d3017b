"""Every parser takes what it documents, and refuses the rest without repeating it."""

from __future__ import annotations

from typing import Any

import pytest

from emperor.config import values as v
from emperor.config.addresses import check_unix_path
from emperor.model import ABSTRACT, TCP, UNIX, Address, Target

NUMBERS = (
    *(v.WORKERS, v.TRIES, v.BACKLOG, v.VARIABLES, v.BYTES, v.SECONDS, v.MODE, v.UMASK),
    *(v.SPAN, v.MEGABYTES, v.REQUESTS, v.LIMIT, v.CHEAPER),
)
TAKES_ANYTHING = (v.ANY, v.TEXT, v.PATH, v.LOG, v.INTERPRETER)
KINDS = {name: kind for name, kind in vars(v).items() if isinstance(kind, v.Kind)}

GOOD: list[tuple[v.Kind, str, Any]] = [
    *((v.FLAG, word, True) for word in ("", "true", "TRUE", "yes", "on", "1")),
    *((v.FLAG, word, False) for word in ("false", "No", "off", "0")),
    (v.WORKERS, "4", 4),
    (v.TRIES, "0", 0),
    (v.SECONDS, "30", 30.0),
    (v.SECONDS, "0.5", 0.5),
    (v.MODE, "", 0o666),
    (v.MODE, "1", 0o666),
    (v.MODE, "660", 0o660),
    (v.MODE, "0660", 0o660),
    (v.MODE, "020", 0o020),
    (v.UMASK, "0", 0),
    (v.UMASK, "000", 0),
    (v.UMASK, "0022", 0o022),
    (v.USER, "www-data", "www-data"),
    (v.USER, "1000", "1000"),
    (v.OWNER, "alice", ("alice", "")),
    (v.OWNER, "alice:www-data", ("alice", "www-data")),
    (v.OWNER, ":33", ("", "33")),
    (v.ASSIGNMENT, "A=b=c", ("A", "b=c")),
    (v.ASSIGNMENT, "A=", ("A", "")),
    (v.MODULE, "shop", ("shop", "")),
    (v.MODULE, "shop.wsgi:app", ("shop.wsgi", "app")),
    (v.MODULE, "shop:make_app()", ("shop", "make_app()")),
    (v.CALLABLE, "site.app", "site.app"),
    (v.MOUNT, "/=wsgi:application", Target("", "module", "wsgi", "application")),
    (v.MOUNT, "/app=/var/www/myapp/run.py", Target("/app", "file", "/var/www/myapp/run.py")),
    (v.MOUNT, "/app/ = run.wsgi", Target("/app", "file", "run.wsgi")),
    (v.MOUNT, "/a=run.py:site", Target("/a", "file", "run.py", "site")),
    (v.MOUNT, "/a/b=shop", Target("/a/b", "module", "shop")),
    (v.MOUNT, "/=mysite.wsgi:application", Target("", "module", "mysite.wsgi", "application")),
    (v.MOUNT, "/=mysite.wsgi", Target("", "file", "mysite.wsgi")),
    (v.MOUNT, "/=deploy/mysite.wsgi:application", Target("", "file", "deploy/mysite.wsgi", "application")),
    (v.MOUNT, "/=my-site.wsgi:application", Target("", "file", "my-site.wsgi", "application")),
    (v.SCRIPT_NAME, "auto", "auto"),
    (v.SCRIPT_NAME, "/", "/"),
    (v.SCRIPT_NAME, "/shop/", "/shop"),
    (v.LOG, "/var/log/a:b.log", "/var/log/a:b.log"),
    (v.ADDRESS, "/run/a.sock", Address(UNIX, path="/run/a.sock")),
    (v.ADDRESS, "/run/a:b.sock", Address(UNIX, path="/run/a:b.sock")),
    (v.ADDRESS, "a.sock", Address(UNIX, path="a.sock")),
    (v.ADDRESS, "@blog", Address(ABSTRACT, path="blog")),
    (v.ADDRESS, ":3031", Address(TCP, port=3031)),
    (v.ADDRESS, "127.0.0.1:3031", Address(TCP, host="127.0.0.1", port=3031)),
    (v.ADDRESS, "localhost:3031", Address(TCP, host="127.0.0.1", port=3031)),
    (v.ADDRESS, "LocalHost:3031", Address(TCP, host="127.0.0.1", port=3031)),
    (v.ADDRESS, "[fe80::1%eth0.7]:3031", Address(TCP, host="fe80::1%eth0.7", port=3031)),
    (v.SECONDS, "31536000", 31536000.0),
    *((v.SPAN, word, 0.0) for word in ("0", "0.0", "no", "OFF", "false")),
    (v.SPAN, "0.25", 0.25),
    (v.SPAN, "3600", 3600.0),
    (v.MEGABYTES, "0", 0),
    (v.MEGABYTES, "256", 268435456),
    (v.MEGABYTES, "99999999", 99999999 * 2**20),
    (v.NICE, "0", 0),
    (v.NICE, "-20", -20),
    (v.NICE, "19", 19),
    (v.REQUESTS, "1000000000000", 10**12),
    (v.LIMIT, "2147483647", 2**31 - 1),
    (v.CHEAPER, "0", 0),
    (v.RELOAD_MODE, "whole", "whole"),
    (v.RELOAD_MODE, "rolling", "rolling"),
    (v.ADDRESS, "[0:0::1]:3031", Address(TCP, host="::1", port=3031)),
]

BAD: list[tuple[v.Kind, str, str]] = [
    *((v.FLAG, word, "true, yes") for word in ("disabled", "none", "2", "enable")),
    (v.WORKERS, "0", "from 1 to 1024"),
    (v.WORKERS, "1025", "from 1 to 1024"),
    (v.VARIABLES, "100", "from 1024"),
    (v.SECONDS, "30s", "without a unit"),
    (v.SECONDS, "0", "above 0"),
    (v.SECONDS, "31536000.5", "at most 31536000 seconds, which is a year"),
    (v.SECONDS, "999999999999999", "a year"),
    *((kind, "9" * digits, "at most 31536000") for kind in (v.SECONDS, v.SPAN) for digits in (12, 16, 5000)),
    *((v.SPAN, word, "0 turns it off") for word in ("", "yes", "true", "30s", "5m", "-1", "1,5")),
    (v.SPAN, "31536001", "a year"),
    (v.MEGABYTES, "256M", "without a unit"),
    (v.MEGABYTES, "0.5", "whole number of megabytes"),
    *((v.MEGABYTES, text, "at most 99999999: .* not bytes") for text in ("102400000", "9" * 5000)),
    (v.NICE, "-21", "from -20"),
    (v.NICE, "20", "to 19"),
    (v.NICE, "+5", "from -20"),
    (v.REQUESTS, "1000000000001", "to 1000000000000"),
    (v.LIMIT, "2147483648", "to 2147483647"),
    (v.LIMIT, "unlimited", "whole number"),
    (v.CHEAPER, "1025", "to 1024"),
    (v.RELOAD_MODE, "chain", "whole or rolling"),
    (v.MODE, "66", "octal"),
    (v.MODE, "668", "octal"),
    (v.MODE, "4755", "octal"),
    (v.MODE, "true", "octal"),
    (v.UMASK, "8", "octal"),
    (v.UMASK, "1000", "octal"),
    (v.USER, "a b", "name or a number"),
    (v.USER, "-1", "name or a number"),
    (v.USER, "4294967295", "below"),
    (v.USER, "99999999999", "below"),
    (v.OWNER, "alice:", "USER:GROUP"),
    (v.OWNER, ":", "USER:GROUP"),
    (v.OWNER, "a:b:c", "name or a number"),
    (v.ASSIGNMENT, "A", "KEY=VALUE"),
    (v.ASSIGNMENT, "=b", "KEY=VALUE"),
    (v.PLACEHOLDER, "a b=c", "letters"),
    (v.MODULE, "hello.py", "wsgi-file"),
    (v.MODULE, "/srv/hello", "wsgi-file"),
    (v.MODULE, "shop:", "import statement"),
    (v.MODULE, "shop..x", "import statement"),
    (v.MODULE, "shop:app(1)", "factory"),
    (v.CALLABLE, "my-app", "Python name"),
    (v.MOUNT, "app=run.py", "/PREFIX"),
    *(
        (v.MOUNT, text, "among host names the web server chooses -- write one ini per host")
        for text in ("www.example.org=shop:app", "www.example.org|/x=shop:app", "/x|y=shop:app")
    ),
    (v.MOUNT, "=shop:app", "must be /PREFIX="),
    (v.MOUNT, "/app=", "/PREFIX"),
    (v.MOUNT, "/app", "/PREFIX"),
    (v.MOUNT, "/a//b=x", "plain URL path"),
    (v.SCRIPT_NAME, "shop", "auto"),
    (v.SCRIPT_NAME, "/a//b", "auto"),
    (v.PATH, "~/site", "whole path"),
    (v.PATH, "/a\0b", "NUL"),
    (v.INTERPRETER, "python3.12", "PATH is not searched"),
    (v.LOG, "127.0.0.1:514", "network"),
    (v.PROTOCOL, "scgi", "uwsgi or fastcgi or http"),
    (v.ENGINE, "c", "native or flup"),
    (v.ADDRESS, "3031", "a port alone"),
    (v.ADDRESS, "127.0.0.1:0", "1 to 65535"),
    (v.ADDRESS, ":0", "1 to 65535"),
    (v.ADDRESS, "=0", "shared-socket, which is not here -- write the address itself"),
    *((v.ADDRESS, f"127.0.0.1:8001,{text}", "a line for each") for text in ("127.0.0.1:8002", "/run/a.sock")),
    (v.ADDRESS, "127.0.0.1:65536", "1 to 65535"),
    (v.ADDRESS, "127.0.0.1:http", "1 to 65535"),
    (v.ADDRESS, "256.0.0.1:80", "IP address"),
    (v.ADDRESS, "[::g]:80", "IP address"),
    (v.ADDRESS, "::1:80", "brackets"),
    (v.ADDRESS, "[::1%a b]:80", "IP address"),
    (v.ADDRESS, "[::1%é]:80", "IP address"),
    (v.ADDRESS, "app.example.org:80", "write an IP address"),
    (v.ADDRESS, "app:80", "write an IP address"),
    (v.ADDRESS, "localhost.:80", "write an IP address"),
    (v.ADDRESS, "0x7f000001:80", "write an IP address"),
    (v.ADDRESS, "é.example:80", "IP:PORT"),
    (v.ADDRESS, "a..b:80", "IP:PORT"),
    (v.ADDRESS, "a b:80", "IP:PORT"),
    (v.ADDRESS, "unix:/run/a.sock", "without unix:"),
    (v.ADDRESS, "/run/", "not a folder"),
    (v.ADDRESS, "@", "must name"),
    (v.ADDRESS, "/" + "x" * 107, "longer than 107 bytes"),
    (v.ADDRESS, "/" + "é" * 54, "longer than 107 bytes"),
    (v.ADDRESS, "@" + "x" * 108, "longer than 107 bytes"),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_a_good_text_has_its_value(kind: v.Kind, text: str, value: Any) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(("kind", "text", "hint"), BAD)
def test_a_bad_text_is_refused_with_what_would_be_right(kind: v.Kind, text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        kind.parse(text)


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("text", ["5_0", "+5", "-5", " 5", "5 ", "٥", "0x5", "1e3", "²", "nan", "inf", "5\n"])
def test_what_only_python_takes_for_a_number_is_none(kind: v.Kind, text: str) -> None:
    with pytest.raises(ValueError):
        kind.parse(text)


@pytest.mark.parametrize("kind", [one for one in KINDS.values() if one not in TAKES_ANYTHING])
def test_no_message_repeats_what_was_written(kind: v.Kind) -> None:
    secret = "hunter2 s3cret/:\x01"
    with pytest.raises(ValueError) as caught:
        kind.parse(secret)
    assert "hunter2" not in str(caught.value) and "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_names_itself_in_help(name: str) -> None:
    assert KINDS[name].text


def test_the_longest_path_that_the_kernel_takes_is_good() -> None:
    assert check_unix_path("/" + "x" * 106) == "/" + "x" * 106
