"""Is a worker worn? What it has served, how long it has served and what it takes, against what the ini allows.

Frozen values alone. The limits of time and number get a share more, drawn once for each worker, so that a crew that was
started together is not renewed together.

This module runs in vassals: standard library, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

from emperor.model import VassalSpec

MEBIBYTE = 1024 * 1024


class Wear(NamedTuple):
    """``age``: seconds since it began to serve. ``luck``: drawn at its birth, in [0, 1). The rest in bytes.

    ``fresh_...``: what it had when it began to serve; 0: nobody knows.
    """

    age: float
    requests: int
    luck: float
    rss: int = 0
    address_space: int = 0
    fresh_rss: int = 0
    fresh_address_space: int = 0


def weighed(spec: VassalSpec) -> bool:
    """Does it matter how much memory a worker has?"""
    return bool(spec.reload_on_rss or spec.reload_on_as)


def worn(wear: Wear, spec: VassalSpec) -> Optional[str]:
    """Why it is to be replaced; None: it is not."""
    if wear.age < spec.min_worker_lifetime:
        return None
    return next(_reasons(wear, spec), None)


def futile(rss: int, address_space: int, spec: VassalSpec) -> list[str]:
    """The limits that a fresh worker of this size is beyond already: a replacement would be no smaller."""
    kinds = (("reload-on-rss", rss, spec.reload_on_rss), ("reload-on-as", address_space, spec.reload_on_as))
    return [
        f"{name}: a fresh worker has {size // MEBIBYTE} MB already -- no worker is renewed for it"
        for name, size, limit in kinds
        if limit and size > limit
    ]


def _reasons(wear: Wear, spec: VassalSpec) -> Iterator[str]:
    if spec.max_requests and wear.requests >= _most_requests(spec, wear.luck):
        yield f"served {wear.requests} requests (max-requests)"
    if spec.max_worker_lifetime and wear.age >= _longest_life(spec, wear.luck):
        yield f"served for {wear.age:.0f} s (max-worker-lifetime)"
    if spec.reload_on_rss and wear.fresh_rss <= spec.reload_on_rss < wear.rss:
        yield f"has {wear.rss // MEBIBYTE} MB of resident memory (reload-on-rss)"
    if spec.reload_on_as and wear.fresh_address_space <= spec.reload_on_as < wear.address_space:
        yield f"has {wear.address_space // MEBIBYTE} MB of address space (reload-on-as)"


def _most_requests(spec: VassalSpec, luck: float) -> int:
    delta = spec.max_requests // 10 if spec.max_requests_delta is None else spec.max_requests_delta
    return spec.max_requests + int(delta * luck)


def _longest_life(spec: VassalSpec, luck: float) -> float:
    delta = spec.max_worker_lifetime_delta
    return spec.max_worker_lifetime + luck * (spec.max_worker_lifetime / 10 if delta is None else delta)
