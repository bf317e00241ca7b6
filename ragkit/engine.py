"""The only wiring: opens the store, the models and a corpus's snapshot once, and runs the stages in order.

Knows which stage follows which and which settings each one gets; knows nothing of how a stage works. One
engine serves one thread at a time; several may be open on the same store.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit import config
from ragkit.domain import (
    Answer,
    Context,
    Document,
    Draft,
    Excerpt,
    Hit,
    LineIndex,
    Message,
    Mode,
    SearchResult,
)
from ragkit.errors import UsageError
from ragkit.stopwatch import Stopwatch

if TYPE_CHECKING:
    from ragkit.config import Settings
    from ragkit.doctor import Check
    from ragkit.domain import Embedder, Generator, IngestReport, LedgerRow, Progress, Reranker
    from ragkit.index.snapshot import Snapshot
    from ragkit.prompting import Prompts
    from ragkit.store import CorpusStatus, Store

EXTRACTIVE = "extractive"
"""The model's name in an answer that no language model wrote."""
MIN_SOURCE_TOKENS = 128
"""A question that leaves less room than this for sources is too long for the generator's window."""


class Engine:
    """Documents in, answers out.

    `settings` default to the nearest ragkit.toml and RAGKIT_* variables. An embedder, generator or reranker
    that is passed in is used in place of the one that the settings name. `progress` hears of long work.
    Everything is opened when it is first needed; close the engine, or use it in a `with` block.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        embedder: Embedder | None = None,
        generator: Generator | None = None,
        reranker: Reranker | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.settings = settings or config.load(config.find_project_file()).settings
        self.progress = progress
        self._given = {"embedder": embedder, "generator": generator, "reranker": reranker}
        self._snapshots: dict[str, Snapshot] = {}
        self._notices: list[str] = []

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened. The engine can still be used: it opens things again."""
        for snapshot in self._snapshots.values():
            snapshot.close()
        self._snapshots.clear()
        for name in ("store", "generator", "embedder", "reranker"):
            close = getattr(self.__dict__.pop(name, None), "close", None)
            if close and name not in {key for key, given in self._given.items() if given is not None}:
                close()

    # ------------------------------------------------------------ what is opened once

    @cached_property
    def store(self) -> Store:
        """The database of documents, snapshots and answers."""
        from ragkit.store import Store

        return Store(self.settings.store_directory, self.settings.store.database_url)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedding model, prepared on first use."""
        if (given := self._given["embedder"]) is not None:
            return given  # type: ignore[return-value]
        from ragkit.embed import open_embedder

        prepared = self._prepared(self.settings.embed.model, "embedder", self.settings.embed.engine)
        return open_embedder(prepared, self.settings.thread_count, self.settings.embed.batch_tokens)

    @cached_property
    def reranker(self) -> Reranker | None:
        """The cross-encoder, or None when `rerank.model` is none."""
        if (given := self._given["reranker"]) is not None:
            return given  # type: ignore[return-value]
        if self.settings.rerank.model == "none":
            return None
        from ragkit.rerank import open_reranker

        prepared = self._prepared(self.settings.rerank.model, "reranker", self.settings.rerank.engine)
        return open_reranker(prepared, self.settings.thread_count)

    @cached_property
    def generator(self) -> Generator | None:
        """The language model, or None when `generate.backend` is extractive."""
        if (given := self._given["generator"]) is not None:
            return given  # type: ignore[return-value]
        settings = self.settings.generate
        if settings.backend == "extractive":
            return None
        from ragkit.generate import open_generator

        file = self._prepared(settings.model, "generator") if settings.backend == "llama" else None
        return open_generator(
            settings, model_file=file, threads=self.settings.thread_count, offline=self.settings.offline
        )

    @cached_property
    def prompts(self) -> Prompts:
        """The prompt files in force."""
        from ragkit import prompting

        return prompting.load(self.settings.generate.prompts)

    def _prepared(self, name: str, role: str, engine: str = "auto") -> Path:
        from ragkit.models.prepare import prepare

        prepared = prepare(
            name,
            role,
            self.settings.models_directory,
            prefer=self.settings.models.prefer,
            engine=engine,
            offline=self.settings.offline,
            hub_timeout_seconds=self.settings.models.hub_timeout_seconds,
            threads=self.settings.thread_count,
            progress=self.progress,
        )
        self._notices.extend(prepared.notices)
        return prepared.path

    def _embedder_is_ready(self) -> bool:
        """Whether the embedder can be opened without fetching or preparing anything."""
        if "embedder" in self.__dict__ or self._given["embedder"] is not None:
            return True
        from ragkit.models.prepare import prepared

        settings = self.settings
        return (
            prepared(
                settings.embed.model,
                "embedder",
                settings.models_directory,
                prefer=settings.models.prefer,
                engine=settings.embed.engine,
            )
            is not None
        )

    def _embedder_for(self, snapshot: Snapshot) -> Embedder:
        """The embedder, prepared now; but not one that could not search this snapshot anyway."""
        from ragkit.models import catalogue

        snapshot.require_model(catalogue.get(self.settings.embed.model).name)
        return self.embedder

    def _snapshot(self, corpus: str) -> Snapshot:
        """The current snapshot of a corpus; the same object until another is published."""
        from ragkit.index.snapshot import open_snapshot

        name = self._corpus_name(corpus)
        current = self.store.current_snapshot(name)
        held = self._snapshots.get(name)
        if held is None or held.name != current.name:
            if held is not None:
                held.close()
            held = self._snapshots[name] = open_snapshot(self.store, name, self.settings)
        return held

    def _corpus_name(self, corpus: str) -> str:
        return self.store.corpus(corpus or self.settings.corpus).name

    # ------------------------------------------------------------ ingest

    def ingest(self, paths: Sequence[Path | str] = (), *, corpus: str = "", rebuild: bool = False) -> IngestReport:
        """Read files and folders into a corpus and publish it; only what changed is read again.

        Without `paths` the corpus's own folders are read again. Raises CorpusEmpty when nothing matched.
        """
        from ragkit.ingest import ingest

        return ingest(
            [Path(path) for path in paths],
            corpus,
            store=self.store,
            embedder=self.embedder,
            settings=self.settings,
            rebuild=rebuild,
            progress=self.progress,
        )

    def ingest_documents(self, documents: Iterable[Document], *, corpus: str) -> IngestReport:
        """Make a corpus of documents that lie in no folder; they replace what the corpus held."""
        from ragkit.ingest import ingest_documents

        return ingest_documents(
            documents,
            corpus,
            store=self.store,
            embedder=self.embedder,
            settings=self.settings,
            progress=self.progress,
        )

    # ------------------------------------------------------------ corpora

    def corpora(self) -> list[CorpusStatus]:
        """Every corpus at a glance, by name."""
        return [self.store.status(record.name) for record in self.store.corpora()]

    def status(self, corpus: str = "") -> CorpusStatus:
        """One corpus at a glance."""
        return self.store.status(self._corpus_name(corpus))

    def ledger(self, corpus: str = "", outcomes: Sequence[str] = ()) -> list[LedgerRow]:
        """What the latest ingest of a corpus did with each file."""
        latest = self.store.ingests(self._corpus_name(corpus), 1)
        return self.store.ledger(latest[0].id, outcomes) if latest else []

    def remove(self, corpus: str) -> None:
        """Delete a corpus: its rows and its index files. The documents themselves are not touched."""
        from ragkit.index.snapshot import remove_corpus

        if (held := self._snapshots.pop(corpus, None)) is not None:
            held.close()
        remove_corpus(self.store, corpus)

    def show(self, path: str, first: int | None = None, last: int | None = None, *, corpus: str = "") -> Excerpt:
        """Lines `first` to `last` of an ingested document (all of it by default), as citations count them."""
        record = self.store.document_by_path(self._corpus_name(corpus), path)
        if record is None:
            raise UsageError(
                f"{path} is not in corpus {self._corpus_name(corpus)}",
                f"`ragkit corpus show {self._corpus_name(corpus)}` lists its documents",
            )
        document = self.store.document(record.id)
        return LineIndex(document).excerpt(document, first, last)

    def check(self, *, deep: bool = False) -> list[Check]:
        """Versions, models and indexes: what is in order, and what repairs the rest."""
        from ragkit.doctor import examine

        return examine(self.settings, deep=deep)

    # ------------------------------------------------------------ search

    def search(
        self,
        query: str,
        *,
        corpus: str = "",
        limit: int | None = None,
        mode: Mode | None = None,
        rerank: bool | None = None,
        filters: Sequence[str] = (),
    ) -> SearchResult:
        """The passages that answer a query, best first.

        `limit` and `mode` default to the settings; `rerank=False` leaves the order to fusion. Filters are
        `key=value` expressions, all of which must hold.
        """
        from ragkit.retrieve import retrieve

        _require_text(query, "query")
        settings = self.settings.retrieve
        if mode is not None:
            settings = dataclasses.replace(settings, mode=mode)
        limit = limit or settings.limit
        clock = Stopwatch()
        with clock("open"):
            needs_vectors = settings.mode != "lexical"
            embedder = self.embedder if needs_vectors and self._embedder_is_ready() else None
            with _opening(embedder):
                snapshot = self._snapshot(corpus)
            if needs_vectors:
                embedder = embedder or self._embedder_for(snapshot)
                snapshot.require_embedder(embedder)
            reranker = self.reranker if rerank is not False else None
            allowed = self.store.allowed(snapshot.record, filters)
        depth = max(limit, self.settings.rerank.depth) if reranker else limit
        found = retrieve(
            query,
            snapshot.dense if needs_vectors else None,
            snapshot.lexical if settings.mode != "dense" else None,
            embedder,
            settings,
            language=self.settings.lexical.language,
            limit=depth,
            allowed=allowed,
        )
        clock.seconds.update(found.timings)
        with clock("fetch"):
            hits = self._hits(found)
        if reranker is not None and hits:
            with clock("rerank"):
                hits = self._reranked(query, hits, reranker)
        return SearchResult(
            query=query,
            mode=settings.mode,
            hits=hits[:limit],
            snapshot=snapshot.name,
            timings=clock.seconds,
            notices=self._search_notices(query, embedder),
            reranker=reranker.name if reranker else "",
        )

    def _hits(self, found: Any) -> tuple[Hit, ...]:
        from ragkit.text import analyse

        passages = self.store.passages(entry.id for entry in found.ranked)
        wanted = set(found.terms)
        language = self.settings.lexical.language
        return tuple(
            Hit(
                passage,
                entry.score,
                found.stages[entry.id],
                tuple(term for term in found.terms if term in wanted & set(analyse(passage.chunk.indexed, language))),
            )
            for entry, passage in zip(found.ranked, passages, strict=True)
        )

    def _reranked(self, query: str, hits: tuple[Hit, ...], reranker: Reranker) -> tuple[Hit, ...]:
        from ragkit.rerank import rerank

        return rerank(query, hits, reranker, self.settings.rerank)

    def _search_notices(self, query: str, embedder: Embedder | None) -> tuple[str, ...]:
        """What a user should know: how models came here, said once, and a query that is longer than the window."""
        notices = tuple(self._notices)
        self._notices.clear()
        spans = getattr(embedder, "spans", None)
        if embedder is None or spans is None or len(query) <= embedder.max_tokens:  # a token has a character
            return notices
        tokens = len(spans(query))
        if tokens <= embedder.max_tokens:
            return notices
        return (*notices, f"the query has {tokens} tokens; the dense index sees the first {embedder.max_tokens}")

    # ------------------------------------------------------------ ask

    def ask(
        self,
        question: str,
        *,
        corpus: str = "",
        filters: Sequence[str] = (),
        history: Sequence[Message] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> Answer:
        """A checked answer: retrieve, assemble, generate, verify.

        `history` is the conversation so far, from which a follow-up is understood. `on_text` hears the draft
        as it is written, before it is checked. An answer with status abstained is the documentation's silence,
        not an error.
        """
        _require_text(question, "question")
        clock = Stopwatch()
        with clock("open_generator"):
            generator = self.generator
        notices: tuple[str, ...] = ()
        asked = question
        if history and generator is not None:
            with clock("rewrite"):
                asked = self._standalone(question, history, generator)
            notices = (f"understood as: {asked}",) if asked != question else ()
        budget = self._budget(asked, generator)
        with clock("retrieve"):
            found = self.search(asked, corpus=corpus, filters=filters, limit=self.settings.context.candidates)
        answer = self._answer(asked, found, generator, budget, clock, on_text)
        answer = dataclasses.replace(
            answer,
            question=question,
            snapshot=found.snapshot,
            timings={**clock.seconds, "total": sum(clock.seconds.values())},
            notices=(*notices, *found.notices, *answer.notices),
            prompt_hash=self.prompts.hash if generator is not None else "",
            corpus=self._corpus_name(corpus),
        )
        self._log(answer)
        return answer

    def _answer(
        self,
        question: str,
        found: SearchResult,
        generator: Generator | None,
        budget: int,
        clock: Stopwatch,
        on_text: Callable[[str], None] | None,
    ) -> Answer:
        """From hits to a checked answer; declines before generating when nothing relevant was found."""
        from ragkit import generate, prompting
        from ragkit.context import assemble
        from ragkit.verify import abstain, is_refusal, relevance

        language = self.settings.lexical.language
        with clock("assemble"):
            context = assemble(
                found.hits,
                count=generator.count if generator is not None else _words,
                settings=self.settings.context,
                budget=budget,
                text_of=self.store.document_text,
                lines_of=lambda document_id: self.store.document(document_id).lines,
            )
        judged = relevance(question, found.hits, language=language)
        if judged.value < self.settings.verify.min_relevance:
            model = generator.name if generator is not None else EXTRACTIVE
            return abstain(question, _why_declined(judged.missing), context=context, model=model)
        if generator is None:
            return self._extracted(question, context, clock)
        with clock("generate"):
            messages = prompting.answer_messages(self.prompts, question, context)
            draft = generate.write(generator, messages, generate.options(self.settings.generate), on_text)
        answer = self._verified(question, draft, context, clock)
        unproved = answer.status == "abstained" and not is_refusal(draft.text)
        if unproved and judged.value >= self.settings.verify.quote_relevance:
            answer = self._extracted(question, context, clock)
            notice = (
                f"nothing that {generator.name} wrote was borne out by the sources; these are their own sentences"
            )
            return dataclasses.replace(answer, notices=(notice, *answer.notices))
        return answer

    def _extracted(self, question: str, context: Context, clock: Stopwatch) -> Answer:
        """The best sentences of the sources as the answer, checked like any other."""
        from ragkit import generate

        with clock("extract"):
            language = self.settings.lexical.language
            draft = generate.extract(question, context, embedder=self.embedder, language=language)
        return self._verified(question, draft, context, clock)

    def _verified(self, question: str, draft: Draft, context: Context, clock: Stopwatch) -> Answer:
        from ragkit.verify import verify

        with clock("verify"):
            return verify(
                question,
                draft,
                context,
                settings=self.settings.verify,
                embedder=self.embedder,
                language=self.settings.lexical.language,
            )

    def _budget(self, question: str, generator: Generator | None) -> int:
        """Tokens that the sources may take: the setting, or what the window leaves."""
        wanted = self.settings.context.budget_tokens
        if generator is None:
            return wanted
        from ragkit.prompting import overhead

        sources = self.settings.context.max_sources
        fixed = overhead(self.prompts, question, generator.count, sources) + self.settings.generate.max_tokens
        left = generator.context_tokens - fixed
        if left < MIN_SOURCE_TOKENS:
            raise UsageError(
                f"the question is too long: with its answer it takes {fixed} of the {generator.context_tokens} "
                f"tokens that {generator.name} can see",
                "ask a shorter question, or raise generate.context_tokens",
            )
        return min(wanted, left)

    def _standalone(self, question: str, history: Sequence[Message], generator: Generator) -> str:
        """A follow-up question in the words that it needs to be understood alone."""
        from ragkit import generate, prompting

        messages = prompting.rewrite_messages(self.prompts, question, history)
        options = dataclasses.replace(generate.options(self.settings.generate), max_tokens=64, temperature=0.0)
        draft = generate.write(generator, messages, options)
        return _first_line(draft.text) or question

    def _log(self, answer: Answer) -> None:
        from ragkit.render import answer_json

        self.store.log_answer(
            corpus=answer.corpus,
            snapshot=answer.snapshot,
            question=answer.question,
            status=answer.status,
            model=answer.model,
            prompt_hash=answer.prompt_hash,
            timings=answer.timings,
            answer=answer_json(answer),
        )


@contextmanager
def _opening(embedder: Embedder | None) -> Iterator[None]:
    """Let an embedder read its model on another core while the store opens: a cold search is a quarter quicker."""
    import threading

    if embedder is None or getattr(embedder, "is_open", True):
        yield
        return
    thread = threading.Thread(target=lambda: embedder.embed(["a"], "query"), name="open-embedder", daemon=True)
    thread.start()
    yield
    thread.join()


def _require_text(text: str, what: str) -> None:
    if not text.strip():
        raise UsageError(f"the {what} is empty", 'put it in quotes: ragkit ask "how do I ...?"')


def _first_line(text: str) -> str:
    """A rewritten question, without the quotes or the label that small models like to add.

    >>> _first_line('Question: "How is it stopped?"\\nIt is')
    'How is it stopped?'
    """
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return (
        line.split(": ", 1)[-1].strip("\"'* ")
        if line.lower().startswith(("question", "standalone"))
        else line.strip("\"' ")
    )


def _words(text: str) -> int:
    """Tokens of a text when no generator will read it: its words."""
    return len(text.split())


def _why_declined(missing: Sequence[str]) -> str:
    if missing:
        return f"no passage comes near the question; nothing found mentions: {', '.join(missing[:6])}"
    return "no passage comes near the question"
