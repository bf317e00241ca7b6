"""Measure hybrid, dense and lexical search on labelled questions: `python examples/evaluate.py docs questions.jsonl`.

docs/evaluation.md describes the questions file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ragkit import Engine
from ragkit.choices import Mode
from ragkit.evaluation import datasets, run
from ragkit.evaluation.report import Report

MODES: tuple[Mode, ...] = ("hybrid", "dense", "lexical")


def compare(engine: Engine, folder: str, questions: str) -> dict[Mode, Report]:
    """One report for each mode, over the same corpus and the same questions."""
    corpus = engine.ingest([folder]).corpus
    dataset = datasets.load(Path(questions))
    return {mode: run.run_retrieval(engine, dataset, corpus=corpus, mode=mode) for mode in MODES}


def main(folder: str, questions: str) -> None:
    with Engine() as engine:
        for mode, report in compare(engine, folder, questions).items():
            print(f"{mode:8} nDCG@10 {report.metrics['nDCG@10']}   Recall@5 {report.metrics['Recall@5']}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
