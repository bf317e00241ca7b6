"""A draft to its claims: sentences, list items and code blocks, with the source numbers that each one cites.

Knows how models write citations, lists and refusals; knows nothing of what the sources say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ragkit.sentences import sentences
from ragkit.text import fold

PieceKind: TypeAlias = Literal["claim", "code", "lead-in", "heading", "refusal", "courtesy"]

_NUMBERS = r"\d{1,3}(?:\s*(?:,|;|&|and)\s*\d{1,3})*"
_MARK = re.compile(
    rf"\s*(?:[\[【]\s*(?:sources?\s*)?{_NUMBERS}\s*[\]】]|\(\s*sources?:?\s*\[?{_NUMBERS}\]?\s*\))", re.IGNORECASE
)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)[^\n]*?(?<!`)\1(?!`)")
_BULLET = re.compile(r"(?:>\s*)*(?:[-*+•]|\d{1,3}[.)])[ \t]+")
_HEADING = re.compile(r"#{1,6}\s+\S|\*\*[^*]+\*\*:?$")
_FENCE = re.compile(r"```|~~~")
_REFERENCES = re.compile(
    r"\n\s*(?:\*\*|#+\s*)?(?:sources?|references?|citations?)(?:\*\*)?\s*:?(?:\*\*)?\s*\n.*\Z"
    r"|\n\s*(?:\*\*)?(?:sources?|references?|citations?)\s*:(?:\*\*)?\s*[\[【\d].*\Z",
    re.IGNORECASE | re.DOTALL,
)
# What a draft that was cut short ends with, and what the prompt put around its sources.
_DANGLING = re.compile(r"\n\s*(?:[-*+•]|\d{1,3}[.)])\s*\Z")
_TAGS = re.compile(r"[ \t]*</?source>")
ENDINGS = ".!?。！？:"
# Words to the reader that say nothing of the subject.
_AGREED = (
    r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|(?:great|good) question|no problem|happy to help)"
)
_COURTESY = re.compile(
    rf"{_AGREED}[!.]*"
    r"|thank(?:s| you)(?: (?:for|very|so) [\w ]{0,40})?[!.]*"
    r"|i hope (?:this|that|it|these)\b[^:]{0,30}\b(?:helps?|helpful|useful|clear)\b[^:]{0,40}"
    r"|(?:please )?(?:let me know|feel free to (?:ask|reach|let)|do not hesitate to)\b[^:]*"
    r"|if you (?:have|need)\b[^:]*\b(?:let me know|feel free|just ask|happy to help|glad to help)\b[^:]*",
    re.IGNORECASE,
)
_ANNOUNCED = re.compile(
    rf"(?:{_AGREED}[!,.]? )?(?:(?:based on|according to)\b[^:]*?, )?"
    r"(?:here(?:['’]s| is| are)|below (?:is|are)|the following (?:is|are))\b[^:]*:",
    re.IGNORECASE,
)

_REFUSALS = re.compile(
    r"(?:sources?|documentation|documents?|context|text|passages?|information|excerpts?)(?: \w+){0,3}?"
    r" (?:do|does|did) ?(?:not|n't)(?: \w+)?"
    r" (?:answer(?! an? question| any questions?)|contain|mention|provide|specify|include|say|state|describe|address"
    r"|cover|give|discuss|explain|have)"
    r"|(?:sources?|documentation|documents?|context|text|passages?|information|answer)(?: \w+){0,3}?"
    r" (?:is|are|was|were) (?:not|n't) (?:\w+ )?"
    r"(?:answered|provided|mentioned|specified|given|contained|included|stated|available|found|in the)"
    r"|(?:no|not enough|insufficient) (?:\w+ )?information (?:\w+ ){0,4}(?:about|on|in|to|is|regarding)"
    r"|(?:can ?not|can't|unable to|am not able to|could not) (?:\w+ )?(?:answer|find|determine|provide)"
    r"|i (?:do not|don't) (?:know|have)"
    r"|^not (?:in|covered by|mentioned in|found in) the (?:\w+ )?(?:documentation|sources?|context|documents?)"
)
# "A question that the documentation does not answer is declined" tells of refusals; it is none.
_SUBORDINATE = re.compile(
    r"\b(?:when|whenever|if|where|whether|unless|because|although|that|which|once) (?:\w+ ){0,2}$"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a draft. `lead` is the blank space and bullet before it; `text` has no citation marks."""

    kind: PieceKind
    lead: str
    text: str
    cited: tuple[int, ...] = ()

    @property
    def is_checked(self) -> bool:
        """Whether it says something that a source must bear out."""
        return self.kind in ("claim", "code")


def pieces(draft: str) -> list[Piece]:
    """The draft cut into pieces, in order. Citation marks are taken out and given to the sentence they follow.

    >>> [(piece.text, piece.cited) for piece in pieces("Pods share a network. [1] Use `a[0]` [2, 3].")]
    [('Pods share a network.', (1,)), ('Use `a[0]`.', (2, 3))]
    """
    text = _REFERENCES.sub("", "\n" + _TAGS.sub("", draft).strip())[1:].rstrip()
    text = _DANGLING.sub("", text)
    found: list[Piece] = []
    end = 0
    for start, stop in _spans(text):
        lead, body = text[end:start], text[start:stop]
        end = stop
        if _FENCE.match(body):
            if "\n" in body.rstrip("`~\n "):
                found.append(Piece("code", lead, body))
            continue
        if bullet := _BULLET.match(body):
            lead, body = lead + bullet[0], body[bullet.end() :]
        before, body, after = _citations(body)
        if before and found and "\n" not in lead and not _prefix_style(text):
            found[-1] = replace(found[-1], cited=_union(found[-1].cited, before))
            before = ()
        cited = _union(before, after)
        if body:
            found.append(Piece(_kind(body), lead, body, cited))
        elif found:
            found[-1] = replace(found[-1], cited=_union(found[-1].cited, cited))
    return _lead_ins(found)


def statements(text: str) -> list[str]:
    """What a text claims, one sentence, list item or block of code each, without citation marks.

    >>> statements("Two ways: Pods restart. [1]\\n\\n# Notes\\n- Nodes do not [2].")
    ['Two ways: Pods restart.', 'Nodes do not.']
    >>> statements("Sure! Here is a summary:\\n\\nPods restart. I hope this helps!")
    ['Pods restart.']
    """
    return [piece.text for piece in pieces(text) if piece.is_checked or piece.kind == "refusal"]


def is_refusal(text: str) -> bool:
    """Whether a sentence says that the sources do not answer.

    >>> is_refusal("The sources do not answer this question."), is_refusal("Pods do not restart.")
    (True, False)
    >>> is_refusal("When the documentation does not answer the question, it is declined.")
    False
    >>> is_refusal("A command that the documentation does not answer a question about is declined.")
    False
    """
    folded = fold(text).strip()
    return any(not _SUBORDINATE.search(folded[: match.start()]) for match in _REFUSALS.finditer(folded))


def cite(text: str, numbers: Sequence[int]) -> str:
    """The text with its marks in front of the final punctuation.

    >>> cite("Pods share a network.", [1, 3])
    'Pods share a network [1][3].'
    """
    marks = "".join(f"[{number}]" for number in numbers)
    if not marks:
        return text
    if _FENCE.match(text):
        return f"{text}\n{marks}"
    body = text.rstrip(ENDINGS)
    if not body or (body.endswith("`") and len(text) == len(body)):
        return f"{text} {marks}"
    return f"{body} {marks}{text[len(body) :]}"


def _spans(text: str) -> list[tuple[int, int]]:
    """Sentences, with every fenced block as one span."""
    spans: list[tuple[int, int]] = []
    opened: int | None = None
    for start, end in sentences(text):
        mark = bool(_FENCE.match(text[start:end]))
        if opened is not None:
            if mark:
                spans.append((opened, end))
                opened = None
        elif mark:
            opened = start
        else:
            spans.append((start, end))
    if opened is not None:
        spans.append((opened, len(text)))
    return spans


def _citations(body: str) -> tuple[tuple[int, ...], str, tuple[int, ...]]:
    """(numbers cited in front, text without marks, numbers cited inside or after)."""
    code = [match.span() for match in _CODE_SPAN.finditer(body)]
    marks = [m for m in _MARK.finditer(body) if not any(a <= m.start() < b for a, b in code)]
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    kept = ""
    at = 0
    for mark in marks:
        kept += body[at : mark.start()]
        numbers = tuple(int(number) for number in re.findall(r"\d+", mark[0]))
        if kept.strip():
            after = _union(after, numbers)
        else:
            before = _union(before, numbers)
        at = mark.end()
    return before, (kept + body[at:]).strip(), after


def _prefix_style(text: str) -> bool:
    """Whether the draft puts its marks in front of the sentences, not behind them."""
    mark = _MARK.match(text)
    return bool(mark and text[mark.end() :].strip())


def _kind(body: str) -> PieceKind:
    if _HEADING.match(body):
        return "heading"
    if _COURTESY.fullmatch(body):
        return "courtesy"
    return "refusal" if is_refusal(body) else "claim"


def _lead_ins(found: Sequence[Piece]) -> list[Piece]:
    """Marks sentences that only announce the list or the code after them. "Here is the answer:" before anything else
    is a courtesy."""
    result = list(found)
    for at, piece in enumerate(found[:-1]):
        after = found[at + 1]
        listed = after.kind == "code" or bool(_BULLET.search(after.lead.lstrip()))
        if piece.kind != "claim" or not piece.text.endswith(":"):
            continue
        if listed:
            result[at] = replace(piece, kind="lead-in")
        elif _ANNOUNCED.fullmatch(piece.text):
            result[at] = replace(piece, kind="courtesy")
    return result


def _union(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*first, *second)))
