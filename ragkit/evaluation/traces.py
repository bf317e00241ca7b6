"""Search results and answers as JSON values and back, so that scoring can be repeated without searching again.

Knows the dataclasses of `ragkit.domain` by their annotations; knows nothing of stores, engines or metrics.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar

from ragkit.domain import JSON

T = TypeVar("T")


def pack(value: Any) -> JSON:
    """A dataclass of plain values as JSON values.

    >>> from ragkit.domain import Ranked
    >>> pack(Ranked(3, 0.5))
    {'id': 3, 'score': 0.5}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: pack(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): pack(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [pack(item) for item in value]
    return value


def unpack(kind: type[T], data: JSON) -> T:
    """The dataclass that `pack` took apart; keys that it does not have (any more) are passed over.

    >>> from ragkit.domain import Ranked
    >>> unpack(Ranked, {"id": 3, "score": 0.5, "gone": 1})
    Ranked(id=3, score=0.5)
    """
    found: T = _rebuilt(kind, data)
    return found


def _rebuilt(kind: Any, data: Any) -> Any:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _rebuilt(hints[name], value) for name, value in data.items() if name in hints})
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        rest = [one for one in inner if one is not type(None)]
        return None if data is None else _rebuilt(rest[0], data)
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_rebuilt(inner[0], item) for item in data)
        return tuple(_rebuilt(one, item) for one, item in zip(inner, data, strict=True))
    if origin is Literal or not isinstance(data, dict):
        return data
    return dict(data)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
