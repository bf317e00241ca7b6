"""From the elements of a page to units of text, and from units to the parts of a Document.

A unit is a heading, a paragraph, a list item, a table row or a piece of code, with the source line of each
of its lines. Knows HTML's block structure by its events; knows no parser and no boilerplate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from ragkit.domain import Block, BlockKind, LineMap, Section, Span

_INVISIBLE = {0xA0: " ", 0xAD: None, 0x200B: None, 0x2060: None, 0xFEFF: None, 0x200D: None}
_QUALIFIED = re.compile(r"(?:c\.)?([A-Za-z_][\w.]*)\Z")
_LONGEST_NAME = 80


@dataclass(slots=True)
class Unit:
    """Lines that belong together. `group` is shared by the items of a list or the rows of a table."""

    kind: BlockKind
    lines: list[str]
    numbers: list[int]
    section: _Place
    main: bool
    group: int = 0
    item: int = 0
    level: int = 0
    header: bool = False
    term: bool = False
    """A defined term: what follows belongs to it."""

    def __len__(self) -> int:
        return sum(map(len, self.lines))

    @property
    def flat(self) -> str:
        """The unit on one line."""
        return " ".join(self.lines)


@dataclass(frozen=True, slots=True)
class _Place:
    """The section that a unit stands in; `serial` tells apart two of the same name."""

    heading: tuple[str, ...] = ()
    anchor: str = ""
    serial: int = 0
    symbol: bool = False


@dataclass(slots=True)
class _List:
    ordered: bool
    number: int
    group: int
    width: int = 2
    """Of the marker: what stands under it is indented as much."""


@dataclass(slots=True)
class _Definitions:
    """A `dl`. `name` is the qualified name of the API object being described, if it is one."""

    name: str = ""
    anchor: str = ""
    described: bool = True
    inside: bool = False


@dataclass(slots=True)
class UnitWriter:
    """Takes the events of a page in document order and keeps its units."""

    units: list[Unit] = field(default_factory=list)
    main: int = 0
    anchor: str = ""
    pending_anchor: str = ""
    in_heading: int = 0
    _lines: list[list[str]] = field(default_factory=lambda: [[]])
    _numbers: list[int] = field(default_factory=lambda: [1])
    _filled: bool = False
    _code: int = 0
    _quote: int = 0
    _lists: list[_List] = field(default_factory=list)
    _marker: str = ""
    _item: int = 0
    _tables: list[int] = field(default_factory=list)
    _cells: list[tuple[str, int, bool]] | None = None
    _in_cell: bool = False
    _definitions: list[_Definitions] = field(default_factory=list)
    _term: str | None = None
    _label: bool = False
    _named: bool = True
    _headings: list[tuple[int, str, str]] = field(default_factory=list)
    _place: _Place = _Place()
    _groups: int = 0

    # ------------------------------------------------------------ text

    def text(self, content: str, line: int) -> None:
        """Character data that starts on source line `line`."""
        parts = content.split("\n")
        if self._code and not self._in_cell:
            for number, part in enumerate(parts, line):
                if number > line:
                    self._lines.append([])
                    self._numbers.append(number)
                elif not any(map(str.strip, self._lines[-1])):
                    self._numbers[-1] = number
                self._lines[-1].append(part)
            self._filled = True
            return
        for number, part in enumerate(parts, line):
            if number > line:
                self.newline()
            if not part:
                continue
            if (
                self._filled
                and number > self._numbers[-1]
                and (part[0].isspace() or self._lines[-1][-1][-1:].isspace())
            ):
                self.newline()  # the source broke the line inside a tag or a comment
            if not self._filled and not part.isspace():
                self._numbers[-1], self._filled = number, True
            self._lines[-1].append(part)

    def newline(self) -> None:
        """A line break of the source, or a `br`."""
        if self._filled:
            self._lines.append([])
            self._numbers.append(self._numbers[-1])
            self._filled = self._code > 0

    def flush(self) -> None:
        """End of a block: what has gathered becomes a unit."""
        if self._in_cell:
            self.newline()
            return
        lines, numbers = self._take()
        if not lines:
            return
        if self.in_heading:
            self._emit_heading(" ".join(lines), numbers[0])
            return
        self.pending_anchor = ""
        if self._term is not None:
            lines, numbers = [" ".join(lines)], numbers[:1]
            self._name(lines[0])
        indent = "    " * sum(d.inside and not d.name for d in self._definitions)
        if self._lists:
            indent += "  " * (len(self._lists) - 1)
            hanging = indent + " " * self._lists[-1].width
            lines = [
                (indent + self._marker if at == 0 and self._marker else hanging) + x for at, x in enumerate(lines)
            ]
            self._marker = ""
            self._emit("list", lines, numbers, group=self._lists[0].group, item=self._item)
            return
        kind: BlockKind = "quote" if self._quote else "paragraph"
        label, self._label = self._label, False
        self._emit(kind, [indent + line for line in lines], numbers, term=label or self._term is not None)

    def _take(self) -> tuple[list[str], list[int]]:
        lines: list[str] = []
        numbers: list[int] = []
        for pieces, number in zip(self._lines, self._numbers, strict=True):
            line = "".join(pieces)
            if not line.isascii():
                line = line.translate(_INVISIBLE)
            if line := " ".join(line.split()):
                lines.append(line)
                numbers.append(number)
        self._clear()
        return lines, numbers

    def _clear(self) -> None:
        self._lines, self._numbers, self._filled = [[]], [self._numbers[-1]], False

    def _emit(
        self, kind: BlockKind, lines: list[str], numbers: list[int], *,
        group: int = 0, item: int = 0, level: int = 0, header: bool = False, term: bool = False,
    ) -> None:  # fmt: skip
        unit = Unit(kind, lines, numbers, self._place, self.main > 0, group, item, level, header, term)
        self.units.append(unit)

    # ------------------------------------------------------------ headings and API terms

    def open_heading(self, level: int, identity: str) -> None:
        """An `h1` to `h6`."""
        self.flush()
        self.in_heading, self.anchor = level, identity

    def close_heading(self) -> None:
        """The end of it."""
        self.flush()
        self.in_heading, self.anchor = 0, ""

    def _emit_heading(self, text: str, number: int) -> None:
        while self._headings and self._headings[-1][0] >= self.in_heading:
            self._headings.pop()
        self._headings.append((self.in_heading, text, self.anchor or self.pending_anchor))
        self.pending_anchor = ""
        self._move()
        self._emit("heading", [text], [number], level=self.in_heading)

    def _name(self, signature: str) -> None:
        """The first term of an API description opens a section named after the object."""
        if not self._term or not self._definitions or not self._definitions[-1].described:
            return
        match = _QUALIFIED.match(self._term) if self._named else None
        top = self._definitions[-1]
        top.name = match[1] if match else signature[:_LONGEST_NAME]
        top.anchor, top.described = self._term, False
        self._move()

    def _move(self) -> None:
        path = [text for _, text, _ in self._headings]
        anchor = self._headings[-1][2] if self._headings else ""
        for definitions in self._definitions:
            if definitions.name:
                path.append(definitions.name)
                anchor = definitions.anchor
        symbol = any(definitions.name for definitions in self._definitions)
        self._place = _Place(tuple(path), anchor, self._place.serial + 1, symbol)

    def open_definitions(self) -> None:
        """A `dl`."""
        self.flush()
        self._definitions.append(_Definitions())

    def close_definitions(self) -> None:
        """The end of it: what follows stands in the section around it."""
        self.flush()
        if self._definitions and self._definitions.pop().name:
            self._move()

    def open_term(self, identity: str, *, named: bool) -> None:
        """A `dt`; `identity` is its id where it is the signature of an API object."""
        self.flush()
        self._term, self._named = identity, named
        if self._definitions:
            self._definitions[-1].inside = False

    def close_term(self) -> None:
        """The end of it."""
        self.flush()
        self._term = None

    def open_label(self) -> None:
        """A short line such as "Note", which belongs to the paragraph under it."""
        self._label = True

    def open_definition(self) -> None:
        """A `dd`."""
        self.flush()
        self._term = None
        if self._definitions:
            self._definitions[-1].described = self._definitions[-1].inside = True

    def close_definition(self) -> None:
        """The end of it."""
        self.flush()
        if self._definitions:
            self._definitions[-1].inside = False

    # ------------------------------------------------------------ code, quotes, lists

    def open_code(self) -> None:
        """A `pre`: character data is kept as it is."""
        self.flush()
        self._code += 1

    @property
    def in_code(self) -> bool:
        """Whether character data is code, in no cell of a table."""
        return self._code > 0 and not self._in_cell

    def code_line(self) -> None:
        """The beginning or the end of an element that holds a line of code."""
        if any(map(str.strip, self._lines[-1])):
            self.newline()

    def close_code(self) -> None:
        """The end of it."""
        self._code -= 1
        if self._in_cell or self._code:
            return
        lines = ["".join(pieces).rstrip() for pieces in self._lines]
        lines = [line if line.isascii() else line.translate(_INVISIBLE) for line in lines]
        filled = [at for at, line in enumerate(lines) if line.strip()]
        numbers = self._numbers
        self._clear()
        if filled:
            kept = slice(filled[0], filled[-1] + 1)
            self._emit("code", lines[kept], numbers[kept])

    def open_quote(self) -> None:
        """A `blockquote`."""
        self.flush()
        self._quote += 1

    def close_quote(self) -> None:
        """The end of it."""
        self.flush()
        self._quote -= 1

    def open_list(self, *, ordered: bool, start: int = 1) -> None:
        """A `ul` or `ol`."""
        self.flush()
        if not self._lists:
            self._groups += 1
        self._lists.append(_List(ordered, start, self._groups))

    def close_list(self) -> None:
        """The end of it."""
        self.flush()
        if self._lists:
            self._lists.pop()
        self._marker = ""

    def open_item(self) -> None:
        """An `li`."""
        self.flush()
        if not self._lists:
            return
        top = self._lists[-1]
        self._marker = f"{top.number}. " if top.ordered else "- "
        top.width = len(self._marker)
        top.number += 1
        if len(self._lists) == 1:
            self._item += 1

    # ------------------------------------------------------------ tables

    def open_table(self, *, data: bool) -> None:
        """A `table`; one that only lays out other blocks is not `data`."""
        self.flush()
        self._groups += 1
        self._tables.append(self._groups if data and not self._in_cell else 0)

    def close_table(self) -> None:
        """The end of it."""
        self.flush()
        self.close_row()
        if self._tables:
            self._tables.pop()

    def open_row(self) -> None:
        """A `tr`."""
        self.flush()
        if self._tables and self._tables[-1]:
            self._cells = []

    def open_cell(self, *, header: bool) -> None:
        """A `td` or `th`."""
        self.flush()
        if self._tables and self._tables[-1] and self._cells is not None:
            self._in_cell = True
            self._cells.append(("", 0, header))

    def close_cell(self) -> None:
        """The end of it."""
        if not self._in_cell or not self._cells:
            self.flush()
            return
        lines, numbers = self._take()
        self._cells[-1] = (" ".join(lines), numbers[0] if numbers else 0, self._cells[-1][2])
        self._in_cell = False

    def close_row(self) -> None:
        """The end of a row: its cells on one line."""
        cells, self._cells = self._cells, None
        self._in_cell = False
        if not cells or not any(text for text, _, _ in cells):
            return
        number = next(number for text, number, _ in cells if text)
        line = " | ".join(text for text, _, _ in cells).strip()
        self._emit("table", [line], [number], group=self._tables[-1], header=all(header for _, _, header in cells))


# ---------------------------------------------------------------- units to a document


def assemble(units: Sequence[Unit]) -> tuple[str, tuple[Section, ...], tuple[Block, ...], LineMap]:
    """Text, sections, blocks and line map of the units, a blank line between blocks."""
    lines: list[str] = []
    numbers: list[int] = []
    starts: list[Section] = []
    blocks: list[Block] = []
    offset, latest = 0, 1
    place: _Place | None = None
    for block_units in _blocks(units):
        if lines:
            lines.append("")
            numbers.append(latest)
            offset += 1
        spans: list[Span] = []
        for unit in block_units:
            if unit.section != place:
                place = unit.section
                starts.append(Section(offset, offset, place.heading, place.anchor, place.symbol))
            start = offset
            for line, number in zip(unit.lines, unit.numbers, strict=True):
                latest = max(latest, number)
                lines.append(line)
                numbers.append(latest)
                offset += len(line) + 1
            spans.append((start, offset - 1))
        blocks.append(_block(block_units, spans))
    text = "\n".join(lines)
    ends = [section.start for section in starts[1:]] + [len(text)]
    sections = tuple(replace(section, end=end) for section, end in zip(starts, ends, strict=True))
    return text, sections, tuple(blocks), LineMap("line", tuple(numbers))


def _blocks(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Units that make one block: items of a list, rows of a table, a term with what is said of it."""
    current: list[Unit] = []
    for unit in units:
        if current:
            last = current[-1]
            same = unit.kind == last.kind and unit.kind in ("list", "table") and unit.group == last.group
            glued = last.term and unit.kind == "paragraph"
            if not (same or glued):
                yield current
                current = []
        current.append(unit)
    if current:
        yield current


def _block(units: Sequence[Unit], spans: Sequence[Span]) -> Block:
    kind, start, end = units[0].kind, spans[0][0], spans[-1][1]
    if kind == "list":
        rows = []
        for _, group in groupby(range(len(units)), key=lambda at: units[at].item):
            members = list(group)
            rows.append((spans[members[0]][0], spans[members[-1]][1]))
        return Block(kind, start, end, tuple(rows))
    if kind == "table":
        heads = next((at for at, unit in enumerate(units) if not unit.header), 0)
        header = (spans[0][0], spans[heads - 1][1]) if heads else None
        return Block(kind, start, end, tuple(spans[heads:]), header)
    return Block(kind, start, end)
