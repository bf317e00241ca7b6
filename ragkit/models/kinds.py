"""What a model is for, by what its own files say.

Knows config.json, modules.json and config_sentence_transformers.json; opens no weights, and knows nothing of names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal


def role_of(folder: Path) -> Literal["embedder", "reranker", "nli", ""]:
    """What the model in a folder can be: a cross-encoder is a reranker with one label, nli with several; "" where its
    files leave that open.

    A network that ends in token states is an embedder: sentence-transformers takes their mean.
    """
    config = read_object(folder / "config.json")
    architectures = [str(name) for name in config.get("architectures") or ()]
    cross: Literal["reranker", "nli"] = "reranker" if len(config.get("id2label") or ()) == 1 else "nli"
    if read_object(folder / "config_sentence_transformers.json").get("model_type") == "CrossEncoder":
        return cross
    if {"Pooling", "StaticEmbedding"} & set(module_types(folder)):
        return "embedder"
    if any(name.endswith("ForSequenceClassification") for name in architectures):
        return cross
    return "embedder" if any(name.endswith(("Model", "ForMaskedLM")) for name in architectures) else ""


def module_types(folder: Path) -> list[str]:
    """The kinds of a sentence-transformers model's modules, in their order; none where it names none."""
    return [str(module.get("type", "")).rpartition(".")[2] for module in read_list(folder / "modules.json")]


def read_object(path: Path) -> dict[str, Any]:
    """A file of one JSON object; empty where it holds none."""
    found = _read(path)
    return found if isinstance(found, dict) else {}


def read_list(path: Path) -> list[dict[str, Any]]:
    """A file of a JSON list of objects; empty where it holds none."""
    found = _read(path)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
