"""uWSGI itself as the judge of what an ini says: ``uwsgi --show-config`` and our unfolding of the same folder.

uWSGI never serves here: it is asked for a clock that does not exist, and leaves with an error right behind the last
line of its answer. It runs as nobody when the tests run as root, and is ended by its pid when it does not leave.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Union

from emperor.config.language.inifile import Row, decode
from emperor.config.language.logic import ENDS, Reach, Refused, World, is_block
from emperor.config.language.unfolding import PLACEHOLDERS, Source, unfold
from emperor.model import Problem

BEGINS, ENDS_WITH = b"[uwsgi]\n", b";end of configuration"
QUESTION = ("--show-config", "--clock", "nowhere", "--ini")
ANSWERED = ("show-config = true", "clock = nowhere")
"""Rows of the question itself, which uWSGI shows first."""

PATIENCE = 10.0
WITHIN_LIMITS = ("prlimit", f"--as={256 << 20}", "--core=0", "--cpu=5")
"""A key that refers to itself grows until there is no memory."""
ENVIRON: Mapping[str, str] = MappingProxyType(
    {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nowhere",
        "ONE": "1",
        "WORD": "word",
        "EMPTY": "",
        "REFERS": "<%(ka)>",
        "NAME": "ORD",
    }
)


class Ini(NamedTuple):
    """A folder of files, by their paths in it, and which of them is read, as ``name`` or ``name:section``."""

    files: Mapping[str, Union[str, bytes]]
    main: str = "a.ini"
    environ: Mapping[str, str] = ENVIRON


class Refusal(NamedTuple):
    """Why an ini was not taken."""

    reasons: tuple[str, ...]


Rows = tuple[str, ...]
"""``key = value``, as uWSGI prints it."""
Answer = Union[Rows, Refusal]


class Difference(NamedTuple):
    """What uWSGI reads in another way than we do, and why we do."""

    name: str
    uwsgi: str
    here: str
    why: str


DIFFERENCES = tuple(
    Difference(*row)
    for row in (
        (
            "% before nothing known",
            "vanishes together with the character behind it, be that the end of the line",
            "both stay, with a warning",
            "a percent sign in a value is meant",
        ),
        (
            "a reference at the beginning of a value",
            "stays as it is when what it names stands further below and itself begins with a reference",
            "is replaced wherever it stands",
            "the place of a line should not matter",
        ),
        (
            "keys that refer to themselves",
            "stay as they are, or grow until there is no memory",
            "an error",
            "nothing else can be meant",
        ),
        (
            "@(file) within a file that @(file) reads",
            "is followed",
            "stays as it is",
            "a file's content names no further files",
        ),
        ("@(folder)", "is whatever memory holds", "an error", "uWSGI does not look whether it has read anything"),
        ("a NUL character", "ends the line there", "an error", "a damaged file is not guessed at"),
        ("bytes that are not UTF-8", "pass as they are", "an error", "nobody can say what they mean"),
        ("a byte order mark", "hides the first section's header", "is passed over", "Windows editors write it"),
        (
            "a section's header",
            "loses its last character, whatever that is, and nothing is told",
            "ends with ], or it is an error",
            "`[uwsgi] ; site` would silently drop a whole file",
        ),
        (
            "option names",
            "may be anything, even empty",
            "letters, digits, `_`, `-`, `.`; else an error",
            "the line is a slip",
        ),
        (
            "a file without its section",
            "is an empty configuration",
            "an error",
            "an app that serves nothing helps nobody",
        ),
        ("[emperor]", "is passed over", "is read like [uwsgi]", "one file may hold both"),
        (
            "names of included files",
            "end in .ini; a section cannot be asked for in `include` and `inherit`",
            "any name, and `file:section`, everywhere",
            "`ini =` takes them in uWSGI too",
        ),
        (
            "references in ini, include, for…, if…, set-placeholder",
            "are not replaced",
            "are replaced by what is defined above",
            "`include = %(base)/x.ini` is plainly meant",
        ),
        (
            "references in inherited files",
            "are not replaced, and nobody sees the keys of these files",
            "are replaced, and all see the keys",
            "a template that cannot refer to anything is none",
        ),
        ("set = key = value", "sets a key with a blank at its end", "sets the key", "the blanks are there to be read"),
        ("else", "is a key like any other, in the block before it", "an error", "both halves would hold"),
        (
            "a block in a block that does not hold",
            "is dropped, and its end ends the outer block",
            "an error",
            "as in a block that does hold",
        ),
        ("if-opt", "compares values as they are written", "compares what they mean", "`%(a)` is not a value"),
        (
            "if-not-opt and a line of its block that sets the key",
            "ends the block there: each line asks anew",
            "the block is asked for once",
            "a default of two lines is plainly meant",
        ),
        ("files that draw in themselves", "are read until uWSGI crashes", "an error", "nothing else can be meant"),
        (
            "UWSGI_… in the environment",
            "each is an option, under an Emperor of every app",
            "counts for `emperor run` alone",
            "the emperor's environment is not an app's configuration",
        ),
        ("%o in `ini = :section`", "is empty", "is the file's name", "so it is with every other section"),
        ("%i in an included file", "is its inode", "is empty", "a number that no other file tells"),
        ("a line of more than 1023 bytes in for-readline", "gives several turns", "gives one", "it is one line"),
        ("if-plugin = python", "holds once a `plugin` line has loaded it", "always holds", "Python is always here"),
    )
)
"""Also the rows of docs/uwsgi-compat.md."""


def uwsgi() -> str | None:
    """The program that is asked: ``EMPEROR_ORACLE``, Debian's uwsgi-core, or any uwsgi."""
    return os.environ.get("EMPEROR_ORACLE") or shutil.which("uwsgi-core") or shutil.which("uwsgi")


@contextmanager
def folder_of(ini: Ini) -> Iterator[str]:
    """Its files on a real filesystem, for everybody to read; ``.../`` is an empty folder."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="oracle-"))
    try:
        Path(folder).chmod(0o755)
        for name, text in ini.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
        yield folder
    finally:
        shutil.rmtree(folder)


def theirs(ini: Ini, folder: str, program: str) -> Answer:
    """What uWSGI makes of it."""
    rights: dict[str, object] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        rights = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    child = subprocess.Popen(
        [*WITHIN_LIMITS, program, *QUESTION, ini.main],
        cwd=folder,
        env=dict(ini.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **rights,  # type: ignore[call-overload]
    )
    with child:
        try:
            printed = child.communicate(timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            child.kill()
            return Refusal(("goes on for ever",))
    return _answer(printed, child.returncode)


def _answer(printed: bytes, code: int) -> Answer:
    said, _, rest = printed.partition(BEGINS)
    rows, end, _ = rest.partition(ENDS_WITH)
    if not end:
        died = f"dies of {signal.Signals(-code).name}" if code < 0 else f"leaves with {code}"
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return Refusal((died, *(line for line in lines if not line.startswith("[uWSGI] getting"))))
    lines = rows.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    return tuple(line for line in lines if line not in ANSWERED and not _acts(line.partition(" = ")[0]))


def _acts(key: str) -> bool:
    """Rows that have done their work, which uWSGI shows and we do not."""
    return is_block(key) or key in ENDS or key in PLACEHOLDERS or key in ("ini", "include", "inherit", "set")


class RealFiles:
    """The files of this machine, whoever may read them."""

    def read(self, path: str) -> str:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise Refused(f"cannot be read: {error.strerror}") from None
        text = decode(data, path)
        if isinstance(text, Problem):
            raise Refused(text.message)
        return text

    def exists(self, path: str) -> bool:
        return os.access(path, os.R_OK)

    def is_file(self, path: str) -> bool:
        return os.path.isfile(path)

    def is_dir(self, path: str) -> bool:
        return os.path.isdir(path)

    def glob(self, pattern: str) -> Sequence[str]:
        found = sorted(glob.glob(pattern))
        return [path + "/" if os.path.isdir(path) and not path.endswith("/") else path for path in found]


def ours(ini: Ini, folder: str) -> Answer:
    """What we make of it; an ini with an error is refused."""
    name, _, section = ini.main.partition(":")
    path = os.path.normpath(f"{folder}/{name}")
    text = decode(Path(path).read_bytes(), path)
    if isinstance(text, Problem):
        return Refusal((text.message,))
    return read_here(Source(path, text, section, name, os.lstat(path).st_ino), folder, ini.environ)


def read_here(source: Source, folder: str, environ: Mapping[str, str]) -> Answer:
    """What we make of a file that is read in ``folder``."""
    magic = {"v": folder, "h": socket.gethostname(), "k": str(os.sysconf("SC_NPROCESSORS_ONLN"))}
    reach = Reach(environ, RealFiles(), True)
    unfolded = unfold([source], World(folder, magic, reach, reach))
    errors = tuple(f"{one.option}: {one.message}" for one in unfolded.problems if one.fatal)
    if errors:
        return Refusal(errors)
    shown = "\n".join(f"{key} = {value}" for key, value in map(_shown, unfolded.rows) if not _acts(key))
    return tuple(shown.split("\n")) if shown else ()


def _shown(row: Row) -> tuple[str, str]:
    if row.key not in PLACEHOLDERS:
        return row.key, row.value
    key, _, value = row.value.partition("=")
    return key, value
