"""What the rows of a document depend on, as hashes by which an ingest tells whether they still hold.

Knows the settings, the embedder and the code that reads and cuts files; knows nothing of files or databases.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ragkit.domain import Document

if TYPE_CHECKING:
    from ragkit.config import ChunkSettings
    from ragkit.roles import Embedder


def recipe(settings: ChunkSettings, embedder: Embedder, reader: str) -> str:
    """Of all that decides a document's chunks besides its file, and what embeds them: `reader` where another does."""
    parts = [code(), asdict(settings), embedder.fingerprint, embedder.max_tokens, *([reader] if reader else [])]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def code() -> str:
    """Of the code that reads and cuts files; no version number to forget to raise when it changes."""
    package = Path(__file__).parents[1]
    parts = (package / name for name in ("domain/__init__", "text", "dates", "sentences", "chunking", "loaders"))
    files = [file for part in parts for file in (part.rglob("*.py") if part.is_dir() else [part.with_suffix(".py")])]
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:16]


def digest(document: Document) -> str:
    """Of all that a document given without a file consists of."""
    return hashlib.sha256(json.dumps(asdict(document), sort_keys=True, default=str).encode()).hexdigest()
