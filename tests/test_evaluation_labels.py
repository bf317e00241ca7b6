"""Labels that name nothing in a corpus are told of, and those that a search could find are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragkit import Engine
from ragkit.config import Settings
from ragkit.evaluation import datasets
from ragkit.evaluation.datasets import Gold, Level
from ragkit.evaluation.experiments import Experiment
from ragkit.evaluation.labels import lost
from ragkit.evaluation.run import run_retrieval
from ragkit.evaluation.runner import carry_out
from ragkit.testing import HashEmbedder

ROWS = [
    {"id": "1", "question": "How do I restore a backup?", "relevant": [{"path": "backup", "heading": "Backups"}]},
    {
        "id": "2",
        "question": "Which port?",
        "relevant": [{"path": "guide/port.md", "quote": "It listens on port 8443."}],
    },
    {"id": "3", "question": "How long?", "relevant": [{"path": "backup.md", "quote": "They are never thrown away."}]},
]
NOTICE = (
    "2 of 3 labels name no document or passage of corpus docs and can only score 0: guide/port.md: "
    "'It listens on port 8443.' (question 2), backup.md: 'They are never thrown away.' (question 3); "
    "`ragkit eval validate` says more"
)


@pytest.fixture
def engine(settings: Settings, docs: Path) -> Iterator[Engine]:
    with Engine(settings, embedder=HashEmbedder(256)) as opened:
        opened.ingest([docs], corpus="docs")
        yield opened


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return file


def test_labels_that_name_nothing_are_a_notice_of_the_report(engine: Engine, questions: Path) -> None:
    report = run_retrieval(engine, datasets.load(questions), corpus="docs")
    assert report.notices == (NOTICE,)
    assert report.metrics["Recall@5"].mean == pytest.approx(1 / 3)


def test_a_run_has_the_notice_too_whether_computed_or_known(
    settings: Settings, engine: Engine, questions: Path
) -> None:
    experiment = Experiment("small", questions, corpus="docs")
    for computed in (3, 0):
        (run,) = carry_out(experiment, settings, lambda chosen: Engine(chosen, embedder=HashEmbedder(256)))
        assert run.about["computed"] == computed
        assert run.report.notices == (NOTICE,)


@pytest.mark.parametrize(
    ("gold", "level", "there"),
    [
        (Gold("ports"), "document", True),
        (Gold("port"), "document", False),
        (Gold("other/ports.md"), "document", False),
        (Gold("ports", quote="words that stand nowhere at all"), "document", True),
        (Gold("ports", quote="words that stand nowhere at all"), "passage", False),
        (Gold("ports", ("PORTS",)), "passage", True),
        (Gold("ports", ("Restore",)), "passage", False),
        (Gold(quote="The service must be stopped first."), "document", True),
        (Gold(quote="The service may go on."), "document", False),
    ],
)
def test_a_label_is_looked_for_as_the_level_judges_it(engine: Engine, gold: Gold, level: Level, there: bool) -> None:
    assert lost(engine, "docs", [("q", gold)], level) == ([] if there else [("q", gold)])
