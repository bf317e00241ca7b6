"""Try ways and weights of fusing the dense and the lexical list; the results are written up in eval/LOG.md.

Both lists of every question are fetched once, through the public API, with each index's raw scores; everything
else is arithmetic on them. Uses the store that benchmarks/retrieval.py filled.

    python -m eval.experiments.fusion --data DIR [--set NAME]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.retrieval import SETS, arguments, ingest
from ragkit import Engine, Hit, config
from ragkit.evaluation import datasets, metrics, rankings
from ragkit.evaluation.datasets import Dataset, Question
from ragkit.retrieve import fuse_ranks, fuse_scores, normalise

Scores = Mapping[int, float]
Fuse = Callable[[Scores, Scores], dict[int, float]]
DEPTH = 100
WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True, slots=True)
class Lists:
    """What both indexes found for one question, with their raw scores."""

    question: Question
    hits: Mapping[int, Hit]
    dense: Scores
    lexical: Scores


def main() -> None:
    """Print one row for each way to fuse, best average first."""
    options = arguments()
    settings = config.replace(config.load().settings, {"store.directory": str(options.store)})
    columns: dict[str, dict[str, list[float]]] = {}
    for name in options.sets or SETS:
        dataset = datasets.load(options.data / name)
        corpus = ingest(settings, options.data / name, dataset)
        with Engine(settings) as engine:
            fetched = [fetch(engine, corpus, question) for question in dataset.questions if question.relevant]
        print(f"{name}: {len(fetched)} questions", file=sys.stderr)
        columns[dataset.name] = {label: judge(dataset, fetched, fuse) for label, fuse in ways()}
    rows = {label: [columns[name][label] for name in columns] for label, _ in ways()}
    print("| fusion | " + " | ".join(columns) + " | average |")
    print("|---" * (len(columns) + 2) + "|")
    for label, groups in sorted(rows.items(), key=lambda row: -metrics.average(row[1]).mean):
        cells = [f"{sum(group) / len(group):.3f}" for group in groups]
        print(f"| {label} | " + " | ".join(cells) + f" | {metrics.average(groups).mean:.4f} |")


def fetch(engine: Engine, corpus: str, question: Question) -> Lists:
    """Both lists, by chunk id."""
    raw: dict[str, dict[int, float]] = {"dense": {}, "lexical": {}}
    hits: dict[int, Hit] = {}
    for mode in ("dense", "lexical"):
        for hit in engine.search(question.text, corpus=corpus, mode=mode, limit=DEPTH, rerank=False).hits:
            raw[mode][hit.passage.id] = next(stage.score for stage in hit.stages if stage.stage == mode)
            hits[hit.passage.id] = hit
    return Lists(question, hits, raw["dense"], raw["lexical"])


def judge(dataset: Dataset, fetched: list[Lists], fuse: Fuse) -> list[float]:
    """nDCG@10 of each question."""
    level = dataset.level
    judgements, ranked = {}, {}
    for lists in fetched:
        golds = lists.question.relevant
        judgements[lists.question.id] = rankings.grades(golds, level)
        fused = ordered(fuse(lists.dense, lists.lexical))[:50]
        ranked[lists.question.id] = rankings.rank([lists.hits[chunk] for chunk in fused], golds, level)[:10]
    return list(metrics.score_rankings(judgements, ranked, ["nDCG@10"])["nDCG@10"].values())


# ---------------------------------------------------------------- ways to fuse


def ways() -> Iterator[tuple[str, Fuse]]:
    """Every fusion tried, by the name it has in the table."""
    yield "BM25", lambda dense, lexical: dict(lexical)
    yield "dense", lambda dense, lexical: dict(dense)
    for k in (10, 60):
        yield f"reciprocal rank, k {k}", lambda dense, lexical, k=k: fuse_ranks([ordered(dense), ordered(lexical)], k)
    for weight in WEIGHTS:
        yield f"min-max, dense {weight}", lambda d, b, w=weight: fuse_scores([d, b], [w, 1 - w])
        yield f"BM25 from 0, dense {weight}", lambda d, b, w=weight: weighted(normalise(d), of_best(b), w)
        yield f"both from 0, dense {weight}", lambda d, b, w=weight: weighted(of_best(d), of_best(b), w)
        yield f"raw cosine, dense {weight}", lambda d, b, w=weight: weighted(or_lowest(d, b), of_best(b), w)
        yield f"z-scores, dense {weight}", lambda d, b, w=weight: weighted(standard(d, b), standard(b, d), w)


def ordered(scores: Scores) -> list[int]:
    """Ids, best first, ties by id."""
    return sorted(scores, key=lambda chunk: (-scores[chunk], chunk))


def weighted(dense: Scores, lexical: Scores, weight: float) -> dict[int, float]:
    """What is missing on one side has 0 there."""
    return {id: weight * dense.get(id, 0.0) + (1 - weight) * lexical.get(id, 0.0) for id in {**dense, **lexical}}


def of_best(scores: Scores) -> dict[int, float]:
    """Shares of the best score."""
    best = max(scores.values(), default=0.0)
    return {id: max(0.0, score) / best if best > 0 else 0.0 for id, score in scores.items()}


def or_lowest(scores: Scores, others: Scores) -> dict[int, float]:
    """What is missing has the lowest score that was found."""
    lowest = min(scores.values(), default=0.0)
    return {id: scores.get(id, lowest) for id in {**scores, **others}}


def standard(scores: Scores, others: Scores) -> dict[int, float]:
    """Distance from the mean in standard deviations."""
    if not scores:
        return {}
    mean = sum(scores.values()) / len(scores)
    deviation = (sum((score - mean) ** 2 for score in scores.values()) / len(scores)) ** 0.5 or 1.0
    return {id: (score - mean) / deviation for id, score in or_lowest(scores, others).items()}


if __name__ == "__main__":
    main()
