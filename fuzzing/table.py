"""Which targets there are: a row each, with its inputs, what is done with one, and what must have come of some."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from emperor.control.messages import VERBS
from fuzzing import grammars, ruled, told, wires
from fuzzing.mutation import Grammar
from fuzzing.trial import Trial

LONG = 1_000_000
SHORT = 10_000
"""Inputs of each target: of the long campaign, and of a first look."""


class Target(NamedTuple):
    """``reached``: outcomes that any run of ten thousand inputs must have had, or the mutants are too tame or too wild
    to show anything."""

    key: str
    what: str
    grammar: Callable[[], Grammar]
    trial: Trial
    reached: frozenset[str]


TARGETS: tuple[Target, ...] = (
    Target("ini", "an ini to the spec, and to the texts for web servers", grammars.ini, ruled.try_ini,
           frozenset(("taken", "refused", "no text"))),
    Target("control", "a line of a stranger's to a request", grammars.control, told.try_control,
           frozenset((*VERBS, "refused"))),
    Target("channel", "a datagram of a vassal's to a message", grammars.channel, told.try_channel,
           frozenset(("serving", "idle", "lost", "crewed", "stale", "listening", "failed", "lines", "workers",
                      "refused"))),
    Target("uwsgi", "uwsgi to an environ", grammars.uwsgi, wires.try_uwsgi,
           frozenset(("value", "more", "400", "431", "500"))),
    Target("fastcgi", "FastCGI to environs", grammars.fastcgi, wires.try_fastcgi,
           frozenset(("value", "body", "abort", "more", "400", "431", "500"))),
    Target("http", "HTTP to environs", grammars.http, wires.try_http,
           frozenset(("value", "more", "400", "431", "501", "505"))),
)  # fmt: skip


def chosen(words: tuple[str, ...]) -> tuple[Target, ...]:
    """Those that one of these words names. All of them for no words."""
    return tuple(one for one in TARGETS if not words or one.key in words)
