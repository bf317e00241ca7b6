"""How well the words of a claim are matched by words of its evidence, read off the states the embedder gives them.

Knows words, their vectors and a small trained network over both (`alignment.npz`, made by `training/grounding`);
knows nothing of sources, windows or supports. The states come from the pass that embeds a text, so one pass over
each sentence serves every claim, where a cross-encoder would read each claim with each of its sentences again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ragkit.domain import Span
from ragkit.errors import ModelUnsuitable
from ragkit.roles import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragkit.embed import PartsEmbedder

    Rows = NDArray[np.float32]

NETWORK = Path(__file__).with_name("alignment.npz")
LOWEST = 3
"""So many of a claim's content words, those that are matched worst, are averaged."""
CLAIM_WORDS = 60
EVIDENCE_WORDS = 160
"""What the network reads at most; the rest is left out."""
LIMIT = 5.0
"""The network's logit is kept within this: it is not as sure as it says."""
_WORD = re.compile(r"\w+(?:[.,'’/-]\w+)*|[$%€£]")
_FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to for and or is are was were be been it its this that these those with as by from has "
        "have had he she they his her their",
    )
)
_NEGATIONS = frozenset(("not", "no", "never", "none", "cannot", "without", "neither", "nor", "n't"))


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text inside the embedder's window, and their unit vectors, shape (words, dimension)."""

    words: tuple[str, ...]
    vectors: Rows


@dataclass(frozen=True, slots=True)
class Alignment:
    """A claim's words against its evidence's, both in [0, 1]: `lowest` is the mean cosine of the content words that
    are matched worst with the nearest word of the evidence, `learned` the network's probability of support."""

    lowest: float = 0.0
    learned: float = 1 / (1 + math.exp(LIMIT))


def word_spans(text: str) -> list[Span]:
    """Where the words of a text are; signs of currency and of percent count as words.

    >>> [("Up 4.5% in v1.2-rc"[a:b]) for a, b in word_spans("Up 4.5% in v1.2-rc")]
    ['Up', '4.5', '%', 'in', 'v1.2-rc']
    """
    return [match.span() for match in _WORD.finditer(text)]


def open_aligner(embedder: Embedder | None) -> Aligner:
    """An aligner for the embedder that the network was trained with. Raises ModelUnsuitable for any other."""
    network = _network()
    wanted = network["embedder"]
    if embedder is None or not embedder.fingerprint.startswith(f"{wanted}-"):
        given = embedder.fingerprint if embedder else "no embedder"
        raise ModelUnsuitable(
            f"the engine words reads the states of {wanted}, not of {given}",
            f"use --embedder {wanted}, or the engine fast",
        )
    if not getattr(embedder, "embeds_parts", False):
        raise ModelUnsuitable(
            f"{wanted} was prepared without the states of its words", "run `ragkit models prepare --force`"
        )
    return Aligner(cast("PartsEmbedder", embedder), network)


@cache
def _network() -> dict[str, Any]:
    import numpy as np

    with np.load(NETWORK, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    return {
        name: str(value) if value.dtype.kind == "U" else value.astype(np.float32) for name, value in found.items()
    }


class Aligner:
    """Compares claims with their evidence word by word."""

    def __init__(self, embedder: PartsEmbedder, network: Mapping[str, Any]) -> None:
        self._embedder = embedder
        self._network = network

    def words(self, texts: Sequence[str]) -> dict[str, Words]:
        """The words of each text, in one batch."""
        import numpy as np

        spans = [word_spans(text) for text in texts]
        if not texts:
            return {}
        _, found = self._embedder.embed_with_parts(texts, spans)
        kept = {}
        for text, places, vectors in zip(texts, spans, found, strict=True):
            inside = np.flatnonzero(vectors.any(axis=1))
            kept[text] = Words(tuple(text[slice(*places[at])] for at in inside), vectors[inside])
        return kept

    def align(self, claim: Words, evidence: Sequence[Words]) -> Alignment:
        """The claim against all the evidence together; the worst where either has no word."""
        import numpy as np

        words = [word for one in evidence for word in one.words]
        if not claim.words or not words:
            return Alignment()
        vectors = np.concatenate([one.vectors for one in evidence])
        cosines = claim.vectors @ vectors.T
        best = cosines.max(axis=1)
        content = [at for at, word in enumerate(claim.words) if word.lower() not in _FUNCTION_WORDS]
        lowest = np.sort(best[content or slice(None)])[:LOWEST].mean()
        cut, room = slice(CLAIM_WORDS), slice(EVIDENCE_WORDS)
        logit = self._logit(
            claim.vectors[cut], word_marks(claim.words[cut], words), vectors[room], word_marks(words[room]), cosines
        )
        return Alignment(float(min(1.0, max(0.0, lowest))), 1.0 / (1.0 + math.exp(-max(-LIMIT, min(LIMIT, logit)))))

    def _logit(self, claim: Rows, marks: Rows, evidence: Rows, their_marks: Rows, cosines: Rows) -> float:
        """Each word attends to the other text's words and is compared with what it found there (Parikh et al., 2016),
        the words of the evidence in so far as the claim looks at them or at a neighbour."""
        import numpy as np

        net = self._network
        raw = cosines[: len(claim), : len(evidence)]
        one, two = claim @ net["down"] * 3, evidence @ net["down"] * 3
        near = raw * net["beta"] + (one @ two.T) * (net["gamma"] / 9)
        towards = _softmax(near)
        looked_at = _dilated(np.minimum(1.0, towards.sum(axis=0)))
        parts = [
            self._side("claim", one, marks, two, towards, raw, np.ones(len(one), dtype=np.float32)),
            self._side("evidence", two, their_marks, one, _softmax(near.T), raw.T, looked_at),
        ]
        hidden = np.maximum(0, np.concatenate(parts) @ net["out1"] + net["out1_bias"])
        return float((hidden @ net["out2"] + net["out2_bias"])[0])

    def _side(
        self, name: str, own: Rows, marks: Rows, other: Rows, attention: Rows, raw: Rows, weights: Rows
    ) -> Rows:
        import numpy as np

        net = self._network
        found = attention @ other
        nearness = np.stack([raw.max(axis=1), (attention * raw).sum(axis=1)], axis=1)
        compared = np.concatenate([own, found, np.abs(own - found), own * found, marks, nearness], axis=1)
        hidden = np.maximum(0, compared @ net[f"{name}1"] + net[f"{name}1_bias"])
        hidden = np.maximum(0, hidden @ net[f"{name}2"] + net[f"{name}2_bias"])
        total = max(1e-3, float(weights.sum()))
        seen = hidden * weights[:, None]
        return np.concatenate([seen.sum(axis=0) / total, seen.max(axis=0), (hidden * seen).sum(axis=0) / total])


def word_marks(words: Sequence[str], evidence: Sequence[str] | None = None) -> Rows:
    """What can be seen of each word without a vector; of evidence itself only what needs no other text."""
    import numpy as np

    held = {word.lower() for word in evidence or ()}
    denied = any(map(_negative, held))
    rows = []
    for at, word in enumerate(words):
        lower = word.lower()
        digit, function, negative = any(map(str.isdigit, word)), lower in _FUNCTION_WORDS, _negative(lower)
        named = evidence is not None and at > 0 and word[0].isupper()
        rows.append((evidence is not None and lower in held, digit, named, function, negative, denied))
    return np.array(rows, dtype=np.float32)


def _negative(word: str) -> bool:
    return word in _NEGATIONS or word.endswith("n't")


def _softmax(rows: Rows) -> Rows:
    import numpy as np

    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    result: Rows = powers / powers.sum(axis=1, keepdims=True)
    return result


def _dilated(values: Rows, reach: int = 3) -> Rows:
    """The largest value within `reach` places of each."""
    import numpy as np

    padded = np.pad(values, reach, constant_values=0)
    result: Rows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    return result
