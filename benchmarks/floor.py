"""What ragkit's retrieval is measured against: plain rank fusion, as a first prototype has it.

The same chunks, but their text alone, without titles and headings; the same embedder; rank_bm25 over lower-cased
words as they stand; reciprocal-rank fusion with k = 60 (Cormack, Clarke and Büttcher, 2009); no reranking and no
spelling correction.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from rank_bm25 import BM25Okapi

from ragkit import Engine, Settings
from ragkit.domain import Hit, Passage, SearchResult, StageScore, text_hash
from ragkit.store import CorpusWriter, schema

K = 60
DEPTH = 100
BATCH = 512


class PlainFusion:
    """Stands in for an engine wherever only `search` is asked of one."""

    def __init__(self, engine: Engine, corpus: str) -> None:
        self.settings: Settings = engine.settings
        self._engine = engine
        store = engine.store
        self._snapshot = store.current_snapshot(corpus)
        self._passages = store.passages([int(id) for id in store.chunk_ids(self._snapshot)])
        texts = [passage.chunk.text for passage in self._passages]
        self._words = BM25Okapi([words(text) for text in texts])
        self._vectors = embedded(engine, corpus, texts)

    def search(self, query: str, *, limit: int, **_: Any) -> SearchResult:
        """The first `limit` passages by the sum of 1 / (60 + rank) over both rankings."""
        vector = self._engine.embedder.embed([query], "query")[0]
        scores: dict[int, float] = {}
        for values in (self._vectors @ vector, self._words.get_scores(words(query))):
            for rank, at in enumerate(np.argsort(-values, kind="stable")[:DEPTH].tolist(), start=1):
                scores[at] = scores.get(at, 0.0) + 1 / (K + rank)
        first = sorted(scores, key=lambda at: -scores[at])[:limit]
        hits = tuple(hit(self._passages[at], scores[at], rank) for rank, at in enumerate(first, start=1))
        return SearchResult(query=query, mode="hybrid", hits=hits, snapshot=self._snapshot.name, timings={})


def words(text: str) -> list[str]:
    """Lower-cased words."""
    return re.findall(r"\w+", text.lower())


def hit(passage: Passage, score: float, rank: int) -> Hit:
    return Hit(passage, score, (StageScore("fused", rank, score),))


def embedded(engine: Engine, corpus: str, texts: Sequence[str]) -> Any:
    """The texts' vectors, taken from the store where they are known and kept there where they are not."""
    from sqlalchemy import select

    fingerprint, database = engine.embedder.fingerprint, engine.store.database
    keys = [text_hash(text) for text in texts]
    query = select(schema.vectors).where(schema.vectors.c.embedder == fingerprint)
    known: dict[str, bytes] = {}
    with database.reading() as connection:
        for start in range(0, len(keys), BATCH):
            part = query.where(schema.vectors.c.text_hash.in_(keys[start : start + BATCH]))
            known.update((row.text_hash, row.vector) for row in connection.execute(part))
    missing = sorted({key: text for key, text in zip(keys, texts, strict=True) if key not in known}.items())
    writer = CorpusWriter(engine.store, corpus)
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        vectors = engine.embedder.embed([text for _, text in batch], "passage")
        writer.put_vectors(fingerprint, [key for key, _ in batch], vectors)
        known.update((key, row.astype("<f4").tobytes()) for (key, _), row in zip(batch, vectors, strict=True))
        print(f"  floor: embedded {start + len(batch)} of {len(missing)}", file=sys.stderr)
    return np.frombuffer(b"".join(known[key] for key in keys), dtype="<f4").reshape(len(keys), -1)
