"""PDF to text by the page, with the outline as headings.

Door of pypdfium2. Positions are pages, counted from 1. Ligatures are taken apart and words joined over the
hyphen at a line's end; lines that every page repeats at its head or foot are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from ragkit.domain import JSON, Block, Document, LineMap
from ragkit.errors import LoadError, SkipFile
from ragkit.loaders.frontmatter import plain
from ragkit.loaders.structure import Heading, Slugs, fill_gaps, paragraphs, sections

_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
    | {"\xa0": " ", "\xad": None, "\u200b": None, "\ufeff": None, "\0": None, "\f": "\n", "\v": "\n"}
)
_HYPHEN = re.compile(r"(?<=[a-z])[-\u2010\u0002\ufffe][ \t]*\n[ \t]*(?=[a-z])([^\s]*)[ \t]?")
# pdfium itself joins some lines, and leaves one of these where the hyphen was.
_JOINT = re.compile(r"(?<=[a-z])[\u0002\ufffe](?=[a-z])")
_MARK = re.compile("[\u0002\ufffe\uffff]")
_DATE = re.compile(r"D:(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d))?")
_BULLET = re.compile(r"\s*(?:[•●▪◦‣–*-]|\(?\d{1,3}[.)]|[a-z]\))\s+\S")
_DIGITS = re.compile(r"\d+")
_EDGE = 2
"""Lines at a page's head and foot among which running titles and page numbers are looked for."""


def load_pdf(data: bytes, path: str) -> Document:
    """Text of every page, in the file's order. Raises SkipFile for scans, LoadError for damaged or locked files."""
    pages, outline, information = _read(data, path)
    if not any(page.strip() for page in pages):
        raise SkipFile(f"{path}: {len(pages)} scanned pages without text; run OCR on it first")
    bodies = _without_running_lines([_tidy(page) for page in pages])
    text, numbers, starts = _join(bodies)
    headings = _headings(text, outline, starts)
    spans = [(heading, heading.start + len(_line_at(text, heading.start))) for heading in headings]
    blocks = [
        Block("heading", h.start, end) for h, end in spans if h.text.casefold() in text[h.start : end].casefold()
    ]
    edges = [0, *(edge for block in blocks for edge in (block.start, block.end)), len(text)]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        blocks.extend(_blocks(text, start, end))
    metadata: dict[str, JSON] = {"pages": len(pages), **_metadata(information)}
    title = information.get("Title", "").strip() or (headings[0].text if headings else "")
    filled = tuple(fill_gaps(text, blocks, kind="paragraph"))
    return Document(
        path, text, "pdf", title, metadata, sections(headings, len(text)), filled, LineMap("page", tuple(numbers))
    )


def _read(data: bytes, path: str) -> tuple[list[str], list[tuple[int, str, int]], dict[str, str]]:
    """Text of the pages; outline as (level, title, page index); the document information."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        reason = "it is encrypted; save a copy without a password" if "assword" in str(error) else "it is damaged"
        raise LoadError(f"{path}: cannot be read as PDF: {reason}") from error
    try:
        pages = [_page_text(document, index) for index in range(len(document))]
        outline = list(_outline(document))
        information = {str(key): str(value) for key, value in document.get_metadata_dict().items() if value}
    except pypdfium2.PdfiumError as error:
        raise LoadError(f"{path}: cannot be read as PDF: {error}") from error
    finally:
        document.close()
    return pages, outline, information


def _page_text(document: Any, index: int) -> str:
    page = document[index]
    try:
        text_page = page.get_textpage()
        try:
            return str(text_page.get_text_bounded())
        finally:
            text_page.close()
    finally:
        page.close()


def _outline(document: Any) -> Iterator[tuple[int, str, int]]:
    for bookmark in document.get_toc(max_depth=6):
        destination = bookmark.get_dest()
        index = destination.get_index() if destination else None
        title = " ".join(_tidy(bookmark.get_title() or "").split())
        if index is not None and title:
            yield bookmark.level + 1, title, index


def _tidy(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_LIGATURES)
    text = _HYPHEN.sub(lambda match: match[1] + "\n", text)
    text = _JOINT.sub("", text)
    text = _MARK.sub("-", text).encode("utf-8", "replace").decode("utf-8")
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _without_running_lines(pages: Sequence[str]) -> list[str]:
    """Drop a line, digits apart, that stands at the same edge of more than half of at least four pages."""
    if len(pages) < 4:
        return list(pages)
    split = [page.split("\n") for page in pages]

    def edges(lines: Sequence[str]) -> set[tuple[str, str]]:
        return {("head", _shape(x)) for x in lines[:_EDGE]} | {("foot", _shape(x)) for x in lines[-_EDGE:]}

    seen = Counter(edge for lines in split for edge in edges(lines))
    running = {edge for edge, count in seen.items() if edge[1] and count > len(pages) / 2}

    def is_running(at: int, line: str, count: int) -> bool:
        shape = _shape(line)
        return (at < _EDGE and ("head", shape) in running) or (at >= count - _EDGE and ("foot", shape) in running)

    return [
        "\n".join(line for at, line in enumerate(lines) if not is_running(at, line, len(lines))) for lines in split
    ]


def _shape(line: str) -> str:
    return _DIGITS.sub("#", line.strip())


def _join(pages: Sequence[str]) -> tuple[str, list[int], list[int]]:
    """The text, the page of each of its lines, and the offset at which each page starts."""
    parts: list[str] = []
    numbers: list[int] = []
    starts: list[int] = []
    offset = 0
    for number, page in enumerate(pages, 1):
        if parts and page:
            parts.append("\n\n")
            numbers.append(number)
            offset += 2
        starts.append(offset)
        if page:
            parts.append(page)
            numbers.extend([number] * (page.count("\n") + 1))
            offset += len(page)
    return "".join(parts), numbers, starts


def _headings(text: str, outline: Sequence[tuple[int, str, int]], starts: Sequence[int]) -> list[Heading]:
    """Outline entries where their title stands as a line of their page, else at the page's start."""
    found: list[Heading] = []
    slugs = Slugs()
    cursor = 0
    for level, title, index in outline:
        if not 0 <= index < len(starts):
            continue
        start = starts[index]
        end = starts[index + 1] if index + 1 < len(starts) else len(text)
        pattern = r"^[ \t]*(?:[\d.]+[ \t]+)?" + r"\s+".join(map(re.escape, title.split())) + r"[ \t]*$"
        match = re.compile(pattern, re.M | re.I).search(text, max(start, cursor), end)
        at = match.start() if match else max(start, cursor)
        if found and (at <= found[-1].start or end <= cursor):  # it points back, as a link to the cover does
            continue
        found.append(Heading(at, level, title, slugs.of(title)))
        cursor = match.end() if match else at
    return found


def _line_at(text: str, offset: int) -> str:
    end = text.find("\n", offset)
    return text[offset : end if end >= 0 else len(text)]


def _blocks(text: str, start: int, end: int) -> Iterator[Block]:
    """Paragraphs: pdfium gives no blank lines, so a short line that ends a sentence, or a bullet, ends one."""
    for first, last in paragraphs(text, start, end):
        lines = [(m.start(), m.end()) for m in re.compile(r"[^\n]+").finditer(text, first, last)]
        widths = sorted(b - a for a, b in lines)
        full = widths[(len(widths) * 9) // 10] if widths else 0
        begin = first
        for (a, b), (following, after) in pairwise(lines):
            ends = text[b - 1] in ".!?:" and b - a < 0.8 * full
            if ends or _BULLET.match(text, following, after):
                yield Block("paragraph", begin, b)
                begin = following
        yield Block("paragraph", begin, last)


def _metadata(information: dict[str, str]) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for key in ("Author", "Subject", "Keywords"):
        if value := information.get(key, "").strip():
            found[key.lower()] = plain(value)
    match = _DATE.match(information.get("ModDate") or information.get("CreationDate") or "")
    if match:
        time = f"T{match[4]}:{match[5]}:{match[6]}" if match[4] else ""
        found["date"] = f"{match[1]}-{match[2]}-{match[3]}{time}"
    return found
