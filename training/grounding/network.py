"""The network that `ragkit.verify.alignment` runs, as torch trains it.

Knows padded batches of words and the network's weights; `Network.arrays` gives these under the names and in the
shapes that the product reads. A test holds the two implementations together.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ragkit.evaluation.agreement import auroc
from ragkit.verify.alignment import CLAIM_WORDS, EVIDENCE_WORDS, Words, word_marks
from training.grounding.data import Pair
from training.grounding.words import WordStore

MARKS = 6
SMOOTHING = 0.02
"""Labels are this far from 0 and 1: some of those made by rule are wrong."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the network is trained. One pass: a second one already lowers AUROC on texts unlike those trained on."""

    epochs: int = 1
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    dropout: float = 0.3
    width: int = 128
    hidden: int = 64
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Example:
    """A pair as numbers: vectors and marks of the claim's words and of the evidence's."""

    claim: np.ndarray
    claim_marks: np.ndarray
    evidence: np.ndarray
    evidence_marks: np.ndarray
    label: int
    kind: str

    @property
    def length(self) -> int:
        return len(self.claim) + len(self.evidence)


def examples(pairs: Sequence[Pair], store: WordStore) -> list[Example]:
    """The pairs that have words on both sides."""
    found = []
    for pair in pairs:
        claim: Words = store[pair.claim]
        parts = [store[text] for text in pair.evidence.split("\n") if text]
        words = [word for part in parts for word in part.words]
        if claim.words and words:
            vectors = np.concatenate([part.vectors for part in parts])[:EVIDENCE_WORDS]
            marks = word_marks(claim.words[:CLAIM_WORDS], words)
            theirs = word_marks(words[:EVIDENCE_WORDS])
            found.append(Example(claim.vectors[:CLAIM_WORDS], marks, vectors, theirs, pair.label, pair.kind))
    return found


class Network(nn.Module):
    """Decomposable attention (Parikh et al., 2016) over frozen vectors, both ways."""

    def __init__(self, recipe: Recipe, dimension: int) -> None:
        super().__init__()
        compared = 4 * recipe.width + MARKS + 2
        self.down = nn.Linear(dimension, recipe.width, bias=False)
        self.beta = nn.Parameter(torch.tensor(12.0))
        self.gamma = nn.Parameter(torch.tensor(4.0))
        self.claim1, self.evidence1 = (nn.Linear(compared, recipe.hidden) for _ in range(2))
        self.claim2, self.evidence2 = (nn.Linear(recipe.hidden, recipe.hidden) for _ in range(2))
        self.out1, self.out2 = nn.Linear(6 * recipe.hidden, 64), nn.Linear(64, 1)
        self.dropout = nn.Dropout(recipe.dropout)

    def forward(self, claim: Any, marks: Any, own: Any, evidence: Any, their_marks: Any, theirs: Any) -> Any:
        """Logits of support; `own` and `theirs` are 1 where a row is a word and 0 where it is padding."""
        raw = claim @ evidence.transpose(1, 2)
        one, two = self.down(claim) * 3, self.down(evidence) * 3
        near = raw * self.beta + (one @ two.transpose(1, 2)) * self.gamma / 9
        towards = _attention(near, theirs)
        looked_at = (towards * own[..., None]).sum(1).clamp(max=1)
        looked_at = functional.max_pool1d(looked_at[:, None], 7, 1, 3)[:, 0] * theirs
        raw_one = raw.masked_fill(theirs[:, None] == 0, -1)
        raw_two = raw.transpose(1, 2).masked_fill(own[:, None] == 0, -1)
        back = _attention(near.transpose(1, 2), own)
        parts = [
            self._side(self.claim1, self.claim2, one, marks, two, towards, raw_one, own),
            self._side(self.evidence1, self.evidence2, two, their_marks, one, back, raw_two, looked_at),
        ]
        hidden = functional.relu(self.out1(torch.cat(parts, -1)))
        return self.out2(self.dropout(hidden))[:, 0]

    def _side(
        self, first: Any, second: Any, own: Any, marks: Any, other: Any, attention: Any, raw: Any, weights: Any
    ) -> Any:
        found = attention @ other
        nearness = torch.stack([raw.max(-1).values, (attention * raw).sum(-1)], -1)
        compared = torch.cat([own, found, (own - found).abs(), own * found, marks, nearness], -1)
        hidden = functional.relu(second(functional.relu(first(self.dropout(compared)))))
        weights = weights[..., None]
        total = weights.sum(1).clamp(min=1e-3)
        seen = hidden * weights
        return torch.cat([seen.sum(1) / total, seen.max(1).values, (hidden * seen).sum(1) / total], -1)

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights as the product reads them: half precision, ready to be multiplied from the right."""
        state = {name: value.detach().numpy() for name, value in self.state_dict().items()}
        found = {}
        for name, value in state.items():
            layer, _, kind = name.partition(".")
            found[layer if kind != "bias" else f"{layer}_bias"] = (value.T if kind == "weight" else value).astype(
                np.float16
            )
        return found


def _attention(near: Any, mask: Any) -> Any:
    return torch.softmax(near.masked_fill(mask[:, None] == 0, -1e4), -1)


def train(found: Sequence[Example], held_out: Sequence[Example], recipe: Recipe) -> Network:
    """One network, its learning rate falling to 0 over the run."""
    torch.manual_seed(recipe.seed)
    network = Network(recipe, found[0].claim.shape[1])
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    plan = [
        batch for epoch in range(recipe.epochs) for batch in batches(found, recipe.batch, f"{recipe.seed}-{epoch}")
    ]
    began, loss_sum = time.monotonic(), 0.0
    for step, places in enumerate(plan):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, step / 50 + 0.02, 1 - step / len(plan))
        labels = torch.tensor([float(found[at].label) for at in places]) * (1 - 2 * SMOOTHING) + SMOOTHING
        logits = network(*padded([found[at] for at in places]))
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss_sum += float(loss.detach())
        if (step + 1) % 50 == 0:
            print(f"step {step + 1} of {len(plan)}, {time.monotonic() - began:.0f} s, loss {loss_sum / 50:.4f}")
            loss_sum = 0.0
    for kind, area in areas(network, held_out).items():
        print(f"held out, {kind}: AUROC {area:.3f}")
    return network


def areas(network: Network, found: Sequence[Example]) -> dict[str, float]:
    """AUROC for each kind of pair."""
    network.eval()
    kinds: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with torch.inference_mode():
        for start in range(0, len(found), 64):
            batch = found[start : start + 64]
            for example, logit in zip(batch, network(*padded(batch)).tolist(), strict=True):
                kinds[example.kind].append((example.label, logit))
    network.train()
    return {kind: auroc([label for label, _ in rows], [score for _, score in rows]) for kind, rows in kinds.items()}


def batches(found: Sequence[Example], size: int, seed: str, pool: int = 20) -> Iterator[list[int]]:
    """Places of the examples of each batch: shuffled, and of like length within a pool of batches."""
    rng = random.Random(seed)
    order = list(range(len(found)))
    rng.shuffle(order)
    cut: list[list[int]] = []
    for start in range(0, len(order), size * pool):
        near = sorted(order[start : start + size * pool], key=lambda at: found[at].length)
        cut += [near[at : at + size] for at in range(0, len(near), size)]
    rng.shuffle(cut)
    yield from cut


def padded(batch: Sequence[Example]) -> tuple[torch.Tensor, ...]:
    """Vectors, marks and mask of the claims, then of the evidence."""
    claims = _stacked([(one.claim, one.claim_marks) for one in batch])
    return *claims, *_stacked([(one.evidence, one.evidence_marks) for one in batch])


def _stacked(rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[torch.Tensor, ...]:
    longest, width = max(len(vectors) for vectors, _ in rows), rows[0][0].shape[1]
    vectors = np.zeros((len(rows), longest, width), dtype=np.float32)
    marks = np.zeros((len(rows), longest, MARKS), dtype=np.float32)
    mask = np.zeros((len(rows), longest), dtype=np.float32)
    for at, (words, seen) in enumerate(rows):
        vectors[at, : len(words)], marks[at, : len(words)], mask[at, : len(words)] = words, seen, 1
    return torch.from_numpy(vectors), torch.from_numpy(marks), torch.from_numpy(mask)
