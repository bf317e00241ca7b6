"""Word documents: paragraphs, headings by their style, lists, tables by the row.

Door of python-docx. Positions are paragraphs, counted from 1 in document order, those in tables included.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from ragkit.domain import JSON, Block, BlockKind, Document, LineMap, Span
from ragkit.errors import LoadError
from ragkit.loaders.frontmatter import plain
from ragkit.loaders.structure import Heading, Slugs, sections

_HEADING = re.compile(r"(?:heading|titre|überschrift|título|titolo|kop)\s*(\d)", re.I)
_CODE = re.compile(r"code|source|preformatted|verbatim|html pre", re.I)
_UNPACKED = 200 * 1024 * 1024
"""Most bytes that a document may unpack to: archives can be bombs."""


def load_docx(data: bytes, path: str) -> Document:
    """The document's body; headers, footers and comments are left out."""
    document = _open(data, path)
    writer = _Writer()
    for element in document.element.body.iterchildren():
        tag = str(element.tag).rpartition("}")[2]
        if tag == "p":
            writer.paragraph(*_paragraph(document, element))
        elif tag == "tbl":
            writer.table(list(_rows(element)), paragraphs=_count(element))
        elif tag == "sdt":
            for inner in element.iter(f"{_W}p"):
                writer.paragraph(*_paragraph(document, inner))
    properties = document.core_properties
    title = (properties.title or "").strip()
    metadata: dict[str, JSON] = {}
    if properties.modified or properties.created:
        metadata["date"] = plain(properties.modified or properties.created)
    if properties.author:
        metadata["author"] = plain(properties.author)
    text = "".join(writer.parts)
    title = plain(title) or writer.title or (writer.headings[0].text if writer.headings else "")
    lines = LineMap("paragraph", tuple(writer.numbers))
    found = sections(writer.headings, len(text))
    return Document(path, text, "docx", title, metadata, found, tuple(writer.blocks), lines)


_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


@dataclass(slots=True)
class _Writer:
    """Gathers the text and what it is made of."""

    parts: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    title: str = ""
    offset: int = 0
    count: int = 0
    slugs: Slugs = field(default_factory=Slugs)

    def paragraph(self, style: str, level: int, text: str) -> None:
        """One paragraph; `level` is that of a heading, or of a list item, by its style."""
        self.count += 1
        if not text.strip():
            return
        if style == "list":
            text = "  " * level + "- " + text
            rows = self.blocks and self.blocks[-1].kind == "list" and self.numbers[-1] == self.count - 1
            start = self._add(text, self.count, "\n" if rows else "\n\n")
            before = self.blocks.pop() if rows else None
            spans = (*(before.rows if before else ()), (start, self.offset))
            self.blocks.append(Block("list", before.start if before else start, self.offset, spans))
            return
        if style == "code" and self.blocks and self.blocks[-1].kind == "code" and self.numbers[-1] == self.count - 1:
            self._add(text, self.count, "\n")
            self.blocks.append(Block("code", self.blocks.pop().start, self.offset))
            return
        start = self._add(text, self.count, "\n\n")
        if style == "title" and not self.title:
            self.title = " ".join(text.split())
        if style in ("heading", "title"):
            name = " ".join(text.split())
            self.headings.append(Heading(start, level, name, self.slugs.of(name)))
        kind: BlockKind = {"heading": "heading", "title": "heading", "code": "code"}.get(style, "paragraph")  # type: ignore[assignment]
        self.blocks.append(Block(kind, start, self.offset))

    def table(self, rows: list[tuple[int, str]], paragraphs: int) -> None:
        """Rows as (paragraphs of the table before it, text)."""
        spans: list[Span] = []
        for before, text in rows:
            if text.strip(" |"):
                start = self._add(text, self.count + before + 1, "\n" if spans else "\n\n")
                spans.append((start, self.offset))
        self.count += paragraphs
        if spans:
            header = spans[0] if len(spans) > 1 else None
            body = tuple(spans[1:] if header else spans)
            self.blocks.append(Block("table", spans[0][0], spans[-1][1], body, header))

    def _add(self, text: str, number: int, separator: str) -> int:
        if self.parts:
            self.parts.append(separator)
            self.offset += len(separator)
            self.numbers.extend([number] * (len(separator) - 1))
        start = self.offset
        self.parts.append(text)
        self.offset += len(text)
        self.numbers.extend([number] * (text.count("\n") + 1))
        return start


def _open(data: bytes, path: str) -> Any:
    import docx

    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            if sum(item.file_size for item in archive.infolist()) > _UNPACKED:
                raise LoadError(f"{path}: unpacks to more than {_UNPACKED >> 20} MB")
        return docx.Document(BytesIO(data))
    except LoadError:
        raise
    except Exception as error:  # zipfile, lxml and python-docx each raise their own
        locked = data.startswith(b"\xd0\xcf\x11\xe0")
        reason = "it is encrypted, or an old .doc file" if locked else "it is damaged"
        raise LoadError(f"{path}: cannot be read as DOCX: {reason}") from error


def _paragraph(document: Any, element: Any) -> tuple[str, int, str]:
    """(style, level, text) of a `w:p`."""
    properties = element.find(f"{_W}pPr")
    identity = properties.find(f"{_W}pStyle") if properties is not None else None
    name = _style_name(document, identity.get(f"{_W}val") if identity is not None else None)
    text = _text(element)
    if match := _HEADING.match(name):
        return "heading", int(match[1]), text
    if name.lower() == "title":
        return "title", 1, text
    numbering = properties.find(f"{_W}numPr") if properties is not None else None
    if numbering is not None or name.lower().startswith("list"):
        depth = numbering.find(f"{_W}ilvl") if numbering is not None else None
        level = depth.get(f"{_W}val", "0") if depth is not None else "0"
        return "list", int(level) if level.isdigit() and len(level) < 3 else 0, " ".join(text.split())
    return ("code" if _CODE.search(name) else "paragraph"), 0, text


def _style_name(document: Any, identity: str | None) -> str:
    if identity is None:
        return ""
    style = next((style for style in document.styles.element.style_lst if style.styleId == identity), None)
    return str((style.name_val if style is not None else None) or identity)


def _text(element: Any) -> str:
    """Text of a paragraph, links included; deleted text, where moved text stood, and what stands twice for older
    programs left out."""
    parts: list[str] = []
    left_out = {node for part in element.iter(_FALLBACK, f"{_W}moveFrom") for node in part.iter()}
    for node in element.iter(f"{_W}t", f"{_W}tab", f"{_W}br", f"{_W}cr", f"{_W}noBreakHyphen"):
        tag = str(node.tag).rpartition("}")[2]
        if node in left_out:
            continue
        if tag == "tab" and str(node.getparent().tag).endswith("}tabs"):
            continue
        parts.append({"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}.get(tag) or node.text or "")
    return re.sub(r"\r\n?", "\n", "".join(parts)).strip()


def _rows(table: Any) -> Iterator[tuple[int, str]]:
    before = 0
    for row in table.iterchildren(f"{_W}tr"):
        cells = [" ".join(" ".join(map(_text, cell.iter(f"{_W}p"))).split()) for cell in row.iterchildren(f"{_W}tc")]
        yield before, " | ".join(cells)
        before += _count(row)


def _count(element: Any) -> int:
    return sum(1 for _ in element.iter(f"{_W}p"))
