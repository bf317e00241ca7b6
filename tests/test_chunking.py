from __future__ import annotations

import os
import random
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.chunking import STRATEGIES, chunk
from ragkit.chunking.semantic import LEAST_PRICE, cheapest
from ragkit.config import ChunkSettings
from ragkit.domain import Block, Chunk, Document, LineIndex, LineMap, Section, Span
from ragkit.testing import HashEmbedder, WordTokenizer

TOKENIZER = WordTokenizer()
EMBED = HashEmbedder().embed


class PieceTokenizer:
    """Words in pieces of four letters: like a subword vocabulary, cutting a word changes the count."""

    def spans(self, text: str) -> list[Span]:
        pieces = []
        for start, end in TOKENIZER.spans(text):
            pieces.extend((at, min(at + 4, end)) for at in range(start, end, 4))
        return pieces


class ByteTokenizer:
    """One token a byte: several tokens stand at one character, and blanks count."""

    def spans(self, text: str) -> list[Span]:
        return [(i, i + 1) for i, c in enumerate(text) for _ in c.encode("utf-8", "surrogatepass")]


class Builder:
    """Writes a document block by block, keeping its structure as a loader would."""

    def __init__(self, title: str = "") -> None:
        self.title = title
        self.text = ""
        self.blocks: list[Block] = []
        self.sections: list[tuple[int, tuple[str, ...]]] = []

    def heading(self, *path: str) -> Builder:
        self.sections.append((len(self.text), path))
        return self._add("heading", f"{'#' * len(path)} {path[-1]}")

    def paragraph(self, text: str) -> Builder:
        return self._add("paragraph", text)

    def code(self, *lines: str) -> Builder:
        return self._add("code", "\n".join(["```", *lines, "```"]))

    def items(self, *items: str) -> Builder:
        start = len(self.text)
        text = "".join(f"- {item}\n" for item in items)
        return self._add("list", text, rows=_rows(start, text))

    def table(self, header: str, *rows: str) -> Builder:
        start = len(self.text)
        head = f"| {header} |\n|---|\n"
        body = "".join(f"| {row} |\n" for row in rows)
        return self._add("table", head + body, rows=_rows(start, head + body), header=(start, start + len(head)))

    def raw(self, text: str) -> Builder:
        self.text += text
        return self

    def _add(self, kind: str, text: str, rows: tuple[Span, ...] = (), header: Span | None = None) -> Builder:
        start = len(self.text)
        self.text += text.rstrip("\n") + "\n\n"
        end = start + len(text.rstrip("\n"))
        rows = tuple((a, min(b, end)) for a, b in rows)
        self.blocks.append(Block(kind, start, end, rows, header))  # type: ignore[arg-type]
        return self

    def document(self) -> Document:
        starts = [start for start, _ in self.sections]
        sections = [
            Section(start, end, path, anchor=path[-1].lower())
            for (start, path), end in zip(self.sections, [*starts[1:], len(self.text)], strict=False)
        ]
        return Document("d.md", self.text, "markdown", self.title, {}, tuple(sections), tuple(self.blocks))


def _rows(start: int, text: str) -> tuple[Span, ...]:
    spans = []
    for line in text.splitlines(keepends=True):
        spans.append((start, start + len(line)))
        start += len(line)
    return tuple(spans)


WORDS = st.text("abcde.,é漢😀", min_size=1, max_size=30) | st.sampled_from(
    ["the", "size_tokens", "e.g.", "Dr.", "done.", "really?", "`x`", "x" * 200, "v1.2", "\u3000", "|", "#"]
)
PROSE = st.lists(WORDS, min_size=1, max_size=40).map(" ".join)
LINE = PROSE.map(lambda text: text[:80])


@st.composite
def documents(draw: st.DrawFn) -> Document:
    build = Builder(draw(st.sampled_from(["", "Guide", "A very long title " * 12])))
    path: tuple[str, ...] = ()
    if draw(st.booleans()):
        build.raw("---\ntitle: x\n---\n")
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["heading", "paragraph", "code", "list", "table", "gap"]))
        if kind == "heading":
            depth = draw(st.integers(1, min(len(path) + 1, 4)))
            path = (*path[: depth - 1], draw(st.sampled_from(["Setup", "Usage", "A longer heading of words " * 3])))
            build.heading(*path)
        elif kind == "paragraph":
            build.paragraph(draw(PROSE))
        elif kind == "code":
            build.code(*draw(st.lists(LINE | st.just(""), min_size=1, max_size=12)))
        elif kind == "list":
            build.items(*draw(st.lists(LINE, min_size=1, max_size=8)))
        elif kind == "table":
            build.table(draw(LINE), *draw(st.lists(LINE, min_size=1, max_size=8)))
        else:
            build.raw(draw(st.sampled_from(["\n\n", "{{< note >}}\n", "navigation " * 40 + "\n"])))
    if not build.blocks:
        build.paragraph("x")
    return build.document()


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(
    document=documents(),
    size=st.integers(1, 90),
    overlap=st.integers(0, 60),
    tokenizer=st.sampled_from([WordTokenizer(), PieceTokenizer(), ByteTokenizer()]),
)
@settings(max_examples=30, deadline=None)
def test_offsets_are_exact_limits_are_kept_and_nothing_is_lost(strategy, document, size, overlap, tokenizer):
    chunks = chunk(document, tokenizer, ChunkSettings(strategy, size, overlap), window=80, embed=EMBED)
    limit = min(size, 80)
    lines = LineIndex(document)
    seen = bytearray(len(document.text))
    for each in chunks:
        assert document.text[each.start : each.end] == each.text
        assert each.text.strip()
        assert each.tokens == len(tokenizer.spans(each.indexed))
        assert each.tokens <= limit or each.end - each.start == 1
        assert (each.start_line, each.end_line) == lines.range(each.start, each.end)
        seen[each.start : each.end] = b"\x01" * (each.end - each.start)
    whole = (
        [(block.start, block.end) for block in document.blocks]
        if strategy == "markdown"
        else [(document.blocks[0].start, document.blocks[-1].end)]
    )
    lost = [i for start, end in whole for i in range(start, end) if not seen[i] and not document.text[i].isspace()]
    assert lost == []
    assert [c.start for c in chunks] == sorted({c.start for c in chunks})
    assert [c.end for c in chunks] == sorted({c.end for c in chunks})
    for before, after in pairwise(chunks):
        if after.start < before.end:
            assert len(tokenizer.spans(document.text[after.start : before.end])) <= overlap + 3
    assert chunks == chunk(document, tokenizer, ChunkSettings(strategy, size, overlap), window=80, embed=EMBED)


def cut(document: Document, size: int = 60, overlap: int = 0, strategy: str = "markdown") -> list[Chunk]:
    return chunk(document, TOKENIZER, ChunkSettings(strategy, size, overlap), window=256, embed=EMBED)  # type: ignore[arg-type]


def words(count: int, word: str = "word") -> str:
    return " ".join(f"{word}{i}" for i in range(count))


def prose(count: int, word: str = "Item") -> str:
    return " ".join(f"{word} number {i} is described in this one sentence." for i in range(count))


def test_chunks_keep_to_their_section():
    document = Builder().heading("One").paragraph(prose(5)).heading("Two").paragraph(prose(5)).document()
    chunks = cut(document, 256)
    assert [c.heading for c in chunks] == [("One",), ("Two",)]
    assert [c.anchor for c in chunks] == ["one", "two"]
    assert all(c.text.startswith("# ") for c in chunks)


def test_tiny_section_joins_its_sibling_under_their_common_heading():
    document = (
        Builder()
        .heading("Guide", "Install")
        .paragraph("Run it.")
        .heading("Guide", "Remove")
        .paragraph(prose(4))
        .document()
    )
    (only,) = cut(document, 100)
    assert only.heading == ("Guide",)
    assert "Run it." in only.text
    assert "## Remove" in only.text


def test_tiny_section_stays_alone_when_the_next_one_is_not_its_sibling_or_does_not_fit():
    document = Builder().heading("A", "B").paragraph("Short.").heading("C").paragraph(prose(4)).document()
    assert [c.heading for c in cut(document, 100)] == [("A", "B"), ("C",)]
    document = Builder().heading("A", "B").paragraph("Short.").heading("A", "C").paragraph(prose(9)).document()
    assert [c.heading for c in cut(document, 60)][:2] == [("A", "B"), ("A", "C")]


def test_bare_heading_goes_with_its_child_and_loses_no_heading():
    document = Builder().heading("Guide").heading("Guide", "Install").paragraph(prose(20)).document()
    chunks = cut(document, 60)
    assert chunks[0].text.startswith("# Guide\n\n## Install\n\nItem")
    assert {c.heading for c in chunks} == {("Guide", "Install")}


def test_code_that_fits_is_never_cut():
    code = [f"line_{i} = {i}" for i in range(8)]
    document = Builder().paragraph(prose(4)).code(*code).paragraph(prose(4)).document()
    block = document.blocks[1]
    for each in cut(document, 60, 20):
        inside = (each.start <= block.start, block.end <= each.end)
        assert inside == (True, True) or each.end <= block.start or block.end <= each.start


def test_long_code_is_cut_at_lines_and_rather_at_blank_ones():
    code = ["def one():", "    return 1", "", "def two():", "    return 2", "", "def three():", "    return 3"]
    document = Builder().code(*code).document()
    chunks = cut(document, 14)
    assert "".join(c.text for c in chunks).replace("\n", "") == document.text.replace("\n", "")
    assert [c.text.splitlines()[0] for c in chunks[1:]] == ["def two():", "def three():"]
    assert "    return 2" in chunks[1].text


def test_split_table_repeats_its_header_and_keeps_rows_whole():
    document = Builder().table("name | value", *[f"key{i} | {words(6)}" for i in range(12)]).document()
    chunks = cut(document, 60)
    assert len(chunks) > 2
    assert [c.prefix for c in chunks] == [""] + ["| name | value |\n|---|"] * (len(chunks) - 1)
    for each in chunks:
        assert all(line.startswith("| ") or line == "|---|" for line in each.text.splitlines())
        assert all(line.endswith("|") for line in each.text.splitlines())
        assert each.prefix in each.indexed


def test_row_longer_than_a_chunk_is_cut_and_nothing_is_lost():
    document = Builder().table("a | b", words(200), "short | row").document()
    chunks = cut(document, 40)
    assert all(c.tokens <= 40 for c in chunks)
    assert {f"word{i}" for i in range(200)} <= set(" ".join(c.text for c in chunks).split())


def test_table_header_too_long_to_repeat_is_not_repeated():
    document = Builder().table(words(40), *[words(20, "cell") for _ in range(8)]).document()
    chunks = cut(document, 60)
    assert all(c.prefix == "" and c.tokens <= 60 for c in chunks)


def test_list_items_are_kept_whole():
    document = Builder().items(*[words(15, f"item{i}_") for i in range(10)]).document()
    for each in cut(document, 60, 20):
        assert all(line.startswith("- ") and line.endswith("_14") for line in each.text.splitlines())


def test_long_paragraph_is_cut_between_sentences_and_repeats_whole_ones():
    document = Builder().heading("H").paragraph(prose(20)).document()
    chunks = cut(document, 60, 25)
    for before, after in pairwise(chunks):
        assert after.text.startswith("Item number")
        assert before.text.endswith("sentence.")
        shared = document.text[after.start : before.end]
        assert shared
        assert len(TOKENIZER.spans(shared)) <= 25


def test_chunk_does_not_end_with_a_heading():
    document = Builder().paragraph(prose(5)).heading("Next").paragraph(prose(2)).document()
    plain = Document(document.path, document.text, "markdown", blocks=document.blocks)  # as if sections were unknown
    assert not any(c.text.endswith("# Next") for c in cut(plain, 55))


@pytest.mark.parametrize(
    ("title", "heading", "context"),
    [
        ("Guide", ("Install", "Linux"), "Guide > Install > Linux"),
        ("Install", ("Install", "Linux"), "Install > Linux"),
        ("", ("Install",), "Install"),
        ("A  title\nin lines", (), "A title in lines"),
        ("Guide", tuple(f"level {i}" for i in range(9)), "Guide > … > level 5 > level 6 > level 7 > level 8"),
        (words(90), ("Install",), "Install"),
        ("", (words(90),), words(15)),
        ("", ("漢" * 3,), "漢" * 3),
    ],
)
def test_context_is_title_and_heading_path_within_a_quarter_of_the_chunk(title, heading, context):
    document = Document(
        "d.md", "Text.", "markdown", title, {}, (Section(0, 5, heading),), (Block("paragraph", 0, 5),)
    )
    (only,) = cut(document)
    assert only.context == context
    assert only.indexed == (f"{context}\nText." if context else "Text.")


def test_text_in_no_block_is_in_no_chunk_when_there_is_much_of_it():
    build = (
        Builder().raw("---\nauthor: someone\n---\n").paragraph("First.").raw("{{< note >}}\n").paragraph("Second.")
    )
    document = build.raw("menu entry " * 60 + "\n").paragraph("Third.").document()
    texts = [c.text for c in cut(document, 256)]
    assert texts == ["First.\n\n{{< note >}}\nSecond.", "Third."]


def test_document_without_structure_is_cut_too():
    document = Document("d.txt", prose(40), "text")
    for strategy in STRATEGIES:
        chunks = cut(document, 60, 10, strategy)
        assert len(chunks) > 5
        assert chunks[0].start == 0
        assert chunks[-1].end == len(document.text)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_blank_document_has_no_chunks(strategy):
    assert cut(Document("d.txt", " \n\t\n", "text"), strategy=strategy) == []


def test_limit_below_one_token_is_refused():
    with pytest.raises(ValueError, match=r"chunk\.size_tokens"):
        cut(Document("d.txt", "x", "text"), 0)


def test_positions_follow_the_documents_own_map():
    text = "First.\n\nSecond."
    document = Document(
        "d.pdf",
        text,
        "pdf",
        blocks=(Block("paragraph", 0, 6), Block("paragraph", 8, 15)),
        lines=LineMap("page", (4, 4, 7)),
    )
    (only,) = cut(document)
    assert (only.start_line, only.end_line, only.unit) == (4, 7, "page")


def test_fixed_windows_are_equal_and_overlap_by_the_setting():
    document = Document("d.txt", words(100), "text")
    chunks = cut(document, 30, 10, "fixed")
    assert {c.tokens for c in chunks[:-1]} == {30}
    for before, after in pairwise(chunks):
        assert len(TOKENIZER.spans(document.text[after.start : before.end])) == 10


def test_repetitive_text_keeps_its_offsets_in_every_strategy():
    """Searching for a chunk's text would find an earlier copy of it."""
    document = Document("d.txt", "same words again. " * 200, "text")
    for strategy in STRATEGIES:
        chunks = cut(document, 20, 8, strategy)
        assert chunks[-1].end == len(document.text.rstrip())
        starts = [c.start for c in chunks]
        assert starts == sorted(set(starts))


@pytest.mark.data
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_real_documentation_is_cut_without_loss(strategy):
    from ragkit.errors import SkipFile
    from ragkit.loaders import load

    folder = Path(os.environ.get("RAGKIT_DEV_DATA", Path(__file__).parents[1] / "../shared/data")) / "docs/kubernetes"
    if not folder.is_dir():
        pytest.skip("development data absent")
    paths = sorted(folder.rglob("*.md"))
    for path in random.Random(0).sample(paths, 30):
        try:
            document = load(path.read_bytes(), path.name)
        except SkipFile:
            continue
        seen = bytearray(len(document.text))
        for each in cut(document, 120, 20, strategy):
            assert document.text[each.start : each.end] == each.text
            assert each.tokens <= 120
            seen[each.start : each.end] = b"\x01" * (each.end - each.start)
        for block in document.blocks:
            assert all(seen[i] or document.text[i].isspace() for i in range(block.start, block.end))


# ---------------------------------------------------------------- code


def function(name: str, statements: int, start: int = 0) -> tuple[str, Block]:
    """The text of a function and its block, every third statement with one inside of it."""
    head = f"def {name}(alpha, beta):\n"
    lines = [
        f"    beta += {i}\n" if i % 3 else f"    if alpha == {i}:\n        beta = {i}\n" for i in range(statements)
    ]
    text = head + "".join(lines)
    rows, at = [], start + len(head)
    for line in "".join(lines).splitlines(keepends=True):
        rows.append((at, at + len(line) - 1))
        at += len(line)
    return text, Block("code", start, start + len(text) - 1, tuple(rows), (start, start + len(head) - 1))


def test_long_function_is_cut_at_outer_statements_and_repeats_its_signature():
    text, block = function("area", 60)
    document = Document("a.py", text, "python", "a", {}, (Section(0, len(text), ("area",), symbol=True),), (block,))
    chunks = cut(document, 60)
    assert len(chunks) > 3
    assert [chunk.prefix for chunk in chunks] == ["", *["def area(alpha, beta):"] * (len(chunks) - 1)]
    assert all(chunk.text.startswith(("def area", "    if", "    beta +=")) for chunk in chunks)
    assert "".join(chunk.text for chunk in chunks).replace("\n", "") == text.replace("\n", "")


def test_symbols_do_not_share_a_chunk_but_a_tiny_class_goes_with_its_members():
    parts = ["x = 1", "class Box:", "def area(): ...", "def size(): ...", "def run(): ..."]
    paths = [(), ("Box",), ("Box", "Box.area"), ("Box", "Box.size"), ("run",)]
    sections, blocks, at = [], [], 0
    for part, path in zip(parts, paths, strict=True):
        sections.append(Section(at, at + len(part) + 1, path, symbol=bool(path)))
        blocks.append(Block("code", at, at + len(part)))
        at += len(part) + 1
    text = "".join(f"{part}\n" for part in parts)
    chunks = cut(Document("a.py", text, "python", "a", {}, tuple(sections), tuple(blocks)), 200)
    assert [chunk.text for chunk in chunks] == [
        "x = 1",
        "class Box:\ndef area(): ...\ndef size(): ...",
        "def run(): ...",
    ]
    assert [chunk.heading for chunk in chunks] == [(), ("Box",), ("run",)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_words_of_a_section_stand_for_title_and_heading_in_the_context(strategy):
    section = Section(0, 9, ("Box.addItem",), "Box.addItem", True, ("shop", "box", "add item"))
    document = Document("box.py", "return 1;", "python", "shop.box", {}, (section,), (Block("code", 0, 9),))
    (made,) = cut(document, 40, strategy=strategy)
    assert made.indexed == "shop > box > add item\nreturn 1;"
    assert made.heading == ("Box.addItem",)


# ---------------------------------------------------------------- meaning


def test_semantic_cuts_fall_where_the_topic_changes_not_where_a_chunk_is_full():
    cats = " ".join(f"The cat sleeps on the warm sofa {word}." for word in ("today", "again", "too", "still"))
    banks = " ".join(f"A bank lends money at high interest {word}." for word in ("now", "daily", "here", "always"))
    text = f"{cats} {banks}"
    chunks = cut(Document("d.txt", text, "text"), 50, 0, "semantic")
    assert [chunk.text for chunk in chunks] == [cats, banks]


@given(
    rows=st.lists(st.tuples(st.integers(1, 9), st.floats(0, 1)), min_size=1, max_size=9),
    limit=st.integers(1, 25),
)
def test_the_cheapest_cuts_are_those_of_trying_them_all(rows, limit):
    tokens, prices = [row[0] for row in rows], [row[1] for row in rows]

    def price(edges: tuple[int, ...]) -> float:
        return sum(max(LEAST_PRICE, prices[edge]) for edge in edges)

    def fits(edges: tuple[int, ...]) -> bool:
        parts = pairwise((0, *edges, len(tokens)))
        return all(stop - start == 1 or sum(tokens[start:stop]) <= limit for start, stop in parts)

    ways = [
        edges for count in range(len(tokens)) for edges in combinations(range(1, len(tokens)), count) if fits(edges)
    ]
    found = tuple(cheapest(tokens, prices, limit))
    assert found in ways
    assert price(found) == pytest.approx(min(map(price, ways)))


def test_semantic_without_an_embedder_says_what_it_needs():
    with pytest.raises(ValueError, match="pass embed"):
        chunk(Document("d.txt", "Some text.", "text"), TOKENIZER, ChunkSettings("semantic"), window=256)
