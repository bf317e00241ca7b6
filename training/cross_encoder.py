"""The model being trained: pairs to batches, batches to steps, and a folder that every program can load.

The door of torch and transformers here. Knows tokens, losses and checkpoints; knows nothing of where pairs come
from. Batches hold pairs of like length, so that little is computed for padding.
"""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ragkit.evaluation.agreement import auroc
from training.grounding.data import Pair

MAX_TOKENS = 192
"""Of evidence and claim together, special tokens included."""
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the model is trained. `minutes` of the clock are the whole of it: the learning rate falls to 0 by then."""

    minutes: float
    seed: int = 1
    batch: int = 32
    learning_rate: float = 1.5e-4
    warm_up: float = 0.04
    weight_decay: float = 0.01
    check_minutes: float = 6.0
    patience: int = 4


class Trainer:
    """A cross-encoder with one label over a bi-encoder's weights, its word embeddings left as they are."""

    def __init__(self, base: Path, folder: Path, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.folder, self.recipe = folder, recipe
        self.tokenizer = AutoTokenizer.from_pretrained(str(base), local_files_only=True)
        self.model: Any = AutoModelForSequenceClassification.from_pretrained(
            str(base), num_labels=1, local_files_only=True
        )
        self.model.bert.embeddings.requires_grad_(False)
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.step, self.elapsed, self.best, self.worse = 0, 0.0, 0.0, 0
        if (folder / CHECKPOINT).is_file():
            self._resume()

    def train(self, pairs: Sequence[Pair], held_out: Sequence[Pair]) -> None:
        """Until the time is over or the held-out pairs say stop; the best model of all checks is kept."""
        recipe, began, checked = self.recipe, time.monotonic() - self.elapsed, self.elapsed
        loss_sum, seen = 0.0, 0
        for at, batch in enumerate(batches(pairs, recipe.batch, recipe.seed)):
            if at < self.step:
                continue
            self.elapsed = time.monotonic() - began
            share = self.elapsed / (60 * recipe.minutes)
            if share >= 1:
                break
            loss_sum += self._learn(batch, share)
            seen += len(batch)
            self.step = at + 1
            if self.step % 50 == 0:
                _say(f"step {self.step}, {self.elapsed / 60:.1f} min, loss {loss_sum / 50:.4f}, {seen} pairs since")
                loss_sum, seen = 0.0, 0
            if self.elapsed - checked > 60 * recipe.check_minutes:
                checked = self.elapsed
                if self._check(held_out):
                    break
        self._check(held_out)

    def scores(self, pairs: Sequence[Pair], size: int = 32) -> list[float]:
        """Probability that each claim is borne out."""
        self.model.eval()
        order = sorted(range(len(pairs)), key=lambda at: len(pairs[at].evidence) + len(pairs[at].claim))
        found = [0.0] * len(pairs)
        with torch.inference_mode():
            for start in range(0, len(order), size):
                places = order[start : start + size]
                logits = self.model(**self._features([pairs[at] for at in places])).logits[:, 0]
                for at, value in zip(places, torch.sigmoid(logits).tolist(), strict=True):
                    found[at] = value
        self.model.train()
        return found

    def _learn(self, batch: Sequence[Pair], share: float) -> float:
        rate = self.recipe.learning_rate * min(1.0, share / self.recipe.warm_up + 0.02, max(0.0, 1.02 - share))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        logits = self.model(**self._features(batch)).logits[:, 0]
        labels = torch.tensor([float(pair.label) for pair in batch])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())

    def _features(self, batch: Sequence[Pair]) -> dict[str, Any]:
        features: dict[str, Any] = self.tokenizer(
            [pair.evidence for pair in batch],
            [pair.claim for pair in batch],
            truncation="longest_first",
            max_length=MAX_TOKENS,
            padding=True,
            return_tensors="pt",
        )
        return features

    def _check(self, held_out: Sequence[Pair]) -> bool:
        """Measure, keep the best, write the checkpoint; whether to stop."""
        began = time.monotonic()
        scores, kinds = self.scores(held_out), defaultdict(list)
        for pair, score in zip(held_out, scores, strict=True):
            kinds[pair.kind].append((pair.label, score))
        areas = {kind: auroc(*zip(*rows, strict=True)) for kind, rows in sorted(kinds.items())}
        mean = sum(areas.values()) / len(areas)
        parts = " ".join(f"{kind} {area:.3f}" for kind, area in areas.items())
        _say(f"held out: AUROC {mean:.4f} ({parts}), {time.monotonic() - began:.0f} s")
        self.worse = 0 if mean > self.best else self.worse + 1
        if mean > self.best:
            self.best = mean
            self.save(self.folder / "best")
        self._write_checkpoint()
        return self.worse >= self.recipe.patience

    def save(self, target: Path) -> None:
        """A folder that sentence-transformers' CrossEncoder, and `ragkit models prepare`, can load."""
        self.model.save_pretrained(str(target))
        self.tokenizer.save_pretrained(str(target))
        facts = {"step": self.step, "minutes": round(self.elapsed / 60, 1), "held_out_auroc": round(self.best, 4)}
        (target / "training.json").write_text(json.dumps({**asdict(self.recipe), **facts}, indent=1))

    def _write_checkpoint(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "numbers": (self.step, self.elapsed, self.best, self.worse),
        }
        partial = self.folder / f"{CHECKPOINT}.partial"
        torch.save(state, partial)
        partial.replace(self.folder / CHECKPOINT)

    def _resume(self) -> None:
        state = torch.load(self.folder / CHECKPOINT, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed, self.best, self.worse = state["numbers"]
        _say(f"resuming at step {self.step}, {self.elapsed / 60:.1f} min")


def batches(pairs: Sequence[Pair], size: int, seed: int, pool: int = 40) -> Iterator[list[Pair]]:
    """Batches without end, the same for the same seed: shuffled, and sorted by length within a pool of batches."""
    epoch = 0
    while pairs:
        rng = random.Random(f"{seed}-{epoch}")
        order = list(pairs)
        rng.shuffle(order)
        for start in range(0, len(order), size * pool):
            near = sorted(order[start : start + size * pool], key=lambda pair: len(pair.evidence) + len(pair.claim))
            found = [near[at : at + size] for at in range(0, len(near), size)]
            rng.shuffle(found)
            yield from found
        epoch += 1


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)
