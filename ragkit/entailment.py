"""Whether one text entails another, by a cross-encoder that was trained for natural language inference.

Knows pairs of texts, the labels of such models and which of them means entailment; knows nothing of claims, sources
or of what is made of the probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragkit.encoder import Encoder
from ragkit.errors import ModelUnsuitable
from ragkit.prepared import read_manifest

STAGE = "entail"


def open_entailment(directory: Path, threads: int) -> OnnxEntailment | CrossEncoderEntailment:
    """The cross-encoder that `models prepare` left in `directory`; its model is read when it is first used.

    Raises ModelNotFound, ModelCorrupt, and ModelUnsuitable for a model without a label for entailment.
    """
    if read_manifest(directory, "nli")["engine"] == "sentence-transformers":
        return CrossEncoderEntailment(directory, threads)
    return OnnxEntailment(directory, threads)


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


class OnnxEntailment:
    """Such a cross-encoder in onnxruntime; a pair longer than its window is cut, the longer text first."""

    def __init__(self, directory: Path, threads: int = 1) -> None:
        manifest = read_manifest(directory, "nli")
        self.name: str = manifest["name"]
        self._label = entailing_label(manifest["labels"], self.name)
        self._encoder = Encoder(
            directory,
            max_tokens=manifest["max_tokens"],
            threads=threads,
            batch_tokens=manifest["batch_tokens"],
            pairs=True,
        )

    def entailed(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """P(the first text entails the second) of each pair."""
        if not pairs:
            return []
        found: list[float] = self._encoder.run(pairs, None, STAGE)[:, self._label].tolist()
        return found


class CrossEncoderEntailment:
    """Such a cross-encoder run by sentence-transformers itself: any architecture it knows, several times slower."""

    def __init__(self, directory: Path, threads: int = 0) -> None:
        manifest = read_manifest(directory, "nli")
        self.name: str = manifest["name"]
        self._label = entailing_label(manifest["labels"], self.name)
        self._source = directory / manifest["source_directory"]
        self._threads = threads
        self._model: Any = None

    def entailed(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """P(the first text entails the second) of each pair."""
        from ragkit import sbert

        if not pairs:
            return []
        if self._model is None:
            self._model = sbert.load_cross_encoder(self._source, threads=self._threads)
        found: list[float] = sbert.score(self._model, pairs).reshape(len(pairs), -1)[:, self._label].tolist()
        return found
