"""Times of day in a text, and whether two of them are the same.

Knows how hours and minutes are written with and without a.m. and p.m.; knows nothing of dates, zones or durations.
"""

from __future__ import annotations

import re

_CLOCK = r"(?<![\w.:])(\d{1,2})(?::(\d{1,2}))?(?![\d:])(?:\s?([ap])\.?m\b\.?)?"
_TIME = re.compile(_CLOCK, re.IGNORECASE)
_RANGE = re.compile(rf"{_CLOCK}\s*(?:-|–|to|and|until|till)\s*{_CLOCK}", re.IGNORECASE)
_HALF_DAY = 12 * 60


def times_in(text: str) -> list[str]:
    """The times of day as they are written: hours with minutes, with a.m. or p.m., or with both.

    >>> times_in("Backups run from 8 to 9:30 pm, at 21:00 and on 3 hosts.")
    ['9:30 pm', '21:00']
    """
    return [match[0].strip() for match in _TIME.finditer(text) if _minutes(match.groups()) is not None]


def without_times(text: str) -> str:
    """The text with a blank in place of every time of day."""
    return _TIME.sub(lambda match: match[0] if _minutes(match.groups()) is None else " ", text)


def is_time(text: str) -> bool:
    """Whether the whole of a text is a time of day."""
    match = _TIME.fullmatch(text)
    return match is not None and _minutes(match.groups()) is not None


def same_time(time: str, text: str) -> bool:
    """Whether a text has the time, however it is spelt. A time without a.m. or p.m. may be either in the text.

    >>> same_time("8:00 pm", "open 11:0-20:0"), same_time("8:00", "at 8 p.m."), same_time("8 pm", "at 8:00")
    (True, True, False)
    >>> same_time("8 pm", "from 8 to 10 pm")
    True
    """
    match = _TIME.fullmatch(time)
    wanted = match and _minutes(match.groups())
    if match is None or wanted is None:
        return False
    either = {wanted} if match[3] or wanted >= _HALF_DAY else {wanted, wanted + _HALF_DAY}
    return not either.isdisjoint(_all_minutes(text))


def _all_minutes(text: str) -> set[int]:
    """Minutes after midnight of every time in the text; "8 to 10 pm" begins at 8 pm."""
    found = {_minutes(match.groups()) for match in _TIME.finditer(text)}
    for match in _RANGE.finditer(text):
        first, second = match.groups()[:3], match.groups()[3:]
        if second[2] and not first[2]:
            found.add(_minutes((*first[:2], second[2])))
    return {minutes for minutes in found if minutes is not None}


def _minutes(groups: tuple[str | None, ...]) -> int | None:
    """Minutes after midnight, or None for what is no time of day: a bare number, or hours past 24."""
    hour, minute, half = int(groups[0] or 0), int(groups[1] or 0), (groups[2] or "").lower()
    bare = groups[1] is None and not half
    if bare or minute > 59 or hour > (12 if half else 24) or (half and not hour):
        return None
    return (hour % 12 + (12 if half == "p" else 0) if half else hour) * 60 + minute
