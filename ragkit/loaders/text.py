"""Plain text, logs and configuration files: paragraphs between blank lines, the text untouched.

Underlined lines of prose are headings. Text that is plainly Markdown under another name is handed to that loader.
Knows no third-party library.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from ragkit.domain import Block, Document
from ragkit.loaders.charset import decode
from ragkit.loaders.structure import Heading, Slugs, fill_gaps, first_line_title, paragraphs, sections
from ragkit.text import trim

_PROSE = ("", ".txt", ".text")
_FENCE = re.compile(r"^ {0,3}(```|~~~).*?(?:^ {0,3}\1`*\s*$|\Z)", re.M | re.S)
_HASH = re.compile(r"^#.*$", re.M)
_HEADING = re.compile(r"(?:\A\n*|\n[ \t]*\n)#{1,6} +[^\s#][^\n]*(?=\n[ \t]*(?:\n|\Z)|\Z)")
_UNDERLINED = re.compile(
    r"(?:\A|(?<=\n))(?:[ \t]*\n|\A)(?:(?P<over>([=~*#^+_-])\2{2,})[ \t]*\n)?"
    r"(?P<line>[ \t]*[^\W_][^\n]{1,100})\n[ \t]*(?P<rule>([=~*#^+_-])\5{2,})[ \t]*(?=\n|\Z)"
)
SHORTER = 2
"""By so many columns a rule may be shorter than what stands over it."""
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
    if not prose:
        blocks = tuple(Block("other", *span) for span in paragraphs(text))
        return Document(path, text, "text", "", {}, sections((), len(text)), blocks)
    headings, found = underlined(text)
    blocks = tuple(fill_gaps(text, found, kind="paragraph"))
    return Document(path, text, "text", first_line_title(text, blocks), {}, sections(headings, len(text)), blocks)


def underlined(text: str) -> tuple[list[Heading], list[Block]]:
    """Headings that stand over a rule at least as long, and the lines of each; the first kind of rule is level 1.

    >>> headings, blocks = underlined("Git\\n===\\n\\nFixes\\n-----\\nNone.\\n")
    >>> [(heading.level, heading.text) for heading in headings], [(block.start, block.end) for block in blocks]
    ([(1, 'Git'), (2, 'Fixes')], [(0, 7), (9, 20)])
    """
    headings, blocks, slugs, rules = list[Heading](), list[Block](), Slugs(), list[str]()
    for match in _UNDERLINED.finditer(text):
        line = match["line"].strip()
        over = len(match["rule"]) - columns(line)
        if over < -SHORTER or (over > SHORTER and line[-1] in ".,;:"):  # a rule across the page, below a sentence
            continue
        kind = match["rule"][0] + (match["over"] or "")[:1]  # a title between two rules is another kind
        if kind not in rules:
            rules.append(kind)
        start, end = trim(text, *match.span())
        headings.append(Heading(start, rules.index(kind) + 1, line, slugs.of(line)))
        blocks.append(Block("heading", start, end))
    return headings, blocks


def columns(line: str) -> int:
    """How wide a terminal shows a line: Chinese, Japanese and Korean characters take two columns.

    >>> columns("Setup"), columns("設定")
    (5, 4)
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


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
