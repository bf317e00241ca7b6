"""A cross-encoder being trained: examples to batches, batches to steps, and a folder that every program can load.

The door of torch and transformers here. Knows tokens, steps and checkpoints; what an example is, what it is read as,
its loss and what is measured are the task's. Batches hold examples of like length, so that little is computed for
padding. A run that was stopped goes on from its checkpoint, which Ctrl-C has it write.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any, Generic, Protocol, TypeVar

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from training.command import Pace, Stopped, asked_to_stop, say
from training.steps import CHECKPOINT, figures, learn, rate, resume, write_checkpoint

Example = TypeVar("Example")
Texts = tuple[str, str]


class Task(Protocol[Example]):
    """What is learned."""

    max_tokens: int
    """Of both texts together, special tokens included."""

    def texts(self, example: Example) -> Sequence[Texts]:
        """The pairs of texts that an example is read as."""
        ...

    def loss(self, logits: torch.Tensor, batch: Sequence[Example]) -> torch.Tensor:
        """Of a batch's logits, shape (pairs of all its examples,)."""
        ...

    def measure(self, examples: Sequence[Example], logits: Sequence[Sequence[float]]) -> dict[str, float]:
        """What the held-out examples say, by kind; more is better."""
        ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the model is trained. `minutes` of the clock are the whole of it: the learning rate falls to 0 by then."""

    minutes: float
    seed: int = 1
    batch: int = 32
    """Examples of a step."""
    learning_rate: float = 1.5e-4
    warm_up: float = 0.04
    weight_decay: float = 0.01
    frozen_layers: int = 0
    """So many of the lowest layers are left as they are, with all embeddings; those of words always are."""
    check_minutes: float = 6.0
    patience: int = 4
    bfloat16: bool = False
    """Multiply in bfloat16: twice as fast where the processor has instructions for it, and slower elsewhere."""


class Trainer(Generic[Example]):
    """A cross-encoder with one label over a bi-encoder's weights."""

    def __init__(self, base: Path, folder: Path, recipe: Recipe, task: Task[Example], device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.folder, self.recipe, self.task, self.device = folder, recipe, task, torch.device(device)
        self.tokenizer = AutoTokenizer.from_pretrained(str(base), local_files_only=True)
        self.model: Any = AutoModelForSequenceClassification.from_pretrained(
            str(base), num_labels=1, local_files_only=True
        ).to(self.device)
        embeddings = self.model.bert.embeddings
        lowest = embeddings if recipe.frozen_layers else embeddings.word_embeddings
        for frozen in (lowest, *self.model.bert.encoder.layer[: recipe.frozen_layers]):
            frozen.requires_grad_(False)
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.step, self.elapsed, self.best, self.worse = 0, 0.0, 0.0, 0
        if numbers := resume(folder, self.model, self.optimiser, self.device):
            self.step, self.elapsed, self.best, self.worse = numbers

    def train(self, examples: Sequence[Example], held_out: Sequence[Example]) -> None:
        """Until the time is over or the held-out examples say stop; the best model of all checks is kept.

        Raises Stopped after Ctrl-C, when the step is done and the checkpoint written.
        """
        with asked_to_stop() as asked:
            self._train(examples, held_out, asked)

    def _train(self, examples: Sequence[Example], held_out: Sequence[Example], asked: Event) -> None:
        recipe, began, checked = self.recipe, time.monotonic() - self.elapsed, self.elapsed
        if not self.step:
            say(f"before training: {figures(self.task.measure(held_out, self.logits(held_out)))}")
        losses, seen, pace = list[float](), 0, Pace()
        for at, batch in enumerate(batches(examples, recipe.batch, recipe.seed, self._length)):
            if at < self.step:
                continue
            self.elapsed = time.monotonic() - began
            share = self.elapsed / (60 * recipe.minutes)
            if share >= 1:
                break
            losses.append(self._learn(batch, share))
            seen += len(batch)
            self.step = at + 1
            if asked.is_set():
                self._write_checkpoint()
                kept = f"step {self.step} is kept in {self.folder / CHECKPOINT}"
                raise Stopped(f"stopped: {kept}; the same command goes on from there")
            if pace.due():
                loss = sum(losses) / len(losses)
                say(f"step {self.step}, {self.elapsed / 60:.1f} min, loss {loss:.4f}, {seen} examples since")
                losses, seen = [], 0
            if self.elapsed - checked > 60 * recipe.check_minutes:
                checked = self.elapsed
                if self._check(held_out):
                    break
        self._check(held_out)

    def logits(self, examples: Sequence[Example], size: int = 32) -> list[list[float]]:
        """Of every pair of texts of each example."""
        self.model.eval()
        pairs = [(at, texts) for at, example in enumerate(examples) for texts in self.task.texts(example)]
        order = sorted(range(len(pairs)), key=lambda at: sum(map(len, pairs[at][1])))
        flat, pace = [0.0] * len(pairs), Pace()
        with torch.inference_mode(), self._precision():
            for start in range(0, len(order), size):
                pace("read", start, len(order))
                places = order[start : start + size]
                found = self.model(**self._features([pairs[at][1] for at in places])).logits[:, 0].float()
                for at, value in zip(places, found.tolist(), strict=True):
                    flat[at] = value
        self.model.train()
        by_example: list[list[float]] = [[] for _ in examples]
        for (at, _), value in zip(pairs, flat, strict=True):
            by_example[at].append(value)
        return by_example

    def _learn(self, batch: Sequence[Example], share: float) -> float:
        self.model.train()
        texts = [pair for example in batch for pair in self.task.texts(example)]
        with self._precision():
            logits = self.model(**self._features(texts)).logits[:, 0]
        loss = self.task.loss(logits.float(), batch)
        now = rate(self.recipe.learning_rate, self.recipe.warm_up, share)
        return learn(self.model, self.optimiser, loss, now)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16)

    def _features(self, texts: Sequence[Texts]) -> dict[str, Any]:
        features = self.tokenizer(
            [first for first, _ in texts],
            [second for _, second in texts],
            truncation="longest_first",
            max_length=self.task.max_tokens,
            padding=True,
            return_tensors="pt",
        )
        return dict(features.to(self.device))

    def _length(self, example: Example) -> int:
        return sum(len(first) + len(second) for first, second in self.task.texts(example))

    def _check(self, held_out: Sequence[Example]) -> bool:
        """Measure, keep the best, write the checkpoint; whether to stop."""
        began = time.monotonic()
        found = self.task.measure(held_out, self.logits(held_out))
        mean = sum(found.values()) / len(found)
        say(f"held out: {figures(found)}, {time.monotonic() - began:.0f} s")
        self.worse = 0 if mean > self.best else self.worse + 1
        if mean > self.best:
            self.best = mean
            self.save(self.folder / "best")
        self._write_checkpoint()
        return self.worse >= self.recipe.patience

    def _write_checkpoint(self) -> None:
        numbers = (self.step, self.elapsed, self.best, self.worse)
        write_checkpoint(self.folder, self.model, self.optimiser, numbers)

    def save(self, target: Path) -> None:
        """A folder that sentence-transformers' CrossEncoder, and `ragkit models prepare`, can load."""
        self.model.save_pretrained(str(target))
        self.tokenizer.save_pretrained(str(target))
        facts = {"step": self.step, "elapsed_minutes": round(self.elapsed / 60, 1), "held_out": round(self.best, 4)}
        (target / "training.json").write_text(json.dumps({**asdict(self.recipe), **facts}, indent=1))


def batches(
    examples: Sequence[Example], size: int, seed: int, length: Callable[[Example], int], pool: int = 40
) -> Iterator[list[Example]]:
    """Batches without end, the same for the same seed: shuffled, and sorted by length within a pool of batches."""
    epoch = 0
    while examples:
        rng = random.Random(f"{seed}-{epoch}")
        order = list(examples)
        rng.shuffle(order)
        for start in range(0, len(order), size * pool):
            near = sorted(order[start : start + size * pool], key=length)
            found = [near[at : at + size] for at in range(0, len(near), size)]
            rng.shuffle(found)
            yield from found
        epoch += 1
