"""Near-duplicate chunks of a snapshot: the same text again, as a copied page, a repeated notice or a licence has it.

Knows ids, texts and one folder; knows nothing of documents, scores or databases.

Two chunks are near-duplicates when their shingles of five words have a Jaccard similarity of `SAME` or more, and
the same words with digits in them: pages of two versions that differ in a number say different things. Candidates
are found by MinHash (Broder, "On the resemblance and containment of documents", 1997) with banding, and each is then
compared word for word. That is two short functions over numpy and 0.3 ms a chunk, so no library is used: one would
bring the signatures, but neither the comparison nor the reuse. A signature ends with a hash of the words that have
digits, so that the pages of a template, alike but for a number, are not compared each with each. Signatures are kept,
so that an ingest of one file makes those of that file's chunks only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.errors import SnapshotError
from ragkit.text import fold, shingles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragkit.domain import ChunkIds

    Signatures = NDArray[np.uint32]

BOILERPLATE_COPIES, BOILERPLATE_SHARE = 5, 0.1
"""A passage that stands so often, and in such a share of the documents, is a menu, a notice, a table of contents."""
SHINGLE = 5
"""Words in a row."""
SAME = 0.9
MIN_WORDS = 20
"""Shorter chunks are left alone: under another heading, the same few words say something else."""
BANDS, ROWS = 12, 6
"""A pair at similarity .9 shares a band with probability .9999, one at .5 with .17."""
GROUPS_FILE = "groups.json"
SIGNATURES_FILE = "signatures-2.npz"
"""To be renamed when signatures of the same text change: those of another name are not reused."""
_DIGITS = re.compile(r"\S*\d\S*")


class Duplicates:
    """The groups of near-duplicates of one snapshot; none when its folder was written before they were looked for."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / GROUPS_FILE
        self._groups: tuple[tuple[int, ...], ...] | None = None
        self._group_of: dict[int, int] | None = None

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Ids of the chunks of each group, ascending, two or more; read when first asked for."""
        if self._groups is None:
            try:
                table = json.loads(self._path.read_text(encoding="utf-8")) if self._path.is_file() else []
                self._groups = tuple(tuple(int(id) for id in group) for group in table)
            except (OSError, ValueError, TypeError) as error:
                raise SnapshotError(
                    f"{self._path} cannot be read: {error}", "run `ragkit ingest --rebuild`"
                ) from error
        return self._groups

    @property
    def group_of(self) -> dict[int, int]:
        """The number of the group that each of its chunks belongs to."""
        if self._group_of is None:
            self._group_of = {id: number for number, members in enumerate(self.groups) for id in members}
        return self._group_of

    def boilerplate(self, documents: int) -> frozenset[int]:
        """The chunks that tell nothing of their document, for many of all the `documents` have them."""
        least = max(BOILERPLATE_COPIES, BOILERPLATE_SHARE * documents)
        return frozenset(id for members in self.groups if len(members) >= least for id in members)


def write(
    directory: Path,
    base: Path | None,
    ids: ChunkIds,
    new: Iterable[tuple[int, str]],
    texts: Callable[[Sequence[int]], Mapping[int, str]],
) -> None:
    """Find the near-duplicates among `ids` and write them into `directory`, which is made.

    `base` is the folder of an earlier snapshot, whose signatures serve for the chunks that it had; `new` gives id and
    text of all others, and `texts` the texts of some.
    """
    import numpy as np

    directory.mkdir(parents=True, exist_ok=True)
    known_ids, known = _read(base) if base is not None else (ids[:0], None)
    made = [(id, signature(text)) for id, text in new]
    rows = {id: row for id, row in made if row is not None}
    if known is not None:
        kept = np.isin(known_ids, ids)
        rows |= {int(id): row for id, row in zip(known_ids[kept], known[kept], strict=True)}
    order = sorted(rows)
    table = np.stack([rows[id] for id in order]) if order else np.zeros((0, BANDS * ROWS + 1), dtype=np.uint32)
    np.savez(directory / SIGNATURES_FILE, ids=np.asarray(order, dtype=np.int64), signatures=table)
    groups = group(order, table, texts)
    (directory / GROUPS_FILE).write_text(json.dumps(groups), encoding="utf-8")


def group(
    ids: Sequence[int], signatures: Signatures, texts: Callable[[Sequence[int]], Mapping[int, str]]
) -> list[list[int]]:
    """Groups of near-duplicates, each around its first id, in the order of the ids."""
    first_with: dict[tuple[int, bytes, int], list[int]] = {}
    group_of: dict[int, list[int]] = {}

    @lru_cache(maxsize=4096)
    def shown(id: int) -> tuple[frozenset[str], frozenset[str]]:
        return _shingled(texts([id])[id])

    for id, row in zip(ids, signatures, strict=True):
        digits = int(row[-1])
        keys = [(band, row[band * ROWS : (band + 1) * ROWS].tobytes(), digits) for band in range(BANDS)]
        candidates = dict.fromkeys(first for key in keys for first in first_with.get(key, ()))
        for first in candidates:
            if _same(shown(first), shown(id)):
                group_of.setdefault(first, [first]).append(id)
                break
        else:
            for key in keys:
                first_with.setdefault(key, []).append(id)
    return list(group_of.values())


def signature(text: str) -> Signatures | None:
    """MinHash values of a text, `BANDS` times `ROWS` of them, and a hash of its words with digits; None when it is
    too short to be called a duplicate."""
    import numpy as np

    words = fold(text).split()
    if len(words) < MIN_WORDS:
        return None
    hashes = np.fromiter((_word_hash(word) for word in words), dtype=np.uint64, count=len(words))
    runs = np.zeros(len(words) - SHINGLE + 1, dtype=np.uint64)
    for at in range(SHINGLE):  # the place of a word in its shingle counts
        runs = runs * np.uint64(0x9E3779B97F4A7C15) + hashes[at : at + len(runs)]
    factors, offsets = _permutations()
    values: Signatures = ((runs[:, None] * factors + offsets) >> np.uint64(32)).min(axis=0).astype(np.uint32)
    digits = _word_hash(" ".join(sorted(_with_digits(words)))) & 0xFFFFFFFF
    return np.append(values, np.uint32(digits))


@lru_cache(maxsize=200_000)
def _word_hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=1)
def _permutations() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Odd factors and offsets of multiply-shift hashing, the same ones everywhere."""
    import numpy as np

    drawn = np.random.Generator(np.random.PCG64(20_241_122)).integers(
        0, 2**63, size=(2, BANDS * ROWS), dtype=np.uint64
    )
    return drawn[0] * np.uint64(2) + np.uint64(1), drawn[1]


def _shingled(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The shingles of a text, and its words with digits."""
    return shingles(text, SHINGLE), _with_digits(fold(text).split())


def _with_digits(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word for word in words if _DIGITS.fullmatch(word))


def _same(one: tuple[frozenset[str], frozenset[str]], two: tuple[frozenset[str], frozenset[str]]) -> bool:
    shared = len(one[0] & two[0])
    return one[1] == two[1] and shared >= SAME * (len(one[0]) + len(two[0]) - shared)


def _read(directory: Path) -> tuple[ChunkIds, Signatures]:
    import numpy as np

    path = directory / SIGNATURES_FILE
    try:
        with np.load(path, allow_pickle=False) as saved:
            return saved["ids"], saved["signatures"]
    except (OSError, ValueError, KeyError) as error:
        raise SnapshotError(f"{path} cannot be read: {error}", "run `ragkit ingest --rebuild`") from error
