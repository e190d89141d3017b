"""What strangers ask on the control socket, and what vassals say on their channel: to a value, or the declared error.

Pure: no socket, no daemon.
"""

from __future__ import annotations

import json

from emperor.control import messages
from emperor.control.messages import VERBS, Peer, Policy
from emperor.errors import ChannelError, ProtocolError
from emperor.model import VASSAL_NAME
from emperor.supervision import channel
from emperor.supervision.channel import MAX_DATAGRAM, MAX_LINES, Lines, Message
from emperor.supervision.reports import MAX_WORKERS, Workers

STRANGER = Peer(1001, 1001)
_POLICY = Policy(0)


def try_control(data: bytes) -> str:
    """As ``control.connection`` takes a line: the first one, with nothing behind it."""
    try:
        request = messages.decode(data[: messages.LIMIT])
    except ProtocolError as error:
        # It is sent to a stranger's terminal.
        assert str(error).isprintable() and len(str(error)) < 500, "a message that nobody can show"
        json.loads(messages.encode_reply(messages.refusal(str(error), messages.USAGE)))
        return "refused"
    row = VERBS[request.verb]
    assert row.names[0] <= len(request.names) <= row.names[1], "how many names"
    assert all(VASSAL_NAME.fullmatch(name) for name in request.names), "a name that is none"
    assert set(row.needs) <= set(request.options) <= set(row.options), "an option that is none"
    for name, value in request.options.items():
        bounds = row.options[name]
        assert type(value) is bool if bounds is None else bounds.least <= value <= bounds.most, "an option's value"
    assert messages.decode(messages.encode(request)) == request, "another request when it is written again"
    assert not _POLICY.permits(request.verb, STRANGER, None) and not _POLICY.permits(request.verb, STRANGER, 1002)
    return request.verb


def try_channel(data: bytes) -> str:
    """A datagram; the kernel would cut a longer one, and say so."""
    try:
        message = channel.decode(data[:MAX_DATAGRAM])
    except ChannelError as error:
        assert str(error).isprintable() and len(str(error)) < 200, "a message that nobody can show"
        return "refused"
    _bounded(message)
    again = _again(message)
    assert again is None or type(again) is type(message), "another message when it is written again"
    return type(message).__name__.lower()


def _bounded(message: Message) -> None:
    # An escape takes six characters of one.
    text = repr(message)
    assert len(text) < 8 * MAX_DATAGRAM, "more than was said"
    if isinstance(message, Lines):
        assert len(message.lines) <= MAX_LINES and all("\n" not in line for line in message.lines), "lines"
    if isinstance(message, Workers):
        assert len(message.workers) <= MAX_WORKERS, "workers"
        # As status and metrics show them.
        json.loads(messages.encode_reply({"workers": [vars(one) for one in message.workers]}), parse_constant=_refuse)


def _refuse(word: str) -> None:
    raise AssertionError(f"{word} is no number that a reader of JSON takes")


def _again(message: Message) -> Message | None:
    try:
        return channel.decode(channel.encode(message))
    except ChannelError:
        return None
