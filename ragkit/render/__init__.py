"""What ragkit's results look like: text, JSON, Markdown; one spelling for every face.

Knows the domain; knows nothing of files, models or the terminal it will be shown on.
"""

from __future__ import annotations

from ragkit.render.data import answer_json, context_json, duplicates_json, hit_json, ingest_json, search_json
from ragkit.render.page import (
    answer_markdown,
    answer_text,
    context_text,
    duplicates_text,
    ingest_text,
    search_markdown,
    search_text,
)
from ragkit.render.terminal import clean, columns, style, wrap

__all__ = [
    "answer_json",
    "answer_markdown",
    "answer_text",
    "clean",
    "columns",
    "context_json",
    "context_text",
    "duplicates_json",
    "duplicates_text",
    "hit_json",
    "ingest_json",
    "ingest_text",
    "search_json",
    "search_markdown",
    "search_text",
    "style",
    "wrap",
]
