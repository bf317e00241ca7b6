"""A draft to a checked answer: claims, citations, support, abstention.

Knows what a draft says and what its sources say; knows nothing of how either was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ragkit.config import VerifySettings
from ragkit.domain import NO_CONTEXT, Context
from ragkit.domain.answers import Answer, Claim, Draft, Quote, Status
from ragkit.roles import Embedder
from ragkit.text import analyse
from ragkit.verify.claims import ENDINGS, Piece, cite, is_refusal, pieces, statements
from ragkit.verify.grounding import ASKING, ENGINES, ground, supports
from ragkit.verify.relevance import Relevance, relevance
from ragkit.verify.support import Evidence, Measured

__all__ = [
    "ASKING",
    "DECLINED",
    "ENGINES",
    "Relevance",
    "abstain",
    "ground",
    "is_refusal",
    "pieces",
    "relevance",
    "statements",
    "supports",
    "verify",
]

DECLINED = "Not in the documentation."
"""The text of an answer that abstained."""
UNSUPPORTED = "[unsupported]"
"""What marks an unsupported claim, where the settings say to keep it marked."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A piece of the draft with what the sources say to it."""

    piece: Piece
    supported: bool = True
    support: float = 1.0
    numbers: tuple[int, ...] = ()
    quotes: tuple[Quote, ...] = ()


def verify(
    question: str,
    draft: Draft,
    context: Context,
    *,
    settings: VerifySettings,
    embedder: Embedder | None = None,
    language: str = "english",
) -> Answer:
    """Check every claim of the draft against the sources, and keep what they bear out.

    A claim is supported when the sources it cites, or else the best other one, support it by at least
    `settings.min_support`; the citation follows the proof. Headings and announcements claim nothing, and go when
    they have a number, name or option that no source has; words to the reader ("Sure!") go in any case. The answer
    abstains when the draft refuses or when less of it is supported than `settings.min_supported_share`, and is
    partial when something was not. Snapshot, timings and prompt hash are the caller's to add.
    """
    parts = [piece for piece in _whole(draft) if piece.kind != "courtesy"]
    claims = [piece for piece in parts if piece.is_checked]
    if reason := _nothing_to_check(question, parts, claims, context, language):
        return abstain(question, reason, draft=draft, context=context)
    evidence = Evidence(context, embedder, language, question)
    measured = iter(evidence.measure([piece.text for piece in claims]))
    checked = [
        _check(piece, next(measured), settings)
        if piece.is_checked
        else _Checked(piece, not evidence.lacks(piece.text))
        for piece in parts
        if piece.kind != "refusal"
    ]
    judged = [one for one in checked if one.piece.is_checked]
    bad = [one for one in judged if not one.supported]
    if settings.unsupported == "drop" and (reason := _too_little(len(bad), len(judged), settings)):
        return abstain(question, reason, draft=draft, context=context)
    shown = _without_unsupported(checked) if settings.unsupported == "drop" else checked
    text, kept = _compose(shown, mark=settings.unsupported == "mark")
    refused = any(piece.kind == "refusal" for piece in parts)
    status, reason = _status(len(bad), len(judged), refused, draft, settings)
    return Answer(
        question=question,
        status=status,
        text=text,
        claims=kept,
        sources=tuple(s for s in context.sources if any(s.number in one.numbers for one in shown)),
        quotes=_unique(quote for claim in kept for quote in claim.quotes),
        model=draft.model,
        snapshot="",
        draft=draft,
        context=context,
        notices=_notices(parts, context, draft),
        reason=reason,
    )


def abstain(
    question: str, reason: str, *, draft: Draft | None = None, context: Context = NO_CONTEXT, model: str = ""
) -> Answer:
    """An answer that declines the question, and says why."""
    return Answer(
        question=question,
        status="abstained",
        text=DECLINED,
        claims=(),
        sources=(),
        quotes=(),
        model=draft.model if draft else model,
        snapshot="",
        draft=draft,
        context=context,
        reason=reason,
    )


def _nothing_to_check(
    question: str, parts: Sequence[Piece], claims: Sequence[Piece], context: Context, language: str
) -> str:
    """Why the question is declined before any claim is checked, or ""."""
    if not context.sources:
        return "no passage was found"
    if not claims or parts[0].kind == "refusal":
        return "the model found no answer in the sources" if parts else "the model wrote nothing"
    return "the model only repeated the question" if _only_repeats(question, claims, language) else ""


def _too_little(bad: int, judged: int, settings: VerifySettings) -> str:
    """Why a draft of which so many claims are unsupported is dropped whole, or ""."""
    if bad == judged:
        return "nothing that the model wrote is borne out by the sources"
    if 1 - bad / judged < settings.min_supported_share:
        return f"{bad} of {judged} statements that the model wrote are not borne out by the sources"
    return ""


def _whole(draft: Draft) -> list[Piece]:
    """The pieces of a draft; not the sentence in the middle of which it was cut short, unless there is no other."""
    found = pieces(draft.text)
    cut = draft.truncated and len(found) > 1 and found[-1].kind == "claim"
    return found[:-1] if cut and not found[-1].text.endswith(_ENDS) else found


_ENDS = (*ENDINGS, "…", '."', '!"', '?"', ".)")
_OPEN_QUESTION = re.compile(r"\b(?:what|how|why|where|when|who|whom|whose|which)\b", re.IGNORECASE)


def _only_repeats(question: str, claims: Sequence[Piece], language: str) -> bool:
    """Whether a draft answers an open question with the question's own words and no others.

    >>> _only_repeats("What are the steps to install?", [Piece("claim", "", "The steps to install.")], "english")
    True
    """
    asked = set(analyse(question, language))
    said = {term for piece in claims for term in analyse(piece.text, language)}
    return bool(_OPEN_QUESTION.search(question)) and said <= asked


def _check(piece: Piece, measured: Mapping[int, Measured], settings: VerifySettings) -> _Checked:
    """Keep the citations that bear the claim out; without any, take the best source that does."""
    cited = [number for number in piece.cited if number in measured and _bears(measured[number], settings)]
    best = max(measured, key=lambda number: (measured[number].support, -number))
    if not cited and _bears(measured[best], settings):
        cited = [best]
    support = max((measured[number].support for number in cited), default=measured[best].support)
    quotes = tuple(window.quote() for number in cited if (window := measured[number].window))
    return _Checked(piece, bool(cited), support, tuple(cited), quotes)


def _bears(measured: Measured, settings: VerifySettings) -> bool:
    return measured.window is not None and measured.support >= settings.min_support


def _without_unsupported(checked: Sequence[_Checked]) -> list[_Checked]:
    """What is supported, without the headings and announcements that have nothing left below them."""
    kept: list[_Checked] = []
    following = 0
    for one in reversed(checked):
        if one.piece.kind in ("lead-in", "heading"):
            if following and one.supported:
                kept.append(one)
            following = 0
        elif one.supported:
            kept.append(one)
            following += 1
    return kept[::-1]


def _compose(checked: Sequence[_Checked], *, mark: bool) -> tuple[str, tuple[Claim, ...]]:
    """The text of the answer and its claims, which are slices of it."""
    text = ""
    claims: list[Claim] = []
    for one in checked:
        text += _lead(one.piece.lead, first=not text)
        start = len(text)
        text += cite(one.piece.text, one.numbers)
        if mark and not one.supported:
            text += f" {UNSUPPORTED}"
        if one.piece.is_checked:
            claims.append(Claim(start, len(text), text[start:], one.supported, round(one.support, 3), one.quotes))
    return text, tuple(claims)


def _lead(lead: str, *, first: bool) -> str:
    if first:
        return lead.lstrip()
    return lead or " "


def _status(bad: int, judged: int, refused: bool, draft: Draft, settings: VerifySettings) -> tuple[Status, str]:
    if bad:
        done = {"drop": "left out", "mark": "marked", "keep": "kept"}[settings.unsupported]
        return (
            "partial",
            f"{bad} of {judged} statements {'is' if bad == 1 else 'are'} not borne out by the sources: {done}",
        )
    if refused:
        return "partial", "the model says that the sources answer only a part"
    if draft.truncated:
        return "partial", "the answer reached generate.max_tokens"
    return "answered", ""


def _notices(parts: Sequence[Piece], context: Context, draft: Draft) -> tuple[str, ...]:
    known = {source.number for source in context.sources}
    invented = sorted({number for piece in parts for number in piece.cited} - known)
    notices = [f"the model cited [{number}], which is not a source" for number in invented]
    if draft.truncated:
        notices.append("the answer reached generate.max_tokens and may be cut short")
    return tuple(notices)


def _unique(quotes: Iterable[Quote]) -> tuple[Quote, ...]:
    found = {(q.number, q.start_line, q.end_line, q.text): q for q in quotes}
    return tuple(found[key] for key in sorted(found))
