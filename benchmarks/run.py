"""Measure this machine: ingest, embedding, starting, generating. Prints Markdown; --write puts it into the docs.

    python benchmarks/run.py [--write] [--folder DIR] [--only embed,start,generate,ingest]

Every figure is taken with the default models and settings, on the folder's own files (this project's documentation
unless --folder is given), and compared within the same run.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from ragkit import Engine, config
from ragkit.domain.answers import GenerationOptions, Message
from ragkit.domain.corpora import LedgerRow

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
MARK = "<!-- measured -->"
COLD_CHUNKS = 10_000
PROMPT_TOKENS = 1500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs", help="documents to measure with")
    parser.add_argument("--only", default="", help="parts, separated by commas")
    parser.add_argument("--store", type=Path, help="a store with a corpus of about 10,000 chunks, for cold commands")
    parser.add_argument("--corpus", default="", help="that corpus")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[Path], Iterator[str]]] = {
        "ingest": ingest,
        "embed": embed,
        "start": partial(start, given=arguments.store, corpus=arguments.corpus),
        "generate": generate,
    }
    chosen = arguments.only.split(",") if arguments.only else list(parts)
    lines = [machine(), ""]
    for name in chosen:
        print(f"measuring {name} ...", file=sys.stderr)
        lines += [*parts[name](arguments.folder.resolve()), ""]
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        head = PAGE.read_text(encoding="utf-8").split(MARK)[0]
        PAGE.write_text(f"{head}{MARK}\n\n{text}", encoding="utf-8")


def machine() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    flags = Path("/proc/cpuinfo").read_text()
    isa = "AVX-512" if "avx512f" in flags else "AVX2, no AVX-512" if " avx2 " in flags else "no AVX2"
    processor = names[0].split(":")[1].strip() if names else platform.processor()
    cores = len(os.sched_getaffinity(0))
    return f"Measured on {date.today()}: {processor} ({isa}), {cores} cores, Python {platform.python_version()}."


def settings(store: str, **changes: object) -> config.Settings:
    return config.replace(config.Settings(), {"store.directory": store, **changes})


def table(header: list[str], rows: list[list[object]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


# ---------------------------------------------------------------- ingest


def ingest(folder: Path) -> Iterator[str]:
    """A first ingest, and one where nothing changed."""
    with tempfile.TemporaryDirectory() as store, Engine(settings(store)) as engine:
        _ = engine.embedder
        first = engine.ingest([folder], corpus="bench")
        again = engine.ingest([folder], corpus="bench")
    files = sum(first.counts.values())
    yield "## How fast is an ingest?"
    yield ""
    yield from table(
        ["", "files", "chunks", "seconds", "chunks a second"],
        [
            ["first ingest", files, first.chunks, f"{first.seconds:.1f}", f"{first.chunks / first.seconds:.0f}"],
            ["nothing changed", files, first.chunks, f"{again.seconds:.2f}", "-"],
        ],
    )
    bad: list[LedgerRow] = [row for row in first.rows if row.outcome == "failed"]
    yield f"\nFailed files: {len(bad)}. Skipped: {first.counts.get('skipped', 0)}."


def chunk_texts(folder: Path, count: int) -> list[str]:
    """Indexed texts of the folder's chunks, as the embedder gets them."""
    from ragkit.testing import HashEmbedder

    with tempfile.TemporaryDirectory() as store, Engine(settings(store), embedder=HashEmbedder()) as engine:
        engine.ingest([folder], corpus="bench")
        snapshot = engine.store.current_snapshot("bench")
        texts = [text for _, text in engine.store.chunk_texts(snapshot)]
    step = max(1, len(texts) // count)
    return texts[::step][:count]


# ---------------------------------------------------------------- embedding


def embed(folder: Path) -> Iterator[str]:
    """Chunks a second against plain sentence-transformers, on the same chunks in the same run, in turns."""
    from sentence_transformers import SentenceTransformer

    from ragkit.models import resolve

    with tempfile.TemporaryDirectory() as store, Engine(settings(store)) as engine:
        ours = engine.embedder
        texts = chunk_texts(folder, 400)
        name = engine.settings.embed.model
        plain = SentenceTransformer(
            str(resolve.resolve(name, engine.settings.models_directory).directory), device="cpu"
        )
        plain.encode(texts[:32], normalize_embeddings=True)
        ours.embed(texts[:32])
        times: dict[str, list[float]] = {"plain": [], "ours": []}
        for _ in range(3):
            times["plain"].append(seconds(lambda: plain.encode(texts, normalize_embeddings=True)))
            times["ours"].append(seconds(lambda: ours.embed(texts)))
        same = np.asarray(plain.encode(texts, normalize_embeddings=True))
        cosine = float(np.mean(np.sum(same * ours.embed(texts), axis=1)))
    rate = {key: len(texts) / statistics.median(value) for key, value in times.items()}
    yield "## How fast are chunks embedded?"
    yield ""
    yield f"{name}, {len(texts)} chunks, median of 3 runs taken in turns."
    yield ""
    yield from table(
        ["", "chunks a second", "ratio"],
        [
            ["sentence-transformers, its default", f"{rate['plain']:.1f}", "1.0"],
            ["ragkit", f"{rate['ours']:.1f}", f"{rate['ours'] / rate['plain']:.2f}"],
        ],
    )
    yield f"\nMean cosine between the two: {cosine:.4f}."


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


# ---------------------------------------------------------------- starting


def start(folder: Path, given: Path | None = None, corpus: str = "") -> Iterator[str]:
    """Whole commands from a cold process, median of 15: what a person waits for.

    As in an installed package, modules are compiled to bytecode before: one run that is not counted does that.
    Without a store that is given, the folder is repeated until it has enough chunks, and each copy counts.
    """
    with tempfile.TemporaryDirectory() as temporary:
        store = str(given or temporary)
        chunks = count(Path(store), corpus) if given else grow(folder, Path(store))
        environ = {**os.environ, "RAGKIT_STORE_DIRECTORY": store, "RAGKIT_CORPUS": corpus if given else "bench"}
        if not given:
            environ["RAGKIT_RETRIEVE_DUPLICATES"] = "all"
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        question = "how do I restore a backup of the database"
        commands = {
            "`python -c pass`": [sys.executable, "-c", "pass"],
            "`ragkit --help`": ["ragkit", "--help"],
            f"`ragkit search`, {chunks:,} chunks": ["ragkit", "search", question, "--format", "json"],
            f"`ragkit search --no-rerank`, {chunks:,} chunks": ["ragkit", "search", question, "--no-rerank"],
            f"`ragkit search --mode lexical`, {chunks:,} chunks": ["ragkit", "search", question, "--mode", "lexical"],
            f"`ragkit ask --no-llm`, {chunks:,} chunks": ["ragkit", "ask", question, "--no-llm"],
        }
        rows: list[list[object]] = []
        for name, command in commands.items():
            if command[0] == "ragkit":
                command = [sys.executable, "-m", "ragkit", *command[1:]]
            spent = [cold(command, environ) for _ in range(16)][1:]
            walls, works = zip(*spent, strict=True)
            rows.append(
                [name, f"{statistics.median(walls):.2f}", f"{min(walls):.2f}", f"{statistics.median(works):.2f}"]
            )
    yield "## How long does a command take from a cold process?"
    yield ""
    yield from table(["", "median seconds", "best", "processor seconds"], rows)


def cold(command: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Seconds that a command takes by the clock, and of all processors together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = seconds(lambda: subprocess.run(command, env=environ, capture_output=True, check=False))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def count(store: Path, corpus: str) -> int:
    """Chunks of a corpus that is there."""
    with Engine(settings(str(store))) as engine:
        snapshot = engine.status(corpus).snapshot
        return snapshot.chunks if snapshot else 0


def grow(folder: Path, store: Path) -> int:
    """A corpus of about COLD_CHUNKS real chunks: the folder's, repeated under other names with a changed word."""
    from ragkit.domain import Document
    from ragkit.loaders import load

    documents: list[Document] = []
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".md", ".txt", ".rst", ".html")]
    with Engine(settings(str(store))) as engine:
        base = engine.ingest([folder], corpus="bench").chunks
        for copy in range(-(-COLD_CHUNKS // max(base, 1)) - 1):
            for path in files:
                text = path.read_bytes() + f"\n\nCopy {copy}.\n".encode()
                documents.append(load(text, f"{copy}/{path.relative_to(folder)}"))
        if documents:
            return engine.ingest_documents(documents, corpus="bench").chunks
        return base


# ---------------------------------------------------------------- generating


def generate(folder: Path) -> Iterator[str]:
    """Prompt and decode speed of the generator as shipped and as prepared, and the wait for a whole answer."""
    from ragkit.generate.llama import LlamaGenerator
    from ragkit.models import resolve

    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as store, Engine(settings(store)) as engine:
        name = engine.settings.generate.model
        files = resolve.resolve(name, engine.settings.models_directory)
        shipped = next(files.directory / path for path in files.files if path.endswith(".gguf"))
        prompt = prompt_of(folder)
        for label, generator in (
            ("as shipped", LlamaGenerator(shipped, name, threads=engine.settings.thread_count)),
            ("as prepared here", engine.generator),
        ):
            assert generator is not None
            rows.append([label, *speeds(generator, prompt)])
        engine.ingest([ROOT / "docs"], corpus="bench")
        answers = [engine.ask(q, corpus="bench") for q in QUESTIONS]
    yield "## How fast does the language model read and write?"
    yield ""
    yield f"{name}, a prompt of about {PROMPT_TOKENS} tokens, nothing cached."
    yield ""
    yield from table(["", "prompt tokens a second", "seconds to the first token", "decoded tokens a second"], rows)
    firsts = [a.draft.first_token_seconds for a in answers if a.draft]
    totals = [a.timings["total"] for a in answers]
    yield ""
    yield (
        f"Whole questions to the documentation of ragkit ({len(answers)}): median {statistics.median(totals):.1f} s "
        f"from question to checked answer, {statistics.median(firsts or [0.0]):.1f} s to the first token."
    )


QUESTIONS = (
    "Which files does ragkit skip?",
    "How do I use another language model?",
    "What does exit code 3 mean?",
    "How is a citation checked?",
    "Does anything leave my machine?",
    "How do I remove a corpus?",
)


def prompt_of(folder: Path) -> str:
    words: list[str] = []
    for path in sorted(folder.rglob("*.md")) or sorted(folder.rglob("*")):
        if path.is_file():
            words += path.read_text(encoding="utf-8", errors="ignore").split()
        if len(words) > PROMPT_TOKENS:
            break
    return " ".join(words[: int(PROMPT_TOKENS * 0.62)])


def speeds(generator: object, prompt: str) -> list[object]:
    began = time.perf_counter()
    first = 0.0
    pieces = 0
    messages = [Message("user", f"{time.time_ns()} Summarise:\n{prompt}")]
    for _ in generator.generate(messages, GenerationOptions(max_tokens=64)):  # type: ignore[attr-defined]
        pieces += 1
        first = first or time.perf_counter() - began
    rest = time.perf_counter() - began - first
    tokens = generator.count(messages[0].content)  # type: ignore[attr-defined]
    return [f"{tokens / first:.0f}", f"{first:.2f}", f"{(pieces - 1) / rest:.0f}"]


if __name__ == "__main__":
    main()
