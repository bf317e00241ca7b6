"""Sets of questions keep everything through every form, are split without leaks, and find their gold again."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ragkit import Engine
from ragkit.config import Settings
from ragkit.errors import DatasetError, UsageError
from ragkit.evaluation import datasets, exchange, questions, sheet, trec
from ragkit.evaluation.anchors import anchor, moved
from ragkit.evaluation.datasets import Gold, Question
from ragkit.evaluation.exchange import FORMS, Form
from ragkit.evaluation.questions import Entry, gold_row, question_id, quote_hash
from ragkit.evaluation.split import split
from ragkit.evaluation.validate import edited_quotes, to_json, validate
from ragkit.testing import HashEmbedder

RESTORE = Entry(
    Question(
        "restore",
        "How do I restore a backup?",
        "Run `vault restore --from FILE`.",
        (Gold("backup.md", ("Backups", "Restore"), "To restore a backup, run `vault restore --from FILE`."),),
        kind="single-passage",
    ),
    {"pattern": "purpose", "difficulty": {"level": "easy", "rank": 1}},
)
KEPT = Entry(
    Question(
        "kept",
        "How long are backups kept, and on which port\ndoes the web interface listen?",
        "30 days.\n\nPort 8443.",
        (
            Gold("backup.md", ("Backups", "Retention > more"), "Backups are kept for 30 days.", grade=2),
            Gold("guide/ports.md", ("Ports",), "The web interface\n\n  listens on port 8443."),
        ),
        kind="multi-passage",
    ),
    {"review": "accepted"},
)
MAYOR = Entry(Question("mayor", "Who is the mayor?", answerable=False, kind="unanswerable"))
SET = [RESTORE, KEPT, MAYOR]


# ---------------------------------------------------------------- files


def test_a_questions_file_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    questions.write(tmp_path / "q.jsonl", SET)
    assert questions.load(tmp_path / "q.jsonl") == SET
    assert datasets.load(tmp_path / "q.jsonl").questions == tuple(entry.question for entry in SET)


def test_a_rejected_question_stays_in_its_file_and_out_of_evaluations(tmp_path: Path) -> None:
    questions.write(tmp_path / "q.jsonl", [RESTORE, MAYOR.noting(review="rejected")])
    assert [entry.review for entry in questions.load(tmp_path / "q.jsonl")] == ["", "rejected"]
    assert [question.id for question in datasets.load(tmp_path / "q.jsonl").questions] == ["restore"]


def test_notes_of_other_tools_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": "a", "question": "Why?", "owner": "Ann", "tags": ["x"]}\n', encoding="utf-8")
    questions.write(file, questions.load(file))
    assert json.loads(file.read_text()) == {"id": "a", "question": "Why?", "owner": "Ann", "tags": ["x"]}


def test_gold_is_anchored_by_document_heading_path_and_the_hash_of_its_quote() -> None:
    row = gold_row(RESTORE.question.relevant[0])
    assert list(row) == ["path", "heading", "quote", "hash"]
    assert row["hash"] == quote_hash("to restore a backup run vault restore from file")


def test_ids_follow_from_the_words_and_are_never_given_twice() -> None:
    first = question_id("How long?")
    assert question_id("how long") == first
    assert question_id("How long?", [first]) == f"{first}-2"


# ---------------------------------------------------------------- the text form


def test_the_text_form_is_read_back_to_the_same_entries() -> None:
    assert sheet.from_text(sheet.to_text(SET), Path("q.md")) == SET


lines = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters="\x85\ufeff"), max_size=20
)
words = lines.filter(lambda text: text.strip()).map(str.strip)
prose = st.lists(lines.map(str.rstrip), min_size=1, max_size=4).map("\n".join).map(str.strip)
golds = st.builds(
    Gold,
    path=words,
    heading=st.lists(words, max_size=3).map(tuple),
    quote=st.lists(lines, max_size=3).map("\n".join),
    grade=st.integers(1, 3),
)
entries = st.builds(
    Entry,
    st.builds(
        Question,
        id=st.just("q"),
        text=prose.filter(bool),
        answer=prose,
        relevant=st.lists(golds, max_size=3).map(tuple),
        kind=words,
    ),
    st.dictionaries(st.sampled_from(["pattern", "owner"]), st.one_of(words, st.integers(), st.booleans())),
)


@given(entries)
@hypothesis_settings(max_examples=200)
def test_whatever_a_question_holds_survives_the_text_form(entry: Entry) -> None:
    assert sheet.from_text(sheet.to_text([entry]), Path("q.md")) == [entry]


def test_a_person_may_add_change_and_delete_blocks() -> None:
    text = sheet.to_text(SET).replace("How do I restore a backup?", "How is a backup restored?")
    text = text[: text.index("## kept")] + "##\nquestion: Which ports are open?\nDocument: ports.md\n> Port 8443.\n"
    first, new = sheet.from_text(text, Path("q.md"))
    assert first.question.text == "How is a backup restored?"
    assert new.question == Question(
        question_id("Which ports are open?"), "Which ports are open?", relevant=(Gold("ports.md", (), "Port 8443."),)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no block", "q.md has no block"),
        ("## a\nAnswer: x\n", "q.md:1: no question"),
        ("## a\nQuestion: x\nColour: red\n", "q.md:3: this line begins with no known word"),
        ("## a\nQuestion: x\n> quote\n", "q.md:3: a quote before any `Document:`"),
        ("## a\nQuestion: x\nReview: perhaps\n", "q.md:1: Review is accepted or rejected, not 'perhaps'"),
        ("## a\nQuestion: x\nQuestion: y\n", "q.md:3: Question is given twice"),
        ("## a\nQuestion: x\n## a\nQuestion: y\n", "q.md:3: the id 'a' is given twice"),
        ("## a\nQuestion: x\nNotes: {\n", "q.md:1: Notes is not JSON"),
        ("## a\nQuestion: x\nAnswerable: no\nDocument: a.md\n", "q.md:1: an unanswerable question names a document"),
    ],
)
def test_a_mistake_in_the_text_is_named_by_its_line(text: str, message: str) -> None:
    with pytest.raises(DatasetError) as raised:
        sheet.from_text(text, Path("q.md"))
    assert raised.value.message.startswith(message)


# ---------------------------------------------------------------- other forms


@pytest.mark.parametrize("form", FORMS)
def test_every_form_that_is_written_is_read_back(tmp_path: Path, form: Form) -> None:
    path = tmp_path / {"beir": "set", "trec": "set", "text": "q.md", "squad": "q.json", "csv": "q.csv"}.get(
        form, "q.jsonl"
    )
    exchange.write(path, SET, form)
    if form == "trec":
        found = exchange.read(path / "qrels.txt", form, queries=path / "queries.tsv")
    else:
        found = exchange.read(path, form)
    by_id = {entry.question.id: entry.question for entry in found}
    assert " ".join(by_id["restore"].text.split()) == "How do I restore a backup?"
    assert by_id["restore"].relevant[0].path == "backup.md"
    if form in ("jsonl", "text", "csv", "ragas", "squad"):
        assert set(by_id) == {"restore", "kept", "mayor"}
        assert not by_id["mayor"].answerable
        assert by_id["restore"].relevant[0].quote == RESTORE.question.relevant[0].quote
    if form in ("jsonl", "text"):
        assert found == SET
    if form == "csv":
        assert [entry.question for entry in found] == [entry.question for entry in SET]


def test_a_rejected_question_is_not_handed_on(tmp_path: Path) -> None:
    exchange.write(tmp_path / "q.csv", [RESTORE, MAYOR.noting(review="rejected")])
    assert [row["id"] for row in csv.DictReader(io.StringIO((tmp_path / "q.csv").read_text(encoding="utf-8")))] == [
        "restore"
    ]


def test_the_answer_that_was_generated_is_not_taken_for_the_reference(tmp_path: Path) -> None:
    row = {"question": "Which port?", "answer": "It may be 80.", "ground_truth": "8443", "contexts": ["Port 8443."]}
    (tmp_path / "ragas.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (entry,) = exchange.read(tmp_path / "ragas.jsonl")
    assert entry.question.answer == "8443"
    assert entry.question.relevant == (Gold(quote="Port 8443."),)


def test_squad_gives_the_sentence_that_holds_the_answer(tmp_path: Path) -> None:
    context = "Backups run at night. They are kept for 30 days. Then they go."
    qas = [
        {"id": "1", "question": "How long?", "answers": [{"text": "30 days", "answer_start": context.index("30")}]},
        {"id": "2", "question": "Who?", "answers": [], "is_impossible": True},
    ]
    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"data": [{"title": "backup", "paragraphs": [{"context": context, "qas": qas}]}]}))
    one, two = exchange.read(file)
    assert one.question == Question("1", "How long?", "30 days", (Gold("backup", (), "They are kept for 30 days."),))
    assert not two.question.answerable


def test_rows_of_hugging_face_squad_are_understood(tmp_path: Path) -> None:
    context = "Backups run. The port is 8443. Agents wait."
    answers = {"text": ["8443"], "answer_start": [context.index("8443")]}
    row = {"id": "1", "title": "t", "context": context, "question": "Which port?", "answers": answers}
    (tmp_path / "hf.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (entry,) = exchange.read(tmp_path / "hf.jsonl")
    assert entry.question.answer == "8443"
    assert entry.question.relevant == (Gold("t", (), "The port is 8443."),)


def test_spans_of_a_chunking_evaluation_are_quotes(tmp_path: Path) -> None:
    references = json.dumps([{"content": "Port 8443.", "start_index": 3, "end_index": 13}])
    with (tmp_path / "q.csv").open("w", newline="") as out:
        csv.writer(out).writerows([["question", "references", "corpus_id"], ["Which port?", references, "ports"]])
    (entry,) = exchange.read(tmp_path / "q.csv")
    assert entry.question.relevant == (Gold("ports", (), "Port 8443."),)


def test_judgements_of_trec_need_the_words_of_their_queries(tmp_path: Path) -> None:
    (tmp_path / "a.qrels").write_text("q1 0 d1 2\nq1 0 d2 0\n")
    with pytest.raises(UsageError, match="names its queries by id alone"):
        exchange.read(tmp_path / "a.qrels")
    (tmp_path / "q.tsv").write_text("q1\tWhich port?\n")
    (entry,) = exchange.read(tmp_path / "a.qrels", queries=tmp_path / "q.tsv")
    assert entry.question == Question("q1", "Which port?", relevant=(Gold("d1", grade=2),))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "a.json:1: not JSON"),
        ("a.json", '{"x": 1}', "a.json is neither SQuAD"),
        ("a.csv", "id,question\n1,\n", "no question"),
        ("a.csv", "id,question\n1,a\n1,b\n", "'1' is given twice"),
        ("a.jsonl", "", "a.jsonl has no questions"),
        ("nowhere.csv", None, "nowhere.csv does not exist"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        exchange.read(tmp_path / name)


def test_a_name_that_says_no_form_is_asked_for_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.xlsx does not say in which form it is"):
        exchange.read(tmp_path / "a.xlsx")


def test_a_run_of_any_system_is_scored_by_its_documents(tmp_path: Path) -> None:
    questions.write(tmp_path / "q.jsonl", [RESTORE, KEPT, MAYOR])
    run = tmp_path / "theirs.txt"
    run.write_text("restore Q0 other.md 1 0.2 x\nrestore Q0 docs/backup.md 2 0.9 x\nkept Q0 nothing.md 1 1 x\n")
    report = trec.score_run(trec.read_run(run), datasets.load(tmp_path / "q.jsonl"), name="theirs", names=["MRR@10"])
    assert {one.id: one.scores["MRR@10"] for one in report.questions} == {"restore": 1.0, "kept": 0.0}
    with pytest.raises(DatasetError, match="has no ranking of any question of q"):
        trec.score_run({"x": ["a"]}, datasets.load(tmp_path / "q.jsonl"), name="theirs")
    run.write_text("restore Q0 other.md first 0.2 x\n")
    with pytest.raises(DatasetError, match=r"theirs\.txt:1: not `query Q0"):
        trec.read_run(run)


def test_rankings_of_a_report_become_a_run(tmp_path: Path) -> None:
    hits = ["a b.md:L3-L9", "a b.md:L20", "book.pdf:p4-p5"]
    (tmp_path / "report.json").write_text(json.dumps({"questions": [{"id": "q", "hits": hits}]}))
    assert trec.write_run(tmp_path / "ours.txt", tmp_path / "report.json") == 1
    assert (tmp_path / "ours.txt").read_text() == "q Q0 a%20b.md 1 1.000000 ragkit\nq Q0 book.pdf 2 0.500000 ragkit\n"
    assert trec.read_run(tmp_path / "ours.txt") == {"q": ["a b.md", "book.pdf"]}
    with pytest.raises(DatasetError, match="is no report of retrieval"):
        trec.write_run(tmp_path / "x.txt", tmp_path / "ours.txt")


# ---------------------------------------------------------------- splitting


def asked(id: str, kind: str, *paths: str) -> Entry:
    return Entry(Question(id, f"{id}?", relevant=tuple(map(Gold, paths)), kind=kind, answerable=bool(paths)))


places = st.lists(st.integers(0, 30).map(lambda n: f"d{n}.md"), max_size=2, unique=True)


@given(st.lists(st.tuples(st.sampled_from("abc"), places), min_size=12, max_size=60), st.integers(0, 9))
def test_the_parts_of_a_split_share_no_document_and_lose_no_question(rows, seed: int) -> None:
    entries = [asked(str(at), kind, *paths) for at, (kind, paths) in enumerate(rows)]
    try:
        dev, test = split(entries, 0.5, seed)
    except UsageError:
        return
    assert sorted(e.question.id for e in (*dev, *test)) == sorted(e.question.id for e in entries)
    held = [{gold.path for entry in part for gold in entry.question.relevant} for part in (dev, test)]
    assert held[0].isdisjoint(held[1])


def test_kinds_are_shared_out_evenly_and_a_seed_repeats_itself() -> None:
    entries = [asked(f"{kind}{n}", kind, f"{kind}{n}.md") for kind in "ab" for n in range(10)]
    dev, test = split(entries, 0.3, seed=4)
    assert Counter(entry.question.kind for entry in dev) == {"a": 3, "b": 3}
    assert split(entries, 0.3, seed=4) == (dev, test)


def test_questions_of_one_document_cannot_be_split() -> None:
    with pytest.raises(UsageError, match="cannot be split"):
        split([asked("1", "a", "x.md"), asked("2", "a", "x.md")], 0.5)


# ---------------------------------------------------------------- validation and anchors


@pytest.fixture
def engine(settings: Settings, docs: Path) -> Iterator[Engine]:
    with Engine(settings, embedder=HashEmbedder(128)) as opened:
        opened.ingest([docs], corpus="docs")
        yield opened


def drift(engine: Engine, *golds: Gold) -> list[tuple[str, Gold | None]]:
    entries = [Entry(Question(str(at), "?", relevant=(gold,))) for at, gold in enumerate(golds)]
    return [(one.drift, one.now) for one in anchor(engine, entries, corpus="docs")]


QUOTE = "To restore a backup, run `vault restore --from FILE`. The service must be stopped first."
GOLD = Gold("backup.md", ("Backups", "Restore"), QUOTE)


def test_gold_stays_exact_when_the_corpus_is_cut_otherwise(engine: Engine, settings: Settings, docs: Path) -> None:
    assert drift(engine, GOLD) == [("exact", GOLD)]
    from ragkit import config

    with Engine(config.replace(settings, {"chunk.size_tokens": 32}), embedder=HashEmbedder(128)) as other:
        other.ingest([docs], corpus="docs", rebuild=True)
        assert drift(other, GOLD) == [("exact", GOLD)]


def test_gold_follows_a_document_that_was_renamed(engine: Engine, docs: Path) -> None:
    (docs / "backup.md").rename(docs / "guide" / "restore.md")
    engine.ingest(corpus="docs")
    ((found, now),) = drift(engine, GOLD)
    assert (found, now) == ("moved", Gold("guide/restore.md", ("Backups", "Restore"), QUOTE))


def test_gold_follows_a_heading_that_was_renamed(engine: Engine, docs: Path) -> None:
    text = (docs / "backup.md").read_text().replace("## Restore", "## Getting data back")
    (docs / "backup.md").write_text(text)
    engine.ingest(corpus="docs")
    ((found, now),) = drift(engine, GOLD)
    assert found == "moved"
    assert now and now.heading == ("Backups", "Getting data back")


def test_gold_whose_words_were_edited_is_found_by_likeness(engine: Engine, docs: Path) -> None:
    text = (docs / "backup.md").read_text().replace("To restore a backup, run", "To restore any backup, first run")
    (docs / "backup.md").write_text(text)
    engine.ingest(corpus="docs")
    (one,) = anchor(engine, [Entry(Question("q", "?", relevant=(GOLD,)))], corpus="docs")
    assert one.drift == "changed"
    assert 0.8 < one.likeness < 1
    assert one.now and one.now.quote.startswith("To restore any backup, first run")
    answer = "To restore a backup, run vault restore --from FILE. The service must be stopped first."
    (fixed,) = moved([Entry(Question("q", "?", answer, (GOLD,)))], [one])
    assert anchor(engine, [fixed], corpus="docs")[0].drift == "exact"
    assert fixed.question.answer.startswith("To restore any backup, first run vault restore")


def test_words_that_stand_elsewhere_too_are_first_looked_for_in_their_document(engine: Engine, docs: Path) -> None:
    text = (docs / "backup.md").read_text().replace("The service must be", "Your service must be")
    (docs / "backup.md").write_text(text)
    (docs / "copy.md").write_text(f"# Copy\n\n{QUOTE}\n")
    engine.ingest(corpus="docs")
    ((found, now),) = drift(engine, GOLD)
    assert found == "changed"
    assert now and now.path == "backup.md"


def test_gold_that_was_deleted_is_gone(engine: Engine, docs: Path) -> None:
    (docs / "backup.md").write_text("# Backups\n\nThere are none any more.\n")
    engine.ingest(corpus="docs")
    found = drift(engine, GOLD, Gold("nowhere.md"), Gold("backup.md", ("Restore",)), Gold("backup.md"))
    assert [one for one, _ in found] == ["gone", "gone", "gone", "exact"]


def test_markup_and_line_breaks_are_no_drift(engine: Engine) -> None:
    gold = Gold("backup", (), "to restore a **backup**,\nrun vault restore --from FILE")
    assert drift(engine, gold) == [("exact", gold)]


def test_validation_names_what_is_wrong_with_a_set(engine: Engine) -> None:
    entries = [
        RESTORE,
        Entry(Question("again", "how do I restore a backup", "x", (Gold("backup.md"),))),
        Entry(Question("near", "How do I restore the backup?", "x", (Gold("backup.md"),))),
        Entry(Question("bare", "What is the retention?")),
        Entry(
            Question("gone", "Where is the printer?", "x", (Gold("backup.md", (), "The printer stands upstairs."),))
        ),
        Entry(Question("leak", "Backups are kept for 30 days?", "x", (Gold("backup.md"),))),
        MAYOR,
        Entry(Question("out", "How do I restore a backup?", answerable=False), {"review": "rejected"}),
    ]
    found = validate(entries, engine, corpus="docs")
    problems = {(one.question_id, one.problem) for one in found.problems}
    assert problems == {
        ("again", "duplicate"),
        ("near", "near-duplicate"),
        ("bare", "no gold"),
        ("bare", "no answer"),
        ("gone", "gone"),
        ("leak", "leaked"),
    }
    assert found.errors == 2
    assert found.questions == 7
    assert to_json(found)["drift"] == {"exact": 4, "moved": 0, "changed": 0, "gone": 1}


def test_a_quote_that_was_edited_by_hand_is_seen_by_its_hash() -> None:
    row = questions.to_row(RESTORE)
    assert list(edited_quotes([row])) == []
    row["relevant"][0]["quote"] = "To restore a backup, pray."
    assert [one.problem for one in edited_quotes([row])] == ["quote edited"]
