"""What all loaders share: offsets of lines, paragraphs, sections from headings, slugs.

Pure functions over text; knows no format and no library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ragkit.domain import Block, BlockKind, Section, Span
from ragkit.text import trim

LIMIT = 8_000
"""Longest block, in characters, that blank lines alone are trusted to cut."""

LONGEST_TITLE = 80
WRAPPED = 50
"""A longer line with another right below it is the beginning of a sentence."""
_RULE = re.compile(r"([=~*#^+_-])\1{2,}")
_FIELD = re.compile(r"[\w-]+:\s|.*(?:://|\w@\w)")
"""A line of a form, as of a letter's head, an address in it: no title."""
_NOT_SLUG = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading found at `start`: its level (1 outermost), its plain text, its anchor or "", if it names a symbol."""

    start: int
    level: int
    text: str
    anchor: str = ""
    symbol: bool = False


class Slugs:
    """Anchors as GitHub makes them: lower case, punctuation dropped, hyphens for blanks, -1 for the second.

    >>> slugs = Slugs(); slugs.of("What's new?"), slugs.of("Whats new")
    ('whats-new', 'whats-new-1')
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def take(self, anchor: str) -> str:
        """Note an anchor that the author gave."""
        self._seen.setdefault(anchor, 0)
        return anchor

    def of(self, heading: str) -> str:
        """The anchor of a heading that has none of its own."""
        slug = base = _NOT_SLUG.sub("", heading.strip().lower()).replace(" ", "-")
        while slug in self._seen:
            self._seen[base] += 1
            slug = f"{base}-{self._seen[base]}"
        self._seen[slug] = 0
        return slug


def line_starts(text: str) -> list[int]:
    """Offset of every line, and one past the text at the end: line i is `text[starts[i]:starts[i + 1]]`."""
    starts = [0]
    starts.extend(match.end() for match in re.finditer("\n", text))
    if starts[-1] != len(text):
        starts.append(len(text))
    return starts


def paragraphs(text: str, start: int = 0, end: int | None = None, limit: int = LIMIT) -> list[Span]:
    """Spans between blank lines, none longer than `limit`: a longer one is cut after a line, else at a blank."""
    spans: list[Span] = []
    for span in _between_blank_lines(text, start, len(text) if end is None else end):
        spans.extend(cut(text, *span, limit))
    return [trim(text, *span) for span in spans if not text[slice(*span)].isspace()]


def _between_blank_lines(text: str, start: int, end: int) -> Iterator[Span]:
    """Line by line, which long lines of nothing but blanks do not slow down."""
    first, at, last = -1, start, start
    for line in text[start:end].split("\n"):
        if line and not line.isspace():
            first, last = at if first < 0 else first, at + len(line)
        elif first >= 0:
            yield first, last
            first = -1
        at += len(line) + 1
    if first >= 0:
        yield first, last


def cut(text: str, start: int, end: int, limit: int = LIMIT) -> Iterable[Span]:
    """Cut a span into pieces of at most `limit` characters, at the best place near the end of each."""
    while end - start > limit:
        at = text.rfind("\n", start + 1, start + limit) + 1 or text.rfind(" ", start + 1, start + limit) + 1
        at = at if at > start else start + limit
        yield start, at
        start = at
    yield start, end


def fill_gaps(
    text: str, blocks: Iterable[Block], ignored: Sequence[Span] = (), kind: BlockKind = "other"
) -> list[Block]:
    """Make blocks ordered and disjoint, and give what lies between them, but for `ignored` spans, its own."""
    taken = [(start, end, None) for start, end in ignored]
    taken += [(block.start, block.end, block) for block in blocks]  # type: ignore[misc]
    filled: list[Block] = []
    cursor = 0
    for start, end, block in sorted(taken, key=lambda item: (item[0], item[1])):
        if end <= cursor:
            continue
        filled.extend(Block(kind, *span) for span in paragraphs(text, cursor, start))
        if block is not None:
            filled.extend(_clip(text, block, max(start, cursor)))
        cursor = max(cursor, end)
    filled.extend(Block(kind, *span) for span in paragraphs(text, cursor, len(text)))
    return filled


def _clip(text: str, block: Block, start: int) -> Iterable[Block]:
    start, end = trim(text, start, min(block.end, len(text)))
    if start >= end:
        return
    if (start, end) == (block.start, block.end):
        yield block
        return
    rows = tuple((max(s, start), min(e, end)) for s, e in block.rows if min(e, end) > max(s, start))
    header = block.header if block.header and block.header[0] >= start and block.header[1] <= end else None
    yield replace(block, start=start, end=end, rows=rows, header=header)


def sections(headings: Sequence[Heading], length: int) -> tuple[Section, ...]:
    """Sections that cover [0, length): one for each heading, one before the first when it is not at 0."""
    found: list[Section] = []
    path: list[Heading] = []
    if length and (not headings or headings[0].start > 0):
        found.append(Section(0, headings[0].start if headings else length, ()))
    for at, heading in enumerate(headings):
        while path and path[-1].level >= heading.level:
            path.pop()
        path.append(heading)
        end = headings[at + 1].start if at + 1 < len(headings) else length
        if end > heading.start:
            names = tuple(item.text for item in path if item.text)
            found.append(Section(heading.start, end, names, heading.anchor, heading.symbol))
    return tuple(found)


def first_line_title(text: str, blocks: Sequence[Block]) -> str:
    """The first line, where it looks like a title: underlined, or short, no sentence, and not gone on with below.

    >>> first_line_title("git-gc(1)\\n=========\\n", [Block("paragraph", 0, 19)])
    'git-gc(1)'
    >>> first_line_title("See the manual for\\nmore.\\n", [Block("paragraph", 0, 24)])
    ''
    """
    if not blocks:
        return ""
    lines = [line.strip() for line in text[blocks[0].start : blocks[0].end].split("\n")]
    if len(lines) > 1 and _RULE.fullmatch(lines[0]):  # a line above the title, too
        lines = lines[1:]
    line, below = lines[0].strip("=-*#~ "), lines[1] if len(lines) > 1 else ""
    underlined = bool(_RULE.fullmatch(below)) and len(below) >= len(lines[0]) // 2
    if not 2 < len(line) <= LONGEST_TITLE or not any(character.isalpha() for character in line):
        return ""
    if underlined:
        return line
    good = line[-1] not in ".,;:{}()[]<>\\|" and line[0].isalnum() and not below[:1].islower()
    good &= not below or len(line) <= WRAPPED
    return line if good and not _FIELD.match(line) else ""
