"""Train a grounding model: one command, resumable.

    python -m training.grounding OUT --entailment nli.jsonl --corpus squad/corpus.jsonl --docs DIR --held-out-docs DIR

OUT should be outside the repository. `--model alignment` (the default) trains the small network over the embedder's
states that ships in `ragkit/verify/alignment.npz`: OUT/words keeps the states, so that a run which was stopped goes
on, and OUT/alignment.npz is the result. `--model cross-encoder` trains a cross-encoder from the same embedder: a run
goes on from OUT/checkpoint.pt, and OUT/best is the model that did best on the held-out pairs.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ragkit.config import load
from training.base import base_model
from training.command import run
from training.grounding.data import Pair, held_out_pairs, training_pairs


def main() -> None:
    """Read the options, make the pairs, train."""
    parser = argparse.ArgumentParser(prog="python -m training.grounding", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--entailment", type=Path, required=True, help="JSONL: dataset, premise, hypothesis, label")
    parser.add_argument("--corpus", type=Path, required=True, help="paragraphs, in the BEIR layout")
    parser.add_argument("--docs", type=Path, action="append", default=[], help="a folder of HTML documentation")
    parser.add_argument("--held-out-docs", type=Path, required=True, help="another, which is not trained on")
    parser.add_argument("--model", choices=("alignment", "cross-encoder"), default="alignment")
    parser.add_argument("--base", default="all-MiniLM-L6-v2", help="the catalogue's name of the model to start from")
    parser.add_argument("--pairs", type=int, default=25_000, help="how many pairs at most")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training a cross-encoder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    pairs = training_pairs(options.entailment, options.corpus, options.docs, options.seed)
    pairs = random.Random(options.seed).sample(pairs, min(options.pairs, len(pairs)))
    held_out = held_out_pairs(options.entailment, options.held_out_docs, options.seed)
    for name, found in (("training", pairs), ("held out", held_out)):
        kinds = Counter(pair.kind for pair in found)
        print(
            f"{name}: {len(found)} pairs,", ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds)), flush=True
        )
    models = load().settings.models_directory
    if options.model == "alignment":
        alignment(options.out, pairs, held_out, options.base, models, options.seed, options.threads)
    else:
        cross_encoder(
            options.out, pairs, held_out, options.base, models, options.seed, options.threads, options.minutes
        )


def alignment(
    out: Path, pairs: Sequence[Pair], held_out: Sequence[Pair], base: str, models: Path, seed: int, threads: int
) -> None:
    """Embed every text once, train the network, write alignment.npz."""
    import numpy as np
    import torch

    from training.grounding.network import Recipe, examples, train
    from training.grounding.words import WordStore, embedder

    torch.set_num_threads(threads)
    store = WordStore(out / "words", embedder(base, models, threads))
    both = (*held_out, *pairs)
    store.add([text for pair in both for text in (pair.claim, *pair.evidence.split("\n")) if text])
    network = train(examples(pairs, store), examples(held_out, store), Recipe(seed=seed))
    np.savez_compressed(out / "alignment.npz", embedder=np.array(base), **network.arrays())
    print(out / "alignment.npz")


def cross_encoder(
    out: Path,
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    base: str,
    models: Path,
    seed: int,
    threads: int,
    minutes: float,
) -> None:
    """Train until the time is over, or the held-out pairs say stop."""
    import torch

    from training.cross_encoder import Recipe, Trainer
    from training.grounding.task import Grounding

    torch.set_num_threads(threads)
    Trainer(base_model(base, models), out, Recipe(minutes, seed), Grounding()).train(pairs, held_out)
    print(out / "best")


if __name__ == "__main__":
    run(main)
