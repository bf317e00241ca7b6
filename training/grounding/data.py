"""Make labelled pairs of evidence and claim: from public entailment pairs, and by rule from any text.

Knows the files it reads and the few sentences that a claim is shown with, chosen as the product chooses them; knows
nothing of models. Of a text, some sentences are held back: what is taken from those is not borne out by the rest.
Datasets that may not be used commercially, or whose licence is not stated, are no source of training pairs.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragkit.errors import LoadError, SkipFile
from ragkit.loaders import load
from ragkit.sentences import sentences
from ragkit.text import analyse, rarity
from ragkit.units import units
from ragkit.verify.support import nearest
from training.grounding.rules import corrupt, rewrite, surroundings
from training.kinds import some_of_each_kind

TRAINED_ON = {"mnli_dev": 1.0, "scitail_dev": 1.0, "fool-me-twice": 1.0, "snli_dev": 0.4, "snli_test": 0.4}
"""Entailment datasets whose licences allow it, and the share of each that is used: captions teach little here."""
HELD_OUT = ("rte_dev", "rte_train", "healthver", "mpe_dev")
"""Entailment datasets that only decide when to stop."""
SENTENCES = 3
CHARACTERS = 560
"""Of evidence, beyond which no further sentence is added: about 130 tokens."""
_JUNK = re.compile(r"<[^>]*>|\d{6,}jpg\d")
_WHOLE = re.compile(r"[A-Z`\"'(].*[a-z].*[.!?]$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pair:
    """A claim with the evidence it is shown with: label 1 where the evidence bears out all of it."""

    evidence: str
    claim: str
    label: int
    kind: str


def choose(claim: str, parts: Sequence[str]) -> list[int]:
    """Places of the sentences that a claim is shown with."""
    terms = [frozenset(analyse(part)) for part in parts]
    seen = Counter(term for one in terms for term in one)
    wanted = {term: rarity(seen[term], len(parts)) for term in analyse(claim)}
    chosen: list[int] = []
    room = CHARACTERS
    for at in nearest(wanted, terms, SENTENCES):
        room -= len(parts[at])
        if room < 0 and chosen:
            break
        chosen.append(at)
    return chosen


# ---------------------------------------------------------------- from entailment datasets


def entailment(path: Path, shares: dict[str, float], rng: random.Random) -> list[Pair]:
    """Pairs of the datasets named, as many entailed as not; some with unrelated sentences around the premise."""
    rows = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["dataset"] in shares:
            premise = " ".join(_JUNK.sub(" ", row["premise"]).split())
            claim = " ".join(_JUNK.sub(" ", row["hypothesis"]).split())
            rows[row["dataset"]].append((premise, claim, int(row["label"] == "entailment")))
    pairs = []
    for name, found in sorted(rows.items()):
        rng.shuffle(found)
        others = [premise for premise, _, _ in found]
        yes = [row for row in found if row[2]]
        no = [row for row in found if not row[2]]
        size = int(min(len(yes), len(no)) * shares[name])
        for premise, claim, label in yes[:size] + no[:size]:
            pairs.append(Pair(_among(premise, others, rng), claim, label, name))
    return pairs


def _among(premise: str, others: Sequence[str], rng: random.Random) -> str:
    """The premise, now and then between one or two others."""
    if rng.random() < 0.6 or len(premise) > 250:
        return premise[:700]
    parts = [premise, *(other for other in rng.sample(others, rng.choice((1, 1, 2))) if len(other) < 160)]
    rng.shuffle(parts)
    return "\n".join(parts)


# ---------------------------------------------------------------- by rule from texts


def paragraphs(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(where from, sentences) of each paragraph of a corpus in the BEIR layout."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            text = " ".join(row["text"].split())
            yield "wiki", [text[a:b] for a, b in sentences(text)]


def documentation(folder: Path, size: int = 8) -> Iterator[tuple[str, list[str]]]:
    """(where from, sentences) of stretches of the HTML files below a folder."""
    for path in sorted(folder.rglob("*.html")):
        try:
            text = load(path.read_bytes(), path.name).text
        except (LoadError, SkipFile):
            continue
        found = [
            " ".join(unit.text.split())
            for unit in units(text)
            if unit.kind in ("sentence", "item") and 20 < len(unit.text) < 400
        ]
        for start in range(0, len(found) - 3, size):
            yield "docs", found[start : start + size]


def by_rule(texts: Iterable[tuple[str, Sequence[str]]], rng: random.Random) -> Iterator[Pair]:
    """Of each text a claim that it bears out and one that it does not, each with its evidence."""
    for kind, parts in texts:
        usable = [at for at, part in enumerate(parts) if 40 < len(part) < 260 and _WHOLE.match(part)]
        if len(usable) < 2 or len(parts) < 3:
            continue
        told = rng.choice(usable)
        spare = [at for at in range(len(parts)) if at != told]
        hidden = set(rng.sample(spare, max(1, len(parts) // 3)))
        shown = [part for at, part in enumerate(parts) if at not in hidden]
        outside = [parts[at] for at in sorted(hidden)]
        yield from _true(kind, parts[told], shown, outside, rng)
        if rng.random() < 0.4 and (others := [at for at in usable if at not in hidden and at != told]):
            told = rng.choice(others)
        yield from _false(kind, parts[told], shown, outside, rng)


def _true(kind: str, told: str, shown: Sequence[str], outside: Sequence[str], rng: random.Random) -> Iterator[Pair]:
    claim = rewrite(told, surroundings(" ".join(shown), outside), rng)
    if rng.random() < 0.15 and (others := [part for part in shown if part != told and 25 < len(part) < 110]):
        other = rng.choice(others)
        claim = f"{claim.rstrip('.')}, and {other[0].lower()}{other[1:]}"
    places = choose(claim, shown)
    if shown.index(told) in places:
        yield Pair("\n".join(shown[at] for at in places), claim, 1, kind)


def _false(kind: str, told: str, shown: Sequence[str], outside: Sequence[str], rng: random.Random) -> Iterator[Pair]:
    around = surroundings(" ".join(shown), outside)
    whole = [part for part in outside if 40 < len(part) < 260 and _WHOLE.match(part)]
    claim: str | None
    if rng.random() < 0.15 and whole:
        claim = rewrite(rng.choice(whole), around, rng)
    else:
        claim = corrupt(rewrite(told, around, rng), around, rng)
    if claim:
        yield Pair("\n".join(shown[at] for at in choose(claim, shown)), claim, 0, kind)


def training_pairs(entailed: Path, corpus: Path, trees: Sequence[Path], seed: int) -> list[Pair]:
    """Everything the model is trained on, in a fixed random order."""
    rng = random.Random(seed)
    wiki = [pair for pair in by_rule(paragraphs(corpus), rng) if pair.evidence]
    docs = [pair for tree in trees for pair in by_rule(documentation(tree), rng) if pair.evidence]
    pairs = entailment(entailed, TRAINED_ON, rng) + wiki + docs
    rng.shuffle(pairs)
    return pairs


def held_out_pairs(entailed: Path, tree: Path, seed: int, each: int = 120) -> list[Pair]:
    """Some pairs of every dataset and text that is not trained on."""
    rng = random.Random(seed)
    pairs = entailment(entailed, dict.fromkeys(HELD_OUT, 1.0), rng)
    pairs += [pair for pair in by_rule(documentation(tree), rng) if pair.evidence]
    rng.shuffle(pairs)
    return some_of_each_kind(pairs, each)
