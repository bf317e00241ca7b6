"""The metrics: rankings against judgements, answers against references, and the interval of a mean.

Knows numbers, ids and words; knows nothing of engines, datasets or files. The door of ir_measures (which
computes as trec_eval does) and of numpy's random numbers. Nothing here returns NaN.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ragkit.errors import EvaluationError

Judgements = Mapping[str, Mapping[str, int]]
"""Question id to unit id to grade."""
Rankings = Mapping[str, Sequence[str]]
"""Question id to unit ids, best first."""

RETRIEVAL = ("nDCG@10", "Recall@5", "Recall@10", "MRR@10", "MAP@10", "HitRate@5", "Precision@5")
"""What `ragkit eval retrieval` reports unless told otherwise."""


def retrieval_names(k: int) -> tuple[str, ...]:
    """The usual metrics of a ranking of `k`.

    >>> retrieval_names(10) == RETRIEVAL, retrieval_names(3)
    (True, ('nDCG@3', 'Recall@3', 'MRR@3', 'MAP@3', 'HitRate@3', 'Precision@3'))
    """
    few = min(5, k)
    names = (
        f"nDCG@{k}",
        f"Recall@{few}",
        f"Recall@{k}",
        f"MRR@{k}",
        f"MAP@{k}",
        f"HitRate@{few}",
        f"Precision@{few}",
    )
    return tuple(dict.fromkeys(names))


_IR_NAMES = {"nDCG": "nDCG", "Recall": "R", "Precision": "P", "MRR": "RR", "MAP": "AP", "HitRate": "Success"}


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over `n` values and its bootstrap confidence interval: low <= mean <= high."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.spelled()} n={self.n}"

    def spelled(self, sign: str = "") -> str:
        """The mean with its interval, for people; sign "+" also says when it is above 0."""
        mean, low, high = (f"{value:{sign}.3f}" for value in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"

    def rounded(self, digits: int) -> dict[str, float]:
        """The mean with its interval, as JSON has them."""
        return {name: round(getattr(self, name), digits) for name in ("mean", "low", "high")}


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of paired differences, its interval, and how often a resample falls on the other side of zero, doubled.

    `p` is the two-sided achieved significance level of the paired bootstrap, in [0, 1].
    """

    interval: Interval
    p: float


# ---------------------------------------------------------------- rankings


def score_rankings(
    judgements: Judgements, rankings: Rankings, names: Sequence[str] = RETRIEVAL
) -> dict[str, dict[str, float]]:
    """Each metric of each judged question: `{"nDCG@10": {"q1": 0.63}}`.

    A judged question that has no ranking scores 0. The order of a ranking is what is judged, so ties are
    the caller's to break. Names are nDCG@k, Recall@k, Precision@k, MRR@k, HitRate@k, MAP and MAP@k.

    >>> score_rankings({"q1": {"b": 1}, "q2": {"z": 1}}, {"q1": ["a", "b"]}, ["MRR@10", "Recall@1"])
    {'MRR@10': {'q1': 0.5, 'q2': 0.0}, 'Recall@1': {'q1': 0.0, 'q2': 0.0}}
    """
    import ir_measures

    parsed = {ir_measures.parse_measure(_ir_name(name)): name for name in names}
    scores = {name: dict.fromkeys(judgements, 0.0) for name in names}
    run = {
        question: {unit: float(len(ranking) - at) for at, unit in enumerate(ranking)}
        for question, ranking in rankings.items()
        if ranking and question in judgements
    }
    if not run:
        return scores
    qrels = {question: dict(grades) for question, grades in judgements.items()}
    for metric in ir_measures.iter_calc(list(parsed), qrels, run):
        if math.isfinite(metric.value):
            scores[parsed[metric.measure]][metric.query_id] = float(metric.value)
    return scores


def _ir_name(name: str) -> str:
    base, at, cutoff = name.partition("@")
    if base not in _IR_NAMES or (at and not (cutoff.isdigit() and int(cutoff) > 0)) or not (at or base == "MAP"):
        known = ", ".join(f"{known}@k" for known in _IR_NAMES)
        raise EvaluationError(f"unknown metric {name!r}", f"known are {known} and MAP")
    return _IR_NAMES[base] + at + cutoff


def cutoff(name: str) -> int:
    """How deep a ranking the metric looks: `cutoff("nDCG@10")` is 10; MAP looks at 100 here."""
    _ir_name(name)
    return int(name.partition("@")[2] or 100)


# ---------------------------------------------------------------- means and intervals


def bootstrap(values: Sequence[float], *, seed: int = 0, samples: int = 2000, level: float = 0.95) -> Interval:
    """Mean and percentile bootstrap interval over questions (Efron and Tibshirani, 1993, chapter 13).

    The same values and seed give the same interval; no values give 0 with n = 0.

    >>> bootstrap([1.0, 1.0, 1.0])
    Interval(mean=1.0, low=1.0, high=1.0, n=3)
    """
    if not values:
        return Interval(0.0, 0.0, 0.0, 0)
    mean = math.fsum(values) / len(values)
    return _interval(mean, _resampled_means(values, seed, samples), [values], level)


def average(
    groups: Sequence[Sequence[float]], *, seed: int = 0, samples: int = 2000, level: float = 0.95
) -> Interval:
    """Mean of the groups' means, each group weighing the same; questions are resampled within their group.

    >>> average([[1.0, 1.0], [0.0]])
    Interval(mean=0.5, low=0.5, high=0.5, n=3)
    """
    groups = [group for group in groups if group]
    if not groups:
        return Interval(0.0, 0.0, 0.0, 0)
    mean = math.fsum(math.fsum(group) / len(group) for group in groups) / len(groups)
    columns = [_resampled_means(group, seed + at, samples) for at, group in enumerate(groups)]
    return _interval(mean, [math.fsum(row) / len(groups) for row in zip(*columns, strict=True)], groups, level)


def paired_bootstrap(
    new: Mapping[str, float], old: Mapping[str, float], *, seed: int = 0, samples: int = 2000, level: float = 0.95
) -> Difference:
    """New minus old over the questions that both have, resampling questions (Sakai, SIGIR 2006)."""
    shared = sorted(set(new) & set(old))
    differences = [new[question] - old[question] for question in shared]
    interval = bootstrap(differences, seed=seed, samples=samples, level=level)
    if not any(differences):
        return Difference(interval, 1.0)
    means = _resampled_means(differences, seed, samples)
    below = sum(mean <= 0.0 for mean in means) / samples
    above = sum(mean >= 0.0 for mean in means) / samples
    return Difference(interval, min(1.0, 2.0 * min(below, above)))


def _interval(mean: float, means: Sequence[float], groups: Sequence[Sequence[float]], level: float) -> Interval:
    """The percentile interval of resampled means; it always holds the mean itself."""
    tail = (1.0 - level) / 2.0
    ordered = sorted(means)
    low, high = ordered[int(tail * len(ordered))], ordered[min(len(ordered) - 1, int((1.0 - tail) * len(ordered)))]
    return Interval(mean, min(low, mean), max(high, mean), sum(map(len, groups)))


def _resampled_means(values: Sequence[float], seed: int, samples: int) -> list[float]:
    """Means of `samples` resamples with replacement."""
    import numpy as np

    generator = np.random.default_rng(seed)
    array = np.asarray(values, dtype=np.float64)
    means = np.empty(samples)
    step = max(1, 2_000_000 // len(array))  # bounds the memory of large sets
    for start in range(0, samples, step):
        count = min(step, samples - start)
        means[start : start + count] = array[generator.integers(0, len(array), (count, len(array)))].mean(axis=1)
    return [float(mean) for mean in means]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, by nearest rank; 0 for none.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    2.0
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


# ---------------------------------------------------------------- answers against a reference


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall over words, counted with repetition (SQuAD, Rajpurkar et al., 2016).

    As SQuAD normalises: lower case, punctuation and articles left out.

    >>> token_f1("The port is 8080.", "Port 8080")
    0.8
    """
    found, wanted = _normalised(answer), _normalised(reference)
    shared = sum((Counter(found) & Counter(wanted)).values())
    return _f1(shared, len(found), len(wanted))


def exact_match(answer: str, reference: str) -> float:
    """1 if both have the same words in the same order, as SQuAD normalises them."""
    return float(_normalised(answer) == _normalised(reference))


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L F-measure: longest common subsequence of words (Lin, "ROUGE", ACL workshop 2004, section 3), beta 1.

    >>> round(rouge_l("police kill the gunman", "police killed the gunman"), 3)
    0.75
    """
    found, wanted = re.findall(r"\w+", answer.lower()), re.findall(r"\w+", reference.lower())
    return _f1(_longest_common_subsequence(found, wanted), len(found), len(wanted))


def _longest_common_subsequence(one: Sequence[str], two: Sequence[str]) -> int:
    row = [0] * (len(two) + 1)
    for left in one:
        diagonal = 0
        for at, right in enumerate(two, start=1):
            diagonal, row[at] = row[at], diagonal + 1 if left == right else max(row[at], row[at - 1])
    return row[-1]


def _normalised(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.lower()) if word not in ("a", "an", "the")]


def _f1(shared: int, found: int, wanted: int) -> float:
    """2PR / (P + R) written without the division by zero; two empty texts agree."""
    return 2.0 * shared / (found + wanted) if found + wanted else 1.0
