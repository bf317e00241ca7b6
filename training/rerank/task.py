"""Learn what the teacher says: what a cross-encoder reads, its loss and what is measured.

Knows lessons; knows nothing of models. Most of the loss is about which passage of a question is the better one, since
that is all that a reranker is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import torch

from training.cross_encoder import Texts
from training.rerank.lessons import Lesson


class Learning:
    """A question with each of its passages."""

    max_tokens = 256

    def texts(self, example: Lesson) -> Sequence[Texts]:
        """Question, then passage."""
        return [(example.query, text) for text in example.texts]

    def loss(self, logits: torch.Tensor, batch: Sequence[Lesson]) -> torch.Tensor:
        """Mean squared distance from the teacher's logits, and the same again after taking the mean distance of each
        question off: differences within a question count twice (MarginMSE of Hofstätter et al., 2020, is those
        alone)."""
        wanted = torch.tensor([logit for lesson in batch for logit in lesson.logits], device=logits.device)
        off = logits - wanted
        within = [part - part.mean() for part in torch.split(off, [len(lesson.texts) for lesson in batch])]
        return off.square().mean() + torch.cat(within).square().mean()

    def measure(self, examples: Sequence[Lesson], logits: Sequence[Sequence[float]]) -> dict[str, float]:
        """Share of the pairs of a question's passages that stand in the teacher's order, by kind of question."""
        kinds = defaultdict(list)
        for lesson, row in zip(examples, logits, strict=True):
            for one, other in combinations(range(len(row)), 2):
                kinds[lesson.kind].append((lesson.logits[one] - lesson.logits[other]) * (row[one] - row[other]) > 0)
        return {kind: sum(held) / len(held) for kind, held in kinds.items()}
