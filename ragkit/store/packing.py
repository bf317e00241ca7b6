"""Vectors as bytes: one byte a number, for those that are only compared, never searched.

Knows arrays; knows nothing of tables. A row keeps its direction and loses its length: the cosine with the row that
was packed stays above .999 from 64 dimensions on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragkit.domain import Vectors


def pack(vectors: Vectors) -> bytes:
    """Rows of `vectors`, shape (n, dimension), as signed bytes, each scaled so that its largest number is 127."""
    import numpy as np

    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    return np.rint(vectors * (127.0 / np.where(largest == 0, 1.0, largest))).astype(np.int8).tobytes()


def unpack(packed: bytes, dimension: int) -> Vectors:
    """Unit rows, float32 of shape (n, dimension); a row of zeros stays one."""
    import numpy as np

    rows = np.frombuffer(packed, dtype=np.int8).reshape(-1, dimension).astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows /= np.where(norms == 0, 1.0, norms)
    return rows
