"""What other versions of a document say where a passage, or a quote from it, stands: the same, or something else.

Knows passages, texts and versions; knows nothing of queries, indexes or where passages are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ragkit.domain import Hit, OtherVersion, Passage, Source
from ragkit.domain.answers import Answer
from ragkit.text import fold, fold_line

COMPARED = 10
"""Hits that are compared, the best ones."""
OTHERS = 3
"""Versions of a document that are compared, the latest first."""
ALIKE = 0.3
"""Share of the words, of both together, that a passage under another heading must have in common with one."""

Versions = Callable[[int], Sequence[tuple[int, str]]]
"""Of a document its other versions, the latest first: document and version."""
PassagesOf = Callable[[int], Sequence[Passage]]
TextOf = Callable[[int], str]


def compared(hits: Sequence[Hit], versions: Versions, passages_of: PassagesOf, text_of: TextOf) -> tuple[Hit, ...]:
    """The hits, each with what other versions of its document say in its place."""
    compare = _Comparison(versions, passages_of, text_of)
    told = (
        replace(hit, other_versions=compare.at(hit.passage, (hit.passage.chunk.text,))) for hit in hits[:COMPARED]
    )
    return (*told, *hits[COMPARED:])


def with_versions(
    answer: Answer, hits: Sequence[Hit], versions: Versions, passages_of: PassagesOf, text_of: TextOf
) -> Answer:
    """The answer, its sources with what other versions say in place of the quotes, and a notice where they differ."""
    compare = _Comparison(versions, passages_of, text_of)
    passages = {hit.passage.id: hit.passage for hit in hits}
    sources = []
    for source in answer.sources:
        passage = next((passages[id] for id in source.chunk_ids if id in passages), None)
        quotes = [quote.text for claim in answer.claims for quote in claim.quotes if quote.number == source.number]
        others = compare.at(passage, quotes or (source.text,)) if passage else ()
        sources.append(replace(source, other_versions=others))
    said = [line for source in sources for line in _differences(source)]
    return replace(answer, sources=tuple(sources), notices=(*answer.notices, *said))


def _differences(source: Source) -> list[str]:
    mine = f"[{source.number}] is of version {source.doc_version}"
    return [f"{mine}; {other.difference}" for other in source.other_versions if not other.same]


class _Comparison:
    """Compares passages with other versions of their documents, reading each of those once."""

    def __init__(self, versions: Versions, passages_of: PassagesOf, text_of: TextOf) -> None:
        self._versions = versions
        self._passages_of = passages_of
        self._text_of = text_of
        self._texts: dict[int, str] = {}
        self._words: dict[int, list[tuple[Passage, frozenset[str]]]] = {}

    def at(self, passage: Passage, texts: Sequence[str]) -> tuple[OtherVersion, ...]:
        """What other versions have in place of `texts`, which are of the passage."""
        found = []
        for document, version in self._versions(passage.document_id)[:OTHERS]:
            if document not in self._texts:
                self._texts[document] = fold_line(self._text_of(document))
                self._words[document] = [(one, _words(one.chunk.text)) for one in self._passages_of(document)]
            same = all(fold_line(text) in self._texts[document] for text in texts)
            found.append(OtherVersion(version, self._nearest(passage, document), same))
        return tuple(found)

    def _nearest(self, passage: Passage, document: int) -> Passage | None:
        """The passage that stands in its place: under the same headings, and with the most words in common."""
        mine, heading = _words(passage.chunk.text), passage.chunk.heading
        ranked = [
            (one.chunk.heading == heading, len(mine & words) / max(1, len(mine | words)), one)
            for one, words in self._words[document]
        ]
        titled, likeness, best = max(ranked, key=lambda item: item[1] + 0.5 * item[0], default=(False, 0.0, None))
        return best if titled or likeness >= ALIKE else None


def _words(text: str) -> frozenset[str]:
    return frozenset(fold(text).split())
