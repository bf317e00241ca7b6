"""What the store gives back besides passages: plain rows as frozen dataclasses.

Knows the shape of the rows; knows nothing of the database that holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ragkit.domain import JSON


@dataclass(frozen=True, slots=True)
class Root:
    """A folder (or single file) of a corpus; `prefix` stands in front of its files' paths, or is ""."""

    path: str
    prefix: str = ""
    described_in: str = ""
    """The folder whose corpus.toml names this root, if that is another one."""

    def file(self, path: str) -> Path | None:
        """Where the document with this corpus path lies on disk, or None if it is not under this root."""
        if self.prefix:
            if not path.startswith(self.prefix + "/"):
                return None
            path = path[len(self.prefix) + 1 :]
        here = Path(self.path)
        return here if here.name == path and here.is_file() else here / path


@dataclass(frozen=True, slots=True)
class CorpusRecord:
    """A corpus: its name, where its files come from, and the snapshot that answers (None before the first)."""

    id: int
    name: str
    slug: str
    """Its folder's name under the store directory."""
    roots: tuple[Root, ...]
    about: Mapping[str, str]
    """`source`, `licence` and `base_url`, from corpus.toml."""
    snapshot_id: int | None
    created_at: str


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """A published snapshot; `directory` holds its index files."""

    id: int
    corpus_id: int
    corpus: str
    name: str
    directory: Path
    created_at: str
    documents: int
    chunks: int
    embedder: str
    """Fingerprint of the embedder."""


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """A document as it was ingested; `file` is where it lay on disk."""

    id: int
    path: str
    title: str
    format: str
    sha256: str
    size: int
    mtime_ns: int
    file: Path
    recipe: str = ""
    """Hash of everything but the file that decides its chunks: settings, embedder, versions."""
    born: int = 0
    metadata: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IngestRecord:
    """One ingest: `state` is running, done, failed or interrupted."""

    id: int
    started_at: str
    finished_at: str
    state: str
    snapshot: str
    """Name of the snapshot that answers after it."""
    counts: Mapping[str, int]
    error: str = ""


@dataclass(frozen=True, slots=True)
class CorpusStatus:
    """What there is to know of a corpus at a glance."""

    corpus: CorpusRecord
    snapshot: SnapshotRecord | None
    formats: Mapping[str, int]
    """Documents by format."""
    last_ingest: IngestRecord | None
    unfinished: bool
    """Rows of an interrupted ingest wait for the next one."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A logged question and what became of it."""

    id: int
    asked_at: str
    corpus: str
    snapshot: str
    question: str
    status: str
    model: str
    prompt_hash: str
    timings: Mapping[str, float]
    answer: Mapping[str, JSON]


def snapshot_name(id: int) -> str:
    """How a snapshot is spelled in JSON and on disk."""
    return f"{id:06d}"
