"""Train a small cross-encoder to say what a large one says: one command, resumable.

    python -m training.rerank OUT --docs DIR --docs DIR ... --held-out-docs DIR --squad squad/

OUT should be outside the repository. OUT/store holds what the product ingested, OUT/asked.json with which options its
samples were made, OUT/lessons what it found for every question and what the teacher says of it, OUT/student the model
that training begins with, OUT/checkpoint.pt the model in training: a run that was stopped goes on from there.
OUT/best is the model that did best on the held-out questions, for `--set rerank.model=path:OUT/best`.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ragkit import Engine, config
from ragkit.cross_encoder import open_cross_encoder
from ragkit.errors import UsageError
from ragkit.evaluation import datasets
from ragkit.evaluation.run import prepare_corpus
from ragkit.files import write_whole
from ragkit.models import resolve
from ragkit.models.prepare import prepare
from training.base import base_model
from training.command import Pace, run
from training.kinds import some_of_each_kind
from training.rerank.data import Query, documentation_queries, judged_queries, named, sample_tree, squad_as_beir
from training.rerank.lessons import Lesson, lessons
from training.rerank.student import make_student

PER_ARTICLE = 200
HELD_OUT = 40
"""One part in so many of the questions about paragraphs says which model is best."""
OF_A_KIND = 80
"""Held-out questions that are looked at, at most."""


def main() -> None:
    """Read the options, ingest, make the questions, search, have the teacher read, train."""
    parser = argparse.ArgumentParser(prog="python -m training.rerank", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--docs", type=Path, action="append", default=[], help="a folder of HTML documentation")
    parser.add_argument(
        "--held-out-docs", type=Path, action="append", default=[], help="one that says which model is best"
    )
    parser.add_argument("--squad", type=Path, required=True, help="corpus.jsonl and pairs.jsonl of paragraphs")
    parser.add_argument("--files", type=int, default=80, help="of each folder, at most")
    parser.add_argument("--articles", type=int, default=76, help="of the paragraphs, at most")
    parser.add_argument("--teacher", default="ms-marco-MiniLM-L12-v2", help="the catalogue's name of a reranker")
    parser.add_argument("--base", default="all-MiniLM-L6-v2", help="the model whose word embeddings are kept")
    parser.add_argument("--layers", type=int, default=6, help="of the teacher, at equal distances")
    parser.add_argument("--batch", type=int, default=8, help="questions of a step")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--minutes", type=float, default=60.0, help="of training")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bfloat16", action="store_true", help="where the processor has instructions for it")
    options = parser.parse_args()
    names = folders(options)
    models = config.load().settings.models_directory
    base, teacher = base_model(options.base, models), resolve.local(options.teacher, models)
    if teacher is None:
        raise UsageError(f"{options.teacher} is not here", f"run `ragkit models pull {options.teacher}`")
    learned, held_out = gather(options, names)
    if not learned or not held_out:
        missing = "learn from" if not learned else "choose by"
        raise UsageError(f"no question to {missing} finds two passages", "name more documentation")
    if not (options.out / "student").is_dir():
        make_student(teacher.directory, base, options.layers, options.out / "student")
    train(options, learned, held_out)


def gather(options: argparse.Namespace, names: Mapping[Path, str]) -> tuple[list[Lesson], list[Lesson]]:
    """What is learned and what says which model is best."""
    out: Path = options.out
    keep_to(out, options, names)
    (out / "docs").mkdir(exist_ok=True)
    # The candidates are those that a reranker is given, so the sentences have had their say.
    overrides = {"store.directory": str(out / "store"), "threads": options.threads, "rerank.model": "sentences"}
    with Engine(config.replace(config.load().settings, overrides), progress=Pace()) as engine:
        learned = _documentation(engine, options.docs, names, options)
        stop = _documentation(engine, options.held_out_docs, names, options)
        squad_as_beir(options.squad, out / "squad", options.articles, PER_ARTICLE, options.seed)
        dataset = datasets.load(out / "squad")
        asked = judged_queries(dataset, prepare_corpus(engine, dataset))
        stop += asked[-(len(asked) // HELD_OUT) :]
        learned += asked[: -(len(asked) // HELD_OUT)]
        random.Random(options.seed).shuffle(learned)
        stop = some_of_each_kind(random.Random(options.seed).sample(stop, len(stop)), OF_A_KIND)
        for name, queries in (("training", learned), ("held out", stop)):
            print(f"{name}: {len(queries)} questions,", dict(sorted(Counter(one.kind for one in queries).items())))
        prepared = prepare(options.teacher, "reranker", engine.settings.models_directory, threads=options.threads)
        teacher = open_cross_encoder(prepared.path, "reranker", options.threads)
        kept = out / "lessons"
        held_out = lessons(engine, teacher, stop, kept, options.seed)
        return lessons(engine, teacher, learned, kept, options.seed), held_out


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


def train(options: argparse.Namespace, learned: Sequence[Lesson], held_out: Sequence[Lesson]) -> None:
    """Until the time is over."""
    import torch

    from training.cross_encoder import Recipe, Trainer
    from training.rerank.task import Learning

    torch.set_num_threads(options.threads)
    recipe = Recipe(
        minutes=options.minutes,
        seed=options.seed,
        batch=options.batch,
        learning_rate=options.learning_rate,
        bfloat16=options.bfloat16,
    )
    Trainer(options.out / "student", options.out, recipe, Learning(), options.device).train(learned, held_out)
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


if __name__ == "__main__":
    run(main)
