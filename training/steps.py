"""What every training does alike: the learning rate, one step of the optimiser, a checkpoint, and its figures.

A door of torch. Knows weights, optimisers and files; knows nothing of models' kinds, examples or losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from training.command import say

CHECKPOINT = "checkpoint.pt"


def rate(highest: float, warm_up: float, share: float) -> float:
    """The learning rate when this share of the time is over: it rises for `warm_up` of it, then falls to nearly 0."""
    return highest * min(1.0, share / warm_up + 0.02, max(0.0, 1.02 - share))


def learn(model: Any, optimiser: torch.optim.Optimizer, loss: torch.Tensor, learning_rate: float) -> float:
    """One step against the loss, its gradient cut to a length of 1; gives the loss."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def write_checkpoint(folder: Path, model: Any, optimiser: torch.optim.Optimizer, numbers: tuple[float, ...]) -> None:
    """What a run goes on from."""
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "numbers": numbers}
    partial = folder / f"{CHECKPOINT}.partial"
    torch.save(state, partial)
    partial.replace(folder / CHECKPOINT)


def resume(folder: Path, model: Any, optimiser: torch.optim.Optimizer, device: Any = "cpu") -> tuple[Any, ...] | None:
    """Take up what `write_checkpoint` left, and give its numbers, step and seconds first; None when there is none."""
    if not (folder / CHECKPOINT).is_file():
        return None
    state = torch.load(folder / CHECKPOINT, weights_only=True, map_location=device)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    numbers: tuple[Any, ...] = tuple(state["numbers"])
    say(f"resuming at step {numbers[0]}, {numbers[1] / 60:.1f} min")
    return numbers


def figures(found: Mapping[str, float]) -> str:
    """The mean of some figures, and each."""
    parts = " ".join(f"{kind} {value:.3f}" for kind, value in sorted(found.items()))
    return f"{sum(found.values()) / len(found):.4f} ({parts})"
