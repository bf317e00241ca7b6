"""Measure spelling correction: on queries as they are, and with one letter changed; written up in eval/LOG.md.

One word of each query, of four letters or more, has a letter added, left out, replaced or swapped, the same one on
every run. Uses the store that benchmarks/retrieval.py filled.

    python -m eval.experiments.spelling --data DIR [--set NAME]
"""

from __future__ import annotations

import dataclasses
import random
import re
import sys

from benchmarks.retrieval import SETS, arguments, ingest
from ragkit import Engine, Settings, config
from ragkit.evaluation import datasets, metrics, run
from ragkit.evaluation.datasets import Dataset
from ragkit.text import analyse

MAIN = "nDCG@10"
SEED = 7
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD = re.compile(r"(?<![\w./:@#+'-])(?:[A-Z]?[a-z]{4,})(?![\w/@#+]|[.:'-]\w)")


def main() -> None:
    """Print two rows for each set: as written, and with one letter changed."""
    options = arguments()
    settings = config.replace(config.load().settings, {"store.directory": str(options.store)})
    print("| set | queries | changed by correction | as meant | without | with | difference | better, worse |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.sets or SETS:
        dataset = datasets.load(options.data / name)
        corpus = ingest(settings, options.data / name, dataset)
        print(row(settings, dataset, dataset, corpus, "as written"))
        print(row(settings, dataset, misspelt(dataset), corpus, "one letter changed"), flush=True)


def row(settings: Settings, original: Dataset, asked: Dataset, corpus: str, label: str) -> str:
    """One line of the table."""
    scores = []
    for spelling in (False, True):
        with Engine(config.replace(settings, {"retrieve.spelling": spelling})) as engine:
            report = run.run_retrieval(engine, asked, corpus=corpus, names=(MAIN,))
        scores.append({one.id: one.scores[MAIN] for one in report.questions})
    without, with_ = scores
    found = metrics.paired_bootstrap(with_, without).interval
    changed, meant = corrections(settings, original, asked, corpus)
    better = sum(with_[id] > without[id] for id in without)
    worse = sum(with_[id] < without[id] for id in without)
    means = [sum(one.values()) / len(one) for one in scores]
    cells = [
        f"{asked.name}, {label}",
        str(len(asked.questions)),
        str(changed),
        "-" if original is asked else str(meant),
        *(f"{mean:.4f}" for mean in means),
        f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})",
        f"{better}, {worse}",
    ]
    return f"| {' | '.join(cells)} |"


def corrections(settings: Settings, original: Dataset, asked: Dataset, corpus: str) -> tuple[int, int]:
    """How many queries were corrected, and how many of those to the terms of the original."""
    changed = meant = 0
    with Engine(settings) as engine:
        for before, question in zip(original.questions, asked.questions, strict=True):
            understood = engine.search(question.text, corpus=corpus, mode="lexical", limit=1).understood
            if understood is not None and understood.corrections:
                changed += 1
                meant += sorted(analyse(understood.text)) == sorted(analyse(before.text))
    return changed, meant


def misspelt(dataset: Dataset) -> Dataset:
    """The dataset with one letter of each question changed."""
    chance = random.Random(SEED)
    questions = [dataclasses.replace(one, text=with_slip(one.text, chance)) for one in dataset.questions]
    return dataclasses.replace(dataset, questions=tuple(questions))


def with_slip(text: str, chance: random.Random) -> str:
    """The text with one letter of one word that is no stop word changed; as it is when it has none."""
    words = [match for match in _WORD.finditer(text) if analyse(match.group())]
    if not words:
        return text
    match = chance.choice(words)
    word = match.group()
    while (slip := slipped(word, chance)) == word:
        pass
    return text[: match.start()] + slip + text[match.end() :]


def slipped(word: str, chance: random.Random) -> str:
    """The word with a letter added, left out, replaced or swapped with the next."""
    at = chance.randrange(len(word) - 1)
    letter = chance.choice(LETTERS)
    return chance.choice(
        [
            word[:at] + letter + word[at:],
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
