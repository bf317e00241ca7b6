"""The lexical index: BM25 over analysed terms, by rank_bm25 or by tantivy (the only door of both).

Knows ids, terms and one folder; knows nothing of vectors, models, snapshots or databases. Both engines
index what `ragkit.text.analyse` gives, treat a repeated query term as asked for twice, and rank by Okapi BM25
with Lucene's idf, which is never negative (Kamphuis et al., 2020, "Which BM25 do you mean?").

rank_bm25 is exact: every chunk is scored at each query, so it is for small corpora. tantivy rounds the lengths
of chunks to a byte, opens in a millisecond whatever its size, and is updated in place.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ragkit.config import LexicalSettings
from ragkit.domain import Ranked
from ragkit.errors import SnapshotError
from ragkit.index.ranking import members, settled
from ragkit.text import analyse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragkit.domain import ChunkIds
    from ragkit.roles import LexicalIndex

Engine: TypeAlias = Literal["rank_bm25", "tantivy"]
Texts: TypeAlias = Iterable[tuple[int, str]]
"""(chunk id, text), by id."""

K1, B = 1.2, 0.75
"""tantivy's constants, which cannot be changed; rank_bm25 is given the same. On three development collections the
best of k1 in .9-1.5 and b in .4-.75 was at most .010 nDCG@10 better, a different one each time."""
LONGEST_TERM = 120
"""Longer terms (keys, hashes, encoded data) are left out: nobody types them, and tantivy has a limit."""
TERMS_FILE, POSTINGS_FILE = "terms.json", "postings.npz"
_BROKEN = "run `ragkit ingest --rebuild`"


_PROBE = "A running foo_bar --dry-run getHTTPResponse v1.2.3-rc1 os.path, children's naïve 日本語の検索 A002 e-mails."


def fingerprint(language: str) -> str:
    """Changes when the analyser changes: a hash of the terms of a text that has something of everything."""
    return hashlib.sha256(json.dumps(analyse(_PROBE, language)).encode()).hexdigest()[:16]


def choose(settings: LexicalSettings, chunks: int) -> Engine:
    """The engine for a corpus of this many chunks."""
    if settings.engine != "auto":
        return settings.engine
    return "rank_bm25" if chunks <= settings.auto_chunks else "tantivy"


def build(directory: Path, engine: Engine, texts: Texts, language: str) -> None:
    """Analyse texts and write their index into `directory`, which must be empty or new."""
    directory.mkdir(parents=True, exist_ok=True)
    _write(directory, engine, _analysed(texts, language))


def extend(base: Path, directory: Path, engine: Engine, removed: ChunkIds, texts: Texts, language: str) -> None:
    """Write the index `base` (of the same engine and language) without some ids and with more texts.

    `base` is left as it was, and terms that it holds are not analysed again.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if engine == "tantivy":
        _link(base, directory)
        _update_tantivy(directory, (int(id) for id in removed), _analysed(texts, language))
        return
    gone = {int(id) for id in removed}
    table = _read_postings(base)
    kept = ((id, counts) for id, counts in table if id not in gone)
    added = ((id, Counter(terms)) for id, terms in _analysed(texts, language))
    _write_postings(directory, (row for rows in (kept, added) for row in rows))


def open_lexical(directory: Path, engine: Engine) -> LexicalIndex:
    """Open a written index for searching."""
    return TantivyIndex(directory) if engine == "tantivy" else RankBm25Index(directory)


def _analysed(texts: Texts, language: str) -> Iterator[tuple[int, list[str]]]:
    for id, text in texts:
        yield id, [term for term in analyse(text, language) if len(term) <= LONGEST_TERM]


def _write(directory: Path, engine: Engine, rows: Iterable[tuple[int, list[str]]]) -> None:
    if engine == "tantivy":
        _create_tantivy(directory)
        _update_tantivy(directory, (), rows)
    else:
        _write_postings(directory, ((id, Counter(terms)) for id, terms in rows))


# ---------------------------------------------------------------- rank_bm25


class RankBm25Index:
    """Scores every chunk with rank_bm25's BM25Okapi, filled from the saved term counts."""

    def __init__(self, directory: Path) -> None:
        rows = list(_read_postings(directory))
        self._ids = [id for id, _ in rows]
        self._bm25: Any = _okapi([counts for _, counts in rows]) if any(counts for _, counts in rows) else None

    def __len__(self) -> int:
        return len(self._ids)

    def search(self, terms: Sequence[str], limit: int, allowed: ChunkIds | None = None) -> list[Ranked]:
        """Entries with a score above zero, best first, ties by id."""
        import numpy as np

        known = [term for term in terms if self._bm25 is not None and term in self._bm25.idf]
        if not known or limit <= 0:
            return []
        scores: NDArray[np.float64] = self._bm25.get_scores(known)
        ids = np.asarray(self._ids, dtype=np.int64)
        wanted = scores > 0
        if allowed is not None:
            wanted &= np.isin(ids, allowed)
        scores, ids = scores[wanted], ids[wanted]
        order = np.lexsort((ids, -scores))[:limit]
        return [Ranked(int(ids[at]), float(scores[at])) for at in order]

    def holders(self, term: str) -> int:
        """How many chunks hold a term."""
        return sum(term in counts for counts in self._bm25.doc_freqs) if self._bm25 is not None else 0

    def holding(self, terms: Sequence[str]) -> ChunkIds:
        """Ids of the chunks that hold every one of these terms, ascending."""
        import numpy as np

        rows = self._bm25.doc_freqs if self._bm25 is not None else [{}] * len(self._ids)
        found = [id for id, counts in zip(self._ids, rows, strict=True) if all(term in counts for term in terms)]
        return np.sort(np.asarray(found, dtype=np.int64))


def _okapi(table: list[dict[str, int]]) -> Any:
    import math

    from rank_bm25 import BM25Okapi

    class SavedOkapi(BM25Okapi):  # type: ignore[misc]
        """BM25Okapi filled from counts instead of texts, with an idf that does not go below zero.

        Its own idf is zero or negative for a term in half of the chunks or more, so that in a corpus of
        two files a word that only one of them has would find nothing.
        """

        def _initialize(self, corpus: list[dict[str, int]]) -> dict[str, int]:
            holders: Counter[str] = Counter()
            for counts in corpus:
                self.doc_len.append(sum(counts.values()))
                holders.update(counts.keys())
            self.doc_freqs = corpus
            self.corpus_size = len(corpus)
            self.avgdl = sum(self.doc_len) / len(corpus)
            return holders

        def _calc_idf(self, nd: dict[str, int]) -> None:
            for term, holders in nd.items():
                self.idf[term] = math.log(1 + (self.corpus_size - holders + 0.5) / (holders + 0.5))

    return SavedOkapi(table, k1=K1, b=B)


def _write_postings(directory: Path, rows: Iterable[tuple[int, dict[str, int]]]) -> None:
    """Term counts of every chunk: one list of terms, and arrays that point into it."""
    import numpy as np

    numbers: dict[str, int] = {}
    ids, ends, terms, counts = [], [0], [], []
    for id, row in rows:
        ids.append(id)
        for term, count in row.items():
            terms.append(numbers.setdefault(term, len(numbers)))
            counts.append(count)
        ends.append(len(terms))
    (directory / TERMS_FILE).write_text(json.dumps(list(numbers), ensure_ascii=False), encoding="utf-8")
    np.savez(
        directory / POSTINGS_FILE,
        ids=np.asarray(ids, dtype=np.int64),
        ends=np.asarray(ends, dtype=np.int64),
        terms=np.asarray(terms, dtype=np.uint32),
        counts=np.asarray(counts, dtype=np.uint32),
    )


def _read_postings(directory: Path) -> Iterator[tuple[int, dict[str, int]]]:
    import numpy as np

    try:
        names = json.loads((directory / TERMS_FILE).read_text(encoding="utf-8"))
        with np.load(directory / POSTINGS_FILE, allow_pickle=False) as saved:
            ids, ends = saved["ids"].tolist(), saved["ends"].tolist()
            terms, counts = saved["terms"].tolist(), saved["counts"].tolist()
        for row, id in enumerate(ids):
            start, end = ends[row], ends[row + 1]
            yield id, {names[term]: count for term, count in zip(terms[start:end], counts[start:end], strict=True)}
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise SnapshotError(f"lexical index {directory} cannot be read: {error}", _BROKEN) from error


# ---------------------------------------------------------------- tantivy

_HEAP_BYTES = 128_000_000
_FEW_IDS = 5_000
"""Up to this many allowed ids tantivy filters by itself; more are filtered from ever longer lists of hits."""


class TantivyIndex:
    """A tantivy index opened from its folder; its files stay mapped."""

    def __init__(self, directory: Path) -> None:
        import tantivy

        self._tantivy: Any = tantivy
        self._directory = directory
        try:
            index = tantivy.Index.open(str(directory))
            self._schema, self._searcher = index.schema, index.searcher()
        except (ValueError, OSError) as error:
            raise SnapshotError(f"lexical index {directory} cannot be read: {error}", _BROKEN) from error

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def search(self, terms: Sequence[str], limit: int, allowed: ChunkIds | None = None) -> list[Ranked]:
        """Entries with a score above zero, best first, ties by id."""
        query = self._query([term for term in terms if len(term) <= LONGEST_TERM])
        if query is None or limit <= 0 or not len(self):
            return []
        if allowed is None:
            return settled(lambda n: self._best(query, n), limit, len(self))
        if len(allowed) <= _FEW_IDS:
            narrowed = self._within(query, [int(id) for id in allowed])
            return settled(lambda n: self._best(narrowed, n), limit, len(allowed))
        return settled(lambda n: self._filtered(query, n, allowed), limit, len(allowed))

    def holders(self, term: str) -> int:
        """How many chunks hold a term, those removed since the index was last built anew included."""
        return int(self._searcher.doc_freq("terms", term)) if len(term) <= LONGEST_TERM else 0

    def holding(self, terms: Sequence[str]) -> ChunkIds:
        """Ids of the chunks that hold every one of these terms, ascending."""
        import numpy as np

        kind, must = self._tantivy.Query, self._tantivy.Occur.Must
        parts = [(must, kind.term_query(self._schema, "terms", term, "freq")) for term in terms]
        query = kind.boolean_query(parts) if parts else kind.all_query()
        found = self._best(query, len(self)) if len(self) else []
        return np.sort(np.asarray([one.id for one in found], dtype=np.int64))

    def _query(self, terms: list[str]) -> Any:
        kind, should = self._tantivy.Query, self._tantivy.Occur.Should
        parts = [(should, kind.term_query(self._schema, "terms", term, "freq")) for term in terms]
        return kind.boolean_query(parts) if parts else None

    def _within(self, query: Any, ids: list[int]) -> Any:
        kind, must = self._tantivy.Query, self._tantivy.Occur.Must
        members = kind.const_score_query(kind.term_set_query(self._schema, "id", ids), 0.0)
        return kind.boolean_query([(must, query), (must, members)])

    def _best(self, query: Any, limit: int) -> list[Ranked]:
        try:
            hits = self._searcher.search(query, limit=limit, count=False).hits
            ids: list[Any] = self._searcher.fast_field_values("id", [address for _, address in hits])
        except (ValueError, OSError) as error:
            raise SnapshotError(f"lexical index {self._directory} cannot be searched: {error}", _BROKEN) from error
        return [Ranked(int(id), float(score)) for id, (score, _) in zip(ids, hits, strict=True)]

    def _filtered(self, query: Any, limit: int, allowed: ChunkIds) -> list[Ranked]:
        """The best `limit` of those allowed: as many hits are asked for as it takes, at most all."""
        wanted = min(len(self), limit * max(2, 2 * len(self) // len(allowed)))
        while True:
            hits = self._best(query, wanted)
            held = set(members((one.id for one in hits), allowed))
            found = [one for one in hits if one.id in held]
            if len(found) >= limit or len(hits) < wanted or wanted >= len(self):
                return found[:limit]
            wanted = min(len(self), wanted * 4)


def _create_tantivy(directory: Path) -> None:
    import tantivy

    schema = tantivy.SchemaBuilder()
    # Terms are analysed already; tantivy only cuts at the blanks between them, and keeps no positions.
    schema.add_text_field("terms", stored=False, tokenizer_name="whitespace", index_option="freq")
    # Signed: deleting by a term of an unsigned field matches nothing.
    schema.add_integer_field("id", indexed=True, fast=True)
    _guarded(directory, lambda: tantivy.Index(schema.build(), path=str(directory), reuse=False))


def _update_tantivy(directory: Path, removed: Iterable[int], rows: Iterable[tuple[int, list[str]]]) -> None:
    import tantivy

    def update() -> None:
        # One thread: documents keep the order of their ids, and the same texts give the same index.
        writer = tantivy.Index.open(str(directory)).writer(heap_size=_HEAP_BYTES, num_threads=1)
        for id in removed:
            writer.delete_documents_by_term("id", id)
        for id, terms in rows:
            document = tantivy.Document()
            document.add_text("terms", " ".join(terms))
            document.add_integer("id", id)
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()

    _guarded(directory, update)
    for lock in directory.glob(".tantivy-*.lock"):
        lock.unlink()


def _guarded(directory: Path, action: Callable[[], object]) -> None:
    """tantivy reports a full disk as ValueError."""
    try:
        action()
    except ValueError as error:
        raise OSError(f"lexical index {directory} cannot be written: {error}") from error


def _link(base: Path, directory: Path) -> None:
    """Hard links to a tantivy index's files: it never changes a file, it replaces it."""
    import shutil

    for file in sorted(base.iterdir()):
        try:
            os.link(file, directory / file.name)
        except OSError:  # a file system without hard links
            shutil.copyfile(file, directory / file.name)
