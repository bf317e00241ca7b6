"""Whole numbers as English words.

Knows how the numbers below a hundred are spelt; knows nothing of what they count.
"""

from __future__ import annotations

import re
from functools import cache

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def spelt_out(number: int, plain: str) -> bool:
    """Whether a folded text has a number in words.

    >>> spelt_out(25, "twenty-five pods"), spelt_out(5, "twenty-five pods"), spelt_out(20, "twenty five pods")
    (True, False, False)
    >>> spelt_out(15, "fifteen of them"), spelt_out(100, "one hundred")
    (True, False)
    """
    return number < 100 and bool(_pattern(number).search(plain))


@cache
def _pattern(number: int) -> re.Pattern[str]:
    tens, unit = divmod(number, 10)
    if number < 20:
        return re.compile(rf"(?<![\w-])(?<!ty ){(*_UNITS, *_TEENS)[number]}(?!\w)")
    if not unit:
        return re.compile(rf"(?<!\w){_TENS[tens - 2]}(?!\w)(?![- ](?:{'|'.join(_UNITS[1:])})\b)")
    return re.compile(rf"(?<!\w){_TENS[tens - 2]}[- ]{_UNITS[unit]}(?!\w)")
