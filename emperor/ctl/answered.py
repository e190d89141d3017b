"""What came of ``emperorctl request``, in words and for programs. Pure."""

from __future__ import annotations

import base64
import errno
from collections.abc import Iterator, Sequence
from typing import Any

from emperor.ctl.wanted import Door
from emperor.probe.question import ANSWER, CONNECT, MOST_BODY, Answer, Failure, Question
from emperor.probe.recognising import NAMES
from emperor.text import printable

_DOINGS = {CONNECT: "connect", ANSWER: "asked"}


def failed(door: Door, who: str, found: Failure) -> str:
    """One line: where, what was tried as whom, what came of it, what to do next."""
    doing = _DOINGS.get(found.stage, "sending")
    as_whom = f" as {who}" if who else ""
    return f"{door}: {doing}{as_whom}: {found.reason}{_next(door, found)}"


def _next(door: Door, found: Failure) -> str:
    name = door.vassal
    if found.speaks:
        return f" -- --protocol {found.speaks} asks it so; a web server must {_PASSES[found.speaks]}"
    if not name:
        return _MEANS.get(found.errno, "")
    if found.errno == errno.EACCES:
        return f" -- emperorctl doctor {name} says which folder"
    if found.stage == CONNECT:
        return f" -- emperorctl status {name} says how it is"
    return f" -- emperorctl logs {name} has what it says itself"


_PASSES = {"fastcgi": "use fastcgi_pass", "uwsgi": "use uwsgi_pass", "http": "use proxy_pass"}
_MEANS = {
    errno.ECONNREFUSED: " -- nobody listens there",
    errno.ENOENT: " -- nobody has made it, or it is elsewhere",
}


def remark(door: Door, found: Answer) -> str:
    """What is to be said of an answer beside itself; "": nothing."""
    if found.flaw:
        return f"{door}: {found.flaw} -- a web server would cut the visitor off"
    if found.cut:
        return f"{door}: the body is longer: only its first {MOST_BODY >> 20} MiB are kept"
    if found.status >= 500 and door.vassal:
        return f"{door.vassal}: {status(found)} -- emperorctl logs {door.vassal} has what it says itself"
    return ""


def status(found: Answer) -> str:
    return printable(f"{found.status} {found.reason}".rstrip())


def head(found: Answer) -> str:
    """As HTTP would have it, an empty line at its end."""
    lines = [f"HTTP/1.1 {status(found)}", *(printable(f"{name}: {value}") for name, value in found.headers)]
    return "\n".join(lines) + "\n\n"


def shown(body: bytes) -> str:
    """For a terminal: nothing in it is obeyed, and the prompt stands on a line of its own."""
    text = printable(body.decode("utf-8", "backslashreplace").replace("\r\n", "\n"), keep_newlines=True)
    return text if not text or text.endswith("\n") else text + "\n"


def talk(
    door: Door, who: str, question: Question, variables: Sequence[tuple[str, str]], found: Answer | Failure
) -> Iterator[str]:
    """The lines of ``-v``."""
    as_whom = f", as {who}" if who else ""
    yield f"* {door}, {NAMES.get(question.protocol, question.protocol)}{as_whom}"
    for name, value in variables:
        yield f"> {name} {value}".rstrip()
    if isinstance(found, Answer):
        yield f"< {status(found)}"
        yield from (f"< {name}: {value}" for name, value in found.headers)
    yield from (f"! {line}" for line in found.stderr.decode("utf-8", "backslashreplace").splitlines())
    if isinstance(found, Answer):
        connected, first, total = (_seconds(one) for one in (found.connected, found.first, found.total))
        yield f"* connected after {connected}, first byte after {first}, all after {total}: {len(found.body)} bytes"
    else:
        yield f"* failed after {_seconds(found.seconds)}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def as_json(
    door: Door, who: str, question: Question, variables: Sequence[tuple[str, str]], found: Answer | Failure
) -> dict[str, Any]:
    """Bytes that are no UTF-8 are ``body_base64``, and ``body`` is null then."""
    facts: dict[str, Any] = {
        "vassal": door.vassal or None,
        "address": str(door),
        "protocol": question.protocol,
        "as": who or None,
        "variables": dict(variables),
        "answer": None,
        "failure": None,
    }
    raw = found._asdict() | {"stderr": found.stderr.decode("utf-8", "backslashreplace")}
    if isinstance(found, Failure):
        facts["failure"] = raw
        return facts
    try:
        body, encoded = found.body.decode(), None
    except UnicodeDecodeError:
        body, encoded = None, base64.b64encode(found.body).decode()
    facts["answer"] = raw | {"body": body, "body_base64": encoded}
    return facts
