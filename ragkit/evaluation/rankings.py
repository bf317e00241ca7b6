"""Rankings against gold: which unit of a ranking stands for which gold place, and the report of what they score.

Knows hits, paths, gold and metrics; knows nothing of engines, nor of whose rankings they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ragkit.domain import JSON, Hit, Passage
from ragkit.evaluation import metrics
from ragkit.evaluation.datasets import Dataset, Gold, Level, same_document, stands_at
from ragkit.evaluation.metrics import Judgements
from ragkit.evaluation.report import Report, Scored


@dataclass(frozen=True, slots=True)
class Ranking:
    """What was ranked for one question: `units` are scored, `hits` are shown, both best first."""

    units: tuple[str, ...] = ()
    hits: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""


def score(
    dataset: Dataset,
    judgements: Judgements,
    rankings: Mapping[str, Ranking],
    names: Sequence[str] = metrics.RETRIEVAL,
    *,
    about: Mapping[str, JSON],
    notices: Sequence[str] = (),
) -> Report:
    """The report of the judged questions, in the dataset's order; one without a ranking scores 0."""
    scores = metrics.score_rankings(judgements, {id: one.units for id, one in rankings.items()}, names)
    nothing = Ranking()
    judged = [(question, rankings.get(question.id, nothing)) for question in dataset.questions]
    return Report(
        task="retrieval",
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        names=tuple(names),
        questions=tuple(
            Scored(
                id=question.id,
                question=question.text,
                scores={name: scores[name][question.id] for name in names},
                kind=question.kind,
                seconds=ranking.seconds,
                hits=ranking.hits,
                error=ranking.error,
            )
            for question, ranking in judged
            if question.id in judgements
        ),
        about=about,
        notices=tuple(notices),
    )


# ---------------------------------------------------------------- units


def units(golds: Sequence[Gold], level: Level) -> dict[str, Gold]:
    """The gold places by the id that each has in judgements and rankings; the best graded one of each document.

    Gold that names no document is a place of its own at either level.
    """
    found: dict[str, Gold] = {}
    for at, gold in enumerate(golds):
        unit = gold.path if level == "document" and gold.path else f"gold:{at}"
        if unit not in found or gold.grade > found[unit].grade:
            found[unit] = gold
    return found


def grades(golds: Sequence[Gold], level: Level) -> dict[str, int]:
    """A question's judgements.

    >>> grades([Gold("a.md", grade=2), Gold("a.md", ("Part",)), Gold("b.md")], "document")
    {'a.md': 2, 'b.md': 1}
    """
    return {unit: gold.grade for unit, gold in units(golds, level).items()}


def rank(hits: Sequence[Hit], golds: Sequence[Gold], level: Level) -> list[str]:
    """The hits as units.

    At document level a document stands where its best passage does. A gold place (at passage level any, at document
    level one that names no document) counts once, where it is first found; a passage that holds several takes as many
    places, which never flatters.
    """
    ranking: dict[str, None] = {}
    paths = [gold.path for gold in golds if gold.path]
    places = {unit: gold for unit, gold in units(golds, level).items() if level == "passage" or not gold.path}
    for hit in hits:
        held = [unit for unit, gold in places.items() if holds(hit, gold) and unit not in ranking]
        if level == "passage":
            unit = f"passage:{hit.passage.id}"
        else:
            unit = document([one.path for one in _copies(hit)], paths)
        ranking |= dict.fromkeys(held or [unit])
    return list(ranking)


def document(paths: Sequence[str], golds: Iterable[str]) -> str:
    """The unit of a document that is found at `paths`: the gold path that names one of them, or else the first.

    >>> document(["guide/install.md"], ["ports", "install"]), document(["guide/install.md"], ["ports"])
    ('install', 'guide/install.md')
    """
    known = list(golds)
    return next((gold for path in paths for gold in known if same_document(gold, path)), paths[0])


def holds(hit: Hit, gold: Gold) -> bool:
    """Whether the passage, or a copy of it that the hit names, is where the gold is."""
    return any(stands_at(gold, one.path, one.chunk.heading, one.chunk.text) for one in _copies(hit))


def _copies(hit: Hit) -> tuple[Passage, ...]:
    return (hit.passage, *hit.copies)
