"""Which chunks hold a query's quoted phrases.

Knows a lexical index, which narrows the choice, and the texts of the chunks, which decide; knows nothing of scores,
vectors or how a query was read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ragkit.query import holds, phrase_terms

if TYPE_CHECKING:
    from ragkit.domain import ChunkIds
    from ragkit.roles import LexicalIndex


def holding(
    phrases: Sequence[str],
    lexical: LexicalIndex,
    texts: Callable[[Sequence[int]], Mapping[int, str]],
    language: str,
    allowed: ChunkIds | None = None,
) -> ChunkIds:
    """Ascending ids of the chunks, among the `allowed` ones, whose indexed text holds every phrase.

    `texts` gives the texts of chunks by id. Phrases without a term that the index could know (stop words,
    punctuation, single characters) are looked for in every allowed chunk.
    """
    import numpy as np

    terms = dict.fromkeys(term for phrase in phrases for term in phrase_terms(phrase, language))
    if language not in ("english", "none"):  # a stem may hang on an accent that a phrase need not have
        terms = {term: None for term in terms if lexical.holders(term)}
    chosen = lexical.holding(list(terms))
    if allowed is not None:
        chosen = np.intersect1d(chosen, allowed, assume_unique=True)
    known = texts([int(id) for id in chosen])
    return np.asarray([id for id in sorted(known) if holds(known[id], phrases)], dtype=np.int64)
