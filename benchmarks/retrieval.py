"""Compare dense, lexical and hybrid retrieval on labelled collections, and write the table of docs/retrieval.md.

Everything is done through the public API, as a user would: collections are ingested into a store of their own
(once; a second run only searches), every question is searched in every mode, intervals are bootstrapped.

    python benchmarks/retrieval.py --data DIR                 all collections below DIR, table on stdout
    python benchmarks/retrieval.py --data DIR --set cacm      one of them
    python benchmarks/retrieval.py --data DIR --write         also rewrite the table in docs/retrieval.md

DIR holds retrieval/NAME in BEIR layout and docs/NAME with docs/ and questions.jsonl. RAGKIT_DEV_DATA may name it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from ragkit import Engine, Settings, config
from ragkit.choices import Mode
from ragkit.evaluation import datasets, metrics, run
from ragkit.evaluation.datasets import Dataset
from ragkit.evaluation.report import Report

if __package__:  # imported by an experiment, not run
    from benchmarks.floor import PlainFusion
else:
    from floor import PlainFusion

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "retrieval.md"
BEGIN, END = "<!-- measured: benchmarks/retrieval.py -->", "<!-- end of measured -->"

SETS = (
    "retrieval/fiqa",
    "retrieval/clapnq",
    "retrieval/scifact-train",
    "retrieval/cacm",
    "retrieval/cisi",
    "docs/rhdh",
    "docs/kubernetes",
    "docs/single-topic",
)
PLAIN = {"rerank.model": "none"}
VARIANTS: Mapping[str, tuple[Mode, Mapping[str, object]]] = {
    "BM25": ("lexical", PLAIN),
    "dense": ("dense", {**PLAIN, "retrieve.document_share": 0.0}),  # passages alone
    "rank fusion": ("hybrid", {**PLAIN, "retrieve.fusion": "rrf"}),
    "not reranked": ("hybrid", PLAIN),
    "sentences": ("hybrid", {"rerank.model": "sentences"}),
    "default": ("hybrid", {}),
}
FLOOR = "floor"
"""Plain rank fusion of texts without headings: see floor.py."""
COLUMNS = (FLOOR, *VARIANTS)
MAIN = "nDCG@10"
NAMES = (MAIN, "Recall@5", "Recall@10", "MRR@10")

Scores = Mapping[str, Mapping[str, Report]]
"""Set, then variant, to its report."""


def main() -> None:
    options = arguments()
    settings = config.replace(config.load().settings, {"store.directory": str(options.store)})
    reports: dict[str, dict[str, Report]] = {}
    for name in options.sets or SETS:
        if not (options.data / name).is_dir():
            print(f"{name}: not there, left out", file=sys.stderr)
            continue
        dataset = datasets.load(options.data / name)
        began = time.perf_counter()
        corpus = ingest(settings, options.data / name, dataset)
        print(f"{name}: {corpus} ready after {time.perf_counter() - began:.0f} s", file=sys.stderr)
        reports[dataset.name] = compare(settings, dataset, corpus)
    if not reports:
        sys.exit(f"no collection below {options.data}; give --data DIR or set RAGKIT_DEV_DATA")
    page = "\n".join(tables(reports))
    print(page)
    if options.json:
        options.json.write_text(json.dumps(figures(reports), indent=2) + "\n", encoding="utf-8")
    if options.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{page}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    data = os.environ.get("RAGKIT_DEV_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(data), help="folder of the collections")
    parser.add_argument(
        "--set", dest="sets", action="append", metavar="NAME", help="such as retrieval/cacm; repeatable"
    )
    parser.add_argument("--store", type=Path, default=config.home() / "benchmarks", help="folder of the indexes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--write", action="store_true", help="rewrite the table in docs/retrieval.md")
    return parser.parse_args()


def ingest(settings: Settings, folder: Path, dataset: Dataset) -> str:
    """The corpus that the dataset's questions are asked of; quick when it is there already."""
    with Engine(settings, progress=say) as engine:
        if dataset.corpus_file is not None:
            return run.prepare_corpus(engine, dataset)
        engine.ingest([folder / "docs"], corpus=dataset.name)
        return dataset.name


def compare(settings: Settings, dataset: Dataset, corpus: str) -> dict[str, Report]:
    """The dataset searched in every variant."""
    found = {}
    with Engine(settings) as engine:
        plain = cast("Engine", PlainFusion(engine, corpus))
        tell(FLOOR, run.run_retrieval(plain, dataset, corpus=corpus, names=NAMES, checked=False), found)
    for variant, (mode, overrides) in VARIANTS.items():
        with Engine(config.replace(settings, overrides)) as engine:
            tell(variant, run.run_retrieval(engine, dataset, corpus=corpus, mode=mode, names=NAMES), found)
    return found


def tell(variant: str, report: Report, found: dict[str, Report]) -> None:
    found[variant] = report
    print(f"  {variant:12} {MAIN} {report.metrics[MAIN]}  {report.seconds['p50'] * 1000:.0f} ms", file=sys.stderr)


# ---------------------------------------------------------------- tables


def tables(reports: Scores) -> Iterator[str]:
    """Markdown: the main metric of every variant, the gain over the better single one, and the default in full."""
    yield f"{MAIN} of each way to search, with 95 % bootstrap intervals over the questions:"
    yield ""
    yield from table(["collection", "n", *COLUMNS], [*by_set(reports), averages(reports)])
    yield ""
    yield f"{MAIN} of the default minus that of the better of BM25 and dense, question by question:"
    yield ""
    yield from table(["collection", "better single one", "difference", "p"], gains(reports))
    yield ""
    yield f"{MAIN} of the default minus that of the floor, and of rank fusion with all that ragkit indexes:"
    yield ""
    yield from table(["collection", "over the floor", "p", "over rank fusion", "p"], over_fusion(reports))
    yield ""
    yield "The default in full:"
    yield ""
    yield from table(["collection", "level", *NAMES], in_full(reports))
    yield ""
    yield f"Measured on {machine()}."


def by_set(reports: Scores) -> Iterator[list[str]]:
    for name, variants in reports.items():
        cells = [spell(report.metrics[MAIN]) for report in variants.values()]
        yield [name, str(variants["default"].metrics[MAIN].n), *cells]


def averages(reports: Scores) -> list[str]:
    cells = [spell(average(reports, variant, MAIN)) for variant in COLUMNS]
    return ["**average**", str(sum(v["default"].metrics[MAIN].n for v in reports.values())), *cells]


def average(reports: Scores, variant: str, name: str) -> metrics.Interval:
    return metrics.average([list(scores(variants[variant], name).values()) for variants in reports.values()])


def gains(reports: Scores) -> Iterator[list[str]]:
    for name, variants in reports.items():
        best = max(("BM25", "dense"), key=lambda single: variants[single].metrics[MAIN].mean)
        gain = metrics.paired_bootstrap(scores(variants["default"], MAIN), scores(variants[best], MAIN))
        yield [name, best, spell(gain.interval, signed=True), f"{gain.p:.3f}"]


def over_fusion(reports: Scores) -> Iterator[list[str]]:
    for name, variants in reports.items():
        cells = []
        for other in (FLOOR, "rank fusion"):
            gain = metrics.paired_bootstrap(scores(variants["default"], MAIN), scores(variants[other], MAIN))
            cells += [spell(gain.interval, signed=True), f"{gain.p:.3f}"]
        yield [name, *cells]


def in_full(reports: Scores) -> Iterator[list[str]]:
    for name, variants in reports.items():
        report = variants["default"]
        found = report.metrics
        cells = [f"{found[metric].mean:.3f}" for metric in NAMES]
        yield [name, str(report.about["level"]), *cells]
    cells = [f"{average(reports, 'default', metric).mean:.3f}" for metric in NAMES]
    yield ["**average**", "", *cells]


def scores(report: Report, name: str) -> dict[str, float]:
    return {scored.id: scored.scores[name] for scored in report.questions}


def spell(interval: metrics.Interval, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{interval.mean:{sign}.3f} ({interval.low:{sign}.3f} to {interval.high:{sign}.3f})"


def table(header: Sequence[str], rows: Iterator[list[str]] | Sequence[list[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|---" * len(header) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def figures(reports: Scores) -> dict[str, object]:
    """Every mean with its interval, and the scores of every question: what a later run is compared with."""
    return {
        name: {
            variant: {
                "metrics": {key: [i.mean, i.low, i.high, i.n] for key, i in report.metrics.items()},
                "questions": {scored.id: scored.scores[MAIN] for scored in report.questions},
            }
            for variant, report in variants.items()
        }
        for name, variants in reports.items()
    }


def machine() -> str:
    """The processor's name and the cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{name or platform.processor() or platform.machine()}, {Settings().thread_count} cores"


def say(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{what} {done}/{total} ", end="" if done < total else "\n", file=sys.stderr)


if __name__ == "__main__":
    main()
