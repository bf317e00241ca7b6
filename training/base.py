"""The model that a training begins with. Knows names and the models folder; knows nothing of torch."""

from __future__ import annotations

from pathlib import Path

from ragkit.models import resolve


def base_model(name: str, models: Path) -> Path:
    """The folder of a model's PyTorch weights. Raises SystemExit with the command that gets them when they are not
    here."""
    files = resolve.local(name, models, "torch")
    if files is None:
        raise SystemExit(f"{name} is not here; run `ragkit models pull {name}`")
    return files.directory
