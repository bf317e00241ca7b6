"""An engine that remembers: a search or an answer whose key is in the store is not computed again.

Knows the engine's two verbs and the keys of their results; knows nothing of questions, gold or metrics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ragkit.domain import JSON, SearchResult
from ragkit.domain.answers import Answer
from ragkit.evaluation.fingerprints import digest
from ragkit.evaluation.traces import pack, unpack

if TYPE_CHECKING:
    from ragkit import Engine
    from ragkit.store import Evaluations

T = TypeVar("T")


class Recorder:
    """Stands where an engine is wanted, and passes on what it does not know itself.

    `recipe` says all that results depend on besides the question; hits behind the first `whole_hits` are kept
    without their text, where it is a number. What was searched and asked since the last
    `restart` is in `searches` and `answers`, its keys in `keys`. `asked` counts how often the engine was asked.
    Errors are not kept: they may pass.
    """

    def __init__(
        self,
        engine: Engine,
        kept: Evaluations,
        recipe: Mapping[str, JSON],
        *,
        whole_hits: int | None = None,
        fresh: bool = False,
    ) -> None:
        self._engine = engine
        self._whole_hits = whole_hits
        self._kept = kept
        self._recipe = dict(recipe)
        self._fresh = fresh
        self.asked = 0
        self.restart()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def restart(self) -> None:
        """Forget what was searched and asked so far; the store does not."""
        self.searches: list[SearchResult] = []
        self.answers: list[Answer] = []
        self.keys: list[str] = []

    def search(self, query: str, **options: Any) -> SearchResult:
        """As `Engine.search`."""
        key = digest("search", self._recipe, query, options)
        found = self._known(key, SearchResult)
        if found is None:
            self.asked += 1
            found = self._engine.search(query, **options)
            self._kept.keep(key, _lighter(found, self._whole_hits))
        self.searches.append(found)
        return found

    def ask(self, question: str, **options: Any) -> Answer:
        """As `Engine.ask`."""
        key = digest("ask", self._recipe, question, options)
        found = self._known(key, Answer)
        if found is None:
            self.asked += 1
            found = self._engine.ask(question, **options)
            self._kept.keep(key, pack(found))
        self.answers.append(found)
        return found

    def _known(self, key: str, kind: type[T]) -> T | None:
        self.keys.append(key)
        if self._fresh:
            return None
        kept = self._kept.results([key]).get(key)
        return None if kept is None else unpack(kind, kept)


def _lighter(found: SearchResult, whole: int | None) -> JSON:
    """A search result whose hits behind the first `whole` are without their text."""
    hits = []
    for rank, hit in enumerate(found.hits):
        if whole is not None and rank >= whole:
            chunk = dataclasses.replace(hit.passage.chunk, text="", context="", prefix="")
            hit = dataclasses.replace(hit, passage=dataclasses.replace(hit.passage, chunk=chunk, metadata={}))
        hits.append(hit)
    return pack(dataclasses.replace(found, hits=tuple(hits)))
