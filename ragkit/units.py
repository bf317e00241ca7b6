"""Split a passage into the units that can be quoted: sentences, list items, table rows, lines of code.

Knows plain text and the common marks of Markdown and reStructuredText; knows nothing of documents, models
or answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ragkit.domain import Span
from ragkit.sentences import sentences

UnitKind: TypeAlias = Literal["sentence", "item", "row", "code", "heading", "fence"]

_FENCE = re.compile(r"(```+(?![^`\n]*`)|~~~+)")
_HEADING = re.compile(r"#{1,6}\s+\S|([=~^\"'`*+#-])\1{2,}$")
_MARKER = re.compile(r"(?:[-*+•]|\d{1,3}[.)])[ \t]+(?=\S)")
_ROW = re.compile(r"\|.*\|$|.*\s\|\s.*\|")
MAX_CHARACTERS = 500
"""Longer units are cut at blanks: a quote is meant to be read."""
MAX_HEADING = 150
_RULE = re.compile(r"[\s|:+=-]+$")


@dataclass(frozen=True, slots=True)
class Unit:
    """`passage[start:end] == text`, never empty, without the marker of a list item."""

    start: int
    end: int
    kind: UnitKind
    text: str


def units(passage: str) -> list[Unit]:
    """The units of a passage, in order; they do not overlap, and what lies between them is blank or markup.

    >>> [(unit.kind, unit.text) for unit in units("Two ways. Choose:\\n\\n- pip\\n- apt\\n")]
    [('sentence', 'Two ways.'), ('sentence', 'Choose:'), ('item', 'pip'), ('item', 'apt')]
    """
    found: list[Unit] = []
    fence = ""
    for start, end in sentences(passage):
        text = passage[start:end]
        mark = _FENCE.match(text)
        if mark and (not fence or mark[1].startswith(fence)):
            kind: UnitKind = "fence"
            fence = "" if fence else mark[1]
        else:
            kind = _kind(passage, start, text, inside=bool(fence))
        if kind == "item" and (marker := _MARKER.match(text)):
            start, text = start + marker.end(), text[marker.end() :]
        if not (kind == "row" and _RULE.match(text)):
            found.extend(Unit(a, b, kind, passage[a:b]) for a, b in _short(passage, start, end))
    return found


def contents(passage: str) -> list[Unit]:
    """The units that say something: all but the marks around code.

    >>> [unit.text for unit in contents("Run:\\n\\n```\\nmake demo\\n```\\n")]
    ['Run:', 'make demo']
    """
    return [unit for unit in units(passage) if unit.kind != "fence"]


def _short(passage: str, start: int, end: int) -> Iterator[Span]:
    while end - start > MAX_CHARACTERS:
        cut = max(
            passage.rfind(" ", start + 1, start + MAX_CHARACTERS),
            passage.rfind("\n", start + 1, start + MAX_CHARACTERS),
        )
        cut = cut if cut > start else start + MAX_CHARACTERS
        yield start, cut
        start = cut + (len(passage[cut:end]) - len(passage[cut:end].lstrip()))
    if start < end:
        yield start, end


def _kind(passage: str, start: int, text: str, *, inside: bool) -> UnitKind:
    if inside:
        return "code"
    if _HEADING.match(text) and len(text) <= MAX_HEADING:
        return "heading"
    if _ROW.match(text):
        return "row"
    if _MARKER.match(text):
        return "item"
    line = passage.rfind("\n", 0, start) + 1
    indented = passage[line:start].isspace() and passage[line:start].expandtabs(4).count(" ") >= 4
    return "code" if indented and "\n" not in text and not text.endswith((".", "!", "?")) else "sentence"
