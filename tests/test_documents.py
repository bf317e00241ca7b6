"""Vectors of documents: what is written, what an earlier snapshot lends, and what they do to a search."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit import Engine, Settings, config
from ragkit.config import RetrieveSettings
from ragkit.domain import Ranked
from ragkit.index.documents import FULL_CHUNKS, DocumentVectors, write
from ragkit.retrieve import retrieve
from ragkit.testing import HashEmbedder

DIMENSION = 8


class Chunks:
    """Random unit vectors of chunks, and how often each was read."""

    def __init__(self, owners: list[int], seed: int = 0) -> None:
        self.owners = np.asarray(owners, dtype=np.int64)
        self.ids = np.arange(1, len(owners) + 1, dtype=np.int64)
        drawn = np.random.default_rng(seed).normal(size=(len(owners), DIMENSION)).astype(np.float32)
        self.vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        self.read = 0

    def blocks(self, after: int = 0) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        later = self.ids > after
        self.read += int(later.sum())
        for start in range(0, int(later.sum()), 3):
            yield self.ids[later][start : start + 3], self.vectors[later][start : start + 3]

    def write(self, folder: Path, base: Path | None = None, apart: Iterable[int] = ()) -> DocumentVectors:
        write(folder, base, (self.ids, self.owners), self.blocks, DIMENSION, apart)
        return DocumentVectors(folder)

    def expected(self, document: int) -> np.ndarray:
        mean = self.vectors[self.owners == document].mean(axis=0)
        unit: np.ndarray = mean / np.linalg.norm(mean)
        return unit


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.sets(st.integers(1, 5)))
def test_every_chunk_of_a_document_of_several_is_told_its_mean(
    tmp_path_factory: pytest.TempPathFactory, owners: list[int], apart: set[int]
) -> None:
    chunks = Chunks(owners)
    query = chunks.vectors[0]
    near = chunks.write(tmp_path_factory.mktemp("d") / "documents", apart=apart).near(query, chunks.ids.tolist())
    several = [at + 1 for at, owner in enumerate(owners) if owners.count(owner) > 1 and owner not in apart]
    assert sorted(near) == several
    for id, (share, cosine) in near.items():
        assert share == 1.0
        assert cosine == pytest.approx(float(chunks.expected(owners[id - 1]) @ query), abs=2e-3)


def test_a_long_document_says_less_of_each_of_its_passages(tmp_path: Path) -> None:
    chunks = Chunks([1] * (4 * FULL_CHUNKS) + [2, 2])
    near = chunks.write(tmp_path / "documents").near(chunks.vectors[0], [1, 4 * FULL_CHUNKS + 1, 999])
    assert {id: share for id, (share, _) in near.items()} == {1: 0.25, 4 * FULL_CHUNKS + 1: 1.0}


def test_what_an_earlier_snapshot_has_is_not_read_again(tmp_path: Path) -> None:
    Chunks([1, 1, 2, 2]).write(tmp_path / "one")
    grown = Chunks([1, 1, 2, 2, 3, 3])
    grown.vectors[:4] = Chunks([1, 1, 2, 2]).vectors
    found = grown.write(tmp_path / "two", tmp_path / "one").near(grown.vectors[0], [1, 3, 5])
    assert grown.read == 2
    again = grown.write(tmp_path / "three").near(grown.vectors[0], [1, 3, 5])
    assert found == again
    # A document that has lost a passage is counted anew.
    grown.ids, grown.owners, grown.vectors = grown.ids[1:], np.array([9, 2, 2, 3, 3]), grown.vectors[1:]
    assert sorted(grown.write(tmp_path / "four", tmp_path / "two").near(grown.vectors[0], [2, 3, 4])) == [3, 4]


def test_a_snapshot_of_an_earlier_ragkit_has_none(tmp_path: Path) -> None:
    assert DocumentVectors(tmp_path / "absent").near(np.ones(DIMENSION, dtype=np.float32), [1, 2]) == {}


class Found:
    """A dense index, and documents, that find what they are told."""

    def __init__(self, scores: dict[int, float], documents: dict[int, tuple[float, float]]) -> None:
        self.scores, self.documents = scores, documents

    def search(self, vector: object, limit: int, allowed: object = None) -> list[Ranked]:
        return [Ranked(id, score) for id, score in self.scores.items()][:limit]

    def near(self, vector: object, ids: list[int]) -> dict[int, tuple[float, float]]:
        return {id: self.documents[id] for id in ids if id in self.documents}


def test_a_document_that_is_about_the_question_lifts_its_passages_and_the_stages_tell() -> None:
    index = Found({1: 0.60, 2: 0.59, 3: 0.58}, {1: (1.0, 0.1), 2: (1.0, 0.9), 3: (0.1, 0.9)})
    settings = RetrieveSettings(mode="dense", document_share=0.3)
    found = retrieve("any", index, None, HashEmbedder(8), settings, documents=index)  # type: ignore[arg-type]
    assert [(one.id, round(one.score, 3)) for one in found.ranked] == [(2, 0.683), (3, 0.59), (1, 0.45)]
    told = {stage.stage: (stage.rank, stage.score) for stage in found.stages[2]}
    assert told == {"dense": (2, 0.59), "document": (1, 0.9)}
    without = retrieve("any", index, None, HashEmbedder(8), settings)  # type: ignore[arg-type]
    assert [one.id for one in without.ranked] == [1, 2, 3]
    assert [stage.stage for stage in without.stages[2]] == ["dense"]


def test_a_search_asks_documents_unless_the_setting_is_nothing(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("apples", "pears"):
        parts = "\n\n".join(f"## Part {n}\n\n" + f"All about {name} and number {n}. " * 30 for n in range(3))
        (docs / f"{name}.md").write_text(f"# {name}\n\n{parts}")
    (docs / "code.py").write_text("\n\n".join(f"def f{n}():\n    return {n}\n" + "    # so\n" * 90 for n in range(3)))
    settings = config.replace(Settings(), {"store.directory": str(tmp_path / "store"), "rerank.model": "none"})
    with Engine(settings, embedder=HashEmbedder(32)) as engine:
        engine.ingest([docs], corpus="docs")
        found = engine.search("pears number 2", limit=20)
    told = {hit.passage.path: {stage.stage for stage in hit.stages} for hit in found.hits}
    document = {hit.passage.path for hit in found.hits for s in hit.stages if s.stage == "document" and s.score}
    assert document == {"apples.md", "pears.md"} <= set(told)
    with Engine(config.replace(settings, {"retrieve.document_share": 0}), embedder=HashEmbedder(32)) as engine:
        hits = engine.search("pears number 2", limit=20).hits
    assert {stage.stage for hit in hits for stage in hit.stages} == {"dense", "lexical"}
