"""One ingest, from a scan to a published snapshot.

Knows the order of the steps and what each file's outcome is; knows nothing of formats, SQL or index files.

What was read is committed every few documents and what was embedded after every batch, to a snapshot that
readers do not see yet. So an ingest that is killed loses the batch in hand, the last published snapshot
goes on answering, and the next ingest takes up the rows that are there. A file that cannot be read this time
but was ingested before keeps its earlier version, and its ledger row says so.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ragkit.choices import Outcome
from ragkit.chunking import chunk
from ragkit.domain import CODE_FORMATS, Chunk, Document, Progress
from ragkit.domain.corpora import IngestReport, LedgerRow
from ragkit.embed import embed_chunks, symbol_name, with_names
from ragkit.errors import CorpusEmpty, ModelUnsuitable, RagkitError, SnapshotError, StoreError, UsageError
from ragkit.index import building, lexical, snapshot
from ragkit.index.dense import FLAT, IVF
from ragkit.index.lock import writer_lock
from ragkit.index.manifest import DERIVED
from ragkit.ingest import recipe, sources
from ragkit.loaders.pool import read_all
from ragkit.loaders.worker import Job, Read, storable
from ragkit.roles import Embedder, Tokenizer
from ragkit.scan import Found, LeftOut
from ragkit.store import CorpusWriter, NewDocument, SeenFile

if TYPE_CHECKING:
    from ragkit.config import Settings
    from ragkit.store import DocumentRecord, SnapshotRecord, Store

BATCH_CHUNKS = 512
"""Chunks that are read before they are committed."""
BATCH_TEXTS = 256
"""Texts that are embedded before their vectors are committed."""
SETTLED_NS = 2_000_000_000
"""A file changed this shortly before it was read may change again without its time showing it."""
TOLD = 3
"""So many files with something wrong are named in notices."""
KEPT = "the version ingested before keeps answering"


class TokenizingEmbedder(Embedder, Tokenizer, Protocol):
    """An embedder that also cuts text into its tokens, as chunking counts them."""


def ingest(
    roots: Sequence[Path],
    corpus: str = "",
    *,
    store: Store,
    embedder: Embedder,
    settings: Settings,
    code_embedder: Callable[[], Embedder | None] = lambda: None,
    rebuild: bool = False,
    like: str = "",
    progress: Progress | None = None,
) -> IngestReport:
    """Read files and folders into a corpus and publish it; only what changed is read again.

    `roots` join those that the corpus has; with none, its own are read again. The corpus is named by `corpus`, the
    settings, a corpus.toml or the first folder. `rebuild` reads and indexes everything anew, but embeds no text
    twice. With `like`, the very documents of that corpus are read, whatever else its folders hold now; CorpusError
    where one has changed. Source code is embedded by what `code_embedder` gives, which is asked once there is any.
    Raises CorpusEmpty when nothing matched, CorpusLocked while another process writes the corpus, UsageError
    for a path that is not there; a file that cannot be read is a row of the report, not an error.
    """
    started = time.perf_counter()
    tokenizing = _tokenizing(embedder)
    folders = [sources.open_folder(path) for path in roots]
    name = corpus or settings.corpus or next((folder.name or _name(folder.path) for folder in folders), "")
    if not folders and not like:
        name = store.corpus(name).name
    with writer_lock(store.directory, name):
        known = store.corpus(like) if like else next((one for one in store.corpora() if one.name == name), None)
        places = sources.placed(known.roots if known else (), folders)
        if not places:
            raise UsageError(f"corpus {name} has no folder to read", "run `ragkit ingest PATH --corpus " + name + "`")
        _tell(progress, "scan", 0, 0)
        if like:
            found, left_out, about = sources.again(store, like)
        else:
            found, left_out, about = sources.look(places, settings.ingest, store.directory)
        if not found:
            raise sources.nothing_matched(places, left_out)
        writer = CorpusWriter(store, name)
        writer.describe(places, about)
        run = _Run(writer, tokenizing, code_embedder, settings, rebuild, progress)
        return run.finish(started, lambda: run.read_files(found, left_out))


def ingest_documents(
    documents: Iterable[Document],
    corpus: str,
    *,
    store: Store,
    embedder: Embedder,
    settings: Settings,
    code_embedder: Callable[[], Embedder | None] = lambda: None,
    progress: Progress | None = None,
) -> IngestReport:
    """Make a corpus of documents that lie in no folder; they replace what the corpus held.

    Raises CorpusEmpty when there are none, UsageError when two have the same path.
    """
    started = time.perf_counter()
    tokenizing = _tokenizing(embedder)
    given = list(documents)
    if not given:
        raise CorpusEmpty(f"no documents were given for corpus {corpus}", "give at least one")
    paths = {document.path for document in given}
    if len(paths) < len(given):
        raise UsageError(f"documents for corpus {corpus} share paths", "give each its own path")
    with writer_lock(store.directory, corpus):
        writer = CorpusWriter(store, corpus)
        run = _Run(writer, tokenizing, code_embedder, settings, False, progress)
        return run.finish(started, lambda: run.take(given))


class _Run:
    """One ingest of one corpus, under its writer lock."""

    def __init__(
        self,
        writer: CorpusWriter,
        embedder: TokenizingEmbedder,
        code_embedder: Callable[[], Embedder | None],
        settings: Settings,
        rebuild: bool,
        progress: Progress | None,
    ) -> None:
        self._writer = writer
        self._embedder = embedder
        self._open_code_embedder = code_embedder
        self._recipe = cache(partial(recipe.recipe, settings.chunk, embedder))
        self._settings = settings
        self._rebuild = rebuild
        self._progress = progress
        self._known = {document.path: document for document in writer.live_documents()}
        self._resumed = writer.building()
        self._replaced = writer.retired_paths(self._resumed) if self._resumed is not None else set()
        self._snapshot = self._resumed
        self._seen: dict[str, SeenFile] = {}
        self._renamed: set[str] = set()
        self._complained: dict[str, str] = {}
        """Former paths of files that lie elsewhere now."""
        self._batch: list[NewDocument] = []
        self._embedded = 0

    def finish(self, started: float, read: Callable[[], None]) -> IngestReport:
        """Read, embed and publish, and write the ledger however it ends."""
        ingest = self._writer.begin_ingest(recipe.code())
        state, message, current = "interrupted", "", None
        try:
            read()
            self._embed()
            current = self._publish()
            state = "done"
        except Exception as error:
            state, message = "failed", error.message if isinstance(error, RagkitError) else repr(error)
            if isinstance(error, OSError):
                raise _disk_error(error, self._writer.store.directory) from error
            raise
        finally:
            with suppress(*((StoreError,) if state != "done" else ())):
                id = None if current is None else current.id
                self._writer.end_ingest(ingest, state, self._ledger(), id, message)
        counts: dict[str, int] = {}
        for seen in self._seen.values():
            counts[seen.row.outcome] = counts.get(seen.row.outcome, 0) + 1
        return IngestReport(
            corpus=self._writer.corpus.name,
            snapshot=current.name,
            published=current.id == self._snapshot,
            counts=counts,
            chunks=current.chunks,
            embedded=self._embedded,
            seconds=time.perf_counter() - started,
            rows=tuple(seen.row for seen in self._ledger()),
            notices=self._complaints(),
        )

    def _complaints(self) -> tuple[str, ...]:
        """The first of what is wrong with files that were read all the same, and how many more there are."""
        told = [f"{path}: {complaint}" for path, complaint in self._complained.items()]
        more = len(told) - TOLD
        rest = f"and so with {more} more {'file' if more == 1 else 'files'}; `ragkit corpus status` lists every one"
        return (*told[:TOLD], *([rest] if more > 0 else []))

    # ------------------------------------------------------------ reading

    def read_files(self, found: dict[str, Found], left_out: dict[str, LeftOut]) -> None:
        """Bring the rows of the corpus in line with the files that a scan found."""
        before = {} if self._rebuild else self._writer.skipped_before(recipe.code())
        jobs: list[Job] = []
        for path, file in sorted(found.items()):
            document, skipped = self._known.get(path), before.get(path)
            same = document is not None and document.recipe == self._recipe_of(document.format) and not self._rebuild
            if document and same and (document.size, document.mtime_ns) == (file.size, file.mtime_ns):
                self._unchanged(document)
            elif (
                not document
                and skipped
                and not file.named
                and (skipped.size, skipped.mtime_ns) == (file.size, file.mtime_ns)
            ):
                self._seen[path] = skipped
            else:
                known_hash = document.sha256 if document and same else ""
                timeout = self._settings.ingest.file_timeout_seconds
                jobs.append(Job(path, str(file.file), known_hash, timeout, file.named))
        gone = self._gone(found, left_out)
        self._read(jobs, {document.sha256: document for document in gone})
        self._retire(gone, left_out)

    def take(self, documents: Sequence[Document]) -> None:
        """Bring the rows of the corpus in line with documents that come from no files."""
        for at, document in enumerate(documents):
            document = storable(document)
            digest = recipe.digest(document)
            known = self._known.get(document.path)
            if known and (known.sha256, known.recipe) == (digest, self._recipe_of(document.format)):
                self._unchanged(known)
            else:
                self._add(document, Job(document.path, ""), Read("read", sha256=digest), {})
            _tell(self._progress, "read", at + 1, len(documents))
        self._flush()
        self._retire(self._gone({document.path: None for document in documents}, {}), {})

    def _read(self, jobs: Sequence[Job], gone: dict[str, DocumentRecord]) -> None:
        touched = []
        workers = self._settings.ingest.workers or self._settings.thread_count
        for at, (job, result) in enumerate(read_all(jobs, max(0, workers))):
            known = self._known.get(job.path)
            result = replace(result, mtime_ns=_trusted(result.mtime_ns))
            if result.outcome == "same" and known is not None:
                touched.append((known.id, result.size, result.mtime_ns))
                self._unchanged(known)
            elif result.document is not None:
                self._add(result.document, job, result, gone)
            elif result.outcome == "failed":
                reason = f"{result.reason}; {KEPT}" if known else result.reason
                self._note(job.path, "failed", reason, result)
            else:
                self._skip(job.path, result.reason, result)
            _tell(self._progress, "read", at + 1, len(jobs))
        self._flush()
        if touched:
            self._writer.touch(touched)

    def _add(self, document: Document, job: Job, result: Read, gone: dict[str, DocumentRecord]) -> None:
        """Cut a document that was read, and put it into the batch in hand."""
        try:
            chunks = chunk(
                document,
                self._embedder,
                self._settings.chunk,
                self._embedder.max_tokens,
                embed=self._embedder.embed,
            )
        except Exception as error:  # what a tokenizer makes of one strange text must not end the ingest
            reason = f"cannot be chunked: {type(error).__name__}: {error}"
            self._note(job.path, "failed", f"{reason}; {KEPT}" if job.path in self._known else reason, result)
            return
        if not chunks:
            self._skip(job.path, "no text to index", result)
            return
        known = self._known.get(job.path)
        outcome: Outcome = "updated" if known else "added"
        reason = ""
        if known and known.sha256 == result.sha256:
            reason = "read anew" if self._rebuild else "settings, embedder or ragkit itself changed"
        elif not known and (former := gone.pop(result.sha256, None)):
            outcome, reason = "renamed", f"from {former.path}"
            self._renamed.add(former.path)
        if document.complaint:
            self._complained[job.path] = document.complaint
            reason = "; ".join(filter(None, (reason, document.complaint)))
        self._note(job.path, outcome, reason, result, len(chunks))
        self._batch.append(
            NewDocument(
                document,
                chunks,
                job.file,
                result.sha256,
                result.size,
                result.mtime_ns,
                self._recipe_of(document.format),
                self._reader(document.format),
            )
        )
        if sum(len(one.chunks) for one in self._batch) >= BATCH_CHUNKS:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            self._writer.put(self._building(), self._batch)
            self._batch = []

    def _unchanged(self, document: DocumentRecord) -> None:
        """Note a file whose rows stay; those of an interrupted ingest are news to the readers all the same."""
        if document.born == self._resumed:
            outcome: Outcome = "updated" if document.path in self._replaced else "added"
            self._note(document.path, outcome, "read by an ingest that was interrupted")
        else:
            self._note(document.path, "unchanged")

    def _skip(self, path: str, reason: str, result: Read) -> None:
        if known := self._known.get(path):
            self._writer.retire(self._building(), [known.id])
            reason += "; it is no longer in the index"
        self._note(path, "skipped", reason, result)

    def _gone(self, found: dict[str, Found] | dict[str, None], left_out: dict[str, LeftOut]) -> list[DocumentRecord]:
        """Known documents whose files are not there; those in a folder that could not be read are kept."""
        unreadable = tuple(one.path for one in left_out.values() if one.failed)
        gone = []
        for path, document in self._known.items():
            if path in found:
                continue
            if any(path == one or one == "./" or (one.endswith("/") and path.startswith(one)) for one in unreadable):
                self._note(path, "failed", f"it or its folder cannot be read; {KEPT}")
            else:
                gone.append(document)
        return gone

    def _retire(self, gone: Sequence[DocumentRecord], left_out: dict[str, LeftOut]) -> None:
        if gone:
            self._writer.retire(self._building(), [document.id for document in gone])
        for document in gone:
            if document.path not in self._renamed:
                now = left_out.pop(document.path, None)
                self._note(document.path, "removed", now.reason if now else "")
        for path, one in left_out.items():
            if path not in self._seen:
                self._note(path, "failed" if one.failed else "skipped", one.reason)

    # ------------------------------------------------------------ embedding

    def _embed(self) -> None:
        missing = self._writer.missing_vectors(self._embedder.fingerprint)
        for start in range(0, len(missing), BATCH_TEXTS):
            _tell(self._progress, "embed", start, len(missing))
            part = missing[start : start + BATCH_TEXTS]
            found = self._writer.store.passages([id for _, id in part])
            passages = dict(zip((key for key, _ in part), found, strict=True))
            code = {key: passage.chunk for key, passage in passages.items() if passage.format in CODE_FORMATS}
            prose = {key: passage.chunk for key, passage in passages.items() if key not in code}
            if prose:
                self._embed_part(prose, [""] * len(prose), self._embedder)
            if code:
                names = [symbol_name(chunk) for chunk in code.values()]
                self._embed_part(code, names, self._code_embedder or self._embedder)
            self._embedded += len(part)
        if missing:
            _tell(self._progress, "embed", len(missing), len(missing))

    def _embed_part(self, chunks: Mapping[str, Chunk], names: Sequence[str], reader: Embedder) -> None:
        """Embed and keep the texts of some chunks, by their hashes, by one model; `names` are of their symbols."""
        import numpy as np

        vectors, sentences = embed_chunks(list(chunks.values()), reader)
        if vectors.shape != (len(chunks), self._embedder.dimension) or not np.isfinite(vectors).all():
            raise ModelUnsuitable(
                f"embedder {reader.fingerprint} gave vectors that are not finite or of shape {vectors.shape}",
                "run `ragkit models verify`, or choose another with --set embed.model=NAME",
            )
        vectors = with_names(vectors, names, reader)
        self._writer.put_vectors(self._embedder.fingerprint, list(chunks), vectors, sentences)

    @cached_property
    def _code_embedder(self) -> Embedder | None:
        return self._open_code_embedder()

    def _reader(self, format: str) -> str:
        """Fingerprint of the model that embeds a document of this format, "" where that is the corpus's embedder."""
        reader = self._code_embedder if format in CODE_FORMATS else None
        return reader.fingerprint if reader else ""

    def _recipe_of(self, format: str) -> str:
        return self._recipe(self._reader(format))

    # ------------------------------------------------------------ publishing

    def _building(self) -> int:
        if self._snapshot is None:
            self._snapshot = self._writer.begin_snapshot()
        return self._snapshot

    def _publish(self) -> SnapshotRecord:
        """Publish what changed; the current snapshot when nothing did."""
        store, name = self._writer.store, self._writer.corpus.name
        current = store.current_snapshot(name) if self._writer.corpus.snapshot_id is not None else None
        if self._snapshot is None and current is not None and not self._rebuild and self._serves(current):
            return current
        record = self._writer.view(self._building(), self._embedder.fingerprint)
        if not record.chunks:
            failures = [one.row for one in self._seen.values() if one.row.outcome == "failed"]
            why = f"; {len(failures)} failed, the first because {failures[0].reason}" if failures else ""
            kept = f", and snapshot {current.name} keeps answering" if current else ""
            raise CorpusEmpty(
                f"no file of corpus {name} gave any text{why}{kept}", f"run `ragkit corpus status {name}`"
            )
        _tell(self._progress, "publish", 0, record.chunks)
        base = None if self._rebuild else current
        settings = self._settings
        building.build(self._writer, record, base, recipe.code(), settings.dense, settings.lexical)
        self._writer.publish(record)
        snapshot.collect(self._writer, settings.store.keep_snapshots)
        _tell(self._progress, "publish", record.chunks, record.chunks)
        return record

    def _serves(self, current: SnapshotRecord) -> bool:
        """Whether the index files of a snapshot are whole and made as the settings ask."""
        try:
            with snapshot.Snapshot(current, self._settings) as opened:
                manifest = opened.manifest
        except SnapshotError:
            return False
        wanted = self._settings.lexical
        return (
            manifest.embedder == self._embedder.fingerprint
            and manifest.language == wanted.language
            and manifest.analyser == lexical.fingerprint(wanted.language)
            and manifest.lexical == lexical.choose(wanted, manifest.chunks)
            and manifest.files.keys() >= DERIVED
            and manifest.dense.kind == (FLAT if manifest.chunks <= self._settings.dense.exact_chunks else IVF)
        )

    # ------------------------------------------------------------ the ledger

    def _note(
        self, path: str, outcome: Outcome, reason: str = "", result: Read | None = None, chunks: int = 0
    ) -> None:
        size, mtime_ns = (result.size, result.mtime_ns) if result else (-1, -1)
        self._seen[path] = SeenFile(LedgerRow(path, outcome, reason, chunks), size, mtime_ns)

    def _ledger(self) -> list[SeenFile]:
        return [self._seen[path] for path in sorted(self._seen)]


def _name(path: Path) -> str:
    return path.stem if path.is_file() else path.name


def _tokenizing(embedder: Embedder) -> TokenizingEmbedder:
    if not hasattr(embedder, "spans"):
        raise ModelUnsuitable(
            f"embedder {embedder.fingerprint} has no tokenizer to cut text with",
            "choose another with --set embed.model=NAME",
        )
    return cast(TokenizingEmbedder, embedder)


def _trusted(mtime_ns: int) -> int:
    """A file's time, or -1 when it is too fresh to tell that the file stayed the same."""
    return mtime_ns if mtime_ns < time.time_ns() - SETTLED_NS else -1


def _disk_error(error: OSError, directory: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "no space" in str(error).lower():
        return StoreError(
            f"no space left for index files in {directory}", "free some space and run the command again"
        )
    return StoreError(
        f"index files in {directory} cannot be written: {error.strerror or error}", "run the command again"
    )


def _tell(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
