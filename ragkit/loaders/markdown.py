"""Markdown to structure, the text untouched: headings, fences, lists, tables, front matter.

Door of markdown_it. Tolerates MDX, Hugo and Jinja: what it does not know stays text. Knows block structure
only; inline markup is never parsed, so that nothing can be lost from it.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragkit.domain import Block, BlockKind, Document, Span
from ragkit.loaders.charset import decode
from ragkit.loaders.frontmatter import front_matter
from ragkit.loaders.structure import Heading, Slugs, fill_gaps, line_starts, sections
from ragkit.text import trim

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_COMMENTS = re.compile(r"(?:\s*+(?><!--.*?-->|\{/\*.*?\*/\}|\{#-.*?-#\}))++\s*\Z", re.S)
_ROW, _END = re.compile(r"<tr\b", re.I), re.compile(r"</table", re.I)
_ANCHOR = re.compile(r"\s*\{:?\s*#([^\s}]+)[^}]*\}\s*$|\s*\{/\*\s*#([^\s}]+)\s*\*/\}\s*$")
_NAMED = re.compile(r"<(?:a|span)\s+(?:id|name)=[\"']([^\"']+)[\"'][^>]*>(?:\s*</(?:a|span)>)?")
_SHORTCODE = re.compile(r"\{\{[<%]\s*(.*?)\s*[%>]\}\}")
_ARGUMENT = re.compile(r"(?:^|\s)(?:text=)?[\"']([^\"']*)[\"']")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--.*?-->")
_LINK = re.compile(
    r"!?\[((?:[^\[\]]|\[[^\[\]]*\])*)\](?:\([^()\s]*(?:\([^()]*\)[^()]*)*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])"
)
_CODE = re.compile(r"(`+)(.+?)\1")
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|~~)(?=\S)(.+?)(?<=\S)\1(?!\w)")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_SIGNATURE = re.compile(r"(?:#* *)?(?:`[\w.$:~@-]+(?:\([^`]*\)[^`]*)?`|[\w.$:~\\]+\(.*\))")
_ADMONITION = re.compile(r"(?:!!!|\?\?\?\+?|===\+?)\s*[\w\"]")
_KINDS: dict[str, BlockKind] = {
    "paragraph_open": "paragraph",
    "fence": "code",
    "code_block": "code",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "blockquote_open": "quote",
    "table_open": "table",
}


def load_markdown(data: bytes, path: str) -> Document:
    """The file's own text, with headings and their anchors as sections, and its blocks."""
    return markdown_document(decode(data, path), path)


def markdown_document(text: str, path: str) -> Document:
    """A Document of Markdown text that is already decoded."""
    metadata, body, complaint = front_matter(text)
    parsed = parse_markdown(text, body)
    title = metadata.get("title")
    if not isinstance(title, str) or not title.strip():
        best = min(parsed.headings, key=lambda heading: heading.level, default=None)
        title = best.text if best else ""
    found = sections(parsed.headings, len(text))
    blocks = tuple(parsed.blocks)
    return Document(path, text, "markdown", title.strip(), metadata, found, blocks, complaint=complaint)


@dataclass(slots=True)
class Parsed:
    """Structure of one Markdown text."""

    blocks: list[Block] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)


def parse_markdown(text: str, start: int = 0, slugs: Slugs | None = None) -> Parsed:
    """Blocks and headings of `text` from offset `start` (a line's first character) on."""
    slugs = slugs or Slugs()
    starts = [start + offset for offset in line_starts(text[start:])]
    tokens = _parser().parse(text[start:])
    found = Parsed()
    ignored: list[Span] = [(0, start)] if start else []
    blocks: list[Block] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        close = _closing(tokens, at)
        if token.map and token.map[0] < len(starts):
            span = _span(text, starts, token.map)
            if token.type == "heading_open":
                blocks.append(Block("heading", *span))
                found.headings.append(_heading(tokens[at + 1].content, int(token.tag[1]), span[0], slugs))
            elif token.type == "html_block" and _COMMENTS.match(text, *span):
                ignored.append(span)
            else:
                blocks.extend(_blocks(text, starts, tokens[at : close + 1], span))
        at = close + 1
    found.blocks = fill_gaps(text, _join_html_tables(text, _admonitions(text, blocks)), ignored)
    return found


@functools.cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _closing(tokens: Sequence[Token], at: int) -> int:
    if tokens[at].nesting != 1:
        return at
    level = tokens[at].level
    return next((i for i in range(at + 1, len(tokens)) if tokens[i].level == level and tokens[i].nesting == -1), at)


def _span(text: str, starts: Sequence[int], lines: Sequence[int]) -> Span:
    return trim(text, starts[lines[0]], starts[min(lines[1], len(starts) - 1)])


def _blocks(text: str, starts: Sequence[int], tokens: Sequence[Token], span: Span) -> list[Block]:
    """Blocks of one top-level element. A list or quote that holds code or a table is cut around it."""
    first = tokens[0]
    kind = _KINDS.get(first.type, "other")
    if kind == "table":
        return [_table(text, starts, tokens, span)]
    if kind not in ("list", "quote"):
        return [Block(kind, *span)]
    items = [_span(text, starts, t.map) for t in tokens if t.type == "list_item_open" and t.level == 1 and t.map]
    blocks: list[Block] = []
    cursor = span[0]
    for at, token in enumerate(tokens):
        if token.type not in ("fence", "table_open") or not token.map:
            continue
        inner = _span(text, starts, token.map)
        if inner[0] < cursor or text[text.rfind("\n", 0, inner[0]) + 1 : inner[0]].strip():
            continue
        if _shares_line(text, inner[0]):  # `- ```sh`: the marker and the fence are one line
            inner = (max(cursor, text.rfind("\n", 0, inner[0]) + 1), inner[1])
        blocks += _rest(text, kind, (cursor, inner[0]), items)
        if token.type == "table_open":
            blocks.append(_table(text, starts, tokens[at : _closing(tokens, at) + 1], inner))
        else:
            blocks.append(Block("code", *inner))
        cursor = inner[1]
    return blocks + _rest(text, kind, (cursor, span[1]), items)


def _shares_line(text: str, offset: int) -> bool:
    return bool(text[text.rfind("\n", 0, offset) + 1 : offset].strip())


def _rest(text: str, kind: BlockKind, span: Span, items: Sequence[Span]) -> list[Block]:
    start, end = trim(text, *span)
    if start >= end:
        return []
    rows = tuple(trim(text, max(s, start), min(e, end)) for s, e in items if max(s, start) < min(e, end))
    return [Block(kind, start, end, tuple(row for row in rows if row[0] < row[1]))]


def _table(text: str, starts: Sequence[int], tokens: Sequence[Token], span: Span) -> Block:
    body = next((t.map[0] for t in tokens if t.type == "tbody_open" and t.map), None)
    lines = [t.map for t in tokens if t.type == "tr_open" and t.map]
    if body is None:  # a header over nothing
        return Block("table", *span, header=span)
    rows = tuple(_span(text, starts, line) for line in lines if line[0] >= body)
    return Block("table", *span, rows, (span[0], trim(text, span[0], starts[body])[1]))


def _heading(content: str, level: int, start: int, slugs: Slugs) -> Heading:
    anchor = ""
    if match := _ANCHOR.search(content):
        anchor, content = match[1] or match[2], content[: match.start()]
    if match := _NAMED.search(content):
        anchor, content = anchor or match[1], content.replace(match[0], "")
    text = plain_inline(content)
    symbol = _SIGNATURE.fullmatch(content.strip()) is not None
    return Heading(start, level, text, slugs.take(anchor) if anchor else slugs.of(text), symbol)


def plain_inline(content: str) -> str:
    """Inline Markdown as a reader sees it: no marks, links as their text, shortcodes as their first argument.

    >>> plain_inline('The `kubelet` [API](/api) of {{< tooltip text="pods" id="pod" >}}')
    'The kubelet API of pods'
    """
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[2].strip())
        return f"\0{len(kept) - 1}\0"

    content = _CODE.sub(keep, content)
    content = _SHORTCODE.sub(lambda match: (_ARGUMENT.search(match[1]) or ("", ""))[1], content)
    content = _TAG.sub("", content)
    for pattern, group in ((_LINK, 1), (_LINK, 1), (_EMPHASIS, 2), (_EMPHASIS, 2)):
        content = pattern.sub(rf"\{group}", content)
    content = html.unescape(_ESCAPE.sub(r"\1", content))
    content = re.sub(r"\0(\d+)\0", lambda match: kept[int(match[1])], content)
    return " ".join(content.split())


def _admonitions(text: str, blocks: list[Block]) -> list[Block]:
    """What is indented under `!!! note` (MkDocs) is prose, not code."""
    for at in range(1, len(blocks)):
        before, block = blocks[at - 1], blocks[at]
        indented = block.kind == "code" and text.startswith(("    ", "\t"), block.start)
        if indented and before.kind == "paragraph" and _ADMONITION.match(text, before.start):
            blocks[at] = Block("paragraph", block.start, block.end)
    return blocks


def _join_html_tables(text: str, blocks: list[Block]) -> list[Block]:
    """An HTML table with blank lines in it is one table block, a row to each `<tr>`."""
    joined: list[Block] = []
    at = 0
    while at < len(blocks):
        block = blocks[at]
        at += 1
        if block.kind == "other" and text[block.start : block.start + 12].lstrip().lower().startswith("<table"):
            stop = at
            while stop <= len(blocks):
                end = blocks[stop - 1].end
                if "</table" in text[blocks[stop - 1].start : end].lower():
                    break
                stop += 1
            if stop <= len(blocks) and not any(b.kind == "heading" for b in blocks[at:stop]):
                joined.append(_html_table(text, block.start, blocks[stop - 1].end))
                at = stop
                continue
        joined.append(block)
    return joined


def _html_table(text: str, start: int, end: int) -> Block:
    marks = [match.start() for match in _ROW.finditer(text, start, end)]
    if not marks:
        return Block("table", start, end)
    last = max((match.start() for match in _END.finditer(text, start, end)), default=0)
    spans = [trim(text, a, b) for a, b in zip(marks, [*marks[1:], max(last, marks[-1])], strict=True)]
    rows = [span for span in spans if span[0] < span[1]]
    header = None
    if len(rows) > 1 and "<th" in text[slice(*rows[0])].lower():
        header, rows = rows[0], rows[1:]
    return Block("table", start, end, tuple(rows), header)
