"""The strategy that follows a document's structure: sections first, then blocks, items, rows, lines, sentences.

Knows sections and headings; knows nothing of formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ragkit.chunking.atoms import atoms
from ragkit.chunking.cutter import CONTEXT_SHARE, Cutter
from ragkit.domain import Block, Chunk, Section

TINY_TOKENS = 40
"""Sections shorter than this join the next one under the same heading."""

GAP_CHARS = 200
"""A chunk may run over this much text that is in no block (a shortcode, say), not over more."""


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks that are packed together: one section, or a few tiny ones."""

    blocks: tuple[Block, ...]
    heading: tuple[str, ...] = ()
    anchor: str = ""
    symbol: bool = False
    words: tuple[str, ...] = ()


def by_structure(cutter: Cutter) -> list[Chunk]:
    """Follow the document's structure."""
    chunks: list[Chunk] = []
    for group in groups(cutter):
        budget = cutter.limit - cutter.context(group.heading, group.words)[1]
        parts = list(atoms(cutter, group.blocks, budget))
        chunks.extend(cutter.emit(cutter.pack(parts, budget), group.heading, group.anchor, group.words))
    return chunks


def groups(cutter: Cutter) -> list[Group]:
    """Sections with their blocks; tiny ones joined to the next one under a common heading, when both fit."""
    tiny = min(TINY_TOKENS, cutter.limit // CONTEXT_SHARE)
    groups: list[Group] = []
    for group in _sections(cutter):
        last = groups[-1] if groups else None
        joined = _joined(cutter, last, group, tiny) if last else None
        if joined:
            groups[-1] = joined
        else:
            groups.append(group)
    return groups


def _sections(cutter: Cutter) -> Iterator[Group]:
    """The blocks of each section; one with a long stretch of foreign text inside is cut there."""
    sections = cutter.document.sections or (Section(0, len(cutter.text), ()),)
    held: list[Block] = []
    owner: Section | None = None
    for block in cutter.blocks:
        section = cutter.document.section_at(block.start) if cutter.document.sections else sections[0]
        if held and (section is not owner or _gap(cutter.text, held[-1].end, block.start) > GAP_CHARS):
            yield _group(held, owner)
            held = []
        owner = section
        held.append(block)
    if held:
        yield _group(held, owner)


def _group(blocks: Sequence[Block], owner: Section | None) -> Group:
    if owner is None:
        return Group(tuple(blocks))
    return Group(tuple(blocks), owner.heading, owner.anchor, owner.symbol, owner.words)


def _joined(cutter: Cutter, first: Group, second: Group, tiny: int) -> Group | None:
    """Both groups in one, or None: the first is tiny, the second its sibling or child, and they fit in a chunk.

    A bare heading always goes with its child, which loses nothing: the child's path holds it. What there is to say
    of a symbol goes with its own members at most, so that every passage is found by the name of its symbol.
    """
    start, end = first.blocks[0].start, first.blocks[-1].end
    if cutter.count(start, end) >= tiny or _gap(cutter.text, end, second.blocks[0].start) > GAP_CHARS:
        return None
    depth = len(first.heading)
    if second.heading[:depth] == first.heading and all(block.kind == "heading" for block in first.blocks):
        return replace(second, blocks=first.blocks + second.blocks)
    member = first.symbol and second.heading[:depth] == first.heading and len(second.heading) <= depth + 1
    if (first.symbol or second.symbol) and not member:
        return None
    common = [ours for ours, theirs in zip(first.heading, second.heading, strict=False) if ours == theirs]
    path = first.heading[: len(common)]
    if len(path) < depth - 1 or (depth > 1 and not path):
        return None
    words = first.words if path == first.heading else ()
    if cutter.count(start, second.blocks[-1].end) + cutter.context(path, words)[1] > cutter.limit:
        return None
    return Group(first.blocks + second.blocks, path, first.anchor, first.symbol, words)


def _gap(text: str, start: int, end: int) -> int:
    """Characters between two blocks, blanks around them not counted."""
    return len(text[start:end].strip())
