"""Labels that name nothing in a corpus, and so can only score 0: a mistyped path, a quote that stands nowhere.

Knows gold, and the documents and passages of a snapshot; knows nothing of files or metrics. A label that a search
found is not looked for, so there is little to look at; `anchors` says where a lost place stands now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ragkit.evaluation.datasets import Gold, Level, document_names, stands_at

if TYPE_CHECKING:
    from ragkit import Engine
    from ragkit.domain import Passage

Missed: TypeAlias = Sequence[tuple[str, Gold]]
"""(question id, a place of its gold that no hit held)."""
SHOWN = 3
COMPARED = 50_000
"""Passages that are compared with quotes and headings at most, 60 µs each; labels past that are taken on trust."""


def lost(engine: Engine, corpus: str, missed: Missed, level: Level) -> list[tuple[str, Gold]]:
    """Those of the missed places that are nowhere in the corpus, as searches are judged at `level`."""
    if not missed:
        return []
    store = engine.store
    snapshot = store.current_snapshot(engine.status(corpus).corpus.name)
    paths = {record.id: record.path for record in store.documents(snapshot)}
    named = _named(paths, {gold.path for _, gold in missed})
    passages: dict[int, list[Passage]] = {}
    found, compared = [], 0
    for id, gold in missed:
        documents = named.get(gold.path, []) if gold.path else list(paths)
        if documents and (gold.quote or gold.heading) and (level == "passage" or not gold.path):
            if snapshot.chunks / len(paths) * len(documents) + compared > COMPARED:
                continue
            for one in documents:
                if one not in passages:
                    passages[one] = store.document_passages(one)
            held = [passage for one in documents for passage in passages[one]]
            compared += len(held)
            there = any(stands_at(gold, one.path, one.chunk.heading, one.chunk.text) for one in held)
        else:
            there = bool(documents)
        if not there:
            found.append((id, gold))
    return found


def notices(engine: Engine, corpus: str, missed: Missed, level: Level, count: int) -> tuple[str, ...]:
    """A notice of the labels that name nothing, if there are any among the missed ones; `count` is of all labels."""
    found = lost(engine, corpus, missed, level)
    if not found:
        return ()
    shown = [f"{_spelled(gold)} (question {id})" for id, gold in found[:SHOWN]]
    more = ", ..." if len(found) > SHOWN else ""
    name = engine.status(corpus).corpus.name
    nothing = f"no document or passage of corpus {name} and can only score 0"
    told = f"{len(found)} of {count} labels name {nothing}: {', '.join(shown)}{more}"
    return (f"{told}; `ragkit eval validate` says more",)


def _named(paths: Mapping[int, str], wanted: Iterable[str]) -> dict[str, list[int]]:
    """The documents that each gold path names."""
    named: dict[str, list[int]] = {path: [] for path in wanted}
    for id, path in paths.items():
        for end in named.keys() & set(document_names(path)):
            named[end].append(id)
    return named


def _spelled(gold: Gold) -> str:
    place = " > ".join(filter(None, (gold.path, *gold.heading)))
    quote = f"{gold.quote[:40]!r}" if gold.quote else ""
    return ": ".join(filter(None, (place, quote)))
