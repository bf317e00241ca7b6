"""Source code in any language: a section for every class and function where its grammar is known, else groups of
lines between blank lines. The text is untouched.

Knows no third-party library; grammars.py does.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from ragkit.domain import Block, Document
from ragkit.loaders.charset import decode
from ragkit.loaders.grammars import grammar_of, symbols
from ragkit.loaders.structure import paragraphs
from ragkit.loaders.symbols import code_document, code_sections

_LONGEST = 2_000_000
"""Characters above which a file is data or generated, and not worth the parser's memory."""


def load_source(data: bytes, path: str) -> Document:
    """Code blocks, by symbol; the title is the file's name."""
    text = decode(data, path)
    grammar = grammar_of(path, text) if len(text) <= _LONGEST else None
    found = symbols(text, grammar) if grammar else []
    if not found:
        return plain_source(text, path, "source")
    return code_document(text, path, "source", PurePosixPath(path).name, found)


def plain_source(text: str, path: str, format: str) -> Document:
    """A Document of code whose grammar is not known, or is broken: every group of lines is a block."""
    blocks = tuple(Block("code", *span) for span in paragraphs(text))
    return Document(path, text, format, PurePosixPath(path).name, {}, code_sections(text, path), blocks)
