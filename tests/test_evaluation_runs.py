"""Experiments: what is known is not computed again, what was killed goes on, and what changed is found out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ragkit import Engine, config
from ragkit.config import Settings
from ragkit.domain import SearchResult
from ragkit.domain.answers import Answer, Draft
from ragkit.errors import EvaluationError, RagkitError, SettingsError
from ragkit.evaluation import experiments, fingerprints, runs
from ragkit.evaluation.experiments import Experiment
from ragkit.evaluation.runner import carry_out
from ragkit.evaluation.traces import pack, unpack
from ragkit.testing import HashEmbedder, NarrowEmbedder, ScriptedGenerator

QUESTIONS = [
    {
        "id": "restore",
        "kind": "how",
        "question": "How do I restore a backup?",
        "answer": "Run `vault restore --from FILE`.",
        "relevant": [
            {
                "path": "backup.md",
                "heading": "Restore",
                "quote": "To restore a backup, run `vault restore --from FILE`.",
            }
        ],
    },
    {
        "id": "port",
        "kind": "fact",
        "question": "How is the port of the web interface changed?",
        "answer": "Set listen_port in server.toml and restart the service.",
        "relevant": [{"path": "guide/ports.md", "quote": "Set `listen_port` in `server.toml`"}],
    },
    {"id": "mayor", "question": "Who was elected mayor of Springfield in spring?", "answerable": False},
]


def write(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return write(tmp_path / "small.jsonl", QUESTIONS)


class Opened:
    """Engines with fakes for models, all over one store; counts what they search and ask."""

    def __init__(self) -> None:
        self.searched: list[str] = []
        self.asked: list[str] = []
        self.fails = ""

    def __call__(self, settings: Settings) -> Engine:
        opened = self

        class Counting(Engine):
            def search(self, query, **options):
                if query != "warm up" and "limit" in options:
                    opened.searched.append(query)
                if opened.fails and opened.fails in query:
                    raise opened.failure
                return super().search(query, **options)

            def ask(self, question, **options):
                opened.asked.append(question)
                return super().ask(question, **options)

        return Counting(settings, embedder=HashEmbedder(256))

    failure: BaseException = RagkitError("no vector for that")


@pytest.fixture
def opened() -> Opened:
    return Opened()


@pytest.fixture
def base(settings: Settings) -> Settings:
    return config.replace(settings, {"generate.backend": "extractive", "rerank.model": "none"})


@pytest.fixture
def experiment(questions: Path, docs: Path) -> Experiment:
    return Experiment("small", questions, documents=(docs,), metrics=("nDCG@10", "Recall@5"))


# ---------------------------------------------------------------- running


def test_a_run_holds_scores_traces_and_what_it_was_made_of(base: Settings, opened, experiment) -> None:
    (run,) = carry_out(experiment, base, opened)
    assert run.report.metrics["Recall@5"].mean == 1.0
    assert [one.id for one in run.report.questions] == ["restore", "port"]
    assert run.about["settings"]["retrieve.mode"] == "hybrid"
    assert run.about["models"]["embedder"] == "hash-256"
    assert {"python", "ragkit"} <= set(run.about["versions"])
    hit = next(hit for hit in run.traces["restore"]["hits"] if hit["relevant"])
    assert "vault restore" in hit["text"]
    assert run.traces["restore"]["by_k"]["Recall"][-1] == 1.0
    assert "/" not in json.dumps(run.about["machine"]).replace("GenuineIntel", "")


def test_what_is_known_is_not_computed_again(base: Settings, opened, experiment) -> None:
    carry_out(experiment, base, opened)
    before = list(opened.searched)
    (again,) = carry_out(experiment, base, opened)
    assert opened.searched == before
    assert again.about["computed"] == 0
    assert again.report.metrics["Recall@5"].mean == 1.0


def test_fresh_computes_everything_again(base: Settings, opened, experiment) -> None:
    carry_out(experiment, base, opened)
    (again,) = carry_out(experiment, base, opened, fresh=True)
    assert again.about["computed"] == 2
    assert len(opened.searched) == 4


def test_only_the_question_that_changed_is_computed_again(base: Settings, opened, experiment, questions) -> None:
    carry_out(experiment, base, opened)
    write(questions, [{**QUESTIONS[0], "question": "How can a backup be restored?"}, *QUESTIONS[1:]])
    (again,) = carry_out(experiment, base, opened)
    assert again.about["computed"] == 1
    assert opened.searched[2:] == ["How can a backup be restored?"]


def test_a_new_label_is_scored_again_without_a_search(base: Settings, opened, experiment, questions) -> None:
    (first,) = carry_out(experiment, base, opened)
    write(
        questions, [{**QUESTIONS[0], "relevant": [{"path": "guide/ports.md", "quote": "port 8443"}]}, *QUESTIONS[1:]]
    )
    (again,) = carry_out(experiment, base, opened)
    assert (again.about["computed"], again.about["asked"]) == (1, 0)
    assert len(opened.searched) == 2
    seconds = [[one.seconds for one in run.report.questions] for run in (first, again)]
    assert seconds[0] == seconds[1], "those of the search, not of the look into the store"


def test_a_changed_document_is_searched_again(base: Settings, opened, experiment, docs: Path) -> None:
    carry_out(experiment, base, opened)
    (docs / "backup.md").write_text("# Backups\n\nThere are none.\n", encoding="utf-8")
    (again,) = carry_out(experiment, base, opened)
    assert again.about["computed"] == 2
    assert again.traces["restore"]["missed"][0]["path"] == "backup.md"


def test_a_setting_that_changes_nothing_is_no_reason_to_compute(base: Settings, opened, experiment) -> None:
    carry_out(experiment, base, opened)
    (again,) = carry_out(experiment, config.replace(base, {"threads": 1, "retrieve.limit": 3}), opened)
    assert again.about["computed"] == 0


def test_an_error_counts_at_the_worst_and_is_tried_again(base: Settings, opened, experiment) -> None:
    opened.fails = "port"
    (run,) = carry_out(experiment, base, opened)
    assert [one.error for one in run.report.failed] == ["no vector for that"]
    assert run.report.metrics["Recall@5"].mean == 0.5
    opened.fails = ""
    (again,) = carry_out(experiment, base, opened)
    assert (again.about["computed"], again.report.failed) == (1, ())
    assert runs.load(str(run.id), opened(base).store).report.failed != ()


def test_what_is_interrupted_goes_on_under_the_same_number(base: Settings, opened, experiment) -> None:
    opened.fails, opened.failure = "port", KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        carry_out(experiment, base, opened)
    with opened(base) as engine, pytest.raises(EvaluationError, match="not finished: 1 questions are done"):
        runs.load("small", engine.store)
    opened.fails = ""
    (run,) = carry_out(experiment, base, opened)
    assert (run.id, run.about["computed"]) == (1, 1)
    assert len(run.report.questions) == 2


def test_a_grid_makes_one_run_for_each_combination(base: Settings, opened, experiment) -> None:
    grid = {"retrieve.mode": ("dense", "lexical"), "chunk.size_tokens": (64, 256)}
    found = carry_out(replace(experiment, grid=grid), base, opened)
    assert [run.name for run in found] == [
        "small[mode=dense, size_tokens=64]",
        "small[mode=dense, size_tokens=256]",
        "small[mode=lexical, size_tokens=64]",
        "small[mode=lexical, size_tokens=256]",
    ]
    assert [run.settings["chunk.size_tokens"] for run in found] == [64, 256, 64, 256]
    corpora = {run.report.about["corpus"] for run in found}
    assert len(corpora) == 2


def test_an_ingested_corpus_is_cut_again_beside_itself(base: Settings, opened, questions: Path, docs: Path) -> None:
    with opened(base) as engine:
        engine.ingest([docs], corpus="handbook")
    (docs / "new.md").write_text("# New\n\nIt came later.\n", encoding="utf-8")
    plain = Experiment("plain", questions, corpus="handbook")
    usual, small = (
        carry_out(one, base, opened)[0] for one in (plain, replace(plain, settings={"chunk.size_tokens": 64}))
    )
    assert usual.report.about["corpus"] == "handbook"
    assert small.report.about["corpus"].startswith("eval-handbook-")
    with opened(base) as engine:
        assert engine.status("handbook").snapshot.name == usual.report.about["snapshot"]
        assert engine.status(small.report.about["corpus"]).snapshot.documents == 2, (
            "the very documents, and no others"
        )


def test_answers_are_kept_with_their_claims_and_sources(base: Settings, opened, experiment) -> None:
    asked = replace(experiment, task="answers", metrics=())
    (run,) = carry_out(asked, base, opened)
    assert [one.id for one in run.report.questions] == ["restore", "port", "mayor"]
    assert run.traces["restore"]["claims"][0]["supported"]
    assert any(source["cited"] for source in run.traces["restore"]["sources"])
    (again,) = carry_out(asked, base, opened)
    assert len(opened.asked) == 3
    assert again.report.metrics == run.report.metrics


def test_a_metric_that_does_not_exist_is_named(base: Settings, opened, experiment) -> None:
    for task in ("retrieval", "answers"):
        with pytest.raises(EvaluationError, match="Recal@5"):
            carry_out(replace(experiment, task=task, metrics=("Recal@5",)), base, opened)


# ---------------------------------------------------------------- files


def test_a_run_is_the_same_from_its_file_and_from_the_store(base: Settings, opened, experiment, tmp_path) -> None:
    (run,) = carry_out(experiment, base, opened)
    runs.write(run, tmp_path / "run.json")
    assert runs.load(str(tmp_path / "run.json")) == replace(run, id=0)
    runs.write(run, tmp_path / "short.json", passages=False)
    shorter = runs.load(str(tmp_path / "short.json"))
    assert shorter.report == run.report
    assert "text" not in shorter.traces["restore"]["hits"][0]
    with opened(base) as engine:
        assert runs.load("small", engine.store) == run
        with pytest.raises(EvaluationError, match="there is no run other"):
            runs.load("other", engine.store)


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"task": "retrieval"}'])
def test_a_file_that_is_no_run_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(EvaluationError, match=r"x\.json is not"):
        runs.load(str(tmp_path / "x.json"))


def test_results_and_answers_survive_as_json(settings: Settings, docs: Path) -> None:
    generator = ScriptedGenerator("Backups are kept for 30 days. [1]")
    settings = config.replace(settings, {"verify.min_relevance": 0.0})
    with Engine(settings, embedder=HashEmbedder(), generator=generator) as engine:
        engine.ingest([docs], corpus="handbook")
        found, answer = engine.search("backups", explain=True), engine.ask("How long are backups kept?")
    assert isinstance(answer.draft, Draft)
    for kind, value in ((SearchResult, found), (Answer, answer)):
        assert unpack(kind, json.loads(json.dumps(pack(value)))) == value


# ---------------------------------------------------------------- experiments


TOML = """
[experiment]
name = "docs"
dataset = "questions.jsonl"
documents = "docs"
metrics = ["nDCG@10"]

[settings]
"rerank.model" = "none"

[settings.retrieve]
dense_weight = 0.5

[grid]
"retrieve.mode" = ["dense", "lexical"]
"""


def test_an_experiment_is_read_with_its_paths_beside_it(tmp_path: Path) -> None:
    (tmp_path / "docs.toml").write_text(TOML)
    found = experiments.load(tmp_path / "docs.toml")
    assert found.dataset == tmp_path / "questions.jsonl"
    assert found.documents == (tmp_path / "docs",)
    assert found.settings == {"rerank.model": "none", "retrieve.dense_weight": 0.5}
    assert [name for name, _ in found.variants()] == ["docs[mode=dense]", "docs[mode=lexical]"]


Change = Callable[[str], str]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('dataset = "questions.jsonl"', "", "experiment.dataset is missing"),
        ('name = "docs"', 'nmae = "docs"', "unknown key experiment.nmae"),
        ('name = "docs"', "name = 3", "experiment.name must be a str"),
        ('name = "docs"', 'task = "judge"', "experiment.task must be one of retrieval, answers"),
        ('name = "docs"', "limit = 0", "experiment.limit must be above 0"),
        ("[grid]", "[grids]", r"unknown table \[grids\]"),
        ('["dense", "lexical"]', '"dense"', "grid.retrieve.mode must be a list"),
        ('["dense", "lexical"]', '["dens"]', "retrieve.mode must be hybrid or dense or lexical"),
        ("retrieve.mode", "retrieve.mod", "unknown setting retrieve.mod; did you mean retrieve.mode"),
        ("dense_weight = 0.5", "dense_weight = []", "retrieve.dense_weight must be a number"),
        ("[grid]", "[grid", "is not valid TOML"),
    ],
)
def test_a_wrong_experiment_is_named_by_its_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TOML
    (tmp_path / "docs.toml").write_text(TOML.replace(old, new))
    with pytest.raises(SettingsError, match=said):
        experiments.load(tmp_path / "docs.toml")


# ---------------------------------------------------------------- killed


SLOW = """
import sys, time
from pathlib import Path
from ragkit import Engine, config
from ragkit.evaluation import experiments
from ragkit.evaluation.runner import carry_out
from ragkit.testing import HashEmbedder

class Slow(Engine):
    def search(self, query, **options):
        found = super().search(query, **options)
        print(query, flush=True)
        time.sleep(float(sys.argv[3]))
        return found

values = {"store.directory": sys.argv[2], "rerank.model": "none"}
settings = config.replace(config.Settings(), values)
opened = lambda settings: Slow(settings, embedder=HashEmbedder(256))
(run,) = carry_out(experiments.load(Path(sys.argv[1])), settings, opened)
print("computed", run.about["computed"], "of", len(run.report.questions), flush=True)
"""


def test_a_run_killed_with_signal_9_goes_on_where_it_stopped(tmp_path: Path, docs: Path) -> None:
    rows = [{"id": f"q{at}", "question": f"Which port has interface {at}?", "relevant": ["ports"]} for at in range(8)]
    write(tmp_path / "many.jsonl", rows)
    file = tmp_path / "many.toml"
    file.write_text('[experiment]\ndataset = "many.jsonl"\ndocuments = "docs"\n', encoding="utf-8")
    command = [sys.executable, "-c", SLOW, str(file), str(tmp_path / "store")]
    with subprocess.Popen([*command, "0.3"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "interface 4" in line:  # its answer is there, and not kept yet: four are
                process.kill()
                break
    assert process.returncode == -9
    again = subprocess.run([*command, "0"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert again[-1] == "computed 4 of 8"
    assert [line for line in again if line.endswith(("0?", "1?", "2?", "3?"))] == []


def test_results_depend_on_what_is_taken_off_cosines_where_that_is_anything(settings: Settings) -> None:
    def told(unrelated: float) -> dict[str, object]:
        embedder = NarrowEmbedder(unrelated)
        embedder.fingerprint = "narrow"
        with Engine(config.replace(settings, {"rerank.model": "none"}), embedder=embedder) as engine:
            return fingerprints.models(engine, "retrieval")

    assert told(0.0) == {"embedder": "narrow"}
    assert told(0.5) == {"embedder": "narrow", "unrelated": 0.5}
