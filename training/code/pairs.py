"""What is learned from: what docstrings say with the code that does it, and questions that no code answers.

Knows folders, the product's loaders and its chunking; knows nothing of models or losses. Passages are cut and written
out exactly as an ingest does it, but nothing is embedded or stored.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

from eval.collections import code
from ragkit.chunking import chunk
from ragkit.config import ChunkSettings
from ragkit.domain import Chunk
from ragkit.embed import symbol_name
from ragkit.errors import RagkitError
from ragkit.loaders import load
from ragkit.roles import Tokenizer
from training.questions import of_passage

WINDOW = 254
"""Tokens of a passage, special ones excluded."""
LONGEST = 400_000
"""Characters above which a file is data."""
PER_PACKAGE = 3000
"""Questions about one package at most."""
PER_PAGE = 14
"""Questions of one page of documentation at most."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and the passage of code that answers it, as it is embedded. Pairs of one `group`, a package, are
    each other's wrong answers; `place` is the file. `name` is the symbol's in plain words, as `embed.with_names`
    takes it."""

    query: str
    text: str
    kind: str
    group: str
    place: str
    name: str


def code_pairs(package: Path, tokenizer: Tokenizer, seed: int) -> list[Pair]:
    """First sentences of docstrings, each with its class or function, from which the docstring is gone; no sentence
    twice."""
    found: list[Pair] = []
    said: set[str] = set()
    for path in sorted(package.rglob("*.py")):
        place = f"{package.name}/{path.relative_to(package).as_posix()}"
        if code.LEFT_OUT.search(place):
            continue
        text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
        if len(text) > LONGEST or code.parsed(text) is None:
            continue
        stripped, targets = code.strip(text, place, package.name)
        asked = [target for target in targets if target.question]
        _, chunks = _cut(stripped.encode(), place, tokenizer) if asked else ("", [])
        for target in asked:
            key = re.sub(r"\W+", " ", target.question.casefold())
            passage = next((one for one in chunks if _begins(one, target)), None)
            if key in said or passage is None:
                continue
            said.add(key)
            question = target.question[0].upper() + target.question[1:]
            name = symbol_name(passage)
            found.append(Pair(question, passage.indexed, target.kind, package.name, place, name))
    kept = sorted(random.Random(seed).sample(range(len(found)), min(PER_PACKAGE, len(found))))
    return [found[at] for at in kept]


def documentation_questions(folder: Path, tokenizer: Tokenizer, seed: int, files: int) -> list[str]:
    """Of a sample of HTML pages: what is asked by rule, in keywords, reworded; headings; and sentences."""
    rng = random.Random(f"{seed}-{folder.name}")
    pages = sorted(path for path in folder.rglob("*.html") if path.is_file() and path.stat().st_size > 3000)
    found: list[str] = []
    for path in rng.sample(pages, min(files, len(pages))):
        place = path.relative_to(folder).as_posix()
        title, chunks = _cut(path.read_bytes(), place, tokenizer)
        made = [question.text for one in chunks for question in of_passage(one, title, rng)]
        rng.shuffle(made)
        found += made[:PER_PAGE]
    return found


def _cut(data: bytes, place: str, tokenizer: Tokenizer) -> tuple[str, list[Chunk]]:
    """The title and the chunks of a file; none of one that cannot be read."""
    try:
        document = load(data, place)
    except RagkitError:
        return "", []
    return document.title, chunk(document, tokenizer, ChunkSettings(), WINDOW)


def _begins(one: Chunk, target: code.Target) -> bool:
    """Whether a definition begins in this chunk."""
    first = target.source.strip().split("\n", 1)[0]
    return bool(one.heading) and one.heading[-1] == target.name and first in one.text
