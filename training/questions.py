"""Questions made of a passage of documentation, by rule. Knows chunks; knows nothing of candidates or models."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from ragkit.domain import Chunk
from ragkit.evaluation.passages import View, plain
from ragkit.evaluation.patterns import facts
from ragkit.evaluation.phrasing import keywords, reworded
from ragkit.units import contents


@dataclass(frozen=True, slots=True)
class Made:
    """A question that a passage answers, and how it was made."""

    text: str
    kind: str


def of_passage(chunk: Chunk, title: str, rng: random.Random) -> Iterator[Made]:
    """What is asked by rule, in keywords, reworded; its headings; and one of its sentences."""
    for fact in facts(View(chunk.text, chunk.heading, title))[:4]:
        forms = {
            "asked": fact.asked.text,
            "keywords": keywords(fact.asked.text),
            "reworded": reworded(fact.asked, rng),
        }
        kind = rng.choices(tuple(forms), (4, 2, 3))[0]
        if forms[kind]:
            yield Made(forms[kind], kind)
    if len(chunk.heading) >= 2 and chunk.tokens >= 40 and rng.random() < 0.2:
        yield Made(" ".join(dict.fromkeys(plain(part) for part in chunk.heading[-2:])), "heading")
    sentences = [unit.text for unit in contents(chunk.text)]
    if len(sentences) >= 4 and rng.random() < 0.15:
        chosen = " ".join(rng.choice(sentences).split())
        if 40 <= len(chosen) <= 200:
            yield Made(chosen, "sentence")
