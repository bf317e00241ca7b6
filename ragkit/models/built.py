"""Models that ragkit trained itself: written out from the model that each began with and what training changed.

Knows tensors and safetensors; knows nothing of where the first model came from or of what either computes. What
training changed is a few megabytes, so it comes with ragkit, and the bytes it is added to are the official ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.errors import ModelCorrupt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]

CHANGES = "changes.safetensors"
WEIGHTS = "model.safetensors"
HEAD = "bert."
"""What stands before a tensor's name in a cross-encoder, and not in the bi-encoder that it may have begun as."""
SCALE = "/scale"
"""What stands behind the name of a matrix's scales: a change is its signed bytes times the scale of their row."""


def build(base: Path, own: Path, names: Sequence[str], folder: Path) -> None:
    """Write the files called `names` into `folder`: the weights of `base` with the changes of `own`, the others as
    `own` has them, or else `base`.

    Raises ModelCorrupt for changes that do not fit.
    """
    for name in names:
        if name == WEIGHTS:
            _write_weights(base / WEIGHTS, own / CHANGES, folder / WEIGHTS)
        elif source := next((path / name for path in (own, base) if (path / name).is_file()), None):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, folder / name)


def _write_weights(base: Path, changes: Path, target: Path) -> None:
    from safetensors import SafetensorError
    from safetensors import numpy as io

    try:
        found = io.load_file(changes)
        after = applied(_before(io, base, found), found)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelCorrupt(f"{changes} does not fit {base}: {error}", "install ragkit again") from error
    io.save_file(after, target)


def applied(before: Tensors, changes: Tensors) -> Tensors:
    """The tensors with their changes, float32; a tensor that was not there was 0 before.

    Raises ValueError where shapes differ.
    """
    import numpy as np

    found = {name: tensor.astype(np.float32) for name, tensor in before.items() if tensor.dtype.kind == "f"}
    for name, change in changes.items():
        if name.endswith(SCALE):
            continue
        scale = changes.get(name + SCALE)
        added = change.astype(np.float32) if scale is None else change.astype(np.float32) * scale
        if name in found and found[name].shape != added.shape:
            raise ValueError(f"{name} is {found[name].shape}, its change {added.shape}")
        found[name] = found[name] + added if name in found else added
    return found


def difference(before: Tensors, after: Tensors) -> Tensors:
    """What `applied` needs to get from the one to the other, without what did not change.

    Matrices are rounded to a signed byte a number, each row with its own scale; vectors are kept as they are.
    """
    import numpy as np

    changes: Tensors = {}
    for name, tensor in after.items():
        change = tensor.astype(np.float32) - before[name] if name in before else tensor.astype(np.float32)
        if name in before and not change.any():
            continue
        if change.ndim != 2 or len(change) == 1:
            changes[name] = change
            continue
        scale = np.abs(change).max(axis=1, keepdims=True) / 127
        changes[name] = np.rint(change / np.where(scale == 0, 1, scale)).astype(np.int8)
        changes[name + SCALE] = scale.astype(np.float32)
    return changes


def write_changes(base: Path, trained: Path, target: Path) -> None:
    """Write what training changed: `base` and `trained` are folders of models, `target` the file."""
    from safetensors import numpy as io

    after = io.load_file(trained / WEIGHTS)
    io.save_file(difference(_before(io, base / WEIGHTS, after), after), target)


def _before(io: Any, weights: Path, after: Tensors) -> Tensors:
    """The tensors that training began with, called as `after` calls them: a cross-encoder, or a bi-encoder too."""
    head = HEAD if any(name.startswith(HEAD) for name in after) else ""
    return {head + name: tensor for name, tensor in io.load_file(weights).items()}
