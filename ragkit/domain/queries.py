"""Queries: how one was understood, and what is asked besides it. Knows words; knows nothing of what they find."""

from __future__ import annotations

from dataclasses import dataclass

from ragkit.choices import ExpansionMethod


@dataclass(frozen=True, slots=True)
class Correction:
    """A word of a query that no chunk holds, as it was written, and the word that was searched for in its place."""

    written: str
    searched: str


@dataclass(frozen=True, slots=True)
class Query:
    """A query as it was understood: `text` is what was typed, corrected; `words` is what the lexical index is asked.

    The two differ by what `left_out` names: parts of an error message that no document would hold.
    """

    text: str
    words: str
    phrases: tuple[str, ...] = ()
    """Quoted: every hit holds them, in these words and this order."""
    identifiers: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    error: bool = False
    """Whether it is an error message."""
    left_out: tuple[str, ...] = ()
    corrections: tuple[Correction, ...] = ()


@dataclass(frozen=True, slots=True)
class Expansion:
    """What is asked besides a query. All may be empty: there was nothing to add."""

    method: ExpansionMethod
    added: tuple[str, ...] = ()
    """What was added, for people."""
    terms: tuple[str, ...] = ()
    """Analysed terms that the lexical index is asked for, too; one said twice counts twice."""
    own: int = 1
    """How often the query's own terms are said beside them."""
    queries: tuple[str, ...] = ()
    """Queries whose vectors are averaged with the query's own."""
    passages: tuple[str, ...] = ()
    """Passages likewise."""
    parts: tuple[str, ...] = ()
    """Queries that are searched by themselves; a passage's best score counts."""
