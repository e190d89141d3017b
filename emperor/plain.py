"""Frozen values as plain ones, for JSON, and back by their own type hints.

It promises: ``build(type(value), lower(value)) == value`` for dataclasses of numbers, texts, enums, tuples, dicts and
further dataclasses; what does not fit the hints exactly, a field more or a field less, is a ValueError that names it.
"""

from __future__ import annotations

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
    if is_dataclass(value):
        return {one.name: lower(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return [[lower(key), lower(one)] for key, one in value.items()]
    if isinstance(value, (list, tuple)):
        return [lower(one) for one in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no plain form")


def build(kind: Any, raw: Plain, where: str = "") -> Any:
    """``where``: the way to ``raw``, for the error."""
    if is_dataclass(kind):
        return _dataclass(kind, raw, where)
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


def _dataclass(kind: Any, raw: Plain, where: str) -> Any:
    if type(raw) is not dict:
        raise ValueError(f"{where or kind.__name__}: no {kind.__name__}")
    known = {one.name: one for one in fields(kind)}
    unknown = sorted(raw.keys() - known.keys())
    needed = {name for name, one in known.items() if one.default is MISSING and one.default_factory is MISSING}
    missing = sorted(needed - raw.keys())
    for words, names in (("unknown", unknown), ("missing", missing)):
        if names:
            raise ValueError(f"{where or kind.__name__}: {words} field {names[0]}")
    hints = typing.get_type_hints(kind)
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
