"""What an ingest leaves behind: its ledger, and what documents have in common: copied passages, acronyms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ragkit.choices import Outcome
from ragkit.domain import Passage


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Passages with nearly the same text, in the order of ingest; two or more."""

    passages: tuple[Passage, ...]

    @property
    def documents(self) -> int:
        """How many documents hold the text."""
        return len({passage.document_id for passage in self.passages})


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What one ingest did with one file, and why."""

    path: str
    outcome: Outcome
    reason: str = ""
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The sum of one ingest. `snapshot` is the published one; unchanged corpora publish nothing new."""

    corpus: str
    snapshot: str
    published: bool
    counts: Mapping[str, int]
    chunks: int
    embedded: int
    """Texts embedded now; the rest were known by their hash."""
    seconds: float
    rows: tuple[LedgerRow, ...] = ()
    notices: tuple[str, ...] = ()
    """What a user should know of the files that were read and the models that were used."""


@dataclass(frozen=True, slots=True)
class Acronym:
    """A short form, the long one that it stands for in lower case, and how many chunks introduce it."""

    short: str
    long: str
    chunks: int
