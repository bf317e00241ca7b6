"""Metrics agree with their published definitions, are never NaN, and lose no question."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import EvaluationError
from ragkit.evaluation.metrics import (
    RETRIEVAL,
    bootstrap,
    cutoff,
    exact_match,
    paired_bootstrap,
    percentile,
    rouge_l,
    score_rankings,
    token_f1,
)

values = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def test_measures_agree_with_their_definitions() -> None:
    judgements = {"q": {"a": 1, "b": 1, "c": 1}}
    scores = score_rankings(
        judgements, {"q": ["x", "a", "y", "b"]}, ["nDCG@4", "Recall@4", "MRR@4", "MAP", "Precision@4"]
    )
    gain = 1 / math.log2(3) + 1 / math.log2(5)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert scores["nDCG@4"]["q"] == pytest.approx(gain / ideal)
    assert scores["Recall@4"]["q"] == pytest.approx(2 / 3)
    assert scores["MRR@4"]["q"] == 0.5
    assert scores["MAP"]["q"] == pytest.approx((1 / 2 + 2 / 4) / 3)
    assert scores["Precision@4"]["q"] == 0.5


def test_a_question_without_a_result_scores_zero() -> None:
    scores = score_rankings({"q1": {"a": 1}, "q2": {"a": 1}}, {"q1": ["a"], "q2": []})
    assert all(set(by_question) == {"q1", "q2"} for by_question in scores.values())
    assert {by_question["q2"] for by_question in scores.values()} == {0.0}
    assert score_rankings({"q": {"a": 1}}, {}) == {name: {"q": 0.0} for name in RETRIEVAL}


def test_the_order_given_is_the_order_judged() -> None:
    assert score_rankings({"q": {"z": 1}}, {"q": ["z", "a"]}, ["MRR@1"])["MRR@1"]["q"] == 1.0
    assert score_rankings({"q": {"a": 1}}, {"q": ["z", "a"]}, ["MRR@1"])["MRR@1"]["q"] == 0.0


@pytest.mark.parametrize("name", ["nDCG", "nDCG@", "nDCG@0", "nDCG@x", "Recal@5", "P@5", ""])
def test_an_unknown_measure_is_refused_by_name(name: str) -> None:
    with pytest.raises(EvaluationError, match="unknown metric"):
        score_rankings({"q": {"a": 1}}, {"q": ["a"]}, [name])


def test_cutoff_is_read_from_the_name() -> None:
    assert (cutoff("Recall@5"), cutoff("MAP")) == (5, 100)


@given(values, st.integers(0, 5))
def test_interval_holds_the_mean_and_is_reproducible(numbers, seed) -> None:
    one = bootstrap(numbers, seed=seed, samples=200)
    assert one == bootstrap(numbers, seed=seed, samples=200)
    assert one.low <= one.mean <= one.high
    assert one.n == len(numbers)
    assert min(numbers) - 1e-9 <= one.low
    assert one.high <= max(numbers) + 1e-9


def test_no_values_give_zero_and_no_nan() -> None:
    assert (bootstrap([]).mean, bootstrap([]).n) == (0.0, 0)
    assert paired_bootstrap({}, {}).p == 1.0
    assert percentile([], 0.5) == 0.0


def test_interval_of_many_coin_throws_is_about_two_standard_errors() -> None:
    found = bootstrap([0.0, 1.0] * 200)
    assert found.high - found.low == pytest.approx(4 * 0.5 / math.sqrt(400), rel=0.1)


def test_a_real_difference_is_told_from_none() -> None:
    old = {str(i): (i * 37 % 100) / 100 for i in range(100)}
    better = {question: value + 0.1 + (int(question) % 3) / 50 for question, value in old.items()}
    shuffled = {question: value + (0.1 if int(question) % 2 else -0.1) for question, value in old.items()}
    assert paired_bootstrap(better, old).p == 0.0
    assert paired_bootstrap(better, old).interval.low > 0
    assert paired_bootstrap(shuffled, old).p > 0.5


@given(st.text(max_size=60), st.text(max_size=60))
def test_likeness_is_symmetric_within_range_and_one_for_the_same_text(one, two) -> None:
    for measure in (token_f1, rouge_l, exact_match):
        assert measure(one, two) == measure(two, one)
        assert 0.0 <= measure(one, two) <= 1.0
        assert measure(one, one) == 1.0


def test_rouge_l_agrees_with_the_papers_examples() -> None:
    reference = "police killed the gunman"
    assert rouge_l("police kill the gunman", reference) == 0.75
    assert rouge_l("the gunman kill police", reference) == 0.5
    assert rouge_l("the gunman police killed", reference) == 0.5


def test_token_f1_ignores_articles_case_and_punctuation() -> None:
    assert token_f1("The Port: 8443!", "port 8443") == 1.0
    assert token_f1("", "port 8443") == 0.0
