"""Run an exported encoder in onnxruntime: texts, or pairs of texts, in; one row of numbers each out, and on demand
the mean of the token states of any part of a text.

The door of onnxruntime and tokenizers. Knows tokens, padding, batches and threads; knows nothing of what a
row means (a vector, a score), of where the files came from, or of torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ragkit.domain import Progress, Span
from ragkit.errors import ModelCorrupt, ModelUnsuitable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows: TypeAlias = NDArray[np.float32]

Input: TypeAlias = str | tuple[str, str]
"""A text, or the two texts of a cross-encoder."""

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
STATES = "states"
"""The output that holds the states of the tokens, in graphs that have one."""
EQUAL_LENGTHS = "ragkit_equal_lengths"
"""What a graph without a padding mask says of itself: texts that are read together have the same number of tokens."""
WINDOW = 4096
"""Texts tokenized at a time: bounds memory, and is plenty to sort into batches of like length."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Tokens of one input; `offsets` are the characters of each, where they were asked for."""

    ids: list[int]
    segments: list[int]
    offsets: Sequence[Span] = ()
    special: Sequence[int] = ()


class TextTokenizer:
    """A tokenizer.json: spans for chunking, token ids for the encoder. Safe to share between threads."""

    def __init__(self, path: Path, max_tokens: int, *, pairs: bool = False) -> None:
        """`max_tokens` counts without special tokens, both texts of a pair together; longer inputs are cut there."""
        self._path = path
        self._cut = _load_tokenizer(path)
        self._cut.no_padding()
        self._cut.enable_truncation(max_tokens + self._cut.num_special_tokens_to_add(pairs))

    @cached_property
    def _plain(self) -> Any:
        """A second one without truncation: only chunking needs it, and each takes 40 ms to read."""
        plain = _load_tokenizer(self._path)
        plain.no_truncation()
        plain.no_padding()
        return plain

    def spans(self, text: str) -> list[Span]:
        """Character spans of every token of `text`; special tokens are left out and nothing is cut off."""
        return [span for span in self._plain.encode(text, add_special_tokens=False).offsets if span[0] < span[1]]

    def encode(self, inputs: Sequence[Input], *, offsets: bool = False) -> list[Encoded]:
        """The tokens of each input, special tokens included, cut to the window."""
        if not offsets:
            return [Encoded(found.ids, found.type_ids) for found in self._cut.encode_batch_fast(list(inputs))]
        return [
            Encoded(found.ids, found.type_ids, found.offsets, found.special_tokens_mask)
            for found in self._cut.encode_batch(list(inputs))
        ]


class Encoder:
    """A directory with model.onnx and tokenizer.json, opened when first used.

    The session runs each batch on the thread that calls it; `threads` batches run at a time. On two cores
    that is faster than one batch on two threads, as nothing waits between layers.
    """

    def __init__(
        self, directory: Path, *, max_tokens: int, threads: int, batch_tokens: int, pairs: bool = False
    ) -> None:
        self._directory = directory
        self._pairs = pairs
        self._max_tokens = max_tokens
        self._threads = max(1, threads)
        self._batch_tokens = batch_tokens
        self._lock = threading.Lock()
        self._session: Any = None
        self._tokenizer: TextTokenizer | None = None
        self._inputs: dict[str, str] = {}
        self._output = ""
        self._has_states = False
        self._equal_lengths = False

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer, opened without the model."""
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = TextTokenizer(self._directory / TOKENIZER, self._max_tokens, pairs=self._pairs)
            return self._tokenizer

    @property
    def is_open(self) -> bool:
        """Whether the session stands."""
        return self._session is not None

    def run(self, inputs: Sequence[Input], progress: Progress | None = None, what: str = "embed") -> Rows:
        """float32 array with one row for each input, in their order; equal inputs are computed once."""
        import numpy as np

        places: dict[Input, list[int]] = {}
        for place, value in enumerate(inputs):
            places.setdefault(value, []).append(place)
        unique = list(places)
        self._open()
        rows: Rows | None = None
        done = 0
        for chosen, found in self._batches(unique, self._rows):
            if rows is None:
                rows = np.zeros((len(inputs), *found.shape[1:]), dtype=np.float32)
            for at, row in zip(chosen, found, strict=True):
                rows[places[unique[at]]] = row
                done += len(places[unique[at]])
            if progress:
                progress(what, done, len(inputs))
        return np.zeros((0, 0), dtype=np.float32) if rows is None else rows

    def run_with_parts(self, texts: Sequence[str], parts: Sequence[Sequence[Span]]) -> tuple[Rows, list[Rows]]:
        """What `run` gives, and for each text an array with a row for each of its parts (character spans): the mean
        of the states of the tokens that touch the part; zeros where the window was cut off before it.

        Raises ModelUnsuitable for a model without the output `states`.
        """
        import numpy as np

        self._open()
        if not self._has_states:
            raise ModelUnsuitable(f"{self._directory / MODEL} has no output {STATES}", "run `ragkit models prepare`")

        def compute(chosen: list[int], tokens: list[Encoded]) -> list[tuple[Rows, Rows]]:
            found, states = self._session.run([self._output, STATES], self._arrays(tokens))
            return [
                (found[row], part_means(states[row], one, parts[at]))
                for row, (at, one) in enumerate(zip(chosen, tokens, strict=True))
            ]

        done: dict[int, tuple[Rows, Rows]] = {}
        for chosen, found in self._batches(texts, compute, offsets=True):
            done.update(zip(chosen, found, strict=True))
        ordered = [done[at] for at in range(len(texts))]
        whole = np.stack([row for row, _ in ordered]) if ordered else np.zeros((0, 0), dtype=np.float32)
        return whole, [means for _, means in ordered]

    @property
    def has_states(self) -> bool:
        """Whether `run_with_parts` works; opens the model."""
        self._open()
        return self._has_states

    def _batches(
        self, inputs: Sequence[Input], compute: Callable[[list[int], list[Encoded]], Any], *, offsets: bool = False
    ) -> Iterator[tuple[list[int], Any]]:
        """(places of a batch's inputs, what `compute` makes of it), as batches complete."""
        plan = self._plan(inputs, offsets)
        if self._threads == 1 or len(inputs) == 1:
            for chosen, tokens in plan:
                yield chosen, compute(chosen, tokens)
            return
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="encoder")
        try:
            yield from _in_parallel(pool, self._threads, compute, plan)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _plan(self, inputs: Sequence[Input], offsets: bool) -> Iterator[tuple[list[int], list[Encoded]]]:
        """Batches of like length, longest first, within the token budget, padding included; of equal length, without
        padding, where the graph has no mask."""
        for start in range(0, len(inputs), WINDOW):
            tokens = self.tokenizer.encode(inputs[start : start + WINDOW], offsets=offsets)
            lengths = [len(one.ids) for one in tokens]
            order = sorted(range(len(tokens)), key=lambda i: -lengths[i])
            budget = max(1, min(self._batch_tokens, sum(lengths) // self._threads + 1))
            for batch in group_by_budget([lengths[i] for i in order], budget, equal=self._equal_lengths):
                chosen = [order[at] for at in batch]
                yield [start + i for i in chosen], [tokens[i] for i in chosen]

    def _rows(self, chosen: list[int], tokens: list[Encoded]) -> Rows:
        rows: Rows = self._session.run([self._output], self._arrays(tokens))[0]
        return rows.reshape(len(tokens), -1)

    def _arrays(self, tokens: Sequence[Encoded]) -> dict[str, Any]:
        """The graph's inputs, padded to the longest."""
        import numpy as np

        width = max(1, max(len(one.ids) for one in tokens))
        arrays = {name: np.zeros((len(tokens), width), dtype=kind) for name, kind in self._inputs.items()}
        for row, one in enumerate(tokens):
            read = (
                ("input_ids", one.ids),
                ("token_type_ids", one.segments),
                ("attention_mask", [1] * len(one.ids)),
            )
            for name, values in read:
                if name in arrays:
                    arrays[name][row, : len(values)] = values
        return arrays

    def _open(self) -> None:
        with self._lock:
            if self._session is None:
                session = open_session(self._directory / MODEL)
                kinds = {"tensor(int64)": "int64", "tensor(int32)": "int32"}
                self._inputs = {entry.name: kinds[entry.type] for entry in session.get_inputs()}
                if "input_ids" not in self._inputs:
                    raise ModelUnsuitable(f"{self._directory / MODEL} takes {sorted(self._inputs)}, not token ids")
                outputs = [entry.name for entry in session.get_outputs()]
                self._output, self._has_states = outputs[0], STATES in outputs[1:]
                self._equal_lengths = EQUAL_LENGTHS in session.get_modelmeta().custom_metadata_map
                self._session = session


def part_means(states: Rows, tokens: Encoded, parts: Sequence[Span]) -> Rows:
    """float32 array of shape (len(parts), width): the mean state of the tokens that touch each part.

    `states` has one row for each token, padding behind; special tokens touch nothing.
    """
    import numpy as np

    means = np.zeros((len(parts), states.shape[1]), dtype=np.float32)
    own = [at for at, special in enumerate(tokens.special) if not special]
    if not own or not parts:
        return means
    starts = np.array([tokens.offsets[at][0] for at in own])
    ends = np.array([tokens.offsets[at][1] for at in own])
    firsts = np.searchsorted(ends, [start for start, _ in parts], side="right")
    lasts = np.searchsorted(starts, [end for _, end in parts], side="left")
    for row, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
        if first < last:
            means[row] = states[own[first] : own[last - 1] + 1].mean(axis=0)
    return means


def group_by_budget(lengths: Sequence[int], budget: int, *, equal: bool = False) -> Iterator[range]:
    """Cut descending `lengths` into runs whose count times longest length stays within `budget`, and whose lengths
    are `equal` if so asked.

    An entry longer than the budget is a run of its own.

    >>> [list(run) for run in group_by_budget([9, 5, 5, 2, 1], 10)]
    [[0], [1, 2], [3, 4]]
    >>> [list(run) for run in group_by_budget([9, 5, 5, 2, 1], 10, equal=True)]
    [[0], [1, 2], [3], [4]]
    """
    start = 0
    for at in range(1, len(lengths) + 1):
        ends = at == len(lengths) or lengths[start] * (at - start + 1) > budget
        if ends or (equal and lengths[at] != lengths[start]):
            yield range(start, at)
            start = at


def open_session(path: Path, *, save_to: Path | None = None, threads: int = 1) -> Any:
    """An onnxruntime session over `path` on the CPU.

    Prepared models are saved optimised, so opening skips the graph passes; `save_to` applies them and saves. One is
    left out: the kernel of what it makes is slower than those of its parts (`models.graph.fuse`).
    Raises ModelCorrupt when the file cannot be read.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if save_to else levels.ORT_DISABLE_ALL
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
    try:
        return onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"] if save_to else None,
        )
    except Exception as error:  # onnxruntime's own classes derive from Exception alone
        raise ModelCorrupt(f"{path} is not a readable ONNX model: {error}", "run `ragkit models prepare`") from error


def _load_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelCorrupt(f"{path} is not a readable tokenizer: {error}", "run `ragkit models prepare`") from error


def _in_parallel(
    pool: ThreadPoolExecutor, width: int, compute: Callable[..., Any], plan: Iterable[tuple[list[int], list[Encoded]]]
) -> Iterator[tuple[list[int], Any]]:
    """(places, result) of each planned batch as it completes, with at most twice `width` of them in hand."""
    running: dict[Future[Any], list[int]] = {}
    batches = iter(plan)
    exhausted = False
    while running or not exhausted:
        while not exhausted and len(running) < 2 * width:
            batch = next(batches, None)
            if batch is None:
                exhausted = True
            else:
                running[pool.submit(compute, batch[0], batch[1])] = batch[0]
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()
