"""Read what a GGUF file says of itself; quantise it again; measure how fast and how faithful the result is.

The door of llama.cpp's quantiser (generation has its own). Knows GGUF, tokens a second, and divergence; knows nothing
of which candidate is kept.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ragkit.errors import ModelCorrupt, ModelUnsuitable
from ragkit.models import sample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAGIC = b"GGUF"
FILE_TYPES = {"Q4_0": "LLAMA_FTYPE_MOSTLY_Q4_0", "Q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0", "BF16": "LLAMA_FTYPE_MOSTLY_BF16"}
PROMPT_TOKENS = 1500
"""The prompt of a typical question: instructions and five sources."""
DECODE_TOKENS = 32
ANSWER_TOKENS = 96
"""Tokens of a typical answer; with the prompt above, they make the seconds a question that candidates compete on."""
BATCH = 256
COMPARED_TOKENS = 192
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_NAMES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    32: "BF16",
}


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """What a GGUF file states: architecture, window in tokens, quantisation, whether it has a chat template."""

    architecture: str
    context_tokens: int
    layers: int
    quantisation: str
    name: str
    chat_template: bool


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second: of a long prompt, and of an answer."""

    prompt: float
    decode: float

    @property
    def question_seconds(self) -> float:
        """Time of a typical question: 1,500 tokens of prompt and 96 of answer."""
        return PROMPT_TOKENS / self.prompt + ANSWER_TOKENS / self.decode


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How a candidate's next-token distributions differ from the shipped file's on fixed text.

    `divergence` is the mean Kullback-Leibler divergence in nats, `agreement` the share of positions with the
    same most likely token.
    """

    divergence: float
    agreement: float


def facts(path: Path) -> GgufFacts:
    """Read the header alone: a millisecond, whatever the size of the model. Raises ModelCorrupt."""
    try:
        with path.open("rb") as file:
            values = _metadata(file)
    except (OSError, struct.error, UnicodeDecodeError, MemoryError, ValueError) as error:
        raise ModelCorrupt(f"{path} is not a readable GGUF file: {error}", "run `ragkit models verify`") from error
    architecture = str(values.get("general.architecture", "unknown"))
    return GgufFacts(
        architecture=architecture,
        context_tokens=int(values.get(f"{architecture}.context_length", 0)),
        layers=int(values.get(f"{architecture}.block_count", 0)),
        quantisation=_NAMES.get(int(values.get("general.file_type", -1)), "unknown"),
        name=str(values.get("general.name", path.stem)),
        chat_template="tokenizer.chat_template" in values,
    )


def requantise(source: Path, target: Path, kind: str, threads: int) -> None:
    """Write `source` in another quantisation with llama.cpp's own function. Raises ModelUnsuitable."""
    llama_cpp = _door()
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.nthread = threads
    parameters.ftype = getattr(llama_cpp, FILE_TYPES[kind])
    parameters.allow_requantize = True
    failed = llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(parameters))
    if failed:
        target.unlink(missing_ok=True)
        raise ModelUnsuitable(f"llama.cpp could not write {source.name} as {kind}")


def measure(path: Path, threads: int, budget_seconds: float = 20.0) -> Speed:
    """Tokens a second, with flash attention, of a 1,500-token prompt and of an answer after it.

    Neither takes much longer than `budget_seconds`: a slow candidate's speed is taken from the part it got through.
    """
    model = _load(path, PROMPT_TOKENS + DECODE_TOKENS + 64, threads)
    try:
        tokens = _tokens(model, PROMPT_TOKENS)
        model.eval(tokens[:32])  # pages the weights in
        model.reset()
        prompt = _rate(model, [tokens[at : at + BATCH] for at in range(0, len(tokens), BATCH)], budget_seconds)
        decode = _rate(model, [[token] for token in tokens[:DECODE_TOKENS]], budget_seconds / 2)
        return Speed(prompt=prompt, decode=decode)
    finally:
        model.close()


def _rate(model: Any, batches: Sequence[Sequence[int]], budget_seconds: float) -> float:
    started, read = time.perf_counter(), 0
    for batch in batches:
        model.eval(batch)
        read += len(batch)
        if time.perf_counter() - started > budget_seconds:
            break
    return read / (time.perf_counter() - started)


def distributions(path: Path, threads: int) -> NDArray[np.float32]:
    """Log-probabilities of the next token at each of 192 positions of fixed text, (192, vocabulary)."""
    import numpy as np

    model = _load(path, COMPARED_TOKENS + 8, threads, logits_all=True)
    try:
        model.eval(_tokens(model, COMPARED_TOKENS))
        logits = np.asarray(model.scores[:COMPARED_TOKENS], dtype=np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logits
    finally:
        model.close()


def compare(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> Fidelity:
    """Divergence of the candidate's next-token distributions from the reference's."""
    import numpy as np

    divergence = (np.exp(reference) * (reference - candidate)).sum(axis=1)
    agreement = (reference.argmax(axis=1) == candidate.argmax(axis=1)).mean()
    return Fidelity(divergence=float(divergence.mean()), agreement=float(agreement))


def _tokens(model: Any, count: int) -> Sequence[int]:
    text = sample.prose()[: count * 8]
    tokens: list[int] = model.tokenize(text.encode())[:count]
    return tokens


def _load(path: Path, context_tokens: int, threads: int, logits_all: bool = False) -> Any:
    llama_cpp = _door()
    try:
        return llama_cpp.Llama(
            model_path=str(path),
            n_ctx=context_tokens,
            n_threads=threads,
            n_threads_batch=threads,
            flash_attn=True,
            logits_all=logits_all,
            verbose=False,
        )
    except (ValueError, RuntimeError) as error:
        raise ModelCorrupt(f"llama.cpp cannot load {path}: {error}", "run `ragkit models verify`") from error


def _door() -> Any:
    import logging

    import llama_cpp

    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)
    return llama_cpp


# ---------------------------------------------------------------- the header
# https://github.com/ggml-org/ggml/blob/master/docs/gguf.md


def _metadata(file: IO[bytes]) -> Mapping[str, Any]:
    if file.read(4) != MAGIC:
        raise ValueError("it does not begin with GGUF")
    version, _tensors, count = _unpack(file, "IQQ")
    if version < 2:
        raise ValueError(f"version {version} is too old")
    values = {}
    for _ in range(count):
        key = _string(file)
        values[key] = _value(file, _unpack(file, "I")[0])
    return values


def _value(file: IO[bytes], kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        inner, length = _unpack(file, "IQ")
        if inner == _STRING:  # vocabularies: stepped over, not kept
            for _ in range(length):
                file.seek(_unpack(file, "Q")[0], 1)
        elif inner == _ARRAY:
            raise ValueError("nested arrays")
        else:
            file.seek(struct.calcsize("<" + _SCALARS[inner]) * length, 1)
        return None
    if kind not in _SCALARS:
        raise ValueError(f"unknown value type {kind}")
    return _unpack(file, _SCALARS[kind])[0]


def _string(file: IO[bytes]) -> str:
    (length,) = _unpack(file, "Q")
    if length > 1 << 26:
        raise ValueError(f"a string of {length} bytes")
    return file.read(length).decode("utf-8", "replace")


def _unpack(file: IO[bytes], form: str) -> tuple[Any, ...]:
    form = "<" + form
    return struct.unpack(form, file.read(struct.calcsize(form)))
