"""Ten thousand inputs that are nearly right for each parser that strangers reach (``python -m fuzzing``, pure).

``EMPEROR_FUZZ_SEED=N`` gives others; a failure names its seed and the words that replay it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fuzzing.__main__ import main
from fuzzing.mutation import Grammar, cuts, mutant
from fuzzing.page import page, report
from fuzzing.ruled import try_ini
from fuzzing.table import SHORT, TARGETS, Target
from fuzzing.trial import FEW, Keeping, play

SEED = int(os.environ.get("EMPEROR_FUZZ_SEED") or "1")


def quiet(text: str) -> None:
    """Nobody watches."""


@pytest.mark.parametrize("target", TARGETS, ids=lambda one: one.key)
def test_whatever_is_sent_it_is_taken_or_refused_in_time_and_nothing_is_kept(target: Target) -> None:
    result = play(target.key, target.grammar(), target.trial, SHORT, SEED, Keeping(None), quiet)
    assert result.failures == [], report([result])
    assert result.inputs == SHORT
    assert target.reached <= set(result.outcomes), report([result])


def test_no_pattern_of_an_administrator_s_is_more_than_an_error_in_the_ini() -> None:
    """Found by these inputs: beside ``re.error`` the compiler of patterns has two more errors, and warnings."""
    for pattern, word in (("(" * 2000 + ")" * 2000, "refused"), ("a{99999999999}", "refused"), ("[[a]b", "taken")):
        text = f"[uwsgi]\nmodule = a\nif-hostname-match = {pattern}\nend =\n"
        assert [try_ini(text.encode(), number) for number in range(2)] == [word, "refused"], pattern


# --- the machinery itself: it would find what is wrong ---

GRAMMAR = Grammar((b"abc", b"length=3\n"), (b"token",))


def test_inputs_depend_on_target_seed_and_number_alone() -> None:
    first = [mutant("a", GRAMMAR, 1, number) for number in range(200)]
    assert first == [mutant("a", GRAMMAR, 1, number) for number in range(200)]
    assert first[:2] == [b"abc", b"length=3\n"]
    assert len({*first}) > 100
    assert first[2:] != [mutant("a", GRAMMAR, 2, number) for number in range(2, 200)]
    assert first[2:] != [mutant("b", GRAMMAR, 1, number) for number in range(2, 200)]


@pytest.mark.parametrize("target", TARGETS, ids=lambda one: one.key)
def test_pieces_and_cuts_joined_are_the_input_again(target: Target) -> None:
    grammar = target.grammar()
    for number in range(500):
        data = mutant(target.key, grammar, 3, number)
        assert b"".join(grammar.split(data)) == data
        assert b"".join(cuts(data)) == data
        assert len(data) <= grammar.longest + 1024


def test_what_is_raised_is_a_failure_with_its_input_saved(tmp_path: Path) -> None:
    def fragile(data: bytes) -> str:
        return "token" if b"token" not in data else str(1 // 0)

    result = play("x", GRAMMAR, fragile, 1000, 1, Keeping(tmp_path), quiet)
    assert len(result.failures) == FEW
    assert all("ZeroDivisionError" in one.why and b"token" in Path(one.path).read_bytes() for one in result.failures)
    assert f"--replay {result.failures[0].path}" in report([result])
    assert "ZeroDivisionError" in page([result], {})


def test_what_is_kept_is_a_failure() -> None:
    kept: list[list[bytes]] = []

    def hoarding(data: bytes) -> str:
        kept.append([data + bytes([byte]) for byte in range(40)])
        return "kept"

    result = play("x", GRAMMAR, hoarding, 2000, 1, Keeping(None), quiet)
    assert any("objects are kept" in one.why for one in result.failures), report([result])


def test_what_takes_long_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzzing.trial.MOST_SECONDS", -1.0)
    result = play("x", GRAMMAR, lambda data: "", 3, 1, Keeping(None), quiet)
    assert [one.number for one in result.failures] == [0, 1, 2]


def test_what_was_tried_before_an_interruption_is_told() -> None:
    def interrupted(data: bytes) -> str:
        if data == GRAMMAR.corpus[1]:
            raise KeyboardInterrupt
        return "fine"

    result = play("x", GRAMMAR, interrupted, 5000, 1, Keeping(None), quiet)
    assert (result.inputs, result.failures) == (1, [])
    assert "interrupted before the end of 5000" in report([result])


def test_a_saved_input_is_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.bin"
    path.write_bytes(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert main(["--only", "http", "--replay", str(path)]) == 0
    assert "http: 27 bytes: value" in capsys.readouterr().out
    assert main(["--replay", str(path)]) == 2


def test_the_command_writes_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--only", "uwsgi", "--depth", "pure", "--inputs", "500", "--seed", "5", "--failures", str(tmp_path / "f")]
    assert main([*words, "--write", str(tmp_path / "page.md")]) == 0
    assert "500 inputs, 0 failures." in capsys.readouterr().out
    assert "| uwsgi | pure | 500 |" in (tmp_path / "page.md").read_text()
    assert not (tmp_path / "f").exists()
