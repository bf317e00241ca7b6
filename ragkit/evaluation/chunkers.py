"""Compare ways to cut documents into chunks, by how well what is retrieved covers the words that answer.

Knows the public API (`Engine.ingest`, `Engine.search`, the store's passages), marked words and their metrics; knows
nothing of how documents are cut or searched. Everything happens in a store of its own that is gone afterwards.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragkit import config
from ragkit.domain import JSON, Hit, Progress
from ragkit.errors import DatasetError, RagkitError
from ragkit.evaluation.excerpts import ExcerptSet, MarkedQuestion, Texts
from ragkit.evaluation.metrics import Interval, bootstrap, paired_bootstrap
from ragkit.evaluation.progress import progressing
from ragkit.evaluation.run import SETUP
from ragkit.evaluation.spans import SCORES, Stretch, length, score, shared
from ragkit.evaluation.tables import aligned, piped

if TYPE_CHECKING:
    from ragkit import Engine


@dataclass(frozen=True, slots=True)
class Cut:
    """One way to cut, and how each question fared with it: `scores[name][question id]`."""

    strategy: str
    size_tokens: int
    chunks: int
    tokens_per_chunk: float
    tokens_per_question: float
    """Tokens of the embedder that the passages have, headings in front of chunks included."""
    seconds: float
    scores: Mapping[str, Mapping[str, float]]
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, Interval]:
        """Mean and 95 % bootstrap interval of each metric over the questions."""
        return {name: bootstrap(list(values.values())) for name, values in self.scores.items()}


def compare(
    engine: Engine,
    data: ExcerptSet,
    strategies: Sequence[str],
    sizes: Sequence[int],
    *,
    passages: int,
    budget_tokens: int,
    progress: Progress | None = None,
) -> list[Cut]:
    """Ingest the documents of the set with each strategy at each size, search every question, score what is found.

    All but the chunks is as the engine's settings have it. A question is scored on its first `passages`; of those
    that fill `budget_tokens`, the last one cut, only the recall is taken: what a prompt of that size could show,
    whatever the size of a chunk. Raises DatasetError when the marked words of no question are in the documents.
    """
    from ragkit import Engine

    found: list[Cut] = []
    with tempfile.TemporaryDirectory(prefix="ragkit-chunking-") as directory:
        for size in sizes:
            for strategy in strategies:
                chosen = {"chunk.strategy": strategy, "chunk.size_tokens": size, "corpus": ""}
                own = {"store.directory": directory, "store.database_url": ""}
                settings = config.replace(engine.settings, {**chosen, **own})
                with Engine(settings, embedder=engine.embedder, progress=progress) as cutting:
                    found.append(_measured(cutting, data, passages, budget_tokens, progress))
    return found


def _measured(engine: Engine, data: ExcerptSet, passages: int, budget: int, progress: Progress | None) -> Cut:
    """One way to cut."""
    began = time.perf_counter()
    settings = engine.settings.chunk
    name = f"{settings.strategy}-{settings.size_tokens}"
    engine.ingest([data.folder], corpus=name)
    texts: dict[str, str] = {}
    chunks: dict[str, list[Stretch]] = {}
    tokens: list[int] = []
    for document in engine.store.documents(engine.store.current_snapshot(name)):
        texts[document.path] = engine.store.document_text(document.id)
        cut = [passage.chunk for passage in engine.store.document_passages(document.id)]
        chunks[document.path] = [Stretch(document.path, chunk.start, chunk.end) for chunk in cut]
        tokens.extend(chunk.tokens for chunk in cut)
    gold = _anchored(data, Texts(texts))
    limit = max(passages, 4 * math.ceil(budget / settings.size_tokens))
    scores: dict[str, dict[str, float]] = {metric: {} for metric in (*SCORES, within(budget))}
    errors: dict[str, str] = {}
    taken = 0.0
    for asked, wanted in progressing(gold, "search", progress):
        hits: tuple[Hit, ...] = ()
        try:
            hits = engine.search(asked.text, corpus=name, limit=limit).hits
        except SETUP:
            raise
        except RagkitError as error:
            errors[asked.id] = str(error)
        first = [hit.passage for hit in hits[:passages]]
        taken += sum(one.chunk.tokens for one in first)
        retrieved = [Stretch(one.path, one.chunk.start, one.chunk.end) for one in first]
        near = [chunk for path in {one.path for one in wanted} for chunk in chunks[path]]
        for metric, value in score(retrieved, wanted, near).items():
            scores[metric][asked.id] = value
        scores[within(budget)][asked.id] = shared(_fitting(hits, budget), wanted) / length(wanted)
    return Cut(
        settings.strategy,
        settings.size_tokens,
        len(tokens),
        sum(tokens) / len(tokens),
        taken / len(gold),
        time.perf_counter() - began,
        scores,
        errors,
    )


def _anchored(data: ExcerptSet, texts: Texts) -> list[tuple[MarkedQuestion, tuple[Stretch, ...]]]:
    """The questions whose marked words are all in the documents, with where they are."""
    found = [(asked, places) for asked in data.questions if (places := texts.anchor(asked.quotes))]
    if not found:
        quote = data.questions[0].quotes[0]
        raise DatasetError(
            f"the marked words of no question are in the documents of {data.folder}: question "
            f"{data.questions[0].id} has {quote.quote[:80]!r} in {quote.path or 'any of them'}"
        )
    return found


def within(budget: int) -> str:
    """The name of the recall within so many tokens."""
    return f"Recall@{budget}tokens"


def _fitting(hits: Sequence[Hit], budget: int) -> list[Stretch]:
    """What fits of the passages, best first; the last is cut in the proportion of what is left."""
    found: list[Stretch] = []
    left = float(budget)
    for hit in hits:
        chunk = hit.passage.chunk
        share = min(1.0, left / max(1, chunk.tokens))
        found.append(Stretch(hit.passage.path, chunk.start, chunk.start + round(share * (chunk.end - chunk.start))))
        left -= share * chunk.tokens
        if left <= 0:
            break
    return found


# ---------------------------------------------------------------- what is shown


def to_json(
    cuts: Sequence[Cut], data: ExcerptSet, *, embedder: str, default: str, passages: int, budget_tokens: int
) -> dict[str, JSON]:
    """Every way to cut with its means and, beside the default strategy of the same size, its differences."""
    asked = len(next(iter(cuts[0].scores.values()))) if cuts else 0
    return {
        "dataset": data.name,
        "fingerprint": data.fingerprint,
        "n": asked,
        "not_found": len(data.questions) - asked,
        "without_gold": data.without_gold,
        "embedder": embedder,
        "passages": passages,
        "budget_tokens": budget_tokens,
        "default": default,
        "cuts": [_cut_json(cut, _rival(cut, cuts, default)) for cut in cuts],
    }


def _rival(cut: Cut, cuts: Sequence[Cut], default: str) -> Cut | None:
    same = (other for other in cuts if other.strategy == default and other.size_tokens == cut.size_tokens)
    return next((other for other in same if other is not cut), None)


def _cut_json(cut: Cut, rival: Cut | None) -> dict[str, JSON]:
    differences: dict[str, JSON] = {}
    for name in cut.scores if rival else ():
        difference = paired_bootstrap(cut.scores[name], rival.scores[name])  # type: ignore[union-attr]
        differences[name] = {**difference.interval.rounded(4), "p": round(difference.p, 4)}
    return {
        "strategy": cut.strategy,
        "size_tokens": cut.size_tokens,
        "chunks": cut.chunks,
        "tokens_per_chunk": round(cut.tokens_per_chunk, 1),
        "tokens_per_question": round(cut.tokens_per_question, 1),
        "seconds": round(cut.seconds, 1),
        "failed": len(cut.errors),
        "metrics": {name: {**i.rounded(4), "n": i.n} for name, i in cut.metrics.items()},
        "differences": differences,
    }


def to_table(found: Mapping[str, JSON], *, markdown: bool = False) -> str:
    """What `to_json` gave as tables, each mean with its interval, and what else has to be said."""
    cuts: Sequence[Mapping[str, JSON]] = found["cuts"]
    draw = piped if markdown else aligned
    names = (*SCORES, within(found["budget_tokens"]))
    rows = [["strategy", "size", "chunks", "tokens", *names]]
    for cut in cuts:
        cells = [_cell(cut["metrics"][name]) for name in names]
        tokens = f"{cut['tokens_per_question']:.0f}"
        rows.append([cut["strategy"], str(cut["size_tokens"]), str(cut["chunks"]), tokens, *cells])
    about = f"{found['n']} questions, {found['passages']} passages each, embedder {found['embedder']}"
    lines = [
        f"chunking on {found['dataset']} ({about})",
        "",
        *draw(rows, range(1, len(rows[0]))),
    ]
    rivals = [cut for cut in cuts if cut["differences"]]
    if rivals:
        compared = ("IoU", names[-1])
        rows = [["strategy", "size", *(f"{name}, difference from {found['default']}" for name in compared)]]
        for cut in rivals:
            told = [cut["differences"][name] for name in compared]
            cells = [f"{_cell(one, '+')}, p {one['p']:.3f}" for one in told]
            rows.append([cut["strategy"], str(cut["size_tokens"]), *cells])
        lines += ["", *draw(rows, range(1, len(rows[0])))]
    return "\n".join([*lines, *_footnotes(found)])


def _cell(one: Mapping[str, JSON], sign: str = "") -> str:
    mean, low, high = (f"{one[name]:{sign}.3f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _footnotes(found: Mapping[str, JSON]) -> list[str]:
    notes = []
    if found["not_found"]:
        notes.append(f"the marked words of {found['not_found']} questions are not in the documents; left out")
    if found["without_gold"]:
        notes.append(f"{found['without_gold']} questions mark no words; left out")
    notes += [
        f"{cut['strategy']} {cut['size_tokens']}: {cut['failed']} questions failed and count as 0"
        for cut in found["cuts"]
        if cut["failed"]
    ]
    return ["", *notes] if notes else []
