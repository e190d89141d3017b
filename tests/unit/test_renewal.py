"""When a worker is worn, over tables of what it did and takes."""

from __future__ import annotations

import pytest

from emperor.model import Identity, VassalSpec
from emperor.supervision.renewal import MEBIBYTE, Wear, futile, weighed, worn

MB = MEBIBYTE


def spec(**more: object) -> VassalSpec:
    return VassalSpec("blog", "/etc/blog.ini", "/", Identity(1, 1, (), "me", "/"), (), (), **more)  # type: ignore[arg-type]  # names are checked by the dataclass


@pytest.mark.parametrize(
    ("given", "wear", "reason"),
    [
        ({}, Wear(1e9, 10**9, 0.0, 10**12, 10**12), None),
        ({"max_requests": 1000}, Wear(60, 999, 0.0), None),
        ({"max_requests": 1000}, Wear(60, 1003, 0.0), "served 1003 requests (max-requests)"),
        ({"max_requests": 1000}, Wear(60, 1089, 0.9), None),
        ({"max_requests": 1000}, Wear(60, 1090, 0.9), "served 1090 requests (max-requests)"),
        ({"max_requests": 1000, "max_requests_delta": 0}, Wear(60, 1000, 0.99), "served 1000 requests (max-requests)"),
        ({"max_requests": 10, "max_requests_delta": 100}, Wear(60, 59, 0.5), None),
        ({"max_requests": 5}, Wear(60, 5, 0.999), "served 5 requests (max-requests)"),
        ({"max_requests": 1}, Wear(9.9, 10**6, 0.0), None),
        ({"max_requests": 1, "min_worker_lifetime": 0.0}, Wear(0.0, 1, 0.0), "served 1 requests (max-requests)"),
        ({"max_worker_lifetime": 3600.0}, Wear(3599, 0, 0.0), None),
        ({"max_worker_lifetime": 3600.0}, Wear(3601, 0, 0.0), "served for 3601 s (max-worker-lifetime)"),
        ({"max_worker_lifetime": 3600.0}, Wear(3779, 0, 0.5), None),
        ({"max_worker_lifetime": 60.0, "max_worker_lifetime_delta": 0.0}, Wear(60, 0, 0.9), "served for 60 s"),
        ({"reload_on_rss": 256 * MB}, Wear(60, 0, 0.0, 256 * MB, 900 * MB), None),
        ({"reload_on_rss": 256 * MB}, Wear(60, 0, 0.9, 257 * MB), "has 257 MB of resident memory (reload-on-rss)"),
        ({"reload_on_rss": 256 * MB}, Wear(9, 0, 0.0, 1024 * MB), None),
        ({"reload_on_as": 512 * MB}, Wear(60, 0, 0.0, 1024 * MB, 512 * MB), None),
        ({"reload_on_as": 512 * MB}, Wear(60, 0, 0.0, 0, 600 * MB), "has 600 MB of address space (reload-on-as)"),
        ({"reload_on_rss": 256 * MB}, Wear(60, 0, 0.0, 300 * MB, 0, 257 * MB), None),
        (
            {"reload_on_rss": 256 * MB},
            Wear(60, 0, 0.0, 300 * MB, 0, 256 * MB, 900 * MB),
            "has 300 MB of resident memory",
        ),
        ({"reload_on_as": 512 * MB}, Wear(60, 0, 0.0, 0, 600 * MB, 0, 513 * MB), None),
        ({"reload_on_as": 512 * MB}, Wear(60, 0, 0.0, 0, 600 * MB, 900 * MB, 512 * MB), "has 600 MB of address space"),
        (
            {"reload_on_rss": 1, "max_requests": 5, "max_requests_delta": 0},
            Wear(60, 5, 0.0, 2, 0, 2),
            "served 5 requests (max-requests)",
        ),
    ],
)
def test_a_worker_is_worn_when_the_ini_says_so_and_not_before_its_least_life(
    given: dict[str, object], wear: Wear, reason: str | None
) -> None:
    found = worn(wear, spec(**given))
    assert found is None if reason is None else found is not None and found.startswith(reason)


def test_nobody_is_weighed_whose_ini_does_not_mind_the_memory() -> None:
    assert weighed(spec(reload_on_as=1)) and weighed(spec(reload_on_rss=1))
    assert not weighed(spec(max_requests=1, max_worker_lifetime=1.0))


def test_a_limit_below_what_a_fresh_worker_has_is_named_with_that() -> None:
    limits = spec(reload_on_rss=20 * MB, reload_on_as=100 * MB)
    assert futile(26 * MB + 5, 99 * MB, limits) == [
        "reload-on-rss: a fresh worker has 26 MB already -- no worker is renewed for it"
    ]
    assert [line.split(":")[0] for line in futile(26 * MB, 101 * MB, limits)] == ["reload-on-rss", "reload-on-as"]
    assert futile(20 * MB, 100 * MB, limits) == futile(10**12, 10**12, spec()) == []


def test_a_crew_that_was_started_together_is_not_renewed_together() -> None:
    lives = [(luck / 10, spec(max_worker_lifetime=1000.0)) for luck in range(10)]
    ends = [next(age for age in range(900, 1200) if worn(Wear(age, 0, luck), one)) for luck, one in lives]
    assert ends == list(range(1000, 1100, 10))
