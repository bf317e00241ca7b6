"""Learn whether evidence bears out a claim: what a cross-encoder reads, its loss and what is measured.

Knows pairs; knows nothing of models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch

from ragkit.evaluation.agreement import auroc
from training.cross_encoder import Texts
from training.grounding.data import Pair


class Grounding:
    """One pair of texts an example, one probability."""

    max_tokens = 192

    def texts(self, example: Pair) -> Sequence[Texts]:
        """Evidence, then claim."""
        return [(example.evidence, example.claim)]

    def loss(self, logits: torch.Tensor, batch: Sequence[Pair]) -> torch.Tensor:
        """Cross-entropy of the label."""
        labels = torch.tensor([float(pair.label) for pair in batch], device=logits.device)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)

    def measure(self, examples: Sequence[Pair], logits: Sequence[Sequence[float]]) -> dict[str, float]:
        """AUROC of every kind of pair."""
        kinds = defaultdict(list)
        for pair, (logit,) in zip(examples, logits, strict=True):
            kinds[pair.kind].append((pair.label, logit))
        return {kind: auroc(*zip(*rows, strict=True)) for kind, rows in kinds.items()}
