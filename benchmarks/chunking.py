"""Compare chunking strategies and sizes: how much of the gold excerpts the first hits hold, and how much besides.

    python benchmarks/chunking.py --data DIR --embedder PREPARED [--dense] [--strategy NAME] [--size N] [--overlap N]

DIR holds questions_df.csv and corpora/*.md of the chunking_evaluation data (Smith and Troynikov, 2024), whose
metrics these are, over characters: recall, the share of the excerpts that the hits hold; precision, the share of
the hits that is excerpt; IoU, their intersection over their union, a passage counted as often as it is retrieved.
Hits are the first that fill --tokens, as a prompt would hold them, so that chunks of all sizes compete fairly.
PREPARED is a folder that `ragkit models prepare` made: its tokenizer counts tokens, and with --dense its model
retrieves, where else BM25 does. --strategy, --size and --overlap may be repeated; every combination is a row.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from ragkit.chunking import STRATEGIES, chunk
from ragkit.config import ChunkSettings
from ragkit.domain import Chunk, Document, Span
from ragkit.embed import open_embedder
from ragkit.loaders import load
from ragkit.roles import Embedder
from ragkit.text import analyse

Passages = Sequence[tuple[str, Chunk]]
Retriever = Callable[[Sequence[str], int], list[list[int]]]


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the spans of one corpus that answer it."""

    text: str
    corpus: str
    spans: tuple[Span, ...]


def main() -> None:
    options = arguments()
    embedder = open_embedder(options.embedder, options.threads)
    documents = {path.stem: load(path.read_bytes(), path.name) for path in sorted(options.data.glob("corpora/*.md"))}
    questions = read_questions(options.data / "questions_df.csv")
    check(questions, documents)
    print(f"{len(questions)} questions, {len(documents)} corpora, first {options.tokens} tokens of hits of ", end="")
    print("the embedder" if options.dense else "BM25")
    print("| strategy | size | overlap | chunks | mean tokens | recall | precision | IoU | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for strategy, size, overlap in product(options.strategy, options.size, options.overlap):
        settings = ChunkSettings(strategy, size, overlap)
        begin = time.perf_counter()
        passages = [(n, c) for n, d in documents.items() for c in chunk(d, embedder, settings, embedder.max_tokens)]
        seconds = time.perf_counter() - begin
        retrieve = dense(passages, embedder) if options.dense else bm25(passages)
        found = retrieve([question.text for question in questions], options.tokens // 10)
        scores = [
            measure(question, fill([passages[i] for i in hits], options.tokens))
            for question, hits in zip(questions, found, strict=True)
        ]
        columns = [interval(column) for column in zip(*scores, strict=True)]
        mean = statistics.mean(c.tokens for _, c in passages)
        print(f"| {strategy} | {size} | {overlap} | {len(passages)} | {mean:.0f} |", " | ".join(columns), end="")
        print(f" | {seconds:.1f} |", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    home = os.environ.get("RAGKIT_DEV_DATA")
    parser.add_argument("--data", type=Path, default=Path(home, "chunking") if home else None, required=not home)
    parser.add_argument("--embedder", type=Path, required=True, help="folder of a prepared embedder")
    parser.add_argument("--dense", action="store_true", help="retrieve with the embedder instead of BM25")
    parser.add_argument("--strategy", action="append", choices=list(STRATEGIES))
    parser.add_argument("--size", action="append", type=int)
    parser.add_argument("--overlap", action="append", type=int)
    parser.add_argument("--tokens", type=int, default=1200, help="tokens of hits a question")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    defaults = ChunkSettings()
    options.strategy = options.strategy or list(STRATEGIES)
    options.size = options.size or [defaults.size_tokens]
    options.overlap = options.overlap or [defaults.overlap_tokens]
    return options


def read_questions(path: Path) -> list[Question]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Question(
                row["question"],
                row["corpus_id"],
                tuple((span["start_index"], span["end_index"]) for span in json.loads(row["references"])),
            )
            for row in csv.DictReader(file)
        ]


def check(questions: Sequence[Question], documents: dict[str, Document]) -> None:
    """Offsets count in the documents' own text."""
    for question in questions:
        text = documents[question.corpus].text
        if any(not text[start:end].strip() for start, end in question.spans):
            sys.exit(f"excerpts of {question.text!r} are not in {question.corpus}")


def bm25(passages: Passages) -> Retriever:
    from rank_bm25 import BM25Okapi

    index = BM25Okapi([analyse(c.indexed) or [""] for _, c in passages])
    return lambda queries, limit: [_best(index.get_scores(analyse(query)), limit) for query in queries]


def dense(passages: Passages, embedder: Embedder) -> Retriever:
    vectors = embedder.embed([c.indexed for _, c in passages])

    def retrieve(queries: Sequence[str], limit: int) -> list[list[int]]:
        return [_best(vectors @ vector, limit) for vector in embedder.embed(queries, "query")]

    return retrieve


def _best(scores: np.ndarray, limit: int) -> list[int]:
    return [int(i) for i in np.argsort(-scores, kind="stable")[:limit]]


def fill(hits: Passages, tokens: int) -> Passages:
    """The first hits that have so many tokens together, and at least one."""
    kept: list[tuple[str, Chunk]] = []
    for hit in hits:
        tokens -= hit[1].tokens
        if tokens < 0 and kept:
            break
        kept.append(hit)
    return kept


def measure(question: Question, hits: Passages) -> tuple[float, float, float]:
    """(recall, precision, IoU) over characters."""
    wanted = {i for span in question.spans for i in range(*span)}
    held: set[int] = set()
    for corpus, hit in hits:
        if corpus == question.corpus:
            held |= wanted.intersection(range(hit.start, hit.end))
    retrieved = sum(hit.end - hit.start for _, hit in hits)
    return len(held) / len(wanted), len(held) / retrieved, len(held) / (retrieved + len(wanted) - len(held))


def interval(values: Sequence[float], rounds: int = 1000) -> str:
    """Mean and half the width of its 95 % bootstrap interval, in percent."""
    draw = random.Random(0)
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(rounds))
    half = (means[round(0.975 * rounds) - 1] - means[round(0.025 * rounds)]) / 2
    return f"{100 * statistics.fmean(values):.1f} ± {100 * half:.1f}"


if __name__ == "__main__":
    main()
