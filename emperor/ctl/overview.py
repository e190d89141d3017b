"""One line per vassal, in supervisorctl's layout, and what all of them together mean for the exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from emperor.control.messages import DOWN, OK
from emperor.ctl.wording import duration, endpoint, exit_reason, mebibytes, plural, soon
from emperor.text import printable

Snapshot = Mapping[str, Any]
Part = Callable[[Snapshot], str]

# supervisorctl, _show_statuses: '%(namespec)-' + str(maxlen+3) + 's%(state)-10s%(desc)s', maxlen at least 30.
NAME_WIDTH = 30
STATE_WIDTH = 10

UP = frozenset({"RUNNING", "IDLE", "RELOADING"})
"""RELOADING serves: the old generation goes on until the new one is ready."""

LEAVING = frozenset({"retiring", "draining"})
"""States of workers that others have taken over from."""

STATE_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "RUNNING": "green",
        "IDLE": "green",
        "STARTING": "yellow",
        "RELOADING": "yellow",
        "STOPPING": "yellow",
        "BACKOFF": "yellow",
        "FATAL": "red",
        "INVALID": "red",
    }
)


def exit_code(snapshots: Sequence[Snapshot]) -> int:
    return OK if all(well(one) for one in snapshots) else DOWN


def well(snapshot: Snapshot) -> bool:
    """Up, or asleep, stopped or leaving by intent; not a running one whose new ini is bad or whose workers all died."""
    if snapshot.get("wanted") in ("down", "gone"):
        return True
    return snapshot.get("state") in UP and not snapshot.get("error") and not _nobody_serves(snapshot)


def name_width(snapshots: Sequence[Snapshot]) -> int:
    return max([NAME_WIDTH, *(len(printable(str(one.get("name", "")))) for one in snapshots)]) + 3


def widths(snapshots: Sequence[Snapshot]) -> tuple[int, ...]:
    """Of the columns that those have in common who are up; 0: nobody has anything there."""
    up = [one for one in snapshots if PARTS.get(str(one.get("state", "")), ())[: len(COLUMNS)] == COLUMNS]
    return tuple(max((len(part(one)) for one in up), default=0) for part in COLUMNS)


def describe(snapshot: Snapshot, columns: Sequence[int] = ()) -> str:
    """What stands right of the state in the list. ``columns``: how wide the first parts are, as ``widths`` has it."""
    return ", ".join(text for text in (describe_state(snapshot, columns), _warning(snapshot)) if text)


def describe_state(snapshot: Snapshot, columns: Sequence[int] = ()) -> str:
    """The same without warnings: nothing is cut, for the end of an error is where its reason is."""
    state = str(snapshot.get("state", ""))
    parts = PARTS.get(state, (_reason,))
    shown = [part(snapshot) for part in parts]
    error = snapshot.get("error")
    if error and _reason not in parts:
        shown.append(f"error: {printable(str(error))}")
    if parts[: len(columns)] != COLUMNS:
        return ", ".join(text for text in shown if text)
    rest = ", ".join(text for text in shown[len(columns) :] if text)
    # The comma belongs to the word, so it is padded with it.
    heads = (f"{text},".ljust(width + 2) if text else " " * (width + 2) for text, width in zip(shown, columns) if width)
    return ("".join(heads) + rest).rstrip(" ,")


def colour(snapshot: Snapshot) -> str:
    """That of its state; what is up and not well is not green."""
    plain = STATE_COLOURS.get(str(snapshot.get("state", "")), "")
    if plain != "green":
        return plain
    if not well(snapshot):
        return "red"
    return "yellow" if snapshot.get("warnings") else plain


def _nobody_serves(snapshot: Snapshot) -> bool:
    """An emperor that says nothing of it is an older one."""
    return snapshot.get("state") in ("RUNNING", "RELOADING") and snapshot.get("serves") is False


def _warning(snapshot: Snapshot) -> str:
    """The first, which is the most urgent; ``status NAME`` has the others, and the ini's beside an error."""
    warnings = [printable(str(one)) for one in snapshot.get("warnings") or ()]
    if _fails(snapshot):
        # A problem begins with its path, and nothing else does.
        warnings = [one for one in warnings if not one.startswith("/")]
    if not warnings:
        return ""
    more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
    return f"warning: {warnings[0]}{more}"


def _fails(snapshot: Snapshot) -> bool:
    """Does the line say already what is wrong?"""
    return bool(snapshot.get("error")) or _reason in PARTS.get(str(snapshot.get("state", "")), ())


def _pid(snapshot: Snapshot) -> str:
    return f"pid {snapshot['pid']}" if snapshot.get("pid") else ""


def _uptime(snapshot: Snapshot) -> str:
    uptime = snapshot.get("uptime")
    return "" if uptime is None else f"uptime {duration(uptime)}"


def _workers(snapshot: Snapshot) -> str:
    """Those that are there to stay."""
    workers = snapshot.get("workers") or ()
    staying = [one for one in workers if not (isinstance(one, Mapping) and one.get("state") in LEAVING)]
    return plural(len(staying), "worker") if staying else ""


def _requests(snapshot: Snapshot) -> str:
    requests = snapshot.get("requests")
    return plural(requests, "request") if isinstance(requests, int) and snapshot.get("workers") else ""


def _memory(snapshot: Snapshot) -> str:
    """Of its workers; what they share is counted for each."""
    sizes = [one.get("rss") for one in snapshot.get("workers") or () if isinstance(one, Mapping)]
    known = sum(size for size in sizes if isinstance(size, (int, float)))
    return mebibytes(known) if known else ""


def _sockets(snapshot: Snapshot) -> str:
    return ", ".join(endpoint(one.get("address", "")) for one in snapshot.get("sockets") or ())


def _reason(snapshot: Snapshot) -> str:
    return printable(str(snapshot.get("error") or "")) or exit_reason(snapshot.get("last_exit") or {})


def _retry(snapshot: Snapshot) -> str:
    left = snapshot.get("next_retry_in")
    return "" if left is None else f"retry in {soon(left)}"


def _asleep(snapshot: Snapshot) -> str:
    return "asleep until a request comes"


def _next_generation(snapshot: Snapshot) -> str:
    return "worker by worker" if snapshot.get("rolling") is True else "the next generation starts"


def _given_up(snapshot: Snapshot) -> str:
    name = printable(str(snapshot.get("name", "")))
    return f"given up after max-restarts -- mend it, then emperorctl start {name}"


def _stopped(snapshot: Snapshot) -> str:
    if snapshot.get("wanted") == "down":
        return "stopped on purpose"
    return "" if snapshot.get("error") else "not started"


COLUMNS: tuple[Part, ...] = (_pid, _uptime, _workers, _requests, _memory)

PARTS: Mapping[str, tuple[Part, ...]] = MappingProxyType(
    {
        "STOPPED": (_stopped,),
        "STARTING": (_pid,),
        "RUNNING": (*COLUMNS, _sockets),
        "RELOADING": (*COLUMNS, _sockets, _next_generation),
        "STOPPING": (_pid,),
        "BACKOFF": (_reason, _retry),
        "FATAL": (_reason, _given_up),
        "IDLE": (_asleep, _sockets),
        "INVALID": (_reason,),
    }
)
