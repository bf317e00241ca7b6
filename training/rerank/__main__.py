"""Train a reranking cross-encoder: one command, resumable.

    python -m training.rerank OUT --docs DIR --docs DIR ... --held-out-docs DIR --squad squad/

OUT should be outside the repository. OUT/store holds what the product ingested, OUT/asked.json with which options its
samples were made, OUT/groups what it found for every question, OUT/checkpoint.pt the model in training: a run that
was stopped goes on from there. OUT/best is the model that did best on the held-out questions, for
`--set rerank.model=path:OUT/best`.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ragkit import Engine, config
from ragkit.errors import UsageError
from ragkit.evaluation import datasets
from ragkit.evaluation.run import prepare_corpus
from ragkit.files import write_whole
from training.base import base_model
from training.command import Pace, run
from training.kinds import some_of_each_kind
from training.rerank.candidates import Group, groups
from training.rerank.data import Query, documentation_queries, judged_queries, named, sample_tree, squad_as_beir

PER_ARTICLE = 100
HELD_OUT = 12
"""One part in so many of the questions about paragraphs says when to stop."""
OF_A_KIND = 40
"""Held-out questions that are looked at, at most."""


def main() -> None:
    """Read the options, ingest, make the questions, search, train."""
    parser = argparse.ArgumentParser(prog="python -m training.rerank", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--docs", type=Path, action="append", default=[], help="a folder of HTML documentation")
    parser.add_argument("--held-out-docs", type=Path, action="append", default=[], help="one that says when to stop")
    parser.add_argument("--squad", type=Path, required=True, help="corpus.jsonl and pairs.jsonl of paragraphs")
    parser.add_argument("--files", type=int, default=80, help="of each folder, at most")
    parser.add_argument("--articles", type=int, default=76, help="of the paragraphs, at most")
    parser.add_argument("--base", default="all-MiniLM-L6-v2", help="the catalogue's name of the model to start from")
    parser.add_argument("--frozen-layers", type=int, default=0, help="of the lowest, left as they are: quicker")
    parser.add_argument("--batch", type=int, default=4, help="questions of a step")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--minutes", type=float, default=60.0, help="of training")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    names = folders(options)
    base = base_model(options.base, config.load().settings.models_directory)
    learned, held_out = gather(options, names)
    if not learned or not held_out:
        missing = "learn from" if not learned else "stop by"
        raise UsageError(f"no question to {missing} is answered by what the search finds", "name more documentation")
    train(options, base, learned, held_out)


def gather(options: argparse.Namespace, names: Mapping[Path, str]) -> tuple[list[Group], list[Group]]:
    """What is learned and what says when to stop."""
    out: Path = options.out
    keep_to(out, options, names)
    (out / "docs").mkdir(exist_ok=True)
    overrides = {"store.directory": str(out / "store"), "threads": options.threads}
    with Engine(config.replace(config.load().settings, overrides), progress=Pace()) as engine:
        learned = _documentation(engine, options.docs, names, options)
        stop = _documentation(engine, options.held_out_docs, names, options)
        squad_as_beir(options.squad, out / "squad", options.articles, PER_ARTICLE, options.seed)
        asked = _judged(engine, out / "squad")
        last = {query.document for query in asked[-(len(asked) // HELD_OUT) :]}
        stop += [query for query in asked if query.document in last]
        learned += [query for query in asked if query.document not in last]
        random.Random(options.seed).shuffle(learned)
        stop = some_of_each_kind(random.Random(options.seed).sample(stop, len(stop)), OF_A_KIND)
        for name, queries in (("training", learned), ("held out", stop)):
            print(f"{name}: {len(queries)} questions,", dict(sorted(Counter(one.kind for one in queries).items())))
        kept = out / "groups"
        return groups(engine, learned, kept, options.seed), groups(engine, stop, kept, options.seed)


def folders(options: argparse.Namespace) -> dict[Path, str]:
    """The folders of documentation, each with a name of its own.

    Raises UsageError for what is not there, and for documentation that is both learned from and held out.
    """
    for option, given in (("--docs", options.docs), ("--held-out-docs", options.held_out_docs)):
        for folder in given:
            if not folder.is_dir():
                raise UsageError(f"{option} {folder} is no folder", "correct the path")
    for name in ("corpus.jsonl", "pairs.jsonl"):
        if not (options.squad / name).is_file():
            raise UsageError(f"--squad {options.squad} holds no {name}", "training/README.md says what it holds")
    for held_out in options.held_out_docs:
        for folder in options.docs:
            one, other = held_out.resolve(), folder.resolve()
            if one.is_relative_to(other) or other.is_relative_to(one):
                reason = f"--held-out-docs {held_out} is learned from, too: --docs {folder}"
                raise UsageError(reason, "hold other documentation out")
    return named([*options.docs, *options.held_out_docs])


def keep_to(out: Path, options: argparse.Namespace, names: Mapping[Path, str]) -> None:
    """Note with which options the samples of a folder are made. Raises UsageError where it was with others."""
    asked = {f"--{name}": getattr(options, name) for name in ("files", "articles", "seed")}
    asked |= {"--squad": str(options.squad.resolve()), **{f"{name} from": str(path) for path, name in names.items()}}
    file = out / "asked.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not known and (out / "docs").is_dir():
        raise UsageError(f"{out} does not tell with which options its samples were made", "name another OUT")
    for option, value in asked.items():
        if known.get(option, value) != value:
            reason = f"{out} was made with {option} {known[option]}, and is asked for with {value}"
            raise UsageError(reason, "name another OUT, or give the option that it was made with")
    write_whole(file, json.dumps({**known, **asked}, indent=1).encode())


def train(options: argparse.Namespace, base: Path, learned: Sequence[Group], held_out: Sequence[Group]) -> None:
    """Until the time is over, or the held-out questions say stop."""
    import torch

    from training.cross_encoder import Recipe, Trainer
    from training.rerank.task import Reranking

    torch.set_num_threads(options.threads)
    recipe = Recipe(
        minutes=options.minutes,
        seed=options.seed,
        batch=options.batch,
        learning_rate=options.learning_rate,
        frozen_layers=options.frozen_layers,
    )
    Trainer(base, options.out, recipe, Reranking(), options.device).train(learned, held_out)
    print(options.out / "best")


def _documentation(
    engine: Engine, given: Sequence[Path], names: Mapping[Path, str], options: argparse.Namespace
) -> list[Query]:
    """Of each folder a sample, ingested, and its questions."""
    found = []
    for folder in dict.fromkeys(path.resolve() for path in given):
        corpus = names[folder]
        sample = options.out / "docs" / corpus
        sample_tree(folder, sample, options.files, options.seed)
        report = engine.ingest([sample], corpus=corpus)
        queries = list(documentation_queries(engine, corpus, options.seed))
        print(f"{corpus}: snapshot {report.snapshot}, {len(queries)} questions", flush=True)
        found += queries
    return found


def _judged(engine: Engine, folder: Path) -> list[Query]:
    dataset = datasets.load(folder)
    return list(judged_queries(engine, dataset, prepare_corpus(engine, dataset)))


if __name__ == "__main__":
    run(main)
