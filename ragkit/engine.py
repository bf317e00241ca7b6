"""Documents in, answers out: the wiring, with `searching`, of all stages over what `resources` opened.

Knows which stage follows which and which settings each one gets; knows nothing of how a stage works. One
engine serves one thread at a time; several may be open on the same store.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ragkit import config
from ragkit.choices import Expand, ExpansionMethod, Mode
from ragkit.domain import Context, Document, Excerpt, LineIndex, SearchResult, Source, location
from ragkit.domain.answers import Answer, Draft, Message
from ragkit.domain.corpora import Acronym, DuplicateGroup
from ragkit.errors import ModelUnsuitable, UsageError
from ragkit.resources import Resources
from ragkit.stopwatch import Stopwatch
from ragkit.versions import order

if TYPE_CHECKING:
    from ragkit.config import Settings
    from ragkit.doctor import Check
    from ragkit.domain import Progress
    from ragkit.domain.answers import Grounding
    from ragkit.domain.corpora import IngestReport, LedgerRow
    from ragkit.prompting import Prompts
    from ragkit.roles import Embedder, Generator, Judge, Reranker
    from ragkit.store import CorpusStatus, Store

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
        self._opened = Resources(self.settings, progress, embedder=embedder, generator=generator, reranker=reranker)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened. The engine can still be used: it opens things again."""
        self._opened.close()

    @property
    def store(self) -> Store:
        """The database of documents, snapshots and answers."""
        return self._opened.store

    @property
    def embedder(self) -> Embedder:
        """The embedding model, prepared on first use."""
        return self._opened.embedder

    @property
    def reranker(self) -> Reranker | None:
        """What rescores hits, or None when `rerank.model` is none."""
        return self._opened.reranker

    @property
    def generator(self) -> Generator | None:
        """The language model, or None when `generate.backend` is extractive."""
        return self._opened.generator

    @property
    def judge(self) -> Generator | None:
        """The language model that the faithfulness engines logits and judge ask, or None when there is none."""
        return self._opened.judge

    @property
    def prompts(self) -> Prompts:
        """The prompt files in force."""
        return self._opened.prompts

    # ------------------------------------------------------------ ingest

    def ingest(
        self, paths: Sequence[Path | str] = (), *, corpus: str = "", rebuild: bool = False, like: str = ""
    ) -> IngestReport:
        """Read files and folders into a corpus and publish it; only what changed is read again.

        Without `paths` the corpus's own folders are read again, and `like` another corpus its very documents are:
        CorpusError where one has changed. Raises CorpusEmpty when nothing matched.
        """
        from ragkit.ingest import ingest

        report = ingest(
            [Path(path) for path in paths],
            corpus,
            store=self.store,
            embedder=self.embedder,
            code_embedder=lambda: self._opened.code_embedder,
            settings=self.settings,
            rebuild=rebuild,
            like=like,
            progress=self.progress,
        )
        return dataclasses.replace(report, notices=(*report.notices, *self._opened.take_notices()))

    def ingest_documents(self, documents: Iterable[Document], *, corpus: str) -> IngestReport:
        """Make a corpus of documents that lie in no folder; they replace what the corpus held."""
        from ragkit.ingest import ingest_documents

        report = ingest_documents(
            documents,
            corpus,
            store=self.store,
            embedder=self.embedder,
            code_embedder=lambda: self._opened.code_embedder,
            settings=self.settings,
            progress=self.progress,
        )
        return dataclasses.replace(report, notices=(*report.notices, *self._opened.take_notices()))

    # ------------------------------------------------------------ corpora

    def corpora(self) -> list[CorpusStatus]:
        """Every corpus at a glance, by name."""
        return [self.store.status(record.name) for record in self.store.corpora()]

    def status(self, corpus: str = "") -> CorpusStatus:
        """One corpus at a glance."""
        return self.store.status(self._opened.corpus_name(corpus))

    def ledger(self, corpus: str = "", outcomes: Sequence[str] = ()) -> list[LedgerRow]:
        """What the latest ingest of a corpus did with each file."""
        latest = self.store.ingests(self._opened.corpus_name(corpus), 1)
        return self.store.ledger(latest[0].id, outcomes) if latest else []

    def duplicates(self, corpus: str = "") -> list[DuplicateGroup]:
        """Passages of a corpus with nearly the same text, the largest group first."""
        groups = sorted(self._opened.snapshot(corpus).duplicates.groups, key=lambda ids: (-len(ids), ids))
        return [DuplicateGroup(tuple(self.store.passages(ids))) for ids in groups]

    def acronyms(self, corpus: str = "") -> list[Acronym]:
        """Acronyms that the documents of a corpus introduce, the commonest first."""
        return list(self._opened.snapshot(corpus).acronyms.all)

    def doc_versions(self, corpus: str = "") -> dict[str, int]:
        """How many documents of a corpus are of each version, the latest first; documents of none are left out."""
        found = self._opened.snapshot(corpus).versions.found
        counts = Counter(found.versions.values())
        return {version: counts[version] for version in sorted(counts, key=order, reverse=True)}

    def remove(self, corpus: str) -> None:
        """Delete a corpus: its rows and its index files. The documents themselves are not touched."""
        from ragkit.index.snapshot import remove_corpus

        self._opened.forget(corpus)
        remove_corpus(self.store, corpus)

    def show(self, path: str, first: int | None = None, last: int | None = None, *, corpus: str = "") -> Excerpt:
        """Lines `first` to `last` of an ingested document (all of it by default), as citations count them.

        What lies behind its end is left out. Raises UsageError for a document or place that there is not.
        """
        record = self.store.document_by_path(self._opened.corpus_name(corpus), path)
        if record is None:
            raise UsageError(
                f"{path} is not in corpus {self._opened.corpus_name(corpus)}",
                f"`ragkit corpus show {self._opened.corpus_name(corpus)}` lists its documents",
            )
        document = self.store.document(record.id)
        index = LineIndex(document)
        end = index.position(len(document.text.rstrip("\n")))
        if first is not None and not (1 <= first <= end and (last is None or first <= last)):
            unit = document.lines.unit
            whole, asked = location(path, 1, end, unit), location(path, first, last or first, unit)
            raise UsageError(f"there is no {asked}", f"ask for a part of {whole}")
        return index.excerpt(document, first, last)

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
        doc_version: str = "",
        expand: Expand = "none",
        expansion: ExpansionMethod | None = None,
        explain: bool = False,
    ) -> SearchResult:
        """The passages that answer a query, best first.

        `limit` and `mode` default to the settings; `rerank=False` leaves the order to fusion. Filters are
        `key=value` expressions, all of which must hold. `doc_version` is a version or a range (">=1.28, <1.30") that
        documents must be of, or latest or all. A "quoted phrase" in the query must be held by every hit.
        `expansion` says what is asked besides the query, the setting unless given.
        With `expand`, each hit comes with its neighbours or its section; with `explain`, with the sentence that
        carries it, and the passages that nearly made it are named.
        """
        from ragkit.searching import search

        query = _text(query, "query")
        return search(
            self._opened,
            query,
            corpus=corpus,
            limit=limit,
            mode=mode,
            rerank=rerank,
            filters=filters,
            doc_version=doc_version,
            expand=expand,
            expansion=expansion,
            explain=explain,
        )

    # ------------------------------------------------------------ ask

    def ask(
        self,
        question: str,
        *,
        corpus: str = "",
        filters: Sequence[str] = (),
        doc_version: str = "",
        history: Sequence[Message] = (),
        on_text: Callable[[str], None] | None = None,
    ) -> Answer:
        """A checked answer: retrieve, assemble, generate, verify.

        `history` is the conversation so far, from which a follow-up is understood. `on_text` hears the draft
        as it is written, before it is checked. An answer with status abstained is the documentation's silence,
        not an error.
        """
        question = _text(question, "question")
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
            limit = self.settings.context.candidates
            found = self.search(asked, corpus=corpus, filters=filters, doc_version=doc_version, limit=limit)
        asked = found.understood.text if found.understood else asked
        answer = self._answer(asked, found, generator, budget, clock, on_text)
        answer = self._with_versions(answer, found, corpus)
        answer = dataclasses.replace(
            answer,
            question=question,
            snapshot=found.snapshot,
            timings={**clock.seconds, "total": sum(clock.seconds.values())},
            notices=(*notices, *found.notices, *answer.notices),
            prompt_hash=self.prompts.hash if generator is not None else "",
            corpus=self._opened.corpus_name(corpus),
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
        from ragkit.expand import join
        from ragkit.nearness import unrelated_cosine
        from ragkit.verify import abstain, is_refusal, relevance

        language = self.settings.lexical.language
        with clock("assemble"):
            context = assemble(
                join(found.hits, self.settings.context.expand, self.store.neighbours),
                count=generator.count if generator is not None else _words,
                settings=self.settings.context,
                budget=budget,
                text_of=self.store.document_text,
                lines_of=lambda document_id: self.store.document(document_id).lines,
            )
        unrelated = unrelated_cosine(self.embedder) if found.mode != "lexical" else 0.0
        judged = relevance(question, found.hits, language=language, unrelated=unrelated)
        if judged.value < self.settings.verify.min_relevance:
            model = generator.name if generator is not None else generate.EXTRACTIVE
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
            notice = f"too little of what {generator.name} wrote is borne out; these are the sources' own sentences"
            return dataclasses.replace(answer, notices=(notice, *answer.notices))
        return answer

    def _with_versions(self, answer: Answer, found: SearchResult, corpus: str) -> Answer:
        """The answer with what other versions of its sources say."""
        from ragkit.disagree import with_versions

        versions = self._opened.snapshot(corpus).versions
        if not versions.found.families:
            return answer
        store = self.store
        return with_versions(answer, found.hits, versions.others, store.document_passages, store.document_text)

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

    # ------------------------------------------------------------ ground

    def ground(self, statement: str, text: str, *, question: str = "", engine: str = "fast") -> Grounding:
        """Whether `text` bears out `statement`, sentence by sentence; no corpus is needed.

        `engine` is fast, as in the check of every answer; words, which compares word by word; nli, which asks
        the cross-encoder of `verify.nli_model` whether the text entails the claim; logits, which also asks a language
        model for the odds of Yes against No; or judge, which lets it write one of the two. The language model is
        `verify.judge_model`, or the generator; the threshold is `verify.min_support`.
        """
        from ragkit.verify import ENGINES, ground

        if engine not in ENGINES:
            raise UsageError(f"there is no faithfulness engine {engine}", f"use one of {', '.join(ENGINES)}")
        return ground(
            statement,
            text,
            min_support=self.settings.verify.min_support,
            question=question,
            embedder=self.embedder,
            judge=self._asked_for_odds() if engine == "logits" else None,
            generator=self._asked() if engine == "judge" else None,
            by_words=engine == "words",
            entailment=self._opened.entailment if engine == "nli" else None,
            language=self.settings.lexical.language,
        )

    def supports(self, claims: Sequence[str], sources: Sequence[Source], *, question: str = "") -> list[list[float]]:
        """How well each source by itself bears out each claim, in [0, 1]: one row a claim, one value a source."""
        from ragkit.verify import supports

        language = self.settings.lexical.language
        return supports(claims, sources, question=question, embedder=self.embedder, language=language)

    def _asked(self) -> Generator:
        """The judge. Raises ModelUnsuitable when the settings name none."""
        hint = "name one with --set verify.judge_model=NAME, or use the engine fast"
        return self._opened.required(self.judge, "that could judge", hint)

    def _asked_for_odds(self) -> Judge:
        """The judge, if it can be asked for odds."""
        judge = self._asked()
        if not hasattr(judge, "log_odds"):
            raise ModelUnsuitable(
                f"generate.backend {self.settings.generate.backend} gives no odds of a reply",
                "use --set generate.backend=llama, or the engine judge",
            )
        return cast("Judge", judge)

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


def _text(given: str, what: str) -> str:
    """What was asked, as text that databases and models can take. Raises UsageError where nothing is in it."""
    text = given.encode("utf-8", "replace").decode("utf-8")  # bytes of a terminal that are no text
    if not text.strip(" \t\n\"'`“”"):
        command = 'search "words"' if what == "query" else 'ask "how do I ...?"'
        raise UsageError(f"the {what} is empty", f"put it in quotes: ragkit {command}")
    return text


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
