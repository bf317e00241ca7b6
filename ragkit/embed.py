"""Turn texts into unit vectors, by a prepared ONNX encoder or by sentence-transformers.

Knows prefixes and pooling done; knows nothing of indexes, of where models come from, or of how they were measured.
One embedder may be used from several threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from ragkit.domain import Progress, Span, text_hash
from ragkit.encoder import TOKENIZER, Encoder, TextTokenizer
from ragkit.errors import ModelUnsuitable
from ragkit.prepared import read_manifest
from ragkit.roles import Embedder
from ragkit.units import contents

if TYPE_CHECKING:
    from ragkit.domain import Chunk, Vectors

Kind = Literal["query", "passage"]

NAME_SHARE = 0.25
"""How much of the vector of a passage of source code is that of its symbol's name."""


def open_embedder(directory: Path, threads: int, batch_tokens: int = 0) -> OnnxEmbedder | SentenceTransformerEmbedder:
    """The embedder that `models prepare` left in `directory`. Its model is read when it is first used.

    `batch_tokens` 0 takes what was measured to be best. Raises ModelNotFound, ModelCorrupt, ModelUnsuitable.
    """
    manifest = read_manifest(directory, "embedder")
    if manifest["engine"] == "sentence-transformers":
        return SentenceTransformerEmbedder(directory, threads)
    return OnnxEmbedder(directory, threads, batch_tokens)


class PartsEmbedder(Embedder, Protocol):
    """An embedder that gives parts of a text vectors of their own, in the pass that embeds the whole."""

    @property
    def embeds_parts(self) -> bool: ...

    def embed_with_parts(
        self, texts: Sequence[str], parts: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]: ...


class OnnxEmbedder:
    """An embedder whose whole pipeline, pooling and normalisation included, is one ONNX graph.

    Int8 models scale each batch's activations together, so a text's vector moves a little with the texts
    embedded beside it: its cosine with itself stays above .98, and a text embedded alone never moves.
    """

    def __init__(self, directory: Path, threads: int, batch_tokens: int = 0) -> None:
        manifest = read_manifest(directory, "embedder")
        self.name: str = manifest["name"]
        self.fingerprint: str = manifest["fingerprint"]
        self.dimension: int = manifest["dimension"]
        self.max_tokens: int = manifest["max_tokens"]
        self.unrelated: float = manifest.get("unrelated", 0.0)
        self._prefixes: dict[str, str] = manifest["prefixes"]
        self._mean = manifest.get("pooling") == "mean"
        self._last: tuple[Any, Any] = (None, None)
        """The text that was last embedded alone: several stages of a search ask for the query's vector."""
        self._encoder = Encoder(
            directory,
            max_tokens=self.max_tokens,
            threads=threads,
            batch_tokens=batch_tokens or manifest["batch_tokens"],
        )

    @property
    def is_open(self) -> bool:
        """Whether the model has been read."""
        return self._encoder.is_open

    def spans(self, text: str) -> list[Span]:
        """Character spans of the tokens of `text`, special tokens left out."""
        return self._encoder.tokenizer.spans(text)

    def embed(self, texts: Sequence[str], kind: Kind = "passage", progress: Progress | None = None) -> Vectors:
        """float32 array of shape (len(texts), dimension), rows of Euclidean norm 1."""
        asked = (kind, texts[0]) if len(texts) == 1 else None
        last = self._last  # another thread may put in another one
        if asked is not None and asked == last[0]:
            vectors: Vectors = last[1].copy()
            return vectors
        prefix = self._prefixes[kind]
        rows = self._encoder.run([prefix + text for text in texts], progress, "embed")
        vectors = _unit(rows.reshape(len(texts), self.dimension))
        if asked is not None:
            self._last = (asked, vectors.copy())
        return vectors

    @property
    def embeds_parts(self) -> bool:
        """Whether `embed_with_parts` works: the graph gives the tokens' states, and a vector is their mean."""
        return self._mean and self._encoder.has_states

    def embed_with_parts(
        self, texts: Sequence[str], parts: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        """What `embed` gives for passages, and for each of them unit vectors of parts of it (character spans), shape
        (number of parts, dimension), zeros for a part behind the window.

        A part's vector is the mean of its tokens' states in the pass that embeds the whole text, so it costs nothing
        and knows what stands around the part.
        """
        prefix = self._prefixes["passage"]
        moved = [[(start + len(prefix), end + len(prefix)) for start, end in spans] for spans in parts]
        rows, means = self._encoder.run_with_parts([prefix + text for text in texts], moved)
        return _unit(rows.reshape(len(texts), self.dimension)), [_unit_or_zero(mean) for mean in means]


class SentenceTransformerEmbedder:
    """An embedder run by sentence-transformers itself: any architecture it knows, several times slower."""

    def __init__(self, directory: Path, threads: int = 0) -> None:
        manifest = read_manifest(directory, "embedder")
        self.name: str = manifest["name"]
        self.fingerprint: str = manifest["fingerprint"]
        self.dimension: int = manifest["dimension"]
        self.max_tokens: int = manifest["max_tokens"]
        self.unrelated: float = manifest.get("unrelated", 0.0)
        self._prefixes: dict[str, str] = manifest["prefixes"]
        self._source = directory / manifest["source_directory"]
        self._tokenizer_file = directory / TOKENIZER
        self._threads = threads
        self._model: Any = None
        self._tokenizer: TextTokenizer | None = None

    def spans(self, text: str) -> list[Span]:
        """Character spans of the tokens of `text`, special tokens left out."""
        if self._tokenizer is None:
            self._tokenizer = TextTokenizer(self._tokenizer_file, self.max_tokens)
        return self._tokenizer.spans(text)

    def embed(self, texts: Sequence[str], kind: Kind = "passage", progress: Progress | None = None) -> Vectors:
        """float32 array of shape (len(texts), dimension), rows of Euclidean norm 1."""
        import numpy as np

        from ragkit import sbert

        if self._model is None:
            self._model = sbert.load_bi_encoder(self._source, threads=self._threads)
        prefix = self._prefixes[kind]
        blocks = []
        for start in range(0, len(texts), 1024):
            blocks.append(sbert.encode(self._model, [prefix + text for text in texts[start : start + 1024]]))
            if progress:
                progress("embed", min(start + 1024, len(texts)), len(texts))
        return _unit(np.concatenate(blocks) if blocks else np.zeros((0, self.dimension), dtype=np.float32))


class TruncatedEmbedder:
    """The first dimensions of another embedder's vectors, made unit vectors again.

    For models trained so that these say most (Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022).
    A store never mixes the two: the fingerprint differs.
    """

    def __init__(self, inner: OnnxEmbedder | SentenceTransformerEmbedder, dimensions: int) -> None:
        self._inner = inner
        self.dimension = dimensions
        self.name = inner.name
        self.max_tokens = inner.max_tokens
        self.unrelated = inner.unrelated
        head, _, tail = inner.fingerprint.rpartition("-")
        self.fingerprint = f"{head}-{text_hash(f'{tail}/{dimensions}')[:16]}"

    @property
    def is_open(self) -> bool:
        """Whether the model has been read."""
        return getattr(self._inner, "is_open", True)

    @property
    def embeds_parts(self) -> bool:
        """Whether `embed_with_parts` works."""
        return getattr(self._inner, "embeds_parts", False)

    def spans(self, text: str) -> list[Span]:
        """Character spans of the tokens of `text`, special tokens left out."""
        return self._inner.spans(text)

    def embed(self, texts: Sequence[str], kind: Kind = "passage", progress: Progress | None = None) -> Vectors:
        """float32 array of shape (len(texts), dimension), rows of Euclidean norm 1."""
        return _unit(self._inner.embed(texts, kind, progress)[:, : self.dimension])

    def embed_with_parts(
        self, texts: Sequence[str], parts: Sequence[Sequence[Span]]
    ) -> tuple[Vectors, list[Vectors]]:
        """As the other embedder's, cut."""
        vectors, found = cast("PartsEmbedder", self._inner).embed_with_parts(texts, parts)
        return _unit(vectors[:, : self.dimension]), [_unit_or_zero(one[:, : self.dimension]) for one in found]


def truncated(
    embedder: OnnxEmbedder | SentenceTransformerEmbedder, dimensions: int, trained_for: Sequence[int] | None
) -> OnnxEmbedder | SentenceTransformerEmbedder | TruncatedEmbedder:
    """The embedder with so many dimensions, 0 for all. `trained_for` is None where nothing is known of its training.

    Raises ModelUnsuitable for a number that the model was not trained for or does not have.
    """
    if dimensions in (0, embedder.dimension):
        return embedder
    if trained_for is not None and dimensions not in trained_for:
        may = ", ".join(map(str, trained_for)) or f"none, so it keeps its {embedder.dimension}"
        raise ModelUnsuitable(
            f"{embedder.name} was not trained for {dimensions} dimensions", f"embed.dimensions may be: {may}"
        )
    if not 0 < dimensions < embedder.dimension:
        raise ModelUnsuitable(
            f"{embedder.name} has {embedder.dimension} dimensions, not {dimensions}", "set embed.dimensions to fewer"
        )
    return TruncatedEmbedder(embedder, dimensions)


def embed_chunks(chunks: Sequence[Chunk], embedder: Embedder) -> tuple[Vectors, list[Vectors]]:
    """The vectors of chunks as they are indexed, and for each chunk those of its sentences, as `units.contents` cuts
    them; no list of sentences from an embedder that gives a text one vector and no more."""
    texts = [chunk.indexed for chunk in chunks]
    if not getattr(embedder, "embeds_parts", False):
        return embedder.embed(texts, "passage"), []
    before = [len(text) - len(chunk.text) for text, chunk in zip(texts, chunks, strict=True)]
    parts = [
        [(unit.start + start, unit.end + start) for unit in contents(chunk.text)]
        for chunk, start in zip(chunks, before, strict=True)
    ]
    return cast("PartsEmbedder", embedder).embed_with_parts(texts, parts)


def symbol_name(chunk: Chunk) -> str:
    """The plain words of the symbol that a chunk of source code is about, "" for none: what its context ends with."""
    return chunk.context.rpartition(" > ")[2]


def with_names(vectors: Vectors, names: Sequence[str], embedder: Embedder) -> Vectors:
    """The vectors, each moved towards that of its passage's name by NAME_SHARE; "" leaves one as it is."""
    unique = list(dict.fromkeys(name for name in names if name))
    if not unique:
        return vectors
    known = dict(zip(unique, embedder.embed(unique, "passage"), strict=True))
    mixed = vectors.copy()
    for at, name in enumerate(names):
        if name:
            mixed[at] = (1 - NAME_SHARE) * vectors[at] + NAME_SHARE * known[name]
    return _unit(mixed)


def _unit_or_zero(rows: Vectors) -> Vectors:
    """Rows scaled to norm 1; a row of zeros stays one."""
    import numpy as np

    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = (rows / np.where(norms == 0, 1.0, norms)).astype(np.float32, copy=False)
    return unit


def _unit(rows: Vectors) -> Vectors:
    """Rows scaled to norm 1; a row of zeros, which no text should give, becomes the first axis."""
    import numpy as np

    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not norms.all():
        rows = rows.copy()
        rows[norms[:, 0] == 0, 0] = 1.0
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = np.ascontiguousarray(rows / norms, dtype=np.float32)
    return unit
