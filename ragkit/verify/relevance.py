"""Whether the passages found can answer the question at all, judged before anything is generated.

Knows hits, their terms and cosines; knows nothing of models. The weights are fitted on development sets and
stand beside the figures they reached.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.domain import Hit
from ragkit.text import analyse

LOOKED_AT = 8
"""Hits that are looked at, best first."""


@dataclass(frozen=True, slots=True)
class Relevance:
    """`value` in [0, 1]; the rest says what it was made of. `missing` are the question's terms no passage has."""

    value: float
    cosine: float
    best: float
    together: float
    missing: tuple[str, ...] = ()


def relevance(question: str, hits: Sequence[Hit], *, language: str = "english") -> Relevance:
    """How likely the hits answer the question: the top cosine and the share of the question's terms they hold.

    Terms weigh more the fewer hits have them; one that no hit has weighs most. Without a dense stage the
    terms decide alone.
    """
    wanted = frozenset(analyse(question, language))
    top = sorted(hits, key=lambda hit: -hit.score)[:LOOKED_AT]
    if not top:
        return Relevance(0.0, 0.0, 0.0, 0.0, tuple(sorted(wanted)))
    texts = [frozenset(analyse(hit.passage.chunk.indexed, language)) for hit in top]
    seen = Counter(term for terms in texts for term in terms & wanted)
    weights = {term: math.log(1 + (len(top) + 1) / (0.5 + seen[term])) for term in wanted}
    total = sum(weights.values()) or 1.0
    best = max(sum(weights[term] for term in terms & wanted) for terms in texts) / total
    together = sum(weights[term] for term in seen) / total
    cosines = [
        stage.score for hit in top for stage in hit.stages if stage.stage == "dense" and stage.score is not None
    ]
    cosine = max(cosines, default=0.0)
    missing = tuple(sorted(wanted - set(seen)))
    logit = -4.0 + 5.0 * cosine + 2.5 * best + 1.0 * together if cosines else -3.0 + 4.0 * best + 2.0 * together
    return Relevance(1 / (1 + math.exp(-logit)), cosine, best, together, missing)
