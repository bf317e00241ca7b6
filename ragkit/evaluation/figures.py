"""What a report draws: each metric by k, risk against coverage, latencies, kinds of question, calibration.

Knows runs and numbers; knows nothing of pages, colours or how anything is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ragkit.evaluation.metrics import Interval, bootstrap, percentile
from ragkit.evaluation.names import lower_is_better
from ragkit.evaluation.runs import Run, rows

BINS = 5
"""Groups of a calibration plot, of as many questions each."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Questions of like confidence: their mean confidence and their mean score."""

    confidence: float
    score: float
    n: int


def by_k(run: Run) -> dict[str, list[float]]:
    """Mean of each retrieval metric at k = 1, 2, ...; empty when the run has no such traces."""
    curves: dict[str, list[list[float]]] = {}
    for _, trace in rows(run):
        for name, values in dict(trace.get("by_k", {})).items():
            curves.setdefault(name, []).append(values)
    return {
        name: [math.fsum(column) / len(column) for column in zip(*many, strict=False)]
        for name, many in curves.items()
    }


def risk_coverage(run: Run, metric: str) -> list[tuple[float, float]]:
    """(coverage, risk): the mean loss, 1 - score, over the share of the questions that were most confident.

    El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010. Questions of
    the same confidence are taken together.
    """
    found = _confident(run, metric)
    points, loss = [], 0.0
    for at, (confidence, score) in enumerate(found, start=1):
        loss += 1.0 - score
        if at == len(found) or found[at][0] != confidence:
            points.append((at / len(found), loss / at))
    return points


def area(points: Sequence[tuple[float, float]]) -> float:
    """Area below a risk-coverage curve: the mean risk over all coverages; 0 for none.

    >>> area([(0.5, 0.0), (1.0, 0.5)])
    0.25
    """
    before, total = 0.0, 0.0
    for coverage, risk in points:
        total += (coverage - before) * risk
        before = coverage
    return total


def calibration(run: Run, metric: str) -> list[Calibrated]:
    """The questions in groups of rising confidence."""
    found = sorted(_confident(run, metric))
    if len(found) < 2 * BINS:
        return []
    edges = [round(at * len(found) / BINS) for at in range(BINS + 1)]
    groups = [found[start:end] for start, end in pairwise(edges)]
    return [
        Calibrated(
            math.fsum(c for c, _ in group) / len(group), math.fsum(s for _, s in group) / len(group), len(group)
        )
        for group in groups
    ]


def kinds(run: Run, metric: str) -> list[tuple[str, Interval]]:
    """Mean of the metric for each kind of question, the largest kind first."""
    groups: dict[str, list[float]] = {}
    for one in run.report.questions:
        if metric in one.scores:
            groups.setdefault(one.kind or "(none)", []).append(one.scores[metric])
    return [
        (kind, bootstrap(values))
        for kind, values in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def latencies(run: Run) -> Mapping[str, float]:
    """Percentiles of the seconds that a question took."""
    taken = [one.seconds for one in run.report.questions]
    return {
        name: percentile(taken, share) for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))
    }


def histogram(values: Sequence[float], bins: int = 24) -> tuple[list[float], list[int]]:
    """(edges, counts) of bins of the same width; what lies far above the 95th percentile is in the last.

    >>> histogram([0.5, 1.5, 1.6], bins=2)
    ([0.0, 0.8, 1.6], [1, 2])
    """
    high = min(max(values, default=0.0), 1.5 * percentile(values, 0.95)) or 1.0
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int(value / high * bins))] += 1
    return [round(at * high / bins, 9) for at in range(bins + 1)], counts


def _confident(run: Run, metric: str) -> list[tuple[float, float]]:
    """(confidence, score) of each question, the most confident first; what is better when lower is turned."""
    sign = lower_is_better(metric)
    found = [
        (float(trace["confidence"]), 1.0 - one.scores[metric] if sign else one.scores[metric])
        for one, trace in rows(run)
        if "confidence" in trace and metric in one.scores
    ]
    return sorted(found, key=lambda pair: -pair[0])
