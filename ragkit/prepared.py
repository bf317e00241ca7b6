"""What `models prepare` wrote about a model, as the engines read it.

Knows the manifest beside a prepared model; knows nothing of how it was made, or of what the model computes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ragkit.errors import ModelCorrupt, ModelNotFound, ModelUnsuitable

MANIFEST = "manifest.json"


def read_manifest(directory: Path, role: str) -> dict[str, Any]:
    """The manifest of a model prepared for a role. Raises ModelNotFound, ModelCorrupt, ModelUnsuitable."""
    path = directory / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelNotFound(f"{directory} holds no prepared model", "run `ragkit models prepare`") from error
    except (OSError, ValueError) as error:
        raise ModelCorrupt(f"{path} cannot be read: {error}", "run `ragkit models prepare --force`") from error
    if manifest.get("role") != role:
        wanted = f"an {role}" if role == "embedder" else f"a {role}"
        raise ModelUnsuitable(
            f"{manifest.get('name', directory)} is of the role {manifest.get('role')}, not {wanted}"
        )
    return manifest
