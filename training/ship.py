"""Put a trained model where ragkit finds it: what training changed, and its config.

    python -m training.ship OUT/best reranker
    python -m training.ship OUT/at-01340 code

Writes ragkit/models/NAME. Bytes that users have may not change under their name: a model that was trained anew gets a
new name in ragkit/models/catalogue.toml.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ragkit import config
from ragkit.models.built import CHANGES, WEIGHTS, write_changes
from ragkit.models.catalogue import CATALOGUE
from training.base import base_model


def main() -> None:
    """Read the options and write the folder."""
    parser = argparse.ArgumentParser(prog="python -m training.ship", description=__doc__)
    parser.add_argument("trained", type=Path, help="the folder of the trained model")
    parser.add_argument("name", choices=["code", "reranker"], help="the folder below ragkit/models")
    parser.add_argument("--base", default="all-MiniLM-L6-v2", help="the model that it began with")
    options = parser.parse_args()
    if not (options.trained / WEIGHTS).is_file():
        raise SystemExit(f"{options.trained} holds no {WEIGHTS}; name the folder that training wrote a model into")
    base = base_model(options.base, config.load().settings.models_directory)
    changes = ship(base, options.trained, CATALOGUE.parent / options.name)
    print(f"{changes}: {changes.stat().st_size / 1e6:.1f} MB")


def ship(base: Path, trained: Path, folder: Path) -> Path:
    """What changed from `base` to `trained`, and the config that says what the model is, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_changes(base, trained, folder / CHANGES)
    facts = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return folder / CHANGES


if __name__ == "__main__":
    main()
