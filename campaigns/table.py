"""Which campaigns there are: a row each, with how often its deed is done in the full form and in the short one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from campaigns import asleep, crash_loop, kills, many, reload, soak, systemd, upgrade
from campaigns.scene import Places
from campaigns.tally import Result

Say = Callable[[str], None]
Play = Callable[[str, int, Places, Say], Result]


class Campaign(NamedTuple):
    """``play``: (key, how often, where, who is told what happens) → its row. Raises Trouble or OSError."""

    key: str
    play: Play
    times: int
    short: int


def _reload(way: str, app: str) -> Play:
    return lambda key, times, places, say: reload.play(key, way, app, times, places, say)


def _workers(way: str, app: str, processes: int) -> Play:
    return lambda key, times, places, say: kills.play_workers(key, way, app, processes, times, places, say)


def _vassals(way: str, app: str) -> Play:
    return lambda key, times, places, say: kills.play_vassals(key, way, app, times, places, say)


def _upgrade(way: str) -> Play:
    return lambda key, times, places, say: upgrade.play(key, way, times, places, say)


def _systemd(deed: systemd.Deed, did: str) -> Play:
    return lambda key, times, places, say: systemd.play(key, deed, did, times, places, say)


CAMPAIGNS: tuple[Campaign, ...] = (
    Campaign("reload-uwsgi", _reload("uwsgi", "bare"), 500, 20),
    Campaign("reload-fastcgi", _reload("fastcgi-kept", "bare"), 500, 20),
    Campaign("reload-flask", _reload("fastcgi-kept", "flask_app"), 100, 12),
    Campaign("reload-peer", reload.beside, 5, 2),
    Campaign("kill-worker-bare-1", _workers("uwsgi", "bare", 1), 250, 20),
    Campaign("kill-worker-bare-2", _workers("uwsgi", "bare", 2), 250, 20),
    Campaign("kill-worker-flask-1", _workers("uwsgi", "flask_app", 1), 250, 20),
    Campaign("kill-worker-flask-2", _workers("uwsgi", "flask_app", 2), 250, 20),
    Campaign("kill-worker-fastcgi", _workers("fastcgi-kept", "flask_app", 2), 250, 20),
    Campaign("kill-worker-peer", kills.beside, 5, 3),
    Campaign("kill-vassal", _vassals("uwsgi", "bare"), 100, 10),
    Campaign("upgrade-uwsgi", _upgrade("uwsgi"), 100, 4),
    Campaign("upgrade-fastcgi", _upgrade("fastcgi-kept"), 100, 4),
    Campaign("start-200", many.start, 200, 20),
    Campaign("asleep-1000", asleep.play, 1000, 50),
    Campaign("asleep-peer", asleep.beside, 100, 10),
    Campaign("storm", many.storm, 100, 10),
    Campaign("systemd-restart", _systemd(systemd.restart, "systemctl restart emperor, 8 clients, bare, uwsgi"), 20, 4),
    Campaign("systemd-kill", _systemd(systemd.kill_main, "kill -9 of the main process, 8 clients, bare, uwsgi"), 20, 4),
    Campaign("crash-loop", crash_loop.play, 600, 8),
    Campaign("soak", soak.play, 7200, 24),
)


def chosen(words: tuple[str, ...]) -> tuple[Campaign, ...]:
    """The campaigns that one of these words names: a whole key, or else a part of keys. All of them for no words."""
    keys = {one.key for one in CAMPAIGNS}
    return tuple(one for one in CAMPAIGNS if not words or any(_named(word, one.key, keys) for word in words))


def _named(word: str, key: str, keys: set[str]) -> bool:
    return word == key if word in keys else word in key
