"""Filters on documents: `key=value` expressions parsed, checked against a corpus, and tried on a document's fields.

Pure. Knows expressions and plain values; knows nothing of the store, chunks or indexes.

    path=guides/*.md      glob over the whole path; `*` also crosses folders
    title=install*        glob, case ignored
    format=markdown       likewise; `type` is another word for it, unless the front matter has a `type`
    date>=2024-01-01      any front-matter key, with = != < <= > >=; numbers, dates and versions compare as such
    date=2024-03          a month or a year holds its days; dates.py tells which spellings are dates
    author.name=Ada       a key inside a mapping; a list matches when one of its values does
    tags!=draft           holds, too, where the key is missing
    "my key"=x            a key with blanks or operators in it
    doc_version>=1.29     the version that the document was found to be about; 1.29 holds 1.29.3
"""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ragkit import dates
from ragkit.dates import Date
from ragkit.domain import JSON
from ragkit.errors import FilterError
from ragkit.versions import KEYS as VERSION_KEYS
from ragkit.versions import is_written, meets, order

_BARE_KEY = r"[^\s=!<>\"']+"
_EXPRESSION = re.compile(rf"""\s*(?:({_BARE_KEY})|"([^"]+)"|'([^']+)')\s*(!=|>=|<=|=|<|>)\s*(.*?)\s*""", re.DOTALL)
_ISO_DATE = re.compile(r"\d{4}-\d.*")
_DATE_NAME = re.compile(
    r"(?:.*[._-])?(?:last[_-]?|date)?(?:date|lastmod|modified|updated|created|published|pubdate|released|reviewed)"
    r"(?:[_-]?(?:at|on|date|time))?",
    re.IGNORECASE | re.DOTALL,
)
_VERSION = re.compile(r"[vV]?(\d+(?:\.\d+)+)")
_WILDCARDS = re.compile(r"[*?\[]")
_HINT = 'write key=value, "a key"=value, path=GLOB, format=NAME or date>=2024-01-01'
OWN_KEYS = ("path", "title", "format", "type")
"""Keys that every document has; the others are those of its front matter, and `doc_version`."""
SHOWN_KEYS = 20
"""Keys that an error names, the commonest first."""
FEW_VALUES = 12
"""Up to so many different values of a key are named where a filter asks for another one."""
SHORT_VALUE = 40
"""A key with a value of more characters holds prose, and its values are not named."""


class Fields(NamedTuple):
    """What filters look at of a document."""

    path: str
    title: str
    format: str
    metadata: Mapping[str, JSON]
    doc_version: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a document: `key operator value`."""

    key: str
    operator: str
    value: str
    date: Date | None = field(default=None, repr=False, compare=False)
    """What `value` is where it is compared as a date."""

    def __str__(self) -> str:
        return f"{_written(self.key)}{self.operator}{self.value}"


def _written(key: str) -> str:
    """A key as an expression holds it; "" where none can hold it, because it has both kinds of quotation marks."""
    if re.fullmatch(_BARE_KEY, key):
        return key
    return next((f"{mark}{key}{mark}" for mark in "\"'" if mark not in key), "")


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
        bare, *quoted, operator, value = match.groups()
        key = bare or next(filter(None, quoted))
        if value[:1] in ("=", "<", ">"):
            raise FilterError(
                f"filter {expression!r} has the operator {operator}{value[0]}, which there is not", _HINT
            )
        if not value and operator not in ("=", "!="):
            raise FilterError(f"filter {expression!r} compares with nothing", _HINT)
        if key in ("path", "title") and operator not in ("=", "!="):
            raise FilterError(f"filter {expression!r}: {key} has no order", f"use {key}= or {key}!=")
        if key == "doc_version" and not is_written(value):
            raise FilterError(
                f"filter {expression!r} names no version", "write doc_version=1.29 or doc_version>=1.28"
            )
        found.append(Filter(key, operator, value, _date(value, dated=_DATE_NAME.fullmatch(key) is not None)))
    return tuple(found)


def _date(value: str, *, dated: bool) -> Date | None:
    """What a filter's value is as a date; where the key need not hold dates, only what could be nothing else."""
    return dates.read(value) if dated or _ISO_DATE.fullmatch(value) else None


# ---------------------------------------------------------------- a corpus and what can be asked of it


def checked(
    filters: Iterable[Filter], documents: Sequence[Mapping[str, JSON]], versions: Iterable[str] = ()
) -> tuple[Filter, ...]:
    """The filters, each as a date where its key holds dates, given the front matter of every document.

    Raises FilterError for what could only be a slip, as it holds for no document, or for all of them: a key that no
    front matter has, a date that is none, a version that is not among `versions`.
    """
    known = set(versions)
    return tuple(_checked(one, documents, known) for one in filters)


def _checked(one: Filter, documents: Sequence[Mapping[str, JSON]], versions: set[str]) -> Filter:
    asked = "=" if one.operator == "!=" else one.operator  # to leave out what there is not is a slip
    if one.key == "doc_version" and not any(meets(version, asked, one.value) for version in versions):
        names = sorted(versions, key=order, reverse=True)
        shown = ", ".join(names[:SHOWN_KEYS]) or "none was found in paths, front matter or change logs"
        raise FilterError(f"no document is of version {_range(one)}", f"versions of this corpus: {shown}")
    if one.key in (*OWN_KEYS, "doc_version"):
        return one
    values = [value for metadata in documents for value in _values(metadata, one.key)]
    if not values:
        raise _unknown(one, documents)
    certain = _certain_dates(values)
    dated = 2 * certain > len(values) or _is_named_for_dates(one, values)
    date = _date(one.value, dated=dated or (certain > 0 and one.operator in ("=", "!=")))
    if dated and date is None and not _is_text_of(one, values):
        form = f"{_written(one.key)}{one.operator}"
        raise FilterError(
            f"filter {str(one)!r}: {one.key} holds dates, and {one.value or 'nothing'} is none",
            f"write {form}YYYY-MM-DD, {form}YYYY-MM or {form}YYYY",
        )
    counted = 2 * sum(_number(value) is not None for value in values) > len(values)
    if counted and date is None and one.operator not in ("=", "!=") and not _has_order(one):
        form = f"{_written(one.key)}{one.operator}"
        raise FilterError(f"filter {str(one)!r}: {one.key} holds numbers, and {one.value} is none", f"write {form}3")
    return replace(one, date=date)


def _has_order(one: Filter) -> bool:
    """Whether a filter's value is a number, or a version."""
    return _number(one.value) is not None or _version(one.value, one.key) is not None


def _certain_dates(values: Iterable[JSON]) -> int:
    """How many values are dates, and could not be numbers or versions."""
    times = Counter(value for value in values if isinstance(value, str))
    return sum(times[text] for text in times if dates.read(text) and _number(text) is None and not _version(text))


def _is_named_for_dates(one: Filter, values: Iterable[JSON]) -> bool:
    """Whether a filter's key should hold dates, by its name.

    The name alone is no proof: `published: true` is no date, but has no other order either; `updated: 3` is a number.
    """
    if one.key in VERSION_KEYS or not _DATE_NAME.fullmatch(one.key):
        return False
    in_order = one.operator not in ("=", "!=") and any(_number(value) is None for value in values)
    return in_order or any(dates.read(_text(value)) for value in values)


def _is_text_of(one: Filter, values: Iterable[JSON]) -> bool:
    """Whether a filter asks for text: a glob, or the very words of a value that is no date."""
    if one.operator not in ("=", "!="):
        return False
    wanted = one.value.casefold()
    return bool(_WILDCARDS.search(wanted)) or any(_text(value).casefold() == wanted for value in values)


def _range(one: Filter) -> str:
    return one.value if one.operator == "=" else f"{one.operator}{one.value}"


def _unknown(one: Filter, documents: Sequence[Mapping[str, JSON]]) -> FilterError:
    counts = Counter(name for metadata in documents for name in _keys(metadata) if name not in OWN_KEYS)
    names = [*OWN_KEYS, *(name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])))]
    inside = [name for name in names if name.startswith(f"{one.key}.")]
    if inside:
        meant = " or ".join(map(_written, inside[:SHOWN_KEYS]))
        return FilterError(f"filter {str(one)!r}: {one.key} has keys of its own, and no value", f"ask for {meant}")
    near = difflib.get_close_matches(one.key, names, n=1)
    more = f" and {len(names) - SHOWN_KEYS} more" if len(names) > SHOWN_KEYS else ""
    meant = f"did you mean {_written(near[0])}? " if near else ""
    shown = ", ".join(map(_written, names[:SHOWN_KEYS]))
    return FilterError(
        f"filter {str(one)!r}: no document has the key {one.key}", f"{meant}keys of this corpus: {shown}{more}"
    )


def _keys(metadata: Mapping[str, JSON], prefix: str = "") -> set[str]:
    """Every key that holds a value and can be written and shown, dotted inside mappings."""
    found = set()
    for key, value in metadata.items():
        name = f"{prefix}{key}"
        if _scalars(value) and _written(name) and name.isprintable():
            found.add(name)
        for inner in _items(value):
            if isinstance(inner, Mapping):
                found |= _keys(inner, f"{name}.")
    return found


def unmet(filters: Sequence[Filter], documents: Sequence[Fields]) -> tuple[str, ...]:
    """What to tell a user whose filters no document meets: which ones those are, and what values there are.

    >>> unmet(parse(["type=pdf"]), [Fields("a.md", "A", "markdown", {}), Fields("b.txt", "B", "text", {})])
    ('no document has type=pdf; type is markdown or text',)
    """
    alone = [one for one in filters if not any(matches([one], document) for document in documents)]
    if not alone:
        return (f"no document meets all of the filters {', '.join(map(str, filters))}",)
    return tuple(_never_met(one, documents) for one in alone)


def _never_met(one: Filter, documents: Iterable[Fields]) -> str:
    if one.operator == "!=":
        return f"every document has {replace(one, operator='=')}"
    if one.key in ("path", "title", "doc_version"):
        return f"no document has {one}"
    counts = Counter(_text(value) for document in documents for value in _asked(document, one.key))
    names = sorted(counts, key=lambda name: (-counts[name], name))
    if not 0 < len(names) <= FEW_VALUES or not all(map(_may_be_shown, names)):
        return f"no document has {one}"
    *first, last = (f'"{name}"' if "," in name or not name else name for name in names)
    return f"no document has {one}; {one.key} is {', '.join(first)}{' or ' if first else ''}{last}"


def _may_be_shown(value: str) -> bool:
    """A document may hold anything, and what steers a terminal is not for one."""
    return len(value) <= SHORT_VALUE and value.isprintable()


# ---------------------------------------------------------------- one document


def matches(filters: Iterable[Filter], document: Fields) -> bool:
    """Whether a document meets every filter.

    >>> matches(parse(["tags=api"]), Fields("a.md", "A", "markdown", {"tags": ["api", "v2"]}))
    True
    """
    return all(_holds(one, document) for one in filters)


def _holds(one: Filter, document: Fields) -> bool:
    if one.key == "doc_version":
        return meets(document.doc_version, one.operator, one.value)
    if one.key == "path":
        return _like(document.path, one.value) == (one.operator == "=")
    values = _asked(document, one.key)
    if one.operator == "!=":
        return not any(_equal(value, one) for value in values)
    if one.operator == "=":
        return any(_equal(value, one) for value in values)
    return any(_ordered(value, one) for value in values)


def _asked(document: Fields, key: str) -> list[JSON]:
    """The values of a document that a key other than path and doc_version stands for."""
    if key == "title":
        return [document.title]
    if key == "format" or (key == "type" and "type" not in document.metadata):
        return [document.format]
    return _values(document.metadata, key)


def _values(metadata: Mapping[str, JSON], key: str) -> list[JSON]:
    """The scalars under a key, dotted keys reaching into mappings, and lists standing for each of their values."""
    if found := _scalars(metadata.get(key)):
        return found
    for at in (at for at, character in enumerate(key) if character == "."):
        for inner in _items(metadata.get(key[:at])):
            if isinstance(inner, Mapping):
                found += _values(inner, key[at + 1 :])
    return found


def _scalars(value: JSON) -> list[JSON]:
    return [one for one in _items(value) if not isinstance(one, Mapping)]


def _items(value: JSON) -> list[JSON]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _text(value: JSON) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equal(value: JSON, one: Filter) -> bool:
    if one.date is not None and (date := dates.read(_text(value))):
        return date.against(one.date) == 0
    version, wanted = _version(value, one.key), _version(one.value, one.key)
    if version is not None and wanted is not None:
        return version == wanted
    number, other = _number(value), _number(one.value)
    if number is not None and other is not None:
        return number == other
    return _like(_text(value).casefold(), one.value.casefold())


def _like(text: str, pattern: str) -> bool:
    """Whether a text is what a filter asks for, by the letter, as pages/[id].md may be, or as a glob."""
    return text == pattern or fnmatchcase(text, pattern)


def _ordered(value: JSON, one: Filter) -> bool:
    left: Any
    right: Any
    if one.date is not None:
        date = dates.read(_text(value))
        if date is None:
            return False
        left, right = date.against(one.date), 0
    else:
        left, right = _version(value, one.key), _version(one.value, one.key)
        if left is None or right is None:
            left, right = _number(value), _number(one.value)
        if left is None or right is None:
            left, right = _text(value).casefold(), one.value.casefold()
    if one.operator == ">=":
        return bool(left >= right)
    if one.operator == "<=":
        return bool(left <= right)
    return bool(left > right if one.operator == ">" else left < right)


def _version(value: JSON, key: str = "") -> tuple[int, ...] | None:
    """Numbers of a version, which front matter holds as text: 2.10 is later than 2.9. A plain number is none, but
    under a key that is there for versions 1.9 without quotation marks is one."""
    if key in VERSION_KEYS and isinstance(value, float):
        value = str(value)
    match = _VERSION.fullmatch(value) if isinstance(value, str) else None
    return tuple(int(part) for part in match[1].split(".")) if match else None


def _number(value: JSON) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None  # Nan is somebody's name
