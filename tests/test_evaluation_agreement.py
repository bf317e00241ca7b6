"""How a metric's agreement with people is computed, read from files, and printed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit import Engine, Settings, config
from ragkit.cli.main import cli
from ragkit.errors import DatasetError, ModelUnsuitable, UsageError
from ragkit.evaluation import agreement
from ragkit.testing import HashEmbedder, ScriptedGenerator
from ragkit.verify.grounding import together

TEXT = "Backups run every night at 02:00. They are kept for 30 days.\n\nThe web interface listens on port 8443.\n"
CLAIMS = [
    ("Backups are kept for 30 days.", 1),
    ("The web interface listens on port 8443.", 1),
    ("Backups are kept for 90 days.", 0),
    ("Penguins live in Antarctica.", 0),
]
BINARY = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 1.0])), min_size=1, max_size=60
)


def engine(tmp_path: Path, **models: object) -> Engine:
    settings = config.replace(Settings(), {"store.directory": str(tmp_path), "generate.backend": "extractive"})
    return Engine(settings, embedder=HashEmbedder(), **models)  # type: ignore[arg-type]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# ---------------------------------------------------------------- statistics


@settings(deadline=None)
@given(BINARY)
def test_the_statistics_are_finite_and_within_their_bounds(pairs: list[tuple[int, float]]) -> None:
    labels, scores = [label for label, _ in pairs], [score for _, score in pairs]
    found = agreement.compare("any", labels, scores, 0.5)
    for name in ("balanced_accuracy", "f1", "auroc", "low", "high"):
        assert 0.0 <= getattr(found, name) <= 1.0, name
    for name in ("kappa", "spearman", "kendall"):
        assert -1.0 - 1e-9 <= getattr(found, name) <= 1.0 + 1e-9, name
    assert all(math.isfinite(value) for value in (found.kappa, found.spearman, found.kendall))


@settings(deadline=None)
@given(BINARY.filter(lambda pairs: all(len(set(side)) > 1 for side in zip(*pairs, strict=True))))
def test_they_are_those_of_scikit_learn_and_scipy(pairs: list[tuple[int, float]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    stats = pytest.importorskip("scipy.stats")
    labels, scores = [label for label, _ in pairs], [score for _, score in pairs]
    predicted = [int(score >= 0.5) for score in scores]
    found = agreement.compare("any", labels, scores, 0.5)
    assert found.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert found.auroc == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert found.spearman == pytest.approx(stats.spearmanr(labels, scores).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(labels, scores).statistic)
    assert found.f1 == pytest.approx(metrics.f1_score(labels, predicted))
    if len(set(predicted)) == 2:
        assert found.kappa == pytest.approx(metrics.cohen_kappa_score(labels, predicted), abs=1e-9)


# ---------------------------------------------------------------- the check itself


def test_what_the_text_says_is_supported_and_what_it_does_not_say_is_not(tmp_path: Path) -> None:
    with engine(tmp_path) as opened:
        found = {claim: opened.ground(claim, TEXT) for claim, _ in CLAIMS}
    assert {claim: int(one.supported) for claim, one in found.items()} == dict(CLAIMS)
    kept = found["Backups are kept for 30 days."].claims[0]
    assert [TEXT[start:end] for start, end in kept.spans] == [
        "Backups run every night at 02:00. They are kept for 30 days."
    ]
    assert found["Backups are kept for 90 days."].claims[0].missing == ("90",)


def test_a_statement_half_of_which_is_not_supported_is_not_supported(tmp_path: Path) -> None:
    with engine(tmp_path) as opened:
        found = opened.ground("Backups are kept for 30 days. Penguins live in Antarctica.", TEXT)
    assert [claim.text for claim in found.claims] == ["Backups are kept for 30 days.", "Penguins live in Antarctica."]
    one, two = (claim.support for claim in found.claims)
    assert found.support == pytest.approx((one + 2 * two) / 3)
    assert not found.supported


def test_a_sentence_that_is_not_there_is_worse_than_one_that_is(tmp_path: Path) -> None:
    with engine(tmp_path) as opened:
        for name, there in (("Oslo", 0), ("Debian", 1)):
            text = f"{TEXT}\nThe packages for Debian were built by hand."
            found = opened.ground(f"The packages for {name} were built by hand.", text)
            assert (found.support > 0.8) == there, found.support


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_what_all_sentences_have_together_lies_between_the_worst_and_their_mean(supports: list[float]) -> None:
    assert min(supports) - 1e-9 <= together(supports) <= math.fsum(supports) / len(supports) + 1e-9


@pytest.mark.parametrize(("statement", "text"), [("", TEXT), ("Backups run.", ""), ("  ", "  ")])
def test_nothing_is_supported_by_nothing(tmp_path: Path, statement: str, text: str) -> None:
    with engine(tmp_path) as opened:
        assert opened.ground(statement, text).support == 0.0


def test_an_engine_that_is_not_known_or_not_to_be_had_is_refused(tmp_path: Path) -> None:
    with engine(tmp_path) as opened, pytest.raises(UsageError, match="oracle"):
        opened.ground("Backups run.", TEXT, engine="oracle")
    with engine(tmp_path, generator=ScriptedGenerator("Yes")) as opened, pytest.raises(ModelUnsuitable, match="odds"):
        opened.ground("Backups run.", TEXT, engine="logits")


# ---------------------------------------------------------------- files


def test_items_are_read_with_labels_in_any_usual_spelling(tmp_path: Path) -> None:
    labels = [1, 0, True, False, "1", "false"]
    rows = [
        {"context": [TEXT, "More."], "claim": "Backups run.", "label": label, "question": None} for label in labels
    ]
    items = agreement.load_items(write(tmp_path / "a.jsonl", rows))
    assert [item.label for item in items] == [1, 0, 1, 0, 1, 0]
    assert items[0].context == f"{TEXT}\n\nMore."
    assert items[0].question == ""
    assert len(agreement.load_items(tmp_path / "a.jsonl", 2)) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "a.jsonl:1: not JSON: Expecting property name"),
        ('{"claim": "x", "label": 1}', "a.jsonl:1 has no context"),
        ('{"context": "x", "claim": "x", "label": "perhaps"}', "a.jsonl:1: label is 'perhaps'"),
        ("[]", "a.jsonl:1: not a JSON object"),
        ("{}", "a.jsonl:1 has no context, claim, label"),
        ('{"context": "x", "claim": "x", "label": {}}', "a.jsonl:1: label is {}"),
        ("", "holds no item"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=said):
        agreement.load_items(path)


# ---------------------------------------------------------------- the command


@pytest.mark.slow
def test_the_command_prints_a_table_and_stable_json(tmp_path: Path) -> None:
    rows = [{"context": TEXT, "claim": claim, "label": label} for claim, label in CLAIMS]
    one, two = write(tmp_path / "one.jsonl", rows), write(tmp_path / "two.jsonl", rows[:3])
    runner = CliRunner()
    asked = ["eval", "agreement", str(one), str(two), "--set", f"store.directory={tmp_path / 'store'}"]
    result = runner.invoke(cli, [*asked, "--format", "json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert {"engine", "threshold", "balanced_accuracy", "auroc", "n", "failed", "seconds", "sets"} <= set(data)
    assert (data["n"], data["balanced_accuracy"], data["threshold"]) == (7, 1.0, 0.5)
    assert [one["name"] for one in data["sets"]] == ["one", "two"]
    table = runner.invoke(cli, [*asked, "--format", "md"]).stdout.splitlines()
    assert table[0].startswith("| set | n | balanced accuracy |")
    assert table[-1].startswith("| mean | 7 | 1.000 |")


@pytest.mark.slow
def test_a_language_model_is_asked_for_odds_and_writes_nothing(tmp_path: Path) -> None:
    rows = [{"context": TEXT, "claim": claim, "label": label} for claim, label in CLAIMS]
    path = write(tmp_path / "one.jsonl", rows)
    command = ["eval", "agreement", str(path), "--faithfulness-engine", "logits", "--format", "json"]
    judged = [*command, "--judge-model", "smollm2-135m-instruct", "--set", f"store.directory={tmp_path / 'store'}"]
    # No model writes answers here; one judges all the same.
    result = CliRunner().invoke(cli, [*judged, "--set", "generate.backend=extractive"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["engine"], data["model"], data["failed"]) == ("logits", "smollm2-135m-instruct", 0)
    assert 0.0 <= data["auroc"] <= 1.0
    # What was asked is known: the same figures come back, with the seconds that they took then.
    again = json.loads(CliRunner().invoke(cli, [*judged, "--set", "generate.backend=extractive"]).stdout)
    assert again == data
