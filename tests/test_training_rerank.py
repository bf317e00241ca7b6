"""What the reranker learns: what a teacher says of the passages that the search finds; and what it begins as."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ragkit import Engine, config
from ragkit.errors import ModelUnsuitable, UsageError
from ragkit.evaluation import datasets
from ragkit.testing import HashEmbedder
from tests.test_evaluation_generate import PAGES
from training import command
from training.rerank import __main__ as rerank
from training.rerank import data
from training.rerank.lessons import DEPTH, NEAR, Lesson, lessons

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDED = HashEmbedder()


class Teacher:
    """Says of a pair which share of the question's words the text holds."""

    name = "toy-teacher"
    labels: Sequence[str] = ()
    max_tokens = 64
    tokenizer = None
    read = 0

    def run(self, pairs: Sequence[tuple[str, str]], what: str) -> NDArray[np.float32]:
        self.read += len(pairs)
        words = [(set(query.lower().split()), set(text.lower().split())) for query, text in pairs]
        return np.array([[len(one & other) / len(one)] for one, other in words], np.float32)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("rerank")
    for name, text in PAGES.items():
        (folder / "docs" / name).parent.mkdir(exist_ok=True)
        (folder / "docs" / name).write_text(text, encoding="utf-8")
    settings = config.replace(
        config.Settings(), {"store.directory": str(folder / "store"), "chunk.size_tokens": 48, "rerank.model": "none"}
    )
    with Engine(settings, embedder=EMBEDDED) as opened:
        opened.ingest([folder / "docs"], corpus="handbook")
        yield opened


def squad(folder: Path, articles: int = 6) -> Path:
    folder.mkdir()
    rows = [
        {"_id": f"A{a}#{p}", "title": f"A{a}", "text": f"Paragraph {p} of {a}."}
        for a in range(articles)
        for p in "01"
    ]
    pairs = [
        {"question": f"what 's in {row['_id']} ?", "paragraph_id": row["_id"]} for row in rows if row["_id"] < "A3"
    ]
    for name, lines in (("corpus", rows), ("pairs", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in lines), encoding="utf-8")
    return folder


def test_paragraphs_become_a_judged_set_that_the_product_reads(tmp_path: Path) -> None:
    source = squad(tmp_path / "squad")
    data.squad_as_beir(source, tmp_path / "one", articles=2, each=1, seed=3)
    data.squad_as_beir(source, tmp_path / "two", articles=2, each=1, seed=3)
    made = datasets.load(tmp_path / "one")
    assert [question.text for question in made.questions] == [
        question.text for question in datasets.load(tmp_path / "two").questions
    ]
    assert len(made.questions) == 2
    assert all(question.text.startswith("what's in A") and question.text.endswith("?") for question in made.questions)
    paths = {document.path for document in made.documents()}
    assert {gold.path for question in made.questions for gold in question.relevant} < paths  # others stand beside


def test_a_sample_of_a_folder_is_the_same_for_the_same_seed_and_is_made_once(tmp_path: Path) -> None:
    for at in range(9):
        page = tmp_path / "source" / f"part{at % 3}" / f"{at}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("<p>word</p>" * 400, encoding="utf-8")
    data.sample_tree(tmp_path / "source", tmp_path / "a", 4, seed=1)
    data.sample_tree(tmp_path / "source", tmp_path / "b", 4, seed=1)
    found = [
        sorted(str(path.relative_to(tmp_path / one)) for path in (tmp_path / one).rglob("*.html")) for one in "ab"
    ]
    assert found[0] == found[1] and len(found[0]) == 4
    (tmp_path / "a" / found[0][0]).unlink()
    data.sample_tree(tmp_path / "source", tmp_path / "a", 4, seed=1)
    assert not (tmp_path / "a" / found[0][0]).exists()


def test_folders_of_one_name_are_told_apart_by_as_much_of_their_paths_as_it_takes(tmp_path: Path) -> None:
    def names(*folders: str) -> list[str]:
        return list(data.named(tmp_path / folder for folder in folders).values())

    assert names("git", "a/html", "b/html", "a/../git") == ["git", "a-html", "b-html"]
    assert names("x/a/html", "y/a/html", "b/html") == ["x-a-html", "y-a-html", "b-html"]
    one, other = names("docs.d", "docs-d")
    assert other == f"{one}-2"
    assert len(set(names("a-b/c", "a/b-c", "a/b/c", "c"))) == 4


def asked(folder: Path, **changes: object) -> argparse.Namespace:
    """Options as the command reads them, over folders that are there."""
    for name in ("a/html", "b/html", "git"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "squad").is_dir():
        squad(folder / "squad")
    values: dict[str, object] = {
        "docs": [folder / "a/html"],
        "held_out_docs": [folder / "git"],
        "squad": folder / "squad",
        "files": 80,
        "articles": 76,
        "seed": 1,
    }
    return argparse.Namespace(**{**values, **changes})


def test_what_is_missing_or_both_learned_from_and_held_out_is_named(tmp_path: Path) -> None:
    assert list(rerank.folders(asked(tmp_path)).values()) == ["html", "git"]
    for changes, reason in (
        ({"docs": [tmp_path / "gone"]}, "--docs .*gone is no folder"),
        ({"held_out_docs": [tmp_path / "gone"]}, "--held-out-docs .*gone is no folder"),
        ({"squad": tmp_path / "git"}, "--squad .*git holds no corpus.jsonl"),
        ({"held_out_docs": [tmp_path / "git" / ".." / "a/html"]}, "--held-out-docs .*html is learned from, too"),
        ({"held_out_docs": [tmp_path / "a"]}, "--held-out-docs .*a is learned from, too"),
    ):
        with pytest.raises(UsageError, match=reason):
            rerank.folders(asked(tmp_path, **changes))
    with pytest.raises(UsageError, match="git holds no HTML file"):
        data.sample_tree(tmp_path / "git", tmp_path / "sample", 4, seed=1)


def test_an_out_that_was_made_with_other_options_is_refused(tmp_path: Path) -> None:
    def keep_to(**changes: object) -> None:
        options = asked(tmp_path, **changes)
        rerank.keep_to(tmp_path / "out", options, rerank.folders(options))

    keep_to()
    keep_to(docs=[tmp_path / "a/html", tmp_path / "b/html"])
    for changes, reason in (
        ({"files": 9}, "out was made with --files 80, and is asked for with 9"),
        ({"seed": 2}, "--seed 1"),
        ({"articles": 5}, "--articles 76"),
        ({"docs": [tmp_path / "b/html"]}, "html from .*a/html"),
    ):
        with pytest.raises(UsageError, match=reason):
            keep_to(**changes)
    (tmp_path / "out" / "asked.json").unlink()
    (tmp_path / "out" / "docs").mkdir()
    with pytest.raises(UsageError, match="does not tell with which options"):
        keep_to()


def test_an_error_of_the_command_is_one_line(tmp_path: Path) -> None:
    arguments = [str(tmp_path / "out"), "--docs", str(tmp_path / "gone"), "--squad", str(squad(tmp_path / "squad"))]
    done = subprocess.run(
        [sys.executable, "-m", "training.rerank", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"--docs {tmp_path / 'gone'} is no folder; correct the path\n"
    assert not (tmp_path / "out").exists()


def test_questions_of_documents_are_the_same_for_the_same_seed(engine: Engine) -> None:
    queries = list(data.documentation_queries(engine, "handbook", seed=1))
    assert queries == list(data.documentation_queries(engine, "handbook", seed=1))
    assert {"asked", "keywords", "reworded"} & {query.kind for query in queries}
    assert all(query.corpus == "handbook" and query.text.strip() for query in queries)


def test_a_lesson_holds_what_the_search_finds_and_what_the_teacher_says(engine: Engine, tmp_path: Path) -> None:
    queries = list(data.documentation_queries(engine, "handbook", seed=1))
    teacher = Teacher()
    found = lessons(engine, teacher, queries, tmp_path, seed=1)
    assert found
    for lesson in found:
        hits = engine.search(lesson.query, corpus="handbook", limit=DEPTH).hits
        places = [[hit.passage.chunk.indexed for hit in hits].index(text) for text in lesson.texts]
        assert places[0] == 0 and 0 < places[1] < max(NEAR, len(hits))
        shares = [1 / (1 + math.exp(-logit)) for logit in lesson.logits]
        assert shares == pytest.approx(
            teacher.run([(lesson.query, text) for text in lesson.texts], "")[:, 0], abs=1e-3
        )
    read, embedded = teacher.read, EMBEDDED.embedded
    assert lessons(engine, teacher, queries, tmp_path, seed=1) == found  # read from the folder
    assert (teacher.read, EMBEDDED.embedded) == (read, embedded)


def test_what_is_learned_is_the_teacher_s_order() -> None:
    torch = pytest.importorskip("torch")
    from training.rerank.task import Learning

    task = Learning()
    lesson = Lesson("q", "asked", ("good", "bad"), (4.0, -4.0))
    same, shifted, swapped = torch.tensor([4.0, -4.0]), torch.tensor([6.0, -2.0]), torch.tensor([-4.0, 4.0])
    assert float(task.loss(same, [lesson])) == 0
    assert float(task.loss(shifted, [lesson])) == pytest.approx(4.0)  # the order is right: only the level is off
    assert float(task.loss(swapped, [lesson])) == pytest.approx(2 * 64.0)
    assert task.measure([lesson], [shifted.tolist()]) == {"asked": 1.0}
    assert task.measure([lesson], [swapped.tolist()]) == {"asked": 0.0}
    assert task.texts(lesson) == [("q", "good"), ("q", "bad")]


def test_a_student_is_layers_of_the_teacher_over_the_words_of_the_base(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from safetensors.numpy import load_file

    from tests.test_models_graph import published
    from tests.toy_models import save_bi_encoder, save_cross_encoder
    from training.rerank.student import make_student

    base = save_bi_encoder(tmp_path / "base")
    source = save_cross_encoder(tmp_path / "source", noise=0.1)
    _, bytes_alone = published(tmp_path, source=source)
    teacher, words = load_file(source / "model.safetensors"), load_file(base / "model.safetensors")
    for folder, off in ((source, 1e-6), (bytes_alone, 0.02)):
        make_student(folder, base, 1, tmp_path / f"of-{folder.name}")
        made = load_file(tmp_path / f"of-{folder.name}" / "model.safetensors")
        for name, tensor in made.items():
            wanted = teacher[name] if "word_embeddings" not in name else words[name.removeprefix("bert.")]
            assert np.abs(tensor - wanted).max() <= off, name
        assert not any(".layer.1." in name for name in made)
    make_student(source, base, 2, tmp_path / "whole")
    assert any(".layer.1." in name for name in load_file(tmp_path / "whole" / "model.safetensors"))
    with pytest.raises(ModelUnsuitable, match="has 2 layers, and 3 are asked for"):
        make_student(source, base, 3, tmp_path / "more")
    with pytest.raises(ModelUnsuitable, match="do not fit"):
        make_student(save_cross_encoder(tmp_path / "labels", labels=3), base, 1, tmp_path / "no")


def test_a_run_that_was_stopped_goes_on_and_what_it_leaves_is_a_cross_encoder(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from ragkit import sbert
    from tests.toy_models import save_cross_encoder
    from training.cross_encoder import Recipe, Trainer
    from training.rerank.task import Learning
    from training.steps import CHECKPOINT

    base = save_cross_encoder(tmp_path / "base")
    groups = [Lesson(f"restart the server {at}", "asked", ("restart it", "a backup"), (3.0, -3.0)) for at in range(8)]
    first = Trainer(base, tmp_path, Recipe(minutes=0.02, batch=2, bfloat16=True), Learning())
    first.train(groups, groups)
    assert first.step > 0 and (tmp_path / CHECKPOINT).is_file()
    second = Trainer(base, tmp_path, Recipe(minutes=0.02, batch=2, bfloat16=True), Learning())
    assert (second.step, second.best) == (first.step, first.best)
    assert second.logits(groups[:1])[0] == pytest.approx(first.logits(groups[:1])[0], abs=1e-5)
    scores = sbert.score(sbert.load_cross_encoder(tmp_path / "best"), [("restart the server", "restart it")])
    assert 0 <= float(scores[0]) <= 1


def test_ctrl_c_ends_the_step_writes_the_checkpoint_and_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from tests.toy_models import save_cross_encoder
    from training.cross_encoder import Recipe, Trainer
    from training.rerank.task import Learning

    class Interrupting(Learning):
        steps = 0

        def loss(self, logits, batch):  # type: ignore[no-untyped-def]
            self.steps += 1
            if self.steps == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return super().loss(logits, batch)

    base = save_cross_encoder(tmp_path / "base")
    groups = [Lesson(f"restart {at}", "asked", ("restart it", "a backup"), (3.0, -3.0)) for at in range(8)]
    first = Trainer(base, tmp_path, Recipe(minutes=1.0, batch=2), Interrupting())
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as stopped:
        command.run(lambda: first.train(groups, groups))
    assert (stopped.value.code, first.step, signal.getsignal(signal.SIGINT)) == (130, 3, before)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"stopped: step 3 is kept in {tmp_path}/checkpoint.pt; the same command goes on from there"
    second = Trainer(base, tmp_path, Recipe(minutes=1.0, batch=2), Learning())
    assert second.step == 3
    assert second.logits(groups[:1])[0] == pytest.approx(first.logits(groups[:1])[0], abs=1e-5)


def test_a_second_ctrl_c_interrupts_and_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        with command.asked_to_stop() as asked:
            os.kill(os.getpid(), signal.SIGINT)
            assert asked.is_set()
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(SystemExit) as stopped:
        command.run(main)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "stopped; the same command goes on with what is kept\n"
