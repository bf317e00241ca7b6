"""The metrics of one answer, from what was written, what was shown to the writer, and the reference.

Knows answers, sources and questions, and asks its instruments how well a source bears out a claim and how near two
texts are; knows nothing of engines, datasets or reports. docs/evaluation.md has the formulas. Nothing is ever NaN: a
metric that does not apply to an answer is left out, and one that fails has its worst value, each with the reason.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ragkit.domain import Source
from ragkit.domain.answers import Answer, Quote
from ragkit.errors import GenerationError
from ragkit.evaluation import correctness, metrics
from ragkit.evaluation.datasets import Question
from ragkit.evaluation.names import COSTS
from ragkit.generate import EXTRACTIVE
from ragkit.nearness import nearness
from ragkit.text import fold_line
from ragkit.units import contents
from ragkit.verify import pieces, statements

if TYPE_CHECKING:
    from ragkit.domain import Vectors

NEAR = 0.45
"""Nearness to the question from which a sentence bears on it. By all-MiniLM-L6-v2, whose cosine it is, it tells gold
sentences from their neighbours with a balanced accuracy of .77 (AUROC .84) on 958 sentences around the gold of 100
questions of the chunking collection."""
_QUOTED = re.compile(r"[\"“]([^\"“”\n]+)[\"”]")
_QUOTED_WORDS = 3
_MARKS = re.compile(r"\s*(?:\[\d+\]|\[unsupported\])")


@dataclass(frozen=True, slots=True)
class Instruments:
    """What metrics are measured with."""

    supports: Callable[[Sequence[str], Sequence[Source], str], list[list[float]]]
    """(claims, sources, question) to the support of each claim by each source."""
    embed: Callable[[Sequence[str]], Vectors]
    lines: Callable[[Quote], str]
    """The lines of the document that a quote names; "" when there are none."""
    min_support: float = 0.5
    language: str = "english"
    unrelated: float = 0.0
    """The cosine that texts without anything in common have by `embed`."""
    beside: Mapping[str, Callable[[str, str, str], bool]] = field(default_factory=dict)
    """Name of a second faithfulness to its check of (claim, text, question)."""


@dataclass(slots=True)
class Scores:
    """The metrics that apply to one answer, and of each other one why it does not."""

    values: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Of each metric that could not be computed, and has its worst value, why."""

    def put(self, why_not: str, **values: float) -> None:
        """Take the values, or leave them all out for the reason given."""
        if why_not:
            self.left_out |= dict.fromkeys(values, why_not)
        else:
            self.values |= values


def score_answer(question: Question, answer: Answer, instruments: Instruments) -> Scores:
    """Every metric of one answer.

    An answer of which no claim is supported counts as declined: with `verify.unsupported` at its default, nothing
    of it would be shown.
    """
    seen = _Seen(question, answer, instruments)
    scores = Scores()
    _faithfulness(seen, scores)
    _answer(seen, scores)
    _context(seen, scores)
    _citations(seen, scores)
    _refusals(seen, scores)
    _costs(answer, scores)
    return scores


class _Seen:
    """One answer, with what several metrics ask of it."""

    def __init__(self, question: Question, answer: Answer, instruments: Instruments) -> None:
        self.question = question
        self.answer = answer
        self.tools = instruments
        self.sources = answer.context.sources
        self.reference = question.answer if question.answerable else ""
        self.no_reference = "" if self.reference else "no reference answer"
        self.borne_out = [claim for claim in answer.claims if claim.supported]
        self.declined = answer.status == "abstained" or not self.borne_out
        written = pieces(answer.draft.text if answer.draft else answer.text) if answer.claims else []
        self.claims = [piece for piece in written if piece.kind in ("claim", "code")]

    @cached_property
    def said(self) -> str:
        """What would be shown of the answer, without citation marks."""
        if self.declined:
            return ""
        whole = len(self.borne_out) == len(self.answer.claims)
        shown = self.answer.text if whole else " ".join(claim.text for claim in self.borne_out)
        return _MARKS.sub("", shown).strip()

    @cached_property
    def reference_claims(self) -> list[str]:
        return statements(self.reference) or [self.reference.strip()] * bool(self.reference.strip())

    @cached_property
    def supports(self) -> dict[str, list[bool]]:
        """Each claim of the answer and of the reference: which sources bear it out."""
        texts = list(dict.fromkeys([*(piece.text for piece in self.claims), *self.reference_claims]))
        rows = self.tools.supports(texts, self.sources, self.question.text)
        return {
            text: [value >= self.tools.min_support for value in row] for text, row in zip(texts, rows, strict=True)
        }

    def in_context(self, claim: str) -> bool:
        return any(self.supports[claim])

    def nearness(self, one: Vectors, two: Vectors) -> float:
        """Of unit vectors, in [0, 1]: what points away is as far as can be."""
        return nearness(float(one @ two), self.tools.unrelated)

    def held(self, claims: Sequence[str], other: str) -> list[bool]:
        """Of each claim, whether the other text says it."""
        asked, language = self.question.text, self.tools.language
        found = [correctness.share(correctness.held(claim, other, asked, language)) for claim in claims]
        return [degree >= correctness.HELD for degree in found]


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _faithfulness(seen: _Seen, scores: Scores) -> None:
    why = "" if seen.answer.claims else "declined"
    scores.put(why, Faithfulness=_share([claim.supported for claim in seen.answer.claims]))
    text = "\n\n".join(source.text for source in seen.sources)
    for name, check in seen.tools.beside.items():
        value = 0.0
        try:
            value = _share([check(piece.text, text, seen.question.text) for piece in seen.claims])
        except GenerationError as error:  # the judge's fault, and of no concern to the other metrics
            scores.failed[name] = str(error)
        scores.put(why, **{name: value})


def _answer(seen: _Seen, scores: Scores) -> None:
    """The answer against the question and against the reference; an answer that declined is like none."""
    question, said, reference = seen.question, seen.said, seen.reference
    embed = seen.tools.embed
    claims = [piece.text for piece in seen.claims] if said else []
    relevancy = 0.0
    if claims:
        asked, *vectors = embed([question.text, *claims])
        relevancy = math.fsum(seen.nearness(asked, vector) for vector in vectors) / len(vectors)
    why = "declined, and rightly" if seen.declined and not question.answerable else ""
    scores.put(why, AnswerRelevancy=relevancy)
    found = correctness.correctness(question.text, said, [reference], seen.tools.language)
    likeness = dict.fromkeys(("TokenF1", "ExactMatch", "ROUGE-L", "SemanticSimilarity"), 0.0)
    if said and reference:
        one, two = embed([said, reference])
        likeness = {
            "TokenF1": metrics.token_f1(said, reference),
            "ExactMatch": metrics.exact_match(said, reference),
            "ROUGE-L": metrics.rouge_l(said, reference),
            "SemanticSimilarity": seen.nearness(one, two),
        }
    scores.put(
        seen.no_reference,
        AnswerCorrectness=found.f1,
        AnswerPrecision=found.precision,
        AnswerRecall=found.recall,
        **likeness,
    )


def _context(seen: _Seen, scores: Scores) -> None:
    """The sources against the question and the reference, and what the answer made of them."""
    sentences = [unit.text for source in seen.sources for unit in contents(source.text)]
    relevancy = 0.0
    if sentences and seen.question.answerable:
        asked, *vectors = seen.tools.embed([seen.question.text, *sentences])
        relevancy = _share([seen.nearness(asked, vector) >= NEAR for vector in vectors])
    scores.put("" if seen.question.answerable else "no answer in the corpus", ContextRelevancy=relevancy)
    rows = [seen.supports[claim] for claim in seen.reference_claims]
    relevant = [any(column) for column in zip(*rows, strict=True)]
    scores.put(seen.no_reference, ContextPrecision=_share(relevant), ContextRecall=_share([any(row) for row in rows]))
    usable = [claim for claim in seen.reference_claims if seen.in_context(claim)]
    why = seen.no_reference or ("" if usable else "nothing of the reference in the context")
    scores.put(why, ContextUtilisation=_share(seen.held(usable, seen.said)) if seen.said else 0.0)
    claims = [piece.text for piece in seen.claims]
    noise = [
        not right and seen.in_context(claim)
        for claim, right in zip(claims, seen.held(claims, seen.reference), strict=True)
    ]
    scores.put(seen.no_reference or ("" if claims else "declined"), NoiseSensitivity=_share(noise))


def _citations(seen: _Seen, scores: Scores) -> None:
    numbers = [source.number for source in seen.sources]
    proved = [
        any(borne and number in piece.cited for number, borne in zip(numbers, seen.supports[piece.text], strict=True))
        for piece in seen.claims
    ]
    why = "" if seen.answer.claims else "declined"
    scores.put(why, CitationPrecision=_citation_precision(seen.answer), CitationRecall=_share(proved))
    verbatim = _verbatim(seen)
    scores.put("" if verbatim else why or "nothing quoted", QuoteFidelity=_share(verbatim))


def _citation_precision(answer: Answer) -> float:
    """Share of the sources cited in the draft that the verifier found to bear out a claim; 0 if it cites none."""
    written = answer.draft.text if answer.draft else answer.text
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", written)}
    proved = {quote.number for claim in answer.claims if claim.supported for quote in claim.quotes}
    return len(cited & proved) / len(cited) if cited else 0.0


def _verbatim(seen: _Seen) -> list[bool]:
    """Of each quote of the answer whether its lines hold it, and of each quoted phrase whether a source does."""
    found = [fold_line(quote.text) in fold_line(seen.tools.lines(quote)) for quote in seen.answer.quotes]
    if not seen.answer.claims:
        return found
    texts = [fold_line(" ".join((source.title, *source.heading, source.text))) for source in seen.sources]
    phrases = [phrase for piece in seen.claims if piece.kind == "claim" for phrase in _QUOTED.findall(piece.text)]
    said = [fold_line(phrase).rstrip(".,;:!?") for phrase in phrases if len(phrase.split()) >= _QUOTED_WORDS]
    return found + [any(phrase in text for text in texts) for phrase in said]


def _refusals(seen: _Seen, scores: Scores) -> None:
    answerable = seen.question.answerable
    scores.put("" if seen.declined else "not declined", RefusalPrecision=float(not answerable))
    scores.put("answerable" if answerable else "", RefusalRecall=float(seen.declined))


def _costs(answer: Answer, scores: Scores) -> None:
    """What writing took; nothing where no language model wrote."""
    draft = answer.draft
    if draft is None or draft.model == EXTRACTIVE or not draft.completion_tokens:
        scores.left_out |= dict.fromkeys(sorted(COSTS), "no language model wrote")
        return
    scores.put(
        "",
        PromptTokens=float(draft.prompt_tokens),
        CompletionTokens=float(draft.completion_tokens),
        TimeToFirstToken=draft.first_token_seconds,
    )
    writing = draft.seconds - draft.first_token_seconds
    more = draft.completion_tokens - 1
    scores.put(
        "" if more > 0 and writing > 0 else "a single token", TokensPerSecond=more / writing if writing > 0 else 0.0
    )
