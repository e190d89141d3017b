"""Runs rows one after the other: starts both servers and nginx, warms up, takes turns."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks import figures, servers
from benchmarks.exercises import EXERCISES, Exercise, Extent, Target
from benchmarks.front import Gate, Nginx, free_port
from benchmarks.rows import Row
from benchmarks.running import Server
from benchmarks.servers import Failure, Places, Plan

_START_SECONDS = 2.0
_Result = TypeVar("_Result")

Say = Callable[[str, float], None]
"""What is being done, and about how many seconds of the row are left."""


class Played(NamedTuple):
    """An outcome with what was run for it. ``files``: their names and texts, like ones told once."""

    outcome: figures.Outcome
    commands: tuple[tuple[str, ...], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    nginx: str = ""


def seconds(row: Row, extent: Extent) -> float:
    """How long a row takes, about."""
    return 2 * (_START_SECONDS + row.warmup + _number(row, extent) * EXERCISES[row.exercise].cost(extent))


def play(row: Row, extent: Extent, places: Places, say: Say) -> Played:
    """One row. Whatever goes wrong with it is its outcome; nothing that it started is left."""
    for contender in row.contenders:
        if reason := servers.obstacle(contender, places):
            return Played(figures.Outcome(row, fault=reason, measured=False))
    plans = [
        Plan(contender, _emptied(places.folder / name), places)
        for name, contender in zip(("ours", "peer"), row.contenders)
    ]
    recipes = [servers.SERVERS[plan.contender.server] for plan in plans]
    exercise = EXERCISES[row.exercise]
    fronted = plans if exercise.fronted else []
    gates = [Gate(plan.folder.name, str(free_port()), plan.socket, plan.contender.way) for plan in fronted]
    nginx = Nginx(_emptied(places.folder / "nginx"), gates, exercise.streamed) if gates else None
    ports = [int(gate.port) for gate in gates] or [0] * len(plans)
    targets = [Target(Server(plan), port) for plan, port in zip(plans, ports)]
    try:
        rounds = _rounds(row, extent, targets, nginx, say)
        outcome = figures.judge(row, rounds)
    except (Failure, OSError) as error:
        outcome = figures.Outcome(row, fault=str(error))
    named = [(f"{p.folder.name}/{name}", text) for r, p in zip(recipes, plans) for name, text in r.files(p).items()]
    ran = (command for r, p in zip(recipes, plans) for command in (r.command(p), r.status(p)))
    commands = tuple(command for command in ran if command)
    return Played(outcome, commands, told_once(named), nginx.config if nginx else "")


def told_once(named: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Texts without the empty ones; those that are alike once, by the first and the last of their names."""
    names: dict[str, list[str]] = {}
    for name, text in named:
        if text:
            names.setdefault(text, []).append(name)
    return tuple((" to ".join(dict.fromkeys((all_[0], all_[-1]))), text) for text, all_ in names.items())


def _number(row: Row, extent: Extent) -> int:
    return extent.rounds * EXERCISES[row.exercise].times


def _rounds(
    row: Row, extent: Extent, targets: Sequence[Target], nginx: Nginx | None, say: Say
) -> list[tuple[figures.Figures, figures.Figures]]:
    exercise = EXERCISES[row.exercise]
    left = seconds(row, extent)
    with ExitStack() as stack:
        say("starting", left)
        for target in targets:
            stack.callback(target.server.stop)
            target.server.start()
        if nginx:
            stack.callback(nginx.stop)
            nginx.start()
        for target in targets:
            say(f"warming up {target.server.title}", left)
            _blamed(target, exercise.warm, row, extent)
            left -= row.warmup
        return list(_turns(row, extent, targets, exercise, say))


def _turns(
    row: Row, extent: Extent, targets: Sequence[Target], exercise: Exercise, say: Say
) -> Iterator[tuple[figures.Figures, figures.Figures]]:
    cost, rounds = exercise.cost(extent), _number(row, extent)
    for number in range(rounds):
        pair = []
        for turn, target in enumerate(targets):
            left = (2 * (rounds - number) - turn) * cost
            say(f"round {number + 1} of {rounds}, {target.server.title}", left)
            pair.append(_blamed(target, exercise.round, row, extent))
        yield pair[0], pair[1]


def _blamed(target: Target, act: Callable[[Row, Target, Extent], _Result], row: Row, extent: Extent) -> _Result:
    """The same, with the server's name and last words around what went wrong."""
    try:
        return act(row, target, extent)
    except (Failure, OSError) as error:
        raise Failure(f"{target.server.title}: {error} -- its log ends: {target.server.last_words()}") from error


def _emptied(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder
