"""The files that an app was made of, as this very process sees them; and an import's witness."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

from emperor.system import sources, witness
from emperor.system.witness import WHOLE, Witness
from tests.integration.kernel_world import readable


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Witness]:
    """A witness in front of everybody, and ``tmp_path`` on the path."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    one = Witness()
    one.stand_in_front()
    yield one
    os.close(one.read_end)
    os.close(one._write_end)


def module(folder: Path, name: str, text: str = "X = 1\n") -> Path:
    path = folder / f"{name}.py"
    path.write_text(text)
    importlib.invalidate_caches()
    return path


def test_a_mark_is_size_and_time_of_what_a_link_leads_to(tmp_path: Path) -> None:
    path = module(tmp_path, "a")
    os.utime(path, ns=(0, 1_234))
    (tmp_path / "link").symlink_to("a.py")
    assert sources.mark(str(tmp_path / "link")) == (6, 1_234)


@pytest.mark.parametrize("name", ["missing", "dangling", "a.py/below", "nul\0"])
def test_what_is_not_there_has_no_signature(tmp_path: Path, name: str) -> None:
    module(tmp_path, "a")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert sources.mark(str(tmp_path / name)) is None
    assert sources.place(str(tmp_path / name)) is None


def test_the_content_of_what_is_no_file_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.py")
    assert sources.content(str(tmp_path / "fifo.py")) == 0
    assert sources.content(str(tmp_path)) is None
    assert sources.content(str(module(tmp_path, "a"))) == sources.content(str(module(tmp_path, "b")))


def test_a_link_that_leads_nowhere_has_no_end(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "good").symlink_to(".")
    assert sources.end(str(tmp_path / "dangling")) is None
    assert sources.end(str(tmp_path / "good")) == os.path.realpath(tmp_path)


def test_the_file_of_a_lazy_module_is_told_without_importing_it(seen: Witness, tmp_path: Path) -> None:
    path = module(tmp_path, "lazy_one", "raise SystemError('imported')\n")
    spec = importlib.util.spec_from_file_location("lazy_one", path)
    assert spec and spec.loader
    spec.loader = importlib.util.LazyLoader(spec.loader)
    sys.modules["lazy_one"] = lazy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lazy)
    assert str(path) in sources.loaded()


def test_what_is_no_module_though_it_stands_there_has_no_file(seen: Witness) -> None:
    class Odd(ModuleType):
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError(name)

    sys.modules["odd"] = Odd("odd")
    sys.modules["odder"] = 7  # type: ignore[assignment]  # some packages do
    assert sources.loaded()


def test_the_folders_that_are_the_apps_own(tmp_path: Path) -> None:
    files = [str(tmp_path / "a.py"), os.__file__, "/v/lib/site-packages/flask/app.py", "/usr/lib/dist-packages/x.py"]
    assert sources.own_folders(files) == {str(tmp_path)}


def test_a_walk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / f"d{number}").mkdir()
        module(tmp_path / f"d{number}", "x")
    found, whole = sources.python_files([str(tmp_path)])
    assert (len(found), whole) == (20, True)
    monkeypatch.setattr(sources, "MOST_FOLDERS", 5)
    found, whole = sources.python_files([str(tmp_path)])
    assert (len(found), whole) == (4, False)
    monkeypatch.setattr(sources, "MOST_SECONDS", -1.0)
    assert sources.python_files([str(tmp_path)]) == ({}, False)


def test_an_import_is_witnessed_with_the_file_as_it_was_before_it(seen: Witness, tmp_path: Path) -> None:
    path = module(
        tmp_path, "witnessed_one", "open(__file__, 'a').close()\nwith open(__file__, 'a') as f: f.write('#')\n"
    )
    before = sources.mark(str(path))
    importlib.import_module("witnessed_one")
    assert dict(seen.notes)[str(path)] == before != sources.mark(str(path))


def test_an_extension_module_is_witnessed(seen: Witness, tmp_path: Path) -> None:
    path = tmp_path / f"compiled_one{EXTENSION_SUFFIXES[0]}"
    path.write_bytes(b"no library")
    with pytest.raises(ImportError):
        importlib.import_module("compiled_one")
    assert dict(seen.notes)[str(path)] == sources.mark(str(path))


def test_what_is_not_found_fails_as_ever(seen: Witness) -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'nobody_has_this'"):
        importlib.import_module("nobody_has_this")


def test_a_finder_of_an_older_kind_keeps_its_place(seen: Witness, tmp_path: Path) -> None:
    """It has no find_spec: what stands behind it must not come first."""

    class Old:
        pass

    module(tmp_path, "behind_an_old_one")
    sys.meta_path.insert(1, Old())  # type: ignore[arg-type]  # that is the point
    assert seen.find_spec("behind_an_old_one") is None


def test_a_cache_of_what_was_just_written_is_not_believed(seen: Witness, tmp_path: Path) -> None:
    path = module(tmp_path, "fresh_one", "X = 1\n")
    fresh = os.stat(path).st_mtime_ns
    assert importlib.import_module("fresh_one").X == 1
    path.write_text("X = 2\n")
    os.utime(path, ns=(fresh, fresh))
    del sys.modules["fresh_one"]
    assert importlib.import_module("fresh_one").X == 2


def test_a_cache_of_older_things_stays(seen: Witness, tmp_path: Path) -> None:
    path = module(tmp_path, "older_one")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    importlib.import_module("older_one")
    cached = Path(importlib.util.cache_from_source(str(path)))
    first = cached.stat().st_ino
    del sys.modules["older_one"]
    importlib.import_module("older_one")
    assert cached.stat().st_ino == first


def in_fork(seen: Witness, name: str) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            seen.in_worker()
            importlib.import_module(name)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_a_worker_tells_of_its_imports_and_of_what_was_loaded_past_them(seen: Witness, tmp_path: Path) -> None:
    seen.knows(sources.loaded())
    path = module(
        tmp_path, "workers_one", "import sys, types\nsys.modules['by_hand'] = m = types.ModuleType('by_hand')\n"
    )
    path.write_text(path.read_text() + f"m.__file__ = {str(tmp_path / 'by_hand.txt')!r}\nimport workers_two\n")
    (tmp_path / "by_hand.txt").write_text("X")
    module(tmp_path, "workers_two")
    seen.notes.clear()
    in_fork(seen, "workers_one")
    assert readable(seen.read_end)
    seen.hear()
    told = dict(seen.notes)
    assert told[str(path)] == sources.mark(str(path))
    assert str(tmp_path / "workers_two.py") in told


def test_an_import_goes_on_when_nobody_listens_and_waits_but_once(
    seen: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipe is full."""
    monkeypatch.setattr(witness, "ROOM", 0.0)
    for number in range(40):
        module(tmp_path, f"many_{number}")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            while True:
                try:
                    os.write(seen._write_end, b"\n" * WHOLE)
                except BlockingIOError:
                    break
            for number in range(40):
                importlib.import_module(f"many_{number}")
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    seen.hear()
    assert not seen.notes


def test_what_a_worker_writes_that_is_no_note_is_passed_over(seen: Witness) -> None:
    os.write(seen._write_end, b'{}\n[1]\nnonsense\n["/a.py",[1,2]]\n["/b')
    seen.hear()
    os.write(seen._write_end, b'.py",null]\n')
    seen.hear()
    assert list(seen.notes) == [("/a.py", (1, 2)), ("/b.py", None)]
