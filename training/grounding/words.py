"""The words of every text of the pairs, and their vectors, computed once and kept in a folder.

Knows the embedder of the product and files of numbers; knows nothing of labels. Reading a text takes a hundred times
as long as one step of training over it, so a run that was stopped goes on with the first text that is missing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ragkit.embed import PartsEmbedder, open_embedder
from ragkit.models.prepare import prepared
from ragkit.verify.alignment import Words, word_spans

BLOCK = 1024
"""Texts that are embedded, and written, together."""


def embedder(name: str, models: Path, threads: int) -> PartsEmbedder:
    """The prepared embedder. Raises SystemExit when it is not here, or gives no vectors of words."""
    found = prepared(name, "embedder", models)
    opened = open_embedder(found.path, threads) if found else None
    if opened is None or not getattr(opened, "embeds_parts", False):
        raise SystemExit(f"{name} is not prepared; run `ragkit models prepare {name}`")
    return opened  # type: ignore[return-value]


class WordStore:
    """Words and vectors of texts, read from blocks of a folder; `blocks` are named by what they hold."""

    def __init__(self, folder: Path, embedder: PartsEmbedder) -> None:
        self._folder, self._embedder = folder, embedder
        self._texts: dict[str, Words] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, texts: Sequence[str]) -> None:
        """Read what is there, compute and write what is not; says how far it is."""
        began, distinct = time.monotonic(), list(dict.fromkeys(texts))
        for start in range(0, len(distinct), BLOCK):
            block = distinct[start : start + BLOCK]
            key = hashlib.sha256("\0".join((self._embedder.fingerprint, *block)).encode()).hexdigest()[:24]
            self._keep(block, self._vectors(block, self._folder / f"{key}.npz"))
            print(f"{start + len(block)} of {len(distinct)} texts, {time.monotonic() - began:.0f} s", flush=True)

    def __getitem__(self, text: str) -> Words:
        return self._texts[text]

    def _vectors(self, block: Sequence[str], path: Path) -> list[np.ndarray]:
        if path.is_file():
            with np.load(path, allow_pickle=False) as file:
                return np.split(file["vectors"], file["ends"][:-1])
        _, found = self._embedder.embed_with_parts(block, [word_spans(text) for text in block])
        partial = path.with_suffix(".partial.npz")
        ends = np.cumsum([len(vectors) for vectors in found])
        np.savez(partial, vectors=np.concatenate(found).astype(np.float16), ends=ends)
        partial.replace(path)
        return found

    def _keep(self, block: Sequence[str], vectors: Sequence[np.ndarray]) -> None:
        for text, rows in zip(block, vectors, strict=True):
            inside = rows.any(axis=1)
            words = [text[a:b] for (a, b), seen in zip(word_spans(text), inside, strict=True) if seen]
            self._texts[text] = Words(tuple(words), rows[inside].astype(np.float16))
