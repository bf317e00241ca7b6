"""Find the settings that suit a set of questions, and say honestly what they gain.

Knows settings by their full path, scores by question, and the statistics between them; knows nothing of engines,
corpora or files: how a combination of settings is measured is the caller's. The gain is measured on questions that
had no part in choosing the settings (cross-validation), for the best of many combinations is always good on its own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from ragkit import config
from ragkit.choices import ALPHA, DROP
from ragkit.domain import JSON
from ragkit.errors import EvaluationError
from ragkit.evaluation import metrics, significance
from ragkit.evaluation.compare import SAMPLES
from ragkit.evaluation.metrics import Interval
from ragkit.evaluation.tables import aligned

if TYPE_CHECKING:
    from ragkit.config import Settings

Values: TypeAlias = Mapping[str, JSON]
"""Full path of a setting to its value."""
Measure: TypeAlias = Callable[[Values], Mapping[str, float]]
"""The score of each question under some settings; always of the same questions."""
Verdict: TypeAlias = Literal["better", "no gain beyond noise", "too small to tell"]

DENSE_WEIGHTS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
RRF_CONSTANTS = (10, 30, 60, 100)
CANDIDATES = (50, 100, 200)
DEPTHS = (10, 20, 40)
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5)
FOLDS = 5
ROUNDS = 2
"""How often each setting is looked at again after the others moved."""


def axes(settings: Settings, chunk_sizes: Sequence[int] = ()) -> dict[str, tuple[JSON, ...]]:
    """The settings that are searched and their values, the present one among them.

    What has no part in the ranking is left out: the weight of one index alone, the depth of no reranker.
    """
    found: dict[str, tuple[JSON, ...]] = {}
    if settings.retrieve.mode == "hybrid":
        convex = settings.retrieve.fusion == "convex"
        key = "retrieve.dense_weight" if convex else "retrieve.rrf_k"
        found[key] = DENSE_WEIGHTS if convex else RRF_CONSTANTS
        found["retrieve.candidates"] = CANDIDATES
    if settings.rerank.model != "none":
        found["rerank.depth"] = DEPTHS
        found["rerank.weight"] = WEIGHTS
    if chunk_sizes:
        found["chunk.size_tokens"] = tuple(chunk_sizes)
    return {key: tuple(sorted({*values, config.get(settings, key)})) for key, values in found.items()}


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was chosen on all questions, and what choosing so gains on questions that it has not seen."""

    metric: str
    before: Values
    after: Values
    old: float
    """The metric's mean under the present settings."""
    fitted: float
    """Its mean under the chosen ones, on the very questions that they were chosen on: it flatters them."""
    gain: Interval
    """Of the cross-validated gain, n questions."""
    p: float
    detectable: float
    verdict: Verdict
    folds: tuple[Values, ...]
    """What each fold chose, without its own questions."""
    tried: tuple[tuple[Values, float], ...]
    """Every combination that was measured, with its mean, the best first."""
    chosen: Mapping[str, JSON] = field(default_factory=dict)
    """The settings that changed."""


def tune(
    measure: Measure, space: Mapping[str, Sequence[JSON]], start: Values, metric: str, folds: int = FOLDS
) -> Tuned:
    """Choose settings on all questions, and measure the gain of choosing them so on questions left out.

    Each combination is measured once. Raises EvaluationError when there are fewer questions than folds, or nothing to
    search.
    """
    if not space:
        raise EvaluationError(
            "there is nothing to tune: one index is asked and nothing is reranked", "use hybrid search"
        )
    seen: dict[tuple[JSON, ...], Mapping[str, float]] = {}

    def scores(values: Values) -> Mapping[str, float]:
        key = tuple(values[name] for name in space)
        if key not in seen:
            seen[key] = measure(values)
        return seen[key]

    before = scores(start)
    ids = sorted(before)
    if len(ids) < max(2, folds):
        raise EvaluationError(
            f"{len(ids)} questions are too few for {folds} folds", "give more questions, or fewer --folds"
        )
    best = climb(scores, space, start, ids)
    random.Random(0).shuffle(ids)
    choices, gains = [], []
    for at in range(folds):
        held = ids[at::folds]
        choice = climb(scores, space, start, [id for id in ids if id not in set(held)])
        choices.append(choice)
        gains += [scores(choice)[id] - before[id] for id in held]
    p = significance.randomisation_p(gains)
    gain = metrics.bootstrap(gains, samples=SAMPLES)
    reach = significance.detectable(gains, alpha=ALPHA)
    verdict: Verdict = "no gain beyond noise" if reach <= DROP else "too small to tell"
    tried = [(dict(zip(space, key, strict=True)), _mean(found, ids)) for key, found in seen.items()]
    return Tuned(
        metric=metric,
        before=dict(start),
        after=best,
        old=_mean(before, ids),
        fitted=_mean(scores(best), ids),
        gain=gain,
        p=p,
        detectable=reach,
        verdict="better" if p < ALPHA and gain.mean > 0 else verdict,
        folds=tuple(choices),
        tried=tuple(sorted(tried, key=lambda pair: -pair[1])),
        chosen={key: value for key, value in best.items() if value != start[key]},
    )


def climb(scores: Measure, space: Mapping[str, Sequence[JSON]], start: Values, ids: Sequence[str]) -> dict[str, JSON]:
    """The best settings found by moving one at a time; what is as good as the present value does not move it.

    >>> found = climb(lambda v: {"q": -abs(v["a"] - 3)}, {"a": [1, 2, 3, 4]}, {"a": 1}, ["q"])
    >>> found
    {'a': 3}
    """
    chosen = dict(start)
    reached = _mean(scores(chosen), ids)
    for _ in range(ROUNDS):
        moved = False
        for key, values in space.items():
            for value in values:
                if value == chosen[key]:
                    continue
                mean = _mean(scores({**chosen, key: value}), ids)
                if mean > reached + 1e-9:
                    chosen, reached, moved = {**chosen, key: value}, mean, True
        if not moved:
            break
    return chosen


def _mean(scores: Mapping[str, float], ids: Sequence[str]) -> float:
    return math.fsum(scores[id] for id in ids) / len(ids)


# ---------------------------------------------------------------- as data and as text


def to_json(found: Tuned) -> dict[str, JSON]:
    """What was found as JSON values; docs/experiments.md describes the keys."""
    return {
        "metric": found.metric,
        "n": found.gain.n,
        "before": dict(found.before),
        "after": dict(found.after),
        "chosen": dict(found.chosen),
        "old": round(found.old, 6),
        "fitted": round(found.fitted, 6),
        "gain": round(found.gain.mean, 6),
        "low": round(found.gain.low, 6),
        "high": round(found.gain.high, 6),
        "p": round(found.p, 6),
        "detectable": round(found.detectable, 6),
        "verdict": found.verdict,
        "folds": [dict(choice) for choice in found.folds],
        "tried": [{"settings": dict(values), "mean": round(mean, 6)} for values, mean in found.tried],
    }


def to_text(found: Tuned) -> str:
    """What was found for people: the settings, the gain on questions left out, and what to think of it."""
    agreed = {key: sum(choice[key] == found.after[key] for choice in found.folds) for key in found.after}
    rows = [["setting", "now", "best", "folds that agree"]]
    rows += [
        [key, str(found.before[key]), str(value), f"{agreed[key]} of {len(found.folds)}"]
        for key, value in found.after.items()
    ]
    gain = found.gain
    return "\n".join(
        [
            *aligned(rows, range(1, 4)),
            "",
            f"{found.metric}: {found.old:.3f} now, {found.fitted:.3f} with the best on the same {gain.n} questions",
            f"gain on questions left out: {gain.mean:+.3f}, 95 % interval {gain.low:+.3f} to {gain.high:+.3f}, "
            f"p {found.p:.3f}",
            _advice(found),
        ]
    )


def _advice(found: Tuned) -> str:
    if not found.chosen:
        return f"the present settings are the best of the {len(found.tried)} that were tried"
    if found.verdict == "better":
        return "the gain is real: --write ragkit.toml keeps these settings"
    if found.verdict == "no gain beyond noise":
        return "no gain beyond noise: stay with the present settings"
    return (
        f"too small to tell: these questions show gains of {found.detectable:.3f} and more; stay with the present "
        "settings, or give more questions"
    )
