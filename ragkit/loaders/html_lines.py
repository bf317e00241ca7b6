"""Which source line each text node of a parsed HTML page comes from.

A parser that gives no positions still gives its text nodes in order; so does a scan of the source between
its tags. Pairing the two sequences is a monotone alignment. Knows strings only, no parser.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence

# Every alternative stops at "<" or at the end of the text, so that hostile input costs linear time.
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<raw>script|style|textarea|title|xmp|iframe|noembed|noframes)\b[^>]*>(?P<body>.*?)(?=</(?P=raw)|\Z)"
    r"|</?[a-zA-Z](?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*+>|</?[a-zA-Z][^<>]*>|<[!?/][^<>]*>",
    re.S | re.I,
)
_UNESCAPED = ("script", "style", "xmp", "iframe", "noembed", "noframes")
_NEAR = 300
"""How many pieces of source text a lost alignment may skip before it looks back instead."""


def source_lines(source: str, texts: Sequence[str]) -> list[int]:
    """1-based source line of the first character of each text, in document order.

    >>> source_lines("<p>one\\n<b>two</b>\\n three", ["one\\n", "two", "\\n three"])
    [1, 2, 2]
    """
    starts = [match.start() for match in re.finditer("\n", source)]
    pieces = _pieces(source)
    where: dict[str, list[int]] = {}
    lines: list[int] = []
    at = 0
    line = 1
    for text in texts:
        key = text.strip()
        if not key:
            lines.append(line)
            line = min(line + text.count("\n"), len(starts) + 1)
            continue
        if at < len(pieces) and pieces[at][1] == key:
            found = at
        else:
            where = where or _index(pieces)
            found = _nearest(where.get(key), at)
            if found < 0 and at < len(pieces) and key.startswith(pieces[at][1]):
                found = at
            if found < 0:
                lines.append(line)
                continue
        offset, piece, _ = pieces[found]
        line = bisect_right(starts, offset - 1) + 1
        lines.append(line - text[: len(text) - len(text.lstrip())].count("\n"))
        at = found + 1
        if piece != key:
            at = _merged(pieces, at, key[len(piece) :])
        line = min(line + key.count("\n"), len(starts) + 1)
    return lines


def _pieces(source: str) -> list[tuple[int, str, int]]:
    """(offset of the first non-blank character, stripped text, end) of every piece of text in the source."""
    pieces: list[tuple[int, str, int]] = []

    def add(start: int, end: int, *, escaped: bool = True) -> None:
        raw = source[start:end]
        text = html.unescape(raw) if escaped and "&" in raw else raw
        if stripped := text.strip():
            pieces.append((start + len(raw) - len(raw.lstrip()), stripped, end))

    cursor = 0
    for match in _MARKUP.finditer(source):
        if match.start() > cursor:
            add(cursor, match.start())
        if raw := match["raw"]:
            add(*match.span("body"), escaped=raw.lower() not in _UNESCAPED)
        cursor = match.end()
    add(cursor, len(source))
    return pieces


def _index(pieces: Sequence[tuple[int, str, int]]) -> dict[str, list[int]]:
    where: dict[str, list[int]] = defaultdict(list)
    for number, (_, text, _) in enumerate(pieces):
        where[text].append(number)
    return dict(where)


def _nearest(places: Sequence[int] | None, at: int) -> int:
    """The next place at or after `at`; one before it where the next is far; -1 for none."""
    if not places:
        return -1
    after = bisect_left(places, at)
    if after < len(places) and (places[after] - at <= _NEAR or after == 0):
        return places[after]
    return places[after - 1]


def _merged(pieces: Sequence[tuple[int, str, int]], at: int, rest: str) -> int:
    """A parser joins texts over a tag that it ignores: step over the pieces that make up the rest."""
    rest = rest.lstrip()
    while rest and at < len(pieces) and rest.startswith(pieces[at][1]):
        rest = rest[len(pieces[at][1]) :].lstrip()
        at += 1
    return at
