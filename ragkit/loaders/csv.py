"""Tables of comma- or tab-separated values: one table block with its header, the text untouched."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import PurePosixPath

from ragkit.domain import Block, Document, Span
from ragkit.loaders.charset import decode
from ragkit.loaders.structure import LIMIT, line_starts, paragraphs, sections
from ragkit.text import trim

_DELIMITERS = ",;\t|"


def load_csv(data: bytes, path: str) -> Document:
    """Rows may span lines inside quotes. What the csv module cannot follow is read as paragraphs."""
    text = decode(data, path)
    rows = _rows(text, path)
    title = PurePosixPath(path).stem
    if not rows or max(end - start for start, end in rows) > LIMIT:
        blocks = tuple(Block("other", *span) for span in paragraphs(text))
    else:
        header = rows[0] if len(rows) > 1 else None
        blocks = (Block("table", rows[0][0], rows[-1][1], tuple(rows[1:] if header else rows), header),)
    return Document(path, text, "csv", title, {}, sections((), len(text)), blocks)


def _rows(text: str, path: str) -> list[Span]:
    starts = line_starts(text)
    lines = (text[start:end] for start, end in pairwise(starts))
    first = text[: starts[1]] if len(starts) > 1 else ""
    delimiter = "\t" if path.lower().endswith(".tsv") else max(_DELIMITERS, key=first.count)
    spans: list[Span] = []
    reader = csv.reader(lines, delimiter=delimiter)
    line = 0
    try:
        for _ in reader:
            span = trim(text, starts[line], starts[reader.line_num])
            line = reader.line_num
            if span[0] < span[1]:
                spans.append(span)
    except csv.Error:
        return []
    return spans
