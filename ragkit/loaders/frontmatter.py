"""Front matter: the YAML or TOML head of a page, as JSON-serialisable metadata.

Knows YAML (door of PyYAML) and TOML; never builds an object that is not plain data.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

from ragkit import dates
from ragkit.domain import JSON

_HEAD = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?)(?:^\1[ \t]*(?:\n|\Z)|^\.\.\.[ \t]*(?:\n|\Z))", re.M | re.S)
_KEY = re.compile(r"\s*(?:#[^\n]*\n\s*)*(?:[\w@\"'.-]+|\"[^\"\n]+\"|'[^'\n]+')[ \t]*[:=]")
_COMMENTS = re.compile(r"(?:[ \t]*(?:#[^\n]*)?(?:\n|\Z))+")
_WORD = r"[\w@\"'.-]+"
_UNLIKE = re.compile(rf"^(?![\s#}}\]-]|{_WORD}(?:[ ]{_WORD}){{0,2}}[ \t]*[:=]|\[)[^\n]", re.M)
_SIMPLE = re.compile(r"^([\w.-]+)[ \t]*[:=][ \t]*(\S[^\n]*)$", re.M)
_COMMENT = re.compile(r"\s+#.*")
_OPEN = re.compile(r"\A---[ \t]*\n(?:[\w.-]+:(?:[ \t][^\n]*)?\n){2,}")
_DATES = ("date", "lastmod", "last_modified", "last_updated", "updated", "modified", "published", "pubdate")
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z| ?[+-]\d\d:?\d\d)?)?")
_LARGEST = 64 * 1024
_MOST_NESTED = 100
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
    if not match:
        return FrontMatter({}, 0, "front matter is not closed by ---, so it is text" if _OPEN.match(text) else "")
    raw, toml, complaint = match[2], match[1] == "+++", ""
    if _COMMENTS.fullmatch(raw):
        return FrontMatter({}, match.end())
    plainly = _KEY.match(raw) is not None
    try:
        values = _parse(raw, toml=toml)
    except ValueError as error:
        simple = _SIMPLE.findall(raw[:_LARGEST])
        # A rule, a paragraph that starts "Note:", a rule.
        if not plainly or len(_UNLIKE.findall(raw)) >= max(1, len(simple) - 1):
            return FrontMatter({}, 0)
        values = {key: _scalar(value) for key, value in simple}
        complaint = f"front matter is {error}; only plain lines of it were read"
    else:
        # Where the first key has several words, one of the others is plain, or it is prose.
        if not plainly and (len(values) < 2 or not _SIMPLE.search(raw)):
            return FrontMatter({}, 0)
    metadata = plain(values)
    return FrontMatter(with_date(metadata if isinstance(metadata, dict) else {}), match.end(), complaint)


def _scalar(written: str) -> str:
    """A value of a line that nothing parsed: without quotation marks, or a comment behind it."""
    value = written.strip()
    return value.strip("\"' ") if value[:1] in "\"'" else _COMMENT.sub("", value)


def with_date(metadata: dict[str, JSON]) -> dict[str, JSON]:
    """`metadata` with "date" in ISO 8601, if any of the usual keys is a date; its own date comes first."""
    named = {name.lower(): value for name, value in reversed(metadata.items())}
    for key in _DATES:
        if date := iso_date(named.get(key)):
            return {**metadata, "date": date}
        if key == "date" and named.get(key) not in (None, ""):
            return metadata  # to be settled, say
    return metadata


def iso_date(value: object) -> str:
    """The date (and time) that a string is or begins with, in ISO 8601, or "".

    >>> iso_date("2024-05-01T10:00:00Z and more"), iso_date("March 5, 2024"), iso_date("May 2024"), iso_date("soon")
    ('2024-05-01T10:00:00Z', '2024-03-05', '2024-05', '')
    """
    if not isinstance(value, str):
        return ""
    if match := _ISO.match(value.strip()):
        return match[0]
    date = dates.read(value)
    return "-".join(f"{part:02}" for part in date.calendar) if date else ""


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
    """Raises ValueError with what is wrong, and in which line of the file."""
    if len(raw) > _LARGEST:
        raise ValueError(f"larger than {_LARGEST // 1024} KiB")
    if toml:
        try:
            return tomllib.loads(raw)
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
            message = re.sub(r"(?<=at line )\d+", lambda match: str(int(match[0]) + 1), str(error))
            raise ValueError(f"no valid TOML: {message}") from error
    if _nesting(raw) > _MOST_NESTED:  # the parser in C would crash
        raise ValueError("no valid YAML: nested too deeply")
    import yaml

    try:
        values = yaml.load(raw, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 2}: " if error.problem_mark else ""  # the head's first is ---
        raise ValueError(f"no valid YAML: {line}{error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no valid YAML: {' '.join(str(error).split())[:100]}") from error
    if values is not None and not isinstance(values, Mapping):
        raise ValueError("no valid YAML: not keys and values")
    return values or {}


def _nesting(raw: str) -> int:
    depth = deepest = 0
    for character in re.findall(r"[\[\]{}]", raw):
        depth += 1 if character in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


@functools.cache
def _loader() -> Any:
    """PyYAML's safe loader, to which 2024-02-30 is text, since there is no such day."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        def construct_date(self, node: Any) -> Any:
            try:
                return self.construct_yaml_timestamp(node)
            except (ValueError, OverflowError):
                return self.construct_scalar(node)

    Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_date)
    return Loader
