"""Runs go through the public API, keep every question, and score what was found and said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ragkit import Engine, config
from ragkit.config import Settings
from ragkit.domain import Chunk, Hit, Passage
from ragkit.errors import CorpusNotFound, DatasetError, RagkitError
from ragkit.evaluation import datasets
from ragkit.evaluation.datasets import Gold
from ragkit.evaluation.names import ANSWERS
from ragkit.evaluation.rankings import grades, rank
from ragkit.evaluation.report import Report, Scored, question_rows, to_json, to_markdown, to_text, write
from ragkit.evaluation.run import prepare_corpus, run_answers, run_retrieval
from ragkit.testing import HashEmbedder, ScriptedGenerator

QUESTIONS = [
    {
        "id": "restore",
        "question": "How do I restore a backup?",
        "answer": "Run `vault restore --from FILE`.",
        "relevant": [
            {"path": "backup.md", "heading": "Restore", "quote": "To restore a backup, run `vault restore`"}
        ],
    },
    {
        "id": "port",
        "question": "How is the port of the web interface changed?",
        "answer": "Set listen_port in server.toml and restart the service.",
        "relevant": [{"path": "guide/ports.md", "quote": "Set `listen_port` in `server.toml`"}],
    },
    {"id": "mayor", "question": "Who was elected mayor of Springfield in spring?", "answerable": False},
]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "small.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS), encoding="utf-8")
    return file


@pytest.fixture
def engine(settings: Settings, docs: Path) -> Iterator[Engine]:
    """A real engine over two small pages; a hash of words for a model, and sentences for answers."""
    settings = config.replace(settings, {"generate.backend": "extractive", "verify.unsupported": "mark"})
    with Engine(settings, embedder=HashEmbedder(256)) as opened:
        opened.ingest([docs], corpus="small")
        yield opened


def hit(id: int, path: str, text: str, heading: tuple[str, ...] = ()) -> Hit:
    return Hit(Passage(id, 1, 0, path, "", Chunk(0, len(text), text, heading, start_line=id, end_line=id)), 1.0)


# ---------------------------------------------------------------- retrieval


def test_questions_file_is_searched_and_scored_at_passage_level(engine: Engine, questions: Path) -> None:
    report = run_retrieval(engine, datasets.load(questions), corpus="small")
    assert [scored.id for scored in report.questions] == ["restore", "port"]
    assert report.about["level"] == "passage"
    assert report.metrics["Recall@5"].mean == 1.0
    assert report.metrics["MRR@10"].n == 2
    assert report.notices == ("1 of 3 questions have no gold and are not searched",)
    assert all(scored.hits and ":L" in scored.hits[0] for scored in report.questions)


def test_beir_set_is_ingested_once_under_a_name_made_of_its_content(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "Tiny Set"
    folder.mkdir()
    rows = [{"_id": f"d/{i}", "title": f"Page {i}", "text": f"It speaks of {word}."} for i, word in enumerate("xyz")]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text('{"_id": "1", "text": "page that speaks of y"}\n')
    (folder / "qrels.tsv").write_text("1\td/1\t1\n")
    dataset = datasets.load(folder)
    corpus = prepare_corpus(engine, dataset)
    embedded = engine.embedder.embedded
    assert corpus.startswith("eval-tiny-set-")
    assert prepare_corpus(engine, dataset) == corpus
    assert engine.embedder.embedded == embedded
    report = run_retrieval(engine, dataset, corpus=corpus)
    assert report.about["level"] == "document"
    assert report.metrics["nDCG@10"].mean == 1.0


class Refusing(HashEmbedder):
    """Fails on every text about ports, once told to."""

    refuses = False

    def embed(self, texts, kind="passage", progress=None):
        if self.refuses and kind == "query" and any("port" in text for text in texts):
            raise RagkitError("no vector for that")
        return super().embed(texts, kind, progress)


@pytest.fixture
def refusing(settings: Settings, docs: Path) -> Iterator[Engine]:
    embedder = Refusing(256)
    settings = config.replace(settings, {"generate.backend": "extractive", "verify.unsupported": "mark"})
    with Engine(settings, embedder=embedder) as opened:
        opened.ingest([docs], corpus="small")
        embedder.refuses = True
        yield opened


def test_a_search_that_fails_scores_zero_and_is_counted(refusing: Engine, questions: Path) -> None:
    report = run_retrieval(refusing, datasets.load(questions), corpus="small")
    assert [scored.id for scored in report.failed] == ["port"]
    assert report.metrics["Recall@5"].mean == 0.5
    assert report.metrics["Recall@5"].n == 2
    assert "1 failed and count at the worst value: 1 x no vector for that" in to_text(report)


@pytest.mark.parametrize("runner", [run_retrieval, run_answers])
def test_what_every_question_would_meet_ends_the_run(engine: Engine, questions: Path, runner) -> None:
    with pytest.raises(CorpusNotFound):
        runner(engine, datasets.load(questions), corpus="nowhere")


def test_a_dataset_without_gold_is_refused(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "who?"}\n')
    with pytest.raises(DatasetError, match="says of no question where its answer is"):
        run_retrieval(engine, datasets.load(tmp_path / "q.jsonl"), corpus="small")


def test_a_document_stands_where_its_best_passage_does() -> None:
    hits = [hit(1, "a.md", "x"), hit(2, "guide/b.md", "y"), hit(3, "a.md", "z"), hit(4, "c.md", "w")]
    assert rank(hits, [Gold("b")], "document") == ["a.md", "b", "c.md"]


def test_a_gold_quote_counts_once_where_it_is_first_held() -> None:
    golds = [Gold("a.md", quote="run make demo first"), Gold("a.md", quote="then ask a question")]
    hits = [
        hit(1, "b.md", "run make demo first"),
        hit(2, "a.md", "To begin, run `make demo` first."),
        hit(3, "a.md", "Run make demo first. Then ask a question."),
    ]
    assert rank(hits, golds, "passage") == ["passage:1", "gold:0", "gold:1"]


def test_a_hit_counts_for_the_places_of_the_copies_that_it_names() -> None:
    copied = replace(hit(1, "a.md", "the same words"), copies=(hit(2, "b.md", "the same words").passage,))
    hits = [hit(3, "c.md", "other words"), copied]
    assert rank(hits, [Gold("b.md", quote="same words")], "passage")[1] == "gold:0"
    assert rank(hits, [Gold("b.md")], "document") == ["c.md", "b.md"]
    assert rank(hits, [Gold("d.md")], "document") == ["c.md", "a.md"]


def test_a_gold_heading_is_found_in_any_passage_below_it() -> None:
    golds = [Gold("a.md", ("Install", "Linux"))]
    hits = [hit(1, "a.md", "x", ("Install", "Mac")), hit(2, "a.md", "y", ("Guide", "install", "linux", "Debian"))]
    assert rank(hits, golds, "passage") == ["passage:1", "gold:0"]


def test_gold_that_names_no_document_is_found_by_its_quote_at_either_level() -> None:
    golds = [Gold(quote="restart the server"), Gold("b.md")]
    hits = [hit(1, "a.md", "x"), hit(2, "c.md", "Then restart the server."), hit(3, "b.md", "y"), hit(4, "c.md", "z")]
    assert rank(hits, golds, "document") == ["a.md", "gold:0", "b.md", "c.md"]
    assert grades(golds, "document") == {"gold:0": 1, "b.md": 1}
    assert rank(hits, golds[:1], "passage") == ["passage:1", "gold:0", "passage:3", "passage:4"]


# ---------------------------------------------------------------- answers


def test_answers_are_scored_and_the_unanswerable_one_is_declined(engine: Engine, questions: Path) -> None:
    report = run_answers(engine, datasets.load(questions), corpus="small")
    assert [scored.id for scored in report.questions] == ["restore", "port", "mayor"]
    assert tuple(report.metrics) == ANSWERS
    assert report.metrics["RefusalRecall"].mean == 1.0
    assert report.metrics["Faithfulness"].mean == 1.0
    assert report.metrics["ROUGE-L"].n == 2
    assert report.metrics["SemanticSimilarity"].mean > 0.3
    assert report.questions[2].status == "abstained"
    assert all(0.0 <= value <= 1.0 for scored in report.questions for value in scored.scores.values())
    assert all({*one.scores, *one.left_out} == set(ANSWERS) for one in report.questions)
    assert report.left_out("TokensPerSecond") == {"no language model wrote": 3}
    assert "1 no reference answer" in to_text(report)


def test_an_answer_that_fails_is_scored_at_its_worst(refusing: Engine, questions: Path) -> None:
    report = run_answers(refusing, datasets.load(questions), corpus="small")
    scored = {one.id: one for one in report.questions}
    port = scored["port"]
    assert {name: value for name, value in port.scores.items() if value} == {"NoiseSensitivity": 1.0}
    assert {*port.scores, *port.left_out} == set(ANSWERS)
    assert scored["port"].error == "no vector for that"
    assert report.metrics["ROUGE-L"].n == 2
    assert report.metrics["Faithfulness"].n == 2


def test_dropped_claims_are_said_to_be_missing_from_faithfulness(settings: Settings, docs: Path, questions) -> None:
    settings = config.replace(settings, {"generate.backend": "extractive"})
    with Engine(settings, embedder=HashEmbedder(256)) as engine:
        engine.ingest([docs], corpus="small")
        assert "dropped" in run_answers(engine, datasets.load(questions, limit=1), corpus="small").notices[0]


def test_a_judge_stands_beside_faithfulness_and_never_instead(
    settings: Settings, docs: Path, questions: Path
) -> None:
    def reply(messages) -> str:
        if "Answer Yes or No." in messages[-1].content:
            return "No" if "Statement: Set" in messages[-1].content else "mumble"
        return "Set `listen_port` in `server.toml` [1]. Run `vault restore --from FILE` [2]."

    with Engine(settings, embedder=HashEmbedder(256), generator=ScriptedGenerator(reply)) as engine:
        engine.ingest([docs], corpus="small")
        report = run_answers(engine, datasets.load(questions, limit=2), corpus="small", faithfulness_engine="judge")
    assert report.names[:2] == ("Faithfulness", "FaithfulnessJudge")
    measured = to_json(report)["metrics"]
    assert measured["Faithfulness"]["mean"] > 0.0
    assert (measured["FaithfulnessJudge"]["mean"], measured["FaithfulnessJudge"]["failed"]) == (0.0, 2)
    assert measured["TokensPerSecond"]["n"] == 2
    assert (
        "2 values could not be computed and count at the worst: 2 x FaithfulnessJudge: scripted replied"
        in to_text(report)
    )


# ---------------------------------------------------------------- reports


REPORT = Report(
    task="answers",
    dataset="small",
    fingerprint="f",
    names=("Faithfulness", "ROUGE-L"),
    questions=(
        Scored("a", "which port?", {"Faithfulness": 1.0}, seconds=0.5, status="answered", answer="8443 [1]"),
        Scored("b", "größe?", {"Faithfulness": 0.0}, seconds=1.5, error="model missing"),
    ),
    about={"corpus": "small", "model": ""},
)


def test_report_as_json_has_its_documented_keys() -> None:
    found = to_json(REPORT)
    assert list(found) == [
        "task",
        "dataset",
        "fingerprint",
        "about",
        "n",
        "failed",
        "seconds",
        "metrics",
        "notices",
        "questions",
    ]
    assert found["metrics"]["Faithfulness"] == {
        "mean": 0.5,
        "low": 0.0,
        "high": 1.0,
        "n": 2,
        "left_out": {},
        "failed": 1,
    }
    assert found["metrics"]["RougeL"] == found["metrics"]["ROUGE-L"]
    assert found["metrics"]["ROUGE-L"]["n"] == 0
    assert found["seconds"] == {"p50": 0.5, "p95": 1.5}
    assert next(iter(question_rows(REPORT)))["status"] == "answered"
    assert "questions" not in to_json(REPORT, questions=False)
    json.dumps(found, allow_nan=False)


def test_report_as_text_and_markdown_says_interval_n_and_failures() -> None:
    for spelled in (to_text(REPORT), to_markdown(REPORT)):
        assert "answers on small (corpus small)" in spelled
        assert "0.500" in spelled
        assert "0.000 to 1.000" in spelled
        assert "1 failed and count at the worst value: 1 x model missing" in spelled
        assert "none" in spelled


def test_report_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "one.json"
    write(REPORT, file)
    write(REPORT, file)
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(json.dumps(to_json(REPORT)))
    assert list(file.parent.iterdir()) == [file]
