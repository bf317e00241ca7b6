"""A document that is being cut: its tokens, counted once, how spans become chunks, and how atoms fill them.

Knows offsets, tokens and limits; knows nothing of what the spans are made of, or why a strategy chose them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from ragkit.domain import Block, Chunk, Document, LineIndex, Span
from ragkit.roles import Tokenizer
from ragkit.text import trim

if TYPE_CHECKING:
    from ragkit.domain import Vectors

Embed: TypeAlias = Callable[[Sequence[str]], "Vectors"]
"""Texts to unit vectors, one row each."""

CONTEXT_SHARE = 4
"""At most one part in this many of a chunk is its heading path."""

# How good it is to cut before an atom, best first.
BLOCK, ITEM, SENTENCE, LINE, TOKEN = range(5)

_SLICE_CHARS = 200_000
_SEPARATOR = " > "
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Atom:
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
class Piece:
    """A chunk to be: its span, where its new text starts after the overlap, and the header to repeat."""

    start: int
    fresh: int
    end: int
    header: Span | None = None


class Cutter:
    """A document, tokenised once, and what the strategies need to know of it."""

    def __init__(
        self, document: Document, tokenizer: Tokenizer, limit: int, overlap: int, embed: Embed | None = None
    ) -> None:
        self.document = document
        self.embed = embed
        self.text = document.text
        self.tokenizer = tokenizer
        self.limit = limit
        self.overlap = max(0, min(overlap, limit // 2))
        self.starts = token_starts(self.text, tokenizer)
        self.blocks = document.blocks or (Block("other", 0, len(self.text)),)
        self.lines = LineIndex(document)
        # What a line break between context, header and text costs: nothing in most vocabularies.
        self._joint = max(0, self.length("a\nb") - self.length("a") - self.length("b"))
        self._contexts: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, int]] = {}
        self._last = -1

    def count(self, start: int, end: int) -> int:
        """Tokens of the document that start in the span."""
        return bisect_left(self.starts, end) - bisect_left(self.starts, start)

    def length(self, text: str) -> int:
        return len(self.tokenizer.spans(text))

    def context(self, heading: tuple[str, ...], words: tuple[str, ...] = ()) -> tuple[str, int]:
        """The line in front of a chunk, and its tokens; `words` stand for title and heading where there are any."""
        key = (heading, words)
        if key not in self._contexts:
            title, *path = words or (self.document.title, *heading)
            text = context_line(title, tuple(path), self.limit // CONTEXT_SHARE, self.length)
            self._contexts[key] = (text, self.length(text) + self._joint if text else 0)
        return self._contexts[key]

    def header_tokens(self, header: Span | None) -> int:
        """Tokens that repeating a table's header or a signature takes."""
        return self.count(*header) + self._joint if header else 0

    # -------------------------------------------------------- pieces to chunks

    def emit(
        self, pieces: Iterable[Piece], heading: tuple[str, ...], anchor: str, words: tuple[str, ...] = ()
    ) -> Iterator[Chunk]:
        """Chunks of the pieces; one that is too long after all is cut again, never truncated."""
        context, _ = self.context(heading, words)
        for piece in pieces:
            start, end = trim(self.text, piece.start, piece.end)
            fresh, _ = trim(self.text, piece.fresh, piece.end)
            if fresh >= end:
                continue
            if start <= self._last:  # the overlap would repeat the whole of the chunk before
                start = fresh
            prefix = self.text[slice(*piece.header)].strip() if piece.header else ""
            text = self.text[start:end]
            made = Chunk(start, end, text, heading, anchor, context, prefix, unit=self.document.lines.unit)
            tokens = self.length(made.indexed)
            if tokens > self.limit and end - start > 1:
                yield from self.emit(self._smaller(piece, start, fresh, end), heading, anchor, words)
                continue
            if tokens > self.limit:  # a single character: its context has to go
                made = Chunk(start, end, text, heading, anchor, unit=self.document.lines.unit)
                tokens = self.length(text)
            self._last = start
            first, last = self.lines.range(start, end)
            yield Chunk(
                start, end, text, heading, anchor, made.context, made.prefix, first, last, made.unit, tokens
            )  # fmt: skip

    def _smaller(self, piece: Piece, start: int, fresh: int, end: int) -> list[Piece]:
        """The same new text in smaller pieces: some tokenisers count a passage alone otherwise than in place."""
        if start < fresh:
            return [Piece(fresh, fresh, end, piece.header)]
        if piece.header:
            return [Piece(start, start, end)]
        middle = bisect_left(self.starts, (start + end) // 2)
        cut = self.starts[middle] if middle < len(self.starts) else end
        if not start < cut < end:
            cut = (start + end) // 2
        return [Piece(start, start, cut), Piece(cut, cut, end)]

    # -------------------------------------------------------- packing

    def pack(self, atoms: Sequence[Atom], budget: int) -> Iterator[Piece]:
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
            yield Piece(start, atoms[at].start, atoms[stop - 1].end, atoms[at].header)
            previous, at = at, stop

    def _fill(self, atoms: Sequence[Atom], at: int, start: int, room: int) -> int:
        """One past the last atom that fits."""
        stop = at + 1
        while stop < len(atoms) and self.count(start, atoms[stop].end) <= room:
            stop += 1
        return stop

    def _best_cut(self, atoms: Sequence[Atom], at: int, stop: int, start: int) -> int:
        """The best place to stop, from `stop` back to where the chunk is half full; a heading is no end."""
        half = self.count(start, atoms[stop - 1].end) // 2
        best = 0
        best_cut = TOKEN + 1
        for candidate in range(stop, at, -1):
            if candidate < stop and self.count(start, atoms[candidate - 1].end) < half:
                break
            if atoms[candidate].cut < best_cut and not atoms[candidate - 1].glued:
                best, best_cut = candidate, atoms[candidate].cut
        return best or stop

    def _overlap_start(self, atoms: Sequence[Atom], previous: int, at: int) -> int:
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


# ---------------------------------------------------------------- context


def context_line(title: str, heading: tuple[str, ...], most: int, length: Callable[[str], int]) -> str:
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
    """As much from the left as fits, in whole words where there are blanks."""
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        if length(line[:middle]) <= most:
            low = middle
        else:
            high = middle - 1
    kept = line[:low]
    return kept.rsplit(" ", 1)[0] if " " in kept and low < len(line) else kept.strip()


# ---------------------------------------------------------------- spans


def token_starts(text: str, tokenizer: Tokenizer) -> array[int]:
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


def cover(start: int, end: int, starts: Iterable[int]) -> Iterator[Span]:
    """Spans that touch, from `start` to `end`, each beginning at one of `starts` (the first one at `start`)."""
    edges = [start, *(edge for edge in starts if start < edge < end), end]
    return ((a, b) for a, b in pairwise(edges) if a < b)


def line_breaks(text: str, start: int, end: int) -> list[int]:
    """Where each line after the first begins."""
    found = []
    at = text.find("\n", start, end)
    while at >= 0:
        found.append(at + 1)
        at = text.find("\n", at + 1, end)
    return found
