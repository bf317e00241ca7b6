"""The reader of source code being trained: pairs to batches, batches to steps, and a folder any program can load.

Questions are read by the model that training begins with, which is never changed: only the vectors of code move, to
where the questions are. Knows pairs, steps and checkpoints; knows nothing of where pairs come from. A batch holds
pairs of one package, in runs of neighbours from the same file, so that the wrong answers of a question are those it
is hardest to tell from the right one. A run that was stopped goes on from its checkpoint.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from ragkit.embed import NAME_SHARE
from training.code.pairs import Pair
from training.command import say
from training.steps import figures, learn, rate, resume, write_checkpoint

LENGTHS = 8
"""Texts that are read together, all of about the same length."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the model is trained. `minutes` of the clock are the whole of it: the learning rate falls to 0 by then."""

    minutes: float
    seed: int = 1
    batch: int = 48
    """Pairs of a step, each other's wrong answers."""
    run: int = 8
    """Neighbours from one file that stand together in a batch, at most."""
    learning_rate: float = 6e-5
    warm_up: float = 0.05
    weight_decay: float = 0.01
    scale: float = 20.0
    """What a cosine of 1 is worth as a logit."""
    strangers: int = 32
    """Questions that no code answers, which no passage of a batch may be near to."""
    frozen_layers: int = 2
    """So many of the lowest layers are left as they are, with the word embeddings, which always are."""
    max_tokens: int = 256
    check_minutes: float = 6.0


class Trainer:
    """A bi-encoder whose vectors are the mean of its last states, beside the one it began as."""

    def __init__(self, base: Path, folder: Path, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.base, self.folder, self.recipe = base, folder, recipe
        self.tokenizer = AutoTokenizer.from_pretrained(str(base), local_files_only=True)
        self.model: Any = _model(base)
        self.asking: Any = _model(base).requires_grad_(False)
        for frozen in (self.model.embeddings, *self.model.encoder.layer[: recipe.frozen_layers]):
            frozen.requires_grad_(False)
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.step, self.elapsed = 0, 0.0
        if numbers := resume(folder, self.model, self.optimiser):
            self.step, self.elapsed = numbers

    def train(self, pairs: Sequence[Pair], held_out: Sequence[Pair], strangers: Sequence[str]) -> None:
        """Until the time is over; the model of every check is kept as it is."""
        recipe, began, checked = self.recipe, time.monotonic() - self.elapsed, self.elapsed
        with torch.inference_mode():
            self.strangers = self._vectors(self.asking, strangers).clone()
        if not self.step:
            say(f"before: {figures(self.measure(held_out))}")
            began = time.monotonic()
        total, seen = 0.0, 0
        for at, batch in enumerate(batches(pairs, recipe.batch, recipe.run, recipe.seed)):
            if at < self.step:
                continue
            self.elapsed = time.monotonic() - began
            share = self.elapsed / (60 * recipe.minutes)
            if share >= 1:
                break
            total += self._learn(batch, share)
            seen += len(batch)
            self.step = at + 1
            if self.step % 50 == 0:
                say(f"step {self.step}, {self.elapsed / 60:.1f} min, loss {total / 50:.4f}, {seen} pairs since")
                total, seen = 0.0, 0
            if self.elapsed - checked > 60 * recipe.check_minutes:
                checked = self.elapsed
                self._check(held_out)
                began = time.monotonic() - self.elapsed
        self._check(held_out)

    def measure(self, pairs: Sequence[Pair]) -> dict[str, float]:
        """Mean reciprocal rank of each question's passage among those of its group, by kind."""
        groups = defaultdict(list)
        for pair in pairs:
            groups[pair.group].append(pair)
        ranks = defaultdict(list)
        with torch.inference_mode():
            for found in groups.values():
                scores = self._asked(found) @ self._passages(found).T
                for at, pair in enumerate(found):
                    same = [i for i, other in enumerate(found) if other.text == pair.text and i != at]
                    scores[at, same] = -1.0
                    ranks[pair.kind].append(1 / (1 + int((scores[at] > scores[at, at]).sum())))
        return {kind: sum(values) / len(values) for kind, values in ranks.items()}

    def _learn(self, batch: Sequence[Pair], share: float) -> float:
        passages = self._passages(batch)
        scores = self.recipe.scale * self._asked(batch) @ passages.T
        right = torch.arange(len(batch))
        copies = torch.tensor(
            [[a is not b and (a.text == b.text or a.query == b.query) for b in batch] for a in batch]
        )
        scores = scores.masked_fill(copies, -1e4)
        drawn = torch.randint(len(self.strangers), (self.recipe.strangers,))
        apart = self.recipe.scale * passages @ self.strangers[drawn].T
        loss = torch.nn.functional.cross_entropy(scores, right)
        loss = (loss + torch.nn.functional.cross_entropy(torch.cat([scores.T, apart], 1), right)) / 2
        now = rate(self.recipe.learning_rate, self.recipe.warm_up, share)
        return learn(self.model, self.optimiser, loss, now)

    def _asked(self, pairs: Sequence[Pair]) -> torch.Tensor:
        return self._vectors(self.asking, [pair.query for pair in pairs])

    def _passages(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """As an ingest makes them: with a share of the symbol's name."""
        texts = self._vectors(self.model, [pair.text for pair in pairs])
        names = self._vectors(self.model, [pair.name for pair in pairs])
        return torch.nn.functional.normalize((1 - NAME_SHARE) * texts + NAME_SHARE * names, dim=1)

    def _vectors(self, model: Any, texts: Sequence[str]) -> torch.Tensor:
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        parts = []
        for start in range(0, len(order), LENGTHS):
            features = self.tokenizer(
                [texts[at] for at in order[start : start + LENGTHS]],
                truncation=True,
                max_length=self.recipe.max_tokens,
                padding=True,
                return_tensors="pt",
            )
            with torch.autocast("cpu", dtype=torch.bfloat16):
                states = model(**features).last_hidden_state
            mask = features["attention_mask"][:, :, None].float()
            parts.append((states.float() * mask).sum(1) / mask.sum(1))
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return torch.nn.functional.normalize(torch.cat(parts)[back], dim=1)

    def _check(self, held_out: Sequence[Pair]) -> None:
        found = self.measure(held_out)
        say(f"held out: {figures(found)}")
        self.save(self.folder / f"at-{self.step:05d}", found)
        write_checkpoint(self.folder, self.model, self.optimiser, (self.step, self.elapsed))

    def save(self, target: Path, figures: dict[str, float]) -> None:
        """A folder that sentence-transformers, and `ragkit models prepare`, can load."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.base, target, ignore=shutil.ignore_patterns("*.safetensors", "onnx"))
        self.model.save_pretrained(str(target))
        facts = {"step": self.step, "elapsed_minutes": round(self.elapsed / 60, 1), "held_out": figures}
        (target / "training.json").write_text(json.dumps({**asdict(self.recipe), **facts}, indent=1))


def batches(pairs: Sequence[Pair], size: int, run: int, seed: int) -> Iterator[list[Pair]]:
    """Batches without end, the same for the same seed: of one group each, in runs of neighbours of one place."""
    epoch = 0
    while pairs:
        rng = random.Random(f"{seed}-{epoch}")
        places: dict[str, dict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
        for pair in pairs:
            places[pair.group][pair.place].append(pair)
        made: list[list[Pair]] = []
        for group in places.values():
            runs = []
            for found in group.values():
                first = rng.randrange(run) + 1  # other neighbours in every epoch
                cuts = [0, *range(first, len(found), run), len(found)]
                runs += [found[a:b] for a, b in pairwise(cuts) if a < b]
            rng.shuffle(runs)
            flat = [pair for one in runs for pair in one]
            made += [flat[at : at + size] for at in range(0, len(flat), size)]
        made = [batch for batch in made if len(batch) >= size // 2]
        rng.shuffle(made)
        yield from made
        epoch += 1
        if not made:
            return


def _model(base: Path) -> Any:
    return AutoModel.from_pretrained(str(base), local_files_only=True, add_pooling_layer=False).eval()
