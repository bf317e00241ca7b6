"""Document to chunks: passages with exact offsets that fit the encoder's window.

Knows a document's blocks and sections, and how to count tokens; knows nothing of files, formats, models or indexes.
Every strategy only decides *spans*; one function makes chunks of them, so that offsets, limits and context cannot
differ between strategies.
"""

from __future__ import annotations

from collections.abc import Callable

from ragkit.chunking.cutter import Cutter, Embed
from ragkit.chunking.plain import by_sentence, fixed, recursive
from ragkit.chunking.semantic import by_meaning
from ragkit.chunking.structure import by_structure
from ragkit.config import ChunkSettings
from ragkit.domain import Chunk, Document
from ragkit.roles import Tokenizer

STRATEGIES: dict[str, Callable[[Cutter], list[Chunk]]] = {
    "markdown": by_structure,
    "recursive": recursive,
    "fixed": fixed,
    "sentence": by_sentence,
    "semantic": by_meaning,
}


def chunk(
    document: Document, tokenizer: Tokenizer, settings: ChunkSettings, window: int, *, embed: Embed | None = None
) -> list[Chunk]:
    """Cut a document into chunks, in order; `window` is the encoder's longest input in tokens.

    `Chunk.indexed` has at most `min(settings.size_tokens, window)` tokens, and no non-blank character of a block is
    lost. The strategy semantic needs `embed`, which gives texts their vectors; no other uses it. Raises ValueError
    for a limit below one token.
    """
    limit = min(settings.size_tokens, window)
    if limit < 1:
        raise ValueError(f"a chunk cannot have {limit} tokens; chunk.size_tokens and the window must be at least 1")
    if not document.text.strip():
        return []
    return STRATEGIES[settings.strategy](Cutter(document, tokenizer, limit, settings.overlap_tokens, embed))
