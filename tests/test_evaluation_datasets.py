"""Datasets are read in their layouts, and a mistake in one is named by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.errors import DatasetError
from ragkit.evaluation.datasets import Gold, Question, holds_quote, load, same_document, stands_at


def write_lines(file: Path, *rows: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    write_lines(
        folder / "corpus.jsonl",
        {"_id": "d1", "title": "Ports", "text": "The web interface listens on 8443."},
        {"_id": "d2", "title": "Backups", "text": "Backups\nThey run every night.\n\nThey are kept."},
        {"_id": "d3", "title": "Only a title", "text": ""},
    )
    write_lines(folder / "queries.jsonl", {"_id": "q1", "text": "which port?"}, {"_id": "q2", "text": "not judged"})
    write_lines(folder / "qrels.tsv", "query-id\tcorpus-id\tscore", "q1\td1\t2", "q1\td2\t0")
    return folder


def test_beir_folder_gives_judged_questions_and_documents(beir: Path) -> None:
    dataset = load(beir)
    assert dataset.name == "small"
    assert dataset.questions == (Question("q1", "which port?", relevant=(Gold("d1", grade=2),)),)
    assert dataset.level == "document"
    ports, backups, titled = dataset.documents()
    assert (ports.path, ports.title, ports.text) == ("d1", "Ports", "The web interface listens on 8443.")
    assert backups.title == ""
    assert [backups.text[b.start : b.end] for b in backups.blocks] == [
        "Backups\nThey run every night.",
        "They are kept.",
    ]
    assert titled.text == "Only a title"


def test_a_document_that_is_given_twice_is_named(beir: Path) -> None:
    with (beir / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d1", "text": "Once more."}\n')
    with pytest.raises(DatasetError, match=r"corpus\.jsonl:\d+: the _id 'd1' is given twice"):
        load(beir)


def test_judgements_are_found_in_the_test_split(beir: Path) -> None:
    (beir / "qrels").mkdir()
    (beir / "qrels.tsv").rename(beir / "qrels" / "test.tsv")
    assert load(beir).questions[0].relevant == (Gold("d1", grade=2),)


def test_trec_judgements_with_four_fields_are_read(beir: Path) -> None:
    write_lines(beir / "qrels.tsv", "q1\t0\td2\t1")
    assert load(beir).questions[0].relevant == (Gold("d2"),)


def test_fingerprint_follows_the_content(beir: Path) -> None:
    before = load(beir).fingerprint
    assert load(beir).fingerprint == before
    write_lines(beir / "qrels.tsv", "q1\td1\t1")
    assert load(beir).fingerprint != before


def test_questions_file_in_the_projects_own_format(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "mine.jsonl",
        {
            "id": "a",
            "question": "Which port?",
            "answer": "8443",
            "relevant": [{"path": "ports.md", "heading": "Ports", "quote": "listens on 8443"}],
        },
        {"id": "b", "question": "Who is the mayor?", "answerable": False},
    )
    dataset = load(file)
    assert dataset.name == "mine"
    assert dataset.questions == (
        Question("a", "Which port?", "8443", (Gold("ports.md", ("Ports",), "listens on 8443"),)),
        Question("b", "Who is the mayor?", answerable=False),
    )
    assert dataset.level == "passage"
    assert list(dataset.documents()) == []
    assert [question.id for question in load(file, limit=1).questions] == ["a"]


@pytest.mark.parametrize(
    ("row", "golds"),
    [
        ({"question": "q", "target_doc": "a.md"}, (Gold("a.md"),)),
        ({"question": "q", "document": "0.txt", "answer": "x"}, (Gold("0.txt"),)),
        (
            {"query": "q", "source_docs": ["a"], "contexts": ["one", "two"]},
            (Gold("a", (), "one"), Gold("a", (), "two")),
        ),
        ({"user_input": "q", "reference": "x", "reference_contexts": ["one"]}, (Gold("", (), "one"),)),
        (
            {"question": "q", "source_docs": ["a", "b"], "contexts": ["x", "y", "z"]},
            tuple(Gold(quote=c) for c in "xyz"),
        ),
        ({"question": "q", "document": "0.txt", "answerable": False}, ()),
        ({"question": "q", "relevant": ["a.md"]}, (Gold("a.md"),)),
    ],
)
def test_field_names_of_other_tools_are_understood(tmp_path: Path, row, golds) -> None:
    assert load(write_lines(tmp_path / "q.jsonl", row)).questions[0].relevant == golds


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (['{"question": "a"'], "q.jsonl:1: not JSON"),
        ([{"question": "a"}, "", ["a"]], "q.jsonl:3: not a JSON object"),
        ([{"question": "  "}], "q.jsonl:1: no question"),
        ([{"id": "a", "question": "x"}, {"id": "a", "question": "y"}], "'a' is given twice"),
        ([{"question": "a", "relevant": [{"heading": "x"}]}], "q.jsonl:1: each entry of relevant needs"),
        ([{"question": "a", "relevant": [{"path": "x", "lines": 3}]}], "q.jsonl:1: unknown key 'lines'"),
        ([{"question": "a", "relevant": [{"path": "x", "grade": 0}]}], "q.jsonl:1: grade must be"),
        ([{"question": "a", "relevant": 3}], "q.jsonl:1: relevant must be a list"),
        ([{"question": "a", "answerable": "no"}], "q.jsonl:1: answerable must be true or false"),
        ([{"question": "a", "answerable": False, "relevant": ["x"]}], "q.jsonl:1: an unanswerable question"),
        ([], "has no questions"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(tmp_path: Path, rows, message) -> None:
    with pytest.raises(DatasetError, match=message.replace("(", r"\(")):
        load(write_lines(tmp_path / "q.jsonl", *rows))


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        (["q1\td1\tyes"], "qrels.tsv:1: not `query <tab> document <tab> grade`"),
        (["q1\td9\t1"], "qrels.tsv:1: document 'd9' is not in corpus.jsonl"),
        (["q9\td1\t1"], "query 'q9' is judged but not in queries.jsonl"),
    ],
)
def test_a_mistake_in_the_judgements_is_named(beir: Path, qrels, message) -> None:
    write_lines(beir / "qrels.tsv", *qrels)
    with pytest.raises(DatasetError, match=message):
        load(beir)


def test_missing_parts_are_named(tmp_path: Path, beir: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"neither corpus\.jsonl nor questions\.jsonl"):
        load(tmp_path)
    (beir / "queries.jsonl").unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        load(beir)
    (beir / "qrels.tsv").unlink()
    with pytest.raises(DatasetError, match="no judgements"):
        load(beir)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes('{"question": "Größe"}'.encode("latin-1"))
    with pytest.raises(DatasetError, match="not UTF-8"):
        load(tmp_path / "q.jsonl")


vocabulary = ["alpha", "beta", "gamma", "delta", "port", "8443", "the", "of", "a", "config"]
words = st.lists(st.sampled_from(vocabulary), min_size=1, max_size=30)


@given(words, words, words)
def test_a_passage_holds_every_quote_cut_from_it(before, quote, after) -> None:
    assert holds_quote(" ".join(quote), "\n".join([*before, *quote, *after]))


@given(words)
def test_a_passage_within_a_long_quote_holds_it(passage) -> None:
    quote = ["only", "in", "the", "quote"] * 50
    assert holds_quote(" ".join([*quote, *passage, *quote]), " ".join(passage))


def test_nothing_is_held_by_an_empty_or_unlike_passage() -> None:
    assert not holds_quote("run make demo", "")
    assert not holds_quote("Backups run every night at two o'clock.", "The web interface listens on port 8443.")


def test_gold_paths_match_whole_names_only() -> None:
    assert same_document("ports.md", "guide/ports.md")
    assert same_document("v1.2", "v1.2")
    assert not same_document("ports.md", "guide/ports.txt")
    assert not same_document("orts", "guide/ports.md")


@pytest.mark.data
def test_every_development_set_is_read(dev_data: Path) -> None:
    counts = {
        folder.name: (len(dataset.questions), dataset.level)
        for folder in [*(dev_data / "retrieval").iterdir(), *(dev_data / "docs").iterdir()]
        for dataset in [load(folder)]
    }
    assert counts == {
        "fiqa": (180, "document"),
        "clapnq": (208, "document"),
        "scifact-train": (809, "document"),
        "cacm": (52, "document"),
        "cisi": (76, "document"),
        "rhdh": (501, "passage"),
        "kubernetes": (381, "document"),
        "single-topic": (60, "document"),
    }


def test_every_quote_of_the_projects_own_set_stands_in_its_documentation() -> None:
    root = Path(__file__).parents[1]
    dataset = load(root / "eval" / "datasets" / "ragkit-docs")
    lost = [
        (question.id, gold.path, gold.quote)
        for question in dataset.questions
        for gold in question.relevant
        if not holds_quote(gold.quote, (root / "docs" / gold.path).read_text(encoding="utf-8"), share=0.8)
    ]
    assert lost == []
    assert dataset.level == "passage"
    assert sum(not question.answerable for question in dataset.questions) >= 8


def test_a_place_stands_where_its_quote_does_or_else_below_its_heading() -> None:
    below = ("Guide", "Install", "Linux")
    assert stands_at(Gold("a.md", ("install",)), "guide/a.md", below, "Unpack it.")
    assert not stands_at(Gold("b.md", ("install",)), "guide/a.md", below, "Unpack it.")
    assert not stands_at(Gold("a.md", ("Install", "Mac")), "guide/a.md", below, "Unpack it.")
    assert not stands_at(Gold("a.md", ("Install",), "Delete it."), "guide/a.md", below, "Unpack it.")
    assert stands_at(Gold(quote="unpack it"), "guide/a.md", (), "Unpack it.")
