"""Everything about one vassal, in a block like systemctl's: the question is always why it does not work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from emperor.ctl.overview import colour, describe_state
from emperor.ctl.wording import (
    endpoint,
    exit_reason,
    group_name,
    mebibytes,
    octal,
    plural,
    problem_text,
    soon,
    span,
    user_name,
)
from emperor.text import printable

Snapshot = Mapping[str, Any]
Paint = Callable[[str, str], str]

_LABEL_WIDTH = 12


def render(snapshot: Snapshot, paint: Paint) -> str:
    """The block, without a newline at its end."""
    state = printable(str(snapshot.get("state", "")))
    title = f"{printable(str(snapshot.get('name', '')))} - {paint(state, colour(snapshot))}"
    doing = describe_state(snapshot)
    lines = [f"{title}: {doing}" if doing else title]
    for label, values in _facts(snapshot):
        for number, value in enumerate(values):
            lines.append(f"{label + ':' if not number else '':>{_LABEL_WIDTH}} {value}")
    lines.extend(_passage("Problems", [problem_text(one) for one in snapshot.get("problems") or ()]))
    lines.extend(_passage("Traceback", _text_lines(snapshot.get("traceback"))))
    lines.extend(_passage("Last lines", [printable(str(one)) for one in snapshot.get("lines") or ()]))
    return "\n".join(lines)


def _facts(snapshot: Snapshot) -> Iterator[tuple[str, list[str]]]:
    yield "Config", _given(snapshot.get("config"))
    yield "User", _user(snapshot)
    yield "Python", _given(snapshot.get("python"))
    yield "Folder", _given(snapshot.get("folder"))
    yield "Wanted", _given(snapshot.get("wanted"))
    yield "Scaled", _scaled(snapshot.get("scaled"))
    yield "Generation", _given(snapshot.get("generation"))
    yield "Sockets", [_socket(one) for one in snapshot.get("sockets") or ()]
    yield "Workers", _aligned([_worker(one) for one in snapshot.get("workers") or ()])
    yield "Requests", _given(snapshot.get("requests"))
    yield "Restarts", _given(snapshot.get("restarts"))
    yield "Reloads", _given(snapshot.get("reloads"))
    yield "Warnings", _warnings(snapshot)
    yield "Last exit", _last_exit(snapshot.get("last_exit") or {})


def _given(value: Any) -> list[str]:
    return [] if value is None or value == "" else [printable(str(value))]


def _scaled(workers: Any) -> list[str]:
    if type(workers) is not int:
        return []
    return [f"to {plural(workers, 'worker')} by an order, until it is stopped or its ini has another `processes`"]


def _user(snapshot: Snapshot) -> list[str]:
    uid, gid = snapshot.get("uid"), snapshot.get("gid")
    if uid is None:
        return []
    group = "" if gid is None else f", group {group_name(gid)} ({gid})"
    return [f"{user_name(uid)} ({uid}){group}"]


def _socket(one: Mapping[str, Any]) -> str:
    owner, group = one.get("owner"), one.get("group")
    who = "" if owner is None else user_name(owner)
    if group is not None:
        who = f"{who}:{group_name(group)}"
    parts = (
        endpoint(one.get("address", "")),
        printable(str(one.get("protocol") or "")),
        octal(one.get("mode")),
        who,
    )
    return "  ".join(part for part in parts if part)


def _warnings(snapshot: Snapshot) -> list[str]:
    """Those of the ini stand among its problems."""
    known = {problem_text({**one, "fatal": True}) for one in snapshot.get("problems") or () if isinstance(one, Mapping)}
    return [text for text in (printable(str(one)) for one in snapshot.get("warnings") or ()) if text not in known]


def _worker(one: Mapping[str, Any]) -> list[str]:
    process = "no process" if one.get("pid") == 0 else f"pid {one.get('pid', '?')}"
    parts = [f"{one.get('id', '?')}: {process}", _state(one)]
    for key, noun in (("requests", "request"), ("exceptions", "exception")):
        parts.append(plural(one[key], noun) if isinstance(one.get(key), int) else "")
    parts.append(mebibytes(one["rss"]) if isinstance(one.get("rss"), (int, float)) else "")
    parts.append(f"cpu {one['cpu']:.1f} s" if isinstance(one.get("cpu"), (int, float)) else "")
    parts.append(f"up {span(one['uptime'])}" if isinstance(one.get("uptime"), (int, float)) else "")
    parts.append(plural(one["renewals"], "renewal") if type(one.get("renewals")) is int and one["renewals"] else "")
    return [*parts, _deaths(one)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """In columns, with commas between; a column that nobody fills is none."""
    columns = [column for column in zip(*rows) if any(column)]
    padded = []
    for column in columns:
        width = max(len(text) for text in column)
        padded.append([f"{text}, ".ljust(width + 2) if text else " " * (width + 2) for text in column])
    return ["".join(row).rstrip(" ,") for row in zip(*padded)]


def _state(worker: Mapping[str, Any]) -> str:
    """``busy for 40 s in GET /slow``; one that leaves has left for less long than it is busy."""
    state, doing, spent = (worker.get(key) for key in ("state", "doing", "doing_for"))
    word = printable(str(state or ""))
    if not doing or not isinstance(spent, (int, float)):
        return word
    also = "" if word == "busy" else f"{word}, "
    return f"{also}busy for {span(spent)} in {printable(str(doing))}"


def _deaths(worker: Mapping[str, Any]) -> str:
    """``3 exits: killed by SIGSEGV 5 s ago, starts again in 2 s``"""
    last, exits = printable(str(worker.get("last_exit") or "")), worker.get("exits")
    if not last:
        return ""
    count = f"{plural(exits, 'exit')}: " if isinstance(exits, int) and exits else ""
    ago, left = worker.get("last_exit_ago"), worker.get("retry_in")
    when = f" {span(ago)} ago" if isinstance(ago, (int, float)) else ""
    again = f", starts again in {soon(left)}" if isinstance(left, (int, float)) else ""
    return f"{count}{last}{when}{again}"


def _last_exit(last_exit: Mapping[str, Any]) -> list[str]:
    if last_exit.get("code") == 0 and not last_exit.get("reason"):
        # It was told to go, and went.
        return []
    reason = exit_reason(last_exit)
    at = last_exit.get("at")
    if isinstance(at, (int, float)):
        when = datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds")
    else:
        when = printable(str(at or ""))
    return _given(", ".join(part for part in (reason, when) if part))


def _text_lines(text: Any) -> list[str]:
    return [printable(line) for line in str(text).rstrip("\n").split("\n")] if text else []


def _passage(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}:", *(f"    {line}" for line in lines)] if lines else []
