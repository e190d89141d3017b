"""An ini of an administrator's or a user's, from its bytes to the spec, and to all that is printed of it.

What holds for every input: nothing is raised; a spec exactly where no problem is fatal; rows, values and files within
their bounds; a user's ini draws nothing in and names no user but its own; what is printed fits on a line. Pure: its
users and files are made up.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from emperor.config import differences, effective
from emperor.config.claims import judge_all
from emperor.config.context import Context
from emperor.config.language import inifile
from emperor.config.language.inifile import LENGTH
from emperor.config.language.logic import Reach, Refused, World
from emperor.config.language.unfolding import FILES, ROWS, Source, unfold
from emperor.config.spec import build
from emperor.errors import EmperorError
from emperor.faces import apache, lighttpd, nginx
from emperor.faces.facts import gather
from emperor.faces.wish import Wish
from emperor.model import ADMIN, OWNER, Authority, Identity, Problem, VassalSpec
from emperor.supervision.commission import Commission
from emperor.text import printable

FOLDER = "/etc/emperor/vassals.d"
PATH = f"{FOLDER}/blog.ini"
_ROOT = Identity(0, 0, (0,), "root", "/root")
_WEB = Identity(33, 33, (33,), "www-data", "/var/www")
_ALICE = Identity(1001, 1001, (27, 1001), "alice", "/home/alice")
_USERS = MappingProxyType({one.user: one for one in (_ROOT, _WEB, _ALICE)})
_TEXTS = MappingProxyType(
    {
        f"{FOLDER}/other.ini": "[uwsgi]\nthreads = 2\nk = %(v)\n[more]\nprocesses = 3\n[sec]\nset = a=%(b)\n",
        f"{FOLDER}/base.ini": "[uwsgi]\ninherit = base.ini\nif-env = HOME\nthreads = 2\nend =\n",
        f"{FOLDER}/loop.ini": "[uwsgi]\ninclude = loop.ini\nmodule = a\n",
        f"{FOLDER}/other.txt": "one\ntwo = %(k)\n[three]\nmodule = %n\n",
    }
)


class _Accounts:
    """Three of them; and each number is a user where a group is named."""

    def user(self, name_or_number: str) -> Identity | None:
        return _USERS.get(name_or_number) or next(
            (one for one in _USERS.values() if str(one.uid) == name_or_number), None
        )

    def of_uid(self, uid: int) -> Identity | None:
        return next((one for one in _USERS.values() if one.uid == uid), None)

    def group(self, name_or_number: str) -> int | None:
        one = self.user(name_or_number)
        return one.gid if one is not None else int(name_or_number) if name_or_number.isdecimal() else None

    def identity(self, user: str, group: str) -> Identity | None:
        one, gid = self.user(user), self.group(group)
        return None if one is None or gid is None else replace(one, gid=gid)


class _Disk:
    def read(self, path: str) -> str:
        if path not in _TEXTS:
            raise Refused("cannot be read: No such file or directory")
        return _TEXTS[path]

    def exists(self, path: str) -> bool:
        return path in _TEXTS

    is_file = is_dir = exists

    def glob(self, pattern: str) -> Sequence[str]:
        return tuple(_TEXTS)


class _Closed:
    """What a user's ini may look at."""

    def read(self, path: str) -> str:
        raise Refused("is only for an administrator's ini")

    def glob(self, pattern: str) -> Sequence[str]:
        raise Refused("is only for an administrator's ini")

    def exists(self, path: str) -> bool:
        raise Refused("is only for an administrator's ini")

    is_file = is_dir = exists


_LETTERS = MappingProxyType({"h": "box", "v": FOLDER, "k": "4", "u": "0", "U": "root", "g": "0", "t": "1"})
_ADMINS = Reach({"HOME": "/root", "E": "%(a)"}, _Disk(), True)
_USERS_REACH = Reach({}, _Closed(), False)
_CONTEXT = Context(
    name="blog",
    config=PATH,
    folder=FOLDER,
    authority=Authority(ADMIN),
    accounts=_Accounts(),
    own=_ROOT,
    web=_WEB,
    web_gid=33,
    runtime="/run/emperor",
)
_CONTEXTS = (
    _CONTEXT,
    replace(_CONTEXT, authority=Authority(OWNER, 1001)),
    replace(_CONTEXT, authority=Authority(OWNER, 1001), tyrant=True),
    replace(_CONTEXT, own=_ALICE, authority=Authority(ADMIN), web=None, web_gid=None, allow_root=True),
)
_WISHES = (Wish(), Wish("/shop"), Wish("", "www.example.org", "8080"))
_FACES = (nginx.render, apache.render, lighttpd.render)


def try_ini(data: bytes, author: int | None = None) -> str:
    """``author``: a number in ``_CONTEXTS``; None: one that depends on the input."""
    text = inifile.decode(data, PATH)
    if isinstance(text, Problem):
        return "no text"
    mark = zlib.crc32(data)
    context = _CONTEXTS[mark % len(_CONTEXTS) if author is None else author]
    trusted = context.authority.kind == ADMIN
    own = _ADMINS if trusted else _USERS_REACH
    source = Source(PATH, text, given="blog.ini", inode=7)
    unfolded = unfold([source], World(FOLDER, _LETTERS, own, _ADMINS))
    assert len(unfolded.rows) <= ROWS and len(unfolded.files) <= FILES, "the bounds of an ini"
    assert all(len(row.value) <= LENGTH and "\0" not in row.value for row in unfolded.rows), "a value's bounds"
    assert trusted or not unfolded.files, "a user's ini draws a file in"
    checked = build(unfolded.rows, context)
    problems = (*unfolded.problems, *checked.problems)
    assert (checked.spec is None) == any(one.fatal for one in checked.problems), "a spec, or what is wrong"
    assert all("\n" not in one.message and len(str(one)) < 1000 for one in problems), "a message"
    effective.effective(unfolded.rows, effective.Sources(PATH), effective.Sight())
    differences.differences(differences.Subject(PATH, text, unfolded.rows, checked.spec, True, False))
    if checked.spec is None or any(one.fatal for one in unfolded.problems):
        return "refused"
    spec = replace(checked.spec, authority=context.authority)
    _whose(spec, context)
    assert Commission.from_bytes(Commission("serve", spec).to_bytes()).spec == spec, "another spec in the vassal"
    judge_all([("blog", replace(checked, spec=spec))], context.runtime)
    _printed(spec, mark)
    return "taken"


def _whose(spec: VassalSpec, context: Context) -> None:
    if context.authority.kind == OWNER:
        assert spec.identity.uid == 1001 and spec.identity.gid in (27, 1001), "a user's app runs as somebody else"
    assert spec.processes >= 1 and spec.threads >= 1 and spec.buffer_size > 0, "numbers"


def _printed(spec: VassalSpec, mark: int) -> None:
    """Where no web server can be told, EmperorError says why; else no line of the ini's own begins a directive."""
    try:
        facts = gather(spec, _WISHES[mark % len(_WISHES)], _WEB)
        text = _FACES[mark // 16 % len(_FACES)](facts)
    except EmperorError as error:
        assert printable(str(error)) == str(error), "a message"
        return
    assert printable(text, keep_newlines=True) == text, "a control character for a web server"
