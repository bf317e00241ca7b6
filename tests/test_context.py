"""Assembling sources: merged, numbered, verbatim, never over the budget; and every hit accounted for."""

from __future__ import annotations

import re
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit.config import ContextSettings
from ragkit.context import assemble, diverse
from ragkit.domain import Chunk, Context, Document, Hit, LineIndex, LineMap, Passage

OWN_LINES = LineMap()


def words(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def hit(
    id: int, text: str, start: int, end: int, score: float, *, document: int = 1, lines: LineMap = OWN_LINES
) -> Hit:
    index = LineIndex(Document("d", text, "text", lines=lines))
    first, last = index.range(start, end)
    chunk = Chunk(start, end, text[start:end], ("Guide",), "guide", start_line=first, end_line=last, unit=lines.unit)
    return Hit(Passage(id, document, id, f"d{document}.md", "Guide", chunk), score)


def put_together(
    hits: list[Hit],
    *texts: str,
    budget: int = 1000,
    lines_of: Callable[[int], LineMap] | None = None,
    **changes: float,
) -> Context:
    wanted = ContextSettings(**changes)  # type: ignore[arg-type]
    return assemble(
        hits,
        count=words,
        settings=wanted,
        budget=budget,
        text_of=lambda document: texts[document - 1],
        lines_of=lines_of,
    )


TEXT = "Alpha starts here.\nBeta follows it.\nGamma comes third.\nDelta is last.\n"


def test_neighbouring_chunks_become_one_verbatim_source() -> None:
    context = put_together([hit(1, TEXT, 0, 18, 0.9), hit(2, TEXT, 36, 54, 0.8)], TEXT)
    (source,) = context.sources
    assert source.text == TEXT[0:54]
    assert (source.start_line, source.end_line, source.chunk_ids) == (1, 3, (1, 2))
    assert context.dropped == ()


def test_chunks_far_apart_stay_apart_and_are_numbered_by_score() -> None:
    context = put_together([hit(1, TEXT, 0, 18, 0.5), hit(2, TEXT, 55, 69, 0.9)], TEXT, merge_gap_chars=10)
    assert [(s.number, s.chunk_ids) for s in context.sources] == [(1, (2,)), (2, (1,))]


def test_the_same_text_is_shown_once_whatever_its_spelling() -> None:
    copy = TEXT.upper().replace("\n", "  \n")
    hits = [hit(1, TEXT, 0, len(TEXT), 0.9), hit(2, copy, 0, len(copy), 0.8, document=2)]
    context = put_together(hits, TEXT, copy)
    assert [s.document_id for s in context.sources] == [1]
    assert context.dropped == ((2, "same text as chunk 1 (d1.md:L1-L4)"),)


def test_hits_far_below_the_best_are_left_out_with_the_reason() -> None:
    context = put_together([hit(1, TEXT, 0, 18, 1.0), hit(2, "Other.", 0, 6, 0.1, document=2)], TEXT, "Other.")
    assert [id for id, _ in context.dropped] == [2]
    assert "0.10 is below 0.40" in context.dropped[0][1]


def test_diversity_prefers_what_the_better_sources_do_not_say() -> None:
    texts = ["Restore a backup with vault restore.", "Restore a backup by vault restore.", "Stop the service first."]
    hits = [
        hit(at, text, 0, len(text), score, document=at)
        for at, (text, score) in enumerate(zip(texts, (0.9, 0.8, 0.7), strict=True), start=1)
    ]
    alone = put_together(hits, *texts, max_sources=2)
    assert [source.document_id for source in alone.sources] == [1, 2]
    varied = put_together(hits, *texts, max_sources=2, diversity=0.4)
    assert [source.document_id for source in varied.sources] == [1, 3]


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0, 1))
def test_diversity_only_reorders_and_the_best_hit_stays_first(scores: list[float], share: float) -> None:
    hits = [hit(at, TEXT, 0, 18, score) for at, score in enumerate(sorted(scores, reverse=True))]
    ordered = diverse(hits, share)
    assert sorted(one.passage.id for one in ordered) == [one.passage.id for one in hits]
    assert ordered[:1] == hits[:1]
    assert diverse(hits, 0.0) == hits


def test_no_more_sources_than_asked_for() -> None:
    texts = [f"Topic number {n} stands alone." for n in range(4)]
    hits = [hit(n + 1, text, 0, len(text), 1 - n / 10, document=n + 1) for n, text in enumerate(texts)]
    context = put_together(hits, *texts, max_sources=2)
    assert len(context.sources) == 2
    assert {reason for _, reason in context.dropped} == {"2 better sources were found"}


def test_a_source_too_long_for_the_budget_ends_with_a_sentence() -> None:
    long = "First sentence stands here. Second sentence stands here.\nThird sentence stands here.\n" * 20
    context = put_together([hit(1, long, 0, len(long), 1.0)], long, budget=80)
    (source,) = context.sources
    assert source.text.endswith("here.")
    assert long.startswith(source.text)
    assert source.end_line == 1 + source.text.count("\n")
    assert context.tokens <= 80


def test_pages_of_merged_chunks_come_from_the_line_map() -> None:
    pages = LineMap("page", (3, 3, 4, 7))
    hits = [hit(1, TEXT, 0, 35, 0.9, lines=pages), hit(2, TEXT, 36, 69, 0.8, lines=pages)]
    exact = put_together(hits, TEXT, lines_of=lambda _: pages).sources[0]
    assert (exact.start_line, exact.end_line, exact.unit) == (3, 7, "page")
    assert exact.range(TEXT.index("Gamma"), TEXT.index("Gamma") + 5) == (4, 4)
    coarse = put_together(hits, TEXT).sources[0]
    assert coarse.range(TEXT.index("Gamma"), TEXT.index("Gamma") + 5) == (4, 7)


def test_no_hits_make_an_empty_context() -> None:
    assert put_together([], TEXT) == Context((), 0, ())


lines = st.text(alphabet="ab .\n", min_size=1, max_size=200).filter(str.strip)


@st.composite
def found(draw: st.DrawFn) -> tuple[list[str], list[Hit]]:
    texts = draw(st.lists(lines, min_size=1, max_size=3))
    hits = []
    for id in range(draw(st.integers(0, 8))):
        document = draw(st.integers(1, len(texts)))
        text = texts[document - 1]
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        hits.append(hit(id, text, start, end, draw(st.floats(0, 1)), document=document))
    return texts, hits


@given(found(), st.integers(0, 120), st.integers(1, 4), st.integers(0, 50), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_whatever_is_found_the_promises_hold(
    data: tuple[list[str], list[Hit]], budget: int, most: int, gap: int, least: float
) -> None:
    texts, hits = data
    context = put_together(
        hits, *texts, budget=budget, max_sources=most, merge_gap_chars=gap, min_relative_score=least
    )
    assert sum(words(source.shown) for source in context.sources) == context.tokens <= budget
    assert [source.number for source in context.sources] == list(range(1, len(context.sources) + 1))
    assert len(context.sources) <= most
    scores = [source.score for source in context.sources]
    assert scores == sorted(scores, reverse=True)
    shown = [id for source in context.sources for id in source.chunk_ids]
    assert sorted((*shown, *(id for id, _ in context.dropped))) == sorted(h.passage.id for h in hits)
    for source in context.sources:
        text = texts[source.document_id - 1]
        assert text[source.start : source.end] == source.text
        index = LineIndex(Document("d", text, "text"))
        assert (source.start_line, source.end_line) == index.range(source.start, source.end)
