"""Embedders compared over the same questions: each with an index of its own, kept, and forecast before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ragkit import Engine, config
from ragkit.config import Settings
from ragkit.domain import Document
from ragkit.errors import CorpusError, DatasetError
from ragkit.evaluation import datasets
from ragkit.evaluation.datasets import Dataset
from ragkit.evaluation.embedders import compare, to_json, to_table
from ragkit.testing import HashEmbedder


class Named(HashEmbedder):
    """A hash embedder that is found by the name in the settings: hash-64 has 64 dimensions."""

    def __init__(self, name: str) -> None:
        super().__init__(int(name.rpartition("-")[2]))


@pytest.fixture
def open_engine() -> Callable[[Settings], Engine]:
    return lambda settings: Engine(settings, embedder=Named(settings.embed.model))


@pytest.fixture
def questions(tmp_path: Path) -> Dataset:
    rows = [
        {"id": "1", "question": "How do I restore a backup?", "relevant": [{"path": "backup.md"}]},
        {"id": "2", "question": "Which port does the web interface use?", "relevant": [{"path": "guide/ports.md"}]},
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return datasets.load(file)


def test_each_embedder_has_its_own_index_and_is_compared_with_the_first(
    settings: Settings, docs: Path, questions: Dataset, open_engine: Callable[[Settings], Engine]
) -> None:
    with Engine(settings, embedder=Named("hash-64")) as engine:
        engine.ingest([docs], corpus="docs")
    said: list[str] = []
    names = ["hash-64", "hash-256"]
    found = compare(names, questions, settings, open_engine, said.append, corpus="docs", rerank=False)
    assert [(one.embedder, one.corpus, one.dimension) for one in found] == [
        ("hash-64", "docs", 64),
        ("hash-256", "docs-hash-256", 256),
    ]
    assert len(said) == 1
    assert said[0].startswith("hash-256: about 0 s to embed 2 texts, at ")
    shown = to_json(found)
    rows = shown["embedders"]
    assert rows[0]["difference"] is None  # type: ignore[index,call-overload]
    assert {"mean", "low", "high", "p"} == set(rows[1]["difference"])  # type: ignore[index,call-overload,arg-type]
    assert "against hash-64" in to_table(found)
    assert to_table(found, markdown=True).count("\n|") == 4

    compare(names, questions, settings, open_engine, said.append, corpus="docs", rerank=False)
    assert len(said) == 1, "what is embedded already is not forecast again"


def test_a_corpus_without_folders_cannot_be_embedded_anew(
    settings: Settings, questions: Dataset, open_engine: Callable[[Settings], Engine]
) -> None:
    with Engine(settings, embedder=Named("hash-64")) as engine:
        engine.ingest_documents([Document("backup.md", "Restore a backup.", "text")], corpus="made")
    with pytest.raises(DatasetError, match="was made of no folder"):
        compare(["hash-64", "hash-256"], questions, settings, open_engine, print, corpus="made")


def paths(settings: Settings, corpus: str) -> list[str]:
    with Engine(settings) as engine:
        return [one.path for one in engine.store.documents(engine.store.current_snapshot(corpus))]


def test_every_embedder_searches_the_very_documents_that_were_ingested(
    settings: Settings, docs: Path, questions: Dataset, open_engine: Callable[[Settings], Engine]
) -> None:
    narrow = config.replace(settings, {"ingest.include": ["backup.md"]})
    with Engine(narrow, embedder=Named("hash-64")) as engine:
        engine.ingest([docs], corpus="docs")
    (docs / "new.md").write_text("# New\n\nIt came later.\n", encoding="utf-8")
    compare(["hash-64", "hash-256"], questions, settings, open_engine, print, corpus="docs")
    assert paths(settings, "docs-hash-256") == paths(settings, "docs") == ["backup.md"]


def test_documents_that_changed_since_are_not_compared(
    settings: Settings, docs: Path, questions: Dataset, open_engine: Callable[[Settings], Engine]
) -> None:
    with Engine(settings, embedder=Named("hash-64")) as engine:
        engine.ingest([docs], corpus="docs")
    (docs / "backup.md").write_text("# Backups\n\nThere are none.\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"1 of 2 documents of corpus docs are not what was ingested: backup\.md"):
        compare(["hash-64", "hash-256"], questions, settings, open_engine, print, corpus="docs")


def test_one_embedder_alone_has_its_index_made_too(
    settings: Settings, docs: Path, questions: Dataset, open_engine: Callable[[Settings], Engine]
) -> None:
    with Engine(settings, embedder=Named("hash-64")) as engine:
        engine.ingest([docs], corpus="docs")
    (found,) = compare(["hash-256"], questions, settings, open_engine, print, corpus="docs")
    assert found.corpus == "docs-hash-256"
    assert found.report.metrics["Recall@5"].mean == 1.0


def test_of_a_beir_set_the_chunks_are_forecast_that_are_not_embedded_yet(
    settings: Settings, tmp_path: Path, open_engine: Callable[[Settings], Engine]
) -> None:
    parts = [" ".join(f"word{part}x{at}" for at in range(200)) + "." for part in range(4)]
    rows = [{"_id": "d1", "text": "\n\n".join(parts)}, {"_id": "d2", "text": "Ports."}]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "word1x7"}\n')
    (tmp_path / "qrels.tsv").write_text("q\td1\t1\n")
    data, said = datasets.load(tmp_path), list[str]()
    with Engine(settings, embedder=Named("hash-64")) as engine:
        chunks = engine.ingest_documents(data.documents(), corpus="the same texts").chunks
    assert chunks > 2
    compare(["hash-64", "hash-256"], data, settings, open_engine, said.append)
    assert [line.split(", at")[0] for line in said] == [f"hash-256: about 0 s to embed {chunks} texts"]
