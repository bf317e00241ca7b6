"""Vectors of documents: the mean of their passages', so that a search also asks what the whole document is about.

Knows chunk and document ids, vectors and one folder; knows nothing of text, fusion or databases. Documents of one
passage have none: it would say the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ragkit.errors import SnapshotError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragkit.domain import ChunkIds, Vectors

    Blocks: TypeAlias = Callable[[int], Iterable[tuple[ChunkIds, Vectors]]]
    """Gives the chunks whose ids lie above one, ascending, with their vectors, a block at a time."""

VECTORS_FILE, DOCUMENTS_FILE, CHUNKS_FILE = "vectors.npy", "documents.npy", "chunks.npy"
FULL_CHUNKS = 50
"""A longer document's mean says less of any one passage: its share falls with the length."""


class DocumentVectors:
    """The vectors of one snapshot's documents; none when its folder was written before there were any."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def near(self, vector: Vectors, ids: Sequence[int]) -> dict[int, tuple[float, float]]:
        """Of each of these chunks whose document has a vector: how much it says of the chunk, in (0, 1], and its
        cosine with `vector`, of shape (dimension,)."""
        import numpy as np

        held = self._held
        if held is None or not len(held.chunks) or not ids:
            return {}
        wanted = np.asarray(ids, dtype=np.int64)
        places = np.minimum(np.searchsorted(held.chunks[:, 0], wanted), len(held.chunks) - 1)
        known = held.chunks[places, 0] == wanted
        rows, back = np.unique(held.chunks[places[known], 1], return_inverse=True)
        cosines = held.vectors[rows].astype(np.float32) @ vector
        shares = np.minimum(1.0, FULL_CHUNKS / held.documents[rows, 1])
        return {
            id: (float(shares[row]), float(cosines[row]))
            for id, row in zip(wanted[known].tolist(), back.tolist(), strict=True)
        }

    @cached_property
    def _held(self) -> _Held | None:
        return _read(self._directory) if (self._directory / VECTORS_FILE).is_file() else None


@dataclass(frozen=True, slots=True)
class _Held:
    """`vectors`: float16, a row a document, of length 1. `documents`: their ids and how many chunks each has.
    `chunks`: their ids, ascending, and the row of the document of each."""

    vectors: NDArray[np.float16]
    documents: NDArray[np.int64]
    chunks: NDArray[np.int64]


def _read(directory: Path) -> _Held:
    import numpy as np

    try:
        parts = [
            np.load(directory / name, mmap_mode="r", allow_pickle=False)
            for name in (VECTORS_FILE, DOCUMENTS_FILE, CHUNKS_FILE)
        ]
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{directory} cannot be read: {error}", "run `ragkit ingest --rebuild`") from error
    return _Held(*parts)


def write(
    directory: Path,
    base: Path | None,
    chunks: tuple[ChunkIds, ChunkIds],
    blocks: Blocks,
    dimension: int,
    apart: Iterable[int] = (),
) -> None:
    """Write the vectors of documents into `directory`, which is made.

    `chunks` are the ids of all chunks, ascending, and the document of each; `blocks` gives their vectors. Documents
    `apart` get none. What `base`, the folder of an earlier snapshot with the same embedder, has is taken from there.
    """
    import numpy as np

    ids, owners = chunks
    documents, rows, counts = np.unique(owners, return_inverse=True, return_counts=True)
    wanted = (counts > 1) & ~np.isin(documents, np.asarray(list(apart), dtype=np.int64))
    row_of = np.where(wanted, np.cumsum(wanted) - 1, -1)[rows] if len(documents) else rows
    table = np.stack([documents[wanted], counts[wanted]], axis=1).astype(np.int64)
    vectors = np.zeros((len(table), dimension), dtype=np.float32)
    known = _known(base, table, vectors)
    unread = ids[(row_of >= 0) & ~known[row_of]] if len(table) else ids[:0]
    if len(unread):
        for given, block in blocks(int(unread[0]) - 1):
            at = row_of[np.searchsorted(ids, given)]
            use = (at >= 0) & ~known[at]
            np.add.at(vectors, at[use], block[use])
    vectors[~known] /= np.linalg.norm(vectors[~known], axis=1, keepdims=True) + 1e-9
    directory.mkdir(parents=True, exist_ok=True)
    inside = row_of >= 0
    np.save(directory / VECTORS_FILE, vectors.astype(np.float16), allow_pickle=False)
    np.save(directory / DOCUMENTS_FILE, table, allow_pickle=False)
    np.save(
        directory / CHUNKS_FILE, np.stack([ids[inside], row_of[inside]], axis=1).astype(np.int64), allow_pickle=False
    )


def _known(base: Path | None, table: NDArray[np.int64], vectors: Vectors) -> NDArray[np.bool_]:
    """Fill in the vectors of documents that the base has with as many chunks; which those are."""
    import numpy as np

    known: NDArray[np.bool_] = np.zeros(len(table), dtype=bool)
    if base is None or not (base / VECTORS_FILE).is_file() or not len(table):
        return known
    held = _read(base)
    if held.vectors.shape[1] != vectors.shape[1] or not len(held.documents):
        return known
    at = np.minimum(np.searchsorted(held.documents[:, 0], table[:, 0]), len(held.documents) - 1)
    known = (held.documents[at] == table).all(axis=1)
    vectors[known] = held.vectors[at[known]]
    return known
