"""What the results of a run depend on: settings, models, prompts, the corpus's content, the code; and the machine.

Knows which settings can change a ranking or an answer; knows nothing of how either is made or scored.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit import config
from ragkit.domain import JSON
from ragkit.nearness import unrelated_cosine

if TYPE_CHECKING:
    from ragkit import Engine
    from ragkit.config import Settings
    from ragkit.evaluation.report import Task

_RETRIEVAL = ("chunk", "embed", "lexical", "dense", "retrieve", "rerank")
_ANSWERS = (*_RETRIEVAL, "context", "generate", "verify")
_NEVER = {
    "embed.engine",
    "embed.batch_tokens",
    "retrieve.limit",
    "rerank.engine",
    "generate.api_key_env",
    "generate.timeout_seconds",
    "generate.prompts",
}
"""What changes no result, or is a path of this machine, or is told by a fingerprint."""
_SAMPLING = {"generate.seed", "generate.top_k", "generate.top_p"}
PACKAGES = ("faiss-cpu", "llama-cpp-python", "numpy", "onnxruntime", "rank-bm25", "tantivy", "tokenizers")


def digest(*parts: JSON) -> str:
    """One hash of plain values.

    >>> digest("a", {"b": 1})[:8]
    '8b5348e0'
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def settings_that_matter(settings: Settings, task: Task) -> dict[str, JSON]:
    """The settings that a ranking (an answer) depends on, by full path.

    Those of a part that is switched off are left out: of a reranker or a language model that is not there, of
    sampling at temperature 0.
    """
    sections = _ANSWERS if task == "answers" else _RETRIEVAL
    found = {
        key: config.get(settings, key)
        for key, *_ in config.describe()
        if key.partition(".")[0] in sections and key not in _NEVER
    }
    if settings.rerank.model == "none":
        found = {key: value for key, value in found.items() if not key.startswith("rerank.") or key == "rerank.model"}
    if settings.generate.backend == "extractive":
        found = {
            key: value for key, value in found.items() if not key.startswith("generate.") or key.endswith(".backend")
        }
    elif settings.generate.temperature == 0:
        found = {key: value for key, value in found.items() if key not in _SAMPLING}
    return found


def models(engine: Engine, task: Task) -> dict[str, JSON]:
    """The models in use, each by what changes when its bytes do."""
    found = _of_embedder(engine)
    if (reranker := engine.reranker) is not None:
        found["reranker"] = _of_model(engine.settings, reranker.name, "reranker") or reranker.name
    if task == "answers" and engine.settings.generate.backend != "extractive":
        prepared = ""
        if engine.settings.generate.backend == "llama":
            prepared = _of_model(engine.settings, engine.settings.generate.model, "generator")
        generator = None if prepared else engine.generator
        found["generator"] = prepared or (generator.name if generator else "")
        found["prompts"] = engine.prompts.hash
    if task == "answers" and (judge := engine.settings.verify.judge_model):
        found["judge"] = _of_model(engine.settings, judge, "generator") or judge
    return found


def grounding(engine: Engine, faithfulness_engine: str) -> dict[str, JSON]:
    """What decides how well a text bears out a claim by an engine that asks a language model, besides the two."""
    settings = engine.settings
    judge = engine.judge  # opened first: a model that is only prepared now has its fingerprint from now on
    asked = settings.verify.judge_model or settings.generate.model
    server = {key: config.get(settings, f"generate.{key}") for key in ("backend", "base_url", "context_tokens")}
    return {
        "engine": faithfulness_engine,
        **_of_embedder(engine),
        "judge": _of_model(settings, asked, "generator") or (judge.name if judge else ""),
        **server,
        "language": settings.lexical.language,
        "code": code(),
    }


def _of_embedder(engine: Engine) -> dict[str, JSON]:
    """What its vectors are, and what is taken off their cosines, where that is anything."""
    unrelated = unrelated_cosine(engine.embedder)
    return {"embedder": engine.embedder.fingerprint, **({"unrelated": unrelated} if unrelated else {})}


def _of_model(settings: Settings, name: str, role: str) -> str:
    """The fingerprint of a model that is prepared already, or "": it is not, or it is no model of its own."""
    from ragkit.errors import ModelError
    from ragkit.models.prepare import prepared

    try:
        found = prepared(name, role, settings.models_directory, prefer=settings.models.prefer)
    except ModelError:
        return ""
    return str(found.manifest.get("fingerprint", "")) if found else ""


def corpus(engine: Engine, name: str) -> str:
    """Hash of what a corpus's current snapshot holds, and of how it was cut: the same content, the same hash."""
    store = engine.store
    snapshot = store.current_snapshot(store.corpus(name).name)
    rows = [(record.path, record.sha256, record.recipe) for record in store.documents(snapshot)]
    return digest(snapshot.embedder, rows)


@cache
def code(*parts: str) -> str:
    """Hash of the code below these folders and files of the package (all but the faces by default)."""
    package = Path(__file__).parents[1]
    if parts:
        files = sorted(file for part in parts for file in (package / part).rglob("*.py"))
    else:
        apart = {"cli", "render", "evaluation", "migrations"}
        files = sorted(f for f in package.rglob("*.py") if f.relative_to(package).parts[0] not in apart)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def versions() -> dict[str, str]:
    """ragkit's version, Python's, and those of the libraries that can move a result."""
    found = {"python": platform.python_version()}
    for name in ("ragkit", *PACKAGES):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found


def machine(settings: Settings) -> dict[str, Any]:
    """What kind of computer this is, without its name."""
    from ragkit.models.prepare import processor

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "threads": settings.thread_count,
        "memory_gb": round(memory / 1e9, 1),
    }
