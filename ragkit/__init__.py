"""Answers questions about a folder of documentation, on a CPU, and proves each sentence with lines of the files.

The public API. Names load when they are first used, so `import ragkit` costs a millisecond.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ragkit.config import Settings, load
    from ragkit.domain import Chunk, Context, Document, Hit, Passage, SearchResult, Source
    from ragkit.domain.answers import Answer, Claim, Quote
    from ragkit.domain.corpora import IngestReport, LedgerRow
    from ragkit.engine import Engine
    from ragkit.errors import RagkitError

_HOMES = {
    "Engine": "ragkit.engine",
    "Settings": "ragkit.config",
    "load": "ragkit.config",
    "RagkitError": "ragkit.errors",
    **dict.fromkeys(
        ("Chunk", "Context", "Document", "Hit", "Passage", "SearchResult", "Source"),
        "ragkit.domain",
    ),
    **dict.fromkeys(("Answer", "Claim", "Quote"), "ragkit.domain.answers"),
    **dict.fromkeys(("IngestReport", "LedgerRow"), "ragkit.domain.corpora"),
}

__all__ = [
    "Answer",
    "Chunk",
    "Claim",
    "Context",
    "Document",
    "Engine",
    "Hit",
    "IngestReport",
    "LedgerRow",
    "Passage",
    "Quote",
    "RagkitError",
    "SearchResult",
    "Settings",
    "Source",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name):
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'ragkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
