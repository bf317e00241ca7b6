"""Train the grounding model: one command, resumable.

    python -m training.grounding OUT --entailment nli.jsonl --corpus squad/corpus.jsonl --docs DIR --held-out-docs DIR

OUT should be outside the repository. A run that was stopped goes on from OUT/checkpoint.pt; OUT/best is the model
that did best on the held-out pairs. `python -m training.grounding.evaluate` says what it is worth.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path


def main() -> int:
    """Read the options, make the pairs, train."""
    parser = argparse.ArgumentParser(prog="python -m training.grounding", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--entailment", type=Path, required=True, help="JSONL: dataset, premise, hypothesis, label")
    parser.add_argument("--corpus", type=Path, required=True, help="paragraphs, in the BEIR layout")
    parser.add_argument("--docs", type=Path, action="append", default=[], help="a folder of HTML documentation")
    parser.add_argument("--held-out-docs", type=Path, required=True, help="another, on which training is stopped")
    parser.add_argument("--base", default="all-MiniLM-L6-v2", help="the catalogue's name of the model to start from")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    import torch

    from ragkit.config import load
    from ragkit.models import resolve
    from training.grounding.data import held_out_pairs, training_pairs
    from training.grounding.model import Recipe, Trainer

    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    base = resolve.local(options.base, load().settings.models_directory, "torch")
    if base is None:
        print(f"{options.base} is not here; run `ragkit models pull {options.base}`", file=sys.stderr)
        return 3
    pairs = training_pairs(options.entailment, options.corpus, options.docs, options.seed)
    held_out = held_out_pairs(options.entailment, options.held_out_docs, options.seed)
    print(len(pairs), dict(Counter((pair.kind, pair.label) for pair in pairs)), flush=True)
    print(len(held_out), dict(Counter((pair.kind, pair.label) for pair in held_out)), flush=True)
    Trainer(base.directory, options.out, Recipe(options.minutes, options.seed)).train(pairs, held_out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
