"""How much of a reference an answer says, and how much of an answer the reference says, claim by claim.

Knows two texts and the question that both answer; knows nothing of contexts, models, engines or datasets. A
claim is held by the other text to the degree to which that text has the terms that the claim adds to the question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.text import analyse, fold
from ragkit.verify import statements

HELD = 0.5
"""A claim that the other text holds to this degree counts as said there, where claims are counted."""
SHORT_TERMS = 12
"""A reference of one fragment with at most so many terms is a short answer: a name, a date, a phrase."""
CAP = 0.3
"""A claim with a number that the other text lacks, which has another one instead, is held to this degree at most."""


@dataclass(frozen=True, slots=True)
class Held:
    """A claim, what it weighs (the terms that it adds to the question), and to which degree the other text has it."""

    text: str
    weight: int
    degree: float


@dataclass(frozen=True, slots=True)
class Correctness:
    """Claim-level precision and recall of an answer against a reference, all in [0, 1].

    With a short reference precision is recall: a name says nothing of the rest of a sentence.
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean; 0 when both are 0."""
        total = self.precision + self.recall
        return 2.0 * self.precision * self.recall / total if total else 0.0


def correctness(question: str, answer: str, references: Sequence[str], language: str = "english") -> Correctness:
    """The answer against the reference that it agrees with best; one that says nothing gets 0.

    >>> correctness("Where is the office?", "The office is in Landover.", ["Landover", "Utah"])
    Correctness(precision=1.0, recall=1.0)
    >>> correctness("How long?", "Kept for 30 days. Then they are archived on tape.", ["They are kept for 30 days."])
    Correctness(precision=0.6, recall=1.0)
    """
    found = [_against(question, answer, reference, language) for reference in references if reference.strip()]
    return max(found, key=lambda one: (one.f1, one.recall), default=Correctness(0.0, 0.0))


def _against(question: str, answer: str, reference: str, language: str) -> Correctness:
    if not answer.strip():
        return Correctness(0.0, 0.0)
    recall = share(held(reference, answer, question, language))
    if is_short(reference, language):
        return Correctness(recall, recall)
    return Correctness(share(held(answer, reference, question, language)), recall)


def is_short(reference: str, language: str = "english") -> bool:
    """Whether a reference is a name, a date or a phrase, and no sentence.

    >>> is_short("8 March 2008"), is_short("It is kept for 30 days.")
    (True, False)
    """
    text = reference.strip()
    sentence = text.endswith((".", "!", "?", "。")) and len(text.split()) > 3
    return not sentence and len(statements(text)) <= 1 and len(analyse(text, language)) <= SHORT_TERMS


def held(text: str, other: str, question: str, language: str = "english") -> list[Held]:
    """Each claim of `text` with the degree to which `other` holds it.

    What the question says already is no merit of either text, so terms of the question do not count. A text that
    only says the question's words again is compared by those.
    """
    claims = statements(text) or [text.strip()] * bool(text.strip())
    asked, has = frozenset(analyse(question, language)), frozenset(analyse(other, language))
    found = [_held(claim, has, asked, language) for claim in claims]
    if any(one.weight for one in found):
        return found
    again = [_held(claim, has, frozenset(), language) for claim in claims]
    if any(one.weight for one in again):
        return again
    same = float(bool(claims) and fold(text).strip() in fold(other))  # stop words alone: "Who?" "Them"
    return [Held(claim, 1, same) for claim in claims]


def _held(claim: str, has: frozenset[str], asked: frozenset[str], language: str) -> Held:
    terms = frozenset(analyse(claim, language))
    new = terms - asked
    if not new:
        return Held(claim, 0, 1.0)
    degree = len(new & has) / len(new)
    if _numbers(new) - has and _numbers(has - asked) - terms:
        degree = min(degree, CAP)
    return Held(claim, len(new), degree)


def _numbers(terms: frozenset[str]) -> frozenset[str]:
    return frozenset(term for term in terms if term[0].isdigit())


def share(found: Sequence[Held]) -> float:
    """The mean degree of the claims, each weighing as many terms as it adds; 0 for none.

    >>> share([Held("a", 3, 1.0), Held("b", 1, 0.0)])
    0.75
    """
    total = sum(one.weight for one in found)
    return math.fsum(one.weight * one.degree for one in found) / total if total else 0.0
