"""Embedders compared over the same questions: each with an index of its own, kept, and forecast before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ragkit import Engine
from ragkit.config import Settings
from ragkit.domain import Document
from ragkit.errors import DatasetError
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
    assert said[0].startswith("hash-256: about ")
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
