"""Load, run and export the models of sentence-transformers: its door, and torch's.

Knows modules, prompts and ONNX export; knows nothing of where a model's files come from or what is done
with the vectors. Importing torch takes seconds: only preparing a model, or asking for this engine by name,
comes here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.errors import MissingExtra, ModelUnsuitable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OPSET = 17
"""The newest ONNX opset whose attention and layer norms onnxruntime's fusions recognise."""


def installed() -> bool:
    """Whether sentence-transformers and torch can be imported, without importing them."""
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in ("sentence_transformers", "torch"))


def load_bi_encoder(directory: Path, *, threads: int = 0, exportable: bool = False) -> Any:
    """A SentenceTransformer on the CPU, from local files alone; code in the model's folder is never run."""
    return _load("SentenceTransformer", directory, threads, exportable)


def load_cross_encoder(directory: Path, *, threads: int = 0, exportable: bool = False) -> Any:
    """A CrossEncoder on the CPU, from local files alone; code in the model's folder is never run.

    Raises ModelUnsuitable also where the files hold no weights of what makes a score of the text's state.
    """
    model = _load("CrossEncoder", directory, threads, exportable)
    if made_up := _without_weights(_classifier(model), directory):
        raise ModelUnsuitable(f"{directory} has no weights of the {made_up} that a cross-encoder's scores come from")
    return model


def encode(model: Any, texts: Sequence[str], batch_size: int = 32) -> NDArray[np.float32]:
    """Unit vectors of `texts`, as they stand: prefixes are the caller's."""
    import numpy as np

    vectors = model.encode(
        list(texts), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False, prompt=""
    )
    return np.asarray(vectors, dtype=np.float32)


def score(model: Any, pairs: Sequence[tuple[str, str]], batch_size: int = 32) -> NDArray[np.float32]:
    """Relevance of each (query, text) in [0, 1], shape (n,): the sigmoid of a single label's logit; or, where there
    are several labels, the probability of each, shape (n, labels)."""
    import numpy as np
    import torch

    if not pairs:
        return np.zeros(0, dtype=np.float32)
    activation = torch.nn.Sigmoid() if label_count(model) == 1 else torch.nn.Softmax(dim=-1)
    found = model.predict(list(pairs), batch_size=batch_size, activation_fn=activation, show_progress_bar=False)
    return np.asarray(found, dtype=np.float32)


def export_bi_encoder(model: Any, path: Path) -> None:
    """Write the whole pipeline (transformer, pooling, dense layers), normalised, as one ONNX graph.

    A second output, `states`, is the states of the tokens, if they are as wide as the vector that they are pooled to.
    """
    import torch

    class Pipeline(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: Any) -> Any:
            found = self.model(dict(zip(names, inputs, strict=True)))
            pooled, states = found["sentence_embedding"], found.get("token_embeddings")
            vector = torch.nn.functional.normalize(pooled, p=2, dim=1)
            return (vector, states) if with_states else vector

    sample = _features(model, ["a short text", "a somewhat longer text, so that one of them is padded"])
    names = list(sample)
    with torch.inference_mode():
        found = model(dict(sample))
    states = found.get("token_embeddings")
    with_states = states is not None and states.shape[-1] == found["sentence_embedding"].shape[-1]
    _export(Pipeline(), sample, path, ("embedding", "states") if with_states else ("embedding",))


def export_cross_encoder(model: Any, path: Path) -> None:
    """Write a cross-encoder as one ONNX graph that gives what `score` gives."""
    import torch

    transformer = _classifier(model)
    one_label = label_count(model) == 1

    class Pipeline(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = transformer

        def forward(self, *inputs: Any) -> Any:
            logits = self.model(**dict(zip(names, inputs, strict=True))).logits
            return torch.sigmoid(logits[:, 0]) if one_label else torch.softmax(logits, dim=-1)

    pairs = [("a question", "a short text"), ("a question", "a somewhat longer text, so that one is padded")]
    encoded = model.tokenizer([a for a, _ in pairs], [b for _, b in pairs], padding=True, return_tensors="pt")
    sample = {name: encoded[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in encoded}
    names = list(sample)
    _export(Pipeline(), sample, path, ("score",))


def label_count(model: Any) -> int:
    """Labels of a cross-encoder: one for a reranker."""
    return int(_classifier(model).config.num_labels)


def max_tokens(model: Any) -> int:
    """The model's window, special tokens included."""
    limit = getattr(model, "max_seq_length", None) or model.tokenizer.model_max_length
    return min(int(limit), 8192)


def save_tokenizer(model: Any, directory: Path) -> None:
    """Write the tokenizer as a tokenizer.json, which models without one are converted to."""
    tokenizer = model.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise ModelUnsuitable("the model's tokenizer has no tokenizer.json and cannot be converted to one")
    tokenizer.backend_tokenizer.save(str(directory / "tokenizer.json"))


def _load(kind: str, directory: Path, threads: int, exportable: bool) -> Any:
    # Read by huggingface_hub when it is imported. Local files alone are asked for below, so nothing is fetched.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        import sentence_transformers
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(
            "sentence-transformers and torch are not installed; this model can only be read with them",
            "pip install 'ragkit[export]'",
        ) from error
    if threads:
        torch.set_num_threads(threads)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # Attention written out is what the exporter and the fusions after it can read.
    options: dict[str, Any] = {"model_kwargs": {"attn_implementation": "eager"}} if exportable else {}
    try:
        with _quiet():
            model = getattr(sentence_transformers, kind)(
                str(directory), device="cpu", local_files_only=True, trust_remote_code=False, **options
            )
    except Exception as error:
        raise ModelUnsuitable(f"sentence-transformers cannot load {directory}: {error}") from error
    return model.eval()


def _without_weights(classifier: Any, directory: Path) -> str:
    """A part above the encoder that the files hold no weights of, so that it was filled at random; "" for none."""
    from safetensors import safe_open

    files = sorted(directory.glob("*.safetensors"))
    if not files or not type(classifier).__name__.endswith("ForSequenceClassification"):
        return ""
    kept: set[str] = set()
    for path in files:
        with safe_open(path, "np") as file:
            names: list[str] = list(file.keys())
        kept.update(part for name in names for part in name.split("."))
    parts = dict.fromkeys(name.partition(".")[0] for name, _ in classifier.named_parameters())
    return next((part for part in parts if part != classifier.base_model_prefix and part not in kept), "")


def _classifier(model: Any) -> Any:
    return model.model if hasattr(model, "model") else model[0].auto_model


def _features(model: Any, texts: Sequence[str]) -> dict[str, Any]:
    make = getattr(model, "preprocess", None) or model.tokenize
    return {name: value for name, value in make(list(texts)).items() if hasattr(value, "shape")}


def _export(module: Any, sample: dict[str, Any], path: Path, outputs: Sequence[str]) -> None:
    import torch

    names = list(sample)
    axes: dict[str, dict[int, str]] = {name: {0: "batch", 1: "sequence"} for name in names}
    axes |= {name: {0: "batch", 1: "sequence"} if name == "states" else {0: "batch"} for name in outputs}
    try:
        with torch.inference_mode(), _quiet():
            # The TorchScript exporter: onnxruntime's fusions do not recognise the graphs of the newer one.
            torch.onnx.export(
                module.eval(),
                tuple(sample.values()),
                str(path),
                input_names=names,
                output_names=list(outputs),
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:
        raise ModelUnsuitable(f"torch cannot export this model to ONNX: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings, which name internals that no user of ragkit can change."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
