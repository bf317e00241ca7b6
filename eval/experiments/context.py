"""Measure what stands in front of a chunk when it is indexed: each part left out, each part added (eval/LOG.md).

Every variant is a corpus of its own in one store, so texts that two variants share are embedded once.

    python -m eval.experiments.context --data DIR --store OUT [--set docs/rhdh] [--variant NAME]
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from eval.experiments.expansion import row
from ragkit import Engine, config
from ragkit.chunking import cutter
from ragkit.domain import Document
from ragkit.evaluation import datasets, run

SETS = ("docs/rhdh", "docs/single-topic", "docs/kubernetes")
MAIN = "nDCG@10"
SENTENCE = 160
"""Characters of a document's first sentence."""
Words = Callable[[Document, tuple[str, ...]], tuple[str, tuple[str, ...]]]


def path_words(path: str) -> str:
    """The words of a path, its suffix left out."""
    return " ".join(re.findall(r"[A-Za-z]{2,}", str(PurePosixPath(path).with_suffix(""))))


def opening(document: Document) -> str:
    """The document's first words of prose."""
    block = next((one for one in document.blocks if one.kind == "paragraph" and one.end - one.start > 40), None)
    return " ".join(document.text[block.start : block.end].split())[:SENTENCE] if block else ""


_ORIGINAL = cutter.Cutter.context

VARIANTS: dict[str, Words] = {
    "title and headings": lambda document, heading: (document.title, heading),
    "neither": lambda _, __: ("", ()),
    "title alone": lambda document, _: (document.title, ()),
    "headings alone": lambda _, heading: ("", heading),
    "last heading alone": lambda _, heading: ("", heading[-1:]),
    "and path": lambda document, heading: (f"{path_words(document.path)}: {document.title}", heading),
    "and first words": lambda document, heading: (document.title, (*heading, opening(document))),
}


def main() -> None:
    """Print a row for each set and variant: the difference to title and headings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAGKIT_DEV_DATA", "../shared/data")))
    parser.add_argument("--set", dest="sets", action="append", metavar="NAME")
    parser.add_argument("--variant", dest="variants", action="append", metavar="NAME", choices=list(VARIANTS))
    parser.add_argument("--store", type=Path, default=config.home() / "experiments", help="folder of the indexes")
    options = parser.parse_args()
    settings = config.replace(config.load().settings, {"store.directory": str(options.store)})
    print("| set | n | variant | as it is | with | difference | changed: better, worse | ms a query |")
    print("|---|---|---|---|---|---|---|---|")
    base, *others = VARIANTS
    for name in options.sets or SETS:
        dataset = datasets.load(options.data / name)
        scores = {}
        for variant in (base, *(options.variants or others)):
            cutter.Cutter.context = _context(VARIANTS[variant])  # type: ignore[method-assign]
            corpus = re.sub(r"[^a-z]+", "-", f"{dataset.name} {variant}")
            with Engine(settings) as engine:
                engine.ingest([options.data / name / "docs"], corpus=corpus, rebuild=True)
                report = run.run_retrieval(engine, dataset, corpus=corpus, names=(MAIN,))
            scores[variant] = {one.id: one.scores[MAIN] for one in report.questions}
            if variant != base:
                print(row(dataset.name, variant, scores[variant], scores[base], report.seconds["p50"]), flush=True)


def _context(words: Words) -> Callable[..., tuple[str, int]]:
    """`Cutter.context` with other words; code keeps its own."""

    def context(self: cutter.Cutter, heading: tuple[str, ...], own: tuple[str, ...] = ()) -> tuple[str, int]:
        title, path = words(self.document, heading)
        return _ORIGINAL(self, heading, own or (title, *path))

    return context


if __name__ == "__main__":
    sys.exit(main())
