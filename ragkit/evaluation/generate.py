"""Make questions of a corpus's own passages, and keep those that a search finds its way back from.

Knows the public API of the engine, facts of passages and their wordings; knows nothing of files. The same corpus,
settings and seed give the same questions.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragkit.domain import JSON, Hit, Passage, Progress
from ragkit.errors import DatasetError, UsageError
from ragkit.evaluation import rankings
from ragkit.evaluation.datasets import Gold, Question, plain_words
from ragkit.evaluation.passages import Fact, View, heading_at, plain
from ragkit.evaluation.patterns import facts
from ragkit.evaluation.phrasing import is_name, keywords, mistyped, reworded
from ragkit.evaluation.questions import KINDS, Entry, question_id, unlike
from ragkit.evaluation.variants import joined, unanswered
from ragkit.text import analyse

if TYPE_CHECKING:
    from ragkit import Engine

SHARES: Mapping[str, float] = {
    "single-passage": 0.30,
    "multi-passage": 0.12,
    "paraphrased": 0.22,
    "keyword": 0.14,
    "typo": 0.10,
    "unanswerable": 0.12,
}
"""How much of a set is of each kind, as far as the corpus yields it; the first kind takes what is left."""
WEIGHTS = {
    "heading": 2.0, "faq": 2.0, "definition": 2.0, "purpose": 3.0, "condition": 3.0, "reason": 2.0, "order": 1.0,
    "default": 2.0, "list": 2.0, "entry": 1.5, "table": 1.5, "signature": 2.0, "written": 4.0,
}  # fmt: skip
"""How often a pattern is taken, against the others; the ones that read best more often."""
WRITTEN_SHARE = 1 / 3
"""With --llm, so many of the questions' statements are offered with a question of the language model's."""
FACTS_PER_QUESTION = 16
"""Reading stops at so many facts for each question wanted, once enough documents were read."""
_TRIES = 8
"""Candidates tried for each question of a kind before the kind is given up."""


@dataclass(frozen=True, slots=True)
class Found:
    """A fact and the passage that says it."""

    fact: Fact
    passage: Passage

    @property
    def quote(self) -> str:
        """The words of the passage that answer, verbatim."""
        return self.passage.chunk.text[self.fact.start : self.fact.end]

    @property
    def gold(self) -> Gold:
        chunk = self.passage.chunk
        return Gold(self.passage.path, heading_at(chunk.heading, chunk.text, self.fact.start), self.quote)


@dataclass(frozen=True, slots=True)
class Generated:
    """What was made, and what became of the candidates that were not taken: `dropped` counts them by reason."""

    entries: tuple[Entry, ...]
    wanted: int
    corpus: str
    snapshot: str
    seed: int
    documents: int
    passages: int
    facts: int
    dropped: Mapping[str, int]
    seconds: float


@dataclass(slots=True)
class _Pool:
    found: list[Found] = field(default_factory=list)
    some: list[Passage] = field(default_factory=list)
    """A few passages of each document, for the language model."""
    documents: int = 0
    passages: int = 0


def generate(
    engine: Engine,
    *,
    corpus: str = "",
    count: int = 50,
    seed: int = 1,
    k: int = 10,
    kinds: Sequence[str] = KINDS,
    llm: bool = False,
    progress: Progress | None = None,
) -> Generated:
    """`count` questions of these kinds over a corpus, or as many as it yields.

    Each answerable one was searched for: every gold passage is among the first `k` hits, and its answer stands in
    the passage. Raises DatasetError when the corpus yields none.
    """
    began = time.perf_counter()
    status = engine.status(corpus)
    chooser = random.Random(seed)
    pool = _read(engine, status.corpus.name, count, chooser, progress)
    dropped = _write(engine, pool, count, chooser, progress) if llm else Counter()
    maker = _Maker(engine, status.corpus.name, k, chooser, _ordered(pool.found, chooser), pool.documents, count)
    entries = maker.make(_quotas(count, kinds), progress)
    if not entries:
        raise DatasetError(
            f"no question could be made of corpus {status.corpus.name}: {len(pool.found)} statements found in "
            f"{pool.passages} passages",
            "write some by hand (docs/evaluation.md says how)",
        )
    return Generated(
        entries=tuple(entries),
        wanted=count,
        corpus=status.corpus.name,
        snapshot=engine.store.current_snapshot(status.corpus.name).name,
        seed=seed,
        documents=pool.documents,
        passages=pool.passages,
        facts=len(pool.found),
        dropped=dict(sorted((maker.dropped + dropped).items())),
        seconds=time.perf_counter() - began,
    )


# ---------------------------------------------------------------- reading


def _read(engine: Engine, corpus: str, count: int, chooser: random.Random, progress: Progress | None) -> _Pool:
    """Facts of documents in a random order, until there are plenty from plenty of documents."""
    documents = list(engine.store.documents(engine.store.current_snapshot(corpus)))
    chooser.shuffle(documents)
    pool = _Pool()
    for document in documents:
        if len(pool.found) >= FACTS_PER_QUESTION * count and pool.documents >= 2 * count:
            break
        pool.documents += 1
        heading: tuple[str, ...] | None = None
        passages: list[Passage] = []
        for passage in engine.store.document_passages(document.id):
            chunk = passage.chunk
            pool.passages += 1
            view = View(chunk.text, chunk.heading, passage.title, opens=chunk.heading != heading)
            pool.found += [Found(fact, passage) for fact in facts(view)]
            heading = chunk.heading
            passages.append(passage)
        pool.some += chooser.sample(passages, min(len(passages), max(1, 3 * count // len(documents))))
        if progress:
            progress("read", pool.documents, min(len(documents), 2 * count))
    return pool


def _write(
    engine: Engine, pool: _Pool, count: int, chooser: random.Random, progress: Progress | None
) -> Counter[str]:
    """Add facts whose questions the language model wrote, a third of what is wanted."""
    from ragkit.evaluation.written import write_facts

    if engine.generator is None:
        raise UsageError(
            f"--llm needs a language model, and generate.backend is {engine.settings.generate.backend}",
            "use --set generate.backend=llama",
        )
    settings, wanted = engine.settings.generate, math.ceil(count * WRITTEN_SHARE)
    written, dropped = write_facts(
        engine.generator, pool.some, wanted, settings=settings, chooser=chooser, progress=progress
    )
    pool.found += [Found(fact, passage) for fact, passage in written]
    return dropped


def _ordered(found: Sequence[Found], chooser: random.Random) -> list[Found]:
    """Patterns mixed by their weights and, within a pattern, documents taking turns."""
    turns: Counter[tuple[str, str]] = Counter()
    placed: dict[str, list[tuple[int, float, Found]]] = defaultdict(list)
    for one in chooser.sample(found, len(found)):
        key = (one.fact.pattern, one.passage.path)
        placed[one.fact.pattern].append((turns[key], chooser.random(), one))
        turns[key] += 1
    merged = [
        ((at + 1) / WEIGHTS[pattern], pattern, one)
        for pattern, rows in placed.items()
        for at, (_, _, one) in enumerate(sorted(rows, key=lambda row: row[:2]))
    ]
    return [one for _, _, one in sorted(merged, key=lambda row: row[:2])]


def _quotas(count: int, kinds: Sequence[str]) -> dict[str, int]:
    """How many questions of each kind, whole numbers that sum to `count`.

    >>> _quotas(10, ("single-passage", "typo"))
    {'single-passage': 7, 'typo': 3}
    """
    total = sum(SHARES[kind] for kind in kinds)
    quotas = {kind: math.floor(count * SHARES[kind] / total + 0.5) for kind in kinds}
    first = next(iter(quotas))
    quotas[first] += count - sum(quotas.values())
    return quotas


# ---------------------------------------------------------------- making


class _Maker:
    """Goes through the facts in order and makes of each what is still wanted."""

    def __init__(
        self, engine: Engine, corpus: str, k: int, chooser: random.Random, found: Sequence[Found], documents: int,
        count: int,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._corpus = corpus
        self._k = k
        self._chooser = chooser
        self._found = list(found)
        self._language = engine.settings.lexical.language
        self._most = max(2, math.ceil(2 * count / max(1, documents)))
        self._used: set[int] = set()
        self._of_document: Counter[str] = Counter()
        self._taken: list[Entry] = []
        self._texts: list[str] | None = None
        self.dropped: Counter[str] = Counter()

    def make(self, quotas: Mapping[str, int], progress: Progress | None) -> list[Entry]:
        """Questions by kind; what a kind cannot fill, the first kind does."""
        wanted = sum(quotas.values())
        for kind in sorted(quotas, key=lambda kind: kind != "multi-passage"):  # the pickiest first
            self._fill(kind, quotas[kind], wanted, progress)
        first = next(iter(quotas))
        for kind in (first, "single-passage") if "single-passage" in quotas else (first,):
            self._fill(kind, wanted - len(self._taken), wanted, progress)
        order = list(self._taken)
        self._chooser.shuffle(order)
        return order

    def _fill(self, kind: str, quota: int, wanted: int, progress: Progress | None) -> None:
        made = 0
        for tries, candidate in enumerate(self._candidates(kind) if quota > 0 else (), 1):
            entry, why = self._checked(kind, *candidate)
            if entry is None:
                self.dropped[why] += 1
            else:
                made += 1
                self._take(entry, candidate[1])
                if progress:
                    progress("make questions", len(self._taken), wanted)
            if made == quota or tries >= _TRIES * quota:
                return

    def _take(self, entry: Entry, golds: Sequence[Found]) -> None:
        self._taken.append(entry)
        for one in golds:
            self._used.add(id(one))
            self._of_document[one.passage.path] += 1

    def _candidates(self, kind: str) -> Iterator[tuple[str, tuple[Found, ...]]]:
        """(question, facts) of a kind; a fact that was used is passed over, and so is a document's surplus."""
        if kind == "multi-passage":
            yield from self._pairs()
            return
        tried: set[int] = set()
        for most in (self._most, len(self._found)):  # the second time round documents may give all that they have
            for one in self._found:
                if id(one) in self._used or id(one) in tried or self._of_document[one.passage.path] >= most:
                    continue
                tried.add(id(one))
                text = self._worded(kind, one.fact)
                if text:
                    yield text, (one,)

    def _worded(self, kind: str, fact: Fact) -> str:
        if kind == "single-passage":
            return fact.asked.text
        if kind == "paraphrased":
            return reworded(fact.asked, self._chooser)
        if kind == "typo" and fact.pattern != "written":
            return mistyped(fact.asked.text, self._chooser)
        if kind == "keyword":
            if fact.asked.form == "what-is":
                return keywords(fact.asked.text, ("definition",))
            if re.search(r"\bnot\b|n't\b", fact.asked.text):
                return ""  # without its little words it would ask for the opposite
            found = keywords(fact.asked.text)
            return found if len(found.split()) >= 3 or any(map(is_name, found.split())) else ""
        if kind == "typo":
            return ""
        taken = [entry.question.text for entry in self._taken]
        return unanswered(fact, self._all_texts(), self._chooser, taken)

    def _pairs(self) -> Iterator[tuple[str, tuple[Found, ...]]]:
        """Facts of one document that make one question, each document giving one."""
        by_document: dict[str, list[Found]] = defaultdict(list)
        for one in self._found:
            by_document[one.passage.path].append(one)
        for path, ones in by_document.items():
            for text, pair in self._document_pairs(ones[:60]):
                if self._of_document[path] < self._most and not any(id(one) in self._used for one in pair):
                    yield text, pair
                    break

    def _document_pairs(self, ones: Sequence[Found]) -> Iterator[tuple[str, tuple[Found, Found]]]:
        for at, one in enumerate(ones):
            for two in ones[at + 1 :]:
                apart = one.passage.id != two.passage.id
                near = (
                    one.fact.asked.form != "does" or one.passage.chunk.heading[:-1] == two.passage.chunk.heading[:-1]
                )
                if apart and near and (text := joined(one.fact, two.fact)):
                    yield text, (one, two)

    def _all_texts(self) -> list[str]:
        if self._texts is None:
            snapshot = self._engine.store.current_snapshot(self._corpus)
            self._texts = [text.casefold() for _, text in self._engine.store.chunk_texts(snapshot)]
        return self._texts

    # ------------------------------------------------------------ checking

    def _checked(self, kind: str, text: str, golds: Sequence[Found]) -> tuple[Entry | None, str]:
        """The finished entry, or why there is none."""
        if not unlike([entry.question.text for entry in self._taken], text, share=0.7):
            return None, "nearly the same as another"
        answerable = kind != "unanswerable"
        asked = " ".join(plain_words(text))
        if kind != "keyword" and any(asked in " ".join(plain_words(one.passage.chunk.text)) for one in golds):
            return None, "stands in the passage as it is asked"
        if len(text.split()) >= 4 and any(text.casefold().rstrip("?") in held for held in self._all_texts()):
            return None, "stands in the corpus as it is asked"
        answers = [one.fact.answer or plain(one.quote) for one in golds] if answerable else []
        if not all(a in plain(one.passage.chunk.text) for a, one in zip(answers, golds, strict=False)):
            return None, "answer not in the passage"
        hits = self._engine.search(text, corpus=self._corpus, limit=self._k).hits
        relevant = tuple(one.gold for one in golds) if answerable else ()
        difficulty = self._difficulty(text, relevant, hits) if answerable else self._temptation(text, hits)
        if not difficulty:
            return None, f"not found among the first {self._k}"
        id = question_id(text, [entry.question.id for entry in self._taken])
        question = Question(id, text, "\n".join(answers), relevant, answerable=answerable, kind=kind)
        pattern = " + ".join(dict.fromkeys(one.fact.pattern for one in golds))
        return Entry(question, {"pattern": pattern, "difficulty": difficulty}), ""

    def _difficulty(self, text: str, golds: Sequence[Gold], hits: Sequence[Hit]) -> dict[str, JSON]:
        """Where each retriever ranks the hardest gold place; empty when a gold place was not found."""
        ranks: list[tuple[int, Hit]] = []
        for gold in golds:
            at = next((at for at, hit in enumerate(hits, 1) if rankings.holds(hit, gold)), 0)
            if not at:
                return {}
            ranks.append((at, hits[at - 1]))
        rank, hit = max(ranks, key=lambda row: row[0])
        stages = {one.stage: one.rank for one in hit.stages}
        overlap = min(self._overlap(text, gold.quote) for gold in golds)
        weaker = max((stages.get(stage) or 1000 for stage in ("dense", "lexical")), default=1000)
        level = "easy" if weaker <= 3 and overlap >= 0.5 else "hard" if weaker > 10 or overlap < 0.25 else "medium"
        return {
            "level": level,
            "rank": rank,
            "dense_rank": stages.get("dense"),
            "lexical_rank": stages.get("lexical"),
            "overlap": round(overlap, 2),
        }

    def _temptation(self, text: str, hits: Sequence[Hit]) -> dict[str, JSON]:
        """How much of an unanswerable question the best hit seems to speak of: the more, the harder to decline."""
        overlap = max((self._overlap(text, hit.passage.chunk.indexed) for hit in hits[:3]), default=0.0)
        level = "hard" if overlap >= 0.7 else "medium" if overlap >= 0.4 else "easy"
        return {"level": level, "overlap": round(overlap, 2)}

    def _overlap(self, text: str, passage: str) -> float:
        """Share of the question's terms that the passage has."""
        wanted = set(analyse(text, self._language))
        return len(wanted & set(analyse(passage, self._language))) / max(1, len(wanted))
