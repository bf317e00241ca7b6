"""`ragkit eval run`, `compare`, `gate`, `report` and `ragkit why-not` as people run them: output and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ragkit.evaluation import runs
from ragkit.evaluation.report import Report, Scored
from ragkit.evaluation.runs import Run
from tests.conftest import Ingested


def ragkit(environ: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ragkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)


def saved(folder: Path, name: str, *scores: float) -> Path:
    """The file of a run whose questions have these scores, over and over, for 40 questions."""
    questions = tuple(
        Scored(f"q{at}", f"What is {at}?", {"nDCG@10": scores[at % len(scores)]}, hits=(f"a.md:L{at}",))
        for at in range(40)
    )
    run = Run(name, Report("retrieval", "set", "0" * 16, ("nDCG@10",), questions))
    runs.write(run, folder / f"{name}.json")
    return folder / f"{name}.json"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return saved(tmp_path, "good", 1.0, 0.5)


def test_a_real_drop_closes_the_gate_with_exit_code_5(plain_environment, good: Path, tmp_path: Path) -> None:
    bad = saved(tmp_path, "bad", 0.5, 0.5)
    done = ragkit(plain_environment, "eval", "gate", "--baseline", good, bad, "--examples", 2)
    assert done.returncode == 5
    assert "20 questions got worse; the first 2:" in done.stdout
    assert "What is 0?" in done.stdout
    assert done.stderr.startswith("ragkit: bad is really worse than good: nDCG@10 from 0.750 to 0.500\n  try: ")


def test_noise_leaves_the_gate_open(plain_environment, good: Path, tmp_path: Path) -> None:
    same = saved(tmp_path, "same", 0.5, 1.0)  # the same scores, of other questions
    done = ragkit(plain_environment, "eval", "gate", "--baseline", good, same)
    assert done.returncode == 0
    assert "too small to tell" in done.stdout


def test_a_gate_needs_a_run_or_a_dataset(plain_environment, good: Path) -> None:
    done = ragkit(plain_environment, "eval", "gate", "--baseline", good)
    assert done.returncode == 2
    assert "name a RUN, or a --dataset" in done.stderr


def test_a_comparison_is_the_same_in_every_format(plain_environment, good: Path, tmp_path: Path) -> None:
    bad = saved(tmp_path, "bad", 0.5, 0.5)
    text, page, data = (
        ragkit(plain_environment, "eval", "compare", good, bad, "--format", form) for form in ("text", "md", "json")
    )
    assert {text.returncode, page.returncode, data.returncode} == {0}
    assert "worse" in text.stdout
    assert "| nDCG@10 | 0.750 | 0.500 | -0.250 |" in page.stdout
    found = json.loads(data.stdout)
    assert (found["metrics"][0]["verdict"], found["n"], len(found["worse"])) == ("worse", 40, 10)


def test_a_report_is_one_file_or_markdown(plain_environment, good: Path, tmp_path: Path) -> None:
    page = ragkit(plain_environment, "eval", "report", good, "--output", tmp_path / "r.html")
    assert page.returncode == 0, page.stderr
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert ragkit(plain_environment, "eval", "report", good).stdout.startswith("# good: retrieval on set\n")
    wrong = ragkit(plain_environment, "eval", "report", good, "--output", tmp_path / "r.pdf")
    assert (wrong.returncode, "written as .html or .md" in wrong.stderr) == (2, True)


def test_a_run_that_is_not_there_is_one_clear_message(plain_environment, good: Path) -> None:
    done = ragkit(plain_environment, "eval", "compare", good, "nowhere")
    assert done.returncode == 1
    assert done.stderr == "ragkit: there is no run nowhere\n  try: `ragkit eval runs` lists them\n"


@pytest.mark.slow
def test_an_experiment_is_kept_found_again_and_explained(own_ingested: Ingested, tmp_path: Path) -> None:
    rows = [
        {"id": "restore", "question": "How do I restore a backup?", "relevant": [{"path": "backup.md"}]},
        {"id": "port", "question": "Which port has the web interface?", "relevant": [{"path": "ports"}]},
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "small.toml").write_text('[experiment]\ndataset = "q.jsonl"\n[grid]\n"retrieve.mode" = ["dense"]\n')
    environ, file = own_ingested.environ, tmp_path / "run.json"
    first = ragkit(environ, "eval", "run", tmp_path / "small.toml", "-q", "--output", file)
    assert first.returncode == 0, first.stderr
    assert "2 of 2 questions were computed" in first.stdout
    again = json.loads(ragkit(environ, "eval", "run", tmp_path / "small.toml", "-q", "--format", "json").stdout)
    assert again["run"]["computed"] == 0
    assert again["metrics"] == json.loads(file.read_text(encoding="utf-8"))["metrics"]
    listed = json.loads(ragkit(environ, "eval", "runs", "--format", "json").stdout)
    assert [row["name"] for row in listed] == ["small[mode=dense]"] * 2
    assert ragkit(environ, "eval", "gate", "--baseline", file, tmp_path / "small.toml", "-q").returncode == 0
    why = ragkit(environ, "why-not", "How do I restore a backup?", "backup.md:12", "--no-llm", "--format", "json")
    assert why.returncode == 0, why.stderr
    found = json.loads(why.stdout)
    assert (found["lost"], found["steps"][0]["outcome"]) == ("", "passed")
