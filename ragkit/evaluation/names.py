"""The metrics of answers: their names as printed, what each needs, and what it is worth when a question fails.

Knows names and numbers; knows nothing of how a metric is computed. docs/evaluation.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from ragkit.errors import EvaluationError

T = TypeVar("T")
Applies: TypeAlias = Literal["every", "reference", "answerable", "unanswerable", "none"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of answers. A question that fails scores `worst` in it if it is one of those that it `applies` to."""

    name: str
    applies: Applies = "every"
    worst: float = 0.0
    cost: bool = False
    """Tokens or seconds: not between 0 and 1, and no gate looks at them unless it is told to."""
    core: bool = False
    """What a gate looks at unless it is told otherwise: each sees another fault."""


METRICS = (
    Metric("Faithfulness", core=True),
    Metric("AnswerRelevancy", "answerable"),
    Metric("AnswerCorrectness", "reference", core=True),
    Metric("AnswerPrecision", "reference"),
    Metric("AnswerRecall", "reference"),
    Metric("TokenF1", "reference"),
    Metric("ExactMatch", "reference"),
    Metric("ROUGE-L", "reference"),
    Metric("SemanticSimilarity", "reference", core=True),
    Metric("ContextRelevancy", "answerable"),
    Metric("ContextPrecision", "reference"),
    Metric("ContextRecall", "reference", core=True),
    Metric("ContextUtilisation", "reference"),
    Metric("NoiseSensitivity", "reference", worst=1.0),
    Metric("CitationPrecision", core=True),
    Metric("CitationRecall", core=True),
    Metric("QuoteFidelity"),
    Metric("RefusalPrecision", "none", core=True),
    Metric("RefusalRecall", "unanswerable", core=True),
    Metric("PromptTokens", "none", cost=True),
    Metric("CompletionTokens", "none", cost=True),
    Metric("TimeToFirstToken", "none", cost=True),
    Metric("TokensPerSecond", "none", cost=True),
)
ANSWERS = tuple(metric.name for metric in METRICS)
"""What `ragkit eval answers` reports, in this order."""
COSTS = frozenset(metric.name for metric in METRICS if metric.cost)
CORE = tuple(metric.name for metric in METRICS if metric.core)
BESIDE: Mapping[str, str] = {
    "words": "FaithfulnessWords",
    "nli": "FaithfulnessNLI",
    "logits": "FaithfulnessLogits",
    "judge": "FaithfulnessJudge",
}
"""Engine of the faithfulness check to the metric that stands beside Faithfulness when it is asked for."""
EARLIER: Mapping[str, str] = {
    "RougeL": "ROUGE-L",
    "AbstentionPrecision": "RefusalPrecision",
    "AbstentionRecall": "RefusalRecall",
}
"""Other names of metrics: understood wherever a metric is named, and given in JSON beside the names of today."""
LOWER_IS_BETTER = ("NoiseSensitivity", "Seconds", "Latency", "TimeToFirstToken", "PromptTokens", "CompletionTokens")
"""Beginnings of the names of metrics that are better when they are smaller."""


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of the metric is the better one."""
    return metric.startswith(LOWER_IS_BETTER)


def current(name: str) -> str:
    """The name that a metric has today.

    >>> current("RougeL"), current("nDCG@10")
    ('ROUGE-L', 'nDCG@10')
    """
    return EARLIER.get(name, name)


def under_current_names(values: Mapping[str, T]) -> dict[str, T]:
    """Values by metric, each metric once.

    >>> under_current_names({"ROUGE-L": 0.5, "RougeL": 0.5, "AbstentionRecall": 1.0})
    {'ROUGE-L': 0.5, 'RefusalRecall': 1.0}
    """
    return {current(name): value for name, value in values.items()}


def with_earlier_names(values: Mapping[str, T]) -> dict[str, T]:
    """Values by metric, those that have another name under that one, too.

    >>> with_earlier_names({"ROUGE-L": 0.5, "TokenF1": 1.0})
    {'ROUGE-L': 0.5, 'TokenF1': 1.0, 'RougeL': 0.5}
    """
    return {**values, **{old: values[new] for old, new in EARLIER.items() if new in values}}


def answer_names(wanted: Sequence[str] = (), engine: str = "fast") -> tuple[str, ...]:
    """The metrics of answers to be reported: those wanted, or all, and Faithfulness by another engine beside them.

    Raises EvaluationError for one that does not exist.

    >>> answer_names(["RougeL"]), answer_names(["TokenF1"], "judge")
    (('ROUGE-L',), ('TokenF1', 'FaithfulnessJudge'))
    """
    known = (*ANSWERS, *BESIDE.values())
    chosen = [current(name) for name in wanted] or list(ANSWERS)
    if unknown := [name for name in chosen if name not in known]:
        raise EvaluationError(f"unknown metric {unknown[0]!r}", f"known are {', '.join(known)}")
    beside = BESIDE.get(engine)
    if beside and beside not in chosen:
        chosen.insert(chosen.index("Faithfulness") + 1 if "Faithfulness" in chosen else len(chosen), beside)
    return tuple(dict.fromkeys(chosen))


def worst_scores(*, answerable: bool, reference: bool, beside: Sequence[str] = ()) -> dict[str, float]:
    """What a question that failed scores, in every metric that applies to it.

    >>> worst_scores(answerable=False, reference=False)["RefusalRecall"]
    0.0
    """
    holds = {
        "every": True,
        "reference": answerable and reference,
        "answerable": answerable,
        "unanswerable": not answerable,
        "none": False,
    }
    worst = {metric.name: metric.worst for metric in METRICS if holds[metric.applies]}
    return worst | dict.fromkeys(beside, 0.0)
