"""Read the catalogue, and the names that users give to models.

Knows catalogue.toml and the spellings `hub:ORG/NAME@REV[:FILE]` and `path:DIR_OR_FILE`; knows nothing of what
is on disk or how it gets there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ragkit.errors import ModelNotFound, UsageError

Role = Literal["embedder", "reranker", "generator", "nli"]
CATALOGUE = Path(__file__).with_name("catalogue.toml")
_HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+?))?(?::(?P<file>[^:]+))?")


@dataclass(frozen=True, slots=True)
class File:
    """A file of a model. An empty sha256 is recorded on first use; 0 bytes means unknown."""

    path: str
    sha256: str = ""
    bytes: int = 0
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """One way to the bytes. `kind` hub has a repository and revision; wheels has requirements, and either a
    root folder within them or parts to be joined to one file or zip archive; built has the model that it began as and
    the folder, beside the catalogue, of what training changed."""

    kind: Literal["hub", "wheels", "built"]
    repository: str = ""
    revision: str = "main"
    requirements: tuple[str, ...] = ()
    root: str = ""
    parts: tuple[str, ...] = ()
    joined: Literal["", "file", "zip"] = ""
    base: str = ""
    folder: str = ""

    def __str__(self) -> str:
        if self.kind == "built":
            return f"ragkit and {self.base}"
        if self.kind == "hub":
            return f"hub:{self.repository}@{self.revision}"
        first = self.requirements[0]
        return f"wheels {first}" + (f" and {len(self.requirements) - 1} more" if len(self.requirements) > 1 else "")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known of a model before any of its bytes are here.

    `files` is empty for a hub repository named as a whole: its listing decides. Empty role, pooling and
    prefixes, and zero numbers, mean that the model's own files decide.
    """

    name: str
    role: Role | Literal[""] = ""
    licence: str = "not stated"
    about: str = ""
    megabytes: int = 0
    files: tuple[File, ...] = ()
    sources: tuple[Source, ...] = ()
    path: Path | None = None
    onnx: File | None = None
    pooling: str = ""
    dimension: int = 0
    matryoshka: tuple[int, ...] = ()
    """Numbers of dimensions that its vectors may be cut to, as it was trained."""
    max_tokens: int = 0
    query_prefix: str | None = None
    passage_prefix: str | None = None
    static: bool = False
    """Whether it is a table with a vector for each token, and no network."""
    questions: str = ""
    """Which embedder reads the questions, where this one reads passages alone: its vectors lie among that one's."""
    weight: float = 0.0
    """Of a reranker's score, beside the score that was there before; 0 where nothing was measured."""
    temperature: float = 1.0
    """What a reranker's logits are divided by, so that good passages still differ: many learned to be very sure."""
    catalogued: bool = True

    @property
    def built(self) -> bool:
        """Whether it is built here, of bytes that are pinned, so that its weights need no sha256 of their own."""
        return any(source.kind == "built" for source in self.sources)

    @property
    def only_onnx(self) -> bool:
        """Whether an ONNX file is all there is of its weights."""
        return self.onnx is not None and any(file.path == self.onnx.path for file in self.files)

    @property
    def slug(self) -> str:
        """A folder name that belongs to this model alone."""
        return re.sub(r"[^\w.@-]+", "--", self.name).strip("-")


def get(name: str) -> ModelSpec:
    """The model of that name. Raises ModelNotFound with the nearest names, or UsageError for a bad spelling."""
    if name.startswith("path:"):
        path = Path(name.removeprefix("path:")).expanduser()
        return ModelSpec(name=f"path:{path.absolute()}", path=path.absolute(), catalogued=False)
    if name.startswith("hub:"):
        return _from_hub(name)
    found = {spec.name.lower(): spec for spec in models()}.get(name.lower())
    if found is None:
        import difflib

        near = difflib.get_close_matches(name, [spec.name for spec in models()], n=1)
        raise ModelNotFound(
            f"no model is called {name!r}",
            (f"did you mean {near[0]}? " if near else "")
            + "`ragkit models list` shows the names; hub:ORG/NAME@REV[:FILE] and path:DIR_OR_FILE name any other",
        )
    return found


@cache
def models() -> tuple[ModelSpec, ...]:
    """Every model of the catalogue, in its order."""
    entries = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))["model"]
    return tuple(_parse(entry) for entry in entries)


def _parse(entry: Mapping[str, Any]) -> ModelSpec:
    values = {key: value for key, value in entry.items() if not key.startswith("onnx_")}
    values["files"] = tuple(File(**file) for file in entry["files"])
    values["matryoshka"] = tuple(entry.get("matryoshka", ()))
    values["sources"] = tuple(_source(source) for source in entry["sources"])
    if path := entry.get("onnx_path"):
        values["onnx"] = File(path, entry.get("onnx_sha256", ""))
    return ModelSpec(**values)


def _source(entry: Mapping[str, Any]) -> Source:
    values = {key: value for key, value in entry.items() if key not in ("requirement", "count", "part")}
    if entry["kind"] == "wheels":
        count = entry.get("count", 1)
        values["requirements"] = tuple(_numbered(entry["requirement"], count))
        values["parts"] = tuple(_numbered(entry["part"], count)) if "part" in entry else ()
    return Source(**values)


def _numbered(template: str, count: int) -> Iterator[str]:
    return (template.format(n=number) for number in range(1, count + 1))


def _from_hub(name: str) -> ModelSpec:
    match = _HUB.fullmatch(name.removeprefix("hub:"))
    if match is None:
        raise UsageError(f"{name!r} is not of the form hub:ORG/NAME@REV or hub:ORG/NAME@REV:FILE")
    revision, file = match["revision"] or "main", match["file"] or ""
    if ".." in file.split("/"):
        raise UsageError(f"{name!r} names a file outside its repository")
    return ModelSpec(
        name=f"hub:{match['repository']}@{revision}" + (f":{file}" if file else ""),
        files=(File(file),) if file else (),
        sources=(Source("hub", repository=match["repository"], revision=revision),),
        onnx=None if file else File("onnx/model.onnx"),
        catalogued=False,
    )
