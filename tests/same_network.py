"""Print how far the network as torch trains it is from the one that ragkit runs, on random words: the largest gap."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from ragkit.verify.alignment import LIMIT, Aligner, Words
from training.grounding.data import Pair
from training.grounding.network import Network, Recipe, examples, padded

VOCABULARY = ("the", "cache", "keeps", "not", "500", "Entries", "for", "Pods", "never", "in", "2024", "and")


def main() -> None:
    torch.manual_seed(1)
    rng, generator = random.Random(1), np.random.default_rng(1)
    network = Network(Recipe(), 384).eval()
    arrays: dict[str, Any] = {name: value.astype(np.float32) for name, value in network.arrays().items()}
    network.load_state_dict({name: value.half().float() for name, value in network.state_dict().items()})
    store, pairs = {}, []
    for at in range(12):
        texts = [f"claim {at}", f"evidence {at}"]
        for text, size in zip(texts, (rng.randint(1, 30), rng.randint(1, 60)), strict=True):
            vectors = generator.normal(size=(size, 384)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            store[text] = Words(tuple(rng.choices(VOCABULARY, k=size)), vectors)
        pairs.append(Pair(texts[1], texts[0], 1, "test"))
    with torch.inference_mode():
        logits = network(*padded(examples(pairs, store))).clamp(-LIMIT, LIMIT)  # type: ignore[arg-type]
    aligner = Aligner(None, arrays)  # type: ignore[arg-type]
    learned = [aligner.align(store[pair.claim], [store[pair.evidence]]).learned for pair in pairs]
    print(max(abs(a - b) for a, b in zip(torch.sigmoid(logits).tolist(), learned, strict=True)))


if __name__ == "__main__":
    main()
