"""Blocks to atoms: the parts of a document that are kept whole, and how good it is to cut in front of each.

Knows kinds of blocks; knows nothing of sections, and not which atoms will share a chunk.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from ragkit.chunking.cutter import BLOCK, ITEM, LINE, SENTENCE, TOKEN, Atom, Cutter, cover, line_breaks
from ragkit.domain import Block, Span
from ragkit.sentences import sentences

PREFIX_SHARE = 3
"""A table header longer than one part in this many of a chunk is not repeated."""


def atoms(cutter: Cutter, blocks: Iterable[Block], budget: int) -> Iterator[Atom]:
    """The parts of the blocks that are kept whole."""
    for block in blocks:
        whole = cutter.count(block.start, block.end) <= budget
        if block.kind == "heading" and whole:
            yield Atom(block.start, block.end, BLOCK, glued=True)
        elif block.kind == "table":
            yield from _table(cutter, block, budget) if not whole else [Atom(block.start, block.end, BLOCK)]
        elif block.kind == "code":
            yield from _code(cutter, block, budget) if not whole else [Atom(block.start, block.end, BLOCK)]
        elif block.kind == "list" and block.rows:
            yield from _rows(cutter, block.start, block.end, block.rows, budget)
        else:
            yield from sentence_atoms(cutter, block.start, block.end, budget, BLOCK)


def _rows(cutter: Cutter, start: int, end: int, rows: Sequence[Span], budget: int) -> Iterator[Atom]:
    """List items, whole where they fit."""
    cut = BLOCK
    for row_start, row_end in cover(start, end, [row[0] for row in rows]):
        if cutter.count(row_start, row_end) <= budget:
            yield Atom(row_start, row_end, cut)
        else:
            yield from sentence_atoms(cutter, row_start, row_end, budget, cut)
        cut = ITEM


def _table(cutter: Cutter, block: Block, budget: int) -> Iterator[Atom]:
    """Rows, with the header to repeat in front of every chunk but the first."""
    header = block.header
    if header and cutter.count(*header) > budget // PREFIX_SHARE:
        header = None
    room = budget - cutter.header_tokens(header)
    body = header[1] if header else block.start
    if header:
        yield Atom(block.start, body, BLOCK, repeatable=False, glued=True)
    rows = [row[0] for row in block.rows if row[0] >= body]
    first = not header
    for start, end in cover(body, block.end, rows or line_breaks(cutter.text, body, block.end)):
        cut = BLOCK if first else ITEM
        first = False
        if cutter.count(start, end) <= room:
            yield Atom(start, end, cut, header, repeatable=False)
            continue
        for atom in sentence_atoms(cutter, start, end, room, cut, by_line=True):
            yield Atom(atom.start, atom.end, atom.cut, header, repeatable=False)


def _code(cutter: Cutter, block: Block, budget: int) -> Iterator[Atom]:
    """Statements where they are known, else lines; the signature goes in front of every chunk but the first.

    Outer statements are better places to cut than those inside of them, and those than any line.
    """
    header = block.header
    if header and cutter.count(*header) > budget // PREFIX_SHARE:
        header = None
    room = budget - cutter.header_tokens(header)
    starts = [row[0] for row in block.rows]
    outermost = min((_indent(cutter.text, start) for start in starts), default=0)
    for start, end in cover(block.start, block.end, starts):
        cut = ITEM if _indent(cutter.text, start) == outermost else SENTENCE
        if start == block.start:
            cut = BLOCK
        if starts and cutter.count(start, end) <= room:
            yield Atom(start, end, cut, header if start > block.start else None, repeatable=False)
            continue
        yield from _lines(cutter, start, end, room, cut, header if start > block.start else None)


def _lines(cutter: Cutter, start: int, end: int, budget: int, cut: int, header: Span | None = None) -> Iterator[Atom]:
    """Lines; a cut after a blank line is the better one."""
    for line in cover(start, end, line_breaks(cutter.text, start, end)):
        if cutter.count(*line) <= budget:
            yield Atom(*line, cut, header, repeatable=False)
        else:
            for atom in sentence_atoms(cutter, *line, budget, cut):
                yield Atom(atom.start, atom.end, atom.cut, header, repeatable=False)
        cut = ITEM if cutter.text[slice(*line)].isspace() else LINE


def _indent(text: str, start: int) -> int:
    """Columns in front of the first character of a line."""
    line = text[start : start + 200].expandtabs(4)
    return len(line) - len(line.lstrip(" "))


def sentence_atoms(
    cutter: Cutter, start: int, end: int, budget: int, cut: int, by_line: bool = False
) -> Iterator[Atom]:
    """Sentences (after lines, if asked); one that is too long is cut between tokens, at blanks where it can."""
    if by_line:
        for line in cover(start, end, line_breaks(cutter.text, start, end)):
            if cutter.count(*line) <= budget:
                yield Atom(*line, cut)
            else:
                yield from sentence_atoms(cutter, *line, budget, cut)
            cut = LINE
        return
    for piece in cover(start, end, [start + span[0] for span in sentences(cutter.text[start:end])]):
        if cutter.count(*piece) <= budget:
            yield Atom(*piece, cut)
            cut = SENTENCE
            continue
        for part in _by_tokens(cutter, *piece, budget):
            yield Atom(*part, cut)
            cut = TOKEN
        cut = SENTENCE


def _by_tokens(cutter: Cutter, start: int, end: int, budget: int) -> Iterator[Span]:
    at = start
    while cutter.count(at, end) > budget:
        first = bisect_left(cutter.starts, at)
        stop = first + budget
        for candidate in range(stop, first + budget - budget // 4, -1):
            position = cutter.starts[candidate]
            if cutter.text[position - 1].isspace():
                stop = candidate
                break
        cut = cutter.starts[stop]
        if cut <= at:  # several tokens start at one character
            cut = cutter.starts[bisect_right(cutter.starts, at)] if cutter.starts[-1] > at else end
        if cut >= end:
            break
        yield at, cut
        at = cut
    yield at, end
