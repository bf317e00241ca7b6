"""Whether the passages found can answer the question at all, judged before anything is generated.

Knows hits, their terms and cosines; knows nothing of models. The weights are fitted on development sets and
stand beside the figures they reached.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ragkit.domain import Hit
from ragkit.nearness import nearness
from ragkit.text import analyse, rarity, term_spans

LOOKED_AT = 8
"""Hits that are looked at, best first."""

# Logistic regression on 220 answerable questions (rhdh, kubernetes, single-topic) and 330 that the corpus does not
# answer (the same asked of another corpus, and single-topic's own), every set of equal weight, all-MiniLM-L6-v2. At
# verify.min_relevance 0.35 it refuses 3 %, 3 % and 13 % of the answerable ones and declines 80 to 100 % of questions
# from another field, 33 to 68 % of those from a neighbouring one, 35 % of those on the very topic: what is left over
# is for the model and the check of its claims to decline.
BIAS, COSINE, BEST = -5.49, 8.37, 4.10
# The same without vectors; the bias is set so that the same threshold refuses about as many: 8 %, 1 % and 8 %.
BIAS_LEXICAL, BEST_LEXICAL = -2.22, 5.66


@dataclass(frozen=True, slots=True)
class Relevance:
    """`value` in [0, 1], made of the top cosine and the share of the question's terms in the best passage.

    `missing` are the words of the question that no passage has, as the question spells them.
    """

    value: float
    cosine: float
    best: float
    missing: tuple[str, ...] = ()


def relevance(question: str, hits: Sequence[Hit], *, language: str = "english", unrelated: float = 0.0) -> Relevance:
    """How likely the hits answer the question: by the top cosine and the question's terms that one hit holds.

    Terms weigh more the fewer hits have them; one that no hit has weighs most. Without a dense stage the terms
    decide alone. `unrelated` is the cosine that the embedder gives texts without anything in common.
    """
    wanted = frozenset(analyse(question, language))
    top = sorted(hits, key=lambda hit: -hit.score)[:LOOKED_AT]
    if not top:
        return Relevance(0.0, 0.0, 0.0, _words(question, wanted, language))
    texts = [frozenset(analyse(hit.passage.chunk.indexed, language)) for hit in top]
    seen = Counter(term for terms in texts for term in terms & wanted)
    weights = {term: rarity(seen[term], len(top) + 1) for term in wanted}
    total = sum(weights.values()) or 1.0
    best = max(sum(weights[term] for term in terms & wanted) for terms in texts) / total
    cosines = [
        stage.score for hit in top for stage in hit.stages if stage.stage == "dense" and stage.score is not None
    ]
    cosine = max(cosines, default=0.0)
    missing = _words(question, wanted - set(seen), language)
    logit = (
        BIAS + COSINE * nearness(cosine, unrelated) + BEST * best if cosines else BIAS_LEXICAL + BEST_LEXICAL * best
    )
    return Relevance(1 / (1 + math.exp(-logit)), cosine, best, missing)


def _words(question: str, terms: Iterable[str], language: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(question[start:end] for start, end in term_spans(question, terms, language)))
