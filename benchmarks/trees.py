"""Ingest whole documentation trees, ask real questions of them, and open every citation. Prints Markdown.

    python benchmarks/trees.py TREE[=QUESTIONS.jsonl] ... [--store DIR] [--questions 10] [--write]

TREE is a folder; QUESTIONS.jsonl holds one object with a `question` a line, of which ten are taken at equal
distances. Without it the ten questions about Python's manual below are asked. A citation holds when its quote stands
verbatim in the lines of the file that it names; for HTML, when the words of the quote stand there in order.
`--write` puts the result into docs/trees.md.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ragkit import Engine, IngestReport, Quote, config

PAGE = Path(__file__).resolve().parents[1] / "docs" / "trees.md"
MARK = "<!-- measured -->"
PYTHON_QUESTIONS = (
    "How do I read a CSV file with a header into dictionaries?",
    "What does asyncio.gather return when one of the awaitables raises an exception?",
    "How can I run a subprocess and capture its output?",
    "Which function of the json module serialises an object to a file?",
    "What is the difference between a list and a tuple?",
    "How do I set a timeout on a socket?",
    "What does functools.lru_cache do when maxsize is None?",
    "How do I create a virtual environment?",
    "What is the default encoding of open() in text mode?",
    "How do I compute the sha256 of a file?",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="+", metavar="TREE[=QUESTIONS]")
    parser.add_argument("--store", type=Path, help="keep the corpora in this folder")
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--include", metavar="GLOBS", default="", help="files to read, such as *.html,*.md")
    parser.add_argument("--write", action="store_true", help="put the result into docs/trees.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        changes = {"store.directory": str(arguments.store or temporary), "ingest.include": arguments.include}
        settings = config.replace(config.Settings(), changes)
        with Engine(settings) as engine:
            measured: list[str] = []
            for tree in arguments.trees:
                folder, _, questions = tree.partition("=")
                file = Path(questions) if questions else None
                for line in measure(engine, Path(folder), file, arguments.questions):
                    print(line, flush=True)
                    measured.append(line)
    if arguments.write:
        head, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
        PAGE.write_text(f"{head}{MARK}\n\n" + "\n".join(measured).rstrip() + "\n", encoding="utf-8")


def measure(engine: Engine, folder: Path, file: Path | None, count: int) -> Iterator[str]:
    """Markdown for one tree: what the ingest did, then each question, its answer and its citations."""
    name = folder.resolve().parent.name if folder.name in ("docs", "html") else folder.name
    print(f"ingesting {folder} ...", file=sys.stderr)
    _ = engine.embedder
    report = engine.ingest([folder], corpus=name)
    yield f"## {name}"
    yield ""
    yield ingest_lines(report)
    yield ""
    yield "| question | status | citations that hold | seconds | answer |"
    yield "|---|---|---|---|---|"
    seconds = []
    for question in chosen(file, count):
        began = time.perf_counter()
        answer = engine.ask(question, corpus=name)
        seconds.append(time.perf_counter() - began)
        holding = sum(holds(quote, folder) for quote in answer.quotes)
        text = " ".join(answer.text.split())
        cells = [question, answer.status, f"{holding} of {len(answer.quotes)}", f"{seconds[-1]:.1f}", shorten(text)]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""
    yield f"Median {statistics.median(seconds):.1f} s a question."
    yield ""


def ingest_lines(report: IngestReport) -> str:
    counts = ", ".join(f"{number} {what}" for what, number in report.counts.items() if number)
    reasons: dict[str, int] = {}
    for row in report.rows:
        if row.outcome in ("skipped", "failed"):
            key = f"{row.outcome}: {re.sub(r'[0-9.]+', 'N', row.reason)}"
            reasons[key] = reasons.get(key, 0) + 1
    why = "; ".join(f"{number} {reason}" for reason, number in reasons.items())
    rate = report.embedded / report.seconds if report.seconds else 0.0
    lines = [
        f"{counts}; {report.chunks} chunks",
        f"{report.embedded} texts embedded in {report.seconds:.0f} s "
        f"({rate:.0f} a second, reading, cutting and indexing included)",
        why,
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def chosen(file: Path | None, count: int) -> list[str]:
    if file is None:
        return list(PYTHON_QUESTIONS[:count])
    rows = [json.loads(line)["question"] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return rows[:: max(1, len(rows) // count)][:count]


def holds(quote: Quote, folder: Path) -> bool:
    """Whether the file has the quote in the lines that it names."""
    lines = (folder / quote.path).read_text(encoding="utf-8", errors="replace").splitlines()
    found = "\n".join(lines[quote.start_line - 1 : quote.end_line])
    if quote.text in found:
        return True
    plain = html.unescape(re.sub(r"<[^>]*>", "", found))
    return words(quote.text) in words(plain)


def words(text: str) -> str:
    return "".join(re.findall(r"\w+", text))


def shorten(text: str, width: int = 160) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


if __name__ == "__main__":
    main()
