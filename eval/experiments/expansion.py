"""Measure query expansion: each method against none, question by question; written up in eval/LOG.md.

Uses the store that benchmarks/retrieval.py filled. What a language model writes is kept in the store, so a second run
of paraphrases and hyde takes no longer than the others.

    python -m eval.experiments.expansion --data DIR [--set NAME] [--method NAME] [--questions N] [--rerank]
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.retrieval import SETS, ingest
from ragkit import Engine, Settings, config
from ragkit.evaluation import datasets, metrics, run
from ragkit.evaluation.datasets import Dataset

MAIN = "nDCG@10"
BY_RULE = ("feedback", "acronyms", "parts")
SEED = 7


def main(ready: Callable[[Settings, Path, Dataset], str] = ingest) -> None:
    """Print a row for each set and method; `ready` gives the corpus of a set."""
    options = arguments()
    changes = {"store.directory": str(options.store)} | ({} if options.rerank else {"rerank.model": "none"})
    settings = config.replace(config.load().settings, changes)
    print("| set | n | method | none | with | difference | changed: better, worse | ms a query |")
    print("|---|---|---|---|---|---|---|---|")
    every: dict[str, list[tuple[dict[str, float], dict[str, float]]]] = {}
    for name in options.sets or SETS:
        dataset = sampled(datasets.load(options.data / name), options.questions)
        corpus = ready(settings, options.data / name, dataset)
        without, _ = searched(settings, dataset, corpus, "none")
        for method in options.methods or BY_RULE:
            found, seconds = searched(settings, dataset, corpus, method)
            every.setdefault(method, []).append((found, without))
            print(row(dataset.name, method, found, without, seconds), flush=True)
    for method, pairs in every.items():
        means = [sum(sum(one.values()) / len(one) for one in side) / len(pairs) for side in zip(*pairs, strict=True)]
        print(f"| average | | {method} | {means[1]:.4f} | {means[0]:.4f} | {means[0] - means[1]:+.4f} | | |")


def arguments() -> argparse.Namespace:
    """What was asked on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAGKIT_DEV_DATA", "../shared/data")))
    parser.add_argument("--set", dest="sets", action="append", metavar="NAME")
    parser.add_argument("--method", dest="methods", action="append", metavar="NAME")
    parser.add_argument("--questions", type=int, default=0, help="a sample of so many of each set")
    parser.add_argument("--store", type=Path, default=config.home() / "benchmarks", help="folder of the indexes")
    parser.add_argument("--rerank", action="store_true", help="rerank as the settings say; without it nothing is")
    return parser.parse_args()


def sampled(dataset: Dataset, questions: int) -> Dataset:
    """The dataset, or so many of its questions, the same ones every time."""
    judged = [one for one in dataset.questions if one.relevant]
    if questions and len(judged) > questions:
        judged = random.Random(SEED).sample(judged, questions)
    return dataclasses.replace(dataset, questions=tuple(judged))


def searched(settings: Settings, dataset: Dataset, corpus: str, method: str) -> tuple[dict[str, float], float]:
    """Each question's score, and the median seconds of a search."""
    with Engine(config.replace(settings, {"retrieve.expansion": method})) as engine:
        report = run.run_retrieval(engine, dataset, corpus=corpus, names=(MAIN,))
    return {one.id: one.scores[MAIN] for one in report.questions}, report.seconds["p50"]


def row(name: str, method: str, found: dict[str, float], without: dict[str, float], seconds: float) -> str:
    """One line of the table."""
    gain = metrics.paired_bootstrap(found, without).interval
    better = sum(found[id] > without[id] for id in without)
    worse = sum(found[id] < without[id] for id in without)
    before, after = (sum(one.values()) / len(one) for one in (without, found))
    cells = [name, str(len(without)), method, f"{before:.4f}", f"{after:.4f}"]
    cells += [
        f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})",
        f"{better}, {worse}",
        f"{seconds * 1000:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
