"""The stacks of a condemned worker without what is ours, from dumps as the interpreters write them."""

from __future__ import annotations

import pytest

from emperor.supervision.lastwords import LastWords

PACKAGE, LIBRARY = "/run/emperor/lib/0f/emperor", "/usr/lib/python3.11"
HEAD, OTHER = "Thread 0x00007f9a7afbb6c0 (most recent call first):", "Thread 0x7F8717DAB6C0 (most recent call first):"
HEADS = [
    HEAD,
    "Current thread 0x00007f9a7ba17b80 (most recent call first):",
    "Thread 0x00007f9a7afbb6c0 [emperor 1] (most recent call first):",
    "Thread 0x7F8717DAB6C0 (most recent call first, approximate line numbers):",
]


def frame(path: str, name: str = "f", line: str = "7") -> str:
    return f'  File "{path}", line {line} in {name}'


APP = [frame("/srv/app/app.py", "sleep"), frame("/srv/venv/lib/flask/app.py", "wsgi_app")]
OURS = [frame(f"{PACKAGE}/wsgi/gateway.py", "respond"), frame(f"{PACKAGE}/serving/thread_pool.py", "_work")]
BEGIN = [frame(f"{LIBRARY}/threading.py", name) for name in ("run", "_bootstrap_inner", "_bootstrap")]
MAIN = [
    frame(f"{PACKAGE}/crew/hand.py", "fork"),
    frame("/run/emperor/lib/0f/launch.py", "<module>"),
    frame("<builtin>/app_main.py", "execfile"),
]
WAITS = [frame(f"{LIBRARY}/selectors.py", "select"), frame(f"{LIBRARY}/threading.py", "wait")]


def shown(*lines: str, package: str = PACKAGE) -> list[str]:
    """Line by line, as a pipe may give them."""
    words = LastWords(package, LIBRARY)
    return [one for line in lines for one in words.feed([line])] + words.end()


def idle(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'} in which the app does not run: idle, or waiting for a client"


@pytest.mark.parametrize("head", HEADS)
def test_of_a_thread_with_a_request_the_app_and_its_libraries_are_shown(head: str) -> None:
    assert shown(head, *APP, *OURS, *BEGIN, "") == [head, *APP]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("frames", [[*OURS, *BEGIN], MAIN, [*WAITS, *OURS, *BEGIN], [*OURS, *MAIN]])
def test_threads_in_which_only_we_are_are_counted(head: str, frames: list[str]) -> None:
    assert shown(head, *frames, "", HEAD, *APP, *OURS, "", head, *frames) == [HEAD, *APP, idle(2)]
    assert shown(head, *frames) == [idle(1)]


def test_what_the_app_calls_of_ours_and_what_it_waits_in_does_not_hide_it() -> None:
    reads = [frame(f"{PACKAGE}/wsgi/body.py", "read"), *APP, *OURS, *BEGIN]
    assert shown(HEAD, *reads) == [HEAD, *APP]
    assert shown(HEAD, *WAITS, *APP, *OURS, *BEGIN) == [HEAD, *WAITS, *APP]


def test_threads_of_the_apps_own_are_shown_whole() -> None:
    timer = [*WAITS, *BEGIN]
    assert shown(HEAD, *timer, "", OTHER, *APP, *BEGIN) == [HEAD, *timer, OTHER, *APP, *BEGIN]
    assert shown(HEAD, "  <no Python frame>") == [HEAD, "  <no Python frame>"]


def test_a_stack_that_is_too_deep_is_shown_as_far_as_it_goes() -> None:
    assert shown(HEAD, *APP, "  ...", "", OTHER, *OURS) == [HEAD, *APP, "  ...", idle(1)]


def test_an_app_with_names_like_ours_is_the_app() -> None:
    alike = [frame(path) for path in ("/srv/app/queue.py", "/srv/emperor/app.py", "/srv/launch.py", f"{PACKAGE}s/a.py")]
    assert shown(HEAD, *alike, *OURS) == [HEAD, *alike]


def test_what_is_no_stack_goes_through() -> None:
    lines = ["", "a line of the app's", *OURS, *WAITS, "Thread 0x is a word"]
    assert shown(*lines) == lines
    assert shown(HEAD, OURS[0], "a line of another process", OURS[1]) == ["a line of another process", idle(1)]
    assert shown() == []


def test_nothing_is_said_twice_and_what_comes_after_the_end_goes_through() -> None:
    words = LastWords(PACKAGE, LIBRARY)
    assert words.feed([HEAD, *OURS]) == []
    assert words.end() == [idle(1)]
    assert words.end() == []
    assert words.feed(["", *OURS]) == ["", *OURS]


def test_a_folder_beyond_ascii_is_known_as_faulthandler_writes_it() -> None:
    assert shown(HEAD, *APP, frame("/run/k\\xf6nig/emperor/duty.py"), package="/run/k\xf6nig/emperor") == [HEAD, *APP]
