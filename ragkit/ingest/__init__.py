"""Files to a published snapshot: scan, diff, load, chunk, embed, publish; a ledger row for every file."""

from __future__ import annotations

from ragkit.ingest.run import ingest, ingest_documents

__all__ = ["ingest", "ingest_documents"]
