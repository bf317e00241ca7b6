"""The store over real SQLite files: rows seen through snapshots, filters, migrations, damage and other processes.

What it reads is asked of the file itself and of SQLAlchemy, which stands between it and any other database.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, select

from ragkit.domain import Chunk, Document, LineMap
from ragkit.domain.corpora import LedgerRow
from ragkit.errors import CorpusEmpty, CorpusNotFound, FilterError, StoreError, UsageError
from ragkit.store import (
    SCHEMA_VERSION,
    CorpusWriter,
    NewDocument,
    Root,
    SeenFile,
    SnapshotRecord,
    Store,
    remove_corpus,
    schema,
)
from ragkit.store.database import migrate
from ragkit.store.schema import metadata


@pytest.fixture(params=["by file", "by URL"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'store' / 'ragkit.db'}" if request.param == "by URL" else ""
    with Store(tmp_path / "store", url) as opened:
        yield opened


def new(path: str, text: str, *, recipe: str = "r", **metadata: object) -> NewDocument:
    """A document with one chunk for each line."""
    document = Document(path, text, "markdown", path.title(), metadata)
    chunks, start = [], 0
    for number, line in enumerate(text.split("\n"), start=1):
        chunks.append(
            Chunk(start, start + len(line), line, ("Top", line[:4]), "a", "Context", "", number, number, "line", 3)
        )
        start += len(line) + 1
    return NewDocument(document, chunks, f"/files/{path}", "0" * 64, len(text), 1, recipe)


def publish(writer: CorpusWriter, *documents: NewDocument, retire: tuple[str, ...] = ()) -> SnapshotRecord:
    """Put and retire documents, give every text a vector, and publish."""
    snapshot = writer.begin_snapshot()
    writer.put(snapshot, documents)
    writer.retire(snapshot, [one.id for one in writer.live_documents() if one.path in retire])
    missing = writer.missing_vectors("e")
    if missing:
        writer.put_vectors("e", [key for key, _ in missing], np.ones((len(missing), 4), dtype=np.float32))
    record = writer.view(snapshot, "e")
    writer.publish(record)
    return record


def texts(store: Store, snapshot: SnapshotRecord) -> list[str]:
    return [passage.chunk.text for passage in store.passages(store.chunk_ids(snapshot))]


def test_passages_come_back_in_the_order_asked_for_and_whole(store: Store) -> None:
    record = publish(CorpusWriter(store, "docs"), new("a.md", "alpha\nbeta", tags=["x"]), new("b.md", "gamma"))
    ids = store.chunk_ids(record).tolist()
    found = store.passages(reversed(ids))
    assert [passage.id for passage in found] == ids[::-1]
    beta = found[1]
    expected = Chunk(6, 10, "beta", ("Top", "beta"), "a", "Context", "", 2, 2, "line", 3)
    assert (beta.path, beta.title, beta.ordinal, beta.metadata) == ("a.md", "A.Md", 1, {"tags": ["x"]})
    assert beta.chunk == expected
    assert store.passages([]) == []
    with pytest.raises(StoreError, match="passages 99 are no longer stored"):
        store.passages([ids[0], 99])


def test_more_passages_than_one_query_may_name(store: Store) -> None:
    record = publish(CorpusWriter(store, "docs"), new("a.md", "\n".join(f"line {n}" for n in range(2500))))
    ids = store.chunk_ids(record)
    assert [passage.id for passage in store.passages(ids)] == ids.tolist()
    assert len(store.indexed_texts(ids.tolist())) == 2500


def test_neighbours_stay_within_the_document(store: Store) -> None:
    record = publish(CorpusWriter(store, "docs"), new("a.md", "one\ntwo\nthree\nfour"), new("b.md", "five"))
    ids = store.chunk_ids(record).tolist()
    assert [p.chunk.text for p in store.neighbours(ids[1], 1, 1)] == ["one", "two", "three"]
    assert [p.chunk.text for p in store.neighbours(ids[3], 1, 5)] == ["three", "four"]


def test_documents_keep_text_lines_and_metadata(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    paged = Document(
        "b.pdf", "é one\ntwo \U0001f600", "pdf", "Book", {"date": "2024-01-01"}, lines=LineMap("page", (1, 2))
    )
    publish(writer, NewDocument(paged, [Chunk(0, 5, "é one")], "/x/b.pdf", "1" * 64, 10, 20, "r"))
    record = store.document_by_path("docs", "b.pdf")
    assert record is not None
    assert (record.file, record.size, record.mtime_ns, record.sha256) == (Path("/x/b.pdf"), 10, 20, "1" * 64)
    assert store.document_text(record.id) == paged.text
    assert store.document(record.id) == paged
    assert store.document_by_path("docs", "nowhere.md") is None
    with pytest.raises(StoreError, match="document 99"):
        store.document(99)
    with pytest.raises(StoreError, match="document 99"):
        store.document_text(99)


def test_each_snapshot_keeps_its_own_view(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    first = publish(writer, new("a.md", "old"), new("b.md", "stays"), new("c.md", "goes"))
    second = publish(writer, new("a.md", "new"), retire=("c.md",))
    assert texts(store, first) == ["old", "stays", "goes"]
    assert texts(store, second) == ["stays", "new"]
    assert [one.path for one in store.documents(first)] == ["a.md", "b.md", "c.md"]
    assert [one.path for one in store.documents(second)] == ["a.md", "b.md"]
    assert [text for _, text in store.chunk_texts(second)] == ["Context\nstays", "Context\nnew"]
    assert store.current_snapshot("docs") == second
    assert [one.id for one in store.snapshots("docs")] == [second.id, first.id]


def test_rows_under_construction_are_invisible(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    with pytest.raises(CorpusEmpty, match="no finished ingest"):
        store.current_snapshot("docs")
    first = publish(writer, new("a.md", "old"))
    building = writer.begin_snapshot()
    writer.put(building, [new("a.md", "half"), new("b.md", "done")])
    writer.put(building, [new("a.md", "new")])
    assert writer.building() == building
    assert store.status("docs").unfinished
    assert texts(store, first) == ["old"]
    assert store.current_snapshot("docs") == first
    assert writer.retired_paths(building) == {"a.md"}
    assert [one.path for one in writer.live_documents()] == ["a.md", "b.md"]
    assert [key for key, _ in writer.missing_vectors("e")] != []


def test_forgotten_snapshots_take_their_rows_and_unused_vectors_along(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    first = publish(writer, new("a.md", "old"), new("b.md", "stays"))
    second = publish(writer, new("a.md", "new"))
    gone = store.chunk_ids(first)[:1]
    writer.forget([first.id])
    assert [one.id for one in store.snapshots("docs")] == [second.id]
    with pytest.raises(StoreError, match="no longer stored"):
        store.passages(gone)
    blocks = list(writer.vectors("e", second.id))
    assert np.concatenate([ids for ids, _ in blocks]).tolist() == store.chunk_ids(second).tolist()
    with sqlite3.connect(store.directory / "ragkit.db") as database:
        assert database.execute("select count(*) from vectors").fetchone() == (2,)
    database.close()


def test_what_was_replaced_before_anyone_saw_it_leaves_no_vectors(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    building = writer.begin_snapshot()
    for text in ("one\nkept", "two\nkept", "three\nkept"):  # an ingest that fails before it publishes, and again
        writer.put(building, [new("a.md", text)])
        missing = [key for key, _ in writer.missing_vectors("e")]
        assert len(missing) == (2 if text.startswith("one") else 1)
        writer.put_vectors("e", missing, np.zeros((len(missing), 4), np.float32))
    with sqlite3.connect(store.directory / "ragkit.db") as database:
        assert database.execute("select count(*) from vectors").fetchone() == (2,)
    database.close()


def test_ids_are_never_given_out_twice(store: Store) -> None:
    """An index may still hold the id of a chunk whose row is gone."""
    writer = CorpusWriter(store, "docs")
    first = publish(writer, new("a.md", "one"), new("b.md", "two"))
    second = publish(writer, retire=("b.md",))
    writer.forget([first.id])
    third = publish(writer, new("c.md", "three"))
    assert max(store.chunk_ids(third)) > max(store.chunk_ids(first))
    assert second.id < third.id


def test_known_texts_need_no_vector_even_in_another_corpus(store: Store) -> None:
    publish(CorpusWriter(store, "docs"), new("a.md", "same\nother"))
    writer = CorpusWriter(store, "copy")
    writer.put(writer.begin_snapshot(), [new("b.md", "same\nfresh")])
    assert len(writer.missing_vectors("e")) == 1
    assert len(writer.missing_vectors("another-embedder")) == 2
    remove_corpus(store, "docs")
    assert len(writer.missing_vectors("e")) == 1
    assert [corpus.name for corpus in store.corpora()] == ["copy"]


def test_vectors_come_back_bit_for_bit(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    snapshot = writer.begin_snapshot()
    writer.put(snapshot, [new("a.md", "one\ntwo\nthree")])
    vectors = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    missing = writer.missing_vectors("e")
    writer.put_vectors("e", [key for key, _ in missing], vectors)
    writer.put_vectors("e", [missing[0][0]], np.zeros((1, 5), dtype=np.float32))  # known: kept as it was
    ids, found = next(writer.vectors("e", snapshot))
    assert [id for _, id in missing] == ids.tolist()
    assert np.array_equal(found, vectors)
    assert writer.dimension("e") == 5
    assert writer.dimension("unknown") == 0


def test_sentence_vectors_keep_their_direction_and_go_with_their_chunks(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    first = writer.begin_snapshot()
    writer.put(first, [new("a.md", "one\ntwo")])
    missing = writer.missing_vectors("e")
    random = np.random.default_rng(0)
    sentences = [random.normal(size=(count, 64)).astype(np.float32) for count in (3, 0)]
    sentences[0][1] = 0.0
    writer.put_vectors("e", [key for key, _ in missing], np.ones((2, 64), dtype=np.float32), sentences)
    writer.publish(writer.view(first, "e"))
    ids = [id for _, id in missing]
    found = store.sentence_vectors("e", 64, ids)
    assert [found[id].shape for id in ids] == [(3, 64), (0, 64)]
    assert found[ids[0]].dtype == np.float32
    for row, original in zip(found[ids[0]], sentences[0], strict=True):
        if original.any():
            assert row @ original / np.linalg.norm(original) > 0.999
            assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-5)
        else:
            assert not row.any()
    assert store.sentence_vectors("another", 64, ids) == {}

    second = writer.begin_snapshot()
    writer.put(second, [new("a.md", "three")])
    key, id = writer.missing_vectors("e")[0]
    writer.put_vectors("e", [key], np.ones((1, 64), dtype=np.float32))  # an embedder without sentence vectors
    writer.publish(writer.view(second, "e"))
    writer.forget([first])
    assert store.sentence_vectors("e", 64, [*ids, id]) == {}
    with store.database.reading() as connection:
        assert connection.execute(select(schema.sentence_vectors)).all() == []


def test_filters_become_chunk_ids(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    record = publish(
        writer,
        new("guide/a.md", "one\ntwo", date="2024-05-01"),
        new("guide/b.md", "three", date="2023-01-01"),
        new("c.md", "four"),
    )
    ids = store.chunk_ids(record).tolist()

    def allowed(*filters: str) -> list[int]:
        documents = store.matching(record, filters)
        assert documents is not None
        return [ids.index(id) for id in store.chunks_of(record, documents)]

    assert allowed("path=guide/*") == [0, 1, 2]
    assert allowed("date>=2024-01-01") == [0, 1]
    assert allowed("path=guide/*", "date<2024-01-01") == [2]
    assert allowed("format=pdf") == []
    assert store.matching(record, ()) is None
    with pytest.raises(FilterError, match="'nonsense'"):
        store.matching(record, ["nonsense"])


def test_unknown_corpus_names_the_near_ones(store: Store) -> None:
    with pytest.raises(CorpusNotFound, match="run `ragkit ingest PATH`"):
        store.corpus()
    CorpusWriter(store, "kubernetes")
    assert store.corpus().name == "kubernetes"
    with pytest.raises(CorpusNotFound, match="did you mean kubernetes"):
        store.corpus("kubernets")
    CorpusWriter(store, "python")
    with pytest.raises(CorpusNotFound, match="2 corpora: kubernetes, python"):
        store.corpus()


def test_corpora_with_like_names_get_folders_of_their_own(store: Store) -> None:
    slugs = [CorpusWriter(store, name).corpus.slug for name in ("My Docs", "my docs", "../evil", "日本")]
    assert slugs == ["my-docs", "my-docs-2", "evil", "corpus"]
    own = [CorpusWriter(store, name).corpus.slug for name in ("locks", "Expansions", "ragkit.db-wal", "lock")]
    assert own == ["corpus-locks", "corpus-expansions", "corpus-ragkit.db-wal", "lock"]
    for bad in ("", " ", "a\nb", "x" * 101):
        with pytest.raises(UsageError, match="printable"):
            CorpusWriter(store, bad)


def test_roots_and_description_are_remembered(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    roots = (Root("/a"), Root("/b", "b", "/c"))
    writer.describe(roots, {"licence": "MIT"})
    assert (store.corpus("docs").roots, store.corpus("docs").about) == (roots, {"licence": "MIT"})


def test_ledger_and_ingests_are_kept(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    interrupted = writer.begin_ingest("code")
    ingest = writer.begin_ingest("code")
    skipped = SeenFile(LedgerRow("b.bin", "skipped", "unknown format"), 7, 8)
    writer.end_ingest(ingest, "done", [SeenFile(LedgerRow("a.md", "added", "", 3)), skipped])
    assert store.ledger(ingest) == [
        LedgerRow("a.md", "added", "", 3),
        LedgerRow("b.bin", "skipped", "unknown format"),
    ]
    assert store.ledger(ingest, ["skipped"]) == [skipped.row]
    assert [(one.id, one.state) for one in store.ingests("docs")] == [(ingest, "done"), (interrupted, "interrupted")]
    assert store.ingests("docs")[0].counts == {"added": 1, "skipped": 1}
    assert writer.skipped_before("code") == {"b.bin": skipped}
    assert writer.skipped_before("newer code") == {}


def test_old_ledgers_are_dropped(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    for _ in range(25):
        writer.end_ingest(writer.begin_ingest("code"), "done", [SeenFile(LedgerRow("a.md", "unchanged"))])
    assert len(store.ingests("docs", 100)) <= 21
    assert store.ledger(1) == []


def test_answers_are_logged(store: Store) -> None:
    for number in range(3):
        id = store.log_answer(
            corpus="docs",
            snapshot="000001",
            question=f"why {number}?",
            status="answered",
            model="m",
            prompt_hash="h",
            timings={"retrieve": 0.5, "generate": 1.0},
            answer={"answer": "because", "sources": [1]},
        )
    latest = store.answers("docs", 2)
    assert [one.question for one in latest] == ["why 2?", "why 1?"]
    assert (latest[0].id, latest[0].timings["generate"], latest[0].answer["sources"]) == (id, 1.0, [1])
    assert store.answers("other") == []


def test_status_tells_formats_and_the_last_ingest(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    publish(writer, new("a.md", "one"), new("b.md", "two"))
    writer.end_ingest(writer.begin_ingest("code"), "done", [], 1)
    status = store.status("docs")
    assert status.snapshot is not None
    assert (status.snapshot.documents, status.snapshot.chunks, status.formats) == (2, 2, {"markdown": 2})
    assert status.last_ingest is not None
    assert (status.last_ingest.state, status.last_ingest.snapshot, status.unfinished) == ("done", "000001", False)


# ---------------------------------------------------------------- schema and migrations


def tables(path: Path) -> dict[str, list[tuple[object, ...]]]:
    database = sqlite3.connect(path)
    names = [row[0] for row in database.execute("select name from sqlite_master where type='table' order by name")]
    found = {}
    for name in names:
        columns = [row[1:6] for row in database.execute(f"pragma table_info('{name}')")]
        keys = [row[2:8] for row in database.execute(f"pragma foreign_key_list('{name}')")]
        indexes = [row[1:4] for row in database.execute(f"pragma index_list('{name}')")]
        found[name] = [*columns, *sorted(keys), *sorted(indexes)]
    database.close()
    return found


def migrated(path: Path, target: str) -> None:
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrate(connection, target)
    engine.dispose()


def test_migrations_make_the_same_tables_as_a_new_database(tmp_path: Path) -> None:
    Store(tmp_path / "new").close()
    migrated(tmp_path / "old.db", "head")
    assert tables(tmp_path / "old.db") == tables(tmp_path / "new" / "ragkit.db")
    assert set(metadata.tables) <= set(tables(tmp_path / "old.db"))


def test_older_database_is_migrated_with_its_rows(tmp_path: Path) -> None:
    migrated(tmp_path / "ragkit.db", "0001")
    database = sqlite3.connect(tmp_path / "ragkit.db")
    database.execute(
        "insert into corpora (name, slug, roots, about, created_at) values ('docs', 'docs', '[]', '{}', '2024')"
    )
    database.commit()
    database.close()
    with Store(tmp_path) as store:
        assert store.corpus().name == "docs"
        assert store.answers() == []
    with sqlite3.connect(tmp_path / "ragkit.db") as database:
        assert database.execute("select version_num from alembic_version").fetchone() == (SCHEMA_VERSION,)
    database.close()


def test_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "ragkit.db") as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()
    with pytest.raises(StoreError, match="newer than this ragkit"):
        Store(tmp_path)


def test_opening_a_current_database_does_not_import_alembic(tmp_path: Path) -> None:
    code = f"import ragkit.store, sys\nragkit.store.Store({str(tmp_path)!r}).close()\nprint('alembic' in sys.modules)"
    for _ in range(2):  # a new one, and one that is there
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout == "False\n"


def test_processes_that_only_read_may_share_a_file_with_one_that_writes(tmp_path: Path) -> None:
    with Store(tmp_path) as store, Store(tmp_path) as reader:
        writer = CorpusWriter(store, "docs")
        first = publish(writer, new("a.md", "old"), new("b.md", "stays"))
        assert texts(reader, first) == ["old", "stays"]
        stream = reader.chunk_texts(first)
        assert next(stream) == (1, "Context\nold")
        second = publish(writer, new("a.md", "new"))
        assert list(stream) == [(2, "Context\nstays")]
        assert reader.current_snapshot("docs") == second
        with store.database.writing():
            assert texts(reader, second) == ["stays", "new"]


def test_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "ragkit.db").write_text("not a database at all" * 100)
    with pytest.raises(StoreError, match="is damaged"):
        Store(tmp_path)


def test_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be made"):
        Store(tmp_path / "file" / "store")


def test_folder_may_have_any_name(tmp_path: Path) -> None:
    with Store(tmp_path / "a?b#c%20d é") as store:
        CorpusWriter(store, "docs")
    assert (tmp_path / "a?b#c%20d é" / "ragkit.db").is_file()


def test_wrong_database_urls_are_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        Store(tmp_path, "nonsense")
    with pytest.raises(StoreError, match=r"cannot be written|failed"):
        Store(tmp_path, "sqlite:////nowhere/at/all/x.db")


def test_full_disk_is_reported_and_undone(store: Store) -> None:
    writer = CorpusWriter(store, "docs")
    first = publish(writer, new("a.md", "old"))
    with store.database.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {int(pages) + 2}")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="no space left") as caught:
        writer.put(writer.begin_snapshot(), [new("b.md", "x" * 100_000)])
    assert "free some space" in caught.value.hint
    assert texts(store, first) == ["old"]


def test_two_processes_may_create_and_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from ragkit.store import CorpusWriter, Store\n"
        "with Store(sys.argv[1]) as store:\n"
        "    writer = CorpusWriter(store, sys.argv[2])\n"
        "    for _ in range(20):\n"
        "        writer.end_ingest(writer.begin_ingest('code'), 'done', [])\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s"), name], stderr=subprocess.PIPE)
        for name in ("a", "b", "c")
    ]
    assert [run.communicate()[1].decode() for run in runs] == ["", "", ""]
    with Store(tmp_path / "s") as store:
        assert [len(store.ingests(name, 100)) for name in ("a", "b", "c")] == [20, 20, 20]


@pytest.mark.skipif("RAGKIT_TEST_DATABASE_URL" not in os.environ, reason="needs RAGKIT_TEST_DATABASE_URL")
def test_another_database_system_serves_as_well(tmp_path: Path) -> None:
    with Store(tmp_path, os.environ["RAGKIT_TEST_DATABASE_URL"]) as store:
        name = f"docs {os.getpid()}"
        record = publish(CorpusWriter(store, name), new("a.md", "one\ntwo"))
        assert texts(store, record) == ["one", "two"]
        remove_corpus(store, name)
