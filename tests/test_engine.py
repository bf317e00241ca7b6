"""The engine from Python: files in, checked answers out, with small fakes in place of models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ragkit import Engine, config
from ragkit.config import CROSS_ENCODER, Settings
from ragkit.domain import Document
from ragkit.domain.answers import Message
from ragkit.errors import CorpusNotFound, FilterError, ModelUnsuitable, OfflineError, SnapshotError, UsageError
from ragkit.loaders import load
from ragkit.resources import Resources
from ragkit.testing import HashEmbedder, OverlapReranker, ScriptedGenerator
from tests import toy_models


@pytest.fixture
def engine(settings: Settings, docs: Path) -> Iterator[Engine]:
    reply = "Run `vault restore --from FILE` to restore a backup [1]."
    with Engine(settings, embedder=HashEmbedder(), generator=ScriptedGenerator(reply)) as engine:
        engine.ingest([docs], corpus="docs")
        yield engine


def test_answer_is_verified_cited_and_logged(engine: Engine, docs: Path) -> None:
    answer = engine.ask("How do I restore a backup?")
    assert (answer.status, answer.corpus) == ("answered", "docs")
    quote = answer.quotes[0]
    lines = (docs / quote.path).read_text().splitlines()[quote.start_line - 1 : quote.end_line]
    assert quote.text in "\n".join(lines)
    logged = engine.store.answers("docs")[0]
    assert (logged.question, logged.status, logged.prompt_hash) == (answer.question, "answered", answer.prompt_hash)


def test_draft_that_the_sources_do_not_bear_out_is_not_shown(settings: Settings, docs: Path) -> None:
    invented = ScriptedGenerator("Restoring needs the enterprise licence 9000 from the moon office [1].")
    with Engine(settings, embedder=HashEmbedder(), generator=invented) as engine:
        engine.ingest([docs], corpus="docs")
        answer = engine.ask("How do I restore a backup?")
    assert answer.status == "abstained"
    assert "licence" not in answer.text


def test_irrelevant_question_is_declined_before_the_model_runs(engine: Engine) -> None:
    answer = engine.ask("Which glacier feeds the Ganges?")
    assert answer.status == "abstained"
    assert engine.generator.prompts == []  # type: ignore[union-attr]


def test_draft_is_heard_while_it_is_written(engine: Engine) -> None:
    heard: list[str] = []
    answer = engine.ask("How do I restore a backup?", on_text=heard.append)
    assert len(heard) > 3
    assert answer.draft is not None
    assert "".join(heard).strip() == answer.draft.text


def test_follow_up_is_rewritten_from_the_conversation(settings: Settings, docs: Path) -> None:
    def reply(messages: object) -> str:
        text = str(messages)
        return "How do I restore a backup?" if "Assistant:" in text else "Run `vault restore --from FILE` [1]."

    with Engine(settings, embedder=HashEmbedder(), generator=ScriptedGenerator(reply)) as engine:
        engine.ingest([docs], corpus="docs")
        history = [Message("user", "When do backups run?"), Message("assistant", "Every night at 02:00.")]
        answer = engine.ask("and how is it restored?", history=history)
    assert "understood as: How do I restore a backup?" in answer.notices
    assert answer.question == "and how is it restored?"


def test_filters_and_modes_reach_both_indexes(engine: Engine) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        result = engine.search("service restart port backup", mode=mode, filters=["path=guide/*"])  # type: ignore[arg-type]
        assert {hit.passage.path for hit in result.hits} == {"guide/ports.md"}


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize("lexical", ["rank_bm25", "tantivy"])
def test_as_many_hits_as_asked_for_come_back_through_a_filter(settings: Settings, mode: str, lexical: str) -> None:
    """The few documents that a filter lets through rank behind all of the others, far beyond the candidates."""
    rare = [
        Document(
            f"rare/{n}.md", f"Something else, number {n}, of a backup.", "text", metadata={"status": "old", "n": n}
        )
        for n in range(6)
    ]
    common = [
        Document(f"common/{n}.md", f"Restore a backup, restore a backup: {n}.", "text", metadata={"status": "new"})
        for n in range(300)
    ]
    chosen = config.replace(settings, {"lexical.engine": lexical, "retrieve.candidates": 10})
    with Engine(chosen, embedder=HashEmbedder()) as engine:
        engine.ingest_documents([*common, *rare], corpus="docs")
        found = engine.search("restore a backup", mode=mode, limit=4, filters=["status=old", "n>=1", "path!=rare/3*"])  # type: ignore[arg-type]
        assert len(found.hits) == 4
        assert {hit.passage.path for hit in found.hits} <= {f"rare/{n}.md" for n in (1, 2, 4, 5)}
        with pytest.raises(FilterError, match="no document has the key state"):
            engine.search("restore a backup", filters=["state=old"])


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_filters_that_no_document_meets_are_told(engine: Engine, mode: str) -> None:
    found = engine.search("backup", mode=mode, filters=["type=bogus"])  # type: ignore[arg-type]
    assert (found.hits, found.notices) == ((), ("no document has type=bogus; type is markdown",))
    assert "no document has type=bogus; type is markdown" in engine.ask("backup", filters=["type=bogus"]).notices


def test_every_hit_holds_a_quoted_phrase(engine: Engine) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        result = engine.search('backup of the "web  Interface listens"', mode=mode)  # type: ignore[arg-type]
        assert [hit.passage.path for hit in result.hits] == ["guide/ports.md"]
    assert len(engine.search("backup of the web interface listens").hits) > 1


def test_a_phrase_that_no_passage_holds_finds_nothing_and_says_so(engine: Engine) -> None:
    result = engine.search('"backups run every year"')
    assert result.hits == ()
    assert 'no passage holds "backups run every year"' in result.notices[0]
    assert engine.search('"backups run"', filters=["path=guide/*"]).hits == ()


class PiecesEmbedder(HashEmbedder):
    """Cuts words of five letters or more in two, as a subword tokenizer does with those it does not know."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        whole = super().spans(text)
        return [part for a, b in whole for part in ([(a, b)] if b - a < 5 else [(a, a + 4), (a + 4, b)])]


def test_a_misspelt_word_is_searched_as_the_corpus_spells_it_and_the_answer_says_so(
    settings: Settings, docs: Path
) -> None:
    extractive = config.replace(settings, {"generate.backend": "extractive"})
    with Engine(extractive, embedder=PiecesEmbedder()) as engine:
        engine.ingest([docs], corpus="docs")
        for mode in ("hybrid", "dense", "lexical"):
            result = engine.search("restroe a bakcup", mode=mode)  # type: ignore[arg-type]
            assert result.understood is not None
            assert (result.query, result.understood.text) == ("restroe a bakcup", "restore a backup")
            assert result.hits == engine.search("restore a backup", mode=mode).hits  # type: ignore[arg-type]
        answer = engine.ask("How do I restroe a bakcup?")
        assert answer.status == "answered"
        assert 'searched for "restore", not "restroe"' in answer.notices
    as_written = config.replace(extractive, {"retrieve.spelling": False})
    with Engine(as_written, embedder=PiecesEmbedder()) as engine:
        assert engine.search("restroe a bakcup", mode="lexical").hits == ()


def test_corrections_follow_the_corpus_as_it_changes(settings: Settings, docs: Path) -> None:
    with Engine(settings, embedder=PiecesEmbedder()) as engine:
        engine.ingest([docs], corpus="docs")
        assert engine.search("quokak").understood.corrections == ()  # type: ignore[union-attr]
        (docs / "animals.md").write_text("# Animals\n\nA quokka is a small marsupial.\n")
        engine.ingest([docs], corpus="docs")
        assert engine.search("quokak").understood.text == "quokka"  # type: ignore[union-attr]
        (docs / "animals.md").unlink()
        engine.ingest([docs], corpus="docs")
        assert engine.search("quokak").understood.corrections == ()  # type: ignore[union-attr]


def test_a_cross_encoder_of_the_settings_reads_what_the_sentences_have_put_in_order(
    settings: Settings, docs: Path, tmp_path: Path
) -> None:
    model = toy_models.save_cross_encoder(tmp_path / "toy")
    values = {"rerank.model": f"path:{model}", "models.directory": str(tmp_path / "models")}
    with Engine(config.replace(settings, values), embedder=HashEmbedder()) as engine:
        engine.ingest([docs], corpus="docs")
        found = engine.search("changing the port")
        named = [stage.stage for stage in found.hits[0].stages]
        assert named[-2:] == ["sentences", "rerank"] and found.reranker.endswith("toy")
        lexical = engine.search("changing the port", mode="lexical")
        assert [stage.stage for stage in lexical.hits[0].stages][-1] == "rerank"
        assert all(stage.stage != "sentences" for hit in lexical.hits for stage in hit.stages)


def test_without_the_default_cross_encoder_sentences_rerank_and_a_notice_says_how_to_get_it(
    settings: Settings, docs: Path, tmp_path: Path
) -> None:
    nowhere = config.replace(settings, {"models.directory": str(tmp_path / "models")})
    with Engine(nowhere, embedder=HashEmbedder()) as engine:
        engine.ingest([docs], corpus="docs")
        found = engine.search("changing the port")
        assert found.reranker == "sentences"
        assert [note for note in found.notices if f"`ragkit models pull {CROSS_ENCODER}`" in note]
        assert engine.search("changing the port").notices == ()  # said once
    asked = config.replace(nowhere, {"rerank.model": "sentences"})
    with Engine(asked, embedder=HashEmbedder()) as engine:
        assert engine.search("changing the port", corpus="docs").notices == ()
    insisting = config.replace(nowhere, {"rerank.model": CROSS_ENCODER, "offline": True})
    with Engine(insisting, embedder=HashEmbedder()) as engine, pytest.raises(OfflineError, match="models pull"):
        engine.search("changing the port", corpus="docs")


def test_the_default_cross_encoder_reads_what_it_finds_and_leaves_lexical_searches_alone(
    models: None, settings: Settings, docs: Path
) -> None:
    with Engine(settings, embedder=HashEmbedder()) as engine:
        engine.ingest([docs], corpus="docs")
        found = engine.search("changing the port")
        assert found.reranker == CROSS_ENCODER
        assert [stage.stage for stage in found.hits[0].stages][-2:] == ["sentences", "rerank"]
        assert engine.search("changing the port", mode="lexical").reranker == ""


def test_a_reranker_that_rescores_nothing_is_not_named(settings: Settings, docs: Path) -> None:
    settings = config.replace(settings, {"rerank.depth": 0})
    with Engine(settings, embedder=HashEmbedder(), reranker=OverlapReranker()) as engine:
        engine.ingest([docs], corpus="docs")
        assert engine.search("changing the port").reranker == ""


def test_a_model_that_is_no_embedder_is_refused_as_such(settings: Settings, docs: Path) -> None:
    with Engine(settings, embedder=HashEmbedder()) as engine:
        engine.ingest([docs], corpus="docs")
    asked = config.replace(settings, {"embed.model": CROSS_ENCODER, "models.directory": str(docs / "none")})
    with Engine(asked) as engine, pytest.raises(ModelUnsuitable, match="is a model for another role \\(reranker\\)"):
        engine.search("changing the port")


def test_reranker_has_the_last_word_and_is_named(settings: Settings, docs: Path) -> None:
    with Engine(settings, embedder=HashEmbedder(), reranker=OverlapReranker()) as engine:
        engine.ingest([docs], corpus="docs")
        result = engine.search("changing the port")
        assert result.reranker == "overlap"
        assert any(stage.stage == "rerank" for stage in result.hits[0].stages)
        assert engine.search("changing the port", rerank=False).reranker == ""


def test_new_snapshot_is_seen_by_an_open_engine(engine: Engine, docs: Path) -> None:
    before = engine.search("quokka").snapshot
    (docs / "animals.md").write_text("# Animals\n\nA quokka is a small marsupial.\n")
    engine.ingest([docs], corpus="docs")
    after = engine.search("quokka")
    assert after.snapshot != before
    assert after.hits[0].passage.path == "animals.md"


class PlainMiniLM(HashEmbedder):
    """Called like the default embedder."""

    @property
    def fingerprint(self) -> str:
        return "all-MiniLM-L6-v2-0000"


def test_a_model_for_source_code_goes_with_the_embedder_whose_questions_it_answers(
    settings: Settings, tmp_path: Path
) -> None:
    def opened(embedder: HashEmbedder | None, **values: object) -> Resources:
        alone = {"models.directory": str(tmp_path / "none"), "offline": True}
        chosen = config.replace(settings, alone | {f"embed.{key}": value for key, value in values.items()})
        return Resources(chosen, None, embedder=embedder, generator=None, reranker=None)

    assert opened(HashEmbedder()).code_embedder is None
    assert opened(PlainMiniLM(), code_model="none").code_embedder is None
    with pytest.raises(ModelUnsuitable, match="ragkit-code-v1 embeds no source code for questions that hash reads"):
        _ = opened(HashEmbedder(), code_model="ragkit-code-v1").code_embedder
    with pytest.raises(ModelUnsuitable, match="embeds source code alone"):
        _ = opened(None, model="ragkit-code-v1").embedder
    without = opened(PlainMiniLM())
    assert without.code_embedder is None  # nothing can be fetched; the embedder reads code, too, and says so
    assert "less well than ragkit-code-v1" in without.notices[0]
    with pytest.raises(OfflineError):
        _ = opened(PlainMiniLM(), code_model="ragkit-code-v1").code_embedder


def test_another_embedder_is_refused(settings: Settings, docs: Path) -> None:
    with Engine(settings, embedder=HashEmbedder(64)) as engine:
        engine.ingest([docs], corpus="docs")
    with (
        Engine(settings, embedder=HashEmbedder(32)) as engine,
        pytest.raises(SnapshotError, match=r"hash-64.*hash-32"),
    ):
        engine.search("backup")


def test_documents_that_lie_in_no_folder_can_be_asked(settings: Settings) -> None:
    documents: list[Document] = [load(b"# Tea\n\nTea is brewed at 95 degrees.\n", "tea.md")]
    with Engine(config.replace(settings, {"generate.backend": "extractive"}), embedder=HashEmbedder()) as engine:
        engine.ingest_documents(documents, corpus="drinks")
        answer = engine.ask("At how many degrees is tea brewed?")
    assert "95 degrees" in answer.text


def test_removed_corpus_is_gone(engine: Engine) -> None:
    engine.remove("docs")
    with pytest.raises(CorpusNotFound):
        engine.search("backup")


@pytest.mark.parametrize("question", ["", "  \n "])
def test_empty_question_is_refused(engine: Engine, question: str) -> None:
    with pytest.raises(UsageError, match="question is empty"):
        engine.ask(question)


def test_question_longer_than_the_window_is_refused_with_numbers(settings: Settings, docs: Path) -> None:
    with Engine(settings, embedder=HashEmbedder(), generator=ScriptedGenerator("x", context_tokens=512)) as engine:
        engine.ingest([docs], corpus="docs")
        with pytest.raises(UsageError, match="of the 512 tokens"):
            engine.ask("why " * 600)


def test_what_is_no_text_in_a_query_is_no_error(engine: Engine) -> None:
    assert engine.search("backup \udcff key").hits


def test_show_gives_the_lines_of_the_file(engine: Engine, docs: Path) -> None:
    excerpt = engine.show("backup.md", 7, 9)
    assert excerpt.text == "\n".join((docs / "backup.md").read_text().splitlines()[6:9])


def test_hits_and_sources_come_with_what_stands_around_them_when_that_is_asked_for(settings: Settings) -> None:
    text = "".join(f"# Part {n}\n\nParagraph {n} is about topic{n} alone.\n\n" for n in range(9))
    small = config.replace(
        settings,
        {
            "chunk.size_tokens": 16,
            "chunk.overlap_tokens": 0,
            "generate.backend": "extractive",
            "context.min_relative_score": 0.9,
        },
    )
    with Engine(small, embedder=HashEmbedder()) as engine:
        engine.ingest_documents([load(text.encode(), "parts.md")], corpus="docs")
        narrow, wide = (engine.search("topic4", expand=how).hits[0] for how in ("none", "neighbours"))
        assert narrow.expanded is None
        assert wide.expanded is not None
        assert wide.passage == narrow.passage
        assert narrow.passage.chunk.text in wide.expanded.text
        assert len(wide.expanded.text) > len(narrow.passage.chunk.text)
        shown = engine.ask("What is topic4 about?").context.sources[0]
    with Engine(config.replace(small, {"context.expand": "neighbours"}), embedder=HashEmbedder()) as engine:
        more = engine.ask("What is topic4 about?").context.sources[0]
    assert shown.text in more.text
    assert len(more.text) > len(shown.text)


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_an_explained_search_ranks_as_ever_and_names_what_nearly_made_it(engine: Engine, mode: str) -> None:
    query = "restart the service after a backup"
    plain = engine.search(query, mode=mode, limit=1)  # type: ignore[arg-type]
    told = engine.search(query, mode=mode, limit=1, explain=True)  # type: ignore[arg-type]
    assert [hit.passage for hit in told.hits] == [hit.passage for hit in plain.hits]
    assert plain.near_misses == ()
    assert plain.hits[0].explanation is None
    why = told.hits[0].explanation
    assert why is not None
    assert why.carrier is not None
    assert why.carrier.text in told.hits[0].passage.chunk.text
    assert why.matched
    assert [miss.hit.passage.path for miss in told.near_misses] == [
        path for path in ("backup.md", "guide/ports.md") if path != told.hits[0].passage.path
    ]


def test_the_same_text_in_many_files_is_found_once_and_listed(settings: Settings, docs: Path) -> None:
    notice = (
        "This manual comes without any warranty, to the extent that the law allows, whatever it is used for. " * 2
    )
    for name in ("one", "two", "three"):
        (docs / f"{name}.md").write_text(f"# Warranty\n\n{notice}\n", encoding="utf-8")
    with Engine(settings, embedder=HashEmbedder()) as engine:
        engine.ingest([docs], corpus="docs")
        for mode in ("hybrid", "dense", "lexical"):
            hits = engine.search("manual without warranty", mode=mode).hits  # type: ignore[arg-type]
            (hit,) = (hit for hit in hits if "warranty" in hit.passage.chunk.text)
            assert sorted(one.path for one in (hit.passage, *hit.copies)) == ["one.md", "three.md", "two.md"]
        (group,) = engine.duplicates("docs")
        assert [passage.path for passage in group.passages] == ["one.md", "three.md", "two.md"]
        assert group.documents == 3
        only = engine.search("manual without warranty", filters=["path=two.md"]).hits
        assert [hit.passage.path for hit in only] == ["two.md"]
        assert only[0].copies == ()
        (docs / "two.md").unlink()
        engine.ingest([docs], corpus="docs")
        assert [passage.path for passage in engine.duplicates("docs")[0].passages] == ["one.md", "three.md"]
    with Engine(config.replace(settings, {"retrieve.duplicates": "all"}), embedder=HashEmbedder()) as engine:
        hits = engine.search("manual without warranty").hits
        assert len([hit for hit in hits if "warranty" in hit.passage.chunk.text]) == 2
