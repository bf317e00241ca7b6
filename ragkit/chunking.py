"""Document to chunks: passages with exact offsets that fit the encoder's window.

The door of langchain_text_splitters. Knows a document's blocks and sections, and how to count
tokens; knows nothing of files, formats, models or indexes.

Every strategy only decides *spans*; one function makes chunks of them, so that offsets, limits and context cannot
differ between strategies.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragkit.config import ChunkSettings
from ragkit.domain import Block, Chunk, Document, LineIndex, Section, Span, Tokenizer
from ragkit.text import sentences

TINY_TOKENS = 40
"""Sections shorter than this join the next one under the same heading."""

CONTEXT_SHARE = 4
"""At most one part in this many of a chunk is its heading path."""

PREFIX_SHARE = 3
"""A table header longer than one part in this many of a chunk is not repeated."""

GAP_CHARS = 200
"""A chunk may run over this much text that is in no block (a shortcode, say), not over more."""

_SLICE_CHARS = 200_000
_SEPARATOR = " > "
_ELLIPSIS = "…"

# How good it is to cut before an atom, best first.
_BLOCK, _ITEM, _SENTENCE, _LINE, _TOKEN = range(5)


@dataclass(frozen=True, slots=True)
class _Atom:
    """A span that is kept whole and fits the budget; `cut` says how good it is to cut in front of it.

    `repeatable` atoms may be repeated as overlap; `glued` ones (headings) do not end a chunk.
    """

    start: int
    end: int
    cut: int
    header: Span | None = None
    repeatable: bool = True
    glued: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    """A chunk to be: its span, where its new text starts after the overlap, and the table header to repeat."""

    start: int
    fresh: int
    end: int
    header: Span | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    """Blocks that are packed together: one section, or a few tiny ones."""

    blocks: tuple[Block, ...]
    heading: tuple[str, ...]
    anchor: str


def chunk(document: Document, tokenizer: Tokenizer, settings: ChunkSettings, window: int) -> list[Chunk]:
    """Cut a document into chunks, in order; `window` is the encoder's longest input in tokens.

    `Chunk.indexed` has at most `min(settings.size_tokens, window)` tokens, and no non-blank character of a block is
    lost. Raises ValueError for a limit below one token.
    """
    limit = min(settings.size_tokens, window)
    if limit < 1:
        raise ValueError(f"a chunk cannot have {limit} tokens; chunk.size_tokens and the window must be at least 1")
    if not document.text.strip():
        return []
    return STRATEGIES[settings.strategy](_Cutter(document, tokenizer, limit, settings.overlap_tokens))


class _Cutter:
    """A document, tokenised once, and what the strategies need to know of it."""

    def __init__(self, document: Document, tokenizer: Tokenizer, limit: int, overlap: int) -> None:
        self.document = document
        self.text = document.text
        self.tokenizer = tokenizer
        self.limit = limit
        self.overlap = max(0, min(overlap, limit // 2))
        self.starts = _token_starts(self.text, tokenizer)
        self.blocks = document.blocks or (Block("other", 0, len(self.text)),)
        self.lines = LineIndex(document)
        self._contexts: dict[tuple[str, ...], tuple[str, int]] = {}
        self._last = -1

    def count(self, start: int, end: int) -> int:
        """Tokens of the document that start in the span."""
        return bisect_left(self.starts, end) - bisect_left(self.starts, start)

    def length(self, text: str) -> int:
        return len(self.tokenizer.spans(text))

    def context(self, heading: tuple[str, ...]) -> tuple[str, int]:
        """The line in front of a chunk, and its tokens."""
        if heading not in self._contexts:
            text = _context(self.document.title, heading, self.limit // CONTEXT_SHARE, self.length)
            self._contexts[heading] = (text, self.length(text))
        return self._contexts[heading]

    def header_tokens(self, header: Span | None) -> int:
        return self.count(*header) if header else 0

    # -------------------------------------------------------- pieces to chunks

    def emit(self, pieces: Iterable[_Piece], heading: tuple[str, ...], anchor: str) -> Iterator[Chunk]:
        """Chunks of the pieces; one that is too long after all is cut again, never truncated."""
        context, _ = self.context(heading)
        for piece in pieces:
            start, end = _trim(self.text, piece.start, piece.end)
            fresh, _ = _trim(self.text, piece.fresh, piece.end)
            if fresh >= end:
                continue
            if start <= self._last:  # the overlap would repeat the whole of the chunk before
                start = fresh
            prefix = self.text[slice(*piece.header)].strip() if piece.header else ""
            text = self.text[start:end]
            made = Chunk(start, end, text, heading, anchor, context, prefix, unit=self.document.lines.unit)
            tokens = self.length(made.indexed)
            if tokens > self.limit and end - start > 1:
                yield from self.emit(self._smaller(piece, start, fresh, end), heading, anchor)
                continue
            if tokens > self.limit:  # a single character: its context has to go
                made = Chunk(start, end, text, heading, anchor, unit=self.document.lines.unit)
                tokens = self.length(text)
            self._last = start
            first, last = self.lines.range(start, end)
            yield Chunk(
                start, end, text, heading, anchor, made.context, made.prefix, first, last, made.unit, tokens
            )  # fmt: skip

    def _smaller(self, piece: _Piece, start: int, fresh: int, end: int) -> list[_Piece]:
        """The same new text in smaller pieces: some tokenisers count a passage alone otherwise than in place."""
        if start < fresh:
            return [_Piece(fresh, fresh, end, piece.header)]
        if piece.header:
            return [_Piece(start, start, end)]
        middle = bisect_left(self.starts, (start + end) // 2)
        cut = self.starts[middle] if middle < len(self.starts) else end
        if not start < cut < end:
            cut = (start + end) // 2
        return [_Piece(start, start, cut), _Piece(cut, cut, end)]

    # -------------------------------------------------------- packing

    def pack(self, atoms: Sequence[_Atom], budget: int) -> Iterator[_Piece]:
        """Fill chunks with atoms, in order; where there is a choice, cut at the best place in the last half."""
        at = 0
        previous = -1
        while at < len(atoms):
            start = self._overlap_start(atoms, previous, at)
            room = budget - self.header_tokens(atoms[at].header)
            stop = self._fill(atoms, at, start, room)
            if self.count(start, atoms[stop - 1].end) > room:  # no room for the overlap
                start = atoms[at].start
                stop = self._fill(atoms, at, start, room)
            if stop < len(atoms):
                stop = self._best_cut(atoms, at, stop, start)
            yield _Piece(start, atoms[at].start, atoms[stop - 1].end, atoms[at].header)
            previous, at = at, stop

    def _fill(self, atoms: Sequence[_Atom], at: int, start: int, room: int) -> int:
        """One past the last atom that fits."""
        stop = at + 1
        while stop < len(atoms) and self.count(start, atoms[stop].end) <= room:
            stop += 1
        return stop

    def _best_cut(self, atoms: Sequence[_Atom], at: int, stop: int, start: int) -> int:
        """The best place to stop, from `stop` back to where the chunk is half full; a heading is no end."""
        half = self.count(start, atoms[stop - 1].end) // 2
        best = 0
        best_cut = _TOKEN + 1
        for candidate in range(stop, at, -1):
            if candidate < stop and self.count(start, atoms[candidate - 1].end) < half:
                break
            if atoms[candidate].cut < best_cut and not atoms[candidate - 1].glued:
                best, best_cut = candidate, atoms[candidate].cut
        return best or stop

    def _overlap_start(self, atoms: Sequence[_Atom], previous: int, at: int) -> int:
        """Where the chunk that begins with atom `at` starts when it repeats the end of the one before."""
        start = atoms[at].start
        if previous < 0 or atoms[at].header or not atoms[at].repeatable:
            return start
        i = at - 1
        while i > previous and atoms[i].repeatable and not atoms[i].glued and not atoms[i].header:
            if self.count(atoms[i].start, atoms[at].start) > self.overlap:
                break
            start = atoms[i].start
            i -= 1
        return start

    # -------------------------------------------------------- atoms

    def atoms(self, blocks: Iterable[Block], budget: int) -> Iterator[_Atom]:
        """The parts of the blocks that are kept whole."""
        for block in blocks:
            whole = self.count(block.start, block.end) <= budget
            if block.kind == "heading" and whole:
                yield _Atom(block.start, block.end, _BLOCK, glued=True)
            elif block.kind == "table":
                yield from self._table(block, budget) if not whole else [_Atom(block.start, block.end, _BLOCK)]
            elif block.kind == "code":
                yield from self._code(block, budget) if not whole else [_Atom(block.start, block.end, _BLOCK)]
            elif block.kind == "list" and block.rows:
                yield from self._rows(block.start, block.end, block.rows, budget)
            else:
                yield from self.sentence_atoms(block.start, block.end, budget, _BLOCK)

    def _rows(self, start: int, end: int, rows: Sequence[Span], budget: int) -> Iterator[_Atom]:
        """List items, whole where they fit."""
        cut = _BLOCK
        for row_start, row_end in _cover(start, end, [row[0] for row in rows]):
            if self.count(row_start, row_end) <= budget:
                yield _Atom(row_start, row_end, cut)
            else:
                yield from self.sentence_atoms(row_start, row_end, budget, cut)
            cut = _ITEM

    def _table(self, block: Block, budget: int) -> Iterator[_Atom]:
        """Rows, with the header to repeat in front of every chunk but the first."""
        header = block.header
        if header and self.count(*header) > budget // PREFIX_SHARE:
            header = None
        room = budget - self.header_tokens(header)
        body = header[1] if header else block.start
        if header:
            yield _Atom(block.start, body, _BLOCK, repeatable=False, glued=True)
        rows = [row[0] for row in block.rows if row[0] >= body]
        first = not header
        for start, end in _cover(body, block.end, rows or _line_starts(self.text, body, block.end)):
            cut = _BLOCK if first else _ITEM
            first = False
            if self.count(start, end) <= room:
                yield _Atom(start, end, cut, header, repeatable=False)
                continue
            for atom in self.sentence_atoms(start, end, room, cut, by_line=True):
                yield _Atom(atom.start, atom.end, atom.cut, header, repeatable=False)

    def _code(self, block: Block, budget: int) -> Iterator[_Atom]:
        """Lines; a cut after a blank line is the better one."""
        cut = _BLOCK
        for start, end in _cover(block.start, block.end, _line_starts(self.text, block.start, block.end)):
            if self.count(start, end) <= budget:
                yield _Atom(start, end, cut, repeatable=False)
            else:
                for atom in self.sentence_atoms(start, end, budget, cut):
                    yield _Atom(atom.start, atom.end, atom.cut, repeatable=False)
            cut = _ITEM if self.text[start:end].isspace() else _LINE

    def sentence_atoms(self, start: int, end: int, budget: int, cut: int, by_line: bool = False) -> Iterator[_Atom]:
        """Sentences (after lines, if asked); one that is too long is cut between tokens, at blanks where it can."""
        if by_line:
            for line in _cover(start, end, _line_starts(self.text, start, end)):
                if self.count(*line) <= budget:
                    yield _Atom(*line, cut)
                else:
                    yield from self.sentence_atoms(*line, budget, cut)
                cut = _LINE
            return
        for piece in _cover(start, end, [start + span[0] for span in sentences(self.text[start:end])]):
            if self.count(*piece) <= budget:
                yield _Atom(*piece, cut)
                cut = _SENTENCE
                continue
            for part in self._by_tokens(*piece, budget):
                yield _Atom(*part, cut)
                cut = _TOKEN
            cut = _SENTENCE

    def _by_tokens(self, start: int, end: int, budget: int) -> Iterator[Span]:
        at = start
        while self.count(at, end) > budget:
            first = bisect_left(self.starts, at)
            stop = first + budget
            for candidate in range(stop, first + budget - budget // 4, -1):
                position = self.starts[candidate]
                if self.text[position - 1].isspace():
                    stop = candidate
                    break
            cut = self.starts[stop]
            if cut <= at:  # several tokens start at one character
                cut = self.starts[bisect_right(self.starts, at)] if self.starts[-1] > at else end
            if cut >= end:
                break
            yield at, cut
            at = cut
        yield at, end


# ---------------------------------------------------------------- strategies


def _markdown(cutter: _Cutter) -> list[Chunk]:
    """Follow the document's structure: sections, blocks, items, rows, lines, sentences."""
    chunks: list[Chunk] = []
    for group in _groups(cutter):
        budget = cutter.limit - cutter.context(group.heading)[1]
        atoms = list(cutter.atoms(group.blocks, budget))
        chunks.extend(cutter.emit(cutter.pack(atoms, budget), group.heading, group.anchor))
    return chunks


def _sentence(cutter: _Cutter) -> list[Chunk]:
    """Pack sentences, whatever the structure."""
    start, end = _body(cutter)
    budget = cutter.limit - cutter.limit // CONTEXT_SHARE
    return _located(cutter, cutter.pack(list(cutter.sentence_atoms(start, end, budget, _SENTENCE)), budget))


def _recursive(cutter: _Cutter) -> list[Chunk]:
    """langchain's RecursiveCharacterTextSplitter, measured in tokens.

    It is asked for pieces without overlap, because then each one is found where the one before ended, even in text
    that repeats itself; the overlap is added in whole sentences, or words, afterwards. Blanks count for one token:
    what counts for nothing would be repeated all the same.
    """
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    start, end = _body(cutter)
    budget = cutter.limit - cutter.limit // CONTEXT_SHARE
    size = max(1, budget - cutter.overlap)
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=size,
        chunk_overlap=0,
        length_function=lambda text: max(1, cutter.length(text)),
        keep_separator="end",
        strip_whitespace=False,
    )
    pieces: list[_Piece] = []
    at = start
    for part in splitter.split_text(cutter.text[start:end]):
        at = cutter.text.index(part, at, end)
        begin = _overlap_of_words(cutter, pieces[-1].fresh, at) if pieces else at
        pieces.append(_Piece(begin, at, at + len(part)))
        at += len(part)
    return _located(cutter, pieces)


def _fixed(cutter: _Cutter) -> list[Chunk]:
    """langchain's split_text_on_tokens: windows of equal length, wherever they fall.

    Tokens stand for themselves by number, so that a window decodes to the exact span of its text.
    """
    from langchain_text_splitters.base import Tokenizer as Windows
    from langchain_text_splitters.base import split_text_on_tokens

    start, end = _body(cutter)
    first, last = bisect_left(cutter.starts, start), bisect_left(cutter.starts, end)
    budget = max(1, cutter.limit - cutter.limit // CONTEXT_SHARE)
    windows: list[Span] = []

    def decode(numbers: list[int]) -> str:
        windows.append((numbers[0], numbers[-1] + 1))
        return "."

    split_text_on_tokens(
        text=cutter.text,
        tokenizer=Windows(
            chunk_overlap=min(cutter.overlap, budget - 1),
            tokens_per_chunk=budget,
            decode=decode,
            encode=lambda _: list(range(first, last)),
        ),
    )
    pieces: list[_Piece] = []
    for number, (low, high) in enumerate(windows):
        begin = cutter.starts[low] if number else start
        finish = cutter.starts[high] if high < last else end
        pieces.append(_Piece(begin, max(begin, pieces[-1].end) if pieces else begin, finish))
    return _located(cutter, pieces or [_Piece(start, start, end)])


STRATEGIES: dict[str, Callable[[_Cutter], list[Chunk]]] = {
    "markdown": _markdown,
    "recursive": _recursive,
    "fixed": _fixed,
    "sentence": _sentence,
}


def _body(cutter: _Cutter) -> Span:
    """From the first block to the last: without front matter."""
    return cutter.blocks[0].start, cutter.blocks[-1].end


def _located(cutter: _Cutter, pieces: Iterable[_Piece]) -> list[Chunk]:
    """Chunks under the heading that stands above their new text."""
    chunks: list[Chunk] = []
    for piece in pieces:
        section = cutter.document.section_at(piece.fresh)
        heading, anchor = (section.heading, section.anchor) if section else ((), "")
        chunks.extend(cutter.emit([piece], heading, anchor))
    return chunks


def _overlap_of_words(cutter: _Cutter, earliest: int, at: int) -> int:
    """The start of the longest run of whole sentences before `at` within the overlap, else of whole words."""
    tokens = bisect_left(cutter.starts, at)
    if not tokens or not cutter.overlap:
        return at
    lowest = max(cutter.starts[max(0, tokens - cutter.overlap)], earliest)
    inside = [lowest + span[0] for span in sentences(cutter.text[lowest:at])[1:]]
    if inside:
        return inside[0]
    while lowest < at and lowest > 0 and not cutter.text[lowest - 1].isspace():
        lowest += 1
    return lowest


# ---------------------------------------------------------------- sections


def _groups(cutter: _Cutter) -> list[_Group]:
    """Sections with their blocks; tiny ones joined to the next one under a common heading, when both fit."""
    tiny = min(TINY_TOKENS, cutter.limit // CONTEXT_SHARE)
    groups: list[_Group] = []
    for group in _sections(cutter):
        last = groups[-1] if groups else None
        joined = _joined(cutter, last, group, tiny) if last else None
        if joined:
            groups[-1] = joined
        else:
            groups.append(group)
    return groups


def _sections(cutter: _Cutter) -> Iterator[_Group]:
    """The blocks of each section; one with a long stretch of foreign text inside is cut there."""
    sections = cutter.document.sections or (Section(0, len(cutter.text), ()),)
    held: list[Block] = []
    owner: Section | None = None
    for block in cutter.blocks:
        section = cutter.document.section_at(block.start) if cutter.document.sections else sections[0]
        if held and (section is not owner or _gap(cutter.text, held[-1].end, block.start) > GAP_CHARS):
            yield _Group(tuple(held), owner.heading if owner else (), owner.anchor if owner else "")
            held = []
        owner = section
        held.append(block)
    if held:
        yield _Group(tuple(held), owner.heading if owner else (), owner.anchor if owner else "")


def _joined(cutter: _Cutter, first: _Group, second: _Group, tiny: int) -> _Group | None:
    """Both groups in one, or None: the first is tiny, the second its sibling or child, and they fit in a chunk.

    A bare heading always goes with its child, which loses nothing: the child's path holds it.
    """
    start, end = first.blocks[0].start, first.blocks[-1].end
    if cutter.count(start, end) >= tiny or _gap(cutter.text, end, second.blocks[0].start) > GAP_CHARS:
        return None
    depth = len(first.heading)
    if second.heading[:depth] == first.heading and all(block.kind == "heading" for block in first.blocks):
        return _Group(first.blocks + second.blocks, second.heading, second.anchor)
    common = [ours for ours, theirs in zip(first.heading, second.heading, strict=False) if ours == theirs]
    path = first.heading[: len(common)]
    if len(path) < depth - 1 or (depth > 1 and not path):
        return None
    if cutter.count(start, second.blocks[-1].end) + cutter.context(path)[1] > cutter.limit:
        return None
    return _Group(first.blocks + second.blocks, path, first.anchor)


def _context(title: str, heading: tuple[str, ...], most: int, length: Callable[[str], int]) -> str:
    """Title and heading path on one line of at most `most` tokens; the middle goes first, then the title."""
    parts = [" ".join(part.split()) for part in (title, *heading)]
    parts = [part for part in parts if part]
    if len(parts) > 1 and parts[0].casefold() == parts[1].casefold():
        del parts[0]
    line = _SEPARATOR.join(parts)
    while parts and length(line) > most:
        if len(parts) > 2:
            del parts[1]
            line = _SEPARATOR.join([parts[0], _ELLIPSIS, *parts[1:]])
        elif len(parts) > 1:
            del parts[0]
            line = parts[0]
        else:
            return _cut_line(parts[0], most, length)
    return line


def _cut_line(line: str, most: int, length: Callable[[str], int]) -> str:
    """As many words from the left as fit."""
    words = line.split()
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if length(" ".join(words[:middle])) <= most:
            low = middle
        else:
            high = middle - 1
    return " ".join(words[:low])


# ---------------------------------------------------------------- spans


def _token_starts(text: str, tokenizer: Tokenizer) -> array[int]:
    """Where each token starts; long texts in slices that end with a line, so that memory stays small."""
    starts = array("q")
    at = 0
    while at < len(text):
        end = min(len(text), at + _SLICE_CHARS)
        if end < len(text):
            end = text.rfind("\n", at, end) + 1 or end
        starts.extend(at + start for start, _ in tokenizer.spans(text[at:end]))
        at = end
    return starts


def _cover(start: int, end: int, starts: Iterable[int]) -> Iterator[Span]:
    """Spans that touch, from `start` to `end`, each beginning at one of `starts` (the first one at `start`)."""
    edges = [start, *(edge for edge in starts if start < edge < end), end]
    return ((a, b) for a, b in pairwise(edges) if a < b)


def _line_starts(text: str, start: int, end: int) -> list[int]:
    found = []
    at = text.find("\n", start, end)
    while at >= 0:
        found.append(at + 1)
        at = text.find("\n", at + 1, end)
    return found


def _trim(text: str, start: int, end: int) -> Span:
    """Without blank lines in front and blanks behind; the first line keeps its indentation."""
    piece = text[start:end]
    kept = piece.rstrip()
    lead = len(kept) - len(kept.lstrip())
    lead = kept.rfind("\n", 0, lead) + 1
    return start + lead, start + len(kept)


def _gap(text: str, start: int, end: int) -> int:
    """Characters between two blocks, blanks around them not counted."""
    return len(text[start:end].strip())
