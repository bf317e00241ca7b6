"""Train the embedder of source code: one command, resumable.

    python -m training.code OUT --packages DIR --held-out-packages DIR --docs DIR --docs DIR ...

OUT should be outside the repository. OUT/*.jsonl hold what is learned from, OUT/checkpoint.pt the model in training:
a run that was stopped goes on from there. OUT/at-STEP is the model at each check, for
`--set embed.code_model=path:OUT/at-STEP`.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ragkit import config
from ragkit.encoder import TextTokenizer
from ragkit.files import write_whole
from training.base import base_model
from training.code.pairs import WINDOW, Pair, code_pairs, documentation_questions
from training.command import run

HELD_OUT = 300
"""Held-out pairs of a package that are looked at, at most."""
STRANGERS = 6000
"""Questions that no code answers, at most."""


def main() -> None:
    """Read the options, make the pairs, train."""
    parser = argparse.ArgumentParser(prog="python -m training.code", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--packages", type=Path, required=True, help="a folder with a folder for each Python package")
    parser.add_argument("--held-out-packages", type=Path, required=True, help="the same, only measured")
    parser.add_argument("--docs", type=Path, action="append", required=True, help="a folder of HTML documentation")
    parser.add_argument("--files", type=int, default=150, help="of each folder of documentation, at most")
    parser.add_argument("--base", default="all-MiniLM-L6-v2", help="the catalogue's name of the model to start from")
    parser.add_argument("--minutes", type=float, default=27.0, help="of training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    base = base_model(options.base, config.load().settings.models_directory)
    tokenizer = TextTokenizer(base / "tokenizer.json", WINDOW + 2)
    learned = _code(options.out, options.packages, tokenizer, options.seed)
    held_out = _some_of_each_package(
        _code(options.out, options.held_out_packages, tokenizer, options.seed), options.seed
    )
    strangers = [
        question
        for folder in options.docs
        for question in _kept(
            options.out / f"docs-{folder.name}.jsonl",
            lambda folder=folder: documentation_questions(folder, tokenizer, options.seed, options.files),
        )
    ]
    print(f"training: {len(learned)} pairs, held out: {len(held_out)}, questions of documentation: {len(strangers)}")
    train(options, base, learned, held_out, strangers[:STRANGERS])


def train(
    options: argparse.Namespace, base: Path, learned: list[Pair], held_out: list[Pair], strangers: list[str]
) -> None:
    """Until the time is over."""
    import torch

    from training.code.trainer import Recipe, Trainer

    torch.set_num_threads(options.threads)
    Trainer(base, options.out, Recipe(options.minutes, options.seed)).train(learned, held_out, strangers)


def _code(out: Path, folder: Path, tokenizer: TextTokenizer, seed: int) -> list[Pair]:
    """What the packages of a folder say."""
    return [
        Pair(**row)
        for package in sorted(path for path in folder.iterdir() if path.is_dir())
        for row in _kept(
            out / f"code-{package.name}.jsonl",
            lambda package=package: [asdict(pair) for pair in code_pairs(package, tokenizer, seed)],
        )
    ]


def _kept(path: Path, make: Callable[[], list[Any]]) -> list[Any]:
    """What `make` gave when the file was first asked for."""
    if not path.is_file():
        write_whole(path, "".join(f"{json.dumps(one)}\n" for one in make()).encode())
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    print(f"{path.stem}: {len(found)}", flush=True)
    return found


def _some_of_each_package(pairs: list[Pair], seed: int) -> list[Pair]:
    packages: dict[str, list[Pair]] = {}
    for pair in pairs:
        packages.setdefault(pair.group, []).append(pair)
    rng = random.Random(seed)
    return [pair for found in packages.values() for pair in rng.sample(found, min(HELD_OUT, len(found)))]


if __name__ == "__main__":
    run(main)
