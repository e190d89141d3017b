"""Lines into the control socket, as a stranger and as root; datagrams into the channel, by a vassal that lies."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator
from itertools import islice

from emperor.control import messages
from emperor.errors import ChannelError, ProtocolError
from emperor.supervision import channel
from fuzzing.mutation import cuts
from fuzzing.scene import APPS, PATIENCE, Scene, Trouble, wait_for

HARMLESS = frozenset(("status", "logs", "events", "config", "spec", "version"))
"""What root asks: an order may do what it says."""

LIARS = 8
LEFT_OUT = "left out"
"""What no input is counted for."""

FEWEST, MOST = 3, 100
"""Messages that one generation says before the one for which it is not listened to any more, and inputs for it."""


# --- the control socket ---


def play_control(scene: Scene, key: str, inputs: Iterator[bytes], count: Callable[[str], None]) -> None:
    for data in inputs:
        by_root = zlib.crc32(data) % 2 == 0 and _harmless(data)
        with contextlib.nullcontext() if by_root else _another(scene):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(PATIENCE)
            peer.connect(str(scene.control))
        with peer:
            count(_judged(_exchanged(peer, data), by_root, data))


def _harmless(data: bytes) -> bool:
    try:
        return messages.decode(data.partition(b"\n")[0]).verb in HARMLESS
    except ProtocolError:
        return True


@contextlib.contextmanager
def _another(scene: Scene) -> Iterator[None]:
    """Somebody who has no vassal; the kernel notes who connects (unix(7), SO_PEERCRED)."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(scene.account.pw_gid + 1)
    os.seteuid(scene.account.pw_uid + 1)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _exchanged(peer: socket.socket, data: bytes) -> bytes:
    """The first line of the answer; b"": none."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for part in cuts(data, 3):
            peer.sendall(part)
    with contextlib.suppress(OSError):
        peer.shutdown(socket.SHUT_WR)
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while b"\n" not in answer and (piece := peer.recv(65536)):
            answer += piece
    return answer.partition(b"\n")[0]


def _judged(line: bytes, by_root: bool, data: bytes) -> str:
    if not line:
        return "closed"
    try:
        answer = json.loads(line)
    except ValueError:
        raise Trouble(f"control: what is no answer: {line[:300]!r} to {data[:300]!r}") from None
    if not isinstance(answer, dict) or not (
        "ok" in answer or "event" in answer or "line" in answer or "data" in answer
    ):
        raise Trouble(f"control: what is no answer: {line[:300]!r} to {data[:300]!r}")
    told = answer.get("data")
    if not by_root and (isinstance(told, list) and told):
        raise Trouble(f"control: a stranger was told {line[:300]!r} for {data[:300]!r}")
    return ("root: " if by_root else "stranger: ") + str(answer.get("exit", "told"))


# --- the channel ---


def play_channel(scene: Scene, key: str, inputs: Iterator[bytes], count: Callable[[str], None]) -> None:
    names = [_liar(scene, f"liar{number}") for number in range(LIARS)]
    for turn in range(10**9):
        scripts = [_script(inputs, count) for _ in names]
        if not any(scripts):
            break
        for name, script in zip(names, scripts, strict=True):
            _say(scene, name, f"{turn}\n".encode() + script)
        answer = scene.ask("restart", *names, wait=False)
        if not answer["ok"]:
            raise Trouble(f"channel: restart: {answer}")
        _wait_until_said(scene, names, str(turn))
    for name in names:
        (scene.inis / f"{name}.ini").unlink()
    wait_for(lambda: not set(names) & set(scene.rows()), "the liars are gone")


def _liar(scene: Scene, name: str) -> str:
    folder = scene.folder / "apps" / name
    folder.mkdir(mode=0o755)
    program = folder / "liar"
    shutil.copy(APPS / "liar.py", program)
    program.chmod(0o755)
    for path in (folder, program):
        os.chown(path, scene.account.pw_uid, scene.account.pw_gid)
    _say(scene, name, b"none\n")
    lines = ["[uwsgi]", f"chdir = {folder}", "wsgi-file = none.py", f"python = {program}", "on-demand = false"]
    scene.write(name, "\n".join([*lines, "start-timeout = 600", "reload-mercy = 1", ""]).encode())
    wait_for(lambda: _said(scene, name) == "none", f"{name} has been started")
    return name


def _wait_until_said(scene: Scene, names: list[str], mark: str) -> None:
    wait_for(lambda: scene.alive() and all(_said(scene, one) == mark for one in names), "each has said its words")


def _say(scene: Scene, name: str, words: bytes) -> None:
    fresh = scene.folder / "apps" / name / "words.new"
    fresh.write_bytes(words)
    fresh.rename(fresh.with_name("words"))


def _said(scene: Scene, name: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        return (scene.folder / "apps" / name / "said").read_text()
    return ""


def _script(inputs: Iterator[bytes], count: Callable[[str], None]) -> bytes:
    """Some that are understood, then one that is not: behind that nothing is heard. b"": there are no more inputs."""
    good: list[bytes] = []
    for data in islice(inputs, MOST):
        word = _word(data)
        along = _along(zlib.crc32(data), word)
        said = bytes((along,)) + len(data).to_bytes(4, "big") + data
        if word == "refused" or along > 1 or (along == 1 and word != "listening"):
            if len(good) < FEWEST:
                # It would end this generation at once.
                count(LEFT_OUT)
                continue
            count("refused")
            return b"".join((*good, said))
        count(word)
        good.append(said)
    return b"".join(good)


def _along(mark: int, word: str) -> int:
    """What comes with it (``apps/liar.py``): nothing, a socket, no socket, two of them."""
    return mark % 2 if word == "listening" and mark % 8 else {1: 1, 2: 2, 3: 3}.get(mark % 32, 0)


def _word(data: bytes) -> str:
    if len(data) > channel.MAX_DATAGRAM:
        return "refused"
    try:
        return type(channel.decode(data)).__name__.lower()
    except ChannelError:
        return "refused"
