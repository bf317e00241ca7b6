"""Is a difference real: paired tests over questions, many tests at once, and what a set of this size could see.

Knows numbers alone; knows nothing of runs, questions or metrics. The door of numpy's random numbers for signs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

SIGNS = 20_000
"""Random sign patterns drawn when there are too many to try them all."""
EXACT = 14
"""Up to this many differences that are not zero, every sign pattern is tried."""
POWER = 0.8
_ROUNDING = 1e-12


def randomisation_p(differences: Sequence[float], *, seed: int = 0) -> float:
    """Two-sided p of the paired randomisation test: how often swapping the two systems, question by question, at
    random moves the mean at least as far from 0 (Fisher, 1935; Smucker, Allan and Carterette, CIKM 2007).

    Exact for few differences; else from 20,000 sign patterns, the observed one counted among them.

    >>> randomisation_p([1.0, 1.0, 1.0, 1.0, 1.0]), randomisation_p([0.0, 0.0]), randomisation_p([])
    (0.0625, 1.0, 1.0)
    """
    import numpy as np

    moved = np.asarray([value for value in differences if value], dtype=np.float64)
    if not len(moved):
        return 1.0
    observed = abs(moved.sum()) - _ROUNDING * max(1.0, np.abs(moved).sum())
    if len(moved) <= EXACT:
        patterns = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        return float(np.mean(np.abs((2.0 * patterns - 1.0) @ moved) >= observed))
    generator = np.random.default_rng(seed)
    reached, step = 0, max(1, 4_000_000 // len(moved))  # bounds the memory of large sets
    for start in range(0, SIGNS, step):
        signs = generator.integers(0, 2, (min(step, SIGNS - start), len(moved)), dtype=np.int8)
        reached += int(np.sum(np.abs((2.0 * signs - 1.0) @ moved) >= observed))
    return (1 + reached) / (1 + SIGNS)


def holm(ps: Sequence[float]) -> list[float]:
    """p values adjusted so that the chance of any false alarm among them stays below the level that each is
    compared with (Holm, 1979).

    >>> holm([0.01, 0.04, 0.03]), holm([0.2])
    ([0.03, 0.06, 0.06], [0.2])
    """
    adjusted = [0.0] * len(ps)
    highest = 0.0
    for done, at in enumerate(sorted(range(len(ps)), key=lambda at: ps[at])):
        highest = max(highest, min(1.0, round((len(ps) - done) * ps[at], 12)))
        adjusted[at] = highest
    return adjusted


def needed_to_differ(alpha: float) -> int:
    """How many questions must at least differ, all in one direction, for the test to reach `alpha`.

    >>> needed_to_differ(0.05), needed_to_differ(0.01)
    (6, 8)
    """
    return math.floor(math.log2(2.0 / alpha)) + 1


def detectable(differences: Sequence[float], *, alpha: float, power: float = POWER) -> float:
    """The smallest mean difference that a paired test at `alpha` finds with chance `power` on this many questions.

    (z(1 - alpha/2) + z(power)) * s / sqrt(n), s being the standard deviation of the differences (Cohen, 1988).
    Where fewer questions differ than the test needs, s says nothing: s is then what three questions in n, each
    different by 1, would give, for that is what seeing none cannot rule out (the rule of three). At most 1.

    >>> round(detectable([0.1, -0.1] * 50, alpha=0.05), 3), detectable([0.0] * 5, alpha=0.05)
    (0.028, 1.0)
    """
    n = len(differences)
    if n < needed_to_differ(alpha):
        return 1.0
    return min(1.0, _reach(alpha, power) * _spread(differences, alpha) / math.sqrt(n))


def questions_needed(differences: Sequence[float], drop: float, *, alpha: float, power: float = POWER) -> int:
    """How many questions like these it takes to find a mean difference of `drop` with chance `power`."""
    least = needed_to_differ(alpha)
    if not differences:
        return least
    return max(least, math.ceil((_reach(alpha, power) * _spread(differences, alpha) / drop) ** 2))


def _reach(alpha: float, power: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1.0 - alpha / 2.0) + normal.inv_cdf(power)


def _spread(differences: Sequence[float], alpha: float) -> float:
    n = len(differences)
    mean = math.fsum(differences) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in differences) / max(1, n - 1))
    if sum(1 for value in differences if value) < needed_to_differ(alpha):
        return max(spread, math.sqrt(min(1.0, 3.0 / n)))
    return spread
