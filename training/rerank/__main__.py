"""Train a reranking cross-encoder: one command, resumable.

    python -m training.rerank OUT --docs DIR --docs DIR ... --held-out-docs DIR --squad squad/

OUT should be outside the repository. OUT/store holds what the product ingested, OUT/groups what it found for every
question, OUT/checkpoint.pt the model in training: a run that was stopped goes on from there. OUT/best is the model
that did best on the held-out questions, for `--set rerank.model=path:OUT/best`.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ragkit import Engine, config
from ragkit.evaluation import datasets, run
from training.base import base_model
from training.kinds import some_of_each_kind
from training.rerank.candidates import Group, groups
from training.rerank.data import Query, documentation_queries, judged_queries, sample_tree, squad_as_beir

PER_ARTICLE = 100
HELD_OUT = 12
"""One part in so many of the questions about paragraphs says when to stop."""
OF_A_KIND = 40
"""Held-out questions that are looked at, at most."""


def main() -> None:
    """Read the options, ingest, make the questions, search, train."""
    parser = argparse.ArgumentParser(prog="python -m training.rerank", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--docs", type=Path, action="append", default=[], help="a folder of HTML documentation")
    parser.add_argument("--held-out-docs", type=Path, action="append", default=[], help="one that says when to stop")
    parser.add_argument("--squad", type=Path, required=True, help="corpus.jsonl and pairs.jsonl of paragraphs")
    parser.add_argument("--files", type=int, default=80, help="of each folder, at most")
    parser.add_argument("--articles", type=int, default=76, help="of the paragraphs, at most")
    parser.add_argument("--base", default="all-MiniLM-L6-v2", help="the catalogue's name of the model to start from")
    parser.add_argument("--frozen-layers", type=int, default=0, help="of the lowest, left as they are: quicker")
    parser.add_argument("--batch", type=int, default=4, help="questions of a step")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--minutes", type=float, default=60.0, help="of training")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    learned, held_out = gather(options)
    train(options, learned, held_out)


def gather(options: argparse.Namespace) -> tuple[list[Group], list[Group]]:
    """What is learned and what says when to stop."""
    out: Path = options.out
    (out / "docs").mkdir(parents=True, exist_ok=True)
    overrides = {"store.directory": str(out / "store"), "threads": options.threads}
    with Engine(config.replace(config.load().settings, overrides)) as engine:
        learned = _documentation(engine, options.docs, out, options.files, options.seed)
        stop = _documentation(engine, options.held_out_docs, out, options.files, options.seed)
        squad_as_beir(options.squad, out / "squad", options.articles, PER_ARTICLE, options.seed)
        asked = _judged(engine, out / "squad")
        last = {query.document for query in asked[-(len(asked) // HELD_OUT) :]}
        stop += [query for query in asked if query.document in last]
        learned += [query for query in asked if query.document not in last]
        random.Random(options.seed).shuffle(learned)
        stop = some_of_each_kind(random.Random(options.seed).sample(stop, len(stop)), OF_A_KIND)
        for name, queries in (("training", learned), ("held out", stop)):
            print(f"{name}: {len(queries)} questions,", dict(sorted(Counter(one.kind for one in queries).items())))
        kept = out / "groups"
        return groups(engine, learned, kept, options.seed), groups(engine, stop, kept, options.seed)


def train(options: argparse.Namespace, learned: Sequence[Group], held_out: Sequence[Group]) -> None:
    """Until the time is over, or the held-out questions say stop."""
    import torch

    from training.cross_encoder import Recipe, Trainer
    from training.rerank.task import Reranking

    torch.set_num_threads(options.threads)
    base = base_model(options.base, config.load().settings.models_directory)
    recipe = Recipe(
        minutes=options.minutes,
        seed=options.seed,
        batch=options.batch,
        learning_rate=options.learning_rate,
        frozen_layers=options.frozen_layers,
    )
    Trainer(base, options.out, recipe, Reranking(), options.device).train(learned, held_out)
    print(options.out / "best")


def _documentation(engine: Engine, folders: Sequence[Path], out: Path, files: int, seed: int) -> list[Query]:
    """Of each folder a sample, ingested, and its questions."""
    found = []
    for folder in folders:
        sample_tree(folder, out / "docs" / folder.name, files, seed)
        corpus = folder.name.replace(".", "-")
        report = engine.ingest([out / "docs" / folder.name], corpus=corpus)
        queries = list(documentation_queries(engine, corpus, seed))
        print(f"{corpus}: snapshot {report.snapshot}, {len(queries)} questions", flush=True)
        found += queries
    return found


def _judged(engine: Engine, folder: Path) -> list[Query]:
    dataset = datasets.load(folder)
    return list(judged_queries(engine, dataset, run.prepare_corpus(engine, dataset)))


if __name__ == "__main__":
    main()
