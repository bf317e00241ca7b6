"""Why a passage did not answer a question: its way from the file to the citation, and where it was lost.

Reads the public API alone (the ledger, documents, searches, answers); knows nothing of indexes or models. The
way: ingested, cut, found by an index, fused, reranked, taken as a candidate for the context, shown, cited.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ragkit.domain import JSON, Hit, Passage, SearchResult
from ragkit.domain.answers import Answer
from ragkit.evaluation.datasets import same_document
from ragkit.text import analyse

if TYPE_CHECKING:
    from ragkit import Engine
    from ragkit.store import DocumentRecord

StepOutcome: TypeAlias = Literal["passed", "lost", "off", "not reached"]

Stage: TypeAlias = Literal[
    "ingested", "cut", "dense", "lexical", "version", "fused", "duplicate", "reranked", "candidate", "shown", "cited"
]
"""The way of a passage, in order; a stage that the settings leave out is `off`."""
_EITHER = ("dense", "lexical")
"""One of these is enough: what one index lacks, the other may have."""
DEEPER = (1_000, 10_000, 1_000_000)
"""How far an index is asked when a passage is not among its candidates."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one stage did with the passage. A rank is 1-based; both are None where the stage has none."""

    stage: Stage
    outcome: StepOutcome
    detail: str
    rank: int | None = None
    score: float | None = None
    hint: str = ""
    """What can be done about it, where that is not what it is of the stage."""


@dataclass(frozen=True, slots=True)
class Autopsy:
    """The way of the passage at `place` that came farthest; `lost` is the stage that lost it, or ""."""

    question: str
    place: str
    corpus: str
    snapshot: str
    steps: tuple[Step, ...]
    passages: tuple[str, ...] = ()
    """Where the passages at the place are."""
    lost: str = ""
    verdict: str = ""
    hint: str = ""


def examine(
    engine: Engine,
    question: str,
    path: str,
    first: int | None = None,
    last: int | None = None,
    *,
    corpus: str = "",
    answer: bool = True,
) -> Autopsy:
    """Follow the passage at lines `first` to `last` of a document (the best one of it by default).

    Without `answer` the question is searched and not asked, so the last two stages are not reached.
    """
    status = engine.status(corpus)
    corpus, snapshot = status.corpus.name, status.snapshot.name if status.snapshot else ""
    place = path + (f":{first}" if first else "") + (f"-{last}" if first and last and last != first else "")

    def concluded(steps: Sequence[Step], passages: Sequence[Passage] = ()) -> Autopsy:
        lost = next((step for step in steps if step.outcome == "lost" and step.stage not in _EITHER), None)
        return Autopsy(
            question,
            place,
            corpus,
            snapshot,
            tuple(steps),
            tuple(passage.location for passage in passages),
            lost.stage if lost else "",
            lost.detail if lost else _praise(steps),
            (lost.hint or HINTS.get(lost.stage, "")) if lost else "",
        )

    record = _document(engine, corpus, path)
    if record is None:
        return concluded([Step("ingested", "lost", _why_not_ingested(engine, corpus, path))])
    steps = [Step("ingested", "passed", f"{record.path}, {record.format}, in snapshot {snapshot}")]
    whole = engine.store.document_passages(record.id)
    passages = [one for one in whole if _covers(one, first, last)]
    if not passages:
        return concluded([*steps, Step("cut", "lost", _why_not_cut(whole, first))])
    steps.append(Step("cut", "passed", _how_cut(passages, whole)))
    way = _Way(engine, question, corpus, passages)
    steps += way.retrieval()
    if answer and not any(step.outcome == "lost" and step.stage not in _EITHER for step in steps):
        steps += way.answering()
    return concluded(steps, passages)


HINTS: dict[Stage, str] = {
    "ingested": "`ragkit corpus status` lists what the latest ingest left out, and why",
    "cut": "name lines that hold text; front matter and boilerplate are not indexed",
    "version": "name the version in the question, or search it with --doc-version",
    "fused": "ask with the words of the passage, or raise retrieve.candidates",
    "duplicate": "the better passage says the same; --set retrieve.duplicates=all returns every one",
    "candidate": "raise context.candidates, or rerank.depth so that more passages are read again",
    "shown": "raise context.budget_tokens, context.max_sources, or lower context.min_relative_score",
    "cited": "the model had the passage and wrote something else, or nothing that it bears out",
}
"""What can be done about a passage that a stage lost."""


# ---------------------------------------------------------------- the file


def _document(engine: Engine, corpus: str, path: str) -> DocumentRecord | None:
    """The document at a path as the corpus spells it, or as a person would."""
    exact = engine.store.document_by_path(corpus, path)
    if exact is not None:
        return exact
    wanted = path.removeprefix("./")
    snapshot = engine.store.current_snapshot(corpus)
    for record in engine.store.documents(snapshot):
        if same_document(wanted, record.path) or same_document(record.path, wanted) or str(record.file) == path:
            return record
    return None


def _why_not_ingested(engine: Engine, corpus: str, path: str) -> str:
    for row in engine.ledger(corpus, ("skipped", "failed", "removed")):
        inside = row.path.endswith("/") and f"/{path}".find(f"/{row.path}") >= 0
        if inside or same_document(path, row.path) or same_document(row.path, path):
            return f"{row.path} was {row.outcome} by the latest ingest" + (f": {row.reason}" if row.reason else "")
    roots = ", ".join(root.path for root in engine.store.corpus(corpus).roots)
    return f"no ingest of corpus {corpus} met {path}" + (f"; its folders are {roots}" if roots else "")


def _covers(passage: Passage, first: int | None, last: int | None) -> bool:
    if first is None:
        return True
    return passage.chunk.start_line <= (last or first) and passage.chunk.end_line >= first


def _why_not_cut(passages: Sequence[Passage], first: int | None) -> str:
    if not passages:
        return "the document has no passages: nothing in it is worth indexing"
    ends = f"its passages go from line {passages[0].chunk.start_line} to {max(p.chunk.end_line for p in passages)}"
    return f"no passage holds line {first}; {ends}"


def _how_cut(passages: Sequence[Passage], whole: Sequence[Passage]) -> str:
    shown = "; ".join(
        f"{one.location}"
        + (f" ({' > '.join(one.chunk.heading)})" if one.chunk.heading else "")
        + f", {one.chunk.tokens} tokens"
        for one in passages[:3]
    )
    more = f"; and {len(passages) - 3} more" if len(passages) > 3 else ""
    return f"{len(passages)} of the document's {len(whole)} passages: {shown}{more}"


# ---------------------------------------------------------------- the search and the answer


class _Way:
    """The stages from the indexes to the citation, for the passage of these that comes farthest."""

    def __init__(self, engine: Engine, question: str, corpus: str, passages: Sequence[Passage]) -> None:
        self._engine = engine
        self._question = question
        self._corpus = corpus
        self._ids = {passage.id for passage in passages}
        self._passages = passages
        self._settings = engine.settings
        self._limit = max(self._settings.context.candidates, self._settings.retrieve.limit)

    def retrieval(self) -> Iterator[Step]:
        """Dense, lexical, fused, duplicate, reranked, candidate."""
        fused = self._search(max(self._settings.retrieve.candidates, self._limit), rerank=False)
        rank, hit = self._best(fused)
        found = hit or self._deeper()
        yield from self._indexes(found, fused)
        if hit is None:
            yield from self._unfused(found, fused)
            return
        yield Step("fused", "passed", f"rank {rank} of {len(fused.hits)}", rank, hit.score)
        final = self._search(max(self._limit, self._settings.rerank.depth))
        last, best = self._best(final)
        if not final.reranker:
            yield Step("reranked", "off", "no reranker is set")
        elif best is not None:
            yield self._reranked(best, last or 0, final)
        depth = self._settings.context.candidates
        if best is None or last is None or last > depth:
            where = f"rank {last}" if last else f"behind the first {len(final.hits)}"
            yield Step("candidate", "lost", f"{where}; sources are made of the first {depth} hits", last)
        else:
            yield Step("candidate", "passed", f"rank {last}; sources are made of the first {depth} hits", last)

    def answering(self) -> Iterator[Step]:
        """Shown and cited."""
        answer = self._engine.ask(self._question, corpus=self._corpus)
        source = next((one for one in answer.context.sources if self._ids & set(one.chunk_ids)), None)
        if source is None:
            reasons = [reason for id, reason in answer.context.dropped if id in self._ids]
            yield Step("shown", "lost", reasons[0] if reasons else "it was not among the answer's candidates")
            return
        yield Step(
            "shown", "passed", f"source [{source.number}], {source.tokens} tokens", source.number, source.score
        )
        yield _cited(answer, source.number)

    def _indexes(self, hit: Hit | None, fused: SearchResult) -> Iterator[Step]:
        candidates = self._settings.retrieve.candidates
        stages = {one.stage: one for one in hit.stages} if hit else {}
        units: dict[Stage, str] = {"dense": "cosine", "lexical": "BM25"}
        for stage, unit in units.items():
            if fused.mode not in ("hybrid", stage):
                yield Step(stage, "off", f"retrieve.mode is {fused.mode}")
                continue
            one = stages.get(stage)
            words = self._words(hit) if stage == "lexical" else ""
            if one is None or one.rank is None or one.score is None:
                yield Step(stage, "lost", "not returned" + words)
            else:
                outcome: StepOutcome = "passed" if one.rank <= candidates else "lost"
                detail = f"rank {one.rank}, {unit} {one.score:.3f}{words}"
                yield Step(stage, outcome, detail, one.rank, one.score)

    def _unfused(self, found: Hit | None, fused: SearchResult) -> Iterator[Step]:
        twin = self._twin(fused)
        if twin:
            yield Step("duplicate", "lost", f"nearly the same text as {twin}, which ranks better and stands for it")
        elif found is None and fused.understood and fused.understood.phrases:
            yield Step("fused", "lost", f"it lacks the quoted phrase {fused.understood.phrases[0]!r}")
        elif found is None and (preferred := self._preferred()):
            yield Step("version", "lost", preferred)
        else:
            depth = self._settings.retrieve.candidates
            yield Step(
                "fused", "lost", f"neither index has it among its first {depth} passages, or others fuse better"
            )

    def _reranked(self, hit: Hit, rank: int, final: SearchResult) -> Step:
        stage = next((one for one in hit.stages if one.stage == "rerank"), None)
        if stage is None or stage.score is None:
            depth = self._settings.rerank.depth
            return Step("reranked", "not reached", f"{final.reranker} reads the first {depth} fused hits only", rank)
        detail = f"rank {rank}; {final.reranker} alone puts it at {stage.rank}, score {stage.score:.3f}"
        return Step("reranked", "passed", detail, rank, stage.score)

    def _words(self, hit: Hit | None) -> str:
        """Which of the question's words the passage shares, and which it lacks."""
        language = self._settings.lexical.language
        wanted = list(dict.fromkeys(analyse(self._question, language)))
        if hit is None:
            held = {term for one in self._passages for term in analyse(one.chunk.indexed, language)}
        else:
            held = set(analyse(hit.passage.chunk.indexed, language))
        shared, lacking = [t for t in wanted if t in held], [t for t in wanted if t not in held]
        return f"; shares {', '.join(shared) or 'no word'}" + (f", lacks {', '.join(lacking)}" if lacking else "")

    def _search(self, limit: int, rerank: bool | None = None, doc_version: str = "") -> SearchResult:
        return self._engine.search(
            self._question, corpus=self._corpus, limit=limit, rerank=rerank, doc_version=doc_version
        )

    def _best(self, found: SearchResult) -> tuple[int | None, Hit | None]:
        for rank, hit in enumerate(found.hits, start=1):
            if hit.passage.id in self._ids:
                return rank, hit
        return None, None

    def _deeper(self, doc_version: str = "") -> Hit | None:
        """The passage wherever the indexes have it, far behind the candidates; of other versions, too, if asked."""
        for limit in DEEPER:
            found = self._search(limit, rerank=False, doc_version=doc_version)
            hit = self._best(found)[1]
            if hit is not None or len(found.hits) < limit:
                return hit
        return None

    def _preferred(self) -> str:
        """That another version of the document is searched, if the passage is found among all versions."""
        hit = self._deeper(doc_version="all")
        if hit is None:
            return ""
        return f"it is of version {hit.passage.doc_version}, and another version of its document is searched"

    def _twin(self, fused: SearchResult) -> str:
        """The passage that came back in the place of one with nearly the same text."""
        if self._settings.retrieve.duplicates == "all":
            return ""
        returned = {hit.passage.id for hit in fused.hits}
        for group in self._engine.duplicates(self._corpus):
            ids = {passage.id for passage in group.passages}
            if ids & self._ids and ids & returned:
                return next(one.location for one in group.passages if one.id in returned)
        return ""


def _cited(answer: Answer, number: int) -> Step:
    quotes = [quote for claim in answer.claims for quote in claim.quotes if quote.number == number]
    if quotes:
        return Step("cited", "passed", f"it bears out the answer: {quotes[0].location}")
    if answer.status == "abstained":
        hint = "ask with the words of the documentation, or lower verify.min_relevance or verify.min_support"
        return Step("cited", "lost", f"the question was declined: {answer.reason}", hint=hint)
    others = sorted({quote.number for claim in answer.claims for quote in claim.quotes})
    return Step(
        "cited", "lost", f"the answer cites {', '.join(f'[{other}]' for other in others) or 'nothing'} instead"
    )


def _praise(steps: Sequence[Step]) -> str:
    last = steps[-1]
    return {
        "cited": "it was found, shown and cited",
        "candidate": "it was found, and is a candidate for the context",
    }.get(last.stage, last.detail)


# ---------------------------------------------------------------- as text and JSON


def to_json(found: Autopsy) -> dict[str, JSON]:
    """The autopsy as JSON values; docs/evaluation.md describes the keys."""
    return {
        "question": found.question,
        "place": found.place,
        "corpus": found.corpus,
        "snapshot": found.snapshot,
        "passages": list(found.passages),
        "lost": found.lost,
        "verdict": found.verdict,
        "hint": found.hint,
        "steps": [
            {
                "stage": step.stage,
                "outcome": step.outcome,
                "detail": step.detail,
                "rank": step.rank,
                "score": None if step.score is None else round(step.score, 4),
            }
            for step in found.steps
        ],
    }


def to_text(found: Autopsy) -> str:
    """The autopsy for a terminal: one line a stage, then the verdict."""
    marks = {"passed": "+", "lost": "-", "off": " ", "not reached": " "}
    width = max(len(step.stage) for step in found.steps)
    lines = [f"{marks[step.outcome]} {step.stage.ljust(width)}  {step.detail}" for step in found.steps]
    verdict = f"lost: {found.lost}: {found.verdict}" if found.lost else found.verdict
    return "\n".join([f"{found.place} in {found.corpus}: {found.question}", "", *lines, "", verdict])
