"""The autopsy of a passage: each way to get lost is told from the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ragkit import Engine, config
from ragkit.config import Settings
from ragkit.evaluation.autopsy import Autopsy, examine, to_json, to_text
from ragkit.testing import HashEmbedder, OverlapReranker, ScriptedGenerator

QUESTION = "How do I restore a backup?"


@pytest.fixture
def more(docs: Path) -> Path:
    """Twenty pages of other things, one that is ignored, and one that says the same as another."""
    for at in range(20):
        (docs / f"page{at}.md").write_text(f"# Page {at}\n\nThis page number {at} is about subject {at}.\n")
    (docs / "secret.md").write_text("# Restore a backup\n\nIgnored.\n")
    (docs / "drafts").mkdir()
    (docs / "drafts" / "plan.md").write_text("# Plan\n\nIgnored, too.\n")
    (docs / ".ragkitignore").write_text("secret.md\ndrafts/\n")
    return docs


def opened(settings: Settings, **changes: object) -> Engine:
    usual = {"rerank.model": "none", "verify.min_relevance": 0.0, "generate.backend": "extractive"}
    settings = config.replace(settings, {**usual, **changes})
    return Engine(settings, embedder=HashEmbedder(256))


@pytest.fixture
def engine(settings: Settings, more: Path) -> Iterator[Engine]:
    with opened(settings) as engine:
        engine.ingest([more], corpus="small")
        yield engine


def outcomes(found: Autopsy) -> dict[str, str]:
    return {step.stage: step.outcome for step in found.steps}


def test_a_passage_that_is_cited_passes_every_stage(engine: Engine) -> None:
    found = examine(engine, QUESTION, "backup.md", 11)
    assert (found.lost, found.verdict) == ("", "it was found, shown and cited")
    assert outcomes(found) == {
        "ingested": "passed",
        "cut": "passed",
        "dense": "passed",
        "lexical": "passed",
        "fused": "passed",
        "reranked": "off",
        "candidate": "passed",
        "shown": "passed",
        "cited": "passed",
    }


@pytest.mark.parametrize(
    ("path", "said"), [("secret.md", "secret.md was skipped"), ("drafts/plan.md", "drafts/ was skipped")]
)
def test_a_file_that_was_left_out_is_explained_by_the_ledger(engine: Engine, path: str, said: str) -> None:
    found = examine(engine, QUESTION, path)
    assert found.lost == "ingested"
    assert found.verdict.startswith(said)


def test_a_file_that_no_ingest_met_is_told_from_one_that_was_left_out(engine: Engine) -> None:
    found = examine(engine, QUESTION, "elsewhere.md")
    assert found.lost == "ingested"
    assert "no ingest of corpus small met elsewhere.md" in found.verdict


def test_lines_without_a_passage_are_said_to_be_so(engine: Engine) -> None:
    found = examine(engine, QUESTION, "backup.md", 999)
    assert found.lost == "cut"
    assert "no passage holds line 999" in found.verdict


def test_a_passage_behind_the_candidates_has_its_ranks(settings: Settings, more: Path) -> None:
    with opened(settings, **{"retrieve.candidates": 5, "retrieve.limit": 3, "context.candidates": 3}) as engine:
        engine.ingest([more], corpus="small")
        found = examine(engine, QUESTION, "page7.md")
    assert found.lost == "fused"
    dense = next(step for step in found.steps if step.stage == "dense")
    assert dense.rank is not None
    assert dense.rank > 5
    assert "neither index has it among its first 5 passages" in found.verdict


def test_a_passage_that_ranks_behind_what_the_context_takes_is_no_candidate(settings: Settings, more: Path) -> None:
    with opened(settings, **{"context.candidates": 1, "retrieve.limit": 1}) as engine:
        engine.ingest([more], corpus="small")
        found = examine(engine, QUESTION, "guide/ports.md")
    assert found.lost == "candidate"
    assert "sources are made of the first 1 hits" in found.verdict


def test_a_passage_over_the_budget_is_not_shown(settings: Settings, more: Path) -> None:
    with opened(settings, **{"context.max_sources": 1, "context.min_relative_score": 0.0}) as engine:
        engine.ingest([more], corpus="small")
        found = examine(engine, QUESTION, "guide/ports.md", 3)
    assert found.lost == "shown"
    assert "better sources were found" in found.verdict


def test_a_passage_that_says_the_same_as_a_better_one_is_a_duplicate(settings: Settings, docs: Path) -> None:
    text = (docs / "backup.md").read_text()
    (docs / "copy.md").write_text(text)
    with opened(settings) as engine:
        engine.ingest([docs], corpus="small")
        lost = [examine(engine, QUESTION, path, 11, answer=False).lost for path in ("backup.md", "copy.md")]
    assert sorted(lost) in (["", "duplicate"], ["", "shown"])


def test_a_passage_that_is_shown_and_not_cited_is_said_to_be_uncited(settings: Settings, more: Path) -> None:
    settings = config.replace(
        settings, {"rerank.model": "none", "verify.min_relevance": 0.0, "context.merge_gap_chars": 0}
    )
    generator = ScriptedGenerator("The web interface listens on port 8443.")
    with Engine(settings, embedder=HashEmbedder(256), generator=generator) as engine:
        engine.ingest([more], corpus="small")
        found = examine(engine, QUESTION + " And which port has the web interface?", "backup.md", 11)
    assert found.lost == "cited"
    assert "cites" in found.verdict


def test_the_rerankers_opinion_is_told(settings: Settings, more: Path) -> None:
    with Engine(
        config.replace(settings, {"generate.backend": "extractive"}),
        embedder=HashEmbedder(256),
        reranker=OverlapReranker(),
    ) as engine:
        engine.ingest([more], corpus="small")
        found = examine(engine, QUESTION, "backup.md", 11, answer=False)
    step = next(step for step in found.steps if step.stage == "reranked")
    assert step.outcome == "passed"
    assert "overlap alone puts it at" in step.detail


def test_the_forms_agree(engine: Engine) -> None:
    found = examine(engine, QUESTION, "backup.md", 11)
    data, text = to_json(found), to_text(found)
    assert [step["stage"] for step in data["steps"]] == [step.stage for step in found.steps]
    assert data["place"] == "backup.md:11"
    assert all(step.detail in text for step in found.steps)
