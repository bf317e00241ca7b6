"""Front matter: the YAML or TOML head of a page, as JSON-serialisable metadata.

Knows YAML (door of PyYAML) and TOML; never builds an object that is not plain data.
"""

from __future__ import annotations

import datetime
import math
import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from ragkit.domain import JSON

_HEAD = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)(?:^\1[ \t]*(?:\n|\Z)|^\.\.\.[ \t]*(?:\n|\Z))", re.M | re.S)
_KEY = re.compile(r"\s*(?:#[^\n]*\n\s*)*[\w\"'.-]+[ \t]*[:=]")
_UNLIKE = re.compile(r"^(?![\s#}\]-]|[\w\"'.-]+[ \t]*[:=]|\[)[^\n]", re.M)
_SIMPLE = re.compile(r"^([\w.-]+)[ \t]*[:=][ \t]*(\S[^\n]*)$", re.M)
_DATES = ("date", "lastmod", "last_modified", "last_updated", "updated", "modified", "published", "pubdate")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z| ?[+-]\d\d:?\d\d)?)?")
_LARGEST = 64 * 1024
_MOST_VALUES = 2_000
_DEEPEST = 12


class FrontMatter(NamedTuple):
    """The head of a page. `end` is the offset of the first character after it, 0 where there is none."""

    metadata: dict[str, JSON]
    end: int
    complaint: str = ""
    """What is wrong with it, for the user."""


def front_matter(text: str) -> FrontMatter:
    """What stands at the head of a page.

    A head that its own format rejects still counts as one when it starts with a key: its plain
    `key: value` lines are kept.
    """
    match = _HEAD.match(text)
    if not match or (match[2].strip() and not _KEY.match(match[2])):
        return FrontMatter({}, 0)
    raw, complaint = match[2], ""
    try:
        values = _parse(raw, toml=match[1] == "+++")
    except ValueError as error:
        if _UNLIKE.search(raw):  # a rule, a paragraph that starts "Note:", another rule
            return FrontMatter({}, 0)
        values = {key: value.strip("\"' ") for key, value in _SIMPLE.findall(raw[:_LARGEST])}
        complaint = f"front matter is {error}; only plain lines of it were read"
    metadata = plain(values)
    return FrontMatter(with_date(metadata if isinstance(metadata, dict) else {}), match.end(), complaint)


def with_date(metadata: dict[str, JSON]) -> dict[str, JSON]:
    """`metadata` with "date" as an ISO 8601 string, where any of the usual keys gives one."""
    for key in _DATES:
        value = next((value for name, value in metadata.items() if name.lower() == key), None)
        if date := iso_date(value):
            return {**metadata, "date": date}
    return metadata


def iso_date(value: object) -> str:
    """The ISO 8601 date (and time) at the head of a string, or "".

    >>> iso_date("2024-05-01T10:00:00Z and more"), iso_date("May 2024")
    ('2024-05-01T10:00:00Z', '')
    """
    match = _ISO.match(value.strip()) if isinstance(value, str) else None
    return match[0] if match else ""


def plain(value: Any) -> JSON:
    """The value as JSON can hold it: dates as ISO strings, keys as strings, bounded in size and depth."""
    return _plain(value, [_MOST_VALUES], _DEEPEST)


def _plain(value: Any, budget: list[int], depth: int) -> JSON:
    budget[0] -= 1  # aliases may repeat a value without end
    if budget[0] < 0 or depth < 0:
        return None
    if value is None or isinstance(value, bool | int):
        return value if not isinstance(value, int) or abs(value) < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {
            str(_plain(k, budget, depth - 1)): _plain(v, budget, depth - 1) for k, v in value.items() if budget[0] > 0
        }
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(item, budget, depth - 1) for item in items if budget[0] > 0]
    return _plain(str(value), budget, depth)


def _parse(raw: str, *, toml: bool) -> Mapping[str, Any]:
    """Raises ValueError with what is wrong."""
    if len(raw) > _LARGEST:
        raise ValueError(f"larger than {_LARGEST // 1024} KiB")
    if toml:
        try:
            return tomllib.loads(raw)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            raise ValueError(f"no valid TOML: {error}") from error
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        values = yaml.load(raw, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 2}: " if error.problem_mark else ""  # the head's first is ---
        raise ValueError(f"no valid YAML: {line}{error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no valid YAML: {' '.join(str(error).split())[:100]}") from error
    if values is not None and not isinstance(values, Mapping):
        raise ValueError("no valid YAML: not keys and values")
    return values or {}
