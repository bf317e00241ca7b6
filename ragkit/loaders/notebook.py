"""Jupyter notebooks: Markdown cells with their structure, code cells, short text outputs.

Door of nbformat. Positions are cells, counted from 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ragkit.domain import JSON, Block, Document, LineMap
from ragkit.errors import LoadError
from ragkit.loaders.charset import decode
from ragkit.loaders.frontmatter import front_matter, plain
from ragkit.loaders.markdown import parse_markdown
from ragkit.loaders.structure import Heading, Slugs, sections
from ragkit.text import trim

_OUTPUT_LINES = 20
_OUTPUT_CHARACTERS = 2_000


def load_notebook(data: bytes, path: str) -> Document:
    """Cells in order, a blank line between them. Images and rich outputs are left out."""
    notebook = _read(decode(data, path), path)
    parts: list[str] = []
    numbers: list[int] = []
    blocks: list[Block] = []
    headings: list[Heading] = []
    metadata: dict[str, JSON] = {}
    complaint = ""
    slugs = Slugs()
    offset = 0
    for number, cell in enumerate(notebook.get("cells", []), 1):
        for kind, text in _texts(cell):
            if number == 1 and kind == "markdown" and not metadata:
                metadata, skip, complaint = front_matter(text)
                text = text[skip:]
            if not text.strip():
                continue
            if parts:
                parts.append("\n\n")
                offset += 2
                numbers.append(number)
            if kind == "markdown":
                parsed = parse_markdown(text, slugs=slugs)
                blocks.extend(shift(block, offset) for block in parsed.blocks)
                headings.extend(replace(heading, start=heading.start + offset) for heading in parsed.headings)
            else:
                start, end = trim(text, 0, len(text))
                blocks.append(Block("code" if kind == "code" else "other", offset + start, offset + end))
            parts.append(text)
            numbers.extend([number] * (text.count("\n") + 1))
            offset += len(text)
    text = "".join(parts)
    title = metadata.get("title") or plain(notebook.get("metadata", {})).get("title") or ""
    top = min(headings, key=lambda heading: heading.level, default=None)
    title = str(title) or (top.text if top else "")
    return Document(
        path,
        text,
        "notebook",
        title,
        metadata,
        sections(headings, len(text)),
        tuple(blocks),
        LineMap("cell", tuple(numbers)),
        complaint,
    )


def shift(block: Block, by: int) -> Block:
    """The block, `by` characters further on."""
    rows = tuple((start + by, end + by) for start, end in block.rows)
    header = (block.header[0] + by, block.header[1] + by) if block.header else None
    return Block(block.kind, block.start + by, block.end + by, rows, header)


def _read(text: str, path: str) -> Mapping[str, Any]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{path}: not a notebook: not valid JSON ({error})") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("cells", raw.get("worksheets")), list):
        raise LoadError(f"{path}: not a notebook: it has no cells")
    if raw.get("nbformat") == 4:  # what nbformat would give back; its import alone costs more than most notebooks
        return raw
    import nbformat

    try:
        converted: Mapping[str, Any] = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    except Exception as error:  # nbformat raises whatever its converters meet
        raise LoadError(f"{path}: not a notebook: {error}") from error
    return converted


def _texts(cell: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(cell, Mapping):
        return
    kind = cell.get("cell_type")
    source = _joined(cell.get("source"))
    if kind in ("markdown", "code"):
        yield kind, source
    elif source:
        yield "raw", source
    outputs = cell.get("outputs")
    for output in outputs if kind == "code" and isinstance(outputs, list) else []:
        if text := _short(_output(output)):
            yield "output", text


def _output(output: Any) -> str:
    if not isinstance(output, Mapping):
        return ""
    if output.get("output_type") == "error":
        return f"{output.get('ename', '')}: {output.get('evalue', '')}".strip(": ")
    data = output.get("data")
    return _joined(data.get("text/plain") if isinstance(data, Mapping) else output.get("text"))


def _joined(value: Any) -> str:
    text = "".join(part for part in value if isinstance(part, str)) if isinstance(value, list) else value
    text = text if isinstance(text, str) else ""
    return text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8")


def _short(text: str) -> str:
    lines = text.rstrip().split("\n")
    kept = "\n".join(lines[:_OUTPUT_LINES])[:_OUTPUT_CHARACTERS]
    return kept + "\n..." if len(kept) < len(text.rstrip()) else kept
