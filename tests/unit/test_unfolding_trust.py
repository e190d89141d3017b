"""An administrator's lines around somebody else's ini: neither takes away, nor gives away, what is not its own."""

from __future__ import annotations

import pytest

from emperor.config.language.inifile import Row
from emperor.config.language.logic import Reach, Refused
from emperor.config.language.unfolding import Source, Unfolded, unfold
from tests.unit.config_world import Disk, world

HERE = "/srv/vassals/shop.ini"
SECRET = "s3cret"


class Closed(Disk):
    def _may(self, path: str) -> None:
        raise Refused("is only for an administrator's ini")


def together(before: str, theirs: str, after: str, **files: str) -> Unfolded:
    """``theirs`` is a user's; what is around it an administrator's."""
    disk = Disk({f"/etc/{name.replace('_', '.')}": text for name, text in files.items()})
    admin = Reach({"TOKEN": SECRET}, disk, trusted=True)
    here = world(own=Reach({}, Closed(), trusted=False), admin=admin)
    lines = [line.split(" = ", 1) for line in after.splitlines()]
    parts: list[Row | Source] = [
        Source("/etc/before.ini", f"[uwsgi]\n{before}", admin=True),
        Source(HERE, f"[uwsgi]\n{theirs}"),
        *(Row(key, value, "vassal-set", 0, admin=True) for key, value in lines),
    ]
    return unfold(parts, here)


def rows(found: Unfolded) -> list[str]:
    return [f"{row.key}={row.value}" for row in found.rows]


@pytest.mark.parametrize("left", ["if-env = NONE", "for =", "if-opt = none", "if-not-opt = a\na = 1"])
def test_a_block_that_a_user_leaves_open_does_not_swallow_the_administrator_s_lines(left: str) -> None:
    found = together("", f"a = 1\n{left}", "limit-as = 100")
    assert rows(found)[-1] == "limit-as=100"
    assert any("no end" in problem.message and problem.path == HERE for problem in found.problems)


def test_a_block_that_the_administrator_leaves_open_ends_before_the_user_s_lines() -> None:
    assert rows(together("if-env = NONE\na = 1", "b = 2", "c = 3")) == ["b=2", "c=3"]


@pytest.mark.parametrize("value", ["$(TOKEN)", "x$(TOKEN)", "@(/etc/secret)", "%(l)\nl = $(TOKEN)"])
@pytest.mark.parametrize("condition", ["if-opt = site", "if-not-opt = site=x"])
def test_what_a_user_s_key_holds_is_not_read_with_the_administrator_s_rights(value: str, condition: str) -> None:
    found = together("", f"site = {value}", f"{condition}\nx = %(_)\nend = ", secret=SECRET)
    assert SECRET not in "".join((*rows(found), *map(str, found.problems)))


def test_the_administrator_s_lines_may_take_up_what_a_user_s_key_says() -> None:
    found = together("", "site = shop", "if-opt = site\nx = /srv/%(_)\nend = \nif-not-opt = site\ny = 1\nend = ")
    assert rows(found) == ["site=shop", "x=/srv/shop"]


def test_a_user_cannot_draw_in_another_section_of_the_administrator_s_file() -> None:
    found = together("", "inherit = :other", "include = /etc/a.ini", a_ini=f"[uwsgi]\nb = 1\n[other]\nc = {SECRET}")
    assert rows(found) == ["b=1"] and found.problems[0].fatal
    assert SECRET not in "".join(map(str, found.problems))


@pytest.mark.parametrize("line", ["inherit", "include", "ini"])
def test_which_file_an_administrator_means_is_not_for_a_user_s_line_to_say(line: str) -> None:
    found = together(
        "", "who = ../sec/pass", f"{line} = /etc/%(who).ini", **{"../sec/pass_ini": f"[uwsgi]\nx = {SECRET}"}
    )
    assert rows(found) == ["who=../sec/pass"]
    assert found.files == ()
