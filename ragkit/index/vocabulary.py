"""The vocabulary of a snapshot: its words as they are spelled, by which a misspelt query is corrected.

Knows words, how many chunks hold each, and one file; knows nothing of queries, analysed terms or databases. A
door of rapidfuzz. The file is read when a word is first asked about, which is when a query has one that no chunk
holds: other searches never pay for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ragkit.errors import SnapshotError
from ragkit.index import tally

# Whole words of letters: parts of identifiers, of versions and of encoded data are no words that a query misspells.
_WORD = re.compile(r"(?<![\w])[^\W\d_]{3,30}(?![\w])")


class Vocabulary:
    """The words of one snapshot; empty when its folder was written before there was a vocabulary."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_length: dict[int, dict[str, int]] | None = None

    def near(self, word: str, edits: int) -> dict[str, tuple[int, int]]:
        """Words within so many edits (insert, delete, replace, swap neighbours), with edits and chunks of each.

        `word` is case-folded, as the words are. The distance is that of optimal string alignment.
        """
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        if self._by_length is None:
            self._by_length = self._read()
        found: dict[str, tuple[int, int]] = {}
        for length in range(len(word) - edits, len(word) + edits + 1):
            words = self._by_length.get(length, {})
            near = process.extract(word, words.keys(), scorer=OSA.distance, score_cutoff=edits, limit=None)
            found.update((other, (int(distance), words[other])) for other, distance, _ in near)
        return found

    def _read(self) -> dict[int, dict[str, int]]:
        table: dict[int, dict[str, int]] = {}
        try:
            for (word,), chunks in tally.read(self._path, 1).items():
                table.setdefault(len(word), {})[word] = chunks
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{self._path} cannot be read: {error}", "run `ragkit ingest --rebuild`") from error
        return table


def build(path: Path, texts: Iterable[str]) -> None:
    """Write the vocabulary of these chunks."""
    tally.write(path, _count(texts))


def extend(base: Path, path: Path, removed: Iterable[str], added: Iterable[str]) -> None:
    """Write the vocabulary `base` without some chunks and with others."""
    tally.change(base, path, 1, _count(removed), _count(added))


def _count(texts: Iterable[str]) -> tally.Tally:
    counts: tally.Tally = Counter()
    for text in texts:
        # HTTPServer is a name, not a word.
        words = {word for word in set(_WORD.findall(text)) if word[1:].islower() or word.isupper()}
        counts.update({(word.casefold(),) for word in words})
    return counts
