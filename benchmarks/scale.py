"""Measure a search in a large corpus: documents of FOLDER in a store whose vectors are random, by stage.

Embedding a hundred thousand chunks takes half an hour, and the time of a search does not depend on what the vectors
are. So everything is real, the reading, the cutting, the store, the snapshot and the vector of the query, but for the
vectors of passages and of their sentences: those are random, of length 1. What the dense side finds is noise.

    python benchmarks/scale.py FOLDER... --store DIR [--questions FILE] [--set KEY=VALUE] [--profile]

The store is filled once. FILE holds a question a line; without it there are twenty about anything.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit import Engine, config
from ragkit.config import Settings
from ragkit.domain import Progress, Span
from ragkit.roles import Embedder

if TYPE_CHECKING:
    from ragkit.domain import Vectors

CORPUS = "scale"
QUESTIONS = (
    "how do I restore a backup of the database",
    "read a file line by line",
    "which port does the server listen on",
    "difference between a list and a tuple",
    "how to undo the last commit",
    "create an index on an expression",
    "what does --dry-run do",
    "connection refused when connecting to the server",
    "escape special characters in a regular expression",
    "how are passwords stored",
    "limit the memory that a process may use",
    "merge two branches without a merge commit",
    "convert a string to a date",
    "subprocess.run timeout",
    "why is my query slow",
    "set an environment variable for one command",
    "what happens when the disk is full",
    "list all open transactions",
    "asyncio cancel a task",
    "configure logging to a file",
)


class RandomPassages:
    """The embedder for queries; passages and their sentences get random vectors of length 1."""

    embeds_parts = True

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._random = np.random.default_rng(7)
        self.fingerprint: str = inner.fingerprint
        self.dimension: int = inner.dimension
        self.max_tokens: int = inner.max_tokens

    def spans(self, text: str) -> list[Span]:
        """The embedder's own tokens."""
        spans: list[Span] = self._inner.spans(text)
        return spans

    def embed(self, texts: Sequence[str], kind: str = "passage", progress: Progress | None = None) -> Vectors:
        """Random for passages."""
        if kind == "query":
            vectors: Vectors = self._inner.embed(texts, kind, progress)
            return vectors
        return self._some(len(texts))

    def embed_with_parts(
        self, texts: Sequence[str], parts: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        """Random for passages and for each of their sentences."""
        return self._some(len(texts)), [self._some(len(spans)) for spans in parts]

    def _some(self, count: int) -> Vectors:
        rows = self._random.standard_normal((count, self.dimension), dtype=np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


def main() -> None:
    """Fill the store if need be, then search it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="documents; needed when the store is empty")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--questions", type=Path, help="a question a line")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--profile", action="store_true", help="also say which functions take the time")
    options = parser.parse_args()
    loaded = config.load(overrides=options.overrides).settings
    settings = config.replace(loaded, {"store.directory": str(options.store), "corpus": CORPUS})
    if options.folders:
        fill(settings, options.folders)
    questions = options.questions.read_text(encoding="utf-8").splitlines() if options.questions else QUESTIONS
    with Engine(settings) as engine:
        status = engine.status()
        chunks = status.snapshot.chunks if status.snapshot else 0
        began = time.perf_counter()
        first = engine.search(questions[0])
        print(
            f"{chunks:,} chunks; the first search took {time.perf_counter() - began:.2f} s: {spelled(first.timings)}"
        )
        report(engine, questions)
        if options.profile:
            profiled(engine, questions)


def fill(settings: Settings, folders: Sequence[Path]) -> None:
    """Ingest the folders with random vectors."""
    with Engine(settings) as real:
        embedder: Embedder = RandomPassages(real.embedder)
        with Engine(settings, embedder=embedder) as engine:
            found = engine.ingest(folders, corpus=CORPUS)
    print(f"{found.chunks:,} chunks in {found.seconds:.0f} s", file=sys.stderr)


def report(engine: Engine, questions: Sequence[str]) -> None:
    """Milliseconds of a search, whole and by stage, over the questions; each is searched twice, the second counts."""
    totals: list[float] = []
    works: list[float] = []
    stages: dict[str, list[float]] = {}
    for question in questions:
        for _ in range(2):
            began, worked = time.perf_counter(), time.process_time()
            result = engine.search(question)
            total, work = time.perf_counter() - began, time.process_time() - worked
            engine.search("something else in between")  # the vector of the last query is remembered
        totals.append(total)
        works.append(work)
        for stage, seconds in result.timings.items():
            stages.setdefault(stage, []).append(seconds)
    print("| | median ms | 90th percentile | most |")
    print("|---|---|---|---|")
    rows = {"**a search**": totals, "processor": works, **stages}
    for name, values in rows.items():
        ninety = statistics.quantiles(values, n=10)[-1]
        print(f"| {name} | {statistics.median(values) * 1000:.0f} | {ninety * 1000:.0f} | {max(values) * 1000:.0f} |")


def profiled(engine: Engine, questions: Sequence[str]) -> None:
    """The functions that take most of the time."""
    profile = cProfile.Profile()
    with profile:
        for question in questions:
            engine.search(question)
    pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


def spelled(timings: Any) -> str:
    """Stages with their milliseconds."""
    return ", ".join(f"{stage} {seconds * 1000:.0f} ms" for stage, seconds in timings.items())


if __name__ == "__main__":
    main()
