"""The emperor as a service of a real systemd, restarted and killed under load; the tests' harness boots it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from campaigns import tally
from campaigns.processes import kill
from campaigns.scene import Places, Scene
from campaigns.tally import Result, Trouble
from campaigns.visitors import Visitors

if TYPE_CHECKING:
    from tests.e2e.harness.installed import Installed

CLIENTS = 8
UNIT = "emperor.service"
_TMP = Path("/tmp")
_PATIENCE = 60.0

Say = Callable[[str], None]
Deed = Callable[["Installed"], None]


def restart(service: Installed) -> None:
    service.machine.systemctl("restart", UNIT)


def kill_main(service: Installed) -> None:
    main = service.main
    kill(main)
    service.returned(main)


def play(key: str, deed: Deed, did: str, times: int, places: Places, say: Say) -> Result:
    """``deed``: once; it returns when the service has said again that it is ready."""
    begin = time.monotonic()
    if reason := obstacle(places):
        return Result(key, did, skipped=reason)
    try:
        return _play(key, deed, did, times, places, say, begin)
    except AssertionError as error:
        raise Trouble(str(error)) from error


def obstacle(places: Places) -> str:
    """Why it cannot be played here; "" if it can."""
    if os.geteuid() != 0 or not os.path.exists("/lib/systemd/systemd") or shutil.which("unshare") is None:
        return "systemd in a namespace needs root, systemd and unshare"
    shared = _shared(places)
    if _TMP in places.venv.parents and shared not in places.venv.parents:
        return f"{places.venv} cannot be seen in the namespace, which has a /tmp of its own"
    try:
        import_module("tests.e2e.harness.installed")
    except ImportError as error:
        return f"the tests' harness cannot be imported: {error}"
    return ""


def _shared(places: Places) -> Path:
    """The folder right below /tmp that the namespace has too."""
    return _TMP / places.folder.relative_to(_TMP).parts[0]


def _play(key: str, deed: Deed, did: str, times: int, places: Places, say: Say, begin: float) -> Result:
    from tests.e2e.harness.installed import Installed
    from tests.e2e.harness.systemd import UNITS, Machine

    with ExitStack() as ends, Scene(places) as scene:
        say("systemd boots")
        machine = Machine(scene.folder / "machine", _shared(places), places.venv / "bin")
        ends.callback(machine.stop)
        machine.unit(UNIT, (UNITS / UNIT).read_text())
        service = Installed(machine.boot())
        scene.inis = machine.path(service.vassals)
        site = scene.vassal("site", "bare", "uwsgi", "processes = 2")
        service.start()
        scene.open_gates()
        took = []
        with Visitors([*site.customers(CLIENTS), site.probe()]) as visitors:
            if visitors.answer(lambda one: True, _PATIENCE) is None:
                raise Trouble(f"no first answer: {service.log[-600:]}")
            for number in range(times):
                say(f"{number + 1} of {times}, {len(visitors.failures)} failures")
                moment = time.monotonic()
                deed(service)
                fresh = visitors.answer(lambda one: one.start > moment, _PATIENCE)  # noqa: B023 -- over by then
                if fresh is None:
                    raise Trouble(f"no answer within {_PATIENCE:g} s: {service.log[-600:]}")
                took.append(time.monotonic() - moment)
        news, failures = scene.gazette(), visitors.tally.failures
        figures = (
            tally.count("refused", visitors.tally.refused + len(news.refused), 0),
            tally.count("failed GETs", visitors.tally.failed("GET"), 0),
            tally.count("failed POSTs", visitors.tally.failed("POST")),
            *tally.spread_figures("from the deed to READY and an answer", took),
            tally.milliseconds("longest wait for an answer", tally.spread(visitors.latencies).most),
        )
        notes = tuple(f"{number} × {why}" for why, number in tally.reasons(failures).items())
        return Result(key, did, times, visitors.tally, news, time.monotonic() - begin, figures, notes)
