"""Runs as TREC writes them, `query Q0 document rank score tag`: of any system, scored; of ours, written.

Knows the form, gold and metrics; knows nothing of engines. Documents are ranked, never passages: a run has no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ragkit.errors import DatasetError
from ragkit.evaluation import metrics, rankings
from ragkit.evaluation.datasets import Dataset, Gold, text_of
from ragkit.evaluation.rankings import Ranking
from ragkit.evaluation.report import Report
from ragkit.files import write_whole

SHOWN = 10
"""Documents of a question that a report names."""
_LOCATION = re.compile(r":(?:L|p|cell|¶)\d+(?:-(?:L|p|cell|¶)\d+)?$")


def read_run(path: Path) -> dict[str, list[str]]:
    """The documents of each query, best score first; those with the same score in the order of their ranks.

    `%20` in a document stands for a blank. Raises DatasetError naming the file and line.
    """
    rows: dict[str, list[tuple[float, int, str]]] = {}
    for number, line in enumerate(text_of(path).splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            query, _, document, rank, score = fields[:5]
            rows.setdefault(query, []).append((-float(score), int(rank), document.replace("%20", " ")))
        except ValueError as error:
            shown = f"{path}:{number}: not `query Q0 document rank score tag`: {line[:60]!r}"
            raise DatasetError(shown) from error
    if not rows:
        raise DatasetError(f"{path} has no rankings")
    return {query: list(dict.fromkeys(one[2] for one in sorted(found))) for query, found in rows.items()}


def score_run(
    run: Mapping[str, Sequence[str]], dataset: Dataset, *, name: str, names: Sequence[str] = metrics.RETRIEVAL
) -> Report:
    """Every question with gold, scored by the run's ranking of documents; one that the run leaves out scores 0.

    Raises DatasetError when the run ranks none of the questions.
    """
    judged = [question for question in dataset.questions if any(gold.path for gold in question.relevant)]
    if not any(question.id in run for question in judged):
        raise DatasetError(
            f"run {name} has no ranking of any question of {dataset.name}", "its queries are named by their ids"
        )
    golds = {question.id: [gold for gold in question.relevant if gold.path] for question in judged}
    missing = sum(question.id not in run for question in judged)
    return rankings.score(
        dataset,
        {id: rankings.grades(relevant, "document") for id, relevant in golds.items()},
        {id: _ranking(run.get(id, ()), relevant) for id, relevant in golds.items()},
        names,
        about={"run": name, "level": "document"},
        notices=(f"the run leaves out {missing} of {len(judged)} questions, which score 0",) if missing else (),
    )


def _ranking(documents: Sequence[str], golds: Sequence[Gold]) -> Ranking:
    paths = [gold.path for gold in golds]
    units = dict.fromkeys(rankings.document([one], paths) for one in documents)
    return Ranking(tuple(units), tuple(documents[:SHOWN]))


def write_run(path: Path, report: Path) -> int:
    """Write the rankings of a retrieval report (JSON) as a run; returns the number of its queries.

    A document stands where its best passage does. Raises DatasetError for a file that is no such report.
    """
    try:
        data = json.loads(text_of(report))
        rows = [(str(row["id"]), [_LOCATION.sub("", hit) for hit in row["hits"]]) for row in data["questions"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{report} is no report of retrieval", "`ragkit eval retrieval --out FILE` writes one"
        ) from error
    lines = [
        f"{query} Q0 {document.replace(' ', '%20')} {rank} {1 / rank:.6f} ragkit\n"
        for query, hits in rows
        for rank, document in enumerate(dict.fromkeys(hits), 1)
    ]
    write_whole(path, "".join(lines).encode("utf-8"))
    return len(rows)
