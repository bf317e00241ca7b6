"""AsciiDoc as text: its headings, anchors, delimited blocks, lists and tables; the text untouched."""

from __future__ import annotations

import re

from ragkit.domain import JSON, Block, BlockKind, Document
from ragkit.loaders.charset import decode
from ragkit.loaders.frontmatter import front_matter, with_date
from ragkit.loaders.structure import Heading, Slugs, fill_gaps, line_starts, paragraphs, sections
from ragkit.text import trim

_HEADING = re.compile(r"(={1,6}|#{1,6})[ \t]+(\S.*?)(?:[ \t]+\1)?[ \t]*$")
_ANCHOR = re.compile(r"\[(?:\[([^\],]+)[^\]]*\]|#([^\],.%]+)[^\]]*)\]\s*$|\[.*\bid=[\"']?([\w-]+).*\]\s*$")
_BEHIND = re.compile(r"[ \t]*\[\[([^\],]+)[^\]]*\]\]$")
_FENCE = re.compile(r"(-{4,}|\.{4,}|\+{4,}|_{4,}|/{4,}|```|[|,:!]={3,})[\w,]*[ \t]*$")
_UNDERLINES = "=-~^+"
LONGER = 2
"""By so many characters a rule may be longer or shorter than the title over it."""
_KINDS: dict[str, BlockKind] = {"-": "code", ".": "code", "`": "code", "_": "quote", "|": "table", ",": "table"}
_ITEM = re.compile(r"[ \t]*(?:[*-]|\*{2,5}|\.{1,5}|\d+\.)[ \t]+\S", re.M)
_ATTRIBUTE = re.compile(r":([\w-]+):[ \t]*(.*)$")
_INLINE = re.compile(r"(?:link:|xref:|<<)[^\[,>]*[\[,]([^\]>]*)(?:\]|>>)|([*_`+#]{1,2})(?=\S)(.+?)(?<=\S)\2")


def load_asciidoc(data: bytes, path: str) -> Document:
    """Headings of one line and of two become sections; `----` and its like keep their content in one block."""
    text = decode(data, path)
    metadata, body, complaint = front_matter(text)
    blocks, headings, attributes = _parse(text, body)
    spans = [(0, body)] if body else []
    filled = tuple(fill_gaps(text, blocks, [*spans, *attributes[1]], "paragraph"))
    title = metadata.get("title") or (headings[0].text if headings else "")
    merged = with_date({**attributes[0], **metadata})
    found = sections(headings, len(text))
    return Document(path, text, "asciidoc", str(title), merged, found, filled, complaint=complaint)


def _parse(text: str, body: int) -> tuple[list[Block], list[Heading], tuple[dict[str, JSON], list[tuple[int, int]]]]:
    starts = line_starts(text)
    blocks: list[Block] = []
    headings: list[Heading] = []
    attributes: dict[str, JSON] = {}
    comments: list[tuple[int, int]] = []
    slugs = Slugs()
    anchor, at, plain = "", 0, body
    while at < len(starts) - 1:
        start, end = starts[at], starts[at + 1]
        at += 1
        if start < body:
            continue
        line = text[start:end].rstrip()
        rule = text[end : starts[at + 1]].rstrip() if at < len(starts) - 1 else ""
        above = text[starts[at - 2] : start].strip() if at > 1 else ""
        level, words = 0, line
        if _is_title(line, rule) and (not above or above.startswith("[")):
            level, end, at = 1 + _UNDERLINES.index(rule[0]), starts[at + 1], at + 1
        elif match := _HEADING.match(line):
            level, words = len(match[1]), match[2]
        if level:
            blocks += _plain(text, plain, start)
            if own := _BEHIND.search(words):
                words, anchor = words[: own.start()], own[1]
            name = _INLINE.sub(lambda m: m[1] or m[3] or "", words).strip()
            slug = slugs.take(anchor) if anchor else "_" + slugs.of(name).replace("-", "_")
            headings.append(Heading(start, level, name, slug))
            blocks.append(Block("heading", *trim(text, start, end)))
            plain = end
        elif match := _FENCE.match(line):
            close = next(
                (i for i in range(at, len(starts) - 1) if text[starts[i] : starts[i + 1]].rstrip() == match[1]), -1
            )
            if close >= 0:
                blocks += _plain(text, plain, start)
                plain = starts[close + 1]
                at = close + 1
                if match[1][0] == "/":
                    comments.append((start, plain))
                else:
                    blocks.append(_delimited(text, start, plain, match[1][0]))
        elif match := _ATTRIBUTE.match(line):
            attributes.setdefault(match[1], match[2])
        elif line.startswith("//") and not line.startswith("///"):
            blocks += _plain(text, plain, start)
            comments.append((start, end))
            plain = end
        match = _ANCHOR.match(line)
        anchor = (match[1] or match[2] or match[3]) if match else anchor if not line else ""
    blocks += _plain(text, plain, len(text))
    return blocks, headings, (attributes, comments)


def _is_title(line: str, rule: str) -> bool:
    """Whether a line and the rule below it are a title of two lines, and the rule opens no block."""
    under = len(rule) > 1 and rule[0] in _UNDERLINES and rule == rule[0] * len(rule)
    return under and line[:1].isalnum() and abs(len(rule) - len(line)) <= LONGER


def _delimited(text: str, start: int, end: int, mark: str) -> Block:
    kind = _KINDS.get(mark, "other")
    start, end = trim(text, start, end)
    if kind != "table":
        return Block(kind, start, end)
    inside = text.find("\n", start) + 1, text.rfind("\n", start, end) + 1
    groups = paragraphs(text, *inside) if inside[0] < inside[1] else []
    if len(groups) == 1:  # one row a line
        groups = [trim(text, m.start(), m.end()) for m in re.compile(r"[^\n]+").finditer(text, *groups[0])]
    header = (start, groups[0][1]) if len(groups) > 1 else None
    return Block(kind, start, end, tuple(groups[1:] if header else groups), header)


def _plain(text: str, start: int, end: int) -> list[Block]:
    blocks: list[Block] = []
    for span in paragraphs(text, start, end):
        marks = [match.start() for match in _ITEM.finditer(text, *span)]
        if marks and not text[span[0] : marks[0]].strip():
            rows = zip(marks, [*marks[1:], span[1]], strict=True)
            blocks.append(Block("list", *span, tuple(trim(text, a, b) for a, b in rows)))
        else:
            blocks.append(Block("paragraph", *span))
    return blocks
