"""What is learned from: what docstrings say with the code that does it, and questions that no code answers.

Knows folders, the product's loaders and its chunking; knows nothing of models or losses. Passages are cut and written
out exactly as an ingest does it, but nothing is embedded or stored.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eval.collections import code
from ragkit.chunking import chunk
from ragkit.config import ChunkSettings
from ragkit.domain import Chunk
from ragkit.errors import RagkitError
from ragkit.evaluation.passages import View, plain
from ragkit.evaluation.patterns import facts
from ragkit.evaluation.phrasing import keywords, reworded
from ragkit.loaders import load
from ragkit.roles import Tokenizer
from ragkit.units import contents

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
        chunks = _chunks(stripped.encode(), place, tokenizer) if asked else []
        for target in asked:
            key = re.sub(r"\W+", " ", target.question.casefold())
            passage = next((one for one in chunks if _begins(one, target)), None)
            if key in said or passage is None:
                continue
            said.add(key)
            question = target.question[0].upper() + target.question[1:]
            name = passage.context.rpartition(" > ")[2]
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
        made = [text for one in _chunks(path.read_bytes(), place, tokenizer) for text in _of_passage(one, rng)]
        rng.shuffle(made)
        found += made[:PER_PAGE]
    return found


def _chunks(data: bytes, place: str, tokenizer: Tokenizer) -> list[Chunk]:
    """The chunks of a file; none of one that cannot be read."""
    try:
        return chunk(load(data, place), tokenizer, ChunkSettings(), WINDOW)
    except RagkitError:
        return []


def _begins(one: Chunk, target: code.Target) -> bool:
    """Whether a definition begins in this chunk."""
    first = target.source.strip().split("\n", 1)[0]
    return bool(one.heading) and one.heading[-1] == target.name and first in one.text


def _of_passage(one: Chunk, rng: random.Random) -> Iterator[str]:
    for fact in facts(View(one.text, one.heading, ""))[:4]:
        forms = (fact.asked.text, keywords(fact.asked.text), reworded(fact.asked, rng))
        (chosen,) = rng.choices(forms, (4, 2, 3))
        if chosen:
            yield chosen
    if len(one.heading) >= 2 and one.tokens >= 40 and rng.random() < 0.2:
        yield " ".join(dict.fromkeys(plain(part) for part in one.heading[-2:]))
    sentences = [unit.text for unit in contents(one.text)]
    if len(sentences) >= 4 and rng.random() < 0.15:
        said = " ".join(rng.choice(sentences).split())
        if 40 <= len(said) <= 200:
            yield said
