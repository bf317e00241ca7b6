"""Ask a folder a question and open every cited line: `python examples/ask_with_citations.py docs "What is a hit?"`.

Leaves with the exit codes of `ragkit ask`: 0 answered, 3 not in the documentation, 4 partial.
"""

from __future__ import annotations

import sys

from ragkit import Answer, Engine
from ragkit.errors import ABSTAINED, ANSWERED, UNSUPPORTED


def ask(engine: Engine, folder: str, question: str) -> Answer:
    """Ingest the folder and answer the question from it."""
    report = engine.ingest([folder])
    return engine.ask(question, corpus=report.corpus)


def proof(engine: Engine, answer: Answer) -> list[tuple[str, str]]:
    """(place, lines of the stored document) of every quote: what a reader would look up."""
    return [
        (quote.location, engine.show(quote.path, quote.start_line, quote.end_line, corpus=answer.corpus).text)
        for quote in answer.quotes
    ]


def main(folder: str, question: str) -> int:
    with Engine() as engine:
        answer = ask(engine, folder, question)
        print(answer.text)
        if answer.reason:
            print(f"({answer.reason})")
        for place, lines in proof(engine, answer):
            print(f"\n{place}\n{lines}")
    return {"answered": ANSWERED, "abstained": ABSTAINED, "partial": UNSUPPORTED}[answer.status]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
