"""One search, from a query to hits: the wiring of retrieval.

Knows which stage follows which and which settings each one gets; knows nothing of how a stage works, nor of answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from ragkit.choices import Expand, ExpansionMethod, Mode
from ragkit.domain import Hit, Ranked, SearchResult
from ragkit.domain.queries import Query
from ragkit.resources import Resources, opening
from ragkit.stopwatch import Stopwatch
from ragkit.versions import conditions, is_named, meets, order, superseded

if TYPE_CHECKING:
    from ragkit.config import RetrieveSettings
    from ragkit.domain import ChunkIds, Passage
    from ragkit.domain.queries import Expansion
    from ragkit.index.snapshot import Snapshot
    from ragkit.retrieve import Retrieved
    from ragkit.roles import Embedder, Reranker

DocVersionChoice: TypeAlias = Literal["latest", "all"]


def search(
    opened: Resources,
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
    """The passages that answer a query, best first; the parameters are those of `Engine.search`."""
    settings = opened.settings.retrieve
    if mode is not None:
        settings = dataclasses.replace(settings, mode=mode)
    if expansion is not None:
        settings = dataclasses.replace(settings, expansion=expansion)
    if doc_version in ("latest", "all"):
        settings = dataclasses.replace(settings, doc_versions=cast(DocVersionChoice, doc_version))
    elif doc_version:
        filters = (*filters, *(f"doc_version{operator}{wanted}" for operator, wanted in conditions(doc_version)))
    return _Search(opened, settings, corpus).run(query, limit or settings.limit, rerank, filters, expand, explain)


@dataclass(frozen=True, slots=True)
class _Scope:
    """The chunks that may be found, or None for all, and what there is to say about the choice."""

    chunks: ChunkIds | None
    notices: tuple[str, ...] = ()


class _Search:
    """One query's way through the stages."""

    def __init__(self, opened: Resources, settings: RetrieveSettings, corpus: str) -> None:
        self._opened = opened
        self._store = opened.store
        self._settings = settings
        self._language = opened.settings.lexical.language
        self._clock = Stopwatch()
        with self._clock("open"):
            self._snapshot, self._embedder = self._open(corpus)

    def _open(self, corpus: str) -> tuple[Snapshot, Embedder | None]:
        """The snapshot, and the embedder if vectors are asked for; both at once when nothing has to be fetched."""
        opened, needs_vectors = self._opened, self._settings.mode != "lexical"
        embedder = opened.embedder if needs_vectors and opened.embedder_is_ready() else None
        with opening(embedder):
            snapshot = opened.snapshot(corpus)
            snapshot.open(self._settings.mode)
        if needs_vectors:
            embedder = embedder or opened.embedder_for(snapshot)
            snapshot.require_embedder(embedder)
        return snapshot, embedder

    def run(
        self, query: str, limit: int, rerank: bool | None, filters: Sequence[str], expand: Expand, explain: bool
    ) -> SearchResult:
        """Understand, restrict, retrieve, rerank, expand, explain."""
        from ragkit import entries
        from ragkit.expand import widen
        from ragkit.explain import NEAR_MISSES, near_misses
        from ragkit.query import notices

        clock, opened = self._clock, self._opened
        with clock("open"):
            reranker = self._reranker() if rerank is not False and opened.settings.rerank.depth else None
        with clock("understand"):
            asked = self._understood(query)
            scope = self._scope(filters, asked)
            allowed = self._holding(asked, scope.chunks)
        depth = max(limit, opened.settings.rerank.depth) if reranker else limit
        expansion = self._expansion(asked, allowed)
        depth = max(depth, limit + NEAR_MISSES) if explain else depth
        name = entries.name_in(asked.text)
        found = self._retrieved(asked, max(depth, entries.LOOKED_AT) if name else depth, allowed, expansion)
        clock.seconds.update(found.timings)
        with clock("fetch"):
            hits = self._hits(found)
            hits = entries.forward(name, hits)[:depth] if name else hits
        if reranker is not None and hits:
            with clock("rerank"):
                hits = self._reranked(asked.text, hits, reranker)
        hits = entries.raised(name, hits) if name else hits
        hits, behind = hits[:limit], hits[limit : limit + NEAR_MISSES]
        with clock("expand"):
            hits = self._with_copies(hits, allowed)
            hits = widen(hits, expand, self._store.neighbours, self._store.document_text)
            hits = self._compared(hits)
        if explain:
            with clock("explain"):
                hits = self._explained(asked, hits, found.terms)
        return SearchResult(
            query=query,
            mode=self._settings.mode,
            hits=hits,
            snapshot=self._snapshot.name,
            timings=clock.seconds,
            notices=(
                *notices(
                    asked,
                    held=bool(hits) or not asked.phrases or allowed is None or len(allowed) > 0,
                    elsewhere=() if hits else self._elsewhere(filters, asked),
                    filtered=bool(filters),
                ),
                *scope.notices,
                *self._unknown(asked),
                *self._notices(asked.text),
            ),
            reranker=reranker.name if reranker else "",
            understood=asked,
            near_misses=near_misses(behind, hits[-1], asked.text) if explain and hits else (),
            expansion=expansion,
        )

    # ------------------------------------------------------------ the query

    def _understood(self, query: str) -> Query:
        """The query with its phrases and names told apart, and its words spelled as the corpus spells them."""
        from ragkit.query import correct, parse

        asked, snapshot = parse(query), self._snapshot
        if not self._settings.spelling or snapshot.manifest.language != self._language:
            return asked

        def familiar(word: str) -> bool:
            """A tokenizer has the common words whole, and the rest in pieces."""
            spans = getattr(self._opened.embedder, "spans", None) if self._opened.embedder_is_ready() else None
            return spans is not None and len(spans(word)) == 1

        return correct(asked, snapshot.lexical.holders, snapshot.vocabulary.near, self._language, familiar)

    def _scope(self, filters: Sequence[str], asked: Query) -> _Scope:
        """The chunks that meet the filters, of the versions that are wanted."""
        store, record, versions = self._store, self._snapshot.record, self._snapshot.versions
        known = versions.found
        among = store.matching(record, filters, known.versions) if filters else None
        if among is not None and not among:
            return _Scope(store.chunks_of(record, among), store.unmet(record, filters, known.versions))
        if self._settings.doc_versions == "all" or not known.families:
            return _Scope(None if among is None else store.chunks_of(record, among))
        named = [one for one in asked.versions if any(is_named(other, one) for other in set(known.versions.values()))]
        if among is None and not named:
            return _Scope(versions.latest)
        behind = superseded(known, among, named)
        if among is None:
            among = frozenset(store.owners(record)[1].tolist())
        searched = {known.versions[id] for id in among - behind if id in known.versions}
        told = [spelled for one in named if (spelled := _as_documented(one, searched))]
        said = f"searched version {' and '.join(told)}, which the query names"
        return _Scope(store.chunks_of(record, among - behind), (said,) if told else ())

    def _holding(self, asked: Query, allowed: ChunkIds | None) -> ChunkIds | None:
        """Of the chunks that are allowed those that hold the quoted phrases; None when all do."""
        from ragkit.index.phrases import holding

        if not asked.phrases:
            return allowed
        return holding(asked.phrases, self._snapshot.lexical, self._store.indexed_texts, self._language, allowed)

    def _elsewhere(self, filters: Sequence[str], asked: Query) -> list[str]:
        """Versions that are not searched, the latest first, of which documents hold the quoted phrases."""
        store, record, known = self._store, self._snapshot.record, self._snapshot.versions.found
        if not asked.phrases or self._settings.doc_versions == "all" or not known.families:
            return []
        others = [one for one in filters if not one.startswith("doc_version")]
        among = store.matching(record, others, known.versions) if others else None
        chunks = self._holding(asked, None if among is None else store.chunks_of(record, among))
        held = {one.doc_version for one in self._passages([] if chunks is None else chunks.tolist())}
        return sorted(held - {""}, key=order, reverse=True)

    def _unknown(self, asked: Query) -> tuple[str, ...]:
        """What there is to say of versions that the query names and no document is of."""
        from ragkit.query import named_versions, some

        known = self._snapshot.versions.found
        versions = sorted(set(known.versions.values()), key=order, reverse=True)
        named = named_versions(asked) if known.families else ()
        unknown = [one for one in named if not any(is_named(other, one) for other in versions)]
        if not unknown:
            return ()
        return (f"no document is of version {' or '.join(unknown)}; versions of this corpus: {some(versions)}",)

    def _expansion(self, asked: Query, allowed: ChunkIds | None) -> Expansion | None:
        """What is asked besides the query, as the settings say; None when that is nothing."""
        method, snapshot, language = self._settings.expansion, self._snapshot, self._language
        if method == "none":
            return None
        from ragkit import expansion
        from ragkit.text import analyse

        with self._clock("expansion"):
            if method == "feedback":
                terms = analyse(asked.words, language)
                found = snapshot.lexical.search(terms, expansion.FEEDBACK_PASSAGES, allowed)
                texts = self._store.indexed_texts([one.id for one in found])
                return expansion.feedback(terms, [(one.score, texts[one.id]) for one in found], language)
            if method == "acronyms":
                return expansion.acronyms(snapshot.acronyms.meant(asked.text, language), language)
            if method == "parts":
                most = expansion.RARE * snapshot.manifest.chunks if snapshot.manifest.language == language else 0
                return expansion.parts(
                    asked.text, language, lambda term: most > 0 and 0 < snapshot.lexical.holders(term) <= most
                )
            opened = self._opened
            return expansion.written(
                method,
                asked.text,
                lambda: opened.required(
                    opened.generator,
                    "to expand a query with",
                    "use --set generate.backend=llama, or --query-expansion none, feedback, acronyms or parts",
                ),
                name=opened.settings.generate.model,
                folder=self._store.directory / "expansions",
                language=language,
            )

    # ------------------------------------------------------------ the hits

    def _retrieved(
        self, asked: Query, depth: int, allowed: ChunkIds | None, expansion: Expansion | None
    ) -> Retrieved:
        """The ranking of the query, or of it and its parts."""
        whole = self._ranked(asked.text, asked.words, depth, allowed, expansion)
        if expansion is None or not expansion.parts:
            return whole
        from ragkit.expansion import merged

        others = [self._ranked(part, part, depth, allowed, None) for part in expansion.parts]
        every = [whole, *others]
        best = merged(*({entry.id: entry.score for entry in one.ranked} for one in every))
        seconds = {stage: sum(one.timings.get(stage, 0.0) for one in every) for stage in whole.timings}
        stages = {id: next(one.stages[id] for one in every if id in one.stages) for id in best}
        ranked = tuple(Ranked(id, score) for id, score in list(best.items())[:depth])
        return dataclasses.replace(whole, ranked=ranked, stages=stages, timings=seconds)

    def _ranked(
        self, query: str, words: str, depth: int, allowed: ChunkIds | None, expansion: Expansion | None
    ) -> Retrieved:
        from ragkit.retrieve import retrieve

        settings, snapshot = self._settings, self._snapshot
        return retrieve(
            query,
            snapshot.dense if settings.mode != "lexical" else None,
            snapshot.lexical if settings.mode != "dense" else None,
            self._embedder,
            settings,
            language=self._language,
            limit=depth,
            allowed=allowed,
            words=words,
            group_of=snapshot.duplicates.group_of if settings.duplicates == "once" else None,
            boilerplate=snapshot.boilerplate,
            documents=snapshot.documents if settings.document_share else None,
            expansion=expansion,
        )

    def _hits(self, found: Retrieved) -> tuple[Hit, ...]:
        from ragkit.text import analyse

        passages = self._passages(entry.id for entry in found.ranked)
        held = (set(analyse(passage.chunk.indexed, self._language)) for passage in passages)
        return tuple(
            Hit(passage, entry.score, found.stages[entry.id], tuple(term for term in found.terms if term in own))
            for entry, passage, own in zip(found.ranked, passages, held, strict=True)
        )

    def _passages(self, ids: Iterable[int]) -> list[Passage]:
        """Passages with the versions of their documents."""
        versions = self._snapshot.versions.found.versions
        return [
            dataclasses.replace(one, doc_version=versions.get(one.document_id, ""))
            for one in self._store.passages(ids)
        ]

    def _compared(self, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
        """The hits, each with what other versions of its document say."""
        from ragkit.disagree import compared

        versions = self._snapshot.versions
        if not versions.found.families:
            return hits
        return compared(hits, versions.others, self._store.document_passages, self._store.document_text)

    def _with_copies(self, hits: tuple[Hit, ...], allowed: ChunkIds | None) -> tuple[Hit, ...]:
        """The hits, each naming the passages that it stands for."""
        if self._settings.duplicates == "all":
            return hits
        from ragkit.index.ranking import members

        duplicates = self._snapshot.duplicates
        named = []
        for hit in hits:
            number = duplicates.group_of.get(hit.passage.id)
            others = [id for id in duplicates.groups[number] if id != hit.passage.id] if number is not None else []
            others = others if allowed is None else members(others, allowed)
            named.append(dataclasses.replace(hit, copies=tuple(self._passages(others))) if others else hit)
        return tuple(named)

    def _reranker(self) -> Reranker | None:
        """What rescores the hits; a lexical search opens no embedder for it, and is left as it is unless told."""
        opened = self._opened
        asked_for = opened.settings.rerank.insists or opened.given["reranker"] is not None
        return None if self._settings.mode == "lexical" and not asked_for else opened.reranker

    def _reranked(self, query: str, hits: tuple[Hit, ...], reranker: Reranker) -> tuple[Hit, ...]:
        """By the reranker; a cross-encoder reads what the sentences have put in order."""
        from ragkit.rerank import FIRST_STAGE, rerank

        opened, settings = self._opened, self._opened.settings.rerank
        if getattr(reranker, "after_sentences", False) and self._settings.mode != "lexical":
            own_weight = dataclasses.replace(settings, weight=0.0)
            hits = rerank(query, hits, opened.sentence_reranker, own_weight, FIRST_STAGE)
        return rerank(query, hits, reranker, settings)

    def _explained(self, asked: Query, hits: tuple[Hit, ...], terms: Sequence[str]) -> tuple[Hit, ...]:
        from ragkit.explain import explain, weights

        snapshot = self._snapshot
        known = terms if snapshot.manifest.language == self._language else ()
        idf = weights(known, lambda term: snapshot.lexical.holders(term), snapshot.manifest.chunks)
        return explain(asked.text, hits, idf, self._embedder, self._language)

    def _notices(self, query: str) -> tuple[str, ...]:
        """What a user should know: how models came here, said once, and a query that is longer than the window."""
        notices = self._opened.take_notices()
        embedder = self._embedder
        spans = getattr(embedder, "spans", None)
        if embedder is None or spans is None or len(query) <= embedder.max_tokens:  # a token has a character
            return notices
        tokens = len(spans(query))
        if tokens <= embedder.max_tokens:
            return notices
        return (*notices, f"the query has {tokens} tokens; the dense index sees the first {embedder.max_tokens}")


def _as_documented(named: str, versions: Iterable[str]) -> str:
    """A version that a query names, behind the documents' own where that says less: 2.0 for 2.0.7; "" without any."""
    known = [version for version in versions if is_named(version, named)]
    if any(meets(version, "=", named) for version in known):
        return named
    return f"{max(known, key=order)} for {named}" if known else ""
