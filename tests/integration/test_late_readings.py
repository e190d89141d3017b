"""What waits for inis that only a scout can read: orders, the first look, and a program that is to take over."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from emperor.intake import awaiting, gathering, patiently
from emperor.intake.awaiting import Awaiting
from emperor.intake.gathering import Gathering
from emperor.intake.patiently import study_all
from emperor.intake.reading import Reader, Reading, Settings, Study
from emperor.system import accounts
from emperor.system.eventloop import Loop
from tests.integration.kernel_world import drive, raise_it


@pytest.fixture(autouse=True)
def nobody_is_left_behind() -> Iterator[None]:
    """A program that takes over ends, and with it all that it has asked; this one goes on."""
    yield
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(raise_it)
    yield made
    made.close()


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(Settings(runtime=str(tmp_path)))


@pytest.fixture
def study(tmp_path: Path, reader: Reader) -> Study:
    return reader.study("blog", str(tmp_path / "blog.ini"))


def test_who_waits_hears_the_next_reading_once(loop: Loop, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting, "PATIENCE", 0.02)
    heard: list[tuple[str, Reading | None]] = []
    waiting, over = Awaiting(loop), list[bool]()
    for who in ("one", "two"):
        waiting.add("blog", lambda found, who=who: heard.append((who, found)))  # type: ignore[misc]
    assert not waiting.arrived("other", study.reading)
    assert waiting.arrived("blog", study.reading)
    assert not waiting.arrived("blog", study.reading)
    waiting.add("blog", lambda found: heard.append(("late", found)))
    loop.call_at(loop.now() + 0.1, lambda: over.append(True))
    drive(loop, lambda: over)
    assert heard == [("one", study.reading), ("two", study.reading), ("late", None)]
    waiting.add("blog", lambda found: heard.append(("hurried", found)))
    waiting.hurry()
    assert heard[-1] == ("hurried", None)


def test_one_that_fails_keeps_no_other_from_hearing(study: Study) -> None:
    bugs, heard = list[BaseException](), list[Reading | None]()
    loop = Loop(bugs.append)
    waiting = Awaiting(loop)
    waiting.add("blog", lambda found: raise_it(ValueError("ours")))
    waiting.add("blog", heard.append)
    waiting.arrived("blog", study.reading)
    assert heard == [study.reading] and len(bugs) == 1
    loop.close()


def test_answers_are_given_together_and_the_look_is_over_with_the_last(loop: Loop, study: Study) -> None:
    given, over, open_ = dict[str, object](), list[str](), ["a", "b"]
    look = Gathering(loop, lambda: bool(open_), given.update, lambda: over.append("over"))
    look.begin()
    assert look.take({"a": ("/a.ini", study, True)}) and not given
    open_.clear()
    assert look.take({"b": ("/b.ini", study, True)})
    drive(loop, lambda: over)
    assert list(given) == ["a", "b"] and over == ["over"]
    assert not look.take({"c": ("/c.ini", study, True)})


def test_who_hangs_keeps_neither_the_others_nor_the_look(
    loop: Loop, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "TOGETHER", 0.02)
    monkeypatch.setattr(gathering, "LONGEST", 0.2)
    given, over = dict[str, object](), list[bool]()
    look = Gathering(loop, lambda: True, given.update, lambda: over.append(bool(given)))
    look.begin()
    look.take({"a": ("/a.ini", study, True)})
    drive(loop, lambda: over)
    assert over == [True]


def test_a_program_that_takes_over_reads_what_only_a_scout_can(
    tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "are_near", lambda: False)
    inis: dict[str, str] = {}
    for name in ("one", "two", "other/three"):
        path = tmp_path / f"{name}.ini"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[uwsgi]\nno-{path.stem} = 1\n")
        inis[str(path)] = path.stem
    studies = study_all(reader, inis, raise_it)
    assert studies.keys() == inis.keys()
    for there, name in inis.items():
        assert f"no-{name}" in str(studies[there].reading.checked.problems)


def test_and_waits_for_nobody_who_does_not_answer(
    tmp_path: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "are_near", lambda: False)
    read = Reader.study

    def hangs(self: Reader, name: str, path: str, *more: object, near: bool = False) -> Study:
        if name == "silent" and not near:
            signal.pause()
        return read(self, name, path, near=near)

    monkeypatch.setattr(Reader, "study", hangs)
    inis: dict[str, str] = {}
    for name in ("silent", "good"):
        path = tmp_path / name / "an.ini"
        path.parent.mkdir()
        path.write_text("[uwsgi]\n")
        inis[str(path)] = name
    assert patiently.SILENCE < patiently.LONGEST
    studies = study_all(reader, inis, raise_it, silence=0.5)
    while not studies:
        # A machine may be slower than that.
        studies = study_all(reader, inis, raise_it, silence=5)
    assert [os.path.basename(os.path.dirname(path)) for path in studies] == ["good"]
