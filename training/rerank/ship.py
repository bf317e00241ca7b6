"""Put a trained reranker where ragkit finds it: what training changed, and its config.

    python -m training.rerank.ship OUT

Writes ragkit/models/reranker. Bytes that users have may not change under their name: a model that was trained anew
gets a new name in ragkit/models/catalogue.toml.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ragkit import config
from ragkit.models.built import CHANGES, write_changes
from ragkit.models.catalogue import CATALOGUE
from training.base import base_model

FOLDER = CATALOGUE.parent / "reranker"


def main() -> None:
    """Read the options and write the folder."""
    parser = argparse.ArgumentParser(prog="python -m training.rerank.ship", description=__doc__)
    parser.add_argument("out", type=Path, help="the folder that `python -m training.rerank` filled")
    parser.add_argument("--base", default="all-MiniLM-L6-v2", help="the model that it began with")
    options = parser.parse_args()
    base = base_model(options.base, config.load().settings.models_directory)
    ship(base, options.out / "best", FOLDER)
    print(f"{FOLDER / CHANGES}: {(FOLDER / CHANGES).stat().st_size / 1e6:.1f} MB")


def ship(base: Path, trained: Path, folder: Path) -> None:
    """What changed from `base` to `trained`, and the config that says what the model is, into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_changes(base, trained, folder / CHANGES)
    facts = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
