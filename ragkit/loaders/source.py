"""Source code in any language: groups of lines between blank lines, the text untouched.

Knows no language's grammar and no third-party library.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from ragkit.domain import Block, Document
from ragkit.loaders.charset import decode
from ragkit.loaders.structure import paragraphs, sections


def load_source(data: bytes, path: str) -> Document:
    """Every group of lines is a code block; the title is the file's name."""
    return source_document(decode(data, path), path, "source")


def source_document(text: str, path: str, format: str) -> Document:
    """A Document of code whose grammar is not known, or is broken."""
    blocks = tuple(Block("code", *span) for span in paragraphs(text))
    return Document(path, text, format, PurePosixPath(path).name, {}, sections((), len(text)), blocks)
