"""Make JSONL files of judged answers out of two published collections, for `ragkit eval agreement`.

NQ301 (Kamalloo et al., "Evaluating open-domain question answering in the era of large language models", ACL 2023):
answers of many models to 301 questions of Natural Questions, each found right or wrong by people; the gold answers
stand in the file of the automatic judge. RAGChecker's meta-evaluation (Ru et al., 2024): 280 pairs of answers, each
compared by two people on a scale from -2 (the first is much better) to 2; their mean is turned round, so that
above 0 the first is better.

    python -m eval.collections.correctness SOURCE DIR
    ragkit eval agreement DIR/nq301.jsonl DIR/ragchecker_overall.jsonl

SOURCE holds NQ301_human.tsv, NQ301_BEM.tsv and ragchecker_human.json. DIR should be outside the repository.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

JUDGEMENTS = ("overall", "correctness", "completeness")


def nq301(human: Iterable[Mapping[str, str]], gold: Iterable[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """An item for each answer that people judged, with every gold answer; the few without gold are left out."""
    answers = {row["Question"]: [one.strip() for one in row["Gold answers"].split("|")] for row in gold}
    for row in human:
        if row["Question"] in answers:
            yield {
                "question": row["Question"],
                "reference": answers[row["Question"]],
                "answer": row["Model answer"],
                "label": int(row["Acceptable?"] == "Yes"),
            }


def ragchecker(rows: Iterable[Mapping[str, Any]], judgement: str) -> Iterator[dict[str, Any]]:
    """An item for each pair, its label the mean of its two judges."""
    pairs: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (row["query"], row["model1"]["model_name"], row["model2"]["model_name"])
        pairs.setdefault(key, []).append(row)
    for judged in pairs.values():
        row = judged[0]
        yield {
            "question": row["query"],
            "reference": row["gt_answer"],
            "answer": row["model1"]["response"],
            "other": row["model2"]["response"],
            "label": -fmean(one[f"{judgement}_label"] for one in judged),
        }


def main() -> None:
    """Read the two collections and write a file for each kind of judgement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    given = parser.parse_args()
    given.target.mkdir(parents=True, exist_ok=True)
    files = {"nq301": list(nq301(_table(given.source / "NQ301_human.tsv"), _table(given.source / "NQ301_BEM.tsv")))}
    rows = json.loads((given.source / "ragchecker_human.json").read_text(encoding="utf-8"))
    files |= {f"ragchecker_{judgement}": list(ragchecker(rows, judgement)) for judgement in JUDGEMENTS}
    for name, items in files.items():
        file = given.target / f"{name}.jsonl"
        file.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")
        print(f"{file}: {len(items)} items")


def _table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


if __name__ == "__main__":
    main()
