"""The folder of a snapshot: what its files are called, the manifest that describes them, and whether it still does.

Knows names, sizes and hashes; knows nothing of what stands in the files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.errors import SnapshotError
from ragkit.index import dense, documents, duplicates, lexical, versions

FORMAT = 1
"""Version of the folder's layout."""
MANIFEST, DENSE_FILE, LEXICAL_FOLDER = "manifest.json", "dense.faiss", "lexical"
# Acronyms as they are mined since: counts of another way of mining cannot be gone on from.
VOCABULARY_FILE, ACRONYMS_FILE, DUPLICATES_FOLDER = "vocabulary.tsv", "acronyms-3.tsv", "duplicates"
VERSIONS_FOLDER, DOCUMENTS_FOLDER = "versions", "documents"
VERSIONS = f"{VERSIONS_FOLDER}/{versions.VERSIONS_FILE}"
SIGNATURES = f"{DUPLICATES_FOLDER}/{duplicates.SIGNATURES_FILE}"
DOCUMENT_VECTORS = f"{DOCUMENTS_FOLDER}/{documents.VECTORS_FILE}"
DERIVED = {VOCABULARY_FILE, ACRONYMS_FILE, VERSIONS, SIGNATURES, DOCUMENT_VECTORS}
"""Files that a snapshot of an earlier ragkit may lack."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot's folder holds and how it was made. `files` gives each file's size and sha256."""

    corpus: str
    snapshot: str
    created_at: str
    code: str
    """Changes when the code that reads and cuts files does."""
    documents: int
    chunks: int
    embedder: str
    language: str
    analyser: str
    """Changes when the analyser gives other terms for the same text."""
    lexical: lexical.Engine
    dense: dense.DenseFacts
    files: Mapping[str, Mapping[str, Any]]
    format: int = FORMAT
    lexical_removed: int = 0
    """Chunks taken out of the lexical index since it was last built anew."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a snapshot, and the command that repairs it."""

    thing: str
    reason: str
    command: str


def read_manifest(directory: Path) -> Manifest:
    """Read a snapshot's manifest. Raises SnapshotError when it is missing, damaged or of a newer format."""
    path = directory / MANIFEST
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["format"] != FORMAT:
            raise SnapshotError(
                f"{path} has format {table['format']}, this ragkit reads {FORMAT}", "run `ragkit ingest --rebuild`"
            )
        return Manifest(**{**table, "dense": dense.DenseFacts(**table["dense"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SnapshotError(f"{path} cannot be read: {reason}", "run `ragkit ingest --rebuild`") from error


def damage(directory: Path, manifest: Manifest, deep: bool = False) -> Iterator[Problem]:
    """Files that are missing or not what the manifest says; by size, and by sha256 when `deep`."""
    repair = f"ragkit ingest --corpus {manifest.corpus} --rebuild"
    for name, facts in manifest.files.items():
        path = directory / name
        try:
            if (size := path.stat().st_size) != facts["size"]:
                yield Problem(f"index file {path}", f"has {size} bytes, its manifest says {facts['size']}", repair)
            elif deep and sha256_of(path) != facts["sha256"]:
                yield Problem(f"index file {path}", "is not what was written (sha256 differs)", repair)
        except OSError as error:
            yield Problem(f"index file {path}", f"cannot be read: {error.strerror}", repair)


def sha256_of(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
