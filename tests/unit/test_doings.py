"""What a worker is at, as everybody may see it."""

from __future__ import annotations

import pytest

from emperor.supervision.doings import LONG, SHOWN, died_in, longest, path_only
from emperor.supervision.reports import MAX_DOING

NOW, BORN = 10_000.0, 9_000.0
LONG_AGO = NOW - 60


@pytest.mark.parametrize(
    ("doings", "found"),
    [
        ([], ("", None)),
        ([(NOW - LONG + 0.01, "GET /a")], ("", None)),
        ([(NOW - LONG, "GET /a?x=1")], ("GET /a", NOW - LONG)),
        ([(NOW - 3, "GET /a"), (LONG_AGO, "GET /b"), (NOW, "GET /c")], ("GET /b", LONG_AGO)),
        ([(1.2e-304, "GET /half-written"), (NOW - 3, "GET /a")], ("GET /a", NOW - 3)),
        ([(float("nan"), "GET /half-written")], ("", None)),
        ([(LONG_AGO, "")], ("", None)),
    ],
)
def test_the_oldest_request_is_shown_once_it_takes_long(
    doings: list[tuple[float, str]], found: tuple[str, float | None]
) -> None:
    assert longest(doings, BORN, NOW) == found


@pytest.mark.parametrize("request_line", ["GET /" + "x" * 5000, "GET /" + "\x1b" * 900, "GET /\na?b"])
def test_a_path_is_short_and_one_line(request_line: str) -> None:
    shown = path_only(request_line)
    assert len(shown) <= SHOWN <= MAX_DOING and "\x1b" not in shown and "\n" not in shown and "?" not in shown


@pytest.mark.parametrize(
    ("requests", "words"),
    [(["GET /segv?x=1"], "died in GET /segv"), ([], "died"), ([""], "died"), (["GET /a", "GET /b"], "died")],
)
def test_a_death_is_put_down_to_a_request_if_there_was_but_one(requests: list[str], words: str) -> None:
    assert died_in("died", requests) == words
