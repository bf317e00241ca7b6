"""The types that a setting may have: a value read as one, and what each is called.

Knows types and text; knows nothing of which settings there are, or where values come from.
"""

from __future__ import annotations

import types
import typing
from typing import Any, Literal


def coerce(value: Any, kind: Any, wrong: Exception) -> Any:
    """The value, which may have come as text, as its type holds it. Raises `wrong` where it is none of that type."""
    origin_type = typing.get_origin(kind)
    if origin_type is Literal:
        if value in typing.get_args(kind):
            return value
        raise wrong
    if origin_type is tuple:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise wrong
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        raise wrong
    if kind is bool:
        if value.lower() in ("1", "true", "yes", "on"):
            return True
        if value.lower() in ("0", "false", "no", "off"):
            return False
        raise wrong
    try:
        return kind(value)
    except ValueError as error:
        raise wrong from error


def in_words(kind: Any) -> str:
    """What a value of the type is called."""
    if typing.get_origin(kind) is Literal:
        return " or ".join(str(value) for value in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "a list of strings"
    if isinstance(kind, types.UnionType):
        return str(kind)
    return {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}[kind]
