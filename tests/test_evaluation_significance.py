"""Tests of differences: exact where they can be, level where nothing differs, honest about what a set could see."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.evaluation.significance import detectable, holm, needed_to_differ, questions_needed, randomisation_p

VALUES = st.lists(st.floats(-1, 1, allow_nan=False), max_size=40)


@given(VALUES)
def test_p_lies_in_its_range_and_does_not_know_which_run_is_new(values: list[float]) -> None:
    p = randomisation_p(values)
    assert 0.0 < p <= 1.0
    assert p == pytest.approx(randomisation_p([-value for value in values]), abs=0.02)


@given(VALUES)
def test_questions_that_do_not_differ_change_nothing(values: list[float]) -> None:
    assert randomisation_p(values) == randomisation_p([*values, 0.0, 0.0])


def test_the_exact_test_counts_sign_patterns() -> None:
    assert randomisation_p([0.5] * 8) == 2 / 2**8
    assert randomisation_p([1.0, -1.0]) == 1.0


def test_random_signs_agree_with_the_exact_test() -> None:
    generator = random.Random(1)
    few = [generator.gauss(0.1, 0.3) for _ in range(14)]
    tiny = 1e-9  # too small to matter, and one too many to try every pattern
    assert randomisation_p([*few, tiny]) == pytest.approx(randomisation_p(few), abs=0.01)


def test_false_alarms_stay_below_the_level() -> None:
    generator = random.Random(0)
    alarms = sum(
        randomisation_p([generator.choice([-1, 0, 0, 1]) * generator.random() for _ in range(30)]) < 0.05
        for _ in range(300)
    )
    assert alarms / 300 < 0.09  # 0.05 and its noise


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_never_lowers_a_p_and_keeps_their_order(ps: list[float]) -> None:
    adjusted = holm(ps)
    assert all(after >= before - 1e-9 for before, after in zip(ps, adjusted, strict=True))
    order = sorted(range(len(ps)), key=lambda at: ps[at])
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))


def test_what_is_said_to_be_detectable_is_detected_four_times_in_five() -> None:
    generator = random.Random(2)
    noise = [generator.gauss(0, 0.2) for _ in range(100)]
    shift = detectable(noise, alpha=0.05)
    found = sum(
        randomisation_p([generator.gauss(shift, 0.2) for _ in range(100)], seed=at) < 0.05 for at in range(100)
    )
    assert 68 <= found <= 92


def test_a_small_set_cannot_promise_anything() -> None:
    assert detectable([0.0] * 5, alpha=0.05) == 1.0
    assert detectable([0.0] * 52, alpha=0.01) > 0.05  # no question differed: that proves little
    assert questions_needed([0.0] * 52, 0.05, alpha=0.01) > 52
    assert questions_needed([], 0.05, alpha=0.01) == needed_to_differ(0.01)
