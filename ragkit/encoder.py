"""Run an exported encoder in onnxruntime: texts, or pairs of texts, in; one row of numbers each out.

The door of onnxruntime and tokenizers. Knows tokens, padding, batches and threads; knows nothing of what a
row means (a vector, a score), of where the files came from, or of torch.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
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
WINDOW = 4096
"""Texts tokenized at a time: bounds memory, and is plenty to sort into batches of like length."""


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

    def encode(self, inputs: Sequence[Input]) -> list[tuple[list[int], list[int]]]:
        """(token ids, segment ids) of each input, special tokens included, cut to the window."""
        return [(found.ids, found.type_ids) for found in self._cut.encode_batch_fast(list(inputs))]


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
        for chosen, found in self._batches(unique):
            if rows is None:
                rows = np.zeros((len(inputs), *found.shape[1:]), dtype=np.float32)
            for value, row in zip(chosen, found, strict=True):
                rows[places[value]] = row
                done += len(places[value])
            if progress:
                progress(what, done, len(inputs))
        return np.zeros((0, 0), dtype=np.float32) if rows is None else rows

    def _batches(self, inputs: Sequence[Input]) -> Iterator[tuple[list[Input], Rows]]:
        """Results of batches as they complete."""
        plan = self._plan(inputs)
        if self._threads == 1 or len(inputs) == 1:
            for chosen, tokens in plan:
                yield chosen, self._compute(tokens)
            return
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="encoder")
        try:
            yield from _in_parallel(pool, self._threads, self._compute, plan)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _plan(self, inputs: Sequence[Input]) -> Iterator[tuple[list[Input], Any]]:
        """Batches of like length, longest first, within the token budget, padding included."""
        for start in range(0, len(inputs), WINDOW):
            window = inputs[start : start + WINDOW]
            tokens = self.tokenizer.encode(window)
            order = sorted(range(len(window)), key=lambda i: -len(tokens[i][0]))
            share = sum(len(ids) for ids, _ in tokens) // self._threads + 1
            budget = max(1, min(self._batch_tokens, share))
            for batch in group_by_budget([len(tokens[i][0]) for i in order], budget):
                chosen = [order[at] for at in batch]
                yield [window[i] for i in chosen], [tokens[i] for i in chosen]

    def _compute(self, tokens: Sequence[tuple[list[int], list[int]]]) -> Rows:
        import numpy as np

        width = max(1, max(len(ids) for ids, _ in tokens))
        arrays = {name: np.zeros((len(tokens), width), dtype=kind) for name, kind in self._inputs.items()}
        for row, (ids, segments) in enumerate(tokens):
            for name, values in (("input_ids", ids), ("token_type_ids", segments)):
                if name in arrays:
                    arrays[name][row, : len(ids)] = values
            arrays["attention_mask"][row, : len(ids)] = 1
        rows: Rows = self._session.run(None, arrays)[0]
        return rows.reshape(len(tokens), -1)

    def _open(self) -> None:
        with self._lock:
            if self._session is None:
                session = open_session(self._directory / MODEL)
                kinds = {"tensor(int64)": "int64", "tensor(int32)": "int32"}
                self._inputs = {entry.name: kinds[entry.type] for entry in session.get_inputs()}
                if not {"input_ids", "attention_mask"} <= set(self._inputs):
                    raise ModelUnsuitable(f"{self._directory / MODEL} takes {sorted(self._inputs)}, not token ids")
                self._session = session


def group_by_budget(lengths: Sequence[int], budget: int) -> Iterator[range]:
    """Cut descending `lengths` into runs whose count times longest length stays within `budget`.

    An entry longer than the budget is a run of its own.

    >>> [list(run) for run in group_by_budget([9, 5, 5, 2, 1], 10)]
    [[0], [1, 2], [3, 4]]
    """
    start = 0
    for at in range(1, len(lengths) + 1):
        if at == len(lengths) or lengths[start] * (at - start + 1) > budget:
            yield range(start, at)
            start = at


def open_session(path: Path, *, optimise: bool = False, save_to: Path | None = None, threads: int = 1) -> Any:
    """An onnxruntime session over `path` on the CPU.

    Prepared models are saved optimised, so opening skips the graph passes; `save_to` is how they are saved.
    Raises ModelCorrupt when the file cannot be read.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if optimise else levels.ORT_DISABLE_ALL
    if save_to is not None:
        options.optimized_model_filepath = str(save_to)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes derive from Exception alone
        raise ModelCorrupt(f"{path} is not a readable ONNX model: {error}", "run `ragkit models prepare`") from error


def _load_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelCorrupt(f"{path} is not a readable tokenizer: {error}", "run `ragkit models prepare`") from error


def _in_parallel(pool: ThreadPoolExecutor, width: int, compute: Any, plan: Iterable[tuple[list[Input], Any]]) -> Any:
    """(inputs, rows) of each planned batch as it completes, with at most twice `width` of them in hand."""
    running: dict[Future[Any], list[Input]] = {}
    batches = iter(plan)
    exhausted = False
    while running or not exhausted:
        while not exhausted and len(running) < 2 * width:
            batch = next(batches, None)
            if batch is None:
                exhausted = True
            else:
                running[pool.submit(compute, batch[1])] = batch[0]
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()
