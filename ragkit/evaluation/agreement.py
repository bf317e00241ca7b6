"""How far a metric agrees with people: its scores against human labels, item by item.

Knows labelled items, scores and the statistics between them; reads statements and texts through the public API
(`Engine.ground`) alone. An item that fails scores 0, the worst, and is counted. Nothing here returns NaN.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ragkit.domain import JSON, Progress
from ragkit.errors import DatasetError, RagkitError
from ragkit.evaluation.datasets import json_lines
from ragkit.evaluation.fingerprints import digest, grounding
from ragkit.evaluation.progress import progressing
from ragkit.evaluation.run import SETUP
from ragkit.evaluation.tables import aligned, piped
from ragkit.verify import ASKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragkit import Engine

_LABELS: Mapping[object, int] = {1: 1, 0: 0, "1": 1, "0": 0, "true": 1, "false": 0}
SAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """A claim with its context, and whether people found it supported (1) or not (0)."""

    id: str
    question: str
    context: str
    claim: str
    label: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """One set's agreement. Rank statistics need no threshold; the others use the one fixed beforehand."""

    name: str
    n: int
    positives: int
    balanced_accuracy: float
    low: float
    high: float
    f1: float
    kappa: float
    auroc: float
    spearman: float
    kendall: float
    seconds: float
    errors: Mapping[str, str] = field(default_factory=dict)
    """Item id to why it failed."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % interval of each statistic by its name."""


def load_items(path: Path, limit: int | None = None) -> list[Item]:
    """Items of a JSONL file with `context`, `claim`, `label` (0 or 1) and, where there is one, `question`.

    Raises DatasetError with the line that cannot be used.
    """
    items = [_item(place, row) for place, row in islice(json_lines(path), limit)]
    if not items:
        raise DatasetError(f"{path} holds no item", "give one JSON object a line with context, claim and label")
    return items


def _item(place: str, row: Mapping[str, JSON]) -> Item:
    missing = [key for key in ("context", "claim", "label") if key not in row]
    if missing:
        raise DatasetError(f"{place} has no {', '.join(missing)}", "each line needs context, claim and label")
    label = label_of(row["label"], place)
    context = row["context"]
    text = "\n\n".join(map(str, context)) if isinstance(context, list) else str(context)
    return Item(
        str(row.get("id", place.rpartition(":")[2])), str(row.get("question") or ""), text, str(row["claim"]), label
    )


def label_of(value: JSON, place: str) -> int:
    """A label of two classes in any usual spelling. Raises DatasetError for what is none."""
    known = (
        None if isinstance(value, list | dict) else _LABELS.get(value.lower() if isinstance(value, str) else value)
    )
    if known is None:
        raise DatasetError(f"{place}: label is {value!r}", "use 1 for supported or right, and 0 for not")
    return known


def measure(
    engine: Engine,
    items: Sequence[Item],
    *,
    name: str,
    faithfulness_engine: str = "fast",
    fresh: bool = False,
    progress: Progress | None = None,
) -> Agreement:
    """Score every item with the engine's grounding check and compare with the labels.

    The threshold is `verify.min_support`. What a language model was asked is kept in the store with the seconds it
    took, and not asked again unless `fresh`. Raises what every item would meet, such as a missing model.
    """
    threshold = engine.settings.verify.min_support
    kept = _Kept(engine, faithfulness_engine, fresh) if faithfulness_engine in ASKING else None
    scores: list[float] = []
    errors: dict[str, str] = {}
    seconds = 0.0
    for item in progressing(items, name, progress):
        if kept and (known := kept.find(item)):
            scores.append(known[0])
            seconds += known[1]
            continue
        began = time.perf_counter()
        try:
            found = engine.ground(item.claim, item.context, question=item.question, engine=faithfulness_engine)
        except SETUP:
            raise
        except RagkitError as error:
            scores.append(0.0)
            errors[item.id] = str(error)
            seconds += time.perf_counter() - began
            continue
        took = time.perf_counter() - began
        scores.append(found.support if math.isfinite(found.support) else 0.0)
        seconds += took
        if kept:
            kept.keep(item, scores[-1], took)
    return compare(name, [item.label for item in items], scores, threshold, seconds=seconds, errors=errors)


class _Kept:
    """Scores that a language model was asked for, in the store: a measurement of hours can be interrupted."""

    def __init__(self, engine: Engine, faithfulness_engine: str, fresh: bool) -> None:
        from ragkit.store import Evaluations

        self._results = Evaluations(engine.store)
        self._recipe = grounding(engine, faithfulness_engine)
        self._fresh = fresh

    def find(self, item: Item) -> tuple[float, float] | None:
        """Support, and the seconds it took."""
        key = self._key(item)
        found = None if self._fresh else self._results.results([key]).get(key)
        return (float(found["support"]), float(found["seconds"])) if isinstance(found, dict) else None

    def keep(self, item: Item, support: float, seconds: float) -> None:
        """Remember a score."""
        self._results.keep(self._key(item), {"support": support, "seconds": seconds})

    def _key(self, item: Item) -> str:
        return digest("ground", self._recipe, item.question, item.context, item.claim)


def compare(
    name: str,
    labels: Sequence[int],
    scores: Sequence[float],
    threshold: float,
    *,
    seconds: float = 0.0,
    errors: Mapping[str, str] | None = None,
) -> Agreement:
    """The statistics between binary labels and scores, higher meaning 1."""
    predicted = [int(score >= threshold) for score in scores]
    low, high = _interval(labels, predicted)
    area = auroc(labels, scores)
    rho, tau = spearman(labels, scores), kendall(labels, scores)
    intervals = {
        "balanced_accuracy": (low, high),
        "auroc": _area_interval(area, sum(labels), len(labels) - sum(labels)),
        **_counted_intervals(labels, predicted),
        "spearman": fisher(rho, len(labels), "spearman"),
        "kendall": fisher(tau, len(labels), "kendall"),
    }
    return Agreement(
        name=name,
        n=len(labels),
        positives=sum(labels),
        balanced_accuracy=balanced_accuracy(labels, predicted),
        low=low,
        high=high,
        f1=f1(labels, predicted),
        kappa=kappa(labels, predicted),
        auroc=area,
        spearman=rho,
        kendall=tau,
        seconds=seconds,
        errors=dict(errors or {}),
        intervals=intervals,
    )


# ---------------------------------------------------------------- statistics


def balanced_accuracy(labels: Sequence[int], predicted: Sequence[int]) -> float:
    """Mean of the recalls of the classes that occur (Brodersen et al., ICPR 2010).

    >>> balanced_accuracy([1, 1, 1, 0], [1, 1, 0, 0])
    0.8333333333333333
    """
    recalls = []
    for wanted in (1, 0):
        of_class = [guess for label, guess in zip(labels, predicted, strict=True) if label == wanted]
        if of_class:
            recalls.append(of_class.count(wanted) / len(of_class))
    return math.fsum(recalls) / len(recalls) if recalls else 0.0


def f1(labels: Sequence[int], predicted: Sequence[int]) -> float:
    """F1 of the class 1; 1 when neither side has any.

    >>> f1([1, 1, 0], [1, 0, 0])
    0.6666666666666666
    """
    hits = sum(label and guess for label, guess in zip(labels, predicted, strict=True))
    total = sum(labels) + sum(predicted)
    return 2.0 * hits / total if total else 1.0


def kappa(labels: Sequence[int], predicted: Sequence[int]) -> float:
    """Cohen's kappa (1960): agreement beyond what the two margins bring by chance; 0 when chance alone is perfect.

    >>> kappa([1, 1, 0, 0], [1, 1, 0, 1])
    0.5
    """
    n = len(labels)
    if not n:
        return 0.0
    observed = sum(label == guess for label, guess in zip(labels, predicted, strict=True)) / n
    share, guessed = sum(labels) / n, sum(predicted) / n
    chance = share * guessed + (1 - share) * (1 - guessed)
    return (observed - chance) / (1 - chance) if chance < 1 else 0.0


def auroc(labels: Sequence[int], scores: Sequence[float]) -> float:
    """P(a 1 scores above a 0), ties counting half (Mann and Whitney, 1947); 0.5 when one class is missing.

    >>> auroc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4])
    0.875
    """
    ones = sum(labels)
    zeros = len(labels) - ones
    if not ones or not zeros:
        return 0.5
    total = math.fsum(rank for rank, label in zip(_ranks(scores), labels, strict=True) if label)
    return (total - ones * (ones + 1) / 2) / (ones * zeros)


def spearman(labels: Sequence[float], scores: Sequence[float]) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 when either side is constant.

    >>> spearman([1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2])
    0.8944271909999159
    """
    one, two = _ranks(labels), _ranks(scores)
    mean = (len(one) + 1) / 2
    over = math.fsum((a - mean) * (b - mean) for a, b in zip(one, two, strict=True))
    under = math.sqrt(math.fsum((a - mean) ** 2 for a in one) * math.fsum((b - mean) ** 2 for b in two))
    return over / under if under else 0.0


def kendall(labels: Sequence[int], scores: Sequence[float]) -> float:
    """Kendall's tau-b (1945) between labels of two classes and scores; 0 when either side is constant.

    Between two classes, concordant minus discordant pairs are (2 AUROC - 1) times the pairs of unlike labels.

    >>> round(kendall([1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2]), 4)
    0.8165
    """
    n, ones = len(labels), sum(labels)
    unlike = ones * (n - ones)
    tied = sum(count * (count - 1) // 2 for count in Counter(scores).values())
    apart = n * (n - 1) // 2 - tied
    if not unlike or not apart:
        return 0.0
    return (2 * auroc(labels, scores) - 1) * unlike / math.sqrt(unlike * apart)


def _ranks(values: Sequence[float]) -> list[float]:
    """1-based ranks, ties at the mean of theirs."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    ranks = [0.0] * len(values)
    start = 0
    for at in range(1, len(order) + 1):
        if at == len(order) or values[order[at]] != values[order[start]]:
            for place in order[start:at]:
                ranks[place] = (start + 1 + at) / 2
            start = at
    return ranks


def _interval(labels: Sequence[int], predicted: Sequence[int]) -> tuple[float, float]:
    """95 % bootstrap interval of the balanced accuracy, items resampled within their class."""
    import numpy as np

    generator = np.random.default_rng(0)
    means = np.zeros(SAMPLES)
    classes = 0
    for wanted in (1, 0):
        right = [float(guess == wanted) for label, guess in zip(labels, predicted, strict=True) if label == wanted]
        if right:
            classes += 1
            means += generator.binomial(len(right), math.fsum(right) / len(right), SAMPLES) / len(right)
    if not classes:
        return 0.0, 0.0
    return _middle(means / classes)


def _counted_intervals(labels: Sequence[int], predicted: Sequence[int]) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of F1 and kappa, both made of four counts: resampling items is drawing those."""
    import numpy as np

    n = len(labels)
    if not n:
        return {"f1": (0.0, 0.0), "kappa": (0.0, 0.0)}
    cells = Counter(zip(labels, predicted, strict=True))
    shares = [cells[label, guess] / n for label in (0, 1) for guess in (0, 1)]
    drawn = np.random.default_rng(0).multinomial(n, shares, SAMPLES).astype(float)
    neither, wrong, lost, hit = drawn.T
    ones, said = (lost + hit) / n, (wrong + hit) / n
    score = np.where(ones + said > 0, 2 * hit / np.maximum(n * (ones + said), 1e-12), 1.0)
    chance = ones * said + (1 - ones) * (1 - said)
    beyond = np.where(chance < 1, ((neither + hit) / n - chance) / np.maximum(1 - chance, 1e-12), 0.0)
    return {name: _middle(values) for name, values in (("f1", score), ("kappa", beyond))}


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    import numpy as np

    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _area_interval(area: float, ones: int, zeros: int) -> tuple[float, float]:
    """95 % interval of an AUROC by its standard error (Hanley and McNeil, Radiology 143, 1982)."""
    if not ones or not zeros:
        return 0.0, 1.0
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (ones - 1) * (q1 - area**2) + (zeros - 1) * (q2 - area**2)) / (ones * zeros)
    reach = 1.96 * math.sqrt(max(0.0, variance))
    return max(0.0, area - reach), min(1.0, area + reach)


def fisher(value: float, n: int, kind: Literal["spearman", "kendall"]) -> tuple[float, float]:
    """95 % interval of a rank correlation through Fisher's z (Bonett and Wright, Psychometrika 65, 2000).

    >>> [round(end, 2) for end in fisher(0.5, 100, "spearman")]
    [0.33, 0.64]
    """
    if n <= 4:
        return -1.0, 1.0
    spread = (1 + value**2 / 2) / (n - 3) if kind == "spearman" else 0.437 / (n - 4)
    middle, reach = math.atanh(max(-0.999999, min(0.999999, value))), 1.96 * math.sqrt(spread)
    return math.tanh(middle - reach), math.tanh(middle + reach)


# ---------------------------------------------------------------- as data and as text


STATISTICS = ("balanced_accuracy", "auroc", "f1", "kappa", "spearman", "kendall")


def to_json(
    found: Sequence[Agreement],
    *,
    engine: str,
    model: str,
    threshold: float,
    judged: Sequence[Mapping[str, Agreement]] = (),
) -> dict[str, JSON]:
    """Every set, and over them the mean of each statistic and the sum of what is counted.

    `judged` are sets of judged answers: a metric each, of which the first stands for the set and the rest beside it.
    """
    sets: list[dict[str, JSON]] = [{**_set(one), "metric": "Faithfulness"} for one in found]
    for metrics in judged:
        rows = [{**_set(one), "metric": metric} for metric, one in metrics.items()]
        sets.append({**rows[0], "beside": rows[1:]})
    return {
        "engine": engine,
        "model": model,
        "threshold": threshold,
        **_summary([*found, *(next(iter(metrics.values())) for metrics in judged)]),
        "sets": sets,
    }


def _set(one: Agreement) -> dict[str, JSON]:
    intervals = {
        f"{name}_interval": [round(end, 4) for end in ends]
        for name, ends in one.intervals.items()
        if name in STATISTICS
    }
    return {
        "name": one.name,
        **_summary([one]),
        "positives": one.positives,
        **intervals,
        "errors": dict(one.errors),
    }


def _summary(found: Sequence[Agreement]) -> dict[str, JSON]:
    n, seconds = sum(one.n for one in found), math.fsum(one.seconds for one in found)
    means = {
        name: round(math.fsum(getattr(one, name) for one in found) / max(1, len(found)), 4) + 0.0  # no -0.0
        for name in STATISTICS
    }
    return {
        **means,
        "n": n,
        "failed": sum(len(one.errors) for one in found),
        "seconds": round(seconds, 3),
        "seconds_per_item": round(seconds / max(1, n), 4),
    }


def to_table(data: Mapping[str, JSON], *, markdown: bool = False) -> str:
    """What `to_json` gave, as a table: one row a set and metric, and the mean of the sets.

    On a terminal only the balanced accuracy has its interval beside it, in Markdown every statistic has.
    """
    mixed = any(one["metric"] != "Faithfulness" for one in data["sets"])
    head = ["n", "balanced accuracy", "AUROC", "F1", "kappa", "Spearman", "Kendall", "failed", "s an item"]
    rows = [["set", *(["metric"] if mixed else []), *head]]
    for one in data["sets"]:
        rows += [
            [one["name"], *([row["metric"]] if mixed else []), *_cells(row, whole=markdown)]
            for row in (one, *one.get("beside", ()))
        ]
    if len(data["sets"]) > 1:
        rows.append(["mean", *([""] if mixed else []), *_cells(data, whole=False)])
    return "\n".join(piped(rows) if markdown else aligned(rows))


def _cells(one: Mapping[str, JSON], *, whole: bool) -> list[str]:
    def spelled(name: str, interval: bool) -> str:
        ends = one.get(f"{name}_interval") if interval else None
        return f"{one[name]:.3f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")

    figures = [spelled(name, whole or name == "balanced_accuracy") for name in STATISTICS]
    return [str(one["n"]), *figures, str(one["failed"]), f"{one['seconds_per_item']:.4f}"]
