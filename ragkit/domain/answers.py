"""Answers, from the conversation with a generator over its draft to claims that quotes bear out.

Knows sources and their lines; knows nothing of how they were found, or of who writes and who checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ragkit.domain import NO_CONTEXT, Context, LineUnit, Source, Span, location

Status: TypeAlias = Literal["answered", "partial", "abstained"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation with a generator."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How to sample. Temperature 0 is greedy and reproducible."""

    max_tokens: int = 256
    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    seed: int = 0
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    """If there are any, the reply is one of them and nothing else; a server may put it into JSON, under `reply`."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the generator wrote, before anything was checked."""

    text: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_seconds: float = 0.0
    seconds: float = 0.0
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    """The lines of a file that prove a claim: `text` is found verbatim at `start_line`-`end_line`."""

    number: int
    """The source's number, as [n] in the answer."""
    path: str
    start_line: int
    end_line: int
    unit: LineUnit
    text: str

    @property
    def location(self) -> str:
        """`path:L3-L9`."""
        return location(self.path, self.start_line, self.end_line, self.unit)


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an answer, `answer.text[start:end]`, with the quotes that bear it out."""

    start: int
    end: int
    text: str
    supported: bool
    support: float
    """In [0, 1]; what the verifier measured, against its threshold in the settings."""
    quotes: tuple[Quote, ...] = ()


@dataclass(frozen=True, slots=True)
class GroundedClaim:
    """One sentence of a statement, and how well a text bears it out: by which stretches of it, lacking what."""

    text: str
    support: float
    """In [0, 1]."""
    spans: tuple[Span, ...] = ()
    missing: tuple[str, ...] = ()
    """Numbers, names and options of the claim that the text does not have where it should."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """Whether a text bears out a statement."""

    support: float
    """In [0, 1]: the mean of the claims', the lowest counted twice; the lowest where a language model was asked."""
    supported: bool
    claims: tuple[GroundedClaim, ...]
    engine: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A checked answer. `status` abstained means that the corpus does not answer the question.

    `text` cites sources as [n]; every n is in `sources`. `reason` says why it abstained or is partial.
    """

    question: str
    status: Status
    text: str
    claims: tuple[Claim, ...]
    sources: tuple[Source, ...]
    quotes: tuple[Quote, ...]
    model: str
    snapshot: str
    draft: Draft | None = None
    context: Context = NO_CONTEXT
    timings: Mapping[str, float] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    reason: str = ""
    prompt_hash: str = ""
    corpus: str = ""
