"""Frozen values as plain ones, for JSON, and back by their own type hints.

It promises: ``build(type(value), lower(value)) == value`` for dataclasses and NamedTuples of numbers, texts, enums,
tuples, dicts and further ones; what does not fit the hints exactly, a field more or a field less, is a ValueError that
names it.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Any

Plain = Any
"""None, bool, int, float, str, and lists and string-keyed dicts of those."""


def lower(value: Any) -> Plain:
    """Dicts become lists of pairs, so that their keys may be numbers."""
    if _is_record(value):
        kind: Any = type(value)
        return {name: lower(getattr(value, name)) for name in _record(kind)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return [[lower(key), lower(one)] for key, one in value.items()]
    if isinstance(value, (list, tuple)):
        return [lower(one) for one in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no plain form")


def _is_record(kind: Any) -> bool:
    return is_dataclass(kind) or hasattr(kind, "_field_defaults")


@functools.cache
def _record(kind: Any) -> Mapping[str, bool]:
    """The fields of a dataclass or a NamedTuple, which are the same on paper: which of them have a default?"""
    if is_dataclass(kind):
        return {one.name: one.default is not MISSING or one.default_factory is not MISSING for one in fields(kind)}
    return {name: name in kind._field_defaults for name in kind._fields}


Schema = dict[str, dict[str, str]]
"""Class → field → its type in words; of an enum its values."""


def schema(kind: Any) -> Schema:
    """Every class that a value of ``kind`` may hold, as this program knows it."""
    found: Schema = {}
    _collect(kind, found)
    return found


def gaps(kind: Any, written: Schema) -> str:
    """Why this program could not build every ``kind`` that a program with the ``written`` schema lowers, or ""."""
    known = schema(kind)
    for name, theirs in written.items():
        ours = known.get(name)
        if ours is None:
            # Then nothing of ours holds it: who does would have another type.
            continue
        for field, words in theirs.items():
            if field not in ours:
                return f"{name}: unknown field {field}"
            if ours[field].removesuffix(_OPTIONAL) != words.removesuffix(_OPTIONAL):
                return f"{name}.{field}: {words} where {ours[field].removesuffix(_OPTIONAL)} should be"
        for field, words in ours.items():
            if field not in theirs and words and not words.endswith(_OPTIONAL):
                return f"{name}: missing field {field}"
    return ""


_OPTIONAL = ", or its default"


def _collect(kind: Any, found: Schema) -> None:
    for part in typing.get_args(kind):
        _collect(part, found)
    if isinstance(kind, type) and issubclass(kind, Enum):
        found[kind.__name__] = {str(one.value): "" for one in kind}
    elif _is_record(kind) and isinstance(kind, type) and kind.__name__ not in found:
        hints = _hints(kind)
        optional = ("", _OPTIONAL)
        found[kind.__name__] = {name: _words(hints[name]) + optional[easy] for name, easy in _record(kind).items()}
        for hint in hints.values():
            _collect(hint, found)


def _words(kind: Any) -> str:
    """The same in every version of Python, however the hint was spelled."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(sorted(map(_words, arguments)))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(_words, arguments))}]"
    return "..." if kind is Ellipsis else str(kind.__name__)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def build(kind: Any, raw: Plain, where: str = "") -> Any:
    """``where``: the way to ``raw``, for the error."""
    if _is_record(kind):
        return _built(kind, raw, where)
    origin = typing.get_origin(kind)
    if origin is not None:
        return _GENERIC[origin](typing.get_args(kind), raw, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(raw)
    if kind is float and type(raw) is int:
        return float(raw)
    if type(raw) is not kind and not (kind is type(None) and raw is None):
        raise ValueError(f"{where or 'value'}: {type(raw).__name__} where {kind.__name__} should be")
    return raw


def _built(kind: Any, raw: Plain, where: str) -> Any:
    if type(raw) is not dict:
        raise ValueError(f"{where or kind.__name__}: no {kind.__name__}")
    known = _record(kind)
    unknown = sorted(raw.keys() - known.keys())
    missing = sorted({name for name, easy in known.items() if not easy} - raw.keys())
    for words, names in (("unknown", unknown), ("missing", missing)):
        if names:
            raise ValueError(f"{where or kind.__name__}: {words} field {names[0]}")
    hints = _hints(kind)
    return kind(**{name: build(hints[name], one, f"{where or kind.__name__}.{name}") for name, one in raw.items()})


def _tuple(arguments: tuple[Any, ...], raw: Plain, where: str) -> Any:
    if type(raw) is not list:
        raise ValueError(f"{where}: no list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(build(arguments[0], one, where) for one in raw)
    if len(arguments) != len(raw):
        raise ValueError(f"{where}: {len(raw)} values where {len(arguments)} should be")
    return tuple(build(kind, one, where) for kind, one in zip(arguments, raw))


def _dict(arguments: tuple[Any, ...], raw: Plain, where: str) -> Any:
    pair = tuple[arguments]  # type: ignore[valid-type]  # made of what the hint says
    if type(raw) is not list:
        raise ValueError(f"{where}: no list of pairs")
    return dict(build(pair, one, where) for one in raw)


def _union(arguments: tuple[Any, ...], raw: Plain, where: str) -> Any:
    if raw is None and type(None) in arguments:
        return None
    (kind,) = (one for one in arguments if one is not type(None))
    return build(kind, raw, where)


_GENERIC: Mapping[Any, Callable[[tuple[Any, ...], Plain, str], Any]] = {
    tuple: _tuple,
    dict: _dict,
    typing.Union: _union,
    types.UnionType: _union,
}
