"""Score hits again with something slower and better than the indexes, and reorder them.

The embedder, sentence by sentence, or a cross-encoder after it, which reads question and passage together. Knows hits
and scores; knows nothing of indexes or of how the hits were found.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.cross_encoder import CrossEncoder, open_cross_encoder
from ragkit.domain import CODE_FORMATS, Hit, Passage, StageScore
from ragkit.nearness import nearness, unrelated_cosine
from ragkit.roles import Embedder
from ragkit.text import analyse, rarity
from ragkit.units import contents

if TYPE_CHECKING:
    from ragkit.config import RerankSettings
    from ragkit.domain import Vectors
    from ragkit.encoder import TextTokenizer
    from ragkit.roles import Reranker

STAGE = "rerank"
FIRST_STAGE = "sentences"
"""Where a cross-encoder follows, the sentences have their say before it, under this name."""
CROSS_ENCODER_WEIGHT = 0.7
MIN_WINDOW_TOKENS = 64
"""A passage's window is at least this long, however long the question is."""


def rerank(
    query: str, hits: Sequence[Hit], reranker: Reranker, settings: RerankSettings, stage: str = STAGE
) -> tuple[Hit, ...]:
    """The first `settings.depth` hits rescored and reordered, the rest behind them in their order.

    A rescored hit's score is `weight * reranker + (1 - weight) * before`, both in [0, 1], where the weight is the
    settings', or the reranker's own when that is 0; those behind keep at most the lowest score of those before, so
    that scores never rise along the list.
    """
    first, rest = list(hits[: settings.depth]), list(hits[settings.depth :])
    if not first:
        return tuple(hits)
    scores = reranker.score(query, [hit.passage for hit in first])
    weight = settings.weight or reranker.weight
    order = sorted(range(len(first)), key=lambda i: (-scores[i], i))
    ranks = {place: rank for rank, place in enumerate(order, start=1)}
    blended = [
        dataclasses.replace(
            hit,
            score=blend(score, hit.score, weight),
            stages=(*hit.stages, StageScore(stage, ranks[place], score)),
        )
        for place, (hit, score) in enumerate(zip(first, scores, strict=True))
    ]
    blended.sort(key=lambda hit: -hit.score)  # stable: equals keep the order they had
    floor = blended[-1].score
    behind = [
        dataclasses.replace(hit, score=min(hit.score, floor), stages=(*hit.stages, StageScore(stage, None, None)))
        for hit in rest
    ]
    return (*blended, *behind)


def blend(reranked: float, before: float, weight: float) -> float:
    """Weighted mean of the two scores.

    >>> blend(1.0, 0.5, weight=0.75)
    0.875
    """
    return weight * reranked + (1 - weight) * before


def cooled(probability: float, temperature: float) -> float:
    """The probability that the logit of `probability` has when divided by `temperature` (Guo et al., 2017).

    >>> round(cooled(0.99, 5.0), 2), cooled(0.5, 5.0), cooled(1.0, 1.0)
    (0.71, 0.5, 1.0)
    """
    if temperature == 1.0 or not 0.0 < probability < 1.0:
        return probability
    odds: float = (probability / (1.0 - probability)) ** (1.0 / temperature)
    return odds / (1.0 + odds)


def open_reranker(
    directory: Path, threads: int, weight: float = 0.0, temperature: float = 1.0
) -> CrossEncoderReranker:
    """The cross-encoder that `models prepare` left in `directory`; its model is read when it is first used.

    `weight` is what was measured to suit its scores, 0 takes CROSS_ENCODER_WEIGHT; its logits are divided by
    `temperature`.
    """
    model = open_cross_encoder(directory, "reranker", threads)
    return CrossEncoderReranker(model, weight or CROSS_ENCODER_WEIGHT, temperature)


class SentenceReranker:
    """The embedder once more, a sentence at a time: what matters is how near the best sentence of a passage comes.

    A passage's vector averages over all that it says, so a long passage with the very answer in it can lie
    farther from the question than a stub that only names the topic. Two terms make up for that: the cosine of
    the best sentence, and how much the passage has to say at all.
    """

    name = "sentences"
    # nDCG@10 on seven collections: .6130 fused, .6233 with both terms, .6191 without the second, .6163 without the
    # first; none of them loses (docs/retrieval.md).
    weight = 0.29
    best_sentence = 0.6
    """Share of the best sentence's cosine in the score; the length has the rest."""
    full_tokens = 256
    """A passage this long has as much to say as any."""
    looked_at = 2
    """Sentences of a passage that are embedded where no vectors are stored: those that hold most of the query's
    terms, by weight. All would take three times as long and rank no better (three collections: .551 and .552)."""

    def __init__(
        self,
        embedder: Embedder,
        language: str = "english",
        stored: Callable[[Sequence[int]], Mapping[int, Vectors]] | None = None,
    ) -> None:
        """`stored` gives the sentence vectors of passages, by passage id, as far as they were kept when the passages
        were embedded; of the others a few sentences are embedded now."""
        self._embedder = embedder
        self._language = language
        self._stored = stored

    def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """Best sentence's nearness and the logarithm of the length, both in [0, 1], in a fixed mixture."""
        if not passages:
            return []
        vector = self._embedder.embed([query], "query")[0]
        known = self._stored([passage.id for passage in passages]) if self._stored else {}
        near = {id: float((vectors @ vector).max(initial=0.0)) for id, vectors in known.items()}
        near |= self._embedded_now(query, vector, [passage for passage in passages if passage.id not in near])
        unrelated = unrelated_cosine(self._embedder)
        return [
            self.best_sentence * nearness(near[passage.id], unrelated)
            + (1 - self.best_sentence) * self._length(passage)
            for passage in passages
        ]

    def _embedded_now(self, query: str, vector: Vectors, passages: Sequence[Passage]) -> dict[int, float]:
        """Of each passage the cosine of the best of its promising sentences, 0 at least."""
        sentences = self._promising(
            query, [[unit.text for unit in contents(passage.chunk.text)] for passage in passages]
        )
        texts = list(dict.fromkeys(text for found in sentences for text in found))
        near = dict(zip(texts, (self._embedder.embed(texts) @ vector).tolist(), strict=True)) if texts else {}
        return {
            passage.id: max((0.0, *(near[text] for text in found)))
            for passage, found in zip(passages, sentences, strict=True)
        }

    def _promising(self, query: str, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """Of each passage the few sentences that hold most of the query's terms; rare ones weigh more."""
        wanted = frozenset(analyse(query, self._language))
        held = [[wanted.intersection(analyse(text, self._language)) for text in found] for found in sentences]
        passages = Counter(term for found in held for term in frozenset().union(*found))
        weights = {term: rarity(passages[term], len(sentences)) for term in wanted}
        chosen = []
        for found, terms in zip(sentences, held, strict=True):
            order = sorted(range(len(found)), key=lambda at: -math.fsum(weights[term] for term in terms[at]))
            chosen.append([found[at] for at in order[: self.looked_at]])
        return chosen

    def _length(self, passage: Passage) -> float:
        """0 for nothing, 1 from `full_tokens` on; 1 for source code, where a short function is no stub."""
        if passage.format in CODE_FORMATS:
            return 1.0
        return min(1.0, math.log1p(passage.chunk.tokens) / math.log1p(self.full_tokens))


class CrossEncoderReranker:
    """A cross-encoder with one label. A passage longer than its window is read in overlapping windows, and the best
    one counts."""

    after_sentences = True
    """It reads the hits as their sentences have put them in order."""

    def __init__(self, model: CrossEncoder, weight: float, temperature: float = 1.0) -> None:
        self.name = model.name
        self.weight = weight
        self._model = model
        self._temperature = temperature

    def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """Relevance of each passage to the query, in [0, 1]."""
        if not passages:
            return []
        texts = [passage.chunk.indexed for passage in passages]
        windows = _windows(self._model.tokenizer, query, texts, self._model.max_tokens)
        rows = self._model.run([(query, window) for _, window in windows], STAGE)
        best = _best(len(texts), [place for place, _ in windows], rows.reshape(-1).tolist())
        return [cooled(score, self._temperature) for score in best]


def _windows(tokenizer: TextTokenizer, query: str, texts: Sequence[str], max_tokens: int) -> list[tuple[int, str]]:
    """(index of the text, window of it), windows of a text overlapping by a quarter."""
    size = max(MIN_WINDOW_TOKENS, max_tokens - len(tokenizer.spans(query)))
    found = []
    for place, text in enumerate(texts):
        if len(text) <= size:  # a token has at least one character
            found.append((place, text))
            continue
        spans = tokenizer.spans(text)
        for start in range(0, max(1, len(spans) - size // 4), max(1, size - size // 4)):
            part = spans[start : start + size]
            found.append((place, text[part[0][0] : part[-1][1]] if part else text))
    return found


def _best(count: int, places: Sequence[int], scores: Sequence[float]) -> list[float]:
    """The highest score of each text's windows, kept within [0, 1]."""
    best = [0.0] * count
    for place, score in zip(places, scores, strict=True):
        best[place] = max(best[place], min(1.0, score))
    return best
