"""Two runs over the same questions: what changed, whether the change is real, and which questions it comes from.

Knows runs and tests; knows nothing of engines or of how a comparison is shown. New minus old, everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ragkit.choices import ALPHA, DROP
from ragkit.domain import JSON
from ragkit.errors import EvaluationError
from ragkit.evaluation import metrics, significance
from ragkit.evaluation.metrics import Interval
from ragkit.evaluation.names import ANSWERS, CORE, COSTS, current, lower_is_better
from ragkit.evaluation.report import Scored
from ragkit.evaluation.runs import Run

Verdict: TypeAlias = Literal["better", "worse", "no difference", "too small to tell"]

SAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric over the questions that both runs scored. `interval` is of the difference, new minus old."""

    metric: str
    old: float
    new: float
    interval: Interval
    p: float
    adjusted: float
    """p after Holm's correction for all the metrics that were tested together."""
    detectable: float
    """The smallest difference that would have been found with 80 % power."""
    needed: int
    """Questions that it would take to find a difference of `DROP`."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Change:
    """One question whose score differs: `gain` is above 0 where the new run is the better one."""

    old: Scored
    new: Scored
    metric: str
    gain: float
    old_trace: Mapping[str, JSON] = field(default_factory=dict)
    new_trace: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of each metric and of each question; `changes` are by the first metric, the worst first."""

    old: Run
    new: Run
    metrics: tuple[Compared, ...]
    changes: tuple[Change, ...]
    n: int
    alpha: float
    drop: float
    settings: Mapping[str, tuple[JSON, JSON]]
    """Settings that differ: full path to (old, new)."""
    notices: tuple[str, ...] = ()

    @property
    def worse(self) -> tuple[Change, ...]:
        """Questions that got worse, the worst first."""
        return tuple(change for change in self.changes if change.gain < 0)

    @property
    def better(self) -> tuple[Change, ...]:
        """Questions that got better, the best first."""
        return tuple(change for change in reversed(self.changes) if change.gain > 0)

    @property
    def dropped(self) -> tuple[Compared, ...]:
        """The metrics that really got worse."""
        return tuple(one for one in self.metrics if one.verdict == "worse")

    @property
    def too_small(self) -> tuple[Compared, ...]:
        """The metrics of which the set is too small to tell."""
        return tuple(one for one in self.metrics if one.verdict == "too small to tell")


def gated(new: Run, old: Run) -> tuple[str, ...]:
    """The metrics that a gate looks at unless it is told.

    Of retrieval the first alone: the others measure the same ranking. Of answers those of `names.CORE`, each of which
    sees another fault, that both runs have; where the new run's metrics were chosen, all that were.
    """
    names = new.report.names
    if new.report.task != "answers":
        return names[:1]
    whole = set(ANSWERS) <= set(names)
    both = tuple(name for name in names if name in old.report.names and name not in COSTS)
    return tuple(name for name in both if name in CORE) if whole else both


def compare(old: Run, new: Run, names: Sequence[str] = (), *, alpha: float = ALPHA, drop: float = DROP) -> Comparison:
    """Test each metric that both runs have (or those named) over the questions that both scored.

    Tokens and seconds are tested where they are named; `drop` is then a share of the old mean. Raises EvaluationError
    when the runs have no question or no metric in common.
    """
    shared, notices = _shared(old, new)
    both = [name for name in new.report.names if name in old.report.names]
    wanted = [current(name) for name in names]
    if missing := [name for name in wanted if name not in both]:
        raise EvaluationError(f"metric {missing[0]} is not in both runs", f"both have {', '.join(both) or 'none'}")
    chosen = wanted or [name for name in both if name not in COSTS] or both
    if not chosen or not shared:
        what = "metric" if not chosen else "question"
        raise EvaluationError(f"runs {old.name} and {new.name} have no {what} in common", "compare runs of one set")
    gains = {name: _gains(name, shared) for name in chosen}
    if empty := [name for name in chosen if not gains[name]]:
        notices.append(f"no question has {', '.join(empty)} in both runs")
        chosen = [name for name in chosen if gains[name]]
    if not chosen:
        raise EvaluationError(f"runs {old.name} and {new.name}: {notices[-1]}", "compare runs of one set")
    ps = [significance.randomisation_p(list(gains[name].values())) for name in chosen]
    compared = tuple(
        _compared(name, shared, gains[name], p, adjusted, alpha, drop)
        for name, p, adjusted in zip(chosen, ps, significance.holm(ps), strict=True)
    )
    lost = [name for name in chosen if any(name in a.scores and name not in b.scores for a, b in shared)]
    if lost:
        notices.append(f"not every question has {', '.join(lost)} in both runs: each is over those that have")
    changes = _changes(old, new, shared, chosen[0])
    return Comparison(old, new, compared, changes, len(shared), alpha, drop, _settings(old, new), tuple(notices))


Pairs: TypeAlias = Sequence[tuple[Scored, Scored]]


def _shared(old: Run, new: Run) -> tuple[list[tuple[Scored, Scored]], list[str]]:
    """(old, new) of each question that is the same in both runs, and what there is to say of the rest."""
    before = {one.id: one for one in old.report.questions}
    pairs = [(before[one.id], one) for one in new.report.questions if one.id in before]
    changed = [
        b.id for a, b in pairs if a.question != b.question or _differ(old.contents.get(a.id), new.contents.get(b.id))
    ]
    notices = []
    only = len(before) + len(new.report.questions) - 2 * len(pairs)
    if only:
        notices.append(f"{only} questions are in one run alone and left out")
    if changed:
        shown = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
        notices.append(f"{len(changed)} questions were reworded or relabelled and are left out: {shown}")
    if old.report.task != new.report.task:
        notices.append(f"one run is of {old.report.task}, the other of {new.report.task}")
    return [pair for pair in pairs if pair[0].id not in set(changed)], notices


def _differ(one: str | None, two: str | None) -> bool:
    return bool(one and two and one != two)


def _gains(metric: str, shared: Pairs) -> dict[str, float]:
    """New minus old for each question that has the metric in both runs."""
    return {
        new.id: new.scores[metric] - old.scores[metric]
        for old, new in shared
        if metric in old.scores and metric in new.scores
    }


def _compared(
    metric: str, shared: Pairs, gains: Mapping[str, float], p: float, adjusted: float, alpha: float, drop: float
) -> Compared:
    values = list(gains.values())
    interval = metrics.bootstrap(values, samples=SAMPLES)
    olds = [old.scores[metric] for old, _ in shared if old.id in gains]
    news = [new.scores[metric] for _, new in shared if new.id in gains]
    mean = math.fsum(values) / max(1, len(values))
    unit = math.fsum(olds) / max(1, len(olds)) if metric in COSTS else 1.0
    relative = [value / (unit or 1.0) for value in values]
    reach = significance.detectable(relative, alpha=alpha)
    verdict: Verdict = "no difference"
    if adjusted < alpha:
        verdict = "worse" if (mean < 0) != lower_is_better(metric) else "better"
    elif reach > drop:
        verdict = "too small to tell"
    return Compared(
        metric,
        math.fsum(olds) / max(1, len(olds)),
        math.fsum(news) / max(1, len(news)),
        interval,
        p,
        adjusted,
        reach * unit,
        significance.questions_needed(relative, drop, alpha=alpha),
        verdict,
    )


def _changes(old: Run, new: Run, shared: Pairs, metric: str) -> tuple[Change, ...]:
    """Every question whose score differs; one that lost or gained the metric altogether does not count."""
    sign = -1.0 if lower_is_better(metric) else 1.0
    found = [
        Change(
            a,
            b,
            metric,
            sign * (b.scores[metric] - a.scores[metric]),
            old.traces.get(a.id, {}),
            new.traces.get(b.id, {}),
        )
        for a, b in shared
        if metric in a.scores and metric in b.scores and a.scores[metric] != b.scores[metric]
    ]
    return tuple(sorted(found, key=lambda change: change.gain))


def _settings(old: Run, new: Run) -> dict[str, tuple[JSON, JSON]]:
    one, two = {**old.settings, **_models(old)}, {**new.settings, **_models(new)}
    return {key: (one.get(key), two.get(key)) for key in sorted(set(one) | set(two)) if one.get(key) != two.get(key)}


def _models(run: Run) -> dict[str, JSON]:
    return {f"models.{role}": name for role, name in dict(run.about.get("models", {})).items()}
