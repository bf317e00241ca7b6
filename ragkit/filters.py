"""Filters on documents: `key=value` expressions parsed, and tried against a document's fields.

Pure. Knows expressions and plain values; knows nothing of the store, chunks or indexes.

    path=guides/*.md      glob over the whole path; `*` also crosses folders
    title=install*        glob, case ignored
    format=markdown       likewise; `type` is another word for it, unless the front matter has a `type`
    date>=2024-01-01      any front-matter key, with = != < <= > >=; dates and numbers compare as such
    author.name=Ada       a key inside a mapping; a list matches when one of its values does
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ragkit.domain import JSON
from ragkit.errors import FilterError

_EXPRESSION = re.compile(r"\s*([\w][\w.\-]*)\s*(!=|>=|<=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?([T ].*)?")
_HINT = "write key=value, path=GLOB, format=NAME or date>=2024-01-01"


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a document: `key operator value`."""

    key: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}{self.operator}{self.value}"


def parse(expressions: Iterable[str]) -> tuple[Filter, ...]:
    """Read expressions; a document must meet all of them. Raises FilterError naming the bad one.

    >>> parse(["path=guides/*.md", "date >= 2024-01-01"])[1]
    Filter(key='date', operator='>=', value='2024-01-01')
    """
    found = []
    for expression in expressions:
        match = _EXPRESSION.fullmatch(expression)
        if match is None:
            raise FilterError(f"filter {expression!r} cannot be read", _HINT)
        key, operator, value = match.groups()
        if not value and operator not in ("=", "!="):
            raise FilterError(f"filter {expression!r} compares with nothing", _HINT)
        if key in ("path", "title") and operator not in ("=", "!="):
            raise FilterError(f"filter {expression!r}: {key} has no order", f"use {key}= or {key}!=")
        found.append(Filter(key, operator, value))
    return tuple(found)


def matches(filters: Iterable[Filter], *, path: str, title: str, format: str, metadata: Mapping[str, JSON]) -> bool:
    """Whether a document with these fields meets every filter.

    >>> matches(parse(["tags=api"]), path="a.md", title="A", format="markdown", metadata={"tags": ["api", "v2"]})
    True
    """
    return all(_holds(one, path, title, format, metadata) for one in filters)


def _holds(one: Filter, path: str, title: str, format: str, metadata: Mapping[str, JSON]) -> bool:
    if one.key == "path":
        return fnmatchcase(path, one.value) == (one.operator == "=")
    if one.key == "title":
        values: list[JSON] = [title]
    elif one.key == "format" or (one.key == "type" and "type" not in metadata):
        values = [format]
    else:
        values = _values(metadata, one.key)
    if one.operator == "!=":
        return not any(_equal(value, one.value) for value in values)
    if one.operator == "=":
        return any(_equal(value, one.value) for value in values)
    return any(_ordered(value, one.operator, one.value) for value in values)


def _values(metadata: Mapping[str, JSON], key: str) -> list[JSON]:
    """The value under a key, dotted keys reaching into mappings, as a list of scalars."""
    value: JSON = metadata.get(key)
    if value is None:
        value = metadata
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: JSON) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equal(value: JSON, wanted: str) -> bool:
    number, other = _number(value), _number(wanted)
    if number is not None and other is not None:
        return number == other
    return fnmatchcase(_text(value).casefold(), wanted.casefold())


def _ordered(value: JSON, operator: str, wanted: str) -> bool:
    left: float | str | None
    right: float | str | None
    left, right = _number(value), _number(wanted)
    if left is None or right is None:
        left, right = _text(value).casefold(), wanted.casefold()
        if _DATE.fullmatch(wanted) and not _DATE.fullmatch(_text(value)):
            return False
        left = left[: len(right)] if _DATE.fullmatch(wanted) else left
    if operator == ">=":
        return left >= right  # type: ignore[operator]
    if operator == "<=":
        return left <= right  # type: ignore[operator]
    return left > right if operator == ">" else left < right  # type: ignore[operator]


def _number(value: JSON) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
