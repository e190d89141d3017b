"""Log lines on real files and pipes."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emperor.supervision import channel
from emperor.system.logs import MAX_LINE, LineCutter, LogFile, append, fitting, open_for_append, stamp
from emperor.system.ring import Ring
from emperor.system.rotation import Rotation
from tests.integration.kernel_world import fds_of

FULL = "/dev/full"


def cut(*pieces: bytes) -> list[str]:
    """The lines of a stream that arrives in these pieces."""
    cutter = LineCutter()
    lines = [line for piece in pieces for line in cutter.feed(piece)]
    return lines + cutter.flush()


@pytest.mark.parametrize(
    "stream, lines",
    [
        (b"", []),
        (b"one\n", ["one"]),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\n\ntwo", ["one", "", "two"]),
        (b"\n\n", ["", ""]),
        (b"dos\r\nunix\n", ["dos", "unix"]),
        ("grün €\n".encode(), ["grün €"]),
        (b"no \xff\xfe text\n", ["no \\xff\\xfe text"]),
        (b"half \xe2\x82\n", ["half \\xe2\\x82"]),
        (b"\x1b[31mred\x07\x00\n", ["\\x1b[31mred\\x07\\x00"]),
        (b"tab\tstays\n", ["tab\tstays"]),
        ("c1 \x9b dir \u202e line \u2028\n".encode(), ["c1 \\x9b dir \\u202e line \\u2028"]),
        (b"progress\rprogress\n", ["progress\\x0dprogress"]),
    ],
)
def test_lines_are_the_same_wherever_the_stream_is_split(stream: bytes, lines: list[str]) -> None:
    assert cut(stream) == lines
    for middle in range(len(stream) + 1):
        assert cut(stream[:middle], stream[middle:]) == lines, middle
    assert cut(*(stream[at : at + 1] for at in range(len(stream)))) == lines


LONG = [
    b"x" * MAX_LINE + b"\n",
    b"x" * MAX_LINE + b"\r\n",
    b"x" * (MAX_LINE - 1) + b"\ry\n",
    b"x" * (MAX_LINE + 1) + b"\n",
    b"x" * (2 * MAX_LINE) + b"\r\n",
    b"x" * (3 * MAX_LINE + 5) + b"\nshort\n",
    b"x" * (MAX_LINE - 1) + "€".encode() + b"y\n",
    b"x" * (5 * MAX_LINE),
]


@pytest.mark.parametrize("stream", LONG, ids=range(len(LONG)))
def test_a_long_line_is_cut_at_the_same_places_wherever_it_is_split(stream: bytes) -> None:
    whole = cut(stream)
    near = {at + off for at in range(0, len(stream) + 1, MAX_LINE) for off in range(-4, 5)}
    for middle in sorted(at for at in near if 0 <= at <= len(stream)):
        assert cut(stream[:middle], stream[middle:]) == whole, middle
    dice = random.Random(7)
    for _ in range(50):
        first, second = sorted(dice.randrange(len(stream)) for _ in range(2))
        assert cut(stream[:first], stream[first:second], stream[second:]) == whole, (first, second)


def test_a_long_line_loses_nothing() -> None:
    stream = bytes(65 + at % 26 for at in range(3 * MAX_LINE + 5))
    lines = cut(stream + b"\n")
    assert [len(line) for line in lines] == [MAX_LINE, MAX_LINE, MAX_LINE, 5]
    assert "".join(lines).encode() == stream


def test_a_stream_without_a_newline_is_not_hoarded() -> None:
    cutter = LineCutter()
    for _ in range(100):
        assert sum(map(len, cutter.feed(b"x" * 10_000))) >= 10_000 - MAX_LINE
    assert len("".join(cutter.flush())) <= MAX_LINE


def test_the_ring_keeps_the_last_lines_and_counts_all() -> None:
    ring = Ring(size=3)
    for number in range(5):
        ring.add(str(number))
    assert ring.count == 5
    assert ring.last(10) == ["2", "3", "4"]
    assert ring.last(2) == ["3", "4"]
    assert ring.last(0) == []


def test_a_follower_of_the_ring_is_told_what_came_since() -> None:
    ring = Ring(size=3)
    ring.add("0")
    seen = ring.count
    assert ring.since(seen) == []
    ring.add("1")
    ring.add("2")
    assert ring.since(seen) == ["1", "2"]
    for number in range(3, 9):
        ring.add(str(number))
    assert ring.since(seen) == ["6", "7", "8"]
    assert ring.since(ring.count + 5) == []


def test_a_stamp_is_local_time_to_the_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-5:30")
    time.tzset()
    try:
        assert stamp(1_700_000_000.25) == "2023-11-15T03:43:20.250+0530"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LogFile]:
    log = LogFile(lambda: open_for_append(str(tmp_path / "app.log")))
    assert log.error == ""
    yield log
    log.close()


def test_lines_are_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("old\n")
    log = LogFile(lambda: open_for_append(str(path)))
    log.write("new")
    log.close()
    assert path.read_text() == "old\nnew\n"


def test_a_new_log_is_not_for_everybody(tmp_path: Path, file: LogFile) -> None:
    assert (tmp_path / "app.log").stat().st_mode & 0o137 == 0


def test_after_a_rename_lines_go_to_the_old_file_until_reopen(tmp_path: Path, file: LogFile) -> None:
    path, rotated = tmp_path / "app.log", tmp_path / "app.log.1"
    file.write("one")
    path.rename(rotated)
    file.write("two")
    assert not path.exists()
    before = fds_of()
    file.reopen()
    file.write("three")
    assert rotated.read_text() == "one\ntwo\n"
    assert path.read_text() == "three\n"
    assert len(fds_of()) == len(before)
    assert file.dropped == 0


def test_when_reopening_fails_the_old_file_stays_in_use(tmp_path: Path) -> None:
    opened = [os.open(tmp_path / "app.log", os.O_WRONLY | os.O_CREAT)]

    def opener() -> int:
        if not opened:
            raise PermissionError(13, "Permission denied")
        return opened.pop()

    log = LogFile(opener)
    log.reopen()
    assert log.error == "Permission denied"
    log.write("still here")
    log.close()
    assert (tmp_path / "app.log").read_text() == "still here\n"


def test_a_log_that_cannot_be_opened_counts_what_it_loses(tmp_path: Path) -> None:
    log = LogFile(lambda: open_for_append(str(tmp_path / "missing" / "app.log")))
    assert log.error == "No such file or directory"
    log.write("lost")
    log.write("lost")
    assert log.dropped == 2
    log.close()
    log.write("after the end")
    assert log.dropped == 3


def test_a_full_disk_costs_lines_and_is_counted() -> None:
    log = LogFile(lambda: os.open(FULL, os.O_WRONLY))
    for _ in range(3):
        log.write("no space left on device")
    assert log.dropped == 3
    log.close()


def test_a_pipe_that_nobody_reads_never_blocks() -> None:
    """Its end is blocking: ours is not the only process that may hold it."""
    read, write = os.pipe()
    results = [append(write, f"line {number} " + "x" * 9000) for number in range(20)]
    assert results[0] and not results[-1]
    os.read(read, 65536)
    assert append(write, "there is room again")
    os.close(read)
    assert not append(write, "nobody listens")
    os.close(write)


def test_a_line_that_fits_is_whole(tmp_path: Path) -> None:
    read, write = os.pipe()
    line = "y" * 20_000
    assert append(write, line)
    assert os.read(read, 65536) == line.encode() + b"\n"
    os.close(read)
    os.close(write)


def test_what_utf_8_cannot_say_is_escaped(tmp_path: Path, file: LogFile) -> None:
    file.write("lone \udcff surrogate")
    assert (tmp_path / "app.log").read_bytes() == b"lone \\udcff surrogate\n"


def test_a_link_at_the_end_of_the_path_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "app.log").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        open_for_append(str(tmp_path / "app.log"))
    assert not (tmp_path / "victim").exists()


def test_a_fifo_without_a_reader_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "app.log")
    with pytest.raises(OSError):
        open_for_append(str(tmp_path / "app.log"))


def test_the_log_is_closed_in_programs_that_are_started(tmp_path: Path) -> None:
    fd = open_for_append(str(tmp_path / "app.log"))
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_once_there_is_room_again_the_log_says_how_many_lines_were_lost(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    descriptors = [os.open(path, os.O_WRONLY | os.O_CREAT), os.open(FULL, os.O_WRONLY)]
    log = LogFile(descriptors.pop, lambda lost: f"[{lost} lines lost]")
    assert [log.write(f"line {number}") for number in range(3)] == [False] * 3
    log.reopen()
    assert log.write("line 3") and log.write("line 4")
    log.close()
    assert path.read_text() == "[3 lines lost]\nline 3\nline 4\n"
    assert log.dropped == 3


def test_what_a_full_disk_has_torn_is_not_glued_to_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.log"
    log = LogFile(lambda: open_for_append(str(path)), lambda lost: f"[{lost} lines lost]")
    real, room = os.write, [5]

    def write(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        taken = data[: room[0]]
        room[0] -= len(taken)
        return real(fd, taken)

    monkeypatch.setattr(os, "write", write)
    assert [log.write("one two three"), log.write("four")] == [False, False]
    room[0] = 1000
    assert log.write("five")
    assert path.read_text() == "one t\n[2 lines lost]\nfive\n"
    log.close()


def test_standard_error_is_left_open(capfd: pytest.CaptureFixture[str]) -> None:
    log = LogFile(lambda: 2)
    log.reopen()
    log.write("said")
    log.close()
    os.fstat(2)
    assert capfd.readouterr().err == "said\n"


def test_the_ring_is_bounded_in_characters_as_well() -> None:
    ring = Ring(size=100, room=10)
    for number in range(20):
        ring.add(f"{number:04}")
    assert ring.last(100) == ["0018", "0019"] and ring.count == 20
    ring.clear()
    ring.add("a line that is longer than all the room")
    assert len(ring.last(9)) == 1


def test_a_line_that_its_escapes_make_long_is_told_in_pieces() -> None:
    line = "\\x00" * 4000
    assert "".join(fitting([line])) == line and max(map(len, fitting([line]))) <= channel.MAX_LINE
    assert fitting(["", "short"]) == ["", "short"]
    assert MAX_LINE + len("[1024] ") <= channel.MAX_LINE


def test_lines_that_are_written_together_are_those_that_are_written_one_by_one(tmp_path: Path) -> None:
    lines = ["", "one", "grün €", "x" * 5000, *(str(number) * (number % 90) for number in range(500)), "\ud800"]
    together, single = (LogFile(partial(open_for_append, str(tmp_path / name))) for name in ("together", "single"))
    together.write_all(lines)
    assert all([single.write(line) for line in lines])
    together.write_all([])
    assert (tmp_path / "together").read_bytes() == (tmp_path / "single").read_bytes()
    together.close()
    single.close()
    assert together.dropped == 0


@pytest.mark.parametrize("room", [0, 1, 9, 10, 11, 25, 999, 1000])
def test_of_lines_that_a_disk_takes_in_part_each_is_whole_or_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path, left = tmp_path / "log", [room]
    file = LogFile(lambda: open_for_append(str(path)), lambda lost: f"{lost} lost")
    real = os.write

    def nearly_full(fd: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        done = real(fd, data[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(os, "write", nearly_full)
    lines = [f"line {number:04}" for number in range(100)]  # ten bytes each
    file.write_all(lines)
    whole = room // 10
    assert file.dropped == 100 - whole
    left[0] = 10**6
    file.write_all(["more", "and more"])
    file.close()
    found = [line for line in path.read_text().splitlines() if line]
    assert found[:whole] == lines[:whole]
    told = [f"{100 - whole} lost"] if whole < 100 else []
    assert found[-2 - len(told) :] == [*told, "more", "and more"]
    assert len(found) - whole - len(told) - 2 == bool(room % 10)  # the torn one, on a line of its own


@given(lines=st.lists(st.text("ab€", max_size=60), max_size=60), most=st.integers(1, 400))
@settings(max_examples=40, deadline=None)
def test_lines_that_are_written_together_make_no_log_larger_than_it_may_be(lines: list[str], most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        file = LogFile(lambda: open_for_append(path), rotation=Rotation(path, most, 10_000))
        file.write_all(lines)
        file.close()
        logs = sorted(os.listdir(folder), key=lambda name: -int(name.partition(".")[2] or 0))
        texts = [Path(folder, name).read_text() for name in logs]
    assert "".join(texts) == "".join(f"{line}\n" for line in lines)
    assert all(len(text.encode()) <= most or text.count("\n") == 1 for text in texts)
