"""`ragkit eval` prints the report in the format asked for, and names what is wrong with a request."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATASET = ROOT / "eval" / "datasets" / "ragkit-docs"


def ragkit(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ragkit", *arguments], capture_output=True, text=True, env=environ, check=False
    )


def test_a_missing_dataset_is_one_clear_message(plain_environment: dict[str, str]) -> None:
    done = ragkit(plain_environment, "eval", "retrieval", "--dataset", "nowhere")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("ragkit: dataset nowhere does not exist\n  try: ")


def test_a_corpus_that_was_never_ingested_is_named(plain_environment: dict[str, str]) -> None:
    done = ragkit(plain_environment, "eval", "retrieval", "--dataset", str(DATASET), "--corpus", "handbook")
    assert done.returncode == 1
    assert "handbook" in done.stderr
    assert done.stdout == ""


def test_an_unknown_metric_is_named(plain_environment: dict[str, str]) -> None:
    done = ragkit(plain_environment, "eval", "retrieval", "--dataset", str(DATASET), "--metric", "Recal@5")
    assert done.returncode == 1
    assert "unknown metric 'Recal@5'" in done.stderr


@pytest.mark.slow
def test_the_projects_own_set_is_measured_with_the_default_models(
    plain_environment: dict[str, str], tmp_path: Path
) -> None:
    read = ragkit(
        plain_environment, "ingest", str(ROOT / "docs"), "--corpus", "ragkit-docs", "--include", "*.md", "-q"
    )
    assert read.returncode == 0, read.stderr
    file = tmp_path / "report.json"
    common = ("--dataset", str(DATASET), "--corpus", "ragkit-docs", "-q")
    done = ragkit(plain_environment, "eval", "retrieval", *common, "--format", "json", "--out", str(file))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads(file.read_text(encoding="utf-8"))
    assert report["failed"] == 0
    assert report["metrics"]["HitRate@5"]["mean"] > 0.7
    answers = ragkit(plain_environment, "eval", "answers", *common, "--no-llm", "-n", "3")
    assert answers.returncode == 0, answers.stderr
    assert "RefusalRecall" in answers.stdout
