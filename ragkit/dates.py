"""Dates as people write them in front matter, read and compared.

Pure. Knows English and ISO 8601 spellings; knows nothing of documents, keys or filters.

    2024, 2024-03, 2024-03-05, 2024/3/5    a year, a month, a day; 20240305, too
    2024-03-05T10:00:00+01:00              a moment; without a zone, or with one that is only named, in UTC
    05.03.2024                             the day, then the month
    March 5, 2024; Tue, 5 Mar 2024         also 5th of March 2024, and March 2024

03/05/2024 is no date: it is in March to some, and in May to others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

HALF_DAY = 12
"""Hours."""
LONGEST = 64
"""No date has more characters."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|"
    r"oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
)
_YEAR = r"(?P<year>\d{4})"
_DAY = r"(?P<day>\d{1,2})"
_NTH = rf"{_DAY}(?:st|nd|rd|th)?"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
_TIME = (
    r"(?:(?:T|,?\s+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"(?:\s*(?P<half>[ap])\.?m\b\.?)?(?:\s*(?:(?P<zone>[+-]\d\d(?::?\d\d)?)|[a-z]{1,5}))?)?"
)
_SPELLINGS = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        rf"{_YEAR}(?:[-/](?P<month>\d{{1,2}}))?",
        rf"{_YEAR}(?P<joint>[-/.])(?P<month>\d{{1,2}})(?P=joint){_DAY}{_TIME}",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
        rf"{_DAY}\.\s?(?P<month>\d{{1,2}})\.\s?{_YEAR}{_TIME}",
        rf"{_WEEKDAY}{_MONTH}\s+{_NTH},?\s+{_YEAR}{_TIME}",
        rf"{_WEEKDAY}{_NTH}(?:\s+of)?[\s-]+{_MONTH}[\s,-]\s*{_YEAR}{_TIME}",
        rf"{_MONTH},?\s+{_YEAR}",
    )
)


@dataclass(frozen=True, slots=True)
class Date:
    """A year, a month, a day or a moment, as exact as it was written."""

    calendar: tuple[int, ...]
    """Year, month and day, as far as they are given."""
    moment: tuple[int, ...] = ()
    """The calendar and the time of day in UTC, as far as it is given; empty where it is not."""

    def against(self, other: Date) -> int:
        """-1, 0 or 1: before the other, in it, or after it; a month holds its days, and a year its months.

        >>> [read(written).against(read("2024-03")) for written in ("2024-02-29", "March 31, 2024", "1.4.2024")]
        [-1, 0, 1]
        """
        mine = self.moment if self.moment and other.moment else self.calendar
        there = other.moment or other.calendar
        mine = mine[: len(there)]
        return (mine > there) - (mine < there)


def read(text: str) -> Date | None:
    """The date that a text is, and nothing else beside it; None where it is none.

    >>> read("2024-3-5") == read("March 5, 2024") == read("05.03.2024")
    True
    >>> read("2024-02-30"), read("yesterday"), read("March 2024")
    (None, None, Date(calendar=(2024, 3), moment=()))
    """
    return _read(text.strip()) if len(text) <= LONGEST else None


@lru_cache(maxsize=20_000)  # the documents of a corpus are asked again by every search
def _read(text: str) -> Date | None:
    for spelling in _SPELLINGS:
        if match := spelling.fullmatch(text):
            try:
                return _date(match.groupdict())
            except (ValueError, OverflowError):  # there is no such day, or it is at the end of all time
                return None
    return None


def _date(found: dict[str, str | None]) -> Date:
    """Raises ValueError or OverflowError where there is no such day or time."""
    name, zone, fraction = found.get("name"), found.get("zone"), found.get("fraction")
    number = _MONTHS.index(name[:3].casefold()) + 1 if name else found.get("month")
    calendar = tuple(int(part) for part in (found["year"], number, found.get("day")) if part is not None)
    clock = tuple(int(part) for part in map(found.get, ("hour", "minute", "second")) if part is not None)
    if clock and found.get("half"):
        if not 1 <= clock[0] <= HALF_DAY:
            raise ValueError(f"{clock[0]} o'clock is in neither half of a day")
        clock = (clock[0] % HALF_DAY + (HALF_DAY if found["half"] in "pP" else 0), *clock[1:])  # type: ignore[operator]
    if fraction:
        clock = (*clock, int(fraction[:6].ljust(6, "0")))
    year, month, day = (*calendar, 1, 1)[:3]
    hour, minute, second, microsecond = (*clock, 0, 0, 0, 0)[:4]
    when = datetime(year, month, day, hour, minute, second, microsecond)
    if not clock:
        return Date(calendar)
    if zone:
        when -= timedelta(hours=int(zone[:3]), minutes=int(zone[0] + (zone[3:].lstrip(":") or "0")))
    parts = (when.year, when.month, when.day, when.hour, when.minute, when.second, when.microsecond)
    return Date(calendar, parts[: 3 + len(clock)])
