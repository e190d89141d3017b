"""The chronicle keeps what has happened: numbered, bounded, and nobody's share is another's."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import count
from typing import Any

from emperor.answers import events
from emperor.answers.followers import Seen
from emperor.chronicle import MOST, MOST_OF_ONE, Chronicle, Entry
from emperor.supervision import happenings
from emperor.supervision.events import Order
from emperor.supervision.record import Vassal
from emperor.supervision.reports import WorkerReport
from tests.unit.vassal_world import ONE


class Town:
    """Whose the vassals are."""

    def __init__(self) -> None:
        self.owners = {"blog": 1001, "shop": 1002}
        clock = count(100)
        self.chronicle = Chronicle(self, lambda: float(next(clock)))

    def owner(self, name: str) -> int | None:
        return self.owners.get(name, 1)

    def process(self, name: str, generation: int) -> int:
        return 700 + generation

    def dies(self, name: str = "blog", last_exit: str = "exited with code 3") -> None:
        self.chronicle.worker_died(name, "RUNNING", 2, WorkerReport(1, 0, "idle", 0, 0, 0, last_exit=last_exit))

    def facts(self) -> list[dict[str, Any]]:
        return [json.loads(one.text) for one in self.chronicle.since(0)]


def anybody(entry: Entry) -> bool:
    return True


def test_an_event_has_what_programs_wait_for() -> None:
    town = Town()
    town.dies(last_exit="killed by harakiri in GET /slow")
    assert town.facts() == [
        {
            "number": 1,
            "time": 100.0,
            "at": datetime.fromtimestamp(100).astimezone().isoformat(timespec="milliseconds"),
            "name": "blog",
            "event": "harakiri",
            "from": "RUNNING",
            "to": "RUNNING",
            "generation": 2,
            "pid": 702,
            "reason": "killed by harakiri in GET /slow",
            "worker": 1,
        }
    ]


def test_a_step_of_a_record_without_news_is_no_event() -> None:
    town = Town()
    town.chronicle.changed(Vassal("blog", spec=ONE), Vassal("blog", spec=ONE, restarts=1), Order("start"))
    assert town.chronicle.count == 0


def test_one_vassal_takes_no_more_than_its_share() -> None:
    town = Town()
    town.dies("shop")
    for _ in range(5 * MOST):
        town.dies("blog")
    names = [one["name"] for one in town.facts()]
    assert names.count("blog") == MOST_OF_ONE and names[0] == "shop"


def test_all_together_take_no_more_than_theirs() -> None:
    town = Town()
    for number in range(3 * MOST):
        town.dies(f"app-{number}")
    assert [one["name"] for one in town.facts()] == [f"app-{number}" for number in range(2 * MOST, 3 * MOST)]
    town.dies("app-2999")
    assert town.facts()[0]["name"] == "app-2001"


def test_one_users_vassals_take_nothing_from_others() -> None:
    town = Town()
    town.chronicle.of_emperor("started", "")
    town.owners.update({f"app-{number}": 1003 for number in range(50)})
    for _ in range(200):
        town.dies("shop")
        town.dies("blog")
    for number in range(5 * MOST):
        town.dies(f"app-{number % 50}")
    names = [one["name"] for one in town.facts()]
    assert (names.count("shop"), names.count("blog"), names[0], len(names)) == (MOST_OF_ONE, MOST_OF_ONE, None, MOST)


def test_an_event_stays_its_owners() -> None:
    town = Town()
    town.dies()
    town.owners["blog"] = 1002
    town.dies()
    assert [one.uid for one in town.chronicle.since(0)] == [1001, 1002]


def test_numbers_go_on_after_a_handover() -> None:
    old, new = Town(), Town()
    for _ in range(3):
        old.dies("blog")
    new.dies("shop")
    new.chronicle.adopt(old.chronicle.export())
    new.chronicle.of_emperor(happenings.UPGRADED, "version 1 became 2")
    facts = new.facts()
    assert [(one["number"], one["name"]) for one in facts] == [
        (1, "blog"),
        (2, "blog"),
        (3, "blog"),
        (4, "shop"),
        (5, None),
    ]
    assert [one.number for one in new.chronicle.since(3)] == [4, 5]


def test_the_last_events_and_then_the_new_ones() -> None:
    town = Town()
    for name in ("blog", "shop", "blog"):
        town.dies(name)
    data, seen = events.last(town.chronicle, (), 2, anybody)
    assert [one["number"] for one in data["events"]] == [2, 3]
    assert list(events.news(town.chronicle, seen, anybody)) == []
    town.dies("shop")
    assert [one["number"] for data in events.news(town.chronicle, seen, anybody) for one in data["events"]] == [4]
    assert list(events.news(town.chronicle, seen, anybody)) == []
    assert events.last(town.chronicle, (), 0, anybody)[0] == {"events": []}


def test_names_and_what_one_may_see_narrow_it() -> None:
    town = Town()
    for name in ("blog", "shop", "blog"):
        town.dies(name)

    def hers(entry: Entry) -> bool:
        return entry.uid == 1001

    assert [one["number"] for one in events.last(town.chronicle, ("shop",), 9, anybody)[0]["events"]] == [2]
    assert [one["number"] for one in events.last(town.chronicle, (), 9, hers)[0]["events"]] == [1, 3]
    assert events.names(town.chronicle, hers) == {"blog"}
    seen: Seen = {"shop": 0, "blog": 0}
    assert [one["number"] for data in events.news(town.chronicle, seen, hers) for one in data["events"]] == [1, 3]
    assert seen == {"shop": 3, "blog": 3}
