"""The commands over sets of questions: what they print, write, refuse, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ragkit.chunking import STRATEGIES
from ragkit.cli import eval_data
from ragkit.cli.eval import answers, chunking
from ragkit.cli.main import cli
from ragkit.evaluation import exchange, questions
from ragkit.evaluation.datasets import Gold, Question
from ragkit.evaluation.questions import Entry
from ragkit.verify import ENGINES
from tests.conftest import Ingested
from tests.test_evaluation_commands import ragkit as process
from tests.test_evaluation_generate import PAGES


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Six questions over three documents."""
    entries = [
        Entry(
            Question(f"q{n}", f"How does part {n} of engine {n} work?", f"By steam {n}.",
                     (Gold(f"d{n % 3}.md", ("Parts",), f"It works by steam {n}."),), kind="single-passage"),
            {"difficulty": {"level": "easy"}},
        )
        for n in range(6)
    ]  # fmt: skip
    questions.write(tmp_path / "q.jsonl", entries)
    return tmp_path / "q.jsonl"


def ragkit(*arguments: object, input: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["eval", *map(str, arguments)], input=input)


def reviews(file: Path) -> list[str]:
    return [entry.review for entry in questions.load(file)]


def test_a_set_is_listed_and_one_question_shown_whole(file: Path) -> None:
    listed = ragkit("show", file)
    assert listed.exit_code == 0
    row = listed.stdout.splitlines()[1]
    assert " ".join(row.split()) == "q0 single-passage easy How does part 0 of engine 0 work?"
    one = ragkit("show", file, "q1")
    assert "answer: By steam 1." in one.stdout
    assert "d1.md > Parts\n  | It works by steam 1." in one.stdout
    assert json.loads(ragkit("show", file, "q1", "--format", "json").stdout)["id"] == "q1"
    assert len(ragkit("show", file, "--format", "jsonl").stdout.splitlines()) == 6


def test_the_commands_offer_what_the_modules_know() -> None:
    choices = {param.name: param.type for command in (answers, chunking) for param in command.params}
    assert (eval_data.FORMS, eval_data.KINDS) == (exchange.FORMS, questions.KINDS)
    assert tuple(choices["engine_name"].choices) == ENGINES
    assert set(choices["strategies"].choices) == set(STRATEGIES)


def test_a_question_that_is_not_there_is_named(file: Path) -> None:
    done = ragkit("show", file, "q9")
    assert done.exit_code != 0
    assert done.stdout == ""


def test_a_review_accepts_edits_rejects_skips_and_goes_on_where_it_ended(file: Path) -> None:
    done = ragkit("review", file, input="a\nr\ne\nHow does it work?\n\ns\nq\n")
    assert done.exit_code == 0
    assert done.stdout == "2 accepted, 1 rejected, 3 open\n"
    assert reviews(file) == ["accepted", "rejected", "accepted", "", "", ""]
    edited = questions.load(file)[2]
    assert (edited.question.text, edited.question.answer) == ("How does it work?", "By steam 2.")
    assert edited.notes["edited"] is True
    again = ragkit("review", file, "--format", "json", input="r\n")
    assert "[1 of 3] q3" in again.stderr
    assert json.loads(again.stdout) == {"file": str(file), "accepted": 2, "rejected": 2, "open": 2}


def test_a_review_of_the_text_form_is_written_as_text(file: Path) -> None:
    text = file.with_suffix(".md")
    assert ragkit("export", file, "--output", text).exit_code == 0
    ragkit("review", text, input="a\nq\n")
    assert text.read_text(encoding="utf-8").count("Review: accepted\n") == 1


def test_the_end_of_the_input_ends_a_review(file: Path) -> None:
    done = ragkit("review", file, input="a\n")
    assert done.exit_code == 0
    assert reviews(file)[:2] == ["accepted", ""]


def test_a_set_goes_through_the_text_form_unchanged(file: Path, tmp_path: Path) -> None:
    ragkit("export", file, "--output", tmp_path / "q.md")
    done = ragkit("import", tmp_path / "q.md", "--output", tmp_path / "back.jsonl", "--format", "json")
    assert json.loads(done.stdout) == {
        "file": str(tmp_path / "back.jsonl"),
        "form": "jsonl",
        "questions": 6,
        "kinds": {"single-passage": 6},
    }
    assert (tmp_path / "back.jsonl").read_bytes() == file.read_bytes()


def test_a_split_writes_two_files_and_says_what_is_in_them(file: Path) -> None:
    done = ragkit("split", file, "--dev", "0.34", "--format", "json")
    parts = {row["part"]: row for row in json.loads(done.stdout)["parts"]}
    assert [parts[name]["questions"] for name in ("dev", "test")] == [2, 4]
    assert [parts[name]["documents"] for name in ("dev", "test")] == [1, 2]
    assert len(questions.load(Path(parts["dev"]["file"]))) == 2


def test_a_set_with_errors_exits_1_and_a_sound_one_0(file: Path) -> None:
    assert ragkit("validate", file).exit_code == 0
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([*lines, lines[0].replace('"q0"', '"q7"')]) + "\n", encoding="utf-8")
    done = ragkit("validate", file, "--format", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["problems"] == [
        {"question": "q7", "problem": "duplicate", "severity": "error", "detail": "asks the same as q0"}
    ]


def test_places_are_fixed_only_where_a_corpus_says_what_they_are(file: Path, plain_environment) -> None:
    done = process(plain_environment, "eval", "validate", str(file), "--fix")
    assert done.returncode == 2
    assert done.stderr == "ragkit: --fix needs to know where the places are\n  try: add --corpus NAME\n"


def test_what_a_person_reviewed_is_not_written_over(file: Path, plain_environment) -> None:
    ragkit("review", file, input="a\nq\n")
    done = process(plain_environment, "eval", "generate", "--output", str(file))
    assert done.returncode == 2
    assert "has 1 reviewed questions" in done.stderr


@pytest.mark.slow
def test_questions_are_made_of_a_corpus_measured_and_follow_their_documents(
    own_ingested: Ingested, tmp_path: Path
) -> None:
    docs, environ, file = own_ingested.docs, own_ingested.environ, tmp_path / "made.jsonl"
    for name, text in PAGES.items():
        (docs / name).write_text(text, encoding="utf-8")
    assert process(environ, "ingest", "-q").returncode == 0
    done = process(environ, "eval", "generate", "-n", "6", "--output", str(file), "--format", "json", "-q")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["questions"] == 6
    assert len(questions.load(file)) == sum(summary["kinds"].values())
    printed = process(environ, "eval", "generate", "-n", "6", "-q")
    assert printed.stdout == file.read_text(encoding="utf-8")
    measured = process(environ, "eval", "retrieval", "--dataset", str(file), "--format", "json", "-q")
    assert json.loads(measured.stdout)["metrics"]["Recall@10"]["mean"] == 1.0
    (docs / "backup.md").rename(docs / "guide" / "archive.md")
    (docs / "agents.md").rename(docs / "guide" / "collectors.md")
    assert process(environ, "ingest", "-q").returncode == 0
    moved = process(environ, "eval", "validate", str(file), "--corpus", "docs", "--fix", "--format", "json")
    assert json.loads(moved.stdout)["drift"]["moved"] >= 1
    fixed = process(environ, "eval", "validate", str(file), "--corpus", "docs", "--format", "json")
    assert set(json.loads(fixed.stdout)["drift"]) == {"exact", "moved", "changed", "gone"}
    assert json.loads(fixed.stdout)["drift"]["moved"] == 0
