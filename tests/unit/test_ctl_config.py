"""``emperorctl config``: its text and its exit codes."""

from __future__ import annotations

import argparse
import json
from typing import Any

from emperor.control.messages import Request
from emperor.ctl import config
from emperor.ctl.console import Console


def value(option: str, text: str, path: str = "/v/blog.ini", line: int = 2, **more: Any) -> dict[str, Any]:
    origin = f"{path}:{line}" if path else "default"
    return {"option": option, "value": text, "path": path, "origin": origin, "via": "ini", "kind": "value", **more}


FOUND: dict[str, Any] = {
    "name": "blog",
    "config": "/v/blog.ini",
    "valid": True,
    "values": [
        value("processes", "4"),
        value("threads", "2", "/etc/d.ini", 7, via="vassals-defaults"),
        value("env", "DB=***", line=3),
        value("master", "true", line=4, kind="no effect"),
        value("callable", "evil\x1b[2J", "/etc/more.ini", 1, via="include"),
        value("harakiri", "0", "", via="default"),
    ],
    "derived": [
        {"what": "user", "value": "alice (uid 1001, gid 1001)", "origin": "/v/blog.ini:9"},
        {"what": "socket", "value": "/run/b.sock  uwsgi  bound by the emperor", "origin": "default",
         "mode": "0660", "uid": 0, "gid": 0},
    ],
    "problems": [],
    "differs": ["processes", "harakiri"],
}  # fmt: skip

TEXT = r"""blog: /v/blog.ini
  processes  4            /v/blog.ini:2
  threads    2            /etc/d.ini:7 (vassals-defaults)
  env        DB=***       /v/blog.ini:3
  master     true         /v/blog.ini:4 (no effect here)
  callable   evil\x1b[2J  /etc/more.ini:1 (drawn in)
  harakiri   0            default
what follows:
  user    alice (uid 1001, gid 1001)  /v/blog.ini:9
  socket  /run/b.sock  uwsgi  bound by the emperor, 0660 root:root  default
what runs is older: it differs in processes, harakiri -- emperorctl reload blog
"""


class Bench:
    def __init__(self, reply: dict[str, Any], **more: Any) -> None:
        self.out, self.err = "", ""
        self.asked: list[Request] = []
        self.console = Console(self._write, self._complain, lambda request, _: iter([self._asked(request, reply)]),
                               lambda _: None, **more)  # fmt: skip

    def _asked(self, request: Request, reply: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        return reply

    def _write(self, text: str) -> None:
        self.out += text

    def _complain(self, text: str) -> None:
        self.err += text

    def run(self, *words: str) -> int:
        parser = argparse.ArgumentParser()
        config.add_arguments(parser)
        return config.run(parser.parse_args(list(words)), self.console)


def test_the_text_has_a_line_for_each_value() -> None:
    bench = Bench({"ok": True, "data": FOUND})
    assert bench.run("blog") == 0
    assert bench.out == TEXT
    assert bench.asked == [Request("config", ("blog",))]


def test_what_nobody_has_written_can_be_left_out() -> None:
    bench = Bench({"ok": True, "data": FOUND})
    assert bench.run("blog", "-n") == 0
    assert bench.out == TEXT.replace("  harakiri   0            default\n", "")


def test_json_is_what_the_emperor_says() -> None:
    bench = Bench({"ok": True, "data": FOUND}, json=True)
    assert bench.run("blog") == 0
    assert json.loads(bench.out) == FOUND


def test_an_invalid_ini_exits_6_and_tells_its_problems() -> None:
    problem = {"path": "/v/blog.ini", "line": 5, "option": "uid", "message": "no such user", "fatal": True}
    bench = Bench({"ok": False, "exit": 6, "data": {**FOUND, "valid": False, "problems": [problem]}})
    assert bench.run("blog") == 6
    assert bench.err == "emperorctl: /v/blog.ini:5: uid: no such user\n" and bench.out == TEXT


def test_a_refusal_is_said_and_is_the_exit_code() -> None:
    bench = Bench({"ok": False, "exit": 4, "error": "blog: no vassal of yours"})
    assert bench.run("blog") == 4
    assert bench.err == "emperorctl: blog: no vassal of yours\n"
    assert Bench({}).run("no/name") == 6
