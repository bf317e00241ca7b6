"""Ingest over real folders: what each file's outcome is, what is published, and what is not done twice."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from ragkit import config
from ragkit.config import Settings
from ragkit.domain import Document, Progress
from ragkit.domain.corpora import IngestReport
from ragkit.embed import NAME_SHARE, open_embedder
from ragkit.errors import (
    CorpusEmpty,
    CorpusError,
    CorpusLocked,
    CorpusNotFound,
    ModelUnsuitable,
    StoreError,
    UsageError,
)
from ragkit.index.lock import writer_lock
from ragkit.index.snapshot import open_snapshot, verify_snapshot
from ragkit.ingest import ingest, ingest_documents
from ragkit.loaders import load
from ragkit.models.prepare import prepare
from ragkit.store import Store
from ragkit.testing import HashEmbedder
from ragkit.units import contents
from tests import toy_models
from tests.loader_samples import pdf

if TYPE_CHECKING:
    from ragkit.domain import Vectors


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Files are read in this process, which is quicker; test_reading_processes.py has the others."""
    return config.replace(settings, {"ingest.workers": -1})


class Corpus:
    """A folder, a store and an embedder; `run` ingests and gives outcomes and reasons by path."""

    def __init__(self, folder: Path, store: Store, settings: Settings) -> None:
        self.folder = folder
        self.store = store
        self.settings = settings
        self.embedder = HashEmbedder()
        self.code_embedder: HashEmbedder | None = None
        self.asked_for_code = 0
        self.report: IngestReport

    def for_code(self) -> HashEmbedder | None:
        self.asked_for_code += 1
        return self.code_embedder

    def run(self, *, rebuild: bool = False, **overrides: object) -> dict[str, str]:
        settings = config.replace(self.settings, {key.replace("__", "."): value for key, value in overrides.items()})
        self.report = ingest(
            [self.folder],
            "docs",
            store=self.store,
            embedder=self.embedder,
            code_embedder=self.for_code,
            settings=settings,
            rebuild=rebuild,
        )
        return {row.path: row.outcome for row in self.report.rows}

    def reason(self, path: str) -> str:
        return next(row.reason for row in self.report.rows if row.path == path)

    def write(self, path: str, text: str | bytes, *, age_seconds: float = 3600) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        now = file.stat().st_mtime_ns - int(age_seconds * 1e9)
        os.utime(file, ns=(now, now))

    def texts(self) -> list[str]:
        record = self.store.current_snapshot("docs")
        return [text for _, text in self.store.chunk_texts(record)]


@pytest.fixture
def corpus(tmp_path: Path, quick: Settings) -> Iterator[Corpus]:
    folder = tmp_path / "docs"
    folder.mkdir()
    with Store(quick.store_directory) as store:
        yield Corpus(folder, store, quick)


# ---------------------------------------------------------------- outcomes


def test_every_file_has_an_outcome_and_a_reason(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("sub/b.txt", "Second text.\n")
    corpus.write("image.png", b"\x89PNG")
    corpus.write("empty.md", "")
    corpus.write("binary.md", bytes(range(256)) * 20)
    corpus.write("broken.pdf", b"%PDF-1.4 nothing of the kind")
    assert corpus.run() == {
        "a.md": "added",
        "sub/b.txt": "added",
        "image.png": "skipped",
        "empty.md": "skipped",
        "binary.md": "skipped",
        "broken.pdf": "failed",
    }
    assert corpus.reason("image.png") == "unknown format .png"
    assert corpus.reason("empty.md") == "empty file"
    assert corpus.reason("broken.pdf")
    assert corpus.report.counts == {"added": 2, "skipped": 3, "failed": 1}
    ingests = corpus.store.ingests("docs")
    assert corpus.store.ledger(ingests[0].id) == list(corpus.report.rows)
    assert (ingests[0].state, ingests[0].snapshot) == ("done", corpus.report.snapshot)
    assert verify_snapshot(corpus.store, "docs", deep=True) == []


MINIFIED = "".join(f"function f{i}(a,b){{var c=a[{i}]||b;return c.map(d=>d.x{i})}}" for i in range(200))


def test_what_holds_nothing_to_search_is_skipped_with_the_reason(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("app.min.js", MINIFIED)
    corpus.write("bundle.js", MINIFIED)
    corpus.write("blob.txt", base64.b64encode(bytes(range(256)) * 40))
    corpus.write("binary.md", b"\x00\x01" * 2_000)
    names = ("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "poetry.lock", "Cargo.lock")
    names += ("Pipfile.lock", "composer.lock", "Gemfile.lock", "go.sum", "uv.lock", "flake.lock")
    for name in names:
        corpus.write(name, '{"lockfileVersion": 3}\n')
    outcomes = corpus.run()
    assert outcomes.pop("a.md") == "added"
    assert set(outcomes.values()) == {"skipped"} and len(outcomes) == 16
    assert corpus.reason("app.min.js") == "minified: its name ends in .min.js"
    assert corpus.reason("bundle.js").startswith("minified: lines of ")
    assert corpus.reason("blob.txt").startswith("no words: nearly all of it is encoded data")
    assert corpus.reason("binary.md") == "binary file"
    assert corpus.reason("package-lock.json") == "lock file: written by npm"
    assert corpus.reason("yarn.lock") == "unknown format .lock"


def test_a_file_included_by_its_name_is_read_whatever_it_holds(corpus: Corpus) -> None:
    """Also one that was skipped before; and what its name rules out is removed when it is no longer asked for."""
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("app.min.js", MINIFIED)
    corpus.write("bundle.js", MINIFIED)
    corpus.write("package-lock.json", '{"lockfileVersion": 3}\n')
    every = ("*.md", "*.js", "*.json")
    skipped = {"app.min.js": "skipped", "bundle.js": "skipped", "package-lock.json": "skipped"}
    assert corpus.run(ingest__include=every) == {"a.md": "added", **skipped}
    outcomes = corpus.run(ingest__include=(*every, "*.min.js", "bundle.js", "package-lock.json"))
    assert outcomes == {"a.md": "unchanged"} | dict.fromkeys(skipped, "added")
    assert corpus.run(ingest__include=every)["app.min.js"] == "removed"
    assert corpus.reason("app.min.js") == "minified: its name ends in .min.js"


def test_files_with_broken_front_matter_are_read_and_told(corpus: Corpus) -> None:
    for at in range(5):
        corpus.write(f"b{at}.md", "---\ntitle: A\nowner: team: docs\n---\nSome text.\n")
    assert corpus.run()["b0.md"] == "added"
    assert "no valid YAML: line 3" in corpus.reason("b0.md")
    told = corpus.report.notices
    assert told[0].startswith("b0.md: front matter is no valid YAML") and told[3].startswith(
        "and so with 2 more files"
    )
    corpus.run()
    assert not corpus.report.notices


def test_unchanged_folder_publishes_nothing_and_reads_nothing(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("empty.md", "")
    corpus.run()
    first, embedded = corpus.report, corpus.embedder.embedded
    (corpus.folder / "a.md").chmod(0)  # of no consequence: it is not opened
    assert corpus.run() == {"a.md": "unchanged", "empty.md": "skipped"}
    assert (corpus.report.snapshot, corpus.report.published) == (first.snapshot, False)
    assert (corpus.report.chunks, corpus.embedder.embedded) == (first.chunks, embedded)
    assert corpus.reason("empty.md") == "empty file"


def test_changed_removed_and_new_files(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("b.md", "# Beta\n\nSecond text.\n")
    corpus.write("c.md", "# Gamma\n\nThird text.\n")
    corpus.run()
    corpus.write("a.md", "# Alpha\n\nOther words.\n")
    (corpus.folder / "b.md").unlink()
    corpus.write("d.md", "# Delta\n\nFourth text.\n")
    assert corpus.run() == {"a.md": "updated", "b.md": "removed", "c.md": "unchanged", "d.md": "added"}
    found = "\n".join(corpus.texts())
    assert "Other words" in found
    assert "First text" not in found
    assert "Second text" not in found
    assert corpus.report.published
    assert corpus.report.embedded == 2


def test_touched_file_is_hashed_and_stays(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.run()
    corpus.write("a.md", "# Alpha\n\nFirst text.\n", age_seconds=60)
    assert corpus.run() == {"a.md": "unchanged"}
    assert not corpus.report.published
    record = corpus.store.document_by_path("docs", "a.md")
    assert record is not None
    assert record.mtime_ns == (corpus.folder / "a.md").stat().st_mtime_ns


def test_change_within_the_clock_tick_of_the_last_ingest_is_seen(corpus: Corpus) -> None:
    """Same size and same time, as happens when a file is written twice within a moment."""
    corpus.write("a.md", "# Alpha\n\nFirst text.\n", age_seconds=0)
    state = (corpus.folder / "a.md").stat()
    corpus.run()
    (corpus.folder / "a.md").write_text("# Alpha\n\nOther text.\n")
    os.utime(corpus.folder / "a.md", ns=(state.st_mtime_ns, state.st_mtime_ns))
    assert corpus.run() == {"a.md": "updated"}


def test_renamed_files_keep_their_vectors(corpus: Corpus) -> None:
    corpus.write("old/a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("b.md", "# Beta\n\nSecond text.\n")
    corpus.run()
    embedded = corpus.embedder.embedded
    (corpus.folder / "old").rename(corpus.folder / "new")
    assert corpus.run() == {"new/a.md": "renamed", "b.md": "unchanged"}
    assert corpus.reason("new/a.md") == "from old/a.md"
    assert corpus.embedder.embedded == embedded
    assert corpus.store.document_by_path("docs", "old/a.md") is None


def test_equal_texts_are_embedded_once(corpus: Corpus) -> None:
    for name in ("a", "b", "c"):
        corpus.write(f"{name}.md", "# Same\n\nThe very same text.\n")
    corpus.run()
    assert corpus.report.chunks == 3 * corpus.embedder.embedded


def test_file_that_becomes_unreadable_keeps_its_earlier_version(corpus: Corpus) -> None:
    corpus.write("a.pdf", pdf(["First text of a page."]))
    corpus.write("b.md", "# Beta\n\nSecond text.\n")
    corpus.run()
    before = corpus.texts()
    corpus.write("a.pdf", b"%PDF-1.4 broken")
    assert corpus.run() == {"a.pdf": "failed", "b.md": "unchanged"}
    assert corpus.reason("a.pdf").endswith("the version ingested before keeps answering")
    assert corpus.texts() == before
    assert corpus.run()["a.pdf"] == "failed"  # tried again each time


def test_file_that_loses_its_text_leaves_the_index(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("b.md", "# Beta\n\nSecond text.\n")
    corpus.run()
    corpus.write("a.md", "")
    assert corpus.run() == {"a.md": "skipped", "b.md": "unchanged"}
    assert corpus.reason("a.md") == "empty file; it is no longer in the index"
    assert "First" not in "".join(corpus.texts())


def test_newly_excluded_file_is_removed_with_the_reason(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("b.md", "# Beta\n\nSecond text.\n")
    corpus.run()
    corpus.write(".ragkitignore", "a.md\n")
    assert corpus.run() == {"a.md": "removed", "b.md": "unchanged"}
    assert corpus.reason("a.md") == "ignored by .ragkitignore"


def test_text_that_no_database_takes_is_still_read(corpus: Corpus) -> None:
    corpus.write("a.txt", "before\udcff after \0 end".encode("utf-8", "surrogatepass"))
    corpus.write("b.md", "# Beta\n\nSecond text.\n")
    assert corpus.run()["b.md"] == "added"
    assert corpus.report.rows[0].outcome in ("added", "skipped", "failed")


# ---------------------------------------------------------------- settings


def test_other_chunk_settings_cut_anew_and_embed_only_new_texts(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nShort.\n")
    corpus.write("b.md", "# Beta\n\n" + " ".join(f"Word{n} stands here." for n in range(60)))
    corpus.run()
    embedded = corpus.embedder.embedded
    assert corpus.run(chunk__size_tokens=64, chunk__overlap_tokens=8) == {"a.md": "updated", "b.md": "updated"}
    assert corpus.reason("a.md") == "settings, embedder or ragkit itself changed"
    assert corpus.report.embedded == corpus.report.chunks - 1  # the text of a.md is the same
    assert corpus.embedder.embedded > embedded
    assert corpus.run(chunk__size_tokens=64, chunk__overlap_tokens=8) == {"a.md": "unchanged", "b.md": "unchanged"}


def test_another_embedder_and_back_again(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.run()
    former, corpus.embedder = corpus.embedder, HashEmbedder(32)
    assert corpus.run() == {"a.md": "updated"}
    assert corpus.report.embedded == corpus.report.chunks
    with open_snapshot(corpus.store, "docs", corpus.settings) as opened:
        opened.require_embedder(corpus.embedder)
    corpus.embedder = former
    corpus.run()
    assert corpus.report.embedded == 0


def test_sentences_are_embedded_with_their_chunk_and_their_vectors_kept(tmp_path: Path, quick: Settings) -> None:
    source = toy_models.save_bi_encoder(tmp_path / "bi")
    made = prepare(f"path:{source}", "embedder", tmp_path / "models", engine="onnx", prefer="fidelity")
    embedder = open_embedder(made.path, threads=1)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Server\n\nRestart the server. The port is a node.\n")
    with Store(quick.store_directory) as store:
        ingest([tmp_path / "docs"], "docs", store=store, embedder=embedder, settings=quick)
        passages = store.passages(store.chunk_ids(store.current_snapshot("docs")))
        found = store.sentence_vectors(embedder.fingerprint, embedder.dimension, [one.id for one in passages])
        assert {id: len(rows) for id, rows in found.items()} == {
            one.id: len(contents(one.chunk.text)) for one in passages
        }


def test_the_vector_of_source_code_leans_towards_the_name_of_its_symbol(corpus: Corpus) -> None:
    corpus.write("shop/cart.py", "def addItem(x):\n    return x\n")
    corpus.write("shop/cart.md", "# Cart\n\nText.\n")
    corpus.run()
    with open_snapshot(corpus.store, "docs", corpus.settings) as opened:
        found = {ranked.id: ranked.score for ranked in opened.dense.search(corpus.embedder.embed(["add item"])[0], 9)}
    texts = dict(corpus.store.chunk_texts(corpus.store.current_snapshot("docs")))
    vectors = {id: corpus.embedder.embed([text])[0] for id, text in texts.items()}
    name = corpus.embedder.embed(["add item"])[0]
    (code,) = [id for id, text in texts.items() if text.startswith("shop cart > add item\n")]
    for id, vector in vectors.items():
        mixed = (1 - NAME_SHARE) * vector + NAME_SHARE * name if id == code else vector
        assert found[id] == pytest.approx(float(name @ (mixed / np.linalg.norm(mixed))), abs=1e-5)


class TurnedEmbedder(HashEmbedder):
    """Vectors of the same length that point elsewhere."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns = turns

    @property
    def fingerprint(self) -> str:
        return f"turned-{self.turns}"

    def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"] = "passage", progress: Progress | None = None
    ) -> Vectors:
        return np.roll(super().embed(texts, kind, progress), self.turns, axis=1)


def test_source_code_is_embedded_by_a_model_of_its_own_and_asked_about_by_the_other(corpus: Corpus) -> None:
    corpus.write("cart.md", "Text.\n")
    corpus.run()
    assert corpus.asked_for_code == 0  # nothing opens a model that nothing needs
    corpus.code_embedder = TurnedEmbedder(1)
    corpus.write("lines.sql", "select the cart\n")
    assert corpus.run() == {"cart.md": "unchanged", "lines.sql": "added"}
    texts = dict(corpus.store.chunk_texts(corpus.store.current_snapshot("docs")))
    (code,) = [id for id, text in texts.items() if "select" in text]
    assert texts[code].startswith("lines\n")
    vector, name = corpus.code_embedder.embed([texts[code], "lines"])
    vector = (1 - NAME_SHARE) * vector + NAME_SHARE * name
    asked = corpus.embedder.embed(["text"])[0]
    with open_snapshot(corpus.store, "docs", corpus.settings) as opened:
        found = {ranked.id: ranked.score for ranked in opened.dense.search(asked, 9)}
    for id, text in texts.items():
        own = vector if id == code else corpus.embedder.embed([text])[0]
        assert found[id] == pytest.approx(float(asked @ (own / np.linalg.norm(own))), abs=1e-5)


def test_another_model_for_source_code_embeds_the_code_anew_and_nothing_else(corpus: Corpus) -> None:
    corpus.write("cart.md", "def add(): pass\n")
    corpus.write("cart.py", "def add(): pass\n")
    corpus.run()
    for code_embedder in (TurnedEmbedder(1), TurnedEmbedder(2), None):
        corpus.code_embedder = code_embedder
        assert corpus.run() == {"cart.md": "unchanged", "cart.py": "updated"}
        assert corpus.report.embedded == 1
        assert corpus.run() == {"cart.md": "unchanged", "cart.py": "unchanged"}


def test_other_index_settings_publish_without_reading_or_embedding(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.run()
    for change in ({"lexical__engine": "tantivy"}, {"lexical__engine": "tantivy", "lexical__language": "none"}):
        assert corpus.run(**change) == {"a.md": "unchanged"}
        assert (corpus.report.published, corpus.report.embedded) == (True, 0)
        corpus.run(**change)
        assert not corpus.report.published


def test_rebuild_reads_everything_and_embeds_nothing(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.run()
    before = corpus.texts()
    assert corpus.run(rebuild=True) == {"a.md": "updated"}
    assert (corpus.reason("a.md"), corpus.report.embedded, corpus.report.published) == ("read anew", 0, True)
    assert corpus.texts() == before


# ---------------------------------------------------------------- folders and corpus.toml


def run(roots: Sequence[Path], name: str, corpus: Corpus) -> list[str]:
    report = ingest(roots, name, store=corpus.store, embedder=corpus.embedder, settings=corpus.settings)
    return [row.path for row in report.rows if row.outcome in ("added", "unchanged", "updated")]


def test_folders_are_remembered_and_refreshed(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.run()
    corpus.write("b.md", "# Beta\n\nSecond text.\n")
    assert run([], "docs", corpus) == ["a.md", "b.md"]
    assert run([], "", corpus) == ["a.md", "b.md"]  # the only corpus


def test_several_folders_keep_their_paths_apart(corpus: Corpus, tmp_path: Path) -> None:
    for folder in ("x/manual", "y/manual", "z"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.md").write_text(f"# {folder}\n\nText of {folder}.\n")
    assert run([tmp_path / "x/manual", tmp_path / "y/manual"], "both", corpus) == ["manual-2/a.md", "manual/a.md"]
    assert run([tmp_path / "z"], "grown", corpus) == ["a.md"]
    assert run([tmp_path / "x/manual"], "grown", corpus) == ["a.md", "manual/a.md"]
    assert run([tmp_path / "z" / "a.md"], "one file", corpus) == ["a.md"]
    record = corpus.store.document_by_path("grown", "manual/a.md")
    assert record is not None
    assert record.file == (tmp_path / "x/manual/a.md").resolve()


def test_the_lexical_index_begins_anew_when_a_fifth_of_it_was_taken_out(corpus: Corpus) -> None:
    for at in range(10):
        corpus.write(f"{at}.md", f"Text number {at} about backups.\n")
    corpus.run()
    removed = []
    for at in range(4):
        corpus.write(f"{at}.md", f"Another text, number {at}.\n", age_seconds=1000)
        corpus.run()
        with open_snapshot(corpus.store, "docs", corpus.settings) as snapshot:
            removed.append(snapshot.manifest.lexical_removed)
    assert removed == [1, 2, 0, 1]


def test_a_file_of_a_folder_that_is_there_already_is_read_once(corpus: Corpus) -> None:
    corpus.write("a.md", "Some text.\n")
    corpus.write("sub/b.md", "Other text.\n")
    corpus.run()
    for inside in (corpus.folder / "a.md", corpus.folder / "sub"):
        again = ingest([inside], "docs", store=corpus.store, embedder=corpus.embedder, settings=corpus.settings)
        assert {row.path: row.outcome for row in again.rows} == {"a.md": "unchanged", "sub/b.md": "unchanged"}


def test_lost_folder_changes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.run()
    corpus.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(CorpusError, match="is gone; nothing was changed"):
        run([], "docs", corpus)
    assert len(corpus.texts()) == 1


def test_nothing_to_read_is_an_error_that_says_why(corpus: Corpus) -> None:
    with pytest.raises(CorpusEmpty, match="holds no files"):
        corpus.run()
    corpus.write("a.png", b"x")
    corpus.write("b.png", b"x")
    with pytest.raises(CorpusEmpty, match=r"2 unknown format .png"):
        corpus.run()
    assert corpus.store.corpora() == []
    corpus.write("empty.md", "")
    with pytest.raises(CorpusEmpty, match="gave any text"):
        corpus.run()


def test_emptied_folder_leaves_the_last_snapshot(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.run()
    (corpus.folder / "a.md").unlink()
    with pytest.raises(CorpusEmpty):
        corpus.run()
    corpus.write("b.md", "")
    with pytest.raises(CorpusEmpty, match="snapshot 000001 keeps answering"):
        corpus.run()
    assert len(corpus.texts()) == 1
    corpus.write("b.md", "# Beta\n\nSecond text.\n")
    assert corpus.run() == {"a.md": "removed", "b.md": "added"} or corpus.run() == {"b.md": "unchanged"}
    assert "Second" in "".join(corpus.texts())


def test_corpus_is_named_after_its_folder_or_file(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "python3.11-doc").mkdir()
    (tmp_path / "python3.11-doc" / "guide.md").write_text("# Guide\n\nText.\n")
    run([tmp_path / "python3.11-doc"], "", corpus)
    run([tmp_path / "python3.11-doc" / "guide.md"], "", corpus)
    assert [one.name for one in corpus.store.corpora()] == ["guide", "python3.11-doc"]


def test_unknown_path_and_unknown_corpus(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere does not exist"):
        run([tmp_path / "nowhere"], "docs", corpus)
    with pytest.raises(CorpusNotFound):
        run([], "docs", corpus)


def test_corpus_file_names_and_describes_the_corpus(corpus: Corpus) -> None:
    corpus.write(
        "corpus.toml",
        '[corpus]\nname = "handbook"\nlicence = "MIT"\nbase_url = "https://x/"\nroot = "pages"\n'
        'include = ["*.md"]\nexclude = ["drafts/"]\n',
    )
    corpus.write("pages/a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("pages/b.txt", "Second text.\n")
    corpus.write("pages/drafts/c.md", "# Draft\n\nThird text.\n")
    corpus.write("outside.md", "# Outside\n\nFourth text.\n")
    assert run([corpus.folder], "", corpus) == ["a.md"]
    record = corpus.store.corpus("handbook")
    assert record.about == {"licence": "MIT", "base_url": "https://x/"}
    corpus.write("pages/drafts/d.md", "# Draft\n\nFifth text.\n")
    assert run([], "handbook", corpus) == ["a.md"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('root = "../.."', "leads out of it"),
        ('root = "/etc"', "leads out of it"),
        ('root = "nowhere"', "is not a folder"),
        ('colour = "red"', "unknown key corpus.colour"),
        ('include = "*.md"', "must be a list of strings"),
        ("name = 3", "must be a string"),
        ("name", "cannot be read"),
    ],
)
def test_wrong_corpus_file_is_reported(corpus: Corpus, table: str, message: str) -> None:
    corpus.write("corpus.toml", f"[corpus]\n{table}\n")
    with pytest.raises(UsageError, match=message):
        run([corpus.folder], "docs", corpus)


def test_store_within_the_folder_is_not_ingested(corpus: Corpus, quick: Settings) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    with Store(corpus.folder / "indices") as store:
        for _ in range(2):
            report = ingest([corpus.folder], "docs", store=store, embedder=corpus.embedder, settings=quick)
    assert {row.path for row in report.rows} == {"a.md", "indices/"}


# ---------------------------------------------------------------- trouble


def test_second_ingest_of_a_corpus_is_refused(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    with writer_lock(corpus.store.directory, "docs"), pytest.raises(CorpusLocked, match="corpus docs"):
        corpus.run()
    assert corpus.run() == {"a.md": "added"}


class FailingEmbedder(HashEmbedder):
    """Raises after some texts, or gives what is not a number."""

    error: BaseException | None = None

    def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"] = "passage", progress: Progress | None = None
    ) -> Vectors:
        if self.error is not None:
            raise self.error
        return super().embed(texts, kind, progress) * np.float32(np.nan)


class Plain:
    """An embedder without a tokenizer."""

    fingerprint = "plain"


def test_embedder_that_gives_no_numbers_is_refused(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.embedder = FailingEmbedder()
    with pytest.raises(ModelUnsuitable, match="not finite"):
        corpus.run()
    with pytest.raises(ModelUnsuitable, match="no tokenizer"):
        ingest([corpus.folder], "docs", store=corpus.store, embedder=Plain(), settings=corpus.settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "raised", "state"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, "interrupted"),
        (RuntimeError("broken"), RuntimeError, "failed"),
        (OSError(28, "No space left on device"), StoreError, "failed"),
    ],
)
def test_ingest_that_stops_halfway_is_taken_up_again(
    corpus: Corpus, error: BaseException, raised: type[BaseException], state: str
) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    corpus.write("b.md", "# Beta\n\nSecond text.\n")
    corpus.run()
    corpus.write("a.md", "# Alpha\n\nOther words.\n")
    corpus.write("c.md", "# Gamma\n\nThird text.\n")
    sound, corpus.embedder = corpus.embedder, FailingEmbedder()
    corpus.embedder.error = error
    with pytest.raises(raised):
        corpus.run()
    assert "First text" in "".join(corpus.texts())
    assert corpus.store.ingests("docs")[0].state == state
    assert corpus.store.status("docs").unfinished
    corpus.embedder = sound
    assert corpus.run() == {"a.md": "updated", "b.md": "unchanged", "c.md": "added"}
    assert corpus.reason("c.md") == "read by an ingest that was interrupted"
    assert not corpus.store.status("docs").unfinished
    assert sorted(text.splitlines()[-1] for text in corpus.texts()) == ["Other words.", "Second text.", "Third text."]


# ---------------------------------------------------------------- documents without files


def test_documents_without_files_replace_what_was_there(corpus: Corpus) -> None:
    def give(**texts: str) -> dict[str, str]:
        documents = [load(text.encode(), f"{name}.md") for name, text in texts.items()]
        report = ingest_documents(
            documents, "beir", store=corpus.store, embedder=corpus.embedder, settings=corpus.settings
        )
        return {row.path: row.outcome for row in report.rows}

    assert give(a="# A\n\nOne.", b="# B\n\nTwo.") == {"a.md": "added", "b.md": "added"}
    assert give(a="# A\n\nOne.", b="# B\n\nTwo!") == {"a.md": "unchanged", "b.md": "updated"}
    assert give(b="# B\n\nTwo!") == {"a.md": "removed", "b.md": "unchanged"}
    with pytest.raises(UsageError, match="no folder to read"):
        run([], "beir", corpus)
    with pytest.raises(CorpusEmpty):
        give()
    same = [Document("a.md", "x", "text"), Document("a.md", "y", "text")]
    with pytest.raises(UsageError, match="share paths"):
        ingest_documents(same, "beir", store=corpus.store, embedder=corpus.embedder, settings=corpus.settings)


def test_progress_is_told(corpus: Corpus) -> None:
    corpus.write("a.md", "# Alpha\n\nFirst text.\n")
    told: list[tuple[str, int, int]] = []
    ingest(
        [corpus.folder],
        "docs",
        store=corpus.store,
        embedder=corpus.embedder,
        settings=corpus.settings,
        progress=lambda what, done, total: told.append((what, done, total)),
    )
    assert told == [
        ("scan", 0, 0),
        ("read", 1, 1),
        ("embed", 0, 1),
        ("embed", 1, 1),
        ("publish", 0, 1),
        ("publish", 1, 1),
    ]
