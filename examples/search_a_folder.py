"""Read a folder and search it: `python examples/search_a_folder.py docs "leave files out"`."""

from __future__ import annotations

import sys

from ragkit import Engine, Hit


def search(engine: Engine, folder: str, query: str) -> tuple[Hit, ...]:
    """Ingest the folder (only what changed is read) and find the passages that answer the query."""
    report = engine.ingest([folder])
    return engine.search(query, corpus=report.corpus, limit=5).hits


def main(folder: str, query: str) -> None:
    with Engine() as engine:
        for hit in search(engine, folder, query):
            print(f"{hit.score:.2f}  {hit.passage.location}  {' > '.join(hit.passage.chunk.heading)}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
