"""What results look like: JSON as documented, text that reads well and cannot steer a terminal."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit import render
from ragkit.config import VerifySettings
from ragkit.domain import (
    Carrier,
    Chunk,
    Context,
    Excerpt,
    Explanation,
    Hit,
    NearMiss,
    Passage,
    SearchResult,
    Source,
    StageScore,
)
from ragkit.domain.answers import Answer, Draft
from ragkit.domain.corpora import DuplicateGroup, IngestReport, LedgerRow
from ragkit.domain.queries import Correction
from ragkit.query import parse
from ragkit.render.terminal import clean, columns, shorten, wrap
from ragkit.verify import abstain, verify

PAGE = (Path(__file__).parents[1] / "docs" / "json.md").read_text(encoding="utf-8")
TEXT = "# Restore\n\nTo restore a backup, run `vault restore`.\nThe service must be stopped first.\n"
CONTEXT = Context(
    (Source(1, 1, "backup.md", "Backups", ("Restore",), "restore", 0, len(TEXT), 5, 8, "line", TEXT, 0.9, (7,), 20),),
    20,
    ((9, "over the token budget"),),
)
DRAFT = Draft("Run `vault restore` [1]. The service must be stopped first. Pigs fly.", "tiny", 90, 20, 0.2, 1.5)


ASKED = replace(parse("restroe"), text="restore", words="restore", corrections=(Correction("restroe", "restore"),))


def answer(draft: Draft = DRAFT) -> Answer:
    return verify("How do I restore a backup?", draft, CONTEXT, settings=VerifySettings())


def result(text: str = TEXT, path: str = "backup.md", *, expanded: bool = False) -> SearchResult:
    chunk = Chunk(0, len(text), text, ("Restore",), "restore", start_line=5, end_line=8)
    stages = (StageScore("dense", 1, 0.8), StageScore("lexical", None, None))
    wide = Excerpt(path, 4, 9, "line", f"Before.\n{text}After.") if expanded else None
    why = Explanation(
        {"restor": 1.386}, {"fast": 2.1}, Carrier("To restore a backup, run it.", 0.7, 0.8, 0.5, ("restor",))
    )
    hit = Hit(Passage(7, 1, 0, path, "Backups", chunk), 0.91234, stages, ("restor",), wide, why)
    miss = NearMiss(replace(hit, score=0.5, explanation=None), "dense 0.400 against 0.800")
    return SearchResult(
        "restore", "hybrid", (hit,), "000001", {"dense": 0.0012}, (), understood=ASKED, near_misses=(miss,)
    )


REPORT = IngestReport(
    "vault", "000001", True, {"added": 2, "failed": 1}, 5, 4, 2.0, (LedgerRow("a.md", "failed", "unreadable"),)
)

# ---------------------------------------------------------------- JSON


def documented(section: str) -> set[str]:
    """The keys in the table under a heading of the page."""
    body = re.split(rf"^##+ {section}$", PAGE, flags=re.MULTILINE)[1]
    body = re.split(r"^##+ ", body, flags=re.MULTILINE)[0]
    return set(re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE))


ANSWER = render.answer_json(answer(), show_context=True)
SEARCH = render.search_json(result(expanded=True), explain=True)
INGEST = render.ingest_json(REPORT)
GROUP = DuplicateGroup((result().hits[0].passage, result(path="copy.md").hits[0].passage))
DUPLICATES = render.duplicates_json(GROUP)


@pytest.mark.parametrize(
    ("section", "emitted"),
    [
        ("Search", SEARCH),
        ("Understood", SEARCH["understood"]),
        ("Hit", SEARCH["hits"][0]),
        ("Expanded", SEARCH["hits"][0]["expanded"]),
        ("Stage", SEARCH["hits"][0]["stages"][0]),
        ("Carrier", SEARCH["hits"][0]["carrier"]),
        ("Answer", ANSWER),
        ("Claim", ANSWER["claims"][0]),
        ("Quote", ANSWER["claims"][0]["quotes"][0]),
        ("Source", ANSWER["sources"][0]),
        ("Context", ANSWER["context"]),
        ("Draft", ANSWER["draft"]),
        ("Duplicates", DUPLICATES),
        ("Ingest", INGEST),
        ("File", INGEST["files"][0]),
    ],
)
def test_the_keys_documented_are_those_emitted(section: str, emitted: dict[str, Any]) -> None:
    assert documented(section) == set(emitted)


def test_the_examples_of_the_page_have_the_documented_keys() -> None:
    search, found, ingest = (json.loads(body) for body in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    assert set(search) == set(SEARCH)
    assert set(search["understood"]) == set(SEARCH["understood"])
    assert set(search["hits"][0]) == set(SEARCH["hits"][0]) - {"expanded"}
    assert set(found) == set(render.answer_json(answer()))
    assert set(found["sources"][0]) == set(ANSWER["sources"][0])
    assert set(found["claims"][0]) == set(ANSWER["claims"][0])
    assert set(ingest) == set(INGEST)
    assert found["answer"][found["claims"][0]["start"] : found["claims"][0]["end"]] == found["claims"][0]["text"]


def test_near_duplicates_are_listed_with_how_often_and_where() -> None:
    assert render.duplicates_text([GROUP]) == (
        "1 copy in 1 group; a search returns the best of each group\n"
        "\n"
        "2 times in 1 document: "
        "“# Restore To restore a backup, run `vault restore`. The service must be stopped first.”\n"
        "   backup.md:L5-L8\n"
        "   copy.md:L5-L8"
    )


def test_json_needs_no_help_to_be_written() -> None:
    for data in (ANSWER, SEARCH, INGEST, DUPLICATES):
        assert json.loads(json.dumps(data)) == data


def test_a_source_names_the_lines_of_its_quote() -> None:
    (source,) = ANSWER["sources"]
    lines = TEXT.split("\n")
    assert source["quote"] in "\n".join(lines[source["start_line"] - 5 : source["end_line"] - 4])
    assert source["passage"] == {"start_line": 5, "end_line": 8}


# ---------------------------------------------------------------- text


def test_an_answer_reads_as_text_then_proof_then_status() -> None:
    assert render.answer_text(answer()) == (
        "Run `vault restore` [1]. The service must be stopped first [1].\n"
        "\n"
        "[1] backup.md:L7-L8  Backups > Restore\n"
        "    │ To restore a backup, run `vault restore`.\n"
        "    │ The service must be stopped first.\n"
        "\n"
        "partial: 1 of 3 statements is not borne out by the sources: left out (tiny)"
    )


def test_a_declined_question_names_the_nearest_passages() -> None:
    text = render.answer_text(abstain("Q?", "no passage comes near", context=CONTEXT, model="tiny"))
    assert text == (
        "Not in the documentation.\n\nNearest passages:\n    backup.md:L5-L8  Backups > Restore\n\n"
        "abstained: no passage comes near (tiny)"
    )


def test_a_hit_shows_its_place_headings_score_and_words() -> None:
    assert render.search_text(result(), explain=True) == (
        "1  backup.md:L5-L8  0.912\n"
        "   Backups > Restore\n"
        "   # Restore To restore a backup, run `vault restore`. The service must be stopped first.\n"
        "   dense #1 0.800  lexical -\n"
        "   terms restore 1.39; lacks fast 2.10\n"
        "   carried by “To restore a backup, run it.”: cosine 0.800, without it 0.500; only it has restore\n"
        "\n"
        "nearly:\n"
        "   backup.md:L5-L8  0.500  dense 0.400 against 0.800\n"
        "\n"
        "mode hybrid; not reranked: rerank.model is none or unused; snapshot 000001\n"
        "dense 1 ms"
    )


def test_colour_marks_the_words_that_were_found() -> None:
    shown = render.search_text(result(), color=True)
    assert "\x1b[1mrestore\x1b[0m" in shown
    assert "\x1b" not in render.search_text(result())
    assert clean(render.answer_text(answer(), color=True)) == render.answer_text(answer())


def test_no_line_is_wider_than_asked_for() -> None:
    wide = answer(Draft("The service must be stopped first. " * 4, "tiny"))
    lines = render.answer_text(wide, width=40, color=True).split("\n")
    assert max(columns(line) for line in lines[:3]) <= 40


def test_an_ingest_is_told_in_two_lines() -> None:
    assert render.ingest_text(REPORT) == (
        "vault: 2 added, 1 failed\n5 chunks, 4 embedded, 2 a second; snapshot 000001 published in 2.0 s"
    )


def test_markdown_quotes_the_lines_and_escapes_the_rest() -> None:
    shown = render.answer_markdown(answer())
    assert "**[1]** `backup.md:L7` Backups \\> Restore\n\n> To restore a backup, run `vault restore`." in shown
    assert render.search_markdown(result()).startswith(
        "# restore\n\n1. **`backup.md:L5-L8`** Backups \\> Restore (0.912)"
    )


def test_markdown_of_a_search_says_what_the_text_says() -> None:
    found = result()
    (hit,) = found.hits
    copy = replace(hit.passage, path="copy.md")
    wide = Excerpt("backup.md", 1, 9, "line", "A fence:\n\n```\nvault restore\n```")
    shown = render.search_markdown(replace(found, hits=(replace(hit, copies=(copy,), expanded=wide),)), explain=True)
    assert "1. **`backup.md:L1-L9`**" in shown
    assert "   ````\n   A fence:\n   \n   ```\n   vault restore\n   ```\n   ````" in shown
    assert "   - also in copy.md:L5-L8" in shown
    assert "- mode hybrid" in shown
    assert render.search_markdown(replace(found, hits=())) == "# restore\n\nNo passage matches."


def test_the_context_shows_what_was_left_out_and_why() -> None:
    shown = render.context_text(CONTEXT)
    assert "[1] backup.md:L5-L8" in shown
    assert shown.endswith("20 tokens in 1 sources\nleft out: chunk 9: over the token budget")


# ---------------------------------------------------------------- terminals

EVIL = "\x1b]0;owned\x07\x1b[2Jhello\x9b31m \x08\u202eevil\u2066 \x00 \r\x7f"


def test_a_document_cannot_steer_the_terminal() -> None:
    found = render.search_text(result(EVIL, f"a{EVIL}.md")) + render.search_markdown(result(EVIL, f"a{EVIL}.md"))
    evil = Context((Source(1, 1, EVIL, EVIL, (EVIL,), "", 0, len(EVIL), 1, 1, "line", EVIL, 1.0),))
    shown = verify("hello evil?", Draft("hello evil " + EVIL, "m"), evil, settings=VerifySettings(unsupported="keep"))
    texts = (found, render.answer_text(shown), render.answer_markdown(shown), render.context_text(evil))
    for text in texts:
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert "owned" not in text


@given(st.text())
def test_clean_text_stays_clean(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", clean(text))


@given(st.text(alphabet="ab 日本é- \n", max_size=80), st.integers(4, 30))
def test_wrapping_keeps_the_text_and_the_width(text: str, width: int) -> None:
    shown = wrap(text, width)
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", text)
    for line in shown.split("\n"):
        assert columns(line) <= width or " " not in line.strip()


@given(st.text(alphabet="ab日本é", max_size=30), st.integers(1, 20))
def test_shortened_text_fits(text: str, width: int) -> None:
    assert columns(shorten(text, width)) <= width
