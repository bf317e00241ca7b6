"""From a model's name to what runs fastest on this machine and is still the same model.

Knows roles, the cache of prepared models and their manifests; knows nothing of how a candidate is made or measured.
A prepared model is found again by the content it was made from, the choice between speed and fidelity, and the
processor it was measured on.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ragkit import sbert
from ragkit.domain import Progress
from ragkit.encoder import MODEL, STATES, TOKENIZER
from ragkit.errors import MissingExtra, ModelError, ModelUnsuitable
from ragkit.files import write_whole
from ragkit.models import catalogue, kinds, resolve
from ragkit.models.resolve import ModelFiles, Weights, hash_file
from ragkit.prepared import MANIFEST

VERSION = 2
UNRELATED = "unrelated"
"""What a manifest calls the cosine of texts without anything in common."""
Prefer = Literal["speed", "fidelity"]
MAX_DIVERGENCE = {"speed": 0.5, "fidelity": 0.02}
"""Mean nats between a re-quantised language model's next-token distributions and the shipped file's: where speed is
preferred, what four bits cost; where fidelity is, what cannot be told from the original in its answers."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model ready to be opened: `path` is a folder (encoders) or a GGUF file (generators)."""

    path: Path
    manifest: Mapping[str, Any]
    notices: tuple[str, ...] = ()


def prepare(
    name: str,
    role: str,
    models_dir: Path,
    *,
    prefer: Prefer = "speed",
    engine: str = "auto",
    offline: bool = False,
    hub_timeout_seconds: float = 10.0,
    threads: int = 1,
    progress: Progress | None = None,
    force: bool = False,
) -> Prepared:
    """The prepared model, made now if it is not there: fetched, exported, quantised, measured, checked.

    `engine` sentence-transformers skips the export. Raises ModelNotFound, ModelCorrupt, ModelUnsuitable,
    MissingExtra, OfflineError.
    """
    spec = catalogue.get(name)
    if spec.role and spec.role != role:
        raise ModelUnsuitable(f"{spec.name} is a model for another role ({spec.role}), not {role}", _roles_hint(role))
    if not force and (found := prepared(name, role, models_dir, prefer=prefer, engine=engine)):
        return _measured(found, role, threads)
    files = _fetch(spec, role, models_dir, offline, hub_timeout_seconds, progress)
    _refuse_other_role(files, role)
    target = _folder(models_dir, files, role, prefer, engine)
    target.parent.mkdir(parents=True, exist_ok=True)
    from filelock import FileLock

    with FileLock(f"{target}.lock"):
        if not force and (ready := _read(target)):
            return ready
        staging = target.with_name(f"{target.name}.partial")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            manifest = _build(files, role, staging, prefer, engine, threads, progress)
            _publish(staging, target, {**manifest, **_provenance(files, role, prefer, threads)})
        except OSError as error:
            raise ModelError(f"cannot write {target}: {error.strerror or error}", "free some space") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    result = _read(target)
    assert result is not None
    return result


def prepared(
    name: str, role: str, models_dir: Path, *, prefer: Prefer = "speed", engine: str = "auto"
) -> Prepared | None:
    """The prepared model if it is there and its sources are unchanged; None if not. Makes and fetches nothing.

    Raises ModelUnsuitable for one that was prepared for a role that it cannot have.
    """
    both: tuple[Weights, ...] = ("torch", "onnx")
    for weights in both:
        files = resolve.local(name, models_dir, weights)
        if files and (found := _read(_folder(models_dir, files, role, prefer, engine))):
            _refuse_other_role(files, role)
            return found
    return None


def _refuse_other_role(files: ModelFiles, role: str) -> None:
    """Raises ModelUnsuitable where the files of a model outside the catalogue say that it is for another role."""
    if files.spec.role or role == "generator":
        return
    own = kinds.role_of(files.directory)
    if own and (own == "embedder") != (role == "embedder"):
        reason = f"{files.spec.name} is by its own files a model for another role ({own}), not {role}"
        raise ModelUnsuitable(reason, _roles_hint(role))


def _measured(found: Prepared, role: str, threads: int) -> Prepared:
    """The prepared model with what is measured of embedders, now if it was not when this one was prepared.

    Its vectors and its fingerprint stay as they are.
    """
    if role != "embedder" or UNRELATED in found.manifest:
        return found
    from filelock import FileLock

    from ragkit.models import encoders

    try:
        with FileLock(f"{found.path}.lock"):
            found = _read(found.path) or found
            if UNRELATED not in found.manifest:
                value = encoders.unrelated_of(found.path, found.manifest, threads)
                manifest = {**found.manifest, UNRELATED: value}
                write_whole(found.path / MANIFEST, json.dumps(manifest, indent=1).encode())
                found = replace(found, manifest=manifest)
    except OSError:
        pass  # a models folder that may only be read, or is full: the model is as good as it was
    return found


def _fetch(
    spec: catalogue.ModelSpec,
    role: str,
    models_dir: Path,
    offline: bool,
    hub_timeout_seconds: float,
    progress: Progress | None,
) -> ModelFiles:
    """PyTorch weights where they can be exported or need not be; the repository's own ONNX file where torch is not
    installed, or where there is nothing else."""

    def get(weights: Weights) -> ModelFiles:
        return resolve.resolve(
            spec.name,
            models_dir,
            weights=weights,
            offline=offline,
            hub_timeout_seconds=hub_timeout_seconds,
            progress=progress,
        )

    if role == "generator" or sbert.installed() or spec.path is not None or spec.only_onnx or spec.static:
        return get("torch")
    missing = MissingExtra(
        f"{spec.name} must be exported once, which needs sentence-transformers and torch",
        "pip install 'ragkit[export]'",
    )
    if spec.onnx is None:
        raise missing
    try:
        return get("onnx")
    except ModelError as error:
        raise missing from error


def _build(
    files: ModelFiles,
    role: str,
    target: Path,
    prefer: Prefer,
    engine: str,
    threads: int,
    progress: Progress | None,
) -> dict[str, Any]:
    if role == "generator":
        return _build_gguf(files, target, prefer, threads, progress)
    from ragkit.models import encoders

    if engine != "sentence-transformers":
        weights: Weights = "onnx" if files.spec.onnx and files.spec.onnx.path in files.files else "torch"
        try:
            return encoders.prepare_onnx(
                files.directory,
                target,
                files.spec,
                role,
                prefer=prefer,
                threads=threads,
                weights=weights,
                progress=progress,
            )
        except ModelUnsuitable as error:
            if engine == "onnx" or not sbert.installed():
                raise
            notice = f"{files.spec.name} stays with sentence-transformers, which is slower: {error.message}"
            shutil.rmtree(target)
            target.mkdir()
            return {**_build_plain(files, role, target), "notices": [notice]}
    return _build_plain(files, role, target)


def _build_plain(files: ModelFiles, role: str, target: Path) -> dict[str, Any]:
    """A manifest that sends every call to sentence-transformers, over the files where they lie."""
    from ragkit.models import encoders

    load = sbert.load_bi_encoder if role == "embedder" else sbert.load_cross_encoder
    model = load(files.directory)
    if role == "reranker" and sbert.label_count(model) != 1:
        raise ModelUnsuitable(f"{files.spec.name} has {sbert.label_count(model)} labels; a reranker has one")
    sbert.save_tokenizer(model, target)
    shape = encoders.read_shape(files.directory, files.spec, role, model)
    unrelated: dict[str, float] = {}
    if role == "embedder":
        passages = encoders.sample_passages(target / TOKENIZER, shape)
        unrelated[UNRELATED] = encoders.unrelated_cosine(lambda texts: sbert.encode(model, texts), shape, passages)
    width = sbert.encode(model, ["a"]).shape[1] if role == "embedder" else 1
    return {
        "engine": "sentence-transformers",
        "source_directory": str(files.directory),
        "max_tokens": shape.max_tokens,
        "dimension": int(width),
        "prefixes": {"query": shape.query_prefix, "passage": shape.passage_prefix},
        "pooling": shape.pooling,
        "labels": list(shape.labels),
        "chosen": "sentence-transformers",
        **unrelated,
    }


def _build_gguf(
    files: ModelFiles, target: Path, prefer: Prefer, threads: int, progress: Progress | None
) -> dict[str, Any]:
    """Quantise again in each way, compare with the shipped file, keep the quickest that is near enough to it.

    Where fidelity is preferred, near enough means that its next-token distributions cannot be told apart.
    """
    from ragkit.models import gguf

    shipped = _gguf_file(files)
    facts = gguf.facts(shipped)
    notify = progress or (lambda *_: None)
    kinds = [kind for kind in gguf.FILE_TYPES if kind != facts.quantisation]
    reference = gguf.distributions(shipped, threads)
    best: tuple[float, str] = (0.0, "")
    candidates = []
    for done, kind in enumerate(["shipped", *kinds]):
        notify("measure", done, len(kinds) + 1)
        path = shipped if kind == "shipped" else target / f"{kind}.gguf"
        if kind != "shipped":
            gguf.requantise(shipped, path, kind, threads)
        fidelity = gguf.Fidelity(0.0, 1.0) if kind == "shipped" else gguf.compare(
            reference, gguf.distributions(path, threads)
        )  # fmt: skip
        entry = {"name": facts.quantisation if kind == "shipped" else kind, **asdict(fidelity)}
        entry["passes"] = fidelity.divergence <= MAX_DIVERGENCE[prefer]
        if entry["passes"]:
            # A candidate that is twice as slow as the best so far need not be timed to the end.
            speed = gguf.measure(path, threads, budget_seconds=min(20.0, max(2.0, 2 * best[0])) if best[1] else 20.0)
            entry |= {**asdict(speed), "question_seconds": speed.question_seconds}
            if not best[1] or speed.question_seconds < best[0]:
                (target / MODEL_GGUF).unlink(missing_ok=True)
                if kind != "shipped":
                    path.replace(target / MODEL_GGUF)
                best = (speed.question_seconds, kind)
        if kind != "shipped":
            path.unlink(missing_ok=True)  # losers do not stay on disk
        candidates.append(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in entry.items()}
        )
    notify("measure", len(kinds) + 1, len(kinds) + 1)
    return {
        "engine": "llama.cpp",
        "file": str(shipped) if best[1] == "shipped" else MODEL_GGUF,
        "chosen": facts.quantisation if best[1] == "shipped" else best[1],
        "facts": asdict(facts),
        "candidates": candidates,
    }


MODEL_GGUF = "model.gguf"


def _gguf_file(files: ModelFiles) -> Path:
    """The model's GGUF file, known by its first bytes. Raises ModelUnsuitable when it has none."""
    for path in files.files:
        with (files.directory / path).open("rb") as file:
            if file.read(4) == b"GGUF":
                return files.directory / path
    raise ModelUnsuitable(
        f"{files.spec.name} holds no GGUF file, which a generator needs", "`ragkit models list --role generator`"
    )


def _provenance(files: ModelFiles, role: str, prefer: Prefer, threads: int) -> dict[str, Any]:
    return {
        "format": VERSION,
        "name": files.spec.name,
        "role": role,
        "prefer": prefer,
        "source": {"digest": files.digest, "from": files.source, "files": dict(files.files)},
        "machine": {"processor": processor(), "threads": threads},
        "versions": {
            name: _version(name) for name in ("onnxruntime", "llama-cpp-python", "sentence-transformers", "torch")
        },
    }


def _publish(staging: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest last, flush everything, and move the folder into place."""
    hashes = {path.name: hash_file(path, sync=True) for path in sorted(staging.iterdir()) if path.is_file()}
    made_of = [
        manifest["engine"],
        manifest["name"],
        hashes.get(MODEL),
        hashes.get(TOKENIZER),
        manifest.get("prefixes"),
    ]
    if manifest["engine"] == "sentence-transformers":
        made_of.append(manifest["source"]["digest"])
    made_of.append(manifest.get("max_tokens"))
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    manifest = {**manifest, "files": hashes, "fingerprint": f"{manifest['name']}-{digest[:16]}"}
    write_whole(staging / MANIFEST, json.dumps(manifest, indent=1).encode())
    if target.exists():
        shutil.rmtree(target)
    staging.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(target: Path) -> Prepared | None:
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    path = target / manifest["file"] if manifest["role"] == "generator" else target
    if not path.exists() or any(not (target / name).is_file() for name in manifest["files"]):
        return None
    return Prepared(path, manifest, tuple(manifest.get("notices", ())))


def _folder(models_dir: Path, files: ModelFiles, role: str, prefer: Prefer, engine: str) -> Path:
    """Where the prepared model lies: named by what it is made from."""
    made_of = [VERSION, files.digest, role, prefer, processor(), files.spec.max_tokens]
    made_of += [files.spec.query_prefix, files.spec.passage_prefix, files.spec.pooling]
    if engine == "sentence-transformers":
        made_of.append(engine)
    elif role == "embedder":
        made_of.append(STATES)
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:12]
    slug = files.spec.slug if files.spec.path is None else f"path-{files.spec.path.name}"
    return models_dir / "prepared" / f"{slug}-{key}"


@cache
def processor() -> str:
    """The processor's name and its vector instructions: what a measurement holds for."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    lines = dict(line.split("\t: ", 1) for line in text.split("\n\n")[0].splitlines() if "\t: " in line)
    model = next((value for key, value in lines.items() if key.strip() == "model name"), platform.machine())
    flags = next((value for key, value in lines.items() if key.strip() in ("flags", "Features")), "").split()
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm")
    return " ".join([model, *(flag for flag in wanted if flag in flags)])


def _version(name: str) -> str:
    from importlib import metadata  # 30 ms that a search need not spend

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _roles_hint(role: str) -> str:
    names = [spec.name for spec in catalogue.models() if spec.role == role]
    return f"models for {role}: {', '.join(names)}" if names else "`ragkit models list` shows every model's role"
