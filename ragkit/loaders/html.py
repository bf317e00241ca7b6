"""HTML pages to readable text: content without navigation, tables by the row, code verbatim.

Door of selectolax (lexbor). The text keeps the source's own line breaks within paragraphs, and the line map
leads every line of it back to the file. Knows a page's elements; which of them are boilerplate is said in
html_rules, where they stand in the file in html_lines, how units become a Document in html_units.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ragkit.domain import JSON, Document
from ragkit.errors import SkipFile
from ragkit.loaders.charset import decode
from ragkit.loaders.frontmatter import iso_date, with_date
from ragkit.loaders.html_lines import source_lines
from ragkit.loaders.html_rules import DROPPED, INLINE, is_boilerplate
from ragkit.loaders.html_units import Unit, UnitWriter, assemble

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_DECLARED = re.compile(rb"<meta[^>]{0,200}charset=[\"']?\s*([\w-]+)|<\?xml[^>]{0,100}encoding=[\"']([\w-]+)", re.I)
_HEADINGS = frozenset(["h1", "h2", "h3", "h4", "h5", "h6"])
_SIMPLE: dict[str, tuple[Callable[[UnitWriter], None], Callable[[UnitWriter], None]]] = {
    "br": (UnitWriter.newline, lambda writer: None),
    "pre": (UnitWriter.open_code, UnitWriter.close_code),
    "li": (UnitWriter.open_item, UnitWriter.flush),
    "tr": (UnitWriter.open_row, UnitWriter.close_row),
    "dl": (UnitWriter.open_definitions, UnitWriter.close_definitions),
    "dd": (UnitWriter.open_definition, UnitWriter.close_definition),
    "blockquote": (UnitWriter.open_quote, UnitWriter.close_quote),
}
_LAYOUT = "h1,h2,h3,h4,h5,h6,pre,table table"
_TITLE_TAIL = re.compile(r"\s+(?:[|·•»—–]|::|-(?=\s[^-]*$))\s+")
_STAMP = re.compile(r"(?:this page (?:was )?)?last (?:modified|updated|edited)(?: on)?:?\s+(\S.{0,60})\Z", re.I)
_META = {
    "description": "description",
    "og:description": "description",
    "date": "date",
    "dc.date": "date",
    "dcterms.modified": "last_modified",
    "article:published_time": "date",
    "article:modified_time": "last_modified",
    "last-modified": "last_modified",
    "keywords": "keywords",
    "author": "author",
}


def load_html(data: bytes, path: str) -> Document:
    """The page's content as text, `a | b | c` for a table row, and the way back to the file's lines.

    Raises SkipFile for a page that holds only navigation.
    """
    from selectolax.lexbor import LexborHTMLParser

    match = _DECLARED.search(data[:4096])
    declared = (match[1] or match[2]).decode("ascii") if match else ""
    source = decode(data, path, declared)
    page = LexborHTMLParser(source)
    root = page.body or page.root
    if root is None:
        raise SkipFile(f"{path}: no text to index")
    units = _main_part(_Walk(source, page).run(root))
    metadata = _metadata(page)
    if units and (stamp := _STAMP.match(units[-1].flat)):
        units.pop()
        metadata.setdefault("date", iso_date(stamp[1]) or stamp[1])
    if all(unit.kind == "heading" for unit in units):
        raise SkipFile(f"{path}: only navigation, no content")
    text, sections, blocks, lines = assemble(units)
    return Document(path, text, "html", _title(page, units), metadata, sections, blocks, lines)


class _Walk:
    """One pass over the tree in document order, without recursion: pages nest as deep as they like."""

    def __init__(self, source: str, page: LexborHTMLParser) -> None:
        texts = [node for node in page.root.traverse(include_text=True) if node.tag == "-text"] if page.root else []
        lines = source_lines(source, [node.text_content or "" for node in texts])
        self.lines = {node.mem_id: line for node, line in zip(texts, lines, strict=True)}
        self.writer = UnitWriter()
        self.open: list[tuple[Callable[[], None] | None, bool]] = []
        """For every element that was entered: what closes it, and whether it is a main part."""

    def run(self, root: LexborNode) -> list[Unit]:
        """The units of everything below `root`."""
        writer, top = self.writer, root.mem_id
        node: LexborNode | None = root.first_child
        while node is not None:
            tag = node.tag or ""
            if tag == "-text":
                writer.text(node.text_content or "", self.lines.get(node.mem_id, 1))
            elif not tag.startswith("-") and self._enter(node, tag):
                child = node.first_child
                if child is not None:
                    node = child
                    continue
                self._leave()
            following = node.next
            while following is None:
                parent = node.parent
                if parent is None or parent.mem_id == top:
                    writer.flush()
                    return writer.units
                node = parent
                self._leave()
                following = node.next
            node = following
        writer.flush()
        return writer.units

    def _enter(self, node: LexborNode, tag: str) -> bool:
        """Open an element; False where nothing in it is content."""
        if tag in DROPPED:
            return False
        writer = self.writer
        attributes: Mapping[str, str | None] = node.attributes
        main = tag in ("main", "article") or attributes.get("role") == "main"
        if not main and is_boilerplate(tag, attributes, in_main=writer.main > 0):
            # The page's own title sometimes stands in what is otherwise its banner.
            kept = ".sidebar-title" if tag == "aside" else "h1,main,[role=main]"  # a sidebar of Sphinx is content
            if tag == "nav" or tag in INLINE or (writer.main and tag != "aside") or node.css_first(kept) is None:
                return False
        elif tag == "form" and node.css_first("h1,h2,main,article") is None:
            return False
        if tag in INLINE:
            if writer.in_heading and not writer.anchor and tag in ("a", "span"):
                writer.anchor = attributes.get("id") or attributes.get("name") or ""
            self.open.append((None, False))
            return True
        if main:
            writer.flush()
            writer.main += 1
        self.open.append((self._open_block(node, tag, attributes), main))
        return True

    def _leave(self) -> None:
        close, main = self.open.pop()
        if close:
            close()
        if main:
            self.writer.main -= 1

    def _open_block(self, node: LexborNode, tag: str, attributes: Mapping[str, str | None]) -> Callable[[], None]:
        """Tell the writer of a block element, and give what will close it."""
        writer = self.writer
        identity = attributes.get("id") or ""
        if writer.in_code and tag != "pre":  # an element for each line
            writer.code_line()
            return writer.code_line
        if tag in _HEADINGS:
            writer.open_heading(int(tag[1]), identity)
            return writer.close_heading
        if tag in ("ul", "ol"):
            start = attributes.get("start") or ""
            writer.open_list(ordered=tag == "ol", start=int(start) if start.isdecimal() and len(start) < 9 else 1)
            return writer.close_list
        if tag == "table":
            data = attributes.get("role") != "presentation" and node.css_first(_LAYOUT) is None
            writer.open_table(data=data and len(node.css("tr")) > 1)
            return writer.close_table
        if tag in ("td", "th"):
            writer.open_cell(header=tag == "th")
            if attributes.get("class") == "icon":  # AsciiDoc's admonitions
                writer.open_label()
            return writer.close_cell
        if tag == "dt":
            classes = (attributes.get("class") or "").split()
            writer.open_term(identity if "sig" in classes else "", named="std" not in classes)
            return writer.close_term
        if tag in _SIMPLE:
            opens, closes = _SIMPLE[tag]
            opens(writer)
            return partial(closes, writer)
        writer.flush()
        if identity and tag in ("section", "div", "article"):
            writer.pending_anchor = identity
        if "admonition-title" in (attributes.get("class") or ""):
            writer.open_label()
        return writer.flush


def _main_part(units: list[Unit]) -> list[Unit]:
    """What stands in the declared main element, where that holds most of the content."""
    inside = [unit for unit in units if unit.main]
    if sum(map(len, inside)) * 2 >= sum(len(unit) for unit in units if not unit.main):
        return inside or units
    return units


def _title(page: LexborHTMLParser, units: list[Unit]) -> str:
    """The only h1; else the <title>, without the site's name behind it."""
    tops = [unit.flat for unit in units if unit.level == 1]
    node = page.css_first("head > title") or page.css_first("title")
    title = " ".join((node.text() if node else "").split())
    if len(tops) == 1 or (tops and not title):
        return tops[0]
    return _TITLE_TAIL.split(title)[0] if title else next((unit.flat for unit in units if unit.level), "")


def _metadata(page: LexborHTMLParser) -> dict[str, JSON]:
    found: dict[str, JSON] = {}
    for node in page.css("meta[content]"):
        attributes = node.attributes
        key = _META.get(
            (attributes.get("name") or attributes.get("property") or attributes.get("itemprop") or "").lower()
        )
        value = (attributes.get("content") or "").strip()
        if key and value:
            found.setdefault(key, value)
    if "date" not in found and (time := page.css_first("time[datetime]")):
        found["date"] = time.attributes.get("datetime") or ""
    return {key: value for key, value in with_date(found).items() if value}
