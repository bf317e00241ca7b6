"""What the search finds for each question, right and wrong, kept in a folder as lines of JSON.

Knows the engine and its hits; knows nothing of models or losses. A passage that says much the same as the right one
is neither right nor wrong, so it is left out.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ragkit import Engine
from ragkit.domain import Hit
from ragkit.files import write_whole
from ragkit.text import analyse
from ragkit.units import contents
from training.command import Pace
from training.rerank.data import Query

DEPTH = 20
"""Candidates of a question."""
WRONG = 7
"""Wrong ones that are learned from, drawn from the candidates, the first ones more often."""
NEAR = 0.8
"""A passage that holds this share of a right one's words, and is not known to be right, is left out."""
WINDOW = 560
"""Characters of a passage's text that are read: about 130 tokens."""
BLOCK = 50
"""Questions that are searched for, and written, together."""


@dataclass(frozen=True, slots=True)
class Group:
    """A question and some of its candidates, the right one first: what is read of each, and its score in [0, 1] after
    the search's own reranking."""

    query: str
    kind: str
    texts: tuple[str, ...]
    scores: tuple[float, ...]


def groups(engine: Engine, queries: Sequence[Query], folder: Path, seed: int) -> list[Group]:
    """Of every question whose answer is among its candidates, and not alone there."""
    folder.mkdir(parents=True, exist_ok=True)
    began, found, pace = time.monotonic(), list[Group](), Pace()
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        named = f"{engine.embedder.fingerprint} {seed} " + "\0".join(repr(query) for query in block)
        path = folder / f"{hashlib.sha256(named.encode()).hexdigest()[:24]}.jsonl"
        if not path.is_file():
            made = []
            for at, query in enumerate(block):
                pace("search", start + at, len(queries))
                if group := _group(engine, query, random.Random(f"{seed}{query.text}")):
                    made.append(group)
            write_whole(path, "".join(f"{json.dumps(asdict(group))}\n" for group in made).encode())
        found += [_parsed(line) for line in path.read_text(encoding="utf-8").splitlines()]
    print(f"{len(queries)} questions, {len(found)} groups, {time.monotonic() - began:.0f} s", flush=True)
    return found


def _parsed(line: str) -> Group:
    row = json.loads(line)
    return Group(row["query"], row["kind"], tuple(row["texts"]), tuple(row["scores"]))


def _group(engine: Engine, query: Query, rng: random.Random) -> Group | None:
    hits = engine.search(query.text, corpus=query.corpus, limit=DEPTH).hits
    right = [hit for hit in hits if hit.passage.id in query.passages][:1]
    wrong = [hit for hit in hits if hit.passage.id not in query.passages and not _too_near(hit, query)]
    if not right or not wrong:
        return None
    # Nearer ones teach more: of the first candidates nearly all, of the last a few.
    chosen = sorted(range(len(wrong)), key=lambda at: (at + 1) * rng.random())[:WRONG]
    kept = [*right, *(wrong[at] for at in sorted(chosen))]
    return Group(query.text, query.kind, tuple(_shown(hit, query) for hit in kept), tuple(hit.score for hit in kept))


def _shown(hit: Hit, query: Query) -> str:
    """Title and headings, and the window of the text that has the quote, or most of the question's words."""
    chunk = hit.passage.chunk
    texts = [unit.text for unit in contents(chunk.text)]
    right = hit.passage.id in query.passages
    if right and query.hidden:
        texts = [text for text in texts if " ".join(text.split()) != query.hidden]
    wanted = frozenset(analyse(query.quote if right and query.quote else query.text))
    held = [len(wanted.intersection(analyse(text))) for text in texts]
    best, window = -1, (0, len(texts))
    for start in range(len(texts)):
        end, size = start, 0
        while end < len(texts) and (end == start or size + len(texts[end]) <= WINDOW):
            size, end = size + len(texts[end]) + 1, end + 1
        if sum(held[start:end]) > best:
            best, window = sum(held[start:end]), (start, end)
    return "\n".join(part for part in (chunk.context, chunk.prefix, *texts[slice(*window)]) if part)


def _too_near(hit: Hit, query: Query) -> bool:
    """Whether a passage may well answer, too: of the same section, with the same words, or a copy."""
    passage = hit.passage
    if passage.document_id == query.document and (query.kind == "heading" or passage.chunk.heading == query.heading):
        return True
    if any(copy.id in query.passages for copy in hit.copies):
        return True
    said, wanted = (set(text.lower().split()) for text in (passage.chunk.text, query.quote or query.hidden))
    return len(wanted) >= 4 and len(wanted & said) >= NEAR * len(wanted)
