"""Plain text, logs and configuration files: paragraphs between blank lines, the text untouched.

Text that is plainly Markdown under another name is handed to that loader. Knows no third-party library.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from ragkit.domain import Block, Document
from ragkit.loaders.charset import decode
from ragkit.loaders.structure import first_line_title, paragraphs, sections

_PROSE = ("", ".txt", ".text")
_FENCE = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1`*\s*$|\Z)", re.M | re.S)
_HASH = re.compile(r"^#.*$", re.M)
_HEADING = re.compile(r"(?:\A\n*|\n[ \t]*\n)#{1,6} +[^\s#][^\n]*(?=\n[ \t]*(?:\n|\Z)|\Z)")
_CODE_LIKE = re.compile(
    r"^[ \t]*(?:[\w.-]+[ \t]*[:+]?=|export |alias |if |fi\b|done\b|source |\[[\w. -]+\]$|.*[;{}]$)", re.M
)


def load_text(data: bytes, path: str) -> Document:
    """Paragraphs as blocks; a paragraph without end (one long line, a log) is cut to bounded blocks."""
    text = decode(data, path)
    prose = PurePosixPath(path).suffix.lower() in _PROSE
    if prose and is_markdown(text):
        from ragkit.loaders.markdown import markdown_document

        return markdown_document(text, path)
    blocks = tuple(Block("paragraph" if prose else "other", *span) for span in paragraphs(text))
    title = first_line_title(text, blocks) if prose else ""
    return Document(path, text, "text", title, {}, sections((), len(text)), blocks)


def is_markdown(text: str) -> bool:
    """Whether `#` starts headings here and not comments: such lines stand alone, between blank lines.

    >>> is_markdown("# Title\\n\\nProse.\\n"), is_markdown("#!/bin/sh\\n\\n# list\\n\\nls\\n")
    (True, False)
    >>> is_markdown("# one comment\\n# over two lines\\nport = 80\\n")
    False
    """
    if text.startswith("#!"):
        return False
    sample = _FENCE.sub("", text[:200_000])
    hashes = len(_HASH.findall(sample))
    headings = len(_HEADING.findall(sample))
    if not headings or headings < 0.6 * hashes:
        return False
    lines = [line for line in sample.split("\n") if line.strip() and not line.startswith("#")]
    return len(_CODE_LIKE.findall(sample)) <= 0.3 * len(lines)
