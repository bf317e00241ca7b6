"""The dense index: nearest neighbours of unit vectors by inner product, in FAISS (its only door).

Knows ids, vectors and one file; knows nothing of text, models, snapshots or databases. Small indexes compare
every vector (exact); large ones visit a few of many lists of vectors packed to a byte a dimension (IVF with SQ8),
with the share of true neighbours that this still finds measured when it is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.config import DenseSettings
from ragkit.domain import Ranked
from ragkit.errors import SnapshotError
from ragkit.index.ranking import settled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragkit.domain import ChunkIds, Vectors

    Blocks = Callable[[], Iterable[tuple[ChunkIds, Vectors]]]
    """Gives all ids, ascending, with their vectors, a block at a time; may be called more than once."""

FLAT, IVF = "flat", "ivf-sq8"
TRAINING_POINTS = 40
"""Vectors per list that an IVF index is trained on; FAISS asks for 39."""
RECALL_QUERIES = 200
MANY_IDS = 1000
"""From so many allowed ids on, a bit for every id is quicker to make and to look up than a hash table."""
RETRAIN_SHARE = 0.3
"""An IVF index that grew or shrank by this share since it was trained is trained anew."""


@dataclass(frozen=True, slots=True)
class DenseFacts:
    """What a manifest says of a dense index. `recall_at_10` was measured on `trained_chunks`; 1 when exact."""

    kind: str
    dimension: int
    lists: int = 0
    probes: int = 0
    recall_at_10: float = 1.0
    trained_chunks: int = 0


class FaissIndex:
    """A dense index opened from its file, which stays mapped, not read: opening costs milliseconds."""

    def __init__(self, path: Path, facts: DenseFacts, probes: int = 0) -> None:
        import faiss

        flags = faiss.IO_FLAG_MMAP_IFC if facts.kind == FLAT else faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY
        self._faiss: Any = faiss
        self._index = _read(path, flags)
        self._facts = facts
        self._probes = probes or facts.probes
        if self._index.d != facts.dimension:
            raise SnapshotError(
                f"{path} holds vectors of {self._index.d} dimensions, its manifest says {facts.dimension}",
                "run `ragkit ingest --rebuild`",
            )

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return int(self._index.d)

    def search(self, vector: Vectors, limit: int, allowed: ChunkIds | None = None) -> list[Ranked]:
        """The nearest ids by inner product, best first, ties by id; only `allowed` ones when given."""
        import numpy as np

        query = np.ascontiguousarray(vector, dtype=np.float32).reshape(1, -1)
        if query.shape[1] != self.dimension:
            raise SnapshotError(
                f"the query vector has {query.shape[1]} dimensions, the index {self.dimension}",
                "use the embedder that the corpus was ingested with, or run `ragkit ingest`",
            )
        chosen = None if allowed is None else np.ascontiguousarray(allowed, dtype=np.int64)
        total = len(self) if chosen is None else min(len(self), len(chosen))
        probes = self._probes
        if chosen is not None and 0 < len(chosen) < len(self):
            # The allowed vectors lie thin among the lists: visit so many more.
            probes = min(self._facts.lists, probes * -(-len(self) // len(chosen)))
        found = settled(lambda n: self._nearest(query, n, chosen, probes), limit, total)
        if len(found) < min(limit, total) and probes < self._facts.lists:
            found = settled(lambda n: self._nearest(query, n, chosen, self._facts.lists), limit, total)
        return found

    def _nearest(self, query: Vectors, limit: int, allowed: ChunkIds | None, probes: int) -> list[Ranked]:
        # One query is one thread's work; waking the others only costs, most of all on a busy machine.
        threads = self._faiss.omp_get_max_threads()
        self._faiss.omp_set_num_threads(1)
        try:
            scores, ids = self._index.search(query, limit, params=self._parameters(allowed, probes))
        finally:
            self._faiss.omp_set_num_threads(threads)
        return [Ranked(int(id), float(score)) for id, score in zip(ids[0], scores[0], strict=True) if id >= 0]

    def _parameters(self, allowed: ChunkIds | None, probes: int) -> Any:
        selector = None
        if allowed is not None:
            # A short list is quicker tried one by one than hashed, and a long one looked up bit by bit.
            if len(allowed) > MANY_IDS:
                selector = self._faiss.IDSelectorBitmap(_bits(allowed))
            else:
                kind = self._faiss.IDSelectorArray if len(allowed) < 8 else self._faiss.IDSelectorBatch
                selector = kind(allowed)
        if self._facts.kind == IVF:
            return self._faiss.SearchParametersIVF(sel=selector, nprobe=probes)
        return self._faiss.SearchParameters(sel=selector) if selector is not None else None


def _bits(ids: ChunkIds) -> NDArray[np.uint8]:
    """A bit for every id up to the highest, set for these (ascending); the lowest bit of a byte comes first."""
    import numpy as np

    marks = np.zeros(int(ids[-1]) + 1, dtype=bool)
    marks[ids] = True
    return np.packbits(marks, bitorder="little")


def build(path: Path, blocks: Blocks, chunks: int, dimension: int, settings: DenseSettings) -> DenseFacts:
    """Write an index of all vectors: exact up to `settings.exact_chunks`, IVF with SQ8 above."""
    import faiss

    if chunks <= settings.exact_chunks:
        # The plain id map, not IndexIDMap2: that one builds a hash table of all ids whenever it is opened.
        index: Any = faiss.IndexIDMap(faiss.IndexFlatIP(dimension))
        for ids, vectors in blocks():
            index.add_with_ids(vectors, ids)
        _complete(index, chunks)
        _write(index, path)
        return DenseFacts(FLAT, dimension)
    lists = _lists(chunks)
    index = faiss.index_factory(dimension, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(_sample(blocks, chunks, lists * TRAINING_POINTS))
    for ids, vectors in blocks():
        index.add_with_ids(vectors, ids)
    _complete(index, chunks)
    probes = min(settings.probes, lists)
    recall = _recall(index, blocks, chunks, probes)
    _write(index, path)
    return DenseFacts(IVF, dimension, lists, probes, recall, chunks)


def extend(
    base: Path, facts: DenseFacts, path: Path, removed: ChunkIds, added: Blocks, chunks: int, settings: DenseSettings
) -> DenseFacts | None:
    """Write an IVF index `base` without some ids and with others added; None when it must be built anew."""
    import faiss
    import numpy as np

    grown = abs(chunks - facts.trained_chunks) > RETRAIN_SHARE * facts.trained_chunks
    if facts.kind != IVF or chunks <= settings.exact_chunks or grown:
        return None
    index = _read(base, 0)
    if len(removed):
        index.remove_ids(faiss.IDSelectorBatch(np.ascontiguousarray(removed, dtype=np.int64)))
    for ids, vectors in added():
        index.add_with_ids(vectors, ids)
    if index.ntotal != chunks:
        return None
    _write(index, path)
    return replace(facts, probes=min(settings.probes, facts.lists))


def vectors_of(path: Path, keep: ChunkIds, block: int = 8192) -> Iterable[tuple[ChunkIds, Vectors]]:
    """The vectors of an exact index whose ids are in `keep` (ascending), a block at a time."""
    import faiss
    import numpy as np

    index = _read(path, faiss.IO_FLAG_MMAP_IFC)
    ids: NDArray[np.int64] = faiss.vector_to_array(index.id_map)
    flat = faiss.downcast_index(index.index)
    kept = np.isin(ids, keep)
    for start in range(0, len(ids), block):
        mask = kept[start : start + block]
        if mask.any():
            yield ids[start : start + block][mask], flat.reconstruct_n(start, len(mask))[mask]


def _lists(chunks: int) -> int:
    """About 4 times the square root, a power of two, and never more than there are vectors to train on."""
    lists = 1
    while lists * 2 <= min(4.3 * chunks**0.5, chunks / TRAINING_POINTS):
        lists *= 2
    return lists


def _sample(blocks: Blocks, chunks: int, size: int) -> Vectors:
    """`size` vectors spread evenly over all; the same ones every time."""
    import numpy as np

    step = max(1, chunks // size)
    parts, seen = [], 0
    for _, vectors in blocks():
        parts.append(vectors[(-seen) % step :: step])
        seen += len(vectors)
    return np.ascontiguousarray(np.concatenate(parts))


def _recall(index: Any, blocks: Blocks, chunks: int, probes: int) -> float:
    """Recall@10 of the index against comparing every vector, on vectors of its own as queries."""
    import numpy as np

    queries = _sample(blocks, chunks, RECALL_QUERIES)[:RECALL_QUERIES]
    best_scores = np.full((len(queries), 10), -np.inf, dtype=np.float32)
    best_ids = np.full((len(queries), 10), -1, dtype=np.int64)
    for ids, vectors in blocks():
        scores = np.concatenate([best_scores, queries @ vectors.T], axis=1)
        known = np.concatenate([best_ids, np.broadcast_to(ids, (len(queries), len(ids)))], axis=1)
        top = np.argpartition(-scores, 9, axis=1)[:, :10]
        best_scores = np.take_along_axis(scores, top, axis=1)
        best_ids = np.take_along_axis(known, top, axis=1)
    index.nprobe = probes
    _, found = index.search(queries, 10)
    shares = [
        len(set(got) & set(true) - {-1}) / len(set(true) - {-1}) for got, true in zip(found, best_ids, strict=True)
    ]
    return round(float(np.mean(shares)), 4)


def _complete(index: Any, chunks: int) -> None:
    if index.ntotal != chunks:
        raise SnapshotError(
            f"{chunks} chunks have {index.ntotal} vectors", "run `ragkit ingest` again, then `ragkit doctor`"
        )


def _read(path: Path, flags: int) -> Any:
    import faiss

    try:
        return faiss.read_index(str(path), flags)
    except RuntimeError as error:
        raise SnapshotError(
            f"dense index {path} cannot be read: {_short(error)}", "run `ragkit ingest --rebuild`"
        ) from error


def _write(index: Any, path: Path) -> None:
    import faiss

    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        raise OSError(f"dense index {path} cannot be written: {_short(error)}") from error


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].rpartition("Error: ")[2][:200]
