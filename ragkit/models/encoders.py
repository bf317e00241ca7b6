"""Turn a sentence-transformers model into the ONNX files that serve it best on this machine.

Knows the candidates, how they are measured, and when one counts as the same model; knows nothing of names, sources or
caches. A candidate passes parity when its vectors point where the original's do, or its scores agree with it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ragkit import sbert
from ragkit.domain import Progress
from ragkit.encoder import MODEL, TOKENIZER, Encoder, Input, TextTokenizer
from ragkit.errors import MissingExtra, ModelUnsuitable
from ragkit.models import graph, sample
from ragkit.models.catalogue import ModelSpec
from ragkit.models.kinds import module_types, read_list, read_object

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

MIN_MEAN_COSINE = 0.99
MIN_COSINE = 0.95
MAX_MEAN_DIFFERENCE = 0.02
"""Of a cross-encoder's scores in [0, 1]."""
AS_FAST = 0.9
"""Candidates within this share of the fastest count as equally fast: timings vary, and parity decides."""
PASSAGES = 24
QUERIES = 100
LOW = 0.1
"""Unrelated texts with a cosine below this have none to speak of."""
BATCH_TOKENS = (512, 2048, 8192)


@dataclass(slots=True)
class Candidate:
    """One way to run the model. `agreement` is the mean cosine with the original (embedders), or one minus the mean
    difference of scores (cross-encoders); `worst` the same for the worst of the sample."""

    name: str
    texts_per_second: float = 0.0
    agreement: float = 1.0
    worst: float = 1.0
    megabytes: float = 0.0
    passes: bool = True
    reason: str = ""
    path: Path | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Without the temporary path."""
        values = asdict(self)
        del values["path"]
        return {key: round(value, 5) if isinstance(value, float) else value for key, value in values.items()}


@dataclass(frozen=True, slots=True)
class Shape:
    """What the model's own files say about how it is used."""

    role: str
    max_tokens: int
    """Special tokens excluded, of both texts of a pair."""
    query_prefix: str = ""
    passage_prefix: str = ""
    pooling: str = ""
    labels: tuple[str, ...] = ()


def prepare_onnx(
    source: Path,
    target: Path,
    spec: ModelSpec,
    role: str,
    *,
    prefer: Literal["speed", "fidelity"],
    threads: int,
    weights: Literal["torch", "onnx"],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write model.onnx and tokenizer.json into `target`; gives the manifest's measurements.

    Raises ModelUnsuitable when the model cannot be exported or no candidate passes parity, MissingExtra when
    what exports it is not installed.
    """
    notify = progress or (lambda *_: None)
    work = target / "work"
    work.mkdir()
    raw = work / "raw.onnx"
    notify("export", 0, 1)
    model = _export(source, raw, target, role, weights, spec)
    shape = read_shape(source, spec, role, model)
    notify("export", 1, 1)
    bench = _Bench(target / TOKENIZER, shape, role, threads)
    original = bench.original(model, raw)
    candidates = _candidates(raw, work, read_object(source / "config.json"))
    for done, candidate in enumerate(candidates):
        notify("measure", done, len(candidates))
        bench.judge(candidate, original)
    bench.race([candidate for candidate in candidates if candidate.passes])
    baseline = [bench.baseline(model)] if model is not None else []
    chosen = choose(candidates, prefer)
    assert chosen.path is not None
    reference = "sentence-transformers" if model is not None else "the repository's ONNX file"
    reference = "its table" if static_folder(source) else reference
    chosen.path.replace(target / MODEL)
    batch_tokens = bench.best_batch(target)
    notify("measure", len(candidates), len(candidates))
    shutil.rmtree(work)
    unrelated = {"unrelated": bench.unrelated(target)} if role == "embedder" else {}
    return {
        "engine": "onnx",
        "max_tokens": shape.max_tokens,
        "dimension": int(original.shape[1]) if original.ndim == 2 else 1,
        "prefixes": {"query": shape.query_prefix, "passage": shape.passage_prefix},
        "pooling": shape.pooling,
        "labels": list(shape.labels),
        "batch_tokens": batch_tokens,
        "chosen": chosen.name,
        **unrelated,
        "reference": reference,
        "candidates": [candidate.as_json() for candidate in (*baseline, *candidates)],
    }


def choose(candidates: Sequence[Candidate], prefer: Literal["speed", "fidelity"]) -> Candidate:
    """The fastest that passes parity, or the one that agrees best (the faster of equals).

    Raises ModelUnsuitable when none passes.
    """
    passing = [candidate for candidate in candidates if candidate.passes]
    if not passing:
        best = max(candidates, key=lambda candidate: candidate.agreement)
        raise ModelUnsuitable(f"no export agrees with the original; the nearest is {best.name} ({best.reason})")
    if prefer == "speed":
        fastest = max(candidate.texts_per_second for candidate in passing)
        passing = [candidate for candidate in passing if candidate.texts_per_second >= AS_FAST * fastest]
    return max(passing, key=lambda candidate: (round(candidate.agreement, 6), candidate.texts_per_second))


def sample_passages(tokenizer: Path, shape: Shape) -> list[str]:
    """What models are measured on: passages nearly as long as chunks are."""
    length = min(shape.max_tokens, 256) - 8
    return sample.passages(TextTokenizer(tokenizer, shape.max_tokens), PASSAGES, length)


def unrelated_cosine(encode: Callable[[Sequence[str]], Rows], shape: Shape, passages: Sequence[str]) -> float:
    """The cosine of texts that have nothing to do with each other: what one pair in twenty of the sample's questions
    and these passages stays below. Two digits; 0 where it is below LOW."""
    import numpy as np

    queries = encode([shape.query_prefix + text for text in sample.questions(QUERIES)])
    rows = encode([shape.passage_prefix + text for text in passages])
    value = float(np.quantile(queries @ rows.T, 0.05))
    return 0.0 if value < LOW else round(value, 2)


def unrelated_of(directory: Path, manifest: Mapping[str, Any], threads: int) -> float:
    """`unrelated_cosine` of an embedder that was prepared before it was measured."""
    prefixes = manifest["prefixes"]
    shape = Shape("embedder", manifest["max_tokens"], prefixes["query"], prefixes["passage"])
    encode: Callable[[Sequence[str]], Rows]
    if manifest["engine"] == "sentence-transformers":
        model = sbert.load_bi_encoder(directory / manifest["source_directory"], threads=threads)
        encode = partial(sbert.encode, model)
    else:
        encode = Encoder(directory, max_tokens=shape.max_tokens, threads=threads, batch_tokens=2048).run
    return unrelated_cosine(encode, shape, sample_passages(directory / TOKENIZER, shape))


def read_shape(source: Path, spec: ModelSpec, role: str, model: Any = None) -> Shape:
    """Window, prefixes and pooling: from the catalogue first, then from the model's own files."""
    config = read_object(source / "config.json")
    if model is not None:
        window = sbert.max_tokens(model)
    else:
        own = read_object(source / "sentence_bert_config.json").get("max_seq_length")
        window = int(own or read_object(source / "tokenizer_config.json").get("model_max_length") or 512)
    positions = int(config.get("max_position_embeddings") or 512)
    window = min(spec.max_tokens or window, positions, 8192)
    prompts = read_object(source / "config_sentence_transformers.json").get("prompts") or {}
    query, passage = spec.query_prefix, spec.passage_prefix
    if query is None:
        query = prompts.get("query") or ""
    if passage is None:
        passage = prompts.get("passage") or prompts.get("document") or prompts.get("corpus") or ""
    return Shape(
        role=role,
        max_tokens=window - (2 if role == "embedder" else 3),
        query_prefix=query,
        passage_prefix=passage,
        pooling=spec.pooling or _pooling(source),
        labels=tuple(config.get("id2label", {}).values()) if role == "nli" else (),
    )


def _pooling(source: Path) -> str:
    """The pooling of modules.json's Pooling module; "" when it says nothing."""
    if static_folder(source):
        return "mean"
    for path in sorted(source.glob("*_Pooling/config.json")):
        config = read_object(path)
        if named := config.get("pooling_mode"):
            return str(named)
        modes = {
            "pooling_mode_mean_tokens": "mean",
            "pooling_mode_cls_token": "cls",
            "pooling_mode_max_tokens": "max",
            "pooling_mode_lasttoken": "lasttoken",
        }
        return next((mode for key, mode in modes.items() if config.get(key)), "")
    return ""


def static_folder(source: Path) -> Path | None:
    """Where the table of a static model lies, or None for a model with a network."""
    kinds = module_types(source)
    if kinds[:1] == ["StaticEmbedding"] and set(kinds[1:]) <= {"Normalize"}:
        return source / str(read_list(source / "modules.json")[0].get("path", ""))
    return None


def _export(source: Path, raw: Path, target: Path, role: str, weights: str, spec: ModelSpec) -> Any:
    """Write raw.onnx and tokenizer.json. Gives the loaded model, or None where the repository's ONNX file or table
    serves."""
    if weights == "onnx":
        if role == "nli":
            raise MissingExtra(
                "preparing a model of several labels needs sentence-transformers and torch",
                "pip install 'ragkit[export]'",
            )
        assert spec.onnx is not None
        floats = raw.with_name("floats.onnx")
        graph.dequantise(source / spec.onnx.path, floats)
        if role == "reranker":
            graph.append_relevance(floats, raw)
        else:
            graph.append_pooling(floats, raw, spec.pooling or _pooling(source) or "mean")
        shutil.copyfile(source / TOKENIZER, target / TOKENIZER)
        return None
    if role == "embedder" and (folder := static_folder(source)):
        graph.static_embedding(folder / "model.safetensors", folder / TOKENIZER, raw)
        shutil.copyfile(folder / TOKENIZER, target / TOKENIZER)
        return None
    if role == "embedder":
        model = sbert.load_bi_encoder(source, exportable=True)
        sbert.export_bi_encoder(model, raw)
    else:
        model = sbert.load_cross_encoder(source, exportable=True)
        if role == "reranker" and sbert.label_count(model) != 1:
            raise ModelUnsuitable(f"a reranker has one label; this cross-encoder has {sbert.label_count(model)}")
        sbert.export_cross_encoder(model, raw)
    if (source / TOKENIZER).is_file():
        shutil.copyfile(source / TOKENIZER, target / TOKENIZER)
    else:
        sbert.save_tokenizer(model, target)
    return model


def _candidates(raw: Path, work: Path, config: Mapping[str, Any]) -> list[Candidate]:
    """The graph as floats, and quantised in each way; fused where it can be, and always saved optimised."""
    fused = work / "fused.onnx"
    base = fused if graph.fuse(raw, fused, config) else raw
    found = []
    for name, make in _recipes(base):
        rough, path = work / f"{name}-rough.onnx", work / f"{name}.onnx"
        candidate = Candidate(name)
        try:
            source = make(rough)
            graph.save_optimised(source, path)
            candidate.path, candidate.megabytes = path, path.stat().st_size / 1e6
        except Exception as error:  # onnxruntime's tools raise anything; one failed candidate is no failure
            candidate.passes, candidate.reason = False, f"{type(error).__name__}: {str(error)[:160]}"
        rough.unlink(missing_ok=True)
        found.append(candidate)
    return found


def _recipes(base: Path) -> list[tuple[str, Callable[[Path], Path]]]:
    def quantised(how: graph.Quantisation) -> Callable[[Path], Path]:
        def make(path: Path) -> Path:
            graph.quantise(base, path, how)
            return path

        return make

    return [("float32", lambda _: base), *((how.name, quantised(how)) for how in graph.QUANTISATIONS)]


class _Bench:
    """The sample, and what is measured on it."""

    def __init__(self, tokenizer: Path, shape: Shape, role: str, threads: int) -> None:
        self._tokenizer, self._shape, self._role, self._threads = tokenizer, shape, role, threads
        self.texts: list[Input] = list(sample_passages(tokenizer, shape))
        if role != "embedder":
            asked = sample.questions(PASSAGES)
            self.texts = [(asked[i % len(asked)], str(text)) for i, text in enumerate(self.texts)]

    def original(self, model: Any, raw: Path) -> Rows:
        """The reference: what sentence-transformers gives, or the repository's own graph."""
        if model is None:
            return self._run(raw)[0]
        if self._role == "embedder":
            return sbert.encode(model, [str(text) for text in self.texts])
        return sbert.score(model, [(text[0], text[1]) for text in self.texts])

    def baseline(self, model: Any) -> Candidate:
        """sentence-transformers at its defaults, for comparison."""
        started = time.perf_counter()
        self.original(model, Path())
        return Candidate("sentence-transformers", texts_per_second=len(self.texts) / (time.perf_counter() - started))

    def judge(self, candidate: Candidate, original: Rows) -> None:
        """Run once; fill in agreement and whether it passes."""
        if candidate.path is None:
            return
        rows, candidate.texts_per_second = self._run(candidate.path)
        if self._role == "embedder":
            cosines = (rows * original).sum(axis=1)
            candidate.agreement, candidate.worst = float(cosines.mean()), float(cosines.min())
            candidate.passes = candidate.agreement >= MIN_MEAN_COSINE and candidate.worst >= MIN_COSINE
        else:
            difference = abs(rows.reshape(original.shape) - original)
            candidate.agreement, candidate.worst = 1 - float(difference.mean()), 1 - float(difference.max())
            candidate.passes = candidate.agreement >= 1 - MAX_MEAN_DIFFERENCE
        if not candidate.passes:
            candidate.reason = f"agreement {candidate.agreement:.4f}, worst {candidate.worst:.4f}"

    def race(self, candidates: Sequence[Candidate]) -> None:
        """Two more rounds in turn, so that another program's burst hits all alike; the best of a candidate counts."""
        for _ in range(2):
            for candidate in candidates:
                assert candidate.path is not None
                _, speed = self._run(candidate.path)
                candidate.texts_per_second = max(candidate.texts_per_second, speed)

    def best_batch(self, directory: Path) -> int:
        """Tokens in a batch at which this model is fastest here."""
        speeds = {size: self._speed(directory, size) for size in BATCH_TOKENS}
        return max(speeds, key=lambda size: speeds[size])

    def unrelated(self, directory: Path) -> float:
        """`unrelated_cosine` on the sample."""
        encoder = self._encoder(directory, 2048)
        return unrelated_cosine(encoder.run, self._shape, [str(text) for text in self.texts])

    def _run(self, path: Path) -> tuple[Rows, float]:
        folder = path.parent / f"open-{path.stem}"
        folder.mkdir(exist_ok=True)
        for name, source in ((MODEL, path), (TOKENIZER, self._tokenizer)):
            if not (folder / name).exists():
                (folder / name).hardlink_to(source)
        encoder = self._encoder(folder, 2048)
        encoder.run(self.texts[:2])
        started = time.perf_counter()
        rows = encoder.run(self.texts)
        return rows, len(self.texts) / (time.perf_counter() - started)

    def _speed(self, directory: Path, batch_tokens: int) -> float:
        encoder = self._encoder(directory, batch_tokens)
        encoder.run(self.texts[:2])
        started = time.perf_counter()
        encoder.run(self.texts)
        return len(self.texts) / (time.perf_counter() - started)

    def _encoder(self, directory: Path, batch_tokens: int) -> Encoder:
        return Encoder(
            directory,
            max_tokens=self._shape.max_tokens,
            threads=self._threads,
            batch_tokens=batch_tokens,
            pairs=self._role != "embedder",
        )
