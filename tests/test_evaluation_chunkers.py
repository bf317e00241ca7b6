"""Chunkers are compared by the characters that answer: metrics, marked words, and a whole comparison."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ragkit import Engine, config
from ragkit.cli.main import cli
from ragkit.errors import DatasetError
from ragkit.evaluation import chunkers, excerpts
from ragkit.evaluation.excerpts import Quoted, Texts
from ragkit.evaluation.spans import SCORES, Stretch, length, score, shared, union
from ragkit.testing import HashEmbedder

STRETCHES = st.lists(
    st.builds(
        lambda path, start, size: Stretch(path, start, start + size),
        st.sampled_from("ab"),
        st.integers(0, 30),
        st.integers(0, 12),
    ),
    max_size=6,
)
GUIDE = (
    "# Backups\n\nBackups run every night at two. They are kept for 30 days.\n\n# Ports\n\n"
    + "The server listens on port 8080. " * 8
    + "Change it in the settings.\n"
)


def characters(stretches: list[Stretch]) -> set[tuple[str, int]]:
    return {(path, at) for path, start, end in stretches for at in range(start, end)}


@given(one=STRETCHES, two=STRETCHES)
def test_unions_and_what_is_shared_are_those_of_the_characters(one, two) -> None:
    assert characters(union(one)) == characters(one)
    assert length(union(one)) == len(characters(one))
    assert shared(one, two) == len(characters(one) & characters(two))


@given(retrieved=STRETCHES, gold=STRETCHES.filter(length), chunks=STRETCHES)
def test_scores_are_the_definition_counted_character_by_character(retrieved, gold, chunks) -> None:
    scores = score(retrieved, gold, chunks)
    wanted, found = characters(gold), characters(retrieved) & characters(gold)
    taken = sum(end - start for _, start, end in retrieved)
    holding = characters([chunk for chunk in chunks if characters([chunk]) & wanted])
    assert scores["Recall"] == pytest.approx(len(found) / len(wanted))
    assert scores["Precision"] == pytest.approx(len(found) / taken if taken else 0.0)
    assert scores["IoU"] == pytest.approx(len(found) / (taken + len(wanted - found)))
    assert scores["PrecisionOmega"] == pytest.approx(len(holding & wanted) / len(holding | wanted))
    assert all(0.0 <= value <= 1.0 for value in scores.values())


def test_text_retrieved_twice_counts_once_as_found_and_twice_as_retrieved() -> None:
    twice = score([Stretch("a", 0, 10), Stretch("a", 0, 10)], [Stretch("a", 0, 10)], [])
    assert (twice["Recall"], twice["Precision"], twice["IoU"]) == (1.0, 0.5, 0.5)


# ---------------------------------------------------------------- marked words


@pytest.mark.parametrize(
    ("quoted", "expected"),
    [
        (Quoted("guide", "kept for 30 days", GUIDE.index("kept")), "kept for 30 days"),
        (Quoted("guide.md", "kept for 30 days", 3), "kept for 30 days"),
        (Quoted("", "They are kept for 30 days."), "They are kept for 30 days."),
        (Quoted("guide", "**KEPT**  for\n30 days"), "kept for 30 days"),
    ],
)
def test_words_are_found_at_their_offset_or_by_what_they_say(quoted, expected) -> None:
    found = Texts({"other.md": "Nothing.", "guide.md": GUIDE}).anchor([quoted])
    assert found is not None
    ((path, start, end),) = found
    assert (path, GUIDE[start:end]) == ("guide.md", expected)


def test_words_that_are_nowhere_leave_the_question_unanchored() -> None:
    texts = Texts({"guide.md": GUIDE})
    assert texts.anchor([Quoted("guide", "kept for 30 days"), Quoted("guide", "kept for ever")]) is None
    assert texts.anchor([Quoted("guide", "…")]) is None


def write_csv(folder: Path, rows: list[dict[str, str]]) -> Path:
    (folder / "corpora").mkdir(parents=True)
    (folder / "corpora" / "guide.md").write_text(GUIDE, encoding="utf-8")
    with (folder / "questions_df.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["question", "references", "corpus_id"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def row(quote: str, question: str = "How long are backups kept?") -> dict[str, str]:
    start = GUIDE.find(quote)
    references = [{"content": quote, "start_index": start, "end_index": start + len(quote)}]
    return {"question": question, "references": json.dumps(references), "corpus_id": "guide"}


def write_jsonl(folder: Path) -> Path:
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "guide.md").write_text(GUIDE, encoding="utf-8")
    questions = [
        {"question": "How long are backups kept?", "relevant": [{"path": "guide", "quote": "kept for 30 days"}]},
        {"question": "Why?", "answerable": False},
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)), encoding="utf-8")
    return folder


def test_both_layouts_are_read(tmp_path: Path) -> None:
    (asked,) = excerpts.load(write_csv(tmp_path / "one", [row("kept for 30 days")])).questions
    assert asked.quotes == (Quoted("guide", "kept for 30 days", GUIDE.index("kept")),)
    data = excerpts.load(write_jsonl(tmp_path / "two"))
    assert [one.quotes for one in data.questions] == [(Quoted("guide", "kept for 30 days"),)]
    assert (data.name, data.without_gold) == ("two", 1)


def test_what_is_wrong_with_a_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="corpora/ or docs/"):
        excerpts.load(tmp_path)
    (tmp_path / "docs").mkdir()
    with pytest.raises(DatasetError, match=r"lacks questions_df\.csv or questions\.jsonl"):
        excerpts.load(tmp_path)
    broken = write_csv(tmp_path / "a", [row("kept"), {**row("kept"), "references": "none"}])
    with pytest.raises(DatasetError, match=r"questions_df\.csv, question 2: references are not"):
        excerpts.load(broken)
    with pytest.raises(DatasetError, match="marks no words"):
        excerpts.load(write_csv(tmp_path / "b", [{**row("kept"), "references": "[]"}]))


# ---------------------------------------------------------------- a whole comparison


def engine(tmp_path: Path) -> Engine:
    settings = config.load(overrides={"store.directory": str(tmp_path / "store"), "rerank.model": "none"}).settings
    return Engine(settings, embedder=HashEmbedder(256))


def test_every_strategy_at_every_size_is_scored_and_the_users_store_stays_as_it_was(tmp_path: Path) -> None:
    data = excerpts.load(write_csv(tmp_path / "set", [row("kept for 30 days"), row("port 8080", "Which port?")]))
    with engine(tmp_path) as opened:
        found = chunkers.compare(opened, data, ["markdown", "semantic"], [24, 48], passages=2, budget_tokens=30)
        assert opened.corpora() == []
    assert [(cut.strategy, cut.size_tokens) for cut in found] == [
        ("markdown", 24),
        ("semantic", 24),
        ("markdown", 48),
        ("semantic", 48),
    ]
    for cut in found:
        assert list(cut.scores) == [*SCORES, "Recall@30tokens"]
        assert all(set(values) == {"1", "2"} for values in cut.scores.values())
        assert cut.scores["Recall"]["1"] == 1.0
        assert not cut.errors
    shown = chunkers.to_json(found, data, embedder="hash", default="markdown", passages=2, budget_tokens=30)
    assert [bool(cut["differences"]) for cut in shown["cuts"]] == [False, True, False, True]
    assert "semantic" in chunkers.to_table(shown)
    assert "| semantic | 24 |" in chunkers.to_table(shown, markdown=True)


def test_within_a_budget_is_what_fits_and_the_last_passage_is_cut(tmp_path: Path) -> None:
    data = excerpts.load(write_csv(tmp_path / "set", [row(GUIDE.strip())]))
    with engine(tmp_path) as opened:
        few, most = (
            chunkers.compare(opened, data, ["fixed"], [24], passages=1, budget_tokens=budget)[0].scores
            for budget in (12, 10_000)
        )
    assert 0.0 < few["Recall@12tokens"]["1"] < few["Recall"]["1"] < 0.5
    assert most["Recall@10000tokens"]["1"] > 0.9


def test_marked_words_that_are_in_no_document_are_counted_or_refused(tmp_path: Path) -> None:
    rows = [row("kept for 30 days"), row("kept for ever")]
    with engine(tmp_path) as opened:
        data = excerpts.load(write_csv(tmp_path / "one", rows))
        found = chunkers.compare(opened, data, ["fixed"], [40], passages=5, budget_tokens=50)
        shown = chunkers.to_json(found, data, embedder="hash", default="fixed", passages=5, budget_tokens=50)
        assert (shown["n"], shown["not_found"]) == (1, 1)
        assert "the marked words of 1 questions are not in the documents" in chunkers.to_table(shown)
        with pytest.raises(DatasetError, match="kept for ever"):
            chunkers.compare(
                opened,
                excerpts.load(write_csv(tmp_path / "two", rows[1:])),
                ["fixed"],
                [40],
                passages=5,
                budget_tokens=50,
            )


def test_a_folder_that_is_no_set_is_one_clear_message(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["eval", "chunking", "--dataset", str(tmp_path)])
    assert done.exit_code == 1
    assert "lacks a folder of documents" in str(done.exception)
