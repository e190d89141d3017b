"""Does the app load, now? Tried as its user, in a process that is thrown away.

An app that serves is not imported unless that is asked for: its own code runs, and may do what it does at a start. It
is tried only by the very words that the emperor started it with: what an ini comes to depends on the emperor's options.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

from emperor.doctor import appside
from emperor.doctor.facts import Subject
from emperor.doctor.finding import Finding
from emperor.errors import EmperorError
from emperor.model import VassalSpec

LONGEST = 6.0
"""Seconds for one import, and for all of them after which none is begun."""

FAILED = ("BACKOFF", "FATAL", "STARTING")


def wanted(subject: Subject, load: bool) -> bool:
    """Who does not come up by its import is tried once more; others only if that is asked for."""
    if subject.spec is None or os.geteuid() not in (0, subject.spec.identity.uid):
        return False
    return load or (subject.state in FAILED and bool(subject.snapshot.get("traceback")))


def tried(subjects: Sequence[Subject], control: str) -> tuple[list[Finding], list[str]]:
    """What came of it; and whose app could not be tried."""
    from emperor.trial import import_spec, launched  # what starts processes is seldom needed

    found: list[Finding] = []
    unseen: list[str] = []
    if not subjects:
        return found, unseen
    end = time.monotonic() + LONGEST
    with launched() as launcher:
        for subject in subjects:
            spec = _whole(subject, os.path.dirname(control))
            if spec is None:
                path = subject.config
                reason = "the emperor has options that change what its ini says"
                unseen.append(f"{subject.name}: its import: {reason} -- emperorctl check {path} --import, with them")
            elif time.monotonic() > end:
                unseen.append(
                    f"{subject.name}: its import: the others took all the time -- emperorctl doctor {spec.name}"
                )
            else:
                loads, output = import_spec(replace(spec, start_timeout=min(spec.start_timeout, LONGEST)), launcher)
                found += appside.tried(subject, loads, output)
    return found, unseen


def _whole(subject: Subject, runtime: str) -> VassalSpec | None:
    """With its ``env``, which nobody is told: read from its ini, if that comes to the same otherwise."""
    from emperor.cli import options  # with it comes the daemon
    from emperor.intake.reading import Reader, Settings

    try:
        rule, _, _ = options([])
        spec = Reader(Settings.under(rule, runtime)).read(subject.name, subject.config).checked.spec
    except EmperorError:
        return None
    if spec is None or subject.spec is None:
        return None
    same = VassalSpec.from_json(replace(spec, env=()).to_json()) == replace(subject.spec, env=())
    return spec if same else None
