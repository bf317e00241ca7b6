"""How far the metrics of an answer against a reference agree with people who judged the answer.

Knows judged answers, one by one or in pairs, and the metrics that need no context; knows nothing of engines but the
embedder. The statistics are those of `agreement`. An item that fails scores the worst and is counted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ragkit.domain import JSON, Progress
from ragkit.errors import DatasetError
from ragkit.evaluation.agreement import Agreement, compare, fisher, label_of, spearman
from ragkit.evaluation.correctness import correctness
from ragkit.evaluation.datasets import json_lines
from ragkit.evaluation.metrics import exact_match, rouge_l, token_f1
from ragkit.evaluation.progress import progressing
from ragkit.nearness import nearness, unrelated_cosine

if TYPE_CHECKING:
    from ragkit.roles import Embedder

THRESHOLD = 0.5
"""An answer that scores this counts as right; fixed beforehand, for every metric and every set."""
Metric: TypeAlias = Callable[[str, str, Sequence[str]], float]
"""(question, answer, references) to a score in [0, 1]."""
_KEYS = "each line needs question, reference, answer and label"


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer and what people made of it: 1 right, 0 wrong. With `other`, a second answer to the same question,
    the label is above 0 where the first is the better one, below where the second is, and 0 where neither is."""

    id: str
    question: str
    references: tuple[str, ...]
    answer: str
    label: float
    other: str | None = None


def holds_judged(path: Path) -> bool:
    """Whether a file's first line is a judged answer, and not a labelled claim."""
    return any("claim" not in row and "reference" in row for _, row in islice(json_lines(path), 1))


def load_judged(path: Path, limit: int | None = None) -> list[Judged]:
    """Items of a JSONL file with `question`, `reference` (one, or a list of which any will do), `answer`, `label`
    and, in pairs, `other`. Raises DatasetError with the line that cannot be used.
    """
    items = [_judged(place, row) for place, row in islice(json_lines(path), limit)]
    if len({item.other is None for item in items}) > 1:
        raise DatasetError(f"{path} has answers with and without another one beside them", "make two files of it")
    return items


def _judged(place: str, row: Mapping[str, JSON]) -> Judged:
    if missing := [key for key in ("question", "reference", "answer", "label") if row.get(key) is None]:
        raise DatasetError(f"{place} has no {', '.join(missing)}", _KEYS)
    reference = row["reference"]
    references = tuple(map(str, reference)) if isinstance(reference, list) else (str(reference),)
    other = row.get("other")
    id = str(row.get("id", place.rpartition(":")[2]))
    label = float(label_of(row["label"], place)) if other is None else _preference(row["label"], place)
    return Judged(
        id, str(row["question"]), references, str(row["answer"]), label, None if other is None else str(other)
    )


def _preference(value: JSON, place: str) -> float:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise DatasetError(
        f"{place}: label is {value!r}", "above 0 where the answer is better than other, below where not"
    )


def metrics(embedder: Embedder, language: str = "english") -> dict[str, Metric]:
    """The metrics by name, the one that is to be compared with the others first. Each takes its best reference."""

    unrelated = unrelated_cosine(embedder)

    def similarity(question: str, answer: str, references: Sequence[str]) -> float:
        if not answer.strip():
            return 0.0
        said, *vectors = embedder.embed([answer, *references])
        return max(nearness(float(said @ vector), unrelated) for vector in vectors)

    return {
        "AnswerCorrectness": lambda question, answer, refs: correctness(question, answer, refs, language).f1,
        "TokenF1": lambda _, answer, refs: max(token_f1(answer, one) for one in refs),
        "ExactMatch": lambda _, answer, refs: max(exact_match(answer, one) for one in refs),
        "ROUGE-L": lambda _, answer, refs: max(rouge_l(answer, one) for one in refs),
        "SemanticSimilarity": similarity,
    }


def measure(
    items: Sequence[Judged], chosen: Mapping[str, Metric], *, name: str, progress: Progress | None = None
) -> dict[str, Agreement]:
    """Each metric's agreement with the labels, over the same items."""
    return {metric: _agreement(items, score, name, metric, progress) for metric, score in chosen.items()}


def _agreement(
    items: Sequence[Judged], score: Metric, name: str, metric: str, progress: Progress | None
) -> Agreement:
    scores: list[float] = []
    began = time.perf_counter()
    for item in progressing(items, f"{name} {metric}", progress):
        value = score(item.question, item.answer, item.references)
        if item.other is not None:
            value -= score(item.question, item.other, item.references)
        scores.append(value)
    seconds = time.perf_counter() - began
    if not items or items[0].other is None:
        return compare(name, [int(item.label) for item in items], scores, THRESHOLD, seconds=seconds)
    return _of_pairs(name, [item.label for item in items], scores, seconds)


def _of_pairs(name: str, labels: Sequence[float], scores: Sequence[float], seconds: float) -> Agreement:
    """Which of two is better, where people saw a difference; the rank correlations take the ties and degrees, too."""
    apart = [(int(label > 0), score) for label, score in zip(labels, scores, strict=True) if label]
    better, margins = [label for label, _ in apart], [score for _, score in apart]
    found = compare(name, better, margins, math.ulp(0.0), seconds=seconds)
    rho, tau = spearman(labels, scores), kendall_b(labels, scores)
    return replace(
        found,
        n=len(labels),
        positives=sum(better),
        spearman=rho,
        kendall=tau,
        intervals={
            **found.intervals,
            "spearman": fisher(rho, len(labels), "spearman"),
            "kendall": fisher(tau, len(labels), "kendall"),
        },
    )


def kendall_b(one: Sequence[float], two: Sequence[float]) -> float:
    """Kendall's tau-b (1945) of any two lists; 0 when either side is constant.

    >>> round(kendall_b([-2, 0, 1, 1], [0.1, 0.2, 0.2, 0.9]), 4)
    0.8
    """
    import numpy as np

    a, b = (np.sign(np.subtract.outer(side, side)) for side in (np.asarray(one), np.asarray(two)))
    under = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / under if under else 0.0
