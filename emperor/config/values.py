"""From an option's text to its value: one named parser per kind of value.

A parser raises ValueError with a message that says what would be right and never repeats what was written: it
may come from a file that the reader of the message may not read. Numbers are ASCII digits only; Python's
``int()`` would take ``5_0``, ``+5`` and Arabic digits. Kinds that uWSGI lets stand alone (``master``,
``chmod-socket``) take "".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emperor import logformat
from emperor.config import addresses
from emperor.config.amounts import parse_megabytes, parse_mode, parse_nice, parse_seconds, parse_span, parse_umask
from emperor.config.language.inifile import OPTION_NAME
from emperor.model import FASTCGI, HTTP, ROLLING, UWSGI, WHOLE, Address, Target

NO_ID = 2**32 - 1
"""chown(2), setresuid(2): the number -1 means "leave as it is", so nobody can have it."""


@dataclass(frozen=True)
class Kind:
    """A kind of value: how help calls it, how it is read, and whether an option of it may stand alone."""

    text: str
    parse: Callable[[str], Any]
    bare: bool = False
    closed: bool = False
    """Numbers and single words, which hold no blank: what stands behind one can only be a comment."""


def parse_text(text: str) -> str:
    if not text:
        raise ValueError("needs a value")
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


_FLAGS = {
    **dict.fromkeys(("", "true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def parse_flag(text: str) -> bool:
    """uWSGI takes every word it does not know for yes, "disabled" and "none" too; here it is an error."""
    flag = _FLAGS.get(text.lower())
    if flag is None:
        raise ValueError("must be one of true, yes, on, 1, or false, no, off, 0")
    return flag


def whole(text: str, low: int, high: int) -> Kind:
    """A whole number between two bounds; ``text`` is its unit."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", value) or not low <= int(value) <= high:
            unit = " of bytes, without a unit," if text == "bytes" else ""
            raise ValueError(f"must be a whole number{unit} from {low} to {high}")
        return int(value)

    return Kind(text, parse, closed=True)


def choice(*words: str) -> Kind:
    """One of a few words, as written."""

    def parse(value: str) -> str:
        if value not in words:
            raise ValueError("must be " + " or ".join(words))
        return value

    return Kind(" or ".join(words), parse, closed=True)


def parse_account(text: str) -> str:
    """A user or a group, by name or number; whether it exists is for the accounts to say."""
    if not re.fullmatch(r"[^\s:/\0-\x1f]{1,256}", text) or text.startswith(("-", "+")):
        raise ValueError("must be a name or a number")
    if re.fullmatch(r"[0-9]+", text) and (len(text) > 10 or int(text) >= NO_ID):
        raise ValueError(f"a number must be below {NO_ID}")
    return text


def parse_owner(text: str) -> tuple[str, str]:
    """``user``, ``user:group`` or ``:group``; "" is a part that is left as it is."""
    user, colon, group = text.partition(":")
    if (not user and not group) or (colon and not group):
        raise ValueError("must be USER, USER:GROUP or :GROUP")
    return parse_account(user) if user else "", parse_account(group) if group else ""


def parse_path(text: str) -> str:
    if text.startswith("~"):
        raise ValueError("~ is not expanded here; write the whole path")
    return parse_text(text)


def parse_interpreter(text: str) -> str:
    if "/" not in text:
        raise ValueError("must be a path such as /usr/bin/python3.12; PATH is not searched")
    return parse_path(text)


def parse_log(text: str) -> str:
    """uWSGI sends to a UDP address when it sees a colon."""
    if ":" in text and "/" not in text:
        raise ValueError("must be a file; sending lines to a network address is not supported")
    return parse_path(text)


def parse_format(text: str) -> str:
    logformat.pieces(text)
    return text


def parse_assignment(text: str) -> tuple[str, str]:
    """``KEY=VALUE``, split at the first ``=``; the value may be empty."""
    key, equals, value = parse_text(text).partition("=")
    if not key.strip() or not equals:
        raise ValueError("must be KEY=VALUE")
    return key.strip(), value.strip()


def parse_placeholder(text: str) -> tuple[str, str]:
    key, value = parse_assignment(text)
    if not OPTION_NAME.fullmatch(key):
        raise ValueError("must be KEY=VALUE, with a KEY of letters, digits, dots, dashes and underscores")
    return key, value


def _dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def parse_callable(text: str) -> str:
    if not _dotted(text.removesuffix("()")):
        raise ValueError("must be a Python name such as app, or create_app() for a factory without arguments")
    return text


def parse_module(text: str) -> tuple[str, str]:
    """``pkg.mod``, ``pkg.mod:app`` or ``pkg.mod:create_app()`` -> module and callable ("" is not said)."""
    module, colon, name = text.partition(":")
    if module.endswith(".py") or "/" in module:
        raise ValueError("names a file -- use wsgi-file for a file; module wants a name as in an import statement")
    if not _dotted(module) or (colon and not name):
        raise ValueError("must be a module as in an import statement, such as package.module or package.module:app")
    return module, parse_callable(name) if name else ""


def _is_file(text: str) -> bool:
    return "/" in text or text.endswith((".py", ".wsgi"))


def parse_mount(text: str) -> Target:
    """``/prefix=module:app`` or ``/prefix=/path/file.py``; ``/`` is the root. The file may be followed by
    ``:app``."""
    mount, equals, what = (part.strip() for part in text.partition("="))
    if not equals or not what or not mount:
        raise ValueError("must be /PREFIX=MODULE:CALLABLE or /PREFIX=FILE.py")
    if "|" in mount or not mount.startswith("/"):
        raise ValueError(
            "must begin with the prefix, as in /PREFIX=MODULE:CALLABLE; among host names the web server chooses -- "
            "write one ini per host"
        )
    if "//" in mount or re.search(r"[\0-\x20?#]", mount):
        raise ValueError("the prefix must be a plain URL path such as /app")
    where, _, name = what.rpartition(":")
    # package.wsgi:application is how Django calls it; with uWSGI, too, what has a colon is a module.
    if not _is_file(where) or (where.endswith(".wsgi") and _dotted(where)):
        where, name = what, ""
    if _is_file(where):
        return Target(mount.rstrip("/"), "file", parse_path(where), parse_callable(name) if name else "")
    return Target(mount.rstrip("/"), "module", *parse_module(what))


def parse_static_map(text: str) -> tuple[str, str]:
    """``/PREFIX=FOLDER`` -> both without a trailing slash. The characters are those that a web server's configuration
    can carry."""
    prefix, equals, folder = (part.strip() for part in text.partition("="))
    if not equals or not re.fullmatch(r"(/[\w.~%!*()@:,+-]+)*/?", prefix, re.ASCII) or not prefix:
        raise ValueError("must be /PREFIX=FOLDER, with a plain URL path as its prefix")
    if not folder or re.search(r"[\0-\x1f\x7f\"'\\;{}$#]", folder):
        raise ValueError("must be /PREFIX=FOLDER, with a folder that needs no quotes")
    return prefix.rstrip("/") or "/", parse_path(folder)


def parse_script_name(text: str) -> str:
    if text in ("auto", "/"):
        return text
    if not re.fullmatch(r"(/[^/\s?#\0-\x1f]+)+/?", text):
        raise ValueError("must be auto, / or a prefix such as /app")
    return text.rstrip("/")


def parse_where(text: str) -> Address:
    """An address. A relative path is left for the caller to resolve."""
    return addresses.parse(parse_path(text))


TEXT = Kind("text", parse_text)
ANY = Kind("value", str)
"""Of an option that is known and not read."""

FLAG = Kind("yes/no", parse_flag, bare=True, closed=True)
WORKERS = whole("count", 1, 1024)
TRIES = whole("count", 0, 1_000_000)
CONNECTIONS = whole("connections", 1, 100_000)
PROXIES = whole("count", 0, 10)
BACKLOG = whole("connections", 1, 65535)
VARIABLES = whole("bytes", 1024, 1024 * 1024)
BYTES = whole("bytes", 0, 2**49)
SECONDS = Kind("seconds", parse_seconds, closed=True)
SPAN = Kind("seconds", parse_span, closed=True)
MEGABYTES = Kind("MB", parse_megabytes, closed=True)
NICE = Kind("niceness", parse_nice, closed=True)
REQUESTS = whole("requests", 0, 10**12)
LIMIT = whole("count", 0, 2**31 - 1)
KEPT = whole("count", 1, 1000)
MILLISECONDS = whole("milliseconds", 0, 10**9)
CHEAPER = whole("count", 0, 1024)
MODE = Kind("octal mode", parse_mode, bare=True, closed=True)
UMASK = Kind("octal mask", parse_umask, closed=True)
USER = Kind("user", parse_account)
GROUP = Kind("group", parse_account)
OWNER = Kind("USER[:GROUP]", parse_owner)
PATH = Kind("path", parse_path)
INTERPRETER = Kind("path", parse_interpreter)
LOG = Kind("path", parse_log)
FORMAT = Kind("format", parse_format)
ASSIGNMENT = Kind("KEY=VALUE", parse_assignment)
PLACEHOLDER = Kind("KEY=VALUE", parse_placeholder)
ADDRESS = Kind("address", parse_where)
MODULE = Kind("module[:callable]", parse_module)
CALLABLE = Kind("name", parse_callable)
MOUNT = Kind("/PREFIX=APP", parse_mount)
STATIC_MAP = Kind("/PREFIX=FOLDER", parse_static_map)
SCRIPT_NAME = Kind("auto, / or /PREFIX", parse_script_name)
PROTOCOL = choice(UWSGI, FASTCGI, HTTP)
ENGINE = choice("native", "flup")
RELOAD_MODE = choice(WHOLE, ROLLING)
