"""Questions to search for: of documentation itself, by rule, and of a reading-comprehension set.

Knows folders, ingested corpora and the ways a question can be made of a passage; knows nothing of hits, models or
losses. Everything is ingested by the product itself, into a store of its own.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ragkit import Engine
from ragkit.errors import UsageError
from ragkit.evaluation.datasets import Dataset, json_lines
from training.questions import of_passage

PAGE_BYTES = 3000
"""Pages that are no larger have next to no text."""
PER_DOCUMENT = 14
"""Questions of one document at most, so that long ones do not crowd out the others."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question, how it was made, and the corpus that it is asked of."""

    text: str
    kind: str
    corpus: str


# ---------------------------------------------------------------- documentation


def named(folders: Iterable[Path]) -> dict[Path, str]:
    """A name of its own for each folder: as much of the end of its path as it takes, or else with a number.

    >>> list(named([Path("/a/html"), Path("/b/html"), Path("/b/git.d")]).values())
    ['a-html', 'b-html', 'git-d']
    """
    paths = list(dict.fromkeys(folder.resolve() for folder in folders))
    names: dict[Path, str] = {}
    for path in paths:
        ends = [_end(path, depth) for depth in range(1, len(path.parts))] or ["root"]
        alone = (end for depth, end in enumerate(ends, 1) if [_end(p, depth) for p in paths].count(end) == 1)
        name, number = next(alone, ends[0]), 1
        while (numbered := name if number == 1 else f"{name}-{number}") in names.values():
            number += 1
        names[path] = numbered
    return names


def _end(path: Path, depth: int) -> str:
    return "-".join(path.parts[1:][-depth:]).replace(".", "-")


def sample_tree(source: Path, target: Path, count: int, seed: int) -> None:
    """Copy `count` HTML files from below `source`, the same for the same seed; nothing when `target` is there.

    Raises UsageError where there are none.
    """
    if target.is_dir():
        return
    files = sorted(path for path in source.rglob("*.html") if path.is_file() and path.stat().st_size > PAGE_BYTES)
    if not files:
        raise UsageError(f"{source} holds no HTML file of more than {PAGE_BYTES} bytes", "name other documentation")
    with _whole(target) as partial:
        for path in random.Random(f"{seed}-{source.name}").sample(files, min(count, len(files))):
            copy = partial / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def documentation_queries(engine: Engine, corpus: str, seed: int) -> Iterator[Query]:
    """Questions of every document: asked by rule, in keywords, reworded; headings; and sentences."""
    rng = random.Random(f"{seed}-{corpus}")
    for document in engine.store.documents(engine.store.current_snapshot(corpus)):
        passages = engine.store.document_passages(document.id)
        found = [
            Query(made.text, made.kind, corpus)
            for passage in passages
            for made in of_passage(passage.chunk, passage.title, rng)
        ]
        rng.shuffle(found)
        yield from found[:PER_DOCUMENT]


# ---------------------------------------------------------------- judged sets


def squad_as_beir(folder: Path, target: Path, articles: int, each: int, seed: int) -> None:
    """Write some articles of a folder of corpus.jsonl and pairs.jsonl, and `each` questions of every one, with
    twice as many other articles, as a set in the BEIR layout; nothing when `target` is there."""
    if target.is_dir():
        return
    rng = random.Random(seed)
    pairs: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(folder / "pairs.jsonl"):
        pairs[_article(row["paragraph_id"])].append(row)
    chosen = sorted(rng.sample(sorted(pairs), min(articles, len(pairs))))
    asked = [row for name in chosen for row in rng.sample(pairs[name], min(each, len(pairs[name])))]
    names = sorted({_article(row["_id"]) for row in _rows(folder / "corpus.jsonl")} - set(chosen))
    kept = {*chosen, *rng.sample(names, min(2 * articles, len(names)))}
    documents = [row for row in _rows(folder / "corpus.jsonl") if _article(row["_id"]) in kept]
    queries = [{"_id": f"q{at}", "text": _spelt(row["question"])} for at, row in enumerate(asked)]
    judged = "".join(f"q{at}\t{row['paragraph_id']}\t1\n" for at, row in enumerate(asked))
    with _whole(target) as partial:
        _write(partial / "corpus.jsonl", documents)
        _write(partial / "queries.jsonl", queries)
        (partial / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")


def judged_queries(dataset: Dataset, corpus: str) -> list[Query]:
    """The questions of a judged set; what is judged is not looked at."""
    return [Query(question.text, dataset.name, corpus) for question in dataset.questions]


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when all of it is there."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    partial.rename(target)


def _article(id: str) -> str:
    return id.partition("#")[0]


def _spelt(question: str) -> str:
    """A tokenised question as it would be typed."""
    return re.sub(r" (?=[?.,;:!%)]|'(?:s|t|re|ve|ll|d|m)\b|n't\b)", "", " ".join(question.split()))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    return (row for _, row in json_lines(path))


def _write(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
