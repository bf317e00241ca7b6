"""Fit the weights of the fast engine on claims that people have labelled, and say what each set gains or loses.

    python -m training.grounding.fit DIR [-n 300] [--seed 7]

DIR holds JSONL files as `ragkit eval agreement` reads them. Of a statement of several sentences all count, the worst
one twice. Every set and label weighs the same. Each set is scored with weights fitted without it; the weights that
are printed last are fitted on all the sets of FITTED_ON, and are what `ragkit/verify/support.py` holds.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from ragkit import Engine
from ragkit.domain import Context, Source
from ragkit.evaluation.agreement import Item, auroc, balanced_accuracy, load_items
from ragkit.verify.alignment import open_aligner
from ragkit.verify.claims import statements
from ragkit.verify.grounding import together
from ragkit.verify.support import CAP, PREMISE, Evidence, Measured

FITTED_ON = (
    "begin_cmu_dev",
    "begin_tc_dev",
    "begin_wow_dev",
    "factcheck_gpt_stance",
    "wice_claim_dev",
    "ragtruth_summary_test",
)
MODELS: Mapping[str, tuple[str, ...]] = {
    "words": ("coverage", "lowest", "learned", "negation", "names"),
    "words without the network": ("coverage", "lowest", "negation", "names"),
    "terms": ("coverage", "pairs", "negation", "names"),
    "fast without names": ("coverage", "pairs", "cosine", "negation"),
    "fast": ("coverage", "pairs", "cosine", "negation", "names"),
}
"""Features of each; the others are compared with the last."""
ROUNDS = 5
"""Which claim is the worst depends on the weights, and the weights on which is."""
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Labelled:
    """A statement of a set, with what was measured of each of its claims."""

    set: str
    label: int
    claims: tuple[Measured, ...]


def measured(items: Sequence[Item], name: str, engine: Engine) -> list[Labelled]:
    """Every claim of every item against its context."""
    found = []
    for item in items:
        claims = statements(item.claim)
        source = Source(1, 0, "", "", (), "", 0, len(item.context), 1, 1, "line", item.context, 1.0)
        aligner = open_aligner(engine.embedder)
        context, claims = Context((source,)), claims or [item.claim]
        fast = Evidence(context, engine.embedder, question=item.question).measure(claims)
        words = Evidence(context, engine.embedder, question=item.question, aligner=aligner).measure(claims)
        rows = [replace(two[1], cosine=one[1].cosine) for one, two in zip(fast, words, strict=True)]
        found.append(Labelled(name, item.label, tuple(rows)))
    return found


def fit(rows: Sequence[Labelled], features: Sequence[str]) -> np.ndarray:
    """The bias and the weight of each feature."""
    tables = [_table(row, features) for row in rows]
    counts = Counter((row.set, row.label) for row in rows)
    shares = [100 / counts[row.set, row.label] for row in rows]
    labels = [row.label for row in rows]
    weights = np.array([0.0, *(-1.0 if name in ("negation", "names") else 1.0 for name in features)])
    for _ in range(ROUNDS):
        means = np.array([_mean(table, weights) for table in tables])
        centre, spread = means.mean(axis=0), means.std(axis=0) + 1e-9
        model = LogisticRegression(C=0.1, max_iter=500).fit((means - centre) / spread, labels, sample_weight=shares)
        slopes = model.coef_[0] / spread
        weights = np.array([model.intercept_[0] - slopes @ centre, *slopes])
    return weights


def _mean(table: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of the claims' features, the worst claim's counted twice."""
    worst = table[(table @ weights[1:]).argmin()]
    mean: np.ndarray = (table.sum(axis=0) + worst) / (len(table) + 1)
    return mean


def support(row: Labelled, features: Sequence[str], weights: np.ndarray) -> float:
    """Of the statement, as `ground` gives it."""
    logits = _table(row, features) @ weights[1:] + weights[0]
    found = []
    for one, logit in zip(row.claims, logits, strict=True):
        value = (PREMISE if one.presumes else 1.0) / (1 + np.exp(-logit)) if one.window else 0.0
        found.append(min(value, CAP) if one.missing else value)
    return together(found, exact=not any(one.missing for one in row.claims))


def _table(row: Labelled, features: Sequence[str]) -> np.ndarray:
    return np.array([[getattr(one, name) for name in features] for one in row.claims])


def report(rows: Sequence[Labelled]) -> None:
    """Print every set's figures under each model fitted without it, and the difference in AUROC to the last model."""
    sets = sorted({row.set for row in rows})
    found: dict[str, dict[str, list[float]]] = {name: {} for name in MODELS}
    for name, features in MODELS.items():
        for one in sets:
            weights = fit([row for row in rows if row.set in FITTED_ON and row.set != one], features)
            found[name][one] = [support(row, features, weights) for row in rows if row.set == one]
    labels = {one: [row.label for row in rows if row.set == one] for one in sets}
    for name in MODELS:
        print(f"\n{name}: balanced accuracy at .5, AUROC, AUROC less that of {list(MODELS)[-1]} (95 %)")
        for one in sets:
            scores, other = found[name][one], found[list(MODELS)[-1]][one]
            low, high = interval(labels[one], scores, other)
            accuracy = balanced_accuracy(labels[one], [int(score >= 0.5) for score in scores])
            print(f"  {one:24} {accuracy:.3f} {auroc(labels[one], scores):.3f} [{low:+.3f}, {high:+.3f}]")
        mean = np.mean([balanced_accuracy(labels[s], [int(x >= 0.5) for x in found[name][s]]) for s in sets])
        print(f"  {'mean':24} {mean:.4f} {np.mean([auroc(labels[s], found[name][s]) for s in sets]):.4f}")
        weights = fit([row for row in rows if row.set in FITTED_ON], MODELS[name])
        print(f"  bias {weights[0]:.2f}", *(f"{k} {v:.2f}" for k, v in zip(MODELS[name], weights[1:], strict=True)))


def interval(labels: Sequence[int], scores: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the difference in AUROC, items resampled."""
    rng = random.Random(0)
    differences = []
    for _ in range(RESAMPLES // 5):
        places = rng.choices(range(len(labels)), k=len(labels))
        drawn = [labels[at] for at in places]
        differences.append(auroc(drawn, [scores[at] for at in places]) - auroc(drawn, [other[at] for at in places]))
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m training.grounding.fit", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-n", type=int, default=300, help="statements of each set; half as many of RAGTruth")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    rows: list[Labelled] = []
    with Engine() as engine:
        for path in sorted(options.folder.glob("*.jsonl")):
            items = load_items(path)
            random.Random(options.seed).shuffle(items)
            rows += measured(items[: options.n // 2 if "ragtruth" in path.name else options.n], path.stem, engine)
            print(path.stem, len(rows), flush=True)
    report(rows)


if __name__ == "__main__":
    main()
