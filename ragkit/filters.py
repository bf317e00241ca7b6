"""Filters on documents: `key=value` expressions parsed, and tried against a document's fields.

Pure. Knows expressions and plain values; knows nothing of the store, chunks or indexes.

    path=guides/*.md      glob over the whole path; `*` also crosses folders
    title=install*        glob, case ignored
    format=markdown       likewise; `type` is another word for it, unless the front matter has a `type`
    date>=2024-01-01      any front-matter key, with = != < <= > >=; numbers, dates and versions compare as such
    date=2024-03          a month or a year holds its days
    author.name=Ada       a key inside a mapping; a list matches when one of its values does
    tags!=draft           holds, too, where the key is missing
    doc_version>=1.29     the version that the document was found to be about; 1.29 holds 1.29.3
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ragkit.domain import JSON
from ragkit.errors import FilterError
from ragkit.versions import meets, order

_EXPRESSION = re.compile(r"\s*([\w][\w.\-]*)\s*(!=|>=|<=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_DATE = re.compile(r"\d{4}-\d{2}(-\d{2})?([T ].*)?")
_YEAR = re.compile(r"\d{4}")
_VERSION = re.compile(r"[vV]?(\d+(?:\.\d+)+)")
_HINT = "write key=value, path=GLOB, format=NAME or date>=2024-01-01"
OWN_KEYS = ("path", "title", "format", "type")
"""Keys that every document has; the others are those of its front matter, and `doc_version`."""
SHOWN_KEYS = 20
"""Keys that an error names, the commonest first."""


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
        if value[:1] in ("=", "<", ">"):
            raise FilterError(
                f"filter {expression!r} has the operator {operator}{value[0]}, which there is not", _HINT
            )
        if not value and operator not in ("=", "!="):
            raise FilterError(f"filter {expression!r} compares with nothing", _HINT)
        if key in ("path", "title") and operator not in ("=", "!="):
            raise FilterError(f"filter {expression!r}: {key} has no order", f"use {key}= or {key}!=")
        found.append(Filter(key, operator, value))
    return tuple(found)


def require_known(
    filters: Iterable[Filter], documents: Sequence[Mapping[str, JSON]], versions: Iterable[str] = ()
) -> None:
    """Raise FilterError for a key that none of these documents' front matter has, or an order that it cannot have.

    Such a filter could only be a slip: it holds for no document, or for all of them. Nor is there a document of a
    version that is not among `versions`.
    """
    known = set(versions)
    for one in filters:
        if one.key == "doc_version" and not any(meets(version, one.operator, one.value) for version in known):
            names = sorted(known, key=order, reverse=True)
            shown = ", ".join(names[:SHOWN_KEYS]) or "none was found in paths, front matter or change logs"
            raise FilterError(f"no document is of version {_range(one)}", f"versions of this corpus: {shown}")
        if one.key in (*OWN_KEYS, "doc_version"):
            continue
        values = [value for metadata in documents for value in _values(metadata, one.key)]
        if not values:
            raise FilterError(f"filter {str(one)!r}: no document has the key {one.key}", _known(one.key, documents))
        dated = all(_DATE.fullmatch(_text(value)) for value in values)
        if (
            dated
            and one.operator not in ("=", "!=")
            and not (_DATE.fullmatch(one.value) or _YEAR.fullmatch(one.value))
        ):
            raise FilterError(
                f"filter {str(one)!r}: {one.key} holds dates, and {one.value} is none",
                f"write {one.key}{one.operator}YYYY-MM-DD",
            )


def _range(one: Filter) -> str:
    return one.value if one.operator == "=" else f"{one.operator}{one.value}"


def _known(key: str, documents: Iterable[Mapping[str, JSON]]) -> str:
    counts = Counter(name for metadata in documents for name in _keys(metadata) if name not in OWN_KEYS)
    names = [*OWN_KEYS, *(name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])))]
    near = difflib.get_close_matches(key, names, n=1)
    more = f" and {len(names) - SHOWN_KEYS} more" if len(names) > SHOWN_KEYS else ""
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}keys of this corpus: {', '.join(names[:SHOWN_KEYS])}{more}"


def _keys(metadata: Mapping[str, JSON], prefix: str = "") -> Iterator[str]:
    """Every key that holds a value, dotted inside mappings."""
    for key, value in metadata.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}"


def matches(
    filters: Iterable[Filter],
    *,
    path: str,
    title: str,
    format: str,
    metadata: Mapping[str, JSON],
    doc_version: str = "",
) -> bool:
    """Whether a document with these fields meets every filter.

    >>> matches(parse(["tags=api"]), path="a.md", title="A", format="markdown", metadata={"tags": ["api", "v2"]})
    True
    """
    versioned = [one for one in filters if one.key == "doc_version"]
    if not all(meets(doc_version, one.operator, one.value) for one in versioned):
        return False
    return all(_holds(one, path, title, format, metadata) for one in filters if one not in versioned)


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
    if _DATE.fullmatch(_text(value)) and (_DATE.fullmatch(wanted) or _YEAR.fullmatch(wanted)):
        return _text(value)[: len(wanted)] == wanted  # a day is in its month and its year
    return fnmatchcase(_text(value).casefold(), wanted.casefold())


def _ordered(value: JSON, operator: str, wanted: str) -> bool:
    left: Any
    right: Any
    left, right = _version(value), _version(wanted)
    if left is None or right is None:
        left, right = _number(value), _number(wanted)
    if left is None or right is None:
        left, right = _text(value).casefold(), wanted.casefold()
        dated = _DATE.fullmatch(_text(value)) is not None
        if _DATE.fullmatch(wanted) and not dated:
            return False
        left = left[: len(right)] if dated else left
    if operator == ">=":
        return bool(left >= right)
    if operator == "<=":
        return bool(left <= right)
    return bool(left > right if operator == ">" else left < right)


def _version(value: JSON) -> tuple[int, ...] | None:
    """Numbers of a version, which front matter holds as text: 2.10 is later than 2.9. A plain number is none."""
    match = _VERSION.fullmatch(value) if isinstance(value, str) else None
    return tuple(int(part) for part in match[1].split(".")) if match else None


def _number(value: JSON) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
