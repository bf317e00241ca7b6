"""reStructuredText to structure, the text untouched: sections by docutils, blocks by indentation.

Door of docutils, which parses for sections alone: inline markup is left as it is, nothing is included,
executed or fetched, and what it has to say about directives it does not know (Sphinx's) goes nowhere.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ragkit.domain import JSON, Block, BlockKind, Document, Span
from ragkit.loaders.charset import decode
from ragkit.loaders.frontmatter import with_date
from ragkit.loaders.rst_entries import entries
from ragkit.loaders.structure import Heading, Slugs, fill_gaps, line_starts, paragraphs, sections
from ragkit.loaders.symbols import nested
from ragkit.text import trim

if TYPE_CHECKING:
    from docutils import nodes

_DIRECTIVE = re.compile(r"\.\. +(?:\|[^|]+\| +)?([\w:.+-]+)::")
_NAMED = re.compile(r"\.\. +(?:\[|\|)")
_COMMENT = re.compile(r"\.\.(?:\s|\Z)|__ ")
_CODE = re.compile(
    r"(?:[\w-]+:)?(?:code(?:-block)?|sourcecode|literalinclude|parsed-literal|doctest|testcode|testoutput|testsetup"
    r"|productionlist|highlight|prompt|ipython|math|graphviz|digraph|mermaid)\Z"
)
_ITEM = re.compile(r"[ \t]*(?:[*+•-]|\(?(?:\d+|[a-zA-Z]|#)[.)])[ \t]+\S")
BORDERS_AND_A_ROW = 3
_BORDER = re.compile(r"[ \t]*=+(?:[ \t]+=+)+[ \t]*$")
_GRID = re.compile(r"[ \t]*\+[-=+]+\+[ \t]*$")
_RULE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*$")
_FIELD = re.compile(r":([\w -]+):[ \t]+(\S.*)$", re.M)
_INLINE = re.compile(
    r":[\w:.+-]+:`~?!?([^`<]*?)(?:\s*<[^`>]*>)?`|``(.+?)``|`([^`<]+?)(?:\s*<[^`>]*>)?`_{0,2}|(\*\*?)(.+?)\4"
)


def load_rst(data: bytes, path: str) -> Document:
    """Headings and descriptions of symbols become sections; comments and targets are in no block."""
    text = decode(data, path)
    starts = line_starts(text)
    headings, title_spans = _headings(text, starts)
    metadata = _docinfo(text, title_spans)
    blocks = [Block("heading", *span) for span in title_spans]
    ignored: list[Span] = []
    edges = [0, *(edge for span in title_spans for edge in span), len(text)]
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        blocks.extend(_blocks(text, paragraphs(text, start, end), ignored))
    filled = tuple(fill_gaps(text, blocks, ignored))
    title = headings[0].text if headings else ""
    unread = [*ignored, *((block.start, block.end) for block in filled if block.kind == "code")]
    symbols = [entry for entry in entries(text) if not any(a <= entry.start < b for a, b in unread)]
    found = nested(sections(headings, len(text)), symbols)
    return Document(path, text, "rst", title, metadata, found, filled)


# ---------------------------------------------------------------- sections


class _PlainInliner:
    """Stands in for docutils' parser of inline markup: keeps the text, and on which line it stood."""

    def __init__(self) -> None:
        self.lines: dict[int, int] = {}
        self.kept: list[Any] = []

    def init_customizations(self, settings: Any) -> None:
        pass

    def adjust_uri(self, uri: str) -> str:
        return uri

    def parse(self, text: str, lineno: int, memo: Any, parent: Any) -> tuple[list[Any], list[Any]]:
        from docutils import nodes

        node = nodes.Text(text)
        self.kept.append(node)  # an id is the object's only while it lives
        self.lines[id(node)] = lineno
        return [node], []


@functools.cache
def _settings() -> Any:
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser

    settings = get_default_settings(Parser)
    settings.report_level = settings.halt_level = 5
    settings.warning_stream = False
    settings.file_insertion_enabled = settings.raw_enabled = False
    settings.syntax_highlight = "none"
    settings.line_length_limit = 10**9
    return settings


def _headings(text: str, starts: Sequence[int]) -> tuple[list[Heading], list[Span]]:
    """The section titles that docutils sees, and the lines that each takes, adornment included."""
    from docutils import nodes
    from docutils.parsers.rst import Parser
    from docutils.utils import new_document

    inliner: Any = _PlainInliner()
    document = new_document("document", _settings().copy())
    try:
        Parser(inliner=inliner).parse(_outer(text), document)
    except Exception:  # docutils has bugs that odd input finds: the text is still worth having
        return [], []
    headings: list[Heading] = []
    spans: list[Span] = []
    slugs = Slugs()
    for section in document.findall(nodes.section):
        title = section.next_node(nodes.title)
        line = inliner.lines.get(id(title.children[0])) if title is not None and title.children else None
        if title is None:
            continue
        span = _title_span(text, starts, line or 0, title.astext())
        if span and (not spans or span[0] >= spans[-1][1]):
            name = " ".join(_INLINE.sub(lambda m: m[1] or m[2] or m[3] or m[5] or "", title.astext()).split())
            headings.append(Heading(span[0], _depth(section), name, slugs.of(nodes.make_id(name) or "section")))
            spans.append(span)
    return headings, spans


def _outer(text: str) -> str:
    """The text with its indented lines emptied: sections stand at the margin, and the rest takes docutils long."""
    lines = text.replace("\f", " ").replace("\v", " ").split("\n")
    kept = [line if line[:1] not in (" ", "\t") else "" for line in lines]
    for at in range(1, len(lines) - 1):
        if not kept[at] and lines[at].strip() and _RULE.match(lines[at - 1]) and _RULE.match(lines[at + 1]):
            kept[at] = lines[at]  # a title between its lines may be indented
    return "\n".join(kept)


def _depth(section: nodes.Node) -> int:
    depth = 0
    node: Any = section
    while node is not None:
        depth += node.tagname == "section"
        node = node.parent
    return depth


def _title_span(text: str, starts: Sequence[int], line: int, title: str) -> Span | None:
    """The title's lines. docutils points at the title or at its adornment."""
    wanted = title.strip()

    def at(number: int) -> str:
        return text[starts[number] : starts[number + 1]].strip() if 0 <= number < len(starts) - 1 else ""

    for number in (line - 1, line - 2, line, line - 3):
        if at(number) == wanted and _RULE.match(at(number + 1)):
            over = number > 0 and at(number - 1) == at(number + 1)
            return trim(text, starts[number - over], starts[number + 2])
    return None


def _docinfo(text: str, titles: Sequence[Span]) -> dict[str, JSON]:
    """Fields at the head of the file, and right under its title: `:date: 2024-01-01`."""
    found: dict[str, JSON] = {}
    for start in dict.fromkeys((0, titles[0][1] if titles else 0)):
        head = paragraphs(text[: start + 8_000], start)[:1]
        if head and text[head[0][0]] == ":":
            found |= {match[1].strip(): match[2].strip() for match in _FIELD.finditer(text, *head[0])}
    return with_date(found)


# ---------------------------------------------------------------- blocks


def _blocks(text: str, groups: Sequence[Span], ignored: list[Span]) -> Iterator[Block]:
    at = 0
    while at < len(groups):
        start, end = groups[at]
        lines = text[start:end].split("\n")
        indent = _indent(lines[0])
        first = lines[0].strip()
        stop = at + 1
        directive = _DIRECTIVE.match(first)
        if not directive and _COMMENT.match(first) and not _NAMED.match(first):
            if first != ".." and not first.startswith((".. _", "__ ")):  # what a target stands before is no comment
                stop = _inside(text, groups, at, indent)
            ignored.append((start, groups[stop - 1][1]))
            if rest := _after_comment(text, start, groups[at][1], indent):
                ignored[-1] = (start, rest)
                stop = at + 1
        elif directive and _CODE.match(directive[1]):
            stop = _inside(text, groups, at, indent)
            yield Block("code", start, groups[stop - 1][1])
        elif table := _table(text, groups, at):
            yield table[0]
            stop = table[1]
        elif first.startswith(">>>"):
            yield Block("code", start, end)
        else:
            if directive and _is_head(lines) and at + 1 < len(groups):
                following = groups[at + 1]
                head = text[slice(*following)].lstrip()
                if _first_indent(text, following) > indent and not head.startswith((".. ", ">>>", "+-", "==")):
                    stop, (start, end) = at + 2, (start, following[1])  # a directive with what it says first
                    lines = text[start:end].split("\n")
            yield _prose(text, start, end, lines)
            if text.endswith("::", start, end) and not _DIRECTIVE.fullmatch(lines[-1].strip()):
                inner = _inside(text, groups, stop - 1, _indent(lines[-1]) if len(lines) > 1 else indent)
                if inner > stop:
                    yield Block("code", groups[stop][0], groups[inner - 1][1])
                    stop = inner
        at = stop


def _is_head(lines: Sequence[str]) -> bool:
    """A directive's arguments and options, none of its content."""
    return all(line.lstrip().startswith(":") or lines[at - 1].endswith("\\") for at, line in enumerate(lines) if at)


def _indent(line: str) -> int:
    expanded = line.expandtabs(8)
    return len(expanded) - len(expanded.lstrip())


def _first_indent(text: str, span: Span) -> int:
    return _indent(text[slice(*span)].partition("\n")[0])


def _inside(text: str, groups: Sequence[Span], at: int, indent: int) -> int:
    """Index of the first group after `at` that is not indented deeper than `indent`."""
    stop = at + 1
    while stop < len(groups) and _first_indent(text, groups[stop]) > indent:
        stop += 1
    return stop


def _after_comment(text: str, start: int, end: int, indent: int) -> int:
    """Offset of a line at the comment's own indentation in its group (another target, prose); 0 for none."""
    at = text.find("\n", start, end) + 1
    while at:
        line = text[at:end].partition("\n")[0]
        if _indent(line) <= indent:
            return at
        at = text.find("\n", at, end) + 1
    return 0


def _prose(text: str, start: int, end: int, lines: Sequence[str]) -> Block:
    kind: BlockKind = "paragraph"
    if not _ITEM.match(lines[0]):
        return Block("quote" if lines[0].startswith("   ") and _is_quote(lines) else kind, start, end)
    indent = _indent(lines[0])
    marks: list[int] = []
    offset = start
    for line in lines:
        if _ITEM.match(line) and _indent(line) == indent:
            marks.append(offset)
        offset += len(line) + 1
    rows = tuple(trim(text, a, b) for a, b in zip(marks, [*marks[1:], end], strict=True))
    return Block("list", start, end, rows)


def _is_quote(lines: Sequence[str]) -> bool:
    return lines[-1].lstrip().startswith("-- ")


def _table(text: str, groups: Sequence[Span], at: int) -> tuple[Block, int] | None:
    """A grid or a simple table, and the index of the group after it."""
    start, end = groups[at]
    first = text[start:end].partition("\n")[0]
    grid = bool(_GRID.match(first))
    if not grid and not _BORDER.match(first):
        return None
    stop = at + 1
    while not grid and stop < len(groups) and not _closed(text, start, end):
        end = groups[stop][1]
        stop += 1
    lines: list[Span] = []
    borders: list[int] = []
    for line_start, line_end in _lines(text, start, end):
        line = text[line_start:line_end]
        if (_GRID if grid else _BORDER).match(line):
            borders.append(len(lines))
        lines.append((line_start, line_end))
    double = [b for b in borders if grid and "=" in text[slice(*lines[b])]]
    head = double[0] if double else borders[1] if not grid and len(borders) > 2 else 0
    if grid:
        edges = [b for b in borders if b >= head]
        pairs = [(a + 1, b) for a, b in pairwise(edges) if a + 1 < b]
        rows = [(lines[a][0], lines[b - 1][1]) for a, b in pairs]
    else:
        body = range(head + 1, len(lines))
        rows = [lines[i] for i in body if i not in borders and text[slice(*lines[i])].strip()]
    header = (start, lines[head][1]) if head else None
    return Block("table", start, end, tuple(rows), header), stop


def _lines(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield start, stop
        start = stop + 1


def _closed(text: str, start: int, end: int) -> bool:
    lines = text[start:end].split("\n")
    return (
        sum(bool(_BORDER.match(line)) for line in lines) >= 2
        and bool(_BORDER.match(lines[-1]))
        and len(lines) >= BORDERS_AND_A_ROW
    )
