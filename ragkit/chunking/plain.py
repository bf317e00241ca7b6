"""Strategies that see only text: sentences, langchain's recursive splitter, windows of equal length.

The door of langchain_text_splitters, which is imported when one of its strategies is chosen. Knows tokens and
sentences; of the document's structure only under which heading a chunk ends up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache

from ragkit.chunking.atoms import sentence_atoms
from ragkit.chunking.cutter import SENTENCE, Cutter, Piece
from ragkit.domain import Chunk, Span
from ragkit.sentences import sentences


def by_sentence(cutter: Cutter) -> list[Chunk]:
    """Pack sentences, whatever the structure."""
    start, end = body(cutter)
    budget = blind_budget(cutter)
    return located(cutter, cutter.pack(list(sentence_atoms(cutter, start, end, budget, SENTENCE)), budget))


def recursive(cutter: Cutter) -> list[Chunk]:
    """langchain's RecursiveCharacterTextSplitter, measured in tokens.

    It is asked for pieces without overlap, because then each one is found where the one before ended, even in text
    that repeats itself; the overlap is added in whole sentences, or words, afterwards. Blanks count for one token:
    what counts for nothing would be repeated all the same.
    """
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    start, end = body(cutter)
    budget = blind_budget(cutter)
    size = max(1, budget - cutter.overlap)
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=size,
        chunk_overlap=0,
        length_function=lru_cache(65536)(lambda text: max(1, cutter.length(text))),
        keep_separator="end",
        strip_whitespace=False,
    )
    pieces: list[Piece] = []
    at = start
    for part in splitter.split_text(cutter.text[start:end]):
        at = cutter.text.index(part, at, end)
        begin = _overlap_of_words(cutter, pieces[-1].fresh, at) if pieces else at
        pieces.append(Piece(begin, at, at + len(part)))
        at += len(part)
    return located(cutter, pieces)


def fixed(cutter: Cutter) -> list[Chunk]:
    """langchain's split_text_on_tokens: windows of equal length, wherever they fall.

    Tokens stand for themselves by number, so that a window decodes to the exact span of its text.
    """
    from langchain_text_splitters.base import Tokenizer as Windows
    from langchain_text_splitters.base import split_text_on_tokens

    start, end = body(cutter)
    first, last = bisect_left(cutter.starts, start), bisect_left(cutter.starts, end)
    budget = blind_budget(cutter)
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
    pieces: list[Piece] = []
    for number, (low, high) in enumerate(windows):
        begin = cutter.starts[low] if number else start
        finish = cutter.starts[high] if high < last else end
        pieces.append(Piece(begin, max(begin, pieces[-1].end) if pieces else begin, finish))
    return located(cutter, pieces or [Piece(start, start, end)])


def blind_budget(cutter: Cutter) -> int:
    """What the longest context of the document leaves: these strategies learn where a chunk stands afterwards."""
    paths = {(section.heading, section.words) for section in cutter.document.sections} | {((), ())}
    return cutter.limit - max(cutter.context(*path)[1] for path in paths)


def body(cutter: Cutter) -> Span:
    """From the first block to the last: without front matter."""
    return cutter.blocks[0].start, cutter.blocks[-1].end


def located(cutter: Cutter, pieces: Iterable[Piece]) -> list[Chunk]:
    """Chunks under the heading that stands above their new text."""
    chunks: list[Chunk] = []
    for piece in pieces:
        section = cutter.document.section_at(piece.fresh)
        heading, anchor, words = (section.heading, section.anchor, section.words) if section else ((), "", ())
        chunks.extend(cutter.emit([piece], heading, anchor, words))
    return chunks


def _overlap_of_words(cutter: Cutter, earliest: int, at: int) -> int:
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
