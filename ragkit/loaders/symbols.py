"""Symbols of source code (classes, functions and the like) to the blocks and sections of a Document.

Knows spans, names and nesting; knows no language, no parser and no library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePosixPath

from ragkit.domain import JSON, Block, Document, Section, Span
from ragkit.loaders.structure import fill_gaps
from ragkit.text import trim

MAX_DEPTH = 8
"""Symbols nested deeper than this stay part of the one around them."""

_FOLDERS = frozenset(["/", "..", "src", "lib", "main", "java"])
_WORD_EDGE = re.compile(r"[\W_]+|(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_CLOSING = re.compile(r"(?:\W|\b(?:end|fi|done|esac)\b)*(?://.*)?")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition: `text[start:end]` is all of it, with its decorators and the comment in front.

    `head` is the span of its signature. `body` are the offsets of the statements in it, at any depth, in order;
    `members` are the symbols in it that get sections of their own; `opening` ends what stays with the head of a
    symbol that has members (a class's docstring).
    """

    name: str
    start: int
    end: int
    head: Span
    body: tuple[int, ...] = ()
    members: tuple[Symbol, ...] = ()
    opening: int = 0


def code_document(
    text: str, path: str, format: str, title: str, symbols: Sequence[Symbol],
    blocks: Iterable[Block] = (), metadata: Mapping[str, JSON] | None = None,
) -> Document:  # fmt: skip
    """A Document with a section for each symbol, under its qualified name; `blocks` stand outside of them."""
    found = [*blocks, *(block for symbol in symbols for block in symbol_blocks(text, symbol))]
    filled = tuple(_without_brackets(text, fill_gaps(text, found, kind="code")))
    return Document(path, text, format, title, metadata or {}, code_sections(text, path, symbols), filled)


def code_sections(text: str, path: str, symbols: Sequence[Symbol] = ()) -> tuple[Section, ...]:
    """A section for each symbol and for what lies between them, each with the words of its path."""
    folders = [part for part in PurePosixPath(path).with_suffix("").parts if part not in _FOLDERS]
    words = plain_words(" ".join(folders))
    base = (Section(0, len(text), (), words=(words,) if words else ()),)
    return nested(base, [entry for symbol in symbols for entry in _entries(symbol, "")])


def plain_words(name: str) -> str:
    """An identifier or path as words of prose: an embedder knows `add` and `item`, not `addItem`.

    >>> plain_words("shop.HTTPServer.addItem"), plain_words("shop/__init__ std::to_string2")
    ('shop http server add item', 'shop init std to string2')
    """
    return " ".join(_WORD_EDGE.sub(" ", name).split()).casefold()


def _without_brackets(text: str, blocks: Iterable[Block]) -> Iterator[Block]:
    """A block without content, such as the bracket that closes a class, joins the one before."""
    held: Block | None = None
    for block in blocks:
        if held is not None and _CLOSING.fullmatch(text, block.start, block.end):
            held = replace(held, end=block.end)
            continue
        if held is not None:
            yield held
        held = block
    if held is not None:
        yield held


def symbol_blocks(text: str, symbol: Symbol) -> Iterator[Block]:
    """One code block, its statements as rows and its signature as the header; for one with members a block each."""
    if symbol.members:
        start, end = trim(text, symbol.start, max(symbol.opening, symbol.head[1]))
        if start < end:
            yield Block("paragraph" if symbol.opening else "code", start, end)
        for member in symbol.members:
            yield from symbol_blocks(text, member)
        return
    start, end = trim(text, symbol.start, symbol.end)
    starts = [offset for offset in symbol.body if symbol.head[1] <= offset < end]
    rows = tuple(span for a, b in pairwise([*starts, end]) if (span := trim(text, a, b))[0] < span[1])
    header = trim(text, *symbol.head) if rows else None
    if header and not (start <= header[0] < header[1] <= rows[0][0]):
        header = None
    if start < end:
        yield Block("code", start, end, rows, header)


def _entries(symbol: Symbol, outer: str) -> Iterator[Entry]:
    name = f"{outer}.{symbol.name}" if outer else symbol.name
    yield Entry(symbol.start, symbol.end, name, name, plain_words(symbol.name))
    for member in symbol.members:
        yield from _entries(member, name)


# ---------------------------------------------------------------- sections


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of one symbol: `text[start:end]`. Entries nest. `words` are its name in plain words."""

    start: int
    end: int
    name: str
    anchor: str = ""
    words: str = ""


def nested(sections: Sequence[Section], entries: Iterable[Entry]) -> tuple[Section, ...]:
    """The sections, cut where entries start and end, each part under the path of its section and its entries.

    >>> [(s.start, s.heading) for s in nested([Section(0, 9, ("A",))], [Entry(2, 6, "f"), Entry(3, 5, "f.g")])]
    [(0, ('A',)), (2, ('A', 'f')), (3, ('A', 'f', 'f.g')), (5, ('A', 'f')), (6, ('A',))]
    """
    ordered = sorted(entries, key=lambda entry: (entry.start, -entry.end))
    found: list[Section] = []
    open_entries: list[Entry] = []
    waiting = iter(ordered)
    following = next(waiting, None)
    for section in sections:
        at = section.start
        while at < section.end:
            open_entries = [entry for entry in open_entries if entry.end > at]
            while following is not None and following.start <= at:
                if following.end > at:
                    open_entries.append(following)
                following = next(waiting, None)
            edges = [section.end, *(entry.end for entry in open_entries), *([following.start] if following else [])]
            end = min(edges)
            path = (*section.heading, *(entry.name for entry in open_entries))
            anchor = next((entry.anchor for entry in reversed(open_entries) if entry.anchor), section.anchor)
            words = (*section.words, *(entry.words for entry in open_entries)) if section.words else ()
            found.append(Section(at, end, path, anchor, section.symbol or bool(open_entries), words))
            at = end
    return tuple(found)
