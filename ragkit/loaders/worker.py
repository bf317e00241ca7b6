"""Reads one file into a Document: in this process, or as `python -m ragkit.loaders.worker` for another.

Knows bytes on disk, their sha256, and the lines of JSON that a request and its result travel in; knows nothing
of folders, databases or chunks. A process of its own, because a parser may crash or hang on a hostile file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ragkit.domain import Block, Document, LineMap, Section
from ragkit.errors import LoadError, SkipFile

MEMORY_BYTES = 4 << 30
"""A worker that needs more than this to read a file has failed."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read. `sha256` is that of the version already known, which need not be parsed again.

    `named` files, which the user asked for by name, are read whatever their text is worth.
    """

    path: str
    file: str
    sha256: str = ""
    timeout_seconds: float = 60.0
    named: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """What became of a job. `size` and `mtime_ns` are those of the bytes that were read."""

    outcome: Literal["read", "same", "skipped", "failed"]
    reason: str = ""
    sha256: str = ""
    size: int = -1
    mtime_ns: int = -1
    document: Document | None = None


def read(job: Job) -> Read:
    """Read, hash and load one file; every failure becomes a result with its reason."""
    try:
        data, state = _stable_bytes(Path(job.file))
    except OSError as error:
        return Read("failed", f"cannot be read: {error.strerror or error}")
    if data is None:
        return Read("failed", "changed while it was read, twice")
    facts = Read("same", sha256=hashlib.sha256(data).hexdigest(), size=state.st_size, mtime_ns=state.st_mtime_ns)
    if facts.sha256 == job.sha256:
        return facts
    from ragkit.loaders import load

    try:
        return replace(facts, outcome="read", document=storable(load(data, job.path, named=job.named)))
    except SkipFile as error:
        return replace(facts, outcome="skipped", reason=_reason(error.message, job.path))
    except LoadError as error:
        return replace(facts, outcome="failed", reason=_reason(error.message, job.path))
    except MemoryError:
        return replace(facts, outcome="failed", reason="too little memory to read it")
    except RecursionError:
        return replace(facts, outcome="failed", reason="nested too deeply")


def _stable_bytes(file: Path) -> tuple[bytes | None, os.stat_result]:
    """The file's bytes, if it stayed the same while they were read; one more try if it did not."""
    for _ in range(2):
        with file.open("rb") as handle:
            before = os.fstat(handle.fileno())
            data = handle.read()
            after = os.fstat(handle.fileno())
        now = file.stat()
        same = (
            (before.st_size, before.st_mtime_ns)
            == (after.st_size, after.st_mtime_ns)
            == (now.st_size, now.st_mtime_ns)
        )
        if same and before.st_ino == now.st_ino and len(data) == after.st_size:
            return data, after
    return None, after


def storable(document: Document) -> Document:
    """The document without the few characters that no database takes, one for one, so offsets stay."""
    text = document.text
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if len(text) != len(document.text):
        raise LoadError(f"{document.path}: holds broken surrogate pairs")
    return document if text is document.text else replace(document, text=text)


def _reason(message: str, path: str) -> str:
    return message.removeprefix(path).removeprefix(":").strip() or message


# ---------------------------------------------------------------- between processes


def encode(result: Read) -> dict[str, Any]:
    """A result as JSON."""
    return asdict(result)


def decode(table: dict[str, Any]) -> Read:
    """A result from JSON."""
    document = table.pop("document")
    return Read(**table, document=None if document is None else _document(document))


def _document(table: dict[str, Any]) -> Document:
    sections = tuple(
        Section(**{**section, "heading": tuple(section["heading"]), "words": tuple(section["words"])})
        for section in table["sections"]
    )
    lines = LineMap(table["lines"]["unit"], tuple(table["lines"]["numbers"]))
    return Document(**{**table, "sections": sections, "blocks": tuple(map(_block, table["blocks"])), "lines": lines})


def _block(table: dict[str, Any]) -> Block:
    header = tuple(table["header"]) if table["header"] else None
    return Block(**{**table, "rows": tuple(map(tuple, table["rows"])), "header": header})


def main() -> None:
    """Answer requests on stdin, a line of JSON each, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes stdin
    # Whatever a parser prints must not get between the results.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii", newline="\n") as results:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _limit_memory()
        for line in sys.stdin.buffer:
            job = Job(**json.loads(line))
            if hasattr(signal, "alarm"):  # should the parent be gone by then, nobody else would stop a hang
                signal.alarm(int(job.timeout_seconds) + 5)
            result = json.dumps(encode(read(job)), default=str)
            results.write(result + "\n")
            results.flush()
            if hasattr(signal, "alarm"):
                signal.alarm(0)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    main()
