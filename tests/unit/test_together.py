"""Settings that are odd together: which are errors, which are warnings, and which are fine."""

from __future__ import annotations

import pytest

from tests.unit.config_world import APP, faults, warnings

ODD = [
    (("max-requests-delta = 5",), "max-requests-delta", "without max-requests"),
    (("max-requests = 0", "max-requests-delta = 5"), "max-requests-delta", "without max-requests"),
    (("max-worker-lifetime-delta = 5",), "max-worker-lifetime-delta", "without max-worker-lifetime"),
    (("processes = 4", "cheaper-initial = 2"), "cheaper-initial", "without cheaper"),
    (("processes = 4", "cheaper = 0", "cheaper-step = 2"), "cheaper-step", "without cheaper"),
    (("cheaper-overload = 2",), "cheaper-overload", "without cheaper"),
    (("reload-mode = rolling",), "reload-mode", "one process"),
    (("processes = 1", "reload-mode = rolling"), "reload-mode", "one process"),
    (("touch-reload = /etc/emperor/vassals.d/blog.ini",), "touch-reload", "is this ini"),
    (("touch-reload = ./blog.ini",), "touch-reload", "is this ini"),
    (("chdir = /etc/emperor", "touch-reload = vassals.d//blog.ini"), "touch-reload", "is this ini"),
    (("max-worker-lifetime = 5",), "max-worker-lifetime", "min-worker-lifetime, which is 10"),
    (("min-worker-lifetime = 60", "max-worker-lifetime = 30"), "max-worker-lifetime", "which is 60"),
    (("max-requests = 3",), "max-requests", "lives 10 seconds"),
    (("harakiri = 0.5",), "harakiri", "less than a second"),
    (("idle = 0.2",), "idle", "within a second"),
    (("limit-as = 32",), "limit-as", "about 64 MB"),
    (("threads = 4", "limit-as = 128"), "limit-as", "about 384 MB"),
    (("limit-as = 512", "reload-on-as = 512"), "reload-on-as", "not below limit-as"),
    (("limit-as = 512", "reload-on-rss = 600"), "reload-on-rss", "not below limit-as"),
    (("limit-nofile = 16",), "limit-nofile", "is little"),
    (("processes = 4", "cheaper = 2", "cheaper-initial = 1"), "cheaper-initial", "to processes, 4: 2 is taken"),
    (("processes = 4", "cheaper = 2", "cheaper-initial = 5"), "cheaper-initial", "from cheaper, 2, to processes, 4: 4"),
]


@pytest.mark.parametrize(("lines", "option", "words"), ODD, ids=lambda part: part[-1] if type(part) is tuple else "")
def test_what_is_odd_together_is_one_warning_at_the_line_to_change(
    lines: tuple[str, ...], option: str, words: str
) -> None:
    ((line, at, message),) = warnings(APP, *lines)
    assert (line, at) == (2 + len(lines), option) and words in message


WRONG = [
    (("processes = 2", "cheaper = 2"), "cheaper", "less than processes, which is 2"),
    (("cheaper = 1",), "cheaper", "less than processes, which is 1"),
    (("processes = 4", "cheaper = 5", "cheaper-initial = 9"), "cheaper", "less than processes, which is 4"),
    (("logto = /var/log/a.log", "touch-reload = /var/log/a.log"), "touch-reload", "is the log"),
    (("logto = a.log", "touch-reload = a.log"), "touch-reload", "is the log"),
    (("socket = /run/b/a.sock", "stats = /run/b/a.sock"), "stats", "is the address of socket (line 3) -- give"),
    (("stats = :9000", "http-socket = 127.0.0.1:9000"), "stats", "is the address of http-socket (line 4) -- give"),
    (("stats = @a", "uwsgi-socket = @a"), "stats", "is the address of uwsgi-socket (line 4) -- give"),
    (("stats = /run/emperor/blog.sock",), "stats", "is the vassal's own socket, as no other is named -- give"),
    (("stats = /" + 120 * "a",), "stats", "longer than 107 bytes"),
]


@pytest.mark.parametrize(("lines", "option", "words"), WRONG, ids=lambda part: part[-1] if type(part) is tuple else "")
def test_what_nobody_can_mean_is_one_error(lines: tuple[str, ...], option: str, words: str) -> None:
    ((_, at, message),) = faults(APP, *lines)
    assert at == option and words in message


@pytest.mark.parametrize(
    "lines",
    [
        ("harakiri = 60", "reload-mercy = 10"),
        ("on-demand = true", "py-autoreload = 1"),
        ("on-demand = true",),
        ("idle = 60",),
        ("max-requests = 3", "min-worker-lifetime = 0"),
        ("max-requests = 5000", "max-requests-delta = 0"),
        ("max-worker-lifetime = 10",),
        ("harakiri = 1",),
        ("idle = 1",),
        ("processes = 2", "reload-mode = rolling", "cheaper = 1"),
        ("reload-mode = whole",),
        ("processes = 2", "cheaper = 1", "cheaper-initial = 2"),
        ("cheaper = 0",),
        ("limit-as = 64", "reload-on-rss = 63"),
        ("threads = 4", "limit-as = 384"),
        ("limit-nofile = 32",),
        ("logto = a.log", "touch-reload = b.log", "touch-reload = /srv/blog.ini"),
        ("chdir = /srv", "touch-reload = blog.ini"),
        ("logto = a.log", "logto = b.log", "touch-reload = a.log"),
    ],
    ids=lambda lines: " ".join(lines),
)
def test_what_goes_together_needs_no_word(lines: tuple[str, ...]) -> None:
    assert warnings(APP, *lines) == []


def test_a_place_before_others_is_not_everybodys_to_take() -> None:
    ((_, option, message),) = warnings(APP, "nice = -5")
    assert option == "nice" and "only if www-data may (RLIMIT_NICE" in message
    assert warnings(APP, "nice = 5") == []
    assert warnings(APP, "uid = root", "allow-root = true", "nice = -5") == []
