"""The nouns of ragkit as frozen dataclasses: here documents and their passages, hits, and the sources made of them.

What is asked is in `queries`, what is written and checked in `answers`, what an ingest leaves behind in `corpora`.
Knows the shape of the data that flows between stages; knows nothing of files, models, databases or
settings, and imports no third-party package when it runs.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ragkit.choices import Mode
from ragkit.domain.queries import Expansion, Query

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]
    ChunkIds: TypeAlias = NDArray[np.int64]

JSON: TypeAlias = Any
"""A value that `json.dumps` accepts without a default."""

Span: TypeAlias = tuple[int, int]
"""Half-open range of character offsets."""

BlockKind: TypeAlias = Literal["heading", "paragraph", "list", "table", "code", "quote", "other"]
LineUnit: TypeAlias = Literal["line", "page", "cell", "paragraph"]
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what, done, total); total is 0 when it is not known."""


def text_hash(text: str) -> str:
    """sha256 of the text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


# ---------------------------------------------------------------- documents


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document under one heading, up to the next heading of any level.

    `heading` is the path from the outermost heading to this one, without the document's title unless
    the title is itself a heading; `anchor` is the fragment that links to it, or "". `symbol` sections
    define or describe one symbol (a class, a function): what is said of two never shares a chunk. `words` are
    title and path in plain words, for a path of identifiers, which an embedder reads badly.
    """

    start: int
    end: int
    heading: tuple[str, ...]
    anchor: str = ""
    symbol: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A unit of a document's structure that a chunker prefers not to cut: `text[start:end]`.

    Blocks are in order and do not overlap; together they hold every character worth indexing, so what
    lies between them is blank, front matter or boilerplate. `rows` are the spans of a table's rows, of a
    list's items or of the statements of code, within the block; `header` is the span of a table's header rows
    (delimiter included) or of a definition's signature.
    """

    kind: BlockKind
    start: int
    end: int
    rows: tuple[Span, ...] = ()
    header: Span | None = None


@dataclass(frozen=True, slots=True)
class LineMap:
    """Where each line of `Document.text` stands in the source file.

    `numbers[i]` is the 1-based position, counted in `unit`s, of the text's i-th line (0-based). Empty
    numbers mean that the text is the source file's own text, so line i is source line i + 1.
    """

    unit: LineUnit = "line"
    numbers: tuple[int, ...] = ()


CODE_FORMATS = ("python", "source")
"""What `Document.format` is of source code."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file, read: its text, its structure, and the way back to the file's lines.

    `path` is relative to the corpus root, with forward slashes. When `lines.numbers` is empty, `text` is
    the file's own text with line ends normalised to LF and nothing else changed.
    """

    path: str
    text: str
    format: str
    title: str = ""
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    blocks: tuple[Block, ...] = ()
    lines: LineMap = LineMap()
    complaint: str = ""
    """What is wrong with the file, though it could be read. It is told while ingesting, and not stored."""

    def section_at(self, offset: int) -> Section | None:
        """The section that holds the character at `offset`."""
        at = bisect_right(self.sections, offset, key=lambda section: section.start) - 1
        return self.sections[at] if at >= 0 else None


class LineIndex:
    """Character offsets of a document to source positions, built once a document: O(log n) a look-up."""

    __slots__ = ("_map", "_starts")

    def __init__(self, document: Document) -> None:
        self._map = document.lines
        starts = [0]
        starts.extend(i + 1 for i, character in enumerate(document.text) if character == "\n")
        self._starts = starts

    def position(self, offset: int) -> int:
        """1-based line (or page, cell, paragraph: `document.lines.unit`) of the character at `offset`."""
        line = bisect_right(self._starts, offset) - 1
        numbers = self._map.numbers
        return numbers[min(line, len(numbers) - 1)] if numbers else line + 1

    def range(self, start: int, end: int) -> tuple[int, int]:
        """First and last position of the non-empty span [start, end)."""
        return self.position(start), self.position(max(start, end - 1))

    def excerpt(self, document: Document, first: int | None = None, last: int | None = None) -> Excerpt:
        """The text at positions `first` to `last`, both included; the whole document by default."""
        lines = document.text.split("\n")
        numbers = self._map.numbers or tuple(range(1, len(lines) + 1))
        low = numbers[0] if first is None else first
        high = numbers[-1] if last is None else last
        chosen = [line for line, number in zip(lines, numbers, strict=False) if low <= number <= high]
        return Excerpt(document.path, max(low, 1), min(high, numbers[-1]), self._map.unit, "\n".join(chosen))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines (or pages, cells, paragraphs) of a stored document, as citations count them."""

    path: str
    start_line: int
    end_line: int
    unit: LineUnit
    text: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document: `document.text[start:end] == text`, always.

    `context` is what stands in front of the text when it is embedded and indexed (title and heading
    path, one line), `prefix` a repeated table header or signature; neither is ever cited. `tokens` counts `indexed`
    in the embedder's tokens, special tokens excluded. `start_line` and `end_line` are source positions,
    1-based and inclusive, counted in `unit`.
    """

    start: int
    end: int
    text: str
    heading: tuple[str, ...] = ()
    anchor: str = ""
    context: str = ""
    prefix: str = ""
    start_line: int = 0
    end_line: int = 0
    unit: LineUnit = "line"
    tokens: int = 0

    @property
    def indexed(self) -> str:
        """The text that is embedded and indexed."""
        return "\n".join(part for part in (self.context, self.prefix, self.text) if part)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stored chunk, as the store gives it back: a chunk with its identity and its document's."""

    id: int
    document_id: int
    ordinal: int
    path: str
    title: str
    chunk: Chunk
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    doc_version: str = ""
    """The version that its document is about, where that is known."""
    format: str = ""
    """Its document's."""

    @property
    def location(self) -> str:
        """`path:L3-L9`, or `path:p3` and the like where the file has no lines."""
        return location(self.path, self.chunk.start_line, self.chunk.end_line, self.chunk.unit)


def location(path: str, start: int, end: int, unit: LineUnit = "line") -> str:
    """Spell a place in a file, as every face of ragkit prints it.

    >>> location("guide.md", 3, 9), location("guide.md", 3, 3), location("book.pdf", 4, 5, "page")
    ('guide.md:L3-L9', 'guide.md:L3', 'book.pdf:p4-p5')
    """
    letter = {"line": "L", "page": "p", "cell": "cell", "paragraph": "¶"}[unit]
    return f"{path}:{letter}{start}" if start == end else f"{path}:{letter}{start}-{letter}{end}"


# ---------------------------------------------------------------- retrieval


@dataclass(frozen=True, slots=True)
class Ranked:
    """A ranked list's entry: a chunk id and its score in that list (higher is better)."""

    id: int
    score: float


@dataclass(frozen=True, slots=True)
class StageScore:
    """What one stage thought of a hit: its 1-based rank there (None if absent) and its score."""

    stage: str
    rank: int | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Carrier:
    """The sentence that carries a hit's score: words of the passage, and what the passage is without them.

    Cosines are to the query; None without an embedder. `terms` are matched terms that no other sentence has.
    """

    text: str
    cosine: float | None
    passage_cosine: float | None
    cosine_without: float | None
    """The cosine of the passage, were this sentence not in it."""
    terms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a hit matched: the query's terms that it has and those that it lacks, each with its idf."""

    matched: Mapping[str, float]
    missing: Mapping[str, float]
    carrier: Carrier | None


@dataclass(frozen=True, slots=True)
class OtherVersion:
    """What another version of a document has in the place of a passage, or of quotes from it."""

    doc_version: str
    passage: Passage | None
    """The passage that stands there; None when it has nothing like it."""
    same: bool
    """Whether it has the same text, blanks and case aside."""

    @property
    def difference(self) -> str:
        """What is there, in words; of one that does not say the same."""
        what = f"differs: {self.passage.location}" if self.passage else "has nothing like it"
        return f"version {self.doc_version} {what}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that answers a query, with its final score in [0, 1] and every stage's opinion."""

    passage: Passage
    score: float
    stages: tuple[StageScore, ...] = ()
    terms: tuple[str, ...] = ()
    """Analysed query terms that the passage contains."""
    expanded: Excerpt | None = None
    """The passage with what stands around it, where that was asked for."""
    explanation: Explanation | None = None
    """Why it matched, where that was asked for."""
    copies: tuple[Passage, ...] = ()
    """Passages with nearly the same text, which it stands for."""
    other_versions: tuple[OtherVersion, ...] = ()
    """What other versions of the document say there, the latest first."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A passage that ranked just behind the last hit, and why."""

    hit: Hit
    why: str


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of one query, best first, and what there is to say about how they were found."""

    query: str
    mode: Mode
    hits: tuple[Hit, ...]
    snapshot: str
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage."""
    notices: tuple[str, ...] = ()
    reranker: str = ""
    """The reranker that had the last word, or ""."""
    understood: Query | None = None
    """How the query was read."""
    near_misses: tuple[NearMiss, ...] = ()
    """What ranked behind the last hit, where an explanation was asked for."""
    expansion: Expansion | None = None
    """What was asked besides the query, where that was wanted."""


# ---------------------------------------------------------------- what a model is shown


@dataclass(frozen=True, slots=True)
class Source:
    """A numbered passage shown to the model: one or more neighbouring chunks of one document, merged.

    `text` is the document's own text from `start` to `end`; `tokens` counts `shown` in the generator's
    tokens. `lines[i]` is the range of source positions that holds the text's i-th line; empty when the lines
    follow one another from `start_line`. `prefix` is the header of a table that starts before the text:
    shown, never cited.
    """

    number: int
    document_id: int
    path: str
    title: str
    heading: tuple[str, ...]
    anchor: str
    start: int
    end: int
    start_line: int
    end_line: int
    unit: LineUnit
    text: str
    score: float
    chunk_ids: tuple[int, ...] = ()
    tokens: int = 0
    prefix: str = ""
    lines: tuple[tuple[int, int], ...] = ()
    doc_version: str = ""
    other_versions: tuple[OtherVersion, ...] = ()
    """What other versions of the document have in place of its quotes, the latest first."""

    @property
    def location(self) -> str:
        """`path:L3-L9`."""
        return location(self.path, self.start_line, self.end_line, self.unit)

    @property
    def shown(self) -> str:
        """The source as it stands in the prompt: number, path and headings on one line, then the text."""
        title = () if self.title in self.heading[:1] or not self.title else (self.title,)
        head = " ".join(f"[{self.number}] {' > '.join((self.path, *title, *self.heading))}".split())
        return "\n".join(part for part in (head, self.prefix, self.text) if part)

    def range(self, start: int, end: int) -> tuple[int, int]:
        """First and last source position of `text[start:end]`."""
        first = self.text.count("\n", 0, start)
        last = first + self.text.count("\n", start, max(start, end - 1))
        if self.lines:
            return self.lines[first][0], self.lines[last][1]
        return self.start_line + first, self.start_line + last


@dataclass(frozen=True, slots=True)
class Context:
    """What the model is shown: the sources in order, and what the budget left out."""

    sources: tuple[Source, ...]
    tokens: int = 0
    dropped: tuple[tuple[int, str], ...] = ()
    """(chunk id, reason) of every hit that is not in a source."""


NO_CONTEXT = Context(())
