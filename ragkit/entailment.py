"""Whether one text entails another, by a cross-encoder that was trained for natural language inference.

Knows pairs of texts, the labels of such models and which of them means entailment; knows nothing of claims, sources
or of what is made of the probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ragkit.cross_encoder import CrossEncoder, open_cross_encoder
from ragkit.errors import ModelUnsuitable

STAGE = "entail"


def open_entailment(directory: Path, threads: int) -> CrossEncoderEntailment:
    """The cross-encoder that `models prepare` left in `directory`; its model is read when it is first used.

    Raises ModelNotFound, ModelCorrupt, and ModelUnsuitable for a model without a label for entailment.
    """
    return CrossEncoderEntailment(open_cross_encoder(directory, "nli", threads))


def entailing_label(labels: Sequence[str], name: str) -> int:
    """Which label means entailment; the only one, where there is one. Raises ModelUnsuitable when none does.

    >>> entailing_label(["contradiction", "entailment", "neutral"], "nli")
    1
    >>> entailing_label(["not_entailment", "ENTAILMENT"], "nli")
    1
    """
    if len(labels) == 1:
        return 0
    meant = ("entailment", "entail", "entails", "supported", "support", "supports", "consistent")
    for at, label in enumerate(labels):
        if label.lower() in meant:
            return at
    raise ModelUnsuitable(
        f"of the labels of {name} ({', '.join(labels)}) none is called entailment",
        "name it in id2label of the model's config.json, or take another model for verify.nli_model",
    )


class CrossEncoderEntailment:
    """A cross-encoder of which one label means that the first text entails the second."""

    def __init__(self, model: CrossEncoder) -> None:
        self.name = model.name
        self._model = model
        self._label = entailing_label(model.labels, model.name)

    def entailed(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """P(the first text entails the second) of each pair; of a pair too long the longer text is cut."""
        found: list[float] = self._model.run(pairs, STAGE)[:, self._label].tolist() if pairs else []
        return found
