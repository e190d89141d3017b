"""Which vassal is meant by a name that none has, and that nothing is guessed where nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from emperor.control.client import NoDaemon
from emperor.control.messages import Request
from emperor.ctl import orders
from emperor.ctl.cli import parser
from emperor.ctl.console import Console
from emperor.ctl.guesses import did_you_mean

STATUS = [{"data": [{"name": "blog"}, {"name": "shop"}]}]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("blgo",), "; did you mean blog?"),
        (("blog.ini",), "; did you mean blog?"),
        (("shpo", "blog"), "; did you mean shop?"),
        (("wiki",), ""),
        ((), ""),
    ],
)
def test_a_name_like_anothers_is_taken_for_it(names: tuple[str, ...], words: str) -> None:
    assert did_you_mean(names, lambda: STATUS) == words


def test_where_nobody_answers_nothing_is_meant() -> None:
    def gone() -> Iterator[dict[str, Any]]:
        raise NoDaemon("control socket: gone")
        yield {}

    assert did_you_mean(("blgo",), gone) == ""


@pytest.mark.parametrize("said", ["blgo: no such vassal", "blgo: no vassal of yours"])
def test_a_refused_name_is_followed_by_the_one_that_may_be_meant(said: str) -> None:
    errors: list[str] = []

    def ask(request: Request, timeout: float | None) -> Iterator[dict[str, Any]]:
        yield {"ok": False, "exit": 6, "error": said, "end": True}

    meant = partial(did_you_mean, status=lambda: STATUS)
    console = Console(errors.append, errors.append, ask, lambda seconds: None, meant=meant)
    assert orders.run(parser(("reload", "blgo")).parse_args(("reload", "blgo")), console) == 6
    assert errors == [f"emperorctl: {said}; did you mean blog?\n"]
