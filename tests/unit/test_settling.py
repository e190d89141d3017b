"""Files on filesystems where only now and then somebody looks: when is what was seen at rest?"""

from __future__ import annotations

from emperor.intake.listing import Listing
from emperor.intake.settling import LONGEST_PAUSE, Settling, Sight
from emperor.supervision.quiet import AT_LENGTH, QUIET, Mark

PLACE = "/far/alice"


def mark(size: int) -> Mark:
    return Mark(1, 1, 1, 1, size, size, size)


def sight(**sizes: int) -> Sight:
    names = {name: f"{PLACE}/{name}.ini" for name in sizes}
    return Sight({PLACE: Listing(names)}, {path: mark(sizes[name]) for name, path in names.items()})


def told(state: Settling) -> dict[str, object]:
    """Name → size, of those that are listed."""
    listing = state.told.listings[PLACE]
    marks = [(name, state.told.marks[path]) for name, path in listing.names.items()]
    return {name: seen.size if isinstance(seen, Mark) else seen for name, seen in marks}


def after(*sights: Sight, beat: float = 1.0) -> Settling:
    state = Settling()
    for number, one in enumerate(sights):
        state = state.heard(one, number * beat)
    return state


def test_what_two_answers_agree_on_is_told() -> None:
    assert told(after(sight(blog=1))) == {}
    assert told(after(sight(blog=1), sight(blog=1))) == {"blog": 1}


def test_what_grows_from_answer_to_answer_stays_as_it_was_and_the_others_do_not_wait_for_it() -> None:
    state = after(*[sight(a=1)] * 2, sight(a=2), sight(a=3, b=1), sight(a=4, b=1))
    assert told(state) == {"a": 1, "b": 1}
    assert told(state.heard(sight(a=4, b=1), 9.0)) == {"a": 4, "b": 1}


def test_what_is_missing_in_one_answer_is_not_gone() -> None:
    state = after(*[sight(a=1, b=1)] * 2, sight(b=1))
    assert told(state) == {"a": 1, "b": 1}
    assert told(state.heard(sight(a=1, b=1), 9.0)) == {"a": 1, "b": 1}
    assert told(state.heard(sight(b=1), 9.0)) == {"b": 1}


def test_what_is_written_without_end_is_told_at_last_but_not_that_it_is_gone() -> None:
    state = after(*[sight(a=1, b=1)] * 2)
    seconds, size = 2.0, 2
    while seconds < 2.0 + AT_LENGTH:
        assert told(state)["a"] == 1
        state = state.heard(sight(a=size, b=1) if size % 2 else sight(a=size), seconds)
        seconds, size = seconds + 1.0, size + 1
    state = state.heard(sight(a=size), seconds)
    assert told(state) == {"a": size, "b": 1}


def test_it_is_asked_again_soon_and_later_and_later_while_it_does_not_rest() -> None:
    state, pauses = Settling(), []
    for number in range(8):
        state = state.heard(sight(a=number), float(number))
        pauses.append(state.pause)
    assert pauses == [QUIET, 0.5, 1.0, 2.0, 4.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert state.heard(sight(a=7), 9.0).pause is None


def test_of_two_with_one_name_the_other_is_told_too() -> None:
    marks = {f"/far/{folder}/a.ini": mark(1) for folder in "xy"}
    one = Sight({"/far/*": Listing({"a": "/far/x/a.ini"}, more=(("a", "/far/y/a.ini"),), odd=("/far/x/b",))}, marks)
    assert after(one, one).told == one


def test_a_path_that_leads_to_nothing_is_told_as_that() -> None:
    one = Sight({}, {"/far/a.ini": None})
    assert after(one).told.marks == {}
    assert after(one, one).told.marks == {"/far/a.ini": None}
