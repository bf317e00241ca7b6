"""Learn which candidate answers a question: what a cross-encoder reads, its loss and what is measured.

Knows groups; knows nothing of models. The search's own score is part of the logit, so training begins with the
ranking that is there, and the model learns what to add to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch

from training.cross_encoder import Texts
from training.rerank.candidates import Group

SHARPNESS = 25.0
"""What a whole point of the search's score is worth as a logit: fitted, it stays within 24 and 26."""


class Reranking:
    """A question with each of its candidates."""

    max_tokens = 192

    def texts(self, example: Group) -> Sequence[Texts]:
        """Question, then candidate."""
        return [(example.query, text) for text in example.texts]

    def loss(self, logits: torch.Tensor, batch: Sequence[Group]) -> torch.Tensor:
        """Listwise: minus the logarithm of the right candidate's share of the softmax."""
        losses = []
        for group, row in zip(batch, torch.split(logits, [len(group.texts) for group in batch]), strict=True):
            scores = torch.tensor(group.scores, device=logits.device)
            losses.append(-torch.log_softmax(SHARPNESS * scores + row, 0)[0])
        return torch.stack(losses).mean()

    def measure(self, examples: Sequence[Group], logits: Sequence[Sequence[float]]) -> dict[str, float]:
        """Mean reciprocal rank of the right candidate, for every kind of question."""
        kinds = defaultdict(list)
        for group, row in zip(examples, logits, strict=True):
            found = [SHARPNESS * score + logit for score, logit in zip(group.scores, row, strict=True)]
            kinds[group.kind].append(1 / (1 + sum(value > found[0] for value in found[1:])))
        return {kind: sum(ranks) / len(ranks) for kind, ranks in kinds.items()}
