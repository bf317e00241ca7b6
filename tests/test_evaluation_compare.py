"""Comparisons and the gate: noise passes, a real drop does not, and a set that is too small says so."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ragkit.choices import GATE_ALPHA
from ragkit.errors import EvaluationError
from ragkit.evaluation import compare_text, datasets, experiments, runs
from ragkit.evaluation.compare import compare, gated
from ragkit.evaluation.names import ANSWERS, CORE, COSTS
from ragkit.evaluation.report import Report, Scored
from ragkit.evaluation.runs import Run

NAMES = ("nDCG@10", "Recall@5")


def made(scores: Mapping[str, Mapping[str, float]], name: str = "run", **settings: object) -> Run:
    questions = tuple(
        Scored(id, f"What is {id}?", dict(values), "fact", 0.1, hits=(f"{id}.md:L1",))
        for id, values in scores.items()
    )
    names = tuple(dict.fromkeys(metric for values in scores.values() for metric in values))
    report = Report("retrieval", "set", "0" * 16, names, questions)
    traces = {id: {"hits": [{"location": f"{id}.md:L1", "relevant": True}]} for id in scores}
    contents = dict.fromkeys(scores, "same")
    return Run(name, report, about={"settings": settings}, traces=traces, contents=contents)


def noisy(seed: int, shift: float = 0.0, n: int = 100, spread: float = 0.3) -> Run:
    """Half of the questions differ a little from one seed to the next, all of them by `shift`."""
    common, own = random.Random(0), random.Random(1000 + seed)
    scores = {}
    for at in range(n):
        truth = common.random()
        score = truth + shift + (own.uniform(-spread, spread) if at % 2 else 0.0)
        scores[f"q{at}"] = dict.fromkeys(NAMES, min(1.0, max(0.0, score)))
    return made(scores, f"seed {seed}")


def test_the_same_settings_with_other_seeds_pass_twenty_times_of_twenty() -> None:
    baseline = noisy(0)
    verdicts = [
        compare(baseline, noisy(seed), gated(baseline, baseline), alpha=GATE_ALPHA).metrics[0].verdict
        for seed in range(1, 21)
    ]
    assert "worse" not in verdicts


def test_a_setting_that_a_run_leaves_out_is_not_set() -> None:
    scores = noisy(0).report.questions
    old, new = (made({one.id: one.scores for one in scores}, **given) for given in ({"rerank.depth": 20}, {}))
    assert "rerank.depth: 20 -> not set" in compare_text.to_text(compare(old, new))


def test_a_real_drop_is_found_and_its_questions_are_named() -> None:
    found = compare(noisy(0), noisy(1, shift=-0.3), alpha=GATE_ALPHA)
    assert [one.metric for one in found.dropped] == list(NAMES)
    assert found.metrics[0].interval.high < -0.1
    assert found.worse[0].gain == min(change.gain for change in found.changes)
    assert found.worse[0].new_trace["hits"]


def test_a_rise_is_no_drop() -> None:
    found = compare(noisy(0), noisy(1, shift=0.3), alpha=GATE_ALPHA)
    assert {one.verdict for one in found.metrics} == {"better"}
    assert found.dropped == ()


def test_a_metric_that_is_better_when_lower_drops_by_rising() -> None:
    old = made({f"q{at}": {"NoiseSensitivity": 0.1} for at in range(20)})
    new = made({f"q{at}": {"NoiseSensitivity": 0.6} for at in range(20)})
    found = compare(old, new)
    assert found.dropped[0].metric == "NoiseSensitivity"
    assert len(found.worse) == 20


def test_a_small_set_says_that_it_cannot_tell() -> None:
    found = compare(noisy(0, n=6), noisy(1, shift=-0.2, n=6), alpha=GATE_ALPHA)
    assert {one.verdict for one in found.metrics} == {"too small to tell"}
    assert "6 questions are too few to tell" in compare_text.to_text(found)


def test_many_metrics_do_not_make_a_false_alarm_likelier() -> None:
    old, new = noisy(0), noisy(3, shift=-0.03)
    names = [f"nDCG@{k}" for k in range(1, 9)]

    def many(run: Run, seed: int) -> Run:
        own = random.Random(seed)
        return made(
            {
                one.id: {name: one.scores["nDCG@10"] + own.uniform(-0.2, 0.2) for name in names}
                for one in run.report.questions
            }
        )

    found = compare(many(old, 1), many(new, 2))
    assert all(one.adjusted >= one.p - 1e-9 for one in found.metrics)
    assert max(one.adjusted for one in found.metrics) > max(one.p for one in found.metrics) - 1e-9


def test_only_questions_that_are_the_same_are_paired() -> None:
    old = made({"a": {"nDCG@10": 1.0}, "b": {"nDCG@10": 1.0}, "gone": {"nDCG@10": 0.0}})
    new = made({"a": {"nDCG@10": 0.0}, "b": {"nDCG@10": 1.0}, "new": {"nDCG@10": 0.0}})
    new = replace(new, contents={**new.contents, "b": "relabelled"})
    found = compare(old, new)
    assert (found.n, found.metrics[0].interval.n) == (1, 1)
    assert found.notices == (
        "2 questions are in one run alone and left out",
        "1 questions were reworded or relabelled and are left out: b",
    )


def test_a_metric_that_questions_lost_is_said_to_cover_fewer() -> None:
    old = made({"a": {"Faithfulness": 1.0}, "b": {"Faithfulness": 1.0}})
    new = made({"a": {"Faithfulness": 1.0}, "b": {"Faithfulness": 1.0}})
    new = replace(
        new,
        report=replace(new.report, questions=(new.report.questions[0], replace(new.report.questions[1], scores={}))),
    )
    assert "not every question has Faithfulness in both runs" in compare(old, new).notices[0]


def test_a_metric_that_applies_to_no_question_is_left_out() -> None:
    scores = {"a": {"nDCG@10": 1.0, "MAP": 1.0}}
    new = made(scores)
    new = replace(
        new, report=replace(new.report, questions=(replace(new.report.questions[0], scores={"nDCG@10": 0.5}),))
    )
    found = compare(made(scores), new)
    assert [one.metric for one in found.metrics] == ["nDCG@10"]
    assert "no question has MAP in both runs" in found.notices


@pytest.mark.parametrize(
    ("old", "new", "names", "said"),
    [
        ({"a": {"nDCG@10": 1.0}}, {"b": {"nDCG@10": 1.0}}, (), "no question in common"),
        ({"a": {"nDCG@10": 1.0}}, {"a": {"MAP": 1.0}}, (), "no metric in common"),
        ({"a": {"nDCG@10": 1.0}}, {"a": {"nDCG@10": 1.0}}, ("MAP",), "MAP is not in both runs"),
    ],
)
def test_runs_without_anything_in_common_are_refused(old, new, names, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        compare(made(old), made(new), names)


def test_a_gate_looks_at_one_metric_of_a_ranking_and_at_all_chosen_ones_of_an_answer() -> None:
    run = noisy(0)
    assert gated(run, run) == ("nDCG@10",)
    answers = replace(run, report=replace(run.report, task="answers"))
    assert gated(answers, answers) == NAMES


def test_of_all_metrics_of_answers_a_gate_takes_those_that_see_another_fault_and_that_both_runs_have() -> None:
    new = replace(noisy(0), report=replace(noisy(0).report, task="answers", names=ANSWERS))
    earlier = replace(new, report=replace(new.report, names=("Faithfulness", "TokenF1", "CitationPrecision")))
    assert gated(new, earlier) == ("Faithfulness", "CitationPrecision")
    assert gated(new, new) == CORE
    assert not COSTS & set(CORE)


def test_costs_are_compared_where_they_are_named_by_a_share_of_the_old_mean() -> None:
    def tokens(factor: float) -> Run:
        scored = tuple(
            Scored(f"q{at}", "q", {"Faithfulness": 1.0, "PromptTokens": factor * (800 + at % 7)}) for at in range(60)
        )
        return Run("r", Report("answers", "set", "f", ("Faithfulness", "PromptTokens"), scored))

    assert [one.metric for one in compare(tokens(1), tokens(2)).metrics] == ["Faithfulness"]
    more = compare(tokens(1), tokens(1.5), ["PromptTokens"]).metrics[0]
    assert (more.verdict, more.detectable < 0.05 * more.old) == ("worse", True)
    assert compare(tokens(1), tokens(1), ["PromptTokens"]).metrics[0].verdict == "too small to tell"


def test_every_form_shows_the_same_comparison() -> None:
    old = replace(noisy(0), about={"settings": {"retrieve.mode": "hybrid"}})
    new = replace(noisy(1, shift=-0.3), about={"settings": {"retrieve.mode": "dense"}})
    found = compare(old, new)
    text, page, data = compare_text.to_text(found), compare_text.to_markdown(found), compare_text.to_json(found)
    for form in (text, page):
        assert "retrieve.mode: hybrid -> dense" in form
        assert f"{len(found.worse)} questions got worse; the first 10:" in form
        assert f"{found.worse[0].new.id}.md:L1 *" in form
    assert data["settings"] == {"retrieve.mode": {"old": "hybrid", "new": "dense"}}
    assert data["metrics"][0]["verdict"] == "worse"
    assert len(data["worse"]) == len(found.worse)


def test_the_committed_baseline_is_of_the_experiment_beside_it() -> None:
    root = Path(__file__).parents[1] / "eval"
    text = (root / "baselines" / "ragkit-docs.json").read_text(encoding="utf-8")
    baseline = runs.read(root / "baselines" / "ragkit-docs.json")
    experiment = experiments.load(root / "experiments" / "docs.toml")
    assert (baseline.name, baseline.report.names) == (experiment.name, experiment.metrics)
    known = {question.id for question in datasets.load(experiment.dataset).questions}
    assert {one.id for one in baseline.report.questions} <= known
    assert baseline.report.failed == ()
    assert re.findall(r'": "/[^"]*"', text) == [], "a path of one machine"
