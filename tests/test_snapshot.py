"""Snapshots on disk: published whole, opened quickly, verified, kept for readers, collected."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragkit import config
from ragkit.config import Settings
from ragkit.errors import CorpusEmpty, CorpusLocked, CorpusNotFound, SnapshotError
from ragkit.index import snapshot
from ragkit.index.lock import writer_lock
from ragkit.ingest import ingest
from ragkit.store import CorpusWriter, Store
from ragkit.testing import HashEmbedder
from ragkit.text import analyse


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Files are read in this process, which is quicker."""
    return config.replace(settings, {"ingest.workers": -1})


def put(docs: Path, store: Store, embedder: HashEmbedder, settings: Settings, number: int) -> str:
    """Change one file and publish."""
    (docs / "changing.md").write_text(f"# Changing\n\nThis is edition number{number}.\n")
    return ingest([docs], "docs", store=store, embedder=embedder, settings=settings).snapshot


def test_folder_holds_what_the_manifest_says(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings
) -> None:
    put(docs, store, embedder, quick, 1)
    record = store.current_snapshot("docs")
    manifest = json.loads((record.directory / "manifest.json").read_text())
    held = {path.relative_to(record.directory).as_posix() for path in record.directory.rglob("*") if path.is_file()}
    assert held == {"manifest.json", *manifest["files"]}
    assert (manifest["corpus"], manifest["snapshot"], manifest["chunks"]) == ("docs", "000001", record.chunks)
    assert manifest["embedder"] == embedder.fingerprint
    assert manifest["lexical"] == "rank_bm25"
    assert manifest["dense"] == {
        "kind": "flat", "dimension": 64, "lists": 0, "probes": 0, "recall_at_10": 1.0, "trained_chunks": 0
    }  # fmt: skip
    assert not list(record.directory.parent.glob(".*"))


@pytest.mark.parametrize("engine", ["rank_bm25", "tantivy"])
def test_both_indexes_answer_with_chunks_of_the_store(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings, engine: str
) -> None:
    settings = config.replace(quick, {"lexical.engine": engine})
    put(docs, store, embedder, settings, 1)
    with snapshot.open_snapshot(store, "docs", settings) as opened:
        assert opened.manifest.lexical == engine
        best = opened.lexical.search(analyse("restore a backup"), 1)
        assert "restore" in store.passages(one.id for one in best)[0].chunk.text
        found = opened.dense.search(embedder.embed(["listen_port in server toml"])[0], 1)
        assert "listen_port" in store.passages(one.id for one in found)[0].chunk.text


def test_snapshot_of_another_embedder_or_language_says_what_to_do(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings
) -> None:
    put(docs, store, embedder, quick, 1)
    german = config.replace(quick, {"lexical.language": "german"})
    with snapshot.open_snapshot(store, "docs", german) as opened:
        opened.require_embedder(embedder)
        with pytest.raises(
            SnapshotError, match="hash-64, settings ask for hash-32; run `ragkit ingest --corpus docs`"
        ):
            opened.require_embedder(HashEmbedder(32))
        command = (
            "ragkit ingest --corpus docs --set embed.model=other`, or choose the former with --set embed.model=hash"
        )
        with pytest.raises(SnapshotError, match=command):
            opened.require_model("other")
        with pytest.raises(SnapshotError, match="analysed for language english, settings ask for german"):
            _ = opened.lexical


def test_an_open_snapshot_goes_on_answering_while_newer_ones_are_published(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings
) -> None:
    settings = config.replace(quick, {"store.keep_snapshots": 1})
    put(docs, store, embedder, settings, 1)
    with snapshot.open_snapshot(store, "docs", settings) as old:
        for number in range(2, 5):
            put(docs, store, embedder, settings, number)
        best = old.lexical.search(["number1"], 1)  # opened only now: its files are still there
        assert "number1" in store.passages([best[0].id])[0].chunk.text
        assert old.dense.search(embedder.embed(["edition number1"])[0], 3)
        assert old.record.directory.is_dir()
        kept = [one.name for one in store.snapshots("docs")]
        assert kept == ["000004", "000001"]
    put(docs, store, embedder, settings, 5)
    assert [one.name for one in store.snapshots("docs")] == ["000005"]
    assert [path.name for path in store.corpus_directory(store.corpus("docs")).iterdir()] == ["000005"]


def test_as_many_snapshots_are_kept_as_the_settings_say(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings
) -> None:
    settings = config.replace(quick, {"store.keep_snapshots": 3})
    for number in range(1, 6):
        put(docs, store, embedder, settings, number)
    assert [one.name for one in store.snapshots("docs")] == ["000005", "000004", "000003"]
    folder = store.corpus_directory(store.corpus("docs"))
    assert sorted(path.name for path in folder.iterdir()) == ["000003", "000004", "000005"]


def test_a_reader_in_another_process_holds_its_snapshot(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings
) -> None:
    settings = config.replace(quick, {"store.keep_snapshots": 1})
    put(docs, store, embedder, settings, 1)
    code = (
        "import sys\n"
        "from ragkit.config import Settings\n"
        "from ragkit.index.snapshot import open_snapshot\n"
        "from ragkit.store import Store\n"
        "with Store(sys.argv[1]) as store, open_snapshot(store, 'docs', Settings()) as opened:\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    found = opened.lexical.search(['number1'], 1)\n"
        "    print(store.passages([found[0].id])[0].chunk.text, flush=True)\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, str(store.directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "open\n"
    put(docs, store, embedder, settings, 2)
    put(docs, store, embedder, settings, 3)
    out, _ = reader.communicate("\n")
    assert "edition number1" in out
    put(docs, store, embedder, settings, 4)
    assert [one.name for one in store.snapshots("docs")] == ["000004"]


@pytest.mark.parametrize("engine", ["rank_bm25", "tantivy"])
def test_damage_is_found_and_named(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings, engine: str
) -> None:
    settings = config.replace(quick, {"lexical.engine": engine})
    put(docs, store, embedder, settings, 1)
    assert snapshot.verify_snapshot(store, "docs", deep=True) == []
    dense = store.current_snapshot("docs").directory / "dense.faiss"
    data = bytearray(dense.read_bytes())
    data[-1] ^= 1
    dense.write_bytes(data)
    assert snapshot.verify_snapshot(store, "docs") == []
    (problem,) = snapshot.verify_snapshot(store, "docs", deep=True)
    assert str(dense) in problem.thing
    assert "sha256" in problem.reason
    assert problem.command == "ragkit ingest --corpus docs --rebuild"
    dense.write_bytes(data[:-8])
    assert "its manifest says" in snapshot.verify_snapshot(store, "docs")[0].reason
    with pytest.raises(SnapshotError, match="run `ragkit ingest --corpus docs --rebuild`"):
        snapshot.open_snapshot(store, "docs", settings)
    dense.unlink()
    assert "No such file" in snapshot.verify_snapshot(store, "docs")[0].reason
    (dense.parent / "manifest.json").write_text("{")
    assert "manifest.json cannot be read" in snapshot.verify_snapshot(store, "docs")[0].reason


def test_damaged_index_is_made_anew_by_the_next_ingest(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings
) -> None:
    put(docs, store, embedder, quick, 1)
    embedded = embedder.embedded
    (store.current_snapshot("docs").directory / "dense.faiss").unlink()
    report = ingest([docs], "docs", store=store, embedder=embedder, settings=quick)
    assert (report.published, embedder.embedded) == (True, embedded)
    assert snapshot.verify_snapshot(store, "docs", deep=True) == []


def test_snapshot_of_a_newer_format_is_refused(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings
) -> None:
    put(docs, store, embedder, quick, 1)
    path = store.current_snapshot("docs").directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(SnapshotError, match="format 99, this ragkit reads 1"):
        snapshot.open_snapshot(store, "docs", quick)


def test_corpus_without_a_snapshot_is_not_opened(store: Store, settings: Settings) -> None:
    with pytest.raises(CorpusNotFound):
        snapshot.open_snapshot(store, "docs", settings)
    CorpusWriter(store, "docs")
    with pytest.raises(CorpusEmpty):
        snapshot.open_snapshot(store, "docs", settings)
    assert [problem.thing for problem in snapshot.verify_snapshot(store, "docs")] == ["corpus docs"]


@pytest.mark.parametrize("exact_chunks", [10**6, 50])
def test_index_grown_step_by_step_equals_one_made_at_once(
    tmp_path: Path, embedder: HashEmbedder, quick: Settings, exact_chunks: int
) -> None:
    """The second snapshot reuses the first one's files; a fresh store builds all of it."""
    settings = config.replace(quick, {"lexical.engine": "tantivy", "dense.exact_chunks": exact_chunks})
    docs = tmp_path / "many"
    docs.mkdir()
    for number in range(150):
        (docs / f"{number}.md").write_text(f"# Title {number}\n\nbody{number} of word{number % 13} text\n")
    with Store(tmp_path / "grown") as grown, Store(tmp_path / "fresh") as fresh:
        ingest([docs], "docs", store=grown, embedder=embedder, settings=settings)
        for number in (3, 5, 8):
            (docs / f"{number}.md").unlink()
        (docs / "new.md").write_text("# New\n\nbodynew of word1 text\n")
        for store in (grown, fresh):
            ingest([docs], "docs", store=store, embedder=embedder, settings=settings)
        answers = []
        for store in (grown, fresh):
            assert snapshot.verify_snapshot(store, "docs", deep=True) == []
            with snapshot.open_snapshot(store, "docs", settings) as opened:
                lexical = opened.lexical.search(["word1"], 100)
                dense = opened.dense.search(embedder.embed(["bodynew of word1"])[0], 1)
                paths = [passage.path for passage in store.passages(one.id for one in lexical)]
                answers.append((sorted(paths), store.passages([dense[0].id])[0].path, opened.manifest.dense.kind))
    assert answers[0] == answers[1]
    assert answers[0][1:] == ("new.md", "flat" if exact_chunks > 150 else "ivf-sq8")
    assert "new.md" in answers[0][0]


# ---------------------------------------------------------------- locks and removal


def test_second_writer_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from ragkit.index.lock import writer_lock\n"
        "with writer_lock(pathlib.Path(sys.argv[1]), 'docs'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    says = rf"corpus docs is being written by process {holder.pid} on .+ since 20"
    with pytest.raises(CorpusLocked, match=says), writer_lock(tmp_path, "docs"):
        pass
    with writer_lock(tmp_path, "other"):
        pass
    holder.kill()  # without a chance to clean up
    holder.communicate()
    with writer_lock(tmp_path, "docs"):
        pass


def test_removed_corpus_leaves_nothing_behind(
    docs: Path, store: Store, embedder: HashEmbedder, quick: Settings
) -> None:
    put(docs, store, embedder, quick, 1)
    folder = store.corpus_directory(store.corpus("docs"))
    with writer_lock(store.directory, "docs"), pytest.raises(CorpusLocked):
        snapshot.remove_corpus(store, "docs")
    snapshot.remove_corpus(store, "docs")
    assert store.corpora() == []
    assert not folder.exists()
    with store.database.reading() as connection:
        for table in ("documents", "chunks", "texts", "vectors", "snapshots", "ingests", "ledger"):
            assert connection.exec_driver_sql(f"select count(*) from {table}").scalar() == 0
    with pytest.raises(CorpusNotFound):
        snapshot.remove_corpus(store, "docs")
