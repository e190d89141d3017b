"""A thousand vassals of which nobody wants anything: what they cost, and how they wake, one by one and all at once."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from benchmarks import measure, parsing
from campaigns import tally, wires
from campaigns.processes import available, descriptors, rss, wait_for, wakeups
from campaigns.scene import Places, Scene, Vassal
from campaigns.tally import Figure, Result, Trouble
from campaigns.visitors import Visitors
from campaigns.wires import Asked

MEMORY, WAKEUPS, STATUS = 60.0, 1.0, 0.3
"""What a thousand that sleep may cost the emperor: MiB of resident size, wake-ups in ``BEAT`` seconds, seconds of the
whole command ``emperorctl status``."""

BEAT = 5.0
GROWTH = 4.0
"""MiB that the emperor may have grown from the first time that all have slept again to the second."""

IDLE, SHORT = 20, 5
"""Seconds without a request after which one is put to sleep, of a thousand and of a few."""

SAMPLE = 100
"""How many are woken one after the other, at the socket and then through nginx."""

APIECE = 14.0
"""MiB that one which is awake takes, about."""

_PEER = "uWSGI's Emperor, on-demand sockets"
_PATIENCE = 240.0
_WATCHED = 4 * BEAT
_ASKED = 10

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Round:
    """All were woken at once, and slept again: seconds until the last answer and until the last was asleep, MiB of
    everything while all were awake, and the emperor's own and its descriptors afterwards."""

    seen: tally.Tally
    answered: float
    whole: float
    asleep: float
    size: float
    held: int


def play(key: str, times: int, places: Places, say: Say) -> Result:
    """``times`` vassals; those that are woken one by one are among them."""
    begin, idle = time.monotonic(), max(SHORT, IDLE * times // 1000)
    did = f"{times} vassals on demand (bare, 1 worker, idle = {idle}): asleep, woken, asleep"
    if available() < times * APIECE:
        return Result(key, did, skipped=f"{times * APIECE / 1024:.0f} GiB of memory are wanted")
    with Scene(places) as scene:
        sites = [scene.vassal(f"site{number}", "bare", "uwsgi", *_on_demand(idle)) for number in range(times)]
        scene.start(wait=False)
        bound = _until_asleep(scene, begin=time.monotonic())
        figures = [Figure("until all slept, from the daemon's start", bound, "s", digits=1), *_rest(scene, times, say)]
        sample = max(1, min(SAMPLE, times // 4))
        direct, through = sites[:sample], sites[-sample:]
        scene.open_gates(through)
        say("waking some, one by one")
        figures += tally.spread_figures("first answer of a sleeper, at its socket", map(first_direct, direct))
        waits = map(first_through_nginx, through)
        figures += tally.spread_figures("first answer of a sleeper, through nginx", waits)
        _until_asleep(scene)
        say("watching them sleep")
        figures += [
            Figure(f"wake-ups of the emperor in {BEAT:g} s, all asleep", _wakeups(scene.pid), "", WAKEUPS, digits=1)
        ]
        first = _wake_all(scene, sites, idle, say)
        second = _wake_all(scene, sites, idle, say)
        news, both = scene.gazette(), first.seen + second.seen
        figures += _told(first, second, both, len(news.refused))
        notes = tuple(f"{number} × {why}" for why, number in tally.reasons(both.failures).items())
        return Result(key, did, times, both, news, time.monotonic() - begin, tuple(figures), notes)


def beside(key: str, times: int, places: Places, say: Say) -> Result:
    """The same sleepers under uWSGI's Emperor, as far as it can be asked for the same."""
    begin, did = time.monotonic(), f"{_PEER}: {times} vassals (bare, 1 worker) asleep, woken one by one"
    if not places.peer.exists():
        return Result(key, did, skipped=f"{places.peer} is not there -- pip install uwsgi")
    with Scene(places, "uwsgi", ("--emperor-on-demand-extension", ".socket")) as scene:
        sites = [_peers(scene.vassal(f"site{number}", "bare", "uwsgi", *_on_demand_peer())) for number in range(times)]
        scene.start()
        say("watching them sleep")
        figures = [
            Figure("processes beside the Emperor's own, asleep", len(_tree(scene)) - 1),
            Figure("resident size of the Emperor, all asleep", rss((scene.pid,)), "MiB", digits=1),
            Figure(f"wake-ups of the Emperor in {BEAT:g} s, all asleep", _wakeups(scene.pid), digits=1),
        ]
        say("waking them, one by one")
        waits = [first_direct(site) for site in sites]
        figures += tally.spread_figures("first answer of a sleeper, at its socket", waits)
        figures += [Figure("memory of all together, all awake", measure.pss(_tree(scene)), "MiB")]
        return Result(key, did, times, seconds=time.monotonic() - begin, figures=tuple(figures))


def _on_demand(idle: int) -> tuple[str, ...]:
    return "on-demand = true", f"idle = {idle}"


def _on_demand_peer() -> tuple[str, ...]:
    return "die-on-idle = true", "idle = 3600"


def _peers(site: Vassal) -> Vassal:
    """uWSGI's sockets on demand: their address stands beside the ini, and the ini must name none."""
    lines = site.ini.read_text().splitlines()
    site.ini.write_text("\n".join(line for line in lines if "-socket = /" not in line) + "\n")
    site.ini.with_name(f"{site.ini.name}.socket").write_text(str(site.socket))
    return site


def _rest(scene: Scene, times: int, say: Say) -> list[Figure]:
    """What nothing costs."""
    say(f"{times} sleep")
    asked = [_seconds(lambda: scene.ctl("status")) for _ in range(_ASKED)]
    return [
        tally.count("processes beside the emperor's own, all asleep", len(_tree(scene)) - 1, 0),
        Figure("resident size of the emperor, all asleep", rss((scene.pid,)), "MiB", MEMORY, digits=1),
        Figure(f"emperorctl status, p50 of {_ASKED}", statistics.median(asked), "s", STATUS, digits=2),
    ]


def _told(first: _Round, second: _Round, both: tally.Tally, refused: int) -> list[Figure]:
    return [
        tally.count("refused", both.refused + refused, 0),
        tally.count("failed requests", len(both.failures), 0),
        Figure("all at once: until all had answered", first.answered, "s", digits=1),
        Figure("the same, the second time", second.answered, "s", digits=1),
        Figure("memory of all together, all awake", first.whole, "MiB"),
        Figure("from the last request until all slept again", first.asleep, "s", digits=1),
        Figure("the same, the second time", second.asleep, "s", digits=1),
        Figure("resident size of the emperor, all asleep again", first.size, "MiB", MEMORY, digits=1),
        Figure("the same, the second time", second.size, "MiB", MEMORY, digits=1),
        Figure("growth of the emperor in between", second.size - first.size, "MiB", GROWTH, digits=1),
        tally.count("descriptors that it has more", second.held - first.held, 0),
    ]


def _wake_all(scene: Scene, sites: Sequence[Vassal], idle: int, say: Say) -> _Round:
    """A client for each, all at the same moment; they come again until the last has had its first answer."""
    begin = time.monotonic()
    with Visitors([site.probe(pause=idle / 2.5, timeout=_PATIENCE) for site in sites]) as visitors:

        def answered() -> bool:
            say(f"{len(visitors.heard)} of {len(sites)} have answered, {len(visitors.failures)} failures")
            return len(visitors.heard) + len(visitors.failures) >= len(sites)

        wait_for(answered, "an answer of every vassal", 2 * _PATIENCE, pause=0.2)
        last = max(visitors.heard.values(), default=begin) - begin
        whole = measure.pss(_tree(scene))
    end = time.monotonic()
    say("waiting until all sleep again")
    asleep = _until_asleep(scene, begin=end)
    return _Round(visitors.tally, last, whole, asleep, rss((scene.pid,)), descriptors(scene.pid))


def _until_asleep(scene: Scene, begin: float | None = None) -> float:
    """Seconds since ``begin``."""
    begin = time.monotonic() if begin is None else begin
    wait_for(lambda: scene.all_in("IDLE"), "all asleep", _PATIENCE, pause=0.5)
    return time.monotonic() - begin


def _tree(scene: Scene) -> tuple[int, ...]:
    return parsing.tree(measure.parents(), scene.pid)


def _wakeups(pid: int) -> float:
    """In ``BEAT`` seconds; counted from just after one of them, or a beat more or less would be chance."""
    before = wakeups(pid)
    wait_for(lambda: wakeups(pid) != before, "a wake-up", 3 * BEAT, pause=0.05)
    time.sleep(BEAT / 5)
    before = wakeups(pid)
    time.sleep(_WATCHED)
    return (wakeups(pid) - before) / (_WATCHED / BEAT)


def _seconds(deed: Callable[[], Any]) -> float:
    begin = time.monotonic()
    deed()
    return time.monotonic() - begin


def first_direct(site: Vassal) -> float:
    """Seconds until it has answered, asked at its own socket. Raises Wrong, OSError."""
    return _seconds(lambda: _ask(socket.AF_UNIX, str(site.socket), wires.over_uwsgi, _until_closed, site.name))


def first_through_nginx(site: Vassal) -> float:
    """The same by way of nginx."""
    address = ("127.0.0.1", site.port)
    return _seconds(lambda: _ask(socket.AF_INET, address, wires.over_http, _until_whole, site.name))


def _ask(
    family: int,
    address: Any,
    encode: Callable[[Asked], bytes],
    read: Callable[[Iterable[bytes]], bytes],
    name: str,
) -> None:
    asked = Asked(f"{name}-first")
    with closing(socket.socket(family)) as sock:
        sock.settimeout(_PATIENCE)
        sock.connect(address)
        sock.sendall(encode(asked))
        body = read(iter(lambda: sock.recv(1 << 16), b""))
    wires.stamp_of(asked, body)


def _until_closed(pieces: Iterable[bytes]) -> bytes:
    return wires.cgi_body(b"".join(pieces))


def _until_whole(pieces: Iterable[bytes]) -> bytes:
    data = b""
    for piece in pieces:
        data += piece
        head = wires.http_head(data)
        if head is not None and len(data) >= head[0] + head[1]:
            return data[head[0] :]
    raise Trouble(f"the web server hung up after {len(data)} bytes")
