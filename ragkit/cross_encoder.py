"""Pairs of texts to rows of numbers, by a prepared cross-encoder: in onnxruntime, or by sentence-transformers.

Knows models that read two texts together; knows nothing of what their labels mean or of what is made of the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ragkit.encoder import TOKENIZER, Encoder, TextTokenizer
from ragkit.prepared import read_manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class CrossEncoder(Protocol):
    """What reads two texts together."""

    name: str
    labels: Sequence[str]
    """What the columns of `run` are, where the model says so."""
    max_tokens: int
    """Tokens of a pair; the longer text of one that has more is cut."""

    @property
    def tokenizer(self) -> TextTokenizer:
        """The one that the model reads with."""
        ...

    def run(self, pairs: Sequence[tuple[str, str]], what: str) -> NDArray[np.float32]:
        """Shape (n, labels): probabilities of the labels, or the relevance in [0, 1] where there is one label."""
        ...


def open_cross_encoder(directory: Path, role: str, threads: int) -> CrossEncoder:
    """The cross-encoder that `models prepare` left in `directory` for a role; it is read when it is first used.

    Raises ModelNotFound, ModelCorrupt, ModelUnsuitable.
    """
    manifest = read_manifest(directory, role)
    if manifest["engine"] == "sentence-transformers":
        return _SentenceTransformers(directory, manifest, threads)
    return _Onnx(directory, manifest, threads)


class _Onnx:
    """In onnxruntime, quantised for the processor at hand."""

    def __init__(self, directory: Path, manifest: dict[str, Any], threads: int) -> None:
        self.name: str = manifest["name"]
        self.labels: Sequence[str] = manifest.get("labels", ())
        self.max_tokens: int = manifest["max_tokens"]
        self._encoder = Encoder(
            directory, max_tokens=self.max_tokens, threads=threads, batch_tokens=manifest["batch_tokens"], pairs=True
        )

    @property
    def tokenizer(self) -> TextTokenizer:
        return self._encoder.tokenizer

    def run(self, pairs: Sequence[tuple[str, str]], what: str) -> NDArray[np.float32]:
        return self._encoder.run(pairs, None, what)


class _SentenceTransformers:
    """By sentence-transformers itself: any architecture it knows, several times slower."""

    def __init__(self, directory: Path, manifest: dict[str, Any], threads: int) -> None:
        self.name: str = manifest["name"]
        self.labels: Sequence[str] = manifest.get("labels", ())
        self.max_tokens: int = manifest["max_tokens"]
        self.tokenizer = TextTokenizer(directory / TOKENIZER, self.max_tokens, pairs=True)
        self._source = directory / manifest["source_directory"]
        self._threads = threads
        self._model: Any = None

    def run(self, pairs: Sequence[tuple[str, str]], what: str) -> NDArray[np.float32]:
        from ragkit import sbert

        if self._model is None:
            self._model = sbert.load_cross_encoder(self._source, threads=self._threads)
        return sbert.score(self._model, pairs).reshape(len(pairs), -1)
