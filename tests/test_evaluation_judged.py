"""Judged answers are read, scored by each metric, and compared with what people said of them."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.collections.correctness import nq301, ragchecker
from ragkit.cli.main import cli
from ragkit.errors import DatasetError
from ragkit.evaluation import agreement, judged
from ragkit.evaluation.judged import Judged, holds_judged, kendall_b, load_judged
from ragkit.testing import HashEmbedder

NQ301 = Path(os.environ.get("RAGKIT_DEV_DATA", Path(__file__).parents[1] / "../shared/data")) / "correctness"
QUESTION = "where are the washington redskins based"
RIGHT = ("FedExField in Landover, Maryland", "the Washington metropolitan area")
ITEMS = [
    Judged("1", QUESTION, RIGHT, "Landover, Maryland", 1),
    Judged("2", QUESTION, RIGHT, "The Redskins are based in the Washington metropolitan area, and play there.", 1),
    Judged("3", QUESTION, RIGHT, "Richmond, Virginia", 0),
    Judged("4", QUESTION, RIGHT, "", 0),
]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(**more: object) -> dict[str, object]:
    return {"question": QUESTION, "reference": list(RIGHT), "answer": "Landover", "label": 1, **more}


def test_every_metric_is_compared_over_the_same_items() -> None:
    found = judged.measure(ITEMS, judged.metrics(HashEmbedder(256)), name="redskins")
    assert list(found) == ["AnswerCorrectness", "TokenF1", "ExactMatch", "ROUGE-L", "SemanticSimilarity"]
    assert {one.n for one in found.values()} == {4}
    assert found["AnswerCorrectness"].balanced_accuracy == 1.0
    assert found["ExactMatch"].balanced_accuracy == 0.5


def test_of_a_pair_the_better_one_scores_higher() -> None:
    pairs = [
        Judged("1", QUESTION, RIGHT, "Landover, Maryland", 2, "Richmond, Virginia"),
        Judged("2", QUESTION, RIGHT, "Richmond, Virginia", -1, "Landover, Maryland"),
        Judged("3", QUESTION, RIGHT, "Landover", 0, "Landover."),
    ]
    found = judged.measure(pairs, judged.metrics(HashEmbedder(256)), name="pairs")
    first, exact = found["AnswerCorrectness"], found["ExactMatch"]
    assert (first.n, first.positives, first.balanced_accuracy, first.spearman) == (3, 1, 1.0, 1.0)
    assert (exact.balanced_accuracy, exact.spearman, exact.kendall) == (0.5, 0.0, 0.0)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([-2, -1, 0, 1, 2]), st.sampled_from([0.0, 0.1, 0.5])), min_size=2, max_size=40)
)
def test_kendalls_tau_is_that_of_scipy(pairs: list[tuple[int, float]]) -> None:
    stats = pytest.importorskip("scipy.stats")
    one, two = (list(side) for side in zip(*pairs, strict=True))
    if min(len(set(one)), len(set(two))) > 1:
        assert kendall_b(one, two) == pytest.approx(stats.kendalltau(one, two).statistic)
    else:
        assert kendall_b(one, two) == 0.0


def test_intervals_hold_their_statistic() -> None:
    labels = [at % 2 for at in range(80)]
    scores = [0.9 if (at % 2) != (at % 5 == 0) else 0.1 for at in range(80)]
    found = agreement.compare("any", labels, scores, 0.5)
    assert set(found.intervals) == set(agreement.STATISTICS)
    for name, (low, high) in found.intervals.items():
        assert -1.0 <= low <= getattr(found, name) <= high <= 1.0, name


# ---------------------------------------------------------------- files


def test_a_file_is_of_claims_or_of_answers(tmp_path: Path) -> None:
    claims = write(tmp_path / "claims.jsonl", [{"context": "x", "claim": "y", "label": 1}])
    answers = write(tmp_path / "answers.jsonl", [row(), row(reference="Landover", label="false")])
    assert (holds_judged(claims), holds_judged(answers)) == (False, True)
    items = load_judged(answers)
    assert [(item.references, item.label, item.other) for item in items] == [
        (RIGHT, 1, None),
        (("Landover",), 0, None),
    ]
    assert len(load_judged(answers, 1)) == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(answer=None)], "a.jsonl:1 has no answer"),
        ([row(label="perhaps")], "a.jsonl:1: label is 'perhaps'"),
        ([row(label="better", other="x")], "a.jsonl:1: label is 'better'"),
        ([row(), row(other="x")], "with and without another one"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, rows: list[dict[str, object]], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        load_judged(write(tmp_path / "a.jsonl", rows))


def test_the_published_collections_become_judged_answers() -> None:
    human = [{"Question": "q", "Model answer": "a", "Acceptable?": "Yes"}, {"Question": "new", "Model answer": "b"}]
    gold = [{"Question": "q", "Gold answers": "a | b"}]
    assert list(nq301(human, gold)) == [{"question": "q", "reference": ["a", "b"], "answer": "a", "label": 1}]
    pair = {
        "query": "q",
        "gt_answer": "g",
        "model1": {"model_name": "m", "response": "a"},
        "model2": {"model_name": "n", "response": "b"},
    }
    judges = [{**pair, "overall_label": 2}, {**pair, "overall_label": 1}]
    assert [one["label"] for one in ragchecker(judges, "overall")] == [-1.5]


# ---------------------------------------------------------------- the command


@pytest.mark.slow
def test_claims_and_answers_can_be_compared_at_once(tmp_path: Path) -> None:
    claims = [
        {"context": "Pods restart.", "claim": claim, "label": label}
        for claim, label in (("Pods restart.", 1), ("Cats purr.", 0))
    ]
    answers = [
        {
            "question": item.question,
            "reference": list(item.references),
            "answer": item.answer or "?",
            "label": item.label,
        }
        for item in ITEMS
    ]
    files = [str(write(tmp_path / "claims.jsonl", claims)), str(write(tmp_path / "answers.jsonl", answers))]
    asked = ["eval", "agreement", *files, "--set", f"store.directory={tmp_path / 'store'}"]
    result = CliRunner().invoke(cli, [*asked, "--format", "json"])
    assert result.exit_code == 0, result.output
    one, two = json.loads(result.stdout)["sets"]
    assert (one["metric"], two["metric"], two["balanced_accuracy"]) == ("Faithfulness", "AnswerCorrectness", 1.0)
    assert [beside["metric"] for beside in two["beside"]][:2] == ["TokenF1", "ExactMatch"]
    assert len(two["kappa_interval"]) == 2


@pytest.mark.data
@pytest.mark.skipif(not NQ301.is_dir(), reason="the development data is not here")
def test_correctness_agrees_with_people_better_than_token_f1_and_exact_match_do() -> None:
    def table(name: str) -> list[dict[str, str]]:
        with (NQ301 / name).open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))

    rows = list(nq301(table("NQ301_human.tsv"), table("NQ301_BEM.tsv")))
    items = [
        Judged(str(at), one["question"], tuple(one["reference"]), one["answer"], one["label"])
        for at, one in enumerate(rows)
    ]
    chosen = {name: metric for name, metric in judged.metrics(HashEmbedder()).items() if name != "SemanticSimilarity"}
    found = judged.measure(items, chosen, name="nq301")
    for name in agreement.STATISTICS:
        best = max(getattr(found[other], name) for other in ("TokenF1", "ExactMatch"))
        assert getattr(found["AnswerCorrectness"], name) > best, name
