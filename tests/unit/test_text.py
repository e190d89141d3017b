"""Text from somebody else: nothing in it steers a terminal or a log, and it is bounded."""

from __future__ import annotations

import unicodedata

import pytest

from emperor.text import clip, printable

SHOWN = {
    "plain": ("hello", "hello"),
    "empty": ("", ""),
    "beyond ASCII": ("grüß 🌍 中文", "grüß 🌍 中文"),
    "tab": ("a\tb", "a\tb"),
    "newline": ("a\nb", "a\\nb"),
    "carriage return": ("safe\rEVIL", "safe\\x0dEVIL"),
    "colour": ("\x1b[31mred", "\\x1b[31mred"),
    "NUL": ("a\0b", "a\\x00b"),
    "DEL": ("\x7f", "\\x7f"),
    "C1 control sequence introducer": ("\x9b31m", "\\x9b31m"),
    "next line": ("a\x85b", "a\\x85b"),
    "line separator": ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
    "direction override": ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
    "lone surrogate": ("a\udce9\ud800", "a\\udce9\\ud800"),
    "no-break space, the first after C1": ("a\xa0b", "a\xa0b"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_could_steer_a_terminal_is_shown_as_an_escape(name: str) -> None:
    text, shown = SHOWN[name]
    assert printable(text) == shown


def test_newlines_stay_if_the_caller_says_so() -> None:
    assert printable("a\nb\r\n\x1b", keep_newlines=True) == "a\nb\\x0d\n\\x1b"


def test_no_control_character_and_no_surrogate_is_ever_left() -> None:
    for number in range(0x3000):
        rest = printable(chr(number)).replace("\t", "")
        assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in rest), hex(number)
    assert all(printable(chr(number)).isascii() for number in range(0xD800, 0xE000))


def test_the_result_is_one_line_and_can_be_encoded() -> None:
    everything = "".join(chr(number) for number in range(0x11000))
    shown = printable(everything)
    assert len(shown.splitlines()) == 1
    assert shown.encode("utf-8")


def test_what_is_safe_stays_as_it_is_the_second_time() -> None:
    once = printable("a\n\x1b\ud800")
    assert printable(once) == once


@pytest.mark.parametrize("length", [0, 1, 19, 20])
def test_a_short_text_is_not_clipped(length: int) -> None:
    assert clip("x" * length, 20) == "x" * length


@pytest.mark.parametrize("limit", [7, 8, 20, 21, 1000])
def test_a_clipped_text_keeps_to_its_limit(limit: int) -> None:
    assert len(clip("x" * 5000, limit)) <= limit


def test_a_clipped_text_keeps_its_beginning_and_its_end() -> None:
    text = clip("Traceback" + "." * 500 + "KeyError", 40)
    assert text.startswith("Traceback") and text.endswith("KeyError") and "\n[...]\n" in text


def test_a_limit_without_room_for_an_end_leaves_only_the_mark() -> None:
    assert clip("x" * 50, 7) == "\n[...]\n"
