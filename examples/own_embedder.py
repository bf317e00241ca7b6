"""Search with an embedder of your own: `python examples/own_embedder.py docs "leave files out"`.

This one counts runs of three letters, so it forgives typing errors and needs no model file. Any object with these
members will do; `spans` makes it a Tokenizer too, which chunking needs to count tokens.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ragkit import Engine, Hit
from ragkit.domain import Progress, Span

if TYPE_CHECKING:
    from ragkit.domain import Vectors


class TrigramEmbedder:
    """Runs of three letters, hashed to dimensions."""

    dimension = 512
    max_tokens = 256
    fingerprint = "trigrams-512"
    """Must change whenever the same text would get another vector: vectors are kept under it."""

    def spans(self, text: str) -> list[Span]:
        """Words and punctuation marks as tokens."""
        return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]

    def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"] = "passage", progress: Progress | None = None
    ) -> Vectors:
        """One row of norm 1 for each text."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            flat = f"  {' '.join(re.findall(r'[a-z0-9]+', text.lower()))}  "
            for at in range(len(flat) - 2):
                digest = hashlib.blake2b(flat[at : at + 3].encode(), digest_size=4).digest()
                vectors[row, int.from_bytes(digest, "little") % self.dimension] += 1.0
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def search(engine: Engine, folder: str, query: str) -> tuple[Hit, ...]:
    """Ingest the folder and search it by vectors alone."""
    report = engine.ingest([folder])
    return engine.search(query, corpus=report.corpus, mode="dense", limit=5).hits


def main(folder: str, query: str) -> None:
    with Engine(embedder=TrigramEmbedder()) as engine:
        for hit in search(engine, folder, query):
            print(f"{hit.score:.2f}  {hit.passage.location}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
