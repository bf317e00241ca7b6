"""Answers questions about a folder of documentation, on a CPU, and proves each sentence with lines of the files.

The public API. Names load when they are first used, so `import ragkit` costs a millisecond.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ragkit.config import Settings, load
    from ragkit.domain import (
        Answer,
        Chunk,
        Claim,
        Context,
        Document,
        Hit,
        IngestReport,
        LedgerRow,
        Passage,
        Quote,
        SearchResult,
        Source,
    )
    from ragkit.engine import Engine
    from ragkit.errors import RagkitError

_HOMES = {
    "Engine": "ragkit.engine",
    "Settings": "ragkit.config",
    "load": "ragkit.config",
    "RagkitError": "ragkit.errors",
    **dict.fromkeys(
        (
            "Answer",
            "Chunk",
            "Claim",
            "Context",
            "Document",
            "Hit",
            "IngestReport",
            "LedgerRow",
            "Passage",
            "Quote",
            "SearchResult",
            "Source",
        ),
        "ragkit.domain",
    ),
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
