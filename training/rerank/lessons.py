"""What a search finds for each question, and what a stronger reader says of it, kept in a folder as lines of JSON.

Knows the engine, its hits and a cross-encoder; knows nothing of how a model learns from them.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ragkit import Engine
from ragkit.cross_encoder import CrossEncoder
from ragkit.files import write_whole
from training.command import Pace
from training.rerank.data import Query

DEPTH = 20
"""Hits that are drawn from: as many as are reranked."""
NEAR = 5
"""Of the first so many, the first and one more are read; of those behind them FAR."""
FAR = 1
CHARACTERS = 1400
"""Of a passage, as it is indexed, that are read: about 256 tokens with the question."""
BLOCK = 200
"""Questions that are searched for, read and written together."""
SURE = 1e-7
"""Probabilities nearer to 0 or 1 than this are as good as this, which is a logit of 16."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A question, some of the passages that the search finds for it, and the logit that the teacher gives each."""

    query: str
    kind: str
    texts: tuple[str, ...]
    logits: tuple[float, ...]


def lessons(engine: Engine, teacher: CrossEncoder, queries: Sequence[Query], folder: Path, seed: int) -> list[Lesson]:
    """Of every question that finds two passages at least; those that were made before are read from `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    began, found, pace = time.monotonic(), list[Lesson](), Pace()
    for start in range(0, len(queries), BLOCK):
        pace("questions", start, len(queries))
        block = queries[start : start + BLOCK]
        named = f"{engine.embedder.fingerprint} {teacher.name} {seed} " + "\0".join(repr(query) for query in block)
        path = folder / f"{hashlib.sha256(named.encode()).hexdigest()[:24]}.jsonl"
        if not path.is_file():
            made = _taught(engine, teacher, block, seed)
            write_whole(path, "".join(f"{json.dumps(asdict(lesson))}\n" for lesson in made).encode())
        found += [_parsed(line) for line in path.read_text(encoding="utf-8").splitlines()]
    print(f"{len(queries)} questions, {len(found)} lessons, {time.monotonic() - began:.0f} s", flush=True)
    return found


def _taught(engine: Engine, teacher: CrossEncoder, queries: Sequence[Query], seed: int) -> list[Lesson]:
    texts = [_candidates(engine, query, random.Random(f"{seed}{query.text}")) for query in queries]
    pairs = [(query.text, text) for query, some in zip(queries, texts, strict=True) for text in some]
    logits = iter([_logit(float(row)) for row in teacher.run(pairs, "teacher").reshape(-1)] if pairs else [])
    found = [
        Lesson(query.text, query.kind, tuple(some), tuple(next(logits) for _ in some))
        for query, some in zip(queries, texts, strict=True)
    ]
    return [lesson for lesson in found if len(lesson.texts) > 1]


def _candidates(engine: Engine, query: Query, rng: random.Random) -> list[str]:
    """The first hit, another one near it, and some that are farther behind."""
    hits = engine.search(query.text, corpus=query.corpus, limit=DEPTH).hits
    near, far = range(1, min(NEAR, len(hits))), range(NEAR, len(hits))
    places = [*range(min(1, len(hits))), *rng.sample(near, min(1, len(near))), *rng.sample(far, min(FAR, len(far)))]
    return [hits[place].passage.chunk.indexed[:CHARACTERS] for place in places]


def _logit(probability: float) -> float:
    within = min(max(probability, SURE), 1 - SURE)
    return round(math.log(within / (1 - within)), 3)


def _parsed(line: str) -> Lesson:
    row = json.loads(line)
    return Lesson(row["query"], row["kind"], tuple(row["texts"]), tuple(row["logits"]))
