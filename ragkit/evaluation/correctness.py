"""How much of a reference an answer says, and how much of an answer the reference says, claim by claim.

Knows two texts and the question that both answer; knows nothing of contexts, models, engines or datasets. A
claim is held by the other text to the degree to which that text has the words that the claim adds to the question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.text import analyse, fold
from ragkit.verify import statements

HELD = 0.5
"""A claim that the other text holds to this degree counts as said there, where claims are counted."""
SHORT_WORDS = 12
"""A reference of one fragment with at most so many words is a short answer: a name, a date, a phrase."""
CAP = 0.3
"""A claim with a number that the other text lacks, which has another one instead, is held to this degree at most."""


@dataclass(frozen=True, slots=True)
class Held:
    """A claim, what it weighs (the words that it adds to the question), and to which degree the other text has it."""

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
    return not sentence and len(statements(text)) <= 1 and len(_words(text, language)) <= SHORT_WORDS


def held(text: str, other: str, question: str, language: str = "english") -> list[Held]:
    """Each claim of `text` with the degree to which `other` holds it.

    What the question says already is no merit of either text, so its words do not count. A text that
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
    words = _words(claim, language)
    new = [word for word in words if not _in(word, asked)]
    if not new:
        return Held(claim, 0, 1.0)
    degree = sum(_in(word, has) for word in new) / len(new)
    said = frozenset(term for word in words for term in word)
    if _numbers(said) - has - asked and _numbers(has - asked) - said:
        degree = min(degree, CAP)
    return Held(claim, len(new), degree)


def _words(text: str, language: str) -> set[tuple[str, ...]]:
    """The terms of each word: a name with its parts is one word, and so is each pair of signs of an unspaced script.

    >>> sorted(_words("FedExField is in Landover", "english"))
    [('fedexfield', 'fed', 'exfield'), ('landov',)]
    """
    found: set[tuple[str, ...]] = set()
    for piece in text.split():
        terms = tuple(analyse(piece, language))
        whole = terms[:1] and all(term in terms[0] for term in terms)
        found |= {terms} if whole else {(term,) for term in terms}
    return found


def _in(word: tuple[str, ...], terms: frozenset[str]) -> bool:
    """Whether a word is among the terms, as it is or in its parts."""
    return word[0] in terms or (len(word) > 1 and terms.issuperset(word[1:]))


def _numbers(terms: frozenset[str]) -> frozenset[str]:
    return frozenset(term for term in terms if term[0].isdigit())


def share(found: Sequence[Held]) -> float:
    """The mean degree of the claims, each weighing as many words as it adds; 0 for none.

    >>> share([Held("a", 3, 1.0), Held("b", 1, 0.0)])
    0.75
    """
    total = sum(one.weight for one in found)
    return math.fsum(one.weight * one.degree for one in found) / total if total else 0.0
